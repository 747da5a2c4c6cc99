/**
 * Something was asked of a socket that is not open (any more). Nothing was sent.
 */
export class NotConnectedError extends Error {
  override readonly name = 'NotConnectedError'
  /** The same for every state; stable, unlike the message. */
  readonly code = 'WS_NOT_CONNECTED'
  /** The state that the socket was in, such as `'closing'` or `'closed'`. */
  readonly state: string

  /**
   * @param state - the state that the socket, or the process, is in.
   * @param detail - follows the message after a comma.
   */
  constructor(state: string, detail?: string) {
    super(`not connected: ${state}${detail === undefined ? '' : `, ${detail}`}`)
    this.state = state
  }
}
