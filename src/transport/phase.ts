// Strategy: lookup, TCP and TLS are the same thing seen from outside: something that is started, answers once, and
// may have to be given up because its time is over or the caller aborted. `runPhase` is the only place where that race
// is decided. Whatever wins, the timer and the abort listener are gone afterwards, and `start`'s cancel function ran
// unless the step answered by itself. A late answer changes nothing.

import type { Abortable } from './abandon.js'
import { AbortError } from './abort-error.js'
import { after, type Clock } from './clock.js'

/**
 * What ends a step early.
 */
export interface PhaseLimits {
  readonly clock: Clock
  /** `Infinity` for no limit. */
  readonly limitMs: number
  readonly signal: Abortable | undefined
  /** Makes the error for a step that took longer than `limitMs`. */
  readonly timeoutError: (limitMs: number) => Error
}

/**
 * Runs one step of a connection within its limits.
 *
 * @param start - begins the step, and returns how to give it up. It gets two functions, of which the first call counts;
 * what it throws fails the step.
 * @returns what the step answered, and how many milliseconds that took.
 * @throws AbortError when the signal was or gets aborted, `timeoutError`'s error, or what the step failed with.
 */
export const runPhase = <T>(
  { clock, limitMs, signal, timeoutError }: PhaseLimits,
  start: (resolve: (value: T) => void, reject: (error: unknown) => void) => () => void,
): Promise<{ value: T; ms: number }> =>
  new Promise((resolve, reject) => {
    if (signal?.aborted === true) {
      reject(new AbortError(signal))
      return
    }
    let settled = false
    let givenUp = false
    let cancel: (() => void) | undefined
    const settle = (): boolean => {
      if (settled) return false
      settled = true
      stopTimer()
      signal?.removeEventListener('abort', onAbort)
      return true
    }
    const giveUp = (error: Error): void => {
      if (!settle()) return
      givenUp = true
      cancel?.()
      reject(error)
    }
    const onAbort = (): void => giveUp(new AbortError(signal!))
    const startedAt = clock.now()
    const stopTimer = after(clock, limitMs, () => giveUp(timeoutError(limitMs)))
    signal?.addEventListener('abort', onAbort)
    const fail = (error: unknown): void => {
      if (settle()) reject(error)
    }
    try {
      cancel = start(value => {
        if (settle()) resolve({ value, ms: clock.now() - startedAt })
      }, fail)
      if (givenUp) cancel()
    } catch (error) {
      fail(error)
    }
  })
