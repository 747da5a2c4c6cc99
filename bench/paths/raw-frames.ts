// Strategy: what the neutral end and the raw contestants know of RFC 6455: a key's answer, where a frame ends, and how one is
// built beforehand. It shares nothing with the library, checks nothing, and costs as little as JavaScript can.
import { createHash } from 'node:crypto'
import type { Socket } from 'node:net'
import { frame, type Kind, payload, seeded } from '../sample.js'

/** What a contestant asks the other end for, in a short text message of its own. */
export type Request =
  /** Count so many messages, say `done` then. */
  | { readonly do: 'count'; readonly messages: number }
  /** Send so many. */
  | {
      readonly do: 'give'
      readonly kind: Kind
      readonly bytes: number
      readonly messages: number
      /** Frames a message. */
      readonly fragments: number
    }

const GUID = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11'

/** What answers this head of a request, or null when it asks for nothing that was seen whole. 4.2.2. */
export function answerTo(head: string): string | null {
  const key = /^sec-websocket-key: *(.*)\r$/im.exec(head)
  if (key === null) return null
  const accept = createHash('sha1')
    .update(key[1] + GUID)
    .digest('base64')
  return `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`
}

/** A request for a connection. 4.1. */
export const requestTo = (port: number, key: string): string =>
  `GET / HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: ${key}\r\nSec-WebSocket-Version: 13\r\n\r\n`

/** Calls back once the head is there; nothing comes behind it. */
export function readHead(socket: Socket, then: (head: string) => void): void {
  let head = ''
  socket.on('error', () => socket.destroy())
  socket.on('data', function read(chunk) {
    head += chunk.toString('latin1')
    if (!head.endsWith('\r\n\r\n')) return
    socket.off('data', read)
    then(head)
  })
}

/** A Close frame with 1000. 5.5.1. */
export const closeFrame = (masked: boolean): Buffer =>
  Buffer.from(masked ? [0x88, 0x82, 1, 2, 3, 4, 0x03 ^ 1, 0xe8 ^ 2] : [0x88, 2, 0x03, 0xe8])

/** One text frame. */
export const textFrame = (text: string, masked: boolean): Buffer =>
  frame('text', Buffer.from(text), masked, Math.random)

/** A frame of each of so many payloads of one kind and size. */
export function frames(kind: Kind, bytes: number, masked: boolean, count: number): Buffer[] {
  const random = seeded(bytes + count)
  return Array.from({ length: count }, () => frame(kind, payload(kind, bytes, random), masked, random))
}

/** One frame of a whole message, cut into so many of about the same size. 5.4. */
export function fragmented(kind: Kind, bytes: number, masked: boolean, count: number): Buffer {
  const random = seeded(bytes)
  const data = payload(kind, bytes, random)
  const size = Math.ceil(bytes / count)
  const all = Array.from({ length: count }, (_, i) => {
    const one = frame(kind, data.subarray(i * size, (i + 1) * size), masked, random)
    // The first has the opcode, the last has FIN.
    one[0] = (i === 0 ? one[0] & 0x0f : 0) | (i === count - 1 ? 0x80 : 0)
    return one
  })
  return Buffer.concat(all)
}

/** What one frame with so many bytes of payload takes on the wire. 5.2. */
export function wireBytes(bytes: number, masked: boolean): number {
  return 2 + (bytes < 126 ? 0 : bytes < 65536 ? 2 : 8) + (masked ? 4 : 0) + bytes
}

/** Finds where messages end in a stream of frames. */
export class FrameScanner {
  /** Whether a Close frame was seen. */
  closed = false
  /** The payload of the last short text message, unmasked, where it came whole in one chunk. */
  text: string | null = null
  #left = 0
  #ends = false
  #head = Buffer.alloc(0)

  /**
   * Goes over a chunk.
   *
   * @param reads - whether what short texts say is of interest.
   * @returns how many data messages ended in it.
   */
  scan(chunk: Buffer, reads: boolean): number {
    let data = chunk
    if (this.#head.length > 0) {
      data = Buffer.concat([this.#head, chunk])
      this.#head = Buffer.alloc(0)
    }
    const end = data.length
    let ended = 0
    let at = 0
    while (at < end) {
      if (this.#left > 0) {
        const taken = Math.min(this.#left, end - at)
        this.#left -= taken
        at += taken
        if (this.#left === 0 && this.#ends) ended++
        continue
      }
      const short = end - at < 2 ? 0 : data[at + 1] & 0x7f
      const masked = end - at >= 2 && data[at + 1] >= 0x80
      const size = 2 + (short === 126 ? 2 : short === 127 ? 8 : 0) + (masked ? 4 : 0)
      if (end - at < size) {
        this.#head = Buffer.from(data.subarray(at))
        break
      }
      const length =
        short < 126 ? short : short === 126 ? data.readUInt16BE(at + 2) : Number(data.readBigUInt64BE(at + 2))
      const opcode = data[at] & 0x0f
      this.#ends = opcode < 8 && data[at] >= 0x80
      if (opcode === 8) this.closed = true
      this.text = null
      if (reads && opcode === 1 && short < 126 && end - at >= size + length)
        this.text = textOf(
          data.subarray(at + size, at + size + length),
          masked ? data.subarray(at + 2) : null,
        )
      at += size
      this.#left = length
      if (length === 0 && this.#ends) ended++
    }
    return ended
  }
}

function textOf(payload: Buffer, key: Buffer | null): string {
  const bytes = key === null ? payload : payload.map((byte, i) => byte ^ key[i & 3])
  return Buffer.from(bytes).toString()
}
