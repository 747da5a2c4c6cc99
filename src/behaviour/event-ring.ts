import type { PublishedEvent } from './process-event.js'

/** The last events, as many as it is deep. */
export class EventRing {
  readonly #depth: number
  readonly #events: PublishedEvent[]
  /** Where the next one goes: once the ring is full, in the place of the oldest. */
  #next: number

  /** @param events - what it begins with; of too many, the last ones. */
  constructor(depth: number, events: readonly PublishedEvent[] = []) {
    this.#depth = depth
    this.#events = events.slice(-depth)
    this.#next = this.#events.length % depth
  }

  /** Adds one. */
  push(event: PublishedEvent): void {
    this.#events[this.#next] = event
    this.#next = (this.#next + 1) % this.#depth
  }

  /** A list of them, the oldest first. */
  list(): readonly PublishedEvent[] {
    const events = this.#events
    if (events.length < this.#depth) return events.slice()
    return [...events.slice(this.#next), ...events.slice(0, this.#next)]
  }
}
