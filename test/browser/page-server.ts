// A site for a browser: an empty page wherever one looks, and `sansocket/server` beside it.
import { createHash, X509Certificate } from 'node:crypto'
import { createServer as createHttpServer } from 'node:http'
import { createServer as createHttpsServer } from 'node:https'
import type { Socket as NetSocket } from 'node:net'
import type { Test } from 'tap'
import { attach, type Server, type ServerBehaviour, type ServerOptions } from '../../src/server/index.js'
import { certificates } from '../support/certificates.js'
import { serve } from '../support/servers.js'

/** What {@link Browser} must be told to trust. */
export const TRUSTED = createHash('sha256')
  .update(new X509Certificate(certificates.valid.cert).publicKey.export({ type: 'spki', format: 'der' }))
  .digest('base64')

/** A site. It ends with the test. */
export interface Site {
  /** `http://127.0.0.1:8080`, without a path. */
  readonly origin: string
  readonly port: number
  readonly server: Server
  /** The stream of the connection that was opened last. */
  lastStream(): NetSocket
  /** Another server in the place of the first, which was closed. */
  attachAgain(behaviour: ServerBehaviour<unknown>): void
}

/** Starts one. @param headers - of the page. */
export const startSite = async <State>(
  t: Test,
  behaviour: ServerBehaviour<State>,
  options: ServerOptions = {},
  { tls = false, headers = {} }: { tls?: boolean; headers?: Record<string, string | string[]> } = {},
): Promise<Site> => {
  const http = tls ? createHttpsServer(certificates.valid) : createHttpServer()
  http.on('request', (_request, response) => {
    response.writeHead(200, { 'Content-Type': 'text/html', ...headers })
    response.end('<!doctype html><meta charset="utf-8"><title>here</title>')
  })
  let last: NetSocket | null = null
  http.on('upgrade', ({ socket }: { socket: NetSocket }) => (last = socket))
  const server = attach(http, { ...options, behaviour })
  const port = await serve(t, http)
  t.teardown(() => server.close())
  return {
    origin: `${tls ? 'https' : 'http'}://127.0.0.1:${port}`,
    port,
    server,
    lastStream: () => last!,
    attachAgain(behaviour) {
      const next = attach(http, { ...options, behaviour })
      t.teardown(() => next.close())
    },
  }
}
