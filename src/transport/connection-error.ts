// Strategy: one table says for each code in which phase it happens and what the sentence is; `$peer` stands for host
// and port, or the path of a unix socket. The most telling thing known is added behind it: the code that the operating
// system or TLS gave, or the limit that was reached. Codes are API, sentences are not. Nothing that a lower layer said is
// lost: it is the `cause`, with its own `code`, and for a proxy that refuses its `response`.

import type { RefusedResponse } from '../handshake/index.js'

/**
 * How far a connection had come.
 */
export type ConnectionPhase = 'target' | 'dns' | 'tcp' | 'proxy' | 'tls' | 'handshake' | 'open' | 'closing'

/**
 * Every way in which a connection can fail below the WebSocket protocol.
 */
export type ConnectionErrorCode =
  | 'WS_DNS_FAILED'
  | 'WS_DNS_TIMEOUT'
  | 'WS_CONNECT_FAILED'
  | 'WS_CONNECT_TIMEOUT'
  | 'WS_PROXY_REFUSED'
  | 'WS_PROXY_TIMEOUT'
  | 'WS_PROXY_FAILED'
  | 'WS_TLS_FAILED'
  | 'WS_TLS_TIMEOUT'
  | 'WS_TLS_ALPN'
  | 'WS_HANDSHAKE_TIMEOUT'
  | 'WS_HANDSHAKE_ENDED'
  | 'WS_COOKIES_FAILED'
  | 'WS_CONNECTION_LOST'
  | 'WS_CLOSE_TIMEOUT'
  | 'WS_CLOSED_LOCALLY'
  | 'WS_BUFFER_FULL'
  | 'WS_TARGET_FAILED'
  | 'WS_TARGET_TIMEOUT'
  | 'WS_KEEPALIVE_TIMEOUT'
  | 'WS_PONG_MISSING'

const TABLE: Record<ConnectionErrorCode, { readonly phase: ConnectionPhase; readonly text: string }> = {
  WS_DNS_FAILED: { phase: 'dns', text: 'lookup of $peer failed' },
  WS_DNS_TIMEOUT: { phase: 'dns', text: 'lookup of $peer timed out' },
  WS_CONNECT_FAILED: { phase: 'tcp', text: 'connect to $peer failed' },
  WS_CONNECT_TIMEOUT: { phase: 'tcp', text: 'connect to $peer timed out' },
  WS_PROXY_REFUSED: { phase: 'proxy', text: 'the tunnel through $peer was refused' },
  WS_PROXY_TIMEOUT: { phase: 'proxy', text: 'the tunnel through $peer timed out' },
  WS_PROXY_FAILED: { phase: 'proxy', text: 'the tunnel through $peer failed' },
  WS_TLS_FAILED: { phase: 'tls', text: 'TLS with $peer failed' },
  WS_TLS_TIMEOUT: { phase: 'tls', text: 'TLS with $peer timed out' },
  WS_TLS_ALPN: { phase: 'tls', text: '$peer does not speak http/1.1 over TLS (ALPN)' },
  WS_HANDSHAKE_TIMEOUT: { phase: 'handshake', text: 'no answer to the WebSocket handshake from $peer' },
  WS_HANDSHAKE_ENDED: {
    phase: 'handshake',
    text: '$peer ended the connection before it answered the handshake',
  },
  WS_COOKIES_FAILED: { phase: 'handshake', text: 'the cookie store has no answer for $peer' },
  WS_CONNECTION_LOST: { phase: 'open', text: 'connection to $peer lost without a Close frame' },
  WS_CLOSE_TIMEOUT: { phase: 'closing', text: '$peer did not finish the closing handshake' },
  WS_BUFFER_FULL: { phase: 'open', text: '$peer does not take its data: more than maxBufferedBytes waits' },
  WS_TARGET_FAILED: { phase: 'target', text: 'where to connect to could not be found out' },
  WS_TARGET_TIMEOUT: { phase: 'target', text: 'where to connect to was not said in time' },
  WS_KEEPALIVE_TIMEOUT: { phase: 'open', text: '$peer did not answer the keepalive pings' },
  WS_PONG_MISSING: { phase: 'open', text: '$peer leaves too many pings unanswered' },
  WS_CLOSED_LOCALLY: { phase: 'open', text: 'connection to $peer was ended on this side' },
}

/**
 * What is known about a failure besides its code.
 */
export interface ConnectionErrorDetails {
  /** Where the failure came from: what the operating system, TLS or the lookup said. */
  readonly cause?: unknown
  /** Instead of the code's usual phase, such as `'closing'` for a connection lost while closing. */
  readonly phase?: ConnectionPhase
  /** The limit that was reached, in milliseconds. */
  readonly limitMs?: number
  /** What exactly was at fault, as a word that never changes. */
  readonly detail?: string
  /** What a proxy answered instead of opening a tunnel. */
  readonly response?: RefusedResponse
}

/**
 * The connection could not be made, or was lost. `code` says what happened and `phase` when; `cause` keeps the error of
 * the layer below with its own `code` (`ECONNREFUSED`, `ENOTFOUND`, `CERT_HAS_EXPIRED`, …). When several addresses were
 * tried and all failed, `cause` is an `AggregateError` whose `code` is the first one's.
 */
export class ConnectionError extends Error {
  override readonly name = 'ConnectionError'
  /** What happened; stable, unlike the message. */
  readonly code: ConnectionErrorCode
  /** How far the connection had come when it happened. */
  readonly phase: ConnectionPhase
  /** What exactly was at fault with a proxy, such as `host-unreachable` or `status-407`; stable. Null for other failures. */
  readonly detail: string | null
  /** What an HTTP proxy answered instead of opening a tunnel; null for other failures. */
  readonly response: RefusedResponse | null

  /**
   * @param code - a key of the table.
   * @param peer - `host:port`, or the path of a unix socket; for a failed lookup the host name; for a proxy where its
   * tunnel was to lead to, too.
   * @param details - the cause, and what else is known.
   */
  constructor(code: ConnectionErrorCode, peer: string, details: ConnectionErrorDetails = {}) {
    const { phase, text } = TABLE[code]
    super(
      text.replace('$peer', () => peer) + suffix(details),
      'cause' in details ? { cause: details.cause } : {},
    )
    this.code = code
    this.phase = details.phase ?? phase
    this.detail = details.detail ?? null
    this.response = details.response ?? null
  }
}

const suffix = ({ cause, limitMs, detail, response }: ConnectionErrorDetails): string => {
  if (limitMs !== undefined) return ` (${limitMs} ms)`
  if (response !== undefined) return `: ${response.status} ${response.reason}`.trimEnd()
  if (!(cause instanceof Error)) return detail === undefined ? '' : `: ${detail.replaceAll('-', ' ')}`
  return `: ${'code' in cause && typeof cause.code === 'string' ? cause.code : cause.message}`
}
