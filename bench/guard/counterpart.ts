// Strategy: the other end of the connections, in a process of its own, raw sockets that are nobody's library. It is a server where
// the process under count is a client, and the other way round. It receives, sends what was built beforehand, or goes through
// handshakes, each when it is asked to; and once it looks at every payload that came.
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { payloads } from '../sample.js'
import { answerWishes } from './barrier.js'
import { framesOf, payloadOf, type Scenario, scenarioOf } from './scenarios.js'

const GUID = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11'
const REQUEST =
  'GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n'
/** 1000, without a reason. The key of a client's is 0, so that it reads the same. */
const CLOSE = Buffer.from([0x88, 2, 0x03, 0xe8])
const MASKED_CLOSE = Buffer.from([0x88, 0x82, 0, 0, 0, 0, 0x03, 0xe8])
const CLOSE_BYTE = 0x88

/** One open connection. */
interface Peer {
  readonly socket: Socket
  /** What came, until it was looked at. */
  chunks: Buffer[] | null
}

class Counterpart {
  readonly #scenario: Scenario
  readonly #peers: Peer[] = []
  #batch: Buffer | null = null
  #received = 0
  #awaited = Infinity
  #reached: (() => void) | null = null

  constructor(scenario: Scenario) {
    this.#scenario = scenario
  }

  /** Waits for clients. @returns the port. */
  async serve(): Promise<number> {
    const server = createServer({ noDelay: true }, socket => this.#answer(socket))
    await once(server.listen(0, '127.0.0.1'), 'listening')
    return (server.address() as AddressInfo).port
  }

  /** Makes the connections that stay. */
  async connect(port: number): Promise<void> {
    const { job, connections } = this.#scenario
    if (job === 'echo') while (this.#peers.length < connections) this.#listen(await handshake(port))
  }

  async fulfil(port: number, received: number, act: boolean): Promise<void> {
    if (this.#received < received) {
      await new Promise<void>(resolve => {
        this.#awaited = received
        this.#reached = resolve
      })
    }
    if (received > 0) this.#check()
    if (!act) return
    if (this.#scenario.job === 'accept') return visit(port)
    await Promise.all(this.#peers.map(({ socket }) => this.#send(socket)))
  }

  /** Settles when the kernel has all of it. */
  #send(socket: Socket): Promise<void> {
    this.#batch ??= framesOf(this.#scenario, this.#scenario.job === 'echo')
    const bytes = this.#batch
    return new Promise(resolve => void socket.write(bytes, () => resolve()))
  }

  #listen(socket: Socket): void {
    const peer: Peer = { socket, chunks: [] }
    socket.on('data', (chunk: Buffer) => this.#take(peer, chunk))
    socket.on('close', () => this.#peers.splice(this.#peers.indexOf(peer), 1))
    this.#peers.push(peer)
  }

  #take(peer: Peer, chunk: Buffer): void {
    // 5.5.1 and 7.1.1: a server answers, and ends the connection first.
    if (this.#scenario.job === 'connect') {
      if (chunk[0] === CLOSE_BYTE) peer.socket.end(CLOSE)
      return
    }
    peer.chunks?.push(chunk)
    this.#received += chunk.length
    if (this.#received < this.#awaited) return
    this.#awaited = Infinity
    this.#reached?.()
  }

  #answer(socket: Socket): void {
    let head = ''
    const read = (chunk: Buffer): void => {
      head += chunk.toString('latin1')
      if (!head.endsWith('\r\n\r\n')) return
      socket.off('data', read)
      const key = /^sec-websocket-key: (.*)\r$/im.exec(head)![1]
      const accept = createHash('sha1')
        .update(key + GUID)
        .digest('base64')
      this.#listen(socket)
      socket.write(
        `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`,
      )
    }
    socket.on('data', read)
    // The process under count may end without a word.
    socket.on('error', () => {})
  }

  /** Everything that was awaited has come: for the first time, looks at it. */
  #check(): void {
    const expected = payloadOf(this.#scenario)
    for (const peer of this.#peers) {
      if (peer.chunks === null) continue
      const found = payloads(Buffer.concat(peer.chunks))
      peer.chunks = null
      if (found.length === 0 || found.some(one => !one.equals(expected)))
        throw new Error(`${this.#scenario.name}: other messages came than were to be sent`)
    }
  }
}

/** Connects and shakes hands. */
async function handshake(port: number): Promise<Socket> {
  const socket = connect({ port, host: '127.0.0.1', noDelay: true })
  socket.on('error', () => {})
  await once(socket, 'connect')
  socket.write(REQUEST)
  await once(socket, 'data')
  return socket
}

/** A connection that only begins and ends. */
async function visit(port: number): Promise<void> {
  const socket = await handshake(port)
  const closed = once(socket, 'close')
  socket.resume()
  socket.write(MASKED_CLOSE)
  await closed
}

if (process.argv[2] === '--guard-counterpart') {
  const [, , , name, folder] = process.argv
  process.once('disconnect', () => process.exit())
  const scenario = scenarioOf(name)
  const counterpart = new Counterpart(scenario)
  const [port] = (await once(process, 'message')) as [number]
  // 0 asks for a server.
  if (port === 0) process.send!(await counterpart.serve())
  else {
    await counterpart.connect(port)
    process.send!(port)
  }
  await answerWishes(folder, ({ received, act }) => counterpart.fulfil(port, received, act))
}
