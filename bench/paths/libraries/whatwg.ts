import { type Data, type Library, type Load, Messages } from '../library.js'
import { inTurns } from '../payloads.js'
import { requirePeer } from '../require-peer.js'

/** What browsers have, and undici, Bun, Deno and newer Node. */
interface WebSocketLike {
  binaryType: string
  readonly bufferedAmount: number
  addEventListener(
    type: string,
    listener: (event: { readonly data: string | ArrayBuffer; readonly message?: string }) => void,
  ): void
  send(data: unknown): void
  close(code?: number): void
}

type Constructor = new (url: string) => WebSocketLike

class WhatwgConnection extends Messages {
  readonly #socket: WebSocketLike
  readonly #bufferedAmount: (socket: WebSocketLike) => number

  constructor(socket: WebSocketLike, bufferedAmount: (socket: WebSocketLike) => number) {
    super()
    this.#socket = socket
    this.#bufferedAmount = bufferedAmount
    socket.binaryType = 'arraybuffer'
    socket.addEventListener('message', ({ data }) => this.onMessage(data))
  }

  sender(load: Load, count: number): () => void {
    return inTurns(load, count, data => this.#socket.send(data))
  }

  buffered(): number {
    return this.#bufferedAmount(this.#socket)
  }

  say(text: string): void {
    this.#socket.send(text)
  }

  close(): Promise<unknown> {
    return new Promise<void>(resolve => {
      this.#socket.addEventListener('close', () => resolve())
      this.#socket.close(1000)
    })
  }

  protected send(data: Data): void {
    this.#socket.send(data)
  }
}

/** A client with the interface of browsers. */
function library(WebSocket: Constructor, bufferedAmount: (socket: WebSocketLike) => number): Library {
  return {
    connect(port) {
      return new Promise((resolve, reject) => {
        const socket = new WebSocket(`ws://127.0.0.1:${port}/`)
        const connection = new WhatwgConnection(socket, bufferedAmount)
        socket.addEventListener('open', () => resolve(connection))
        socket.addEventListener('error', ({ message }) => reject(new Error(message ?? 'it did not open')))
      })
    },
  }
}

const own = ({ bufferedAmount }: WebSocketLike): number => bufferedAmount

/** What the runtime has by itself. */
export const global = (): Library =>
  library((globalThis as unknown as { readonly WebSocket: Constructor }).WebSocket, own)

export const undici = (): Library =>
  library((requirePeer('undici') as { WebSocket: Constructor }).WebSocket, own)

/** It does not tell what it holds; the stream below it does. */
export const faye = (): Library =>
  library(
    (requirePeer('faye-websocket') as { Client: Constructor }).Client,
    // eslint-disable-next-line no-underscore-dangle -- there is no other way to know
    socket => (socket as WebSocketLike & { _stream: { writableLength: number } })._stream.writableLength,
  )
