import { remoteName } from './remote-name.js'
import type { RestingSocket } from './resting-socket.js'
import type { SocketSettings } from './socket-options.js'
import { Socket } from './socket.js'

/** Goes on with a connection that was at rest; `start()` it. */
export function wakeSocket(before: RestingSocket, settings: SocketSettings): Socket {
  const { stream, url, subprotocol, extensions } = before
  const agreement = { subprotocol, extensions }
  // What the request said was for those who let the client in.
  const head = { method: 'GET', target: url, version: '1.1', headers: [] }
  const peer = remoteName(stream)
  return new Socket(stream, { role: 'server', url, peer, agreement, deflate: null, head, before }, settings)
}
