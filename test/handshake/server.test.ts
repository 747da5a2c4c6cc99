import t from 'tap'
import {
  encodeAccept,
  encodeReject,
  HandshakeError,
  headerValue,
  parseUpgrade,
  ResponseBody,
} from '../../src/handshake/index.js'
import type { HeaderList, RequestHead, UpgradeRequest } from '../../src/handshake/index.js'
import {
  ACCEPT,
  bytes,
  edit,
  failure,
  KEY,
  readRequest,
  readResponse,
  request,
  requestLines,
  text,
} from './support.js'
import type { Line } from './support.js'

const parse = (lines: readonly Line[] = requestLines, startLine?: string): UpgradeRequest =>
  parseUpgrade(readRequest(request(lines, startLine)))

/** The lines of a good request, one header with other values. */
const replace = (name: string, ...values: string[]): Line[] =>
  edit(
    requestLines,
    [name],
    values.map(value => [name, value] as const),
  )

/** The lines of a good request, and one more header. */
const add = (name: string, ...values: string[]): Line[] =>
  edit(
    requestLines,
    [],
    values.map(value => [name, value] as const),
  )

t.test('takes a minimal upgrade request', async t => {
  const upgrade = parse()
  t.match(upgrade, {
    key: KEY,
    origin: null,
    subprotocols: [],
    extensions: [],
    head: { target: '/chat?room=1' },
  })
})

t.test('reads origin, subprotocols and extensions, joined over their lines', async t => {
  const upgrade = parse(
    edit(
      requestLines,
      [],
      [
        ['origin', 'https://a.example'],
        ['Sec-WebSocket-Protocol', 'a, b'],
        ['sec-websocket-protocol', 'c'],
        ['Sec-WebSocket-Extensions', 'x; y="\\1"'],
        ['Sec-WebSocket-Extensions', 'constructor, x'],
      ],
    ),
  )
  t.equal(upgrade.origin, 'https://a.example')
  t.strictSame(upgrade.subprotocols, ['a', 'b', 'c'])
  t.strictSame(upgrade.extensions, [
    { name: 'x', params: [['y', '1']] },
    { name: 'constructor', params: [] },
    { name: 'x', params: [] },
  ])
})

t.test('takes everything a client may do differently', async t => {
  for (const [lines, startLine] of [
    [edit(requestLines, ['Upgrade'], [['UPGRADE', 'h2c, TLS/1.0, WebSocket']])],
    [edit(requestLines, ['Connection'], [['connection', 'keep-alive, uPGRADE']])],
    [
      edit(
        requestLines,
        ['Connection'],
        [
          ['Connection', 'keep-alive'],
          ['Connection', 'Upgrade'],
        ],
      ),
    ],
    [edit(requestLines, ['Host'], [['host', '[::1]:8080']])],
    [edit(requestLines, [], [['Content-Length', '0']])],
    [edit(requestLines, ['Sec-WebSocket-Key'], [['Sec-WebSocket-Key', 'AQIDBAUGBwgJCgsMDQ4PEC==']])],
    [requestLines, 'GET http://example.com/chat HTTP/1.1'],
    [requestLines, 'GET / HTTP/1.2'],
  ] as [readonly Line[], string?][]) {
    t.match(parse(lines, startLine), { subprotocols: [] })
  }
})

t.test('takes the head of a node:http request', async t => {
  const head: RequestHead = { method: 'GET', target: '/', version: '1.1', headers: requestLines }
  t.equal(parseUpgrade(head).head, head)
})

t.test('refuses each fault with its own code, status and headers', async t => {
  const upgrade: HeaderList = [['Upgrade', 'websocket']]
  const version: HeaderList = [['Sec-WebSocket-Version', '13']]
  const allow: HeaderList = [['Allow', 'GET']]
  const both = [...upgrade, ...version]
  const cases: [string, number, HeaderList, readonly Line[], string?][] = [
    ['OLD_HTTP_VERSION', 400, [], requestLines, 'GET / HTTP/1.0'],
    ['BAD_HTTP_VERSION', 505, [], requestLines, 'GET / HTTP/2.0'],
    ['BAD_HTTP_VERSION', 505, [], [], 'PRI * HTTP/2.0'],
    ['BAD_HTTP_VERSION', 505, [], requestLines, 'GET / HTTP/0.9'],
    ['BAD_METHOD', 405, allow, requestLines, 'POST / HTTP/1.1'],
    ['BAD_METHOD', 405, allow, requestLines, 'get / HTTP/1.1'],
    ['BAD_TARGET', 400, [], requestLines, 'GET * HTTP/1.1'],
    ['BAD_TARGET', 400, [], requestLines, 'GET example.com:80 HTTP/1.1'],
    ['BAD_TARGET', 400, [], requestLines, 'GET ftp://example.com/ HTTP/1.1'],
    ['BAD_TARGET', 400, [], requestLines, 'GET /a#b HTTP/1.1'],
    ['BAD_HOST', 400, [], replace('Host')],
    ['BAD_HOST', 400, [], replace('Host', '')],
    ['BAD_HOST', 400, [], replace('Host', 'a', 'a')],
    ['BAD_HOST', 400, [], replace('Host', 'a b')],
    ['BAD_HOST', 400, [], replace('Host', 'a@b')],
    ['HAS_BODY', 400, [], add('Content-Length', '5')],
    ['HAS_BODY', 400, [], add('Content-Length', '0', '5')],
    ['HAS_BODY', 400, [], add('Content-Length', '')],
    ['HAS_BODY', 400, [], add('Content-Length', 'x')],
    ['HAS_BODY', 400, [], add('Transfer-Encoding', 'chunked')],
    ['BAD_UPGRADE', 426, upgrade, replace('Upgrade')],
    ['BAD_UPGRADE', 426, upgrade, replace('Upgrade', 'h2c')],
    ['BAD_UPGRADE', 426, upgrade, replace('Upgrade', 'websockets')],
    ['BAD_CONNECTION', 426, upgrade, replace('Connection')],
    ['BAD_CONNECTION', 426, upgrade, replace('Connection', 'keep-alive')],
    ['BAD_VERSION', 400, version, replace('Sec-WebSocket-Version')],
    ['BAD_VERSION', 400, version, replace('Sec-WebSocket-Version', '13', '13')],
    ['BAD_VERSION', 400, version, replace('Sec-WebSocket-Version', '13, 8')],
    ['BAD_VERSION', 400, version, replace('Sec-WebSocket-Version', '')],
    ['BAD_VERSION', 400, version, replace('Sec-WebSocket-Version', '013')],
    ['BAD_VERSION', 400, version, replace('Sec-WebSocket-Version', '256')],
    ['BAD_VERSION', 400, version, replace('Sec-WebSocket-Version', 'x')],
    ['UNSUPPORTED_VERSION', 426, both, replace('Sec-WebSocket-Version', '8')],
    ['UNSUPPORTED_VERSION', 426, both, replace('Sec-WebSocket-Version', '25')],
    ['UNSUPPORTED_VERSION', 426, both, replace('Sec-WebSocket-Version', '0')],
    ['BAD_KEY', 400, [], replace('Sec-WebSocket-Key')],
    ['BAD_KEY', 400, [], replace('Sec-WebSocket-Key', KEY, KEY)],
    ['BAD_KEY', 400, [], replace('Sec-WebSocket-Key', '')],
    ['BAD_KEY', 400, [], replace('Sec-WebSocket-Key', KEY.slice(0, -1))],
    ['BAD_KEY', 400, [], replace('Sec-WebSocket-Key', KEY.replace('G', '-'))],
    ['BAD_KEY', 400, [], replace('Sec-WebSocket-Key', Buffer.alloc(15).toString('base64'))],
    ['BAD_KEY', 400, [], replace('Sec-WebSocket-Key', Buffer.alloc(17).toString('base64'))],
    ['BAD_ORIGIN', 400, [], add('Origin', 'https://a.example', 'https://a.example')],
    ['BAD_SUBPROTOCOLS', 400, [], add('Sec-WebSocket-Protocol', '')],
    ['BAD_SUBPROTOCOLS', 400, [], add('Sec-WebSocket-Protocol', 'a b')],
    ['BAD_SUBPROTOCOLS', 400, [], add('Sec-WebSocket-Protocol', 'a/b')],
    ['BAD_SUBPROTOCOLS', 400, [], add('Sec-WebSocket-Protocol', 'a', 'b, a')],
    ['BAD_EXTENSIONS', 400, [], add('Sec-WebSocket-Extensions', '')],
    ['BAD_EXTENSIONS', 400, [], add('Sec-WebSocket-Extensions', 'a;')],
    ['BAD_EXTENSIONS', 400, [], add('Sec-WebSocket-Extensions', 'a;b="c d"')],
  ]
  for (const [code, status, headers, lines, startLine] of cases) {
    const error = failure(() => parse(lines, startLine))
    const name = `${code} ${startLine ?? ''} ${JSON.stringify(lines.slice(-2))}`
    t.match(error, { name: 'HandshakeError', code: `WS_HANDSHAKE_${code}`, status, response: null }, name)
    t.strictSame(error.headers, headers, name)
    const head = readResponse(encodeReject(error))
    t.equal(head.status, status)
    for (const [header, value] of headers) t.equal(headerValue(head.headers, header), value)
  }
})

t.test("answers the RFC's sample key in a minimal 101", async t => {
  t.equal(
    text(encodeAccept(parse(), { subprotocol: null, extensions: [] })),
    'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n' +
      `Sec-WebSocket-Accept: ${ACCEPT}\r\n\r\n`,
  )
})

const offers = parse(
  edit(
    requestLines,
    [],
    [
      ['Sec-WebSocket-Protocol', 'a, b'],
      ['Sec-WebSocket-Extensions', 'x; y, z'],
    ],
  ),
)

t.test('writes the agreement and more headers into the 101', async t => {
  const agreement = {
    subprotocol: 'b',
    extensions: [
      { name: 'z', params: [['w', '1']] as const },
      { name: 'x', params: [] },
    ],
  }
  const head = readResponse(
    encodeAccept(offers, agreement, [
      ['Set-Cookie', 'a=\xfc'],
      ['Set-Cookie', 'b'],
    ]),
  )
  t.strictSame(head.headers.slice(3), [
    ['Sec-WebSocket-Protocol', 'b'],
    ['Sec-WebSocket-Extensions', 'z; w=1, x'],
    ['Set-Cookie', 'a=\xfc'],
    ['Set-Cookie', 'b'],
  ])
})

t.test('throws for an agreement or headers that cannot be sent, and names the field', async t => {
  const cases: [string, string | null, string[], HeaderList][] = [
    ['subprotocol', 'c', [], []],
    ['subprotocol', '', [], []],
    ['subprotocol', 'A', [], []],
    ['extensions', null, ['w'], []],
    ['extensions', null, ['x', 'x'], []],
    ['extensions', null, ['__proto__'], []],
    ['headers["X"]', null, [], [['X', 'a\r\nb']]],
    ['headers["X"]', null, [], [['X', 'a\n']]],
    ['headers["X"]', null, [], [['X', '\0']]],
    ['headers["X"]', null, [], [['X', '\u0100']]],
    ['headers["X\\r\\n"]', null, [], [['X\r\n', 'a']]],
    ['headers["sec-websocket-ACCEPT"]', null, [], [['sec-websocket-ACCEPT', ACCEPT]]],
    ['headers["Sec-WebSocket-Protocol"]', null, [], [['Sec-WebSocket-Protocol', 'a']]],
    ['headers["Sec-WebSocket-Extensions"]', null, [], [['Sec-WebSocket-Extensions', 'x']]],
    ['headers["Upgrade"]', null, [], [['Upgrade', 'a']]],
    ['headers["Connection"]', null, [], [['Connection', 'a']]],
    ['headers["Content-Length"]', null, [], [['Content-Length', '0']]],
    ['headers["Transfer-Encoding"]', null, [], [['Transfer-Encoding', 'chunked']]],
  ]
  for (const [field, subprotocol, names, headers] of cases) {
    const extensions = names.map(name => ({ name, params: [] }))
    t.throws(
      () => encodeAccept(offers, { subprotocol, extensions }, headers),
      { code: 'WS_INVALID_HEAD', field },
      field,
    )
  }
  const split = { name: 'x', params: [['y', 'a\r\nb']] as const }
  t.throws(() => encodeAccept(offers, { subprotocol: null, extensions: [split] }), {
    code: 'WS_INVALID_HEAD',
    field: 'extensions[0].params[0]',
  })
  const forged = { ...offers, subprotocols: ['a\r\nb'] }
  t.throws(() => encodeAccept(forged, { subprotocol: 'a\r\nb', extensions: [] }), {
    code: 'WS_INVALID_HEAD',
    field: 'subprotocol',
  })
})

t.test('refuses in a whole response that says the connection ends', async t => {
  t.equal(
    text(encodeReject(new HandshakeError('WS_HANDSHAKE_BAD_METHOD'))),
    'HTTP/1.1 405 Method Not Allowed\r\nConnection: close\r\nContent-Type: text/plain; charset=utf-8\r\n' +
      'Content-Length: 20\r\nAllow: GET\r\n\r\nInvalid HTTP method\n',
  )
  const refusal = encodeReject(new HandshakeError('WS_HANDSHAKE_UNSUPPORTED_VERSION'))
  const head = readResponse(refusal)
  t.match(head, { status: 426, reason: 'Upgrade Required' })
  t.equal(headerValue(head.headers, 'connection'), 'Upgrade, close')
})

t.test("refuses with the application's own status, headers and text", async t => {
  const cause = new Error('no such user')
  const error = new HandshakeError('WS_HANDSHAKE_REFUSED', {
    status: 401,
    headers: [['WWW-Authenticate', 'Basic']],
    detail: 'wer bist d\xfc? \u{1f600}',
    cause,
  })
  t.equal(error.cause, cause)
  const data = encodeReject(error)
  const head = readResponse(data)
  t.match(head, { status: 401, reason: 'Unauthorized' })
  t.equal(headerValue(head.headers, 'www-authenticate'), 'Basic')
  const body = new ResponseBody(head)
  t.equal(body.receive(data.subarray(text(data).indexOf('\r\n\r\n') + 4)), true)
  t.equal(Buffer.from(body.bytes).toString(), 'The server refused the handshake: wer bist d\xfc? \u{1f600}\n')
  t.match(readResponse(encodeReject(new HandshakeError('WS_HANDSHAKE_REFUSED', { status: 499 }))), {
    status: 499,
    reason: '',
  })
  t.match(readResponse(encodeReject(new HandshakeError('WS_HANDSHAKE_REFUSED'))), { status: 403 })
})

t.test('throws for a refusal that cannot be sent', async t => {
  for (const status of [0, 101, 200, 299, 600, 400.5, NaN]) {
    t.throws(() => encodeReject(new HandshakeError('WS_HANDSHAKE_REFUSED', { status })), {
      code: 'WS_INVALID_HEAD',
      field: 'status',
    })
  }
  for (const name of ['Connection', 'Content-Length', 'Content-Type', 'Transfer-Encoding']) {
    const error = new HandshakeError('WS_HANDSHAKE_REFUSED', { headers: [[name, 'a']] })
    t.throws(() => encodeReject(error), { code: 'WS_INVALID_HEAD', field: `headers["${name}"]` })
  }
  const split = new HandshakeError('WS_HANDSHAKE_REFUSED', { headers: [['Location', '/\r\nX: y']] })
  t.throws(() => encodeReject(split), { code: 'WS_INVALID_HEAD', field: 'headers["Location"]' })
})

t.test('refuses a request with 2000 headers, and one that lacks any of its headers', async t => {
  const many = request([...requestLines, ...Array.from({ length: 2000 }, (_, i) => [`X-${i}`, 'a'] as const)])
  t.equal(failure(() => readRequest(many)).status, 431)
  for (const [name] of requestLines) {
    const { status } = failure(() => parse(edit(requestLines, [name])))
    t.ok(status === 400 || status === 426, name)
  }
})

t.test('finishes with 64 KiB of blanks in every list header', async t => {
  const long = ' '.repeat(64 * 1024)
  for (const name of [
    'Upgrade',
    'Connection',
    'Sec-WebSocket-Protocol',
    'Sec-WebSocket-Extensions',
    'Content-Length',
    'Host',
    'Sec-WebSocket-Version',
    'Sec-WebSocket-Key',
  ]) {
    const head = {
      method: 'GET',
      target: '/',
      version: '1.1',
      headers: edit(requestLines, [name], [[name, `a${long}b`]]),
    }
    t.ok(failure(() => parseUpgrade(head)).status >= 400, name)
  }
  t.equal(bytes(long).length, 65_536)
})
