import { ProtocolViolation } from '../protocol/index.js'
import { ConnectionError } from './connection-error.js'
import { NotConnectedError } from './not-connected-error.js'

/** How a connection ended that did not end cleanly. */
export interface Loss {
  /** What the stream said. */
  readonly cause: Error | null
  /** The limit for closing that was reached. */
  readonly limitMs: number | null
  /** Whether this side ended it. */
  readonly terminated: boolean
  /** Whether this side had not sent a Close frame. */
  readonly open: boolean
}

/** What only says that the connection is gone, which `closed` tells as well. */
export const isLost = (error: unknown): boolean =>
  error instanceof ConnectionError || error instanceof NotConnectedError || error instanceof ProtocolViolation

/** The error that tells of it. */
export function lossError(peer: string, { cause, limitMs, terminated, open }: Loss): ConnectionError {
  const details = cause === null ? {} : { cause }
  if (terminated) return new ConnectionError('WS_CLOSED_LOCALLY', peer, details)
  if (limitMs !== null) return new ConnectionError('WS_CLOSE_TIMEOUT', peer, { limitMs })
  return new ConnectionError('WS_CONNECTION_LOST', peer, { ...details, phase: open ? 'open' : 'closing' })
}
