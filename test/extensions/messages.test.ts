// Single messages as bytes: the examples of RFC 7692, section 7.2.3, and what implementations have got wrong about them.
import { deflateRawSync, constants } from 'node:zlib'
import { type Test, test } from 'tap'
import { canStep, pretendCannotStep } from '../../src/extensions/engine.js'
import { poolUse, sweep } from '../../src/extensions/engine-pool.js'
import { PreparedMessage } from '../../src/protocol/prepared-message.js'
import { carry, DeflateEnd } from '../support/deflate-pair.js'
import { BINARY, buildFrame, bytesOf, CONTINUATION, PING, TEXT } from '../support/frames.js'
import { NaiveInflate } from '../support/naive-inflate.js'

const hex = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text.replaceAll(' ', ''), 'hex'))
const compressed = (payload: Uint8Array, opcode = TEXT, fin = true): Uint8Array =>
  buildFrame({ opcode, rsv: opcode === CONTINUATION ? 0 : 4, payload, fin })

/** A text in a final block. */
const finish = (text: string, dictionary?: Uint8Array): Uint8Array =>
  deflateRawSync(text, dictionary === undefined ? {} : { dictionary })

/** A client that has received these frames, and what came out. */
async function received(t: Test, ...frames: readonly Uint8Array[]): Promise<DeflateEnd> {
  const end = new DeflateEnd('client')
  t.teardown(() => end.close())
  for (const frame of frames) {
    end.receive(frame)
    await end.idle()
  }
  return end
}

const texts = ({ events }: DeflateEnd): unknown[] =>
  events.map(event =>
    event.type === 'fail' ? event.violation.code : 'data' in event ? event.data : event.type,
  )

/** Each test twice: with engines that step, and with what Node documents alone. */
function twice(name: string, run: (t: Test) => Promise<void>): void {
  for (const pretend of [false, true]) {
    void test(pretend ? `${name}, with what Node documents alone` : name, async t => {
      pretendCannotStep(pretend)
      t.teardown(() => pretendCannotStep(false))
      await run(t)
    })
  }
}

twice('reads the examples of section 7.2.3', async t => {
  const one = await received(t, hex('c1 07 f2 48 cd c9 c9 07 00'))
  t.same(texts(one), ['Hello'], '7.2.3.1')
  const two = await received(t, hex('41 03 f2 48 cd'), hex('80 04 c9 c9 07 00'))
  t.same(texts(two), ['Hello'], '7.2.3.1, in fragments')
  const shared = await received(t, hex('c1 07 f2 48 cd c9 c9 07 00'), hex('c1 05 f2 00 11 00 00'))
  t.same(texts(shared), ['Hello', 'Hello'], '7.2.3.2')
  const stored = await received(t, hex('c1 0b 00 05 00 fa ff 48 65 6c 6c 6f 00'))
  t.same(texts(stored), ['Hello'], '7.2.3.3')
  const final = await received(t, hex('c1 08 f3 48 cd c9 c9 07 00 00'), hex('c1 07 f2 48 cd c9 c9 07 00'))
  t.same(texts(final), ['Hello', 'Hello'], '7.2.3.4, and another message behind it')
  const blocks = await received(t, hex('c1 0d f2 48 05 00 00 00 ff ff ca c9 c9 07 00'))
  t.same(texts(blocks), ['Hello'], '7.2.3.5')
  const empty = await received(t, hex('c1 01 00'), hex('c1 07 f2 48 cd c9 c9 07 00'))
  t.same(texts(empty), ['', 'Hello'], '7.2.3.6')
})

twice('goes on after final blocks, with the history of what came before', async t => {
  const first = bytesOf('the same words again and again')
  const end = await received(
    t,
    // Without the octet that 7.2.3.4 wants behind a final block, as some send it.
    compressed(finish('the same words again and again')),
    compressed(finish('the same words again and again', first)),
    // Two final blocks in one message, one of them at the end of a fragment.
    compressed(finish('one '), TEXT, false),
    compressed(Buffer.concat([finish('two '), finish('three'), hex('00')]), CONTINUATION),
    compressed(hex('f2 48 cd c9 c9 07 00')),
  )
  const again = 'the same words again and again'
  t.same(texts(end), [again, again, 'one two three', 'Hello'])
})

twice('a message of very many final blocks costs its sender the connection', async t => {
  const end = await received(t, compressed(Buffer.concat(Array.from({ length: 100 }, () => hex('03 00')))))
  t.same(texts(end), ['WS_COMPRESSION_COST'])
  t.match(await end.frames(), [{ opcode: 8 }])
  // As many as there are fragments of some size are no fault.
  const part = deflateRawSync(Buffer.from(Array.from({ length: 300 }, (_, i) => (i * i) % 251)))
  const fair = await received(
    t,
    ...Array.from({ length: 200 }, (_, i) => compressed(part, i === 0 ? BINARY : CONTINUATION, false)),
    compressed(hex('00'), CONTINUATION),
  )
  t.match(fair.events, [{ type: 'binary', data: { length: 300 * 200 } }])
})

twice('empty fragments are neither lost nor a fault', async t => {
  const whole = hex('f2 48 cd c9 c9 07 00')
  const end = await received(
    t,
    compressed(new Uint8Array(0), TEXT, false),
    compressed(whole.subarray(0, 3), CONTINUATION, false),
    buildFrame({ opcode: PING, payload: 'between' }),
    compressed(new Uint8Array(0), CONTINUATION, false),
    compressed(whole.subarray(3), CONTINUATION, false),
    compressed(new Uint8Array(0), CONTINUATION),
  )
  t.same(texts(end), [bytesOf('between'), 'Hello'])
})

twice('a message without a single octet is no compressed message', async t => {
  t.same(texts(await received(t, compressed(new Uint8Array(0)))), ['WS_BAD_COMPRESSION'])
  const parts = [compressed(new Uint8Array(0), BINARY, false), compressed(new Uint8Array(0), CONTINUATION)]
  t.same(texts(await received(t, ...parts)), ['WS_BAD_COMPRESSION'])
})

twice('what is no DEFLATE fails with 1007, and says what zlib says', async t => {
  for (const payload of [hex('ff'), hex('f2 48 cd c9 c9 07 00').map(byte => byte ^ 0x7f)]) {
    const end = await received(t, compressed(payload, BINARY))
    const [event] = end.events
    t.equal(event.type, 'fail')
    if (event.type !== 'fail') return
    t.equal(event.violation.code, 'WS_BAD_COMPRESSION')
    t.equal(event.violation.closeCode, 1007)
    t.match(event.violation.message, /^message cannot be decompressed: (invalid|incorrect|unexpected)/)
  }
  // Looking back further than there is anything.
  t.same(texts(await received(t, compressed(hex('f2 00 11 00 00')))), ['WS_BAD_COMPRESSION'])
})

void test('the bit on a continuation frame, on a control frame, and without the extension is a fault', async t => {
  const first = compressed(hex('f2 48 cd'), TEXT, false)
  const second = await received(t, first, buildFrame({ opcode: CONTINUATION, rsv: 4, payload: 'x' }))
  t.same(texts(second), ['WS_RESERVED_BITS'])
  t.same(texts(await received(t, buildFrame({ opcode: PING, rsv: 4 }))), ['WS_RESERVED_BITS'])
  t.same(texts(await received(t, buildFrame({ opcode: TEXT, rsv: 2 }))), ['WS_RESERVED_BITS'])
})

twice('text is checked as it comes out', async t => {
  const bad = Buffer.concat([
    Buffer.from('fine so far '),
    hex('ce ba e1 bd b9 cf 83 ce bc ce b5 f4 90 80 80'),
  ])
  const flushed = deflateRawSync(bad, { finishFlush: constants.Z_SYNC_FLUSH })
  const last = compressed(hex('00'), CONTINUATION)
  t.same(texts(await received(t, compressed(flushed, TEXT, false), last)), ['WS_INVALID_UTF8'])
  // Without an engine, little is gathered before anybody looks.
  if (canStep())
    t.same(texts(await received(t, compressed(flushed, TEXT, false))), ['WS_INVALID_UTF8'], 'at once')
  const cut = await received(
    t,
    compressed(deflateRawSync(hex('f0 9f 98'), { finishFlush: constants.Z_SYNC_FLUSH })),
  )
  t.same(texts(cut), ['WS_INVALID_UTF8'], 'ended inside a character')
  const binary = await received(t, compressed(flushed, BINARY, false), compressed(hex('00'), CONTINUATION))
  t.same(texts(binary), [Uint8Array.from(bad)], 'binary is anything')
})

void test('a character cut between two pieces is whole', async t => {
  const text = '✓😀ä'.repeat(50)
  const payload = deflateRawSync(text, {
    finishFlush: constants.Z_SYNC_FLUSH,
    strategy: constants.Z_HUFFMAN_ONLY,
  })
  const end = new DeflateEnd('client')
  t.teardown(() => end.close())
  for (const byte of compressed(payload.subarray(0, -4))) end.receive(Uint8Array.of(byte))
  await end.idle()
  t.same(texts(end), [text])
})

twice('sends each message so that a fresh reader of the stream understands it', async t => {
  const end = new DeflateEnd('server')
  t.teardown(() => end.close())
  const { connection } = end
  connection.sendText('{"n":1,"words":"the same again"}')
  connection.sendText('{"n":2,"words":"the same again"}')
  connection.sendText('')
  connection.sendFragment('text', '{"n":3,', false)
  connection.sendFragment('continuation', '', false)
  connection.sendPing(bytesOf('p'))
  connection.sendFragment('continuation', '"words":"the same again"}', false)
  connection.sendFragment('continuation', '', true)
  connection.sendText('plain', false)
  const frames = await end.frames()
  t.same(
    frames.map(({ opcode, fin, rsv }) => [opcode, fin, rsv]),
    [
      [1, true, 4],
      [1, true, 4],
      [1, true, 0],
      [1, false, 4],
      [0, false, 0],
      [9, true, 0],
      [0, false, 0],
      [0, true, 0],
      [1, true, 0],
    ],
  )
  t.ok(frames[1].payload.length < frames[0].payload.length, 'the second refers to the first')
  t.same(frames[7].payload, [0x00], '7.2.3.6: the last fragment is an empty block')
  const naive = new NaiveInflate()
  const read = (payload: Uint8Array): string => Buffer.from(naive.message(payload)).toString()
  t.equal(read(frames[0].payload), '{"n":1,"words":"the same again"}')
  t.equal(read(frames[1].payload), '{"n":2,"words":"the same again"}')
  const parts = [frames[3], frames[4], frames[6], frames[7]]
  // 7.2.1: for fragments that are not the last, the four octets MUST NOT be removed.
  t.same([...frames[3].payload.subarray(-4)], [0, 0, 0xff, 0xff])
  t.equal(read(Buffer.concat(parts.map(({ payload }) => payload))), '{"n":3,"words":"the same again"}')
})

void test('a prepared message is made once, fits every connection, and what follows it fits too', async t => {
  const message = new PreparedMessage('{"all":"of you, of you, of you"}', { compress: true })
  const pairs = [15, 15, 9].map(serverMaxWindowBits => [
    new DeflateEnd('server', { serverMaxWindowBits }),
    new DeflateEnd('client', { serverMaxWindowBits }),
  ])
  t.teardown(() => pairs.flat().forEach(end => end.close()))
  const frames: Uint8Array[] = []
  for (const [server, client] of pairs) {
    server.connection.sendText('{"all":"before"}')
    await carry(server, client)
    server.connection.sendPrepared(message)
    const output = server.connection.takeOutput()
    frames.push(...output)
    for (const chunk of output) client.receive(chunk)
    server.connection.sendText('{"all":"of you behind"}')
    server.connection.sendText('{"all":"of you behind"}')
    await carry(server, client)
    t.same(texts(client), [
      '{"all":"before"}',
      '{"all":"of you, of you, of you"}',
      '{"all":"of you behind"}',
      '{"all":"of you behind"}',
    ])
  }
  t.equal(frames[0], frames[1], 'the same memory')
  t.not(frames[0], frames[2])
  const plain = new DeflateEnd('client', {}, { threshold: Infinity })
  t.teardown(() => plain.close())
  plain.connection.sendPrepared(message, false)
  plain.connection.sendPrepared(new PreparedMessage(Uint8Array.from([1, 2, 3]), { compress: true }))
  t.match(await plain.frames(), [
    { opcode: 1, rsv: 0, mask: { length: 4 } },
    { opcode: 2, rsv: 4 },
  ])
  t.throws(() => new PreparedMessage(7 as never), { code: 'WS_BAD_DATA' })
})

void test('engines that are not used are closed, and their connections go on', async t => {
  sweep()
  sweep()
  const before = poolUse()
  const [a, b] = [new DeflateEnd('server'), new DeflateEnd('client')]
  t.teardown(() => [a, b].forEach(end => end.close()))
  const text = JSON.stringify({ words: Array.from({ length: 20 }, (_, i) => `word${(i * 7919) % 31}`) })
  const sizes: number[] = []
  for (let i = 0; i < 6; i++) {
    a.connection.sendText(text)
    const bytes = await a.output()
    sizes.push(bytes.length)
    b.receive(bytes)
    await b.idle()
    t.equal(poolUse().engines - before.engines, 2, 'one for each end')
    if (i !== 2) continue
    sweep()
    t.equal(poolUse().engines - before.engines, 2, 'used a moment ago')
    sweep()
    t.same(poolUse(), before, 'all of it was given back')
  }
  t.same(
    texts(b),
    Array.from({ length: 6 }, () => text),
  )
  t.ok(sizes[3] < sizes[0] / 4, `${sizes.join()}: the first after the pause still knows the others`)
  a.close()
  b.close()
  t.same(poolUse(), before)
})
