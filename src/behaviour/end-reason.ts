import type { Frame } from './frame.js'
import type { DisconnectType } from './disconnect-status.js'

/**
 * How a process ended.
 *
 * - `remote`, `local`, `closed`, `error`, `keepalive-timeout`: its connection ended so, and it did not reconnect
 * - `stop`: by `stop()`, by a result's `stop`, by its supervisor, or by its `AbortSignal`
 * - `timeout`: its server ended it, after `idleTimeoutMs` or `maxLifetimeMs`
 * - `name-conflict`: another process has its name now, since nodes of a registry had lost sight of each other
 * - `crash`: a callback threw, rejected, or answered badly
 * - `link`: a process linked to it ended abnormally
 */
export type EndType = DisconnectType | 'stop' | 'timeout' | 'name-conflict' | 'crash' | 'link'

/** How a process ended: what `terminate` gets and `ended` resolves with. */
export interface EndReason {
  readonly type: EndType
  /**
   * True after a Close without a code or with 1000, from either side, and after a stop whose value is no error. Links and
   * `transient` restarts depend on it.
   */
  readonly normal: boolean
  /** The code of the Close frame that ended the connection, when there was one with a code. */
  readonly code: number | null
  /** The text of that Close frame, `''` for none. */
  readonly text: string
  /** What went wrong: of the connection, of a callback, or of the linked process. Null for nothing. */
  readonly error: Error | null
  /** What `stop` was called with, whatever it was. */
  readonly value: unknown
  /** Frames that were accepted and never reached the socket, in order. */
  readonly unsent: readonly Frame[]
}
