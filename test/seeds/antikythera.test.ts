// Strategy: Antikythera.Websocket 0.2.0 on this layer: each callback, answer, reason of an end, limit, and function of its
// registry. Names begin with its word for them. Clients are our own sockets and raw ones, over loopback.
import t, { type Test } from 'tap'
import {
  connect,
  type ConnectOptions,
  type EndReason,
  HandshakeError,
  type Message,
  type Self,
  type Socket,
} from '../../src/index.js'
import { createRegistry } from '../../src/registry/index.js'
import {
  endpoint,
  listen,
  type ListenOptions,
  type Server,
  type ServerBehaviour,
} from '../../src/server/index.js'
import { VirtualClock } from '../../src/testing/index.js'
import { rawClient, until, upgradeRequest } from '../support/raw-peer.js'
import { failure } from '../support/servers.js'
import { watchWarnings } from '../support/warnings.js'

type Gear = ServerBehaviour<unknown, unknown>

async function gear(
  t: Test,
  behaviour: Gear,
  options: ListenOptions = {},
): Promise<Server & { url: string; port: number }> {
  const server = await listen({ ...options, routes: { '/ws/:room': endpoint(behaviour) } })
  t.teardown(() => server.close())
  return server
}

async function client(t: Test, server: { url: string }, path = '/ws/a', options: ConnectOptions = {}) {
  const got: unknown[] = []
  const socket = await connect(server.url + path, {
    ...options,
    onMessage: ({ data }) => void got.push(data),
  })
  t.teardown(() => socket.terminate())
  return { socket, got }
}

const refused = async (
  server: { url: string },
  path = '/ws/a',
  options: ConnectOptions = {},
): Promise<HandshakeError> => {
  const error = await failure(connect(server.url + path, options))
  if (!(error instanceof HandshakeError)) throw error
  return error
}

t.test('connect: the default lets everybody in, and so does a conn without a status', async t => {
  const plain = await gear(t, {})
  t.equal((await client(t, plain)).socket.state, 'open')
  const asked: string[] = []
  const server = await gear(t, { handleUpgrade: ({ path }) => void asked.push(path) })
  t.equal((await client(t, server)).socket.state, 'open')
  t.same(asked, ['/ws/a'])
})

t.test('connect: any other status is that HTTP response', async t => {
  const server = await gear(t, {
    handleUpgrade: ({ headers }) =>
      headers['authorization'] === undefined
        ? { status: 401, headers: { 'X-Why': 'no token' }, body: 'who are you?' }
        : {},
  })
  const error = await refused(server)
  t.equal(error.status, 401)
  t.equal(Buffer.from(error.response!.body).toString(), 'who are you?')
  t.ok(error.headers.some(([name, value]) => name === 'X-Why' && value === 'no token'))
  await client(t, server, '/ws/a', { headers: { Authorization: 'Bearer x' } })
})

t.test('connect: an exception is 500, and so is a time-out', async t => {
  const clock = new VirtualClock()
  let asked = 0
  const server = await gear(
    t,
    {
      handleUpgrade: () => {
        asked++
        if (asked === 1) throw new Error('broken')
        return new Promise(() => {})
      },
    },
    { clock },
  )
  const warnings = watchWarnings(t)
  t.match(await refused(server), { status: 500 })
  const slow = refused(server)
  await until(() => asked === 2, 'the second question')
  clock.advance(10_000)
  t.match(await slow, { status: 500 })
  t.match(warnings, [{ code: 'WS_HANDLE_UPGRADE_FAILED' }])
})

t.test('init: gives the state and the first frames, before any message of the client', async t => {
  const order: string[] = []
  const server = await gear(t, {
    init: ({ params }) => {
      order.push('init')
      return params['room']
    },
    handleConnect: (_, room) => ({ reply: [`hello from ${String(room)}`, 'and again'] }),
    handleFrame: (frame, room) => {
      order.push('message')
      return { reply: `${String(room)}: ${String(frame.data)}` }
    },
  })
  const { socket, got } = await client(t, server, '/ws/blue')
  socket.write('x')
  await until(() => got.length === 3, 'all of it')
  t.same(got, ['hello from blue', 'and again', 'blue: x'])
  t.same(order, ['init', 'message'])
})

t.test(
  'handle_client_message: gets whole text and binary messages, and answers with a state and a list of frames',
  async t => {
    const server = await gear(t, {
      init: () => 0,
      handleFrame: ({ type, data }: Message, count) => ({
        state: Number(count) + 1,
        reply:
          type === 'text' && data === 'nothing'
            ? []
            : [
                { type: 'text', data: `${String(count)} ${type}` },
                { type: 'binary', data: Uint8Array.of(7) },
              ],
      }),
    })
    const { socket, got } = await client(t, server)
    await socket.send(['he', 'llo'])
    socket.write('nothing')
    socket.write(Uint8Array.of(1))
    await until(() => got.length === 4, 'the answers')
    t.same(got, ['0 text', Uint8Array.of(7), '2 binary', Uint8Array.of(7)])
  },
)

t.test('frames: those after a close are not sent', async t => {
  const server = await gear(t, {
    handleFrame: ({ data }) => ({
      reply: [
        'before',
        data === 'plain' ? { type: 'close' } : { type: 'close', code: 4001, reason: 'enough' },
        'after',
      ],
    }),
  })
  for (const [said, received] of [
    ['plain', { code: 1005, reason: '' }],
    ['coded', { code: 4001, reason: 'enough' }],
  ] as const) {
    const { socket, got } = await client(t, server)
    socket.write(said)
    t.match(await socket.closed, { received, wasClean: true })
    t.same(got, ['before'])
  }
})

t.test('handle_server_message: gets any message of other processes, and answers with frames', async t => {
  const server = await gear(t, {
    init: () => 1,
    handleInfo: (message, state) => ({
      state: Number(state) + 1,
      reply: `${String(state)} ${JSON.stringify(message)}`,
    }),
  })
  const { got } = await client(t, server)
  await until(() => server.processes.size === 1, 'the process')
  const [process] = server.processes
  process.info({ any: 'thing' })
  process.info(7)
  await until(() => got.length === 2, 'both')
  t.same(got, ['1 {"any":"thing"}', '2 7'])
})

/** Runs one client, and gives the reason that terminate has got. */
async function ending(
  t: Test,
  behaviour: Gear,
  act: (socket: Socket, server: Server) => unknown,
  options: ListenOptions = {},
): Promise<EndReason> {
  const reasons: EndReason[] = []
  const server = await gear(t, { ...behaviour, terminate: reason => void reasons.push(reason) }, options)
  const { socket } = await client(t, server)
  await until(() => server.processes.size === 1, 'the process')
  await act(socket, server)
  await until(() => reasons.length === 1, 'terminate')
  return reasons[0]
}

t.test('terminate: :normal is a stop without a reason', async t => {
  t.match(await ending(t, {}, (_, server) => void [...server.processes][0].stop()), {
    type: 'stop',
    normal: true,
  })
})

t.test('terminate: :stop is a close of ours', async t => {
  const reason = await ending(t, { handleFrame: () => ({ close: true }) }, socket => socket.write('x'))
  t.match(reason, { type: 'local', normal: true, code: 1000 })
})

t.test('terminate: :timeout is a client that says nothing for idleTimeoutMs, closed with 1000', async t => {
  const clock = new VirtualClock()
  let closed: unknown
  const reason = await ending(
    t,
    {},
    socket => {
      void socket.closed.then(({ received }) => (closed = received))
      clock.advance(60_000)
    },
    { clock, idleTimeoutMs: 60_000, keepalive: false },
  )
  t.match(reason, { type: 'timeout', normal: true })
  await until(() => closed !== undefined, 'the Close')
  t.match(closed, { code: 1000, reason: 'timeout' })
})

t.test('terminate: :remote is a Close without a code', async t => {
  t.match(await ending(t, {}, socket => void socket.close(1005)), {
    type: 'remote',
    normal: true,
    code: null,
  })
})

t.test('terminate: {:remote, code, payload} is a Close with them', async t => {
  const reason = await ending(t, {}, socket => void socket.close(4321, 'tired'))
  t.match(reason, { type: 'remote', normal: false, code: 4321, text: 'tired' })
})

t.test(
  'terminate: {:error, reason} has the exception of a callback, or what the network or the protocol said',
  async t => {
    const warnings = watchWarnings(t)
    const fault = new Error('in a callback')
    const crash = await ending(
      t,
      {
        handleFrame: () => {
          throw fault
        },
      },
      socket => socket.write('x'),
    )
    t.match(crash, { type: 'crash', normal: false })
    t.equal(crash.error, fault)
    await until(() => warnings.length === 1, 'the warning')
    t.match(await ending(t, {}, socket => socket.terminate()), {
      type: 'closed',
      normal: false,
      error: { code: 'WS_CONNECTION_LOST' },
    })
  },
)

t.test('terminate: its own exceptions are reported and change nothing', async t => {
  const warnings = watchWarnings(t)
  const server = await gear(t, {
    terminate: () => {
      throw new Error('too late')
    },
  })
  const { socket } = await client(t, server)
  await socket.close()
  await until(() => warnings.length === 1 && server.processes.size === 0, 'the end')
  t.match(warnings, [{ code: 'WS_TERMINATE_FAILED' }])
})

t.test('ping: is answered, and can be hidden', async t => {
  let shown = 0
  const server = await gear(t, { handlePing: () => void shown++ }, { silencePings: true })
  const { socket } = await client(t, server)
  t.type(await socket.ping(), 'number')
  t.equal(shown, 0)
})

t.test('Registry.Unique.register: :ok, {:error, :taken}, {:error, :pid_already_registered}', async t => {
  const registry = createRegistry()
  const answers: string[] = []
  const server = await gear(t, {
    init: async ({ query }, self: Self) => {
      const name = query.get('name') ?? ''
      answers.push(await registry.unique.register(name, self))
      return name
    },
    handleInfo: (message, name) => ({ reply: `${String(name)} hears ${String(message)}` }),
  })
  const ann = await client(t, server, '/ws/a?name=ann')
  await until(() => answers.length === 1, 'the first')
  await client(t, server, '/ws/a?name=ann')
  await until(() => answers.length === 2, 'the second')
  const [first] = server.processes
  answers.push(await registry.unique.register('ann', first), await registry.unique.register('bob', first))
  t.same(answers, ['ok', 'taken', 'ok', 'already-registered'])
  t.equal(await registry.scope('other').unique.register('ann', first), 'ok', 'another pool')
  t.same(
    [await registry.unique.unregister('ann', first), await registry.unique.unregister('ann', first)],
    ['ok', 'not-registered'],
  )
  t.equal(await registry.unique.register('ann', first), 'ok')
  ann.socket.terminate()
  await until(() => server.processes.size === 1, 'the end of the first')
  t.equal(await registry.unique.lookup('ann'), null, 'it vanishes with its process')
})

t.test('Registry.Unique.send_message: true for a name that somebody has, else false', async t => {
  const registry = createRegistry()
  const server = await gear(t, {
    init: async (_, self: Self) => void (await registry.unique.register('ann', self)),
    handleInfo: message => ({ reply: String(message) }),
  })
  const { got } = await client(t, server)
  await until(() => server.processes.size === 1, 'the process')
  await until(() => got.length === 0, 'nothing')
  t.equal(await registry.unique.send('nobody', 'x'), false)
  while (!(await registry.unique.send('ann', 'hello'))) await new Promise(resolve => setImmediate(resolve))
  await until(() => got.length === 1, 'the message')
  t.same(got, ['hello'])
})

t.test('Registry.Group: join and leave, :ok and {:error, :pid_not_in_group}', async t => {
  const { group } = createRegistry()
  const server = await gear(t, {})
  await client(t, server)
  await until(() => server.processes.size === 1, 'the process')
  const [process] = server.processes
  t.equal(await group.leave('room', process), 'not-in-group')
  t.same(
    [
      await group.join('room', process),
      await group.join('room', process),
      await group.join('other', process),
    ],
    ['ok', 'ok', 'ok'],
  )
  t.same([await group.leave('room', process), await group.leave('room', process)], ['ok', 'not-in-group'])
  t.same(group.members('other'), [process])
})

t.test('Registry.Group.publish: tells how many processes it goes to, the sender among them', async t => {
  const { group } = createRegistry()
  const server = await gear(t, {
    init: async (_, self: Self) => void (await group.join('room', self)),
    handleFrame: async ({ data }) => {
      const { recipients } = await group.publish('room', data)
      return { reply: `to ${recipients}` }
    },
    handleInfo: message => ({ reply: String(message) }),
  })
  t.match(await group.publish('room', 'nobody'), { recipients: 0 })
  const all = [await client(t, server), await client(t, server), await client(t, server)]
  await until(() => group.members('room').length === 3, 'all of them')
  all[0].socket.write('hello')
  await until(() => all.every(({ got }) => got.includes('hello')), 'the message')
  await until(() => all[0].got.length === 2, 'the number')
  t.same(new Set(all[0].got), new Set(['hello', 'to 3']))
  await all[2].socket.close()
  await until(() => group.members('room').length === 2, 'one to be gone')
})

t.test('ws_max_connections: more than that are 503, and it can be changed and counted', async t => {
  const server = await gear(t, {}, { maxConnections: 1 })
  const first = await client(t, server)
  t.match(await refused(server), { status: 503 })
  server.setMaxConnections(2)
  await client(t, server)
  t.same(server.statistics(), { count: 2, max: 2, rejected: 1 })
  await first.socket.close()
  await until(() => server.statistics().count === 1, 'a place')
})

t.test(
  'websocket/2: a path with placeholders leads to its gear; a GET that is no upgrade is 426',
  async t => {
    const server = await gear(t, {
      init: ({ params }) => params['room'],
      handleConnect: (_, room) => ({ reply: String(room) }),
    })
    const { got } = await client(t, server, '/ws/red')
    await until(() => got.length === 1, 'the room')
    t.same(got, ['red'])
    t.match(await refused(server, '/elsewhere'), { status: 404 })
    const peer = await rawClient(t, server.port)
    peer.write(upgradeRequest().replace('Upgrade: websocket\r\n', '').replace('Connection: Upgrade\r\n', ''))
    t.match(await peer.head(), /^HTTP\/1\.1 426 /)
  },
)

t.test('shutdown: every connection gets 1001 and is asked to come back, spread over a while', async t => {
  const clock = new VirtualClock()
  const server = await gear(t, {}, { clock, keepalive: false })
  const all = await Promise.all([1, 2, 3].map(() => client(t, server)))
  await until(() => server.processes.size === 3, 'three')
  const ended: unknown[] = []
  for (const { socket } of all) void socket.closed.then(({ received }) => ended.push(received))
  const drained = server.drain({ spreadMs: 2000, deadlineMs: 10_000 })
  for (const count of [1, 2, 3]) {
    clock.advance(count === 1 ? 1 : 1000)
    await until(() => ended.length === count, `the ${count}`)
  }
  t.same(await drained, { closed: 3, cut: 0 })
  t.match(
    ended,
    [1, 2, 3].map(() => ({ code: 1001, reason: 'server shutting down; please reconnect' })),
  )
})
