import type { Duplex } from 'node:stream'
import { type HeadLimits, resolveHeadLimits } from '../handshake/index.js'
import type { Opened } from './client-handshake.js'
import { clientRequest } from './client-request.js'
import { type CookieStore, requireCookieStore } from './cookies.js'
import {
  type Caller,
  DIAL_OPTIONS,
  type DialOptions,
  milliseconds,
  requireOptions,
  resolveDialOptions,
} from './dial-options.js'
import type { HeaderInput } from './header-list.js'
import { type HopSettings, openHop } from './hop.js'
import { type Hop, makeHop, redirectLimit } from './redirect.js'
import { resolveProxies } from './proxy.js'
import { Socket } from './socket.js'
import {
  resolveSocketOptions,
  SOCKET_OPTIONS,
  type SocketOptions,
  type SocketSettings,
} from './socket-options.js'
import { parseTarget, peerName } from './target.js'
import { tell } from './tell.js'

/** How to connect, and how the connection behaves afterwards. Times are in milliseconds, `Infinity` is no limit. */
export interface ConnectOptions extends DialOptions, SocketOptions {
  /** More request headers, in the order given: pairs, or an object whose values may be lists. */
  readonly headers?: HeaderInput | undefined
  /** The `Origin` header. Browsers always send one; other clients only need it where a server asks. */
  readonly origin?: string | undefined
  /** In the order of preference. A server may choose one of them, or none. */
  readonly subprotocols?: readonly string[] | undefined
  /**
   * Where cookies come from and go to: asked before each request, and offered each `Set-Cookie` of each response before
   * `connect()` settles. Its cookies follow those in `headers`, which win over stored ones of the same name. Unix sockets
   * have no cookies.
   */
  readonly cookieStore?: CookieStore | undefined
  /**
   * How many redirects (301, 302, 303, 307, 308) may be followed. Default 0: a redirect is a refusal. Another scheme, host
   * or port is another origin, and from there on nobody gets `Authorization`, `Cookie`, `Proxy-Authorization` and `Host` of
   * `headers`, the URL's user info, nor of `tls` more than says whom to trust and how to speak.
   */
  readonly maxRedirects?: number | undefined
  /** From the request to the end of the server's answer, the cookie store included; for each redirect anew. Default 10,000. */
  readonly handshakeTimeoutMs?: number | undefined
  readonly headLimits?: Partial<HeadLimits> | undefined
  /**
   * Wait until no other connection of this process to the same address is being opened (RFC 6455 4.1). Default false: the
   * rule is for scripts in a browser, and costs a program that opens many connections a round trip for each.
   */
  readonly serialize?: boolean | undefined
  /** Gives up connecting; once open, closes with 1001. */
  readonly signal?: AbortSignal | undefined
  /** Called for each message from the first on; the same as setting `onMessage` on the socket, only earlier. */
  readonly onMessage?: Socket['onMessage'] | undefined
}

/** The names of {@link ConnectOptions}. */
export const CONNECT_OPTIONS: Readonly<Record<keyof ConnectOptions, true>> = {
  ...DIAL_OPTIONS,
  ...SOCKET_OPTIONS,
  headers: true,
  origin: true,
  subprotocols: true,
  cookieStore: true,
  maxRedirects: true,
  handshakeTimeoutMs: true,
  headLimits: true,
  serialize: true,
  signal: true,
  onMessage: true,
}

// Python websockets 10 s for all of opening; gun 5 s; undici 300 s; ws none.
const HANDSHAKE_TIMEOUT_MS = 10_000

/**
 * Connects to a WebSocket server: `ws:` or `wss:`, `http:` or `https:` (the same), `ws+unix:/path/to.sock:/request/path`.
 * User info in the URL becomes Basic authorization.
 *
 * @returns the open socket.
 * @throws (rejects) UsageError for a bad URL or option and InvalidHeadError for a header that cannot be sent, before
 * anything is dialed; ConnectionError with its `phase` when there is no connection or no answer; HandshakeError when the
 * server answered something else, with its status, headers and the start of its body in `response`; AbortError. Whatever
 * is thrown, no socket, timer or listener is left. A cookie that the store gives and no header can carry is an
 * InvalidHeadError too, and is not sent.
 */
export function connect(url: string | URL, options: ConnectOptions = {}): Promise<Socket> {
  try {
    requireOptions(options, CONNECT_OPTIONS)
    const opening = open(prepare(url, options))
    const { signal } = options
    return signal === undefined ? opening : opening.then(socket => closingOnAbort(socket, signal))
  } catch (error) {
    return Promise.reject(error)
  }
}

/**
 * Does what was prepared, which can be done once: from hop to hop, until a server opens the connection or says no.
 *
 * @throws (rejects) as `connect`, but for what `prepare` has thrown.
 */
export async function open(prepared: Prepared): Promise<Socket> {
  const { maxRedirects } = prepared
  let hop = prepared.first
  for (let left = maxRedirects; ; left--) {
    const { stream, answer } = await openHop(hop, prepared, { left, maxRedirects })
    if (!('next' in answer)) return socketOn(stream, hop, answer, prepared)
    const { next, status } = answer
    const [from, to] = [hop.target.href, next.target.href]
    tell(prepared.dial.onEvent, { type: 'redirect', from, to, status })
    hop = next
  }
}

function socketOn(stream: Duplex, { target }: Hop, opened: Opened, { options, settings }: Prepared): Socket {
  const { agreement, deflate, head } = opened
  const peer = peerName(target)
  const origin = { role: 'client', url: target.href, peer, agreement, deflate, head } as const
  const socket = new Socket(stream, origin, settings)
  socket.onMessage = options.onMessage ?? null
  // After the microtasks: frames that came with the 101 wait until the caller has the socket and can answer them.
  process.nextTick(() => socket.start(opened.rest))
  return socket
}

/**
 * Everything that can be said of a URL and options before anything is dialed. That there are no other options was checked.
 *
 * @param caller - as in `resolveDialOptions`.
 * @throws UsageError, InvalidHeadError.
 */
export function prepare(url: string | URL, options: ConnectOptions, caller?: Caller): Prepared {
  const settings = resolveSocketOptions(options)
  const { handshakeTimeoutMs: limitMs } = options
  const handshakeTimeoutMs = milliseconds('handshakeTimeoutMs', limitMs, HANDSHAKE_TIMEOUT_MS)
  const maxRedirects = redirectLimit(options.maxRedirects)
  requireCookieStore(options.cookieStore)
  resolveHeadLimits(options.headLimits)
  const dial = resolveDialOptions(options, caller)
  const target = parseTarget(url)
  resolveProxies(options.proxy, target, process.env)
  const first = makeHop(target, clientRequest(target, options, settings.compress), options.tls)
  const { clock, compress } = settings
  return { options, settings, dial, first, maxRedirects, handshakeTimeoutMs, clock, compress }
}

/** What `connect()` begins with. */
export interface Prepared extends HopSettings {
  readonly settings: SocketSettings
  readonly first: Hop
  readonly maxRedirects: number
}

function closingOnAbort(socket: Socket, signal: AbortSignal): Socket {
  const abort = (): void => void socket.close(1001, 'aborted')
  if (signal.aborted) process.nextTick(abort)
  else {
    signal.addEventListener('abort', abort, { once: true })
    void socket.closed.then(() => signal.removeEventListener('abort', abort))
  }
  return socket
}
