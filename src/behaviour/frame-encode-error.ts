/** Why a frame cannot be encoded. */
export type FrameEncodeReason =
  /** A Ping or Pong with more than 125 bytes, or a Close with more than 123 beside its code. */
  | 'control-frame-too-large'
  /** A close code that must not be sent: below 1000, 1004 to 1006, 1015 to 2999, above 4999. */
  | 'close-code-out-of-range'
  /** An empty Close frame has no room for a reason. */
  | 'close-reason-without-code'
  /** A message begun inside another, or a continuation without a message. */
  | 'fragment-sequence'

const TEXTS: Readonly<Record<FrameEncodeReason, string>> = {
  'control-frame-too-large': 'the payload of a control frame is longer than it may be',
  'close-code-out-of-range': 'the close code must not be sent',
  'close-reason-without-code': 'a close reason needs a code',
  'fragment-sequence': 'the fragment does not fit what was sent before',
}

/** The frame is one, but RFC 6455 does not let it be sent. Nothing was sent. WebSockex: `FrameEncodeError`. */
export class FrameEncodeError extends Error {
  override readonly name = 'FrameEncodeError'
  /** The same for every reason; stable, unlike the message. */
  readonly code = 'WS_FRAME_ENCODE'
  /** Why; stable. */
  readonly reason: FrameEncodeReason
  /** What was given. */
  readonly frame: unknown

  /** @param frame - what was given. */
  constructor(reason: FrameEncodeReason, frame: unknown, options?: ErrorOptions) {
    super(TEXTS[reason], options)
    this.reason = reason
    this.frame = frame
  }
}
