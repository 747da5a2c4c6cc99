// Strategy: one object keeps what the decision depends on: how many retries are left and how far the delays have grown. Both
// begin anew only after a connection that lived for a while, so that a server that accepts and hangs up at once is met with
// growing patience too. Full jitter spreads the clients of a server that went down over the whole delay; without it they
// come back in step.
import { UsageError } from '../protocol/index.js'
import { milliseconds, requireOptions } from '../transport/dial-options.js'
import { headerValue, type RefusedResponse } from '../handshake/index.js'
import { BadResponseError } from './bad-response-error.js'
import type { DisconnectStatus } from './disconnect-status.js'

/** How to connect again after a connection was lost or could not be made. Times are in milliseconds. */
export interface ReconnectOptions {
  /** How many attempts in a row may fail. Default `Infinity`; 0 is none at all. */
  readonly retries?: number | undefined
  /** Whether the first attempt after a lost connection waits like the others. Default `'delayed'`. */
  readonly first?: 'immediate' | 'delayed' | undefined
  /** The longest that the first delay can be (with `jitter: 'none'` the first delay). Default 1,000. */
  readonly minDelayMs?: number | undefined
  /** The longest that any delay can be. Default 30,000. */
  readonly maxDelayMs?: number | undefined
  /** How many times as long each delay may be as the one before. Default 2. */
  readonly factor?: number | undefined
  /** `'full'`: anything between 0 and the longest; `'equal'`: half of it or more; `'none'`: all of it. Default `'full'`. */
  readonly jitter?: 'full' | 'equal' | 'none' | undefined
  /** A connection that lived this long begins retries and delays anew. Default 5,000. */
  readonly resetAfterMs?: number | undefined
  /** Connects again after a clean close (without a code, or 1000) too. Default false. */
  readonly onClean?: boolean | undefined
  /**
   * Decides instead of all the above but `retries` and `onClean`: how many retries are left after this one, and its delay; or
   * that it is hopeless. Not asked when none is left.
   */
  readonly decide?: ((retriesLeft: number, status: DisconnectStatus) => ReconnectDecision) | undefined
}

/** See {@link ReconnectOptions.decide}. */
export type ReconnectDecision = { readonly retries: number; readonly delayMs: number } | 'fatal'

const OPTIONS: Readonly<Record<keyof ReconnectOptions, true>> = {
  retries: true,
  first: true,
  minDelayMs: true,
  maxDelayMs: true,
  factor: true,
  jitter: true,
  resetAfterMs: true,
  onClean: true,
  decide: true,
}

// gun 5; partysocket and Python websockets for ever.
const RETRIES = Infinity
// gun tries at once. That is what brings a thousand clients back in the same millisecond, so it must be asked for.
const FIRST = 'delayed'
// Python websockets up to 5 s, partysocket 3 s, gun 5 s, the AWS paper on jitter 0.1 s.
const MIN_DELAY_MS = 1000
// partysocket 10 s, Python websockets 90 s; gun and WebSockex do not grow.
const MAX_DELAY_MS = 30_000
// Python websockets 1.618, partysocket 1.3.
const FACTOR = 2
// partysocket 5 s (`minUptime`); gun and Python at once.
const RESET_AFTER_MS = 5000
/** What a `Retry-After` may ask for at most. */
const MAX_RETRY_AFTER_MS = 3_600_000

/** The policy of one process. */
export class ReconnectPolicy {
  readonly #options: ReconnectOptions
  readonly #retries: number
  readonly #minDelayMs: number
  readonly #maxDelayMs: number
  readonly #factor: number
  readonly #resetAfterMs: number
  readonly #random: () => number
  #left: number
  /** What the next delay can be at most, but for `maxDelayMs`. */
  #longestMs: number
  /** True until there was something to decide since a connection that lived. */
  #begins = true

  /**
   * @param random - gives numbers of at least 0 and less than 1.
   * @throws UsageError `WS_BAD_OPTION`.
   */
  constructor(options: ReconnectOptions, random: () => number) {
    requireOptions(options, OPTIONS, 'reconnect')
    const { retries = RETRIES, first = FIRST, factor = FACTOR, jitter = 'full', decide } = options
    requireThat(
      retries === Infinity || (Number.isInteger(retries) && retries >= 0),
      'retries must be a whole number',
    )
    requireThat(first === 'immediate' || first === 'delayed', "first must be 'immediate' or 'delayed'")
    requireThat(['full', 'equal', 'none'].includes(jitter), "jitter must be 'full', 'equal' or 'none'")
    requireThat(typeof factor === 'number' && factor >= 1, 'factor must be at least 1')
    requireThat(decide === undefined || typeof decide === 'function', 'decide must be a function')
    this.#options = { ...options, first, jitter }
    this.#retries = retries
    this.#minDelayMs = milliseconds('reconnect.minDelayMs', options.minDelayMs, MIN_DELAY_MS, 0)
    this.#maxDelayMs = milliseconds('reconnect.maxDelayMs', options.maxDelayMs, MAX_DELAY_MS, 0)
    this.#resetAfterMs = milliseconds('reconnect.resetAfterMs', options.resetAfterMs, RESET_AFTER_MS, 0)
    this.#factor = factor
    this.#random = random
    this.#left = retries
    this.#longestMs = this.#minDelayMs
  }

  /** A connection was open for this long. */
  lived(ms: number): void {
    if (ms < this.#resetAfterMs) return
    this.#left = this.#retries
    this.#longestMs = this.#minDelayMs
    this.#begins = true
  }

  /**
   * Decides what follows a disconnect.
   *
   * @param fresh - true when the next attempt is made with other credentials.
   * @returns the delay in milliseconds; null to give up.
   */
  decide(status: DisconnectStatus, fresh: boolean): number | null {
    if (status.reason.normal && this.#options.onClean !== true) return null
    if (this.#left <= 0) return null
    const { decide } = this.#options
    if (decide !== undefined) return this.#asked(decide(this.#left, status))
    if (isHopeless(status, fresh)) return null
    this.#left--
    return this.delay(status)
  }

  /** The next delay, whatever the number of retries; it grows with each call. */
  delay({ phase, httpResponse }: Pick<DisconnectStatus, 'phase' | 'httpResponse'>): number {
    const wasOpen = phase === 'open' || phase === 'closing'
    const begins = this.#begins
    this.#begins = false
    if (begins && wasOpen && this.#options.first === 'immediate') return 0
    const longest = Math.min(this.#maxDelayMs, this.#longestMs)
    this.#longestMs = longest * this.#factor
    const { jitter } = this.#options
    const least = jitter === 'none' ? longest : jitter === 'equal' ? longest / 2 : 0
    const random = this.#random()
    // A generator that is broken must not make a busy loop.
    const delay = least + (random >= 0 && random <= 1 ? random : 1) * (longest - least)
    return httpResponse === null ? delay : delay + retryAfterMs(httpResponse)
  }

  #asked(decision: ReconnectDecision): number | null {
    if (decision === 'fatal') return null
    const { retries, delayMs } = decision ?? {}
    if (!(isCount(retries) && isCount(delayMs))) {
      // It may be a promise that rejects, and nobody else looks at it.
      Promise.resolve(decision).catch(() => {})
      throw new BadResponseError('reconnect.decide', decision, "'fatal', or the retries left and a delay")
    }
    this.#left = retries
    return delayMs
  }
}

const isCount = (value: unknown): boolean => typeof value === 'number' && value >= 0

/**
 * The server understood and refused: the same request will be refused again. What 4xx asks to come back later for (408, 425,
 * 429) and every 5xx may pass. Python websockets gives up on all but 500, 502, 503 and 504; gun and the others never.
 */
function isHopeless({ httpResponse }: DisconnectStatus, fresh: boolean): boolean {
  if (httpResponse === null) return false
  const { status } = httpResponse
  // A token that has expired in between is no reason to give up, when the next attempt has another.
  if (fresh && [401, 403, 407].includes(status)) return false
  return status >= 200 && status < 500 && ![408, 425, 429].includes(status)
}

/** RFC 9110 10.2.3, in seconds; dates are not looked at, since the clocks need not agree. */
function retryAfterMs({ headers }: RefusedResponse): number {
  const value = headerValue(headers, 'retry-after')
  return value !== null && /^\d+$/.test(value) ? Math.min(Number(value) * 1000, MAX_RETRY_AFTER_MS) : 0
}

function requireThat(condition: boolean, message: string): void {
  if (!condition) throw new UsageError('WS_BAD_OPTION', `reconnect.${message}`)
}
