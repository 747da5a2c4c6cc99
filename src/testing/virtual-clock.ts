// Strategy: a binary heap whose entries know their place in it, so that setting a timer and taking it back are both
// O(log n) and nothing stays behind. Timers of the same time fire in the order in which they were set.
import { UsageError } from '../protocol/index.js'
import type { Clock, Timer } from '../transport/clock.js'
import { StalledError } from './stalled-error.js'

interface Entry {
  readonly atMs: number
  readonly order: number
  readonly callback: () => void
  /** Its place in the heap, -1 when it is not there any more. */
  place: number
}

/** Timers that set each other without any time passing would go on for ever. */
const MAX_AT_ONCE = 100_000

const isBefore = (a: Entry, b: Entry): boolean => a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order)

/**
 * Time that stands still until a test moves it. It starts at 0 and can be given to everything that takes a `clock`.
 *
 * @example
 * ```ts
 * const clock = new VirtualClock()
 * clock.setTimeout(() => console.log('at last'), 5000)
 * clock.advance(4999)
 * clock.advance(1) // at last
 * ```
 */
export class VirtualClock implements Clock {
  #nowMs = 0
  #orders = 0
  #changes = 0
  #firedAtOnce = 0
  readonly #heap: Entry[] = []

  /** How many timers are waiting. */
  get pending(): number {
    return this.#heap.length
  }

  /** When the next timer is due, in milliseconds of this clock; null when none is waiting. */
  get nextMs(): number | null {
    return this.#heap.length === 0 ? null : this.#heap[0].atMs
  }

  /** When each waiting timer is due, in milliseconds of this clock, in order. */
  get dueTimes(): readonly number[] {
    return this.#heap.toSorted((a, b) => (isBefore(a, b) ? -1 : 1)).map(entry => entry.atMs)
  }

  /** Grows with each timer that is set, taken back or fired. */
  get changes(): number {
    return this.#changes
  }

  /** Milliseconds since this clock was made. */
  now(): number {
    return this.#nowMs
  }

  /** Calls `callback` once, `ms` milliseconds from now: while `advance` or `step` runs. A negative delay counts as 0. */
  setTimeout(callback: () => void, ms: number): Timer {
    return this.setAlarm(callback, this.#nowMs + (Number.isNaN(ms) ? 0 : ms))
  }

  /** Calls `callback` once, when this clock shows `atMs`; for a time that is over, as soon as it runs. */
  setAlarm(callback: () => void, atMs: number): Timer {
    const entry: Entry = {
      atMs: Math.max(atMs, this.#nowMs),
      order: this.#orders++,
      callback,
      place: this.#heap.length,
    }
    this.#changes++
    this.#heap.push(entry)
    this.#rise(entry)
    return entry
  }

  /** Takes a timer back. Does nothing when it has fired already. */
  clearTimeout(timer: Timer): void {
    const entry = timer as Entry
    if (entry.place >= 0) this.#remove(entry)
  }

  /**
   * Moves on by `ms`, synchronously: timers fire in order, each at its own time, and timers that they set too. Promises get
   * no chance to settle in between; for that there is `VirtualNetwork.advance`.
   *
   * @throws UsageError `WS_BAD_OPTION` for anything but a number of milliseconds; and what a timer throws.
   */
  advance(ms: number): void {
    requireDuration(ms)
    const endMs = this.#nowMs + ms
    while (this.step(endMs));
  }

  /**
   * Fires the one timer that is next, at its own time.
   *
   * @param untilMs on this clock: a later timer is left waiting, and the time moves on to then, unless it is `Infinity`.
   * @returns false when no timer was due.
   * @throws StalledError after 100,000 timers of the same millisecond; and what the timer throws.
   */
  step(untilMs: number = Infinity): boolean {
    const next = this.#heap.at(0)
    if (next === undefined || next.atMs > untilMs || next.atMs === Infinity) {
      if (untilMs !== Infinity && untilMs > this.#nowMs) this.#nowMs = untilMs
      return false
    }
    // A timer may have moved the time on by itself.
    if (next.atMs > this.#nowMs) {
      this.#nowMs = next.atMs
      this.#firedAtOnce = 0
    }
    if (++this.#firedAtOnce > MAX_AT_ONCE)
      throw new StalledError(
        `${MAX_AT_ONCE} timers fired at ${this.#nowMs} ms: they set each other without a delay`,
      )
    this.#remove(next)
    next.callback()
    return true
  }

  #remove(entry: Entry): void {
    const heap = this.#heap
    const last = heap.pop()!
    this.#changes++
    if (last !== entry) {
      this.#put(last, entry.place)
      this.#rise(last)
      this.#sink(last)
    }
    entry.place = -1
  }

  #put(entry: Entry, place: number): void {
    this.#heap[place] = entry
    entry.place = place
  }

  #rise(entry: Entry): void {
    while (entry.place > 0) {
      const { place } = entry
      const above = this.#heap[(place - 1) >> 1]
      if (!isBefore(entry, above)) return
      this.#put(entry, above.place)
      this.#put(above, place)
    }
  }

  #sink(entry: Entry): void {
    const heap = this.#heap
    for (;;) {
      const { place } = entry
      const left = 2 * place + 1
      if (left >= heap.length) return
      const right = left + 1
      const below = right < heap.length && isBefore(heap[right], heap[left]) ? heap[right] : heap[left]
      if (!isBefore(below, entry)) return
      this.#put(entry, below.place)
      this.#put(below, place)
    }
  }
}

/**
 * Refuses what is no duration.
 *
 * @throws UsageError `WS_BAD_OPTION`.
 */
export function requireDuration(ms: number): void {
  if (typeof ms === 'number' && ms >= 0 && ms < Infinity) return
  throw new UsageError('WS_BAD_OPTION', `expected a number of milliseconds, not ${ms}`)
}
