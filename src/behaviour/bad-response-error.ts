import { inspect } from 'node:util'

/** A callback answered something that is no result. WebSockex: `BadResponseError`. */
export class BadResponseError extends Error {
  override readonly name = 'BadResponseError'
  /** Stable, unlike the message. */
  readonly code = 'WS_BAD_RESPONSE'
  /** The callback, such as `handleFrame`. */
  readonly callback: string
  /** What it answered. */
  readonly response: unknown

  /** @param why - what is wrong with the answer, after a colon in the message. */
  constructor(callback: string, response: unknown, why: string, options?: ErrorOptions) {
    super(
      `${callback} answered ${inspect(response, { depth: 1, maxStringLength: 40, breakLength: Infinity })}: ${why}`,
      options,
    )
    this.callback = callback
    this.response = response
  }
}
