// Strategy: memory, not time. A busy stream of small messages arrives in 64 KiB chunks; the user keeps one message
// in a thousand, 10,000 in all. A kept view pins its whole chunk, so what is held afterwards can be a thousand times
// what was kept. Each chunk is a fresh allocation, as it is when it comes from a socket. What is held = JavaScript
// heap plus array buffers after a full collection, minus the same before.
import { strictEqual } from 'node:assert'
import { Connection } from 'sansocket/protocol'
import { alone, withAddOns } from './bench.js'
import { collect } from './measure.js'
import type { Peers, Ws } from './peers.js'
import { receiverDefaults } from './peers.js'
import type { Kind } from './sample.js'
import { cut, frame, kindNames, payload, seeded } from './sample.js'
import { ours } from './report.js'
import { retainedBytesTarget } from './targets.js'

const KEPT = 10_000
const EVERY = 1000
/** Messages of one prepared stretch, a whole number of which makes the stream. */
const STRETCH = 100_000

export interface Retained {
  readonly row: string
  /** Bytes held, by whom. */
  readonly bytes: Readonly<Record<string, number>>
  /** The target in words, if there is one. */
  readonly wanted: string | null
  readonly met: boolean
}

/** A bench that measures memory, not time. */
export interface MemoryBench {
  readonly title: string
  readonly notes: readonly string[]
  readonly run: (peers: Peers, wanted: (row: string) => boolean) => AsyncGenerator<Retained>
}

type Deliver = (message: unknown) => void
/** Consumes a chunk and delivers what is complete. */
type Receive = (chunk: Buffer) => void

function ourReceive(masked: boolean, deliver: Deliver): Receive {
  const connection = masked ? new Connection('server') : new Connection('client', { maskKey: () => 1 })
  return chunk => {
    connection.receive(chunk)
    for (let event = connection.nextEvent(); event !== null; event = connection.nextEvent()) {
      if (event.type === 'text' || event.type === 'binary') deliver(event.data)
      else throw new Error(`unexpected ${event.type}`)
    }
  }
}

function theirReceive(ws: Ws, masked: boolean, deliver: Deliver): Receive {
  const receiver = new ws.Receiver({ ...receiverDefaults, isServer: masked })
  receiver.on('message', (data, isBinary) => deliver(isBinary ? data : data.toString()))
  return chunk => void receiver.write(chunk)
}

function held(): number {
  // Twice: the first pass finds what is dead, finalizers of array buffers run before the second.
  collect()
  collect()
  const { heapUsed, arrayBuffers } = process.memoryUsage()
  return heapUsed + arrayBuffers
}

function retained(chunks: readonly Buffer[], start: (deliver: Deliver) => Receive): number {
  const kept: unknown[] = Array.from({ length: KEPT }, () => null)
  let seen = 0
  const before = held()
  let receive: Receive | null = start(message => {
    if (seen % EVERY === 0) kept[seen / EVERY] = message
    seen++
  })
  for (let round = 0; round < (KEPT * EVERY) / STRETCH; round++) {
    for (const chunk of chunks) {
      const fresh = Buffer.allocUnsafeSlow(chunk.length)
      fresh.set(chunk)
      receive(fresh)
    }
  }
  receive = null
  strictEqual(seen, KEPT * EVERY)
  const bytes = held() - before
  strictEqual(kept.length, KEPT)
  return bytes
}

export const retain: MemoryBench = {
  title: 'retain: what 10,000 kept small messages hold',
  notes: [
    'bytes held by 10,000 messages, one kept out of every thousand of a stream in 64 KiB chunks (heap and array buffers,',
    'after a full collection). ws texts are kept as strings.',
  ],
  run: rows,
}

async function* rows(peers: Peers, wanted: (row: string) => boolean): AsyncGenerator<Retained> {
  const cases: [Kind, number, boolean][] = [
    ['binary', 16, false],
    ['binary', 16, true],
    ['text', 16, false],
    ['text', 16, true],
  ]
  for (const [kind, size, masked] of cases) {
    const row = `${size} B ${kindNames[kind]}, ${masked ? 'masked' : 'unmasked'}`
    if (!wanted(row)) continue
    const random = seeded(size)
    const one = Array.from({ length: STRETCH }, () =>
      frame(kind, payload(kind, size, random), masked, random),
    )
    const chunks = cut(one, '64k', random)
    one.length = 0
    const bytes: Record<string, number> = {}
    const starts: [string, (deliver: Deliver) => Receive][] = [
      [ours, deliver => ourReceive(masked, deliver)],
      [withAddOns, deliver => theirReceive(peers.native, masked, deliver)],
      [alone, deliver => theirReceive(peers.plain, masked, deliver)],
    ]
    for (const [name, start] of starts) bytes[name] = retained(chunks, start)
    const limit = `<${(retainedBytesTarget / 1e6).toFixed(0)} MB`
    yield { row, bytes, wanted: limit, met: bytes[ours] < retainedBytesTarget }
  }
}
