import t from 'tap'
import { HeadReader, headerValue, headerValues, InvalidHeadError } from '../../src/handshake/index.js'
import {
  decodeLatin1,
  decodeLatin1Portably,
  encodeLatin1,
  encodeLatin1Portably,
} from '../../src/handshake/latin1.js'
import {
  bytes,
  code,
  failure,
  outcome,
  readRequest,
  readResponse,
  request,
  requestLines,
  text,
} from './support.js'

const readLine = (line: string): unknown => readRequest(bytes(`GET / HTTP/1.1\r\n${line}\r\n\r\n`)).headers
const headers = (count: number): Uint8Array => bytes(`GET / HTTP/1.1\r\n${'a: b\r\n'.repeat(count)}`)
const readLong = (line: string): unknown =>
  HeadReader.forRequest({ maxHeadBytes: Infinity }).receive(bytes(`GET / HTTP/1.1\r\n${line}\r\n\r\n`))
const each = (data: Uint8Array): Uint8Array[] => Array.from(data, byte => Uint8Array.of(byte))

t.test('reads a request head and hands back the bytes behind it as a view', async t => {
  const data = bytes('GET /chat?a=b HTTP/1.1\r\nHost: example.com\r\nX-Empty:\r\n\r\nframes')
  const result = HeadReader.forRequest().receive(data)
  t.strictSame(result?.head, {
    method: 'GET',
    target: '/chat?a=b',
    version: '1.1',
    headers: [
      ['Host', 'example.com'],
      ['X-Empty', ''],
    ],
  })
  t.equal(text(result!.rest), 'frames')
  t.equal(result!.rest.buffer, data.buffer)
})

t.test('reads a response head, with a reason, with an empty one and without one', async t => {
  for (const [line, status, reason] of [
    ['HTTP/1.1 101 Switching Protocols', 101, 'Switching Protocols'],
    ['HTTP/1.1 404 ', 404, ''],
    ['HTTP/1.0 503', 503, ''],
    ['HTTP/1.1 200 tr\xe8s bien', 200, 'tr\xe8s bien'],
  ] as const) {
    const head = readResponse(bytes(`${line}\r\n\r\n`))
    t.strictSame(head, { version: line.slice(5, 8), status, reason, headers: [] })
  }
})

t.test('asks for more until the blank line is complete', async t => {
  const reader = HeadReader.forRequest()
  t.equal(reader.receive(bytes('')), null)
  t.equal(reader.receive(bytes('GET / HTTP/1.1\r')), null)
  t.equal(reader.receive(bytes('\nHost: a\r\n\r')), null)
  t.strictSame(reader.receive(bytes('\nrest'))?.rest, bytes('rest'))
  t.equal(text(reader.receive(bytes('more'))!.rest), 'more', 'a spent reader hands everything on')
})

t.test('takes values as latin1 and trims blanks around them only', async t => {
  const head = readRequest(bytes('GET / HTTP/1.1\r\nA: \t a\t b \xff\x80 \t\r\nb:c\r\n\r\n'))
  t.strictSame(head.headers, [
    ['A', 'a\t b \xff\x80'],
    ['b', 'c'],
  ])
})

t.test('finds headers in any case, and joins the lines of one', async t => {
  const { headers } = readRequest(bytes('GET / HTTP/1.1\r\nX-A: 1\r\nx-a: 2\r\nY: 3\r\n\r\n'))
  t.strictSame(headerValues(headers, 'X-a'), ['1', '2'])
  t.equal(headerValue(headers, 'x-A'), '1, 2')
  t.equal(headerValue(headers, 'Z'), null)
  t.strictSame(headerValues(headers, 'Z'), [])
})

t.test('passes over one empty line before a request, and over none before a response', async t => {
  t.equal(readRequest(bytes('\r\nGET / HTTP/1.1\r\n\r\n')).method, 'GET')
  t.equal(
    code(() => readRequest(bytes('\r\n\r\nGET / HTTP/1.1\r\n\r\n'))),
    'WS_HANDSHAKE_BAD_REQUEST_LINE',
  )
  t.equal(
    code(() => readResponse(bytes('\r\nHTTP/1.1 101\r\n\r\n'))),
    'WS_HANDSHAKE_BAD_STATUS_LINE',
  )
})

t.test('passes over interim responses, but not over the 101', async t => {
  const hints = 'HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n'
  const head = readResponse(bytes(`HTTP/1.1 100\r\n\r\n${hints}HTTP/1.1 101 Yes\r\nA: b\r\n\r\n`))
  t.strictSame(head, { version: '1.1', status: 101, reason: 'Yes', headers: [['A', 'b']] })
  const reader = HeadReader.forResponse({ maxHeadBytes: 1000 })
  const endless = Array.from({ length: 1000 }, () => bytes(hints))
  t.match(outcome(reader, endless), { failed: /^WS_HANDSHAKE_HEAD_TOO_LARGE/ })
})

t.test('refuses a malformed request line with 400', async t => {
  const lines = [
    '',
    'GET',
    'GET /',
    'GET / ',
    'GET / HTTP/1.1 ',
    'GET  / HTTP/1.1',
    'GET /  HTTP/1.1',
    ' GET / HTTP/1.1',
    'GET\t/ HTTP/1.1',
    'G(T / HTTP/1.1',
    'GET /a b HTTP/1.1',
    'GET /\xe4 HTTP/1.1',
    'GET / http/1.1',
    'GET / HTTP/1,1',
    'GET / HTTP/11',
    'GET / HTTP/x.1',
    'GET / HTTP/1.y',
    'GET / HTTP/1.10',
    'SSH-2.0-OpenSSH_9.2',
  ]
  for (const line of lines) {
    const error = failure(() => HeadReader.forRequest().receive(bytes(`\r\n${line}\r\n`)))
    t.match(error, { code: 'WS_HANDSHAKE_BAD_REQUEST_LINE', status: 400 }, JSON.stringify(line))
  }
})

t.test('refuses a malformed status line before the head is complete', async t => {
  const lines = [
    '',
    '220 mail.example.com ESMTP',
    'HTTP/1.1',
    'HTTP/1.1 ',
    'HTTP/1.1 10',
    'HTTP/1.1 1O1 OK',
    'HTTP/1.1 1012 OK',
    'HTTP/1.1  101 OK',
    'HTTP/1.1 099 OK',
    'HTTP/1.1 101\tOK',
    'http/1.1 101 OK',
    'HTTP/1.x 101 OK',
    'ICY 200 OK',
  ]
  for (const line of lines) {
    const error = failure(() => HeadReader.forResponse().receive(bytes(`${line}\r\n`)))
    t.match(error, { code: 'WS_HANDSHAKE_BAD_STATUS_LINE', status: 0, response: null }, JSON.stringify(line))
  }
})

t.test('refuses a malformed header line, and says which', async t => {
  for (const line of [
    'no colon',
    ': nameless',
    'a : b',
    'a\t: b',
    ' folded: b',
    '\tfolded',
    'a b: c',
    'a(: b',
    '\xe4: b',
  ]) {
    const error = failure(() => readLine(`Host: a\r\n${line}`))
    t.match(error, { code: 'WS_HANDSHAKE_BAD_HEADER', status: 400, message: /line 3$/ }, JSON.stringify(line))
  }
})

t.test('refuses NUL, other controls, bare CR and bare LF at once, wherever they are', async t => {
  for (const bad of ['\0', '\x01', '\x0b', '\x1b', '\x7f', '\n', '\r\r\n', '\ra']) {
    for (const before of [
      '',
      'GET /',
      'GET / HTTP/1.1\r\n',
      'GET / HTTP/1.1\r\nHo',
      'GET / HTTP/1.1\r\nHost: a',
    ]) {
      const error = failure(() => HeadReader.forRequest().receive(bytes(before + bad)))
      t.match(error, { code: 'WS_HANDSHAKE_BAD_BYTE', status: 400 }, JSON.stringify(before + bad))
    }
  }
  t.equal(
    code(() => HeadReader.forRequest().receive(bytes('\x16\x03\x01'))),
    'WS_HANDSHAKE_BAD_BYTE',
    'a TLS hello',
  )
})

t.test('fails again with the same error after a failure', async t => {
  const reader = HeadReader.forRequest()
  const first = failure(() => reader.receive(bytes('\0')))
  t.equal(
    failure(() => reader.receive(request())),
    first,
  )
})

t.test('reads a head of exactly the limit, and refuses one byte more with 431', async t => {
  const data = request()
  for (const cut of [[data], each(data)]) {
    t.match(outcome(HeadReader.forRequest({ maxHeadBytes: data.length }), cut), { head: { method: 'GET' } })
    t.match(outcome(HeadReader.forRequest({ maxHeadBytes: data.length - 1 }), cut), {
      failed: /^WS_HANDSHAKE_HEAD_TOO_LARGE/,
      status: 431,
    })
  }
  const withRest = bytes(`${text(data)}more`)
  t.match(outcome(HeadReader.forRequest({ maxHeadBytes: data.length }), [withRest]), { rest: 'more' })
})

t.test('refuses a request line over the limit with 414', async t => {
  const data = bytes(`GET /${'a'.repeat(20_000)} HTTP/1.1\r\n\r\n`)
  for (const cut of [[data], each(data)]) {
    t.match(outcome(HeadReader.forRequest(), cut), { failed: /^WS_HANDSHAKE_TARGET_TOO_LONG/, status: 414 })
  }
  t.match(outcome(HeadReader.forResponse(), [bytes(`HTTP/1.1 200 ${'a'.repeat(20_000)}`)]), {
    failed: /^WS_HANDSHAKE_HEAD_TOO_LARGE/,
    status: 0,
  })
})

t.test(
  'reads as many headers as the limit, and refuses one more with 431 before the head is complete',
  async t => {
    const reader = HeadReader.forRequest()
    t.equal(reader.receive(headers(128)), null)
    t.equal(reader.receive(bytes('\r\n'))?.head.headers.length, 128)
    t.match(
      failure(() => HeadReader.forRequest().receive(headers(129))),
      { code: 'WS_HANDSHAKE_TOO_MANY_HEADERS', status: 431 },
    )
    t.equal(
      code(() => HeadReader.forRequest({ maxHeaders: 4 }).receive(request(requestLines))),
      'WS_HANDSHAKE_TOO_MANY_HEADERS',
    )
  },
)

t.test('stops at the limit in a head of 10 MB that comes byte by byte', async t => {
  const reader = HeadReader.forRequest()
  reader.receive(bytes('GET / HTTP/1.1\r\nX: '))
  const byte = bytes('a')
  let accepted = 19
  const error = failure(() => {
    for (; accepted < 10_000_000; accepted++) reader.receive(byte)
  })
  t.match(error, { code: 'WS_HANDSHAKE_HEAD_TOO_LARGE', status: 431 })
  t.equal(accepted, 16 * 1024)
})

t.test(
  'finishes with 4 MB of one line byte by byte when nothing limits it, which takes linear time',
  async t => {
    const length = 4_000_000
    const reader = HeadReader.forRequest({ maxHeadBytes: Infinity, maxHeaders: Infinity })
    reader.receive(bytes('GET / HTTP/1.1\r\nX: '))
    const byte = bytes('a')
    for (let i = 0; i < length; i++) reader.receive(byte)
    t.equal(reader.receive(bytes('\r\n\r\n'))?.head.headers[0][1].length, length)
  },
)

t.test('finishes with 64 KiB of blanks, colons or empty names, which takes linear time', async t => {
  const size = 64 * 1024
  t.match(readLong(`a:${' '.repeat(size)}`), { head: { headers: [['a', '']] } })
  t.match(readLong(`a:${' '.repeat(size)}b${'\t'.repeat(size)}`), { head: { headers: [['a', 'b']] } })
  t.match(readLong(`a${':'.repeat(size)}`), { head: { headers: [['a', ':'.repeat(size - 1)]] } })
  t.equal(
    code(() => readLong(`a${' '.repeat(size)}:`)),
    'WS_HANDSHAKE_BAD_HEADER',
  )
})

t.test('throws at once for limits that make no sense', async t => {
  for (const limits of [
    { maxHeadBytes: -1 },
    { maxHeadBytes: 0 },
    { maxHeadBytes: NaN },
    { maxHeaders: 1.5 },
    { maxHeaders: '100' as unknown as number },
    { maxHeadbytes: 100 } as Record<string, number>,
  ]) {
    const field = Object.keys(limits)[0]
    t.throws(() => HeadReader.forRequest(limits), {
      name: 'InvalidHeadError',
      code: 'WS_INVALID_HEAD',
      field,
    })
  }
  t.throws(() => HeadReader.forResponse({ toString: 1 } as object), InvalidHeadError)
})

t.test('decodes and encodes latin1 the same with and without the help of the platform', async t => {
  const data = Uint8Array.from({ length: 10_000 }, (_, i) => i)
  for (const [start, end] of [
    [0, 256],
    [0, 10_000],
    [5, 5],
    [4095, 4097],
    [1, 8193],
  ] as const) {
    t.equal(decodeLatin1(data, start, end), decodeLatin1Portably(data, start, end))
    t.equal(decodeLatin1(data, start, end), text(data.subarray(start, end)))
    const encoded = encodeLatin1(decodeLatin1(data, start, end))
    t.same(Buffer.from(encoded), Buffer.from(data.subarray(start, end)))
    t.same(Buffer.from(encoded), Buffer.from(encodeLatin1Portably(decodeLatin1Portably(data, start, end))))
  }
})
