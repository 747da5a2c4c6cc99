// Strategy: the other side of the compression benches: a raw TCP server in a process of its own, nobody's library. It answers
// the opening handshake by hand, with `permessage-deflate` and nothing else, so that both directions keep their context and
// a window of 32 KiB. What a connection does is the path of its URL:
//
//   /source/SIZE      sends as many batches of ready-made compressed messages as a text, "12", asks for
//   /sink/BATCH       counts frames without looking into them; an empty binary message for every so many
//   /exchange/SIZE    answers each frame with one ready-made compressed message (SIZE may be `mixed`)
//   /check            decompresses with zlib, and answers each message with what it was, as a plain text
//
// It ends with its parent, and by itself after some minutes.
import { type ChildProcess, fork } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import { fileURLToPath } from 'node:url'
import {
  compressed,
  compressedFrame,
  messages,
  mixedMessages,
  type Shape,
  shapes,
  trailer,
  Zlib,
} from './deflate-sample.js'
import { frame } from './sample.js'

/** As seen by who started it. */
export interface Peer {
  readonly url: string
  stop(): void
}

const LIFE_MS = 20 * 60_000

/** Starts the process. */
export async function startPeer(): Promise<Peer> {
  const child: ChildProcess = fork(fileURLToPath(import.meta.url), ['--deflate-peer'])
  const [port] = (await once(child, 'message')) as [number]
  return { url: `ws://127.0.0.1:${port}`, stop: () => void child.kill() }
}

const NOTHING = Buffer.alloc(0)
const ACK = Buffer.from([0x82, 0x00])
const NO_RANDOM = (): number => 0

/** Called with the first byte of each whole frame, and its payload where that is wanted. */
type OnFrame = (first: number, payload: Buffer) => void

/** Finds the frames of a client in what comes. 5.2. */
class Frames {
  readonly #wanted: boolean
  readonly #onFrame: OnFrame
  #rest: Buffer = NOTHING
  #first = 0
  /** How much of the current payload is still to come, where it is not wanted; -1 between two frames. */
  #skip = -1

  constructor(wanted: boolean, onFrame: OnFrame) {
    this.#wanted = wanted
    this.#onFrame = onFrame
  }

  feed(chunk: Buffer): void {
    const bytes = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk])
    this.#rest = NOTHING
    let at = 0
    for (;;) {
      if (this.#skip >= 0) {
        const skipped = Math.min(this.#skip, bytes.length - at)
        at += skipped
        this.#skip -= skipped
        if (this.#skip > 0) return
        this.#skip = -1
        this.#onFrame(this.#first, NOTHING)
      }
      const short = bytes.length - at < 2 ? 0 : bytes[at + 1] & 0x7f
      const head = 6 + (short === 127 ? 8 : short === 126 ? 2 : 0)
      if (bytes.length - at < head) break
      const extended = short === 127 ? Number(bytes.readBigUInt64BE(at + 2)) : bytes.readUInt16BE(at + 2)
      const length = short < 126 ? short : extended
      if (!this.#wanted) {
        this.#first = bytes[at]
        this.#skip = length
        at += head
        continue
      }
      if (bytes.length - at < head + length) break
      const payload = Buffer.from(bytes.subarray(at + head, at + head + length))
      for (let i = 0; i < length; i++) payload[i] ^= bytes[at + head - 4 + (i & 3)]
      this.#onFrame(bytes[at], payload)
      at += head + length
    }
    if (at < bytes.length) this.#rest = bytes.subarray(at)
  }
}

/** The frames of one cycle, made when they are first asked for. */
const cycles = new Map<string, Promise<Buffer[]>>()

function cycle(size: string): Promise<Buffer[]> {
  let made = cycles.get(size)
  if (made === undefined) {
    const texts = size === 'mixed' ? mixedMessages() : messages(shapeOf(size))
    made = compressed(texts).then(payloads => payloads.map(compressedFrame))
    cycles.set(size, made)
  }
  return made
}

function shapeOf(size: string): Shape {
  return shapes.find(shape => String(shape.size) === size)!
}

/** Serves one connection. */
type Mode = (socket: Socket, parameter: string) => Promise<Frames>

const modes: Readonly<Record<string, Mode>> = {
  async source(socket, size) {
    const { batch } = shapeOf(size)
    const frames = await cycle(size)
    const batches = Array.from({ length: frames.length / batch }, (_, i) =>
      Buffer.concat(frames.slice(i * batch, (i + 1) * batch)),
    )
    let at = 0
    let owed = 0
    const pump = (): void => {
      while (owed > 0 && !socket.writableNeedDrain) {
        // One system call for several of them: who receives is to be the slower one.
        socket.cork()
        for (let bytes = 0; owed > 0 && bytes < 65536; owed--) {
          socket.write(batches[at])
          bytes += batches[at].length
          at = (at + 1) % batches.length
        }
        socket.uncork()
      }
    }
    socket.on('drain', pump)
    return new Frames(true, (first, payload) => {
      if ((first & 0x0f) !== 0x1) return
      owed += Number(payload.toString())
      pump()
    })
  },

  sink(socket, batch) {
    let seen = 0
    const size = Number(batch)
    const frames = new Frames(false, first => {
      if ((first & 0x0f) < 0x8 && ++seen % size === 0) socket.write(ACK)
    })
    return Promise.resolve(frames)
  },

  async exchange(socket, size) {
    const answers = await cycle(size)
    let at = 0
    return new Frames(false, first => {
      if ((first & 0x0f) < 0x8) socket.write(answers[at++ % answers.length])
    })
  },

  check(socket) {
    const zlib = new Zlib('inflate')
    socket.on('close', () => zlib.close())
    let last = Promise.resolve()
    let bytes = 0
    const answer = async (first: number, payload: Buffer): Promise<void> => {
      // A whole compressed text, or a question for how many bytes they were so far.
      const plain = first === 0x81 ? String(bytes) : 'this was no compressed text'
      const data = first === 0xc1 ? await zlib.convert(Buffer.concat([payload, trailer])) : Buffer.from(plain)
      bytes += payload.length
      socket.write(frame('text', data, false, NO_RANDOM))
    }
    const frames = new Frames(true, (first, payload) => {
      last = last.then(() => answer(first, payload))
    })
    return Promise.resolve(frames)
  },
}

/** RFC 6455, 4.2.2; RFC 7692, 7.1: an answer without parameters accepts the offer as it is. */
function answerHandshake(socket: Socket, key: string): void {
  const accept = createHash('sha1').update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64')
  const lines = [
    'HTTP/1.1 101 Switching Protocols',
    'Upgrade: websocket',
    'Connection: Upgrade',
    `Sec-WebSocket-Accept: ${accept}`,
    'Sec-WebSocket-Extensions: permessage-deflate',
  ]
  socket.write(`${lines.join('\r\n')}\r\n\r\n`)
}

async function serve(socket: Socket): Promise<void> {
  socket.setNoDelay(true)
  socket.on('error', () => socket.destroy())
  let head = ''
  // No client sends anything behind its request before it has the answer.
  while (!head.endsWith('\r\n\r\n')) head += String(((await once(socket, 'data')) as [Buffer])[0])
  const [, mode, parameter = ''] = /^GET \/(\w+)\/?(\w*) /.exec(head)!
  const [, key] = /^sec-websocket-key: *(\S+)/im.exec(head)!
  const frames = await modes[mode](socket, parameter)
  socket.on('data', (chunk: Buffer) => frames.feed(chunk))
  answerHandshake(socket, key)
}

if (process.argv[2] === '--deflate-peer') {
  const server = createServer(socket => void serve(socket).catch(() => socket.destroy()))
  server.listen(0, '127.0.0.1', () => process.send!((server.address() as AddressInfo).port))
  process.once('disconnect', () => process.exit())
  setTimeout(() => process.exit(), LIFE_MS)
}
