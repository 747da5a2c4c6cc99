import type { MaskSource } from './frame-encoder.js'
import type { Limits } from './limits.js'
import type { MessageTransform } from './message-transform.js'
import type { Role } from './opcode.js'
import { UsageError } from './usage-error.js'

/** How a connection is set up, both roles. */
export interface ConnectionOptions {
  readonly limits?: Partial<Limits>
  /** Answer pings without being asked to (5.5.2). Default true; with false the user owes the peer the pong. */
  readonly autoPong?: boolean
  /** What a negotiated extension does to messages, for this connection alone. Default nothing. */
  readonly transform?: MessageTransform | null
}

/** A client also needs a source of masking keys. */
export interface ClientConnectionOptions extends ConnectionOptions {
  readonly maskKey: MaskSource
}

/** The source of masking keys, null for a server. @throws UsageError `WS_BAD_OPTION`. */
export function requireMaskKey(
  role: Role,
  options: ConnectionOptions | ClientConnectionOptions,
): MaskSource | null {
  const maskKey = 'maskKey' in options ? options.maskKey : null
  if (role !== 'client' && role !== 'server')
    throw new UsageError('WS_BAD_OPTION', 'role must be client or server')
  // 5.1: a client MUST mask all frames, so it cannot go without keys.
  if (role === 'client' && typeof maskKey !== 'function')
    throw new UsageError('WS_BAD_OPTION', 'a client needs maskKey')
  return maskKey
}
