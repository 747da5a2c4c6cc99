import { AbortError } from '../transport/abort-error.js'
import { after, type Clock } from '../transport/clock.js'
import { milliseconds } from '../transport/dial-options.js'
import type { From } from './from.js'
import { CallTimeoutError } from './process-error.js'
import type { CallOptions } from './process.js'

// Erlang and WebSockex 5 s.
const TIMEOUT_MS = 5000

/** Calls that wait for their answer: each one ends by it, by its time limit, by its signal, or with the process. */
export class PendingCalls {
  readonly #clock: Clock
  readonly #rejects = new Set<(error: Error) => unknown>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** True when no call waits. */
  get empty(): boolean {
    return this.#rejects.size === 0
  }

  /**
   * Begins a call.
   *
   * @param what - names it in a CallTimeoutError.
   * @throws UsageError `WS_BAD_OPTION`.
   */
  begin<Answer>(
    what: string,
    options: CallOptions,
  ): {
    readonly from: From<Answer>
    readonly answer: Promise<Answer>
    readonly fail: (error: unknown) => void
  } {
    const timeoutMs = milliseconds('timeoutMs', options.timeoutMs, TIMEOUT_MS)
    const { signal } = options
    let resolve!: (answer: Answer) => void
    let reject!: (error: unknown) => void
    const answer = new Promise<Answer>((...ends) => {
      ;[resolve, reject] = ends
    })
    const done = (): boolean => {
      cancel()
      signal?.removeEventListener('abort', abort)
      return this.#rejects.delete(fail)
    }
    const fail = (error: unknown): boolean => {
      if (!done()) return false
      reject(error)
      return true
    }
    const abort = (): void => void fail(new AbortError(signal!))
    const cancel = after(this.#clock, timeoutMs, () => void fail(new CallTimeoutError(what, timeoutMs)))
    this.#rejects.add(fail)
    signal?.addEventListener('abort', abort)
    const settle = (value: Answer): boolean => {
      if (!done()) return false
      resolve(value)
      return true
    }
    const rejects = this.#rejects
    const from: From<Answer> = {
      get waiting() {
        return rejects.has(fail)
      },
      settle,
      fail,
    }
    return { from, answer, fail }
  }

  /** No answer will come any more. */
  end(gone: () => Error): void {
    if (this.#rejects.size === 0) return
    const error = gone()
    for (const reject of this.#rejects) reject(error)
  }
}
