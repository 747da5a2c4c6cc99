import { quiet } from '../transport/send-queue.js'

interface Waiter {
  readonly resolve: () => void
  readonly reject: (error: Error) => void
}

/** Who waits for a connection: the start for the first one, however many attempts it takes, others for the attempt of now. */
export class Waiters {
  #start: Waiter | null = null
  #attempt: Waiter[] = []

  /** The promise of the start. */
  started(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#start = { resolve, reject }
    })
  }

  /** The promise of an attempt; its rejection may be ignored. */
  connected(): Promise<void> {
    return quiet(new Promise((resolve, reject) => this.#attempt.push({ resolve, reject })))
  }

  /** There is a connection, or none is wanted. */
  resolve(): void {
    this.#start?.resolve()
    this.#start = null
    for (const { resolve } of this.#attempt.splice(0)) resolve()
  }

  /** The attempt has failed. */
  fail(error: Error): void {
    for (const { reject } of this.#attempt.splice(0)) reject(error)
  }

  /** No connection will come any more. @returns true when somebody was told who had to be. */
  end(error: Error): boolean {
    this.fail(error)
    const start = this.#start
    this.#start = null
    start?.reject(error)
    return start !== null
  }
}
