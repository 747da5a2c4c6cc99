/**
 * Something was asked of a socket that is not open (any more). Nothing was sent.
 */
export class NotConnectedError extends Error {
  override readonly name = 'NotConnectedError'
  /** The same for every state; stable, unlike the message. */
  readonly code = 'WS_NOT_CONNECTED'
  /** The state that the socket was in, such as `'closing'` or `'closed'`. */
  readonly state: string

  /** @param state - the state that the socket is in. */
  constructor(state: string) {
    super(`the socket is ${state}`)
    this.state = state
  }
}
