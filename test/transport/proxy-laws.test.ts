import * as fc from 'fast-check'
import t from 'tap'
import { ConnectionError } from '../../src/transport/connection-error.js'
import { HttpConnect } from '../../src/transport/http-connect.js'
import type { Negotiation } from '../../src/transport/negotiation.js'
import { isBypassed } from '../../src/transport/no-proxy.js'
import { proxyFromEnv } from '../../src/transport/proxy-env.js'
import { encodeSocks5Connect, Socks5 } from '../../src/transport/socks5.js'
import { parseTarget } from '../../src/transport/target.js'
import { cutAt, cutEvery } from '../support/split.js'

/** What a conversation comes to, however its bytes were cut. */
interface Outcome {
  readonly said: string | null
  /** What came through the tunnel; null without one. */
  readonly rest: string | null
  readonly fault: string | null
  readonly refusal: string | null
}

const hex = (parts: readonly Uint8Array[]): string => Buffer.concat(parts).toString('hex')

const describe = (error: unknown): string => {
  if (!(error instanceof ConnectionError)) throw error
  const { code, detail, message, response } = error
  if (!/^WS_PROXY_(?:REFUSED|FAILED)$/.test(code)) throw error
  return [code, detail, message, response && Buffer.from(response.body).toString('hex')].join(' ')
}

const converse = (negotiation: Negotiation, chunks: readonly Uint8Array[]): Outcome => {
  const said: Uint8Array[] = [negotiation.opening]
  let through: Uint8Array[] | null = null
  let fault: string | null = null
  for (const chunk of chunks) {
    const before = hex([chunk])
    try {
      const { output, rest } = negotiation.receive(chunk)
      said.push(output)
      if (rest !== null) (through ??= []).push(rest)
    } catch (error) {
      const now = describe(error)
      if (fault !== null && fault !== now) throw new Error(`first ${fault}, then ${now}`, { cause: error })
      fault = now
    }
    if (hex([chunk]) !== before) throw new Error('it has changed the chunk')
  }
  const { refusal } = negotiation
  return {
    // What there was to say to a proxy that answers before it is asked is not said when its next byte is wrong.
    said: fault === null ? hex(said) : null,
    rest: through && hex(through),
    fault,
    refusal: refusal && describe(refusal),
  }
}

const CREDENTIALS = { user: Buffer.from('user'), password: Buffer.from('pass') }
const socks = (withCredentials: boolean): Socks5 =>
  new Socks5(encodeSocks5Connect('a.test', 443), withCredentials ? CREDENTIALS : null, 'proxy')
const http = (): HttpConnect => new HttpConnect('a.test:443', [], 'proxy')

const byte = fc.integer({ min: 0, max: 255 })
const bytes = (most: number): fc.Arbitrary<Uint8Array> => fc.uint8Array({ maxLength: most })

/** Mostly right, often nearly right, sometimes neither. */
const socksAnswers = fc
  .record({
    method: fc.constantFrom([5, 0], [5, 2, 1, 0], [5, 2, 1, 1], [5, 255], [4, 0], [5, 2, 0, 0], []),
    reply: fc.oneof({ weight: 5, arbitrary: fc.constant(0) }, { weight: 1, arbitrary: byte }),
    address: fc.oneof(
      fc.tuple(fc.constant([1]), fc.uint8Array({ minLength: 4, maxLength: 4 })),
      fc.tuple(fc.constant([4]), fc.uint8Array({ minLength: 16, maxLength: 16 })),
      bytes(255).map(name => [[3, name.length], name] as const),
      fc.tuple(
        byte.map(type => [type]),
        bytes(20),
      ),
    ),
    rest: bytes(40),
  })
  .map(({ method, reply, address: [type, address], rest }) =>
    Uint8Array.of(...method, 5, reply, 0, ...type, ...address, 1, 187, ...rest),
  )

const httpAnswers = fc
  .record({
    before: fc.constantFrom(
      '',
      'HTTP/1.1 100 Continue\r\n\r\n',
      'HTTP/1.1 103 X\r\nA: b\r\n\r\n',
      'x',
      '\r\n',
    ),
    status: fc.constantFrom('200 OK', '204', '299 Fine', '407 Who', '503', '101 X', '2000', '099 X'),
    version: fc.constantFrom('1.1', '1.0', '2.0', '11'),
    headers: fc.array(
      fc.constantFrom('A: b', 'Content-Length: 5', 'Transfer-Encoding: chunked', 'A : b', 'no', 'Å: b'),
      { maxLength: 3 },
    ),
    lineEnd: fc.constantFrom('\r\n', '\r\n', '\r\n', '\n'),
    rest: fc.oneof(bytes(40), fc.constant(Buffer.from('3\r\nabc\r\n0\r\n\r\n'))),
  })
  .map(({ before, status, version, headers, lineEnd, rest }) => {
    const head = [`HTTP/${version} ${status}`, ...headers, '', ''].join(lineEnd)
    return Buffer.concat([Buffer.from(before + head, 'latin1'), rest])
  })

const places = fc.array(fc.nat(300), { maxLength: 8 })

t.test('any split of what a proxy says leads to the same', t => {
  const kinds: readonly (readonly [() => Negotiation, fc.Arbitrary<Uint8Array>])[] = [
    [() => socks(false), socksAnswers],
    [() => socks(true), socksAnswers],
    [http, httpAnswers],
    [() => socks(true), bytes(300)],
    [http, bytes(300)],
  ]
  for (const [make, answers] of kinds) {
    fc.assert(
      fc.property(answers, places, (answer, cuts) => {
        const whole = converse(make(), [answer])
        t.strictSame(converse(make(), cutAt(answer, cuts)), whole)
        t.strictSame(
          converse(make(), cutEvery(answer, 1)),
          answer.length === 0 ? converse(make(), []) : whole,
        )
        t.notOk(whole.rest !== null && whole.fault !== null)
      }),
      { numRuns: 300 },
    )
  }
  t.end()
})

t.test('the conversation of SOCKS5 is that of RFC 1928 and RFC 1929', t => {
  const request = '0501000306612e7465737401bb'
  t.strictSame(converse(socks(false), [Uint8Array.of(5, 0)]).said, `050100${request}`)
  t.strictSame(converse(socks(true), [Uint8Array.of(5, 0)]).said, `05020002${request}`, 'it may ask for none')
  const auth = `0104${Buffer.from('user').toString('hex')}04${Buffer.from('pass').toString('hex')}`
  t.strictSame(converse(socks(true), [Uint8Array.of(5, 2)]).said, `05020002${auth}`)
  const answer = Uint8Array.of(5, 2, 1, 0, 5, 0, 0, 1, 1, 2, 3, 4, 5, 6, 7)
  t.strictSame(converse(socks(true), [answer]), {
    said: `05020002${auth}${request}`,
    rest: '07',
    fault: null,
    refusal: null,
  })
  t.end()
})

t.test('SOCKS5 requests have names and addresses as bytes, whatever they are', t => {
  const start = [5, 1, 0]
  t.strictSame([...encodeSocks5Connect('192.0.2.255', 80)], [...start, 1, 192, 0, 2, 255, 0, 80])
  const octets = fc.uint8Array({ minLength: 16, maxLength: 16 })
  const withZeros = fc
    .tuple(octets, fc.nat(15), fc.nat(16))
    .map(([all, from, length]) => all.fill(0, from, from + length))
  fc.assert(
    fc.property(fc.oneof(octets, withZeros), fc.nat(65_535), (address, port) => {
      const groups = Array.from({ length: 8 }, (_, i) =>
        ((address[2 * i] << 8) | address[2 * i + 1]).toString(16),
      )
      const { hostname } = parseTarget(`ws://[${groups.join(':')}]/`)
      const expected = [...start, 4, ...address, port >> 8, port & 255]
      t.strictSame([...encodeSocks5Connect(hostname, port)], expected)
      t.strictSame([...encodeSocks5Connect(groups.join(':'), port)], expected)
    }),
  )
  t.strictSame(
    [...encodeSocks5Connect('::ffff:1.2.3.4', 1)].slice(4, -2),
    [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 1, 2, 3, 4],
  )
  fc.assert(
    fc.property(fc.domain(), name => {
      t.strictSame(
        Buffer.from(encodeSocks5Connect(name, 443)),
        Buffer.concat([Buffer.of(...start, 3, name.length), Buffer.from(name), Buffer.of(1, 187)]),
      )
    }),
    { numRuns: 30 },
  )
  t.end()
})

/** Whether an IPv4 address is in a range. */
const naive = (address: number, range: number, prefix: number): boolean =>
  prefix === 0 || address >>> (32 - prefix) === range >>> (32 - prefix)
const dotted = (word: number): string => [24, 16, 8, 0].map(shift => (word >>> shift) & 255).join('.')

t.test('no_proxy takes out what it lists, and nothing else', t => {
  const cases: readonly (readonly [list: string, url: string, bypassed: boolean])[] = [
    ['', 'ws://a.test', false],
    ['*', 'ws://a.test', true],
    ['b.test, *', 'ws://[::1]', true],
    ['a.test', 'ws://a.test', true],
    ['a.test', 'ws://A.TEST', true],
    ['A.Test', 'ws://a.test', true],
    ['a.test', 'ws://sub.a.test', true],
    ['a.test', 'ws://sub.sub.a.test', true],
    ['a.test', 'ws://ba.test', false],
    ['a.test', 'ws://a.test.com', false],
    ['sub.a.test', 'ws://a.test', false],
    ['.a.test', 'ws://sub.a.test', true],
    ['.a.test', 'ws://a.test', true],
    ['*.a.test', 'ws://sub.a.test', true],
    ['*.a.test', 'ws://ba.test', false],
    ['a.*', 'ws://a.test', false],
    ['test', 'ws://a.test', true],
    ['a.test.', 'ws://a.test', true],
    ['a.test', 'ws://a.test.', true],
    ['b.test,a.test', 'ws://a.test', true],
    [' b.test ,\ta.test ', 'ws://a.test', true],
    ['b.test a.test', 'ws://a.test', true],
    [',,', 'ws://a.test', false],
    ['.', 'ws://a.test', false],
    ['*.', 'ws://a.test', false],
    ['a.test:80', 'ws://a.test', true],
    ['a.test:80', 'ws://sub.a.test', true],
    ['a.test:80', 'wss://a.test', false],
    ['a.test:443', 'wss://a.test', true],
    ['a.test:8080', 'ws://a.test:8080', true],
    ['a.test:', 'ws://a.test', false],
    [':80', 'ws://a.test', false],
    ['127.0.0.1', 'ws://127.0.0.1', true],
    ['127.0.0.1', 'ws://2130706433', true],
    ['127.0.0.1', 'ws://127.0.0.2', false],
    ['127.0.0.1:80', 'ws://127.0.0.1', true],
    ['127.0.0.1:81', 'ws://127.0.0.1', false],
    ['0.0.1', 'ws://127.0.0.1', false],
    ['.1', 'ws://127.0.0.1', false],
    ['127.0.0.1', 'ws://localhost', false],
    ['localhost', 'ws://127.0.0.1', false],
    ['', 'ws://localhost', false],
    ['', 'ws://127.0.0.1', false],
    ['::1', 'ws://[::1]', true],
    ['[::1]', 'ws://[::1]', true],
    ['0:0:0:0:0:0:0:1', 'ws://[::1]', true],
    ['[::1]:80', 'ws://[::1]', true],
    ['[::1]:81', 'ws://[::1]', false],
    ['2001:DB8::1', 'ws://[2001:db8::1]', true],
    ['127.0.0.1', 'ws://[::ffff:127.0.0.1]', true],
    ['10.0.0.0/8', 'ws://10.255.1.2', true],
    ['10.0.0.0/8', 'ws://11.0.0.1', false],
    ['10.1.2.3/8', 'ws://10.255.1.2', true],
    ['0.0.0.0/0', 'ws://1.2.3.4', true],
    ['0.0.0.0/0', 'ws://a.test', false],
    ['10.0.0.1/32', 'ws://10.0.0.1', true],
    ['10.0.0.1/33', 'ws://10.0.0.1', false],
    ['10.0.0.1/x', 'ws://10.0.0.1', false],
    ['10.0.0.1/', 'ws://10.0.0.1', false],
    ['a.test/8', 'ws://a.test', false],
    ['/8', 'ws://10.0.0.1', false],
    ['2001:db8::/32', 'ws://[2001:db8:ffff::1]', true],
    ['2001:db8::/32', 'ws://[2001:db9::1]', false],
    ['::/129', 'ws://[::1]', false],
  ]
  for (const [list, url, bypassed] of cases) {
    const { hostname, port } = parseTarget(url)
    t.equal(isBypassed(list, hostname, port), bypassed, `${JSON.stringify(list)} for ${url}`)
  }
  fc.assert(
    fc.property(
      fc.string({ maxLength: 50 }),
      fc.constantFrom('a.test', '10.0.0.1', '::1'),
      (list, hostname) => {
        t.type(isBypassed(list, hostname, 80), 'boolean')
      },
    ),
  )
  const word = fc.integer({ min: 0, max: 0xffffffff })
  fc.assert(
    fc.property(word, fc.nat(32), fc.nat(32), (range, prefix, flipped) => {
      const address = flipped === 32 ? range : (range ^ (1 << flipped)) >>> 0
      const list = `${dotted(range)}/${prefix}`
      t.equal(
        isBypassed(list, dotted(address), 80),
        naive(address, range, prefix),
        `${dotted(address)} in ${list}`,
      )
    }),
  )
  t.end()
})

t.test('the environment says which proxy, if any', t => {
  type Env = Record<string, string>
  const cases: readonly (readonly [env: Env, url: string, found: string | null, platform?: string])[] = [
    [{}, 'ws://a.test', null],
    [{ http_proxy: 'http://p' }, 'ws://a.test', 'http_proxy http://p'],
    [{ http_proxy: 'http://p' }, 'http://a.test', 'http_proxy http://p'],
    [{ http_proxy: 'http://p' }, 'wss://a.test', null],
    [{ https_proxy: 'http://p' }, 'wss://a.test', 'https_proxy http://p'],
    [{ https_proxy: 'http://p' }, 'https://a.test', 'https_proxy http://p'],
    [{ https_proxy: 'http://p' }, 'ws://a.test', null],
    [{ HTTP_PROXY: 'http://P' }, 'ws://a.test', 'HTTP_PROXY http://P'],
    [{ HTTPS_PROXY: 'http://P' }, 'wss://a.test', 'HTTPS_PROXY http://P'],
    [{ http_proxy: 'http://p', HTTP_PROXY: 'http://P' }, 'ws://a.test', 'http_proxy http://p'],
    [{ https_proxy: 'http://p', HTTPS_PROXY: 'http://P' }, 'wss://a.test', 'https_proxy http://p'],
    [{ https_proxy: '', HTTPS_PROXY: 'http://P' }, 'wss://a.test', 'HTTPS_PROXY http://P'],
    [{ all_proxy: 'socks5://p' }, 'ws://a.test', 'all_proxy socks5://p'],
    [{ ALL_PROXY: 'socks5://P' }, 'wss://a.test', 'ALL_PROXY socks5://P'],
    [{ all_proxy: 'socks5://p', ALL_PROXY: 'socks5://P' }, 'wss://a.test', 'all_proxy socks5://p'],
    [{ all_proxy: 'socks5://p', HTTPS_PROXY: 'http://P' }, 'wss://a.test', 'HTTPS_PROXY http://P'],
    [{ http_proxy: ' ' }, 'ws://a.test', null],
    [{ http_proxy: 'p:3128' }, 'ws://a.test', 'http_proxy http://p:3128'],
    [{ http_proxy: 'user:pass@p:3128' }, 'ws://a.test', 'http_proxy http://user:pass@p:3128'],
    [{ http_proxy: 'nonsense://' }, 'ws://a.test', 'http_proxy nonsense://'],
    [{ HTTP_PROXY: 'http://P', REQUEST_METHOD: 'GET' }, 'ws://a.test', null],
    [{ http_proxy: 'http://p', REQUEST_METHOD: 'GET' }, 'ws://a.test', 'http_proxy http://p'],
    [{ http_proxy: 'http://p', REQUEST_METHOD: 'GET' }, 'ws://a.test', null, 'win32'],
    [{ http_proxy: 'http://p' }, 'ws://a.test', 'http_proxy http://p', 'win32'],
    [{ HTTPS_PROXY: 'http://P', REQUEST_METHOD: 'GET' }, 'wss://a.test', 'HTTPS_PROXY http://P'],
    [
      { HTTP_PROXY: 'http://P', all_proxy: 'http://p', REQUEST_METHOD: 'GET' },
      'ws://a.test',
      'all_proxy http://p',
    ],
    [{ http_proxy: 'http://p', no_proxy: 'a.test' }, 'ws://a.test', null],
    [{ http_proxy: 'http://p', NO_PROXY: 'a.test' }, 'ws://a.test', null],
    [
      { http_proxy: 'http://p', no_proxy: 'b.test', NO_PROXY: 'a.test' },
      'ws://a.test',
      'http_proxy http://p',
    ],
    [{ http_proxy: 'http://p', no_proxy: '', NO_PROXY: 'a.test' }, 'ws://a.test', null],
    [{ http_proxy: 'http://p', no_proxy: 'a.test:80' }, 'ws://a.test:81', 'http_proxy http://p'],
    [{ all_proxy: 'http://p', no_proxy: '*' }, 'wss://a.test', null],
    [{ http_proxy: 'http://p' }, 'ws://localhost', 'http_proxy http://p'],
    [{ http_proxy: 'http://p' }, 'ws://127.0.0.1', 'http_proxy http://p'],
    [{ all_proxy: 'http://p' }, 'ws+unix:/tmp/x.sock', null],
  ]
  for (const [env, url, found, platform = 'linux'] of cases) {
    const answer = proxyFromEnv(parseTarget(url), env, platform)
    t.equal(answer && `${answer.name} ${answer.url}`, found, `${JSON.stringify(env)} for ${url}`)
  }
  t.end()
})
