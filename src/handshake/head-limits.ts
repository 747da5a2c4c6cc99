import { InvalidHeadError } from './invalid-head-error.js'

/** How much of a head is read before it is refused. `Infinity` is the only "no limit". */
export interface HeadLimits {
  /** Bytes from the first of the start line to the end of the blank line. */
  readonly maxHeadBytes: number
  /** Header lines. */
  readonly maxHeaders: number
}

// Precedents: Node reads 16 KiB and 2,000 headers, h11 16 KiB; Apache 8,190 bytes a line and 100 headers;
// nginx 32 KiB in buffers of 8 KiB; Python's websockets 128 lines of 8 KiB.
const defaults: HeadLimits = { maxHeadBytes: 16 * 1024, maxHeaders: 128 }

/**
 * Fills in the limits that were not given.
 * @throws InvalidHeadError for an unknown name, or a value that is neither a whole number from 1 on nor
 * `Infinity`
 */
export function resolveHeadLimits(limits: Partial<HeadLimits> = defaults): HeadLimits {
  if (limits === defaults) return defaults
  for (const [name, value] of Object.entries(limits)) {
    if (!Object.hasOwn(defaults, name)) throw new InvalidHeadError(name, 'there is no such limit')
    if (value !== undefined && !(value >= 1 && (Number.isSafeInteger(value) || value === Infinity))) {
      throw new InvalidHeadError(name, 'must be a whole number from 1 on, or Infinity')
    }
  }
  return {
    maxHeadBytes: limits.maxHeadBytes ?? defaults.maxHeadBytes,
    maxHeaders: limits.maxHeaders ?? defaults.maxHeaders,
  }
}
