import { UsageError } from './usage-error.js'

/** What one connection may cost. Every limit is on by default; `Infinity` is the only way to say "no limit". */
export interface Limits {
  /** Bytes of one message, all fragments together. Exceeding it fails with 1009. */
  readonly maxMessageBytes: number
  /** Frames of one message. Exceeding it fails with 1008. */
  readonly maxFragments: number
  /** Pongs that may wait for the transport, besides one more that newer pings replace (5.5.3). */
  readonly maxPendingPongs: number
}

const DEFAULTS: Limits = {
  // tungstenite 64 MiB, faye 64 MiB, ws 100 MiB, undici 128 MiB, Python websockets 1 MiB. Memory grows with what has
  // arrived (a header is believed up to 16 KiB), so a generous limit costs nothing until a peer really sends that much.
  maxMessageBytes: 64 * 1024 * 1024,
  // undici 131,072, ws 16,384 (which fails Autobahn 9.3.1: 65,536 fragments). A fragment costs us no memory, since all
  // go to one buffer; the limit bounds the work that endless empty fragments could cause.
  maxFragments: 131_072,
  // ws 60. RFC 6455 asks for one, the most recent; Autobahn 2.10 expects ten.
  maxPendingPongs: 32,
}

/**
 * Fills in defaults and checks the rest once, so that hot paths need not.
 *
 * @throws UsageError `WS_BAD_OPTION` for an unknown key, a fraction, a negative number or `NaN`.
 */
export function resolveLimits(given: Partial<Limits> = DEFAULTS): Limits {
  if (given === DEFAULTS) return DEFAULTS
  for (const [key, value] of Object.entries(given)) {
    if (!Object.hasOwn(DEFAULTS, key)) throw new UsageError('WS_BAD_OPTION', `unknown limit: ${key}`)
    if (value !== Infinity && !(Number.isInteger(value) && value >= 0)) {
      throw new UsageError('WS_BAD_OPTION', `${key} must be a whole number or Infinity, not ${String(value)}`)
    }
    if (key === 'maxFragments' && value === 0)
      throw new UsageError('WS_BAD_OPTION', 'maxFragments must be at least 1')
  }
  return { ...DEFAULTS, ...given }
}
