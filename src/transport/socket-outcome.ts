import type { DeflateAgreement } from '../extensions/index.js'
import type { Agreement, RequestHead, ResponseHead } from '../handshake/index.js'
import type { CloseOutcome, Role } from '../protocol/index.js'
import type { RestingSocket } from './resting-socket.js'

/** How a connection ended. */
export interface SocketOutcome extends CloseOutcome {
  /** True when both Close frames were exchanged (RFC 6455 7.1.4). */
  readonly wasClean: boolean
  /** Why it did not end cleanly: a `ConnectionError` or a `ProtocolViolation`. Null for a clean end. */
  readonly error: Error | null
}

/** Where a socket comes from. */
export interface SocketOrigin {
  readonly role: Role
  /** Without user info. */
  readonly url: string
  /** The other end as messages name it, `host:port`. */
  readonly peer: string
  readonly agreement: Agreement
  /** How messages may be compressed; null for not at all. */
  readonly deflate: DeflateAgreement | null
  /** What the other side said in the handshake: a client sees the response, a server the request. */
  readonly head: RequestHead | ResponseHead
  /** What it goes on with, after it was at rest. */
  readonly before?: RestingSocket
}
