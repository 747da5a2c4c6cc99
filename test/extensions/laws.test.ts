// Strategy: a conversation is generated as sends, and goes from one connection to the other. What comes out must be what was
// sent, in order, whatever was agreed on, however the bytes are cut, on each of the ways in which zlib is driven. The wire is
// read by the naive twin as well, which knows how far back a window lets a stream look.
import fc from 'fast-check'
import { test } from 'tap'
import { pretendCannotStep } from '../../src/extensions/engine.js'
import type { DeflateAgreement } from '../../src/extensions/negotiation.js'
import type { Role } from '../../src/protocol/opcode.js'
import { carry, DeflateEnd } from '../support/deflate-pair.js'
import { bytesOf, concat, CONTINUATION, parseFrames, PING } from '../support/frames.js'
import { NaiveInflate } from '../support/naive-inflate.js'
import { cutAt } from '../support/split.js'

interface Send {
  readonly kind: 'text' | 'binary' | 'ping'
  readonly parts: readonly (string | Uint8Array)[]
  readonly compress: boolean | undefined
}

const bits = fc.integer({ min: 8, max: 15 })
const agreement = fc.record<DeflateAgreement>({
  serverNoContextTakeover: fc.boolean(),
  clientNoContextTakeover: fc.boolean(),
  serverMaxWindowBits: bits,
  clientMaxWindowBits: bits,
})
const settings = fc.record({
  level: fc.integer({ min: -1, max: 9 }),
  memLevel: fc.integer({ min: 1, max: 9 }),
  strategy: fc.integer({ min: 0, max: 4 }),
  threshold: fc.constantFrom(0, 10, 200, Infinity),
})
const phrase = fc.constantFrom(
  '{"type":"trade","price":',
  '"ACME"',
  ', ',
  '✓',
  'ä',
  'x'.repeat(300),
  '0123456789',
  '',
)
const text = fc.oneof(
  fc.array(phrase, { maxLength: 40 }).map(all => all.join('')),
  fc.string({ unit: 'binary', maxLength: 60 }),
  // Larger than what goes at once, in either direction.
  fc
    .tuple(fc.constantFrom('ab', 'ACME 12.5 ✓'), fc.constantFrom(3000, 40_000))
    .map(([one, times]) => one.repeat(times)),
)
const bytes = fc.oneof(fc.uint8Array({ maxLength: 400 }), text.map(bytesOf))
const compress = fc.constantFrom(undefined, undefined, true, false)
const parts = <T>(one: fc.Arbitrary<T>): fc.Arbitrary<T[]> =>
  fc.oneof(
    { weight: 3, arbitrary: fc.tuple(one) },
    { weight: 1, arbitrary: fc.array(one, { minLength: 2, maxLength: 4 }) },
  )
const send = fc.oneof(
  { weight: 4, arbitrary: fc.record<Send>({ kind: fc.constant('text'), parts: parts(text), compress }) },
  { weight: 3, arbitrary: fc.record<Send>({ kind: fc.constant('binary'), parts: parts(bytes), compress }) },
  {
    weight: 1,
    arbitrary: fc.record<Send>({
      kind: fc.constant('ping'),
      parts: fc.tuple(fc.uint8Array({ maxLength: 125 })),
      compress: fc.constant(undefined),
    }),
  },
)
const sends = fc.array(send, { minLength: 1, maxLength: 12 })
const role = fc.constantFrom<Role>('client', 'server')

function put({ connection }: DeflateEnd, { kind, parts: all, compress: wish }: Send): void {
  const [first] = all
  if (kind === 'ping') return connection.sendPing(first as Uint8Array)
  if (all.length === 1) {
    if (typeof first === 'string') connection.sendText(first, wish)
    else connection.sendBinary(first, wish)
    return
  }
  all.forEach((part, i) =>
    connection.sendFragment(i === 0 ? kind : 'continuation', part, i === all.length - 1, wish),
  )
}

/** What a send comes out as, in a form that can be compared. */
function expected({ kind, parts: all }: Send): readonly [string, string] {
  if (kind === 'text') return [kind, all.join('')]
  return [kind, Buffer.from(concat(all as Uint8Array[])).toString('hex')]
}

function seen(end: DeflateEnd): (readonly [string, string])[] {
  return end.events.map(event => {
    if (event.type === 'fail') throw event.violation
    if (event.type === 'close') return ['close', '']
    return [event.type, typeof event.data === 'string' ? event.data : Buffer.from(event.data).toString('hex')]
  })
}

/** A lone surrogate is sent as U+FFFD, and a pair cut between two parts is joined; neither is what is tested here. */
const sendable = (all: readonly Send[]): boolean =>
  all.every(one => one.parts.every(part => typeof part !== 'string' || Buffer.from(part).toString() === part))

async function sameComesOut(
  from: Role,
  agreed: DeflateAgreement,
  wishes: { readonly threshold: number },
  all: readonly Send[],
  cuts: readonly number[],
): Promise<void> {
  const [a, b] = [
    new DeflateEnd(from, agreed, wishes),
    new DeflateEnd(from === 'client' ? 'server' : 'client', agreed),
  ]
  try {
    for (const one of all) put(a, one)
    await carry(a, b, chunk => cutAt(chunk, cuts))
    const found = seen(b)
    const wanted = all.map(expected)
    if (JSON.stringify(found) !== JSON.stringify(wanted)) {
      throw new Error(
        `found ${JSON.stringify(found).slice(0, 300)}, wanted ${JSON.stringify(wanted).slice(0, 300)}`,
      )
    }
  } finally {
    a.close()
    b.close()
  }
}

for (const stepping of [true, false]) {
  const how = stepping ? 'with engines that step' : 'with what Node documents alone'
  void test(`what is sent comes out, in order, whatever was agreed on and however it is cut, ${how}`, async t => {
    pretendCannotStep(!stepping)
    t.teardown(() => pretendCannotStep(false))
    await fc.assert(
      fc.asyncProperty(
        role,
        agreement,
        settings,
        sends.filter(sendable),
        fc.array(fc.nat(3000), { maxLength: 8 }),
        sameComesOut,
      ),
      { numRuns: 400 },
    )
    t.pass('no counterexample')
  })
}

void test('what is sent is DEFLATE to its naive twin, and looks back no further than was agreed on', async t => {
  const small = fc.array(phrase, { maxLength: 60 }).map(all => all.join(''))
  for (const stepping of [true, false]) {
    pretendCannotStep(!stepping)
    await fc.assert(
      fc.asyncProperty(
        role,
        agreement,
        settings,
        fc.array(small, { maxLength: 8 }),
        async (from, agreed, wishes, texts) => {
          const end = new DeflateEnd(from, agreed, wishes)
          try {
            for (const one of texts) end.connection.sendText(one)
            const takeover =
              from === 'client' ? !agreed.clientNoContextTakeover : !agreed.serverNoContextTakeover
            const window = 2 ** (from === 'client' ? agreed.clientMaxWindowBits : agreed.serverMaxWindowBits)
            const naive = new NaiveInflate()
            for (const [i, { rsv, payload }] of parseFrames(await end.output()).entries()) {
              if (!takeover) naive.restart()
              const plain = rsv === 4 ? naive.message(payload) : payload
              if (Buffer.compare(plain, bytesOf(texts[i])) !== 0)
                throw new Error(`message ${i} is another one`)
              if ((rsv === 4) !== (texts[i].length > 0 && texts[i].length >= wishes.threshold)) {
                throw new Error('the threshold does not hold')
              }
            }
            if (naive.maxDistance > window) throw new Error(`${naive.maxDistance} back, ${window} agreed on`)
          } finally {
            end.close()
          }
        },
      ),
      { numRuns: 200 },
    )
  }
  pretendCannotStep(false)
  t.pass('no counterexample')
})

void test('a window of 256 bytes is never left, though zlib has no such window', async t => {
  const naive = new NaiveInflate()
  const end = new DeflateEnd('server', { serverMaxWindowBits: 8 })
  t.teardown(() => end.close())
  for (let i = 0; i < 300; i++) {
    const text = Array.from({ length: 40 }, (_, k) => `${(i * k * 7919) % 997},`).join('')
    end.connection.sendText(text)
    const [{ payload }] = await end.frames()
    t.equal(Buffer.from(naive.message(payload)).toString(), text)
  }
  t.ok(naive.maxDistance > 200, `${naive.maxDistance} back`)
  t.ok(naive.maxDistance <= 256, `${naive.maxDistance} back`)
})

void test('garbage gives messages or one failure, and nothing else', async t => {
  await fc.assert(
    fc.asyncProperty(
      agreement,
      fc.array(
        fc.record({
          payload: fc.oneof(fc.uint8Array({ maxLength: 60 }), fc.constant(bytesOf('\x4b\x04\x00'))),
          opcode: fc.constantFrom(1, 2, CONTINUATION, PING),
          rsv: fc.constantFrom(4, 0),
          fin: fc.boolean(),
        }),
        { maxLength: 6 },
      ),
      async (agreed, frames) => {
        const end = new DeflateEnd('client', agreed)
        try {
          for (const { opcode, rsv, fin, payload } of frames) {
            const head = Uint8Array.from([(fin ? 0x80 : 0) | (rsv << 4) | opcode, payload.length])
            end.receive(concat([head, payload]))
            await end.idle()
          }
          const fails = end.events.filter(({ type }) => type === 'fail').length
          if (fails > 1 || (fails === 1 && end.events.at(-1)?.type !== 'fail')) throw new Error('it went on')
        } finally {
          end.close()
        }
      },
    ),
    { numRuns: 1000 },
  )
  t.pass('no counterexample')
})
