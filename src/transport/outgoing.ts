// Strategy: what `send`, `write` and `drained` promise. A message is accepted while the socket is open and no more than
// `maxBufferedBytes` wait; a peer that lets more pile up does not read, and is let go of. A send settles when its bytes were
// handed to the stream and the stream has room; one whose bytes are the caller's own, since a server does not copy its larger
// binary messages, settles when the stream is done with them.
import {
  type CloseFrame,
  type Connection,
  type FragmentKind,
  GATHER_BYTES,
  PreparedMessage,
  UsageError,
} from '../protocol/index.js'
import { NotConnectedError } from './not-connected-error.js'
import { isParts, type Payload, type PayloadParts, toBytes } from './payload.js'
import { sendParts } from './send-parts.js'
import { quiet, SendQueue } from './send-queue.js'
import type { SocketSettings } from './socket-options.js'
import type { Wire } from './wire.js'

/** What sending needs of its socket. */
export interface OutgoingSource {
  readonly state: 'open' | 'closing' | 'closed'
  /** Lets go of a peer that does not read. @returns what senders are told. */
  overflow(): Error
  close(code: number, reason: string): void
}

const SENT = Promise.resolve()

/** Messages on their way to the peer. */
export class Outgoing {
  readonly #connection: Connection
  readonly #wire: Wire
  readonly #settings: SocketSettings
  readonly #source: OutgoingSource
  readonly #sends = new SendQueue()
  /** Messages in parts that are being sent. */
  readonly #senders = new Set<(error: Error) => void>()
  /** Called with how many of all frames that were sent the stream is done with, see `position`. */
  onWritten: ((frames: number) => void) | null = null
  /** Called once, when our Close frame was handed to the stream. */
  onCloseSent: ((frame: CloseFrame) => void) | null = null
  #overflow: Error | null = null
  /** The fragmented message that has begun is one in parts: nobody else may continue or end it. */
  #inParts = false

  constructor(connection: Connection, wire: Wire, settings: SocketSettings, source: OutgoingSource) {
    this.#connection = connection
    this.#wire = wire
    this.#settings = settings
    this.#source = source
  }

  /** Bytes that were accepted and that the operating system has not taken yet. */
  get bufferedAmount(): number {
    return this.#connection.pendingBytes + this.#wire.stream.writableLength
  }

  /** True while a message is being sent in fragments. */
  get sendingFragments(): boolean {
    return this.#connection.outgoing.sendingFragments
  }

  /** True when nothing is on its way and nobody waits. */
  get atRest(): boolean {
    return this.#sends.empty && this.#senders.size === 0 && this.#overflow === null
  }

  send(data: Payload | PayloadParts | PreparedMessage, compress?: boolean): Promise<void> {
    if (isParts(data)) return this.#sends.inTurn(() => this.#sendParts(data, compress))
    if (this.#sends.busy) return this.#sends.inTurn(() => this.#sendWhole(data, compress))
    return this.#sendWhole(data, compress)
  }

  /** @returns false when there is no room for more, or the message was not accepted. */
  write(data: Payload | PreparedMessage, compress?: boolean): boolean {
    if (!this.accepts()) return false
    if (typeof data === 'string') this.#connection.sendText(data, compress)
    else if (data instanceof PreparedMessage) this.#connection.sendPrepared(data, compress)
    else this.#connection.sendBinary(toBytes(data), compress)
    this.#wire.flush()
    return this.bufferedAmount < this.#settings.highWaterMark
  }

  /** Writes what `send` writes in one go. */
  gather(send: () => void): void {
    this.#wire.gather(send)
  }

  /** See `Wire.takeOver()`. */
  takeOver(frames: number): (error: Error | null | undefined) => void {
    return this.#wire.takeOver(frames)
  }

  /** @returns as `write`. @throws UsageError `WS_BAD_SEQUENCE`, also while a message in parts is being sent; `WS_BAD_DATA`. */
  fragment(kind: FragmentKind, data: Payload, fin: boolean, compress?: boolean): boolean {
    if (!this.accepts()) return false
    if (this.#inParts) throw new UsageError('WS_BAD_SEQUENCE', 'a message in parts is not finished')
    this.#connection.sendFragment(kind, typeof data === 'string' ? data : toBytes(data), fin, compress)
    this.#wire.flush()
    return this.bufferedAmount < this.#settings.highWaterMark
  }

  /** How many frames were sent so far. Each has left once the stream is done with so many. */
  get position(): number {
    return this.#connection.accepted
  }

  /** True while messages are taken. A peer that lets more than `maxBufferedBytes` pile up is let go of. */
  accepts(): boolean {
    if (this.#source.state !== 'open') return false
    if (this.bufferedAmount <= this.#settings.maxBufferedBytes) return true
    this.#overflow = this.#source.overflow()
    return false
  }

  /** A rejection that says why nothing is accepted. */
  refuse(): Promise<never> {
    return quiet(Promise.reject(this.#refusal()))
  }

  /** Settles when the operating system has taken everything up to here. */
  taken(): Promise<void> {
    const { position } = this
    return position === this.#wire.inFlight.written ? SENT : this.#sends.whenWritten(position)
  }

  /** Settles when everything sent so far was handed to the stream and there is room for more. */
  handed(): Promise<void> {
    return this.#handedOver() ? SENT : this.#sends.wait(this.position)
  }

  flushed(full: boolean): void {
    this.#sends.flushed(
      this.#wire.inFlight.handed,
      full && this.bufferedAmount >= this.#settings.highWaterMark,
    )
    if (this.onCloseSent === null || this.#connection.shutdown === 'none') return
    const { sent } = this.#connection.outcome
    if (sent === null) return
    this.onCloseSent(sent)
    this.onCloseSent = null
  }

  written(frames: number): void {
    this.#sends.written(frames)
    this.onWritten?.(frames)
  }

  /** The connection is gone. */
  fail(lost: () => Error): void {
    if (this.#senders.size === 0 && this.#sends.empty) return
    const error = lost()
    for (const fail of this.#senders) fail(error)
    this.#sends.fail(error)
  }

  #sendWhole(data: Payload | PreparedMessage, compress?: boolean): Promise<void> {
    try {
      if (!this.accepts()) return this.refuse()
      this.write(data, compress)
    } catch (error) {
      return Promise.reject(error)
    }
    return this.#settled(data) ?? SENT
  }

  #sendParts(parts: PayloadParts, compress?: boolean): Promise<void> {
    return sendParts(parts, {
      fragment: (kind, data, fin) => {
        if (!this.accepts()) throw this.#refusal()
        this.#connection.sendFragment(kind, data, fin, compress)
        this.#inParts = !fin
        this.#wire.flush()
        return this.#settled(data)
      },
      // A message that has begun cannot be taken back, and no other may follow it: the peer is told that it broke off.
      breakOff: () => {
        if (this.#source.state === 'open') this.#source.close(1011, 'message broken off')
      },
      whenGone: fail => {
        // Its turn may come when the connection is gone already.
        if (this.#source.state === 'closed') fail(this.#refusal())
        this.#senders.add(fail)
        return () => this.#senders.delete(fail)
      },
    })
  }

  /** When the message just sent is done with; null for at once. */
  #settled(data: Payload | PreparedMessage): Promise<void> | null {
    const own = typeof data === 'string' || data instanceof PreparedMessage
    if (!own && this.#connection.role === 'server' && data.byteLength > GATHER_BYTES) return this.taken()
    return this.#handedOver() ? null : this.#sends.wait(this.position)
  }

  #handedOver(): boolean {
    const full =
      this.#wire.stream.writableNeedDrain && this.#wire.stream.writableLength >= this.#settings.highWaterMark
    return this.#connection.pendingBytes === 0 && !full
  }

  #refusal(): Error {
    return this.#overflow ?? new NotConnectedError(this.#source.state)
  }
}
