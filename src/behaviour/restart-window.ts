/** Counts restarts within a time that moves along. OTP's `MaxR` and `MaxT`. */
export class RestartWindow {
  readonly #maxRestarts: number
  readonly #withinMs: number
  /** When they were, oldest first; never more than one above what is allowed. */
  #times: readonly number[] = []

  /** @param maxRestarts - how many are allowed within any `withinMs`. */
  constructor(maxRestarts: number, withinMs: number) {
    this.#maxRestarts = maxRestarts
    this.#withinMs = withinMs
  }

  /** How many there were lately, as of the last `add`. */
  get count(): number {
    return this.#times.length
  }

  /** One more. @returns false when it is one too many. */
  add(now: number): boolean {
    // One that was exactly `withinMs` ago still counts, as in OTP.
    this.#times = [...this.#times.filter(at => at >= now - this.#withinMs), now]
    return this.#times.length <= this.#maxRestarts
  }
}
