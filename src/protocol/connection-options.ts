import type { MaskSource } from './frame-encoder.js'
import type { Limits } from './limits.js'

/** How a connection is set up, both roles. */
export interface ConnectionOptions {
  readonly limits?: Partial<Limits>
  /** Answer pings without being asked to (5.5.2). Default true; with false the user owes the peer the pong. */
  readonly autoPong?: boolean
  /** The RSV bits that negotiated extensions own. Default none. */
  readonly allowedRsv?: number
}

/** A client also needs a source of masking keys. */
export interface ClientConnectionOptions extends ConnectionOptions {
  readonly maskKey: MaskSource
}
