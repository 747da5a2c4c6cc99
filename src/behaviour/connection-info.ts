import type { ResponseHead } from '../handshake/index.js'
import type { Socket } from '../transport/socket.js'
import type { ConnectionInfo } from './behaviour.js'

/** What `handleConnect` sees of a socket that was just opened. */
export function connectionInfo(socket: Socket, attempt: number, reconnects: number): ConnectionInfo {
  const { url, subprotocol, extensions } = socket
  const head = socket.head as ResponseHead
  return { url, head, headers: joinHeaders(head), subprotocol, extensions, attempt, reconnects }
}

function joinHeaders({ headers }: ResponseHead): Readonly<Record<string, string>> {
  const joined = new Map<string, string>()
  for (const [name, value] of headers) {
    const before = joined.get(name.toLowerCase())
    joined.set(name.toLowerCase(), before === undefined ? value : `${before}, ${value}`)
  }
  return Object.fromEntries(joined)
}
