// Strategy: a listening port, and all that came in by it until it is gone, whatever it became. What is done with a stream is
// the business of whoever opened the door.
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { createServer as createTlsServer, type TlsOptions } from 'node:tls'
import { swallowErrors } from './stream-events.js'

export type { AddressInfo, TlsOptions }

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

/** @throws (rejects) what the operating system says (`EADDRINUSE`, …). */
export async function openDoor(options: DoorOptions, serve: (stream: Socket) => void): Promise<Door> {
  const { tls, host, port, path, limitMs } = options
  const streams = new Set<Socket>()
  const handshakeTimeout = limitMs === Infinity ? {} : { handshakeTimeout: limitMs }
  // A peer that half-closes can still read what it is owed, the answer to its Close above all.
  const server: Server =
    tls === undefined
      ? createServer({ allowHalfOpen: true }, serve)
      : // Without a list, a client that offers only h2 would be connected all the same (RFC 7301, section 3.2).
        createTlsServer(
          { ALPNProtocols: ['http/1.1'], allowHalfOpen: true, ...handshakeTimeout, ...tls } as TlsOptions,
          serve,
        )
  // Connections whose TLS handshake fails, or takes too long.
  server.on('tlsClientError', (_error: Error, stream: Socket) => stream.destroy())
  server.on('connection', (stream: Socket) => {
    stream.setNoDelay(true)
    swallowErrors(stream)
    streams.add(stream)
    stream.once('close', () => streams.delete(stream))
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

/** The other end of a stream, for messages. */
export function remoteName(stream: Duplex): string {
  const { remoteAddress, remotePort } = stream as Partial<Socket>
  return remoteAddress === undefined
    ? 'a client'
    : authority({ address: remoteAddress, port: remotePort ?? 0 })
}

function authority({ address, port }: { readonly address: string; readonly port: number }): string {
  return `${address.includes(':') ? `[${address}]` : address}:${port}`
}
