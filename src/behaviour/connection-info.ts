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
  const joined: Record<string, string> = {}
  for (const [given, value] of headers) {
    const name = given.toLowerCase()
    const text = Object.hasOwn(joined, name) ? `${joined[name]}, ${value}` : value
    if (name !== '__proto__') joined[name] = text
    // A name like any other, but not to an assignment.
    else
      Object.defineProperty(joined, name, {
        value: text,
        enumerable: true,
        configurable: true,
        writable: true,
      })
  }
  return joined
}
