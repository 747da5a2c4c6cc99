import type { StartOptions } from '../../behaviour/start-options.js'

/** Time as processes see it. */
export type Clock = NonNullable<StartOptions['clock']>

/** Node's timers hold 31 bits; anything above would fire at once. */
const MAX_DELAY_MS = 0x7fffffff

/** The real time. */
export const systemClock: Clock = {
  now: () => performance.now(),
  setTimeout: (callback, ms) => setTimeout(callback, Math.min(ms, MAX_DELAY_MS)),
  clearTimeout: timer => {
    clearTimeout(timer as NodeJS.Timeout)
  },
}

/** Calls `callback` once after `ms` milliseconds; never for `Infinity`. @returns a function that takes the timer back. */
export function after(clock: Clock, ms: number, callback: () => void): () => void {
  if (ms === Infinity) return () => {}
  const timer = clock.setTimeout(callback, ms)
  return () => clock.clearTimeout(timer)
}
