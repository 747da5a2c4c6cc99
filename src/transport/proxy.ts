// Strategy: all that a caller can get wrong about proxies is found here, before anything is dialed. A chain of proxies
// becomes a list of hops, and each hop already has the whole conversation (negotiation.ts) that asks it for the next one;
// dial.ts only has to hold them in that order. No user info gets into an error or an event.
//
//   option ──▶ proxies ──each with the one behind it, the last with the target──▶ hops

import { InvalidHeadError } from '../handshake/index.js'
import { UsageError } from '../protocol/index.js'
import {
  type DialOptions,
  type DialSettings,
  type ProxyOptions,
  requireOptions,
  tlsSettings,
} from './dial-options.js'
import { headerList } from './header-list.js'
import { HttpConnect } from './http-connect.js'
import type { Negotiation } from './negotiation.js'
import { proxyFromEnv } from './proxy-env.js'
import { encodeSocks5Connect, Socks5, type Socks5Credentials } from './socks5.js'
import { basicAuthorization, type Peer, peerName, percentDecode } from './target.js'

/**
 * One proxy on the way to a target, for one connection.
 */
export interface ProxyHop extends Peer {
  /** `http://host:port`, without user info. */
  readonly href: string
  readonly tls: DialSettings['tls']
  /** Where its tunnel leads to, `host:port`. */
  readonly next: string
  /** What errors call the tunnel. */
  readonly tunnel: string
  /** Asks it for the tunnel. */
  readonly negotiation: Negotiation
}

interface Proxy extends Peer {
  /** What errors call this option. */
  readonly option: string
  readonly socks: boolean
  readonly href: string
  /** With user info. */
  readonly url: URL
  readonly headers: ProxyOptions['headers']
  readonly tls: DialSettings['tls']
}

const PROXY_OPTIONS: Readonly<Record<keyof ProxyOptions, true>> = {
  url: true,
  headers: true,
  tls: true,
  insecure: true,
}

const DEFAULT_PORTS: Readonly<Record<string, number>> = {
  'http:': 80,
  'https:': 443,
  'socks5:': 1080,
  'socks5h:': 1080,
}

/** RFC 1928 section 5, RFC 1929 section 2: lengths are one byte. */
const MAX_SOCKS_BYTES = 255

/**
 * The proxies on the way to a target, the first one first; none for a target that is to be reached directly.
 *
 * @param env - what `'env'` means.
 * @throws UsageError `WS_BAD_OPTION` for anything that cannot be done. The message never contains user info.
 */
export const resolveProxies = (
  option: DialOptions['proxy'],
  target: Peer,
  env: Readonly<Record<string, string | undefined>>,
): readonly ProxyHop[] => {
  const proxies = parseOption(option, target, env)
  if (proxies.length > 0 && target.socketPath !== null)
    throw badOption('proxy', 'a unix socket cannot be reached through one')
  return proxies.map((proxy, i) => makeHop(proxy, proxies[i + 1] ?? target))
}

const parseOption = (
  option: DialOptions['proxy'],
  target: Peer,
  env: Readonly<Record<string, string | undefined>>,
): readonly Proxy[] => {
  if (option === undefined) return []
  if (option === 'env') {
    const found = proxyFromEnv(target, env)
    return found === null ? [] : [parseProxy(found.url, found.name)]
  }
  return Array.isArray(option)
    ? option.map((one: string | URL | ProxyOptions, i) => parseProxy(one, `proxy[${i}]`))
    : [parseProxy(option as string | URL | ProxyOptions, 'proxy')]
}

const parseProxy = (given: string | URL | ProxyOptions, option: string): Proxy => {
  if (typeof given !== 'string' && (typeof given !== 'object' || given === null))
    throw badOption(option, 'it must be a URL, an object with one, or a list of them')
  const options = typeof given === 'string' || given instanceof URL ? { url: given } : given
  requireOptions(options, PROXY_OPTIONS)
  const { url, scheme, port } = parseUrl(options.url, option)
  const hostname = url.hostname.replace(/^\[(.*)\]$/, '$1')
  const peer = { secure: scheme === 'https:', hostname, port, socketPath: null }
  return {
    ...peer,
    option,
    socks: scheme.startsWith('socks5'),
    href: `${scheme}//${peerName(peer)}`,
    url,
    headers: options.headers,
    tls: tlsSettings(options.tls ?? {}, options.insecure === true),
  }
}

const parseUrl = (
  given: string | URL,
  option: string,
): { readonly url: URL; readonly scheme: string; readonly port: number } => {
  const text = String(given)
  // The parser would silently drop tabs and line ends.
  if (/\p{Cc}/u.test(text)) throw badOption(option, 'the URL contains a control character')
  // Node's error repeats the whole input, password and all: it is not kept.
  if (!URL.canParse(text)) throw badOption(option, 'the URL cannot be parsed')
  const raw = new URL(text)
  const scheme = raw.protocol
  if (!Object.hasOwn(DEFAULT_PORTS, scheme))
    throw badOption(option, 'the scheme must be http:, https:, socks5: or socks5h:')
  if (raw.hostname === '') throw badOption(option, 'the URL has no host')
  if (!['', '/'].includes(raw.pathname) || /[?#]/.test(raw.href))
    throw badOption(option, 'the URL must have nothing behind host and port')
  // Hosts of schemes that the parser does not know are left as they are: as one of HTTP they are names in ASCII, or addresses.
  const http = `http:${raw.href.slice(scheme.length)}`
  if (!URL.canParse(http)) throw badOption(option, 'the URL has no valid host')
  // Taken from `raw`, where 80 is not left out behind socks5:.
  const port = raw.port === '' ? DEFAULT_PORTS[scheme] : Number(raw.port)
  return { url: new URL(http), scheme, port }
}

const makeHop = (proxy: Proxy, to: Peer): ProxyHop => {
  const { secure, hostname, port, socketPath, href, tls } = proxy
  const next = peerName(to)
  const tunnel = `${href} to ${next}`
  const negotiation = proxy.socks
    ? new Socks5(socksRequest(proxy, to), socksCredentials(proxy), tunnel)
    : connectRequest(proxy, next, tunnel)
  return { secure, hostname, port, socketPath, href, tls, next, tunnel, negotiation }
}

const connectHeaders = ({ headers: given = [], url, option }: Proxy): [string, string][] => {
  if (typeof given !== 'object' || given === null)
    throw badOption(option, 'headers must be pairs or an object')
  const headers = headerList(given)
  const authorization = basicAuthorization(url, why => badOption(option, why))
  // What the caller says wins over what the URL says.
  const has = headers.some(
    ([name]) => typeof name === 'string' && name.toLowerCase() === 'proxy-authorization',
  )
  if (authorization !== null && !has) headers.push(['Proxy-Authorization', authorization])
  return headers
}

const connectRequest = (proxy: Proxy, authority: string, tunnel: string): HttpConnect => {
  try {
    return new HttpConnect(authority, connectHeaders(proxy), tunnel)
  } catch (cause) {
    if (!(cause instanceof InvalidHeadError)) throw cause
    throw badOption(proxy.option, cause.message, { cause })
  }
}

const socksRequest = ({ option, headers }: Proxy, { hostname, port }: Peer): Uint8Array => {
  if (headers !== undefined) throw badOption(option, 'a SOCKS proxy takes no headers')
  if (Buffer.byteLength(hostname) > MAX_SOCKS_BYTES)
    throw badOption(option, `a SOCKS proxy takes no host name of more than ${MAX_SOCKS_BYTES} bytes`)
  return encodeSocks5Connect(hostname, port)
}

const socksCredentials = ({ option, url: { username, password } }: Proxy): Socks5Credentials | null => {
  if (username === '' && password === '') return null
  const credentials = { user: percentDecode(username), password: percentDecode(password) }
  for (const bytes of [credentials.user, credentials.password]) {
    if (bytes.length > MAX_SOCKS_BYTES)
      throw badOption(option, `a SOCKS proxy takes no user or password of more than ${MAX_SOCKS_BYTES} bytes`)
    if (bytes.some(byte => byte < 0x20 || byte === 0x7f))
      throw badOption(option, 'the user info contains a control character')
  }
  return credentials
}

const badOption = (option: string, why: string, cause?: ErrorOptions): UsageError =>
  new UsageError('WS_BAD_OPTION', `${option}: ${why}`, cause)
