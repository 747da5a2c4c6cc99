import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'

/** The other end of a stream, for messages. */
export function remoteName(stream: Duplex): string {
  const { remoteAddress, remotePort } = stream as Partial<Socket>
  return remoteAddress === undefined
    ? 'a client'
    : authority({ address: remoteAddress, port: remotePort ?? 0 })
}

/** Host and port, as they stand in a URL. */
export function authority({ address, port }: { readonly address: string; readonly port: number }): string {
  return `${address.includes(':') ? `[${address}]` : address}:${port}`
}
