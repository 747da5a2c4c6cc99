import { once } from 'node:events'
import { type Data, type Library, type Load, Messages } from '../library.js'
import { inTurns } from '../payloads.js'
import { requirePeer } from '../require-peer.js'

interface WebSocketConnection {
  readonly socket: { readonly writableLength: number }
  on(event: string, listener: (message: { utf8Data?: string; binaryData?: Buffer }) => void): this
  sendUTF(data: string): void
  sendBytes(data: Buffer): void
  close(): void
}

interface Client {
  on(event: string, listener: (what: never) => void): this
  connect(url: string): void
}

class WebsocketConnection extends Messages {
  readonly #connection: WebSocketConnection
  constructor(connection: WebSocketConnection) {
    super()
    this.#connection = connection
    connection.on('error', () => {})
    connection.on('message', ({ utf8Data, binaryData }) => this.onMessage(utf8Data ?? binaryData!))
  }

  sender(load: Load, count: number): () => void {
    const connection = this.#connection
    if (load.kind === 'binary') return inTurns(load, count, (data: Buffer) => connection.sendBytes(data))
    return inTurns(load, count, (data: string) => connection.sendUTF(data))
  }

  buffered(): number {
    return this.#connection.socket.writableLength
  }

  say(text: string): void {
    this.#connection.sendUTF(text)
  }

  close(): Promise<unknown> {
    const gone = once(this.#connection as never, 'close')
    this.#connection.close()
    return gone
  }

  protected send(data: Data): void {
    if (typeof data === 'string') this.#connection.sendUTF(data)
    else this.#connection.sendBytes(data as Buffer)
  }
}

/** `websocket`, by the interface that its own documents teach. */
export function websocket(): Library {
  const { client: WebSocketClient } = requirePeer('websocket') as { client: new (options: object) => Client }
  return {
    connect(port) {
      return new Promise((resolve, reject) => {
        // Its own limits are lower than some messages.
        const limits = { maxReceivedFrameSize: 64 * 1024 * 1024, maxReceivedMessageSize: 64 * 1024 * 1024 }
        const client = new WebSocketClient(limits)
        client.on('connect', (connection: WebSocketConnection) =>
          resolve(new WebsocketConnection(connection)),
        )
        client.on('connectFailed', (error: Error) => reject(error))
        client.connect(`ws://127.0.0.1:${port}/`)
      })
    },
  }
}
