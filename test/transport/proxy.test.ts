import { once } from 'node:events'
import { createServer } from 'node:net'
import t, { type Test } from 'tap'
import { connect } from '../../src/index.js'
import type { ConnectEvent } from '../../src/transport/connect-event.js'
import type { DialOptions, ProxyOptions } from '../../src/transport/dial-options.js'
import type { Dialed } from '../../src/transport/dial.js'
import { certificates } from '../support/certificates.js'
import {
  CREDENTIALS,
  dialUrl,
  echoes,
  echoServer,
  loopback,
  NAME,
  NO_AUTH,
  OPEN,
  socksReply,
  targets,
  through,
  tlsEchoServer,
  TRUST,
  withUserInfo,
} from '../support/dialing.js'
import { listenersOf } from '../support/leaks.js'
import { type Answer, connectProxy, scriptedProxy, socksProxy, type TestProxy } from '../support/proxies.js'
import { acceptance, headerOf, rawServer, startListener, until } from '../support/raw-peer.js'
import { failure, leavesNothing, serve, turn } from '../support/servers.js'

/** One proxy of each kind, as an option. */
const oneOfEach = async (
  t: Test,
): Promise<Record<string, { readonly proxy: TestProxy; readonly option: string | ProxyOptions }>> => {
  const http = await connectProxy(t)
  const httpWithUser = await connectProxy(t, { credentials: CREDENTIALS })
  const https = await connectProxy(t, { tls: true })
  const socks = await socksProxy(t)
  const socksWithUser = await socksProxy(t, CREDENTIALS)
  return {
    http: { proxy: http, option: http.url },
    'http with user': { proxy: httpWithUser, option: withUserInfo(httpWithUser.url) },
    https: { proxy: https, option: { url: https.url, ...TRUST } },
    socks5: { proxy: socks, option: socks.url },
    'socks5h with user': {
      proxy: socksWithUser,
      option: withUserInfo(socksWithUser.url.replace('socks5', 'socks5h')),
    },
  }
}

t.test('goes through a proxy of each kind, and through every chain of two', async t => {
  const { ws, wss } = await targets(t)
  const proxies = await oneOfEach(t)
  for (const [first, { proxy, option }] of Object.entries(proxies)) {
    for (const [second, behind] of [[null, null] as const, ...Object.entries(proxies)]) {
      const chain = behind === null ? option : [option, behind.option]
      for (const url of [ws, wss]) {
        await leavesNothing(t, async () => {
          const dialed = await dialUrl(url, { proxy: chain, ...TRUST })
          t.equal(await echoes(dialed), 'hello', `${first} ${second} ${url}`)
          t.match(dialed, { remoteAddress: '127.0.0.1', remotePort: proxy.port, remoteFamily: 4 })
          dialed.socket.destroy()
        })
      }
    }
  }
})

t.test('speaks TLS inside TLS inside TLS, and carries a lot of data both ways', async t => {
  const { wss } = await targets(t)
  const outer = await connectProxy(t, { tls: true })
  const inner = await connectProxy(t, { tls: true })
  await leavesNothing(t, async () => {
    const proxy = [
      { url: outer.url, ...TRUST },
      { url: inner.url, ...TRUST },
    ]
    const dialed = await dialUrl(wss, { proxy, ...TRUST })
    const long = 'x'.repeat(1024 * 1024)
    t.ok((await echoes(dialed, long)) === long)
    t.ok(dialed.timings.proxyMs > 0 && dialed.timings.tlsMs > 0)
    dialed.socket.end()
    await once(dialed.socket, 'close')
  })
})

t.test('a WebSocket inside TLS inside TLS closes, and is lost, as any other', async t => {
  const listener = await startListener(t, { tls: certificates.valid }, socket => {
    socket.onMessage = () => socket.terminate()
  })
  const { url } = await connectProxy(t, { tls: true })
  const open = (): ReturnType<typeof connect> =>
    connect(`wss://localhost:${listener.port}/`, { ...TRUST, proxy: { url, ...TRUST } })
  await leavesNothing(t, async () => {
    t.match(await (await open()).close(), { wasClean: true, error: null })
    const lost = await open()
    lost.write('drop it')
    t.match(await lost.closed, { wasClean: false, error: { code: 'WS_CONNECTION_LOST' } })
    const dropped = await open()
    dropped.terminate()
    t.match(await dropped.closed, { error: { code: 'WS_CLOSED_LOCALLY' } })
  })
})

const ask = async (url: string, proxy: ProxyOptions): Promise<void> =>
  void (await dialUrl(url, { proxy })).socket.destroy()

t.test('asks for host and port in CONNECT, and says nothing that was not asked for', async t => {
  const port = await echoServer(t)
  const plain = await connectProxy(t)
  const asking = await connectProxy(t, { credentials: CREDENTIALS })
  const basic = `Basic ${Buffer.from(`${CREDENTIALS.user}:${CREDENTIALS.password}`).toString('base64')}`
  await ask(`ws://user:secret@${NAME}:${port}/path?query`, { url: new URL(plain.url) })
  await ask(`ws://[::1]:${port}/`, { url: plain.url, headers: { 'User-Agent': 'me', 'X-Two': ['a', 'b'] } })
  await ask(`ws://127.0.0.1:${port}/`, { url: withUserInfo(asking.url), headers: [['X-One', 'é']] })
  const own = { 'proxy-authorization': basic }
  await ask(`ws://127.0.0.1:${port}/`, { url: asking.url.replace('//', '//not:this@'), headers: own })
  const to = (host: string): string => `CONNECT ${host}:${port} HTTP/1.1\nHost: ${host}:${port}`
  t.same(plain.asked, [to(NAME), `${to('[::1]')}\nUser-Agent: me\nX-Two: a\nX-Two: b`])
  t.same(asking.asked, [
    `${to('127.0.0.1')}\nX-One: é\nProxy-Authorization: ${basic}`,
    `${to('127.0.0.1')}\nproxy-authorization: ${basic}`,
  ])
})

t.test('hands SOCKS5 names as names and addresses as addresses', async t => {
  const port = await echoServer(t)
  const proxy = await socksProxy(t)
  for (const host of [NAME, '127.0.0.1', '[2001:db8::1]', 'bücher.invalid']) {
    const dialed = await dialUrl(`ws://${host}:${port}/`, { proxy: proxy.url })
    dialed.socket.destroy()
  }
  t.same(proxy.asked, [
    `${NAME}:${port}`,
    `127.0.0.1:${port}`,
    `[20010db8000000000000000000000001]:${port}`,
    `xn--bcher-kva.invalid:${port}`,
  ])
})

t.test(
  'opens a WebSocket through a proxy; neither the proxy nor the target sees what is for the other',
  async t => {
    const listener = await startListener(t, {}, socket => {
      socket.onMessage = ({ data }) => socket.write(data)
    })
    const { url, asked } = await connectProxy(t, { credentials: CREDENTIALS })
    await leavesNothing(t, async () => {
      const socket = await connect(`ws://jack:secret@${NAME}:${listener.port}/`, {
        proxy: withUserInfo(url),
        headers: { Cookie: 'a=b' },
      })
      await socket.send('hello')
      for await (const { data } of socket) {
        t.equal(data, 'hello')
        break
      }
      t.match(await socket.close(), { wasClean: true })
    })
    const raw = await rawServer(t)
    const connecting = connect(`ws://jack:secret@${NAME}:${raw.port}/`, { proxy: withUserInfo(url) })
    const peer = await raw.accepted()
    const head = await peer.head()
    t.equal(headerOf(head, 'proxy-authorization'), undefined)
    t.equal(headerOf(head, 'authorization'), `Basic ${Buffer.from('jack:secret').toString('base64')}`)
    t.equal(headerOf(head, 'host'), `${NAME}:${raw.port}`)
    peer.write(acceptance(head))
    const socket = await connecting
    socket.terminate()
    t.equal(asked.length, 2)
    t.notMatch(asked.join('\n'), /cookie|^authorization|sec-websocket/im, 'and the proxy saw nothing of it')
  },
)

t.test('verifies the certificates of proxy and target, each by its own options', async t => {
  const wss = `wss://localhost:${await tlsEchoServer(t, certificates.valid)}/`
  const expired = `wss://localhost:${await tlsEchoServer(t, certificates.expired)}/`
  const proxy = await connectProxy(t, { tls: true })
  const { url } = proxy
  const byName = url.replace('127.0.0.1', 'elsewhere.test')
  const unknown = 'UNABLE_TO_VERIFY_LEAF_SIGNATURE'
  const cases: readonly (readonly [string, DialOptions, string, string])[] = [
    [wss, { proxy: url, ...TRUST }, url, unknown],
    [wss, { proxy: url, ...TRUST, insecure: true }, url, unknown],
    [wss, { proxy: { url: byName, ...TRUST }, ...TRUST }, byName, 'ERR_TLS_CERT_ALTNAME_INVALID'],
    [wss, { proxy: { url, ...TRUST } }, wss, unknown],
    [wss, { proxy: { url, insecure: true } }, wss, unknown],
    [expired, { proxy: { url, ...TRUST }, ...TRUST }, expired, 'CERT_HAS_EXPIRED'],
  ]
  for (const [to, options, at, code] of cases) {
    await leavesNothing(t, async () => {
      const error = await failure(dialUrl(to, { lookup: loopback, ...options }))
      const peer = /\/\/([^/]+)/.exec(at)![1]
      t.match(error, { code: 'WS_TLS_FAILED', phase: 'tls', message: `TLS with ${peer} failed: ${code}` })
    })
  }
  t.equal(proxy.asked.length, 3, 'a proxy that cannot be trusted is not even asked')
  const { socket } = await dialUrl(wss, { proxy: { url, insecure: true }, ...TRUST })
  socket.destroy()
})

const firstData = async ({ socket }: Dialed): Promise<string> => {
  const [chunk] = (await once(socket, 'data')) as [Buffer]
  return chunk.toString('latin1')
}

t.test('what comes behind the answer of a proxy is the first thing that is read', async t => {
  const answers: readonly (readonly [string, 'http' | 'socks5', readonly Answer[]])[] = [
    ['200', 'http', [{ bytes: `${OPEN}early` }]],
    ['any 2xx', 'http', [{ bytes: 'HTTP/1.1 299\r\n\r\nearly' }]],
    ['HTTP/1.0', 'http', [{ bytes: 'HTTP/1.0 200 Connection established\r\nX: y\r\n\r\nearly' }]],
    ['a length', 'http', [{ bytes: 'HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nearly' }]],
    [
      'chunked',
      'http',
      [{ bytes: 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nearly', ending: 'end' }],
    ],
    [
      'interim responses',
      'http',
      [{ bytes: `HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n${OPEN}early` }],
    ],
    ['an IPv4 address', 'socks5', [NO_AUTH, { bytes: Buffer.concat([socksReply(0), Buffer.from('early')]) }]],
    ['a name', 'socks5', [NO_AUTH, { bytes: Buffer.from('\x05\x00\x00\x03\x02ab\x00\x50early', 'latin1') }]],
    [
      'an IPv6 address',
      'socks5',
      [NO_AUTH, { bytes: Buffer.from(`\x05\x00\x00\x04${'\x01'.repeat(18)}early`, 'latin1') }],
    ],
  ]
  for (const [name, scheme, script] of answers) {
    await through(t, scheme, script, async ({ dialing }) => {
      const dialed = await dialing
      t.equal(await firstData(dialed), 'early', name)
      dialed.socket.destroy()
    })
  }
  await through(t, 'http', [{ bytes: OPEN }], async ({ dialing }) => {
    const { socket } = await dialing
    await turn()
    t.same(listenersOf(socket), { end: 1, error: 1 }, "no listener is left but one, and Node's")
    t.equal(socket.readableFlowing, null, 'it is as if it had not been read')
    socket.destroy()
  })
  const port = await scriptedProxy(t, { bytes: `${OPEN}HTTP/1.1 400 Bad Request\r\n\r\n` })
  const error = await failure(
    dialUrl('wss://localhost/', { proxy: `http://127.0.0.1:${port.port}`, ...TRUST }),
  )
  t.match(error, { code: 'WS_TLS_FAILED', message: /^TLS with localhost:443 failed: ERR_SSL_/ })
})

t.test('takes answers that come byte by byte', async t => {
  const dribble = (answers: readonly Buffer[]): Promise<number> =>
    serve(
      t,
      createServer(socket => {
        let said = 0
        socket.setNoDelay().on('error', () => {})
        const answer = async (): Promise<void> => {
          for (const byte of answers[said++] ?? []) {
            socket.write(Buffer.of(byte))
            await turn()
          }
        }
        socket.on('data', () => void answer())
      }),
    )
  const http = await dribble([Buffer.from(`HTTP/1.1 100 Continue\r\n\r\n${OPEN}early`)])
  const socks = await dribble([
    Buffer.of(5, 2),
    Buffer.of(1, 0),
    Buffer.concat([socksReply(0), Buffer.from('early')]),
  ])
  for (const url of [`http://127.0.0.1:${http}`, `socks5://a:b@127.0.0.1:${socks}`]) {
    const { socket } = await dialUrl(`ws://${NAME}/`, { proxy: url })
    let heard = ''
    socket.on('data', (chunk: Buffer) => (heard += chunk.toString()))
    await until(() => heard.length === 5, 'early')
    t.equal(heard, 'early')
    socket.destroy()
  }
})

t.test('tells each step when it is done', async t => {
  const { wss } = await targets(t)
  const outer = await connectProxy(t, { tls: true, credentials: CREDENTIALS })
  const inner = await socksProxy(t, CREDENTIALS)
  const events: ConnectEvent[] = []
  const { socket } = await dialUrl(wss, {
    ...TRUST,
    lookup: loopback,
    proxy: [
      { url: withUserInfo(outer.url.replace('127.0.0.1', 'localhost')), ...TRUST },
      withUserInfo(inner.url),
    ],
    onEvent: event => events.push(event),
  })
  socket.destroy()
  const first = `localhost:${outer.port}`
  const target = new URL(wss).host
  t.match(events, [
    { type: 'domain-lookup', hostname: 'localhost', addresses: ['127.0.0.1'], ms: Number },
    { type: 'connect', peer: first, remoteAddress: '127.0.0.1', ms: Number },
    { type: 'tls', peer: first, protocol: 'TLSv1.3', cipher: /^TLS_/, ms: Number },
    { type: 'proxy', proxy: `https://${first}`, peer: `127.0.0.1:${inner.port}`, ms: Number },
    { type: 'proxy', proxy: inner.url, peer: target, ms: Number },
    { type: 'tls', peer: target, protocol: 'TLSv1.3', cipher: /^TLS_/, ms: Number },
  ])
  t.equal(events.length, 6)
  const direct: ConnectEvent[] = []
  const own = await dialUrl(`ws://127.0.0.1:${outer.port}/`, { onEvent: event => direct.push(event) })
  own.socket.destroy()
  t.match(direct, [{ type: 'connect', peer: `127.0.0.1:${outer.port}` }])
})

t.test('an error thrown by onEvent goes where nobody waits, and the connection goes on', async t => {
  const proxy = await connectProxy(t)
  const { ws } = await targets(t)
  const later: (() => void)[] = []
  t.intercept(globalThis, 'queueMicrotask', { value: (callback: () => void) => later.push(callback) })
  const dialed = await dialUrl(ws, {
    proxy: proxy.url,
    onEvent: ({ type }) => {
      throw new Error(type)
    },
  })
  t.equal(await echoes(dialed), 'hello')
  dialed.socket.destroy()
  t.equal(later.length, 2)
  t.throws(later[0], { message: 'connect' })
  t.throws(later[1], { message: 'proxy' })
})

t.test("proxy: 'env' asks the environment at each dial", async t => {
  const { ws } = await targets(t)
  const proxy = await connectProxy(t, { credentials: CREDENTIALS })
  const before = { ...process.env }
  t.teardown(() => {
    for (const name of ['http_proxy', 'no_proxy']) {
      if (before[name] === undefined) delete process.env[name]
      else process.env[name] = before[name]
    }
  })
  process.env['http_proxy'] = withUserInfo(proxy.url).slice('http://'.length)
  process.env['no_proxy'] = ''
  const dialed = await dialUrl(ws, { proxy: 'env' })
  t.equal(await echoes(dialed), 'hello', 'a value without a scheme is an HTTP proxy')
  dialed.socket.destroy()
  t.match(await failure(dialUrl(ws, {})), { code: 'WS_DNS_FAILED' }, 'it has to be asked for')
  process.env['no_proxy'] = NAME
  t.match(await failure(dialUrl(ws, { proxy: 'env' })), { code: 'WS_DNS_FAILED' })
  process.env['no_proxy'] = ''
  process.env['http_proxy'] = 'socks4://secret@proxy.invalid'
  const error = await failure(dialUrl(ws, { proxy: 'env' }))
  t.match(error, { code: 'WS_BAD_OPTION', message: /^http_proxy: the scheme must be / })
  t.notMatch(error.message, /secret/)
})

t.test('serialize: through a proxy each name and port counts as a host', async t => {
  const server = await rawServer(t)
  const proxy = await connectProxy(t)
  const open = (name: string): ReturnType<typeof connect> =>
    connect(`ws://${name}:${server.port}/`, { serialize: true, proxy: proxy.url })
  const [first, second, other] = [open('a.invalid'), open('a.invalid'), open('b.invalid')]
  const peers = [await server.accepted(), await server.accepted()]
  const heads = await Promise.all(peers.map(peer => peer.head()))
  const hosts = heads.map(head => headerOf(head, 'host'))
  const names = new Set([`a.invalid:${server.port}`, `b.invalid:${server.port}`])
  t.same(new Set(hosts), names, 'two names at once')
  t.equal(proxy.asked.length, 2)
  for (const [i, peer] of peers.entries()) peer.write(acceptance(heads[i]))
  const third = await server.accepted()
  const head = await third.head()
  t.equal(headerOf(head, 'host'), `a.invalid:${server.port}`, 'the same name only when it is open')
  third.write(acceptance(head))
  for (const socket of await Promise.all([first, second, other])) socket.terminate()
})
