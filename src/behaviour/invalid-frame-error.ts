import { inspect } from 'node:util'

/** What was given is no frame. Nothing was sent. WebSockex: `InvalidFrameError`. */
export class InvalidFrameError extends Error {
  override readonly name = 'InvalidFrameError'
  /** Stable, unlike the message. */
  readonly code = 'WS_INVALID_FRAME'
  /** What was given. */
  readonly frame: unknown

  /** @param frame - what was given. */
  constructor(frame: unknown, options?: ErrorOptions) {
    super(
      `not a frame: ${inspect(frame, { depth: 1, maxStringLength: 40, maxArrayLength: 4, breakLength: Infinity })}`,
      options,
    )
    this.frame = frame
  }
}
