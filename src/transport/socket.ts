// Strategy: the public face of one open connection; its parts, and what joins them, are in socket-parts.ts. The synchronous path,
// `write` and `onMessage`, makes no promise and no closure.
import type { Duplex } from 'node:stream'
import type { ExtensionOffer, RequestHead, ResponseHead } from '../handshake/index.js'
import {
  type CloseFrame,
  type FragmentKind,
  type Message,
  type PreparedMessage,
  type Role,
} from '../protocol/index.js'
import { NotConnectedError } from './not-connected-error.js'
import type { Outgoing } from './outgoing.js'
import { encodePayload, type Payload, type PayloadParts } from './payload.js'
import { RestingSocket, type Sleeper } from './resting-socket.js'
import { quiet } from './send-queue.js'
import { compressWish, type SendOptions, type SocketSettings } from './socket-options.js'
import type { SocketOrigin, SocketOutcome } from './socket-outcome.js'
import { SocketParts } from './socket-parts.js'
import { own } from './stream-owner.js'

/** One open WebSocket connection, client or server. It never emits an `'error'` event and never throws on its own. */
export class Socket implements AsyncIterable<Message, undefined>, AsyncDisposable {
  /** Which end this is. */
  readonly role: Role
  /** The URL that was connected to, without user info. */
  readonly url: string
  /** The subprotocol that was agreed on, `''` for none. */
  readonly subprotocol: string
  /** The extensions that were agreed on. */
  readonly extensions: readonly ExtensionOffer[]
  /** What the other side said in the opening handshake: a client has the response, a server the request. */
  readonly head: RequestHead | ResponseHead
  /** Settles when the connection is gone, and never rejects. */
  readonly closed: Promise<SocketOutcome>
  /** Called for each Ping, after it was answered. What it throws is treated as with `onMessage`. */
  onPing: ((data: Uint8Array) => void) | null = null
  /** Called for each Pong; `rttMs` is null when it answers no ping of ours. */
  onPong: ((data: Uint8Array, rttMs: number | null) => void) | null = null
  /** Called when the peer's Close frame has arrived. The socket is `closing`; `closed` settles later. */
  onClosing: ((frame: CloseFrame) => void) | null = null
  /** @internal For the layer above: who is told of what the stream is done with, and when. */
  readonly outgoing: Outgoing

  /** @internal The other end as messages name it, `host:port`. */
  readonly peer: string
  readonly #parts: SocketParts
  readonly #bytesBefore: number

  /** @internal Use `connect()`, `listen()` or `attach()`. */
  constructor(stream: Duplex, origin: SocketOrigin, settings: SocketSettings) {
    this.role = origin.role
    this.url = origin.url
    this.subprotocol = origin.agreement.subprotocol ?? ''
    this.extensions = origin.agreement.extensions
    this.head = origin.head
    this.peer = origin.peer
    this.#bytesBefore = origin.before?.bytesReceived ?? 0
    const parts = new SocketParts(stream, origin, settings, this)
    this.#parts = parts
    this.outgoing = parts.outgoing
    this.closed = parts.end.closed
  }

  /** @internal Begins to read; `rest` came behind the head. */
  start(rest: Uint8Array): void {
    this.#parts.wire.start(rest)
  }

  /** @internal True when nothing is under way and nothing waits. */
  get atRest(): boolean {
    return this.#parts.atRest
  }

  /** @internal Lets go of everything but the stream, when it is at rest; not to be used any more. See `wakeSocket`. */
  rest(sleeper: Sleeper): RestingSocket {
    const { deflate, wire } = this.#parts
    // It stays, and would keep all this.
    if (deflate !== null) deflate.onReady = null
    const resting = new RestingSocket(wire.stream, this, deflate, sleeper)
    own(resting.stream, resting)
    return resting
  }

  /** `open` until the first Close frame in either direction, `closed` once the connection is gone. */
  get state(): 'open' | 'closing' | 'closed' {
    return this.#parts.state
  }

  /** Bytes that were accepted and that the operating system has not taken yet. */
  get bufferedAmount(): number {
    return this.outgoing.bufferedAmount
  }

  /** @internal Bytes that have come since the handshake. */
  get bytesReceived(): number {
    return this.#bytesBefore + this.#parts.wire.bytesReceived
  }

  /**
   * Called for each message, synchronously, in order; it takes the place of iterating. Setting it delivers what has
   * queued up, soon. An error it throws closes the connection with 1011 and then goes the way of every uncaught error.
   * Bytes of a binary message belong to the receiver.
   */
  get onMessage(): ((message: Message) => void) | null {
    return this.#parts.incoming.callback
  }

  set onMessage(callback: ((message: Message) => void) | null) {
    this.#parts.incoming.callback = callback
  }

  /**
   * Sends one message. A string goes as text, bytes go as binary; the parts of an iterable go as fragments of one message
   * as they come, while pings and closing still work.
   *
   * @returns a promise that settles when the message was handed to the stream and there is room for more, so that awaiting
   * it is backpressure. Bytes must stay unchanged until then.
   * @throws (rejects) NotConnectedError when the socket is closing or closed; ConnectionError when it was lost before the
   * message was handed over, or with `WS_BUFFER_FULL`; UsageError `WS_BAD_DATA`; or what the iterable threw, which closes
   * with 1011. A rejection that only says that the connection is gone may be ignored: `closed` says so too.
   */
  send(data: Payload | PayloadParts | PreparedMessage, options?: SendOptions): Promise<void> {
    return this.outgoing.send(data, compressWish(options))
  }

  /**
   * Sends one message without a promise: the fast path.
   *
   * @returns false when the buffered output has reached `highWaterMark`: the message is accepted all the same, but it is
   * time to wait for `drained()`. False as well, and nothing is sent, when the socket is not open any more: see `state`.
   * A server's bytes over 4 KiB are not copied: leave them unchanged until `drained()` has settled.
   * @throws UsageError `WS_BAD_DATA`, or `WS_BAD_SEQUENCE` while a message in parts is being sent.
   */
  write(data: Payload | PreparedMessage, options?: SendOptions): boolean {
    return this.outgoing.write(data, compressWish(options))
  }

  /**
   * Sends one fragment of a message (5.4): the first with its type, the others as `'continuation'`. Until the one with `fin`
   * no other message can be sent, but pings can.
   *
   * @returns as `write()`.
   * @throws UsageError `WS_BAD_SEQUENCE`, also while a message in parts is being sent; `WS_BAD_DATA`.
   */
  fragment(kind: FragmentKind, data: Payload, fin: boolean, options?: SendOptions): boolean {
    return this.outgoing.fragment(kind, data, fin, compressWish(options))
  }

  /** Settles when the operating system has taken everything that was written. Rejects when the connection is lost. */
  drained(): Promise<void> {
    return !this.#parts.over ? this.outgoing.taken() : quiet(Promise.reject(new NotConnectedError('closed')))
  }

  /**
   * Sends a Ping.
   * @param data at most 125 bytes; by default a few that no other ping of this connection has.
   * @returns the round-trip time in milliseconds, when the pong is there. Rejects when the connection ends before.
   */
  ping(data?: Payload): Promise<number> {
    if (!this.outgoing.accepts()) return this.outgoing.refuse()
    try {
      const { connection, pings, wire } = this.#parts
      const payload = data === undefined ? pings.payload() : encodePayload(data)
      connection.sendPing(payload)
      const answer = pings.add(payload)
      wire.flush()
      return answer
    } catch (error) {
      return Promise.reject(error)
    }
  }

  /** Sends an unsolicited Pong (5.5.3) of at most 125 bytes, when the socket is open. @throws UsageError. */
  pong(data: Payload = ''): void {
    if (!this.outgoing.accepts()) return
    this.#parts.connection.sendPong(encodePayload(data))
    this.#parts.wire.flush()
  }

  /**
   * Closes the connection: sends a Close frame, waits for the peer's and for the end of the stream, at most
   * `closeTimeoutMs`. Messages that arrive meanwhile are thrown away, unless `deliverWhileClosing` was asked for.
   * @param code 1000 to 1003, 1007 to 1014 or 3000 to 4999. Default 1000. 1005 sends an empty Close frame.
   * @param reason at most 123 bytes of UTF-8.
   * @returns how it ended. It never rejects for what the peer or the network does.
   * @throws (rejects) UsageError `WS_BAD_CLOSE`.
   */
  async close(code?: number, reason?: string): Promise<SocketOutcome> {
    this.#parts.close(code, reason)
    return this.closed
  }

  /** Ends the connection at once: no Close frame, and what is buffered is dropped. */
  terminate(): void {
    this.#parts.end.terminated = true
    this.#parts.destroy()
  }

  /** Stops delivering messages and slows the peer down; pings wait as well. */
  pause(): void {
    this.#parts.incoming.pause()
  }

  /** Goes on delivering. */
  resume(): void {
    this.#parts.incoming.resume()
  }

  /**
   * Messages as they arrive, one by one. While nobody takes them, a few are queued and then the socket is not read. The
   * loop ends when the connection was closed, and throws the ConnectionError or ProtocolViolation that ended it otherwise.
   * Leaving the loop does not close the socket.
   */
  [Symbol.asyncIterator](): AsyncIterator<Message, undefined> {
    return this.#parts.incoming.iterate()
  }

  /** Closes with 1000, for `await using`. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }
}
