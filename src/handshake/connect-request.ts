import { isHost } from './grammar.js'
import { formatHeaders, requireSingle } from './head-writer.js'
import { type HeaderList } from './head.js'
import { InvalidHeadError } from './invalid-head-error.js'
import { encodeLatin1 } from './latin1.js'

/** All that a client says to an HTTP proxy that is to open a tunnel. */
export interface ConnectRequest {
  /** Where the tunnel leads to: `host:port`, an IPv6 address in brackets. The port is never left out. */
  readonly authority: string
  /** More headers, such as `Proxy-Authorization`. The target never sees them. */
  readonly headers: HeaderList
}

// RFC 9110 9.3.6: a CONNECT has no content. What concerns the connection to the proxy is its business.
const reserved: ReadonlySet<string> = new Set([
  'host',
  'connection',
  'upgrade',
  'content-length',
  'transfer-encoding',
])

/**
 * Writes the request of RFC 9110 section 9.3.6 that asks a proxy for a tunnel. Any answer of 2xx opens it: what follows
 * its head comes from the other end.
 * @throws InvalidHeadError when a part cannot be sent
 */
export function encodeConnect({ authority, headers }: ConnectRequest): Uint8Array {
  // RFC 9112 3.2.3: host and port only; 9.3.6: there is no default port.
  if (typeof authority !== 'string' || !isHost(authority) || !isAuthority(authority)) {
    throw new InvalidHeadError('authority', 'must be a host and port')
  }
  const more = formatHeaders(headers, reserved)
  requireSingle(headers, 'Proxy-Authorization')
  // RFC 9112 3.2: Host repeats the authority.
  return encodeLatin1(`CONNECT ${authority} HTTP/1.1\r\nHost: ${authority}\r\n${more}\r\n`)
}

const isAuthority = (text: string): boolean => {
  const [, port] = /^(?:\[[\da-f:.]+\]|[^[\]:]+):(\d{1,5})$/i.exec(text) ?? []
  return port !== undefined && Number(port) <= 65_535
}
