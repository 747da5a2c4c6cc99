// Invariant: for both roles, a `Connection` that gets arbitrary bytes, with sends, `close()` and `receiveEnd()` in between
//   - never throws for what the peer sent; a send throws UsageError exactly when the state or the order forbids it;
//   - gives events, at most one of them `close` or `fail`, and nothing after that one;
//   - gives the same events, states and output however the bytes are cut, whether it is asked after each chunk or after
//     several;
//   - never changes a payload after it was delivered, nor the bytes a caller sends;
//   - writes only what the opposite role reads back without a violation: the messages and pings that were sent, in order,
//     and the Close frame of `outcome`.
//
// Input: [role, autoPong, limits][chunk sizes][n][n actions of three bytes][bytes from the peer…]. An action is
// [bytes to receive before it][what to do][argument]; what is received after the last one is all that is left.
import {
  Connection,
  type FragmentKind,
  type Limits,
  type ProtocolEvent,
  type Role,
  UsageError,
} from 'sansocket/protocol'
import { bytewise, cut, must, mustEqual, sizesOf, whole } from './support.js'

const MAX_ACTIONS = 15
const LIMITS: readonly Partial<Limits>[] = [
  {},
  { maxMessageBytes: 100 },
  { maxFragments: 2, maxPendingPongs: 1 },
  { maxMessageBytes: 0, maxPendingPongs: 0 },
]
/** Lengths around those where the header or the way of sending changes. */
const LENGTHS = [0, 1, 40, 41, 125, 126, 4096, 4097, 5000, 65_535, 65_536] as const
const TEXTS = [
  '',
  'a',
  'é',
  '€uro',
  '\u{1f600}',
  '\ud83d',
  '\ude00',
  '\ufeffbom',
  '\0',
  'x\ud83d\ude00y',
  '\uffff',
] as const

type Action = readonly [atByte: number, kind: number, argument: number]

/** What the one who sends must be able to find again at the other end. */
type Sent = readonly ['text', string] | readonly ['binary' | 'ping', string]

export function fuzz(data: Buffer): void {
  if (data.length < 4) return
  const flags = data[0]
  const role: Role = (flags & 1) === 0 ? 'server' : 'client'
  const setup = { role, autoPong: (flags & 2) === 0, limits: LIMITS[(flags >> 2) & 3] }
  const count = Math.min(data[2], MAX_ACTIONS, Math.floor((data.length - 3) / 3))
  const bytes = new Uint8Array(data.subarray(3 + 3 * count))
  const actions: Action[] = []
  for (let index = 0, at = 0; index < count; index++) {
    const [skip, kind, argument] = data.subarray(3 + 3 * index)
    at = Math.min(at + skip, bytes.length)
    actions.push([at, kind, argument])
  }
  const sizes = sizesOf(data[1])
  const trace = run(setup, actions, bytes, whole, 1)
  mustEqual(
    run(setup, actions, bytes, part => cut(part, sizes), 1),
    trace,
    'cut and whole differ',
  )
  mustEqual(
    run(setup, actions, bytes, part => cut(part, sizes), 3),
    trace,
    'asked late and whole differ',
  )
  mustEqual(run(setup, actions, bytes, bytewise, 1), trace, 'bytewise and whole differ')
}

interface Setup {
  readonly role: Role
  readonly autoPong: boolean
  readonly limits: Partial<Limits>
}

/** Plays the whole input and returns everything that must not depend on how the bytes were cut. */
function run(
  { role, autoPong, limits }: Setup,
  actions: readonly Action[],
  bytes: Uint8Array,
  split: (part: Uint8Array) => Iterable<Uint8Array>,
  chunksPerPull: number,
): unknown {
  let keys = 0
  const maskKey = (): number => (keys++ === 0 ? 0 : Math.imul(keys, 0x9e3779b1))
  const connection = new Connection(role, { autoPong, limits, maskKey })
  const pull = new Puller(connection)
  const sender = new Sender(connection)
  const output: Uint8Array[] = []
  const states: unknown[] = []
  let at = 0
  let ended = false

  const receiveUntil = (end: number): void => {
    let chunks = 0
    if (!ended) {
      for (const chunk of split(bytes.subarray(at, end))) {
        connection.receive(chunk)
        if (++chunks % chunksPerPull === 0) pull.all()
      }
    }
    pull.all()
    at = end
  }

  for (const [end, kind, argument] of actions) {
    receiveUntil(end)
    if (kind % 10 === 0) {
      connection.receiveEnd()
      ended = true
      pull.all()
    } else if (kind % 10 === 1) {
      output.push(...take(connection))
    } else {
      sender.act(kind % 10, argument)
    }
    states.push([connection.state, connection.shutdown, connection.midMessage])
  }
  receiveUntil(bytes.length)
  output.push(...take(connection))
  mustEqual(connection.takeOutput(), [], 'output is given twice')
  pull.mustBeUnchanged()
  sender.mustBeUnchanged()

  const { outcome } = connection
  must(
    (outcome.initiator === null) === (outcome.sent === null && outcome.received === null),
    'the initiator is wrong',
    () => outcome,
  )
  if (connection.state === 'open')
    must(outcome.sent === null && outcome.received === null, 'open after a Close frame')
  mustReadBack(role, output, sender.sent, connection)
  return { events: pull.events, states, outcome, output: Buffer.concat(output) }
}

/** Drains and copies: what a caller may do with its segments must not matter to the connection. */
function take(connection: Connection): Uint8Array[] {
  const expected = connection.pendingBytes
  const segments = connection.takeOutput().map(segment => segment.slice())
  const length = segments.reduce((sum, segment) => sum + segment.length, 0)
  // A pong that waits for its turn is not counted before.
  must(length >= expected, 'pendingBytes is more than was taken', () => [length, expected])
  must(connection.pendingBytes === 0, 'bytes are pending after all were taken')
  return segments
}

/** Pulls events, keeps a copy of each payload, and sees that nothing follows the last one. */
class Puller {
  readonly events: unknown[] = []
  readonly #connection: Connection
  readonly #delivered: (readonly [payload: Uint8Array, copy: Uint8Array])[] = []
  #over = false

  constructor(connection: Connection) {
    this.#connection = connection
  }

  all(): void {
    for (;;) {
      const event = this.#connection.nextEvent()
      if (event === null) return
      must(!this.#over, 'an event follows the last one', () => event)
      this.#over = event.type === 'close' || event.type === 'fail'
      this.events.push(this.#note(event))
    }
  }

  #note(event: ProtocolEvent): unknown {
    if (event.type === 'text') return [event.type, event.data]
    if (event.type === 'close') return [event.type, event.frame]
    if (event.type === 'fail') return [event.type, event.violation.code, event.violation.closeCode]
    const copy = event.data.slice()
    this.#delivered.push([event.data, copy])
    return [event.type, copy]
  }

  mustBeUnchanged(): void {
    for (const [payload, copy] of this.#delivered)
      mustEqual(payload.slice(), copy, 'a payload changed after delivery')
  }
}

/** Does what an action says, and knows by a model of its own whether that is allowed. */
class Sender {
  /** Whole messages and pings, in the order in which they are complete. */
  readonly sent: Sent[] = []
  readonly #connection: Connection
  readonly #given: (readonly [bytes: Uint8Array, copy: Uint8Array])[] = []
  /** The unfinished message: its type and parts. */
  #type: 'text' | 'binary' | null = null
  #text = ''
  #bytes = ''

  constructor(connection: Connection) {
    this.#connection = connection
  }

  act(kind: number, argument: number): void {
    const connection = this.#connection
    const open = connection.outcome.sent === null && connection.state !== 'closed'
    const between = this.#type === null
    const unit = TEXTS[argument % TEXTS.length]
    // Long enough for every way of writing a text, without spending the time of small inputs on it.
    const text = unit.repeat(1 + Math.min(LENGTHS[argument >> 4] ?? 0, unit === 'a' ? Infinity : 1500))
    const bytes = this.#make(LENGTHS[argument % LENGTHS.length], argument)
    if (kind === 2) {
      this.#must(open && between, () => connection.sendText(text), ['text', wellFormed(text)])
    } else if (kind === 3) {
      this.#must(open && between, () => connection.sendBinary(bytes), ['binary', latin1(bytes)])
    } else if (kind === 4) {
      this.#must(open && bytes.length <= 125, () => connection.sendPing(bytes), ['ping', latin1(bytes)])
    } else if (kind === 5) {
      this.#must(open && bytes.length <= 125, () => connection.sendPong(bytes), null)
    } else if (kind === 6) {
      connection.close()
    } else if (kind === 7) {
      const code = [1000, 1005, 1006, 1015, 3000, 4999, 999, 5000][argument & 7]
      const reason = code === 1005 ? '' : TEXTS[(argument >> 3) % TEXTS.length]
      const allowed = code === 1000 || code === 1005 || code === 3000 || code === 4999
      this.#must(allowed, () => connection.close(code, reason), null)
    } else if (kind === 8) {
      // A string, or bytes of ASCII: where UTF-8 may be cut is the business of a unit test.
      const part = (argument & 64) === 0 ? TEXTS[argument % TEXTS.length] : Buffer.from('ascii')
      const allowed = open && (this.#type !== 'binary' || typeof part !== 'string')
      this.#fragment(between ? 'text' : 'continuation', part, argument >= 128, allowed)
    } else if (this.#type !== 'text') {
      const wrong = (argument & 64) !== 0
      this.#fragment(between === wrong ? 'continuation' : 'binary', bytes, argument >= 128, open && !wrong)
    }
  }

  #fragment(kind: FragmentKind, part: string | Uint8Array, fin: boolean, allowed: boolean): void {
    this.#must(allowed, () => this.#connection.sendFragment(kind, part, fin), null)
    if (!allowed) return
    this.#type ??= kind === 'text' ? 'text' : 'binary'
    if (this.#type === 'text') {
      // A surrogate at the end of a string waits for its other half only while strings follow.
      this.#text = typeof part === 'string' ? this.#text + part : `${wellFormed(this.#text)}ascii`
    } else if (typeof part !== 'string') {
      this.#bytes += latin1(part)
    }
    if (!fin) return
    this.sent.push(this.#type === 'text' ? ['text', wellFormed(this.#text)] : ['binary', this.#bytes])
    this.#type = null
    this.#text = ''
    this.#bytes = ''
  }

  #must(allowed: boolean, send: () => void, sent: Sent | null): void {
    try {
      send()
    } catch (error) {
      if (!(error instanceof UsageError)) throw error
      return must(!allowed, 'an allowed call was refused', () => error.message)
    }
    must(allowed, 'a forbidden call passed', () => sent)
    if (sent !== null) this.sent.push(sent)
  }

  #make(length: number, seed: number): Uint8Array {
    const bytes = new Uint8Array(length).fill(seed)
    this.#given.push([bytes, bytes.slice()])
    return bytes
  }

  mustBeUnchanged(): void {
    for (const [bytes, copy] of this.#given) mustEqual(bytes, copy, 'the bytes of a caller were changed')
  }
}

/** What was written, read by the other role. */
function mustReadBack(
  role: Role,
  output: readonly Uint8Array[],
  sent: readonly Sent[],
  { outcome }: Connection,
): void {
  const peer = new Connection(role === 'client' ? 'server' : 'client', { maskKey: () => 0, autoPong: false })
  const messages: Sent[] = []
  let close: unknown = null
  for (const segment of output) {
    peer.receive(segment.slice())
    for (let event = peer.nextEvent(); event !== null; event = peer.nextEvent()) {
      must(
        event.type !== 'fail',
        'the output breaks the protocol',
        () => event.type === 'fail' && event.violation.message,
      )
      if (event.type === 'text') messages.push(['text', event.data])
      else if (event.type === 'binary' || event.type === 'ping')
        messages.push([event.type, latin1(event.data)])
      else if (event.type === 'close') close = event.frame
    }
  }
  mustEqual(messages, sent, 'what the peer reads is not what was sent')
  const frame = outcome.sent
  mustEqual(
    close,
    frame === null ? null : { ...frame, reason: wellFormed(frame.reason) },
    'the Close frame is not that of the outcome',
  )
}

/** Bytes as a string that compares quickly. */
const latin1 = (bytes: Uint8Array): string =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('latin1')

/** Lone surrogates become U+FFFD, as UTF-8 has none (section 8.1). */
const wellFormed = (text: string): string => Buffer.from(text).toString()
