import { CloseCode } from './close-code.js'

/** Stable names of the ways a peer can break RFC 6455 or our limits; the texts may change, these do not. */
export type ViolationCode =
  | 'WS_RESERVED_BITS'
  | 'WS_UNKNOWN_OPCODE'
  | 'WS_MASK_EXPECTED'
  | 'WS_MASK_FORBIDDEN'
  | 'WS_LENGTH_NOT_MINIMAL'
  | 'WS_LENGTH_INVALID'
  | 'WS_CONTROL_TOO_LONG'
  | 'WS_CONTROL_FRAGMENTED'
  | 'WS_CONTINUATION_UNEXPECTED'
  | 'WS_CONTINUATION_EXPECTED'
  | 'WS_CLOSE_PAYLOAD'
  | 'WS_CLOSE_CODE'
  | 'WS_INVALID_UTF8'
  | 'WS_MESSAGE_TOO_BIG'
  | 'WS_TOO_MANY_FRAGMENTS'
  | 'WS_BAD_COMPRESSION'
  | 'WS_COMPRESSION_COST'

/** For each violation the Close code that answers it and what is said about it. */
const VIOLATIONS: Record<ViolationCode, readonly [closeCode: number, message: string]> = {
  // 5.2: RSV bits MUST be 0 unless an extension defines them.
  WS_RESERVED_BITS: [CloseCode.ProtocolError, 'reserved bits set without a negotiated extension'],
  // 5.2: an unknown opcode MUST fail the connection.
  WS_UNKNOWN_OPCODE: [CloseCode.ProtocolError, 'unknown opcode'],
  // 5.1: a server MUST close the connection upon an unmasked frame.
  WS_MASK_EXPECTED: [CloseCode.ProtocolError, 'frame from a client is not masked'],
  // 5.1: a client MUST close the connection upon a masked frame.
  WS_MASK_FORBIDDEN: [CloseCode.ProtocolError, 'frame from a server is masked'],
  // 5.2: the minimal number of bytes MUST be used to encode the length.
  WS_LENGTH_NOT_MINIMAL: [CloseCode.ProtocolError, 'payload length is not minimally encoded'],
  // 5.2: the most significant bit of the 64-bit length MUST be 0.
  WS_LENGTH_INVALID: [CloseCode.ProtocolError, 'most significant bit of the payload length is set'],
  // 5.5: control frames MUST have a payload of 125 bytes or less …
  WS_CONTROL_TOO_LONG: [CloseCode.ProtocolError, 'control frame longer than 125 bytes'],
  // … and MUST NOT be fragmented.
  WS_CONTROL_FRAGMENTED: [CloseCode.ProtocolError, 'control frame is fragmented'],
  // 5.4: a continuation needs a message to continue.
  WS_CONTINUATION_UNEXPECTED: [CloseCode.ProtocolError, 'continuation frame without a message to continue'],
  // 5.4: fragments of one message MUST NOT be interleaved with those of another.
  WS_CONTINUATION_EXPECTED: [CloseCode.ProtocolError, 'new message before the last one ended'],
  // 5.5.1: a Close payload, if any, starts with a two-byte code.
  WS_CLOSE_PAYLOAD: [CloseCode.ProtocolError, 'Close frame with a payload of one byte'],
  // 7.4: codes that must not appear on the wire.
  WS_CLOSE_CODE: [CloseCode.ProtocolError, 'invalid code in a Close frame'],
  // 8.1: text that is not UTF-8 MUST fail the connection.
  WS_INVALID_UTF8: [CloseCode.InvalidPayload, 'text is not valid UTF-8'],
  // 10.4: implementation limits on frame and message size.
  WS_MESSAGE_TOO_BIG: [CloseCode.MessageTooBig, 'message is longer than maxMessageBytes'],
  WS_TOO_MANY_FRAGMENTS: [CloseCode.PolicyViolation, 'message has more fragments than maxFragments'],
  // RFC 7692, 7.2.2: what is not DEFLATE has no contents; ws and faye say 1007 too.
  WS_BAD_COMPRESSION: [CloseCode.InvalidPayload, 'message cannot be decompressed'],
  // RFC 7692, 8: a message made to cost far more than it says.
  WS_COMPRESSION_COST: [CloseCode.PolicyViolation, 'message is too costly to decompress'],
}

/**
 * The peer broke RFC 6455 or one of our limits. Never thrown to a user of `Connection`: it arrives there in a
 * `fail` event. `FrameDecoder` and `MessageAssembler`, used on their own, do throw it.
 */
export class ProtocolViolation extends Error {
  override readonly name = 'ProtocolViolation'
  /** Which rule or limit was broken; stable, unlike the message. */
  readonly code: ViolationCode
  /** The code that the Close frame answering it carries. */
  readonly closeCode: number

  /** @param detail follows the message after a colon. */
  constructor(code: ViolationCode, detail?: string) {
    const [closeCode, message] = VIOLATIONS[code]
    super(detail === undefined ? message : `${message}: ${detail}`)
    this.code = code
    this.closeCode = closeCode
  }
}
