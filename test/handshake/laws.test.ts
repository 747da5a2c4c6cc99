import fc from 'fast-check'
import t from 'tap'
import {
  encodeAccept,
  encodeReject,
  encodeRequest,
  type ExtensionOffer,
  generateKey,
  HandshakeError,
  HeadReader,
  parseExtensionList,
  parseTokenList,
  parseUpgrade,
  type RequestHead,
  ResponseBody,
  type ResponseHead,
  verifyResponse,
} from '../../src/handshake/index.js'
import {
  bytes,
  clientRequest,
  outcome,
  readResponse,
  request,
  requestLines,
  response,
  responseLines,
} from './support.js'

const RUNS = { numRuns: 1000 }

/** Cuts data at the given places (fractions of its length); empty chunks included. */
function split(data: Uint8Array, cuts: readonly number[]): Uint8Array[] {
  const places = cuts.map(cut => Math.floor(cut * (data.length + 1))).toSorted((a, b) => a - b)
  return [0, ...places].map((from, i) => data.slice(from, places[i] ?? data.length))
}

const each = (data: Uint8Array): Uint8Array[] => Array.from(data, byte => Uint8Array.of(byte))
const cuts = fc.array(fc.double({ min: 0, max: 0.999, noNaN: true }), { maxLength: 8 })

const tokenChars = "!#$%&'*+-.^_`|~0123456789abcxyzABCXYZ"
const token = fc.oneof(
  fc.string({ unit: fc.constantFrom(...tokenChars.split('')), minLength: 1, maxLength: 12 }),
  fc.constantFrom('__proto__', 'constructor', 'toString', 'permessage-deflate'),
)
const extension: fc.Arbitrary<ExtensionOffer> = fc.record({
  name: token,
  params: fc.array(fc.tuple(token, fc.option(token, { nil: null })), { maxLength: 4 }),
})
const value = fc
  .string({
    unit: fc
      .integer({ min: 0x20, max: 0xff })
      .filter(c => c !== 0x7f)
      .map(c => String.fromCharCode(c)),
    maxLength: 40,
  })
  .map(text => text.replace(/^[ \t]+|[ \t]+$/g, ''))
const header = fc.tuple(
  token.map(name => `X-${name}`),
  value,
)
const visible = fc.string({
  unit: fc.integer({ min: 0x21, max: 0x7e }).map(c => String.fromCharCode(c)),
  maxLength: 40,
})

const offer = fc.record({
  host: fc.constantFrom('example.com', 'example.com:8080', '[::1]:80', '127.0.0.1'),
  target: visible.map(text => `/${text.replaceAll('#', '')}`),
  key: fc.uint8Array({ minLength: 16, maxLength: 16 }).map(key => Buffer.from(key).toString('base64')),
  subprotocols: fc.uniqueArray(token, { maxLength: 4 }),
  extensions: fc.array(extension, { maxLength: 4 }),
  headers: fc.array(header, { maxLength: 6 }),
})

// Real heads to mutate, as browsers and servers send them.
const realRequests = [
  request(),
  request([
    ...requestLines,
    ['Origin', 'https://example.com'],
    ['User-Agent', 'Mozilla/5.0 (X11; Linux x86_64)'],
    ['Pragma', 'no-cache'],
    ['Accept-Encoding', 'gzip, deflate, br, zstd'],
    ['Cookie', 'a=b; c="d"'],
    ['Sec-WebSocket-Protocol', 'chat, superchat'],
    ['Sec-WebSocket-Extensions', 'permessage-deflate; client_max_window_bits, x; y="\\z"'],
  ]),
]
const realResponses = [
  response(),
  response([
    ...responseLines,
    ['Server', 'nginx/1.25'],
    ['Date', 'Mon, 01 Jan 2024 00:00:00 GMT'],
    ['Sec-WebSocket-Protocol', 'chat'],
    ['Sec-WebSocket-Extensions', 'permessage-deflate; server_max_window_bits="10"'],
  ]),
  bytes(
    'HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\n\r\nno',
  ),
]

type Mutation = readonly [kind: 'flip' | 'insert' | 'delete' | 'copy', at: number, byte: number]
const mutation: fc.Arbitrary<Mutation> = fc.tuple(
  fc.constantFrom('flip' as const, 'insert' as const, 'delete' as const, 'copy' as const),
  fc.double({ min: 0, max: 0.999, noNaN: true }),
  fc.oneof(fc.nat(255), fc.constantFrom(...bytes('\r\n \t:;,="\\\0'))),
)

function mutate(data: Uint8Array, mutations: readonly Mutation[]): Uint8Array {
  const mutant = Array.from(data)
  for (const [kind, where, byte] of mutations) {
    const at = Math.floor(where * mutant.length)
    if (kind === 'flip') mutant[at] ^= 1 << (byte & 7)
    else if (kind === 'insert') mutant.splice(at, 0, byte)
    else if (kind === 'delete') mutant.splice(at, byte & 15)
    else mutant.splice(at, 0, ...mutant.slice(at, at + (byte & 63)))
  }
  return Uint8Array.from(mutant)
}

const mutant = (data: readonly Uint8Array[]): fc.Arbitrary<Uint8Array> =>
  fc
    .tuple(fc.constantFrom(...data), fc.array(mutation, { minLength: 1, maxLength: 4 }))
    .map(([head, mutations]) => mutate(head, mutations))

/** Runs what must give a value or a HandshakeError; everything else gets through and fails the law. */
function attempt<T>(run: () => T): T | HandshakeError {
  try {
    return run()
  } catch (error) {
    if (error instanceof HandshakeError) return error
    throw error
  }
}

const limits = { maxHeadBytes: 900, maxHeaders: 14 }
const client = clientRequest({
  subprotocols: ['chat', 'superchat'],
  extensions: [{ name: 'permessage-deflate', params: [] }],
})

function serve(data: Uint8Array): void {
  const result = attempt(() => {
    const read = HeadReader.forRequest(limits).receive(data)
    return read === null ? null : parseUpgrade(read.head)
  })
  // Whatever a client sends, the server has an answer that a client can read.
  if (result instanceof HandshakeError) readResponse(encodeReject(result))
  else if (result !== null) {
    const [subprotocol = null] = result.subprotocols
    readResponse(encodeAccept(result, { subprotocol, extensions: result.extensions.slice(0, 1) }))
  }
}

function connect(data: Uint8Array): void {
  attempt(() => {
    const read = HeadReader.forResponse(limits).receive(data)
    if (read === null) return
    const body = new ResponseBody(read.head, 16)
    body.receive(read.rest)
    if (body.bytes.length > 16) throw new Error('the body is over its limit')
    verifyResponse(client, read.head)
  })
}

function sameFromAnySplit<Head extends RequestHead | ResponseHead>(
  makeReader: () => HeadReader<Head>,
  real: readonly Uint8Array[],
): void {
  const heads = fc.oneof(fc.constantFrom(...real), mutant(real))
  fc.assert(
    fc.property(heads, cuts, fc.uint8Array({ maxLength: 20 }), (head, places, rest) => {
      const data = Uint8Array.from([...head, ...rest])
      const [whole, cut, bytewise] = [[data], split(data, places), each(data)].map(chunks =>
        JSON.stringify(outcome(makeReader(), chunks)),
      )
      return whole === cut && whole === bytewise
    }),
    RUNS,
  )
}

t.test('reads the same from any split of a request, well-formed or not', async () => {
  sameFromAnySplit(() => HeadReader.forRequest(limits), realRequests)
})

t.test('reads the same from any split of a response, well-formed or not', async () => {
  sameFromAnySplit(() => HeadReader.forResponse(limits), realResponses)
})

t.test('does not change what it reads, and hands on every byte behind the head', async () => {
  fc.assert(
    fc.property(
      fc.constantFrom(...realRequests),
      fc.uint8Array({ maxLength: 200 }),
      cuts,
      (head, rest, places) => {
        const chunks = split(Uint8Array.from([...head, ...rest]), places)
        const copies = chunks.map(chunk => chunk.slice())
        const reader = HeadReader.forRequest()
        const behind = chunks.flatMap(chunk => Array.from(reader.receive(chunk)?.rest ?? []))
        return (
          Buffer.from(behind).equals(rest) && chunks.every((chunk, i) => Buffer.from(chunk).equals(copies[i]))
        )
      },
    ),
    RUNS,
  )
})

t.test('gives null, a head or a HandshakeError for any bytes, and nothing else', async () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 2000 }), data => {
      serve(data)
      connect(data)
      serve(Uint8Array.from([...bytes('GET / HTTP/1.1\r\n'), ...data, ...bytes('\r\n\r\n')]))
      connect(Uint8Array.from([...bytes('HTTP/1.1 101\r\n'), ...data, ...bytes('\r\n\r\n')]))
    }),
    RUNS,
  )
})

t.test('gives a result or a HandshakeError for any mutation of a real request', async () => {
  fc.assert(fc.property(mutant(realRequests), serve), RUNS)
})

t.test('gives a result or a HandshakeError for any mutation of a real response', async () => {
  fc.assert(fc.property(mutant(realResponses), connect), RUNS)
})

t.test('gives a list or null for any text in a list header', async () => {
  const pieces = fc.oneof(token, fc.constantFrom(...' \t,;="\\\0/\xe4\u0100'.split('')))
  fc.assert(
    fc.property(fc.array(fc.array(pieces, { maxLength: 20 }).map(parts => parts.join(''))), values => {
      const extensions = parseExtensionList(values)
      const tokens = parseTokenList(values)
      // Each token list is an extension list without parameters, and both know the same names.
      return tokens === null || JSON.stringify(tokens) === JSON.stringify(extensions?.map(({ name }) => name))
    }),
    RUNS,
  )
})

t.test('agrees on what was offered: request, upgrade, accept and verification fit together', async () => {
  fc.assert(
    fc.property(
      offer,
      fc.nat(),
      fc.array(fc.boolean(), { minLength: 4, maxLength: 4 }),
      cuts,
      (asked, pick, keep, places) => {
        const read = outcome(
          HeadReader.forRequest({ maxHeadBytes: Infinity }),
          split(encodeRequest(asked), places),
        )
        if (read === null || !('head' in read)) throw new Error('the request is not complete')
        const upgrade = parseUpgrade(read.head)
        const { key, subprotocols, extensions: offers } = upgrade
        const { target, headers } = read.head
        const heard = [
          key,
          target,
          subprotocols,
          offers,
          headers.slice(headers.length - asked.headers.length),
        ]
        const said = [asked.key, asked.target, asked.subprotocols, asked.extensions, asked.headers]
        const subprotocol = asked.subprotocols[pick % (asked.subprotocols.length + 1)] ?? null
        const names = new Set<string>()
        const extensions = offers.filter(({ name }, i) => keep[i] && !names.has(name) && names.add(name))
        const answer = readResponse(encodeAccept(upgrade, { subprotocol, extensions }, asked.headers))
        const agreement = verifyResponse(asked, answer)
        const wrongKey = attempt(() => verifyResponse({ ...asked, key: generateKey() }, answer))
        return (
          JSON.stringify(heard) === JSON.stringify(said) &&
          JSON.stringify(agreement.extensions) === JSON.stringify(extensions) &&
          agreement.subprotocol === subprotocol &&
          wrongKey instanceof HandshakeError &&
          wrongKey.code === 'WS_HANDSHAKE_BAD_ACCEPT'
        )
      },
    ),
    RUNS,
  )
})
