// Strategy: what the tests about Gundam and gun share. A server is `ws`'s where it only has to be one, so that nothing of
// `src` is at both ends; a raw one where it has to do what no server does.
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer as createHttpServer, type IncomingMessage, type Server } from 'node:http'
import { createServer as createHttpsServer } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Test } from 'tap'
import { type ServerOptions, type WebSocket, WebSocketServer } from 'ws'
import type { AnyProcess } from '../../src/index.js'
import { authority, certificates } from './certificates.js'
import { acceptance, type RawPeer, type RawServer } from './raw-peer.js'
import { serve } from './servers.js'

/** Trusts the servers of these tests. */
export const TRUST = { tls: { ca: authority.cert } } as const

/** What `promise` resolves with, a process that ends with the test. */
export async function running<P extends AnyProcess>(t: Test, promise: Promise<P>): Promise<P> {
  const process = await promise
  // By force: the other end may be one that answers nothing.
  t.teardown(() => process.stop(undefined, { timeoutMs: 0 }))
  return process
}

/** A server of `ws`. */
export interface WsServer {
  readonly url: string
  readonly port: number
  readonly http: Server
  readonly server: WebSocketServer
  /** Every upgrade request so far. */
  readonly requests: readonly IncomingMessage[]
}

/** Options of `ws`, and where to listen. */
export interface WsServerOptions extends Omit<ServerOptions, 'server'> {
  /** With the certificate that {@link TRUST} trusts. */
  readonly tls?: boolean
  /** A unix socket instead of a port. */
  readonly socket?: string
}

/** A server of `ws`, which ends with the test. */
export async function wsServer(
  t: Test,
  onSocket: (socket: WebSocket, request: IncomingMessage) => unknown = () => {},
  { tls = false, socket, ...options }: WsServerOptions = {},
): Promise<WsServer> {
  const http: Server = tls ? createHttpsServer(certificates.valid) : createHttpServer()
  const server = new WebSocketServer({ server: http, ...options })
  const requests: IncomingMessage[] = []
  server.on('connection', (client, request) => {
    client.on('error', () => {})
    requests.push(request)
    onSocket(client, request)
  })
  const port = await serve(t, http, '127.0.0.1', socket)
  const scheme = tls ? 'wss' : 'ws'
  const url = socket === undefined ? `${scheme}://127.0.0.1:${port}` : `${scheme}+unix:${socket}`
  return { url, port, http, server, requests }
}

/** Ends a server and all its connections without a word, as when its process is killed. */
export async function kill({ http, server }: WsServer): Promise<void> {
  for (const socket of server.clients) socket.terminate()
  await new Promise(done => http.close(done))
}

/** A path for a unix socket: a server that comes back finds its address free. */
export function socketPath(t: Test): string {
  const folder = mkdtempSync(join(tmpdir(), 'sansocket-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  return join(folder, 'feed.sock')
}

/** The next client of a raw server, with its handshake done. `more` are headers of the 101. */
export async function welcome(
  server: RawServer,
  more: readonly string[] = [],
): Promise<{ readonly peer: RawPeer; readonly head: string }> {
  const peer = await server.accepted()
  const head = await peer.head()
  peer.write(acceptance(head, more))
  return { peer, head }
}
