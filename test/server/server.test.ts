// Servers whose clients are processes, over real sockets: who is let in, what their behaviours see, and how they go.
import { EventEmitter } from 'node:events'
import { createServer, type IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import { type Test, test } from 'tap'
import { connect, type ConnectOptions, HandshakeError, type Socket, start } from '../../src/index.js'
import {
  attach,
  endpoint,
  listen,
  type Listener,
  type ListenOptions,
  type ServerBehaviour,
} from '../../src/server/index.js'
import { headerOf, rawClient, until, upgradeRequest } from '../support/raw-peer.js'
import { failure, leavesNothing, serve } from '../support/servers.js'
import { VirtualClock } from '../../src/testing/index.js'
import { watchWarnings } from '../support/warnings.js'

const ECHO: ServerBehaviour<unknown> = { handleFrame: frame => ({ reply: frame }) }

async function serving<State, Data = undefined>(
  t: Test,
  behaviour: ServerBehaviour<State, Data>,
  options: ListenOptions = {},
): Promise<Listener> {
  const server = await listen({ ...options, behaviour })
  t.teardown(() => server.close())
  return server
}

async function client(
  t: Test,
  url: string,
  options: ConnectOptions = {},
): Promise<Socket & { got: unknown[] }> {
  const got: unknown[] = []
  const socket = await connect(url, { ...options, onMessage: ({ data }) => void got.push(data) })
  t.teardown(() => socket.terminate())
  return Object.assign(socket, { got })
}

const refused = async (url: string, options: ConnectOptions = {}): Promise<HandshakeError> => {
  const error = await failure(connect(url, options))
  if (!(error instanceof HandshakeError)) throw error
  return error
}

void test('each client is a process of its own, with the callbacks of any behaviour', async t => {
  const ended: unknown[] = []
  const server = await serving(t, {
    init: ({ path, query, params, remoteAddress, subprotocol, data }) => ({
      count: 0,
      seen: { path, room: query.get('room'), params, remoteAddress, subprotocol, data },
    }),
    handleConnect: (_, { seen }) => ({ reply: JSON.stringify(seen) }),
    handleFrame: (frame, state) => ({
      state: { ...state, count: state.count + 1 },
      reply: [`${state.count}`, frame],
    }),
    handleInfo: (message: unknown) => ({ reply: `info ${String(message)}` }),
    terminate: (reason, { count }) => void ended.push([reason.type, reason.normal, count]),
  })
  const a = await client(t, `${server.url}/x/y?room=7`)
  const b = await client(t, server.url)
  await until(() => a.got.length === 1, 'what handleConnect says')
  t.same(JSON.parse(String(a.got[0])), {
    path: '/x/y',
    room: '7',
    params: { path: 'x/y' },
    remoteAddress: '127.0.0.1',
    subprotocol: '',
  })
  a.write('one')
  a.write('two')
  b.write('three')
  await until(() => a.got.length === 5 && b.got.length === 3, 'all replies')
  t.same(a.got.slice(1), ['0', 'one', '1', 'two'])
  t.equal(server.processes.size, 2)
  t.match(server.statistics(), { count: 2, max: 65_536, rejected: 0 })
  for (const process of server.processes) process.info('there')
  await until(() => a.got.at(-1) === 'info there' && b.got.at(-1) === 'info there', 'the info')
  await a.close()
  await until(() => ended.length === 1, 'the end')
  t.same(ended, [['remote', true, 2]])
  t.equal(server.processes.size, 1)
  t.equal(server.statistics().count, 1)
})

void test('frames that come before init is done wait for it', async t => {
  let go: (() => void) | null = null
  const server = await serving(t, {
    init: () => new Promise<string>(resolve => (go = () => resolve('ready'))),
    handleFrame: ({ data }, state) => ({ reply: `${state} ${String(data)}` }),
  })
  const socket = await client(t, server.url)
  socket.write('early')
  await until(() => server.processes.size === 1, 'the process')
  t.same(socket.got, [])
  go!()
  await until(() => socket.got.length === 1, 'the reply')
  t.same(socket.got, ['ready early'])
})

void test('handleUpgrade lets in with a subprotocol, headers and data, or refuses with any response', async t => {
  const server = await serving(
    t,
    {
      handleUpgrade: ({ headers, cookies, subprotocols, path }) => {
        if (path === '/throws') throw new Error('broken')
        if (path === '/own') throw new HandshakeError('WS_HANDSHAKE_REFUSED', { status: 418 })
        if (path === '/bad') return { status: 99 }
        if (path === '/nothing') return undefined
        if (headers['authorization'] !== 'Bearer ok') {
          return {
            status: 401,
            headers: { 'WWW-Authenticate': 'Bearer' },
            body: '{"error":"no token"}',
            type: 'application/json',
          }
        }
        return {
          subprotocol: subprotocols.at(-1) ?? null,
          headers: { 'Set-Cookie': ['a=1', 'b=2'] },
          data: { user: cookies['user'] },
        }
      },
      init: ({ data, subprotocol }) => ({ user: data?.user, subprotocol }),
      handleConnect: (_, state) => ({ reply: JSON.stringify(state) }),
    } satisfies ServerBehaviour<
      { user: string | undefined; subprotocol: string },
      { user: string | undefined }
    >,
    { subprotocols: ['v1'] },
  )
  const socket = await client(t, server.url, {
    headers: { Authorization: 'Bearer ok', Cookie: 'user=ann; user=bob; x="y"' },
    subprotocols: ['v1', 'v2'],
  })
  t.equal(socket.subprotocol, 'v2')
  t.same(
    socket.head.headers.filter(([name]) => name === 'Set-Cookie').map(([, value]) => value),
    ['a=1', 'b=2'],
  )
  await until(() => socket.got.length === 1, 'the greeting')
  t.same(JSON.parse(String(socket.got[0])), { user: 'ann', subprotocol: 'v2' })

  const no = await refused(server.url)
  t.match(no, { status: 401, code: 'WS_HANDSHAKE_STATUS' })
  t.equal(Buffer.from(no.response!.body).toString(), '{"error":"no token"}')
  t.match(no.response!.headers, [['Connection'], ['Content-Type', 'application/json']])
  t.ok(no.response!.headers.some(([name, value]) => name === 'WWW-Authenticate' && value === 'Bearer'))
  t.match(await refused(`${server.url}/own`), { status: 418 })
  const warnings = watchWarnings(t)
  t.match(await refused(`${server.url}/throws`), { status: 500 })
  t.match(await refused(`${server.url}/bad`), { status: 500 })
  await until(() => warnings.length === 2, 'the warnings')
  t.match(warnings, [{ code: 'WS_HANDLE_UPGRADE_FAILED' }, { code: 'WS_HANDLE_UPGRADE_FAILED' }])
  const plain = await client(t, `${server.url}/nothing`, { subprotocols: ['v2', 'v1'] })
  t.equal(plain.subprotocol, 'v1', 'the first of theirs that the option has')
})

void test('handleUpgrade has its time, and hears when the client goes away', async t => {
  const clock = new VirtualClock()
  const signals: AbortSignal[] = []
  const server = await serving(
    t,
    {
      handleUpgrade: ({ signal }) => {
        signals.push(signal)
        return new Promise<undefined>(() => {})
      },
    },
    { clock, handleUpgradeTimeoutMs: 3000 },
  )
  const slow = refused(server.url)
  await until(() => signals.length === 1, 'the question')
  t.equal(server.handshakes, 1)
  clock.advance(2999)
  t.notOk(signals[0].aborted)
  clock.advance(1)
  t.match(await slow, { status: 500 })
  t.ok(signals[0].aborted)
  const peer = await rawClient(t, server.port)
  peer.write(upgradeRequest())
  await until(() => signals.length === 2, 'the second question')
  peer.reset()
  await until(() => signals[1].aborted && server.handshakes === 0, 'the end of it')
  t.equal(server.statistics().count, 0)
})

void test('routes lead to behaviours of their own, and nowhere is 404', async t => {
  const server = await listen({
    routes: {
      '/echo': endpoint(ECHO),
      '/rooms/:room': endpoint({
        init: ({ params }) => params['room'],
        handleConnect: (_, room) => ({ reply: `in ${room}` }),
      }),
    },
  })
  t.teardown(() => server.close())
  const room = await client(t, `${server.url}/rooms/blue%20one?x=/rooms/red`)
  await until(() => room.got.length === 1, 'the greeting')
  t.same(room.got, ['in blue one'])
  t.match(await refused(`${server.url}/rooms`), { status: 404 })
  t.match(await refused(`${server.url}/`), { status: 404 })
  await t.rejects(listen({ routes: { echo: endpoint(ECHO) } }), { code: 'WS_BAD_OPTION' })
  await t.rejects(listen({ routes: { '/echo': ECHO as never } }), { code: 'WS_BAD_OPTION' })
  await t.rejects(listen({} as never), { code: 'WS_BAD_OPTION' })
  await t.rejects(listen({ behaviour: ECHO, maxConnection: 3 } as never), { code: 'WS_BAD_OPTION' })
  await t.rejects(listen({ behaviour: { handleMessage: () => {} } as never }), { code: 'WS_BAD_OPTION' })
})

void test('by default a page of another origin may not connect, and no browser may', async t => {
  const server = await serving(t, ECHO)
  const { port } = server
  for (const origin of [undefined, `http://127.0.0.1:${port}`, `https://127.0.0.1:${port}`]) {
    const socket = await client(t, server.url, { origin })
    t.equal(socket.state, 'open', String(origin))
  }
  for (const origin of [
    'http://evil.test',
    `http://127.0.0.1:${port + 1}`,
    'null',
    'x',
    `http://127.0.0.1:${port}.evil.test`,
  ]) {
    t.match(await refused(server.url, { origin }), { status: 403 }, origin)
  }
  const listed = await serving(t, ECHO, {
    origins: ['https://example.com', /^https:\/\/[a-z]+\.example\.org$/g],
  })
  for (const origin of [
    'https://example.com',
    'https://EXAMPLE.com',
    'https://a.example.org',
    'https://b.example.org',
  ]) {
    await client(t, listed.url, { origin })
  }
  t.match(await refused(listed.url, { origin: 'https://example.com.evil.test' }), { status: 403 })
  const all = await serving(t, ECHO, { origins: '*' })
  await client(t, all.url, { origin: 'https://anybody.test' })
  await t.rejects(listen({ behaviour: ECHO, origins: ['https://example.com/path'] }), {
    code: 'WS_BAD_OPTION',
  })
})

void test('there is room for so many, in all and by pool, before and after handleUpgrade', async t => {
  let asked = 0
  const server = await serving(
    t,
    {
      handleUpgrade: ({ query }) => {
        asked++
        return { pool: query.get('pool') ?? undefined }
      },
    },
    { maxConnections: 3, pools: { small: 1, none: 0 } },
  )
  const first = await client(t, `${server.url}/?pool=small`)
  t.match(await refused(`${server.url}/?pool=small`), { status: 503 })
  t.match(await refused(`${server.url}/?pool=none`), { status: 503 })
  await client(t, server.url)
  await client(t, server.url)
  t.equal(asked, 5)
  t.match(await refused(server.url), { status: 503 })
  t.equal(asked, 5, 'nobody was asked')
  t.same(server.statistics(), { count: 3, max: 3, rejected: 1 })
  t.same(server.statistics('small'), { count: 1, max: 1, rejected: 1 })
  server.setMaxConnections(4)
  server.setMaxConnections(2, 'small')
  await client(t, `${server.url}/?pool=small`)
  await first.close()
  await until(() => server.statistics('small').count === 1, 'the place to be free')
  const warnings = watchWarnings(t)
  t.match(await refused(`${server.url}/?pool=unknown`), { status: 500 })
  await until(() => warnings.length === 1, 'the warning')
  t.throws(() => server.statistics('unknown'), { code: 'WS_BAD_OPTION' })
  t.throws(() => server.setMaxConnections(-1), { code: 'WS_BAD_OPTION' })
})

void test('handshakes that do not end are limited in number, by address, and in time', async t => {
  const clock = new VirtualClock()
  const server = await serving(t, ECHO, { clock, maxHandshakesPerAddress: 3, handshakeTimeoutMs: 1000 })
  const slow = await Promise.all([1, 2, 3].map(() => rawClient(t, server.port)))
  for (const peer of slow) peer.write('GET / HTTP/1.1\r\n')
  await until(() => server.handshakes === 3, 'three of them')
  const fourth = await rawClient(t, server.port)
  await fourth.ended
  t.match(await failure(connect(server.url)), { code: /WS_/ })
  clock.advance(1000)
  await Promise.all(slow.map(peer => peer.ended))
  await until(() => server.handshakes === 0, 'room again')
  const socket = await client(t, server.url)
  t.equal(socket.state, 'open')
})

void test('a client that says nothing, or is there for very long, is let go with the reason timeout', async t => {
  const clock = new VirtualClock()
  const ended: unknown[] = []
  const server = await serving(
    t,
    { terminate: ({ type, normal, text }) => void ended.push([type, normal, text]) },
    { clock, idleTimeoutMs: 1600, maxLifetimeMs: 16_000, keepalive: false },
  )
  const quiet = await client(t, server.url)
  const busy = await client(t, server.url)
  await until(() => server.processes.size === 2, 'both')
  for (let ms = 0; ms < 1600; ms += 100) {
    busy.write('x')
    await until(() => busy.bufferedAmount === 0, 'it to be sent')
    for (let i = 0; i < 5; i++) await new Promise(resolve => setImmediate(resolve))
    clock.advance(100)
  }
  clock.advance(100)
  t.match(await quiet.closed, { received: { code: 1000, reason: 'timeout' } })
  t.equal(busy.state, 'open')
  for (let ms = 0; ms < 16_000 && busy.state === 'open'; ms += 800) {
    busy.write('x')
    for (let i = 0; i < 10; i++) await new Promise(resolve => setImmediate(resolve))
    clock.advance(800)
  }
  t.match(await busy.closed, { received: { code: 1000, reason: 'timeout' } })
  await until(() => ended.length === 2, 'both ends')
  t.same(ended, [
    ['timeout', true, 'timeout'],
    ['timeout', true, 'timeout'],
  ])
})

void test('a client is not idle while the server itself does not read', async t => {
  const clock = new VirtualClock()
  let born: (() => void) | null = null
  let go: (() => void) | null = null
  const server = await serving(
    t,
    {
      init: () => new Promise<null>(resolve => (born = () => resolve(null))),
      handleFrame: () => new Promise<undefined>(resolve => (go = () => resolve(undefined))),
    },
    { clock, idleTimeoutMs: 1600, maxQueuedMessages: 2, keepalive: false, handleUpgradeTimeoutMs: 60_000 },
  )
  const slept = async (ms: number): Promise<void> => {
    for (let at = 0; at < ms; at += 100) {
      clock.advance(100)
      for (let i = 0; i < 5; i++) await new Promise(resolve => setImmediate(resolve))
    }
  }
  const socket = await client(t, server.url)
  await until(() => born !== null, 'init')
  await slept(3200)
  t.equal(socket.state, 'open', 'init is slow, the client is not')
  born!()
  for (let i = 0; i < 10; i++) socket.write(`${i}`)
  await until(() => go !== null, 'the first of them')
  await slept(3200)
  t.equal(socket.state, 'open', 'the callback is slow, the client is not')
  for (let done = 0; done < 10; done++) {
    await until(() => go !== null, 'the next of them')
    const next: () => void = go!
    go = null
    next()
  }
  await slept(3200)
  t.match(await socket.closed, { received: { code: 1000, reason: 'timeout' } }, 'now it is idle')
})

void test('drain lets nobody in, tells everybody over a while, and cuts off who does not go', async t => {
  const clock = new VirtualClock()
  await leavesNothing(t, async () => {
    const server = await listen({ behaviour: ECHO, clock, keepalive: false })
    const sockets = await Promise.all(Array.from({ length: 5 }, () => client(t, server.url)))
    const deaf = await rawClient(t, server.port)
    deaf.write(upgradeRequest())
    await deaf.head()
    await until(() => server.processes.size === 6, 'six')
    const draining = server.drain({ spreadMs: 5000, deadlineMs: 8000 })
    const closed: number[] = []
    for (const socket of sockets) void socket.closed.then(({ received }) => closed.push(received?.code ?? 0))
    t.match(await failure(connect(server.url)), { code: 'WS_CONNECT_FAILED' })
    for (let ms = 0; ms < 5000; ms += 1000) {
      clock.advance(1000)
      for (let i = 0; i < 30; i++) await new Promise(resolve => setImmediate(resolve))
      t.ok(closed.length <= ms / 1000 + 2, `${closed.length} after ${ms + 1000} ms`)
    }
    clock.advance(3000)
    t.same(await draining, { closed: 5, cut: 1 })
    t.same(closed, [1001, 1001, 1001, 1001, 1001])
    await deaf.ended
    deaf.stream.destroy()
    await server.close()
  })
})

void test('a client whose callback fails costs nobody else anything', async t => {
  const server = await serving(t, {
    init: ({ path }) => {
      if (path === '/init') throw new Error('in init')
      return null
    },
    handleFrame: ({ data }) => {
      if (data === 'fail') throw new Error('in handleFrame')
      return { reply: data }
    },
  })
  const warnings = watchWarnings(t)
  const good = await client(t, server.url)
  const bad = await client(t, server.url)
  bad.write('fail')
  t.match(await bad.closed, { received: { code: 1011 } })
  const unborn = await connect(`${server.url}/init`)
  t.match(await unborn.closed, { received: { code: 1011 } })
  await until(() => warnings.length === 2, 'the warnings')
  t.match(warnings, [{ code: 'WS_PROCESS_CRASHED' }, { code: 'WS_PROCESS_CRASHED' }])
  good.write('still here')
  await until(() => good.got.length === 1, 'the echo')
  await until(() => server.processes.size === 1, 'the others to be gone')
  t.equal(server.statistics().count, 1)
})

void test('a server process cannot connect again', async t => {
  const server = await serving(t, {
    init: () => null,
    handleDisconnect: () => ({ reconnect: true }),
  })
  const warnings = watchWarnings(t)
  const socket = await client(t, server.url)
  await socket.close()
  await until(() => server.processes.size === 0 && warnings.length === 1, 'the end')
  t.match(warnings, [{ code: 'WS_PROCESS_CRASHED' }])
})

void test('serves beside an http.Server, which goes on', async t => {
  const http = createServer((_, response) => response.end('hello'))
  const port = await serve(t, http)
  const server = attach(http, {
    routes: {
      '/ws/:who': endpoint({
        init: ({ params }) => params['who'],
        handleConnect: (_, who) => ({ reply: who }),
      }),
    },
  })
  t.teardown(() => server.close())
  const socket = await client(t, `ws://127.0.0.1:${port}/ws/ann`)
  await until(() => socket.got.length === 1, 'the greeting')
  t.same(socket.got, ['ann'])
  t.match(await refused(`ws://127.0.0.1:${port}/other`), { status: 404 })
  t.equal(await (await fetch(`http://127.0.0.1:${port}/`)).text(), 'hello')
  const others: string[] = []
  const other = attach(http, { routes: { '/two': endpoint({ init: () => void others.push('two') }) } })
  await client(t, `ws://127.0.0.1:${port}/two`)
  await until(() => others.length === 1, 'the other server')
  await other.close()
  await server.close()
  t.match(await socket.closed, { received: { code: 1001 } })
  t.equal(await (await fetch(`http://127.0.0.1:${port}/`)).text(), 'hello')
})

void test('a client process and a server process talk, with keepalive and compression', async t => {
  const server = await serving(t, ECHO, { compress: true })
  const got: unknown[] = []
  const words = 'the same words again and again, '.repeat(100)
  const process = await start(
    server.url,
    { handleConnect: () => ({ reply: words }), handleFrame: ({ data }) => void got.push(data) },
    { compress: true },
  )
  await until(() => got.length === 1, 'the echo')
  t.same(got, [words])
  t.match(await process.stop(), { normal: true })
})

void test('a refusal names what HTTP needs, and a request that is no upgrade gets 426', async t => {
  const server = await serving(t, ECHO)
  const peer = await rawClient(t, server.port)
  peer.write('GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n')
  const head = await peer.head()
  t.match(head, /^HTTP\/1\.1 426 /)
  t.equal(headerOf(head, 'Upgrade'), 'websocket')
})

void test('a client that answers no ping is let go, and the server goes on', async t => {
  const clock = new VirtualClock()
  const ended: unknown[] = []
  const server = await serving(
    t,
    { terminate: ({ type, error }) => void ended.push([type, (error as { code?: string } | null)?.code]) },
    { clock },
  )
  const deaf = await rawClient(t, server.port)
  deaf.write(upgradeRequest())
  await deaf.head()
  await until(() => server.processes.size === 1, 'the process')
  for (let ms = 0; ms < 40_000; ms += 10_000) {
    for (let i = 0; i < 5; i++) await new Promise(resolve => setImmediate(resolve))
    clock.advance(10_000)
  }
  await until(() => ended.length === 1, 'the end')
  t.same(ended, [['keepalive-timeout', 'WS_KEEPALIVE_TIMEOUT']])
  t.equal(server.statistics().count, 0)
})

void test('what is no answer of handleUpgrade lets nobody in', async t => {
  const warnings = watchWarnings(t)
  for (const answer of [false, 'no', 403, { statusCode: 403 }, { subprotocols: ['x'] }, []]) {
    const server = await serving(t, { handleUpgrade: () => answer as never })
    t.match(await refused(server.url), { status: 500 }, JSON.stringify(answer))
  }
  t.equal(warnings.length, 6)
})

void test('drain refuses what no Close frame can carry, and can be asked again', async t => {
  const server = await serving(t, ECHO)
  const socket = await client(t, server.url)
  for (const bad of [
    { code: 9999 },
    { code: 1006 },
    { reason: 'x'.repeat(200) },
    { spreadMs: Infinity, deadlineMs: Infinity },
  ]) {
    await t.rejects(server.drain(bad), { code: 'WS_BAD_OPTION' }, JSON.stringify(bad))
  }
  t.equal(socket.state, 'open')
  t.same(await server.drain(), { closed: 1, cut: 0 })
})

void test('what a client sent before it closed is delivered when init is done, and an end during init says why', async t => {
  const got: unknown[] = []
  let go: (() => void) | null = null
  const server = await serving(t, {
    init: ({ path }) =>
      path === '/never'
        ? new Promise<null>(() => {})
        : new Promise<null>(resolve => (go = () => resolve(null))),
    handleFrame: ({ data }) => void got.push(data),
    terminate: ({ type }) => void got.push(type),
  })
  const socket = await client(t, server.url)
  socket.write('one')
  socket.write('two')
  await socket.close()
  go!()
  await until(() => got.length === 3, 'all of it')
  t.same(got, ['one', 'two', 'remote'])

  const waiting = await client(t, `${server.url}/never`)
  await until(() => server.processes.size === 1, 'the process')
  void [...server.processes][0].stop(undefined, { code: 4000, reason: 'bye' })
  t.match(await waiting.closed, { received: { code: 4000, reason: 'bye' } })
  const more = await client(t, `${server.url}/never`)
  await until(() => server.processes.size === 1, 'the next process')
  await server.drain()
  t.match(await more.closed, { received: { code: 1001 } })
  t.equal(server.statistics().count, 0)
})

void test('an init that takes too long ends its client, which keeps its place until it is gone', async t => {
  const clock = new VirtualClock()
  const server = await serving(
    t,
    { init: () => new Promise<null>(() => {}) },
    { clock, handleUpgradeTimeoutMs: 2000, maxConnections: 1 },
  )
  const socket = await client(t, server.url)
  await until(() => server.processes.size === 1, 'the process')
  t.equal(server.statistics().count, 1)
  clock.advance(2000)
  t.match(await socket.closed, { received: { code: 1011 } })
  await until(() => server.statistics().count === 0, 'its place')
})

for (const early of [true, false]) {
  const when = early ? 'before us' : 'behind us'
  void test(`what others take who listen ${when} is not ours to count or to end`, async t => {
    const clock = new VirtualClock()
    const http = createServer()
    const port = await serve(t, http)
    const streams: Duplex[] = []
    const others = (request: IncomingMessage, stream: Duplex): void => {
      if (request.url !== '/other') return
      streams.push(stream.on('error', () => {}))
      // And nothing more, for long.
      stream.write('HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n')
    }
    if (early) http.on('upgrade', others)
    const server = attach(http, { clock, maxHandshakesPerAddress: 2, routes: { '/one': endpoint(ECHO) } })
    if (!early) http.on('upgrade', others)
    const peers = await Promise.all(Array.from({ length: 5 }, () => rawClient(t, port)))
    for (const peer of peers) peer.write(upgradeRequest([], '/other'))
    for (const peer of peers) await peer.head()
    t.equal(server.handshakes, 0)
    clock.advance(60_000)
    const ours = await client(t, `ws://127.0.0.1:${port}/one`)
    t.ok(streams.every(stream => !stream.destroyed))
    ours.terminate()
    await until(() => server.processes.size === 0, 'its end')
    await server.close()
    t.equal(http.listenerCount('upgrade'), 1, 'nothing of ours is left')
    for (const stream of streams) stream.destroy()
  })
}

void test('attach() says what it needs to those who give it an application', t => {
  const app = Object.assign(() => {}, { on: () => {}, listen: () => {} })
  const another = Object.assign(new EventEmitter(), { use: () => {}, listen: () => {} })
  for (const wrong of [app, another, undefined, null, {}, 'http://here']) {
    t.throws(() => attach(wrong as never, { behaviour: ECHO }), {
      code: 'WS_BAD_OPTION',
      message: /http\.Server/,
    })
  }
  t.end()
})

void test('init() that takes too long is told to both sides', async t => {
  const clock = new VirtualClock()
  const warned = watchWarnings(t)
  const server = await listen({
    clock,
    handleUpgradeTimeoutMs: 500,
    behaviour: { init: () => new Promise<never>(() => {}) },
  })
  t.teardown(() => server.close())
  const socket = await connect(server.url)
  await until(() => server.processes.size === 1, 'the process')
  clock.advance(500)
  t.match(await socket.closed, { received: { code: 1011, reason: 'init timed out' } })
  t.match(warned, [{ code: 'WS_PROCESS_CRASHED', message: /init\(\) .* 500 ms/ }])
})

void test('an upgrade that nobody wants ends, also beside others, and a reset of it harms nobody', async t => {
  const clock = new VirtualClock()
  const http = createServer()
  const port = await serve(t, http)
  const one = attach(http, { clock, routes: { '/one': endpoint(ECHO) } })
  const two = attach(http, { clock, routes: { '/two': endpoint(ECHO) } })
  t.teardown(() => Promise.all([one.close(), two.close()]))
  t.match(await refused(`ws://127.0.0.1:${port}/nowhere`), { status: 404 })
  await client(t, `ws://127.0.0.1:${port}/one`)
  await client(t, `ws://127.0.0.1:${port}/two`)
  const seen: Duplex[] = []
  http.on('upgrade', (_request, stream: Duplex) => void seen.push(stream))
  const peer = await rawClient(t, port)
  peer.write(upgradeRequest([], '/nowhere'))
  await until(() => seen.length === 1, 'it')
  clock.advance(10_000)
  await peer.ended
  const other = await rawClient(t, port)
  other.write(upgradeRequest([], '/nowhere'))
  await until(() => seen.length === 2, 'it')
  other.reset()
  await until(() => seen[1].destroyed, 'it to be gone')
  t.equal(one.handshakes + two.handshakes, 0)
  const again = await client(t, `ws://127.0.0.1:${port}/two`)
  t.equal(again.state, 'open')
})
