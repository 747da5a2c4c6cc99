// The sans-IO core: frames, messages, the closing handshake. Needs `Uint8Array`, `TextEncoder` and `TextDecoder` only.
export { CloseCode, type CloseFrame, isWireCloseCode } from './close-code.js'
export type { CloseOutcome, Shutdown } from './close-outcome.js'
export { Connection } from './connection.js'
export type { ClientConnectionOptions, ConnectionOptions } from './connection-options.js'
export type { Message, ProtocolEvent } from './event.js'
export { FrameDecoder } from './frame-decoder.js'
export { FrameEncoder, GATHER_BYTES, type MaskSource } from './frame-encoder.js'
export type { FramePiece } from './frame-piece.js'
export { type Limits, resolveLimits } from './limits.js'
export { dataView, isAscii, rotateKey, xorMask } from './mask.js'
export { MessageAssembler } from './message-assembler.js'
export type {
  IncomingTransform,
  MessageTransform,
  OutgoingTransform,
  TransformSink,
} from './message-transform.js'
export { Opcode, type Role } from './opcode.js'
export type { FragmentKind } from './outgoing-fragments.js'
export { PreparedMessage, type PrepareOptions } from './prepared-message.js'
export { unmask } from './unmask.js'
export { UsageError, type UsageCode } from './usage-error.js'
export { checkUtf8, UTF8_INVALID, UTF8_START } from './utf8.js'
export { ProtocolViolation, type ViolationCode } from './violation.js'
