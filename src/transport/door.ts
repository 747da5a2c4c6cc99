// Strategy: a listening port, and all that came in by it until it is gone, whatever it became. What is done with a stream is
// the business of whoever opened the door.
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net'
import { createServer as createTlsServer, type TlsOptions } from 'node:tls'
import { authority } from './remote-name.js'
import { swallowErrors } from './stream-events.js'

export type { AddressInfo, Socket as DoorStream, TlsOptions }

/** Where to listen. */
export interface DoorOptions {
  readonly host: string
  readonly port: number
  /** A unix socket instead of host and port. */
  readonly path: string | undefined
  readonly tls: TlsOptions | undefined
  /** For the TLS handshake. */
  readonly limitMs: number
}

/** Who is told of the TLS handshakes at a door. */
export interface DoorWatch {
  /** A connection is there, and its handshake begins. Whoever destroys it has turned it away. */
  begun(stream: Socket): void
  /** The handshake is done. @param stream - the one inside of TLS. */
  done(stream: Socket): void
}

/** An open port. */
export interface Door {
  readonly address: AddressInfo | string
  /** 0 for a unix socket. */
  readonly port: number
  readonly url: string
  /** Lets nobody in any more. Who is inside stays. */
  shut(): void
  /** Destroys what is still inside; settles when the port is closed. */
  clear(): Promise<void>
}

const MAX_TIMER_MS = 2 ** 31 - 1

/** @throws (rejects) what the operating system says (`EADDRINUSE`, …). */
export async function openDoor(
  options: DoorOptions,
  serve: (stream: Socket) => void,
  watch: DoorWatch | null = null,
): Promise<Door> {
  const { tls, host, port, path, limitMs } = options
  const streams = new Set<Socket>()
  function onClose(this: Socket): void {
    streams.delete(this)
  }
  // A watch has a time of its own. Without an option Node's is two minutes.
  const handshakeTimeout = watch === null ? Math.min(limitMs, MAX_TIMER_MS) : MAX_TIMER_MS
  // A peer that half-closes can still read what it is owed, the answer to its Close above all.
  const server: Server =
    tls === undefined
      ? createServer({ allowHalfOpen: true }, serve)
      : // Without a list, a client that offers only h2 would be connected all the same (RFC 7301, section 3.2).
        createTlsServer(
          { ALPNProtocols: ['http/1.1'], allowHalfOpen: true, handshakeTimeout, ...tls } as TlsOptions,
          stream => {
            watch?.done(stream)
            serve(stream)
          },
        )
  // Connections whose TLS handshake fails, or takes too long.
  server.on('tlsClientError', (_error: Error, stream: Socket) => stream.destroy())
  server.on('connection', (stream: Socket) => {
    stream.setNoDelay(true)
    swallowErrors(stream)
    streams.add(stream)
    stream.on('close', onClose)
    if (tls !== undefined) watch?.begun(stream)
  })
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(path === undefined ? { host, port } : { path }, () => {
      server.off('error', reject)
      // An accept that fails later, for want of file descriptors say, must not end the process.
      server.on('error', () => {})
      resolve()
    })
  })
  const address = server.address()!
  const scheme = tls === undefined ? 'ws' : 'wss'
  const ended = new Promise<void>(resolve => server.once('close', resolve))
  return {
    address,
    port: typeof address === 'string' ? 0 : address.port,
    url: typeof address === 'string' ? `${scheme}+unix:${address}` : `${scheme}://${authority(address)}`,
    shut: () => void server.close(),
    clear: () => {
      for (const stream of streams) stream.destroy()
      return ended
    },
  }
}
