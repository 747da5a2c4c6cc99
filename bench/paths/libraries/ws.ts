import { once } from 'node:events'
import type { AddressInfo, Socket } from 'node:net'
import { type Data, type Library, type Load, Messages } from '../library.js'
import { inTurns } from '../payloads.js'
import { requirePeer } from '../require-peer.js'

interface WebSocket {
  readonly bufferedAmount: number
  on(event: 'message', listener: (data: Buffer, isBinary: boolean) => void): this
  on(event: string, listener: (...args: never[]) => void): this
  send(data: unknown): void
  close(code?: number): void
}

interface Module {
  readonly WebSocket: new (url: string, options: object) => WebSocket
  readonly WebSocketServer: new (options: object) => WebSocket & { address(): unknown }
}

class WsConnection extends Messages {
  readonly #socket: WebSocket

  constructor(socket: WebSocket) {
    super()
    this.#socket = socket
    socket.on('error', () => {})
    // A user of texts has to decode them.
    socket.on('message', (data, isBinary) => this.onMessage(isBinary ? data : data.toString()))
  }

  sender(load: Load, count: number): () => void {
    return inTurns(load, count, data => this.#socket.send(data))
  }

  buffered(): number {
    return this.#socket.bufferedAmount
  }

  say(text: string): void {
    this.#socket.send(text)
  }

  close(): Promise<unknown> {
    const gone = once(this.#socket as never, 'close')
    this.#socket.close(1000)
    return gone
  }

  protected send(data: Data): void {
    this.#socket.send(data)
  }
}

const options = { perMessageDeflate: false, maxPayload: 64 * 1024 * 1024 }

/** `ws`, with the add-ons that the environment does not forbid it. */
export function ws(): Library {
  const { WebSocket, WebSocketServer } = requirePeer('ws') as Module
  return {
    async connect(port) {
      const socket = new WebSocket(`ws://127.0.0.1:${port}/`, options)
      const connection = new WsConnection(socket)
      await once(socket as never, 'open')
      return connection
    },

    async listen(accept) {
      const server = new WebSocketServer({ ...options, host: '127.0.0.1', port: 0, backlog: 4096 })
      server.on('connection', (socket: WebSocket & { readonly _socket: Socket }) =>
        accept(new WsConnection(socket)),
      )
      await once(server as never, 'listening')
      return (server.address() as AddressInfo).port
    },
  }
}
