import type { Abortable } from './abandon.js'

/**
 * The caller's `AbortSignal` ended the operation. The same name and code as Node's own, so that one test fits both;
 * `cause` is the signal's `reason`.
 */
export class AbortError extends Error {
  override readonly name = 'AbortError'
  /** Node's own code for an aborted operation. */
  readonly code = 'ABORT_ERR'

  /** @param signal - the signal that was aborted. */
  constructor(signal: Abortable) {
    super('the operation was aborted', { cause: signal.reason })
  }
}
