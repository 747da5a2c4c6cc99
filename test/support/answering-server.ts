// Strategy: an HTTP server of Node's own that answers each upgrade request as a test says, and remembers what it was asked.
// It never is the first to end a connection, so one that is left behind shows.
import { createServer, type IncomingMessage } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import { connect as netConnect } from 'node:net'
import type { Duplex } from 'node:stream'
import type { Test } from 'tap'
import type { TLSSocket, TlsOptions } from 'node:tls'
import type { ConnectionFactory, HeaderList } from '../../src/index.js'
import { acceptFor } from './raw-peer.js'
import { serve } from './servers.js'

/** What was asked, and by whom. */
export interface Asked {
  /** `host path`, the host as in the `Host` header. */
  readonly what: string
  readonly headers: IncomingMessage['headers']
  readonly lines: HeaderList
  readonly stream: Duplex
  /** The name that TLS asked for, and the common name of the client's certificate. */
  readonly sni: string | null
  readonly client: string | null
}

/** How to answer. 101 opens the connection whatever `headers` has. */
export interface Answer {
  readonly status: number
  readonly headers?: readonly string[]
  /** Without one there is `Content-Length: 0`. */
  readonly body?: string
}

export interface AnsweringServer {
  readonly port: number
  readonly url: string
  readonly asked: readonly Asked[]
}

/** @param answer gets what was asked, and how often there was something before; null says nothing. */
export async function answeringServer(
  t: Test,
  answer: (asked: Asked, nth: number) => Answer | null,
  tls?: TlsOptions,
): Promise<AnsweringServer> {
  const all: Asked[] = []
  const server = tls === undefined ? createServer() : createTlsServer(tls)
  server.on('upgrade', (request: IncomingMessage, stream: Duplex) => {
    // Half open by default.
    stream
      .on('error', () => {})
      .on('end', () => stream.destroy())
      .resume()
    const asked = describe(request, stream)
    all.push(asked)
    const said = answer(asked, all.length - 1)
    if (said !== null) stream.write(Buffer.from(spell(said, request), 'latin1'))
  })
  const port = await serve(t, server)
  return { port, url: `${tls === undefined ? 'ws' : 'wss'}://127.0.0.1:${port}/`, asked: all }
}

/** Leads each URL to the server for its scheme, whatever its name and port. */
export const routedTo =
  (plain: AnsweringServer | null, secure: AnsweringServer | null = null): ConnectionFactory =>
  target => {
    const server = target.secure ? secure : plain
    if (server === null) throw new Error('no server for this scheme')
    return netConnect(server.port, '127.0.0.1')
  }

export const redirect = (location: string, status = 302, ...headers: readonly string[]): Answer => ({
  status,
  headers: [`Location: ${location}`, ...headers],
})

export const OPEN: Answer = { status: 101 }

function describe(request: IncomingMessage, stream: Duplex): Asked {
  const { headers, rawHeaders, url } = request
  const lines = rawHeaders.flatMap((name, i) =>
    i % 2 === 0 ? [[name, rawHeaders[i + 1]] as [string, string]] : [],
  )
  const secure = 'encrypted' in stream ? (stream as TLSSocket & { servername?: string | false }) : null
  return {
    what: `${headers.host} ${url}`,
    headers,
    lines,
    stream,
    sni: secure === null ? null : secure.servername || null,
    client: String(secure?.getPeerCertificate().subject?.CN ?? '') || null,
  }
}

function spell({ status, headers = [], body }: Answer, request: IncomingMessage): string {
  const accept = acceptFor(request.headers['sec-websocket-key'] ?? '')
  const own =
    status === 101
      ? ['Upgrade: websocket', 'Connection: Upgrade', `Sec-WebSocket-Accept: ${accept}`]
      : [`Content-Length: ${body?.length ?? 0}`]
  return `${[`HTTP/1.1 ${status} Word`, ...own, ...headers].join('\r\n')}\r\n\r\n${body ?? ''}`
}
