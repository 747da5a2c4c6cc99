import { EventEmitter } from 'node:events'
import { Duplex } from 'node:stream'
import t from 'tap'
import { attach, type Socket } from '../../src/index.js'
import { PING, TEXT } from '../support/frames.js'
import { openInMemory } from '../support/memory-stream.js'
import { openAs, openServer, rawClient, startListener, until, upgradeRequest } from '../support/raw-peer.js'
import { failure, turn, withResolvers } from '../support/servers.js'
import { VirtualClock } from '../support/virtual-clock.js'

// What one peer does must not hurt the process, nor another connection.

/** A stream of which the test ends each write. */
class HeldStream extends Duplex {
  held = false
  #finish: (() => void) | null = null

  release(): void {
    this.held = false
    this.#finish?.()
    this.#finish = null
  }

  override _read(): void {}

  override _write(_chunk: Uint8Array, _encoding: string, done: () => void): void {
    this.#take(done)
  }

  override _writev(_chunks: readonly unknown[], done: () => void): void {
    this.#take(done)
  }

  #take(done: () => void): void {
    if (this.held) this.#finish = done
    else done()
  }
}

/** A server's socket over a stream of which the test ends each write. */
function accept(options: object = {}): { socket: Socket; stream: HeldStream } {
  const server = new EventEmitter()
  let socket: Socket | undefined
  attach(server, options, one => {
    socket = one
    one.onMessage = () => {}
  })
  const stream = new HeldStream({ highWaterMark: 1024 })
  const [line, ...fields] = upgradeRequest().trimEnd().split('\r\n')
  const rawHeaders = fields.flatMap(field => {
    const at = field.indexOf(': ')
    return [field.slice(0, at), field.slice(at + 2)]
  })
  server.emit(
    'upgrade',
    { method: 'GET', url: line.split(' ')[1], httpVersion: '1.1', rawHeaders },
    stream,
    Buffer.of(),
  )
  return { socket: socket!, stream }
}

t.test("a server's send of large bytes settles only when nobody reads them any more", async t => {
  const { socket, stream } = accept()
  await turn()
  stream.held = true
  const bytes = new Uint8Array(40_000)
  let settled = false
  const sent = socket.send(bytes).then(() => {
    settled = true
  })
  for (let i = 0; i < 20; i++) await turn()
  t.equal(settled, false, 'the stream still has them')
  stream.release()
  await sent
  stream.held = true
  const drained = (socket.write(bytes), socket.drained())
  settled = false
  void drained.then(() => {
    settled = true
  })
  for (let i = 0; i < 20; i++) await turn()
  t.equal(settled, false, 'drained() waits for them as well')
  stream.release()
  await drained
})

t.test('a reused buffer arrives as it was when it was sent', async t => {
  const { socket, peer } = await openServer(t)
  const buffer = new Uint8Array(40_000)
  const sending = (async () => {
    for (let i = 0; i < 200; i++) {
      buffer.fill(i)
      await socket.send(buffer)
    }
    buffer.fill(0xee)
  })()
  // A slow reader, so that bytes pile up in the stream.
  peer.stream.pause()
  for (let i = 0; i < 200; i++) await turn()
  peer.stream.resume()
  const frames = await peer.frames(200)
  await sending
  t.ok(frames.every(({ payload }, i) => payload.every(byte => byte === i)))
})

t.test('a peer that pings for ever does not put off the end of a closing handshake', async t => {
  const clock = new VirtualClock()
  const { socket, stream } = await openInMemory(t, { clock, closeTimeoutMs: 1000 })
  const closed = socket.close()
  await turn()
  for (let elapsed = 0; elapsed < 1000; elapsed += 100) {
    stream.held = true
    stream.deliver(...Array.from({ length: 20 }, () => ({ opcode: PING, payload: 'x'.repeat(125) })))
    await turn()
    stream.release()
    await turn()
    clock.advance(100)
  }
  t.match((await closed).error, { code: 'WS_CLOSE_TIMEOUT' })
})

t.test('promises that nobody waits for do not end the process when the connection is lost', async t => {
  const unhandled: unknown[] = []
  const note = (error: unknown): void => void unhandled.push(error)
  process.on('unhandledRejection', note)
  t.teardown(() => process.off('unhandledRejection', note))
  for (const role of ['client', 'server'] as const) {
    const { socket, peer } = await openAs(role, t)
    void socket.send(new Uint8Array(8 * 1024 * 1024))
    void socket.send('behind')
    void socket.ping()
    void socket.drained()
    peer.reset()
    await socket.closed
    void socket.send('late')
    void socket.ping()
    void socket.drained()
    for (let i = 0; i < 5; i++) await turn()
  }
  t.same(unhandled, [])
})

t.test('an asynchronous handler that ends with its connection does not end the process', async t => {
  const unhandled: unknown[] = []
  const note = (error: unknown): void => void unhandled.push(error)
  process.on('unhandledRejection', note)
  process.on('uncaughtException', note)
  t.teardown(() => {
    process.off('unhandledRejection', note)
    process.off('uncaughtException', note)
  })
  const seen: unknown[] = []
  const { promise, resolve } = withResolvers<Socket>()
  const listener = await startListener(t, {}, async one => {
    resolve(one)
    for await (const message of one) seen.push(message.data)
  })
  const peer = await rawClient(t, listener.port)
  peer.write(upgradeRequest())
  const socket = await promise
  peer.send({ opcode: TEXT, payload: 'a' })
  await until(() => seen.length === 1, 'a message')
  peer.reset()
  t.match((await socket.closed).error, { code: 'WS_CONNECTION_LOST' })
  for (let i = 0; i < 5; i++) await turn()
  t.same(unhandled, [])
})

t.test('an asynchronous callback that fails closes with 1011 and its error is uncaught', async t => {
  const { socket, peer } = await openServer(t)
  const uncaught = new Promise(resolve => process.once('uncaughtException', resolve))
  const mine = new Error('mine')
  socket.onMessage = () => Promise.reject(mine) as unknown as void
  peer.send({ opcode: TEXT, payload: 'a' })
  t.equal(await uncaught, mine)
  t.same(await peer.shown(1), ['close 1011 ""'])
})

t.test('a Close behind a message whose callback throws is still seen', async t => {
  const { socket, peer } = await openServer(t)
  const uncaught = new Promise(resolve => process.once('uncaughtException', resolve))
  socket.onMessage = () => {
    throw new Error('mine')
  }
  peer.send({ opcode: TEXT, payload: 'a' }, { opcode: 8, payload: Uint8Array.of(3, 232) })
  await uncaught
  const { sent, received, wasClean } = await socket.closed
  t.match({ sent, received, wasClean }, { sent: { code: 1011 }, received: { code: 1000 }, wasClean: true })
})

t.test('a message of 8 GiB fails with 1009 from its header, even without a limit', async t => {
  const { socket, peer } = await openServer(t, { limits: { maxMessageBytes: Infinity } })
  const loop = failure(socket[Symbol.asyncIterator]().next())
  peer.write(Uint8Array.of(0x82, 0xff, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0))
  t.match(await loop, { code: 'WS_MESSAGE_TOO_BIG', closeCode: 1009 })
})

t.test('pings that are never answered do not pile up', async t => {
  const { socket, stream } = await openInMemory(t)
  const first = socket.ping()
  const rest = Array.from({ length: 1023 }, () => socket.ping('x'))
  const last = socket.ping('y')
  t.match(await failure(first), { code: 'WS_PONG_MISSING', phase: 'open' })
  stream.deliver({ opcode: 10, payload: 'y' })
  t.ok((await last) >= 0)
  t.equal((await Promise.all(rest)).length, 1023, 'a pong answers the pings before it too')
})
