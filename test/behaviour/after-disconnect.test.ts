// What `handleDisconnect` answers goes before the policy; delays, `connect()` and the numbers of attempts. All in virtual time.
import t from 'tap'
import type { DisconnectResult, ReconnectOptions } from '../../src/index.js'
import { failure } from '../support/servers.js'
import { PEER, Scene } from '../support/scene.js'

const STEADY = { jitter: 'none' } as const
const half = (): number => 0.5

/** Ways to end a connection for which the policy would say something, and what it says. */
const RETRIED = (scene: Scene): void => scene.server.link.reset()
const FINAL = (scene: Scene): void => void scene.sockets[0].close(1000)

const NOBODY_ASKS = (): never => {
  throw new Error('nobody asks the policy')
}

t.test('handleDisconnect: stop ends the process whatever the policy says', async t => {
  const error = new Error('that was enough')
  for (const [stop, expected] of [
    [true, { type: 'closed', normal: false, value: undefined, error: { code: 'WS_CONNECTION_LOST' } }],
    ['enough', { type: 'stop', normal: true, value: 'enough', error: null }],
    [null, { type: 'stop', normal: true, value: null, error: null }],
    [error, { type: 'stop', normal: false, value: error, error }],
  ] as const) {
    const scene = new Scene(t)
    const process = await scene.start({ reconnect: { decide: NOBODY_ASKS } }, () => ({ stop }))
    RETRIED(scene)
    t.match(await scene.network.run(process.ended), expected)
    t.equal(scene.times.length, 1)
    scene.empty()
  }
})

t.test('handleDisconnect: stay keeps the process without a connection and without a timer', async t => {
  for (const lose of [RETRIED, FINAL]) {
    const scene = new Scene(t)
    const process = await scene.start({ reconnect: true }, () => ({ stay: true }), PEER, {
      handleCast: (message, _state, self) => self.info(message),
      handleInfo: (_message, _state, self) => self.connect(),
    })
    lose(scene)
    await scene.network.advance(100_000)
    t.equal(process.phase, 'idle')
    t.equal(scene.times.length, 1)
    t.same(scene.network.leaks(), [])
    // From outside, and from inside: casts do not wait while the process is idle.
    await scene.network.run(process.connect())
    t.equal(process.phase, 'open')
    scene.server.link.reset()
    await scene.network.settle()
    process.cast('connect')
    await scene.opens(3)
    t.equal(scene.connections.length, 3)
    await scene.over(process)
  }
})

t.test('handleDisconnect: reconnect goes before a policy that would not, or is not there', async t => {
  const cases: readonly (readonly [ReconnectOptions | false, (scene: Scene) => void])[] = [
    [false, RETRIED],
    [false, FINAL],
    [{}, FINAL],
    [{ retries: 0 }, RETRIED],
    [{ decide: () => 'fatal' }, RETRIED],
  ]
  for (const [reconnect, lose] of cases) {
    const scene = new Scene(t)
    const process = await scene.start({ reconnect }, () => ({ reconnect: true }))
    lose(scene)
    await scene.opens(2)
    t.same(scene.gaps, [0], 'at once after a connection that was open')
    await scene.over(process)
  }
})

t.test('handleDisconnect: reconnect: true is no busy loop, and an own delay is exact', async t => {
  const cases: readonly (readonly [DisconnectResult<undefined>, readonly number[]])[] = [
    [{ reconnect: true }, [0, 500, 1000, 2000]],
    [{ reconnect: {} }, [0, 500, 1000, 2000]],
    [{ reconnect: { delayMs: 250 } }, [250, 250, 250]],
    [{ reconnect: { delayMs: 0 } }, [0, 0, 0, 0]],
  ]
  for (const [answer, gaps] of cases) {
    const scene = new Scene(t)
    const process = await scene.start({ random: half }, () =>
      scene.times.length > gaps.length ? { stay: true } : answer,
    )
    scene.server.down()
    await scene.calls(gaps.length + 1)
    t.same(scene.gaps, gaps, JSON.stringify(answer))
    await scene.over(process)
  }
  const scene = new Scene(t)
  scene.server.down()
  const options = { async: true, random: half, reconnect: { minDelayMs: 10, factor: 10 } }
  const process = await scene.start(options, () => ({ reconnect: true }))
  await scene.calls(4)
  t.same(scene.gaps, [5, 50, 500], 'by the numbers of the policy, where there is one')
  await scene.over(process)
})

t.test('handleDisconnect: another target is that of all later attempts', async t => {
  const scene = new Scene(t)
  const other = scene.network.listen('ws://other.test/', socket => scene.sockets.push(socket))
  const process = await scene.start({ reconnect: STEADY }, ({ target }) =>
    target === PEER ? { reconnect: { target: 'ws://other.test/path' } } : undefined,
  )
  scene.server.down()
  await scene.opens(2)
  t.match(scene.connections[1], { url: 'ws://other.test/path', reconnects: 1 })
  scene.server.up()
  other.down()
  await scene.network.runUntil(() => other.attempts.length === 4)
  t.equal(scene.times.length, 1)
  t.match(scene.statuses[2], { target: 'ws://other.test/path' })
  await scene.over(process)
})

t.test('handleDisconnect: what it answers in vain, and wrongly, is a crash', async t => {
  const bad: readonly object[] = [
    { stop: true, stay: true },
    { stay: true, reconnect: true },
    { stay: false },
    { reconnect: false },
    { reconnect: { delay: 1 } },
    { reconnect: { delayMs: -1 } },
    { reconnect: { delayMs: '1' } },
    { reconnect: { delayMs: Number.NaN } },
    { reply: 'hello' },
    { close: true },
    [],
  ]
  for (const answer of bad) {
    const scene = new Scene(t)
    const process = await scene.start({ reconnect: true }, () => answer)
    RETRIED(scene)
    const reason = await scene.network.run(process.ended)
    t.match(reason, { type: 'crash', error: { code: 'WS_BAD_RESPONSE', callback: 'handleDisconnect' } })
    t.equal(scene.times.length, 1)
    scene.empty()
  }
})

t.test('handleDisconnect may take its time, and nothing is done before it has answered', async t => {
  const scene = new Scene(t)
  const { clock } = scene.network
  const answer = (): Promise<void> => new Promise(resolve => void clock.setTimeout(resolve, 700))
  const process = await scene.start({ reconnect: STEADY }, answer)
  RETRIED(scene)
  await scene.opens(2)
  t.same(scene.gaps, [1700])
  await scene.over(process)
})

t.test('the delay is a timer that connect(), stop() and an abort take back', async t => {
  for (const how of ['connect', 'stop', 'abort', 'self.connect'] as const) {
    const scene = new Scene(t)
    const controller = new AbortController()
    const options = { reconnect: STEADY, signal: controller.signal }
    const process = await scene.start(options, () => {}, PEER, {
      handleCall: (_message, from, _state, self) => {
        self.connect()
        return { answer: from === undefined ? '' : 'done' }
      },
    })
    scene.server.link.reset()
    await scene.network.advance(300)
    t.equal(process.phase, 'waiting')
    t.same(scene.network.clock.dueTimes, [1000])
    if (how === 'stop') t.match(await scene.network.run(process.stop('now')), { type: 'stop', value: 'now' })
    else if (how === 'abort') {
      controller.abort('now')
      t.match(await scene.network.run(process.ended), { type: 'stop', normal: true, value: 'now' })
    } else {
      // What is done meanwhile is not blocked by the delay.
      await scene.network.run<unknown>(how === 'connect' ? process.connect() : process.call('connect'))
      await scene.opens(2)
    }
    const called = how.endsWith('connect') ? [0, 300] : [0]
    t.same(scene.times, called, how)
    await scene.network.advance(10_000)
    t.same(scene.times, called, 'and nothing came after it')
    await scene.over(process)
  }
})

t.test('an attempt that connect() asked for counts as any other, and its failure goes to both', async t => {
  const scene = new Scene(t)
  const process = await scene.start({ reconnect: STEADY })
  scene.server.down()
  await scene.network.advance(300)
  t.match(await failure(scene.network.run(process.connect())), { code: 'WS_CONNECT_FAILED' })
  await scene.calls(3)
  t.same(scene.times, [0, 300, 2300])
  t.same(
    scene.statuses.map(({ attempt }) => attempt),
    [1, 2, 3],
  )
  await scene.over(process)
})

t.test('connect() while handleDisconnect still thinks is an attempt of its own', async t => {
  const scene = new Scene(t)
  const { clock } = scene.network
  const answer = (): Promise<DisconnectResult<undefined>> =>
    new Promise(resolve => void clock.setTimeout(() => resolve({ stay: true }), 500))
  const process = await scene.start({}, answer)
  scene.server.link.reset()
  await scene.network.advance(100)
  await scene.network.run(process.connect())
  t.equal(process.phase, 'open')
  t.same(scene.times, [0, 100])
  t.equal(scene.connections.length, 2)
  await scene.over(process)
})

t.test(
  'connect() while handleDisconnect still thinks, that fails before it has answered: told, then decided',
  async t => {
    const scene = new Scene(t)
    const { clock } = scene.network
    // `stop` counts at once; nothing, said to the lost connection, is overtaken: the failed attempt is told, and decides.
    const process = await scene.start({}, async ({ phase }) => {
      await new Promise<void>(resolve => void clock.setTimeout(resolve, 500))
      return { stop: phase }
    })
    const undecided = await scene.start({}, async () => {
      await new Promise<void>(resolve => void clock.setTimeout(resolve, 500))
    })
    scene.server.down()
    for (const link of scene.network.links) link.reset()
    await scene.network.advance(100)
    for (const one of [process, undecided]) {
      t.match(await failure(scene.network.run(one.connect())), { code: 'WS_CONNECT_FAILED' })
    }
    await scene.network.advance(1000)
    t.match(await scene.network.run(undecided.ended), {
      type: 'error',
      error: { code: 'WS_CONNECT_FAILED' },
    })
    t.match(await scene.network.run(process.ended), { type: 'stop', value: 'open' })
    t.same(
      scene.statuses.map(({ phase }) => phase),
      ['open', 'open', 'tcp'],
    )
  },
)

t.test('connect() inside handleDisconnect is at once, and its answer is not needed', async t => {
  const scene = new Scene(t)
  const process = await scene.start({ reconnect: STEADY }, (_status, self) => self.connect())
  scene.server.link.reset()
  await scene.opens(2)
  await scene.network.advance(10_000)
  t.same(scene.times, [0, 0])
  await scene.over(process)
})

t.test('attempt numbers begin at 1, grow with each failure and begin anew with each connection', async t => {
  const scene = new Scene(t)
  scene.server.down()
  const asked: number[] = []
  const events: string[] = []
  const target = ({ attempt }: { attempt: number }): string => {
    asked.push(attempt)
    return PEER
  }
  const process = await scene.start({ async: true, reconnect: STEADY }, () => {}, target)
  process.debug.subscribe(({ event }) => {
    if (event.type === 'attempt' || event.type === 'reconnect' || event.type === 'open')
      events.push(`${event.type} ${event.attempt}`)
  })
  await scene.calls(3)
  t.match(await scene.network.run(process.status()), { failures: 3, reconnects: 0, phase: 'waiting' })
  scene.server.up()
  await scene.opens(1)
  t.match(await scene.network.run(process.status()), { failures: 0, reconnects: 0, phase: 'open' })
  scene.server.down()
  await scene.calls(6)
  scene.server.up()
  await scene.opens(2)
  scene.server.link.reset()
  await scene.opens(3)
  t.same(
    scene.statuses.map(({ attempt, phase }) => [attempt, phase]),
    [
      [1, 'tcp'],
      [2, 'tcp'],
      [3, 'tcp'],
      [1, 'open'],
      [2, 'tcp'],
      [3, 'tcp'],
      [1, 'open'],
    ],
  )
  t.same(
    scene.connections.map(({ attempt, reconnects }) => [attempt, reconnects]),
    [
      [4, 0],
      [3, 1],
      [1, 2],
    ],
  )
  t.same(asked, [1, 2, 3, 4, 1, 2, 3, 1])
  t.same(events.slice(-5), ['attempt 3', 'open 3', 'reconnect 1', 'attempt 1', 'open 1'])
  await scene.over(process)
})
