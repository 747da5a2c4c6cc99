import { quiet } from '../transport/send-queue.js'

interface Waiter {
  readonly resolve: () => void
  readonly reject: (error: Error) => void
}

/**
 * Who waits for a connection: the start for the first one, however many attempts it takes, others for the attempt of now.
 * Errors are made when somebody is told: they cost more than all the rest.
 */
export class Waiters {
  #start: Waiter | null = null
  #attempt: Waiter[] = []

  /** True when nobody waits. */
  get empty(): boolean {
    return this.#start === null && this.#attempt.length === 0
  }

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
  fail(lost: () => Error): void {
    if (this.#attempt.length === 0) return
    const error = lost()
    for (const { reject } of this.#attempt.splice(0)) reject(error)
  }

  /** No connection will come any more. @returns true when somebody was told who had to be. */
  end(lost: () => Error): boolean {
    this.fail(lost)
    const start = this.#start
    this.#start = null
    start?.reject(lost())
    return start !== null
  }
}
