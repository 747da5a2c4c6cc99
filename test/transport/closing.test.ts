import t, { type Test } from 'tap'
import {
  ConnectionError,
  type Message,
  ProtocolViolation,
  type Role,
  type SocketOptions,
  UsageError,
} from '../../src/index.js'
import { CLOSE, closePayload, PING, PONG, ROLES, TEXT } from '../support/frames.js'
import { listenersOf } from '../support/leaks.js'
import { MemoryStream, openInMemory } from '../support/memory-stream.js'
import {
  isSettled,
  type Open,
  openAs,
  openClient,
  openServer,
  rawServer,
  until,
} from '../support/raw-peer.js'
import { failure, leavesNothing, turn } from '../support/servers.js'
import { VirtualClock } from '../support/virtual-clock.js'

const lost = (phase: 'open' | 'closing'): object => ({
  name: 'ConnectionError',
  code: 'WS_CONNECTION_LOST',
  phase,
})
const frame = (code: number, reason = ''): { code: number; reason: string } => ({ code, reason })

/** A test for both roles, in virtual time, that leaves nothing behind. */
function both(
  name: string,
  body: (t: Test, open: Open & { clock: VirtualClock; role: Role }) => Promise<unknown>,
  options: SocketOptions = {},
): void {
  t.test(name, async t => {
    for (const role of ROLES) {
      await t.test(role, async t => {
        const clock = new VirtualClock()
        const open = await openAs(role, t, { ...options, clock })
        await body(t, { ...open, clock, role })
        await open.socket.closed
        t.equal(open.socket.state, 'closed')
        t.equal(open.socket.bufferedAmount >= 0, true)
        t.equal(clock.pending, 0, 'no timer is left')
      })
    }
  })
}

both('our Close is answered, and the outcome tells both frames', async (t, { socket, peer, role }) => {
  const closing = socket.close(4321, 'enough')
  t.equal(socket.state, 'closing')
  t.strictSame(await peer.shown(1), ['close 4321 "enough"'])
  t.notOk(await isSettled(closing))
  peer.sendClose(1000, 'fine')
  if (role === 'server') await peer.ended
  else t.notOk(await isSettled(peer.ended), '7.1.1: a client leaves it to the server to end the connection')
  peer.stream.end()
  const outcome = await closing
  t.strictSame(outcome, {
    sent: frame(4321, 'enough'),
    received: frame(1000, 'fine'),
    initiator: 'local',
    wasClean: true,
    error: null,
  })
  t.equal(await socket.closed, outcome)
})

both("the peer's Close is echoed with its code and reason", async (t, { socket, peer, role }) => {
  peer.sendClose(3000, 'sch\u00f6n')
  t.strictSame(await peer.shown(1), ['close 3000 "sch\u00f6n"'])
  if (role === 'server') await peer.ended
  peer.stream.end()
  t.strictSame(await socket.closed, {
    sent: frame(3000, 'sch\u00f6n'),
    received: frame(3000, 'sch\u00f6n'),
    initiator: 'remote',
    wasClean: true,
    error: null,
  })
  t.strictSame(await peer.restShown(), [])
})

both('a Close frame without a code is answered with one, and shown as 1005', async (t, { socket, peer }) => {
  peer.send({ opcode: CLOSE })
  t.strictSame(await peer.shown(1), ['close ""'])
  peer.stream.end()
  t.strictSame(await socket.closed, {
    sent: frame(1005),
    received: frame(1005),
    initiator: 'remote',
    wasClean: true,
    error: null,
  })
})

t.test('sends and receives every close code that may be on the wire', async t => {
  for (const code of [
    1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999,
  ]) {
    const ours = await openAs('client', t)
    const closing = ours.socket.close(code)
    t.strictSame(await ours.peer.shown(1), [`close ${code} ""`])
    ours.peer.sendClose(code)
    ours.peer.stream.end()
    t.match(await closing, { sent: frame(code), received: frame(code), wasClean: true })
  }
})

t.test('refuses close codes and reasons that must not be on the wire, and stays open', async t => {
  const { socket, peer } = await openAs('client', t)
  const wrong: readonly (readonly [number, string?])[] = [
    ...[0, 999, 1004, 1006, 1015, 1016, 2999, 5000, 65536, -1, 1000.5, Number.NaN].map(
      code => [code] as const,
    ),
    [1000, 'x'.repeat(124)],
    [1000, '\u20ac'.repeat(42)],
    [1005, 'a reason without a code'],
  ]
  for (const [code, reason] of wrong) {
    const error = await failure(socket.close(code, reason))
    t.ok(error instanceof UsageError)
    t.equal(error.code, 'WS_BAD_CLOSE', `${code}`)
  }
  t.equal(socket.state, 'open')
  void socket.close(1000, '\u20ac'.repeat(41))
  t.strictSame(await peer.shown(1), [`close 1000 "${'\u20ac'.repeat(41)}"`], '123 bytes are allowed')
})

both('close() again gives the same outcome and sends nothing more', async (t, { socket, peer }) => {
  const [one, two] = [socket.close(1000, 'first'), socket.close(4000, 'second')]
  t.strictSame(await peer.shown(1), ['close 1000 "first"'])
  peer.sendClose(1000)
  peer.stream.end()
  t.equal(await one, await two)
  t.equal(await socket.close(), await one, 'also when all is over')
  t.strictSame(await peer.restShown(), [])
})

both(
  'a peer that never answers our Close is given up after closeTimeoutMs',
  async (t, { socket, peer, clock }) => {
    const closing = socket.close()
    await peer.frames(1)
    clock.advance(5000 - 1)
    t.notOk(await isSettled(closing))
    clock.advance(1)
    t.match(await closing, {
      sent: frame(1000),
      received: null,
      initiator: 'local',
      wasClean: false,
      error: { name: 'ConnectionError', code: 'WS_CLOSE_TIMEOUT', phase: 'closing' },
    })
    await peer.ended
  },
)

both(
  'closeTimeoutMs is an option',
  async (t, { socket, clock }) => {
    const closing = socket.close()
    clock.advance(10)
    t.match((await closing).error, { code: 'WS_CLOSE_TIMEOUT', message: /10 ms/ })
  },
  { closeTimeoutMs: 10 },
)

both(
  'a peer that answers Close but never ends the connection is cut off, and it was clean',
  async (t, open) => {
    const { socket, peer, clock } = open
    const closing = socket.close()
    await peer.frames(1)
    peer.sendClose(1000)
    await until(() => peer.stream.writableLength === 0, 'it is sent')
    t.notOk(await isSettled(closing))
    clock.advance(5000)
    t.match(await closing, { received: frame(1000), wasClean: true, error: null })
    await peer.ended
  },
)

both('a peer that closes and never ends the connection is cut off, and it was clean', async (t, open) => {
  const { socket, peer, clock } = open
  peer.sendClose(1001)
  t.strictSame(await peer.shown(1), ['close 1001 ""'])
  t.notOk(await isSettled(socket.closed))
  clock.advance(5000)
  t.match(await socket.closed, { received: frame(1001), initiator: 'remote', wasClean: true, error: null })
})

both(
  'a peer that never closes after it broke the protocol is cut off',
  async (t, { socket, peer, clock }) => {
    peer.send({ opcode: 0xb })
    t.match(await peer.shown(1), [/^close 1002 /])
    await peer.ended
    t.notOk(await isSettled(socket.closed))
    clock.advance(5000)
    const { error, ...frames } = await socket.closed
    t.ok(error instanceof ProtocolViolation)
    t.match(error, { code: 'WS_UNKNOWN_OPCODE', closeCode: 1002 })
    t.match(frames, { sent: { code: 1002 }, received: null, initiator: 'local', wasClean: false })
  },
)

both('a reset while open', async (t, { socket, peer }) => {
  peer.reset()
  t.match(await socket.closed, {
    sent: null,
    received: null,
    initiator: null,
    wasClean: false,
    error: { ...lost('open'), cause: { code: 'ECONNRESET' } },
  })
})

both('a reset instead of an answer to our Close', async (t, { socket, peer }) => {
  const closing = socket.close()
  await peer.frames(1)
  peer.reset()
  t.match(await closing, { sent: frame(1000), received: null, wasClean: false, error: lost('closing') })
})

both('a reset after the answer to our Close was clean', async (t, { socket, peer }) => {
  const closing = socket.close()
  await peer.frames(1)
  let answered = false
  peer.stream.write(new Uint8Array(0), () => {
    answered = true
  })
  peer.sendClose(1000)
  await until(() => answered && peer.stream.writableLength === 0, 'the answer is sent')
  for (let turns = 0; turns < 20; turns++) await turn()
  peer.reset()
  t.match(await closing, { received: frame(1000), wasClean: true, error: null })
})

both('a reset after the peer closed and we answered was clean', async (t, { socket, peer }) => {
  peer.sendClose(1000)
  await peer.frames(1)
  peer.reset()
  t.match(await socket.closed, { received: frame(1000), wasClean: true, error: null })
})

both('a peer that ends without a Close frame', async (t, { socket, peer }) => {
  peer.stream.end()
  t.match(await socket.closed, { sent: null, received: null, wasClean: false, error: lost('open') })
  t.strictSame(await peer.restShown(), [], 'gets none either: nobody would answer')
})

both('a peer that ends in the middle of a frame', async (t, { socket, peer }) => {
  peer.write(Uint8Array.from([0x81]))
  peer.stream.end()
  t.match(await socket.closed, { wasClean: false, error: lost('open') })
})

both('a peer that ends instead of answering our Close', async (t, { socket, peer }) => {
  const closing = socket.close()
  await peer.frames(1)
  peer.stream.end()
  t.match(await closing, { sent: frame(1000), received: null, wasClean: false, error: lost('closing') })
})

both('Close frames that cross are clean, and nobody answers twice', async (t, { socket, peer }) => {
  peer.sendClose(3001, 'theirs')
  const closing = socket.close(3002, 'ours')
  t.strictSame(await peer.shown(1), ['close 3002 "ours"'])
  peer.stream.end()
  t.strictSame(await closing, {
    sent: frame(3002, 'ours'),
    received: frame(3001, 'theirs'),
    initiator: 'local',
    wasClean: true,
    error: null,
  })
  t.strictSame(await peer.restShown(), [])
})

both('what comes behind a Close frame is ignored', async (t, { socket, peer }) => {
  const got: Message[] = []
  socket.onMessage = message => got.push(message)
  const close = { opcode: CLOSE, payload: closePayload(1000) }
  peer.send({ opcode: TEXT, payload: 'before' }, close, { opcode: TEXT, payload: 'behind' }, { opcode: PING })
  await peer.frames(1)
  peer.send(
    { opcode: TEXT, payload: 'later' },
    { opcode: 0x3 },
    { opcode: CLOSE, payload: closePayload(4000) },
  )
  peer.stream.end()
  t.match(await socket.closed, { received: frame(1000), wasClean: true, error: null })
  t.strictSame(got, [{ type: 'text', data: 'before' }])
  t.strictSame(await peer.restShown(), [], 'not even pings are answered')
})

for (const deliverWhileClosing of [false, true]) {
  const name = deliverWhileClosing
    ? 'messages that arrive after our Close are delivered with deliverWhileClosing'
    : 'messages that arrive after our Close are thrown away'
  both(
    name,
    async (t, { socket, peer }) => {
      const got: Message[] = []
      const loop = (async () => {
        for await (const message of socket) got.push(message)
      })()
      const closing = socket.close()
      await peer.frames(1)
      peer.send(
        { opcode: TEXT, payload: 'a' },
        { opcode: PING, payload: 'p' },
        { opcode: TEXT, payload: 'b' },
      )
      peer.sendClose(1000)
      peer.stream.end()
      t.equal((await closing).wasClean, true)
      await loop
      t.strictSame(
        got.map(({ data }) => data),
        deliverWhileClosing ? ['a', 'b'] : [],
      )
    },
    { deliverWhileClosing },
  )
}

both('messages that had arrived before our Close are delivered', async (t, { socket, peer }) => {
  peer.send(...['a', 'b', 'c'].map(payload => ({ opcode: TEXT, payload })))
  const iterator = socket[Symbol.asyncIterator]()
  t.match(await iterator.next(), { value: { data: 'a' } })
  for (let turns = 0; turns < 20; turns++) await turn()
  const closing = socket.close()
  await peer.frames(1)
  peer.sendClose(1000)
  peer.stream.end()
  t.equal((await closing).wasClean, true)
  t.match(await iterator.next(), { value: { data: 'b' } })
  t.match(await iterator.next(), { value: { data: 'c' } })
  t.match(await iterator.next(), { done: true })
})

both('closing does not hang on messages that nobody takes', async (t, { socket, peer }) => {
  socket.pause()
  for (let i = 0; i < 100; i++) peer.send({ opcode: TEXT, payload: String(i) })
  const closing = socket.close()
  await peer.frames(1)
  peer.sendClose(1000)
  peer.stream.end()
  t.equal((await closing).wasClean, true)
})

both(
  'a Close frame behind a pile of messages ends the connection cleanly once they are read',
  async (t, open) => {
    const { socket, peer } = open
    for (let i = 0; i < 100; i++) peer.send({ opcode: TEXT, payload: String(i) })
    peer.sendClose(1000, 'done')
    peer.stream.end()
    for (let turns = 0; turns < 50; turns++) await turn()
    let count = 0
    const loop = (async () => {
      for await (const message of socket) count += message.data.length > 0 ? 1 : 0
    })()
    loop.catch(() => {})
    t.match(await socket.closed, { received: frame(1000, 'done'), wasClean: true, error: null })
    await loop
    t.equal(count, 100)
  },
)

both('terminate() sends no Close frame and says who ended it', async (t, { socket, peer }) => {
  socket.terminate()
  t.match(await socket.closed, {
    sent: null,
    received: null,
    wasClean: false,
    error: { name: 'ConnectionError', code: 'WS_CLOSED_LOCALLY' },
  })
  await peer.ended
  t.equal((await peer.rest()).length, 0)
  socket.terminate()
  socket.pause()
  socket.resume()
})

both('terminate() while closing', async (t, { socket, peer }) => {
  const closing = socket.close()
  await peer.frames(1)
  socket.terminate()
  t.match(await closing, {
    sent: frame(1000),
    received: null,
    wasClean: false,
    error: { code: 'WS_CLOSED_LOCALLY' },
  })
})

t.test('terminate() in a callback is the end of messages', async t => {
  const { socket, stream } = await openInMemory(t)
  const got: Message[] = []
  socket.onMessage = message => {
    got.push(message)
    socket.terminate()
  }
  stream.deliver({ opcode: TEXT, payload: 'a' }, { opcode: TEXT, payload: 'b' })
  await socket.closed
  t.strictSame(got, [{ type: 'text', data: 'a' }])
})

both('await using closes with 1000', async (t, { socket, peer }) => {
  void peer.ended.then(() => peer.stream.end())
  const scope = (async () => {
    await using _ = socket
  })()
  t.strictSame(await peer.shown(1), ['close 1000 ""'])
  t.notOk(await isSettled(scope))
  peer.sendClose(1000)
  peer.stream.end()
  await scope
  t.equal(socket.state, 'closed')
})

both(
  'close() in onMessage waits for the messages before it, and sends after what they sent',
  async (t, open) => {
    const { socket, peer } = open
    socket.onMessage = () => {
      socket.write('answer')
      void socket.close(1000, 'bye')
    }
    peer.send({ opcode: TEXT, payload: 'a' })
    t.strictSame(await peer.shown(2), ['text "answer"', 'close 1000 "bye"'])
    peer.sendClose(1000)
    peer.stream.end()
    t.equal((await socket.closed).wasClean, true)
  },
)

both('a Close frame with a code that must not be on the wire is answered with 1002', async (t, open) => {
  const { socket, peer } = open
  peer.sendClose(1005)
  t.match(await peer.shown(1), [/^close 1002 /])
  peer.stream.end()
  const outcome = await socket.closed
  t.ok(outcome.error instanceof ProtocolViolation)
  t.match(outcome, {
    sent: { code: 1002 },
    received: null,
    wasClean: false,
    error: { code: 'WS_CLOSE_CODE' },
  })
})

both('an answer to our Close with a code that must not be on the wire is reported', async (t, open) => {
  const { socket, peer } = open
  const closing = socket.close(1000)
  await peer.frames(1)
  peer.sendClose(1005)
  await peer.ended
  peer.stream.end()
  const outcome = await closing
  t.ok(outcome.error instanceof ProtocolViolation)
  t.match(outcome, { sent: frame(1000), received: null, wasClean: false, error: { code: 'WS_CLOSE_CODE' } })
})

both('a peer that reads slowly does not run into the deadline while it reads', async (t, open) => {
  const { socket, peer, clock } = open
  peer.stream.pause()
  const chunk = Buffer.alloc(256 * 1024, 'x')
  let sent = 0
  for (let room = true; room && sent < 500; sent++) {
    if (!socket.write(chunk)) room = await isSettled(socket.drained())
  }
  const closing = socket.close()
  clock.advance(4000)
  peer.stream.resume()
  const frames = await peer.frames(sent + 1)
  t.equal(frames.at(-1)!.opcode, CLOSE)
  clock.advance(4000)
  t.notOk(await isSettled(closing), 'the deadline counts from when the output left')
  peer.sendClose(1000)
  peer.stream.end()
  t.equal((await closing).wasClean, true)
})

t.test('a peer that reads nothing at all does run into it', async t => {
  const clock = new VirtualClock()
  const { socket, stream } = await openInMemory(t, { clock })
  stream.held = true
  socket.write(new Uint8Array(1024 * 1024))
  const closing = socket.close()
  await turn()
  clock.advance(5000)
  t.match((await closing).error, { code: 'WS_CLOSE_TIMEOUT' })
  t.equal(clock.pending, 0)
})

both('ping() gives the round-trip time of the clock', async (t, { socket, peer, clock }) => {
  const rtt = socket.ping()
  const [ping] = await peer.frames(1)
  t.equal(ping.opcode, PING)
  clock.advance(42)
  peer.send({ opcode: PONG, payload: ping.payload })
  t.equal(await rtt, 42)
  socket.terminate()
})

both('one pong answers all pings before it, and an unknown one answers none', async (t, open) => {
  const { socket, peer, clock } = open
  const first = socket.ping()
  clock.advance(10)
  const [second, third] = [socket.ping('second'), socket.ping(Buffer.from('third'))]
  t.strictSame((await peer.shown(3)).slice(1), ['ping "second"', 'ping "third"'])
  clock.advance(5)
  peer.send({ opcode: PONG, payload: 'unsolicited' })
  t.notOk(await isSettled(first))
  peer.send({ opcode: PONG, payload: 'second' })
  t.equal(await first, 15)
  t.equal(await second, 5)
  t.notOk(await isSettled(third))
  clock.advance(1)
  peer.send({ opcode: PONG, payload: 'third' })
  t.equal(await third, 6)
  socket.terminate()
})

t.test('pings of one connection have payloads of their own', async t => {
  const { socket, stream } = await openInMemory(t)
  for (let i = 0; i < 300; i++) socket.ping().catch(() => {})
  await turn()
  const payloads = stream.frames().map(({ payload }) => Buffer.from(payload).toString('hex'))
  t.equal(new Set(payloads).size, 300)
})

both('a ping fails when the connection ends before its pong', async (t, { socket, peer }) => {
  const pings = Promise.all([failure(socket.ping()), failure(socket.ping())])
  await peer.frames(2)
  peer.reset()
  for (const error of await pings) {
    t.ok(error instanceof ConnectionError)
    t.match(error, lost('open'))
  }
})

both('a ping fails when the connection is closed before its pong', async (t, { socket, peer }) => {
  const ping = failure(socket.ping())
  peer.sendClose(1000)
  peer.stream.end()
  t.match(await ping, lost('closing'))
})

t.test('pings and pongs take at most 125 bytes', async t => {
  const { socket, stream } = await openInMemory(t)
  const tooLong = { name: 'UsageError', code: 'WS_CONTROL_PAYLOAD' }
  await t.rejects(socket.ping(new Uint8Array(126)), tooLong)
  await t.rejects(socket.ping('\u00e9'.repeat(63)), tooLong)
  t.throws(() => socket.pong(new Uint8Array(126)), tooLong)
  await t.rejects(socket.ping(1 as never), { code: 'WS_BAD_DATA' })
  t.equal(stream.writes.length, 0)
  socket.ping(new Uint8Array(125)).catch(() => {})
  socket.pong('\u00e9'.repeat(62))
  await turn()
  t.strictSame(
    stream.frames().map(({ opcode, payload }) => [opcode, payload.length]),
    [
      [PING, 125],
      [PONG, 124],
    ],
  )
})

t.test('whatever ends a connection, no listener, timer or socket stays', async t => {
  const endings: readonly (readonly [string, (open: Open, clock: VirtualClock) => void])[] = [
    ['a clean close', ({ peer }) => (peer.sendClose(1000), void peer.stream.end())],
    ['a reset', ({ peer }) => peer.reset()],
    ['FIN', ({ peer }) => void peer.stream.end()],
    ['garbage', ({ peer }) => (peer.write('garbage'), void peer.stream.end())],
    ['terminate', ({ socket }) => socket.terminate()],
    ['a time-out', ({ socket }, clock) => (void socket.close(), setImmediate(() => clock.advance(5000)))],
  ]
  const server = await rawServer(t)
  for (const role of ROLES) {
    for (const [name, end] of endings) {
      const clock = new VirtualClock()
      await t.test(`${role}, ${name}`, async t => {
        await leavesNothing(t, async () => {
          const served = role === 'server' ? await openServer(t, { clock }) : null
          const open = served ?? (await openClient(t, { clock }, undefined, server))
          open.socket.ping().catch(() => {})
          const sent = open.socket.send(['a', 'b']).catch(() => {})
          end(open, clock)
          await open.socket.closed
          await sent
          open.peer.stream.destroy()
          await served?.listener.close()
        })
      })
      t.equal(clock.pending, 0)
    }
  }
})

t.test(
  'a stream of the caller has no listener of ours when all is over but the one that ignores errors',
  async t => {
    const stream = new MemoryStream()
    const before = listenersOf(stream)
    const { socket } = await openInMemory(t, {}, stream)
    stream.deliver({ opcode: CLOSE, payload: closePayload(1000) })
    stream.push(null)
    t.equal((await socket.closed).wasClean, true)
    t.strictSame(listenersOf(stream), { ...before, error: 1 })
    t.doesNotThrow(() => stream.emit('error', new Error('late')))
  },
)
