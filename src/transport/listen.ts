// Strategy: the server's end of the same Socket: a listener of its own on `node:net` or `node:tls`, or a guest on an
// existing `http.Server` (`attach`). Both read a head (or get it from `node:http`), check it, answer, and hand over an open
// socket; both keep the set of open sockets, so that closing tells every peer 1001.
import type { EventEmitter } from 'node:events'
import { type AddressInfo, createServer, type Server, type Socket as NetSocket } from 'node:net'
import type { Duplex } from 'node:stream'
import { createServer as createTlsServer, type TlsOptions } from 'node:tls'
import type { HeadLimits, RequestHead, UpgradeRequest } from '../handshake/index.js'
import { milliseconds } from './dial-options.js'
import { acceptUpgrade, readRequest } from './server-handshake.js'
import { Socket } from './socket.js'
import { resolveSocketOptions, type SocketOptions, type SocketSettings } from './socket-options.js'
import { swallowErrors } from './stream-events.js'

/** How connections are accepted. Times are in milliseconds, `Infinity` is no limit. */
export interface AcceptOptions extends SocketOptions {
  /** The subprotocols this server speaks. The client's first choice among them is taken; none of them is no fault. */
  readonly subprotocols?: readonly string[] | undefined
  /** From the TCP connection (TLS included) to the end of the request. Default 10,000. */
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
 * here. What it throws closes the connection with 1011 and then goes the way of every uncaught error.
 */
export type OnConnection = (socket: Socket, request: UpgradeRequest) => void

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

// The same as the client's; nginx 60 s, Apache 20 to 40 s, Node 60 s for the head.
const HANDSHAKE_TIMEOUT_MS = 10_000

/**
 * Starts a WebSocket server on a port of its own.
 *
 * @throws (rejects) UsageError for a bad option, or what the operating system says (`EADDRINUSE`, …).
 */
export async function listen(options: ListenOptions, onConnection: OnConnection): Promise<Listener> {
  const acceptor = new SocketAcceptor(options, onConnection)
  const { tls, host = '127.0.0.1', port = 0, path } = options
  const server: Server =
    tls === undefined
      ? createServer(stream => acceptor.read(stream))
      : // Without a list, a client that offers only h2 would be connected all the same (RFC 7301, section 3.2).
        createTlsServer({ ALPNProtocols: ['http/1.1'], ...tls }, stream => acceptor.read(stream))
  // Connections that end inside the TLS handshake.
  server.on('tlsClientError', () => {})
  const pending = new Set<NetSocket>()
  server.on('connection', (stream: NetSocket) => {
    stream.setNoDelay(true)
    swallowErrors(stream)
    pending.add(stream)
    stream.once('close', () => pending.delete(stream))
  })
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(path === undefined ? { host, port } : { path }, () => {
      server.off('error', reject)
      resolve()
    })
  })
  const address = server.address()!
  const scheme = tls === undefined ? 'ws' : 'wss'
  const ended = new Promise<void>(resolve => server.once('close', resolve))
  const close = async (): Promise<void> => {
    server.close()
    await acceptor.close()
    // What is left never finished its handshake.
    for (const stream of pending) stream.destroy()
    await ended
  }
  return {
    address,
    port: typeof address === 'string' ? 0 : address.port,
    url: typeof address === 'string' ? `${scheme}+unix:${address}` : `${scheme}://${authority(address)}`,
    sockets: acceptor.sockets,
    close,
    [Symbol.asyncDispose]: close,
  }
}

/**
 * Accepts upgrades on an existing `http.Server` or `https.Server`. A request that is no valid upgrade is answered with the
 * right status.
 */
export function attach(server: EventEmitter, options: AcceptOptions, onConnection: OnConnection): Acceptor {
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

/** The part of an `http.IncomingMessage` that is needed. */
interface NodeRequest {
  readonly method?: string
  readonly url?: string
  readonly httpVersion: string
  readonly rawHeaders: readonly string[]
}

function requestHead({ method = '', url = '', httpVersion, rawHeaders }: NodeRequest): RequestHead {
  const headers: [string, string][] = []
  for (let i = 0; i + 1 < rawHeaders.length; i += 2) headers.push([rawHeaders[i], rawHeaders[i + 1]])
  return { method, target: url, version: httpVersion, headers }
}

class SocketAcceptor {
  readonly sockets = new Set<Socket>()
  readonly #options: AcceptOptions
  readonly #settings: SocketSettings
  readonly #onConnection: OnConnection
  readonly #limitMs: number
  #closed = false

  constructor(options: AcceptOptions, onConnection: OnConnection) {
    this.#options = options
    this.#settings = resolveSocketOptions(options)
    this.#onConnection = onConnection
    this.#limitMs = milliseconds('handshakeTimeoutMs', options.handshakeTimeoutMs, HANDSHAKE_TIMEOUT_MS)
  }

  /** A new connection, of which nothing has been read. */
  read(stream: Duplex): void {
    const { headLimits = {} } = this.#options
    const limits = { clock: this.#settings.clock, limitMs: this.#limitMs, headLimits }
    readRequest(stream, limits, ({ head, rest }) => this.accept(stream, head, rest))
  }

  /** A connection whose request was read. */
  accept(stream: Duplex, head: RequestHead, rest: Uint8Array): void {
    if (this.#closed) {
      stream.destroy()
      return
    }
    const { clock } = this.#settings
    const accepted = acceptUpgrade(stream, head, this.#options.subprotocols ?? [], {
      clock,
      limitMs: this.#limitMs,
    })
    if (accepted === null) return
    const { agreement, upgrade } = accepted
    const origin = { role: 'server', url: head.target, peer: remoteName(stream), agreement, head } as const
    const socket = new Socket(stream, origin, this.#settings)
    this.sockets.add(socket)
    void socket.closed.then(() => this.sockets.delete(socket))
    try {
      this.#onConnection(socket, upgrade)
    } catch (error) {
      void socket.close(1011)
      throw error
    } finally {
      socket.start(rest)
    }
  }

  async close(): Promise<void> {
    this.#closed = true
    await Promise.all([...this.sockets].map(socket => socket.close(1001, 'server shutting down')))
  }
}

function remoteName(stream: Duplex): string {
  const { remoteAddress, remotePort } = stream as Partial<NetSocket>
  return remoteAddress === undefined
    ? 'a client'
    : authority({ address: remoteAddress, port: remotePort ?? 0 })
}

function authority({ address, port }: { readonly address: string; readonly port: number }): string {
  return `${address.includes(':') ? `[${address}]` : address}:${port}`
}
