import { randomBytes } from 'node:crypto'
import { inspect } from 'node:util'
import { UsageError } from '../../protocol/index.js'
import { type Clock, systemClock } from './clock.js'

/** How a registry on Redis works. */
export interface RedisRegistryOptions {
  /** The beginning of each key and channel, by which several systems share one Redis. Default `sansocket`. */
  readonly prefix?: string | undefined
  /** The beginning of what this node is called; something random is added. Letters, digits, `.`, `_` and `-`. Default `node`. */
  readonly node?: string | undefined
  /**
   * For how long what a node has stays its own when it is not heard of. Default 10,000: as long as Consul's shortest session
   * and Kubernetes' node lease are of that order; Redis hears of each node every third of it.
   */
  readonly leaseMs?: number | undefined
  /** For how long Redis, and then the other nodes, may take to answer. Default 5,000, as a call to a process. */
  readonly timeoutMs?: number | undefined
  /** Where time comes from. */
  readonly clock?: Clock | undefined
}

/** All of the options. */
export interface RedisSettings {
  readonly prefix: string
  readonly node: string
  readonly leaseMs: number
  readonly timeoutMs: number
  readonly clock: Clock
}

/** The beginning of each key and channel: a hash tag, so that in a Redis Cluster all are in one slot. */
export const keysOf = (prefix: string): string => `{${prefix}}:`

const KNOWN = new Set(['prefix', 'node', 'leaseMs', 'timeoutMs', 'clock'])
const MIN_LEASE_MS = 30

/** @throws UsageError `WS_BAD_OPTION`. */
export function resolveRedisOptions(options: RedisRegistryOptions): RedisSettings {
  for (const key of Object.keys(options)) if (!KNOWN.has(key)) throw badOption(`there is no option ${key}`)
  const {
    prefix = 'sansocket',
    node = 'node',
    leaseMs = 10_000,
    timeoutMs = 5000,
    clock = systemClock,
  } = options
  // A brace would be another hash tag, and a glob could not be given to one user only.
  if (typeof prefix !== 'string' || !/^[^{}*?[\]\s\0]+$/.test(prefix)) {
    throw badOption(`prefix is a text without braces, spaces and globs, and not ${inspect(prefix)}`)
  }
  if (typeof node !== 'string' || !/^[\w.-]{1,100}$/.test(node)) {
    throw badOption(`node is made of letters, digits, ".", "_" and "-", and not ${inspect(node)}`)
  }
  if (!Number.isSafeInteger(leaseMs) || leaseMs < MIN_LEASE_MS) {
    throw badOption(`leaseMs is a whole number of at least ${MIN_LEASE_MS}, and not ${inspect(leaseMs)}`)
  }
  if (typeof timeoutMs !== 'number' || !(timeoutMs > 0)) {
    throw badOption(`timeoutMs is more than 0, and not ${inspect(timeoutMs)}`)
  }
  // Random, so that a node that starts again is another one, and nothing that was meant for it before is.
  return { prefix, node: `${node}-${randomBytes(8).toString('hex')}`, leaseMs, timeoutMs, clock }
}

const badOption = (message: string): UsageError => new UsageError('WS_BAD_OPTION', message)
