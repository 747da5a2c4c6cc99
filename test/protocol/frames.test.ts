import { test } from 'tap'
import { FrameDecoder } from '../../src/protocol/frame-decoder.js'
import { FrameEncoder } from '../../src/protocol/frame-encoder.js'
import { Opcode, type Role } from '../../src/protocol/opcode.js'
import { unmask } from '../../src/protocol/unmask.js'
import {
  BINARY,
  buildFrame,
  bytesOf,
  concat,
  CONTINUATION,
  fromPeer,
  PEER_MASK,
  parseFrames,
  PING,
  ROLES,
  show,
  TEXT,
} from '../support/frames.js'
import { keyBytes } from '../support/naive.js'
import { deliver, open, OWN_KEY, written } from '../support/pair.js'
import { cutAt, cutEvery, randomBytes, randoms } from '../support/split.js'

/** Both sides of every length at which the header or the way of copying changes. */
const LENGTHS = [
  0, 1, 2, 15, 16, 17, 23, 24, 25, 39, 40, 41, 42, 63, 64, 65, 124, 125, 126, 127, 128, 511, 512, 513, 1365,
  1366, 4095, 4096, 4097, 16_384, 65_535, 65_536, 65_537, 70_000, 1_048_576,
]

const random = randoms(2)
const NOISE = randomBytes(random, 1_048_576)

/** The same frame, written by the naive builder under the key that `open` gives a client. */
function expected(role: Role, opcode: number, payload: Uint8Array, fin = true): Uint8Array {
  return buildFrame({ opcode, payload, fin, mask: role === 'client' ? keyBytes(OWN_KEY) : null })
}

function same(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0
}

void test('writes binary messages of every length as RFC 6455, section 5.2 has them', t => {
  for (const role of ROLES) {
    for (const length of LENGTHS) {
      const connection = open(role)
      const payload = NOISE.subarray(0, length)
      connection.sendBinary(payload)
      const bytes = concat(connection.takeOutput())
      t.ok(same(bytes, expected(role, BINARY, payload)), `${length} bytes as ${role}`)
    }
  }
  t.end()
})

void test('writes text messages of every length and every width of character as UTF-8', t => {
  for (const role of ROLES) {
    for (const character of ['a', 'é', '€', '😀', 'aé€😀', 'a\ud800b', '\udc00', '\u0000']) {
      const wrong: number[] = []
      for (const length of LENGTHS.filter(chars => chars <= 70_000)) {
        const connection = open(role)
        const text = character.repeat(Math.ceil(length / character.length)).slice(0, length)
        connection.sendText(text)
        // TextEncoder writes U+FFFD for a lone surrogate, as section 8.1 leaves no choice.
        if (!same(concat(connection.takeOutput()), expected(role, TEXT, bytesOf(text)))) wrong.push(length)
      }
      t.same(wrong, [], `${JSON.stringify(character)} as ${role}`)
    }
  }
  t.end()
})

void test('a text whose last unit is a lone surrogate ends in U+FFFD on the wire', t => {
  for (const chars of [0, 1, 39, 40, 41, 4095, 4096, 4097]) {
    const connection = open('server')
    connection.sendText('a'.repeat(chars) + '\ud83d')
    t.equal(Buffer.from(written(connection)[0].payload).toString(), 'a'.repeat(chars) + '\ufffd')
  }
  t.end()
})

void test('a client masks every frame with a fresh key, and a server masks none', t => {
  let key = 0x01020304
  const connection = open('client', { limits: {} })
  const keyed = new FrameEncoder('client', () => key++)
  for (const opcode of [Opcode.Text, Opcode.Ping, Opcode.Pong, Opcode.Close])
    keyed.bytes(opcode, true, bytesOf('payload'))
  keyed.text(Opcode.Text, true, 'payload')
  keyed.bytes(Opcode.Binary, true, NOISE.subarray(0, 10_000))
  t.same(
    parseFrames(keyed.take()).map(frame => frame.mask),
    [0, 1, 2, 3, 4, 5].map(i => keyBytes(0x01020304 + i)),
  )
  connection.sendText('a')
  t.not(written(connection)[0].mask, null)
  const server = new FrameEncoder('server', null)
  server.text(Opcode.Text, true, 'payload')
  server.bytes(Opcode.Binary, true, NOISE.subarray(0, 10_000))
  t.same(
    parseFrames(server.take()).map(frame => frame.mask),
    [null, null],
  )
  t.end()
})

void test('takes any number from the source of keys as 32 bits', t => {
  for (const key of [0, 1, -1, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff, 2 ** 40 + 5]) {
    const encoder = new FrameEncoder('client', () => key)
    encoder.text(Opcode.Text, true, 'masked')
    const [frame] = parseFrames(encoder.take())
    t.same(frame.mask, keyBytes(key | 0))
    t.equal(Buffer.from(frame.payload).toString(), 'masked')
  }
  t.end()
})

void test('a masked frame with the key 0 is read as it is', t => {
  const connection = open('server')
  t.same(deliver(connection, buildFrame({ opcode: TEXT, payload: 'plain', mask: [0, 0, 0, 0] })), [
    { type: 'text', data: 'plain' },
  ])
  t.end()
})

void test('sends exactly the bytes of a view, whatever it is a view of', t => {
  const memory = NOISE.slice(0, 8192)
  const buffer = memory.buffer
  const views: readonly ArrayBufferView[] = [
    new Int8Array(buffer, 3, 77),
    new Uint8ClampedArray(buffer, 5, 300),
    new Int16Array(buffer, 6, 33),
    new Uint16Array(buffer, 2, 100),
    new Int32Array(buffer, 4, 25),
    new Uint32Array(buffer, 8, 1500),
    new Float32Array(buffer, 12, 10),
    new Float64Array(buffer, 16, 600),
    new BigInt64Array(buffer, 24, 9),
    new BigUint64Array(buffer, 32, 9),
    new DataView(buffer, 7, 5001),
    new DataView(buffer, 1, 0),
    Buffer.from(buffer, 9, 4200),
    memory.subarray(11, 11 + 126),
  ]
  const shared = new Uint8Array(new SharedArrayBuffer(200), 10, 150).fill(7)
  for (const role of ROLES) {
    for (const { buffer: behind, byteOffset, byteLength } of [...views, shared]) {
      const connection = open(role)
      const view = new Uint8Array(behind, byteOffset, byteLength)
      connection.sendBinary(view)
      t.ok(
        same(concat(connection.takeOutput()), expected(role, BINARY, view)),
        `${byteOffset}, ${byteLength}`,
      )
    }
    // A subclass with a species of its own is a view as well.
    const connection = open(role)
    connection.sendBinary(Buffer.from('a buffer'))
    t.same(show(written(connection)), ['binary "a buffer"'])
  }
  t.ok(same(memory, NOISE.subarray(0, 8192)), 'and never writes to them')
  t.end()
})

void test('never writes to the bytes that the caller sends', t => {
  for (const role of ROLES) {
    const connection = open(role)
    for (const length of [1, 100, 125]) {
      const payload = NOISE.slice(0, length)
      connection.sendPing(payload)
      connection.sendPong(payload)
      connection.sendBinary(payload)
      connection.takeOutput()
      t.ok(same(payload, NOISE.subarray(0, length)))
    }
    for (const length of LENGTHS) {
      const payload = NOISE.slice(0, length)
      connection.sendBinary(payload)
      connection.sendFragment('binary', payload, false)
      connection.sendFragment('continuation', payload, true)
      connection.takeOutput()
      t.ok(same(payload, NOISE.subarray(0, length)), `${length} bytes as ${role}`)
    }
  }
  t.end()
})

void test('gathers small frames of one turn into one segment, in order', t => {
  for (const role of ROLES) {
    const connection = open(role)
    connection.takeOutput()
    const names = Array.from({ length: 20 }, (_, i) => `message ${i}`)
    for (const name of names) connection.sendText(name)
    connection.sendPing(bytesOf('ping'))
    const segments = connection.takeOutput()
    t.ok(segments.length <= 2, 'one segment, or two where a slab ended')
    t.same(show(parseFrames(segments)), [...names.map(name => `text "${name}"`), 'ping "ping"'])
    t.same(connection.takeOutput(), [], 'nothing is written twice')
  }
  t.end()
})

void test('keeps the frames of connections apart and in order when their sends are mixed', t => {
  const connections = Array.from({ length: 5 }, (_, i) => open(ROLES[i % 2]))
  const sent: string[][] = connections.map(() => [])
  const output: Uint8Array[][] = connections.map(() => [])
  for (let i = 0; i < 3000; i++) {
    const who = random(connections.length)
    const text = `${i} `.repeat(1 + random(i % 50 === 0 ? 3000 : 30))
    if (i % 3 === 0) connections[who].sendText(text)
    else connections[who].sendBinary(bytesOf(text))
    sent[who].push(text)
    // Kept segments must stay as they are while the slabs are filled further.
    if (random(10) === 0) output[who].push(...connections[who].takeOutput())
  }
  for (const [who, connection] of connections.entries()) {
    output[who].push(...connection.takeOutput())
    const texts = parseFrames(output[who]).map(frame => Buffer.from(frame.payload).toString())
    t.same(texts, sent[who])
  }
  t.end()
})

void test('puts a large payload of a server beside its header without a copy', t => {
  const connection = open('server')
  const payload = NOISE.slice(0, 100_000)
  connection.sendText('before')
  connection.sendBinary(payload)
  connection.sendText('after')
  const segments = connection.takeOutput()
  t.ok(segments.some(segment => segment.buffer === payload.buffer && segment.length === payload.length))
  t.same(
    parseFrames(segments).map(frame => frame.payload.length),
    [6, 100_000, 5],
  )
  t.end()
})

void test('says how many bytes are to be written', t => {
  for (const role of ROLES) {
    const connection = open(role)
    t.equal(connection.pendingBytes, 0)
    for (const length of LENGTHS) {
      connection.sendBinary(NOISE.subarray(0, length))
      connection.sendText('é'.repeat(Math.min(length, 5000)))
    }
    connection.sendPing()
    const pending = connection.pendingBytes
    t.equal(pending, concat(connection.takeOutput()).length)
    t.equal(connection.pendingBytes, 0)
  }
  t.end()
})

void test('reads payloads of every length, whole and cut', t => {
  for (const role of ROLES) {
    for (const length of LENGTHS) {
      const payload = NOISE.subarray(0, length)
      const frame = fromPeer(role, { opcode: BINARY, payload })
      const ways = [[frame], cutAt(frame, [1, 3, 7, 12, 20, 600, 601]), cutEvery(frame, 1460)]
      for (const chunks of ways) {
        const [event, ...more] = deliver(open(role), ...chunks)
        const right = event?.type === 'binary' && same(event.data, payload) && more.length === 0
        t.ok(right, `${length} bytes as ${role} in ${chunks.length} chunks`)
      }
    }
  }
  t.end()
})

void test('reads texts of every short length, ASCII or not', t => {
  for (const role of ROLES) {
    const wrong: string[] = []
    for (let length = 0; length <= 200; length++) {
      for (const last of ['', 'é', '€', '😀']) {
        const text = 'The quick brown fox jumps. '.repeat(8).slice(0, length) + last
        const [event] = deliver(open(role), fromPeer(role, { opcode: TEXT, payload: text }))
        if (event?.type !== 'text' || event.data !== text) wrong.push(text)
      }
    }
    t.same(wrong, [])
  }
  t.end()
})

void test('reads a frame that comes one byte per chunk', t => {
  for (const role of ROLES) {
    for (const length of [0, 1, 125, 126, 65_535, 65_536]) {
      const payload = NOISE.subarray(0, length)
      const frame = fromPeer(role, { opcode: BINARY, payload })
      const connection = open(role)
      for (const byte of cutEvery(frame.subarray(0, -1), 1)) {
        connection.receive(byte)
        if (connection.nextEvent() !== null) t.fail('an event before the last byte')
      }
      const [event] = deliver(connection, frame.subarray(-1))
      t.ok(event?.type === 'binary' && same(event.data, payload), `${length} bytes as ${role}`)
    }
  }
  t.end()
})

void test('reads chunks that are views at any offset, and touches nothing around them', t => {
  for (const role of ROLES) {
    for (const length of [3, 30, 700, 20_000]) {
      for (let offset = 0; offset < 9; offset++) {
        const payload = NOISE.subarray(0, length)
        const frame = fromPeer(role, { opcode: BINARY, payload })
        const memory = new Uint8Array(offset + frame.length + 9).fill(0xa5)
        memory.set(frame, offset)
        const connection = open(role)
        connection.receive(memory.subarray(offset, offset + frame.length))
        const event = connection.nextEvent()
        const around = [...memory.subarray(0, offset), ...memory.subarray(offset + frame.length)]
        const untouched = around.every(byte => byte === 0xa5)
        t.ok(event?.type === 'binary' && same(event.data, payload) && untouched, `${length} at ${offset}`)
      }
    }
  }
  t.end()
})

void test('reads a chunk that is a Buffer out of a pool', t => {
  for (const role of ROLES) {
    const connection = open(role)
    connection.receive(Buffer.from(fromPeer(role, { opcode: BINARY, payload: NOISE.subarray(0, 500) })))
    const event = connection.nextEvent()
    t.ok(event?.type === 'binary' && same(event.data, NOISE.subarray(0, 500)))
    t.equal(event?.type === 'binary' && event.data.constructor, Uint8Array, 'data is a plain Uint8Array')
  }
  t.end()
})

void test('ignores empty chunks wherever they come', t => {
  const nothing = new Uint8Array(0)
  for (const role of ROLES) {
    const frame = fromPeer(role, { opcode: TEXT, payload: 'hello' })
    const chunks = cutEvery(frame, 1).flatMap(byte => [nothing, byte, nothing])
    t.same(deliver(open(role), ...chunks), [{ type: 'text', data: 'hello' }])
  }
  t.end()
})

void test('the decoder reports pieces: where the payload lies, first and last, and what the header declares', t => {
  const payload = bytesOf('0123456789')
  for (const role of ROLES) {
    const decoder = new FrameDecoder(role)
    const frame = fromPeer(role, { opcode: BINARY, payload, fin: false })
    const header = frame.length - 10
    const seen: unknown[] = []
    for (const chunk of cutAt(frame, [1, header, header + 4])) {
      decoder.feed(chunk)
      while (decoder.next()) {
        const { piece } = decoder
        const text = Buffer.from(piece.chunk.slice(piece.start, piece.end)).toString()
        seen.push([piece.opcode, piece.fin, piece.rsv, text, piece.first, piece.last, piece.frameBytes])
      }
    }
    t.same(seen, [
      [2, false, 0, '', true, false, 10],
      [2, false, 0, '0123', false, false, 10],
      [2, false, 0, '456789', false, true, 10],
    ])
  }
  t.end()
})

void test('a long part of a masked frame is unmasked when it is asked for, and a whole frame at once', t => {
  for (const [bytes, at] of [
    [4096, []],
    [20_000, []],
    [20_000, [5000]],
    [20_000, [10, 13_000]],
  ] as const) {
    const payload = NOISE.subarray(0, bytes)
    const decoder = new FrameDecoder('server')
    const found: Uint8Array[] = []
    for (const chunk of cutAt(fromPeer('server', { opcode: BINARY, payload }), at)) {
      decoder.feed(chunk)
      while (decoder.next()) {
        const { piece } = decoder
        t.equal(piece.maskKey !== 0, at.length > 0 && piece.end - piece.start >= 4096)
        unmask(piece)
        t.equal(piece.maskKey, 0)
        found.push(piece.chunk.slice(piece.start, piece.end))
      }
    }
    t.ok(same(concat(found), payload), `${bytes} bytes cut at ${at.join(', ')}`)
  }
  t.end()
})

void test('the decoder lets the RSV bits of an extension pass on data frames and on no control frame', t => {
  for (const role of ROLES) {
    const decoder = new FrameDecoder(role, 4)
    decoder.feed(
      concat([
        fromPeer(role, { opcode: TEXT, rsv: 4, fin: false }),
        fromPeer(role, { opcode: CONTINUATION }),
        fromPeer(role, { opcode: PING, rsv: 4 }),
      ]),
    )
    t.ok(decoder.next())
    t.equal(decoder.piece.rsv, 4)
    t.ok(decoder.next())
    t.equal(decoder.piece.rsv, 0)
    t.throws(() => decoder.next(), { code: 'WS_RESERVED_BITS' })
    const other = new FrameDecoder(role, 4)
    other.feed(fromPeer(role, { opcode: TEXT, rsv: 2 }))
    t.throws(() => other.next(), { code: 'WS_RESERVED_BITS' }, 'a bit that the extension does not own')
  }
  t.end()
})

function example(...bytes: readonly number[]): Uint8Array {
  return Uint8Array.from(bytes)
}

void test('the examples of RFC 6455, section 5.7 are read', t => {
  const hello = [0x48, 0x65, 0x6c, 0x6c, 0x6f]
  t.same(deliver(open('client'), example(0x81, 0x05, ...hello)), [{ type: 'text', data: 'Hello' }])
  t.same(deliver(open('server'), example(0x81, 0x85, ...PEER_MASK, 0x7f, 0x9f, 0x4d, 0x51, 0x58)), [
    { type: 'text', data: 'Hello' },
  ])
  t.same(
    deliver(open('client'), example(0x01, 0x03, ...hello.slice(0, 3)), example(0x80, 0x02, 0x6c, 0x6f)),
    [{ type: 'text', data: 'Hello' }],
  )
  t.same(deliver(open('client'), example(0x89, 0x05, ...hello)), [{ type: 'ping', data: example(...hello) }])
  t.same(deliver(open('server'), example(0x8a, 0x85, ...PEER_MASK, 0x7f, 0x9f, 0x4d, 0x51, 0x58)), [
    { type: 'pong', data: example(...hello) },
  ])
  const long = deliver(open('client'), concat([example(0x82, 0x7e, 0x01, 0x00), NOISE.subarray(0, 256)]))
  t.same(long, [{ type: 'binary', data: NOISE.subarray(0, 256) }])
  const longer = deliver(
    open('client'),
    concat([example(0x82, 0x7f, 0, 0, 0, 0, 0, 1, 0, 0), NOISE.subarray(0, 65_536)]),
  )
  t.equal(longer[0].type === 'binary' && same(longer[0].data, NOISE.subarray(0, 65_536)), true)
  t.end()
})
