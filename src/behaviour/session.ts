// Strategy: one open connection of a process, from the 101 to the end of the stream. It sends frames and keeps account of
// those that the operating system has not taken. Everything is synchronous: a reply costs no promise.
import { PreparedMessage, UsageError } from '../protocol/index.js'
import { ConnectionError } from '../transport/connection-error.js'
import { isLost } from '../transport/loss-error.js'
import type { Payload, PayloadParts } from '../transport/payload.js'
import { quiet } from '../transport/send-queue.js'
import type { Socket } from '../transport/socket.js'
import type { DropPolicy } from './drop-policy.js'
import { EarlyMessages } from './early-messages.js'
import { FrameEncodeError } from './frame-encode-error.js'
import {
  type BinaryFrame,
  checkFrame,
  type CheckedFrame,
  frameBytes,
  isStreamed,
  type ShortFrame,
  type TextFrame,
} from './frame.js'
import { InvalidFrameError } from './invalid-frame-error.js'
import type { Keepalive } from './keepalive.js'
import { Unsent } from './unsent.js'

const ignore = (): void => {}

/** One open connection of a process. */
export class Session {
  readonly socket: Socket
  /** When it was opened, by the process's clock. */
  readonly openedAt: number
  keepalive: Keepalive | null = null
  /** What ended the connection, where this side knows better than the socket. */
  error: Error | null = null
  /** True when the keepalive gave it up. */
  dead = false
  /** True once `handleConnect` has begun: until then nothing goes out, not even what other callbacks send. */
  begun = false
  /** True once `handleConnect` is done: until then only what it sends goes out. */
  ready = false
  /** True while the process does not read. */
  paused = false
  readonly #unsent = new Unsent()
  /** Messages to a group that came before it was ready. */
  readonly early: EarlyMessages = new EarlyMessages()
  /** Messages in parts that have not ended, and those that wait for their turn behind them (5.4). */
  readonly #streams = new Set<CheckedFrame>()
  /** How many bytes of those are known. */
  #held = 0
  #full = false
  readonly #drops: DropPolicy | null
  readonly #lowWaterMark: number
  readonly #drained: () => void

  /**
   * @param drained - called when the buffered output fell to `lowWaterMark` after it had reached the high one.
   * @param drops - which messages are dropped; null for none.
   */
  constructor(
    socket: Socket,
    openedAt: number,
    lowWaterMark: number,
    drained: () => void,
    drops: DropPolicy | null = null,
  ) {
    this.#drops = drops
    this.socket = socket
    this.openedAt = openedAt
    this.#lowWaterMark = lowWaterMark
    this.#drained = drained
    socket.outgoing.onWritten = this.#onWritten
  }

  // See `Reception` for why it stands here.
  readonly #onWritten = (frames: number): void => {
    this.#unsent.written(frames)
    if (!this.#full || this.socket.bufferedAmount > this.#lowWaterMark) return
    this.#full = false
    this.#drained()
  }

  /** True while frames are accepted. */
  get open(): boolean {
    return this.socket.state === 'open'
  }

  /** True when it is everybody's and nothing is under way. */
  get atRest(): boolean {
    const whole = this.ready && !this.paused && !this.dead && !this.#full && this.error === null
    const nothingHalf = this.#streams.size === 0 && this.#drops?.skipping !== true
    return whole && nothingHalf && this.#unsent.empty && this.socket.atRest
  }

  /** True when a whole message can be sent now. */
  get takesMessages(): boolean {
    return this.ready && this.open && (this.#streams.size > 0 || !this.socket.outgoing.sendingFragments)
  }

  /** The stream has frames of this connection that it was given before there was a session. */
  takeOver(frames: readonly CheckedFrame[]): (error: Error | null | undefined) => void {
    const { outgoing } = this.socket
    const before = outgoing.position
    const written = outgoing.takeOver(frames.length)
    frames.forEach((frame, i) => this.#unsent.add(frame, before + i + 1))
    return written
  }

  /** True since the buffered output reached the high-water mark, until it falls to the low one. */
  get full(): boolean {
    return this.#full
  }

  /** Whether this frame is not to be sent, since the other end reads too slowly. Ends the connection where that does not help. */
  drops(frame: CheckedFrame): boolean {
    if (this.#drops === null || !this.open) return false
    const waiting = this.socket.bufferedAmount + this.#held
    const fate = this.#drops.decide(frame, waiting)
    if (fate === 'close') {
      this.error = new ConnectionError('WS_BUFFER_FULL', this.socket.peer)
      this.socket.terminate()
      // The end of a message whose beginning was dropped is dropped where there is room, too.
    } else if (fate === 'drop' && waiting > 0) this.#full = true
    return fate === 'drop'
  }

  /** Sends a string or bytes as they are. @returns false where a frame has to be made of them, which may be accepted. */
  writeShort(data: ShortFrame): boolean {
    const { outgoing } = this.socket
    if (this.#drops !== null || this.#streams.size > 0 || outgoing.sendingFragments) return false
    if (!outgoing.write(data)) {
      if (!this.open) return false
      this.#full = true
    }
    this.#unsent.add(data, outgoing.position)
    return true
  }

  /**
   * Sends one frame.
   *
   * @returns whether it was accepted.
   * @throws FrameEncodeError `fragment-sequence`.
   */
  write(frame: CheckedFrame): boolean {
    if (!this.open) return false
    if (frame.type === 'close') {
      void this.socket.close(frame.code ?? 1005, frame.reason)
      return true
    }
    if (this.#mustWait(frame)) {
      this.#stream(frame).catch((error: Error) => this.#failed(frame, error))
      return true
    }
    return this.#put(frame)
  }

  /**
   * Sends one frame, with a promise that settles when it was handed over and there is room for more.
   *
   * @returns null when it was not accepted.
   * @throws FrameEncodeError `fragment-sequence`.
   */
  send(frame: CheckedFrame): Promise<void> | null {
    if (this.open && this.#mustWait(frame)) return this.#stream(frame)
    return this.write(frame) ? this.socket.outgoing.handed() : null
  }

  /** What never got to the operating system, in order. */
  unsent(): readonly CheckedFrame[] {
    return [...this.#unsent.rest(), ...this.#streams, ...this.early.kept.map(message => checkFrame(message))]
  }

  #mustWait(frame: CheckedFrame): boolean {
    if (frame.type !== 'text' && frame.type !== 'binary') return false
    return this.#streams.size > 0 || (typeof frame.data !== 'string' && isStreamed(frame))
  }

  #put(frame: CheckedFrame): boolean {
    const { socket } = this
    let roomy = true
    try {
      // Frames were looked at before they came here: what is not streamed is a string or bytes.
      if (frame.type === 'text' || frame.type === 'binary') roomy = this.#message(frame)
      else if (frame.type === 'ping') void socket.ping(frame.data ?? '').catch(ignore)
      else if (frame.type === 'pong') socket.pong(frame.data)
      else if (frame.type === 'fragment')
        roomy = socket.outgoing.fragment(frame.kind, frame.data, false, frame.compress)
      else if (frame.type !== 'close')
        roomy = socket.fragment('continuation', frame.data as Payload, frame.type === 'finish')
    } catch (cause) {
      if (cause instanceof UsageError) throw new FrameEncodeError('fragment-sequence', frame, { cause })
      throw cause
    }
    if (!roomy) {
      // Full, or not accepted at all, since the peer does not read: the state tells.
      if (socket.state !== 'open') return false
      this.#full = true
    }
    this.#unsent.add(frame, socket.outgoing.position)
    return true
  }

  #message(frame: TextFrame | BinaryFrame): boolean {
    const { outgoing } = this.socket
    if ((frame as object) instanceof PreparedMessage)
      return outgoing.write(frame as object as PreparedMessage)
    return outgoing.write(frame.data as Payload, frame.compress)
  }

  /** A message in parts could not begin, and nobody waits for it: the end of the connection tells. */
  #failed(frame: CheckedFrame, error: Error): void {
    if (!this.open) return
    this.error = error
    this.#streams.add(frame)
    void this.socket.close(1011)
  }

  /** Its rejection may be ignored: a connection that breaks a message off ends, and `error` says why. */
  #stream(frame: CheckedFrame): Promise<void> {
    this.#streams.add(frame)
    const bytes = frameBytes(frame)
    this.#held += bytes
    const message = frame as TextFrame | BinaryFrame
    return quiet(
      this.socket.outgoing.send(partsOf(message), message.compress).then(
        () => {
          this.#held -= bytes
          this.#streams.delete(frame)
          this.#unsent.add(frame, this.socket.outgoing.position)
        },
        (cause: Error) => {
          this.#held -= bytes
          const error = frameError(frame, cause)
          // One that could not even begin is its sender's business; what waits behind it goes on.
          if (this.open) this.#streams.delete(frame)
          else if (!isLost(error)) this.error ??= error
          throw error
        },
      ),
    )
  }
}

function frameError(frame: CheckedFrame, cause: Error): Error {
  if (!(cause instanceof UsageError)) return cause
  if (cause.code !== 'WS_BAD_SEQUENCE') return new InvalidFrameError(frame, { cause })
  return new FrameEncodeError('fragment-sequence', frame, { cause })
}

/** What the socket is to send. A text has parts that are strings, or it is none. */
function partsOf(frame: TextFrame | BinaryFrame): Payload | PayloadParts {
  const { type, data } = frame
  return isStreamed(frame) && !(data instanceof Blob) ? ofType(type, frame.data) : (data as Payload)
}

/** Not a generator: that would not hand on a `return()` while it waits for a part, and the source would never hear of the end. */
function ofType(type: 'text' | 'binary', parts: PayloadParts): AsyncIterable<Payload> {
  const source = parts as Iterable<Payload> | AsyncIterable<Payload>
  return {
    [Symbol.asyncIterator]: () => {
      const iterator: Iterator<Payload> | AsyncIterator<Payload> =
        Symbol.asyncIterator in source ? source[Symbol.asyncIterator]() : source[Symbol.iterator]()
      let empty = true
      return {
        next: async () => {
          const result = await iterator.next()
          // Here its type is known: no parts at all are an empty message, as with a Blob.
          const nothing = empty && result.done === true
          empty = false
          if (nothing) return { done: false, value: type === 'text' ? '' : new Uint8Array(0) }
          if (result.done !== true && (typeof result.value === 'string') !== (type === 'text')) {
            throw new UsageError('WS_BAD_DATA', `a part of a ${type} message is of another type`)
          }
          return result
        },
        return: async () => {
          await iterator.return?.()
          return { done: true, value: undefined }
        },
      }
    },
  }
}
