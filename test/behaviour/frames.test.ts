// Frames, as users give them and as they stand on the wire: kinds, short forms, what is refused, fragments by hand, and messages
// from iterables. The wire is read by `frames.ts`, and so by nothing of `src`. All in virtual time.
import t, { type Test } from 'tap'
import {
  type Behaviour,
  type Bytes,
  type DisconnectStatus,
  type Frame,
  FrameEncodeError,
  type FrameEncodeReason,
  InvalidFrameError,
  type Process,
  type StartOptions,
} from '../../src/index.js'
import { until } from '../support/raw-peer.js'
import { failure } from '../support/servers.js'
import { type Gate, gate, Stage } from '../support/stage.js'

type Feed = Process<undefined, Frame | readonly Frame[], Frame>

/** A process that replies what is cast to it, and sends what it is called with. */
const begin = async (
  t: Test,
  options: StartOptions = {},
  more: Pick<Behaviour<undefined>, 'handleDisconnect'> = {},
): Promise<{ readonly stage: Stage; readonly feed: Feed }> => {
  const stage = new Stage(t)
  const feed = await stage.start<undefined, Frame | readonly Frame[], Frame, unknown>(
    {
      handleCast: frames => ({ reply: frames }),
      handleCall: async (frame, _from, _state, self) => ({ answer: await self.send(frame).catch(e => e) }),
      ...more,
    },
    { keepalive: false, ...options },
  )
  return { stage, feed }
}

/** Ways to send a frame. */
const WAYS: Readonly<Record<string, (feed: Feed, frame: Frame) => unknown>> = {
  send: (feed, frame) => feed.send(frame),
  write: (feed, frame) => feed.write(frame),
  reply: (feed, frame) => feed.cast(frame),
  'self.send': (feed, frame) => feed.call(frame),
}

const ABC = new Uint8Array(new SharedArrayBuffer(5), 1, 3)
ABC.set([65, 66, 67])

const FRAMES: readonly (readonly [frame: Frame, shown: string])[] = [
  ['Grüße', 'text "Grüße"'],
  ['', 'text ""'],
  [{ type: 'text', data: 'x' }, 'text "x"'],
  [{ type: 'text', data: '\ud800!' }, 'text "\ufffd!"'],
  [Uint8Array.of(65, 66), 'binary "AB"'],
  [new Uint8Array(0), 'binary ""'],
  [Buffer.from('buffer'), 'binary "buffer"'],
  [Uint8Array.of(65, 66).buffer, 'binary "AB"'],
  [ABC, 'binary "ABC"'],
  [ABC.buffer, 'binary "\\u0000ABC\\u0000"'],
  [new DataView(ABC.buffer, 2, 2), 'binary "BC"'],
  [Uint16Array.of(0x4241, 0x4443), 'binary "ABCD"'],
  [{ type: 'binary', data: Uint8Array.of(65) }, 'binary "A"'],
  [{ type: 'binary', data: Buffer.from('b') }, 'binary "b"'],
  [{ type: 'ping' }, 'ping ""'],
  [{ type: 'ping', data: undefined }, 'ping ""'],
  [{ type: 'ping', data: 'Grüße' }, 'ping "Grüße"'],
  [{ type: 'ping', data: Uint8Array.of(65) }, 'ping "A"'],
  [{ type: 'ping', data: 'x'.repeat(125) }, `ping "${'x'.repeat(125)}"`],
  [{ type: 'pong' }, 'pong ""'],
  [{ type: 'pong', data: 'x' }, 'pong "x"'],
  [{ type: 'pong', data: ABC.buffer }, 'pong "\\u0000ABC\\u0000"'],
]

for (const [way, put] of Object.entries(WAYS)) {
  t.test(`each kind of frame, and each short form, by ${way}`, async t => {
    const { stage, feed } = await begin(t)
    for (const [frame] of FRAMES) {
      put(feed, frame)
      await stage.network.settle()
    }
    t.same(
      stage.heard(),
      FRAMES.map(([, shown]) => shown),
    )
    for (const { fin, rsv, mask } of stage.frames()) {
      t.ok(fin)
      t.equal(rsv, 0)
      t.ok(mask !== null, 'masked, as every frame of a client')
    }
    await stage.over(t, feed)
  })

  t.test(`each Close by ${way}`, async t => {
    const closes: readonly (readonly [Frame, string])[] = [
      [{ type: 'close' }, 'close ""'],
      [{ type: 'close', code: undefined, reason: undefined }, 'close ""'],
      [{ type: 'close', reason: '' }, 'close ""'],
      [{ type: 'close', code: 1000 }, 'close 1000 ""'],
      [{ type: 'close', code: 3000, reason: 'Grüße' }, 'close 3000 "Grüße"'],
      [{ type: 'close', code: 4999, reason: 'x'.repeat(123) }, `close 4999 "${'x'.repeat(123)}"`],
    ]
    for (const [frame, shown] of closes) {
      const { stage, feed } = await begin(t)
      put(feed, frame)
      t.equal((await stage.ended(t, feed)).type, 'local')
      t.same(stage.heard(), [shown])
    }
  })
}

t.test('a received message is a frame, and can be sent back as it is', async t => {
  const stage = new Stage(t)
  const feed = await stage.start({ handleFrame: frame => ({ reply: frame }) })
  stage.socket.write('Grüße')
  stage.socket.write(Uint8Array.of(65, 0, 66))
  await stage.network.settle()
  t.same(stage.heard(), ['text "Grüße"', 'binary "A\\u0000B"'])
  await stage.over(t, feed)
})

t.test('bytes that are sent are never written to', async t => {
  const { stage, feed } = await begin(t)
  for (const length of [1, 100, 70_000, 300_000]) {
    const bytes = new Uint8Array(length).fill(7)
    await stage.network.run(feed.send(bytes))
    feed.write({ type: 'binary', data: bytes })
    await stage.network.settle()
    t.ok(bytes.every(byte => byte === 7))
  }
  t.ok(stage.frames().every(({ payload }) => payload.every(byte => byte === 7)))
  await stage.over(t, feed)
})

const INVALID: readonly unknown[] = [
  undefined,
  null,
  5,
  true,
  Symbol('x'),
  () => 'x',
  {},
  [],
  ['x'],
  new Blob(['x']),
  Promise.resolve('x'),
  { data: 'x' },
  { type: 'TEXT', data: 'x' },
  { type: 'text' },
  { type: 'text', data: 5 },
  { type: 'text', data: null },
  { type: 'text', data: Uint8Array.of(65) },
  { type: 'text', data: new Blob(['x']) },
  { type: 'text', data: {} },
  { type: 'binary' },
  { type: 'binary', data: 'x' },
  { type: 'binary', data: 5 },
  { type: 'ping', data: 5 },
  { type: 'ping', data: null },
  { type: 'ping', data: ['x'] },
  { type: 'pong', data: {} },
  { type: 'close', code: 1000, reason: 5 },
  { type: 'fragment', data: 'x' },
  { type: 'fragment', kind: 'ping', data: 'x' },
  { type: 'fragment', kind: 'text', data: Uint8Array.of(65) },
  { type: 'fragment', kind: 'binary', data: 'x' },
  { type: 'fragment', kind: 'text' },
  { type: 'continuation' },
  { type: 'finish', data: 5 },
]

const UNENCODABLE: readonly (readonly [FrameEncodeReason, unknown])[] = [
  ['control-frame-too-large', { type: 'ping', data: 'x'.repeat(126) }],
  ['control-frame-too-large', { type: 'ping', data: 'ü'.repeat(63) }],
  ['control-frame-too-large', { type: 'pong', data: new Uint8Array(126) }],
  ['control-frame-too-large', { type: 'close', code: 1000, reason: 'x'.repeat(124) }],
  ['control-frame-too-large', { type: 'close', code: 1000, reason: 'ü'.repeat(62) }],
  ...[
    -1,
    0,
    1,
    999,
    1004,
    1005,
    1006,
    1015,
    1016,
    2000,
    2999,
    5000,
    65_536,
    1000.5,
    Number.NaN,
    '1000',
    null,
  ].map(code => ['close-code-out-of-range', { type: 'close', code }] as const),
  ['close-reason-without-code', { type: 'close', reason: 'x' }],
  ['fragment-sequence', { type: 'continuation', data: 'x' }],
  ['fragment-sequence', { type: 'finish', data: 'x' }],
]

t.test('what is no frame is an InvalidFrameError, and nothing is sent', async t => {
  for (const whenNotOpen of ['error', 'queue', 'drop'] as const) {
    const { stage, feed } = await begin(t, { whenNotOpen })
    const inside: Feed = feed
    for (const frame of INVALID) {
      const error = await failure(feed.send(frame as Frame))
      t.ok(error instanceof InvalidFrameError)
      t.match(error, { code: 'WS_INVALID_FRAME', frame })
      t.throws(() => feed.write(frame as Frame), InvalidFrameError)
      if (frame !== undefined)
        t.ok((await stage.network.run(inside.call(frame as Frame))) instanceof InvalidFrameError)
    }
    t.same(stage.heard(), [])
    t.equal(feed.phase, 'open')
    t.match(await failure(feed.send({ type: 'text', data: 5 } as never)), {
      message: /not a frame: .*data: 5/,
    })
    stage.server.link.reset()
    await stage.ended(t, feed)
    t.ok((await failure(feed.send(5 as never))) instanceof InvalidFrameError, 'connected or not')
  }
})

t.test('what RFC 6455 cannot carry is a FrameEncodeError, and nothing is sent', async t => {
  const { stage, feed } = await begin(t)
  for (const [reason, frame] of UNENCODABLE) {
    const error = await failure(feed.send(frame as Frame))
    t.ok(error instanceof FrameEncodeError)
    t.match(error, { code: 'WS_FRAME_ENCODE', reason, frame }, JSON.stringify(frame))
    t.throws(() => feed.write(frame as Frame), FrameEncodeError)
    t.match(await stage.network.run(feed.call(frame as Frame)), { name: 'FrameEncodeError', reason })
  }
  t.same(stage.heard(), [])
  t.equal(feed.phase, 'open')
  await stage.over(t, feed)
})

t.test('fragments by hand: of a text, of bytes, with control frames between them', async t => {
  const { stage, feed } = await begin(t)
  const frames: Frame[] = [
    { type: 'fragment', kind: 'text', data: 'a' },
    { type: 'ping', data: 'between' },
    { type: 'continuation', data: 'b' },
    { type: 'pong' },
    { type: 'finish', data: 'c' },
    { type: 'fragment', kind: 'binary', data: Uint8Array.of(65) },
    { type: 'continuation', data: Uint8Array.of() },
    { type: 'finish', data: Uint8Array.of(66).buffer },
    { type: 'fragment', kind: 'text', data: '' },
    { type: 'finish', data: Buffer.from('ü') },
  ]
  const shown = [
    'text+ "a"',
    'ping "between"',
    'continuation+ "b"',
    'pong ""',
    'continuation "c"',
    'binary+ "A"',
    'continuation+ ""',
    'continuation "B"',
    'text+ ""',
    'continuation "ü"',
  ]
  const got: unknown[] = []
  stage.socket.onMessage = message => void got.push(message.data)
  for (const frame of frames) await stage.network.run(feed.send(frame))
  for (const frame of frames) feed.write(frame)
  feed.cast(frames)
  await stage.network.settle()
  t.same(stage.heard(), [...shown, ...shown, ...shown])
  t.equal(got.length, 9)
  t.same(got.slice(0, 3), ['abc', Uint8Array.of(65, 66), 'ü'])
  await stage.over(t, feed)
})

t.test(
  'fragments by hand: nothing else may come between, and the message goes on after the error',
  async t => {
    const { stage, feed } = await begin(t)
    feed.write({ type: 'fragment', kind: 'text', data: 'a' })
    const wrong: Frame[] = [
      'text',
      Uint8Array.of(1),
      { type: 'text', data: 'x' },
      { type: 'fragment', kind: 'text', data: 'x' },
      { type: 'fragment', kind: 'binary', data: Uint8Array.of(1) },
      // Not valid UTF-8, in the middle of a text.
      { type: 'finish', data: Uint8Array.of(0xff) },
    ]
    for (const frame of wrong) {
      t.match(await failure(feed.send(frame)), { name: 'FrameEncodeError', reason: 'fragment-sequence' })
      t.throws(() => feed.write(frame), FrameEncodeError)
    }
    for (const data of [['x'], [], new Blob(['x'])]) {
      const frame = { type: data instanceof Blob ? 'binary' : 'text', data } as Frame
      t.match(await failure(feed.send(frame)), {
        name: 'FrameEncodeError',
        reason: 'fragment-sequence',
      })
    }
    await stage.network.run(feed.send({ type: 'finish', data: 'b' }))
    await stage.network.run(feed.send('whole'))
    t.same(stage.heard(), ['text+ "a"', 'continuation "b"', 'text "whole"'])
    await stage.over(t, feed)
  },
)

t.test('fragments by hand: each connection begins without any', async t => {
  const { stage, feed } = await begin(t, { reconnect: { minDelayMs: 1 } })
  feed.write({ type: 'fragment', kind: 'text', data: 'a' })
  await stage.network.settle()
  stage.server.link.reset()
  await stage.network.runUntil(() => stage.sockets.length === 2)
  t.match(await failure(feed.send({ type: 'finish', data: 'b' })), { reason: 'fragment-sequence' })
  await stage.network.run(feed.send('whole'))
  t.same(stage.heard(), ['text "whole"'])
  await stage.over(t, feed)
})

/** Values, one after the other, as an asynchronous iterable. */
async function* later<T>(...values: readonly T[]): AsyncGenerator<T> {
  for (const value of values) {
    await Promise.resolve()
    yield value
  }
}

function* now<T>(...values: readonly T[]): Generator<T> {
  yield* values
}

const bytesOf = (text: string): Uint8Array<ArrayBuffer> => Uint8Array.from(Buffer.from(text))

const STREAMS: Readonly<Record<string, readonly [make: () => Frame, shown: readonly string[]]>> = {
  'a list of strings': [
    () => ({ type: 'text', data: ['Grü', 'ße'] }),
    ['text+ "Grü"', 'continuation+ "ße"', 'continuation ""'],
  ],
  'a generator of strings': [
    () => ({ type: 'text', data: now('a', '', 'b') }),
    ['text+ "a"', 'continuation+ ""', 'continuation+ "b"', 'continuation ""'],
  ],
  'an asynchronous generator of strings': [
    () => ({ type: 'text', data: later('a', 'b') }),
    ['text+ "a"', 'continuation+ "b"', 'continuation ""'],
  ],
  'an asynchronous generator of bytes': [
    () => ({
      type: 'binary',
      data: later<Bytes>(bytesOf('a'), bytesOf('b').buffer, new DataView(bytesOf('c').buffer)),
    }),
    ['binary+ "a"', 'continuation+ "b"', 'continuation+ "c"', 'continuation ""'],
  ],
  'a set of bytes': [
    () => ({ type: 'binary', data: new Set([bytesOf('a')]) }),
    ['binary+ "a"', 'continuation ""'],
  ],
  'a Blob': [() => ({ type: 'binary', data: new Blob(['blob']) }), ['binary+ "blob"', 'continuation ""']],
  'no strings at all': [() => ({ type: 'text', data: [] }), ['text+ ""', 'continuation ""']],
  'no bytes at all': [
    () => ({ type: 'binary', data: later<Uint8Array>() }),
    ['binary+ ""', 'continuation ""'],
  ],
}

for (const [what, [make, shown]] of Object.entries(STREAMS)) {
  t.test(`a message from ${what}, by every way`, async t => {
    const { stage, feed } = await begin(t)
    const got: unknown[] = []
    stage.socket.onMessage = message => void got.push(message.type)
    for (const put of Object.values(WAYS)) {
      const before = stage.heard().length
      put(feed, make())
      // A Blob is read in its own time.
      await until(() => stage.heard().length >= before + shown.length, what)
    }
    t.same(stage.heard(), [...shown, ...shown, ...shown, ...shown])
    t.equal(got.length, 4, 'whole messages')
    await stage.over(t, feed)
  })
}

t.test('an empty Blob is an empty message', async t => {
  const { stage, feed } = await begin(t)
  await feed.send({ type: 'binary', data: new Blob([]) })
  await stage.network.settle()
  t.equal(stage.frames().length, 1)
  t.match(stage.heard(), ['binary ""'])
  await stage.over(t, feed)
})

const nothing = (): void => {}

/** A message whose parts come when the test says so. */
function controlled(): {
  readonly data: AsyncIterable<string>
  next(part: string): Promise<void>
  end(): void
  readonly returned: Gate
} {
  const returned = gate()
  let asked = gate()
  let give: (result: IteratorResult<string>) => void = nothing
  const data: AsyncIterable<string> = {
    [Symbol.asyncIterator]: () => ({
      next: () =>
        new Promise(resolve => {
          give = resolve
          asked.open()
        }),
      return: () => {
        returned.open()
        return Promise.resolve({ done: true, value: undefined })
      },
    }),
  }
  return {
    data,
    returned,
    next: async part => {
      await asked.opened
      asked = gate()
      give({ done: false, value: part })
    },
    end: () => give({ done: true, value: undefined }),
  }
}

t.test(
  'what is sent while a message comes in parts waits for its end, in order; control frames do not',
  async t => {
    const { stage, feed } = await begin(t)
    const parts = controlled()
    const log: string[] = []
    const note = (name: string) => (): void => void log.push(name)
    void feed.send({ type: 'text', data: parts.data }).then(note('stream'))
    await parts.next('a')
    await stage.network.settle()
    void feed.send('1').then(note('1'))
    t.equal(feed.write('2'), true)
    feed.cast(['3', { type: 'text', data: ['4', '5'] }, '6'])
    void feed.send({ type: 'ping', data: 'ping' }).then(note('ping'))
    feed.write({ type: 'pong', data: 'pong' })
    const answer = stage.socket.ping('asked')
    t.equal(await stage.network.run(answer), 0)
    t.throws(() => feed.write({ type: 'fragment', kind: 'text', data: 'x' }), FrameEncodeError)
    await parts.next('b')
    await stage.network.settle()
    t.same(log, ['ping'])
    parts.end()
    await stage.network.settle()
    t.same(stage.heard(), [
      'text+ "a"',
      'ping "ping"',
      'pong "pong"',
      'pong "asked"',
      'continuation+ "b"',
      'continuation ""',
      'text "1"',
      'text "2"',
      'text "3"',
      'text+ "4"',
      'continuation+ "5"',
      'continuation ""',
      'text "6"',
    ])
    t.same(log, ['ping', 'stream', '1'])
    await stage.over(t, feed)
  },
)

t.test('parts are asked for as the network takes them, and not ahead of it', async t => {
  const { stage, feed } = await begin(t)
  let asked = 0
  async function* endless(): AsyncGenerator<string> {
    for (; asked < 500; asked++) yield 'x'.repeat(10_000)
  }
  stage.server.partition()
  const sending = feed.send({ type: 'text', data: endless() })
  await stage.network.settle()
  t.ok(asked < 50, `${asked}`)
  t.ok(feed.bufferedAmount < 500_000)
  stage.server.heal()
  await stage.network.run(sending)
  t.equal(asked, 500)
  t.equal(stage.frames().length, 501)
  await stage.over(t, feed)
})

/** Iterables that fail at once, and in the middle. */
async function* failing(error: Error, ...parts: readonly string[]): AsyncGenerator<string> {
  yield* parts
  throw error
}

t.test('a send whose first part fails is its sender’s business alone', async t => {
  const statuses: DisconnectStatus[] = []
  const { stage, feed } = await begin(
    t,
    { reconnect: { minDelayMs: 10 } },
    { handleDisconnect: status => void statuses.push(status) },
  )
  const error = new Error('no parts today')
  const failures = [
    failure(feed.send({ type: 'text', data: failing(error) })),
    failure(feed.send({ type: 'text', data: [Uint8Array.of(1)] as never })),
    failure(feed.send({ type: 'binary', data: ['x'] as never })),
    failure(feed.send({ type: 'text', data: [5] as never })),
    failure(feed.send({ type: 'binary', data: [null] as never })),
  ]
  const behind = feed.send('behind')
  const [first, ...others] = await stage.network.run(Promise.all(failures))
  t.equal(first, error)
  for (const other of others) t.ok(other instanceof InvalidFrameError)
  await stage.network.run(behind)
  t.same(stage.heard(), ['text "behind"'])
  // And it is not remembered: what ends the connection later is another matter.
  void stage.socket.close(4000)
  await stage.network.runUntil(() => stage.sockets.length === 2)
  t.match(statuses, [{ reason: { type: 'remote', code: 4000 }, error: null, unsent: [] }])
  await stage.over(t, feed)
})

t.test('a message that breaks off in the middle closes with 1011, and the error is told', async t => {
  const error = new Error('no more parts')
  for (const [way, put] of Object.entries(WAYS)) {
    for (const [what, data, expected] of [
      ['fails', failing(error, 'a', 'b'), error],
      ['changes its type', ['a', 'b', Uint8Array.of(1)] as never, { name: 'InvalidFrameError' }],
    ] as const) {
      const statuses: DisconnectStatus[] = []
      const { stage, feed } = await begin(t, {}, { handleDisconnect: status => void statuses.push(status) })
      const frame: Frame = { type: 'text', data }
      const result = put(feed, frame)
      const sent = way === 'send' ? failure(result as Promise<void>) : null
      if (way === 'self.send') (result as Promise<unknown>).catch(() => {})
      feed.write('behind')
      await stage.ended(t, feed)
      const name = `${way}, ${what}`
      if (sent !== null) t.match(await sent, expected, name)
      t.match(
        statuses,
        [
          {
            reason: { type: 'local', normal: false, code: 1011, text: 'message broken off' },
            error: expected,
          },
        ],
        name,
      )
      t.ok(statuses[0]?.unsent.includes(frame), name)
      t.match(
        statuses[0]?.unsent.at(-1),
        way === 'reply' || way === 'self.send' ? {} : { data: 'behind' },
        name,
      )
      const heard = stage.heard().filter(one => one !== 'text "behind"')
      t.same(heard, ['text+ "a"', 'continuation+ "b"', 'close 1011 "message broken off"'], name)
    }
  }
})

t.test('a reply, or a write, that cannot even begin closes with 1011: nobody else would be told', async t => {
  const error = new Error('no parts today')
  for (const way of ['write', 'reply']) {
    const statuses: DisconnectStatus[] = []
    const { stage, feed } = await begin(t, {}, { handleDisconnect: status => void statuses.push(status) })
    const frame: Frame = { type: 'text', data: failing(error) }
    WAYS[way]?.(feed, frame)
    await stage.ended(t, feed)
    t.match(statuses, [{ reason: { type: 'local', code: 1011 }, error, unsent: [frame] }])
    t.same(stage.heard(), ['close 1011 ""'])
  }
})

t.test(
  'a message whose connection ends first is given up: its source is told, and it is handed back',
  async t => {
    for (const how of ['reset', 'close', 'stop'] as const) {
      const ends: (readonly Frame[])[] = []
      const stage = new Stage(t)
      const feed = await stage.start({
        handleDisconnect: ({ unsent }) => void ends.push(unsent),
        terminate: ({ unsent }) => void ends.push(unsent),
      })
      const parts = controlled()
      const frame: Frame = { type: 'text', data: parts.data }
      const sending = failure(feed.send(frame))
      await parts.next('a')
      await stage.network.settle()
      const behind = failure(feed.send('behind'))
      if (how === 'reset') stage.server.link.reset()
      else if (how === 'close') void feed.send({ type: 'close', code: 4000 })
      else void feed.stop()
      await stage.ended(t, feed)
      await parts.returned.opened
      t.match(await sending, Error)
      t.match(await behind, Error)
      t.same(
        ends,
        how === 'stop'
          ? [[frame, { type: 'text', data: 'behind' }]]
          : [[frame, { type: 'text', data: 'behind' }], []],
      )
      t.equal(stage.heard()[0], 'text+ "a"')
    }
  },
)
