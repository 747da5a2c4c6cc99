import t from 'tap'
import {
  acceptKey,
  encodeRequest,
  generateKey,
  HandshakeError,
  ResponseBody,
  unexpectedStatus,
  verifyResponse,
} from '../../src/handshake/index.js'
import type { Agreement, ClientRequest } from '../../src/handshake/index.js'
import {
  ACCEPT,
  bytes,
  clientRequest,
  edit,
  failure,
  KEY,
  readResponse,
  response,
  responseLines,
  text,
} from './support.js'
import type { Line } from './support.js'

const verify = (
  lines: readonly Line[],
  changes: Partial<ClientRequest> = {},
  startLine?: string,
): Agreement => verifyResponse(clientRequest(changes), readResponse(response(lines, startLine)))
const offered = (...names: string[]): ClientRequest['extensions'] => names.map(name => ({ name, params: [] }))

t.test("answers the RFC's sample key with the RFC's sample answer", async t => {
  t.equal(acceptKey(KEY), ACCEPT)
})

t.test('generates keys of 16 bytes, never the same', async t => {
  const keys = new Set(Array.from({ length: 100 }, generateKey))
  t.equal(keys.size, 100)
  for (const key of keys) {
    t.equal(Buffer.from(key, 'base64').length, 16)
    t.equal(key.length, 24)
  }
})

t.test('writes a minimal request', async t => {
  t.equal(
    text(encodeRequest(clientRequest())),
    'GET / HTTP/1.1\r\nHost: example.com\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n' +
      `Sec-WebSocket-Key: ${KEY}\r\nSec-WebSocket-Version: 13\r\n\r\n`,
  )
})

t.test('writes offers and headers, and a Host that replaces its own', async t => {
  const request = clientRequest({
    host: 'ignored',
    target: '/a?b=c',
    subprotocols: ['chat', 'superchat'],
    extensions: [
      {
        name: 'x',
        params: [
          ['y', null],
          ['z', '1'],
        ],
      },
      { name: 'w', params: [] },
    ],
    headers: [
      ['Origin', 'https://a.example'],
      ['hOST', '[::1]:80'],
      ['X', ''],
      ['Cookie', 'a=\xfc'],
      ['Cookie', 'b'],
    ],
  })
  t.equal(
    text(encodeRequest(request)),
    'GET /a?b=c HTTP/1.1\r\nHost: [::1]:80\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n' +
      `Sec-WebSocket-Key: ${KEY}\r\nSec-WebSocket-Version: 13\r\n` +
      'Sec-WebSocket-Protocol: chat, superchat\r\nSec-WebSocket-Extensions: x; y; z=1, w\r\n' +
      'Origin: https://a.example\r\nX: \r\nCookie: a=\xfc\r\nCookie: b\r\n\r\n',
  )
})

t.test('takes an absolute http(s) URI as target', async t => {
  for (const target of ['http://a.example/b', 'HTTPS://a.example']) {
    t.match(text(encodeRequest(clientRequest({ target }))), `GET ${target} HTTP/1.1\r\n`)
  }
})

t.test('throws for whatever cannot be sent, and names the field', async t => {
  const cases: [string, Partial<ClientRequest>][] = []
  for (const bad of ['\r\nX: y', '\n', '\r', '\0', '\x7f', '\u0100', '\u{1f600}']) {
    cases.push(
      ['host', { host: `a${bad}` }],
      ['target', { target: `/${bad}` }],
      ['key', { key: KEY + bad }],
      ['subprotocols[1]', { subprotocols: ['a', `b${bad}`] }],
      ['extensions[0].name', { extensions: offered(`a${bad}`) }],
      ['extensions[0].params[0]', { extensions: [{ name: 'a', params: [[`b${bad}`, null]] }] }],
      [
        'extensions[0].params[1]',
        {
          extensions: [
            {
              name: 'a',
              params: [
                ['b', null],
                ['c', `d${bad}`],
              ],
            },
          ],
        },
      ],
      [`headers[${JSON.stringify(`X${bad}`)}]`, { headers: [[`X${bad}`, 'y']] }],
      ['headers["X"]', { headers: [['X', `y${bad}`]] }],
      ['host', { headers: [['Host', `a${bad}`]] }],
    )
  }
  cases.push(
    ['host', { host: '' }],
    ['host', { host: 'a b' }],
    ['host', { host: 'user@a' }],
    ['host', { host: 'a/b' }],
    ['target', { target: '' }],
    ['target', { target: 'a' }],
    ['target', { target: '*' }],
    ['target', { target: '/a b' }],
    ['target', { target: '/a#b' }],
    ['target', { target: '/\xe4' }],
    ['target', { target: 'ws://a/' }],
    ['target', { target: 'http://' }],
    ['key', { key: '' }],
    ['key', { key: 'AAAA' }],
    ['key', { key: `${KEY}A` }],
    ['key', { key: Buffer.alloc(17).toString('base64') }],
    ['key', { key: '!'.repeat(22) + '==' }],
    ['subprotocols[0]', { subprotocols: [''] }],
    ['subprotocols[0]', { subprotocols: ['a, b'] }],
    ['subprotocols[0]', { subprotocols: [1 as unknown as string] }],
    ['subprotocols', { subprotocols: ['a', 'b', 'a'] }],
    ['extensions[1].name', { extensions: offered('a', 'b;c') }],
    ['extensions[0].params[0]', { extensions: [{ name: 'a', params: [['b', '']] }] }],
    ['extensions[0].params[0]', { extensions: [{ name: 'a', params: [['b', 'c d']] }] }],
    ['headers[""]', { headers: [['', 'a']] }],
    ['headers["a b"]', { headers: [['a b', 'a']] }],
    ['headers["X"]', { headers: [['X', 5 as unknown as string]] }],
    [
      'headers["Host"]',
      {
        headers: [
          ['Host', 'a'],
          ['host', 'b'],
        ],
      },
    ],
    [
      'headers["Origin"]',
      {
        headers: [
          ['origin', 'a'],
          ['Origin', 'a'],
        ],
      },
    ],
  )
  for (const name of [
    'Upgrade',
    'CONNECTION',
    'Sec-WebSocket-Key',
    'Sec-WebSocket-Accept',
    'sec-websocket-version',
    'Sec-WebSocket-Protocol',
    'Sec-WebSocket-Extensions',
    'Content-Length',
    'Transfer-Encoding',
  ]) {
    cases.push([`headers["${name}"]`, { headers: [[name, 'a']] }])
  }
  for (const [field, changes] of cases) {
    t.throws(
      () => encodeRequest(clientRequest(changes)),
      { name: 'InvalidHeadError', code: 'WS_INVALID_HEAD', field },
      `${field} ${JSON.stringify(changes)}`,
    )
  }
  t.throws(() => encodeRequest(clientRequest({ headers: [['Authorization', 'secret\n']] })), {
    message: /^[^s]*((?!secret).)*$/,
  })
})

t.test('agrees on nothing when nothing was offered', async t => {
  t.strictSame(verify(responseLines), { subprotocol: null, extensions: [] })
})

t.test('agrees on a subprotocol and extensions that were offered', async t => {
  const lines = edit(
    responseLines,
    [],
    [
      ['sec-websocket-protocol', 'b'],
      ['Sec-WebSocket-Extensions', 'x; y="1"'],
      ['Sec-WebSocket-Extensions', 'w'],
    ],
  )
  t.strictSame(verify(lines, { subprotocols: ['a', 'b'], extensions: offered('w', 'x') }), {
    subprotocol: 'b',
    extensions: [
      { name: 'x', params: [['y', '1']] },
      { name: 'w', params: [] },
    ],
  })
})

t.test('takes no subprotocol and no extension for an answer, though some were offered', async t => {
  t.strictSame(verify(responseLines, { subprotocols: ['a'], extensions: offered('x') }), {
    subprotocol: null,
    extensions: [],
  })
})

t.test('takes names and values in any case, and Upgrade anywhere in Connection', async t => {
  for (const lines of [
    edit(responseLines, ['Upgrade'], [['UPGRADE', 'WebSocket']]),
    edit(responseLines, ['Connection'], [['connection', 'keep-alive, uPGRADE']]),
    edit(
      responseLines,
      ['Connection'],
      [
        ['Connection', 'keep-alive'],
        ['Connection', 'Upgrade'],
      ],
    ),
    edit(responseLines, ['Sec-WebSocket-Accept'], [['sec-websocket-accept', ` \t${ACCEPT}\t `]]),
    edit(
      responseLines,
      [],
      [
        ['X-Other', 'a'],
        ['Set-Cookie', 'a=b'],
        ['Content-Length', '0'],
      ],
    ),
  ]) {
    t.strictSame(verify(lines), { subprotocol: null, extensions: [] })
  }
})

t.test('refuses a 101 that does not fit the request, and keeps it in the error', async t => {
  const cases: [string, RegExp, readonly Line[], Partial<ClientRequest>?][] = [
    ['BAD_UPGRADE', /^Invalid Upgrade header$/, edit(responseLines, ['Upgrade'])],
    ['BAD_UPGRADE', /Invalid/, edit(responseLines, ['Upgrade'], [['Upgrade', 'h2c']])],
    ['BAD_UPGRADE', /Invalid/, edit(responseLines, ['Upgrade'], [['Upgrade', 'websocket, h2c']])],
    ['BAD_UPGRADE', /Invalid/, edit(responseLines, [], [['Upgrade', 'websocket']])],
    ['BAD_CONNECTION', /^Invalid Connection header$/, edit(responseLines, ['Connection'])],
    ['BAD_CONNECTION', /Invalid/, edit(responseLines, ['Connection'], [['Connection', 'close']])],
    ['BAD_CONNECTION', /Invalid/, edit(responseLines, ['Connection'], [['Connection', 'upgraded']])],
    [
      'BAD_ACCEPT',
      /^Invalid Sec-WebSocket-Accept header: missing/,
      edit(responseLines, ['Sec-WebSocket-Accept']),
    ],
    ['BAD_ACCEPT', /more than one/, edit(responseLines, [], [['Sec-WebSocket-Accept', ACCEPT]])],
    ['BAD_ACCEPT', /more than one/, edit(responseLines, [], [['sec-websocket-ACCEPT', 'AAAA']])],
    ['BAD_ACCEPT', /answer/, edit(responseLines, ['Sec-WebSocket-Accept'], [['Sec-WebSocket-Accept', '']])],
    [
      'BAD_ACCEPT',
      /answer/,
      edit(responseLines, ['Sec-WebSocket-Accept'], [['Sec-WebSocket-Accept', ACCEPT.toLowerCase()]]),
    ],
    ['BAD_ACCEPT', /answer/, responseLines, { key: generateKey() }],
    [
      'UNREQUESTED_SUBPROTOCOL',
      /^Server sent a subprotocol but none was requested$/,
      edit(responseLines, [], [['Sec-WebSocket-Protocol', 'a']]),
    ],
    [
      'BAD_SUBPROTOCOL',
      /^Server sent an invalid subprotocol$/,
      edit(responseLines, [], [['Sec-WebSocket-Protocol', 'b']]),
      { subprotocols: ['a'] },
    ],
    [
      'BAD_SUBPROTOCOL',
      /invalid/,
      edit(responseLines, [], [['Sec-WebSocket-Protocol', 'A']]),
      { subprotocols: ['a'] },
    ],
    [
      'BAD_SUBPROTOCOL',
      /invalid/,
      edit(responseLines, [], [['Sec-WebSocket-Protocol', '']]),
      { subprotocols: ['a'] },
    ],
    [
      'BAD_SUBPROTOCOL',
      /invalid/,
      edit(responseLines, [], [['Sec-WebSocket-Protocol', 'a, b']]),
      { subprotocols: ['a', 'b'] },
    ],
    [
      'BAD_SUBPROTOCOL',
      /invalid/,
      edit(
        responseLines,
        [],
        [
          ['Sec-WebSocket-Protocol', 'a'],
          ['Sec-WebSocket-Protocol', 'a'],
        ],
      ),
      { subprotocols: ['a'] },
    ],
    ['UNREQUESTED_EXTENSION', /not requested/, edit(responseLines, [], [['Sec-WebSocket-Extensions', 'x']])],
    [
      'UNREQUESTED_EXTENSION',
      /not requested/,
      edit(responseLines, [], [['Sec-WebSocket-Extensions', 'x, y']]),
      { extensions: offered('x') },
    ],
    [
      'UNREQUESTED_EXTENSION',
      /not requested/,
      edit(responseLines, [], [['Sec-WebSocket-Extensions', '__proto__']]),
      { extensions: offered('x') },
    ],
    [
      'BAD_EXTENSIONS',
      /^Invalid Sec-WebSocket-Extensions header: .*twice/,
      edit(responseLines, [], [['Sec-WebSocket-Extensions', 'x, x']]),
      { extensions: offered('x') },
    ],
    [
      'BAD_EXTENSIONS',
      /Invalid/,
      edit(responseLines, [], [['Sec-WebSocket-Extensions', '']]),
      { extensions: offered('x') },
    ],
    [
      'BAD_EXTENSIONS',
      /Invalid/,
      edit(responseLines, [], [['Sec-WebSocket-Extensions', 'x;']]),
      { extensions: offered('x') },
    ],
  ]
  for (const [code, message, lines, changes] of cases) {
    const error = failure(() => verify(lines, changes))
    t.match(
      error,
      { name: 'HandshakeError', code: `WS_HANDSHAKE_${code}`, message, status: 101 },
      JSON.stringify(lines.slice(3)),
    )
    t.strictSame(error.response?.headers, lines)
  }
})

t.test('refuses a 101 of another HTTP version', async t => {
  t.equal(failure(() => verify(responseLines, {}, 'HTTP/1.0 101 Yes')).code, 'WS_HANDSHAKE_OLD_HTTP_VERSION')
  t.equal(failure(() => verify(responseLines, {}, 'HTTP/2.0 101 Yes')).code, 'WS_HANDSHAKE_BAD_HTTP_VERSION')
})

t.test('reports any other status with its headers, whatever else the response says', async t => {
  for (const startLine of ['HTTP/1.1 401 Unauthorized', 'HTTP/1.0 401 Unauthorized']) {
    const error = failure(() => verify([['WWW-Authenticate', 'Basic']], {}, startLine))
    t.match(error, { code: 'WS_HANDSHAKE_STATUS', message: 'Unexpected server response: 401', status: 401 })
    t.strictSame(error.headers, [['WWW-Authenticate', 'Basic']])
    t.match(error.response, { status: 401, reason: 'Unauthorized', body: new Uint8Array(0) })
  }
  t.equal(
    failure(() => verify(responseLines, {}, 'HTTP/1.1 200 OK')).message,
    'Unexpected server response: 200',
  )
})

t.test('carries the body of a refusal', async t => {
  const head = readResponse(bytes('HTTP/1.1 404 Nope\r\nContent-Length: 4\r\n\r\n'))
  const body = new ResponseBody(head)
  t.equal(body.receive(bytes('gone')), true)
  const error = unexpectedStatus(head, body.bytes)
  t.ok(error instanceof HandshakeError)
  t.equal(text(error.response!.body), 'gone')
})

/** Collects a body whole and byte by byte, which must give the same. */
function collect(lines: string, data: string, status = 400, maxBytes?: number): [string, boolean, boolean] {
  const head = readResponse(bytes(`HTTP/1.1 ${status} X\r\n${lines}\r\n`))
  const results = [[bytes(data)], Array.from(bytes(data), byte => Uint8Array.of(byte))].map(chunks => {
    const body = new ResponseBody(head, maxBytes)
    for (const chunk of chunks) body.receive(chunk)
    return [text(body.bytes), body.complete, body.truncated] as [string, boolean, boolean]
  })
  if (String(results[0]) !== String(results[1]))
    throw new Error(`${String(results[0])} is not ${String(results[1])}`)
  return results[0]
}

t.test('knows from Content-Length when a body is complete', async t => {
  t.strictSame(collect('Content-Length: 5\r\n', 'hello, more'), ['hello', true, false])
  t.strictSame(collect('Content-Length: 5\r\n', 'hell'), ['hell', false, false])
  t.strictSame(collect('Content-Length: 5\r\nContent-Length: 5\r\n', 'hello'), ['hello', true, false])
  t.strictSame(collect('Content-Length: 0\r\n', ''), ['', true, false])
})

t.test('waits for the end of the connection without a length or with nonsense for one', async t => {
  for (const lines of [
    '',
    'Content-Length: 5\r\nContent-Length: 6\r\n',
    'Content-Length: -5\r\n',
    'Content-Length: 0x5\r\n',
    'Content-Length: 1e0\r\n',
    'Transfer-Encoding: gzip\r\nContent-Length: 2\r\n',
  ]) {
    t.strictSame(collect(lines, 'hello'), ['hello', false, false], lines)
  }
  const body = new ResponseBody(readResponse(bytes('HTTP/1.1 400 X\r\n\r\n')))
  body.receive(bytes('hello'))
  body.receiveEnd()
  body.receiveEnd()
  t.strictSame([body.complete, body.truncated, text(body.bytes)], [true, false, 'hello'])
})

t.test('tells that a body with a length or in chunks broke off', async t => {
  for (const lines of ['Content-Length: 9\r\n', 'Transfer-Encoding: chunked\r\n']) {
    const body = new ResponseBody(readResponse(bytes(`HTTP/1.1 400 X\r\n${lines}\r\n`)))
    body.receive(bytes('5\r\nhello'))
    body.receiveEnd()
    t.strictSame([body.complete, body.truncated], [true, true])
  }
})

t.test('takes chunks apart', async t => {
  const lines = 'Transfer-Encoding: chunked\r\nContent-Length: 3\r\n'
  t.strictSame(collect(lines, '5\r\nhello\r\n0\r\n\r\n'), ['hello', true, false])
  t.strictSame(collect(lines, '2\r\nhe\r\n00B;a="b;c"\r\nllo, world!\r\n0;x\r\nTrailer: a\r\n\r\n'), [
    'hello, world!',
    true,
    false,
  ])
  t.strictSame(collect(lines, '5\r\nhel'), ['hel', false, false])
  t.strictSame(collect('Transfer-Encoding: gzip, Chunked\r\n', 'A\r\n0123456789\r\n'), [
    '0123456789',
    false,
    false,
  ])
})

t.test('keeps what it has when chunks make no sense', async t => {
  const lines = 'Transfer-Encoding: chunked\r\n'
  for (const data of ['hello', '\r\n', ';a\r\n', '-1\r\n', '11111111\r\n', '\0']) {
    t.strictSame(collect(lines, data), ['', true, true], JSON.stringify(data))
  }
  t.strictSame(collect(lines, '2\r\nhello'), ['he', true, true])
  t.strictSame(collect(lines, `1\r\na\r\n1;${'x'.repeat(70_000)}`), ['a', true, true], 'an endless extension')
})

t.test('has no body to wait for after 1xx, 204 and 304', async t => {
  for (const status of [101, 204, 304])
    t.strictSame(collect('Content-Length: 5\r\n', 'hello', status), ['', true, false])
})

t.test('keeps no more of a body than its limit', async t => {
  t.strictSame(collect('', 'hello', 400, 4), ['hell', true, true])
  t.strictSame(collect('', 'hello', 400, 5), ['hello', false, false])
  t.strictSame(collect('Content-Length: 5\r\n', 'hello', 400, 5), ['hello', true, false])
  t.strictSame(collect('Transfer-Encoding: chunked\r\n', '3\r\nhel\r\n2\r\nlo\r\n0\r\n', 400, 4), [
    'hell',
    true,
    true,
  ])
  const body = new ResponseBody(readResponse(bytes('HTTP/1.1 500 X\r\nContent-Length: 999999999999\r\n\r\n')))
  let received = 0
  while (!body.receive(new Uint8Array(1000))) received += 1000
  t.equal(body.bytes.length, 64 * 1024)
  t.equal(body.truncated, true)
  t.equal(received, 65_000)
})
