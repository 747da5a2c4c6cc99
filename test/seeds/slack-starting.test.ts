// Strategy: the functions and options of Slack.WebSocketClient on our layer: cast and its frames, start_link, child_spec; and those
// that websocket_client has besides: send, names, headers, TLS. See slack.test.ts for the callbacks and for how names are spelt.
import { connect as netConnect, type Socket as NetSocket } from 'node:net'
import t, { type Test } from 'tap'
import type { TLSSocket } from 'node:tls'
import {
  AlreadyStartedError,
  type AnyProcess,
  childSpec,
  defineBehaviour,
  type Frame,
  FrameEncodeError,
  idle,
  InvalidFrameError,
  type NameRegistry,
  NotConnectedError,
  type Process,
  send,
  setGlobalRegistry,
  start,
  type StartOptions,
  startSupervisor,
  UsageError,
} from '../../src/index.js'
import { VirtualClock } from '../../src/testing/index.js'
import { answeringServer } from '../support/answering-server.js'
import { authority, certificates } from '../support/certificates.js'
import { PING, TEXT } from '../support/frames.js'
import { acceptance, type RawPeer, rawServer, until } from '../support/raw-peer.js'
import {
  guestServer,
  meet,
  meetRaw,
  MEMORY_URL,
  Queue,
  running,
  theEnd,
  virtualNetwork,
} from '../support/seed-peers.js'
import { failure } from '../support/servers.js'

// cast/2 and send/2

/** What a server hears of a frame. */
const sends = async (t: Test, frame: Frame, expected: string): Promise<void> => {
  const { client, guest } = await meet(t, url => start(url, {}))
  t.equal(client.write(frame), true)
  t.equal(await guest.next(), expected)
}

t.test('cast {:text, binary}: sends a text message', t =>
  sends(t, { type: 'text', data: 'Grüße' }, 'text Grüße'),
)
t.test('cast {:binary, binary}: sends a binary message', t =>
  sends(t, { type: 'binary', data: Uint8Array.of(1, 255) }, 'binary 01ff'),
)
t.test('cast :ping: sends an empty ping', t => sends(t, { type: 'ping' }, 'ping'))
t.test('cast {:ping, binary}: sends a ping with a payload', t =>
  sends(t, { type: 'ping', data: 'here?' }, 'ping here?'),
)
t.test('cast :pong: sends an empty pong', t => sends(t, { type: 'pong' }, 'pong'))
t.test('cast {:pong, binary}: sends a pong with a payload', t =>
  sends(t, { type: 'pong', data: 'there' }, 'pong there'),
)
t.test('cast :close: sends an empty Close', t => sends(t, { type: 'close' }, 'close 1005'))
t.test('cast {:close, code, reason}: sends a Close with both', t =>
  sends(t, { type: 'close', code: 4999, reason: 'bye' }, 'close 4999 bye'),
)

t.test('cast: what is no frame is the error of who casts it, and the process lives', async t => {
  const { client, guest } = await meet(t, url => start(url, {}))
  t.throws(() => client.write({ type: 'txet', data: 'x' } as never), InvalidFrameError)
  for (const code of [999, 1005, 1006, 1015, 5000]) {
    t.throws(() => client.write({ type: 'close', code }), FrameEncodeError)
  }
  t.throws(() => client.write({ type: 'ping', data: 'x'.repeat(126) }), FrameEncodeError)
  client.write('fine')
  t.equal(await guest.next(), 'text fine')
})

t.test('cast: without a connection the frame is refused, dropped or kept, as one says', async t => {
  const { url, guest } = await guestServer(t)
  const begin = (options: StartOptions): Promise<Process> =>
    start(url, { init: () => idle(null) }, options).then(client => running(t, client) as Process)
  t.equal((await begin({})).write('refused'), false)
  t.equal((await begin({ whenNotOpen: 'drop' })).write('thrown away'), true)
  const keeping = await begin({ whenNotOpen: 'queue' })
  t.equal(keeping.write('kept'), true)
  await keeping.connect()
  t.equal(await (await guest()).next(), 'text kept')
})

t.test('send: ok when it was handed over, else {error, Reason}, which says the state', async t => {
  const network = virtualNetwork(t)
  const server = network.listen(MEMORY_URL, () => {})
  server.hang()
  const client = await network.run(start(MEMORY_URL, {}, { ...network.startOptions, async: true }))
  const states: string[] = []
  const trySend = async (): Promise<void> => {
    const error = await network.run(failure(client.send('x')))
    t.ok(error instanceof NotConnectedError)
    states.push((error as NotConnectedError).state)
  }
  await network.settle()
  await trySend()
  server.up()
  await network.settle()
  await network.run(client.send('handed over'))
  const { link } = server
  link.freeze()
  client.write({ type: 'close' })
  await trySend()
  await network.run(client.ended)
  await trySend()
  link.thaw()
  t.same(states, ['connecting', 'closing', 'ended'])
  await theEnd(t, network, client)
})

t.test('connect: is ok when the connection is there, and fails with what went wrong', async t => {
  const { url, asked } = await answeringServer(t, (_asked, nth) => ({ status: nth === 0 ? 503 : 101 }))
  const client = await start(url, { init: () => idle(null), handleDisconnect: () => ({ stay: true }) })
  running(t, client)
  t.match(await failure(client.connect()), { code: 'WS_HANDSHAKE_STATUS', status: 503 })
  await client.connect()
  t.equal(client.phase, 'open')
  t.equal(asked.length, 2)
})

// A send that fails is one disconnect, whatever it was that was sent.

/** A client whose end of TCP breaks when told: whatever it writes then fails, and nothing else tells that it is broken. */
const brittle = async (
  t: Test,
  more: StartOptions = {},
): Promise<{
  client: Process<unknown, never, never, unknown, unknown>
  peer: RawPeer
  snap: () => void
  disconnects: string[]
}> => {
  let tcp!: NetSocket
  const disconnects: string[] = []
  const { client, peer } = await meetRaw(t, url =>
    start(
      url,
      {
        handleFrame: () => ({ reply: 'an answer' }),
        handleDisconnect: ({ reason, phase }) => void disconnects.push(`${reason.type} ${phase}`),
      },
      {
        ...more,
        netConnect: options => {
          tcp = netConnect(options)
          return tcp
        },
      },
    ),
  )
  const broken = Object.assign(new Error('broken pipe'), { code: 'EPIPE' })
  const snap = (): void => {
    Object.assign(tcp, {
      _write: (_chunk: unknown, _encoding: unknown, done: (error: Error) => void) => done(broken),
      _writev: (_chunks: unknown, done: (error: Error) => void) => done(broken),
    })
  }
  return { client, peer, snap, disconnects }
}

t.test('a send that fails in cast: is one disconnect', async t => {
  const { client, snap, disconnects } = await brittle(t)
  snap()
  client.write('into the void')
  t.match(await client.ended, { type: 'closed', normal: false, error: { cause: { code: 'EPIPE' } } })
  t.same(disconnects, ['closed open'])
})

t.test('a send that fails in the keepalive: is one disconnect', async t => {
  const clock = new VirtualClock()
  const { client, snap, disconnects } = await brittle(t, { clock, keepalive: 1000 })
  snap()
  clock.advance(1000)
  t.match(await client.ended, { type: 'closed', normal: false, error: { cause: { code: 'EPIPE' } } })
  t.same(disconnects, ['closed open'])
  t.equal(clock.pending, 0)
})

t.test('a send that fails in a pong: is one disconnect', async t => {
  const { client, peer, snap, disconnects } = await brittle(t)
  snap()
  peer.send({ opcode: PING, payload: 'here?' })
  t.match(await client.ended, { type: 'closed', normal: false, error: { cause: { code: 'EPIPE' } } })
  t.same(disconnects, ['closed open'])
})

t.test('a send that fails in a reply: is one disconnect', async t => {
  const { client, peer, snap, disconnects } = await brittle(t)
  snap()
  peer.send({ opcode: TEXT, payload: 'a question' })
  t.match(await client.ended, { type: 'closed', normal: false, error: { cause: { code: 'EPIPE' } } })
  t.same(disconnects, ['closed open'])
})

// start_link and its options

t.test('start_link(url, module, state): what the document shows first', async t => {
  const module = defineBehaviour({ init: (state: { token: string }) => ({ ...state, seen: 0 }) })
  const { client, guest } = await meet(t, url => start(url, module, { args: { token: 'xoxb' } }))
  client.write({ type: 'text', data: '...' })
  t.equal(await guest.next(), 'text ...')
  t.same(await client.getState(), { token: 'xoxb', seen: 0 })
})

t.test('start_link(url, module, state, opts): returns before it is connected, with async', async t => {
  const server = await rawServer(t)
  const opened = new Queue<void>()
  const client = running(t, await start(server.url, { handleConnect: () => opened.put() }, { async: true }))
  t.equal(client.phase, 'connecting')
  const peer = await server.accepted()
  peer.write(acceptance(await peer.head()))
  await opened.next()
  t.equal(client.phase, 'open')
})

t.test('start_link({local, Name}, ...): a name by which others reach it', async t => {
  const { url, guest } = await guestServer(t)
  const client = running(t, await start(url, {}, { name: 'slack bot' }))
  await send('slack bot', 'by name')
  t.equal(await (await guest()).next(), 'text by name')
  const error = await failure(start(url, {}, { name: 'slack bot' }))
  t.ok(error instanceof AlreadyStartedError)
  t.match(error, { code: 'WS_ALREADY_STARTED', holder: client })
})

/** A registry as somebody might write it. */
const ownRegistry = (): { readonly names: Map<unknown, AnyProcess> } & NameRegistry => {
  const names = new Map<unknown, AnyProcess>()
  return {
    names,
    register: (key, process) => !names.has(key) && names.set(key, process) === names,
    unregister: key => names.delete(key),
    whereis: key => names.get(key),
  }
}

t.test('start_link({global, Name}, ...): a name in the registry of the cluster', async t => {
  const { url, guest } = await guestServer(t)
  const registry = ownRegistry()
  setGlobalRegistry(registry)
  t.teardown(() => setGlobalRegistry(null))
  const name = { global: ['bot', 1] }
  running(t, await start(url, {}, { name }))
  await send(name, 'by global name')
  t.equal(await (await guest()).next(), 'text by global name')
})

t.test('start_link({via, Module, Name}, ...): a name in a registry of yours', async t => {
  const { url, guest } = await guestServer(t)
  const registry = ownRegistry()
  const name = { via: registry, key: 'bot' }
  const client = running(t, await start(url, {}, { name }))
  await send(name, 'by way of')
  t.equal(await (await guest()).next(), 'text by way of')
  t.match(await failure(start(url, {}, { name })), { code: 'WS_ALREADY_STARTED', holder: client })
  await client.stop()
  t.equal(registry.names.size, 0)
})

t.test('start_link, url with wss and https: is TLS, verified, for http/1.1 alone', async t => {
  const tls = { ...certificates.valid, ALPNProtocols: ['h2', 'http/1.1'] }
  const { url, guest } = await guestServer(t, { tls })
  for (const one of [url, url.replace('wss:', 'https:')]) {
    running(t, await start(one, {}, { tls: { ca: authority.cert } }))
    const { socket } = (await guest()).request
    t.equal((socket as TLSSocket).alpnProtocol, 'http/1.1')
  }
  t.match(await failure(start(url, {})), { code: 'WS_TLS_FAILED' })
})

t.test('start_link, url with ws and http: is TCP', async t => {
  const { url, guest } = await guestServer(t)
  for (const one of [url, url.replace('ws:', 'http:')]) {
    running(t, await start(one, {}))
    await guest()
  }
})

t.test('start_link, url with another scheme: is refused before anything is dialed', async t => {
  for (const url of ['slack://127.0.0.1:9/', 'ftp://127.0.0.1:9/', '127.0.0.1:9']) {
    const error = await failure(start(url, {}))
    t.ok(error instanceof UsageError)
    t.match(error, { code: 'WS_BAD_URL' })
  }
})

t.test('start_link, url without a path: asks for /, and a query is kept', async t => {
  const { port, guest } = await guestServer(t)
  const asked: (string | undefined)[] = []
  for (const rest of ['', '?token=a%20b&x=1', '/rtm/connect?token=c']) {
    running(t, await start(`ws://127.0.0.1:${port}${rest}`, {}))
    asked.push((await guest()).request.url)
  }
  t.same(asked, ['/', '/?token=a%20b&x=1', '/rtm/connect?token=c'])
})

t.test('start_link, url as a charlist: a URL object or a function will do', async t => {
  const { url, guest } = await guestServer(t)
  running(t, await start(new URL(url), {}))
  await guest()
  running(t, await start(async () => `${url}?ticket=1`, {}))
  t.equal((await guest()).request.url, '/?ticket=1')
})

t.test('start_link, keepalive: ms between two pings, whose pongs the handler sees', async t => {
  const network = virtualNetwork(t)
  const times: string[] = []
  network.listen(MEMORY_URL, socket => {
    socket.onPing = () => times.push(`ping at ${network.clock.now()}`)
  })
  const client = await network.run(
    start(
      MEMORY_URL,
      { handlePong: () => void times.push('pong') },
      { ...network.startOptions, keepalive: 10_000 },
    ),
  )
  await network.advance(20_000)
  t.same(times, ['ping at 10000', 'pong', 'ping at 20000', 'pong'])
  await theEnd(t, network, client)
})

t.test('start_link, keepalive: :infinity is none', async t => {
  const network = virtualNetwork(t)
  let pings = 0
  network.listen(MEMORY_URL, socket => {
    socket.onPing = () => pings++
  })
  const begin = (keepalive: StartOptions['keepalive']): Promise<Process> =>
    network.run(start(MEMORY_URL, {}, { ...network.startOptions, keepalive }))
  const clients = [await begin(false), await begin(Infinity)]
  t.equal(network.clock.pending, 0)
  await network.advance(3_600_000)
  t.equal(pings, 0)
  await theEnd(t, network, ...clients)
})

t.test('start_link, extra_headers: a list of pairs, or an object', async t => {
  const { url, guest } = await guestServer(t)
  for (const headers of [[['Cookie', 'd=1']], { cookie: 'd=1' }] as const) {
    running(t, await start(url, {}, { headers }))
    t.equal((await guest()).request.headers.cookie, 'd=1')
  }
})

t.test('start_link, ssl_verify: verify_peer unless insecure: true is said', async t => {
  const { url, guest } = await guestServer(t, { tls: certificates.expired })
  const error = await failure(start(url, {}, { tls: { ca: authority.cert } }))
  t.match(error, { code: 'WS_TLS_FAILED', cause: { code: 'CERT_HAS_EXPIRED' } })
  running(t, await start(url, {}, { insecure: true }))
  await guest()
})

t.test('start_link, socket_opts: TCP and TLS have options of their own', async t => {
  const tls = { ...certificates.valid, requestCert: true, ca: authority.cert }
  const { url, guest } = await guestServer(t, { tls })
  const { cert, key } = certificates.valid
  running(
    t,
    await start(url, {}, { tcp: { family: 0, keepAlive: true }, tls: { ca: authority.cert, cert, key } }),
  )
  t.equal(((await guest()).request.socket as TLSSocket).getPeerCertificate().subject.CN, 'localhost')
})

t.test('wsc_lib:create_auth_header/3: user info in the URL is Basic authorization', async t => {
  const { url, guest } = await guestServer(t)
  running(t, await start(url.replace('//', '//bot:s%40cret@'), {}))
  const basic = `Basic ${Buffer.from('bot:s@cret').toString('base64')}`
  t.equal((await guest()).request.headers.authorization, basic)
  running(t, await start(url, {}, { headers: { Authorization: basic } }))
  t.equal((await guest()).request.headers.authorization, basic)
})

t.test('websocket_req: what its accessors tell is in the connection', async t => {
  const log = new Queue<unknown>()
  const { url } = await guestServer(t, { handleProtocols: () => 'chat' })
  const client = await start(
    `${url}rtm?v=1`,
    {
      handleConnect: ({ url, subprotocol, head, attempt }) => {
        const { protocol, host, pathname, search } = new URL(url)
        log.put([protocol, host, pathname + search, subprotocol, head.status, attempt])
      },
    },
    { subprotocols: ['chat'] },
  )
  running(t, client)
  t.same(await log.next(), ['ws:', new URL(url).host, '/rtm?v=1', 'chat', 101, 1])
  const { phase, bufferedAmount, rttMs, name } = client
  t.same([phase, bufferedAmount, rttMs, name], ['open', 0, null, null])
})

t.test('child_spec: a supervisor starts it again after a crash', async t => {
  const { url, guest } = await guestServer(t)
  const bot = { handleFrame: () => Promise.reject(new Error('a bug')) }
  const spec = childSpec({ id: 'bot', target: url, behaviour: bot })
  const supervisor = await startSupervisor({ children: [spec] })
  t.teardown(() => supervisor.stop())
  const one = await guest()
  const first = supervisor.child('bot')
  one.socket.send('find the bug')
  t.equal(await one.next(), 'close 1011')
  await guest()
  await until(() => supervisor.child('bot') !== null && supervisor.child('bot') !== first, 'another child')
})

t.test('child_spec: with transient, a clean close does not start it again', async t => {
  const { url, guest } = await guestServer(t)
  const spec = childSpec({ id: 'bot', target: url, behaviour: {}, restart: 'transient' })
  const supervisor = await startSupervisor({ children: [spec] })
  t.teardown(() => supervisor.stop())
  const bot = supervisor.child('bot')!
  ;(await guest()).socket.close(1000)
  t.match(await bot.ended, { type: 'remote', normal: true })
  await until(() => supervisor.child('bot') === null, 'the end of the child')
  t.match(supervisor.count(), { specs: 1, active: 0 })
})
