// Strategy: bytes in, delivered messages out. Both sides get the same chunks, deliver every message to a consumer
// that adds up its length and first unit, and must agree with the expected sum before anything is timed.
//
//   pristine chunks ──copied when masked──▶ slots ──▶ Connection.receive / nextEvent ──▶ sum
//                                                 └─▶ ws Receiver.write / 'message' ────▶ sum
//
// Masked chunks are unmasked in place, so each iteration copies the pristine chunk over its slot just before it is
// decoded; the same loop without a decoder is the overhead that `measure` takes out. A stream ends with a whole
// message, so no slot is reused while somebody still needs it.
import { deepStrictEqual, strictEqual } from 'node:assert'
import { Connection, FrameDecoder } from 'sansocket/protocol'
import type { ProtocolEvent } from 'sansocket/protocol'
import type { Bench, Context } from './bench.js'
import { alone, withAddOns } from './bench.js'
import type { Contestant } from './measure.js'
import { everyTick, measure } from './measure.js'
import type { Ws, WsReceiver } from './peers.js'
import { receiverDefaults } from './peers.js'
import type { Cell } from './report.js'
import { cellOf, ours } from './report.js'
import type { Kind, Layout } from './sample.js'
import {
  cut,
  frame,
  kindNames,
  kinds,
  layoutNames,
  layouts,
  messagesPerStream,
  payload,
  seeded,
} from './sample.js'
import { decodeTargets, otherChunksTarget, sizeName, targetAt } from './targets.js'

interface Sample {
  readonly kind: Kind
  readonly masked: boolean
  readonly messages: readonly Buffer[]
  readonly pristine: readonly Buffer[]
  /** What a decoder is given: the pristine chunks themselves when nothing writes to them. */
  readonly slots: readonly Buffer[]
}

function makeSample(kind: Kind, masked: boolean, size: number, layout: Layout): Sample {
  const random = seeded(size + (masked ? 1 : 0))
  const messages = Array.from({ length: messagesPerStream(size, layout) }, () => payload(kind, size, random))
  const frames = messages.map(data => frame(kind, data, masked, random))
  const pristine = cut(frames, layout, random)
  const slots = masked ? pristine.map(chunk => Buffer.allocUnsafeSlow(chunk.length)) : pristine
  return { kind, masked, messages, pristine, slots }
}

/** Lets `receive` have each chunk of the stream in a tick of its own, `iterations` times. */
function stream(sample: Sample, iterations: number, receive: (chunk: Buffer) => void): Promise<void> {
  const { masked, pristine, slots } = sample
  let left = iterations
  let i = 0
  return everyTick(() => {
    const chunk = slots[i]
    if (masked) chunk.set(pristine[i])
    receive(chunk)
    if (++i < slots.length) return true
    i = 0
    return --left > 0
  })
}

function makeConnection(masked: boolean): Connection {
  return masked ? new Connection('server') : new Connection('client', { maskKey: () => 0x01020304 })
}

function makeReceiver(ws: Ws, masked: boolean): WsReceiver {
  return new ws.Receiver({ ...receiverDefaults, isServer: masked })
}

/** Our consumer. Theirs is written out in `theirMessages`, so that the compiler's knowledge of one is not the other's. */
function weigh(event: ProtocolEvent): number {
  if (event.type === 'text') return event.data.length + event.data.charCodeAt(0)
  if (event.type === 'binary') return event.data.length + event.data[0]
  throw new Error(`unexpected ${event.type}`)
}

function ourMessages(sample: Sample): Contestant {
  return {
    name: ours,
    async run(iterations) {
      const connection = makeConnection(sample.masked)
      let sum = 0
      await stream(sample, iterations, chunk => {
        connection.receive(chunk)
        for (let event = connection.nextEvent(); event !== null; event = connection.nextEvent())
          sum = (sum + weigh(event)) | 0
      })
      return sum
    },
  }
}

function ourPieces(sample: Sample): Contestant {
  return {
    name: `${ours}, FrameDecoder alone`,
    async run(iterations) {
      const decoder = new FrameDecoder(sample.masked ? 'server' : 'client')
      const { piece } = decoder
      let sum = 0
      await stream(sample, iterations, chunk => {
        decoder.feed(chunk)
        while (decoder.next()) sum = (sum + piece.end - piece.start + (piece.last ? 1 : 0)) | 0
      })
      return sum
    },
  }
}

function theirMessages(name: string, ws: Ws, sample: Sample, asString: boolean): Contestant {
  return {
    name,
    async run(iterations) {
      const receiver = makeReceiver(ws, sample.masked)
      let sum = 0
      const text = asString && sample.kind !== 'binary'
      if (text) {
        receiver.on('message', data => {
          const string = data.toString()
          sum = (sum + string.length + string.charCodeAt(0)) | 0
        })
      } else {
        receiver.on('message', data => void (sum = (sum + data.length + data[0]) | 0))
      }
      await stream(sample, iterations, chunk => void receiver.write(chunk))
      return sum
    },
  }
}

function copying(sample: Sample): Contestant {
  return {
    name: sample.masked ? '(copying the chunks, taken out)' : '(the empty loop, taken out)',
    async run(iterations) {
      let sum = 0
      await stream(sample, iterations, chunk => void (sum = (sum + chunk[0]) | 0))
      return sum
    },
  }
}

/** Whole contents, both decoders, against what was encoded. */
async function verify(sample: Sample, ws: Ws): Promise<void> {
  const expected = sample.messages.map(data => (sample.kind === 'binary' ? data : data.toString()))
  const found: unknown[] = []
  const connection = makeConnection(sample.masked)
  await stream(sample, 1, chunk => {
    connection.receive(chunk)
    for (let event = connection.nextEvent(); event !== null; event = connection.nextEvent()) {
      if (event.type === 'text') found.push(event.data)
      else if (event.type === 'binary') found.push(Buffer.from(event.data))
      else found.push(event)
    }
  })
  deepStrictEqual(found, expected)
  found.length = 0
  const receiver = makeReceiver(ws, sample.masked)
  receiver.on('message', (data, isBinary) => void found.push(isBinary ? Buffer.from(data) : data.toString()))
  await stream(sample, 1, chunk => void receiver.write(chunk))
  deepStrictEqual(found, expected)
}

async function decodeCell(
  context: Context,
  place: Pick<Cell, 'group' | 'row' | 'column' | 'headline' | 'target'>,
  sample: Sample,
): Promise<Cell> {
  const { native, plain } = context.peers
  await verify(sample, native)
  const messages = [
    ourMessages(sample),
    theirMessages(withAddOns, native, sample, true),
    theirMessages(alone, plain, sample, true),
  ]
  const sums: number[] = []
  for (const contestant of messages) sums.push(await contestant.run(1))
  for (const sum of sums) strictEqual(sum, sums[0], 'the contestants consumed different messages')
  const contestants = [...messages, ourPieces(sample)]
  if (sample.kind !== 'binary')
    contestants.push(theirMessages('ws + add-ons, Buffer only', native, sample, false))
  const race = { contestants, overhead: copying(sample), operations: sample.messages.length }
  return cellOf(place, await measure(race, context.pace))
}

export const decode: Bench = {
  title: 'decode: bytes from the socket → delivered messages',
  notes: [
    'ours: Connection.receive(chunk), then nextEvent() until null; ws: its Receiver, one write per chunk, with the',
    'limits a ws socket has by default. A text reaches our user as a string and a ws user as a Buffer, so the ws',
    'contestants call toString(); the line "Buffer only" leaves that out. Masked = the server role. Masked chunks are',
    'copied freshly for both sides; the cost of copying, and of giving each chunk a tick of its own as a socket does, is',
    'measured in the same round and taken out.',
  ],
  async *run(context) {
    for (const layout of layouts) {
      if (context.quick && layout === 'torn') continue
      const group = layoutNames[layout]
      const cells: Cell[] = []
      for (const masked of [false, true]) {
        for (const kind of kinds) {
          if (context.quick && kind === 'utf8') continue
          for (const size of context.sizes) {
            const row = `${kindNames[kind]}, ${masked ? 'masked' : 'unmasked'}`
            const column = sizeName(size)
            if (!context.wanted(group, row, column)) continue
            const targets = layout === '64k' ? decodeTargets[row] : otherChunksTarget
            const target = kind === 'utf8' ? null : targetAt(targets, size)
            context.progress(`${group}; ${row}; ${column}`)
            const place = { group, row, column, headline: withAddOns, target }
            cells.push(await decodeCell(context, place, makeSample(kind, masked, size, layout)))
          }
        }
      }
      if (cells.length > 0) yield { cells, operation: 'message' }
    }
  },
}
