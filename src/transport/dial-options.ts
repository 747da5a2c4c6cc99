import { lookup as systemLookup } from 'node:dns'
import { connect as netConnect, type LookupFunction, type NetConnectOpts, type Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import type { ConnectionOptions } from 'node:tls'
import { UsageError } from '../protocol/usage-error.js'
import type { Abortable } from './abandon.js'
import { type Clock, systemClock } from './clock.js'
import type { ConnectEvent } from './connect-event.js'
import type { HeaderInput } from './header-list.js'
import { ipFamily, type IpFamily } from './ip-family.js'
import type { Target } from './target.js'
import type { ConnectListener } from './tell.js'

/**
 * Options of the TCP connection. Unix sockets ignore them.
 */
export interface TcpOptions {
  /** Sends small writes at once (`TCP_NODELAY`). Default `true`: the pump gathers output itself. */
  readonly noDelay?: boolean | undefined
  /** TCP keepalive probes: `true`, or the milliseconds of silence before the first. Default `false`. */
  readonly keepAlive?: boolean | number | undefined
  /** The local IP address to connect from. Only addresses of its family are tried. */
  readonly localAddress?: string | undefined
  /** Tries only IPv4 (`4`) or only IPv6 (`6`). Default `0`, both. */
  readonly family?: IpFamily | undefined
}

/**
 * Options of `tls.connect` that are passed through: `ca`, `cert`, `key`, `servername`, `checkServerIdentity` and so on.
 * Where to connect to comes from the URL, and ALPN is always `http/1.1`.
 */
export type TlsOptions = Omit<
  ConnectionOptions,
  'host' | 'port' | 'path' | 'socket' | 'lookup' | 'timeout' | 'ALPNProtocols'
>

/**
 * One proxy on the way to a target. The target's own options of TLS do not concern it.
 */
export interface ProxyOptions {
  /**
   * `http:` or `https:` (CONNECT, over TCP or TLS), `socks5:` or `socks5h:` (the same: names are resolved at the proxy). User
   * info is the authentication. There is nothing behind host and port, which is 80, 443 or 1080 if it is not said.
   */
  readonly url: string | URL
  /** More headers of the CONNECT request. A `Proxy-Authorization` among them replaces the URL's user info. */
  readonly headers?: HeaderInput | undefined
  /** Options of the TLS connection to an `https:` proxy, such as `ca`. */
  readonly tls?: TlsOptions | undefined
  /** Switches off every check of this proxy's certificate. Default `false`. */
  readonly insecure?: boolean | undefined
}

/**
 * Makes the connection to a target by other means, for example through a tunnel.
 *
 * @param signal - is aborted when the connection is not wanted any more.
 * @returns a stream that is connected or connecting. For a secure target, TLS is spoken inside it, unless it is a
 * `TLSSocket` already. Its ownership goes to the caller.
 */
export type ConnectionFactory = (target: Target, signal: AbortSignal) => Duplex | Promise<Duplex>

/**
 * How to get from a {@link Target} to a connected socket. All times are in milliseconds, `Infinity` is no limit.
 */
export interface DialOptions {
  readonly tcp?: TcpOptions | undefined
  readonly tls?: TlsOptions | undefined
  /** Switches off every check of the server's certificate. Default `false`, whatever `NODE_TLS_REJECT_UNAUTHORIZED` says. */
  readonly insecure?: boolean | undefined
  /** Resolves names, in the form of `dns.lookup`, which is the default. It is asked for all addresses. */
  readonly lookup?: LookupFunction | undefined
  /** Takes the place of lookup and TCP; `connectTimeoutMs` is its limit. */
  readonly createConnection?: ConnectionFactory | undefined
  /**
   * Proxies to go through, the first one first: URLs or {@link ProxyOptions}; names are resolved at the last of them. `'env'`
   * asks the environment at each dial: `https_proxy` or `http_proxy`, `all_proxy`, `no_proxy`, also in upper case. Only what
   * `no_proxy` lists is reached directly, loopback addresses too. Default none, whatever the environment says.
   */
  readonly proxy?: string | URL | ProxyOptions | readonly (string | URL | ProxyOptions)[] | undefined
  /** Limit for each proxy, from asking for the tunnel to having it. Default 10,000. */
  readonly proxyTimeoutMs?: number | undefined
  /** Limit for the lookup. Default 10,000. */
  readonly domainLookupTimeoutMs?: number | undefined
  /** Limit for the TCP connection, over all addresses. Default 10,000. */
  readonly connectTimeoutMs?: number | undefined
  /** Limit for each TLS handshake, with a proxy or the target. Default 10,000. */
  readonly tlsHandshakeTimeoutMs?: number | undefined
  /** How long one address is tried before the next is tried beside it (RFC 8305 section 5). Default 250, at least 10. */
  readonly attemptDelayMs?: number | undefined
  /** Is told each step when it is done. What it throws is thrown where nobody waits for it, and the connection goes on. */
  readonly onEvent?: ((event: ConnectEvent) => void) | undefined
  /** Gives up in whatever phase the connection is. */
  readonly signal?: AbortSignal | undefined
  /** Where time comes from. Default {@link systemClock}. */
  readonly clock?: Clock | undefined
  /** Stands in for `net.connect`. */
  readonly netConnect?: ((options: NetConnectOpts) => Socket) | undefined
}

/** The names of {@link DialOptions}. */
export const DIAL_OPTIONS: Readonly<Record<keyof DialOptions, true>> = {
  tcp: true,
  tls: true,
  insecure: true,
  lookup: true,
  createConnection: true,
  proxy: true,
  proxyTimeoutMs: true,
  domainLookupTimeoutMs: true,
  connectTimeoutMs: true,
  tlsHandshakeTimeoutMs: true,
  attemptDelayMs: true,
  onEvent: true,
  signal: true,
  clock: true,
  netConnect: true,
}

/**
 * Refuses what is no option: a misspelt limit would be none.
 *
 * @param where - the option that these are options of; `''` for none.
 * @throws UsageError `WS_BAD_OPTION`.
 */
export const requireOptions = (given: object, known: Readonly<Record<string, true>>, where = ''): void => {
  if (typeof given !== 'object' || given === null) {
    throw badOption(where === '' ? 'the options must be an object' : `${where} must be an object`)
  }
  const prefix = where === '' ? '' : `${where}.`
  for (const name of Object.keys(given)) {
    if (Object.hasOwn(known, name)) continue
    const meant = Object.keys(known).find(one => isAlike(one.toLowerCase(), name.toLowerCase()))
    const hint = meant === undefined ? '' : `; did you mean ${prefix}${meant}?`
    throw badOption(`there is no option ${prefix}${name}${hint}`)
  }
}

/** One of two names begins or ends with the other, or they differ in one letter. */
const isAlike = (a: string, b: string): boolean => {
  if (Math.min(a.length, b.length) < 3) return false
  if (a.startsWith(b) || b.startsWith(a) || a.endsWith(b) || b.endsWith(a)) return true
  let start = 0
  while (start < a.length && a[start] === b[start]) start++
  let end = 0
  while (end < Math.min(a.length, b.length) - start && a.at(-1 - end) === b.at(-1 - end)) end++
  return Math.max(a.length, b.length) - start - end <= 1
}

/**
 * {@link DialOptions} with every default filled in.
 */
export interface DialSettings {
  readonly tcp: {
    readonly noDelay: boolean
    readonly keepAlive: boolean
    readonly keepAliveInitialDelay: number
    readonly localAddress?: string
  }
  readonly family: IpFamily
  readonly tls: TlsOptions & { readonly rejectUnauthorized: boolean }
  readonly lookup: LookupFunction
  readonly createConnection: ConnectionFactory | undefined
  readonly proxyTimeoutMs: number
  readonly domainLookupTimeoutMs: number
  readonly connectTimeoutMs: number
  readonly tlsHandshakeTimeoutMs: number
  readonly attemptDelayMs: number
  readonly onEvent: ConnectListener | undefined
  readonly signal: Abortable | undefined
  readonly clock: Clock
  readonly netConnect: (options: NetConnectOpts) => Socket
}

// A server that is there answers each of these within a second or two; they bound the wait for one that is not. A proxy has
// to connect before it can answer: 10 s is what undici gives it too.
// Precedents: python websockets 10 s for everything together (open_timeout), undici 10 s for lookup, TCP and TLS together,
// Go net/http 10 s for TLS, 30 s for TCP and 60 s for a proxy; ws, gun and Node itself wait as long as the system does (2 minutes and more).
// A resolver that follows resolv.conf's defaults gives up a server after 5 s and asks twice.
const DEFAULT_LIMIT_MS = 10_000
/** RFC 8305 section 8: recommended. Node's own default is the same. */
const DEFAULT_ATTEMPT_DELAY_MS = 250
/** RFC 8305 section 8: the minimum MUST NOT be less than 10 ms. */
const MIN_ATTEMPT_DELAY_MS = 10

/** Who stands between the one who gave the options and the dial: is told its steps, and may give it up. */
export type Caller = Required<Pick<DialSettings, 'onEvent' | 'signal'>>

/**
 * Checks the options and fills in the defaults.
 *
 * @param caller - by default the options say who.
 * @throws UsageError `WS_BAD_OPTION` for a value that makes no sense, for `tls.rejectUnauthorized: false` without
 * `insecure: true`, and for a proxy together with `createConnection`.
 */
export const resolveDialOptions = (options: DialOptions, caller?: Caller): DialSettings => {
  // Copies by `...` cost more than all the rest here.
  const { tcp, family } = tcpSettings(options.tcp ?? undefined)
  const { domainLookupTimeoutMs, tlsHandshakeTimeoutMs, attemptDelayMs } = options
  const onEvent = eventHandler(options.onEvent)
  const signal = abortSignal(options.signal)
  return {
    tcp,
    family,
    tls: tlsSettings(options.tls ?? undefined, options.insecure === true),
    lookup: options.lookup ?? systemLookup,
    createConnection: ownConnection(options),
    proxyTimeoutMs: milliseconds('proxyTimeoutMs', options.proxyTimeoutMs, DEFAULT_LIMIT_MS),
    domainLookupTimeoutMs: milliseconds('domainLookupTimeoutMs', domainLookupTimeoutMs, DEFAULT_LIMIT_MS),
    connectTimeoutMs: milliseconds('connectTimeoutMs', options.connectTimeoutMs, DEFAULT_LIMIT_MS),
    tlsHandshakeTimeoutMs: milliseconds('tlsHandshakeTimeoutMs', tlsHandshakeTimeoutMs, DEFAULT_LIMIT_MS),
    attemptDelayMs: milliseconds(
      'attemptDelayMs',
      attemptDelayMs,
      DEFAULT_ATTEMPT_DELAY_MS,
      MIN_ATTEMPT_DELAY_MS,
    ),
    onEvent: caller === undefined ? onEvent : caller.onEvent,
    signal: caller === undefined ? signal : caller.signal,
    clock: options.clock ?? systemClock,
    netConnect: options.netConnect ?? netConnect,
  }
}

/**
 * Checks a time limit.
 *
 * @throws UsageError `WS_BAD_OPTION` for anything but a number of at least `min`; `Infinity` is one.
 */
export const milliseconds = (name: string, value: number | undefined, fallback: number, min = 1): number => {
  if (value === undefined) return fallback
  // Written so that NaN fails too.
  if (typeof value === 'number' && value >= min) return value
  throw badOption(`${name} must be a number of at least ${min} ms, and not ${JSON.stringify(value)}`)
}

const ownConnection = ({ createConnection, proxy }: DialOptions): ConnectionFactory | undefined => {
  if (createConnection === undefined || proxy === undefined) return createConnection
  throw badOption(
    'createConnection takes the place of all that leads to the target, so it cannot use a proxy',
  )
}

const eventHandler = (onEvent: DialOptions['onEvent']): DialOptions['onEvent'] => {
  if (onEvent === undefined || typeof onEvent === 'function') return onEvent
  throw badOption('onEvent must be a function')
}

const abortSignal = (signal: AbortSignal | undefined): AbortSignal | undefined => {
  if (signal === undefined || signal instanceof AbortSignal) return signal
  throw badOption('signal must be an AbortSignal, such as the signal of an AbortController')
}

const badOption = (message: string): UsageError => new UsageError('WS_BAD_OPTION', message)

const DEFAULT_TCP: Pick<DialSettings, 'tcp' | 'family'> = {
  tcp: { noDelay: true, keepAlive: false, keepAliveInitialDelay: 0 },
  family: 0,
}

const tcpSettings = (options: TcpOptions | undefined): Pick<DialSettings, 'tcp' | 'family'> => {
  if (options === undefined) return DEFAULT_TCP
  const { noDelay, keepAlive, localAddress, family } = options
  if (![undefined, 0, 4, 6].includes(family))
    throw badOption(`tcp.family must be 0, 4 or 6, and not ${family}`)
  const localFamily = localAddress === undefined ? 0 : ipFamily(localAddress)
  if (localAddress !== undefined && localFamily === 0)
    throw badOption('tcp.localAddress must be an IP address')
  const probeAfterMs = typeof keepAlive === 'number' ? milliseconds('tcp.keepAlive', keepAlive, 0) : 0
  return {
    tcp: {
      noDelay: noDelay ?? true,
      keepAlive: keepAlive !== undefined && keepAlive !== false,
      keepAliveInitialDelay: probeAfterMs,
      ...(localAddress === undefined ? {} : { localAddress }),
    },
    family: family || localFamily,
  }
}

const CHECKED: DialSettings['tls'] = { rejectUnauthorized: true }
const UNCHECKED: DialSettings['tls'] = { rejectUnauthorized: false }

/**
 * Options of TLS, with the one that says whether certificates are checked.
 *
 * @throws UsageError `WS_BAD_OPTION` for `rejectUnauthorized: false` where that was not meant.
 */
export const tlsSettings = (tls: TlsOptions | undefined, insecure: boolean): DialSettings['tls'] => {
  if (tls === undefined) return insecure ? UNCHECKED : CHECKED
  if (tls.rejectUnauthorized === false && !insecure) {
    throw badOption(
      'tls.rejectUnauthorized: false leaves the connection open to anyone; if that is meant, say insecure: true',
    )
  }
  // Always set: where it is missing, Node asks NODE_TLS_REJECT_UNAUTHORIZED.
  return { ...tls, rejectUnauthorized: !insecure }
}
