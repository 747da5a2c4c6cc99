// Strategy: everything about a WebSocket connection but the socket and the clock. Bytes go in by `receive`, events are
// pulled by `nextEvent`, bytes to write come out of `takeOutput`; no callback ever runs in here, so `send…` and `close`
// may be called between any two events, and not pulling is backpressure.
//
//   receive(chunk) ─▶ IncomingMessages ─event─▶ Connection ─▶ nextEvent()
//   send…(), close() ─▶ OutgoingMessages ─▶ FrameEncoder ─▶ takeOutput()
//   automatic pongs ─────────────────────────────▲
//
// The state is derived: from the Close frames sent and received, and "the transport ended".
import { CloseCode, type CloseFrame } from './close-code.js'
import type { CloseOutcome, Shutdown } from './close-outcome.js'
import { encodeClosePayload } from './close-payload.js'
import type { ProtocolEvent } from './event.js'
import { type ClientConnectionOptions, type ConnectionOptions, requireMaskKey } from './connection-options.js'
import { FrameEncoder } from './frame-encoder.js'
import { IncomingMessages } from './incoming-messages.js'
import { resolveLimits } from './limits.js'
import { Opcode, type Role } from './opcode.js'
import type { FragmentKind } from './outgoing-fragments.js'
import { OutgoingMessages } from './outgoing-messages.js'
import { recycle } from './output-memory.js'
import { PongQueue } from './pong-queue.js'
import type { PreparedMessage } from './prepared-message.js'
import { EMPTY } from './runtime.js'
import { requireBytes, requireControl, requireString, UsageError } from './usage-error.js'
import { ProtocolViolation } from './violation.js'

/** One WebSocket connection after its opening handshake, without I/O. RFC 6455, sections 5 to 7. */
export class Connection {
  /** Which end this is. */
  readonly role: Role
  readonly #incoming: IncomingMessages
  readonly #encoder: FrameEncoder
  /** @internal For the transport: what is sent, before it is encoded. */
  readonly outgoing: OutgoingMessages
  readonly #autoPong: boolean
  readonly #pongs: PongQueue
  #sent: CloseFrame | null = null
  #received: CloseFrame | null = null
  #initiator: 'local' | 'remote' | null = null
  #failed = false
  #ended = false

  /** @throws UsageError `WS_BAD_OPTION` for an option or a limit that makes no sense. */
  constructor(role: 'server', options?: ConnectionOptions)
  constructor(role: 'client', options: ClientConnectionOptions)
  constructor(role: Role, options?: ConnectionOptions | ClientConnectionOptions)
  constructor(role: Role, options: ConnectionOptions | ClientConnectionOptions = {}) {
    const limits = resolveLimits(options.limits)
    const maskKey = requireMaskKey(role, options)
    const { transform, autoPong = true } = options
    const rsv = transform?.rsv ?? 0
    this.role = role
    this.#incoming = new IncomingMessages(role, limits, transform)
    this.#encoder = new FrameEncoder(role, maskKey)
    this.outgoing = new OutgoingMessages(role, this.#encoder, transform?.outgoing ?? null, rsv)
    this.#autoPong = autoPong
    this.#pongs = new PongQueue(this.#encoder, limits.maxPendingPongs)
  }

  /** `open` until the first Close frame in either direction, `closed` once the transport ended. */
  get state(): 'open' | 'closing' | 'closed' {
    if (this.#ended) return 'closed'
    return this.#sent === null && this.#received === null ? 'open' : 'closing'
  }

  /** What the transport owes the socket now; ask after every receive, send and close, once the output is written. */
  get shutdown(): Shutdown {
    // 7.1.7: after a failure nothing more is expected of the peer.
    if (this.#failed) return 'end'
    // Our Close may wait behind a message that is not ready; a peer that has ended its side may still read both.
    if (this.outgoing.holding) return 'none'
    if (this.#ended) return 'end'
    if (this.#sent === null) return 'none'
    // 7.1.1: the server closes the TCP connection first, so that it holds the TIME_WAIT state.
    return this.#received !== null && this.role === 'server' ? 'end' : 'await-peer'
  }

  /** The Close frames so far, and who was first. */
  get outcome(): CloseOutcome {
    return { sent: this.#sent, received: this.#received, initiator: this.#initiator }
  }

  /** Bytes that `takeOutput()` would return, and those that are not ready for it yet. */
  get pendingBytes(): number {
    return this.#encoder.pendingBytes + this.outgoing.heldBytes + this.#pongs.lateBytes
  }

  /** How many messages, fragments and control frames were sent, automatic pongs not counted. */
  get accepted(): number {
    return this.outgoing.accepted
  }

  /** How many of those, from the first on, `takeOutput()` has returned or would return. */
  get encoded(): number {
    return this.outgoing.encoded
  }

  /** True while an extension works on a message that has arrived. */
  get decoding(): boolean {
    return this.#incoming.decoding
  }

  /** True when it is open and nothing of it is unfinished: a new one in its place would go on in the same way. */
  get atRest(): boolean {
    return this.#incoming.atRest && this.outgoing.atRest && this.pendingBytes === 0 && this.state === 'open'
  }

  /** True while a message has arrived in part. */
  get midMessage(): boolean {
    return this.#incoming.midMessage
  }

  /**
   * Takes the next bytes from the peer, and ownership of them: `chunk` is unmasked in place, and later events alias it.
   * Never throws for what the peer sent.
   *
   * @param lent whether `chunk` is the connection's only until `giveBack()`: then it may be written to again, since no event
   * aliases it.
   * @throws UsageError `WS_AFTER_END` after `receiveEnd()`.
   */
  receive(chunk: Uint8Array, lent = false): void {
    if (this.#ended) throw afterEnd()
    this.#incoming.receive(chunk, lent)
  }

  /**
   * Nothing of the last chunk that was lent is needed any more, pulled or not.
   *
   * @returns whether something refers to that chunk, or would if it had not been lent and was copied: then it had better be the
   * connection's own.
   */
  giveBack(): boolean {
    return this.#incoming.giveBack()
  }

  /**
   * Where the payload of a long message is being put together: what is read into this memory is received by `receivePlaced`, and is
   * not copied again.
   *
   * @returns null where there is no such message, or where little of its frame is left. Ask anew after every receive.
   */
  get place(): Uint8Array | null {
    return this.#incoming.place
  }

  /** As `receive`, for so many bytes at the beginning of `place`. @throws UsageError `WS_AFTER_END`. */
  receivePlaced(place: Uint8Array, bytes: number): void {
    if (this.#ended) throw afterEnd()
    this.#incoming.receivePlaced(place.subarray(0, bytes))
  }

  /** The peer ended its side. Idempotent. What it sent before can still be pulled. */
  receiveEnd(): void {
    this.#ended = true
  }

  /**
   * The next event; `null` when more bytes are needed, or nothing more will come. After `close` and `fail` the answer is
   * already queued, and `null` follows for ever.
   */
  nextEvent(): ProtocolEvent | null {
    try {
      const event = this.#incoming.next()
      if (event !== null && event.type !== 'text' && event.type !== 'binary') this.#control(event)
      return event
    } catch (error) {
      if (!(error instanceof ProtocolViolation)) throw error
      return this.#fail(error)
    }
  }

  /**
   * Sends a text message; lone surrogates become U+FFFD (8.1: what is sent MUST be UTF-8).
   *
   * @param compress whether a negotiated extension transforms it; by default as its threshold says.
   * @throws UsageError `WS_NOT_OPEN`, or `WS_BAD_SEQUENCE` inside a fragmented message.
   */
  sendText(data: string, compress?: boolean): void {
    requireString(data)
    this.#checkOpen()
    this.outgoing.message(Opcode.Text, data, compress)
  }

  /**
   * Sends a binary message. The bytes are never written to; a server's large payload is referred to until the segments of
   * `takeOutput()` were written, so leave it unchanged until then. For `compress` and what it throws see `sendText`.
   */
  sendBinary(data: Uint8Array, compress?: boolean): void {
    requireBytes(data)
    this.#checkOpen()
    this.outgoing.message(Opcode.Binary, data, compress)
  }

  /** Sends a message that was prepared for many; `compress` goes before its own. @throws UsageError as `sendText`. */
  sendPrepared(message: PreparedMessage, compress?: boolean): void {
    this.#checkOpen()
    this.outgoing.prepared(message, compress)
  }

  /**
   * Sends one fragment of a message: the first says `text` or `binary`, the others `continuation`, the last has `fin` (5.4).
   * Control frames may come in between, other messages may not. A text goes in strings or UTF-8 bytes, cut anywhere.
   *
   * @param compress decides for the whole message, at its first fragment; by default as for all messages.
   * @throws UsageError `WS_NOT_OPEN`, `WS_BAD_SEQUENCE`, or `WS_BAD_DATA` when text bytes are not UTF-8.
   */
  sendFragment(kind: FragmentKind, data: string | Uint8Array, fin: boolean, compress?: boolean): void {
    if (typeof data !== 'string') requireBytes(data)
    this.#checkOpen()
    this.outgoing.fragment(kind, data, fin, compress)
  }

  /** Sends a Ping with at most 125 bytes (5.5.2). @throws UsageError `WS_NOT_OPEN`, `WS_CONTROL_PAYLOAD`. */
  sendPing(data: Uint8Array = EMPTY): void {
    this.#sendControl(Opcode.Ping, data)
  }

  /** Sends a Pong with at most 125 bytes; unsolicited ones are allowed (5.5.3). @throws UsageError as `sendPing`. */
  sendPong(data: Uint8Array = EMPTY): void {
    this.#sendControl(Opcode.Pong, data)
  }

  /**
   * Starts the closing handshake (7.1.2). Does nothing once a Close frame was sent. 1005 sends an empty Close frame.
   * @throws UsageError `WS_BAD_CLOSE` for a code that must not be sent or a reason over 123 bytes.
   */
  close(code: number = CloseCode.Normal, reason = ''): void {
    const frame = { code, reason }
    const payload = encodeClosePayload(frame)
    if (this.#sent === null && !this.#ended) this.#sendClose(frame, payload, 'local')
  }

  /** The extension may be done with a message (`MessageTransform.onReady`). Then pull events and take output again. */
  advance(): void {
    this.outgoing.advance()
  }

  /** Drains what must be written now, in order. Call after every receive, send and close. */
  takeOutput(): Uint8Array[] {
    this.#pongs.taken()
    return this.#encoder.take()
  }

  /** Gives segments of `takeOutput()` back, once nobody can read them: their memory is written to again. Empties the list. */
  recycleOutput(segments: Uint8Array[]): void {
    recycle(segments)
  }

  #control(event: ProtocolEvent): void {
    if (event.type === 'ping') {
      // 5.5.2: MUST send a Pong in response, unless a Close frame was already received.
      if (this.#autoPong) this.#pongs.answer(event.data)
    } else if (event.type === 'close') {
      this.#received = event.frame
      this.#incoming.discard()
      // 5.5.1: MUST send a Close frame in response if none was sent; it echoes the code, and here the reason too.
      if (this.#sent === null) this.#sendClose(event.frame, encodeClosePayload(event.frame), 'remote')
    }
  }

  /** 7.1.7: fail the connection. */
  #fail(violation: ProtocolViolation): ProtocolEvent {
    this.#failed = true
    this.#incoming.discard()
    // What waits for the extension is lost with the connection, a Close of ours too.
    const closed = this.#sent !== null && !this.outgoing.holding
    this.outgoing.drop()
    if (!closed) {
      this.#sent = { code: violation.closeCode, reason: violation.message }
      this.#initiator ??= 'local'
      this.#pongs.flush()
      this.#encoder.bytes(Opcode.Close, true, encodeClosePayload(this.#sent))
    }
    return { type: 'fail', violation }
  }

  #sendClose(frame: CloseFrame, payload: Uint8Array, initiator: 'local' | 'remote'): void {
    this.#pongs.flush()
    this.#sent = frame
    this.#initiator = initiator
    this.outgoing.control(Opcode.Close, payload)
  }

  #sendControl(opcode: Opcode, data: Uint8Array): void {
    requireControl(data)
    this.#checkOpen()
    this.outgoing.control(opcode, data)
  }

  /** 5.5.1: MUST NOT send any more data frames after sending a Close frame. */
  #checkOpen(): void {
    if (this.#sent === null && !this.#ended) return
    throw new UsageError('WS_NOT_OPEN', `the connection is ${this.state}`)
  }
}

function afterEnd(): UsageError {
  return new UsageError('WS_AFTER_END', 'receive() after receiveEnd()')
}
