// Strategy: the server's end of the same Socket: a listener of its own on `node:net` or `node:tls`, or a guest on an
// existing `http.Server` (`attach`). Both read a head (or get it from `node:http`), check it, answer, and hand over an open
// socket; both keep the set of open sockets, so that closing tells every peer 1001.
import type { EventEmitter } from 'node:events'
import type { AddressInfo, Socket as NetSocket } from 'node:net'
import type { Duplex } from 'node:stream'
import type { TlsOptions } from 'node:tls'
import { type HeadLimits, HeadReader, type RequestHead, type UpgradeRequest } from '../handshake/index.js'
import type { Clock } from './clock.js'
import { openDoor } from './door.js'
import { milliseconds, requireOptions } from './dial-options.js'
import { remoteName } from './remote-name.js'
import { acceptUpgrade, readRequest } from './server-handshake.js'
import { UsageError } from '../protocol/index.js'
import { watchRejection } from './incoming.js'
import { Socket } from './socket.js'
import {
  resolveSocketOptions,
  SOCKET_OPTIONS,
  type SocketOptions,
  type SocketSettings,
} from './socket-options.js'

/** How connections are accepted. Times are in milliseconds, `Infinity` is no limit. */
export interface AcceptOptions extends SocketOptions {
  /** The subprotocols this server speaks. The client's first choice among them is taken; none of them is no fault. */
  readonly subprotocols?: readonly string[] | undefined
  /** For the head of the request, and before that for the TLS handshake. Default 10,000 each. */
  readonly handshakeTimeoutMs?: number | undefined
  readonly headLimits?: Partial<HeadLimits> | undefined
}

/** Where a listener of its own listens. */
export interface ListenOptions extends AcceptOptions {
  /** Default `'127.0.0.1'`: others must be let in on purpose. */
  readonly host?: string | undefined
  /** Default 0: any free port. */
  readonly port?: number | undefined
  /** A unix socket instead of host and port. */
  readonly path?: string | undefined
  /** With `key` and `cert` (see `tls.createServer`) the listener speaks `wss:`. */
  readonly tls?: TlsOptions | undefined
}

/**
 * Called for each connection, when its handshake is done and before its first message is delivered: set `onMessage` in
 * here. It may be asynchronous, though nobody waits for it. What it throws, or rejects with, closes the connection with 1011
 * and then goes the way of every uncaught error; unless it only says that this connection was lost.
 */
export type OnConnection = (socket: Socket, request: UpgradeRequest) => unknown

/** Sockets that were accepted. */
export interface Acceptor extends AsyncDisposable {
  /** Those that are not closed yet. */
  readonly sockets: ReadonlySet<Socket>
  /** Accepts no more, closes every socket with 1001, and settles when all are gone. A shared `http.Server` goes on. */
  close(): Promise<void>
}

/** A listener of its own. */
export interface Listener extends Acceptor {
  readonly url: string
  readonly port: number
  readonly address: AddressInfo | string
}

/** The names of {@link AcceptOptions}. */
export const ACCEPT_OPTIONS: Readonly<Record<keyof AcceptOptions, true>> = {
  ...SOCKET_OPTIONS,
  subprotocols: true,
  handshakeTimeoutMs: true,
  headLimits: true,
}
const LISTEN_OPTIONS: Readonly<Record<keyof ListenOptions, true>> = {
  ...ACCEPT_OPTIONS,
  host: true,
  port: true,
  path: true,
  tls: true,
}

// The same as the client's; nginx 60 s, Apache 20 to 40 s, Node 60 s for the head.
const HANDSHAKE_TIMEOUT_MS = 10_000

/**
 * Starts a WebSocket server on a port of its own.
 *
 * @throws (rejects) UsageError for a bad option, or what the operating system says (`EADDRINUSE`, …).
 */
export async function listen(options: ListenOptions, onConnection: OnConnection): Promise<Listener> {
  requireOptions(options, LISTEN_OPTIONS)
  const acceptor = new SocketAcceptor(options, onConnection)
  const { tls, host = '127.0.0.1', port = 0, path } = options
  const serve = (stream: NetSocket): void => acceptor.read(stream)
  const door = await openDoor({ tls, host, port, path, limitMs: acceptor.limits.limitMs }, serve)
  const close = async (): Promise<void> => {
    door.shut()
    await acceptor.close()
    await door.clear()
  }
  const { address, url } = door
  return { address, port: door.port, url, sockets: acceptor.sockets, close, [Symbol.asyncDispose]: close }
}

/**
 * Accepts upgrades on an existing `http.Server` or `https.Server`. A request that is no valid upgrade is answered with the
 * right status. Afterwards the stream is ours: a listener to its `'data'` that comes later may hear nothing.
 */
export function attach(server: EventEmitter, options: AcceptOptions, onConnection: OnConnection): Acceptor {
  requireHttpServer(server)
  requireOptions(options, ACCEPT_OPTIONS)
  const acceptor = new SocketAcceptor(options, onConnection)
  const onUpgrade = (request: NodeRequest, stream: Duplex, rest: Uint8Array): void => {
    acceptor.accept(stream, requestHead(request), rest)
  }
  server.on('upgrade', onUpgrade)
  const close = async (): Promise<void> => {
    server.off('upgrade', onUpgrade)
    await acceptor.close()
  }
  return { sockets: acceptor.sockets, close, [Symbol.asyncDispose]: close }
}

/** @internal An application of Express or Koa emits events too, but no upgrades. @throws UsageError `WS_BAD_OPTION`. */
export function requireHttpServer(server: EventEmitter): void {
  const { on, use } = (server ?? {}) as { readonly on?: unknown; readonly use?: unknown }
  if (typeof server === 'object' && typeof on === 'function' && typeof use !== 'function') return
  throw new UsageError(
    'WS_BAD_OPTION',
    'attach() needs an http.Server or https.Server: for an application, what createServer(app) or app.listen() returns',
  )
}

/** @internal The part of an `http.IncomingMessage` that is needed. */
export interface NodeRequest {
  readonly method?: string
  readonly url?: string
  readonly httpVersion: string
  readonly rawHeaders: readonly string[]
}

/** @internal The head that `node:http` has read. */
export function requestHead({ method = '', url = '', httpVersion, rawHeaders }: NodeRequest): RequestHead {
  const headers: [string, string][] = []
  for (let i = 0; i + 1 < rawHeaders.length; i += 2) headers.push([rawHeaders[i], rawHeaders[i + 1]])
  return { method, target: url, version: httpVersion, headers }
}

/** @internal The part of accepting that knows nothing of where streams come from. */
export class SocketAcceptor {
  /** Those that are not closed yet. */
  readonly sockets: Set<Socket> = new Set()
  readonly #options: AcceptOptions
  readonly #settings: SocketSettings
  readonly #onConnection: OnConnection
  readonly #limitMs: number
  #closed = false

  constructor(options: AcceptOptions, onConnection: OnConnection) {
    if (typeof onConnection !== 'function') {
      throw new UsageError('WS_BAD_OPTION', 'a listener needs a function that takes its connections')
    }
    this.#options = options
    this.#settings = resolveSocketOptions(options)
    this.#onConnection = onConnection
    HeadReader.forRequest(options.headLimits)
    this.#limitMs = milliseconds('handshakeTimeoutMs', options.handshakeTimeoutMs, HANDSHAKE_TIMEOUT_MS)
  }

  /** For reading a head, and for taking a refusal. */
  get limits(): { readonly clock: Clock; readonly limitMs: number } {
    return { clock: this.#settings.clock, limitMs: this.#limitMs }
  }

  /** A new connection, of which nothing has been read. */
  read(stream: Duplex): void {
    const { headLimits = {} } = this.#options
    readRequest(stream, { ...this.limits, headLimits }, ({ head, rest }) => this.accept(stream, head, rest))
  }

  /** A connection whose request was read. */
  accept(stream: Duplex, head: RequestHead, rest: Uint8Array): void {
    if (this.#closed) {
      stream.destroy()
      return
    }
    const { subprotocols = [] } = this.#options
    const { compress } = this.#settings
    const accepted = acceptUpgrade(stream, head, { subprotocols, compress }, this.limits)
    if (accepted === null) return
    const { agreement, deflate, upgrade } = accepted
    const peer = remoteName(stream)
    const origin = { role: 'server', url: head.target, peer, agreement, deflate, head } as const
    const socket = new Socket(stream, origin, this.#settings)
    this.sockets.add(socket)
    void socket.closed.then(() => this.sockets.delete(socket))
    try {
      const result: unknown = this.#onConnection(socket, upgrade)
      if (result instanceof Promise) watchRejection(result, () => void socket.close(1011))
    } catch (error) {
      void socket.close(1011)
      throw error
    } finally {
      socket.start(rest)
    }
  }

  /** Accepts no more, and closes every socket with 1001. */
  async close(): Promise<void> {
    this.#closed = true
    await Promise.all([...this.sockets].map(socket => socket.close(1001, 'server shutting down')))
  }
}
