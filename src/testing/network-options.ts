import type { MaskSource } from '../protocol/index.js'
import type { ConnectionFactory } from '../transport/dial-options.js'
import type { LinkConditions } from './link-conditions.js'
import type { Seed } from './random.js'
import type { VirtualClock } from './virtual-clock.js'

/** What a network in memory is like. */
export interface VirtualNetworkOptions {
  /** Two runs with the same seed are the same run. Default 0. */
  readonly seed?: Seed | undefined
  /** Default one of its own. */
  readonly clock?: VirtualClock | undefined
  /** What links are like, unless their server says otherwise. */
  readonly conditions?: LinkConditions | undefined
  /**
   * How many turns of the event loop must pass in which nothing moves until the network counts as settled. Default 2; more for
   * a program that waits for turns of its own (`setImmediate`) several times in a row.
   */
  readonly quietTurns?: number | undefined
}

/** To be spread into the options of `connect()`. */
export interface VirtualConnectOptions {
  readonly clock: VirtualClock
  readonly createConnection: ConnectionFactory
  /** Masking keys from the seed, so that even the bytes on the wire are the same in every run. */
  readonly maskKey: MaskSource
}

/** To be spread into the options of `start()`. */
export interface VirtualStartOptions extends VirtualConnectOptions {
  /** Numbers from the seed in place of `Math.random`. */
  readonly random: () => number
}
