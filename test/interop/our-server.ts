import { EventEmitter } from 'node:events'
import { createServer as createHttpServer, type IncomingMessage } from 'node:http'
import { createServer as createHttpsServer } from 'node:https'
import type { Duplex } from 'node:stream'
import type { Test } from 'tap'
import { encodeReject } from '../../src/handshake/index.js'
import {
  attach,
  HandshakeError,
  headerValue,
  listen,
  type OnConnection,
  type SocketOutcome,
} from '../../src/index.js'
import { serve } from '../support/servers.js'
import { cut, Queue, type Tls } from './conversation.js'

/** A server of ours that behaves as the path says. It ends with the test. */
export interface OurServer {
  readonly url: string
  /** How the next of its connections ended, as it saw it. */
  nextOutcome(): Promise<object>
  /** What the client and itself see when it drops the connection. */
  readonly dropped: { readonly code: number; readonly outcome: object }
  /** What it agrees on with a client that offers compression; `''` for nothing. */
  readonly extension: string
}

export type StartOurServer = (t: Test, tls: Tls | null) => Promise<OurServer>

const SUBPROTOCOLS = ['second', 'third']

// Compressed conversations with sockets have tests of their own.
const SOCKETS = {
  dropped: { code: 1006, outcome: { wasClean: false, error: { code: 'WS_CLOSED_LOCALLY' } } },
  extension: '',
}

const behave =
  (outcomes: Queue<SocketOutcome>): OnConnection =>
  (socket, { head, extensions }) => {
    void socket.closed.then(outcome => outcomes.put(outcome))
    const { pathname, searchParams } = new URL(head.target, 'http://localhost')
    if (pathname === '/echo') socket.onMessage = ({ data }) => socket.write(data)
    if (pathname === '/fragments') {
      socket.onMessage = ({ data }) => void socket.send(typeof data === 'string' ? data.split('') : cut(data))
    }
    if (pathname === '/ping') {
      void socket.ping('are you there?').then(() => socket.write('the pong is there'))
    }
    if (pathname === '/head') {
      const offered = extensions.map(({ name }) => name).join()
      const { subprotocol } = socket
      socket.write(JSON.stringify({ subprotocol, offered, custom: headerValue(head.headers, 'x-custom') }))
    }
    if (pathname === '/close') {
      void socket.close(Number(searchParams.get('code') ?? 1005), searchParams.get('reason') ?? '')
    }
    if (pathname === '/terminate') socket.onMessage = () => socket.terminate()
  }

/** By `listen()`. */
export const listening: StartOurServer = async (t, tls) => {
  const outcomes = new Queue<SocketOutcome>()
  const options = { subprotocols: SUBPROTOCOLS, ...(tls === null ? {} : { tls }) }
  const listener = await listen({ ...options, compress: false }, behave(outcomes))
  t.teardown(() => listener.close())
  return { url: listener.url, nextOutcome: () => outcomes.next(), ...SOCKETS }
}

/** By `attach()`, behind a doorkeeper that knows who may come in. */
export const attached: StartOurServer = async (t, tls) => {
  const outcomes = new Queue<SocketOutcome>()
  const doorkeeper = new EventEmitter()
  const acceptor = attach(doorkeeper, { subprotocols: SUBPROTOCOLS, compress: false }, behave(outcomes))
  const http = tls === null ? createHttpServer() : createHttpsServer(tls)
  http.on('upgrade', (request: IncomingMessage, stream: Duplex, rest: Buffer) => {
    if (request.url !== '/refuse') {
      doorkeeper.emit('upgrade', request, stream, rest)
      return
    }
    const headers = [['WWW-Authenticate', 'Basic realm="interop"']] as const
    stream.end(encodeReject(new HandshakeError('WS_HANDSHAKE_REFUSED', { status: 401, headers })))
  })
  const port = await serve(t, http)
  t.teardown(() => acceptor.close())
  return {
    url: `${tls === null ? 'ws' : 'wss'}://127.0.0.1:${port}`,
    nextOutcome: () => outcomes.next(),
    ...SOCKETS,
  }
}
