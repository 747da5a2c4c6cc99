import * as fc from 'fast-check'
import t, { type Test } from 'tap'
import { makeCertificate } from '../../examples/certificate.js'
import {
  AbortError,
  connect,
  ConnectionError,
  type ConnectOptions,
  HandshakeError,
  type ResponseHead,
  type Socket,
} from '../../src/index.js'
import { clientRequest } from '../../src/transport/client-request.js'
import type { ConnectEvent } from '../../src/transport/connect-event.js'
import { afterResponse, type Hop, makeHop } from '../../src/transport/redirect.js'
import { parseTarget } from '../../src/transport/target.js'
import {
  type AnsweringServer,
  answeringServer,
  type Asked,
  OPEN,
  redirect,
  routedTo,
} from '../support/answering-server.js'
import { authority } from '../support/certificates.js'
import { abortListeners } from '../support/leaks.js'
import { MemoryStream } from '../support/memory-stream.js'
import { isSettled, until } from '../support/raw-peer.js'
import { failure, leavesNothing, turn } from '../support/servers.js'
import { VirtualClock } from '../support/virtual-clock.js'

const certificate = makeCertificate({
  issuer: authority,
  names: ['one.test', 'two.test', 'sub.one.test', 'alias.test', 'localhost', '127.0.0.1'],
})
const ca = authority.cert

/** Opens, and gives what it needs no more to the test. */
async function open(t: Test, url: string, options: ConnectOptions): Promise<Socket> {
  const socket = await connect(url, options)
  t.teardown(() => socket.terminate())
  return socket
}

/** A plain server that leads each request on to the next of `locations`, and opens at their end. */
const chainOf = (t: Test, ...locations: readonly string[]): Promise<AnsweringServer> =>
  answeringServer(t, (_, nth) => (nth < locations.length ? redirect(locations[nth]) : OPEN))

const keyOf = ({ headers }: Asked): string => String(headers['sec-websocket-key'])

t.test('a redirect is a refusal unless redirects are allowed', async t => {
  for (const options of [{}, { maxRedirects: 0 }, { maxRedirects: undefined }]) {
    const server = await chainOf(t, '/next')
    await leavesNothing(t, async () => {
      const error = await failure(connect(server.url, options))
      t.ok(error instanceof HandshakeError)
      t.match(error, { code: 'WS_HANDSHAKE_STATUS', status: 302, message: /302/ })
    })
    t.equal(server.asked.length, 1)
  }
})

t.test('follows 301, 302, 303, 307 and 308, each with a new key, and is open at the last URL', async t => {
  for (const status of [301, 302, 303, 307, 308]) {
    const server = await answeringServer(t, (_, nth) => (nth === 0 ? redirect('/next?q', status) : OPEN))
    await leavesNothing(t, async () => {
      const socket = await connect(server.url, { maxRedirects: 1, subprotocols: ['a'] })
      t.equal(socket.url, `${server.url}next?q`)
      t.match(socket.head, { status: 101 })
      socket.terminate()
      await socket.closed
    })
    t.match(server.asked, [{ what: /\/$/ }, { what: /\/next\?q$/ }], String(status))
    t.not(keyOf(server.asked[0]), keyOf(server.asked[1]))
  }
})

t.test('no other status leads anywhere', async t => {
  for (const status of [200, 201, 300, 304, 305, 306, 309, 401, 503]) {
    const server = await answeringServer(t, () => redirect('/next', status))
    const error = await failure(connect(server.url, { maxRedirects: 5 }))
    t.match(error, { code: 'WS_HANDSHAKE_STATUS', status })
    t.equal(server.asked.length, 1)
  }
})

t.test('takes a Location relative to the last URL, or whole', async t => {
  const cases: readonly (readonly [location: string, expected: string])[] = [
    ['/c', 'ws://one.test/c'],
    ['c', 'ws://one.test/a/c'],
    ['../c?x=2', 'ws://one.test/c?x=2'],
    ['?x=2', 'ws://one.test/a/b?x=2'],
    ['.', 'ws://one.test/a/'],
    ['//two.test/c', 'ws://two.test/c'],
    ['http://two.test/c', 'ws://two.test/c'],
    ['ws://two.test:8080/', 'ws://two.test:8080/'],
    ['https://two.test/c', 'wss://two.test/c'],
    ['WSS://TWO.test', 'wss://two.test/'],
    ['ws://[::1]:81/', 'ws://[::1]:81/'],
    ['/c#part', 'ws://one.test/c'],
    ['#part', 'ws://one.test/a/b?x=1'],
    ['http://user:pass@one.test/c', 'ws://one.test/c'],
    ['/c d', 'ws://one.test/c%20d'],
    ['/%41%zz', 'ws://one.test/%41%zz'],
    // The bytes of a server that writes UTF-8 where it should not.
    ['/\xC3\xA4?\xC3\xA4', 'ws://one.test/%c3%a4?%c3%a4'],
    ['http://b\xC3\xBCcher.test/', 'ws://xn--bcher-kva.test/'],
  ]
  let next: string | null = null
  const plain = await answeringServer(t, () => {
    const location = next
    next = null
    return location === null ? OPEN : redirect(location)
  })
  const secure = await answeringServer(t, () => OPEN, certificate)
  const targets: string[] = []
  for (const [location, expected] of cases) {
    next = location
    const socket = await open(t, 'ws://one.test/a/b?x=1', {
      maxRedirects: 1,
      tls: { ca },
      createConnection: (target, signal) => {
        targets.push(target.href)
        t.equal(target.authorization, null)
        return routedTo(plain, secure)(target, signal)
      },
    })
    t.equal(socket.url, expected, location)
    t.equal(targets.at(-1), expected, 'the factory is asked for each')
    const last = (expected.startsWith('wss') ? secure : plain).asked.at(-1)!
    const { pathname, search, host } = new URL(expected)
    t.equal(last.what, `${host} ${pathname}${search}`)
    t.equal(last.headers.authorization, undefined)
  }
})

t.test('fails with WS_HANDSHAKE_BAD_REDIRECT where the Location leads no WebSocket', async t => {
  const cases: readonly (readonly string[])[] = [
    [],
    ['Location:'],
    ['Location: /a', 'Location: /a'],
    ['Location: ftp://one.test/secret'],
    ['Location: file:///etc/secret'],
    ['Location: ws+unix:/tmp/secret.sock:/'],
    ['Location: javascript:secret'],
    ['Location: http://'],
    ['Location: http://[::1/secret'],
    ['Location: http://one.test:99999/secret'],
    ['Location: /sec\tret'],
    // The WHATWG parser takes it, no Host header does.
    ['Location: http://a"b.test/secret'],
  ]
  for (const headers of cases) {
    const server = await answeringServer(t, () => ({ status: 307, headers, body: 'because' }))
    await leavesNothing(t, async () => {
      const error = await failure(connect(server.url, { maxRedirects: 5 }))
      t.ok(error instanceof HandshakeError)
      t.match(error, { code: 'WS_HANDSHAKE_BAD_REDIRECT', status: 307, message: /^Server redirected.*307/ })
      t.notMatch(error.message, 'secret', 'the location is not repeated')
      const { response } = error as HandshakeError
      t.match(response, { status: 307, reason: 'Word' })
      t.equal(Buffer.from(response!.body).toString(), 'because')
    })
    t.equal(server.asked.length, 1)
  }
})

t.test('a server on a unix socket can send away, but to no path of that socket', async t => {
  const server = await answeringServer(t, (_, nth) => redirect(nth < 2 ? '/c' : 'ws://localhost/'))
  const target = await answeringServer(t, () => OPEN)
  let dialed = 0
  const options: ConnectOptions = {
    maxRedirects: 1,
    headers: { Authorization: 'Bearer x' },
    createConnection: ({ socketPath, ...one }, signal) => {
      dialed++
      return routedTo(socketPath === null ? target : server)({ ...one, socketPath }, signal)
    },
  }
  for (const url of ['ws+unix:/tmp/one.sock:/a', 'ws+unix:one.sock']) {
    t.match(await failure(connect(url, options)), { code: 'WS_HANDSHAKE_BAD_REDIRECT' })
  }
  t.equal(dialed, 2)
  const socket = await open(t, 'ws+unix:/tmp/one.sock:/a', options)
  t.equal(socket.url, 'ws://localhost/')
  t.equal(server.asked[2].headers.authorization, 'Bearer x')
  t.equal(target.asked[0].headers.authorization, undefined)
})

t.test('follows as many as maxRedirects says, and not one more', async t => {
  for (const count of [1, 2, 3, 10]) {
    const locations = Array.from({ length: count }, (_, i) => `/${i + 1}`)
    const server = await chainOf(t, ...locations)
    await leavesNothing(t, async () => {
      const socket = await connect(server.url, { maxRedirects: count })
      t.equal(socket.url, `${server.url}${count}`)
      socket.terminate()
      await socket.closed
    })
    const longer = await chainOf(t, ...locations, '/too-far')
    await leavesNothing(t, async () => {
      const error = await failure(connect(longer.url, { maxRedirects: count }))
      t.ok(error instanceof HandshakeError)
      t.match(error, {
        code: 'WS_HANDSHAKE_TOO_MANY_REDIRECTS',
        status: 302,
        message: `more than ${count}`,
        response: { headers: [['Content-Length'], ['Location', '/too-far']] },
      })
    })
    t.equal(longer.asked.length, count + 1)
  }
  const endless = await chainOf(t, ...Array.from({ length: 40 }, () => '/x'))
  t.ok(await open(t, endless.url, { maxRedirects: Infinity }))
})

t.test('a loop is too many, too', async t => {
  const server = await answeringServer(t, () => redirect('/'))
  t.match(await failure(connect(server.url, { maxRedirects: 7 })), {
    code: 'WS_HANDSHAKE_TOO_MANY_REDIRECTS',
  })
  t.equal(server.asked.length, 8)
})

t.test('refuses a maxRedirects that is no count, before anything is dialed', async t => {
  for (const maxRedirects of [-1, 1.5, Number.NaN, '3', true, null] as never[]) {
    const createConnection = (): never => t.fail('dialed') as never
    const error = await failure(connect('ws://one.test/', { maxRedirects, createConnection }))
    t.match(error, { code: 'WS_BAD_OPTION', message: /maxRedirects/ })
  }
})

const SECRETS = [
  'authorization',
  'cookie',
  'proxy-authorization',
  'x-api-key',
  'x-auth-token',
  'x-session-id',
] as const

t.test('credentials never cross an origin, and never come back', async t => {
  const cases: readonly (readonly [from: string, path: readonly string[], kept: readonly boolean[]])[] = [
    ['ws://one.test/', ['ws://one.test/next'], [true]],
    ['ws://one.test/', ['http://ONE.test:80/'], [true]],
    ['wss://one.test/', ['https://one.test:443/next'], [true]],
    ['ws://one.test/', ['/a', '/b', 'ws://one.test/c'], [true, true, true]],
    ['ws://one.test/', ['ws://two.test/'], [false]],
    ['ws://one.test/', ['ws://sub.one.test/'], [false]],
    ['ws://one.test/', ['ws://one.test./'], [false]],
    ['ws://one.test/', ['ws://one.test:8080/'], [false]],
    ['ws://one.test/', ['wss://one.test/'], [false]],
    ['ws://one.test:443/', ['wss://one.test:443/'], [false]],
    ['wss://one.test/', ['ws://one.test/'], [false]],
    ['wss://one.test/', ['ws://one.test:443/'], [false]],
    ['ws://one.test/', ['/a', '//two.test/', '/b', 'ws://one.test/'], [true, false, false, false]],
    ['ws://one.test/', ['wss://one.test/', 'ws://one.test/'], [false, false]],
  ]
  for (const [from, path, kept] of cases) {
    let nth = 0
    const asked: Asked[] = []
    const answer = (one: Asked): ReturnType<typeof redirect> => {
      asked.push(one)
      return nth < path.length ? redirect(path[nth++]) : OPEN
    }
    const plain = await answeringServer(t, answer)
    const secure = await answeringServer(t, answer, certificate)
    const headers = {
      AUTHORIZATION: 'Bearer s',
      Cookie: 's=1',
      'proxy-authorization': 'Basic s',
      'X-API-Key': 's',
      'x-auth-token': 's',
      'X-Session-Id': 's',
      Host: 'own.test',
    }
    for (const [url, given] of [
      [from, { ...headers, 'X-Own': '1' }],
      [from.replace('://', '://user:pass@'), { ...headers, AUTHORIZATION: [], 'X-Own': '1' }],
    ] as const) {
      nth = 0
      asked.length = 0
      const socket = await connect(url, {
        maxRedirects: 9,
        headers: given,
        origin: 'http://origin.test',
        subprotocols: ['chat'],
        tls: { ca },
        createConnection: routedTo(plain, secure),
      })
      socket.terminate()
      for (const [i, one] of asked.entries()) {
        const expected = i === 0 || kept[i - 1]
        const what = `${from} to ${path.slice(0, i).join(' to ')}`
        for (const name of SECRETS) t.equal(one.headers[name] !== undefined, expected, `${name}: ${what}`)
        t.equal(one.headers.host === 'own.test', expected, `host: ${what}`)
        t.match(one.headers, {
          'x-own': '1',
          origin: 'http://origin.test',
          'sec-websocket-protocol': 'chat',
        })
      }
      t.equal(asked.length, path.length + 1)
    }
  }
})

t.test('subprotocols that may be credentials stay with the origin they were meant for', async t => {
  const jwt = 'eyJhbGciOiJub25lIn0.e30.x'
  const hex = '0123456789abcdef0123456789abcdef'
  const cases: readonly (readonly [asked: readonly string[], left: readonly string[]])[] = [
    [
      ['chat', 'v2.chat'],
      ['chat', 'v2.chat'],
    ],
    [
      ['graphql-transport-ws', 'v12.stomp', 'author'],
      ['graphql-transport-ws', 'v12.stomp', 'author'],
    ],
    [['chat', 'bearer.abc'], ['chat']],
    [['bearer.abc', 'chat'], ['chat']],
    [['base64url.bearer.authorization.k8s.io.abc', 'v4.channel.k8s.io'], ['v4.channel.k8s.io']],
    [
      ['realtime', 'insecure-api-key.abc', 'v1'],
      ['realtime', 'v1'],
    ],
    [['access_token', 'abc', 'chat'], ['chat']],
    [['chat', 'v1.bearer', 'abc'], ['chat']],
    [['chat', jwt], ['chat']],
    [['chat', `header-${jwt}`], ['chat']],
    [
      ['chat', hex, 'a'.repeat(40)],
      ['chat', 'a'.repeat(40)],
    ],
    [['bearer', 'abc'], []],
  ]
  for (const [subprotocols, left] of cases) {
    const server = await answeringServer(t, (_, nth) =>
      nth < 3 ? redirect(['/here', 'ws://two.test/', 'ws://one.test/'][nth]) : OPEN,
    )
    await open(t, 'ws://one.test/', {
      maxRedirects: 3,
      subprotocols,
      createConnection: routedTo(server, null),
    })
    const asked = server.asked.map(({ headers }) => headers['sec-websocket-protocol'])
    const kept = left.length === 0 ? undefined : left.join(', ')
    t.same(asked, [subprotocols.join(', '), subprotocols.join(', '), kept, kept])
  }
})

t.test('a client certificate, and what is said of one server, stay with that origin', async t => {
  const client = makeCertificate({ issuer: authority, commonName: 'client', names: [] })
  const checked: string[] = []
  const cases: readonly (readonly [location: string, kept: boolean])[] = [
    ['/next', true],
    ['wss://two.test/next', false],
    ['wss://one.test:8443/next', false],
  ]
  for (const [location, kept] of cases) {
    checked.length = 0
    const server = await answeringServer(t, (_, nth) => (nth === 0 ? redirect(location) : OPEN), {
      ...certificate,
      ca,
      requestCert: true,
      rejectUnauthorized: false,
    })
    const socket = await connect('wss://one.test/', {
      maxRedirects: 1,
      createConnection: routedTo(null, server),
      tls: {
        ca,
        ...client,
        servername: 'alias.test',
        checkServerIdentity: name => void checked.push(name),
      },
    })
    socket.terminate()
    t.match(server.asked[0], { client: 'client', sni: 'alias.test' })
    const { hostname } = new URL(location, 'wss://one.test/')
    t.match(server.asked[1], kept ? { client: 'client', sni: 'alias.test' } : { client: null, sni: hostname })
    t.same(checked, ['alias.test', kept ? 'alias.test' : hostname], 'a check of its own is told who it is')
  }
})

t.test('the check of the certificate holds for every hop', async t => {
  const stranger = makeCertificate({ issuer: authority, names: ['else.test'] })
  const server = await answeringServer(t, () => OPEN, stranger)
  const plain = await chainOf(t, 'wss://one.test/')
  await leavesNothing(t, async () => {
    const options = { maxRedirects: 1, createConnection: routedTo(plain, server), tls: { ca } }
    const error = await failure(connect('ws://one.test/', options))
    t.match(error, { code: 'WS_TLS_FAILED', phase: 'tls', cause: { code: 'ERR_TLS_CERT_ALTNAME_INVALID' } })
  })
})

/** The naive twin: what browsers call an origin. */
const originOf = (href: string): string => new URL(href.replace(/^ws/, 'http')).origin

t.test('for any chain of redirects, secrets are sent exactly until the origin changes first', t => {
  const secret = 'hush-hush'
  const url = fc
    .tuple(
      fc.constantFrom('ws', 'wss', 'http', 'https'),
      fc.constantFrom('', 'user:pass@'),
      fc.constantFrom('one.test', 'two.test', 'ONE.TEST', '127.0.0.1', '[::1]'),
      fc.constantFrom('', ':80', ':443', ':8080'),
      fc.webPath(),
    )
    .map(([scheme, user, host, port, path]) => `${scheme}://${user}${host}${port}${path}`)
  const location = fc.oneof(
    url,
    fc.webPath(),
    fc.webQueryParameters().map(query => `?${query}`),
  )
  fc.assert(
    fc.property(url, fc.array(location, { maxLength: 6 }), (start, locations) => {
      const target = parseTarget(start)
      const headers = SECRETS.map(name => [name, secret] as const)
      const request = clientRequest(target, { headers: [['Host', secret], ...headers] }, null)
      let hop: Hop = makeHop(target, request, { cert: secret, ca: 'ca' })
      let here = true
      for (const one of locations) {
        const head: ResponseHead = { version: '1.1', status: 302, reason: '', headers: [['Location', one]] }
        const next = afterResponse(hop, head, 1, 1)
        if ('code' in next) continue
        here &&= originOf(next.target.href) === originOf(hop.target.href)
        hop = next
        const text = Buffer.from(hop.bytes).toString('latin1')
        if (text.includes(secret) !== here || 'cert' in hop.tls! !== here || hop.tls!.ca !== 'ca')
          throw new Error(`${one}: ${text}`)
        if (/user:pass|@/.test(hop.target.href.replace(hop.target.requestTarget, '')))
          throw new Error(hop.target.href)
      }
    }),
  )
  t.end()
})

t.test('needs no body of a redirect, and keeps nothing of the old connection', async t => {
  const bodies = ['Content-Length: 100000', 'Transfer-Encoding: chunked']
  for (const framing of bodies) {
    const server = await answeringServer(t, (_, nth) =>
      nth === 0 ? { ...redirect('/next', 302, framing), body: '' } : OPEN,
    )
    await leavesNothing(t, async () => {
      const socket = await connect(server.url, { maxRedirects: 1 })
      await until(() => server.asked[0].stream.destroyed || server.asked[0].stream.readableEnded, 'its end')
      t.equal(socket.state, 'open')
      socket.terminate()
      await socket.closed
    })
  }
})

t.test('serialize: the line is left between two hops', async t => {
  const server = await chainOf(t, '/a', '/b')
  await leavesNothing(t, async () => {
    const options = { maxRedirects: 2, serialize: true }
    const sockets = await Promise.all([connect(server.url, options), connect(server.url, options)])
    for (const socket of sockets) {
      socket.terminate()
      await socket.closed
    }
  })
})

t.test('an abort ends the chain wherever it is', async t => {
  for (const silentAt of [0, 1, 2]) {
    const server = await answeringServer(t, (_, nth) => (nth === silentAt ? null : redirect('/next')))
    const controller = new AbortController()
    const { signal } = controller
    await leavesNothing(t, async () => {
      const connecting = failure(connect(server.url, { maxRedirects: 5, signal }))
      await until(() => server.asked.length === silentAt + 1, 'the request')
      controller.abort()
      t.ok((await connecting) instanceof AbortError)
    })
    t.equal(abortListeners(signal), 0)
    t.equal(server.asked.length, silentAt + 1)
  }
  for (const type of ['request', 'response', 'redirect']) {
    const server = await answeringServer(t, () => redirect('/next'))
    const controller = new AbortController()
    await leavesNothing(t, async () => {
      const onEvent = (event: ConnectEvent): void => {
        if (event.type === type) controller.abort()
      }
      const options = { maxRedirects: 5, signal: controller.signal, onEvent }
      t.ok((await failure(connect(server.url, options))) instanceof AbortError, type)
    })
    t.equal(abortListeners(controller.signal), 0)
    t.ok(server.asked.length <= 1, 'nothing more is asked')
  }
})

t.test('each hop has the whole of each time limit', async t => {
  const clock = new VirtualClock()
  let answer: (() => void) | undefined
  const server = await answeringServer(t, ({ stream }, nth) => {
    answer = () => stream.write(`HTTP/1.1 302 Found\r\nLocation: /${nth + 1}\r\n\r\n`)
    return null
  })
  await leavesNothing(t, async () => {
    const connecting = failure(connect(server.url, { maxRedirects: 5, handshakeTimeoutMs: 250, clock }))
    for (const hop of [1, 2]) {
      await until(() => server.asked.length === hop, 'the request')
      clock.advance(249)
      answer!()
    }
    await until(() => server.asked.length === 3, 'the third request')
    clock.advance(249)
    t.notOk(await isSettled(connecting))
    clock.advance(1)
    const error = await connecting
    t.ok(error instanceof ConnectionError)
    t.match(error, { code: 'WS_HANDSHAKE_TIMEOUT', phase: 'handshake', message: /250 ms/ })
  })
  t.equal(clock.pending, 0)
})

t.test('a hop that fails is told with its own error', async t => {
  const server = await chainOf(t, 'ws://127.0.0.1:1/')
  await leavesNothing(t, async () => {
    const error = await failure(connect(server.url, { maxRedirects: 1 }))
    t.match(error, { code: 'WS_CONNECT_FAILED', phase: 'tcp', message: /127\.0\.0\.1:1 / })
  })
  const refusing = await answeringServer(t, (_, nth) =>
    nth === 0 ? redirect('/next') : { status: 403, body: 'no' },
  )
  t.match(await failure(connect(refusing.url, { maxRedirects: 1 })), {
    code: 'WS_HANDSHAKE_STATUS',
    status: 403,
  })
})

t.test('tells of each request, response and redirect, as they are on the wire', async t => {
  const server = await chainOf(t, '/next')
  const events: ConnectEvent[] = []
  const socket = await open(t, server.url.replace('//', '//user:pass@'), {
    maxRedirects: 1,
    headers: { 'X-Own': 'ä' },
    onEvent: event => events.push(event),
  })
  const ours = events.filter(({ type }) => ['request', 'response', 'redirect'].includes(type))
  const [first, second] = server.asked
  const next = `${server.url}next`
  t.match(ours, [
    { type: 'request', url: server.url },
    {
      type: 'response',
      url: server.url,
      status: 302,
      headers: [
        ['Content-Length', '0'],
        ['Location', '/next'],
      ],
    },
    { type: 'redirect', from: server.url, to: next, status: 302 },
    { type: 'request', url: next },
    { type: 'response', url: next, status: 101 },
  ])
  t.equal(ours.length, 5)
  const requests = ours.flatMap(event => (event.type === 'request' ? [event.headers] : []))
  t.strictSame(requests, [first.lines, second.lines])
  const responses = ours.flatMap(event => (event.type === 'response' ? [event] : []))
  t.ok(responses.every(({ ms }) => ms >= 0))
  t.strictSame(responses[1].headers, socket.head.headers)
})

t.test('tells of a response that is a refusal or a faulty 101', async t => {
  for (const [status, code] of [
    [403, 'WS_HANDSHAKE_STATUS'],
    [101, 'WS_HANDSHAKE_UNREQUESTED_SUBPROTOCOL'],
  ] as const) {
    const server = await answeringServer(t, () => ({ status, headers: ['Sec-WebSocket-Protocol: x'] }))
    const statuses: number[] = []
    const onEvent = (event: ConnectEvent): void => {
      if (event.type === 'response') statuses.push(event.status)
    }
    t.match(await failure(connect(server.url, { onEvent })), { code })
    t.strictSame(statuses, [status])
  }
})

t.test('an error of onEvent breaks nothing, and is not swallowed', async t => {
  const thrown: string[] = []
  const { queueMicrotask: real } = globalThis
  globalThis.queueMicrotask = callback =>
    real(() => {
      try {
        callback()
      } catch (error) {
        thrown.push((error as Error).message)
      }
    })
  t.teardown(() => {
    globalThis.queueMicrotask = real
  })
  const socket = await open(t, 'ws://in.memory/', {
    createConnection: () => new MemoryStream(),
    onEvent: ({ type }) => {
      throw new Error(type)
    },
  })
  await turn()
  t.equal(socket.state, 'open')
  t.strictSame(thrown.slice(-2), ['request', 'response'])
})
