import type { Duplex } from 'node:stream'
import { checkServerIdentity, connect, TLSSocket } from 'node:tls'
import { ConnectionError } from './connection-error.js'
import type { DialSettings } from './dial-options.js'
import { ipFamily } from './ip-family.js'
import { awaitEvent, discard } from './stream-events.js'
import { type Peer, peerName } from './target.js'

const HTTP_1_1 = 'http/1.1'

/**
 * Speaks TLS with a peer inside a connected stream, as a step for `runPhase`. The certificate is verified against the peer's
 * name (or `servername`), and ALPN offers nothing but `http/1.1`: a WebSocket upgrade means nothing in HTTP/2, and neither
 * does a CONNECT. When the step fails or is given up, the TLS socket is destroyed; the stream below is left to the caller.
 *
 * @param isOwn - the stream is of the user's own making: a `TLSSocket` is only asked what it negotiated. Elsewhere it is the
 * TLS with a proxy, and TLS with the peer goes inside it.
 */
export const startTls =
  (below: Duplex, peer: Peer, options: DialSettings['tls'], isOwn: boolean) =>
  (resolve: (socket: TLSSocket) => void, reject: (error: ConnectionError) => void): (() => void) => {
    const fail = (cause: unknown): void => {
      const code = isAlpnAlert(cause) ? 'WS_TLS_ALPN' : 'WS_TLS_FAILED'
      reject(new ConnectionError(code, peerName(peer), cause === undefined ? {} : { cause }))
    }
    const finish = (socket: TLSSocket): void => {
      // RFC 7301 lets a server ignore ALPN (`false`), and most plain HTTP/1.1 servers do.
      if (!socket.alpnProtocol || socket.alpnProtocol === HTTP_1_1) {
        resolve(socket)
        return
      }
      discard(socket)
      const cause = new Error(`the server chose ${socket.alpnProtocol}`)
      reject(new ConnectionError('WS_TLS_ALPN', peerName(peer), { cause }))
    }
    if (below.destroyed) {
      fail(below.errored ?? undefined)
      return () => {}
    }
    if (isOwn && below instanceof TLSSocket) {
      finish(below)
      return () => {}
    }
    let socket: TLSSocket
    try {
      socket = connect({
        ...options,
        checkServerIdentity: options.checkServerIdentity ?? checkServerIdentity,
        servername: options.servername ?? serverName(peer.hostname),
        ALPNProtocols: [HTTP_1_1],
        socket: below,
        host: peer.hostname,
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
