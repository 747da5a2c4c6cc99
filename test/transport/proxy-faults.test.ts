import type { Socket } from 'node:net'
import t from 'tap'
import { AbortError } from '../../src/transport/abort-error.js'
import type { ConnectEvent } from '../../src/transport/connect-event.js'
import { ConnectionError } from '../../src/transport/connection-error.js'
import type { DialOptions } from '../../src/transport/dial-options.js'
import {
  bytes,
  CREDENTIALS,
  dialUrl,
  type Dialing,
  keeping,
  loopback,
  NAME,
  NO_AUTH,
  OPEN,
  socksReply,
  targets,
  through,
  TRUST,
} from '../support/dialing.js'
import { abortListeners } from '../support/leaks.js'
import { type Answer, connectProxy, scriptedProxy, socksProxy } from '../support/proxies.js'
import { until } from '../support/raw-peer.js'
import { failure, leavesNothing, serve, silentServer, turn } from '../support/servers.js'
import { VirtualClock } from '../support/virtual-clock.js'

t.test('fails with WS_PROXY_REFUSED and the whole answer when CONNECT gets another status', async t => {
  const long = 'x'.repeat(100_000)
  const cases: readonly (readonly [Answer, number, string, string])[] = [
    [
      {
        bytes:
          'HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic\r\nContent-Length: 3\r\n\r\nwhobehind',
      },
      407,
      'Proxy Authentication Required',
      'who',
    ],
    [{ bytes: 'HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n' }, 403, 'Forbidden', ''],
    [{ bytes: 'HTTP/1.1 502\r\n\r\nuntil the end', ending: 'end' }, 502, '', 'until the end'],
    [{ bytes: 'HTTP/1.1 503 Busy\r\nContent-Length: 9\r\n\r\nshort', ending: 'end' }, 503, 'Busy', 'short'],
    [{ bytes: 'HTTP/1.1 503 Busy\r\nContent-Length: 9\r\n\r\nshort', ending: 'reset' }, 503, 'Busy', 'short'],
    [{ bytes: 'HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 1\r\n\r\nx' }, 302, 'Found', 'x'],
    [
      { bytes: 'HTTP/1.1 500 No\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n' },
      500,
      'No',
      'abcde',
    ],
    [{ bytes: 'HTTP/1.1 101 Switching Protocols\r\n\r\n' }, 101, 'Switching Protocols', ''],
    [{ bytes: `HTTP/1.1 504 Slow\r\n\r\n${long}` }, 504, 'Slow', long.slice(0, 65_536)],
  ]
  for (const [answer, status, reason, body] of cases) {
    await through(t, 'http', [answer], async ({ dialing, tunnel }) => {
      const error = await failure(dialing)
      t.ok(error instanceof ConnectionError)
      const { response, detail, message } = error as ConnectionError
      t.match(error, { code: 'WS_PROXY_REFUSED', phase: 'proxy' })
      t.equal(detail, `status-${status}`)
      t.match(response, { status, reason })
      t.equal(Buffer.from(response!.body).toString(), body)
      t.equal(message, `the tunnel through ${tunnel} was refused: ${status} ${reason}`.trimEnd())
    })
  }
})

t.test('fails with WS_PROXY_REFUSED for wrong user info, or none', async t => {
  const http = await connectProxy(t, { credentials: CREDENTIALS })
  const socks = await socksProxy(t, CREDENTIALS)
  const details: Record<string, string> = {
    [http.url]: 'status-407',
    [http.url.replace('//', '//jo:secret@')]: 'status-407',
    [socks.url]: 'no-acceptable-auth-method',
    [socks.url.replace('//', '//jo:secret@')]: 'username-password-auth-failure',
    [socks.url.replace('//', '//jo@')]: 'username-password-auth-failure',
  }
  for (const [proxy, detail] of Object.entries(details)) {
    await leavesNothing(t, async () => {
      const error = await failure(dialUrl(`ws://${NAME}/`, { proxy }))
      t.match(error, { code: 'WS_PROXY_REFUSED', phase: 'proxy', detail }, detail)
      t.notMatch(error.message, /secret|jo/)
    })
  }
})

t.test('fails with WS_PROXY_REFUSED and the reason in words when SOCKS5 says no', async t => {
  const words = [
    'general socks server failure',
    'connection not allowed by ruleset',
    'network unreachable',
    'host unreachable',
    'connection refused',
    'ttl expired',
    'command not supported',
    'address type not supported',
  ]
  const cases: readonly (readonly [readonly Answer[], string])[] = [
    ...words.map((text, i) => [[NO_AUTH, { bytes: socksReply(i + 1) }], text] as const),
    [[NO_AUTH, { bytes: socksReply(9) }], 'unknown error 9'],
    [[NO_AUTH, { bytes: bytes(5, 255) }], 'unknown error 255'],
    [[NO_AUTH, { bytes: bytes(5, 4), ending: 'end' }], 'host unreachable'],
    [[{ bytes: bytes(5, 255) }], 'no acceptable auth method'],
  ]
  for (const [answers, text] of cases) {
    await through(t, 'socks5', answers, async ({ dialing, tunnel }) => {
      const error = await failure(dialing)
      t.match(error, { code: 'WS_PROXY_REFUSED', phase: 'proxy', response: null })
      t.equal(error.message, `the tunnel through ${tunnel} was refused: ${text}`)
      t.equal((error as ConnectionError).detail, text.replaceAll(' ', '-'))
    })
  }
})

const head = (more: string): string => `HTTP/1.1 200 OK\r\n${more}`

t.test('fails with WS_PROXY_FAILED for what is no answer', async t => {
  const cases: readonly (readonly ['http' | 'socks5', readonly Answer[], string, string?])[] = [
    ['http', [{ bytes: 'SSH-2.0-OpenSSH\r\n' }], 'bad-response', 'WS_HANDSHAKE_BAD_STATUS_LINE'],
    ['http', [{ bytes: bytes(5, 0) }], 'bad-response', 'WS_HANDSHAKE_BAD_BYTE'],
    ['http', [{ bytes: head('no header\r\n\r\n') }], 'bad-response', 'WS_HANDSHAKE_BAD_HEADER'],
    ['http', [{ bytes: 'HTTP/2.0 200 OK\r\n\r\n' }], 'bad-http-version'],
    ['http', [{ bytes: head('A: b\r\n'.repeat(129)) }], 'bad-response', 'WS_HANDSHAKE_TOO_MANY_HEADERS'],
    ['http', [{ bytes: head(`A: ${'b'.repeat(17_000)}`) }], 'bad-response', 'WS_HANDSHAKE_HEAD_TOO_LARGE'],
    [
      'http',
      [{ bytes: 'HTTP/1.1 103 Hints\r\n\r\n'.repeat(1_000) }],
      'bad-response',
      'WS_HANDSHAKE_HEAD_TOO_LARGE',
    ],
    ['socks5', [{ bytes: 'HTTP/1.1 400 Bad Request\r\n\r\n' }], 'not-socks5'],
    ['socks5', [{ bytes: bytes(4, 0) }], 'not-socks5'],
    ['socks5', [{ bytes: bytes(5, 2) }], 'unexpected-auth-method'],
    ['socks5', [{ bytes: bytes(5, 1) }], 'unexpected-auth-method'],
    ['socks5', [NO_AUTH, { bytes: bytes(4, 0) }], 'not-socks5'],
    ['socks5', [NO_AUTH, { bytes: bytes(5, 0, 0, 2) }], 'unknown-address-type'],
  ]
  for (const [scheme, answers, detail, cause] of cases) {
    await through(t, scheme, answers, async ({ dialing, tunnel }) => {
      const error = await failure(dialing)
      t.match(error, { code: 'WS_PROXY_FAILED', phase: 'proxy', detail, response: null }, detail)
      if (cause !== undefined) t.match(error.cause, { name: 'HandshakeError', code: cause })
      t.equal(error.message, `the tunnel through ${tunnel} failed: ${cause ?? detail.replaceAll('-', ' ')}`)
    })
  }
  const auth = await scriptedProxy(t, { bytes: bytes(5, 2) }, { bytes: bytes(5, 0) })
  const proxy = `socks5://a:b@127.0.0.1:${auth.port}`
  t.match(await failure(dialUrl(`ws://${NAME}/`, { proxy })), {
    code: 'WS_PROXY_FAILED',
    detail: 'not-socks5',
  })
})

t.test('fails with WS_PROXY_FAILED when the proxy ends at any byte of its answers', async t => {
  const scripts: readonly (readonly ['http' | 'socks5', readonly Uint8Array[]])[] = [
    ['http', [Buffer.from('HTTP/1.1 200 OK\r\nA: b\r\n\r\n')]],
    ['socks5', [bytes(5, 0), socksReply(0)]],
    ['socks5', [bytes(5, 2), bytes(1, 0), bytes(5, 0, 0, 3, 2, 1, 1, 1, 1)]],
  ]
  const options: (readonly [DialOptions, 'end' | 'reset'])[] = []
  for (const [scheme, answers] of scripts) {
    for (const [last, answer] of answers.entries()) {
      for (let length = 0; length < answer.length; length++) {
        for (const ending of ['end', 'reset'] as const) {
          const before = answers.slice(0, last).map(one => ({ bytes: one }))
          const { port } = await scriptedProxy(t, ...before, { bytes: answer.slice(0, length), ending })
          options.push([{ proxy: `${scheme}://a:b@127.0.0.1:${port}` }, ending])
        }
      }
    }
  }
  t.equal(options.length, 2 * (25 + 12 + 13))
  await leavesNothing(t, async () => {
    for (const [option, ending] of options) {
      const error = await failure(dialUrl(`ws://${NAME}/`, option))
      t.match(error, { code: 'WS_PROXY_FAILED', phase: 'proxy', detail: 'ended' })
      const cause = error.cause as { code?: string } | undefined
      if (ending === 'end') t.equal(cause, undefined)
      // A reset that comes together with data looks like an end.
      else t.ok([undefined, 'ECONNRESET'].includes(cause?.code))
    }
  })
})

t.test('a first proxy that is not reached fails like any other server, under its own name', async t => {
  const { server, heard } = silentServer()
  const silent = await serve(t, server)
  void heard.then(socket => socket.end('SSH-2.0-OpenSSH\r\n'))
  const cases: readonly (readonly [DialOptions, object])[] = [
    [
      { proxy: 'http://proxy.invalid:3128' },
      { code: 'WS_DNS_FAILED', phase: 'dns', message: /^lookup of proxy\.invalid failed/ },
    ],
    [
      { proxy: ['http://127.0.0.1:1', 'http://proxy.invalid'] },
      {
        code: 'WS_CONNECT_FAILED',
        phase: 'tcp',
        message: 'connect to 127.0.0.1:1 failed: ECONNREFUSED',
      },
    ],
    [
      { proxy: { url: `https://127.0.0.1:${silent}`, ...TRUST } },
      { code: 'WS_TLS_FAILED', phase: 'tls', message: new RegExp(`^TLS with 127.0.0.1:${silent} failed`) },
    ],
  ]
  for (const [options, expected] of cases) {
    await leavesNothing(t, async () => {
      t.match(await failure(dialUrl(`wss://${NAME}/`, options)), expected)
    })
  }
})

t.test('a later proxy, and a target, that is not reached is a refusal of the one before', async t => {
  const http = await connectProxy(t)
  const socks = await socksProxy(t)
  const nowhere = 'http://127.0.0.1:1'
  const cases: readonly (readonly [DialOptions['proxy'], string, object])[] = [
    [[http.url, nowhere], `${http.url} to 127.0.0.1:1`, { detail: 'status-502' }],
    [[socks.url, nowhere], `${socks.url} to 127.0.0.1:1`, { detail: 'connection-refused' }],
    [[http.url, socks.url], `${socks.url} to ${NAME}:1`, { detail: 'connection-refused' }],
    [[socks.url, http.url], `${http.url} to ${NAME}:1`, { response: { status: 502 } }],
  ]
  for (const [proxy, tunnel, expected] of cases) {
    await leavesNothing(t, async () => {
      const error = await failure(dialUrl(`ws://${NAME}:1/`, { proxy }))
      t.match(error, { code: 'WS_PROXY_REFUSED', ...expected })
      t.ok(error.message.startsWith(`the tunnel through ${tunnel} was refused: `), error.message)
    })
  }
})

t.test('fails with WS_PROXY_TIMEOUT, and a limit of its own for each proxy', async t => {
  const scripts: readonly (readonly ['http' | 'socks5', readonly Answer[]])[] = [
    ['http', []],
    ['socks5', []],
    ['socks5', [NO_AUTH]],
  ]
  for (const [scheme, answers] of scripts) {
    const clock = new VirtualClock()
    const check = async ({ dialing, proxy, tunnel }: Dialing): Promise<void> => {
      const failed = failure(dialing)
      await proxy.silent
      clock.advance(9_999)
      t.equal(clock.pending, 1, 'not a millisecond before')
      clock.advance(1)
      t.match(await failed, {
        code: 'WS_PROXY_TIMEOUT',
        phase: 'proxy',
        message: `the tunnel through ${tunnel} timed out (10000 ms)`,
      })
      t.equal(clock.pending, 0)
    }
    await through(t, scheme, answers, check, { clock })
  }
  const proxy = await scriptedProxy(t, { bytes: OPEN })
  await leavesNothing(t, async () => {
    const clock = new VirtualClock()
    const urls = [`http://127.0.0.1:${proxy.port}`, 'socks5://second.invalid:99']
    const failed = failure(dialUrl(`ws://${NAME}/`, { proxy: urls, clock, proxyTimeoutMs: 50 }))
    await until(() => proxy.heard.length === 1, 'CONNECT')
    clock.advance(49)
    await proxy.silent
    clock.advance(49)
    t.equal(clock.pending, 1, 'the second has its own time')
    clock.advance(1)
    t.match(await failed, { message: `the tunnel through ${urls[1]} to ${NAME}:80 timed out (50 ms)` })
  })
})

t.test('reports a refusal, as far as it came, whose body does not end in time', async t => {
  const clock = new VirtualClock()
  const made: Socket[] = []
  const said = 'HTTP/1.1 503 Busy\r\n\r\nnever en'
  const check = async ({ dialing }: Dialing): Promise<void> => {
    const failed = failure(dialing)
    await until(() => made[0]?.bytesRead === said.length, 'the answer')
    await turn()
    clock.advance(10_000)
    const error = await failed
    t.match(error, { code: 'WS_PROXY_REFUSED', response: { status: 503 } })
    t.equal(Buffer.from((error as ConnectionError).response!.body).toString(), 'never en')
  }
  await through(t, 'http', [{ bytes: said }], check, { clock, ...keeping(made) })
})

t.test('aborts while a proxy is asked, and while TLS is spoken through it', async t => {
  const { server, heard } = silentServer()
  const silent = await serve(t, server)
  const tunnel = await connectProxy(t)
  const plain = await scriptedProxy(t)
  const phases: readonly (readonly [string, DialOptions['proxy'], Promise<unknown>])[] = [
    [`ws://${NAME}/`, `http://127.0.0.1:${plain.port}`, plain.silent],
    [`wss://${NAME}:${silent}/`, tunnel.url, heard],
  ]
  for (const [url, proxy, reached] of phases) {
    await leavesNothing(t, async () => {
      const made: Socket[] = []
      const clock = new VirtualClock()
      const controller = new AbortController()
      const failed = failure(
        dialUrl(url, { proxy, clock, signal: controller.signal, ...TRUST, ...keeping(made) }),
      )
      await reached
      t.equal(clock.pending, 1)
      controller.abort('enough')
      t.match(await failed, { name: 'AbortError', cause: 'enough' })
      t.equal(clock.pending, 0)
      t.equal(abortListeners(controller.signal), 0)
      t.same(
        made.map(one => one.destroyed),
        [true],
      )
      made[0].emit('error', new Error('late'))
    })
  }
  const controller = new AbortController()
  const onEvent = ({ type }: ConnectEvent): void => {
    if (type === 'connect') controller.abort()
  }
  const error = await failure(
    dialUrl(`ws://${NAME}/`, { proxy: tunnel.url, onEvent, signal: controller.signal }),
  )
  t.ok(error instanceof AbortError, 'also when it is an event that leads to it')
})

t.test('refuses options that make no sense, before anything is done, and repeats no secret', async t => {
  const name = 'n'.repeat(250)
  const long = 'x'.repeat(256)
  const bad: Record<string, readonly [DialOptions, RegExp, string?]> = {
    'a list in a list': [{ proxy: [[]] as never }, /^there is no option|^proxy\[0\]/],
    number: [{ proxy: 5 as never }, /must be a URL/],
    null: [{ proxy: null as never }, /must be a URL/],
    'nothing in a list': [{ proxy: [undefined as never] }, /^proxy\[0\]: it must be a URL/],
    'an unknown option': [{ proxy: { url: 'http://a', uri: 'x' } as never }, /there is no option uri/],
    'no URL': [{ proxy: {} as never }, /^proxy: the URL cannot be parsed/],
    'an empty URL': [{ proxy: '' }, /cannot be parsed/],
    'no scheme': [{ proxy: 'proxy:3128' }, /scheme must be/],
    'another scheme': [{ proxy: 'socks4://secret@proxy' }, /scheme must be/],
    ftp: [{ proxy: new URL('ftp://secret@proxy') }, /scheme must be/],
    'no host': [{ proxy: 'socks5:proxy:1080' }, /has no host/],
    'no host at all': [{ proxy: 'socks5://' }, /has no host/],
    'a host of nonsense': [{ proxy: 'socks5://a%20b:secret@%20' }, /no valid host/],
    'a path': [{ proxy: 'http://secret@proxy/path' }, /nothing behind host and port/],
    'a path of SOCKS': [{ proxy: 'socks5://secret@proxy/path' }, /nothing behind host and port/],
    'a query': [{ proxy: 'http://secret@proxy/?' }, /nothing behind host and port/],
    'a fragment': [{ proxy: 'http://secret@proxy#' }, /nothing behind host and port/],
    'a line end': [{ proxy: 'http://secret@proxy\r\n' }, /control character/],
    'a tab in the user info': [{ proxy: 'http://sec\tret@proxy' }, /control character/],
    'an escaped line end, Basic': [{ proxy: 'http://secret:%0d%0a@proxy' }, /control character/],
    'an escaped NUL, SOCKS': [{ proxy: 'socks5://secret:%00@proxy' }, /control character/],
    'a colon in the name of Basic': [{ proxy: 'http://sec%3Aret:x@proxy' }, /colon/],
    'a long user': [{ proxy: `socks5://${long}@proxy` }, /more than 255 bytes/],
    'a long password': [{ proxy: `socks5://secret:${'%41'.repeat(256)}@proxy` }, /more than 255 bytes/],
    'a long name': [{ proxy: 'socks5://proxy' }, /more than 255 bytes/, `ws://${name}.${name}/`],
    'a long name of a proxy': [{ proxy: ['socks5://proxy', `http://${name}.${name}`] }, /^proxy\[0\]/],
    'headers for SOCKS': [{ proxy: { url: 'socks5://a', headers: {} } }, /takes no headers/],
    'headers of nonsense': [{ proxy: { url: 'http://a', headers: 'a' as never } }, /must be pairs/],
    'a header with a line end': [
      { proxy: { url: 'http://a', headers: { A: 'secret\r\n' } } },
      /headers\["A"\]/,
    ],
    'a header name with a line end': [{ proxy: { url: 'http://a', headers: { 'A\n': 'secret' } } }, /token/],
    'a Host header': [{ proxy: { url: 'http://a', headers: { host: 'b' } } }, /writes this header itself/],
    'two authorizations': [
      {
        proxy: {
          url: 'http://a',
          headers: [
            ['Proxy-Authorization', 'secret'],
            ['proxy-authorization', 'secret'],
          ],
        },
      },
      /more than once/,
    ],
    'checks switched off by half': [
      { proxy: { url: 'https://a', tls: { rejectUnauthorized: false } }, insecure: true },
      /insecure: true/,
    ],
    'a unix socket': [{ proxy: 'http://a' }, /unix socket/, 'ws+unix:/tmp/x.sock'],
    'a factory': [{ proxy: 'env', createConnection: () => new Promise(() => {}) }, /createConnection/],
    'a limit': [{ proxy: 'http://a', proxyTimeoutMs: 0 }, /proxyTimeoutMs/],
    'a handler': [{ onEvent: 'x' as never }, /onEvent must be a function/],
  }
  for (const [what, [options, message, url = `ws://${NAME}/`]] of Object.entries(bad)) {
    const netConnect = (): Socket => {
      throw t.fail('connected')
    }
    const error = await failure(dialUrl(url, { ...options, netConnect }))
    t.match(error, { name: 'UsageError', code: 'WS_BAD_OPTION', message }, what)
    t.notMatch(error.message, /secret/)
  }
  const { ws } = await targets(t)
  for (const proxy of [[], undefined]) (await dialUrl(ws, { proxy, lookup: loopback })).socket.destroy()
  t.pass('no proxy is none')
  const unix = await failure(dialUrl('ws+unix:/nowhere/x.sock', { proxy: 'env' }))
  t.match(unix, { code: 'WS_CONNECT_FAILED' }, 'the environment has nothing to say about unix sockets')
})
