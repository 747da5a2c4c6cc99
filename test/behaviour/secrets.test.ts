// Strategy: whatever a secret is put into, its first characters are looked for in the line of the event and in all that a log
// of objects would show of it. They are characters that nothing else in an event has.
import fc from 'fast-check'
import t from 'tap'
import { BadResponseError } from '../../src/behaviour/bad-response-error.js'
import { warn } from '../../src/behaviour/ending.js'
import { maskError, maskEvent } from '../../src/behaviour/masked-event.js'
import type { ProcessEvent } from '../../src/behaviour/process-event.js'
import { isSecretName } from '../../src/transport/secret-names.js'
import { maskHeaders, maskSubprotocols, maskText, maskUrl } from '../../src/behaviour/secrets.js'
import { HandshakeError } from '../../src/index.js'
import { turn } from '../support/servers.js'
import { fakeStream, line, reasonOf, refused, SAMPLES, statusOf } from '../support/event-samples.js'

const SECRET_PARAMETERS =
  'token access_token auth key api_key secret password signature sig code session jwt refreshToken X-Amz-Signature ' +
  'id-token clientSecret apikey sessionid user[password] client%5fsecret %74oken ticket'
const secretParameter = fc
  .constantFrom(...SECRET_PARAMETERS.split(' '))
  .chain(name => fc.constantFrom(name, name.includes('%') ? name : name.toUpperCase()))
const alphabet = 'ABCDEFGHJKMNPQRSTVWXYZ23456789'.split('')
const secretOf = (extra: string): fc.Arbitrary<string> =>
  fc
    .array(fc.constantFrom(...alphabet, ...extra.split('')), { minLength: 12, maxLength: 80 })
    .map(characters => `zQ7${characters.join('')}`)
const plainHeader = fc.constantFrom('X-Api-Key', 'x-auth-token', 'X-Csrf-Token', 'X-Session-Id', 'Api-Secret')

/** Events with the secret in one of the places where secrets are, and nowhere else. */
function placesOf(secret: string, parameter: string, header: string): ProcessEvent[] {
  const base = 'wss://example.com/feed'
  const encoded = encodeURIComponent(`https://u:${secret}@h/?a=1`)
  const urls = [
    `wss://user:${secret}@example.com/feed?a=1`,
    // A name with a slash would be a host with a path.
    `wss://${secret.replaceAll('/', '%2F')}@example.com`,
    `//x:${secret}@example.com/`,
    `${base}?${parameter}=${secret}`,
    `${base}?a=1&${parameter}=${secret}&b=2`,
    `${base}?a=b;${parameter}=${secret}`,
    `${base}#${parameter}=${secret}`,
    `${base};${parameter}=${secret}?x=1`,
    `${base}?next=https://h/?${parameter}=${secret}`,
    `${base}?next=${encodeURIComponent(`https://h/?${parameter}=${secret}`)}`,
    `${base}?next=${encoded}`,
    `ws+unix:/tmp/x:/feed?${parameter}=${secret}`,
    `/feed?${parameter}=${secret}`,
  ]
  const headers: (readonly [string, string])[] = [
    ['Authorization', `Bearer ${secret}`],
    ['authorization', secret],
    ['Proxy-Authorization', `Basic ${secret}`],
    ['AUTHORIZATION', `Digest username="x", response="${secret}"`],
    ['Cookie', `a=${secret}; b="${secret}"`],
    ['Cookie', secret.replaceAll('=', '')],
    ['Cookie', `${secret.replaceAll('=', '')}==`],
    ['Set-Cookie', `sid=${secret}; Path=/; HttpOnly`],
    ['set-cookie', `${secret.replaceAll('=', '')}; Secure`],
    [header, secret],
    ['Sec-WebSocket-Protocol', `bearer, ${secret}`],
    ['Sec-WebSocket-Protocol', `chat, insecure-api-key.${secret}, base64url.bearer.authorization.${secret}`],
    ...urls.map(url => ['Location', url] as const),
    ['Link', `<${urls[3]}>; rel="x"`],
  ]
  const errors = [
    refused(headers),
    new Error('x', { cause: refused(headers) }),
    ...urls.map(url => new Error(`fetch of ${url} failed`)),
    new Error(`Authorization: Bearer ${secret}`),
  ]
  const nested = JSON.stringify({ type: 'auth', body: JSON.stringify({ access_token: secret }) })
  const texts = [
    JSON.stringify({ type: 'auth', token: secret }),
    `{"apiKey" : "${secret}"}`,
    nested,
    ...urls.slice(0, 5).map(url => `go to ${url} now`),
    `password=${secret}`,
    `Bearer ${secret}`,
    // What is masked makes room for what stands behind: the end of what is looked at.
    ...[0, 10, 20].map(at => `token=${'x'.repeat(490 - at)} https://u:${secret}@h/`),
  ]
  const messages = [
    { token: secret },
    { headers: { Authorization: `Bearer ${secret}`, Cookie: `a=${secret}` } },
    [['Authorization', `Bearer ${secret}`]],
    new Map([['password', secret]]),
    { url: urls[3] },
    { tokens: [secret, secret] },
  ]
  return [
    ...urls.flatMap<ProcessEvent>(url => [
      { type: 'attempt', attempt: 1, url },
      { type: 'open', url, subprotocol: `bearer.${secret}`, attempt: 1, reconnects: 0 },
      { type: 'redirect', from: url, to: url, status: 302 },
      { type: 'request', url, headers: [] },
      { type: 'proxy', proxy: url, peer: 'x:1', ms: 1 },
      { type: 'disconnect', status: statusOf({ target: url }) },
    ]),
    ...headers.flatMap<ProcessEvent>(one => [
      { type: 'request', url: base, headers: [one] },
      { type: 'response', url: base, status: 200, headers: [['A', 'b'], one], ms: 1 },
      {
        type: 'disconnect',
        status: statusOf({
          httpResponse: { status: 401, reason: '', headers: [one], body: new Uint8Array() },
        }),
      },
    ]),
    ...errors.flatMap<ProcessEvent>(error => [
      { type: 'disconnect', status: statusOf({ error }) },
      { type: 'callback-error', callback: 'init', error },
      { type: 'terminate', reason: reasonOf({ error, value: error }) },
    ]),
    ...texts.flatMap<ProcessEvent>(data => [
      { type: 'frame-in', frame: { type: 'text', data } },
      { type: 'frame-out', frame: { type: 'text', data } },
      { type: 'info', message: data },
    ]),
    ...messages.map<ProcessEvent>(message => ({ type: 'cast', message })),
  ]
}

/** Everything that a log of objects would show, payloads aside. */
const showAll = (event: ProcessEvent): string => {
  const seen = new Set<unknown>()
  const show = (value: unknown): string => {
    if (typeof value !== 'object' || value === null) return String(value)
    if (seen.has(value)) return ''
    seen.add(value)
    return Object.getOwnPropertyNames(value)
      .map(name => `${name}: ${show((value as Record<string, unknown>)[name])}`)
      .join('\n')
  }
  return show(event)
}

t.test('a secret where secrets are appears in no line, and in no URL, header or error of an event', t => {
  fc.assert(
    fc.property(secretOf('-._~+/='), secretParameter, plainHeader, (secret, parameter, header) => {
      // What the end of a URL or a list could cut off is not looked for; what is left of it would be.
      const needle = secret.slice(0, 6)
      for (const event of placesOf(secret, parameter, header)) {
        const text = line(event)
        if (text.includes(needle)) throw new Error(`${JSON.stringify(event)}\n${text}`)
        const payload = ['frame-in', 'frame-out', 'info', 'cast'].includes(event.type)
        if (!payload && showAll(maskEvent(event)).includes(needle))
          throw new Error(`${event.type}\n${showAll(maskEvent(event))}`)
      }
    }),
    { numRuns: 60 },
  )
  t.end()
})

t.test('names and shapes stay beside a masked value', t => {
  t.same(
    maskHeaders([
      ['Authorization', 'Bearer abc'],
      ['Proxy-Authorization', 'Basic YTpi'],
      ['Authorization', 'abc'],
      ['Cookie', 'a=1; b=2'],
      ['Set-Cookie', 'sid=1; Path=/x; Max-Age=5; HttpOnly; Odd=2'],
      ['Sec-WebSocket-Protocol', 'realtime, insecure-api-key.sk-abc, v1'],
      ['Location', 'wss://u:p@h/?token=1&x=2'],
    ]),
    [
      ['Authorization', 'Bearer ***'],
      ['Proxy-Authorization', 'Basic ***'],
      ['Authorization', '***'],
      ['Cookie', 'a=***; b=***'],
      ['Set-Cookie', 'sid=***; Path=/x; Max-Age=5; HttpOnly'],
      ['Sec-WebSocket-Protocol', 'realtime, insecure-api-key.***, v1'],
      ['Location', 'wss://***@h/?token=***&x=2'],
    ],
  )
  t.equal(maskSubprotocols('access_token, abc, chat'), 'access_token, ***, chat')
  t.equal(
    maskText('{"token":"a\\"b","n":1} see https://u@h/?code=5 for code: 5'),
    '{"token":"***","n":1} see https://***@h/?code=*** for code: 5',
  )
  t.equal(maskUrl('wss://h/cb?redirect=https%3A%2F%2Fx%2F%3Fcode%3Dabc&b=1'), 'wss://h/cb?redirect=***&b=1')
  t.end()
})

t.test('what is no secret is left as it is, and not even copied', t => {
  const headers: readonly (readonly [string, string])[] = [
    ['Host', 'example.com:8080'],
    ['Sec-WebSocket-Key', 'dGhlIHNhbXBsZSBub25jZQ=='],
    ['Sec-WebSocket-Accept', 's3pPLMBiTxaQ9kYGzzhZRbK+xOo='],
    ['Sec-WebSocket-Protocol', 'graphql-transport-ws, v10.stomp'],
    ['Sec-WebSocket-Extensions', 'permessage-deflate; client_max_window_bits=15'],
    ['WWW-Authenticate', 'Bearer realm="x", error="invalid_token"'],
    ['Access-Control-Allow-Credentials', 'true'],
    ['Date', 'Tue, 01 Jan 2030 10:00:00 GMT'],
    ['Content-Type', 'text/html; charset=utf-8'],
    ['X-Author', 'me'],
  ]
  t.equal(maskHeaders(headers), headers)
  for (const url of [
    'wss://h:1/a@b/c?x=1&author=me&keyword=x',
    'ws+unix:/tmp/a@b:/x',
    '/x?monkey=1',
    'ws://[::1]/',
  ])
    t.equal(maskUrl(url), url)
  for (const text of [
    'Unexpected server response: 401',
    'code: 1006',
    '{"op":"auth","key":"x","n":{"a":[1]}}',
    'a=b',
  ])
    t.equal(maskText(text), text)
  for (const name of ['author', 'keyword', 'monkey', 'encoder', 'passenger', 'design', ''])
    t.notOk(isSecretName(name), name)
  const error = new Error('boom', { cause: new Error('inner') })
  t.equal(maskError(error), error)
  for (const type of ['frame-in', 'frame-out', 'ping-in', 'cast', 'close-in'] as const)
    t.equal(maskEvent(SAMPLES[type][0]), SAMPLES[type][0])
  t.end()
})

t.test('a masked error is still an error of its class, with all it said', t => {
  const error = refused([['Set-Cookie', 'sid=abc']])
  const outer = new Error('see wss://u:p@h/', { cause: error })
  const masked = maskError(outer)
  t.not(masked, outer)
  t.equal(masked.message, 'see wss://***@h/')
  t.ok(masked.stack!.startsWith('Error: see wss://***@h/\n'))
  const cause = masked.cause as HandshakeError
  t.ok(cause instanceof HandshakeError)
  t.match(cause, {
    code: error.code,
    status: 401,
    message: error.message,
    name: error.name,
    stack: error.stack,
  })
  t.same(cause.headers, [['Set-Cookie', 'sid=***']])
  t.same(cause.response!.headers, [['Set-Cookie', 'sid=***']])
  t.equal(error.headers[0][1], 'sid=abc', 'the error itself is what it was')
  const round = new Error('token: abc')
  round.cause = round
  t.equal(maskError(round).message, 'token: ***', 'an error that is its own cause ends')
  t.end()
})

t.test(
  'an event whose error cannot be read is published all the same, with all hidden that may be a secret',
  t => {
    const secret = 'zQ7SECRET'
    const boom = (): never => {
      throw new TypeError(secret)
    }
    const trap = { getPrototypeOf: boom, ownKeys: boom, get: boom }
    const unreadable = [
      new Proxy(new Error(secret), trap),
      new Error('x', { cause: new Proxy(new Error(secret), trap) }),
      Object.defineProperty(new Error(`token: ${secret}`), 'stack', { get: boom }),
    ] as Error[]
    const hidden = { message: 'an error that cannot be shown' }
    for (const error of unreadable) {
      const { stream } = fakeStream()
      const seen: ProcessEvent[] = []
      stream.subscribe(({ event }) => seen.push(event))
      const target = 'ws://h/?token=zQ7SECRET'
      stream.publish({
        type: 'disconnect',
        status: statusOf({ error, target, httpResponse: refused([]).response }),
      })
      stream.publish({ type: 'callback-error', callback: 'init', error })
      stream.publish({ type: 'terminate', reason: reasonOf({ error, value: error }) })
      t.match(seen, [
        {
          type: 'disconnect',
          status: { phase: 'open', target: '***', httpResponse: { status: 401 }, error: hidden },
        },
        { type: 'callback-error', callback: 'init', error: hidden },
        { type: 'terminate', reason: { type: 'remote', error: hidden, value: '***' } },
      ])
      for (const event of seen) t.notMatch(line(event) + showAll(event), secret)
    }
    // Not by tap, which reads stacks itself.
    const before = Object.getOwnPropertyDescriptor(Error, 'prepareStackTrace')
    Error.prepareStackTrace = (_, sites) => sites
    const listed = new TypeError(`token: ${secret}`)
    const { stack } = listed as { stack?: unknown }
    if (before === undefined) Reflect.deleteProperty(Error, 'prepareStackTrace')
    else Object.defineProperty(Error, 'prepareStackTrace', before)
    t.ok(Array.isArray(stack))
    t.match(maskError(listed), { message: 'token: ***', stack: 'TypeError: token: ***' })
    t.end()
  },
)

t.test('a warning shows no secret, and an error that cannot be read costs it the details only', async t => {
  const warnings: (Error & { detail?: string })[] = []
  const listener = (warning: Error): unknown => warnings.push(warning)
  process.on('warning', listener)
  const numbered = Object.defineProperty(new Error('x'), 'stack', { value: 5 })
  const unreadable = Object.defineProperty(new Error('x'), 'stack', {
    get: () => {
      throw new Error('no stack')
    },
  })
  warn('WS_A', 'of wss://u:p@h/', new Error('token: abc', { cause: 1 }))
  for (const error of [numbered, unreadable, 'no error']) warn('WS_B', 'b', error)
  await turn()
  process.off('warning', listener)
  t.match(warnings, [
    { name: 'SansocketWarning', code: 'WS_A', message: 'of wss://***@h/', detail: /^Error: token: \*\*\*\n/ },
    { code: 'WS_B', detail: 'x' },
    { code: 'WS_B' },
    { code: 'WS_B' },
  ])
  t.same(
    warnings.slice(2).map(({ detail }) => detail),
    [undefined, undefined],
  )
})

const shown = (response: unknown, why = 'why'): string =>
  new BadResponseError('handleInfo', response, why).message

t.test('a bad response is told by its keys, without what they hold', t => {
  const secret = 'zQ7SECRET'
  const state = { user: secret }
  const cases: readonly (readonly [unknown, string | RegExp])[] = [
    [{ state, repply: secret }, '{ state, repply }'],
    [{}, '{}'],
    [Object.assign(Object.create(null), { a: secret }), '{ a }'],
    [{ 'a\nb': secret }, '{ "a\\nb" }'],
    [Object.fromEntries(Array.from({ length: 12 }, (_, i) => [`k${i}`, secret])), /k8, k9, … \}: why$/],
    [[secret], '[Array]'],
    [new Map([[secret, secret]]), 'Map {}'],
    [Promise.resolve(secret), 'Promise {}'],
    [() => secret, '[Function]'],
    [Object.assign(new Error(secret), { inspect: 1 }), 'Error { inspect }'],
    ['ok', "'ok'"],
    [5n, '5n'],
    [null, 'null'],
    [Symbol('x'.repeat(60)), `Symbol(${'x'.repeat(33)}…`],
    ['x'.repeat(60), `'${'x'.repeat(40)}'... 20 more characters`],
    [`Bearer ${secret}`, "'Bearer ***'"],
  ]
  for (const [response, text] of cases) {
    const message = shown(response)
    if (typeof text === 'string') t.equal(message, `handleInfo answered ${text}: why`)
    else t.match(message, text)
    t.notMatch(message, secret)
    t.equal(new BadResponseError('init', response, 'why').response, response)
  }
  t.notMatch(shown({}, `not a frame: { token: '${secret}' }`), secret)
  t.end()
})

t.test('masking twice is masking once, and takes linear time', t => {
  const bit = fc.constantFrom(
    'token',
    '=',
    ':',
    '"',
    "'",
    '\\',
    '&',
    '?',
    ' ',
    '/',
    '://',
    '@',
    '%3D',
    '%',
    '{',
    '[',
    ',',
    'a',
    'é',
    '***',
  )
  fc.assert(
    fc.property(fc.array(bit, { maxLength: 30 }), bits => {
      const text = bits.join('')
      const once = maskText(text)
      t.equal(typeof once, 'string')
      return maskUrl(maskUrl(text)) === maskUrl(text)
    }),
  )
  for (const bits of [
    'a',
    '=',
    'token=',
    '"',
    '\\',
    '%3D',
    'a:',
    '://',
    '/',
    'bearer.',
    'eyJaaaa.',
    '?',
    "',",
    '&',
  ]) {
    const long = bits.repeat(20_000)
    maskUrl(long)
    maskSubprotocols(long)
    maskText(long)
  }
  t.end()
})
