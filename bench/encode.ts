// Strategy: messages in, bytes handed to a socket out, a hundred sends a batch, each batch in a tick of its own. Both write
// to the same kind of socket: a `Writable` that takes strings as a `net.Socket` does (and then encodes them, as its handle
// does), writes nothing anywhere and counts. Ours hands the batch over as the transport does, what `takeOutput()` returned
// under one cork; `ws`'s Sender writes each message as it is sent. So what a batch of many small writes costs in a stream
// is counted, for both; system calls are not: those belong to an end-to-end bench.
import { deepStrictEqual } from 'node:assert'
import { randomFillSync } from 'node:crypto'
import { Writable } from 'node:stream'
import { Connection } from 'sansocket/protocol'
import type { Role } from 'sansocket/protocol'
import type { Bench } from './bench.js'
import { alone, withAddOns } from './bench.js'
import type { Contestant } from './measure.js'
import { everyTick, measure } from './measure.js'
import type { SenderSocket, Ws } from './peers.js'
import type { Cell } from './report.js'
import { cellOf, ours } from './report.js'
import type { Kind } from './sample.js'
import { kindNames, kinds, payload, payloads, seeded } from './sample.js'
import { encodeTargets, sizeName, targetAt } from './targets.js'

/** Mask keys out of 8 KiB of random bytes at a time: as much as `ws` draws. */
function pooledMaskKey(): () => number {
  const pool = new Uint32Array(2048)
  let at = pool.length
  return () => {
    if (at === pool.length) {
      randomFillSync(pool)
      at = 0
    }
    return pool[at++]
  }
}

interface Sample {
  readonly kind: Kind
  readonly role: Role
  readonly bytes: readonly Buffer[]
  readonly texts: readonly string[]
}

function makeSample(kind: Kind, role: Role, size: number): Sample {
  const random = seeded(size)
  // A hundred messages of 1 MiB would measure the page faults of 100 MiB.
  const count = size > 65536 ? 8 : 100
  const bytes = Array.from({ length: count }, () => payload(kind, size, random))
  return { kind, role, bytes, texts: kind === 'binary' ? [] : bytes.map(data => data.toString()) }
}

type Take = (bytes: Uint8Array) => void

/** Sends the batch and writes what came out. */
function ourBatch(connection: Connection, sample: Sample, socket: CountingSocket): void {
  if (sample.kind === 'binary') for (const data of sample.bytes) connection.sendBinary(data)
  else for (const data of sample.texts) connection.sendText(data)
  const segments = connection.takeOutput()
  const last = segments.length - 1
  if (last > 0) socket.cork()
  for (let i = 0; i < last; i++) socket.write(segments[i])
  // As the transport does with a socket of Node's own.
  socket.write(segments[last], () => connection.recycleOutput(segments))
  if (last > 0) socket.uncork()
}

function makeConnection(role: Role): Connection {
  return role === 'client' ? new Connection('client', { maskKey: pooledMaskKey() }) : new Connection('server')
}

function ourMessages(sample: Sample): Contestant {
  return {
    name: ours,
    async run(iterations) {
      const connection = makeConnection(sample.role)
      let sum = 0
      const socket = new CountingSocket(bytes => void (sum = (sum + bytes.length) | 0))
      let left = iterations
      await everyTick(() => {
        ourBatch(connection, sample, socket)
        return --left > 0
      })
      return sum
    },
  }
}

const scratch = Buffer.allocUnsafeSlow(4 * 1024 * 1024)

interface Queued {
  readonly chunk: Buffer | string
}

class CountingSocket extends Writable implements SenderSocket {
  readonly #take: Take

  constructor(take: Take) {
    // `net.Socket` does not decode strings either.
    super({ decodeStrings: false })
    this.#take = take
  }

  override _write(data: Buffer | string, _encoding: string, done: () => void): void {
    this.#take(typeof data === 'string' ? scratch.subarray(0, scratch.write(data)) : data)
    done()
  }

  /** Node's own takes memory for all strings of a `writev`: three bytes a character, the exact size above 65,535. */
  override _writev(queue: readonly Queued[], done: () => void): void {
    for (const { chunk } of queue) {
      if (typeof chunk !== 'string') {
        this.#take(chunk)
        continue
      }
      const memory = Buffer.allocUnsafeSlow(
        chunk.length > 65535 ? Buffer.byteLength(chunk) : 3 * chunk.length,
      )
      this.#take(memory.subarray(0, memory.write(chunk)))
    }
    done()
  }
}

function theirBatch(sender: InstanceType<Ws['Sender']>, sample: Sample): void {
  const options = {
    binary: sample.kind === 'binary',
    compress: false,
    fin: true,
    mask: sample.role === 'client',
  }
  for (const data of options.binary ? sample.bytes : sample.texts) sender.send(data, options)
}

function theirMessages(name: string, ws: Ws, sample: Sample): Contestant {
  return {
    name,
    async run(iterations) {
      let sum = 0
      const sender = new ws.Sender(new CountingSocket(bytes => void (sum = (sum + bytes.length) | 0)))
      let left = iterations
      await everyTick(() => {
        theirBatch(sender, sample)
        return --left > 0
      })
      return sum
    },
  }
}

/** Both encoders' bytes, read back by the naive reader. */
function verify(sample: Sample, ws: Ws): void {
  const found: Buffer[] = []
  const keep: Take = bytes => void found.push(Buffer.from(bytes))
  ourBatch(makeConnection(sample.role), sample, new CountingSocket(keep))
  deepStrictEqual(payloads(Buffer.concat(found)), sample.bytes)
  found.length = 0
  theirBatch(new ws.Sender(new CountingSocket(keep)), sample)
  deepStrictEqual(payloads(Buffer.concat(found)), sample.bytes)
}

export const encode: Bench = {
  title: 'encode: messages → bytes handed to the socket',
  notes: [
    'ours: sendText or sendBinary 100 times (8 times at 1 MiB), then one takeOutput() to the socket; ws: its Sender. The',
    'socket is a Writable that counts bytes and encodes the strings it is given, as a real one does. No system calls.',
    'Mask keys: both draw 8 KiB of random bytes at a time. Payloads of the caller are never written to by either.',
  ],
  async *run(context) {
    const { native, plain } = context.peers
    for (const role of ['client', 'server'] as const) {
      const group = role === 'client' ? 'client (masked)' : 'server'
      const cells: Cell[] = []
      for (const kind of kinds) {
        if (context.quick && kind === 'utf8') continue
        for (const size of context.sizes) {
          const row = kindNames[kind]
          const column = sizeName(size)
          if (!context.wanted(group, row, column)) continue
          context.progress(`${group}; ${row}; ${column}`)
          const sample = makeSample(kind, role, size)
          verify(sample, native)
          const contestants = [
            ourMessages(sample),
            theirMessages(withAddOns, native, sample),
            theirMessages(alone, plain, sample),
          ]
          const timings = await measure({ contestants, operations: sample.bytes.length }, context.pace)
          const target = kind === 'utf8' ? null : targetAt(encodeTargets[role], size)
          cells.push(cellOf({ group, row, column, headline: withAddOns, target }, timings))
        }
      }
      if (cells.length > 0) yield { cells, operation: 'message' }
    }
  },
}
