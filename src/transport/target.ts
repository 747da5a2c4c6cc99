// Strategy: the WHATWG parser does the work, but it is too forgiving for a request line: it silently drops tabs and
// line ends. So the raw text is looked at first. The URL's user info becomes an `authorization` value and is then
// taken out of `href`, so that no log shows a password.
//
// A unix socket is spelled as `ws` spells it, `ws+unix:/path/to.sock:/request/path?query`, and cut by hand at the first
// colon: the WHATWG parser would see one path, in which `..` of the request climbs up into the path of the socket.
// A colon (or `?`) inside the path of the socket is written `%3A` (`%3F`).

import { UsageError } from '../protocol/usage-error.js'

/**
 * Where a URL leads, in the words of the layers that need it.
 */
export interface Target {
  /** True for `wss:` and `https:`. */
  readonly secure: boolean
  /** A name or an IP address without brackets, for lookup, SNI and the check of the certificate. */
  readonly hostname: string
  readonly port: number
  /** The unix socket (or Windows pipe) to connect to instead of `hostname` and `port`. */
  readonly socketPath: string | null
  /** The value of the `Host` header: IPv6 in brackets, and no port when it is the default one. */
  readonly host: string
  /** Path and query, as they go into the request line. */
  readonly requestTarget: string
  /** The value of an `Authorization` header made from the URL's user info. */
  readonly authorization: string | null
  /** The whole URL with scheme `ws:` or `wss:`, without user info. */
  readonly href: string
}

/**
 * Another end of TCP or of a tunnel: what a target and a proxy have in common.
 */
export type Peer = Pick<Target, 'secure' | 'hostname' | 'port' | 'socketPath'>

/** RFC 6455 section 3, and the HTTP spellings that the WHATWG constructor takes since 2023. */
const SECURE_BY_SCHEME: Readonly<Record<string, boolean>> = {
  'ws:': false,
  'http:': false,
  'wss:': true,
  'https:': true,
}

/**
 * Takes a WebSocket URL apart. Pure: nothing is looked up.
 *
 * @param url - `ws:`, `wss:`, `http:`, `https:`, `ws+unix:` or `wss+unix:`.
 * @throws UsageError `WS_BAD_URL` for anything that is not one, for a fragment (RFC 6455 section 3) and for control
 * characters. The message never contains user info.
 */
export const parseTarget = (url: string | URL): Target => {
  const text = String(url)
  if (text === lastText) return lastTarget!
  const target = parseText(text)
  // Who connects again, or often, has the same text. A password is not kept.
  if (target.authorization === null) {
    lastText = text
    lastTarget = target
  }
  return target
}

let lastText: string | null = null
let lastTarget: Target | null = null

const parseText = (text: string): Target => {
  if (/\p{Cc}/u.test(text)) throw badUrl('it contains a control character')
  const unix = /^ *(wss?)\+unix:/i.exec(text)
  if (unix) return unixTarget(unix[1].length === 3, text.slice(unix[0].length).trimEnd())
  const parsed = parse(text)
  const secure = SECURE_BY_SCHEME[parsed.protocol]
  if (secure === undefined) throw badUrl(`its scheme is ${parsed.protocol} and not ws: or wss:`)
  const authorization = basicAuthorization(parsed)
  // Each of these parses all of it anew.
  const scheme = secure ? 'wss:' : 'ws:'
  if (parsed.protocol !== scheme) parsed.protocol = scheme
  if (authorization !== null) parsed.username = parsed.password = ''
  return {
    secure,
    hostname: parsed.hostname.replace(/^\[(.*)\]$/, '$1'),
    port: parsed.port === '' ? (secure ? 443 : 80) : Number(parsed.port),
    socketPath: null,
    host: parsed.host,
    requestTarget: parsed.pathname + parsed.search,
    authorization,
    href: parsed.href,
  }
}

/**
 * The other end as error messages name it: `host:port`, or the path of the unix socket.
 */
export const peerName = ({ hostname, port, socketPath }: Peer): string =>
  socketPath ?? `${hostname.includes(':') ? `[${hostname}]` : hostname}:${port}`

const badUrl = (why: string): UsageError => new UsageError('WS_BAD_URL', `not a WebSocket URL: ${why}`)

const parse = (text: string): URL => {
  let parsed: URL
  try {
    parsed = new URL(text)
  } catch {
    // Node's error repeats the whole input, password and all: it is not kept as the cause.
    throw badUrl('it cannot be parsed')
  }
  // RFC 6455 section 3: fragments MUST NOT be used. An empty one leaves `hash` empty, but shows in `href`.
  if (parsed.href.includes('#')) throw badUrl('it has a fragment')
  return parsed
}

const unixTarget = (secure: boolean, rest: string): Target => {
  const afterAuthority = rest.replace(/^\/\/(?=\/)/, '')
  if (afterAuthority.startsWith('//')) throw badUrl('a unix socket has no host: write ws+unix:/path/to.sock')
  const [path, request] = cut(afterAuthority, ':')
  if (/[?#]/.test(path)) throw badUrl('write %3F or %23 for ? or # in the path of the unix socket')
  const socketPath = percentDecode(path).toString()
  if (socketPath === '') throw badUrl('the path of the unix socket is empty')
  if (/\p{Cc}/u.test(socketPath)) throw badUrl('the path of the unix socket contains a control character')
  if (!/^(?:[/?]|$)/.test(request)) throw badUrl('what follows the unix socket is not a path')
  const { pathname, search } = parse(`ws://localhost${request}`)
  return {
    secure,
    // No name is known for the other end; everybody who speaks HTTP over unix sockets says localhost.
    hostname: 'localhost',
    port: secure ? 443 : 80,
    socketPath,
    host: 'localhost',
    requestTarget: pathname + search,
    authorization: null,
    href: `${secure ? 'wss' : 'ws'}+unix:${path}:${pathname}${search}`,
  }
}

const cut = (text: string, separator: string): [string, string] => {
  const at = text.indexOf(separator)
  return at < 0 ? [text, ''] : [text.slice(0, at), text.slice(at + 1)]
}

/**
 * The value of an `Authorization` header (RFC 7617 section 2), or null for a URL without user info. The URL's bytes are
 * taken as they are, so UTF-8 unless the URL says otherwise.
 *
 * @throws UsageError made by `bad` for what Basic cannot say.
 */
export const basicAuthorization = (
  { username, password }: URL,
  bad: (why: string) => UsageError = badUrl,
): string | null => {
  if (username === '' && password === '') return null
  const user = percentDecode(username)
  const bytes = Buffer.concat([user, Buffer.from(':'), percentDecode(password)])
  // RFC 7617 section 2: no colon in the user's name, no control characters in either.
  if (user.includes(':')) throw bad('the user name contains a colon')
  if (bytes.some(byte => byte < 0x20 || byte === 0x7f))
    throw bad('the user info contains a control character')
  return `Basic ${bytes.toString('base64')}`
}

/** Unlike `decodeURIComponent` it takes any bytes, and leaves what is no escape as it is (WHATWG URL, section 1.3). */
export const percentDecode = (text: string): Buffer =>
  Buffer.concat(
    text
      .split(/(%[\da-f]{2})/i)
      .map((part, i) => (i % 2 === 1 ? Buffer.of(Number.parseInt(part.slice(1), 16)) : Buffer.from(part))),
  )
