// Strategy: everything about a WebSocket connection but the socket and the clock. Bytes go in by `receive`, events are
// pulled by `nextEvent`, bytes to write come out of `takeOutput`; no callback ever runs in here, so `send…` and `close`
// may be called between any two events, and not pulling is backpressure.
//
//   receive(chunk) ─▶ FrameDecoder ─piece─▶ MessageAssembler ─event─▶ Connection ─▶ nextEvent()
//   send…(), close(), automatic pongs ─▶ FrameEncoder ─▶ takeOutput()
//
// The state is derived from two nullable Close frames, the one sent and the one received, and "the transport ended".
import { CloseCode, type CloseFrame } from './close-code.js'
import { encodeClosePayload } from './close-payload.js'
import type { ProtocolEvent } from './event.js'
import type { ClientConnectionOptions, ConnectionOptions } from './connection-options.js'
import { FrameDecoder } from './frame-decoder.js'
import { FrameEncoder } from './frame-encoder.js'
import { resolveLimits } from './limits.js'
import { MessageAssembler } from './message-assembler.js'
import { MAX_CONTROL_PAYLOAD_BYTES, Opcode, type Role } from './opcode.js'
import { OutgoingFragments, type FragmentKind } from './outgoing-fragments.js'
import { recycle } from './output-memory.js'
import { PongQueue } from './pong-queue.js'
import { EMPTY } from './runtime.js'
import { requireBytes, UsageError } from './usage-error.js'
import { ProtocolViolation } from './violation.js'

/** What the transport owes the socket: nothing, to wait for the peer with a deadline, or FIN once the output is flushed. */
export type Shutdown = 'none' | 'await-peer' | 'end'

/** Both sides of the closing handshake, separately. */
export interface CloseOutcome {
  /** The Close frame this side sent. */
  readonly sent: CloseFrame | null
  /** The Close frame the peer sent; its code is 1005 when the frame was empty. */
  readonly received: CloseFrame | null
  /** Who sent the first Close frame. */
  readonly initiator: 'local' | 'remote' | null
}

/** One WebSocket connection after its opening handshake, without I/O. RFC 6455, sections 5 to 7. */
export class Connection {
  /** Which end this is. */
  readonly role: Role
  readonly #decoder: FrameDecoder
  readonly #assembler: MessageAssembler
  readonly #encoder: FrameEncoder
  readonly #fragments = new OutgoingFragments()
  readonly #autoPong: boolean
  readonly #pongs: PongQueue
  /** Chunks that arrived while the decoder still had one, from `#next` on. */
  #waiting: Uint8Array[] = []
  #next = 0
  #input: 'none' | 'some' | 'discarded' = 'none'
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
    const maskKey = 'maskKey' in options ? options.maskKey : null
    if (role !== 'client' && role !== 'server')
      throw new UsageError('WS_BAD_OPTION', 'role must be client or server')
    // 5.1: a client MUST mask all frames, so it cannot go without keys.
    if (role === 'client' && typeof maskKey !== 'function') {
      throw new UsageError('WS_BAD_OPTION', 'a client needs maskKey')
    }
    this.role = role
    this.#decoder = new FrameDecoder(role, options.allowedRsv)
    this.#assembler = new MessageAssembler(limits)
    this.#encoder = new FrameEncoder(role, maskKey)
    this.#autoPong = options.autoPong ?? true
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
    if (this.#ended || this.#failed) return 'end'
    if (this.#sent === null) return 'none'
    // 7.1.1: the server closes the TCP connection first, so that it holds the TIME_WAIT state.
    return this.#received !== null && this.role === 'server' ? 'end' : 'await-peer'
  }

  /** The Close frames so far, and who was first. */
  get outcome(): CloseOutcome {
    return { sent: this.#sent, received: this.#received, initiator: this.#initiator }
  }

  /** Bytes that `takeOutput()` would return. */
  get pendingBytes(): number {
    return this.#encoder.pendingBytes + this.#pongs.lateBytes
  }

  /** True while a message has arrived in part. */
  get midMessage(): boolean {
    return this.#input !== 'discarded' && this.#assembler.unfinished
  }

  /**
   * Takes the next bytes from the peer, and ownership of them: `chunk` is unmasked in place, and later events alias it.
   * Never throws for what the peer sent.
   *
   * @throws UsageError `WS_AFTER_END` after `receiveEnd()`.
   */
  receive(chunk: Uint8Array): void {
    if (this.#ended) throw new UsageError('WS_AFTER_END', 'receive() after receiveEnd()')
    if (this.#input === 'none') {
      this.#decoder.feed(chunk)
      this.#input = 'some'
    } else if (this.#input === 'some') {
      this.#waiting.push(chunk)
    }
    // 5.5.1, 7.1.7: data after a Close frame or a failure is not processed.
  }

  /** The peer ended its side of the transport. Idempotent. What it sent before can still be pulled. */
  receiveEnd(): void {
    this.#ended = true
  }

  /**
   * The next event; `null` when more bytes are needed, or nothing more will come. After `close` and `fail` the answer is
   * already queued, and `null` follows for ever.
   */
  nextEvent(): ProtocolEvent | null {
    if (this.#input !== 'some') return null
    const decoder = this.#decoder
    const assembler = this.#assembler
    try {
      for (;;) {
        while (decoder.next()) {
          const event = assembler.absorb(decoder.piece)
          if (event === null) continue
          if (event.type !== 'text' && event.type !== 'binary') this.#control(event)
          return event
        }
        if (this.#next === this.#waiting.length) {
          this.#input = 'none'
          if (this.#next > 0) {
            this.#waiting = []
            this.#next = 0
          }
          return null
        }
        decoder.feed(this.#waiting[this.#next++])
      }
    } catch (error) {
      if (!(error instanceof ProtocolViolation)) throw error
      return this.#fail(error)
    }
  }

  /**
   * Sends a text message; lone surrogates become U+FFFD (8.1: what is sent MUST be UTF-8).
   * @throws UsageError `WS_NOT_OPEN`, or `WS_BAD_SEQUENCE` inside a fragmented message.
   */
  sendText(data: string): void {
    if (typeof data !== 'string')
      throw new UsageError('WS_BAD_DATA', `sendText takes a string, not ${typeof data}`)
    this.#checkMessage()
    this.#encoder.text(Opcode.Text, true, data)
  }

  /**
   * Sends a binary message. The bytes are never written to; a server's large payload is referred to until
   * `takeOutput()`'s segments were written, so leave it unchanged until then.
   *
   * @throws UsageError `WS_NOT_OPEN`, or `WS_BAD_SEQUENCE` inside a fragmented message.
   */
  sendBinary(data: Uint8Array): void {
    requireBytes(data)
    this.#checkMessage()
    this.#encoder.bytes(Opcode.Binary, true, data)
  }

  /**
   * Sends one fragment of a message: the first says `text` or `binary`, the others `continuation`, the last has `fin`
   * (5.4). Control frames may be sent in between, other messages may not. A text goes in strings or in UTF-8 bytes; a
   * character may be cut between two of either.
   *
   * @throws UsageError `WS_NOT_OPEN`, `WS_BAD_SEQUENCE`, or `WS_BAD_DATA` when text bytes are not UTF-8.
   */
  sendFragment(kind: FragmentKind, data: string | Uint8Array, fin: boolean): void {
    if (typeof data !== 'string') requireBytes(data)
    this.#checkOpen()
    const part = this.#fragments.next(kind, data, fin)
    const opcode =
      kind === 'continuation' ? Opcode.Continuation : kind === 'text' ? Opcode.Text : Opcode.Binary
    if (typeof part === 'string') this.#encoder.text(opcode, fin, part)
    else this.#encoder.bytes(opcode, fin, part)
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

  /** Drains what must be written now, in order. Call after every receive, send and close. */
  takeOutput(): Uint8Array[] {
    this.#pongs.taken()
    return this.#encoder.take()
  }

  /**
   * Gives segments of `takeOutput()` back, so that their memory is written to again; a faster life for a transport that
   * knows when it is done with them. Call it only when nobody can read them any more; the list is emptied. It need not be
   * called at all.
   */
  recycleOutput(segments: Uint8Array[]): void {
    recycle(segments)
  }

  #control(event: ProtocolEvent): void {
    if (event.type === 'ping') {
      // 5.5.2: MUST send a Pong in response, unless a Close frame was already received.
      if (this.#autoPong) this.#pongs.answer(event.data)
    } else if (event.type === 'close') {
      this.#received = event.frame
      this.#discardInput()
      // 5.5.1: MUST send a Close frame in response if none was sent; it echoes the code, and here the reason too.
      if (this.#sent === null) this.#sendClose(event.frame, encodeClosePayload(event.frame), 'remote')
      this.#initiator ??= 'remote'
    }
  }

  #discardInput(): void {
    this.#input = 'discarded'
    this.#waiting = []
    this.#next = 0
    this.#decoder.feed(EMPTY)
  }

  /** 7.1.7: fail the connection. */
  #fail(violation: ProtocolViolation): ProtocolEvent {
    this.#failed = true
    this.#discardInput()
    if (this.#sent === null) {
      const frame = { code: violation.closeCode, reason: violation.message }
      this.#sendClose(frame, encodeClosePayload(frame), 'local')
    }
    return { type: 'fail', violation }
  }

  #sendClose(frame: CloseFrame, payload: Uint8Array, initiator: 'local' | 'remote'): void {
    this.#pongs.flush()
    this.#sent = frame
    this.#initiator ??= initiator
    this.#encoder.bytes(Opcode.Close, true, payload)
  }

  #sendControl(opcode: Opcode, data: Uint8Array): void {
    requireBytes(data)
    // 5.5: all control frames MUST have a payload of 125 bytes or less.
    if (data.length > MAX_CONTROL_PAYLOAD_BYTES) {
      throw new UsageError('WS_CONTROL_PAYLOAD', `${data.length} bytes, a control frame takes 125`)
    }
    this.#checkOpen()
    this.#encoder.bytes(opcode, true, data)
  }

  #checkMessage(): void {
    this.#checkOpen()
    if (this.#fragments.unfinished)
      throw new UsageError('WS_BAD_SEQUENCE', 'a fragmented message is not finished')
  }

  #checkOpen(): void {
    // 5.5.1: MUST NOT send any more data frames after sending a Close frame.
    if (this.#sent !== null || this.#ended)
      throw new UsageError('WS_NOT_OPEN', `the connection is ${this.state}`)
  }
}
