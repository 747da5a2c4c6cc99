// The public surface. The sans-IO core is on `sansocket/protocol` and `sansocket/handshake`.
export {
  type ExtensionOffer,
  HandshakeError,
  type HandshakeErrorCode,
  type HeaderList,
  headerValue,
  type HeadLimits,
  InvalidHeadError,
  type RefusedResponse,
  type RequestHead,
  type ResponseHead,
  type UpgradeRequest,
} from './handshake/index.js'
export {
  CloseCode,
  type CloseFrame,
  type CloseOutcome,
  type Limits,
  type MaskSource,
  type Message,
  ProtocolViolation,
  type Role,
  type UsageCode,
  UsageError,
  type ViolationCode,
} from './protocol/index.js'
export { AbortError } from './transport/abort-error.js'
export { type Clock, systemClock, type Timer } from './transport/clock.js'
export { connect, type ConnectOptions } from './transport/connect.js'
export {
  ConnectionError,
  type ConnectionErrorCode,
  type ConnectionPhase,
} from './transport/connection-error.js'
export type { ConnectionFactory, DialOptions, TcpOptions, TlsOptions } from './transport/dial-options.js'
export {
  type AcceptOptions,
  type Acceptor,
  attach,
  listen,
  type Listener,
  type ListenOptions,
  type OnConnection,
} from './transport/listen.js'
export { NotConnectedError } from './transport/not-connected-error.js'
export type { Payload, PayloadParts } from './transport/payload.js'
export type { Socket } from './transport/socket.js'
export type { SocketOutcome } from './transport/socket-outcome.js'
export type { SocketOptions } from './transport/socket-options.js'
export { parseTarget, type Target } from './transport/target.js'
