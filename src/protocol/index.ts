// The sans-IO core: frames, messages, the closing handshake. Needs `Uint8Array`, `TextEncoder` and `TextDecoder` only.
export { CloseCode, type CloseFrame, isWireCloseCode } from './close-code.js'
export {
  type ClientConnectionOptions,
  type CloseOutcome,
  Connection,
  type ConnectionOptions,
  type Shutdown,
} from './connection.js'
export type { Message, ProtocolEvent } from './event.js'
export { FrameDecoder, type FramePiece } from './frame-decoder.js'
export { FrameEncoder, type MaskSource } from './frame-encoder.js'
export { type Limits, resolveLimits } from './limits.js'
export { dataView, isAscii, rotateKey, xorMask } from './mask.js'
export { MessageAssembler } from './message-assembler.js'
export { Opcode, type Role } from './opcode.js'
export type { FragmentKind } from './outgoing-fragments.js'
export { UsageError, type UsageCode } from './usage-error.js'
export { checkUtf8, UTF8_INVALID, UTF8_START } from './utf8.js'
export { ProtocolViolation, type ViolationCode } from './violation.js'
