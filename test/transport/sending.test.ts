import t from 'tap'
import {
  ConnectionError,
  type Message,
  NotConnectedError,
  type Payload,
  type PayloadParts,
  UsageError,
} from '../../src/index.js'
import { BINARY, CLOSE, closePayload, PONG, ROLES, show, TEXT } from '../support/frames.js'
import { MemoryStream, openInMemory } from '../support/memory-stream.js'
import { isSettled, openAs, openClient, openServer, until } from '../support/raw-peer.js'
import { failure, turn, withResolvers } from '../support/servers.js'

/** Everything that the socket delivers. */
async function take(socket: AsyncIterable<unknown>): Promise<unknown[]> {
  const taken: unknown[] = []
  for await (const message of socket) taken.push(message)
  return taken
}

const KIB = 1024

async function* parts<T>(...all: readonly T[]): AsyncGenerator<T> {
  for (const one of all) {
    await turn()
    yield one
  }
}

/** A generator that a test feeds by hand, and that remembers whether it was ended from outside. */
function hand<T>(): {
  readonly source: AsyncGenerator<T>
  give(value: T): void
  readonly returned: () => boolean
} {
  const waiting: T[] = []
  let wake: (() => void) | undefined
  let returned = false
  const source = (async function* () {
    try {
      for (;;) {
        const value = waiting.shift()
        if (value === undefined) await new Promise<void>(resolve => (wake = resolve))
        else yield value
      }
    } finally {
      returned = true
    }
  })()
  return {
    source,
    give: value => {
      waiting.push(value)
      wake?.()
    },
    returned: () => returned,
  }
}

for (const role of ROLES) {
  t.test(`a ${role} sends a string as text and bytes of every kind as binary`, async t => {
    const { socket, peer } = await openAs(role, t)
    const backing = Uint8Array.from([9, 8, 65, 66, 67, 68, 7, 6])
    const shared = new Uint8Array(new SharedArrayBuffer(2))
    shared.set([65, 66])
    const cases: readonly (readonly [Payload, string])[] = [
      ['', 'text ""'],
      ['hello', 'text "hello"'],
      ['h\u00e9llo \u{1f600}', 'text "h\u00e9llo \u{1f600}"'],
      [new Uint8Array(0), 'binary ""'],
      [backing.subarray(2, 6), 'binary "ABCD"'],
      [Buffer.from('buffer'), 'binary "buffer"'],
      [new Uint16Array(backing.buffer, 2, 2), 'binary "ABCD"'],
      [new DataView(backing.buffer, 3, 2), 'binary "BC"'],
      [backing.slice(2, 6).buffer, 'binary "ABCD"'],
      [shared.buffer, 'binary "AB"'],
    ]
    for (const [data] of cases) await socket.send(data)
    t.strictSame(
      await peer.shown(cases.length),
      cases.map(([, frame]) => frame),
    )
    t.strictSame([...backing], [9, 8, 65, 66, 67, 68, 7, 6], 'what belongs to the caller was not written to')
    for (const [data] of cases) socket.write(data)
    t.strictSame(
      await peer.shown(cases.length),
      cases.map(([, frame]) => frame),
      'write() sends the same',
    )
    for (const { mask } of await (socket.write('x'), peer.frames(1)))
      t.equal(mask !== null, role === 'client')
  })

  t.test(`a ${role} sends the parts of an iterable as fragments of one message`, async t => {
    const { socket, peer } = await openAs(role, t)
    const cases: readonly (readonly [PayloadParts, readonly string[]])[] = [
      [
        ['a', 'b'],
        ['text+ "a"', 'continuation+ "b"', 'continuation ""'],
      ],
      [parts('a'), ['text+ "a"', 'continuation ""']],
      [new Set([Buffer.from('a')]), ['binary+ "a"', 'continuation ""']],
      [
        parts<Payload>(Buffer.from('a'), new ArrayBuffer(0)),
        ['binary+ "a"', 'continuation+ ""', 'continuation ""'],
      ],
      [new Blob(['blob']), ['binary+ "blob"', 'continuation ""']],
    ]
    for (const [data, frames] of cases) {
      await socket.send(data)
      t.strictSame(await peer.shown(frames.length), frames)
    }
  })
}

t.test('sends an empty Blob as an empty binary message', async t => {
  const { socket, peer } = await openClient(t)
  await socket.send(new Blob([]))
  const frames = await peer.frames(1)
  t.match(show(frames)[0], /^binary\+? ""$/)
})

t.test('joins a surrogate pair that is cut between two parts', async t => {
  const { socket, peer } = await openClient(t)
  await socket.send(['a\ud83d', '\ude00b'])
  await socket.send(['lone \ud83d', 'x'])
  await socket.send(['end \ud83d'])
  t.strictSame(await peer.shown(8), [
    'text+ "a"',
    'continuation+ "\u{1f600}b"',
    'continuation ""',
    'text+ "lone "',
    'continuation+ "\ufffdx"',
    'continuation ""',
    'text+ "end "',
    'continuation "\ufffd"',
  ])
})

t.test('refuses what is neither a string nor bytes, and sends nothing', async t => {
  const { socket, peer } = await openClient(t)
  const wrong: readonly unknown[] = [
    1000,
    true,
    null,
    undefined,
    {},
    Symbol('x'),
    10n,
    () => {},
    [1, 2, 3],
    [],
  ]
  for (const data of wrong) {
    const error = await failure(socket.send(data as never))
    t.ok(error instanceof UsageError)
    t.equal(error.code, 'WS_BAD_DATA')
  }
  t.throws(() => socket.write(1000 as never), { code: 'WS_BAD_DATA' })
  t.throws(() => socket.write(['a'] as never), { code: 'WS_BAD_DATA' })
  await socket.send('still here')
  t.strictSame(await peer.shown(1), ['text "still here"'])
})

t.test('closes with 1011 and tells the sender when an iterable throws in the middle', async t => {
  const { socket, peer } = await openClient(t)
  const boom = new Error('boom')
  const sent = failure(
    socket.send(
      (async function* () {
        yield 'a'
        throw boom
      })(),
    ),
  )
  t.strictSame(await peer.shown(2), ['text+ "a"', 'close 1011 "message broken off"'])
  t.equal(await sent, boom)
  t.equal(socket.state, 'closing')
})

t.test('goes on when an iterable throws before its first part', async t => {
  const { socket, peer } = await openClient(t)
  const boom = new Error('boom')
  // oxlint-disable-next-line require-yield -- it has none, that is the point
  const none = async function* (): AsyncGenerator<string> {
    await turn()
    throw boom
  }
  t.equal(await failure(socket.send(none())), boom)
  await socket.send('next')
  t.strictSame(await peer.shown(1), ['text "next"'])
})

t.test('closes with 1011 when the parts of one message are strings and bytes', async t => {
  const { socket, peer } = await openClient(t)
  const error = await failure(socket.send(['a', Buffer.from('b')]))
  t.equal(error.code, 'WS_BAD_DATA')
  t.strictSame(await peer.shown(2), ['text+ "a"', 'close 1011 "message broken off"'])
})

t.test('keeps the order of sends while a message in parts is being sent', async t => {
  const { socket, peer } = await openClient(t)
  const slow = hand<string>()
  const first = socket.send(
    (async function* () {
      for await (const part of slow.source) {
        if (part === 'end') return
        yield part
      }
    })(),
  )
  const second = socket.send('second')
  const third = socket.send(['third'])
  const fourth = socket.send(Buffer.from('fourth'))
  slow.give('a')
  t.strictSame(await peer.shown(1), ['text+ "a"'])
  t.throws(() => socket.write('between'), { code: 'WS_BAD_SEQUENCE' }, 'write() cannot wait for its turn')
  t.notOk(await isSettled(second))
  slow.give('b')
  slow.give('end')
  await Promise.all([first, second, third, fourth])
  t.strictSame(await peer.shown(6), [
    'continuation+ "b"',
    'continuation ""',
    'text "second"',
    'text+ "third"',
    'continuation ""',
    'binary "fourth"',
  ])
})

t.test('goes on with the next message when one in parts failed before it began', async t => {
  const { socket, peer } = await openClient(t)
  const first = failure(socket.send(parts()))
  const second = socket.send('second')
  t.equal((await first).code, 'WS_BAD_DATA')
  await second
  t.strictSame(await peer.shown(1), ['text "second"'])
})

t.test('no fragment by hand goes between those of a message in parts', async t => {
  const { socket, peer } = await openClient(t)
  const slow = withResolvers<string>()
  const sent = socket.send(
    (async function* () {
      yield 'a'
      yield slow.promise
    })(),
  )
  await peer.frames(1)
  for (const kind of ['text', 'continuation'] as const) {
    for (const fin of [false, true]) {
      t.throws(() => socket.fragment(kind, 'x', fin), { name: 'UsageError', code: 'WS_BAD_SEQUENCE' })
    }
  }
  slow.resolve('b')
  await sent
  t.equal(socket.fragment('text', 'c', true), true, 'behind it they go again')
  t.strictSame(await peer.shown(3), ['continuation+ "b"', 'continuation ""', 'text "c"'])
})

t.test('pings and pongs go between the fragments of a message', async t => {
  const { socket, peer } = await openClient(t)
  const slow = hand<string>()
  const sent = failure(socket.send(slow.source))
  slow.give('a')
  await peer.frames(1)
  const rtt = socket.ping('now')
  t.strictSame(await peer.shown(1), ['ping "now"'])
  peer.send({ opcode: PONG, payload: 'now' }, { opcode: 0x9, payload: 'and you?' })
  await rtt
  t.strictSame(await peer.shown(1), ['pong "and you?"'])
  socket.pong('unasked')
  t.strictSame(await peer.shown(1), ['pong "unasked"'])
  const closing = socket.close(1000, 'enough')
  t.strictSame(await peer.shown(1), ['close 1000 "enough"'], 'a Close frame ends an unfinished message')
  slow.give('b')
  t.ok((await sent) instanceof NotConnectedError)
  t.ok(slow.returned(), 'the source was told that nobody reads it any more')
  peer.sendClose(1000)
  peer.stream.end()
  t.equal((await closing).wasClean, true)
})

t.test(
  'ends the source of a message in parts when the connection is lost while it waits for room',
  async t => {
    const { socket, stream } = await openInMemory(t)
    stream.held = true
    const slow = hand<Uint8Array>()
    const sent = failure(socket.send(slow.source))
    slow.give(new Uint8Array(100 * KIB))
    t.notOk(await isSettled(sent))
    stream.destroy()
    const error = await sent
    t.ok(error instanceof ConnectionError)
    t.equal(error.code, 'WS_CONNECTION_LOST')
    t.ok(slow.returned())
  },
)

t.test(
  'fails a message in parts when the connection is lost while its source has nothing to give',
  async t => {
    const { socket, peer } = await openClient(t)
    const slow = hand<string>()
    const sent = failure(socket.send(slow.source))
    slow.give('a')
    await peer.frames(1)
    const behind = failure(socket.send('behind'))
    peer.reset()
    await socket.closed
    t.ok(await isSettled(sent), 'the message in parts')
    t.ok(await isSettled(behind), 'and what waited for its turn')
    if (await isSettled(sent)) t.equal((await sent).code, 'WS_CONNECTION_LOST')
  },
)

for (const role of ROLES) {
  t.test(`a ${role} waits for a peer that does not read, and loses nothing`, async t => {
    const { socket, peer } = await openAs(role, t)
    peer.stream.pause()
    const chunk = Buffer.alloc(64 * KIB)
    let sent = 0
    // More than the kernel keeps for one connection, and bounded all the same.
    for (let room = true; room && sent < 2000;) {
      if (!socket.write(chunk.fill(sent++ % 251).slice())) room = await isSettled(socket.drained())
    }
    t.ok(sent < 2000, 'write() says that there is enough')
    t.ok(socket.bufferedAmount >= 64 * KIB)
    const drained = socket.drained()
    const waiting = socket.send('last')
    t.notOk(await isSettled(waiting))
    t.notOk(await isSettled(drained))
    peer.stream.resume()
    await drained
    await waiting
    const frames = await peer.frames(sent + 1)
    t.equal(show(frames.slice(-1))[0], 'text "last"')
    const broken = frames.slice(0, -1).findIndex(({ payload }, i) => !payload.every(byte => byte === i % 251))
    t.equal(broken, -1, 'every byte arrived as it was sent')
    t.ok(socket.write('room'), 'there is room again')
  })
}

t.test('small messages that wait for a slow peer arrive whole, in order', async t => {
  const { socket, stream } = await openInMemory(t)
  stream.held = true
  const texts = Array.from({ length: 5000 }, (_, i) => `message ${i} of many`)
  const sends = texts.map(text => socket.send(text))
  const other = await openInMemory(t)
  for (let i = 0; i < 100; i++) other.socket.write('somebody else')
  t.notOk(await isSettled(sends.at(-1)!))
  stream.release()
  await Promise.all(sends)
  t.strictSame(
    stream.shown(),
    texts.map(text => `text "${text}"`),
  )
})

t.test('send() and drained() settle with any highWaterMark, whatever the stream has for one', async t => {
  for (const highWaterMark of [1, 1000, 64 * KIB, Infinity]) {
    for (const writableHighWaterMark of [1, 16 * KIB, 4096 * KIB]) {
      for (const size of [2000, 200_000]) {
        const stream = new MemoryStream({ writableHighWaterMark })
        const { socket } = await openInMemory(t, { highWaterMark }, stream)
        stream.held = true
        const sent = socket.send(new Uint8Array(size))
        const drained = socket.drained()
        await turn()
        stream.release()
        const settled = await isSettled(Promise.all([sent, drained]))
        t.ok(settled, `${size} bytes, highWaterMark ${highWaterMark} over ${writableHighWaterMark}`)
        sent.catch(() => {})
        drained.catch(() => {})
      }
    }
  }
})

t.test('write() returns false from highWaterMark on', async t => {
  const { socket, stream } = await openInMemory(t, { highWaterMark: 1000 })
  stream.held = true
  t.equal(socket.write(new Uint8Array(900)), true)
  t.equal(socket.bufferedAmount, 900 + 8)
  t.equal(socket.write(new Uint8Array(83)), true)
  t.equal(socket.bufferedAmount, 908 + 89 + 0)
  t.equal(socket.write(''), false, '1003 bytes')
  stream.release()
  await turn()
  t.equal(socket.bufferedAmount, 0)
  t.equal(stream.frames().length, 3, 'what was above it was sent all the same')
})

t.test('lets go of a peer that lets more than maxBufferedBytes pile up, and nothing throws', async t => {
  const { socket, stream } = await openInMemory(t, { maxBufferedBytes: 1000 })
  stream.held = true
  socket.write(new Uint8Array(992))
  t.equal(socket.bufferedAmount, 1000, 'as much as is allowed')
  socket.write('a')
  const full = { name: 'ConnectionError', code: 'WS_BUFFER_FULL' }
  const loop = failure(take(socket))
  t.equal(socket.write('b'), false)
  t.equal(socket.state, 'closing')
  await t.rejects(socket.send('c'), full)
  await t.rejects(socket.send(['d']), full)
  await t.rejects(socket.ping(), full)
  socket.pong()
  t.match(await loop, full)
  t.match((await socket.closed).error, full)
})

t.test('a send that was not handed over fails with the ConnectionError', async t => {
  const { socket, stream } = await openInMemory(t)
  stream.held = true
  socket.write(new Uint8Array(100 * KIB))
  const sends = [socket.send('a'), socket.send(['b']), socket.drained()].map(call => failure(call))
  await turn()
  stream.destroy(Object.assign(new Error('read ECONNRESET'), { code: 'ECONNRESET' }))
  for (const error of await Promise.all(sends)) {
    t.ok(error instanceof ConnectionError)
    t.match(error, { code: 'WS_CONNECTION_LOST', phase: 'open', cause: { code: 'ECONNRESET' } })
  }
})

t.test('a send on a socket that is not open fails with its state', async t => {
  const { socket, peer } = await openClient(t)
  const closing = socket.close()
  for (const state of ['closing', 'closed']) {
    t.equal(socket.state, state)
    const calls = [socket.send('a'), socket.send(['a']), socket.send(parts('a')), socket.ping()]
    for (const error of await Promise.all(calls.map(call => failure(call)))) {
      t.ok(error instanceof NotConnectedError)
      t.match(error, { code: 'WS_NOT_CONNECTED', state })
    }
    t.equal(socket.write('a'), false)
    socket.pong()
    peer.sendClose(1000)
    peer.stream.end()
    await closing
  }
  await t.rejects(socket.drained(), { code: 'WS_NOT_CONNECTED', state: 'closed' })
  t.strictSame(await peer.restShown(), ['close 1000 ""'], 'and nothing was sent')
})

t.test('a send in the same tick as terminate() is told that the connection ended here', async t => {
  const { socket } = await openInMemory(t)
  socket.terminate()
  const error = await failure(socket.send('a'))
  t.ok(error instanceof ConnectionError || error instanceof NotConnectedError)
})

t.test('a lone message is written in the same tick', async t => {
  const { socket, stream } = await openInMemory(t)
  socket.write('now')
  t.strictSame(stream.shown(), ['text "now"'])
  await turn()
  void socket.send('and now')
  t.strictSame(stream.shown(), ['text "now"', 'text "and now"'])
  await turn()
  void socket.ping('too').catch(() => {})
  t.equal(stream.writes.length, 3)
})

t.test('a hundred messages of one tick leave in two writes', async t => {
  for (const size of [10, 5000]) {
    const { socket, stream } = await openInMemory(t)
    for (let i = 0; i < 100; i++) socket.write('x'.repeat(size))
    t.equal(stream.writes.length, 1, 'the first left at once')
    await turn()
    t.ok(stream.writes.length <= 2, `${stream.writes.length} writes for ${size} bytes a message`)
    t.equal(stream.frames().length, 100)
  }
})

t.test('what is sent while the messages of one chunk are handled leaves in one write', async t => {
  const { socket, stream } = await openInMemory(t)
  const seen: number[] = []
  socket.onMessage = ({ data }) => {
    socket.write(data)
    socket.pong('p')
    seen.push(stream.writes.length)
  }
  stream.deliver(...Array.from({ length: 50 }, (_, i) => ({ opcode: TEXT, payload: String(i) })))
  await until(() => seen.length === 50, 'all messages')
  await turn()
  t.equal(stream.writes.length, 1)
  t.equal(stream.frames().length, 100)
  t.same(new Set(seen), new Set([0]), 'and only behind the last of them')
})

t.test('every frame of a client has the key that its source gave', async t => {
  const keys = [0x01020304, -1, 0, 0x7fffffff]
  let next = 0
  const { socket, stream } = await openInMemory(t, { maskKey: () => keys[next++] })
  for (const text of ['a', 'b', 'c', 'd']) socket.write(text)
  await turn()
  t.strictSame(
    stream.frames().map(({ mask }) => mask),
    [
      [4, 3, 2, 1],
      [255, 255, 255, 255],
      [0, 0, 0, 0],
      [255, 255, 255, 127],
    ],
  )
})

t.test('masking keys come from a strong source by default, and none comes twice', async t => {
  const { socket, stream } = await openInMemory(t)
  // More than one filling of the pool.
  for (let i = 0; i < 5000; i++) socket.write('')
  await turn()
  const keys = stream.frames().map(({ mask }) => String(mask))
  t.equal(keys.length, 5000)
  t.ok(new Set(keys).size > 4990)
})

t.test('our own client and server understand each other', async t => {
  const got: Message[] = []
  const { promise: all, resolve } = withResolvers<void>()
  const { listener } = await openServer(t, {}, undefined, socket => {
    socket.onMessage = message => void socket.send(message.data)
  })
  const { connect } = await import('../../src/index.js')
  const socket = await connect(listener.url, {
    onMessage: message => {
      got.push(message)
      if (got.length === 5) resolve()
    },
  })
  const big = Buffer.alloc(1024 * KIB, 'abc')
  await socket.send('text \u{1f600}')
  await socket.send(Buffer.from('bytes'))
  await socket.send(['frag', 'ments'])
  await socket.send(big)
  await socket.send(big.toString())
  await all
  t.strictSame(got[0], { type: 'text', data: 'text \u{1f600}' })
  t.match(got[1], { type: 'binary' })
  t.equal(Buffer.from(got[1].data).toString(), 'bytes')
  t.strictSame(got[2], { type: 'text', data: 'fragments' })
  t.ok(big.equals(got[3].data as Uint8Array))
  t.equal(got[4].data, big.toString())
  t.type(await socket.ping(), 'number')
  const outcome = await socket.close(3001, 'done')
  t.strictSame(outcome, {
    sent: { code: 3001, reason: 'done' },
    received: { code: 3001, reason: 'done' },
    initiator: 'local',
    wasClean: true,
    error: null,
  })
})

t.test(
  'a Close frame that arrives while a peer does not read still leaves behind what was written',
  async t => {
    const { socket, stream } = await openInMemory(t)
    stream.held = true
    socket.write(new Uint8Array(100 * KIB))
    socket.write('waits')
    await turn()
    stream.deliver({ opcode: CLOSE, payload: closePayload(1000) })
    await turn()
    t.equal(socket.state, 'closing')
    stream.release()
    await turn()
    t.strictSame(stream.shown().slice(1), ['text "waits"', 'close 1000 ""'])
    t.equal(stream.frames()[0].opcode, BINARY)
  },
)
