import { CloseCode, type CloseFrame, isWireCloseCode } from './close-code.js'
import { MAX_CONTROL_PAYLOAD_BYTES } from './opcode.js'
import { allocate, decodeUtf8, EMPTY, isUtf8, utf8Length, view, writeUtf8 } from './runtime.js'
import { UsageError } from './usage-error.js'
import { ProtocolViolation } from './violation.js'

/**
 * Reads the payload of a received Close frame. RFC 6455, section 5.5.1.
 *
 * @throws ProtocolViolation for one byte, a code that must not be on the wire, or a reason that is not UTF-8.
 */
export function parseClosePayload(payload: Uint8Array): CloseFrame {
  // 7.1.5: without a code in the frame, the close code is considered to be 1005.
  if (payload.length === 0) return { code: CloseCode.NoStatus, reason: '' }
  // 5.5.1: if there is a body, its first two bytes MUST be an unsigned integer in network byte order.
  if (payload.length === 1) throw new ProtocolViolation('WS_CLOSE_PAYLOAD')
  const code = (payload[0] << 8) | payload[1]
  if (!isWireCloseCode(code)) throw new ProtocolViolation('WS_CLOSE_CODE', String(code))
  // 8.1: the reason is UTF-8 as well.
  if (!isUtf8(view(payload, 2, payload.length)))
    throw new ProtocolViolation('WS_INVALID_UTF8', 'close reason')
  return { code, reason: decodeUtf8(payload, 2, payload.length) }
}

/**
 * Builds the payload of a Close frame; 1005 stands for an empty one.
 *
 * @throws UsageError `WS_BAD_CLOSE` for a code that must not be sent (7.4) or a reason over 123 bytes of UTF-8.
 */
export function encodeClosePayload({ code, reason }: CloseFrame): Uint8Array {
  if (code === CloseCode.NoStatus) {
    if (reason !== '') throw new UsageError('WS_BAD_CLOSE', 'a close reason needs a code')
    return EMPTY
  }
  if (!isWireCloseCode(code)) {
    throw new UsageError(
      'WS_BAD_CLOSE',
      `close code must be 1000-1003, 1007-1014 or 3000-4999, not ${String(code)}`,
    )
  }
  const bytes = 2 + utf8Length(reason)
  if (bytes > MAX_CONTROL_PAYLOAD_BYTES) {
    throw new UsageError('WS_BAD_CLOSE', `close reason takes ${bytes - 2} bytes of UTF-8, more than 123`)
  }
  const payload = allocate(bytes)
  payload[0] = code >> 8
  payload[1] = code & 0xff
  if (bytes > 2) writeUtf8(payload, reason, 2)
  return payload
}
