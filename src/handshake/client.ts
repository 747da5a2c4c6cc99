// Strategy: two pure functions around one request. What the caller asks for is checked completely before a
// byte is made (InvalidHeadError); what the server answers is checked against that same request, in the order
// of RFC 6455 section 4.1, and each fault becomes a HandshakeError that carries the whole response.
import { isHost, isTarget, isToken } from './grammar.js'
import { HandshakeError, type HandshakeErrorCode } from './handshake-error.js'
import { formatExtensions, formatHeaders, requireSingle, requireToken } from './head-writer.js'
import {
  type Agreement,
  type ExtensionOffer,
  type HeaderList,
  headerValues,
  type ResponseHead,
} from './head.js'
import { listContains, parseExtensionList } from './header-values.js'
import { InvalidHeadError } from './invalid-head-error.js'
import { acceptKey, isKey } from './key.js'
import { encodeLatin1 } from './latin1.js'

/** All that a client's opening handshake says. */
export interface ClientRequest {
  /** The value of `Host`: a name or address, and the port where it is not the default one. */
  readonly host: string
  /** The path with its query, such as `/chat?room=1`; an absolute `http:` URI for a proxy. */
  readonly target: string
  /** From `generateKey`. */
  readonly key: string
  /** In the order of preference, each one once. */
  readonly subprotocols: readonly string[]
  /** In the order of preference; a name may come again with other parameters. */
  readonly extensions: readonly ExtensionOffer[]
  /** More headers, such as `Origin`, `Cookie`, `Authorization`. A `Host` among them replaces `host`. */
  readonly headers: HeaderList
}

/**
 * Writes the request of RFC 6455 section 4.1.
 * @throws InvalidHeadError when a part cannot be sent, or a header repeats one that the handshake writes
 * itself
 */
export function encodeRequest(request: ClientRequest): Uint8Array {
  const { target, key, subprotocols, extensions, headers } = request
  requireSingle(headers, 'Host')
  requireSingle(headers, 'Origin')
  const host = headerValues(headers, 'Host')[0] ?? request.host
  if (typeof host !== 'string' || !isHost(host)) throw new InvalidHeadError('host', 'must be a host and port')
  if (typeof target !== 'string' || !isTarget(target)) {
    throw new InvalidHeadError(
      'target',
      'must be a path or an http(s) URI in visible ASCII, without a fragment',
    )
  }
  if (typeof key !== 'string' || !isKey(key))
    throw new InvalidHeadError('key', 'must be the base64 of 16 bytes')
  if (subprotocols.length > 0) requireSubprotocols(subprotocols)
  const more = headers.filter(([name]) => typeof name !== 'string' || name.toLowerCase() !== 'host')
  return encodeLatin1(
    // 4.1 (2): GET, and HTTP/1.1.
    `GET ${target} HTTP/1.1\r\n` +
      `Host: ${host}\r\n` +
      'Upgrade: websocket\r\n' +
      'Connection: Upgrade\r\n' +
      `Sec-WebSocket-Key: ${key}\r\n` +
      'Sec-WebSocket-Version: 13\r\n' +
      (subprotocols.length === 0 ? '' : `Sec-WebSocket-Protocol: ${subprotocols.join(', ')}\r\n`) +
      formatExtensions(extensions) +
      formatHeaders(more) +
      '\r\n',
  )
}

function requireSubprotocols(subprotocols: readonly string[]): void {
  for (const [i, subprotocol] of subprotocols.entries()) requireToken(subprotocol, `subprotocols[${i}]`)
  // 4.1 (10): all must be unique strings.
  if (new Set(subprotocols).size !== subprotocols.length) {
    throw new InvalidHeadError('subprotocols', 'cannot contain one twice')
  }
}

const NO_BODY: Uint8Array = new Uint8Array(0)

/** The error for a response other than 101, with the part of its body that was read (see `ResponseBody`). */
export function unexpectedStatus(head: ResponseHead, body: Uint8Array = NO_BODY): HandshakeError {
  return failure('WS_HANDSHAKE_STATUS', head, String(head.status), body)
}

/**
 * Checks the server's answer to `request` as RFC 6455 section 4.1 says, and gives what both sides agreed on.
 * No subprotocol is no fault: a server may choose none. The parameters of extensions are for the extensions
 * to check.
 * @throws HandshakeError for any other status than 101, and for a 101 that does not fit the request
 */
export function verifyResponse(request: ClientRequest, head: ResponseHead): Agreement {
  const { headers } = head
  // (1): anything but 101 is for HTTP to handle.
  if (head.status !== 101) throw unexpectedStatus(head)
  if (!head.version.startsWith('1.')) throw failure('WS_HANDSHAKE_BAD_HTTP_VERSION', head)
  if (head.version === '1.0') throw failure('WS_HANDSHAKE_OLD_HTTP_VERSION', head)
  // (2): the value, not one element of it, is "websocket" in any case.
  const upgrade = headerValues(headers, 'upgrade')
  if (upgrade.length !== 1 || upgrade[0].toLowerCase() !== 'websocket') {
    throw failure('WS_HANDSHAKE_BAD_UPGRADE', head)
  }
  // (3): "Upgrade" is one element of the list, as in `keep-alive, Upgrade`.
  if (!listContains(headerValues(headers, 'connection'), 'upgrade')) {
    throw failure('WS_HANDSHAKE_BAD_CONNECTION', head)
  }
  // (4), and 11.3.3: not more than once.
  const accept = headerValues(headers, 'sec-websocket-accept')
  if (accept.length === 0) throw failure('WS_HANDSHAKE_BAD_ACCEPT', head, 'missing')
  if (accept.length > 1) throw failure('WS_HANDSHAKE_BAD_ACCEPT', head, 'more than one')
  if (accept[0] !== acceptKey(request.key)) {
    throw failure('WS_HANDSHAKE_BAD_ACCEPT', head, 'does not answer the key')
  }
  return {
    extensions: verifyExtensions(request, head),
    subprotocol: verifySubprotocol(request, head),
  }
}

function verifyExtensions(request: ClientRequest, head: ResponseHead): readonly ExtensionOffer[] {
  // 4.2.2 (5.6) lets a server use several lines, 11.3.2 does not. Nothing is ambiguous about them: we join
  // them.
  const values = headerValues(head.headers, 'sec-websocket-extensions')
  if (values.length === 0) return []
  const extensions = parseExtensionList(values)
  if (extensions === null) throw failure('WS_HANDSHAKE_BAD_EXTENSIONS', head)
  const offered = new Set(request.extensions.map(({ name }) => name))
  const seen = new Set<string>()
  for (const { name } of extensions) {
    // (5): nothing that was not in the request; and one extension can be in use only once.
    if (!offered.has(name)) throw failure('WS_HANDSHAKE_UNREQUESTED_EXTENSION', head)
    if (seen.has(name)) throw failure('WS_HANDSHAKE_BAD_EXTENSIONS', head, 'one extension twice')
    seen.add(name)
  }
  return extensions
}

function verifySubprotocol(request: ClientRequest, head: ResponseHead): string | null {
  const values = headerValues(head.headers, 'sec-websocket-protocol')
  if (values.length === 0) return null
  // (6): only what was in the request, to the letter; 11.3.4: not more than once.
  if (request.subprotocols.length === 0) throw failure('WS_HANDSHAKE_UNREQUESTED_SUBPROTOCOL', head)
  if (values.length > 1 || !isToken(values[0]) || !request.subprotocols.includes(values[0])) {
    throw failure('WS_HANDSHAKE_BAD_SUBPROTOCOL', head)
  }
  return values[0]
}

function failure(
  code: HandshakeErrorCode,
  head: ResponseHead,
  detail?: string,
  body = NO_BODY,
): HandshakeError {
  const { status, reason, headers } = head
  const response = { status, reason, headers, body }
  return new HandshakeError(code, detail === undefined ? { response } : { response, detail })
}
