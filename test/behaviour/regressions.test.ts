// What reviews found: one test each, so that it stays found.
import t from 'tap'
import { type Frame, idle, listen, type NameRegistry, type AnyProcess, start } from '../../src/index.js'
import { failure, turn, withResolvers } from '../support/servers.js'
import { gate, Stage } from '../support/stage.js'

async function* parts(): AsyncGenerator<string> {
  yield 'one '
  await turn()
  yield 'two'
}

t.test('a streamed message that was taken whole is not handed back', async t => {
  const arrived = withResolvers<unknown>()
  const server = await listen({}, socket => {
    socket.onMessage = ({ data }) => {
      arrived.resolve(data)
      setImmediate(() => socket.terminate())
    }
  })
  const unsent: Frame[][] = []
  const feed = await start(server.url, { handleDisconnect: status => void unsent.push([...status.unsent]) })
  await feed.send({ type: 'text', data: parts() })
  t.equal(await arrived.promise, 'one two')
  await feed.ended
  t.same(unsent, [[]])
  await server.close()
})

t.test('fragments by hand neither join nor end a message in parts', async t => {
  const stage = new Stage(t)
  const slow = gate()
  const unsent: (readonly Frame[])[] = []
  const feed = await stage.start({ terminate: reason => void unsent.push(reason.unsent) })
  async function* source(): AsyncGenerator<string> {
    yield 'one '
    await slow.opened
    yield 'two'
  }
  const sent = feed.send({ type: 'text', data: source() })
  await stage.network.settle()
  const refused = { name: 'FrameEncodeError', reason: 'fragment-sequence' }
  const fragments: readonly Frame[] = [
    { type: 'fragment', kind: 'text', data: 'a' },
    { type: 'continuation', data: 'b' },
    { type: 'finish', data: 'c' },
  ]
  for (const fragment of fragments) {
    t.match(await stage.network.run(failure(feed.send(fragment))), refused)
    t.throws(() => feed.write(fragment), refused)
  }
  slow.open()
  await stage.network.run(sent)
  for (const fragment of fragments) await stage.network.run(feed.send(fragment))
  await stage.over(t, feed)
  t.same(unsent, [[]])
  t.same(stage.heard(), [
    'text+ "one "',
    'continuation+ "two"',
    'continuation ""',
    'text+ "a"',
    'continuation+ "b"',
    'continuation "c"',
    'close 1000 ""',
  ])
})

t.test('without handleDisconnect what was not sent is told to terminate, at last', async t => {
  const stage = new Stage(t)
  const told: (readonly Frame[])[] = []
  const feed = await stage.start(
    { terminate: ({ unsent }) => void told.push(unsent) },
    { reconnect: { minDelayMs: 10 }, whenNotOpen: 'error' },
  )
  stage.server.partition()
  const big = 'x'.repeat(200_000)
  for (const name of ['a', 'b']) feed.write(`${name}${big}`)
  stage.server.heal()
  stage.server.link.reset()
  await stage.network.advance(1000)
  t.equal(feed.phase, 'open', 'and it has connected again')
  await stage.network.run(feed.stop())
  t.same(
    told.map(frames => frames.map(frame => (frame as { data: string }).data[0])),
    [['a', 'b']],
  )
  await stage.empty(t)
})

t.test('a first attempt that fails hands back what was accepted before', async t => {
  const stage = new Stage(t)
  stage.server.down()
  const told: (readonly Frame[])[] = []
  await failure(
    stage.starting(
      {
        init: (_, self) => {
          self.info('now')
          return 0
        },
        handleInfo: () => ({ reply: 'important' }),
        terminate: ({ unsent }) => void told.push(unsent),
      },
      { whenNotOpen: 'queue' },
    ),
  )
  t.match(told, [[{ type: 'text', data: 'important' }]])
  await stage.empty(t)
})

t.test('a registry that takes its time lets no callback run before init', async t => {
  const stage = new Stage(t)
  const log: string[] = []
  const registered = gate()
  const names = new Map<unknown, AnyProcess>()
  let unregistered = 0
  const registry: NameRegistry = {
    register: async (key, process) => {
      names.set(key, process)
      await registered.opened
      return true
    },
    unregister: key => {
      unregistered++
      names.delete(key)
    },
    whereis: key => names.get(key),
  }
  const behaviour = {
    init: () => void log.push('init'),
    handleConnect: () => void log.push('connect'),
    handleInfo: (message: string) => void log.push(message),
  }
  const starting = start('ws://stage.test/', behaviour, {
    ...stage.network.startOptions,
    name: { via: registry, key: 'slow' },
  })
  const early = names.get('slow') as AnyProcess & { info: (message: string) => void }
  early.info('hello')
  const connected = early.connect()
  await stage.network.settle()
  t.same(log, [])
  registered.open()
  const feed = await stage.network.run(starting)
  await stage.network.run(connected)
  t.same(log, ['init', 'hello', 'connect'])
  await stage.network.run(feed.stop())
  t.equal(unregistered, 1)

  const second = gate()
  const slow: NameRegistry = {
    ...registry,
    register: (key, process) => {
      names.set(key, process)
      return second.opened.then(() => true)
    },
  }
  log.length = 0
  const doomed = failure(
    start('ws://stage.test/', behaviour, { ...stage.network.startOptions, name: { via: slow, key: 'x' } }),
  )
  void names.get('x')!.stop('no')
  await stage.network.settle()
  second.open()
  t.match(await stage.network.run(doomed), { code: 'WS_NO_PROCESS' })
  t.same(log, [], 'init does not run for a process that has ended')
  t.equal(unregistered, 2)
  await stage.empty(t)
})

t.test('an init that never ends can be aborted, and its name is free again', async t => {
  const stage = new Stage(t)
  const controller = new AbortController()
  const starting = failure(
    start(
      'ws://stage.test/',
      { init: () => new Promise<number>(() => {}), terminate: () => t.fail('there is nothing to terminate') },
      { ...stage.network.startOptions, name: 'stuck', signal: controller.signal },
    ),
  )
  await stage.network.settle()
  controller.abort()
  t.match(await stage.network.run(starting), { name: 'AbortError' })
  const next = await stage.network.run(
    start('ws://stage.test/', { init: () => idle(1) }, { ...stage.network.startOptions, name: 'stuck' }),
  )
  await stage.network.run(next.stop())
  await stage.empty(t)
})

t.test('a process that posts to itself for ever does not stop the program', async t => {
  let posts = 0
  const feed = await start('ws://127.0.0.1:1/', {
    init: () => idle(0),
    handleInfo: (message: string, _state, self) => {
      posts++
      self.info(message)
    },
  })
  feed.info('again')
  await turn()
  t.ok(posts > 0)
  t.match(await feed.stop(), { type: 'stop' })
})

t.test('casts that wait cost nobody else anything', async t => {
  const stage = new Stage(t)
  stage.server.hang()
  const order: string[] = []
  const feed = await stage.starting(
    {
      handleCast: (message: string) => void order.push(message),
      handleInfo: (message: string) => void order.push(message),
    },
    { async: true, connectTimeoutMs: Infinity },
  )
  for (let i = 0; i < 20_000; i++) feed.cast('cast')
  for (let i = 0; i < 1000; i++) feed.info('info')
  await stage.network.settle()
  t.equal(order.length, 1000)
  feed.cast('last')
  feed.info('very last')
  stage.server.up()
  await stage.network.settle()
  t.equal(order.length, 21_002)
  t.equal(order.at(-1), 'last')
  await stage.over(t, feed)
})

t.test('connect() belongs to the attempt it began', async t => {
  const stage = new Stage(t)
  const busy = gate()
  const feed = await stage.start(
    {
      handleInfo: () => busy.opened,
      handleDisconnect: () => ({ reconnect: { delayMs: 60_000 } }),
    },
    {},
  )
  stage.server.down()
  await stage.network.settle()
  await failure(stage.network.run(feed.connect()))
  feed.info('take your time')
  await stage.network.settle()
  const first = failure(feed.connect())
  t.match(await stage.network.run(first), { code: 'WS_CONNECT_FAILED' }, 'told while a callback runs')
  stage.server.up()
  const second = feed.connect()
  busy.open()
  await stage.network.run(second)
  t.equal(feed.phase, 'open')
  await stage.over(t, feed)
})

t.test('connect() at the event of a reconnect is not undone by it', async t => {
  const stage = new Stage(t)
  const feed = await stage.start({ handleDisconnect: () => ({ reconnect: { delayMs: 10_000 } }) }, {})
  feed.debug.subscribe(({ event }) => {
    if (event.type === 'reconnect') void feed.connect()
  })
  stage.server.link.reset()
  await stage.network.advance(10)
  t.equal(feed.phase, 'open')
  await stage.over(t, feed)
})

t.test('what others send waits for handleConnect, and says so when it may not wait', async t => {
  const stage = new Stage(t)
  const ready = gate()
  const starting = stage.starting(
    {
      handleConnect: async () => {
        await ready.opened
        return { reply: 'auth' }
      },
    },
    { async: true },
  )
  const feed = await stage.network.run(starting)
  await stage.network.settle()
  t.equal(feed.phase, 'connecting')
  t.match(await failure(feed.send('too early')), { code: 'WS_NOT_CONNECTED', state: 'connecting' })
  ready.open()
  await stage.network.settle()
  await stage.network.run(feed.send('now'))
  await stage.network.settle()
  t.same(stage.heard(), ['text "auth"', 'text "now"'])
  await stage.over(t, feed)
})

for (const whenNotOpen of ['error', 'queue'] as const) {
  t.test(`callbacks that run before handleConnect do not speak before it: ${whenNotOpen}`, async t => {
    const stage = new Stage(t)
    const busy = gate()
    const unsent: (readonly Frame[])[] = []
    const told: unknown[] = []
    const feed = await stage.start(
      {
        init: () => idle(0),
        handleInfo: async () => {
          await busy.opened
          return { reply: 'late' }
        },
        handleConnect: (_connection, _state, self) => {
          told.push('connect', self.write('token'))
          return { reply: 'auth' }
        },
        handleDisconnect: async ({ unsent: frames }, _state, self) => {
          unsent.push(frames)
          told.push('disconnect', self.phase, self.write('again'))
          if (whenNotOpen === 'error') told.push((await failure(self.send('and again'))).code)
          else void self.send('and again')
          return { stay: true }
        },
      },
      { whenNotOpen },
    )
    feed.info('take your time')
    await stage.network.settle()
    stage.server.down()
    await failure(stage.network.run(feed.connect()))
    stage.server.up()
    void feed.connect()
    await stage.network.settle()
    t.same([feed.phase, stage.links.length], ['connecting', 1], 'the connection is there, and not told of')
    busy.open()
    await stage.network.settle()
    const queued = whenNotOpen === 'queue'
    const refused = queued ? [] : ['WS_NOT_CONNECTED']
    t.same(told, ['disconnect', 'connecting', queued, ...refused, 'connect', true])
    const behind = ['text "late"', 'text "again"', 'text "and again"']
    t.same(stage.heard(), ['text "token"', 'text "auth"', ...(queued ? behind : [])])
    t.same(unsent, [queued ? [] : [{ type: 'text', data: 'late' }]])
    await stage.over(t, feed)
  })
}

t.test('a reply that came too early for a connection is older than what that leaves', async t => {
  const stage = new Stage(t)
  const busy = gate()
  const unsent: (readonly Frame[])[] = []
  const feed = await stage.start({
    init: () => idle(0),
    handleInfo: async () => {
      await busy.opened
      return { reply: 'early' }
    },
    handleConnect: (_connection, _state, self) => {
      stage.server.partition()
      self.write(`behind ${'x'.repeat(200_000)}`)
    },
    handleDisconnect: ({ unsent: frames }) => {
      unsent.push(frames)
      return { stay: true }
    },
  })
  feed.info('take your time')
  void feed.connect()
  await stage.network.settle()
  busy.open()
  await stage.network.settle()
  stage.server.heal()
  stage.server.link.reset()
  await stage.network.advance(100)
  t.same(
    unsent.map(frames => frames.map(frame => (frame as { data: string }).data.split(' ')[0])),
    [['early', 'behind']],
  )
  await stage.over(t, feed)
})

t.test('credits do not go below none', async t => {
  const stage = new Stage(t)
  let seen = 0
  const feed = await stage.start(
    { handleFrame: () => void seen++, handleDisconnect: () => ({ reconnect: true }) },
    { flow: 2 },
  )
  const [first] = stage.sockets
  for (let i = 0; i < 10; i++) first.write('x')
  void first.close(1001)
  await stage.network.advance(10)
  t.equal(seen, 10, 'what was received before the end still comes')
  stage.sockets.at(-1)!.write('y')
  await stage.network.settle()
  t.equal(seen, 10)
  feed.updateFlow(1)
  await stage.network.settle()
  t.equal(seen, 11)
  await stage.over(t, feed)
})

t.test('options that make no sense are found before init runs', async t => {
  for (const options of [
    { maxRedirects: -1 },
    { proxy: 'gopher://x' },
    { cookieStore: {} },
    { headLimits: { maxHeaders: -1 } },
    { headers: { 'bad name': 'x' } },
    { subprotocols: ['a', 'a'] },
    { handshakeTimeoutMs: -1 },
  ]) {
    const error = await failure(start('ws://x/', { init: () => t.fail('init ran') }, options as never))
    t.match(error.code, /^WS_(?:BAD_OPTION|INVALID_HEAD)/, JSON.stringify(options))
  }
  const target = { url: 'ws://x/', bogus: 1 } as never
  t.match(await failure(start(target, { init: () => t.fail('init ran') })), {
    code: 'WS_BAD_OPTION',
    message: /target\.bogus/,
  })
  for (const target of [undefined, null, 5, {}]) {
    t.match(await failure(start(target as never, {})), { code: 'WS_BAD_URL' })
  }
  for (const bad of [{ handleMessage: () => {} }, { onOpen: () => {} }, { handleFrame: 5 }]) {
    t.match(await failure(start('ws://x/', bad as never)), { code: 'WS_BAD_OPTION', message: /callback/ })
  }
  t.match(await failure(start('ws://x/', {}, { reconnect: { minDelay: 5 } } as never)), {
    message: /reconnect\.minDelay; did you mean reconnect\.minDelayMs/,
  })
})

t.test('a change of behaviour that nobody waits for any more does not happen', async t => {
  const stage = new Stage(t)
  const slow = gate()
  const feed = await stage.start({ init: () => 1, version: 1 }, {})
  const change = failure(
    feed.changeBehaviour(
      {
        version: 2,
        codeChange: async () => {
          await slow.opened
          return { state: 2 }
        },
      },
      null,
      { timeoutMs: 100 },
    ),
  )
  t.match(await stage.network.run(change), { name: 'CallTimeoutError' })
  slow.open()
  await stage.network.settle()
  t.match(await stage.network.run(feed.status()), { version: 1, state: 1 })
  await stage.over(t, feed)
})
