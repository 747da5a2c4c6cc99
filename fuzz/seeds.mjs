// Writes fuzz/corpus: the few inputs the fuzzer starts from. Run `node fuzz/seeds.mjs` after an input's layout changed
// (each target's header says what it is), and commit the result. Inputs that crashed once are in fuzz/regressions and are
// not written by this script.
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const corpus = join(dirname(fileURLToPath(import.meta.url)), 'corpus')

function write(target, inputs) {
  rmSync(join(corpus, target), { recursive: true, force: true })
  mkdirSync(join(corpus, target), { recursive: true })
  for (const [name, bytes] of Object.entries(inputs)) writeFileSync(join(corpus, target, name), bytes)
}

/** A frame of a client (`masked`) or a server. `first` is FIN, RSV and opcode; the length is encoded minimally. */
function frame(masked, first, payload = Buffer.alloc(0)) {
  const bytes = Buffer.from(payload)
  const bit = masked ? 0x80 : 0
  const key = [0x37, 0xfa, 0x21, 0x3d]
  let length = [bytes.length | bit]
  if (bytes.length > 0xffff) {
    length = [127 | bit, 0, 0, 0, 0, 0, bytes.length >> 16, (bytes.length >> 8) & 255, bytes.length & 255]
  } else if (bytes.length > 125) {
    length = [126 | bit, bytes.length >> 8, bytes.length & 255]
  }
  const body = masked ? bytes.map((byte, index) => byte ^ key[index % 4]) : bytes
  return Buffer.concat([Buffer.from([first, ...length, ...(masked ? key : [])]), body])
}

/** What each role may receive, by name. */
const streams = masked => {
  const f = (first, payload) => frame(masked, first, payload)
  return {
    text: f(0x81, 'Hello'),
    utf8: f(0x81, 'κόσμε \u{1f600}'),
    binary: Buffer.concat([f(0x82, Buffer.alloc(125, 1)), f(0x82, Buffer.alloc(126, 0xff)), f(0x82)]),
    long: f(0x82, Buffer.alloc(1000, 0xa5)),
    fragments: Buffer.concat([
      f(0x01, Buffer.from('Hel€'.slice(0, 3))),
      f(0x89, 'ping'),
      f(0x00, Buffer.from([0xe2, 0x82])),
      f(0x8a, 'pong'),
      f(0x80, Buffer.from([0xac])),
    ]),
    close: Buffer.concat([f(0x88, Buffer.from('\x03\xe8bye', 'latin1')), f(0x81, 'ignored')]),
    pings: Buffer.concat([f(0x89, 'a'), f(0x89, 'b'), f(0x89, 'c'), f(0x88)]),
    broken: Buffer.concat([f(0x81, Buffer.from([0xce, 0xba, 0xed, 0xa0, 0x80])), f(0x83)]),
    huge: Buffer.from([0x82, masked ? 0xff : 0x7f, 0, 0, 0, 1, 0, 0, 0, 0, 1, 2, 3, 4, 5]),
  }
}

const decoder = {}
const connection = {}
for (const [role, bit] of [
  ['server', 0],
  ['client', 1],
]) {
  for (const [name, bytes] of Object.entries(streams(role === 'server'))) {
    decoder[`${role}-${name}`] = Buffer.concat([Buffer.from([bit, 0x21]), bytes])
    connection[`${role}-${name}`] = Buffer.concat([Buffer.from([bit, 0x43, 0]), bytes])
  }
}
// The longest lengths that must be written shorter, and the shortest that must not.
const lengths = { 125: [126, 0, 125], 126: [126, 0, 126], 65535: [127, 0, 0, 0, 0, 0, 0, 255, 255] }
lengths['65536'] = [127, 0, 0, 0, 0, 0, 1, 0, 0]
for (const [name, bytes] of Object.entries(lengths))
  decoder[`length-${name}`] = Buffer.from([1, 0x21, 0x82, ...bytes, 1])
decoder['server-rsv'] = Buffer.concat([Buffer.from([0x08, 0x21]), frame(true, 0xc1, 'deflated')])

const twoPings = Buffer.concat([frame(true, 0x89, 'a'), frame(true, 0x81, 'Hello')])
const act = (flags, actions, bytes) => Buffer.from([flags, 0x21, actions.length, ...actions.flat(), ...bytes])
Object.assign(connection, {
  'act-send': act(
    0,
    [
      [4, 2, 3],
      [3, 3, 6],
      [0, 4, 2],
      [5, 5, 2],
      [9, 1, 0],
    ],
    twoPings,
  ),
  'act-send-client': act(
    1,
    [
      [4, 2, 0xa4],
      [3, 3, 8],
      [0, 3, 9],
      [0, 3, 10],
    ],
    frame(false, 0x81, 'Hello'),
  ),
  'act-fragments': act(
    0,
    [
      [0, 8, 5],
      [2, 8, 6],
      [2, 4, 1],
      [0, 8, 0x81],
      [0, 9, 4],
      [3, 9, 0x85],
    ],
    twoPings,
  ),
  'act-bytes': act(
    1,
    [
      [0, 8, 5],
      [0, 8, 0x40],
      [0, 8, 0xc0],
      [0, 2, 9],
    ],
    frame(false, 0x89, 'Hello'),
  ),
  'act-close': act(
    0,
    [
      [1, 7, 0x18],
      [0, 2, 1],
      [7, 6, 0],
    ],
    Buffer.concat([twoPings, frame(true, 0x88)]),
  ),
  'act-end': act(
    1,
    [
      [3, 0, 0],
      [0, 2, 1],
      [0, 6, 0],
    ],
    frame(false, 0x82, 'Hello'),
  ),
  'limit-size': act(4, [], frame(true, 0x82, Buffer.alloc(101))),
  'limit-fragments': act(
    8,
    [],
    Buffer.concat([frame(true, 1, 'a'), frame(true, 0, 'b'), frame(true, 0x80, 'c')]),
  ),
})

const key = 'dGhlIHNhbXBsZSBub25jZQ=='
const upgrade = ['Upgrade: websocket', 'Connection: keep-alive, Upgrade']
const request = (...more) => [
  'GET /chat?a=1 HTTP/1.1',
  'Host: server.example.com',
  ...upgrade,
  'Sec-WebSocket-Version: 13',
  ...more,
]
const response = (...more) => [
  'HTTP/1.1 101 Switching Protocols',
  ...upgrade,
  'Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=',
  ...more,
]
const head = (flags, lines, rest = '') =>
  Buffer.concat([Buffer.from([flags, 0x6a]), Buffer.from(`${lines.join('\r\n')}\r\n\r\n${rest}`, 'latin1')])

const offers = 'permessage-deflate; client_max_window_bits, permessage-deflate; server_max_window_bits="1\\0"'
const heads = {
  request: head(0, request(`Sec-WebSocket-Key: ${key}`), '\x81\x85'),
  'request-all': head(
    0,
    request(
      `Sec-WebSocket-Key: ${key}`,
      'Origin: http://example.com',
      'Sec-WebSocket-Protocol: chat, superchat',
      'Sec-WebSocket-Protocol: other',
      `Sec-WebSocket-Extensions: ${offers}`,
    ),
  ),
  'request-blank-first': head(0, ['', ...request(`Sec-WebSocket-Key: ${key}`)]),
  'request-no-key': head(0, request()),
  'request-version': head(0, ['GET / HTTP/1.1', 'Host: a', ...upgrade, 'Sec-WebSocket-Version: 8']),
  'request-post': head(0, ['POST / HTTP/1.1', 'Host: a', 'Content-Length: 3'], 'abc'),
  'request-1.0': head(0, ['GET / HTTP/1.0']),
  'request-absolute': head(0, ['GET http://a/b HTTP/1.1', 'Host: [::1]:80', 'X: \xe9']),
  'request-folded': head(0, ['GET / HTTP/1.1', 'Host: a', ' folded']),
  'request-limit': head(2, request(`Sec-WebSocket-Key: ${key}`)),
  'request-headers': head(4, ['GET / HTTP/1.1', 'A: 1', 'B: 2', 'C: 3', 'D: 4']),
  'not-http': head(0, ['\x16\x03\x01\x02']),
  response: head(1, response(), '\x81\x05Hello'),
  'response-all': head(
    1,
    response(
      'Sec-WebSocket-Protocol: chat',
      'Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits=15',
    ),
  ),
  'response-interim': head(1, ['HTTP/1.1 103 Early Hints', 'Link: a', '', ...response()]),
  'response-accept': head(1, ['HTTP/1.1 101', ...upgrade, 'Sec-WebSocket-Accept: wrong']),
  'response-unrequested': head(
    1,
    response('Sec-WebSocket-Extensions: other', 'Sec-WebSocket-Protocol: other'),
  ),
  'response-length': head(1, ['HTTP/1.1 401 Unauthorized', 'Content-Length: 5'], 'Hello and more'),
  'response-chunked': head(
    1,
    ['HTTP/1.1 503 x', 'Transfer-Encoding: chunked'],
    '5;a=b\r\nHello\r\n2a\r\n!\r\n0\r\n\r\n',
  ),
  'response-open': head(1, ['HTTP/1.0 500 Oops', 'Connection: close'], 'x'.repeat(50)),
}

const value = (text, grow = 0) => Buffer.concat([Buffer.from([grow]), Buffer.from(text, 'latin1')])
const extensions = {
  one: value('permessage-deflate'),
  offers: value(offers),
  lines: value('a; b=c\nd;e="f"; g\n, ,h'),
  blanks: value(' \t a \t ; \t b \t = \t "c" \t , \t d'),
  proto: value('__proto__; __proto__=__proto__; constructor'),
  quoted: value('a; b="\\c\\d"'),
  'quoted-token': value('a; b="c d"'),
  'quoted-quote': value('a; b="c\\"'),
  'quoted-open': value('a; b="c'),
  'quoted-escape-end': value('a; b="c\\'),
  'empty-elements': value(',,a,,b,'),
  'no-name': value('; a'),
  'no-value': value('a; b='),
  latin1: value('a; b=\xe9'),
  'grow-blanks': value('a ', 1),
  'grow-tabs': value('a; b \t', 2),
  'grow-commas': value('a,', 1),
  'grow-escapes': value('a; b="\\x', 2),
  'grow-params': value('a; b=c', 5),
  'grow-quoted': value('a; b="c"; d="\\e"', 10),
}

write('decoder', decoder)
write('connection', connection)
write('head', heads)
write('extensions', extensions)
