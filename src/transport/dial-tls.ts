import type { Duplex } from 'node:stream'
import { checkServerIdentity, connect, TLSSocket } from 'node:tls'
import { ConnectionError } from './connection-error.js'
import type { DialSettings } from './dial-options.js'
import { ipFamily } from './ip-family.js'
import { awaitEvent, discard } from './stream-events.js'
import { peerName, type Target } from './target.js'

const HTTP_1_1 = 'http/1.1'

/**
 * Speaks TLS inside a connected stream, as a step for `runPhase`. The certificate is verified against the target's name
 * (or `servername`), and ALPN offers nothing but `http/1.1`: a WebSocket upgrade means nothing in HTTP/2.
 *
 * A stream that is a `TLSSocket` already is only asked what it negotiated. When the step fails or is given up, the TLS
 * socket is destroyed; the stream below is left to the caller.
 */
export const startTls =
  (below: Duplex, target: Target, options: DialSettings['tls']) =>
  (resolve: (socket: TLSSocket) => void, reject: (error: ConnectionError) => void): (() => void) => {
    const fail = (cause: unknown): void => {
      const code = isAlpnAlert(cause) ? 'WS_TLS_ALPN' : 'WS_TLS_FAILED'
      reject(new ConnectionError(code, peerName(target), cause === undefined ? {} : { cause }))
    }
    const finish = (socket: TLSSocket): void => {
      // RFC 7301 lets a server ignore ALPN (`false`), and most plain HTTP/1.1 servers do.
      if (!socket.alpnProtocol || socket.alpnProtocol === HTTP_1_1) {
        resolve(socket)
        return
      }
      discard(socket)
      const cause = new Error(`the server chose ${socket.alpnProtocol}`)
      reject(new ConnectionError('WS_TLS_ALPN', peerName(target), { cause }))
    }
    if (below.destroyed) {
      fail(below.errored ?? undefined)
      return () => {}
    }
    if (below instanceof TLSSocket) {
      finish(below)
      return () => {}
    }
    let socket: TLSSocket
    try {
      socket = connect({
        ...options,
        checkServerIdentity: options.checkServerIdentity ?? checkServerIdentity,
        servername: options.servername ?? serverName(target.hostname),
        ALPNProtocols: [HTTP_1_1],
        socket: below,
        host: target.hostname,
      })
    } catch (error) {
      // A key or certificate of the user's that cannot be read.
      fail(error)
      return () => {}
    }
    const forget = awaitEvent(
      socket,
      'secureConnect',
      () => finish(socket),
      cause => {
        discard(socket)
        fail(cause)
      },
    )
    return () => {
      forget()
      discard(socket)
    }
  }

/** RFC 6066 section 3: a DNS name without the trailing dot, and never an IP address. */
const serverName = (hostname: string): string | undefined =>
  ipFamily(hostname) === 0 ? hostname.replace(/\.$/, '') : undefined

/** RFC 7301 section 3.2: what a server sends that shares no protocol with us. */
const isAlpnAlert = (cause: unknown): boolean =>
  cause instanceof Error &&
  'code' in cause &&
  typeof cause.code === 'string' &&
  cause.code.endsWith('ALERT_NO_APPLICATION_PROTOCOL')
