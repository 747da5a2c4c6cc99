import { UsageError } from '../protocol/index.js'
import type { Range } from './random.js'

/**
 * What a link is like. Where there is a range instead of a number, one is drawn for each segment, from the seed. By default
 * bytes arrive at once, in the pieces they were written in or in larger ones.
 */
export interface LinkConditions {
  /** How long a segment is on its way, in milliseconds. Segments never overtake each other. Default 0. */
  readonly latencyMs?: Range | undefined
  /** How fast bytes leave; a segment that waits holds up the next. Default `Infinity`. */
  readonly bytesPerSecond?: Range | undefined
  /** The largest piece in which bytes arrive; what is written together is joined and then cut. Default 65,536. */
  readonly segmentBytes?: Range | undefined
  /** How many bytes the network takes before the other end has read some. Default 65,536. */
  readonly windowBytes?: number | undefined
}

/** {@link LinkConditions} with every default filled in. */
export type ResolvedConditions = {
  readonly [Name in keyof LinkConditions]-?: NonNullable<LinkConditions[Name]>
}

/** How Node reads a socket: in chunks of 64 KiB. A system's buffers hold that much to some megabytes. */
export const DEFAULT_CONDITIONS: ResolvedConditions = {
  latencyMs: 0,
  bytesPerSecond: Infinity,
  segmentBytes: 65_536,
  windowBytes: 65_536,
}

// The least that makes sense, and whether `Infinity` does.
const BOUNDS: Readonly<Record<keyof LinkConditions, readonly [least: number, endless: boolean]>> = {
  latencyMs: [0, false],
  bytesPerSecond: [Number.MIN_VALUE, true],
  segmentBytes: [1, true],
  windowBytes: [1, true],
}

/**
 * Lays conditions over others.
 *
 * @throws UsageError `WS_BAD_OPTION` for an unknown name, a value that makes no sense, or a range that runs backwards.
 */
export function resolveConditions(given: LinkConditions, base: ResolvedConditions): ResolvedConditions {
  const resolved: Record<string, Range> = { ...base }
  for (const [name, value] of Object.entries(given) as [keyof LinkConditions, Range | undefined][]) {
    if (!Object.hasOwn(BOUNDS, name)) throw new UsageError('WS_BAD_OPTION', `a link has no condition ${name}`)
    if (value === undefined) continue
    const [least, endless] = BOUNDS[name]
    const [from, to] = typeof value === 'number' ? [value, value] : value
    const wrong = !(from >= least && to >= from) || (to === Infinity && !(endless && from === to))
    if (wrong || (name === 'windowBytes' && typeof value !== 'number'))
      throw new UsageError('WS_BAD_OPTION', `${name} must not be ${JSON.stringify(value)}`)
    resolved[name] = value
  }
  return resolved as unknown as ResolvedConditions
}
