/** Work on one thing at a time, in the order in which it was asked for; work on different things goes on side by side. */
export class InOrder {
  readonly #last = new Map<string, Promise<void>>()

  /** Whether something is being done or waits. */
  get busy(): boolean {
    return this.#last.size > 0
  }

  /** Does some work when all earlier work on the same thing is done. @returns what it returns, or rejects with. */
  async run<T>(thing: string, work: () => Promise<T>): Promise<T> {
    const before = this.#last.get(thing)
    let done!: () => void
    const turn = new Promise<void>(resolve => (done = resolve))
    this.#last.set(thing, turn)
    try {
      if (before !== undefined) await before
      return await work()
    } finally {
      if (this.#last.get(thing) === turn) this.#last.delete(thing)
      done()
    }
  }
}
