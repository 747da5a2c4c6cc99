import * as fc from 'fast-check'
import { createServer, type Socket as NetSocket } from 'node:net'
import t, { type Test } from 'tap'
import { CookieJar } from 'tough-cookie'
import { makeCertificate } from '../../examples/certificate.js'
import {
  AbortError,
  connect,
  ConnectionError,
  type ConnectOptions,
  type CookieStore,
  HandshakeError,
  InvalidHeadError,
  type Socket,
} from '../../src/index.js'
import {
  type AnsweringServer,
  answeringServer,
  OPEN,
  redirect,
  routedTo,
} from '../support/answering-server.js'
import { authority } from '../support/certificates.js'
import { abortListeners } from '../support/leaks.js'
import { MemoryStream } from '../support/memory-stream.js'
import { headerOf, isSettled, until } from '../support/raw-peer.js'
import { failure, leavesNothing, serve, turn, withResolvers } from '../support/servers.js'
import { VirtualClock } from '../support/virtual-clock.js'

const certificate = makeCertificate({ issuer: authority, names: ['one.test', 'two.test'] })
const tls = { ca: authority.cert }

/** A store that remembers what it was asked and told. */
class SpyStore implements CookieStore {
  readonly calls: string[] = []
  answer: () => string | Promise<string>
  take: (cookie: string) => unknown = () => {}

  constructor(answer: string | (() => string | Promise<string>) = '') {
    this.answer = typeof answer === 'string' ? () => answer : answer
  }

  getCookieString(url: string): string | Promise<string> {
    this.calls.push(`get ${url}`)
    return this.answer()
  }

  setCookie(cookie: string, url: string): unknown {
    this.calls.push(`set ${cookie} ${url}`)
    return this.take(cookie)
  }
}

const never = new Promise<never>(() => {})

async function open(t: Test, url: string, options: ConnectOptions): Promise<Socket> {
  const socket = await connect(url, options)
  t.teardown(() => socket.terminate())
  return socket
}

/** Opens a connection in memory; returns the `Cookie` header that went out. */
async function sentTo(
  t: Test,
  cookieStore: CookieStore,
  options: ConnectOptions = {},
): Promise<string | undefined> {
  const stream = new MemoryStream()
  await open(t, 'ws://in.memory/', { ...options, cookieStore, createConnection: () => stream })
  t.ok((stream.request.match(/^cookie:/gim)?.length ?? 0) <= 1, 'RFC 6265 5.4: one header line')
  return headerOf(stream.request, 'Cookie')
}

/** A server that opens, with these cookies for each path. */
const bakery = (
  t: Test,
  cookies: Readonly<Record<string, readonly string[]>>,
  options?: Parameters<typeof answeringServer>[2],
): Promise<AnsweringServer> =>
  answeringServer(
    t,
    ({ what }) => ({
      ...OPEN,
      headers: (cookies[what.replace(/^.* /, '')] ?? []).map(one => `Set-Cookie: ${one}`),
    }),
    options,
  )

const cookiesAsked = ({ asked }: AnsweringServer): (string | undefined)[] =>
  asked.map(({ headers }) => headers.cookie)

t.test("a cookie of the 101 comes back with the next connection, by tough-cookie's jar as it is", async t => {
  const cookieStore: CookieStore = new CookieJar()
  const server = await bakery(t, {
    '/login': ['session=abc; HttpOnly; Path=/', 'theme=dark; Path=/', 'here=1; Path=/login'],
    '/': ['theme=; Path=/; Max-Age=0'],
  })
  await leavesNothing(t, async () => {
    for (const path of ['login', '', 'chat']) {
      const socket = await connect(server.url + path, { cookieStore })
      socket.terminate()
      await socket.closed
    }
  })
  t.strictSame(cookiesAsked(server), [undefined, 'session=abc; theme=dark', 'session=abc'])
})

t.test('Secure cookies are sent over wss and not over ws, and not taken from ws', async t => {
  const jar = new CookieJar()
  const plain = await bakery(t, { '/': ['p=1', 's=stolen; Secure'] })
  const secure = await bakery(t, { '/': ['s=1; Secure', 'h=1; HttpOnly'] }, certificate)
  const options = { cookieStore: jar, tls, createConnection: routedTo(plain, secure) }
  for (const url of [
    'ws://one.test/',
    'wss://one.test/',
    'ws://one.test/x',
    'wss://one.test/x',
    'wss://two.test/',
  ])
    await open(t, url, options)
  t.strictSame(cookiesAsked(plain), [undefined, 'p=1; h=1'])
  t.strictSame(cookiesAsked(secure), ['p=1', 'p=1; s=1; h=1', undefined])
})

t.test('a cookie of a redirect is sent to the next hop, and a jar is asked for each origin', async t => {
  const jar = new CookieJar()
  const locations = ['/b', 'ws://two.test/c', 'wss://one.test/d', '/e']
  const server = await answeringServer(t, (_, nth) =>
    nth < 3 ? redirect(locations[nth], 302, `Set-Cookie: c${nth}=${nth}; Path=/`) : OPEN,
  )
  const secure = await answeringServer(
    t,
    (_, nth) => (nth === 0 ? redirect(locations[3], 307, 'Set-Cookie: s=1; Secure; Path=/') : OPEN),
    certificate,
  )
  const socket = await open(t, 'ws://one.test/a', {
    cookieStore: jar,
    headers: { Cookie: 'own=1' },
    maxRedirects: 4,
    tls,
    createConnection: routedTo(server, secure),
  })
  t.equal(socket.url, 'wss://one.test/e')
  t.strictSame(cookiesAsked(server), ['own=1', 'own=1; c0=0', undefined])
  t.strictSame(cookiesAsked(secure), ['c0=0; c1=1', 'c0=0; c1=1; s=1'])
})

t.test('the cookies of a refusal, of a bad redirect and of a faulty 101 are kept', async t => {
  const cases: readonly (readonly [number, string, string])[] = [
    [401, 'X: y', 'WS_HANDSHAKE_STATUS'],
    [302, 'X: y', 'WS_HANDSHAKE_BAD_REDIRECT'],
    [101, 'Sec-WebSocket-Protocol: x', 'WS_HANDSHAKE_UNREQUESTED_SUBPROTOCOL'],
  ]
  for (const [status, header, code] of cases) {
    const jar = new CookieJar()
    const server = await answeringServer(t, () => ({
      status,
      headers: ['Set-Cookie: a=1', header, 'set-cookie: b=2'],
    }))
    await leavesNothing(t, async () => {
      const error = await failure(connect(server.url, { cookieStore: jar, maxRedirects: 1 }))
      t.match(error, { code, status })
    })
    t.equal(await jar.getCookieString(server.url.replace('ws', 'http')), 'a=1; b=2')
  }
})

t.test('a cookie that the jar refuses is passed over, and the others are taken', async t => {
  const jar = new CookieJar()
  const server = await bakery(t, {
    '/': [
      'a=1',
      'foreign=1; Domain=else.test',
      'suffix=1; Domain=test',
      '',
      'evil; Domain=',
      '__Secure-x=1',
      'b=2; Max-Age=nonsense',
    ],
  })
  const socket = await open(t, 'ws://one.test/', { cookieStore: jar, createConnection: routedTo(server) })
  t.equal(socket.state, 'open')
  t.match(await jar.getCookieString('http://one.test/'), /^a=1;.* b=2$/)
  t.equal(await jar.getCookieString('http://else.test/'), '')
  const throwing = new SpyStore()
  throwing.take = () => {
    throw new Error('no')
  }
  await open(t, server.url, { cookieStore: throwing })
  t.equal(throwing.calls.length, 8, 'asked once, and offered all seven')
})

t.test('a store is told the URL as HTTP spells it, without user info', async t => {
  const store = new SpyStore()
  const url = 'ws://user:pass@in.memory:8080/a/b?x=1'
  for (const one of [url, url.replace('ws', 'http')]) {
    await open(t, one, { cookieStore: store, createConnection: () => new MemoryStream() })
  }
  t.strictSame(
    store.calls,
    Array.from({ length: 2 }, () => 'get http://in.memory:8080/a/b?x=1'),
  )
  const secure = await bakery(t, { '/c': ['a=1'] }, certificate)
  const spy = new SpyStore()
  await open(t, 'wss://one.test/c', { cookieStore: spy, tls, createConnection: routedTo(null, secure) })
  t.strictSame(spy.calls, ['get https://one.test/c', 'set a=1 https://one.test/c'])
})

t.test('unix sockets have no cookies', async t => {
  const store = new SpyStore('a=1')
  const server = await bakery(t, { '/': ['b=2'] })
  await open(t, 'ws+unix:/tmp/one.sock:/', { cookieStore: store, createConnection: routedTo(server) })
  t.strictSame(store.calls, [])
  t.strictSame(cookiesAsked(server), [undefined])
})

t.test("the caller's cookies come first, and win over stored ones of the same name", async t => {
  const cases: readonly (readonly [
    given: ConnectOptions['headers'],
    stored: string,
    sent: string | undefined,
  ])[] = [
    [{}, '', undefined],
    [{}, 'a=1; b=2', 'a=1; b=2'],
    [{ Cookie: 'a=1' }, '', 'a=1'],
    [{ Cookie: 'a=1' }, 'b=2', 'a=1; b=2'],
    [{ cookie: 'a=1' }, 'a=2; b=2; a=3', 'a=1; b=2'],
    [{ cookie: 'a=1; c=3;' }, 'A=2;b=2', 'a=1; c=3; A=2; b=2'],
    [{ COOKIE: ['a=1', 'b=2'] }, 'b=3; c=4', 'a=1; b=2; c=4'],
    [{ Cookie: 'a=1; a=2' }, 'b=1; b=2', 'a=1; a=2; b=1; b=2'],
    [{ Cookie: 'a="x=y"' }, 'x=1', 'a="x=y"; x=1'],
    [{ Cookie: 'flag' }, '=other; x=1', 'flag; x=1'],
    [{ Cookie: 'a=1' }, 'a=2', 'a=1'],
  ]
  for (const [headers, stored, sent] of cases) {
    const what = `${JSON.stringify(headers)} and ${stored}`
    t.equal(await sentTo(t, new SpyStore(stored), { headers }), sent, what)
  }
  const nothing = new SpyStore()
  nothing.answer = () => undefined as never
  t.equal(await sentTo(t, nothing), undefined, 'nothing is no cookie')
})

t.test('whatever a store says, it is sent as one header or not at all', async () => {
  const text = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc
      .array(fc.constantFrom('a=1', 'b', '; ', ';', ' ', '\r\n', '\0', 'X: y', 'ä', '✓', '\t', '='))
      .map(parts => parts.join('')),
  )
  await fc.assert(
    fc.asyncProperty(text, fc.boolean(), async (stored, own) => {
      const stream = new MemoryStream()
      const headers: Record<string, string> = own ? { Cookie: 'own=1' } : {}
      const result = await connect('ws://in.memory/', {
        headers,
        cookieStore: new SpyStore(stored),
        createConnection: () => stream,
      }).catch((error: unknown) => error as Error)
      if (result instanceof Error) {
        if (!(result instanceof InvalidHeadError)) throw result
        if (stream.request !== '' || !stream.destroyed) throw new Error('something was left')
        // eslint-disable-next-line no-control-regex
        if (/^[\t\x20-\x7E\x80-\xFF]*$/.test(stored)) throw new Error('refused for nothing')
        return
      }
      result.terminate()
      const lines = stream.request.split('\r\n').slice(7, -2)
      const cookie = own ? lines[0].slice('Cookie: own=1'.length) : lines[0]?.slice('Cookie: '.length)
      if (lines.length > 1) throw new Error('more than one line')
      if (!own && (cookie ?? '') !== stored) throw new Error('other cookies')
      if (own && !/^(?:; [^;]+)*$/.test(cookie)) throw new Error('not a list')
    }),
  )
})

t.test('refuses CR, LF and NUL of a store wherever they are, and sends nothing', async t => {
  for (const bad of ['\r', '\n', '\0', '\r\n', '\r\nX-Evil: 1', '✓']) {
    for (const stored of [`${bad}a=1`, `a=1${bad}`, `a=1; ${bad}; b=2`, `a=${bad}; b=2`]) {
      for (const headers of [{}, { Cookie: 'own=1' }]) {
        const stream = new MemoryStream()
        const options = { headers, cookieStore: new SpyStore(stored), createConnection: () => stream }
        const error = await failure(connect('ws://in.memory/', options))
        t.ok(error instanceof InvalidHeadError)
        t.notMatch(error.message, 'a=', 'cookies are secrets')
        t.equal(stream.request, '')
        t.ok(stream.destroyed)
      }
    }
  }
})

t.test('fails with WS_COOKIES_FAILED when the store cannot be asked', async t => {
  const cause = Object.assign(new Error('lost'), { code: 'ECONNREFUSED' })
  const server = await bakery(t, {})
  const answers: readonly (() => string | Promise<string>)[] = [
    () => Promise.reject(cause),
    () => {
      throw cause
    },
    () => 42 as never,
    () => ({}) as never,
  ]
  for (const [i, answer] of answers.entries()) {
    await leavesNothing(t, async () => {
      const error = await failure(connect(server.url, { cookieStore: new SpyStore(answer) }))
      t.ok(error instanceof ConnectionError)
      t.match(error, { code: 'WS_COOKIES_FAILED', phase: 'handshake' })
      if (i < 2) t.equal(error.cause, cause)
      else t.ok(error.cause instanceof TypeError)
    })
  }
  t.equal(server.asked.length, 0)
})

t.test('refuses a cookieStore that is none, before anything is dialed', async t => {
  for (const cookieStore of [null, {}, 'jar', { getCookieString: () => '' }, { setCookie: 1 }] as never[]) {
    const createConnection = (): never => t.fail('dialed') as never
    const error = await failure(connect('ws://in.memory/', { cookieStore, createConnection }))
    t.match(error, { code: 'WS_BAD_OPTION', message: /cookieStore/ })
  }
})

t.test('offers cookies in their order, one after the other, before connect() settles', async t => {
  const server = await bakery(t, { '/': ['a=1', 'b=2', 'c=3'] })
  const store = new SpyStore()
  const pending: (() => void)[] = []
  store.take = () => new Promise<void>(resolve => pending.push(resolve))
  const connecting = connect(server.url, { cookieStore: store })
  for (const count of [1, 2, 3]) {
    await until(() => pending.length === count, `cookie ${count}`)
    t.notOk(await isSettled(connecting))
    t.equal(pending.length, count)
    pending[count - 1]()
  }
  const socket = await connecting
  t.teardown(() => socket.terminate())
  t.equal(store.calls.length, 4)
})

t.test("a store that never answers is given up with the handshake's time limit", async t => {
  for (const [status, header, hangs, code] of [
    [101, 'X: y', 'get', 'WS_HANDSHAKE_TIMEOUT'],
    [101, 'X: y', 'set', 'WS_HANDSHAKE_TIMEOUT'],
    [302, 'Location: /next', 'set', 'WS_HANDSHAKE_TIMEOUT'],
    // What is known already is said.
    [403, 'X: y', 'set', 'WS_HANDSHAKE_STATUS'],
    [302, 'X: y', 'set', 'WS_HANDSHAKE_BAD_REDIRECT'],
    [101, 'Sec-WebSocket-Protocol: x', 'set', 'WS_HANDSHAKE_UNREQUESTED_SUBPROTOCOL'],
  ] as const) {
    const clock = new VirtualClock()
    const headers = ['Set-Cookie: a=1', 'Set-Cookie: b=2', header]
    const server = await answeringServer(t, () => ({ status, headers }))
    const store = new SpyStore()
    if (hangs === 'get') store.answer = () => never
    else store.take = () => never
    await leavesNothing(t, async () => {
      const options = { cookieStore: store, clock, handshakeTimeoutMs: 250, maxRedirects: 1 }
      const connecting = failure(connect(server.url, options))
      await until(() => store.calls.some(call => call.startsWith(hangs)), 'the call')
      clock.advance(249)
      t.notOk(await isSettled(connecting))
      clock.advance(1)
      t.match(await connecting, { code })
    })
    t.equal(store.calls.length, hangs === 'get' ? 1 : 2, 'nothing more is asked of it')
    t.equal(clock.pending, 0)
  }
})

t.test('the store and the server share one limit', async t => {
  const clock = new VirtualClock()
  const server = await answeringServer(t, () => null)
  let answer!: (cookies: string) => void
  const store = new SpyStore(
    () =>
      new Promise(resolve => {
        answer = resolve
      }),
  )
  await leavesNothing(t, async () => {
    const connecting = failure(connect(server.url, { cookieStore: store, clock, handshakeTimeoutMs: 250 }))
    await until(() => store.calls.length === 1, 'the question')
    clock.advance(200)
    answer('a=1')
    await until(() => server.asked.length === 1, 'the request')
    clock.advance(49)
    t.notOk(await isSettled(connecting))
    clock.advance(1)
    t.match(await connecting, { code: 'WS_HANDSHAKE_TIMEOUT' })
  })
})

t.test('an abort ends the wait for a store, and a late answer changes nothing', async t => {
  const server = await bakery(t, { '/': ['a=1', 'b=2'] })
  for (const hangs of ['get', 'set']) {
    const controller = new AbortController()
    let late!: () => void
    const wait = new Promise<string>(resolve => {
      late = () => resolve('x=1')
    })
    const store = new SpyStore()
    if (hangs === 'get') store.answer = () => wait
    else store.take = () => wait
    const before = server.asked.length
    await leavesNothing(t, async () => {
      const connecting = failure(connect(server.url, { cookieStore: store, signal: controller.signal }))
      await until(() => store.calls.some(call => call.startsWith(hangs)), 'the call')
      controller.abort()
      t.ok((await connecting) instanceof AbortError)
      late()
      for (let turns = 0; turns < 20; turns++) await turn()
    })
    t.equal(abortListeners(controller.signal), 0)
    t.equal(store.calls.length, hangs === 'get' ? 1 : 2, 'no more cookies are offered')
    t.equal(server.asked.length - before, hangs === 'get' ? 0 : 1, 'and nothing is asked')
  }
})

t.test('a connection that breaks while a store takes its time is reported', async t => {
  const server = await answeringServer(t, () => null)
  let answer!: (cookies: string) => void
  const slow = new SpyStore(
    () =>
      new Promise(resolve => {
        answer = resolve
      }),
  )
  const stream = new MemoryStream()
  const connecting = failure(connect(server.url, { cookieStore: slow, createConnection: () => stream }))
  await until(() => slow.calls.length === 1, 'the question')
  stream.destroy(new Error('broke'))
  await turn()
  answer('a=1')
  t.match(await connecting, { code: 'WS_HANDSHAKE_ENDED' })
  t.equal(stream.request, '')

  for (const end of ['end', 'resetAndDestroy'] as const) {
    const { promise: asked, resolve } = withResolvers<NetSocket>()
    const server = createServer({ allowHalfOpen: true }, resolve)
    const port = await serve(t, server)
    await leavesNothing(t, async () => {
      const before = slow.calls.length
      const connecting = failure(connect(`ws://127.0.0.1:${port}/`, { cookieStore: slow }))
      const peer = await asked
      await until(() => slow.calls.length > before, 'the question')
      peer.on('error', () => {})[end]()
      for (let turns = 0; turns < 50; turns++) await turn()
      answer('a=1')
      const cause = end === 'end' ? undefined : { code: 'ECONNRESET' }
      t.match(await connecting, { code: 'WS_HANDSHAKE_ENDED', cause }, end)
      peer.destroy()
    })
  }

  const opening = await bakery(t, { '/': ['a=1'] })
  const late = new SpyStore()
  late.take = async () => {
    opening.asked[0].stream.destroy()
    for (let turns = 0; turns < 50; turns++) await turn()
  }
  await leavesNothing(t, async () => {
    const socket = await connect(opening.url, { cookieStore: late })
    t.match(await socket.closed, { wasClean: false, error: { code: 'WS_CONNECTION_LOST' } })
  })
})

t.test('an endless refusal does not keep its cookies from the store', async t => {
  const clock = new VirtualClock()
  const server = await answeringServer(t, () => null)
  const jar = new CookieJar()
  await leavesNothing(t, async () => {
    const connecting = failure(connect(server.url, { cookieStore: jar, clock }))
    await until(() => server.asked.length === 1, 'the request')
    server.asked[0].stream.write('HTTP/1.1 403 No\r\nSet-Cookie: a=1\r\nContent-Length: 9\r\n\r\nbecau')
    for (let turns = 0; turns < 50; turns++) await turn()
    t.equal(await jar.getCookieString(server.url.replace('ws', 'http')), 'a=1')
    t.notOk(await isSettled(connecting))
    clock.advance(10_000)
    const error = await connecting
    t.ok(error instanceof HandshakeError)
    t.equal(Buffer.from((error as HandshakeError).response!.body).toString(), 'becau')
  })
  t.equal(clock.pending, 0)
})
