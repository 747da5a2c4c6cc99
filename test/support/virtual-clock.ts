import type { Clock, Timer } from '../../src/transport/clock.js'

interface Entry {
  readonly at: number
  readonly callback: () => void
}

/** Time that stands still until a test moves it. */
export class VirtualClock implements Clock {
  #now = 0
  readonly #timers = new Set<Entry>()

  /** How many timers are waiting. */
  get pending(): number {
    return this.#timers.size
  }

  now(): number {
    return this.#now
  }

  setTimeout(callback: () => void, ms: number): Timer {
    const entry = { at: this.#now + ms, callback }
    this.#timers.add(entry)
    return entry
  }

  clearTimeout(timer: Timer): void {
    this.#timers.delete(timer as Entry)
  }

  /** Moves on by `ms`; timers fire in order, each at its own time, and timers that they set too. */
  advance(ms: number): void {
    const end = this.#now + ms
    for (;;) {
      const due = [...this.#timers].filter(timer => timer.at <= end).toSorted((a, b) => a.at - b.at)[0]
      if (due === undefined) break
      this.#now = due.at
      this.#timers.delete(due)
      due.callback()
    }
    this.#now = end
  }
}
