// Strategy: Gundam.Websocket 0.1.0 on this layer, part two: each option of its page. Names begin with its word for the
// option. What takes time runs in virtual time; what is about an operating system's or a TLS option talks to a real server.
import { connect as netConnect } from 'node:net'
import { CookieJar } from 'tough-cookie'
import t, { type Test } from 'tap'
import {
  childSpec,
  type DisconnectStatus,
  HandshakeError,
  idle,
  InvalidHeadError,
  parseTarget,
  type Process,
  type ReconnectOptions,
  start,
  type StartOptions,
  startSupervisor,
  UsageError,
} from '../../src/index.js'
import { VirtualClock, VirtualNetwork } from '../../src/testing/index.js'
import { Queue } from '../interop/conversation.js'
import { answeringServer, OPEN } from '../support/answering-server.js'
import { authority, certificates } from '../support/certificates.js'
import { running, TRUST, welcome, wsServer } from '../support/gundam.js'
import { acceptance, headerOf, isSettled, rawServer } from '../support/raw-peer.js'
import { failure, serve, silentServer } from '../support/servers.js'

const FEED = 'ws://feed.test/'

t.test('url: path and query go out as they are, user info becomes Basic authorization', async t => {
  const server = await answeringServer(t, () => OPEN)
  for (const rest of ['', '/websocket', '/websocket?room=1&name=%C3%A9']) {
    await running(t, start(server.url.replace(/\/$/, '') + rest, {}))
  }
  await running(t, start(new URL(server.url.replace('//', '//jo:p%40ss@')), {}))
  t.same(
    server.asked.map(({ what, headers }) => [what.replace(/^.* /, ''), headers.authorization]),
    [
      ['/', undefined],
      ['/websocket', undefined],
      ['/websocket?room=1&name=%C3%A9', undefined],
      ['/', `Basic ${Buffer.from('jo:p@ss').toString('base64')}`],
    ],
  )
  t.equal(server.asked[0].headers.host, `127.0.0.1:${server.port}`)
  for (const bad of ['ftp://localhost/', 'localhost', 'ws://localhost/#part']) {
    const refused = await failure(start(bad, {}))
    t.ok(refused instanceof UsageError)
    t.equal(refused.code, 'WS_BAD_URL')
  }
})

t.test('headers: go out as they are written, and anew with each connection', async t => {
  const server = await rawServer(t)
  const asked: (readonly [number, string | null])[] = []
  const starting = start(
    ({ attempt, last }) => {
      asked.push([attempt, last?.reason.type ?? null])
      return { url: server.url, headers: { 'X-Trace-ID': 'abc', Authorization: `Bearer ${asked.length}` } }
    },
    {},
    { headers: { 'X-Trace-ID': 'laid over' }, reconnect: { minDelayMs: 0 } },
  )
  const first = await welcome(server)
  await running(t, starting)
  first.peer.reset()
  const second = await welcome(server)
  t.match(first.head, /\r\nX-Trace-ID: abc\r\nAuthorization: Bearer 1(\r\n|$)/)
  t.match(second.head, /\r\nX-Trace-ID: abc\r\nAuthorization: Bearer 2(\r\n|$)/)
  t.same(asked, [
    [1, null],
    [1, 'closed'],
  ])
  const refused = await failure(start(server.url, {}, { headers: { 'X-Bad': 'a\r\nX-Smuggled: b' } }))
  t.ok(refused instanceof InvalidHeadError, 'before anything is dialed')
})

t.test('connect_timeout: ends an attempt that nobody answers', async t => {
  const network = new VirtualNetwork()
  const server = network.listen(FEED, () => {})
  server.hang()
  const error = await network.run(
    failure(start(FEED, {}, { ...network.startOptions, connectTimeoutMs: 700 })),
  )
  t.match(error, { code: 'WS_CONNECT_TIMEOUT', phase: 'tcp' })
  t.equal(network.clock.now(), 700)
  t.match(server.attempts, [{ outcome: 'abandoned' }])
  const patient = await start(FEED, {}, { ...network.startOptions, connectTimeoutMs: Infinity, async: true })
  await network.advance(3_600_000)
  t.equal(patient.phase, 'connecting', 'Infinity is for ever')
  await network.run(patient.stop())
  t.same(network.leaks(), [])
})

t.test('domain_lookup_timeout: ends a lookup that is not answered', async t => {
  const network = new VirtualNetwork()
  const seen: DisconnectStatus[] = []
  const options = { clock: network.clock, lookup: () => {}, domainLookupTimeoutMs: 300 }
  const error = await network.run(
    failure(
      start(
        FEED,
        { handleDisconnect: status => void seen.push(status) },
        { ...options, handleInitialFailure: true },
      ),
    ),
  )
  t.match(error, { code: 'WS_DNS_TIMEOUT' })
  t.match(seen, [{ phase: 'dns', reason: { type: 'error' }, attempt: 1, target: FEED }])
  t.equal(network.clock.now(), 300)
  t.same(network.leaks(), [])
})

t.test('tls_handshake_timeout: ends a TLS handshake that is not answered', async t => {
  const { server, heard } = silentServer()
  const port = await serve(t, server)
  const clock = new VirtualClock()
  const starting = failure(start(`wss://127.0.0.1:${port}/`, {}, { clock, tlsHandshakeTimeoutMs: 900 }))
  await heard
  clock.advance(899)
  t.notOk(await isSettled(starting))
  clock.advance(1)
  t.match(await starting, { code: 'WS_TLS_TIMEOUT', phase: 'tls' })
  t.equal(clock.pending, 0)
})

t.test('tls_opts: certificates are verified, by authorities and with a certificate of your own', async t => {
  const demanding = {
    ...certificates.valid,
    requestCert: true,
    ca: authority.cert,
    rejectUnauthorized: false,
  }
  const server = await answeringServer(t, () => OPEN, demanding)
  const { cert, key } = certificates.valid
  await running(t, start(server.url, {}, { tls: { ca: authority.cert, cert, key, servername: 'localhost' } }))
  t.match(server.asked, [{ sni: 'localhost', client: 'localhost' }])
  const unknown = await failure(start(server.url, {}))
  t.match(unknown, { code: 'WS_TLS_FAILED', phase: 'tls' })
  t.type((unknown.cause as { code?: unknown }).code, 'string', 'with what TLS says')
  const careless = await failure(start(server.url, {}, { tls: { rejectUnauthorized: false } }))
  t.match(careless, { code: 'WS_BAD_OPTION' })
  await running(t, start(server.url, {}, { insecure: true }))
  t.equal(server.asked.length, 2, 'only who says that it is insecure gets through unverified')
})

t.test('transport: the scheme says TLS or TCP, on any port; without a port it is 443 or 80', async t => {
  const plain = await wsServer(t)
  const secure = await wsServer(t, () => {}, { tls: true })
  for (const url of [plain.url, plain.url.replace('ws:', 'http:')]) await running(t, start(url, {}))
  for (const url of [secure.url, secure.url.replace('wss:', 'https:')])
    await running(t, start(url, {}, TRUST))
  const encrypted = [...plain.requests, ...secure.requests].map(({ socket }) => 'encrypted' in socket)
  t.same(encrypted, [false, false, true, true])
  t.match(parseTarget('wss://feed.test/'), { secure: true, port: 443, host: 'feed.test' })
  t.match(parseTarget('ws://feed.test/'), { secure: false, port: 80, host: 'feed.test' })
})

t.test('tcp_opts: reach the socket: addresses, keep-alive probes, no delay', async t => {
  const server = await wsServer(t)
  const given: unknown[] = []
  await running(
    t,
    start(
      server.url,
      {},
      {
        tcp: { localAddress: '127.0.0.1', keepAlive: 5000, noDelay: false, family: 4 },
        netConnect: options => {
          given.push(options)
          return netConnect(options)
        },
      },
    ),
  )
  t.match(given, [
    { localAddress: '127.0.0.1', keepAlive: true, keepAliveInitialDelay: 5000, noDelay: false },
  ])
})

t.test('tcp_opts: who does not take what it is sent is given up, as with send_timeout_close', async t => {
  const network = new VirtualNetwork({ conditions: { windowBytes: 1000 } })
  const server = network.listen(FEED, () => {})
  const lost: DisconnectStatus[] = []
  const feed = await network.run(
    start(
      FEED,
      { handleDisconnect: status => void lost.push(status) },
      { ...network.startOptions, keepalive: { intervalMs: 5000, timeoutMs: 10_000 } },
    ),
  )
  server.link.freeze()
  const data = 'x'.repeat(5000)
  feed.write(data)
  await network.run(feed.ended)
  t.equal(network.clock.now(), 15_000)
  t.match(lost, [{ reason: { type: 'keepalive-timeout' }, unsent: [{ type: 'text', data }] }])
})

t.test('cookie_store: gives cookies to each request and takes those of each answer', async t => {
  const server = await wsServer(t)
  let visits = 0
  server.server.on('headers', headers => headers.push(`Set-Cookie: visit=${++visits}; Path=/`))
  const connected = new Queue<true>()
  const cookieStore = new CookieJar()
  await cookieStore.setCookie('session=abc', server.url.replace('ws:', 'http:'))
  await running(
    t,
    start(
      server.url,
      { handleConnect: () => connected.put(true) },
      { cookieStore, reconnect: { minDelayMs: 0 } },
    ),
  )
  await connected.next()
  for (const socket of server.server.clients) socket.terminate()
  await connected.next()
  t.same(
    server.requests.map(({ headers }) => headers.cookie),
    ['session=abc', 'session=abc; visit=1'],
  )
})

t.test('http_opts: names of headers keep their case, answers have limits, HTTP/1.0 is none', async t => {
  const server = await rawServer(t)
  const options = { headers: [['x-LOWER-Upper', '1']], headLimits: { maxHeaders: 5 } } as const
  const attempt = async (answer: (head: string) => string): Promise<unknown> => {
    const starting = failure(start(server.url, {}, options))
    const peer = await server.accepted()
    const head = await peer.head()
    t.match(head, /^GET \/ HTTP\/1\.1\r\n[^]*\r\nx-LOWER-Upper: 1(\r\n|$)/)
    peer.write(answer(head))
    const error = await starting
    t.ok(error instanceof HandshakeError)
    return error.code
  }
  t.equal(await attempt(head => acceptance(head, ['A: 1', 'B: 2', 'C: 3'])), 'WS_HANDSHAKE_TOO_MANY_HEADERS')
  t.equal(
    await attempt(head => acceptance(head).replace('HTTP/1.1', 'HTTP/1.0')),
    'WS_HANDSHAKE_OLD_HTTP_VERSION',
  )
})

/** When a process asked for its connections: the first is lost after a minute, and there never is another. */
async function attemptsAfterLoss(reconnect: ReconnectOptions): Promise<readonly number[]> {
  const network = new VirtualNetwork()
  const server = network.listen(FEED, () => {})
  const feed = await network.run(start(FEED, {}, { ...network.startOptions, reconnect }))
  await network.advance(60_000)
  server.down()
  await network.run(feed.ended)
  return server.attempts.slice(1).map(({ atMs }) => atMs - 60_000)
}

t.test('retry: that many attempts may fail before the process gives up', async t => {
  const gun = { minDelayMs: 5000, factor: 1, jitter: 'none' } as const
  t.same(await attemptsAfterLoss({ ...gun, retries: 3 }), [5000, 10_000, 15_000])
  t.same(await attemptsAfterLoss({ ...gun, retries: 0 }), [])
  const network = new VirtualNetwork()
  const server = network.listen(FEED, () => {})
  server.down()
  const options = { ...network.startOptions, handleInitialFailure: true, reconnect: { ...gun, retries: 2 } }
  const error = await network.run(failure(start(FEED, {}, options)))
  t.match(error, { code: 'WS_CONNECT_FAILED', cause: { code: 'ECONNREFUSED' } }, 'of the first one too')
  t.same(
    server.attempts.map(({ atMs }) => atMs),
    [0, 5000, 10_000],
  )
  t.same(network.leaks(), [])
})

/** A process whose server closes cleanly, once. */
async function connectionsAfterCleanClose(t: Test, options: StartOptions): Promise<number> {
  const network = new VirtualNetwork()
  const server = network.listen(FEED, socket => {
    if (server.attempts.length === 1) void socket.close(1000)
  })
  const feed = await network.run(start(FEED, {}, { ...network.startOptions, ...options }))
  await network.advance(60_000)
  if (feed.phase !== 'ended') await network.run(feed.stop())
  t.match(await feed.ended, { normal: true })
  return server.attempts.length
}

t.test('retry: after a clean close there is none, unless onClean asks for it as gun does', async t => {
  t.equal(await connectionsAfterCleanClose(t, { reconnect: true }), 1)
  t.equal(await connectionsAfterCleanClose(t, { reconnect: { onClean: true } }), 2)
  t.equal(await connectionsAfterCleanClose(t, {}), 1)
})

t.test(
  'retry: the count begins anew with each connection that lived, at once with resetAfterMs: 0',
  async t => {
    for (const [resetAfterMs, expected] of [
      [0, 8],
      [5000, 3],
    ] as const) {
      const network = new VirtualNetwork()
      // Accepts, and is gone a second later.
      const server = network.listen(FEED, socket => {
        network.clock.setTimeout(() => socket.terminate(), 1000)
      })
      const reconnect = { retries: 2, minDelayMs: 100, factor: 1, jitter: 'none', resetAfterMs } as const
      const feed = await network.run(start(FEED, {}, { ...network.startOptions, reconnect }))
      await network.advance(8500)
      t.equal(server.attempts.length, expected)
      if (feed.phase !== 'ended') await network.run(feed.stop())
      await feed.ended
    }
  },
)

t.test("retry: all of gun's own policy fits in one object", async t => {
  // As docs/coming-from.md shows it.
  const gun = {
    handleInitialFailure: true,
    reconnect: {
      retries: 5,
      onClean: true,
      resetAfterMs: 0,
      decide: (left: number) => ({ retries: left - 1, delayMs: left === 5 ? 0 : 5000 }),
    },
  } as const
  const delays = [0, 5000, 10_000, 15_000, 20_000]
  const network = new VirtualNetwork()
  const server = network.listen(FEED, () => {})
  const feed = await network.run(start(FEED, {}, { ...network.startOptions, ...gun }))
  await network.advance(1000)
  server.down()
  await network.run(feed.ended)
  t.same(
    server.attempts.map(({ atMs }) => atMs),
    [0, ...delays.map(ms => 1000 + ms)],
  )
  const unreachable = network.listen('ws://never.test/', () => {})
  unreachable.down()
  await network.run(failure(start('ws://never.test/', {}, { ...network.startOptions, ...gun })))
  t.same(
    unreachable.attempts.map(({ atMs }) => atMs - 21_000),
    [0, ...delays],
  )
})

t.test('retry_timeout: is the delay between attempts; it can grow, and be spread by chance', async t => {
  const gun = { retries: 5, minDelayMs: 5000, factor: 1, jitter: 'none' } as const
  t.same(await attemptsAfterLoss({ ...gun, first: 'immediate' }), [0, 5000, 10_000, 15_000, 20_000])
  t.same(
    await attemptsAfterLoss({ ...gun, minDelayMs: 1000, factor: 2, maxDelayMs: 5000 }),
    [1000, 3000, 7000, 12_000, 17_000],
  )
  const spread = await attemptsAfterLoss({ ...gun, jitter: 'equal' })
  const delays = spread.map((at, i) => at - (spread[i - 1] ?? 0))
  t.equal(delays.length, 5)
  t.same(
    delays.filter(delay => delay < 2500 || delay >= 5000),
    [],
  )
  t.equal(new Set(delays).size, 5)
})

t.test('retry_fun: decides the next count and the delay', async t => {
  const asked: (readonly [number, string, string])[] = []
  const plan = [
    { retries: 7, delayMs: 250 },
    { retries: 1, delayMs: 4000 },
    { retries: 0, delayMs: 1000 },
  ]
  const times = await attemptsAfterLoss({
    retries: 2,
    decide: (left, { reason, phase }) => {
      asked.push([left, reason.type, phase])
      return plan[asked.length - 1]
    },
  })
  t.same(times, [250, 4250, 5250])
  t.same(asked, [
    [2, 'closed', 'open'],
    [7, 'error', 'tcp'],
    [1, 'error', 'tcp'],
  ])
})

t.test('retry_fun: that answers 0 retries gets one last attempt', async t => {
  let asked = 0
  const decide = (): { retries: number; delayMs: number } => {
    asked++
    return { retries: 0, delayMs: 300 }
  }
  t.same(await attemptsAfterLoss({ retries: 5, decide }), [300])
  t.equal(asked, 1, 'and is not asked again')
})

t.test('retry_fun: is never called when retry is 0', async t => {
  const decide = (): never => t.fail('asked') as never
  t.same(await attemptsAfterLoss({ retries: 0, decide }), [])
})

t.test('retry_fun: can say that it is hopeless, which gun has no word for', async t => {
  t.same(await attemptsAfterLoss({ decide: () => 'fatal' }), [])
})

t.test('supervise: false is start() alone; under a supervisor of your own it is started again', async t => {
  const server = await wsServer(t, socket => socket.on('message', () => socket.send('crash')))
  const behaviour = {
    handleFrame: () => {
      throw new Error('crashed')
    },
  }
  const alone = await start(server.url, behaviour)
  const ended = alone.ended
  await alone.send('now')
  t.match(await ended, { type: 'crash' })
  t.equal(server.requests.length, 1, 'nobody starts it again')
  const restarted = new Queue<true>()
  const supervisor = await startSupervisor({
    children: [childSpec({ id: 'feed', target: server.url, behaviour })],
    onEvent: event => {
      if (event.type === 'child-started' && event.restarted) restarted.put(true)
    },
  })
  const first = supervisor.child('feed') as Process
  await first.send('now')
  await restarted.next()
  t.not(supervisor.child('feed'), first)
  t.equal((supervisor.child('feed') as Process).phase, 'open')
  t.equal(server.requests.length, 3)
  await supervisor.stop()
})

t.test('trace: prints every step of the connection, and can be switched while it runs', async t => {
  const server = await wsServer(t, socket => socket.on('message', () => socket.send('answer')))
  const answered = new Queue<true>()
  const lines: string[] = []
  const behaviour = { init: () => idle(null), handleFrame: () => answered.put(true) }
  const options = { name: 'traced', headers: { Authorization: 'Bearer secret' } }
  const feed = await running(t, start(server.url, behaviour, options))
  feed.debug.trace(line => lines.push(line))
  await feed.connect()
  await feed.send('question')
  await answered.next()
  feed.debug.trace(false)
  await feed.send('unseen')
  await answered.next()
  const types = lines.map(line => /^sansocket traced \+\d+\.\d{3} (\S+)/.exec(line)?.[1])
  t.same(types, ['attempt', 'connect', 'request', 'response', 'open', 'frame-out', 'frame-in'])
  t.notMatch(lines.join('\n'), 'Bearer secret', 'without secrets')
})

t.test('ws_opts: stand beside all others, and one that nobody knows is refused', async t => {
  const server = await rawServer(t)
  const clock = new VirtualClock()
  const starting = start(
    server.url,
    {},
    { clock, keepalive: 1000, silencePings: true, closeTimeoutMs: 2000, headers: { 'X-A': '1' } },
  )
  const { peer, head } = await welcome(server)
  const feed = await running(t, starting)
  t.equal(headerOf(head, 'X-A'), '1')
  clock.advance(1000)
  t.match(await peer.shown(1), [/^ping/])
  const ended = feed.stop()
  t.same(await peer.shown(1), ['close 1000 ""'])
  clock.advance(2000)
  t.match(await ended, { type: 'stop', normal: true })
  const refused = await failure(start(server.url, {}, { keepAlive: 1000 } as object))
  t.match(refused, { code: 'WS_BAD_OPTION', message: /keepAlive/ })
})
