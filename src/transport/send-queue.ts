// Strategy: `send()` settles when its bytes were handed to the stream and the stream has room again. Each call that
// cannot settle at once leaves a waiter, first among those whose bytes are still in the Connection, then, at the next
// flush, among those that only wait for room. A message in parts holds the turn until its last fragment, since messages
// must not be interleaved (5.4).

interface Waiter {
  /** How many frames were sent with it and before it. */
  readonly position: number
  readonly resolve: () => void
  readonly reject: (error: Error) => void
}

/**
 * Marks a promise as handled. What it can reject with is that the connection was lost, which `closed` tells as well: whoever
 * does not wait for it must not be ended by it.
 */
export function quiet<T>(promise: Promise<T>): Promise<T> {
  promise.catch(() => {})
  return promise
}

/** Promises of sends, and the order in which messages may begin. */
export class SendQueue {
  /** Their bytes are not handed over yet. */
  #unwritten: Waiter[] = []
  /** Their bytes are handed over, but the stream is full. */
  #written: Waiter[] = []
  /** Their bytes are the caller's own, and must not change until they are written. */
  #referred: Waiter[] = []
  #turn: Promise<void> | null = null

  /** True while a message in parts is being sent. */
  get busy(): boolean {
    return this.#turn !== null
  }

  /** True when nobody waits. */
  get empty(): boolean {
    return !this.busy && this.#unwritten.length + this.#written.length + this.#referred.length === 0
  }

  /** Settles when the first `position` frames are handed over and there is room for more. */
  wait(position: number): Promise<void> {
    return quiet(new Promise((resolve, reject) => this.#unwritten.push({ position, resolve, reject })))
  }

  /** Settles when the stream is done with the first `position` frames, so that nobody reads their bytes any more. */
  whenWritten(position: number): Promise<void> {
    return quiet(new Promise((resolve, reject) => this.#referred.push({ position, resolve, reject })))
  }

  /** The stream is done with the first `frames`. */
  written(frames: number): void {
    if (this.#referred.length === 0) return
    const done = this.#referred.filter(({ position }) => position <= frames)
    this.#referred = this.#referred.filter(({ position }) => position > frames)
    for (const { resolve } of done) resolve()
  }

  /** The first `frames` were handed to the stream; `full` says whether it asks for a pause. */
  flushed(frames: number, full: boolean): void {
    if (this.#unwritten.length > 0) {
      const later = this.#unwritten.findIndex(({ position }) => position > frames)
      const handed = later < 0 ? this.#unwritten : this.#unwritten.slice(0, later)
      this.#unwritten = later < 0 ? [] : this.#unwritten.slice(later)
      this.#written = this.#written.length === 0 ? handed : this.#written.concat(handed)
    }
    if (!full) this.drained()
  }

  /** The stream has room again. */
  drained(): void {
    const written = this.#written
    if (written.length === 0) return
    this.#written = []
    for (const { resolve } of written) resolve()
  }

  /** The connection is gone: what was not handed over is lost, and its senders are told. */
  fail(error: Error): void {
    const unwritten = [...this.#unwritten, ...this.#referred]
    this.#unwritten = []
    this.#referred = []
    this.drained()
    for (const { reject } of unwritten) reject(error)
  }

  /** Runs `job` after those before it, and keeps others waiting until it ends. */
  async inTurn(job: () => Promise<void>): Promise<void> {
    const before = this.#turn
    const mine = (async () => {
      await before
      await job()
    })()
    // Whether this one failed is its sender's business alone.
    const turn = mine.catch(() => {})
    this.#turn = turn
    try {
      await mine
    } finally {
      if (this.#turn === turn) this.#turn = null
    }
  }
}
