// Rule 2 of the behaviour contract: ways to send, what a send promises, what happens to frames while there is no connection, and
// that what never reached the network is handed back. All in virtual time.
import t, { type Test } from 'tap'
import {
  type Behaviour,
  type ConnectionError,
  type DisconnectStatus,
  type EndReason,
  type Frame,
  idle,
  NotConnectedError,
  type Process,
  type StartOptions,
} from '../../src/index.js'
import { PHASES } from '../support/phases.js'
import { failure } from '../support/servers.js'
import { gate, Stage } from '../support/stage.js'

/** What a frame carries, for short. */
const label = (frame: Frame): string => {
  if (typeof frame === 'string') return frame
  const { data } = frame as { readonly data?: unknown }
  return typeof data === 'string' ? data.replace(/\.*$/, '') : String(data)
}

/** A process that notes what is handed back. */
class Sender {
  readonly stage: Stage
  readonly statuses: DisconnectStatus[] = []
  readonly ends: EndReason[] = []
  feed!: Process<number, string, string, string, string>

  constructor(stage: Stage) {
    this.stage = stage
  }

  static async of(
    t: Test,
    options: StartOptions = {},
    more: Partial<Behaviour<number, string, string, string, string>> = {},
    stage = new Stage(t),
  ): Promise<Sender> {
    const sender = new Sender(stage)
    sender.feed = await stage.start<number, string, string, string, string>(
      {
        init: () => idle(1),
        handleInfo: message => ({ reply: message }),
        handleDisconnect: status => void sender.statuses.push(status),
        terminate: reason => void sender.ends.push(reason),
        ...more,
      },
      { keepalive: false, ...options },
    )
    return sender
  }

  connect(): Promise<void> {
    return this.stage.network.run(this.feed.connect())
  }

  /** All that was handed back, in order. */
  get unsent(): string[] {
    return [...this.statuses, ...this.ends].flatMap(({ unsent }) => unsent).map(label)
  }
}

t.test('rule 2: every way to send, from outside and from inside, in the order of the calls', async t => {
  const results: unknown[] = []
  const sender = await Sender.of(
    t,
    {},
    {
      handleConnect: async (_connection, _state, self) => {
        await self.send('connect 1')
        self.write('connect 2')
        return { reply: ['connect 3', 'connect 4'] }
      },
      handleCast: (message, _state, self) => {
        void self.send(`${message} 1`)
        results.push(self.write(`${message} 2`))
        return { reply: `${message} 3` }
      },
      handleCall: async (message, _from, _state, self) => {
        results.push(await self.send(`${message} 1`))
        return { answer: 'done', reply: `${message} 2` }
      },
    },
  )
  const { feed, stage } = sender
  await sender.connect()
  feed.cast('cast')
  void feed.send('outside 1')
  results.push(feed.write('outside 2'))
  t.equal(await stage.network.run(feed.call('call')), 'done')
  t.equal(await stage.network.run(feed.send('last')), undefined)
  t.same(results, [true, true, undefined])
  t.same(
    stage.heard().map(frame => JSON.parse(frame.slice('text '.length)) as string),
    [
      'connect 1',
      'connect 2',
      'connect 3',
      'connect 4',
      'outside 1',
      'outside 2',
      'cast 1',
      'cast 2',
      'cast 3',
      'call 1',
      'call 2',
      'last',
    ],
  )
  await stage.over(t, feed)
})

t.test('rule 2: a callback may wait for a send of its own', async t => {
  const stage = new Stage(t)
  const big = 'x'.repeat(300_000)
  const feed = await stage.start({
    handleFrame: async (_frame, _state, self) => {
      // More than the network takes at once.
      for (let at = 0; at < 5; at++) await self.send(big)
      return { reply: 'done' }
    },
  })
  stage.socket.write('go')
  await stage.network.settle()
  t.same(
    stage.frames().map(({ payload }) => payload.length),
    [300_000, 300_000, 300_000, 300_000, 300_000, 4],
  )
  await stage.over(t, feed)
})

t.test(
  'rule 2: send settles when there is room, write and bufferedAmount tell when there is none',
  async t => {
    const drained: number[] = []
    const stage = new Stage(t, { conditions: { windowBytes: 10_000 } })
    const sender = await Sender.of(
      t,
      { highWaterMark: 50_000, lowWaterMark: 20_000 },
      { handleDrain: (_state, self) => void drained.push(self.bufferedAmount) },
      stage,
    )
    await sender.connect()
    const { feed } = sender
    const log: string[] = []
    stage.server.partition()
    t.equal(feed.bufferedAmount, 0)
    for (let at = 0; at < 10; at++) {
      void feed.send(`${at}`.padEnd(9000, '.')).then(() => log.push(`sent ${at}`))
    }
    const before = feed.bufferedAmount
    t.ok(before > 50_000, `${before}`)
    t.equal(feed.write('w'), false, 'accepted, but it is time to wait')
    t.ok(feed.bufferedAmount > before)
    await stage.network.settle()
    t.ok(log.length < 10, 'some wait for room')
    t.same(drained, [])
    stage.server.heal()
    await stage.network.settle()
    t.equal(log.length, 10)
    t.equal(feed.bufferedAmount, 0)
    t.equal(drained.length, 1, 'once')
    t.ok(drained[0] <= 20_000)
    t.equal(stage.frames().length, 11)
    t.equal(feed.write('x'), true)
    await stage.network.settle()
    t.equal(drained.length, 1, 'and only after it was full')
    stage.server.partition()
    for (let at = 0; at < 10; at++) feed.write('y'.repeat(9000))
    await stage.network.settle()
    stage.server.heal()
    await stage.network.settle()
    t.equal(drained.length, 2, 'each time')
    await stage.over(t, feed)
  },
)

t.test(
  'rule 2: handleDrain comes while a callback waits for it elsewhere, and by default at half',
  async t => {
    const stage = new Stage(t, { conditions: { windowBytes: 1000 } })
    const drained: number[] = []
    const sender = await Sender.of(
      t,
      { highWaterMark: 5000, flow: 0 },
      { handleDrain: (_state, self) => ({ reply: `drained at ${drained.push(self.bufferedAmount)}` }) },
      stage,
    )
    await sender.connect()
    stage.server.partition()
    for (let at = 0; at < 10; at++) sender.feed.write('y'.repeat(900))
    stage.server.heal()
    await stage.network.settle()
    t.ok(drained[0] <= 2500)
    t.equal(stage.heard().at(-1), 'text "drained at 1"')
    // Full again, and then lost: there is nothing to drain any more.
    stage.server.partition()
    for (let at = 0; at < 10; at++) sender.feed.write('y'.repeat(900))
    stage.server.link.reset()
    await stage.ended(t, sender.feed)
    t.equal(drained.length, 1)
  },
)

for (const [phase, { options, enter }] of Object.entries(PHASES)) {
  if (phase === 'open') continue

  t.test(`rule 2: while ${phase} a frame is refused, and the error says so`, async t => {
    const sender = await Sender.of(t, options)
    const { feed, stage } = sender
    const leave = await enter(stage, feed)
    // Ignored, and that is allowed: nobody is ended by it.
    void feed.send('ignored')
    const error = await failure(feed.send('refused'))
    t.ok(error instanceof NotConnectedError)
    t.match(error, { code: 'WS_NOT_CONNECTED', state: phase })
    t.equal(feed.write('refused'), false)
    t.match(await failure(feed.send({ type: 'close' })), { state: phase })
    t.match(await stage.network.run(feed.status()), { queuedFrames: 0, bufferedAmount: 0 })
    // A reply cannot be refused, and so it counts as one that was lost.
    feed.info('reply')
    await stage.network.settle()
    leave()
    await stage.network.runUntil(() => feed.phase === 'open')
    t.same(stage.heard(), [])
    stage.server.link.reset()
    await stage.network.settle()
    await stage.over(t, feed)
    t.same(sender.unsent, ['reply'])
  })

  t.test(`rule 2: while ${phase} a frame is dropped, if that was asked for`, async t => {
    const sender = await Sender.of(t, { ...options, whenNotOpen: 'drop' })
    const { feed, stage } = sender
    const leave = await enter(stage, feed)
    t.equal(await feed.send('dropped'), undefined)
    t.equal(feed.write('dropped'), true, 'as far as the sender is concerned')
    feed.info('dropped')
    await stage.network.settle()
    leave()
    await stage.network.runUntil(() => feed.phase === 'open')
    await stage.over(t, feed)
    t.same(stage.heard(), ['close 1000 ""'])
    t.same(sender.unsent, [])
  })

  t.test(`rule 2: while ${phase} a frame is kept for the next connection, if that was asked for`, async t => {
    const sender = await Sender.of(
      t,
      { ...options, whenNotOpen: 'queue' },
      { handleConnect: () => ({ reply: 'from handleConnect' }) },
    )
    const { feed, stage } = sender
    const leave = await enter(stage, feed)
    const log: string[] = []
    void feed.send('1').then(() => log.push('sent 1'))
    t.equal(feed.write({ type: 'ping', data: '2' }), true)
    feed.info('3')
    await stage.network.settle()
    void feed.send({ type: 'text', data: ['4 ', 'parts'] }).then(() => log.push('sent 4'))
    void feed.send('5').then(() => log.push('sent 5'))
    t.match(
      await failure(feed.send({ type: 'close' })),
      { state: phase },
      'a Close is for the connection there is',
    )
    t.match(await stage.network.run(feed.status()), { queuedFrames: 5 })
    await stage.network.settle()
    t.same(log, [])
    leave()
    await stage.network.runUntil(() => feed.phase === 'open')
    await stage.network.settle()
    t.same(
      stage.heard().filter(frame => !frame.startsWith('continuation')),
      ['text "from handleConnect"', 'text "1"', 'ping "2"', 'text "3"', 'text+ "4 "', 'text "5"'],
    )
    t.same(log, ['sent 1', 'sent 4', 'sent 5'])
    t.match(await stage.network.run(feed.status()), { queuedFrames: 0 })
    await stage.over(t, feed)
    t.same(sender.unsent, [])
  })
}

t.test('rule 2: a queue has room for so many frames and bytes, and no more', async t => {
  const cases: readonly (readonly [StartOptions['whenNotOpen'], readonly Frame[], Frame])[] = [
    [{ type: 'queue', maxFrames: 2 }, ['a', 'b'], 'c'],
    [{ type: 'queue', maxFrames: 0 }, [], 'c'],
    [{ type: 'queue', maxBytes: 10 }, ['12345', new Uint8Array(4)], 'ab'],
    [{ type: 'queue', maxBytes: 0 }, ['', ''], 'c'],
    ['queue', [new Uint8Array(1024 * 1024)], 'c'],
    ['queue', Array.from({ length: 1024 }, () => ''), ''],
  ]
  for (const [whenNotOpen, fitting, surplus] of cases) {
    const { feed, stage } = await Sender.of(t, { whenNotOpen })
    const sends = fitting.map(frame => feed.send(frame))
    t.match(await failure(feed.send(surplus)), { code: 'WS_NOT_CONNECTED', state: 'idle', message: /full/ })
    t.equal(feed.write(surplus), false)
    await stage.network.run(feed.connect())
    await stage.network.run(Promise.all(sends))
    t.equal(stage.frames().length, fitting.length)
    stage.server.link.reset()
    await stage.ended(t, feed)
  }
})

t.test('rule 2: room in the queue comes back when it was emptied', async t => {
  const { feed, stage } = await Sender.of(
    t,
    { whenNotOpen: { type: 'queue', maxFrames: 2, maxBytes: 6 } },
    { handleDisconnect: () => ({ stay: true }) },
  )
  for (let round = 0; round < 3; round++) {
    const sends = [feed.send('abc'), feed.send('def')]
    t.equal(feed.write(''), false)
    await stage.network.run(feed.connect())
    await stage.network.run(Promise.all(sends))
    t.same(stage.heard(), ['text "abc"', 'text "def"'])
    stage.server.link.reset()
    await stage.network.settle()
  }
  await stage.over(t, feed)
})

t.test('rule 2: a frame waits no longer than ttlMs, and is then handed back', async t => {
  const sender = await Sender.of(
    t,
    { whenNotOpen: { type: 'queue', ttlMs: 1000 }, reconnect: { minDelayMs: 10, jitter: 'none' } },
    { init: () => 1 },
  )
  const { feed, stage } = sender
  stage.server.hang()
  stage.server.link.reset()
  await stage.network.settle()
  const at = (name: string): Promise<unknown> =>
    feed.send(name).then(
      () => 'sent',
      (error: unknown) => [stage.network.clock.now(), error],
    )
  const first = at('first')
  await stage.network.advance(400)
  const second = at('second')
  feed.info('reply')
  await stage.network.advance(500)
  const third = at('third')
  t.match(await stage.network.run(first), [1000, { code: 'WS_NOT_CONNECTED', message: /ttlMs/ }])
  t.match(await stage.network.run(second), [1400, { code: 'WS_NOT_CONNECTED' }])
  t.match(await stage.network.run(feed.status()), { queuedFrames: 1 })
  // The next failed attempt hands them back.
  stage.server.down()
  await stage.network.advance(1)
  t.same(
    sender.statuses.map(({ unsent }) => unsent.map(label)),
    [[], ['first', 'second', 'reply']],
  )
  stage.server.up()
  t.equal(await stage.network.run(third), 'sent')
  t.same(stage.heard(), ['text "third"'])
  await stage.over(t, feed)
  t.same(sender.unsent, ['first', 'second', 'reply'])
})

t.test(
  'rule 2: what still waits at the end is handed back to terminate, and its senders are told',
  async t => {
    const sender = await Sender.of(t, { whenNotOpen: { type: 'queue', ttlMs: 60_000 } })
    const { feed, stage } = sender
    const sending = failure(feed.send('a'))
    feed.write('b')
    feed.info('c')
    await stage.network.settle()
    await stage.over(t, feed)
    t.match(await sending, { code: 'WS_NOT_CONNECTED', state: 'ended' })
    t.same(sender.unsent, ['a', 'b', 'c'])
  },
)

t.test('rule 2: a fragment that fits no message is its sender’s fault, even if it had to wait', async t => {
  const sender = await Sender.of(t, { whenNotOpen: 'queue' })
  const { feed, stage } = sender
  const waiting = failure(feed.send({ type: 'finish', data: 'of nothing' }))
  const behind = feed.send('behind')
  await sender.connect()
  t.match(await stage.network.run(waiting), { name: 'FrameEncodeError', reason: 'fragment-sequence' })
  await stage.network.run(behind)
  t.throws(() => feed.write({ type: 'continuation', data: 'of nothing' }), {
    name: 'FrameEncodeError',
    code: 'WS_FRAME_ENCODE',
  })
  t.equal(feed.phase, 'open')
  t.same(stage.heard(), ['text "behind"'])
  await stage.over(t, feed)
})

t.test('rule 2: what whenNotOpen may not be', async t => {
  const stage = new Stage(t)
  const wrong: unknown[] = [
    'later',
    null,
    5,
    {},
    { type: 'drop' },
    { type: 'queue', maxFrame: 5 },
    { type: 'queue', maxBytes: -1 },
    { type: 'queue', maxFrames: Number.NaN },
    { type: 'queue', ttlMs: 0 },
  ]
  for (const whenNotOpen of wrong) {
    t.match(
      await failure(stage.starting({}, { whenNotOpen: whenNotOpen as 'drop' })),
      { code: 'WS_BAD_OPTION' },
      JSON.stringify(whenNotOpen),
    )
  }
  t.same(stage.server.attempts, [])
})

/** Ways for a connection to end while much of what was sent has not left, and who is told then. */
const LOSSES: Readonly<Record<string, (sender: Sender) => void>> = {
  'a reset': ({ stage }) => stage.server.link.reset(),
  'the end of the server’s stream': ({ stage }) => stage.server.link.serverEnd.destroy(),
  'a keepalive that is not answered': () => {},
  'a stop with no time': ({ feed }) => void feed.stop(undefined, { timeoutMs: 0 }),
  'a stop that the peer does not answer': ({ feed }) => void feed.stop(),
  'a Close that the peer does not answer': ({ feed }) => void feed.send({ type: 'close', code: 4000 }),
}

for (const [how, lose] of Object.entries(LOSSES)) {
  t.test(`rule 2: what never reached the network is handed back, exactly and in order: ${how}`, async t => {
    const stage = new Stage(t, { conditions: { windowBytes: 4000 } })
    const sender = await Sender.of(t, { keepalive: { intervalMs: 60_000, timeoutMs: 10_000 } }, {}, stage)
    const { feed } = sender
    await sender.connect()
    await stage.network.run(feed.send('0'.padEnd(100, '.')))
    stage.server.partition()
    const outcomes: string[] = []
    for (let at = 1; at <= 20; at++) {
      const name = `${at}`.padEnd(500, '.')
      if (at % 4 === 0) feed.write(name)
      else if (at % 4 === 1) feed.info(name)
      else {
        void feed.send(name).then(
          () => outcomes.push(`${at} sent`),
          (error: ConnectionError) => outcomes.push(`${at} ${error.code}`),
        )
      }
      // One write each, so that it is known of each whether it left.
      await stage.network.settle()
    }
    const [link] = stage.links
    const took = link.taken('to-server')
    t.ok(took < 6000, `the network took ${took} bytes`)
    lose(sender)
    await stage.network.run(feed.ended)
    stage.server.heal()
    await stage.empty(t)
    const left = sender.unsent
    const first = Number(left[0])
    t.ok(first > 1 && first < 20, `from ${first} on`)
    t.same(
      left,
      Array.from({ length: 21 - first }, (_, at) => `${first + at}`),
    )
    t.equal(sender.ends.length, 1)
    const [{ unsent }] = sender.ends
    t.equal(unsent.length > 0, how.includes('stop'), 'to handleDisconnect, or else to terminate')
    for (const outcome of outcomes) t.match(outcome, /sent|WS_CONNECTION_LOST|WS_CLOSE/)
  })
}

t.test('rule 2: all kinds of frames are handed back as they were given', async t => {
  const stage = new Stage(t, { conditions: { windowBytes: 500 } })
  const sender = await Sender.of(t, {}, {}, stage)
  const { feed } = sender
  await sender.connect()
  stage.server.partition()
  feed.write('f'.repeat(600))
  await stage.network.settle()
  const bytes = Uint8Array.of(1, 2)
  const frames: Frame[] = [
    { type: 'text', data: 'a' },
    { type: 'binary', data: bytes },
    { type: 'ping', data: 'b' },
    { type: 'pong', data: bytes },
    { type: 'pong' },
    { type: 'fragment', kind: 'text', data: 'c' },
    { type: 'continuation', data: 'd' },
    { type: 'finish', data: 'e' },
  ]
  for (const frame of frames) feed.write(frame)
  feed.write('short')
  feed.write(bytes)
  const streamed: Frame = { type: 'text', data: ['x', 'y'] }
  feed.send(streamed).catch(() => {})
  feed.send('behind').catch(() => {})
  await stage.network.settle()
  stage.server.link.reset()
  await stage.network.run(feed.ended)
  const [{ unsent }] = sender.statuses
  t.same(unsent.slice(1), [
    ...frames,
    { type: 'text', data: 'short' },
    { type: 'binary', data: bytes },
    streamed,
    { type: 'text', data: 'behind' },
  ])
  stage.server.heal()
  await stage.empty(t)
})

t.test('rule 2: a send whose connection is lost first rejects with what became of it', async t => {
  const stage = new Stage(t, { conditions: { windowBytes: 100 } })
  const sender = await Sender.of(t, {}, {}, stage)
  const { feed } = sender
  await sender.connect()
  stage.server.partition()
  void feed.send('ignored'.padEnd(100_000, '.'))
  const lost = failure(feed.send('lost'))
  await stage.network.settle()
  stage.server.link.reset()
  t.match(await stage.network.run(lost), { name: 'ConnectionError', code: 'WS_CONNECTION_LOST' })
  await stage.network.run(feed.ended)
  t.same(sender.unsent, ['ignored', 'lost'])
  stage.server.heal()
  await stage.empty(t)
})

t.test('rule 2: a peer that takes nothing is let go of when too much waits for it', async t => {
  const stage = new Stage(t, { conditions: { windowBytes: 1000 } })
  const sender = await Sender.of(t, { maxBufferedBytes: 10_000 }, {}, stage)
  const { feed } = sender
  await sender.connect()
  stage.server.partition()
  let accepted = 0
  for (; feed.phase === 'open'; accepted++) feed.write(`${accepted}`.padEnd(1000, '.'))
  await stage.network.run(feed.ended)
  t.match(sender.statuses, [
    { reason: { type: 'error', normal: false }, phase: 'open', error: { code: 'WS_BUFFER_FULL' } },
  ])
  // The last one was not accepted, and nothing of it is handed back.
  t.equal(sender.unsent.at(-1), String(accepted - 2))
  stage.server.heal()
  await stage.empty(t)
})

t.test('rule 2: frames that waited go before what others send while handleConnect still runs', async t => {
  const stage = new Stage(t)
  const ready = gate()
  stage.server.hang()
  const feed = await stage.starting(
    {
      handleConnect: async (_connection, _state, self) => {
        await self.send('first of all')
        await ready.opened
        return { reply: 'hello' }
      },
    },
    { async: true, whenNotOpen: 'queue' },
  )
  await stage.network.settle()
  void feed.send('a')
  stage.server.up()
  await stage.network.settle()
  void feed.send('b')
  t.equal(feed.write('c'), true)
  ready.open()
  await stage.network.settle()
  t.same(stage.heard(), ['text "first of all"', 'text "hello"', 'text "a"', 'text "b"', 'text "c"'])
  await stage.over(t, feed)
})
