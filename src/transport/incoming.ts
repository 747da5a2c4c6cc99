// Strategy: where messages go: to the user's callback, synchronously; to a reader that waits; or to the inbox, and when that
// is full the wire stops reading. A callback that throws has said that it cannot go on: the connection is closed with
// 1011 and the error goes the way of every uncaught error, from wherever the message came.
import type { Message } from '../protocol/index.js'
import { Inbox } from './inbox.js'
import { isLost } from './loss-error.js'
import { throwLater } from './throw-later.js'

/** What the way of a message depends on. */
export interface IncomingSource {
  /** False once either side has sent a Close frame. */
  readonly open: boolean
  /** True once the connection is gone. */
  readonly over: boolean
  pause(): void
  resume(): void
  /** The callback cannot go on. */
  abandon(): void
}

/**
 * Treats the rejection of a user's asynchronous callback as an error it threw. That the connection was lost is no error of
 * the callback's, and `closed` has told it already.
 */
export function watchRejection(result: Promise<unknown>, abandon: () => void): void {
  result.catch((error: unknown) => {
    abandon()
    if (!isLost(error)) throwLater(error)
  })
}

/** Messages on their way to the user. */
export class Incoming {
  readonly #source: IncomingSource
  readonly #inbox: Inbox
  readonly #deliverWhileClosing: boolean
  #callback: ((message: Message) => void) | null = null
  /** Asked for by the user, unlike the pause of a full inbox. */
  #paused = false
  #stopped = false

  constructor(
    source: IncomingSource,
    options: { readonly maxQueuedMessages: number; readonly deliverWhileClosing: boolean },
  ) {
    this.#source = source
    this.#inbox = new Inbox(options.maxQueuedMessages)
    this.#deliverWhileClosing = options.deliverWhileClosing
  }

  get callback(): ((message: Message) => void) | null {
    return this.#callback
  }

  set callback(callback: ((message: Message) => void) | null) {
    this.#callback = callback
    if (callback !== null && !this.#inbox.empty) process.nextTick(() => this.#unload())
  }

  /** True when nothing waits, no reader either. */
  get atRest(): boolean {
    return !this.#paused && !this.#stopped && this.#inbox.atRest
  }

  /** @returns false when a reader got the message, who must see to it before the next event. */
  deliver(message: Message): boolean {
    if (this.#stopped) return true
    const inbox = this.#inbox
    const open = this.#source.open
    // Only our own Close can have come before a message.
    if (!open && !this.#deliverWhileClosing) return true
    if (this.#callback !== null && inbox.empty && !this.#paused) {
      this.#watch(this.#callback(message))
      return true
    }
    // After our Close there is no pause to wait for room: the peer's Close is behind.
    if (!open && inbox.full) return true
    if (inbox.put(message)) return false
    if (inbox.full && open) this.#source.pause()
    return true
  }

  /** The next message for a reader, or the end. */
  next(): Promise<IteratorResult<Message, undefined>> {
    // What was received before the end still counts.
    if (this.#source.over && this.#inbox.empty && !this.#paused) this.#source.resume()
    const next = this.#inbox.next()
    if (!this.#paused && this.#inbox.empty) this.#source.resume()
    return next
  }

  /** Messages one by one. Leaving the loop ends nothing. */
  iterate(): AsyncIterator<Message, undefined> {
    return {
      next: () => this.next(),
      return: () => Promise.resolve({ value: undefined, done: true }),
    }
  }

  pause(): void {
    this.#paused = true
    this.#source.pause()
  }

  resume(): void {
    this.#paused = false
    this.#unload()
  }

  /** Nothing more is delivered, not even what was received. */
  stop(): void {
    this.#stopped = true
  }

  /** No message will come any more; readers end, or fail with `error`. */
  end(error: Error | null): void {
    this.#inbox.end(this.#stopped ? null : error)
  }

  /** A callback may be asynchronous, though nobody waits for it: its rejection is what its error would have been. */
  #watch(result: unknown): void {
    if (result instanceof Promise) this.#watchPromise(result)
  }

  /** Apart from the above: who makes a function pays for it before it is known whether it is needed. */
  #watchPromise(result: Promise<unknown>): void {
    watchRejection(result, () => this.#source.abandon())
  }

  /** Delivers queued messages to the callback, then goes on reading. */
  #unload(): void {
    while (this.#callback !== null && !this.#paused && !this.#stopped) {
      const message = this.#inbox.take()
      if (message === undefined) break
      try {
        this.#watch(this.#callback(message))
      } catch (error) {
        this.#inbox.clear()
        this.#source.abandon()
        throwLater(error)
        return
      }
    }
    if (!this.#paused && !this.#inbox.full) this.#source.resume()
  }
}
