// Strategy: frames sent while there is no connection, by `whenNotOpen: { queue }`. Counted in frames and in bytes; each has
// its own time to live, and since all have the same one, they expire in the order they came: one timer, for the oldest.
import { UsageError } from '../protocol/index.js'
import { after, type Clock } from '../transport/clock.js'
import { milliseconds, requireOptions } from '../transport/dial-options.js'
import { NotConnectedError } from '../transport/not-connected-error.js'
import { Fifo } from './fifo.js'
import { type CheckedFrame, frameBytes } from './frame.js'

/** How much may wait for a connection. */
export interface QueueOptions {
  /** Default 1 MiB; texts count by their length. */
  readonly maxBytes?: number | undefined
  /** Default 1,024. */
  readonly maxFrames?: number | undefined
  /** How long one may wait, in milliseconds. Default `Infinity`. */
  readonly ttlMs?: number | undefined
}

/**
 * What happens to a frame while there is no open connection: it is refused, thrown away, or kept until there is one. A frame
 * that was kept too long, or to the end, is handed back as unsent.
 */
export type WhenNotOpen = 'error' | 'drop' | 'queue' | ({ readonly type: 'queue' } & QueueOptions)

// phoenix and socket.io keep everything; partysocket too. A process that is offline for an hour must not fill the memory.
const MAX_BYTES = 1024 * 1024
const MAX_FRAMES = 1024

const OPTIONS: Readonly<Record<string, true>> = { type: true, maxBytes: true, maxFrames: true, ttlMs: true }

interface Waiting {
  readonly frame: CheckedFrame
  readonly bytes: number
  readonly until: number
  readonly resolve: (sent: Promise<void> | undefined) => void
  readonly reject: (error: Error) => void
}

/** Frames that wait for a connection. */
export class WaitingFrames {
  readonly #clock: Clock
  readonly #expired: (frame: CheckedFrame) => void
  readonly #maxBytes: number
  readonly #maxFrames: number
  readonly #ttlMs: number
  readonly #frames = new Fifo<Waiting>()
  #bytes = 0
  #cancel: () => void = () => {}

  /**
   * @param expired - gets each frame that waited too long.
   * @throws UsageError `WS_BAD_OPTION`.
   */
  constructor(options: QueueOptions, clock: Clock, expired: (frame: CheckedFrame) => void) {
    requireOptions(options, OPTIONS, 'whenNotOpen')
    const { maxBytes = MAX_BYTES, maxFrames = MAX_FRAMES } = options
    if (!(maxBytes >= 0 && maxFrames >= 0)) {
      throw new UsageError(
        'WS_BAD_OPTION',
        'whenNotOpen.maxBytes and maxFrames must be numbers of at least 0',
      )
    }
    this.#maxBytes = maxBytes
    this.#maxFrames = maxFrames
    this.#ttlMs = milliseconds('whenNotOpen.ttlMs', options.ttlMs, Infinity)
    this.#clock = clock
    this.#expired = expired
  }

  /** How many wait. */
  get length(): number {
    return this.#frames.length
  }

  /** True when there is room for this frame. */
  fits(frame: CheckedFrame): boolean {
    return this.#frames.length < this.#maxFrames && this.#bytes + frameBytes(frame) <= this.#maxBytes
  }

  /** Keeps a frame; the promise settles like that of a send. */
  add(frame: CheckedFrame): Promise<void> {
    const bytes = frameBytes(frame)
    this.#bytes += bytes
    return new Promise((resolve, reject) => {
      const first = this.#frames.length === 0
      this.#frames.push({ frame, bytes, until: this.#clock.now() + this.#ttlMs, resolve, reject })
      if (first) this.#arm()
    })
  }

  /** There is a connection: sends everything, in order, as long as it is accepted. */
  flush(send: (frame: CheckedFrame) => Promise<void> | null): void {
    for (;;) {
      const waiting = this.#frames.peek()
      if (waiting === undefined) break
      try {
        const sent = send(waiting.frame)
        if (sent === null) break
        waiting.resolve(sent)
      } catch (error) {
        // A fragment that does not fit any more, such as the rest of a message that was cut off by a lost connection.
        waiting.reject(error as Error)
        this.#expired(waiting.frame)
      }
      this.#take()
    }
    this.#arm()
  }

  /** No connection will come any more: gives everything back. */
  end(ended: () => Error): readonly CheckedFrame[] {
    this.#cancel()
    this.#bytes = 0
    if (this.#frames.length === 0) return []
    const error = ended()
    return this.#frames.clear().map(({ frame, reject }) => {
      reject(error)
      return frame
    })
  }

  #take(): void {
    this.#bytes -= this.#frames.shift()?.bytes ?? 0
  }

  #arm(): void {
    this.#cancel()
    const oldest = this.#frames.peek()
    if (oldest === undefined) return
    this.#cancel = after(this.#clock, Math.max(0, oldest.until - this.#clock.now()), () => {
      const now = this.#clock.now()
      for (
        let next = this.#frames.peek();
        next !== undefined && next.until <= now;
        next = this.#frames.peek()
      ) {
        this.#take()
        next.reject(new NotConnectedError('waiting', 'and the frame has waited longer than ttlMs'))
        this.#expired(next.frame)
      }
      this.#arm()
    })
  }
}
