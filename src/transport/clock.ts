/**
 * A timer that a {@link Clock} started. What is inside is the clock's own business.
 */
export type Timer = object

/**
 * Time as the transport sees it. Tests pass one of their own and step it by hand.
 */
export interface Clock {
  /** Milliseconds on a scale that only ever goes forward; the origin means nothing. */
  now(): number
  /** Calls `callback` once, `ms` milliseconds from now. */
  setTimeout(callback: () => void, ms: number): Timer
  /** Takes a timer back. Does nothing when it has fired already. */
  clearTimeout(timer: Timer): void
}

/** Node's timers hold 31 bits; anything above would fire at once. 24.8 days. */
const MAX_DELAY_MS = 0x7fffffff

/**
 * The real time. Delays above 24.8 days are cut to that.
 */
export const systemClock: Clock = {
  now: () => performance.now(),
  setTimeout: (callback, ms) => setTimeout(callback, Math.min(ms, MAX_DELAY_MS)),
  clearTimeout: timer => {
    clearTimeout(timer as NodeJS.Timeout)
  },
}

/**
 * Calls `callback` once after `ms` milliseconds of `clock`; never for `Infinity`.
 *
 * @returns a function that takes the timer back.
 */
export const after = (clock: Clock, ms: number, callback: () => void): (() => void) => {
  if (ms === Infinity) return () => {}
  const timer = clock.setTimeout(callback, ms)
  return () => clock.clearTimeout(timer)
}
