// Rules 5 and 11 of the behaviour contract: how a process begins, and what `connect()` and an abort do in each phase. All in
// virtual time.
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import type { LookupFunction } from 'node:net'
import t from 'tap'
import {
  type EndReason,
  idle,
  type InitMode,
  type Initial,
  listen,
  once,
  type PublishedEvent,
  reconnect,
  start,
  type StartOptions,
} from '../../src/index.js'
import { channelName } from '../../src/behaviour/channels.js'
import { MUTE, PEER, SAFE, Scene } from '../support/scene.js'
import { failure } from '../support/servers.js'

const STEADY = { jitter: 'none' } as const
const never = <T>(): Promise<T> => new Promise(() => {})

const initOf = (mode: InitMode | null): Initial<undefined> | undefined =>
  mode === null ? undefined : { idle, once, reconnect }[mode](undefined)

/** How `init` and the options say what a first attempt that fails means. */
const BEGINNINGS: readonly (readonly [mode: InitMode | null, options: StartOptions, handled: boolean])[] = [
  [null, {}, false],
  [null, { reconnect: true }, false],
  [null, { handleInitialFailure: true }, true],
  [null, { async: true }, true],
  [null, { async: true, handleInitialFailure: false }, false],
  ['once', {}, false],
  ['once', { async: true }, true],
  ['once', { handleInitialFailure: true }, true],
  ['reconnect', {}, true],
  ['reconnect', { handleInitialFailure: false }, false],
  ['idle', {}, true],
  ['idle', { handleInitialFailure: false }, false],
]

for (const [mode, options, handled] of BEGINNINGS) {
  const text = `${mode ?? 'no mode'} ${JSON.stringify(options)}`
  t.test(`a first attempt that fails ${handled ? 'is handled' : 'is the end'}: ${text}`, async t => {
    const scene = new Scene(t)
    scene.server.down()
    const starting = scene.start(options, () => ({ stop: true }), PEER, { init: () => initOf(mode) })
    const refused = { code: 'WS_CONNECT_FAILED', cause: { code: 'ECONNREFUSED' } }
    if (mode === 'idle') {
      const process = await starting
      t.same(scene.times, [])
      t.match(await failure(scene.network.run(process.connect())), refused, 'connect() rejects')
    } else if (options.async === true) {
      const { ended, phase } = await starting
      t.ok(['connecting', 'closing', 'ended'].includes(phase))
      t.match(await scene.network.run(ended), { type: 'error', error: refused })
    } else t.match(await failure(starting), refused, 'start() rejects')
    await scene.network.settle()
    t.match(scene.statuses, handled ? [{ attempt: 1, phase: 'tcp', error: refused }] : [])
    t.match(scene.ends, [{ type: 'error', normal: false, error: refused }])
    t.equal(scene.times.length, 1)
    scene.empty()
  })
}

t.test('start() waits through failed attempts that are handled, until there is a connection', async t => {
  for (const [mode, options] of [
    ['reconnect', {}],
    ['reconnect', { reconnect: { factor: 1 } }],
    [null, { reconnect: true, handleInitialFailure: true }],
  ] as const) {
    const scene = new Scene(t)
    scene.server.down()
    scene.network.clock.setTimeout(() => scene.server.up(), 10_000)
    const process = await scene.start(options, () => {}, PEER, { init: () => initOf(mode) })
    t.equal(process.phase, 'open')
    t.ok(scene.network.clock.now() >= 10_000)
    t.equal(scene.statuses.length, scene.times.length - 1)
    await scene.over(process)
  }
})

t.test(
  'start() rejects with the last failure when the policy gives up, and resolves when nobody wants a connection',
  async t => {
    const scene = new Scene(t)
    scene.server.down()
    const options = { reconnect: { retries: 2 } }
    const starting = scene.start(options, () => {}, PEER, { init: () => reconnect(undefined) })
    const error = await failure(starting)
    t.equal(scene.statuses.length, 3)
    t.equal(error, scene.statuses[2].error)
    scene.empty()

    const second = new Scene(t)
    second.server.down()
    const process = await second.start({ handleInitialFailure: true }, () => ({ stay: true }))
    t.equal(process.phase, 'idle')
    await second.over(process)
  },
)

t.test('async: true is for whoever does not want to wait, at once and before any I/O', async t => {
  const scene = new Scene(t)
  const { length } = scene.server.attempts
  const process = await start(PEER, {}, { ...scene.network.startOptions, async: true })
  t.equal(process.phase, 'connecting')
  t.equal(length, 0)
  await scene.network.runUntil(() => process.phase === 'open')
  await scene.network.run(process.stop())
  t.same(scene.network.leaks(), [])
})

t.test('once does not connect again, whatever the policy says, and reconnect does without one', async t => {
  for (const [mode, options, asked, expected] of [
    ['once', { reconnect: STEADY }, undefined, 1],
    ['once', { reconnect: STEADY }, { reconnect: true }, 2],
    ['reconnect', {}, undefined, 2],
    ['reconnect', { reconnect: false }, undefined, 2],
    ['reconnect', { reconnect: STEADY }, { stop: true }, 1],
    ['idle', {}, undefined, 1],
    ['idle', { reconnect: STEADY }, undefined, 2],
  ] as const) {
    const scene = new Scene(t)
    const answer = () => asked
    const process = await scene.start(options, answer, PEER, { init: () => initOf(mode) })
    await scene.network.run(process.connect())
    scene.server.link.reset()
    await scene.network.advance(5000)
    t.equal(scene.connections.length, expected, `${mode} ${JSON.stringify(options)}`)
    t.equal(process.phase, expected === 1 ? 'ended' : 'open')
    await scene.over(process)
  }
})

t.test('a callback that fails the start is what start() rejects with', async t => {
  const error = new Error('not today')
  const fail = (): never => {
    throw error
  }
  const beginnings = [
    [{ init: fail }, error, 0],
    [{ init: async () => fail() }, error, 0],
    [{ handleConnect: fail }, error, 1],
    [{ handleConnect: async () => fail() }, error, 1],
    [{ handleConnect: () => ({ replies: [] }) }, { code: 'WS_BAD_RESPONSE', callback: 'handleConnect' }, 1],
  ] as const
  for (const [callbacks, expected, ends] of beginnings) {
    const scene = new Scene(t)
    t.match(await failure(scene.start({ reconnect: true }, () => {}, PEER, callbacks as object)), expected)
    await scene.network.settle()
    t.match(scene.ends, ends === 0 ? [] : [{ type: 'crash', error: expected }])
    t.same(scene.statuses, [])
    t.equal(scene.times.length, ends)
    if (ends > 0) t.match(await scene.sockets[0].closed, { received: { code: 1011 } })
    t.same(scene.network.leaks(), [])
  }
})

t.test('connect() in each phase', async t => {
  const scene = new Scene(t)
  const process = await scene.start({ closeTimeoutMs: 1000 }, () => ({ stay: true }), PEER, {
    init: () => idle(undefined),
  })
  t.equal(process.phase, 'idle')
  scene.server.hang()
  const first = process.connect()
  await scene.network.settle()
  t.equal(process.phase, 'connecting')
  t.same(scene.times, [0])
  // The same attempt.
  const second = process.connect()
  scene.server.up()
  await scene.network.run(Promise.all([first, second]))
  t.equal(process.phase, 'open')
  await scene.network.run(process.connect())
  t.same(scene.times, [0], 'open: nothing to do')
  scene.server.link.freeze()
  process.write({ type: 'close', code: 4000 })
  t.equal(process.phase, 'closing')
  t.match(await failure(process.connect()), { name: 'NotConnectedError' })
  await scene.network.runUntil(() => process.phase === 'idle')
  await scene.network.run(process.connect())
  t.equal(process.phase, 'open')
  t.equal(scene.times.length, 2)
  scene.server.link.reset()
  await scene.network.settle()
  scene.server.down()
  t.match(await failure(scene.network.run(process.connect())), { code: 'WS_CONNECT_FAILED' })
  t.equal(process.phase, 'idle')
  scene.server.hang()
  const abandoned = failure(process.connect())
  await scene.network.run(process.stop())
  t.match(await abandoned, { code: 'WS_NO_PROCESS', reason: { type: 'stop' } })
  t.equal(process.phase, 'ended')
  t.match(await failure(process.connect()), { code: 'WS_NO_PROCESS' })
  await scene.network.advance(2000)
  // The end of the link that was frozen came to nobody.
  await scene.cut()
  scene.empty()
})

const lookupNever = (() => {}) as unknown as LookupFunction

/** How to be in a phase before there is a connection. */
const BEFORE: readonly (readonly [
  phase: string,
  arrange: (scene: Scene) => StartOptions,
  target?: unknown,
])[] = [
  ['target', () => ({}), never],
  ['dns', () => ({ lookup: lookupNever, createConnection: undefined })],
  ['tcp', scene => (scene.server.hang(), {})],
  ['tls', scene => (scene.listenRaw(SAFE, ''), {}), SAFE],
  ['handshake', scene => (scene.listenRaw(MUTE, ''), {}), MUTE],
]

for (const [phase, arrange, target = PEER] of BEFORE) {
  t.test(`an abort before there is a connection: ${phase}`, async t => {
    for (const async of [false, true]) {
      const scene = new Scene(t)
      const controller = new AbortController()
      const why = { because: phase }
      const options = { ...arrange(scene), async, reconnect: true, signal: controller.signal }
      const starting = scene.start(options, () => {}, target as string)
      scene.network.clock.setTimeout(() => controller.abort(why), 500)
      if (async) t.equal((await starting).phase, 'connecting')
      else t.match(await failure(starting), { name: 'AbortError', code: 'ABORT_ERR', cause: why })
      await scene.network.advance(500)
      await scene.network.settle()
      t.match(scene.ends, [{ type: 'stop', normal: true, value: why, error: null }])
      t.same(scene.statuses, [], 'an attempt that was given up is no failure')
      scene.empty()
    }
  })
}

t.test(
  'a signal that is aborted already leaves no process, and one that is aborted in init ends it',
  async t => {
    const scene = new Scene(t)
    const calls: string[] = []
    const controller = new AbortController()
    const behaviour = {
      init: () => {
        calls.push('init')
        controller.abort('why')
      },
      terminate: () => void calls.push('terminate'),
    }
    const options = { ...scene.network.startOptions, signal: controller.signal }
    for (const async of [false, true]) {
      const error = await failure(start(PEER, behaviour, { ...options, async }))
      t.match(error, { name: 'AbortError', cause: 'why' })
      t.same(calls, ['init'], 'without a state there is nothing to terminate')
      t.same(scene.times, [])
    }
    t.same(scene.network.leaks(), [])
  },
)

t.test('an abort of an open connection is a Close with 1001, and no disconnect', async t => {
  const scene = new Scene(t)
  const controller = new AbortController()
  const process = await scene.start({ reconnect: true, signal: controller.signal })
  controller.abort('over')
  t.match(await scene.network.run(process.ended), { type: 'stop', normal: true, value: 'over', error: null })
  t.match(await scene.sockets[0].closed, { received: { code: 1001, reason: 'aborted' }, wasClean: true })
  t.same(scene.statuses, [])
  scene.empty()
})

t.test('an abort while closing, waiting, idle, or in the middle of a callback', async t => {
  const scene = new Scene(t)
  const why = new Error('over')
  const phases: readonly (readonly [string, (scene: Scene) => void, number])[] = [
    // The Close is out already: it has its time.
    ['closing', ({ server }) => server.link.freeze(), 1000],
    ['waiting', ({ server }) => server.link.reset(), 0],
    ['idle', ({ server }) => server.link.reset(), 0],
    ['open', () => {}, 700],
  ]
  for (const [phase, arrange, ms] of phases) {
    const scene = new Scene(t)
    const { clock } = scene.network
    const controller = new AbortController()
    const options = { reconnect: STEADY, closeTimeoutMs: 1000, signal: controller.signal }
    const answer = () => (phase === 'idle' ? ({ stay: true } as const) : undefined)
    let finished = false
    const process = await scene.start(options, answer, PEER, {
      handleInfo: async () => {
        await new Promise<void>(resolve => void clock.setTimeout(resolve, 700))
        finished = true
      },
    })
    const info = process as unknown as { info(message: string): void }
    arrange(scene)
    if (phase === 'closing') process.write({ type: 'close', code: 4000 })
    if (phase === 'open') info.info('take your time')
    await scene.network.settle()
    t.equal(process.phase, phase)
    const abortedAt = clock.now()
    controller.abort(why)
    // An abort is no error, whatever its reason is.
    const expected = { type: 'stop', normal: true, value: why, error: null }
    t.match(await scene.network.run(process.ended), expected, phase)
    t.equal(clock.now() - abortedAt, ms, phase)
    t.equal(finished, phase === 'open')
    t.equal(scene.times.length, 1)
    await scene.cut()
    scene.empty()
  }
  await scene.network.close()
})

const stop = (message: unknown): void =>
  void (message as PublishedEvent).process.stop(undefined, { timeoutMs: 0 })

for (const told of [true, false]) {
  t.test(
    `stopped by whoever hears that it is open, ${told ? 'before' : 'without a'} handleConnect`,
    async t => {
      const scene = new Scene(t)
      subscribe(channelName('open'), stop)
      t.teardown(() => unsubscribe(channelName('open'), stop))
      const terminate = (reason: EndReason): void => void scene.ends.push(reason)
      const behaviour = told ? { terminate, handleConnect: () => {} } : { terminate }
      const options = { ...scene.network.startOptions, keepalive: 1000 }
      t.match(await failure(scene.network.run(start(PEER, behaviour, options))), { name: 'NoProcessError' })
      await scene.network.settle()
      scene.empty()
    },
  )
}

t.test('the first attempt asks for what the options say when it is made', async t => {
  const asked: string[] = []
  await using server = await listen({}, (socket, { head }) => {
    const token = head.headers.find(([name]) => name === 'X-Token')?.[1] ?? 'none'
    asked.push(`${head.target} ${token}`)
    socket.onMessage = () => void socket.close()
  })
  const headers: Record<string, string> = {}
  const url = new URL(server.url)
  const init = async (): Promise<void> => {
    await Promise.resolve()
    headers['X-Token'] = 'fresh'
    url.pathname = '/late'
  }
  await (await start(url.href, { init }, { headers })).stop()
  await (await start(url, { init })).stop()
  await (await start({ url }, { init })).stop()
  t.same(asked, ['/ fresh', '/late none', '/late none'])
})

t.test('a target that is none is refused with a word on what it should be', async t => {
  const none: unknown[] = [undefined, null, 5, {}, [], { uri: PEER }]
  for (const target of none) {
    const error = await failure(start(target as string, {}))
    t.match(error, { code: 'WS_BAD_URL', message: /a target is a URL/ }, JSON.stringify(target))
  }
})
