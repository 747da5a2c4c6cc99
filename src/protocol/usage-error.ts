import { MAX_CONTROL_PAYLOAD_BYTES } from './opcode.js'

/** Stable names of what a caller can get wrong. */
export type UsageCode =
  /** The connection is closing or closed: it takes no more messages. */
  | 'WS_NOT_OPEN'
  /** Bytes were given after the end of the transport was announced. */
  | 'WS_AFTER_END'
  /** A close code that must not be sent, or a reason longer than 123 bytes. */
  | 'WS_BAD_CLOSE'
  | 'WS_BAD_OPTION'
  /** A message begun inside another, or a continuation without a message. */
  | 'WS_BAD_SEQUENCE'
  /** A ping or pong with more than 125 bytes. */
  | 'WS_CONTROL_PAYLOAD'
  /** Data of a type that cannot be sent, or text bytes that are not UTF-8. */
  | 'WS_BAD_DATA'
  | 'WS_BAD_URL'

/** This side asked for something that RFC 6455 or the current state forbids. Always thrown, at the call. */
export class UsageError extends Error {
  override readonly name = 'UsageError'
  /** What was wrong; stable, unlike the message. */
  readonly code: UsageCode

  /** @param message for a developer to read, not part of the API. */
  constructor(code: UsageCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.code = code
  }
}

/** Guards against a number or an array from untyped code, which a view's constructor would take for a length. */
export function requireBytes(data: Uint8Array): void {
  if (!(data instanceof Uint8Array))
    throw new UsageError('WS_BAD_DATA', `expected a Uint8Array, not ${typeof data}`)
}

/** Guards as `requireBytes`, and keeps control frames to what 5.5 allows. */
export function requireControl(data: Uint8Array): void {
  requireBytes(data)
  // 5.5: all control frames MUST have a payload of 125 bytes or less.
  if (data.length > MAX_CONTROL_PAYLOAD_BYTES)
    throw new UsageError('WS_CONTROL_PAYLOAD', `${data.length} bytes, a control frame takes 125`)
}

/** Guards against anything else from untyped code. */
export function requireString(data: string): void {
  if (typeof data !== 'string')
    throw new UsageError('WS_BAD_DATA', `sendText takes a string, not ${typeof data}`)
}
