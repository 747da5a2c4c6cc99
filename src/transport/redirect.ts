// Strategy: a redirect is followed by making the next hop out of the last one, and not out of what the caller said. So what
// was left behind at one origin's border is gone for good: a chain that comes back does not get it again. Headers are
// taken away by name, as a caller's own must go on: those of the standard, and those that say that they are secret.
// TLS options are kept by name: one that Node adds tomorrow may be a credential.
//
//   Location --resolve against the last URL--> URL --without user info and fragment--> Target
//   last hop --another origin: less its secrets--------------------------------------> Hop
import {
  type ClientRequest,
  encodeRequest,
  generateKey,
  type HandshakeErrorCode,
  headerValues,
  type ResponseHead,
} from '../handshake/index.js'
import { UsageError } from '../protocol/index.js'
import type { TlsOptions } from './dial-options.js'
import { isSecretName, withoutTokens } from './secret-names.js'
import { parseTarget, type Target } from './target.js'

/** One URL on the way to a connection, and what it is asked. */
export interface Hop {
  readonly target: Target
  readonly request: ClientRequest
  /** The request as it is written, without the cookies of a store. */
  readonly bytes: Uint8Array
  readonly tls: TlsOptions | undefined
}

/** Why a response other than 101 is the end. */
export interface Refusal {
  readonly code: HandshakeErrorCode
  /** Follows the message of the code. */
  readonly detail: string
  readonly cause?: unknown
}

/** RFC 9110 15.4. All five ask for the same: a GET stays a GET. The others (300, 304, 305) have nowhere to go. */
const REDIRECTS: ReadonlySet<number> = new Set([301, 302, 303, 307, 308])

/** RFC 9110 15.4: what a redirected request should leave out, as it is meant for one origin only. In lower case. */
const ONE_ORIGIN: ReadonlySet<string> = new Set(['authorization', 'cookie', 'host', 'proxy-authorization'])

/**
 * What says whom to trust and how to speak, but not who we are or who the first server is. A check of one's own is told the
 * name of each host, and without it less would be checked.
 */
const COMMON_TLS_OPTIONS = [
  'ca',
  'crl',
  'ciphers',
  'sigalgs',
  'ecdhCurve',
  'minDHSize',
  'minVersion',
  'maxVersion',
  'secureOptions',
  'secureProtocol',
  'rejectUnauthorized',
  'checkServerIdentity',
  'enableTrace',
] as const satisfies readonly (keyof TlsOptions)[]

// Off, as in browsers, undici, and ws (which follows 10 when asked to); Python websockets follows 10, curl -L 50.
const MAX_REDIRECTS = 0

/**
 * Checks how many redirects may be followed.
 *
 * @throws UsageError `WS_BAD_OPTION` for anything but a whole number from 0, or Infinity.
 */
export function redirectLimit(value: number | undefined): number {
  if (value === undefined) return MAX_REDIRECTS
  if (value === Infinity || (Number.isInteger(value) && value >= 0)) return value
  throw new UsageError('WS_BAD_OPTION', `maxRedirects must be a whole number or Infinity, and not ${value}`)
}

/**
 * Makes a hop.
 *
 * @throws InvalidHeadError for a request that cannot be written.
 */
export function makeHop(target: Target, request: ClientRequest, tls: TlsOptions | undefined): Hop {
  return { target, request, bytes: encodeRequest(request), tls }
}

/**
 * Where to go after a response other than 101, or why nowhere.
 *
 * @param left how many more redirects may be followed, of `maxRedirects` in all.
 */
export function afterResponse(
  hop: Hop,
  head: ResponseHead,
  left: number,
  maxRedirects: number,
): Hop | Refusal {
  const status = String(head.status)
  if (maxRedirects === 0 || !REDIRECTS.has(head.status))
    return { code: 'WS_HANDSHAKE_STATUS', detail: status }
  if (left === 0) return { code: 'WS_HANDSHAKE_TOO_MANY_REDIRECTS', detail: `more than ${maxRedirects}` }
  // Nothing below repeats the location: it may have a secret in its query.
  const bad = (why: string, cause?: unknown): Refusal => ({
    code: 'WS_HANDSHAKE_BAD_REDIRECT',
    detail: `${status} ${why}`,
    ...(cause === undefined ? {} : { cause }),
  })
  const locations = headerValues(head.headers, 'location')
  if (locations.length > 1) return bad('with more than one Location')
  if (locations.length === 0 || locations[0] === '') return bad('without a Location')
  const url = resolve(locations[0], hop.target)
  if (url === null) return bad('with a Location that cannot be parsed')
  // The paths of a unix socket are none of a server's business, not even those of the same socket.
  if (!/^(?:http|ws)s?:$/.test(url.protocol)) return bad('to a scheme that is not ws: or wss:')
  try {
    return nextHop(hop, parseTarget(url))
  } catch (cause) {
    return bad('with a Location that cannot be asked for', cause)
  }
}

/** RFC 9110 10.2.2, but that fragments, also inherited ones, are dropped, and user info, which is a phisher's toy. */
function resolve(location: string, from: Target): URL | null {
  // Bytes above ASCII are kept as they came, as browsers do; read as latin1 they would become others.
  const ascii = location.replaceAll(/[\x80-\xFF]/g, char => `%${char.charCodeAt(0).toString(16)}`)
  // The WHATWG parser would drop a tab, and so make another address of it.
  if (ascii.includes('\t') || !URL.canParse(ascii, from.href)) return null
  const url = new URL(ascii, from.href)
  url.username = url.password = url.hash = ''
  return url
}

function nextHop({ target: from, request, tls }: Hop, to: Target): Hop {
  const asked = { ...request, host: to.host, target: to.requestTarget, key: generateKey() }
  if (isSameOrigin(from, to)) return makeHop(to, asked, tls)
  const headers = request.headers.filter(
    ([name]) => !ONE_ORIGIN.has(name.toLowerCase()) && !isSecretName(name),
  )
  const subprotocols = withoutTokens(request.subprotocols)
  return makeHop(to, { ...asked, headers, subprotocols }, tls && commonTls(tls))
}

const isSameOrigin = (a: Target, b: Target): boolean =>
  a.secure === b.secure &&
  a.hostname === b.hostname &&
  a.port === b.port &&
  // A unix socket says `localhost`, and is nobody's neighbour.
  a.socketPath === null

const commonTls = (tls: TlsOptions): TlsOptions =>
  Object.fromEntries(COMMON_TLS_OPTIONS.filter(name => name in tls).map(name => [name, tls[name]]))
