import t from 'tap'
import { ConnectionError, type Message, ProtocolViolation, type Socket } from '../../src/index.js'
import { BINARY, CONTINUATION, fromPeer, PING, ROLES, TEXT } from '../support/frames.js'
import { openInMemory } from '../support/memory-stream.js'
import { fromServer, isSettled, openAs, openClient, openServer, until } from '../support/raw-peer.js'
import { failure, turn } from '../support/servers.js'

const KIB = 1024

const text = (payload: string): { opcode: number; payload: string } => ({ opcode: TEXT, payload })
const numbered = (count: number): { opcode: number; payload: string }[] =>
  Array.from({ length: count }, (_, i) => text(String(i)))
const numbers = (count: number): string[] => Array.from({ length: count }, (_, i) => String(i))
const textOf = ({ data }: Message): string => (typeof data === 'string' ? data : Buffer.from(data).toString())

/** Takes messages by `for await` until there are `count`, or until the loop ends. */
async function take(socket: Socket, count = Infinity): Promise<string[]> {
  const taken: string[] = []
  for await (const message of socket) {
    taken.push(textOf(message))
    if (taken.length === count) break
  }
  return taken
}

for (const role of ROLES) {
  t.test(`a ${role} gives messages to for await, and the loop ends with a clean close`, async t => {
    const { socket, peer } = await openAs(role, t)
    const loop = (async () => {
      const messages: Message[] = []
      for await (const message of socket) messages.push(message)
      return messages
    })()
    peer.send(
      text('hello'),
      { opcode: BINARY, payload: 'bytes' },
      { opcode: TEXT, fin: false, payload: 'in ' },
      { opcode: PING, payload: 'between' },
      { opcode: CONTINUATION, payload: 'parts' },
      text(''),
    )
    t.strictSame(await peer.shown(1), ['pong "between"'])
    peer.sendClose(1000, 'bye')
    peer.stream.end()
    const messages = await loop
    t.strictSame(messages, [
      { type: 'text', data: 'hello' },
      { type: 'binary', data: Uint8Array.from(Buffer.from('bytes')) },
      { type: 'text', data: 'in parts' },
      { type: 'text', data: '' },
    ])
    t.strictSame(await take(socket), [], 'another loop ends at once')
  })

  t.test(`a ${role} gives messages to onMessage, in order and synchronously`, async t => {
    const { socket, peer } = await openAs(role, t)
    const got: string[] = []
    let ticks = 0
    socket.onMessage = message => {
      if (got.length === 0) process.nextTick(() => ticks++)
      got.push(`${textOf(message)} ${ticks}`)
    }
    peer.send(...numbered(100))
    await until(() => got.length === 100, 'all messages')
    t.strictSame(
      got,
      numbers(100).map(n => `${n} 0`),
    )
  })
}

t.test('onMessage of the options gets what came in the same packet as the 101', async t => {
  const got: string[] = []
  const rest = fromServer(text('early'))
  const { peer } = await openClient(t, { onMessage: message => got.push(textOf(message)) }, rest)
  await until(() => got.length > 0, 'the message')
  peer.send(text('late'))
  await until(() => got.length > 1, 'the next message')
  t.strictSame(got, ['early', 'late'])
})

t.test('for await gets what came in the same packet as the 101', async t => {
  const { socket } = await openClient(t, {}, fromServer(text('early')))
  t.strictSame(await take(socket, 1), ['early'])
})

t.test('a server gets what came in the same packet as the request', async t => {
  const got: string[] = []
  const rest = fromPeer('server', text('early'))
  const { socket } = await openServer(t, {}, rest, one => {
    one.onMessage = message => got.push(textOf(message))
  })
  await until(() => got.length > 0, 'the message')
  t.strictSame(got, ['early'])
  t.equal(socket.state, 'open')
})

t.test('onMessage gets what had queued up before it was set, in order, then the rest', async t => {
  const { socket, peer } = await openClient(t)
  peer.send(...numbered(100))
  for (let turns = 0; turns < 20; turns++) await turn()
  const got: string[] = []
  let inside = true
  socket.onMessage = message => {
    t.notOk(inside, 'not while it is being set')
    got.push(textOf(message))
  }
  inside = false
  await until(() => got.length === 100, 'all messages')
  t.strictSame(got, numbers(100))
})

t.test('onMessage may be set anew, or taken away, in the middle', async t => {
  const { socket, peer } = await openClient(t)
  const first: string[] = []
  const second: string[] = []
  socket.onMessage = message => {
    first.push(textOf(message))
    if (first.length === 2) socket.onMessage = null
  }
  peer.send(...numbered(5))
  t.strictSame(await take(socket, 2), ['2', '3'])
  socket.onMessage = message => second.push(textOf(message))
  await until(() => second.length > 0, 'the last message')
  t.strictSame([first, second], [['0', '1'], ['4']])
})

for (const role of ROLES) {
  t.test(`a ${role} that nobody reads slows its peer down, and goes on when it is read`, async t => {
    const { socket, peer } = await openAs(role, t)
    const payload = Buffer.alloc(64 * KIB, 'x')
    const frame = fromPeer(role, { opcode: BINARY, payload })
    let sent = 0
    // Far more than the kernel keeps for one connection, so only a paused socket ends this.
    for (let stalled = 0; stalled < 200 && sent < 2000; stalled++) {
      if (!peer.stream.writableNeedDrain) {
        peer.stream.write(frame)
        sent++
        stalled = 0
      }
      await turn()
    }
    t.ok(sent < 2000, `the peer's writes stall after ${sent} frames of 64 KiB`)
    t.ok(peer.stream.writableLength > 0)
    const kept = sent
    let got = 0
    for await (const { data } of socket) {
      if (data.length !== payload.length) t.fail('a message is not whole')
      if (++got === kept) break
    }
    t.equal(got, kept)
    await until(() => peer.stream.writableLength === 0, "the peer's writes go on")
    peer.send(text('end'))
    t.strictSame(await take(socket, 1), ['end'])
  })
}

t.test(
  'as many messages as maxQueuedMessages are queued, and not one more is taken from the wire',
  async t => {
    for (const maxQueuedMessages of [1, 3]) {
      const { socket, stream } = await openInMemory(t, { maxQueuedMessages })
      const pings = (): number => stream.frames().length
      const one = [text('m'), { opcode: PING }]
      stream.deliver(...one, ...one, ...one, ...one, ...one)
      await turn()
      t.equal(pings(), maxQueuedMessages - 1, 'what is behind the last of them waits')
      await take(socket, maxQueuedMessages)
      await turn()
      t.ok(pings() >= maxQueuedMessages, 'once they are taken, reading goes on')
      await take(socket, 5 - maxQueuedMessages)
      await turn()
      t.equal(pings(), 5)
    }
  },
)

t.test('a mebibyte of queued messages is enough too', async t => {
  const { socket, stream } = await openInMemory(t)
  const big = { opcode: BINARY, payload: new Uint8Array(600 * KIB) }
  stream.deliver(big, big, big, { opcode: PING })
  await turn()
  t.equal(stream.writes.length, 0)
  await take(socket, 2)
  await turn()
  t.equal(stream.writes.length, 1)
})

t.test('pause() holds messages and pings back, resume() lets them go on', async t => {
  const { socket, peer } = await openClient(t)
  const got: string[] = []
  socket.onMessage = message => {
    got.push(textOf(message))
    if (got.length === 2) socket.pause()
  }
  peer.send(...numbered(5), { opcode: PING })
  await until(() => got.length === 2, 'the first messages')
  t.notOk(await isSettled(peer.frames(1)))
  t.strictSame(got, ['0', '1'], 'also within one chunk')
  socket.resume()
  t.strictSame(got, numbers(5))
  await until(() => peer.receivedBytes > 0, 'the pong')
})

t.test('a paused socket gives nothing to for await until it is resumed', async t => {
  const { socket, peer } = await openClient(t)
  socket.pause()
  peer.send(text('a'))
  const taken = take(socket, 1)
  t.notOk(await isSettled(taken))
  socket.resume()
  t.strictSame(await taken, ['a'])
})

t.test('pause() in onConnection holds back what came with the request', async t => {
  const got: string[] = []
  const { socket } = await openServer(t, {}, fromPeer('server', text('early')), one => {
    one.onMessage = message => got.push(textOf(message))
    one.pause()
  })
  for (let turns = 0; turns < 20; turns++) await turn()
  t.strictSame(got, [])
  socket.resume()
  t.strictSame(got, ['early'])
})

t.test('breaking out of the loop neither closes nor loses anything', async t => {
  const { socket, peer } = await openClient(t)
  peer.send(...numbered(40))
  t.strictSame(await take(socket, 1), ['0'])
  t.equal(socket.state, 'open')
  t.strictSame(await take(socket, 39), numbers(40).slice(1))
  peer.send(text('x'))
  const loop = async (): Promise<void> => {
    for await (const message of socket) throw new Error(textOf(message))
  }
  t.equal((await failure(loop())).message, 'x', 'nor does throwing in it')
  t.equal(socket.state, 'open')
})

t.test('several readers share the messages, each gets the next one', async t => {
  const { socket, peer } = await openClient(t)
  const [a, b] = [socket[Symbol.asyncIterator](), socket[Symbol.asyncIterator]()]
  const all = [a.next(), b.next(), a.next()]
  peer.send(...numbered(3))
  t.strictSame(
    (await Promise.all(all)).map(({ value }) => textOf(value!)),
    numbers(3),
  )
  const rest = [a.next(), b.next()]
  peer.sendClose(1000)
  peer.stream.end()
  t.strictSame(await Promise.all(rest), [
    { value: undefined, done: true },
    { value: undefined, done: true },
  ])
})

t.test(
  'the loop throws the ConnectionError when the connection is lost, and so does every later one',
  async t => {
    for (const role of ROLES) {
      const { socket, peer } = await openAs(role, t)
      const loop = failure(take(socket))
      peer.send(text('a'))
      peer.reset()
      const error = await loop
      t.ok(error instanceof ConnectionError)
      t.match(error, { code: 'WS_CONNECTION_LOST', phase: 'open' })
      t.equal(await failure(take(socket)), error, 'nobody takes the end for a clean one')
    }
  },
)

t.test('the loop throws the ConnectionError when the peer ends without a Close frame', async t => {
  for (const role of ROLES) {
    const { socket, peer } = await openAs(role, t)
    peer.send(text('a'))
    peer.stream.end()
    const iterator = socket[Symbol.asyncIterator]()
    t.match(await iterator.next(), { value: { data: 'a' } })
    t.match(await failure(iterator.next()), {
      name: 'ConnectionError',
      code: 'WS_CONNECTION_LOST',
      phase: 'open',
    })
  }
})

t.test('the loop throws the ProtocolViolation after the messages before it', async t => {
  for (const role of ROLES) {
    const { socket, peer } = await openAs(role, t)
    void peer.ended.then(() => peer.stream.end())
    peer.send(text('a'), text('b'), { opcode: 0x3 })
    const iterator = socket[Symbol.asyncIterator]()
    t.match(await iterator.next(), { value: { data: 'a' } })
    t.match(await iterator.next(), { value: { data: 'b' } })
    const error = await failure(iterator.next())
    t.ok(error instanceof ProtocolViolation)
    t.equal(error.code, 'WS_UNKNOWN_OPCODE')
  }
})

t.test('the loop just ends after terminate()', async t => {
  const { socket } = await openClient(t)
  const loop = take(socket)
  socket.terminate()
  t.strictSame(await loop, [])
})

t.test('no message that arrived before the connection was lost is lost with it', async t => {
  const { socket, peer } = await openClient(t)
  peer.send(...numbered(100))
  for (let turns = 0; turns < 50; turns++) await turn()
  peer.reset()
  // A paused socket does not hear of a reset until it says something.
  socket.ping().catch(() => {})
  await socket.closed
  const got: string[] = []
  const loop = async (): Promise<void> => {
    for await (const message of socket) got.push(textOf(message))
  }
  t.match(await failure(loop()), { code: 'WS_CONNECTION_LOST' })
  t.strictSame(got, numbers(100))
})

t.test('messages that queued up before a clean close are all delivered', async t => {
  const { socket, peer } = await openClient(t)
  peer.send(...numbered(100))
  peer.sendClose(1000)
  peer.stream.end()
  for (let turns = 0; turns < 50; turns++) await turn()
  t.strictSame(await take(socket), numbers(100))
  t.equal((await socket.closed).wasClean, true)
})

t.test('onPing and onPong see what the peer says, and the ping was answered before', async t => {
  const { socket, peer } = await openClient(t)
  const seen: string[] = []
  socket.onPing = data => seen.push(`ping ${Buffer.from(data).toString()}`)
  socket.onPong = data => seen.push(`pong ${Buffer.from(data).toString()}`)
  peer.send({ opcode: PING, payload: 'a' }, { opcode: 0xa, payload: 'b' })
  t.strictSame(await peer.shown(1), ['pong "a"'])
  t.strictSame(seen, ['ping a', 'pong b'])
})

t.test('with autoPong: false the user answers pings', async t => {
  const { socket, peer } = await openClient(t, { autoPong: false })
  socket.onPing = data => socket.pong(Buffer.concat([data, Buffer.from('!')]))
  peer.send({ opcode: PING, payload: 'a' })
  t.strictSame(await peer.shown(1), ['pong "a!"'])
})

t.test('bytes of a binary message stay as they were, whatever arrives later', async t => {
  const { socket, peer } = await openServer(t)
  const kept: Uint8Array[] = []
  socket.onMessage = ({ data }) => kept.push(data as Uint8Array)
  for (let i = 0; i < 50; i++) peer.send({ opcode: BINARY, payload: new Uint8Array(1000).fill(i) })
  await until(() => kept.length === 50, 'all messages')
  t.equal(
    kept.findIndex((data, i) => data.length !== 1000 || data.some(byte => byte !== i)),
    -1,
  )
})
