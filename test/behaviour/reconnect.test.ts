// Rule 5 of the behaviour contract: when a process connects again, and after how long. All in virtual time; the delays are
// what the server sees, to the millisecond. What `handleDisconnect` may say is in after-disconnect.test.ts, what happens
// inside an attempt in attempts.test.ts.
import t, { type Test } from 'tap'
import { BadResponseError, type DisconnectStatus, type ReconnectOptions, start } from '../../src/index.js'
import { ReconnectPolicy } from '../../src/behaviour/reconnect-policy.js'
import { failure } from '../support/servers.js'
import { PEER, Scene } from '../support/scene.js'

/** Gives these numbers over and over. */
const chances = (...numbers: readonly number[]): (() => number) => {
  let next = 0
  return () => numbers[next++ % numbers.length]
}

/** The times between the attempts of a process whose server refuses it. */
async function gapsOf(
  t: Test,
  reconnect: ReconnectOptions | true,
  random: () => number,
  count: number,
): Promise<number[]> {
  const scene = new Scene(t)
  scene.server.down()
  const process = await scene.start({ async: true, reconnect, random })
  await scene.calls(count + 1)
  await scene.over(process)
  return scene.gaps.slice(0, count)
}

const STEADY = { jitter: 'none' } as const
const half = chances(0.5)

const DELAYS: readonly (readonly [
  text: string,
  options: ReconnectOptions | true,
  random: () => number,
  gaps: readonly number[],
])[] = [
  [
    'by default they double from 1 s to 30 s, and jitter takes any part of them',
    true,
    half,
    [500, 1000, 2000, 4000, 8000, 15_000, 15_000],
  ],
  ['each delay takes one number', {}, chances(0, 0.25, 0.75), [0, 500, 3000, 0, 4000, 22_500]],
  ["'full' is the default", { jitter: 'full' }, chances(0.25), [250, 500, 1000, 2000, 4000, 7500]],
  ["'equal' keeps half", { jitter: 'equal' }, chances(0, 0.5), [500, 1500, 2000, 6000, 8000, 22_500]],
  ["'none' keeps all", STEADY, half, [1000, 2000, 4000, 8000, 16_000, 30_000, 30_000]],
  ['minDelayMs is the first one', { ...STEADY, minDelayMs: 200 }, half, [200, 400, 800]],
  ['maxDelayMs is the longest one', { ...STEADY, maxDelayMs: 3000 }, half, [1000, 2000, 3000, 3000]],
  ['factor is how they grow', { ...STEADY, factor: 3 }, half, [1000, 3000, 9000, 27_000, 30_000]],
  ['a factor may be broken', { ...STEADY, factor: 1.5 }, half, [1000, 1500, 2250, 3375]],
  ['with a factor of 1 they do not grow', { ...STEADY, factor: 1 }, half, [1000, 1000, 1000]],
  ['maxDelayMs wins over minDelayMs', { ...STEADY, minDelayMs: 5000, maxDelayMs: 3000 }, half, [3000, 3000]],
  ['a failed attempt is never followed at once', { ...STEADY, first: 'immediate' }, half, [1000, 2000]],
]

for (const [text, options, random, gaps] of DELAYS) {
  t.test(`delays: ${text}`, async t => {
    t.same(await gapsOf(t, options, random, gaps.length), gaps)
  })
}

t.test('without a delay there are still numbers after a thousand attempts', t => {
  const policy = new ReconnectPolicy({ minDelayMs: 0 }, half)
  const delays = Array.from({ length: 1100 }, () => policy.delay({ phase: 'tcp', httpResponse: null }))
  t.same(new Set(delays), new Set([0]))
  t.end()
})

t.test('without a source of its own the jitter differs from process to process', async t => {
  const scene = new Scene(t)
  scene.server.down()
  const processes = await Promise.all(
    Array.from({ length: 5 }, async () => {
      const { random: _, ...options } = scene.network.startOptions
      return start(PEER, {}, { ...options, async: true, reconnect: true })
    }),
  )
  await scene.network.settle()
  const due = scene.network.clock.dueTimes
  t.equal(new Set(due).size, 5)
  t.ok(due.every(time => time >= 0 && time < 1000))
  await scene.network.run(Promise.all(processes.map(process => process.stop())))
  t.same(scene.network.leaks(), [])
})

t.test('an option that makes no sense is refused before anything is done', async t => {
  const bad: readonly object[] = [
    { retry: 1 },
    { retries: -1 },
    { retries: 1.5 },
    { retries: Number.NaN },
    { retries: '3' },
    { first: 'now' },
    { minDelayMs: -1 },
    { maxDelayMs: Number.NaN },
    { resetAfterMs: -1 },
    { factor: 0.9 },
    { factor: '2' },
    { jitter: true },
    { decide: 'fatal' },
  ]
  for (const reconnect of bad) {
    const init = t.capture({ init: () => {} }, 'init')
    const starting = start(PEER, { init: () => init() }, { reconnect })
    t.match(await failure(starting), { name: 'UsageError', code: 'WS_BAD_OPTION' }, JSON.stringify(reconnect))
    t.equal(init().length, 0)
  }
})

t.test('without a policy a process whose connection is lost ends as it was lost', async t => {
  for (const reconnect of [undefined, false] as const) {
    const scene = new Scene(t)
    const process = await scene.start({ reconnect })
    scene.server.link.reset()
    const reason = await scene.network.run(process.ended)
    t.match(reason, { type: 'closed', normal: false, error: { code: 'WS_CONNECTION_LOST' } })
    t.equal(scene.statuses.length, 1)
    scene.empty()
  }
})

t.test('a lost connection is followed by a delay, or at once where that is asked for', async t => {
  for (const [first, gaps] of [
    ['delayed', [7000, 2000, 4000]],
    ['immediate', [6000, 1000, 2000]],
  ] as const) {
    const scene = new Scene(t)
    const process = await scene.start({ reconnect: { ...STEADY, first } })
    await scene.network.advance(6000)
    scene.server.down()
    await scene.calls(4)
    t.same(scene.gaps, gaps, first)
    await scene.over(process)
  }
})

t.test('a server that hangs up at once is met with growing patience', async t => {
  for (const first of ['delayed', 'immediate'] as const) {
    const scene = new Scene(t)
    const process = await scene.start({ reconnect: { ...STEADY, first } })
    for (let count = 1; count <= 5; count++) {
      await scene.opens(count)
      scene.server.link.reset()
      await scene.network.settle()
    }
    await scene.calls(6)
    t.same(scene.gaps, first === 'delayed' ? [1000, 2000, 4000, 8000, 16_000] : [0, 1000, 2000, 4000, 8000])
    await scene.over(process)
  }
})

t.test(
  'a connection that lived for resetAfterMs begins the delays anew, and no shorter one does',
  async t => {
    const cases = [
      // By default 5 s.
      [{}, [0, 4999, 5000, 0, 5000], [1000, 2000, 1000, 2000, 1000]],
      [{ resetAfterMs: 100 }, [0, 99, 100], [1000, 2000, 1000]],
      [{ resetAfterMs: 0 }, [0, 0, 0], [1000, 1000, 1000]],
      [{ resetAfterMs: Infinity }, [0, 1e6, 1e7], [1000, 2000, 4000]],
    ] as const
    for (const [options, lives, delays] of cases) {
      const scene = new Scene(t)
      const process = await scene.start({ reconnect: { ...STEADY, ...options }, keepalive: false })
      for (const [i, life] of lives.entries()) {
        await scene.opens(i + 1)
        await scene.network.advance(life)
        scene.server.link.reset()
        await scene.network.settle()
      }
      await scene.calls(lives.length + 1)
      t.same(
        scene.gaps,
        lives.map((life, i) => life + delays[i]),
        JSON.stringify(options),
      )
      await scene.over(process)
    }
  },
)

t.test('retries is how many attempts may fail in a row', async t => {
  for (const retries of [0, 1, 3]) {
    const scene = new Scene(t)
    scene.server.down()
    const process = await scene.start({ async: true, reconnect: { retries } })
    const reason = await scene.network.run(process.ended)
    // The first attempt is none.
    t.equal(scene.times.length, retries + 1)
    t.equal(scene.statuses.length, retries + 1)
    t.match(reason, {
      type: 'error',
      normal: false,
      error: { code: 'WS_CONNECT_FAILED', cause: { code: 'ECONNREFUSED' } },
    })
    scene.empty()
  }
  t.ok((await gapsOf(t, { minDelayMs: 1, maxDelayMs: 1 }, half, 500)).length >= 500, 'without end by default')
})

t.test('retries begin anew after a connection that lived for resetAfterMs', async t => {
  const scene = new Scene(t)
  const process = await scene.start({ reconnect: { ...STEADY, retries: 2 } })
  // Long enough, again and again.
  for (let count = 1; count <= 5; count++) {
    await scene.opens(count)
    await scene.network.advance(5000)
    scene.server.link.reset()
    await scene.network.settle()
  }
  // Not any more: two are left, one of which the last loss has taken.
  for (let count = 6; count <= 7; count++) {
    await scene.opens(count)
    scene.server.link.reset()
    await scene.network.settle()
  }
  t.match(await scene.network.run(process.ended), { type: 'closed', normal: false })
  t.equal(scene.connections.length, 7)
  scene.empty()
})

type Loss = readonly [text: string, lose: (scene: Scene) => unknown, clean: boolean, type: string]

const LOSSES: readonly Loss[] = [
  ['a Close with 1000', ({ sockets }) => sockets[0].close(1000), true, 'remote'],
  ['a Close without a code', ({ sockets }) => sockets[0].close(1005), true, 'remote'],
  ['a Close with 1001', ({ sockets }) => sockets[0].close(1001), false, 'remote'],
  ['a Close with 1011', ({ sockets }) => sockets[0].close(1011), false, 'remote'],
  ['a Close with 4000', ({ sockets }) => sockets[0].close(4000), false, 'remote'],
  ['an end without a Close (1006)', ({ server }) => server.link.end('to-client'), false, 'closed'],
  ['a reset (1006)', ({ server }) => server.link.reset(), false, 'closed'],
  ['a broken frame', ({ server }) => server.link.inject('nonsense', 'to-client'), false, 'error'],
]

for (const [text, lose, clean, type] of LOSSES) {
  t.test(`after ${text} a process ${clean ? 'ends, unless onClean' : 'connects again'}`, async t => {
    for (const onClean of [undefined, false, true]) {
      const scene = new Scene(t)
      const process = await scene.start({ reconnect: { onClean } })
      void lose(scene)
      await scene.network.advance(10_000)
      const again = !clean || onClean === true
      t.equal(scene.connections.length, again ? 2 : 1)
      t.equal(process.phase, again ? 'open' : 'ended')
      t.match(scene.statuses, [{ reason: { type, normal: clean } }])
      const reason = await scene.over(process)
      t.match(reason, again ? { type: 'stop', normal: true } : { type, normal: true })
    }
  })
}

t.test('a Close of its own ends a process when it is clean, and else it connects again', async t => {
  for (const [close, onClean, again] of [
    [{ type: 'close' }, false, false],
    [{ type: 'close', code: 1000 }, false, false],
    [{ type: 'close', code: 1000 }, true, true],
    [{ type: 'close', code: 4000, reason: 'again' }, false, true],
  ] as const) {
    const scene = new Scene(t)
    const process = await scene.start({ reconnect: { onClean } })
    await scene.network.run(process.send(close))
    await scene.network.advance(10_000)
    t.equal(process.phase, again ? 'open' : 'ended', JSON.stringify([close, onClean]))
    t.match(scene.statuses, [{ reason: { type: 'local' }, wasClean: true }])
    await scene.over(process)
  }
})

t.test('decide gets the retries left and the status, and says what follows', async t => {
  const scene = new Scene(t)
  scene.server.down()
  const asked: [number, DisconnectStatus][] = []
  const answers = [
    { retries: 7, delayMs: 100 },
    { retries: 1, delayMs: 0 },
    { retries: 0, delayMs: 5000 },
  ]
  const decide: ReconnectOptions['decide'] = (left, status) => answers[asked.push([left, status]) - 1]
  const process = await scene.start({ async: true, reconnect: { retries: 5, decide } })
  t.match(await scene.network.run(process.ended), { type: 'error', error: { code: 'WS_CONNECT_FAILED' } })
  t.same(scene.gaps, [100, 0, 5000])
  t.same(
    asked.map(([left]) => left),
    [5, 7, 1],
    'and is not asked when none is left',
  )
  t.same(
    asked.map(([, status]) => status),
    scene.statuses.slice(0, 3),
    'with what handleDisconnect got',
  )
  scene.empty()
})

t.test(
  'decide is asked without an end by default, for hopeless statuses too, but not after a clean close',
  async t => {
    const asked: number[] = []
    const decide = (left: number): 'fatal' | { retries: number; delayMs: number } =>
      asked.push(left) === 2 ? 'fatal' : { retries: left, delayMs: 10 }
    const scene = new Scene(t)
    scene.server.refuse(404)
    const process = await scene.start({ async: true, reconnect: { decide } })
    t.match(
      await scene.network.run(process.ended),
      { type: 'error', error: { status: 404 } },
      "and 'fatal' ends it",
    )
    t.same(asked, [Infinity, Infinity])
    t.same(scene.gaps, [10])
    scene.empty()

    for (const onClean of [false, true]) {
      const second = new Scene(t)
      asked.length = 0
      const again = await second.start({ reconnect: { decide, onClean } })
      await second.network.run(second.sockets[0].close(1000))
      await second.network.advance(1000)
      t.same(asked, onClean ? [Infinity] : [])
      await second.over(again)
    }
  },
)

t.test('an answer of decide that is none is a crash, and so is an error of it', async t => {
  const bad: readonly unknown[] = [
    undefined,
    null,
    true,
    'again',
    100,
    {},
    { retries: 1 },
    { delayMs: 1 },
    { retries: -1, delayMs: 1 },
    { retries: 1, delayMs: -1 },
    { retries: Number.NaN, delayMs: 1 },
    { retries: '1', delayMs: 1 },
    { retries: 1, delayMs: '1' },
    Promise.resolve({ retries: 1, delayMs: 1 }),
  ]
  for (const answer of bad) {
    const scene = new Scene(t)
    const process = await scene.start({ reconnect: { decide: () => answer as 'fatal' } })
    scene.server.link.reset()
    const reason = await scene.network.run(process.ended)
    t.match(reason, { type: 'crash', normal: false })
    const error = reason.error as BadResponseError
    t.ok(error instanceof BadResponseError, String(reason.error))
    t.equal(error.code, 'WS_BAD_RESPONSE')
    t.equal(error.callback, 'reconnect.decide')
    t.equal(error.response, answer)
    t.equal(scene.times.length, 1)
    scene.empty()
  }
  const scene = new Scene(t)
  const thrown = new Error('cannot say')
  const decide = (): never => {
    throw thrown
  }
  const process = await scene.start({ reconnect: { decide } })
  scene.server.link.reset()
  t.match(await scene.network.run(process.ended), { type: 'crash', error: thrown })
  scene.empty()
})
