import { after, type Clock } from './clock.js'

/** A time limit that may begin anew, and whether it was reached. */
export class Deadline {
  readonly #clock: Clock
  readonly #limitMs: number
  readonly #reached: () => void
  #cancel: (() => void) | null = null
  #over = false

  constructor(clock: Clock, limitMs: number, reached: () => void) {
    this.#clock = clock
    this.#limitMs = limitMs
    this.#reached = reached
  }

  /** True once the time has begun. */
  get armed(): boolean {
    return this.#cancel !== null
  }

  /** True once it was over. */
  get over(): boolean {
    return this.#over
  }

  /** The time begins, or begins anew. */
  arm(): void {
    this.#cancel?.()
    this.#cancel = after(this.#clock, this.#limitMs, () => {
      this.#over = true
      this.#reached()
    })
  }

  cancel(): void {
    this.#cancel?.()
  }
}
