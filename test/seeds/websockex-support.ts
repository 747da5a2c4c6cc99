// Strategy: what the tests of the WebSockex map share. A raw peer says exactly what a story needs, byte for byte; `ws` is the
// server where it only has to be a good one. Whatever a test starts is ended with it.
import { createServer } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import { createServer as createTcpServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import type { IncomingMessage } from 'node:http'
import type { TlsOptions } from 'node:tls'
import type { Test } from 'tap'
import { type WebSocket, WebSocketServer } from 'ws'
import {
  type AnyProcess,
  type Behaviour,
  type DisconnectStatus,
  type EndReason,
  type Process,
  start,
  type StartOptions,
} from '../../src/index.js'
import { bytesOf, concat } from '../support/frames.js'
import { acceptance, type RawPeer, type RawServer, rawServer } from '../support/raw-peer.js'
import { serve } from '../support/servers.js'

/** Ends a process with its test, by force. */
export function owned<P extends AnyProcess>(t: Test, process: P): P {
  t.teardown(() => process.stop(undefined, { timeoutMs: 0 }))
  return process
}

/** Answers the next handshake with 101. `rest` goes into the same packet. */
export async function greet(
  server: RawServer,
  headers: readonly string[] = [],
  rest: Uint8Array = new Uint8Array(0),
): Promise<RawPeer> {
  const peer = await server.accepted()
  peer.write(concat([bytesOf(acceptance(await peer.head(), headers)), rest]))
  return peer
}

/** The server's part of a whole closing handshake that it begins. @returns the frames that came until the end. */
export async function hangUp(peer: RawPeer, code = 1000, reason = ''): Promise<string[]> {
  peer.sendClose(code, reason)
  peer.stream.end()
  return peer.restShown()
}

/** The server's part of a whole closing handshake that the client begins. @returns the client's Close frame. */
export async function bidFarewell(peer: RawPeer, code = 1000): Promise<string> {
  const [frame] = await peer.shown(1)
  peer.sendClose(code)
  peer.stream.end()
  return frame
}

export interface WsServer {
  readonly url: string
  readonly port: number
  readonly server: WebSocketServer
  /** The requests that were made, in order. */
  readonly requests: readonly IncomingMessage[]
}

/** A server of the package `ws`. */
export async function wsServer(
  t: Test,
  onConnection: (socket: WebSocket, request: IncomingMessage) => unknown = () => {},
  { tls, host = '127.0.0.1' }: { readonly tls?: TlsOptions; readonly host?: string } = {},
): Promise<WsServer> {
  const http = tls === undefined ? createServer() : createTlsServer(tls)
  const server = new WebSocketServer({ server: http })
  const requests: IncomingMessage[] = []
  server.on('connection', (socket, request) => {
    requests.push(request)
    socket.on('error', () => {})
    onConnection(socket, request)
  })
  const port = await serve(t, http, host)
  const name = host.includes(':') ? `[${host}]` : host
  return { url: `${tls === undefined ? 'ws' : 'wss'}://${name}:${port}/`, port, server, requests }
}

/** A URL on which nobody listens any more. */
export async function nobody(): Promise<string> {
  const server = createTcpServer()
  await new Promise<void>(ready => server.listen({ host: '127.0.0.1', port: 0 }, ready))
  const { port } = server.address() as AddressInfo
  await new Promise(done => server.close(done))
  return `ws://127.0.0.1:${port}/`
}

/** For `wsServer`: sends everything back. */
export const echo = (socket: WebSocket): unknown =>
  socket.on('message', (data, binary) => socket.send(data as Buffer, { binary }))

/** A process with a number for a state, that takes texts as casts. */
export type Feed = Process<number, string, never, unknown, unknown>

/** A process and its server. */
export interface Story {
  readonly feed: Feed
  readonly peer: RawPeer
  readonly server: RawServer
  /** What `handleDisconnect` was told. */
  readonly statuses: DisconnectStatus[]
  /** The reason it ended for. */
  readonly ended: Promise<EndReason>
}

/** A process with state 1 that is connected to a raw peer. */
export async function story(
  t: Test,
  { handleDisconnect, ...callbacks }: Behaviour<number, string> = {},
  options: StartOptions = {},
): Promise<Story> {
  const server = await rawServer(t)
  const statuses: DisconnectStatus[] = []
  const behaviour: Behaviour<number, string> = {
    init: () => 1,
    ...callbacks,
    handleDisconnect: (status, state, self) => {
      statuses.push(status)
      return handleDisconnect?.(status, state, self)
    },
  }
  const starting = start(server.url, behaviour, options)
  const peer = await greet(server)
  const feed = owned(t, await starting)
  return { feed, peer, server, statuses, ended: feed.ended }
}
