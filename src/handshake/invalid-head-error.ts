/**
 * This side asked for a head that cannot or must not be sent, or set an impossible limit. Always thrown at
 * the call; the message names the field but never repeats its value, which may be a secret.
 */
export class InvalidHeadError extends TypeError {
  /** The same for every field; stable, unlike the message. */
  readonly code = 'WS_INVALID_HEAD' as const
  /** The field at fault, such as `target` or `headers["X-Trace"]`. */
  readonly field: string

  /** @param problem what is wrong with the field, without its value. */
  constructor(field: string, problem: string) {
    super(`Invalid handshake ${field}: ${problem}`)
    this.name = 'InvalidHeadError'
    this.field = field
  }
}
