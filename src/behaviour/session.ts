// Strategy: one open connection of a process, from the 101 to the end of the stream. It sends frames and keeps account of
// those that the operating system has not taken. Everything is synchronous: a reply costs no promise.
import { PreparedMessage, ProtocolViolation, UsageError } from '../protocol/index.js'
import { ConnectionError } from '../transport/connection-error.js'
import { NotConnectedError } from '../transport/not-connected-error.js'
import type { Payload, PayloadParts } from '../transport/payload.js'
import { quiet } from '../transport/send-queue.js'
import type { Socket } from '../transport/socket.js'
import { FrameEncodeError } from './frame-encode-error.js'
import { type BinaryFrame, type CheckedFrame, isStreamed, type TextFrame } from './frame.js'
import { InvalidFrameError } from './invalid-frame-error.js'
import type { Keepalive } from './keepalive.js'
import { Unsent } from './unsent.js'

const ignore = (): void => {}

/** What only says that the connection is gone. */
const isLost = (error: Error): boolean =>
  error instanceof ConnectionError || error instanceof NotConnectedError || error instanceof ProtocolViolation

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
  /** True once `handleConnect` is done: until then only what it sends goes out. */
  ready = false
  /** True while the process does not read. */
  paused = false
  readonly #unsent = new Unsent()
  /** Messages in parts that have not ended, and those that wait for their turn behind them (5.4). */
  readonly #streams = new Set<CheckedFrame>()
  #full = false

  /** @param drained - called when the buffered output fell to `lowWaterMark` after it had reached the high one. */
  constructor(socket: Socket, openedAt: number, lowWaterMark: number, drained: () => void) {
    this.socket = socket
    this.openedAt = openedAt
    socket.outgoing.onWritten = frames => {
      this.#unsent.written(frames)
      if (!this.#full || socket.bufferedAmount > lowWaterMark) return
      this.#full = false
      drained()
    }
  }

  /** True while frames are accepted. */
  get open(): boolean {
    return this.socket.state === 'open'
  }

  /** True since the buffered output reached the high-water mark, until it falls to the low one. */
  get full(): boolean {
    return this.#full
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
    return [...this.#unsent.rest(), ...this.#streams]
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
    const message = frame as TextFrame | BinaryFrame
    return quiet(
      this.socket.outgoing.send(partsOf(message), message.compress).then(
        () => {
          this.#streams.delete(frame)
          this.#unsent.add(frame, this.socket.outgoing.position)
        },
        (cause: Error) => {
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
