// `observe` runs bytes through a Connection and keeps every payload twice: as delivered, and as a copy made at delivery.
import fc from 'fast-check'
import { test } from 'tap'
import type { ProtocolEvent } from '../../src/protocol/event.js'
import type { Role } from '../../src/protocol/opcode.js'
import { bytesOf, CLOSE, concat, type Frame, fromPeer, parseFrames, PING, PONG } from '../support/frames.js'
import {
  anyText,
  bytesFor,
  control,
  conversation,
  cuts,
  describe,
  expectedOf,
  octet,
  role,
} from '../support/conversations.js'
import { events, open, pair } from '../support/pair.js'
import { cutAt, cutEvery } from '../support/split.js'

const RUNS = { numRuns: 1000 }
const LIMITS = { maxMessageBytes: 200_000, maxPendingPongs: Infinity }

interface Observation {
  readonly events: readonly string[]
  readonly output: string
  readonly state: string
  /** The events described again at the very end; a payload that changed after delivery shows here. */
  readonly eventsAtTheEnd: readonly string[]
}

function observe(receiver: Role, chunks: readonly Uint8Array[], takeEachTime: boolean): Observation {
  const connection = open(receiver, { limits: LIMITS })
  const delivered: ProtocolEvent[] = []
  const described: string[] = []
  const output: Uint8Array[] = []
  for (const chunk of chunks) {
    connection.receive(chunk)
    for (const event of events(connection)) {
      delivered.push(event)
      described.push(describe(event))
    }
    if (takeEachTime) output.push(...connection.takeOutput())
  }
  output.push(...connection.takeOutput())
  return {
    events: described,
    output: Buffer.concat(output).toString('hex'),
    // After a failure nothing more is said of a message in part.
    state: `${connection.state} ${connection.shutdown} ${connection.shutdown === 'none' && connection.midMessage}`,
    eventsAtTheEnd: delivered.map(describe),
  }
}

function equal(a: unknown, b: unknown): boolean {
  return JSON.stringify(a) === JSON.stringify(b)
}

void test('reads back every conversation, however it is fragmented and cut', t => {
  fc.assert(
    fc.property(role, conversation, cuts, (receiver, spoken, places) => {
      const stream = bytesFor(receiver, spoken)
      const { events: found } = observe(
        receiver,
        cutAt(
          stream,
          places.map(place => place % (stream.length + 1)),
        ),
        true,
      )
      return equal(found, expectedOf(spoken))
    }),
    RUNS,
  )
  t.end()
})

void test('no payload changes after it was delivered', t => {
  fc.assert(
    fc.property(role, conversation, cuts, (receiver, spoken, places) => {
      const stream = bytesFor(receiver, spoken)
      const chunks = cutAt(
        stream,
        places.map(place => place % (stream.length + 1)),
      )
      const { events: before, eventsAtTheEnd: after } = observe(receiver, chunks, false)
      return equal(before, after)
    }),
    RUNS,
  )
  t.end()
})

void test('what one side sends the other receives, in both directions', t => {
  fc.assert(
    fc.property(role, conversation, (sender, { messages, close }) => {
      const both = pair({ client: { limits: LIMITS }, server: { limits: LIMITS } })
      const from = both[sender]
      for (const { text, parts } of messages) {
        for (const [i, { data, controls: between }] of parts.entries()) {
          for (const { opcode, payload } of between) {
            if (opcode === PING) from.sendPing(payload)
            else from.sendPong(payload)
          }
          if (parts.length > 1) {
            from.sendFragment(i > 0 ? 'continuation' : text ? 'text' : 'binary', data, i === parts.length - 1)
          } else if (text) from.sendText(Buffer.from(data).toString())
          else from.sendBinary(data)
        }
      }
      if (close !== null) from.close(close.code, close.reason)
      both.exchange()
      const seen = sender === 'client' ? both.serverEvents : both.clientEvents
      return equal(seen.map(describe), expectedOf({ messages, close }))
    }),
    RUNS,
  )
  t.end()
})

void test('a text sent in strings cut anywhere arrives whole', t => {
  fc.assert(
    fc.property(role, anyText, fc.array(fc.nat(), { maxLength: 5 }), (sender, text, places) => {
      const both = pair()
      const at = places.map(place => place % (text.length + 1)).toSorted((a, b) => a - b)
      const ends = [...at, text.length]
      for (const [i, end] of ends.entries()) {
        const part = text.slice(i === 0 ? 0 : ends[i - 1], end)
        both[sender].sendFragment(i === 0 ? 'text' : 'continuation', part, i === ends.length - 1)
      }
      both.exchange()
      const seen = sender === 'client' ? both.serverEvents : both.clientEvents
      // Cut or not, a lone surrogate is U+FFFD on the wire.
      return equal(seen.map(describe), [`text ${Buffer.from(text).toString()}`])
    }),
    RUNS,
  )
  t.end()
})

/** Streams that are valid up to a place, and then anything. */
const spoiltStream = fc
  .tuple(
    role,
    conversation,
    fc.array(
      fc.oneof(
        fc.tuple(fc.constant('set' as const), fc.nat(), octet),
        fc.tuple(fc.constant('flip' as const), fc.nat(), fc.nat(7)),
        fc.tuple(fc.constant('drop' as const), fc.nat(), fc.nat(20)),
        fc.tuple(fc.constant('double' as const), fc.nat(), fc.nat(20)),
      ),
      { maxLength: 4 },
    ),
  )
  .map(([receiver, spoken, changes]) => {
    let stream = bytesFor(receiver, spoken)
    for (const [kind, place, what] of changes) {
      const at = place % (stream.length + 1)
      if (kind === 'set') stream[at] = what
      else if (kind === 'flip') stream[at] ^= 1 << what
      else if (kind === 'drop') stream = concat([stream.subarray(0, at), stream.subarray(at + what)])
      else stream = concat([stream.subarray(0, at + what), stream.subarray(at)])
    }
    return { receiver, stream }
  })

/** Frames with any header, lawful or not, most of them masked the right way. */
const anyFrames = fc
  .tuple(
    role,
    fc.array(
      fc.record({
        opcode: fc.oneof(fc.constantFrom(0, 0, 1, 1, 2, 8, 9, 10), fc.nat(15)),
        fin: fc.boolean(),
        rsv: fc.oneof({ weight: 9, arbitrary: fc.constant(0) }, { weight: 1, arbitrary: fc.nat(7) }),
        wrongMask: fc.oneof(
          { weight: 19, arbitrary: fc.constant(false) },
          { weight: 1, arbitrary: fc.boolean() },
        ),
        payload: fc.oneof(fc.uint8Array({ maxLength: 200 }), anyText.map(bytesOf)),
        declared: fc.oneof(
          { weight: 9, arbitrary: fc.constant(null) },
          { weight: 1, arbitrary: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }) },
        ),
        lengthBytes: fc.oneof(
          { weight: 9, arbitrary: fc.constant(null) },
          { weight: 1, arbitrary: fc.constantFrom(2, 8) },
        ),
      }),
      { maxLength: 8 },
    ),
  )
  .map(([receiver, specs]) => ({
    receiver,
    stream: concat(
      specs.map(({ opcode, fin, rsv, payload, wrongMask, declared, lengthBytes }) =>
        fromPeer(receiver, {
          opcode,
          fin,
          rsv,
          payload,
          ...(wrongMask ? { mask: receiver === 'client' ? ([9, 9, 9, 9] as const) : null } : {}),
          ...(declared === null ? {} : { declared }),
          ...(lengthBytes === null || declared !== null ? {} : { lengthBytes }),
        }),
      ),
    ),
  }))

const garbage = fc
  .tuple(role, fc.uint8Array({ maxLength: 400 }))
  .map(([receiver, stream]) => ({ receiver, stream }))
const anyStream = fc.oneof(spoiltStream, anyFrames, garbage)

void test('any split of the input gives the same events and the same output', t => {
  fc.assert(
    fc.property(anyStream, cuts, fc.boolean(), ({ receiver, stream }, places, takeEachTime) => {
      const whole = observe(receiver, [stream.slice()], false)
      const at = places.map(place => place % (stream.length + 1))
      if (!equal(observe(receiver, cutAt(stream, at), takeEachTime), whole)) return false
      return stream.length > 3000 || equal(observe(receiver, cutEvery(stream, 1), takeEachTime), whole)
    }),
    { numRuns: 3000 },
  )
  t.end()
})

void test('arbitrary bytes yield only events or one failure, never a throw, and nothing after the failure', t => {
  const seen = new Map<string, number>()
  fc.assert(
    fc.property(anyStream, cuts, ({ receiver, stream }, places) => {
      const at = places.map(place => place % (stream.length + 1))
      const { events: found, output } = observe(receiver, cutAt(stream, at), true)
      for (const event of found) {
        const kind = event.startsWith('fail') ? event.split(' ')[1] : event.split(' ')[0]
        seen.set(kind, (seen.get(kind) ?? 0) + 1)
      }
      const ends = found.filter(event => event.startsWith('fail') || event.startsWith('close'))
      if (ends.length > 1 || (ends.length === 1 && ends[0] !== found.at(-1))) return false
      // All that is ever said in answer is pongs, and one Close frame at the end.
      const frames: readonly Frame[] = parseFrames(Buffer.from(output, 'hex'))
      const closes = frames.filter(frame => frame.opcode === CLOSE)
      return (
        frames.every(frame => frame.opcode === PONG || frame.opcode === CLOSE) &&
        closes.length === ends.length &&
        (closes.length === 0 || closes[0] === frames.at(-1))
      )
    }),
    { numRuns: 3000 },
  )
  // The streams are worth something: they reach every kind of event and most violations.
  for (const kind of ['text', 'binary', 'ping', 'pong', 'close']) t.ok(seen.has(kind), kind)
  t.ok([...seen.keys()].filter(kind => kind.startsWith('WS_')).length >= 11, [...seen.keys()].join(' '))
  t.end()
})

void test('sends, closes and garbage in any order end in a consistent state', t => {
  const step = fc.oneof(
    fc
      .constantFrom('text', 'binary', 'ping', 'pong', 'close', 'end', 'take', 'fragment', 'last')
      .map(what => ({ what })),
    fc.uint8Array({ maxLength: 20 }).map(bytes => ({ what: 'receive', bytes })),
    control.map(({ opcode, payload }) => ({ what: 'frame', opcode, payload })),
  )
  fc.assert(
    fc.property(role, fc.array(step, { maxLength: 30 }), (who, steps) => {
      const connection = open(who)
      const output: Uint8Array[] = []
      for (const action of steps) {
        try {
          if (action.what === 'text') connection.sendText('text')
          else if (action.what === 'binary') connection.sendBinary(bytesOf('binary'))
          else if (action.what === 'ping') connection.sendPing()
          else if (action.what === 'pong') connection.sendPong()
          else if (action.what === 'close') connection.close(4000)
          else if (action.what === 'end') connection.receiveEnd()
          else if (action.what === 'take') output.push(...connection.takeOutput())
          else if (action.what === 'fragment') connection.sendFragment('text', 'first', false)
          else if (action.what === 'last') connection.sendFragment('continuation', 'last', true)
          else if ('bytes' in action) connection.receive(action.bytes.slice())
          else if ('opcode' in action) connection.receive(fromPeer(who, action))
        } catch (error) {
          if ((error as Error).name !== 'UsageError') throw error
        }
        events(connection)
      }
      output.push(...connection.takeOutput())
      const frames = parseFrames(output)
      const closes = frames.filter(frame => frame.opcode === CLOSE).length
      const { sent, received, initiator } = connection.outcome
      return (
        closes === (sent === null ? 0 : 1) &&
        (initiator === null) === (sent === null && received === null) &&
        (connection.state !== 'open' || (sent === null && received === null)) &&
        frames
          .slice(frames.findIndex(frame => frame.opcode === CLOSE) + 1 || frames.length)
          .every(frame => frame.opcode === PONG)
      )
    }),
    RUNS,
  )
  t.end()
})
