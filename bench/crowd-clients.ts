// Strategy: the other end of the crowd: thousands of raw sockets in a process of their own, nobody's library. They shake hands,
// count the frames that come, and say one short message each when they are told to.
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { frame } from './sample.js'

/** What the clients are told. Each is answered when it is done. */
export type ClientTask =
  | { readonly type: 'open'; readonly count: number; readonly compress: boolean }
  | { readonly type: 'close' }
  /** Each sends a message and waits for the answer. */
  | { readonly type: 'speak' }
  /** So many frames at each, since the last time. */
  | { readonly type: 'await'; readonly frames: number }

const LIFE_MS = 20 * 60_000
/** How many handshakes or answers are waited for at a time. */
const AT_ONCE = 100

/** Counts the messages of a server in what comes, and hands out pings, which want an answer. RFC 6455, 5.2. */
class FrameCounter {
  count = 0
  #head: number[] = []
  #skip = 0
  #ping: number[] | null = null
  readonly #onPing: (payload: Buffer) => void

  constructor(onPing: (payload: Buffer) => void) {
    this.#onPing = onPing
  }

  take(chunk: Uint8Array): void {
    let at = 0
    while (at < chunk.length) {
      const skipped = Math.min(this.#skip, chunk.length - at)
      this.#ping?.push(...chunk.subarray(at, at + skipped))
      at += skipped
      this.#skip -= skipped
      if (this.#skip === 0 && this.#ping !== null) {
        this.#onPing(Buffer.from(this.#ping))
        this.#ping = null
      }
      if (at === chunk.length) return
      this.#head.push(chunk[at++])
      const [, length = -1, high, low] = this.#head
      if (length < 0 || (length === 126 && low === undefined)) continue
      if (length === 127) throw new Error('no frame of a crowd is so long')
      this.#skip = length === 126 ? (high << 8) | low : length
      if ((this.#head[0] & 0xf) === 9) this.#ping = []
      else this.count++
      this.#head = []
    }
  }
}

interface Client {
  readonly socket: Socket
  readonly counter: FrameCounter
}

const clients: Client[] = []
let awaited = 0
let reached = 0
let answer: (() => void) | null = null

async function open(port: number, compress: boolean): Promise<Client> {
  const socket = connect(port, '127.0.0.1')
  await once(socket, 'connect')
  const offer = compress ? 'Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n' : ''
  socket.write(
    `GET /chat HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n${offer}\r\n`,
  )
  await once(socket, 'data')
  const counter = new FrameCounter(payload => {
    const pong = frame('binary', payload, true, Math.random)
    pong[0] = 0x8a
    socket.write(pong)
  })
  socket.on('data', (chunk: Uint8Array) => {
    const before = counter.count
    counter.take(chunk)
    if (before < awaited && counter.count >= awaited && ++reached === clients.length) {
      answer?.()
    }
  })
  socket.on('error', () => process.exit(1))
  return { socket, counter }
}

function awaitFrames(frames: number): Promise<void> {
  awaited += frames
  reached = clients.filter(({ counter }) => counter.count >= awaited).length
  return new Promise(resolve => {
    answer = resolve
    if (reached === clients.length) resolve()
  })
}

async function carryOut(port: number, task: ClientTask): Promise<void> {
  if (task.type === 'open') {
    for (let i = 0; i < task.count; i += AT_ONCE) {
      const some = Array.from({ length: Math.min(AT_ONCE, task.count - i) }, () => open(port, task.compress))
      clients.push(...(await Promise.all(some)))
    }
  } else if (task.type === 'close') {
    awaited = 0
    for (const { socket } of clients.splice(0)) socket.destroy()
  } else if (task.type === 'speak') {
    const said = frame('text', Buffer.from('hello'), true, Math.random)
    const heard = awaitFrames(1)
    for (let i = 0; i < clients.length; i += AT_ONCE) {
      const some = clients.slice(i, i + AT_ONCE)
      await Promise.all(
        some.map(async ({ socket }) => {
          socket.write(said)
          await once(socket, 'data')
        }),
      )
    }
    await heard
  } else await awaitFrames(task.frames)
}

if (process.argv[2] === '--crowd-clients') {
  const port = Number(process.argv[3])
  setTimeout(() => process.exit(1), LIFE_MS).unref()
  process.once('disconnect', () => process.exit())
  process.on('message', (task: ClientTask) => {
    void carryOut(port, task).then(() => process.send!('done'))
  })
}
