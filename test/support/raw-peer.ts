// Strategy: the other end of a socket under test, which knows nothing of `src`: it shakes hands with text of its own and
// writes frames that `frames.ts` builds, so it can say anything at any moment, also what no WebSocket peer may say. Waiting
// is for bytes or for the end of the stream, never for time.
//
//   openClient(t)  our client  <── 127.0.0.1 ──>  RawPeer as a server
//   openServer(t)  our server  <── 127.0.0.1 ──>  RawPeer as a client
import { createHash } from 'node:crypto'
import { connect as netConnect, createServer, type Socket as NetSocket } from 'node:net'
import type { Duplex } from 'node:stream'
import type { Test } from 'tap'
import {
  connect,
  type ConnectOptions,
  listen,
  type Listener,
  type ListenOptions,
  type OnConnection,
  type Role,
  type Socket,
} from '../../src/index.js'
import {
  buildFrame,
  bytesOf,
  CLOSE,
  closePayload,
  concat,
  type Frame,
  type FrameSpec,
  fromPeer,
  parseFrames,
  show,
} from './frames.js'
import { serve, turn, withResolvers } from './servers.js'

const NOTHING = new Uint8Array(0)

/** One TCP connection whose bytes a test writes by hand. */
export class RawPeer {
  readonly stream: Duplex
  /** The role of the socket under test, which is at the other end. */
  readonly role: Role
  /** Settles when the other end sent FIN, or the connection is gone. */
  readonly ended: Promise<void>
  readonly closed: Promise<void>
  /** All that arrived so far, the head of the handshake included. */
  receivedBytes = 0
  #unread: Uint8Array = NOTHING
  #chunks: Uint8Array[] = []
  #over = false
  #wake: () => void = () => {}

  constructor(stream: Duplex, role: Role) {
    this.stream = stream
    this.role = role
    stream.on('error', () => {})
    stream.on('data', (chunk: Uint8Array) => {
      this.receivedBytes += chunk.length
      this.#chunks.push(chunk)
      this.#wake()
    })
    const over = (resolve: () => void) => (): void => {
      this.#over = true
      this.#wake()
      resolve()
    }
    this.ended = new Promise(resolve => stream.once('end', over(resolve)).once('close', over(resolve)))
    this.closed = new Promise(resolve => stream.once('close', over(resolve)))
  }

  /** True once the other end sent FIN, or the connection is gone. */
  get over(): boolean {
    return this.#over
  }

  /** Frames as the other end expects them, all in one write. */
  send(...specs: readonly FrameSpec[]): void {
    this.write(concat(specs.map(spec => fromPeer(this.role, spec))))
  }

  /** A Close frame. */
  sendClose(code: number, reason = ''): void {
    this.send({ opcode: CLOSE, payload: closePayload(code, reason) })
  }

  write(bytes: Uint8Array | string): void {
    this.stream.write(bytes)
  }

  /** A reset: the other end gets ECONNRESET. */
  reset(): void {
    ;(this.stream as NetSocket).resetAndDestroy()
  }

  /** The head of an HTTP message as text, without the blank line. */
  async head(): Promise<string> {
    for (;;) {
      const text = Buffer.from(this.#collect()).toString('latin1')
      const end = text.indexOf('\r\n\r\n')
      if (end >= 0) {
        this.#unread = this.#unread.subarray(end + 4)
        return text.slice(0, end)
      }
      await this.#more(() => `a head, got ${JSON.stringify(text)}`)
    }
  }

  /** The next `count` frames. */
  async frames(count: number): Promise<Frame[]> {
    const frames: Frame[] = []
    while (frames.length < count) {
      const bytes = this.#collect()
      const length = frameLength(bytes)
      if (length === null) {
        await this.#more(() => `${count} frames, got ${JSON.stringify(show(frames))}`)
        continue
      }
      frames.push(...parseFrames(bytes.slice(0, length)))
      this.#unread = bytes.subarray(length)
    }
    return frames
  }

  /** The next `count` frames, as `show` spells them. */
  async shown(count: number): Promise<string[]> {
    return show(await this.frames(count))
  }

  /** All that comes until the other end has sent its FIN. */
  async rest(): Promise<Uint8Array> {
    await this.ended
    const bytes = this.#collect()
    this.#unread = NOTHING
    return bytes
  }

  /** All frames until the other end has sent its FIN. */
  async restShown(): Promise<string[]> {
    return show(parseFrames(await this.rest()))
  }

  #collect(): Uint8Array {
    if (this.#chunks.length > 0) {
      this.#unread = concat([this.#unread, ...this.#chunks])
      this.#chunks = []
    }
    return this.#unread
  }

  async #more(wanted: () => string): Promise<void> {
    if (this.#chunks.length > 0) return
    if (this.#over) throw new Error(`the connection ended: expected ${wanted()}`)
    await new Promise<void>(resolve => {
      this.#wake = resolve
    })
  }
}

/** The bytes that the first frame takes; null when they are not all there. */
function frameLength(bytes: Uint8Array): number | null {
  if (bytes.length < 2) return null
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const short = bytes[1] & 0x7f
  const extended = short === 126 ? 2 : short === 127 ? 8 : 0
  const header = 2 + extended + (bytes[1] >= 0x80 ? 4 : 0)
  if (bytes.length < header) return null
  const payload = short === 126 ? view.getUint16(2) : short === 127 ? Number(view.getBigUint64(2)) : short
  return bytes.length < header + payload ? null : header + payload
}

/** 4.2.2 (5.4): what a server has to answer to a key. */
export function acceptFor(key: string): string {
  return createHash('sha1').update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64')
}

/** The value of a header in a head as text; undefined without one. */
export function headerOf(head: string, name: string): string | undefined {
  const lines = head.split('\r\n').slice(1)
  const line = lines.find(one => one.toLowerCase().startsWith(`${name.toLowerCase()}:`))
  return line?.slice(name.length + 1).trim()
}

/** The 101 to a request. */
export function acceptance(request: string, more: readonly string[] = []): string {
  const lines = [
    'HTTP/1.1 101 Switching Protocols',
    'Upgrade: websocket',
    'Connection: Upgrade',
    `Sec-WebSocket-Accept: ${acceptFor(headerOf(request, 'Sec-WebSocket-Key') ?? '')}`,
    ...more,
  ]
  return `${lines.join('\r\n')}\r\n\r\n`
}

export const KEY = 'dGhlIHNhbXBsZSBub25jZQ=='

/** A client's opening handshake, whole and valid. */
export function upgradeRequest(more: readonly string[] = [], target = '/'): string {
  const lines = [
    `GET ${target} HTTP/1.1`,
    'Host: 127.0.0.1',
    'Upgrade: websocket',
    'Connection: Upgrade',
    `Sec-WebSocket-Key: ${KEY}`,
    'Sec-WebSocket-Version: 13',
    ...more,
  ]
  return `${lines.join('\r\n')}\r\n\r\n`
}

export interface RawServer {
  readonly url: string
  readonly port: number
  /** The next connection, on which nothing was said. */
  accepted(): Promise<RawPeer>
}

/** A TCP server that leaves every word to the test. */
export async function rawServer(t: Test): Promise<RawServer> {
  const peers: RawPeer[] = []
  const waiting: ((peer: RawPeer) => void)[] = []
  // Half open, so that a test decides when its own FIN goes.
  const server = createServer({ allowHalfOpen: true }, stream => {
    const peer = new RawPeer(stream, 'client')
    const next = waiting.shift()
    if (next === undefined) peers.push(peer)
    else next(peer)
  })
  const port = await serve(t, server)
  return {
    url: `ws://127.0.0.1:${port}/`,
    port,
    accepted: () => {
      const peer = peers.shift()
      return peer === undefined ? new Promise(resolve => waiting.push(resolve)) : Promise.resolve(peer)
    },
  }
}

export interface Open {
  /** The socket under test. */
  readonly socket: Socket
  readonly peer: RawPeer
}

/** Our client, open, to a raw server. `rest` goes into the same packet as the 101. */
export async function openClient(
  t: Test,
  options: ConnectOptions = {},
  rest: Uint8Array = NOTHING,
  listening?: RawServer,
): Promise<Open> {
  const server = listening ?? (await rawServer(t))
  const connecting = connect(server.url, options)
  const peer = await server.accepted()
  peer.write(concat([bytesOf(acceptance(await peer.head())), rest]))
  const socket = await connecting
  t.teardown(() => socket.terminate())
  return { socket, peer }
}

/** A raw client on a TCP port. */
export async function rawClient(t: Test, port: number): Promise<RawPeer> {
  const stream = netConnect({ host: '127.0.0.1', port, allowHalfOpen: true })
  t.teardown(() => {
    stream.destroy()
  })
  const peer = new RawPeer(stream, 'server')
  await new Promise<void>((resolve, reject) => {
    stream.once('connect', resolve).once('error', reject)
  })
  return peer
}

/** A listener that ends with the test. */
export async function startListener(
  t: Test,
  options: ListenOptions,
  onConnection: OnConnection,
): Promise<Listener> {
  const listener = await listen(options, onConnection)
  t.teardown(async () => {
    for (const socket of listener.sockets) socket.terminate()
    await listener.close()
  })
  return listener
}

/** Our server's socket, open, to a raw client. `rest` goes into the same packet as the request. */
export async function openServer(
  t: Test,
  options: ListenOptions = {},
  rest: Uint8Array = NOTHING,
  onConnection?: OnConnection,
): Promise<Open & { readonly listener: Listener }> {
  const { promise, resolve } = withResolvers<Socket>()
  const listener = await startListener(t, options, (socket, request) => {
    resolve(socket)
    onConnection?.(socket, request)
  })
  const peer = await rawClient(t, listener.port)
  peer.write(concat([bytesOf(upgradeRequest()), rest]))
  await peer.head()
  return { socket: await promise, peer, listener }
}

/** A socket of either role, open, and its raw peer. */
export function openAs(role: Role, t: Test, options: ConnectOptions & ListenOptions = {}): Promise<Open> {
  return role === 'client' ? openClient(t, options) : openServer(t, options)
}

/** A frame as the peer of a client (so unmasked) sends it. */
export const fromServer = (spec: FrameSpec): Uint8Array => buildFrame(spec)

/** Whether a promise has settled, once everything that waits for nothing has run. */
export async function isSettled(promise: Promise<unknown>): Promise<boolean> {
  let settled = false
  const settle = (): void => {
    settled = true
  }
  promise.then(settle, settle)
  for (let turns = 0; turns < 10; turns++) await turn()
  return settled
}

/** Turns of the event loop until `condition` holds; fails when it does not in thousands of them. */
export async function until(condition: () => boolean, what: string): Promise<void> {
  for (let turns = 0; turns < 50_000; turns++) {
    if (condition()) return
    await turn()
  }
  throw new Error(`never came: ${what}`)
}
