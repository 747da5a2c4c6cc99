// Strategy: one direction of a link.
//
//   from.write ──▶ Intake ──tick: join, cut──▶ items, each with its time ──deliver──▶ to.push
//      callback when all its bytes were taken              window: taken, and not yet pushed
//
// Bytes are copied when they are taken: the writer may use its memory again, and the reader writes into what it gets. An item
// waits for its time, for the link (held: frozen, parted, delayed) and for the reader, in this order; those behind it wait
// as well, so bytes never overtake each other. The end of the bytes and a reset are items of the same queue.
import type { Timer } from '../transport/clock.js'
import { type Closing, type Done, Intake } from './intake.js'
import type { ResolvedConditions } from './link-conditions.js'
import type { LinkEnd } from './link-end.js'
import { NetworkError } from './network-error.js'
import type { Random } from './random.js'
import type { Stepper } from './stepper.js'

/** What a lane asks and tells its link. */
export interface LaneOwner {
  /** True while nothing gets through. */
  readonly held: boolean
  /** The news of the link has come to the end that this lane leads to. */
  opened(): void
  taken(bytes: Uint8Array): void
  delivered(bytes: Uint8Array): void
  ended(): void
  /** The end that this lane leads to is reset by the other. */
  resetArrived(): void
  /** Bytes came to an end that is gone: the sender must learn of it. */
  bounced(): void
  /** A limit of `resetAfter` was reached. */
  reset(): void
}

interface Item {
  readonly atMs: number
  /** `open` is how the reading end learns that there is a link. */
  readonly what: Uint8Array | 'open' | Closing
}

/** Which count a limit is about. */
export type Counted = 'taken' | 'delivered'

/** Times of arrival are whole microseconds, so that they can be read. */
const microseconds = (ms: number): number => Math.round(ms * 1000) / 1000

/** One direction of a link. */
export class Lane {
  conditions: ResolvedConditions
  readonly #stepper: Stepper
  readonly #random: Random
  readonly #to: LinkEnd
  readonly #owner: LaneOwner
  readonly #intake: Intake
  #pushed = 0
  /** What the reader's stream still held when it was destroyed. */
  #unread = 0
  /** Resets the link at so many. */
  #limit = Infinity
  #queue: Item[] = []
  #head = 0
  /** When the last byte has left, and when the last item arrives. */
  #leftMs = 0
  #lastMs = 0
  #heldUntilMs = 0
  #timer: Timer | null = null
  /** The reader asked for more. */
  #wanted = false
  #delivering = false
  #dead = false

  constructor(
    stepper: Stepper,
    random: Random,
    conditions: ResolvedConditions,
    to: LinkEnd,
    owner: LaneOwner,
  ) {
    this.#stepper = stepper
    this.#random = random
    this.conditions = conditions
    this.#to = to
    this.#owner = owner
    const windowBytes = (): number => this.conditions.windowBytes
    this.#intake = new Intake(stepper, {
      get windowBytes() {
        return windowBytes()
      },
      taken: bytes => owner.taken(bytes),
      leave: (bytes, closing) => this.#depart(bytes, closing),
      reset: () => owner.reset(),
    })
  }

  get taken(): number {
    return this.#intake.taken
  }

  /** Bytes that the reading end got, without what was still in its stream when that was destroyed. */
  get delivered(): number {
    return this.#pushed - this.#unread
  }

  /** True when something has arrived that the reader did not take. */
  get waiting(): boolean {
    const next = this.#queue.at(this.#head)
    return next !== undefined && typeof next.what !== 'string' && !this.#owner.held && this.#isDue(next)
  }

  /** Sends the news of the link, before anything else. */
  open(): void {
    this.#send('open', 0)
    // The client has the link first: it is handed over by promises, which are all done before the next tick.
    queueMicrotask(() => this.#stepper.defer(() => this.deliver()))
  }

  /** Takes what a `_write` brings, as far as there is room; the rest follows when there is. */
  take(chunks: readonly Uint8Array[], done: Done): void {
    this.#intake.take(chunks, done)
  }

  /** Bytes that nobody wrote. */
  inject(bytes: Uint8Array): void {
    this.#intake.inject(bytes)
  }

  /** Sends the end of the bytes or a reset, behind what was taken. */
  close(closing: Closing): void {
    this.#intake.close(closing)
  }

  /** The reader wants more. */
  resume(): void {
    this.#wanted = true
    this.deliver()
  }

  /** Nothing is delivered for so long. */
  delay(ms: number): void {
    this.#heldUntilMs = Math.max(this.#heldUntilMs, this.#stepper.clock.now() + ms)
  }

  /** Resets the link as soon as so many bytes were counted. */
  limit(counted: Counted, bytes: number): void {
    if (counted === 'taken') {
      this.#intake.limit(bytes)
      return
    }
    this.#limit = bytes
    if (this.#pushed >= bytes) this.#owner.reset()
  }

  /** The writing end is gone. */
  fromGone(): void {
    this.#intake.abandon()
  }

  /** The reading end is gone. */
  toGone(): void {
    this.#unread = this.#to.readableLength
    this.resume()
  }

  /** Drops everything. */
  kill(): void {
    this.#dead = true
    this.#intake.kill()
    this.#queue = []
    if (this.#timer !== null) this.#stepper.clock.clearTimeout(this.#timer)
    this.#timer = null
  }

  /** Hands over what is due, as far as the link and the reader allow. */
  deliver(): void {
    if (this.#delivering) return
    this.#delivering = true
    try {
      while (this.#head < this.#queue.length && !this.#owner.held) {
        const item = this.#queue[this.#head]
        if (!this.#isDue(item)) {
          this.#wake(Math.max(item.atMs, this.#heldUntilMs))
          break
        }
        if (typeof item.what === 'string') this.#pass(item.what)
        else if (!this.#hand(item.what)) break
      }
    } finally {
      this.#delivering = false
    }
    if (this.#head >= this.#queue.length) {
      this.#queue = []
      this.#head = 0
    }
  }

  #isDue({ atMs }: Item): boolean {
    return Math.max(atMs, this.#heldUntilMs) <= this.#stepper.clock.now()
  }

  /** @returns false when the reader wants nothing now. */
  #hand(bytes: Uint8Array): boolean {
    if (this.#to.destroyed) {
      this.#head++
      this.#intake.free(bytes.length)
      this.#owner.bounced()
      return true
    }
    if (!this.#wanted) return false
    const room = this.#limit - this.#pushed
    const piece = room < bytes.length ? bytes.subarray(0, room) : bytes
    this.#owner.delivered(piece)
    // Whoever watches may have reset the link.
    if (this.#dead) return false
    this.#head++
    this.#pushed += piece.length
    // Before the push, during which the reader may ask for more.
    this.#wanted = false
    if (this.#to.push(piece)) this.#wanted = true
    if (this.#pushed >= this.#limit) this.#owner.reset()
    else this.#intake.free(bytes.length)
    return true
  }

  #pass(what: 'open' | Closing): void {
    this.#head++
    if (this.#to.destroyed) return
    if (what === 'open') {
      this.#owner.opened()
    } else if (what === 'end') {
      this.#owner.ended()
      this.#to.push(null)
      // Node's sockets tell the end even to those who do not read, if there is nothing before it.
      this.#to.read(0)
    } else {
      this.#owner.resetArrived()
      this.#to.destroy(new NetworkError('ECONNRESET'))
    }
  }

  /** Cuts what one tick brought into segments, and gives each its time. */
  #depart(gathered: readonly Uint8Array[], closing: Closing | null): void {
    const bytes = gathered.length === 1 ? gathered[0] : Buffer.concat(gathered)
    for (let at = 0; at < bytes.length;) {
      const size = Math.ceil(this.#random.from(this.conditions.segmentBytes))
      const segment = size >= bytes.length - at ? bytes.subarray(at) : bytes.subarray(at, at + size)
      at += segment.length
      this.#send(segment, segment.length)
    }
    if (closing !== null) this.#send(closing, 0)
    this.deliver()
  }

  #send(what: Item['what'], bytes: number): void {
    const { latencyMs, bytesPerSecond } = this.conditions
    const nowMs = this.#stepper.clock.now()
    this.#leftMs = Math.max(this.#leftMs, nowMs) + (bytes * 1000) / this.#random.from(bytesPerSecond)
    const atMs = this.#leftMs + this.#random.from(latencyMs)
    this.#lastMs = Math.max(this.#lastMs, atMs > nowMs ? microseconds(atMs) : nowMs)
    this.#queue.push({ atMs: this.#lastMs, what })
  }

  #wake(dueMs: number): void {
    if (this.#timer !== null) return
    this.#timer = this.#stepper.clock.setAlarm(() => {
      this.#timer = null
      this.deliver()
    }, dueMs)
  }
}
