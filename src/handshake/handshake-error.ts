import type { HeaderList } from './head.js'

/** What the other side can do wrong in an opening handshake. Part of the API; the messages are not. */
export type HandshakeErrorCode =
  | 'WS_HANDSHAKE_HEAD_TOO_LARGE'
  | 'WS_HANDSHAKE_TARGET_TOO_LONG'
  | 'WS_HANDSHAKE_TOO_MANY_HEADERS'
  | 'WS_HANDSHAKE_BAD_BYTE'
  | 'WS_HANDSHAKE_BAD_REQUEST_LINE'
  | 'WS_HANDSHAKE_BAD_STATUS_LINE'
  | 'WS_HANDSHAKE_BAD_HEADER'
  | 'WS_HANDSHAKE_BAD_HTTP_VERSION'
  | 'WS_HANDSHAKE_OLD_HTTP_VERSION'
  | 'WS_HANDSHAKE_BAD_METHOD'
  | 'WS_HANDSHAKE_BAD_TARGET'
  | 'WS_HANDSHAKE_BAD_HOST'
  | 'WS_HANDSHAKE_HAS_BODY'
  | 'WS_HANDSHAKE_BAD_UPGRADE'
  | 'WS_HANDSHAKE_BAD_CONNECTION'
  | 'WS_HANDSHAKE_BAD_VERSION'
  | 'WS_HANDSHAKE_UNSUPPORTED_VERSION'
  | 'WS_HANDSHAKE_BAD_KEY'
  | 'WS_HANDSHAKE_BAD_ORIGIN'
  | 'WS_HANDSHAKE_BAD_SUBPROTOCOLS'
  | 'WS_HANDSHAKE_BAD_EXTENSIONS'
  | 'WS_HANDSHAKE_REFUSED'
  | 'WS_HANDSHAKE_STATUS'
  | 'WS_HANDSHAKE_BAD_REDIRECT'
  | 'WS_HANDSHAKE_TOO_MANY_REDIRECTS'
  | 'WS_HANDSHAKE_BAD_ACCEPT'
  | 'WS_HANDSHAKE_BAD_SUBPROTOCOL'
  | 'WS_HANDSHAKE_UNREQUESTED_SUBPROTOCOL'
  | 'WS_HANDSHAKE_UNREQUESTED_EXTENSION'

interface Fault {
  readonly status: number
  readonly message: string
  readonly headers?: HeaderList
}

// RFC 9110 15.5.22: a 426 must name the protocol to upgrade to. 4.4: and here the version to come back with.
const upgrade: HeaderList = [['Upgrade', 'websocket']]
const version: HeaderList = [['Sec-WebSocket-Version', '13']]

/**
 * The one table: what a server answers each fault with. A client keeps the status it was answered instead.
 */
const faults: Readonly<Record<HandshakeErrorCode, Fault>> = {
  // While a head is read, by either role.
  WS_HANDSHAKE_HEAD_TOO_LARGE: { status: 431, message: 'HTTP head is too large' },
  WS_HANDSHAKE_TARGET_TOO_LONG: { status: 414, message: 'HTTP request line is too long' },
  WS_HANDSHAKE_TOO_MANY_HEADERS: { status: 431, message: 'HTTP head has too many headers' },
  WS_HANDSHAKE_BAD_BYTE: { status: 400, message: 'Invalid byte in HTTP head' },
  WS_HANDSHAKE_BAD_REQUEST_LINE: { status: 400, message: 'Invalid HTTP request line' },
  WS_HANDSHAKE_BAD_STATUS_LINE: { status: 400, message: 'Invalid HTTP status line' },
  WS_HANDSHAKE_BAD_HEADER: { status: 400, message: 'Invalid HTTP header' },
  // In either role.
  WS_HANDSHAKE_BAD_HTTP_VERSION: { status: 505, message: 'Unsupported HTTP version' },
  WS_HANDSHAKE_OLD_HTTP_VERSION: { status: 400, message: 'HTTP version is older than 1.1' },
  WS_HANDSHAKE_BAD_UPGRADE: { status: 426, message: 'Invalid Upgrade header', headers: upgrade },
  WS_HANDSHAKE_BAD_CONNECTION: { status: 426, message: 'Invalid Connection header', headers: upgrade },
  WS_HANDSHAKE_BAD_EXTENSIONS: { status: 400, message: 'Invalid Sec-WebSocket-Extensions header' },
  // In a request.
  WS_HANDSHAKE_BAD_METHOD: { status: 405, message: 'Invalid HTTP method', headers: [['Allow', 'GET']] },
  WS_HANDSHAKE_BAD_TARGET: { status: 400, message: 'Invalid HTTP request target' },
  WS_HANDSHAKE_BAD_HOST: { status: 400, message: 'Missing or invalid Host header' },
  WS_HANDSHAKE_HAS_BODY: { status: 400, message: 'An upgrade request cannot have a body' },
  WS_HANDSHAKE_BAD_VERSION: {
    status: 400,
    message: 'Missing or invalid Sec-WebSocket-Version header',
    headers: version,
  },
  WS_HANDSHAKE_UNSUPPORTED_VERSION: {
    status: 426,
    message: 'Unsupported Sec-WebSocket-Version',
    headers: [...upgrade, ...version],
  },
  WS_HANDSHAKE_BAD_KEY: { status: 400, message: 'Missing or invalid Sec-WebSocket-Key header' },
  WS_HANDSHAKE_BAD_ORIGIN: { status: 400, message: 'Invalid Origin header' },
  WS_HANDSHAKE_BAD_SUBPROTOCOLS: { status: 400, message: 'Invalid Sec-WebSocket-Protocol header' },
  WS_HANDSHAKE_REFUSED: { status: 403, message: 'The server refused the handshake' },
  // In a response. These statuses are what a gateway would answer; a client's error has the server's own.
  WS_HANDSHAKE_STATUS: { status: 502, message: 'Unexpected server response' },
  WS_HANDSHAKE_BAD_REDIRECT: { status: 502, message: 'Server redirected to nowhere' },
  WS_HANDSHAKE_TOO_MANY_REDIRECTS: { status: 502, message: 'Server redirected too often' },
  WS_HANDSHAKE_BAD_ACCEPT: { status: 502, message: 'Invalid Sec-WebSocket-Accept header' },
  WS_HANDSHAKE_BAD_SUBPROTOCOL: { status: 502, message: 'Server sent an invalid subprotocol' },
  WS_HANDSHAKE_UNREQUESTED_SUBPROTOCOL: {
    status: 502,
    message: 'Server sent a subprotocol but none was requested',
  },
  WS_HANDSHAKE_UNREQUESTED_EXTENSION: {
    status: 502,
    message: 'Server sent an extension that was not requested',
  },
}

/** What a server answered instead of (or in a faulty) 101, as much of it as was kept. */
export interface RefusedResponse {
  readonly status: number
  readonly reason: string
  readonly headers: HeaderList
  /** The first 64 KiB of the body; empty when it was not read. */
  readonly body: Uint8Array
}

/** What an error says beyond its code. */
export interface HandshakeErrorOptions {
  /** Follows the message after a colon. */
  readonly detail?: string
  /** Replaces the status of the table, as for a 401 of the application. */
  readonly status?: number
  /** Replaces the headers of the table, such as `WWW-Authenticate` beside a 401. */
  readonly headers?: HeaderList
  /** The response at fault: gives the error its status and headers. */
  readonly response?: RefusedResponse
  readonly cause?: unknown
}

/**
 * The other side broke the opening handshake, or refused it. On a server `status` and `headers` are what
 * `encodeReject` sends (405 with `Allow`, 426 with `Sec-WebSocket-Version`, …), and the application throws
 * one of its own with `WS_HANDSHAKE_REFUSED`. On a client they are what the server answered, and `status` is
 * 0 when no head could be read.
 */
export class HandshakeError extends Error {
  /** What was wrong; stable, unlike the message. */
  readonly code: HandshakeErrorCode
  /** On a server the status to refuse with; on a client the one that was answered, 0 when no head could be read. */
  readonly status: number
  /** On a server the headers of the refusal; on a client those of the response. */
  readonly headers: HeaderList
  /** The response this error is about, on a client; `null` on a server, or when no head could be read. */
  readonly response: RefusedResponse | null

  /** @param options replace what the table says for `code`. */
  constructor(code: HandshakeErrorCode, options: HandshakeErrorOptions = {}) {
    const fault = faults[code]
    super(
      options.detail === undefined ? fault.message : `${fault.message}: ${options.detail}`,
      options.cause === undefined ? undefined : { cause: options.cause },
    )
    this.name = 'HandshakeError'
    this.code = code
    this.response = options.response ?? null
    this.status = options.status ?? options.response?.status ?? fault.status
    this.headers = options.headers ?? options.response?.headers ?? fault.headers ?? []
  }
}
