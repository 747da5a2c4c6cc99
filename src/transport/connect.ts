import type { Duplex } from 'node:stream'
import {
  type ClientRequest,
  type ExtensionOffer,
  generateKey,
  type HeaderList,
  type HeadLimits,
} from '../handshake/index.js'
import { UsageError } from '../protocol/index.js'
import { ClientHandshake, type Opened } from './client-handshake.js'
import { ConnectionError } from './connection-error.js'
import { dial } from './dial.js'
import { DIAL_OPTIONS, type DialOptions, milliseconds, requireOptions } from './dial-options.js'
import { runPhase } from './phase.js'
import { Socket } from './socket.js'
import { resolveSocketOptions, SOCKET_OPTIONS, type SocketOptions } from './socket-options.js'
import { discard } from './stream-events.js'
import { parseTarget, peerName, type Target } from './target.js'

/** How to connect, and how the connection behaves afterwards. Times are in milliseconds, `Infinity` is no limit. */
export interface ConnectOptions extends DialOptions, SocketOptions {
  /** More request headers, in the order given: pairs, or an object whose values may be lists. */
  readonly headers?:
    | HeaderList
    | Iterable<readonly [name: string, value: string]>
    | Readonly<Record<string, string | readonly string[]>>
    | undefined
  /** The `Origin` header. Browsers always send one; other clients only need it where a server asks. */
  readonly origin?: string | undefined
  /** In the order of preference. A server may choose one of them, or none. */
  readonly subprotocols?: readonly string[] | undefined
  /** From the request to the end of the server's answer. Default 10,000. */
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

const CONNECT_OPTIONS: Readonly<Record<keyof ConnectOptions, true>> = {
  ...DIAL_OPTIONS,
  ...SOCKET_OPTIONS,
  headers: true,
  origin: true,
  subprotocols: true,
  handshakeTimeoutMs: true,
  headLimits: true,
  serialize: true,
  signal: true,
  onMessage: true,
}

// Python websockets 10 s for all of opening; gun 5 s; undici 300 s; ws none.
const HANDSHAKE_TIMEOUT_MS = 10_000
const NO_EXTENSIONS: readonly ExtensionOffer[] = []

/**
 * Connects to a WebSocket server: `ws:` or `wss:`, `http:` or `https:` (the same), `ws+unix:/path/to.sock:/request/path`.
 * User info in the URL becomes Basic authorization.
 *
 * @returns the open socket.
 * @throws (rejects) UsageError for a bad URL or option and InvalidHeadError for a header that cannot be sent, before
 * anything is dialed; ConnectionError with its `phase` when there is no connection or no answer; HandshakeError when the
 * server answered something else, with its status, headers and the start of its body in `response`; AbortError. Whatever
 * is thrown, no socket, timer or listener is left.
 */
export async function connect(url: string | URL, options: ConnectOptions = {}): Promise<Socket> {
  requireOptions(options, CONNECT_OPTIONS)
  const target = parseTarget(url)
  const peer = peerName(target)
  const settings = resolveSocketOptions(options)
  const limitMs = milliseconds('handshakeTimeoutMs', options.handshakeTimeoutMs, HANDSHAKE_TIMEOUT_MS)
  const request = clientRequest(target, options)
  const prepare = ClientHandshake.prepare(request, options.headLimits ?? {}, peer)
  const leaveGate: (() => void)[] = []
  const onGate = options.serialize === true ? (leave: () => void) => leaveGate.push(leave) : undefined
  const handshake = async (): Promise<{ readonly stream: Duplex; readonly opened: Opened }> => {
    const { socket: stream } = await dial(target, options, onGate)
    const attempt = prepare(stream)
    const limits = {
      clock: settings.clock,
      limitMs,
      signal: options.signal,
      timeoutError: () => attempt.refusal ?? new ConnectionError('WS_HANDSHAKE_TIMEOUT', peer, { limitMs }),
    }
    try {
      return { stream, opened: (await runPhase(limits, attempt.start)).value }
    } catch (error) {
      discard(stream)
      throw error
    }
  }
  const { stream, opened } = await handshake().finally(() => leaveGate.forEach(leave => leave()))
  const { agreement, head, rest } = opened
  const origin = { role: 'client', url: target.href, peer, agreement, head } as const
  const socket = new Socket(stream, origin, settings)
  socket.onMessage = options.onMessage ?? null
  closeOnAbort(socket, options.signal)
  // After the microtasks: frames that came with the 101 wait until the caller has the socket and can answer them.
  process.nextTick(() => socket.start(rest))
  return socket
}

function clientRequest(target: Target, options: ConnectOptions): ClientRequest {
  const headers = headerList(options.headers)
  const given = (name: string): boolean => headers.some(([one]) => one.toLowerCase() === name)
  if (options.origin !== undefined) headers.push(['Origin', options.origin])
  // What the caller says wins over what the URL says.
  if (target.authorization !== null && !given('authorization'))
    headers.push(['Authorization', target.authorization])
  return {
    host: target.host,
    target: target.requestTarget,
    key: generateKey(),
    subprotocols: requireList(options.subprotocols ?? []),
    extensions: NO_EXTENSIONS,
    headers,
  }
}

function requireList(subprotocols: readonly string[]): readonly string[] {
  if (Array.isArray(subprotocols)) return subprotocols
  throw new UsageError('WS_BAD_OPTION', 'subprotocols must be a list')
}

function headerList(headers: ConnectOptions['headers'] = []): [string, string][] {
  // Pairs: a list of them, a `Headers` object, a `Map`.
  if (Symbol.iterator in headers) return Array.from(headers as HeaderList, ([name, value]) => [name, value])
  return Object.entries(headers).flatMap(([name, value]) =>
    !Array.isArray(value)
      ? [[name, value] as [string, string]]
      : value.map((one): [string, string] => [name, one]),
  )
}

function closeOnAbort(socket: Socket, signal: AbortSignal | undefined): void {
  if (signal === undefined) return
  const abort = (): void => void socket.close(1001, 'aborted')
  if (signal.aborted) {
    process.nextTick(abort)
    return
  }
  signal.addEventListener('abort', abort, { once: true })
  void socket.closed.then(() => signal.removeEventListener('abort', abort))
}
