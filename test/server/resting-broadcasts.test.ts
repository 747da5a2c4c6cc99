// Strategy: what is sent to a group whose members are at rest: it comes to them as it comes to others, and wakes nobody.
import { channel } from 'node:diagnostics_channel'
import t from 'tap'
import type { Self } from '../../src/index.js'
import { createRegistry } from '../../src/registry/index.js'
import { authority, certificates } from '../support/certificates.js'
import { rawClient, until, upgradeRequest } from '../support/raw-peer.js'
import { client, scene, turns } from './resting-scene.js'

t.test('what is sent to a group comes in the order of the calls, and wakes nobody', async t => {
  const registry = createRegistry()
  const { server, rest } = await scene(t, {
    init: async (_, self) => void (await registry.group.join('all', self)),
  })
  const clients = [await client(t, server), await client(t, server)]
  await rest()
  void registry.group.broadcast('all', 'one')
  void registry.group.broadcast('all', 'two')
  t.match(await registry.group.broadcast('all', 'three'), { recipients: 2 })
  await until(() => clients.every(({ got }) => got.length === 3), 'all')
  t.equal(server.resting, 2)
  const [process] = server.processes
  void registry.group.broadcast('all', 'four')
  process.write('five')
  void registry.group.broadcast('all', 'six')
  await until(() => clients.every(({ got }) => got.at(-1) === 'six'), 'all')
  t.same(
    clients.map(({ got }) => got.map(String)).toSorted((a, b) => a.length - b.length),
    [
      ['one', 'two', 'three', 'four', 'six'],
      ['one', 'two', 'three', 'four', 'five', 'six'],
    ],
  )
  void registry.group.broadcast('all', 'seven')
  void process.stop()
  await until(() => clients.every(({ got }) => got.at(-1) === 'seven'), 'all: the Close frame came behind')
})

t.test('over TLS nobody is woken either', async t => {
  const registry = createRegistry()
  const init = async (_: unknown, self: Self): Promise<void> => void (await registry.group.join('all', self))
  const { server, rest } = await scene(t, { init }, { tls: certificates.valid })
  const { got } = await client(t, server, { tls: { ca: authority.cert } })
  await rest()
  for (let i = 1; i <= 3; i++) {
    t.match(await registry.group.broadcast('all', `${i}`), { recipients: 1 })
    await until(() => got.length === i, 'it')
    t.equal(server.resting, 1)
  }
  void registry.group.broadcast('all', '4')
  const [process] = server.processes
  process.write('5')
  await until(() => got.length === 5, 'all')
  t.same(got, ['1', '2', '3', '4', '5'])
})

t.test('what comes to a group before handleConnect is done comes behind what that says', async t => {
  const registry = createRegistry()
  let go: (() => void) | null = null
  const { server } = await scene(t, {
    init: async (_, self) => void (await registry.group.join('all', self)),
    handleConnect: () =>
      new Promise<{ reply: string }>(resolve => {
        go = () => resolve({ reply: 'history' })
      }),
  })
  const { got } = await client(t, server)
  await until(() => go !== null, 'handleConnect')
  t.match(await registry.group.broadcast('all', 'news'), { recipients: 1 })
  await registry.group.broadcast('all', 'more')
  t.match(await registry.group.broadcast('all', Buffer.alloc(2 ** 20)), { recipients: 0 }, 'there is a limit')
  go!()
  await until(() => got.length === 3, 'all')
  t.same(got, ['history', 'news', 'more'])
})

for (const awake of [true, false]) {
  const how = awake ? 'awake' : 'at rest'
  t.test(`what is sent to one ${how} whose client has just gone comes back`, async t => {
    const registry = createRegistry()
    const unsent: unknown[] = []
    const { server, rest } = await scene(
      t,
      {
        init: async (_, self) => void (await registry.group.join('all', self)),
        terminate: reason => void unsent.push(reason.unsent.map(frame => (frame as { data?: unknown }).data)),
      },
      awake ? { restAfterMs: Infinity } : {},
    )
    const raw = await rawClient(t, server.port)
    raw.write(upgradeRequest())
    await raw.head()
    await until(() => server.processes.size === 1, 'the process')
    if (awake) await turns()
    else await rest()
    raw.reset()
    // The reset is in the kernel, and nobody has read it.
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 50)
    await registry.group.broadcast('all', 'lost')
    await until(() => unsent.length === 1, 'the end')
    t.same(unsent, [['lost']])
  })
}

t.test('who listens to frames sees those to a group, too', async t => {
  const registry = createRegistry()
  const { server, rest } = await scene(t, {
    init: async (_, self) => void (await registry.group.join('all', self)),
  })
  await client(t, server)
  await rest()
  const seen: unknown[] = []
  const listener = (event: unknown): void => void seen.push(event)
  const frames = channel('sansocket:frame-out')
  frames.subscribe(listener)
  t.teardown(() => {
    frames.unsubscribe(listener)
  })
  await registry.group.broadcast('all', 'one')
  await turns()
  t.match(seen, [{ event: { type: 'frame-out', frame: { data: 'one' } } }])
  const [{ at, elapsedMs }] = seen as [{ at: number; elapsedMs: number }]
  t.ok(elapsedMs >= 8, 'counted from the beginning, and not from the rest')
  t.ok(elapsedMs <= at)
})

t.test('what the operating system has not taken when the connection is lost comes back', async t => {
  const registry = createRegistry()
  const unsent: number[] = []
  const { server, rest } = await scene(t, {
    init: async (_, self) => void (await registry.group.join('all', self)),
    terminate: reason => void unsent.push(reason.unsent.length),
  })
  const raw = await rawClient(t, server.port)
  raw.write(upgradeRequest())
  await raw.head()
  await until(() => server.processes.size === 1, 'the process')
  await rest()
  raw.stream.pause()
  const megabytes = Buffer.alloc(16 * 1024 * 1024)
  await registry.group.broadcast('all', megabytes)
  await turns()
  const [process] = server.processes
  t.ok(process.bufferedAmount > 0)
  raw.stream.destroy()
  await until(() => unsent.length === 1, 'the end')
  t.same(unsent, [1])
})

t.test('compressed messages wake nobody either, and compression goes on behind them', async t => {
  const registry = createRegistry()
  const { server, rest } = await scene(
    t,
    {
      init: async (_, self) => void (await registry.group.join('all', self)),
      handleFrame: ({ data }) => ({ reply: { type: 'text', data: String(data), compress: true } }),
    },
    { compress: { threshold: 2000 } },
  )
  const clients = await Promise.all(
    [
      { threshold: 0 },
      { threshold: 0, serverNoContextTakeover: true, clientNoContextTakeover: true },
      { threshold: 0, serverMaxWindowBits: 10 },
      false as const,
    ].map(compress => client(t, server, { compress })),
  )
  const same = 'the same again and again, '.repeat(40)
  const wanted: string[] = []
  const echo = async (): Promise<void> => {
    for (const { socket } of clients) socket.write(same)
    wanted.push(same)
    await until(() => clients.every(({ got }) => got.length === wanted.length), 'the echo')
    await rest()
  }
  await echo()
  const received = (): number[] => clients.map(({ socket }) => socket.bytesReceived)
  const long = same.repeat(3)
  const text = { type: 'text', data: same, compress: true } as const
  for (const messages of [
    [text],
    [text, 'plain', { type: 'text', data: long }, { type: 'text', data: '', compress: true }] as const,
    [text],
  ]) {
    const before = received()
    for (const message of messages) void registry.group.broadcast('all', message)
    wanted.push(...messages.map(message => (typeof message === 'string' ? message : message.data)))
    await until(() => clients.every(({ got }) => got.length === wanted.length), 'all')
    t.equal(server.resting, clients.length)
    const counts = received().map((bytes, i) => bytes - before[i])
    t.ok(
      counts.every((count, i) => (i === 3 ? count > same.length : count < 200)),
      `bytes: ${counts.join()}`,
    )
    await echo()
  }
  // What takes a while is worth waking for.
  const large = same.repeat(40)
  await registry.group.broadcast('all', { type: 'text', data: large, compress: true })
  wanted.push(large)
  await until(() => clients.every(({ got }) => got.length === wanted.length), 'the large one')
  t.equal(server.resting, 1)
  await rest()
  await echo()
  for (const { got } of clients) t.same(got, wanted)
})
