// What happens to an error that a callback of the user's throws, seen from a process of its own, which prints one line of
// JSON: a report for each case. In the process of the tests the runner would take the error for a failed test.
import { EventEmitter } from 'node:events'
import { connect as netConnect } from 'node:net'
import { attach, connect, HandshakeError, listen, type OnConnection } from '../../src/index.js'
import { buildFrame, CLOSE, closePayload, fromPeer, parseFrames, PING, PONG, show, TEXT } from './frames.js'
import { MemoryStream } from './memory-stream.js'
import { RawPeer, upgradeRequest } from './raw-peer.js'
import { turn } from './servers.js'

/** What one case led to. */
export interface UncaughtReport {
  readonly uncaught: readonly string[]
  /** What the callback was called with. */
  readonly got: readonly string[]
  /** What the peer was sent. */
  readonly frames: readonly string[]
  readonly closed: boolean
}

let uncaught: string[] = []
process.on('uncaughtException', error => uncaught.push(error.message))
process.on('unhandledRejection', error => uncaught.push(`unhandled: ${String(error)}`))

let stream = new MemoryStream()
let got: string[] = []
const fail = (message: { readonly data: string | Uint8Array }): void => {
  got.push(String(message.data))
  throw new Error('boom')
}
const refuse: OnConnection = () => {
  throw new HandshakeError('WS_HANDSHAKE_REFUSED', { detail: 'boom' })
}
const messages = ['a', 'b', 'c'].map(payload => ({ opcode: TEXT, payload }))
const open = (options: object = {}): ReturnType<typeof connect> =>
  connect('ws://in.memory/', { ...options, createConnection: () => stream })

async function accepted(onConnection: OnConnection): Promise<void> {
  const server = new EventEmitter()
  attach(server, {}, onConnection)
  const lines = upgradeRequest().split('\r\n').slice(1, -2)
  const rawHeaders = lines.flatMap(line => line.split(': '))
  // Not the 101, but it opens the stream.
  stream.write('Sec-WebSocket-Key: none')
  stream.read()
  const early = fromPeer('server', { opcode: TEXT, payload: 'x' })
  const request = { method: 'GET', url: '/', httpVersion: '1.1', rawHeaders }
  setImmediate(() => server.emit('upgrade', request, stream, early))
  await turn()
}

const cases: Readonly<Record<string, () => Promise<void>>> = {
  async onMessage() {
    const socket = await open()
    socket.onMessage = fail
    stream.deliver(...messages)
  },
  async 'onMessage of the options'() {
    await open({ onMessage: fail })
    stream.deliver(...messages)
  },
  async 'onMessage for what had queued up'() {
    const socket = await open()
    stream.deliver(...messages)
    await turn()
    socket.onMessage = fail
  },
  async 'onMessage for what a pause held back'() {
    const socket = await open()
    stream.deliver(...messages)
    await turn()
    socket.pause()
    socket.onMessage = fail
    await turn()
    try {
      socket.resume()
    } catch (error) {
      // Thrown into the face of whoever resumes: told apart from an uncaught one.
      uncaught.push(`thrown by resume(): ${(error as Error).message}`)
    }
  },
  async onPing() {
    const socket = await open()
    socket.onPing = data => fail({ data })
    stream.deliver({ opcode: PING })
  },
  async onPong() {
    const socket = await open()
    socket.onPong = data => fail({ data })
    stream.deliver({ opcode: PONG })
  },
  async onConnection() {
    await accepted(() => fail({ data: 'connection' }))
  },
  async 'onConnection, a HandshakeError'() {
    await accepted(refuse)
  },
}

/** The frames behind the head of a 101, or all as text when they are none. */
function framesIn(bytes: Buffer): string[] {
  const head = bytes.indexOf('\r\n\r\n')
  const rest = head < 0 ? bytes : bytes.subarray(head + 4)
  try {
    return show(parseFrames(rest))
  } catch {
    return [rest.toString('latin1')]
  }
}

async function run(work: () => Promise<void>): Promise<UncaughtReport> {
  stream = new MemoryStream()
  uncaught = []
  got = []
  await work()
  for (let turns = 0; turns < 5; turns++) await turn()
  const frames = framesIn(Buffer.concat(stream.writes))
  if (!stream.destroyed) {
    stream.push(buildFrame({ opcode: CLOSE, payload: closePayload(1011) }))
    stream.push(null)
  }
  for (let turns = 0; turns < 5; turns++) await turn()
  return { uncaught, got, frames, closed: stream.destroyed }
}

/** A listener of its own reads the head itself, so an error comes another way. */
async function listening(): Promise<UncaughtReport> {
  uncaught = []
  got = []
  const listener = await listen({}, refuse)
  const peer = new RawPeer(netConnect(listener.port, '127.0.0.1'), 'server')
  peer.write(upgradeRequest())
  const bytes = await (async () => {
    await peer.head()
    await turn()
    for (let turns = 0; turns < 20; turns++) await turn()
    peer.sendClose(1011)
    return peer.rest()
  })()
  await listener.close()
  return { uncaught, got, frames: framesIn(Buffer.from(bytes)), closed: true }
}

const reports: Record<string, UncaughtReport> = {}
for (const [name, work] of Object.entries(cases)) reports[name] = await run(work)
reports['onConnection of a listener, a HandshakeError'] = await listening()
console.log(JSON.stringify(reports))
