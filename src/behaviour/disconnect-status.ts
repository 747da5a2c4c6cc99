// Strategy: one record for every way in which a connection is lost or not made, so that one callback can decide what to do
// without looking into errors; and the error as it is, for whoever wants to.
import { HandshakeError, type RefusedResponse } from '../handshake/index.js'
import type { CloseFrame } from '../protocol/index.js'
import { ConnectionError, type ConnectionPhase } from '../transport/connection-error.js'
import type { SocketOutcome } from '../transport/socket-outcome.js'
import type { Frame } from './frame.js'

/**
 * Who or what ended a connection: the peer's Close frame, ours, an end without a Close frame, a keepalive that was not
 * answered, or an error (of connecting, of the network, of the peer's against the protocol).
 */
export type DisconnectType = 'remote' | 'local' | 'closed' | 'keepalive-timeout' | 'error'

/** Why a connection ended. */
export interface DisconnectReason {
  readonly type: DisconnectType
  /** True for a Close without a code or with 1000. WebSockex: `{_, :normal}`. */
  readonly normal: boolean
  /** The code of the first Close frame; null when there was none, or it was empty. */
  readonly code: number | null
  /** The text of that Close frame, `''` for none. */
  readonly text: string
}

/** What `handleDisconnect` gets: once for each lost connection and each failed attempt. */
export interface DisconnectStatus {
  readonly reason: DisconnectReason
  /** How far it had come. */
  readonly phase: ConnectionPhase
  /** The Close frame this side sent. */
  readonly sent: CloseFrame | null
  /** The Close frame the peer sent; its code is 1005 when the frame was empty. */
  readonly received: CloseFrame | null
  /** True when both Close frames were exchanged. */
  readonly wasClean: boolean
  /** 1 for a connection that was open and for the first failed attempt, one more for each failed attempt after that. */
  readonly attempt: number
  /** What the server (or a proxy) answered instead of 101: status, headers and the first 64 KiB of the body. */
  readonly httpResponse: RefusedResponse | null
  /** ConnectionError, HandshakeError, ProtocolViolation …, with its `cause`. Null for a clean end. */
  readonly error: Error | null
  /** The URL that was tried, without user info; `''` when it could not be found out. */
  readonly target: string
  /** Frames that were accepted and never reached the socket, in order. Nobody sends them again unless you do. */
  readonly unsent: readonly Frame[]
}

/** What is known besides how the socket ended. */
export interface StatusContext {
  readonly attempt: number
  readonly target: string
  readonly unsent: readonly Frame[]
}

/**
 * The status of a connection that was open.
 *
 * @param ownError - what this side knows better than the socket.
 * @param dead - the keepalive gave it up.
 */
export function lostStatus(
  outcome: SocketOutcome,
  ownError: Error | null,
  dead: boolean,
  context: StatusContext,
): DisconnectStatus {
  const { sent, received, wasClean } = outcome
  const { attempt, target, unsent } = context
  return {
    reason: dead ? bare('keepalive-timeout') : closeReason(outcome),
    phase: sent === null && received === null ? 'open' : 'closing',
    sent,
    received,
    wasClean,
    attempt,
    target,
    unsent,
    httpResponse: null,
    error: ownError ?? outcome.error,
  }
}

/** The status of an attempt that failed. */
export function failedStatus(error: Error, context: StatusContext): DisconnectStatus {
  return {
    reason: bare('error'),
    phase: phaseOf(error),
    sent: null,
    received: null,
    wasClean: false,
    ...context,
    httpResponse: responseOf(error),
    error,
  }
}

/** What the server or proxy answered, when that is what the error is about. */
export function responseOf(error: Error): RefusedResponse | null {
  return (error as { readonly response?: RefusedResponse | null }).response ?? null
}

function phaseOf(error: Error): ConnectionPhase {
  if (error instanceof ConnectionError) return error.phase
  if (error instanceof HandshakeError) return 'handshake'
  return 'target'
}

function closeReason({ sent, received, initiator, error }: SocketOutcome): DisconnectReason {
  // The peer broke the protocol: our Close frame only says so.
  const violation = error !== null && !(error instanceof ConnectionError)
  if (violation) return { ...bare('error'), code: sent?.code ?? null, text: sent?.reason ?? '' }
  if (initiator === null) return bare(isEnd(error) ? 'closed' : 'error')
  const frame = initiator === 'remote' ? received : sent
  const code = frame === null || frame.code === 1005 ? null : frame.code
  return {
    type: initiator,
    normal: code === null || code === 1000,
    code,
    text: frame?.reason ?? '',
  }
}

/** The stream ended or was reset without a word: neither this side nor a limit of ours did it. */
function isEnd(error: Error | null): boolean {
  return error === null || (error instanceof ConnectionError && error.code === 'WS_CONNECTION_LOST')
}

function bare(type: DisconnectType): DisconnectReason {
  return { type, normal: false, code: null, text: '' }
}

/** A status that may be kept: its frames were handed back, and are nobody's any more. */
export function withoutFrames(status: DisconnectStatus): DisconnectStatus {
  return status.unsent.length === 0 ? status : { ...status, unsent: [] }
}
