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
  type FragmentKind,
  type Limits,
  type MaskSource,
  type Message,
  PreparedMessage,
  type PrepareOptions,
  ProtocolViolation,
  type Role,
  type UsageCode,
  UsageError,
  type ViolationCode,
} from './protocol/index.js'
export type { Compress, CompressOptions, DeflateParameters } from './extensions/index.js'
export { BadResponseError } from './behaviour/bad-response-error.js'
export {
  type Behaviour,
  type ConnectionInfo,
  defineBehaviour,
  type PongInfo,
  type ProcessStatus,
} from './behaviour/behaviour.js'
export {
  type Child,
  type ChildOptions,
  type ChildSpec,
  childSpec,
  type ProcessChildOptions,
  type RestartType,
} from './behaviour/child-spec.js'
export type { Debug, DebugOption } from './behaviour/debug.js'
export type { DisconnectReason, DisconnectStatus, DisconnectType } from './behaviour/disconnect-status.js'
export type { EndReason, EndType } from './behaviour/end-reason.js'
export { FrameEncodeError, type FrameEncodeReason } from './behaviour/frame-encode-error.js'
export type {
  BinaryFrame,
  Bytes,
  CloseRequest,
  FragmentFrame,
  Frame,
  FrameObject,
  PingPongFrame,
  TextFrame,
} from './behaviour/frame.js'
export { type From, refuse, reply } from './behaviour/from.js'
export { InvalidFrameError } from './behaviour/invalid-frame-error.js'
export type { KeepaliveOptions } from './behaviour/keepalive.js'
export type { ExitMessage } from './behaviour/links.js'
export {
  type NameRegistry,
  type ProcessName,
  type RegistryName,
  setGlobalRegistry,
} from './behaviour/names.js'
export {
  AlreadyStartedError,
  CallingSelfError,
  CallTimeoutError,
  ChildStartError,
  NoProcessError,
  ProcessError,
  type ProcessErrorCode,
  RestartIntensityError,
} from './behaviour/process-error.js'
export { eventText } from './behaviour/event-text.js'
export type { ProcessEvent, PublishedEvent } from './behaviour/process-event.js'
export {
  call,
  type CallTarget,
  cast,
  type CastTarget,
  info,
  type InfoTarget,
  type NamedProcess,
  send,
  stop,
  whereis,
} from './behaviour/process-ref.js'
export type { AnyProcess, CallOptions, Process, ProcessRef, Self, StopOptions } from './behaviour/process.js'
export type { ReconnectDecision, ReconnectOptions } from './behaviour/reconnect-policy.js'
export {
  type Awaitable,
  type CallResult,
  type CloseWish,
  type DisconnectResult,
  idle,
  Initial,
  type InitMode,
  type Nothing,
  once,
  reconnect,
  type ReconnectWish,
  type Result,
} from './behaviour/result.js'
export { start } from './behaviour/start.js'
export type { StartOptions } from './behaviour/start-options.js'
export type {
  StartTarget,
  TargetFactory,
  TargetObject,
  TargetOptions,
  TargetRequest,
} from './behaviour/start-target.js'
export type { Statistics } from './behaviour/statistics.js'
export { type ChildCount, type ChildInfo, startSupervisor, type Supervisor } from './behaviour/supervisor.js'
export type { ChildState } from './behaviour/child-list.js'
export type { SupervisorEvent } from './behaviour/supervisor-event.js'
export type { RestartStrategy, SupervisorOptions } from './behaviour/supervisor-options.js'
export type { QueueOptions, WhenNotOpen } from './behaviour/waiting-frames.js'
export { AbortError } from './transport/abort-error.js'
export { type Clock, systemClock, type Timer } from './transport/clock.js'
export { connect, type ConnectOptions } from './transport/connect.js'
export {
  ConnectionError,
  type ConnectionErrorCode,
  type ConnectionPhase,
} from './transport/connection-error.js'
export type { ConnectEvent } from './transport/connect-event.js'
export type { CookieStore } from './transport/cookies.js'
export type {
  ConnectionFactory,
  DialOptions,
  ProxyOptions,
  TcpOptions,
  TlsOptions,
} from './transport/dial-options.js'
export {
  type AcceptOptions,
  type Acceptor,
  attach,
  listen,
  type Listener,
  type ListenOptions,
  type OnConnection,
} from './transport/listen.js'
export type { HeaderInput } from './transport/header-list.js'
export { NotConnectedError } from './transport/not-connected-error.js'
export type { Payload, PayloadParts } from './transport/payload.js'
export type { Socket } from './transport/socket.js'
export type { SocketOutcome } from './transport/socket-outcome.js'
export type { SendOptions, SocketOptions } from './transport/socket-options.js'
export { parseTarget, type Target } from './transport/target.js'
