// Strategy: the limit: a socket of Node's own with the handshake written by hand. It sends frames that were built beforehand, all of a
// tick in one write, counts bytes instead of messages, and answers each message of a chunk with a frame it has ready.
import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import type { Kind } from '../../sample.js'
import type { Connection, Library, Load } from '../library.js'
import { answerTo, closeFrame, frames, readHead, requestTo, textFrame, wireBytes } from '../raw-frames.js'

/** So many frames are ready at once. */
const ANSWERS = 64
let ready: { readonly name: string; readonly many: Buffer } | null = null

/** The same for all connections. */
function answers(kind: Kind, bytes: number, masks: boolean): Buffer {
  const name = `${kind} ${bytes} ${masks}`
  if (ready?.name !== name) {
    const [one] = frames(kind, bytes, masks, 1)
    ready = { name, many: Buffer.concat(Array.from({ length: ANSWERS }, () => one)) }
  }
  return ready.many
}

class RawConnection implements Connection {
  readonly #socket: Socket
  readonly #masks: boolean
  #onData: (chunk: Buffer) => void = () => {}

  constructor(socket: Socket, masks: boolean) {
    this.#socket = socket
    this.#masks = masks
    socket.on('data', chunk => this.#onData(chunk))
    // The server ends the connection, 7.1.1.
    if (!masks) {
      socket.on('data', chunk => {
        if (chunk.length === 8 && chunk[0] === 0x88) socket.end(closeFrame(false))
      })
    }
  }

  sender({ kind, bytes }: Load, count: number): () => void {
    const all = Buffer.concat(frames(kind, bytes, this.#masks, count))
    return () => this.#socket.write(all)
  }

  buffered(): number {
    return this.#socket.writableLength
  }

  say(text: string): void {
    this.#socket.write(textFrame(text, this.#masks))
  }

  hear(): Promise<string> {
    return new Promise(resolve => {
      this.#onData = chunk => resolve(chunk.toString('latin1', 2))
    })
  }

  count({ bytes }: Load, messages: number): Promise<number> {
    let left = messages * wireBytes(bytes, !this.#masks)
    return new Promise(resolve => {
      this.#onData = chunk => {
        left -= chunk.length
        if (left <= 0) resolve(messages * bytes)
      }
    })
  }

  echo({ kind, bytes }: Load): void {
    const size = wireBytes(bytes, !this.#masks)
    const many = answers(kind, bytes, this.#masks)
    const length = many.length / ANSWERS
    let has = 0
    this.#onData = chunk => {
      has += chunk.length
      const whole = Math.floor(has / size)
      has -= whole * size
      for (let left = whole; left > 0; left -= ANSWERS)
        this.#socket.write(left >= ANSWERS ? many : many.subarray(0, left * length))
    }
  }

  async close(): Promise<void> {
    this.#socket.on('end', () => this.#socket.end())
    this.#socket.write(closeFrame(this.#masks))
    await once(this.#socket, 'close')
  }
}

export const raw: Library = {
  connect(port) {
    return new Promise((resolve, reject) => {
      const socket = connect({ port, host: '127.0.0.1', noDelay: true })
      socket.once('error', reject)
      readHead(socket, () => resolve(new RawConnection(socket, true)))
      socket.write(
        requestTo(port, Buffer.from(String(Math.random()).padEnd(16).slice(0, 16)).toString('base64')),
      )
    })
  },

  async listen(accept) {
    const server = createServer({ noDelay: true }, socket => {
      readHead(socket, head => {
        accept(new RawConnection(socket, false))
        socket.write(answerTo(head)!)
      })
    })
    await once(server.listen({ port: 0, host: '127.0.0.1', backlog: 4096 }), 'listening')
    return (server.address() as AddressInfo).port
  },
}
