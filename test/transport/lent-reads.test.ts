// What is read lies in memory that others read into as well, or where a message will stay: what must never show.
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { createServer } from 'node:http'
import type { Socket as NetSocket } from 'node:net'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import t, { type Test } from 'tap'
import { attach, connect, listen, type Message } from '../../src/index.js'
import { isLending } from '../../src/transport/lent-reads.js'
import { BINARY, fromPeer, ROLES, TEXT } from '../support/frames.js'
import { fromServer, openAs, openClient, rawServer, until } from '../support/raw-peer.js'
import { failure, serve, turn } from '../support/servers.js'

const KIB = 1024

setFlagsFromString('--expose-gc')
const collect = runInNewContext('gc') as () => void

/** Errors that nobody caught, which are not the runner's. */
function uncaughtOf(t: Test): unknown[] {
  const uncaught: unknown[] = []
  const note = (error: unknown): void => void uncaught.push(error)
  process.on('uncaughtException', note)
  t.teardown(() => process.off('uncaughtException', note))
  return uncaught
}

const fails = (): void => {
  throw new Error('a tick of the user')
}

function held(): number {
  collect()
  return process.memoryUsage().arrayBuffers
}

/** True for a message of this letter alone. */
const isOnly = ({ data }: Message, letter: number, bytes: number): boolean =>
  data.length === bytes && Buffer.from(data).every(byte => byte === letter)

for (const role of ROLES) {
  for (const [what, opcode, bytes, count] of [
    ['long binary messages', BINARY, 400_000, 20],
    ['long texts', TEXT, 400_000, 20],
    ['binary messages of a few KiB', BINARY, 5 * KIB, 400],
    ['texts of a few KiB', TEXT, 5 * KIB, 400],
  ] as const) {
    t.test(`${role}: ${what} stay what they are when ticks between them throw`, async t => {
      const uncaught = uncaughtOf(t)
      const { socket, peer } = await openAs(role, t, { compress: false })
      const got: Message[] = []
      socket.onMessage = message => {
        got.push(message)
        if (got.length % 7 === 3) process.nextTick(fails)
      }
      for (let i = 0; i < count; i++) peer.send({ opcode, payload: Buffer.alloc(bytes, 65 + (i % 26)) })
      await until(() => got.length === count, 'all messages')
      t.equal(uncaught.length, Math.ceil((count - 2) / 7))
      // Looked at now, when everything has been written over that could be.
      t.ok(got.every((message, i) => isOnly(message, 65 + (i % 26), bytes)))
    })
  }
}

t.test('nothing behind a 101 is lost when a tick throws before anybody reads', async t => {
  const uncaught = uncaughtOf(t)
  const got: string[] = []
  const rest = Buffer.concat(
    Array.from({ length: 300 }, (_, i) => fromServer({ opcode: TEXT, payload: `${i} `.padEnd(KIB, 'x') })),
  )
  await openClient(
    t,
    {
      compress: false,
      onEvent: ({ type }) => void (type === 'response' && process.nextTick(fails)),
      onMessage: ({ data }) => void got.push(String(data).split(' ')[0]),
    },
    rest,
  )
  await until(() => got.length === 300, 'all messages')
  t.same(
    got,
    Array.from({ length: 300 }, (_, i) => String(i)),
  )
  t.equal(uncaught.length, 1)
})

t.test('two clients that read long messages at the same time do not share a byte', async t => {
  const server = await rawServer(t)
  const both = await Promise.all(
    [65, 66].map(async letter => {
      const { socket, peer } = await openClient(t, { compress: false }, undefined, server)
      const got: Message[] = []
      socket.onMessage = message => void got.push(message)
      return { letter, peer, got }
    }),
  )
  for (let i = 0; i < 10; i++) {
    for (const { letter, peer } of both)
      for (const opcode of [TEXT, BINARY])
        peer.write(fromPeer('client', { opcode, payload: Buffer.alloc(300_000, letter) }))
  }
  await until(() => both.every(({ got }) => got.length === 20), 'all messages')
  for (const { letter, got } of both) t.ok(got.every(message => isOnly(message, letter, 300_000)))
})

t.test('a paused client reads nothing, and what it had is still there when others have read', async t => {
  const server = await rawServer(t)
  const [paused, other] = await Promise.all([1, 2].map(() => openClient(t, {}, undefined, server)))
  const got: Message[] = []
  paused.socket.onMessage = message => {
    got.push(message)
    if (got.length === 1) paused.socket.pause()
  }
  for (let i = 0; i < 10; i++) paused.peer.send({ opcode: BINARY, payload: Buffer.alloc(200, 65 + i) })
  await until(() => got.length === 1, 'the first message')
  let texts = 0
  other.socket.onMessage = () => void texts++
  for (let i = 0; i < 50; i++) other.peer.send({ opcode: TEXT, payload: Buffer.alloc(KIB, 97) })
  await until(() => texts === 50, 'the texts of the other')
  t.equal(got.length, 1)
  paused.socket.resume()
  await until(() => got.length === 10, 'the other messages')
  t.ok(got.every((message, i) => isOnly(message, 65 + i, 200)))
})

t.test('a client that has been silent since a long read holds no memory to read into', async t => {
  const server = await rawServer(t)
  const clients = 64
  const sockets = []
  const before = held()
  for (let i = 0; i < clients; i++) {
    let messages = 0
    const { socket, peer } = await openClient(t, { compress: false }, undefined, server)
    socket.onMessage = () => void messages++
    peer.send({ opcode: BINARY, payload: Buffer.alloc(20_000) })
    await until(() => messages === 1, 'the message')
    sockets.push(socket)
  }
  const most = before + clients * 16 * KIB
  // What is garbage is freed in threads of its own.
  for (let turns = 0; turns < 50 && held() > most; turns++) await turn()
  t.ok(held() <= most)
  t.equal(sockets.length, clients)
})

t.test('a connection that is refused, or given up, leaves nothing paused', async t => {
  const server = await rawServer(t)
  const refused = connect(server.url)
  const peer = await server.accepted()
  await peer.head()
  peer.write(Buffer.from('HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno'))
  t.match(await failure(refused), { response: { status: 403, body: Buffer.from('no') } })
  await peer.ended
})

/** Sends texts of a KiB from a client until the other end has so many. */
async function say(url: string, count: number, got: readonly string[]): Promise<void> {
  const socket = await connect(url, { compress: false })
  for (let i = 0; i < count; i++) {
    await socket.send(`${i} `.padEnd(KIB, 'x'))
    await until(() => got.length === i + 1, 'the text')
  }
  await socket.close()
}

const numbers = (texts: readonly string[]): number[] => texts.map(text => Number(text.split(' ')[0]))

t.test('accepted sockets of Node lend what they read, once they have said a KiB', async t => {
  const streams: NetSocket[] = []
  const note = (message: unknown): void => void streams.push((message as { socket: NetSocket }).socket)
  subscribe('net.server.socket', note)
  t.teardown(() => unsubscribe('net.server.socket', note))
  const got: string[] = []
  await using server = await listen({}, socket => {
    socket.onMessage = ({ data }) => void got.push(String(data))
  })
  await say(server.url, 3, got)
  t.same(numbers(got), [0, 1, 2])
  t.same(
    streams.map(stream => isLending(stream)),
    [true],
  )
})

for (const listens of [false, true]) {
  t.test(
    `behind an http.Server they do ${listens ? 'not, where somebody else listens' : 'so, too'}`,
    async t => {
      const http = createServer()
      const streams: NetSocket[] = []
      let heard = 0
      http.on('connection', (stream: NetSocket) => {
        streams.push(stream)
        if (listens) stream.on('data', (chunk: Uint8Array) => (heard += chunk.length))
      })
      const got: string[] = []
      await using acceptor = attach(http, {}, socket => {
        socket.onMessage = ({ data }) => void got.push(String(data))
      })
      const port = await serve(t, http)
      await say(`ws://127.0.0.1:${port}/`, 5, got)
      t.same(numbers(got), [0, 1, 2, 3, 4])
      t.same(
        streams.map(stream => isLending(stream)),
        [!listens],
      )
      if (listens) t.ok(heard > 5 * KIB)
      await until(() => acceptor.sockets.size === 0, 'the end')
    },
  )
}

t.test('an accepted socket that lends goes on where it was when it is paused and resumed', async t => {
  const { socket, peer } = await openAs('server', t, { compress: false })
  const got: Message[] = []
  socket.onMessage = message => {
    got.push(message)
    if (got.length % 3 === 0) {
      socket.pause()
      setImmediate(() => socket.resume())
    }
  }
  for (let i = 0; i < 60; i++) peer.send({ opcode: BINARY, payload: Buffer.alloc(3000, 65 + (i % 26)) })
  await until(() => got.length === 60, 'all messages')
  t.ok(got.every((message, i) => isOnly(message, 65 + (i % 26), 3000)))
})

t.test('a socket that is paused by the message that makes it lend is not read', async t => {
  const { socket, peer } = await openAs('server', t, { compress: false })
  const got: Message[] = []
  socket.onMessage = message => {
    got.push(message)
    if (got.length === 1) socket.pause()
  }
  const size = 256 * KIB
  const most = 32
  peer.send({ opcode: BINARY, payload: Buffer.alloc(2000, 65) })
  await until(() => got.length === 1, 'the first message')
  for (let i = 1; i < most; i++) peer.send({ opcode: BINARY, payload: Buffer.alloc(size, 65 + (i % 26)) })
  for (let turns = 0; turns < 200; turns++) await turn()
  t.ok(socket.bytesReceived < size, `${socket.bytesReceived} bytes were read`)
  socket.resume()
  await until(() => got.length === most, 'all messages')
  t.ok(got.every((message, i) => isOnly(message, 65 + (i % 26), i === 0 ? 2000 : size)))
})
