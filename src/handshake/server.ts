// Strategy: pure functions, head to request, agreement to bytes. The checks go from "is this HTTP we speak"
// over "is it an upgrade to WebSocket" to "is the upgrade well-formed", so that a plain HTTP client that
// strays here is told the most basic thing that is wrong (RFC 6455 section 4.2.1). The head may come from
// anywhere, so nothing relies on what HeadReader has checked already. The answer to a fault is in the table
// of handshake-error.ts.
import { isHost, isTarget } from './grammar.js'
import { HandshakeError, type HandshakeErrorCode } from './handshake-error.js'
import { formatExtensions, formatHeaders, requireToken } from './head-writer.js'
import {
  type Agreement,
  type ExtensionOffer,
  type HeaderList,
  headerValues,
  type RequestHead,
} from './head.js'
import { listContains, parseExtensionList, parseTokenList } from './header-values.js'
import { InvalidHeadError } from './invalid-head-error.js'
import { acceptKey, isKey } from './key.js'
import { encodeLatin1 } from './latin1.js'

/** A client's opening handshake that a server may accept. */
export interface UpgradeRequest {
  readonly head: RequestHead
  readonly key: string
  /** As the client sent it, `null` without one (so not from a browser). */
  readonly origin: string | null
  /** In the client's order of preference. */
  readonly subprotocols: readonly string[]
  /** In the client's order of preference; a name may come again with other parameters. */
  readonly extensions: readonly ExtensionOffer[]
}

/**
 * Checks a request as RFC 6455 section 4.2.1 says.
 * @throws HandshakeError with the status and headers to refuse it with (see `encodeReject`)
 */
export function parseUpgrade(head: RequestHead): UpgradeRequest {
  const { headers } = head
  // /1: HTTP/1.1 or higher, but not another major version (RFC 9110 15.6.6); GET; a target we can make sense of.
  if (!head.version.startsWith('1.')) refuse('WS_HANDSHAKE_BAD_HTTP_VERSION')
  if (head.version === '1.0') refuse('WS_HANDSHAKE_OLD_HTTP_VERSION')
  if (head.method !== 'GET') refuse('WS_HANDSHAKE_BAD_METHOD')
  if (!isTarget(head.target)) refuse('WS_HANDSHAKE_BAD_TARGET')
  // /2, and RFC 9112 3.2: one Host, no more and no less.
  const host = headerValues(headers, 'host')
  if (host.length !== 1 || !isHost(host[0])) refuse('WS_HANDSHAKE_BAD_HOST')
  // What follows the head is frames: a body would be taken for them.
  if (hasBody(headers)) refuse('WS_HANDSHAKE_HAS_BODY')
  // /3 and /4: an HTTP/1.1 request that does not ask for an upgrade is told that one is required.
  if (!listContains(headerValues(headers, 'upgrade'), 'websocket')) refuse('WS_HANDSHAKE_BAD_UPGRADE')
  if (!listContains(headerValues(headers, 'connection'), 'upgrade')) refuse('WS_HANDSHAKE_BAD_CONNECTION')
  verifyVersion(headers)
  // /5, and 11.3.1: not more than once.
  const key = headerValues(headers, 'sec-websocket-key')
  if (key.length !== 1 || !isKey(key[0])) refuse('WS_HANDSHAKE_BAD_KEY')
  // /7.
  const origin = headerValues(headers, 'origin')
  if (origin.length > 1) refuse('WS_HANDSHAKE_BAD_ORIGIN')
  return {
    head,
    key: key[0],
    origin: origin[0] ?? null,
    subprotocols: readSubprotocols(headers),
    extensions: readExtensions(headers),
  }
}

function hasBody(headers: HeaderList): boolean {
  return (
    headerValues(headers, 'transfer-encoding').length > 0 ||
    headerValues(headers, 'content-length').some(length => !/^0+$/.test(length))
  )
}

// /6, before the key: what a key looks like may depend on the version. 11.3.5: not more than once.
function verifyVersion(headers: HeaderList): void {
  const version = headerValues(headers, 'sec-websocket-version')
  // 4.3: version is a number from 0 to 255 without leading zeros.
  if (version.length !== 1 || !/^(?:0|[1-9]\d{0,2})$/.test(version[0]) || Number(version[0]) > 255) {
    refuse('WS_HANDSHAKE_BAD_VERSION')
  }
  // 4.4: any other version is answered with the one we speak.
  if (version[0] !== '13') refuse('WS_HANDSHAKE_UNSUPPORTED_VERSION')
}

// /8: a list of tokens that are, by 4.1 (10), all different.
function readSubprotocols(headers: HeaderList): readonly string[] {
  const values = headerValues(headers, 'sec-websocket-protocol')
  if (values.length === 0) return []
  const subprotocols = parseTokenList(values) ?? refuse('WS_HANDSHAKE_BAD_SUBPROTOCOLS')
  if (new Set(subprotocols).size !== subprotocols.length) refuse('WS_HANDSHAKE_BAD_SUBPROTOCOLS')
  return subprotocols
}

// /9.
function readExtensions(headers: HeaderList): readonly ExtensionOffer[] {
  const values = headerValues(headers, 'sec-websocket-extensions')
  return values.length === 0 ? [] : (parseExtensionList(values) ?? refuse('WS_HANDSHAKE_BAD_EXTENSIONS'))
}

function refuse(code: HandshakeErrorCode): never {
  throw new HandshakeError(code)
}

/**
 * Writes the 101 of RFC 6455 section 4.2.2 (5).
 * @param headers more headers, such as `Set-Cookie`
 * @throws InvalidHeadError when the agreement has something the client did not offer, or a header cannot be
 * sent or repeats one that the handshake writes itself
 */
export function encodeAccept(
  upgrade: UpgradeRequest,
  agreement: Agreement,
  headers: HeaderList = [],
): Uint8Array {
  const { subprotocol, extensions } = agreement
  // 4.2.2 (4): subprotocol and extensions are chosen among the client's.
  if (subprotocol !== null) {
    requireToken(subprotocol, 'subprotocol')
    if (!upgrade.subprotocols.includes(subprotocol)) {
      throw new InvalidHeadError('subprotocol', 'the client did not offer it')
    }
  }
  const names = new Set(extensions.map(({ name }) => name))
  if (names.size !== extensions.length) throw new InvalidHeadError('extensions', 'cannot contain one twice')
  for (const { name } of upgrade.extensions) names.delete(name)
  if (names.size > 0) throw new InvalidHeadError('extensions', 'the client did not offer one of them')
  return encodeLatin1(
    'HTTP/1.1 101 Switching Protocols\r\n' +
      'Upgrade: websocket\r\n' +
      'Connection: Upgrade\r\n' +
      `Sec-WebSocket-Accept: ${acceptKey(upgrade.key)}\r\n` +
      (subprotocol === null ? '' : `Sec-WebSocket-Protocol: ${subprotocol}\r\n`) +
      formatExtensions(extensions) +
      formatHeaders(headers) +
      '\r\n',
  )
}
