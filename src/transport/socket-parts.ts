// Strategy: what an open connection consists of. The Connection keeps the protocol's state, the Wire the stream; the others keep
// what a user holds on to: messages (Incoming), promises of sends (Outgoing) and of pings (RoundTrips), the end (SocketEnd). Here
// is what joins them: it is the host of each, so that no part needs a function of its own for what it asks of another.
//
//   stream ─▶ wire ─▶ parts ─▶ incoming ─▶ the user
//                           ─▶ onPing, onPong, onClosing of the socket
//   the user ─▶ outgoing ─▶ connection, wire ─▶ stream
import type { Duplex } from 'node:stream'
import type { PerMessageDeflate } from '../extensions/index.js'
import { type CloseFrame, Connection, type Message, type ProtocolViolation } from '../protocol/index.js'
import { deflateOf } from './compression.js'
import { Incoming, type IncomingSource } from './incoming.js'
import { Outgoing, type OutgoingSource } from './outgoing.js'
import { RoundTrips } from './round-trips.js'
import { SocketEnd } from './socket-end.js'
import type { SocketSettings } from './socket-options.js'
import type { SocketOrigin } from './socket-outcome.js'
import { Wire } from './wire.js'
import type { WireHandler } from './wire-handler.js'

/** What a user may set to be told of control frames. */
export interface ControlCallbacks {
  onPing: ((data: Uint8Array) => void) | null
  onPong: ((data: Uint8Array, rttMs: number | null) => void) | null
  onClosing: ((frame: CloseFrame) => void) | null
}

/** The parts of one open connection, put together. */
export class SocketParts implements WireHandler, IncomingSource, OutgoingSource {
  readonly connection: Connection
  readonly wire: Wire
  readonly incoming: Incoming
  readonly outgoing: Outgoing
  readonly pings: RoundTrips
  readonly end: SocketEnd
  readonly deflate: PerMessageDeflate | null
  readonly #callbacks: ControlCallbacks

  constructor(stream: Duplex, origin: SocketOrigin, settings: SocketSettings, callbacks: ControlCallbacks) {
    this.#callbacks = callbacks
    this.deflate = origin.before?.deflate ?? deflateOf(origin, settings.compress)
    const { limits, autoPong, maskKey } = settings
    this.connection = new Connection(origin.role, { limits, autoPong, maskKey, transform: this.deflate })
    this.incoming = new Incoming(this, settings)
    this.pings = new RoundTrips(settings.clock, origin.peer)
    this.end = new SocketEnd(origin.peer, settings.closeTimeoutMs)
    this.wire = new Wire(stream, this.connection, this, settings)
    this.outgoing = new Outgoing(this.connection, this.wire, settings, this)
    if (this.deflate !== null) this.deflate.onReady = () => this.wire.wake()
  }

  get state(): 'open' | 'closing' | 'closed' {
    const { state } = this.connection
    if (this.end.outcome !== null) return 'closed'
    return this.end.destroyed || state === 'closed' ? 'closing' : state
  }

  /** True when nothing is under way and nothing waits. */
  get atRest(): boolean {
    const { atRest } = this.connection
    const parts = this.wire.atRest && this.outgoing.atRest && this.incoming.atRest && this.pings.atRest
    return atRest && parts && this.state === 'open'
  }

  get open(): boolean {
    return this.connection.state === 'open'
  }

  get over(): boolean {
    return this.end.outcome !== null
  }

  pause(): void {
    this.wire.pause()
  }

  resume(): void {
    this.wire.resume()
  }

  abandon(): void {
    this.close(1011)
  }

  /** Sends a Close frame, unless one was sent. @throws UsageError `WS_BAD_CLOSE`. */
  close(code?: number, reason?: string): void {
    this.connection.close(code, reason)
    this.wire.flush()
    // The peer's Close may be behind messages that nobody takes.
    this.wire.resume()
  }

  /** The end, at once: no Close frame, and what is buffered is dropped. */
  destroy(): void {
    this.end.destroyed = true
    this.incoming.stop()
    this.wire.destroy()
  }

  overflow(): Error {
    const error = this.end.overflow()
    this.incoming.end(error)
    this.destroy()
    return error
  }

  message(message: Message): boolean {
    return this.incoming.deliver(message)
  }

  ping(data: Uint8Array): void {
    this.#callbacks.onPing?.(data)
  }

  pong(data: Uint8Array): void {
    const rttMs = this.pings.answer(data)
    this.#callbacks.onPong?.(data, rttMs)
  }

  closing(frame: CloseFrame): void {
    this.#callbacks.onClosing?.(frame)
  }

  failed(violation: ProtocolViolation): void {
    this.end.violation = violation
    this.incoming.end(violation)
  }

  flushed(full: boolean): void {
    this.outgoing.flushed(full)
  }

  written(frames: number): void {
    this.outgoing.written(frames)
  }

  ended(cause: Error | null, timedOut: boolean): void {
    this.deflate?.close()
    this.end.come(this.connection.outcome, cause, timedOut, (error, lost) => {
      this.outgoing.fail(lost)
      this.pings.fail(lost)
      this.incoming.end(error)
    })
  }
}
