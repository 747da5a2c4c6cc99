import assert from 'node:assert/strict'
import fc from 'fast-check'
import t from 'tap'
import {
  acceptDeflate,
  type DeflateAgreement,
  type DeflateParameters,
  offerDeflate,
  verifyDeflate,
} from '../../src/extensions/index.js'
import { formatExtensionList } from '../../src/handshake/header-values.js'
import { type ExtensionOffer, parseExtensionList } from '../../src/handshake/index.js'

const RUNS = { numRuns: 2000 }
const NAME = 'permessage-deflate'
const S_ALONE = 'server_no_context_takeover'
const C_ALONE = 'client_no_context_takeover'
const S_BITS = 'server_max_window_bits'
const C_BITS = 'client_max_window_bits'
const WINDOWS = [8, 9, 10, 11, 12, 13, 14, 15]

/** The header of one element with these parameters. */
const element = (params: string): string => (params === '' ? NAME : `${NAME}; ${params}`)

function read(...lines: readonly string[]): readonly ExtensionOffer[] {
  const list = parseExtensionList(lines)
  if (list === null) throw new Error(`no extension list: ${lines.join()}`)
  return list
}

/** A window; `!` behind it when each message is compressed by itself. */
const half = (windowBits: number, alone: boolean): string => `${windowBits}${alone ? '!' : ''}`
/** The server's half and the client's: `s12 c15!`. */
const spell = (all: DeflateAgreement): string =>
  `s${half(all.serverMaxWindowBits, all.serverNoContextTakeover)} c${half(all.clientMaxWindowBits, all.clientNoContextTakeover)}`

/** The header that a server answers with, and what it agreed on; null when it accepts nothing. */
function answerTo(
  offer: string | readonly string[],
  wish: DeflateParameters = {},
): readonly [string, string] | null {
  const accepted = acceptDeflate(typeof offer === 'string' ? read(offer) : read(...offer), wish)
  return accepted && [formatExtensionList([accepted.answer]), spell(accepted.agreement)]
}

/** What a client agrees on with a server's header, or why it fails. */
function verdictOn(answer: string, ...wishes: readonly DeflateParameters[]): string {
  const verdict = verifyDeflate(read(answer)[0], wishes)
  return typeof verdict === 'string' ? `fails: ${verdict}` : spell(verdict)
}

const flag = fc.option(fc.boolean(), { nil: undefined })
const bits = fc.constantFrom(...WINDOWS)
const wishes: fc.Arbitrary<DeflateParameters> = fc.record({
  serverNoContextTakeover: flag,
  clientNoContextTakeover: flag,
  serverMaxWindowBits: fc.option(bits, { nil: undefined }),
  clientMaxWindowBits: fc.oneof(bits, fc.constantFrom(false as const, undefined)),
})

const ODD = ['', '0', '7', '16', '08', '-8', '0xa', '1e1', '8.0', '٩', ' 9', '9\n', 'true', 'constructor']
const names = fc.oneof(
  { weight: 6, arbitrary: fc.constantFrom(S_ALONE, C_ALONE, S_BITS, C_BITS) },
  { weight: 1, arbitrary: fc.constantFrom('__proto__', 'constructor', 'toString', '', 'foo') },
  { weight: 1, arbitrary: fc.string() },
)
const values = fc.oneof(bits.map(String), fc.constant(null), fc.constantFrom(...ODD), fc.string())
const params = fc.array(fc.tuple(names, values), { maxLength: 5 })

/** RFC 7692, section 7.1, as a table: the values each parameter may have in an offer; null for none. */
const GRAMMAR: ReadonlyMap<string, readonly (string | null)[]> = new Map([
  [S_ALONE, [null]],
  [C_ALONE, [null]],
  [S_BITS, WINDOWS.map(String)],
  [C_BITS, [null, ...WINDOWS.map(String)]],
])

/** The same in an answer is the same, but that `client_max_window_bits` has a value. */
function fits(element: ExtensionOffer['params'], where: 'offer' | 'answer'): boolean {
  if (new Set(element.map(([name]) => name)).size < element.length) return false
  return element.every(
    ([name, value]) =>
      GRAMMAR.get(name)?.includes(value) === true &&
      !(where === 'answer' && name === C_BITS && value === null),
  )
}

function assertSane(agreement: DeflateAgreement): void {
  assert.ok(
    WINDOWS.includes(agreement.serverMaxWindowBits) && WINDOWS.includes(agreement.clientMaxWindowBits),
  )
  assert.equal(typeof agreement.serverNoContextTakeover, 'boolean')
  assert.equal(typeof agreement.clientNoContextTakeover, 'boolean')
}

t.test('law: what a server answers is verified by the client, and both agree on the same', async () => {
  const law = fc.property(wishes, wishes, (client, server) => {
    const { clientMaxWindowBits: promise } = client
    const accepted = acceptDeflate(read(formatExtensionList(offerDeflate([client]))), server)
    const silent = promise === false
    if (accepted === null) return assert.ok(silent && typeof server.clientMaxWindowBits === 'number')
    const [answer] = read(formatExtensionList([accepted.answer]))
    const agreed = verifyDeflate(answer, [client])
    if (typeof agreed === 'string') assert.fail(agreed)
    const wish = silent || server.clientMaxWindowBits === false ? 15 : (server.clientMaxWindowBits ?? 12)
    const own = typeof promise === 'number' ? promise : 15
    const expected: DeflateAgreement = {
      serverNoContextTakeover:
        client.serverNoContextTakeover === true || server.serverNoContextTakeover === true,
      clientNoContextTakeover:
        client.clientNoContextTakeover === true || server.clientNoContextTakeover === true,
      serverMaxWindowBits: Math.min(client.serverMaxWindowBits ?? 15, server.serverMaxWindowBits ?? 15),
      clientMaxWindowBits: Math.min(own, wish),
    }
    assert.deepEqual(agreed, expected)
    // A server that does not ask keeps the window that it need not.
    const kept = server.clientMaxWindowBits === false ? 15 : expected.clientMaxWindowBits
    assert.deepEqual(accepted.agreement, { ...expected, clientMaxWindowBits: kept })
    // 7.1.1.1, 7.1.2.1: what was asked for is repeated. 7.1.2.2: MUST NOT be said to who did not offer it.
    const said = new Map(answer.params)
    assert.ok(client.serverNoContextTakeover !== true || said.has(S_ALONE))
    assert.ok(client.serverMaxWindowBits === undefined || said.has(S_BITS))
    assert.ok(!silent || !said.has(C_BITS))
  })
  fc.assert(law, RUNS)
})

t.test('law: with several offers the client never compresses with more than the server expects', async () => {
  const law = fc.property(fc.array(wishes, { minLength: 1, maxLength: 4 }), wishes, (offered, server) => {
    const accepted = acceptDeflate(read(formatExtensionList(offerDeflate(offered))), server)
    if (accepted === null) return
    const agreed = verifyDeflate(read(formatExtensionList([accepted.answer]))[0], offered)
    if (typeof agreed === 'string') assert.fail(agreed)
    const { agreement } = accepted
    assert.equal(agreed.serverNoContextTakeover, agreement.serverNoContextTakeover)
    assert.equal(agreed.serverMaxWindowBits, agreement.serverMaxWindowBits)
    assert.ok(agreed.clientMaxWindowBits <= agreement.clientMaxWindowBits)
    assert.ok(agreed.clientNoContextTakeover || !agreement.clientNoContextTakeover)
  })
  fc.assert(law, RUNS)
})

t.test('law: of several offers the first that would be accepted alone is, as if it were alone', async () => {
  const offers = fc.array(fc.record({ name: fc.constantFrom(NAME, NAME, 'x'), params }), { maxLength: 5 })
  const law = fc.property(offers, wishes, (all, wish) => {
    const alone = all.map(one => acceptDeflate([one], wish))
    assert.deepEqual(acceptDeflate(all, wish), alone.find(one => one !== null) ?? null)
  })
  fc.assert(law, RUNS)
})

t.test('law: good is what section 7.1 lists, and garbage never throws nor makes a window', async () => {
  const law = fc.property(params, wishes, (garbage, wish) => {
    const one = { name: NAME, params: garbage }
    const accepted = acceptDeflate([one], {})
    assert.equal(accepted !== null, fits(garbage, 'offer'))
    const verified = verifyDeflate(one, [{}])
    assert.equal(typeof verified !== 'string', fits(garbage, 'answer'))
    for (const agreed of [accepted?.agreement, acceptDeflate([one], wish)?.agreement, verified])
      if (typeof agreed === 'object') assertSane(agreed)
    const other = verifyDeflate(one, [wish])
    if (typeof other === 'object') assertSane(other)
  })
  fc.assert(law, RUNS)
})

t.test('law: no header throws', async () => {
  const pieces = [NAME, S_ALONE, C_ALONE, S_BITS, C_BITS, ' ', '\t', '; ', ...String.raw`;=,"\109`.split('')]
  const law = fc.property(fc.array(fc.constantFrom(...pieces), { maxLength: 12 }), wishes, (cut, wish) => {
    const list = parseExtensionList([cut.join('')]) ?? parseExtensionList([`${NAME}; ${cut.join('')}`])
    if (list === null) return
    const accepted = acceptDeflate(list, wish)
    if (accepted !== null) assertSane(accepted.agreement)
    const verified = verifyDeflate(list[0], [wish, {}])
    if (typeof verified !== 'string') assertSane(verified)
  })
  fc.assert(law, RUNS)
})

t.test('a client offers one element for each wish, and lets the server wish by default', async t => {
  for (const [offered, header] of [
    [[{}], element(C_BITS)],
    [[{ clientMaxWindowBits: undefined }], element(C_BITS)],
    [[{ clientMaxWindowBits: false }], NAME],
    [[{ clientMaxWindowBits: 8 }], element(`${C_BITS}=8`)],
    [[{ clientMaxWindowBits: 15 }], element(`${C_BITS}=15`)],
    [[{ serverMaxWindowBits: 8 }], element(`${S_BITS}=8; ${C_BITS}`)],
    [[{ serverMaxWindowBits: 15, clientMaxWindowBits: false }], element(`${S_BITS}=15`)],
    [[{ serverNoContextTakeover: true }], element(`${S_ALONE}; ${C_BITS}`)],
    [[{ clientNoContextTakeover: true }], element(`${C_ALONE}; ${C_BITS}`)],
    [[{ serverNoContextTakeover: false, clientNoContextTakeover: false }], element(C_BITS)],
    [
      [
        {
          serverNoContextTakeover: true,
          clientNoContextTakeover: true,
          serverMaxWindowBits: 10,
          clientMaxWindowBits: 11,
        },
      ],
      element(`${S_ALONE}; ${C_ALONE}; ${S_BITS}=10; ${C_BITS}=11`),
    ],
    [[{ serverMaxWindowBits: 10 }, {}], `${element(`${S_BITS}=10; ${C_BITS}`)}, ${element(C_BITS)}`],
    [[], ''],
  ] as const) {
    t.equal(formatExtensionList(offerDeflate(offered)), header)
  }
})

t.test("takes and gives the RFC's own examples (7.1.3)", async t => {
  const simple = [{ clientMaxWindowBits: false }] as const
  t.equal(formatExtensionList(offerDeflate(simple)), 'permessage-deflate')
  t.strictSame(answerTo('permessage-deflate'), ['permessage-deflate', 's15 c15'])
  t.equal(verdictOn('permessage-deflate', ...simple), 's15 c15')
  t.match(verdictOn('permessage-deflate; client_max_window_bits=15', ...simple), /^fails: .* not offered$/)

  const first = 'permessage-deflate; client_max_window_bits; server_max_window_bits=10'
  t.strictSame(answerTo(first, { clientMaxWindowBits: false }), [
    'permessage-deflate; server_max_window_bits=10',
    's10 c15',
  ])
  const both = `${first}, permessage-deflate; client_max_window_bits`
  t.strictSame(
    answerTo(both, { clientMaxWindowBits: false }),
    answerTo(first, { clientMaxWindowBits: false }),
  )
  const fallback = [{ serverMaxWindowBits: 10 }, {}]
  t.equal(verdictOn('permessage-deflate; server_max_window_bits=10', ...fallback), 's10 c15')
  t.equal(verdictOn('permessage-deflate', ...fallback), 's15 c15', 'the second option')
  t.match(verdictOn('permessage-deflate', fallback[0]), /^fails: /, 'without a second option')
})

const ALL = {
  serverNoContextTakeover: true,
  clientNoContextTakeover: true,
  serverMaxWindowBits: 12,
  clientMaxWindowBits: 11,
} as const

t.test('a server answers each offer that it can accept', async t => {
  type Row = readonly [wish: DeflateParameters, offer: string, answer: string, agreed: string]
  const rows: readonly Row[] = [
    [{}, '', '', 's15 c15'],
    // Context takeover: what was asked for, what it does by itself, and what it takes up as a hint.
    [{}, S_ALONE, S_ALONE, 's15! c15'],
    [{ serverNoContextTakeover: true }, '', S_ALONE, 's15! c15'],
    [{ serverNoContextTakeover: true }, S_ALONE, S_ALONE, 's15! c15'],
    [{ serverNoContextTakeover: false }, S_ALONE, S_ALONE, 's15! c15'],
    [{}, C_ALONE, C_ALONE, 's15 c15!'],
    [{ clientNoContextTakeover: true }, '', C_ALONE, 's15 c15!'],
    [{ clientNoContextTakeover: true }, C_ALONE, C_ALONE, 's15 c15!'],
    [{ clientNoContextTakeover: false }, C_ALONE, C_ALONE, 's15 c15!'],
    // The server's window: the smaller of both, said when it was asked for or is not 15.
    [{}, `${S_BITS}=8`, `${S_BITS}=8`, 's8 c15'],
    [{}, `${S_BITS}=10`, `${S_BITS}=10`, 's10 c15'],
    [{}, `${S_BITS}=15`, `${S_BITS}=15`, 's15 c15'],
    [{ serverMaxWindowBits: 12 }, '', `${S_BITS}=12`, 's12 c15'],
    [{ serverMaxWindowBits: 12 }, `${S_BITS}=10`, `${S_BITS}=10`, 's10 c15'],
    [{ serverMaxWindowBits: 12 }, `${S_BITS}=12`, `${S_BITS}=12`, 's12 c15'],
    [{ serverMaxWindowBits: 12 }, `${S_BITS}=13`, `${S_BITS}=12`, 's12 c15'],
    [{ serverMaxWindowBits: 8 }, `${S_BITS}=9`, `${S_BITS}=8`, 's8 c15'],
    [{ serverMaxWindowBits: 15 }, '', '', 's15 c15'],
    [{ serverMaxWindowBits: 15 }, `${S_BITS}=15`, `${S_BITS}=15`, 's15 c15'],
    // The client's window: 12 when nobody says, where it may be said.
    [{}, C_BITS, `${C_BITS}=12`, 's15 c12'],
    [{}, `${C_BITS}=8`, `${C_BITS}=8`, 's15 c8'],
    [{}, `${C_BITS}=11`, `${C_BITS}=11`, 's15 c11'],
    [{}, `${C_BITS}=12`, `${C_BITS}=12`, 's15 c12'],
    [{}, `${C_BITS}=13`, `${C_BITS}=12`, 's15 c12'],
    [{}, `${C_BITS}=15`, `${C_BITS}=12`, 's15 c12'],
    [{ clientMaxWindowBits: false }, '', '', 's15 c15'],
    [{ clientMaxWindowBits: false }, C_BITS, '', 's15 c15'],
    [{ clientMaxWindowBits: false }, `${C_BITS}=10`, '', 's15 c15'],
    [{ clientMaxWindowBits: 8 }, C_BITS, `${C_BITS}=8`, 's15 c8'],
    [{ clientMaxWindowBits: 14 }, C_BITS, `${C_BITS}=14`, 's15 c14'],
    [{ clientMaxWindowBits: 14 }, `${C_BITS}=10`, `${C_BITS}=10`, 's15 c10'],
    [{ clientMaxWindowBits: 14 }, `${C_BITS}=14`, `${C_BITS}=14`, 's15 c14'],
    [{ clientMaxWindowBits: 14 }, `${C_BITS}=15`, `${C_BITS}=14`, 's15 c14'],
    [{ clientMaxWindowBits: 15 }, C_BITS, '', 's15 c15'],
    [{ clientMaxWindowBits: 15 }, `${C_BITS}=15`, '', 's15 c15'],
    // All together, in any order.
    [
      {},
      `${S_ALONE}; ${C_ALONE}; ${S_BITS}=10; ${C_BITS}=11`,
      `${S_ALONE}; ${C_ALONE}; ${S_BITS}=10; ${C_BITS}=11`,
      's10! c11!',
    ],
    [
      {},
      `${C_BITS}=11;${S_BITS}=10;${C_ALONE};${S_ALONE}`,
      `${S_ALONE}; ${C_ALONE}; ${S_BITS}=10; ${C_BITS}=11`,
      's10! c11!',
    ],
    [ALL, C_BITS, `${S_ALONE}; ${C_ALONE}; ${S_BITS}=12; ${C_BITS}=11`, 's12! c11!'],
    [ALL, `${S_BITS}=14; ${C_BITS}=13`, `${S_ALONE}; ${C_ALONE}; ${S_BITS}=12; ${C_BITS}=11`, 's12! c11!'],
    [
      ALL,
      `${S_ALONE}; ${S_BITS}=9; ${C_BITS}=8`,
      `${S_ALONE}; ${C_ALONE}; ${S_BITS}=9; ${C_BITS}=8`,
      's9! c8!',
    ],
    // RFC 6455, section 9.1: a quoted value is the same value.
    [{}, `${S_BITS}="10"; ${C_BITS}="9"`, `${S_BITS}=10; ${C_BITS}=9`, 's10 c9'],
    [{}, `${S_BITS} = "\\1\\0" ;\t${C_BITS}`, `${S_BITS}=10; ${C_BITS}=12`, 's10 c12'],
  ]
  for (const [wish, offer, answer, agreed] of rows) {
    t.strictSame(
      answerTo(element(offer), wish),
      [element(answer), agreed],
      `${JSON.stringify(wish)}, ${offer}`,
    )
  }
})

t.test('a server takes the first offer that it can accept, or none', async t => {
  const bad = element(`${S_BITS}=16`)
  type Row = readonly [wish: DeflateParameters, offers: string | readonly string[], answer: string | null]
  const rows: readonly Row[] = [
    [{}, `${NAME}, ${element(S_ALONE)}`, NAME],
    [{}, `${element(S_ALONE)}, ${NAME}`, element(S_ALONE)],
    [{ serverMaxWindowBits: 11 }, `${element(`${S_BITS}=10`)}, ${NAME}`, element(`${S_BITS}=10`)],
    [{}, `${bad}, ${element(`${S_BITS}=9`)}, ${NAME}`, element(`${S_BITS}=9`)],
    [{}, `${bad}, ${element('foo')}, ${element(`${S_ALONE}=1`)}, ${NAME}`, NAME],
    [{}, `${bad}, ${bad}`, null],
    // It can be told to nobody who did not offer it.
    [{ clientMaxWindowBits: 12 }, NAME, null],
    [{ clientMaxWindowBits: 12 }, element(`${S_ALONE}; ${C_ALONE}; ${S_BITS}=9`), null],
    [{ clientMaxWindowBits: 12 }, `${NAME}, ${element(C_BITS)}`, element(`${C_BITS}=12`)],
    [{ clientMaxWindowBits: 12 }, `${NAME}, ${element(`${C_BITS}=16`)}`, null],
    // Other extensions, and names that only look like it.
    [{}, `x-webkit-deflate-frame; no_context_takeover, ${NAME}`, NAME],
    [{}, `permessage-bzip2; ${S_BITS}=9, ${NAME}, permessage-snappy`, NAME],
    [{}, 'x-webkit-deflate-frame', null],
    [
      {},
      'Permessage-Deflate, permessage-deflate2, permessage_deflate, deflate, __proto__, constructor',
      null,
    ],
    // RFC 6455, section 9.1: several header lines are one list.
    [{}, [bad, NAME], NAME],
    [{}, [`x; y, ${bad}`, `,, ${element(S_ALONE)} ,`], element(S_ALONE)],
  ]
  for (const [wish, offers, answer] of rows)
    t.equal(answerTo(offers, wish)?.[0] ?? null, answer, String(offers))
  t.equal(acceptDeflate([], {}), null)
})

t.test('a client agrees to each answer that fits its offer, and fails the others', async t => {
  type Row = readonly [wish: DeflateParameters, answer: string, agreed: string]
  const rows: readonly Row[] = [
    [{}, '', 's15 c15'],
    [{}, S_ALONE, 's15! c15'],
    [{ serverNoContextTakeover: true }, S_ALONE, 's15! c15'],
    [{ serverNoContextTakeover: true }, '', `fails: ${S_ALONE} was asked for`],
    [{ serverNoContextTakeover: true }, C_ALONE, `fails: ${S_ALONE} was asked for`],
    // 7.1.1.2: MUST support it in an answer, and keeps its word without.
    [{}, C_ALONE, 's15 c15!'],
    [{ clientNoContextTakeover: false }, C_ALONE, 's15 c15!'],
    [{ clientNoContextTakeover: true }, C_ALONE, 's15 c15!'],
    [{ clientNoContextTakeover: true }, '', 's15 c15!'],
    [{}, `${S_BITS}=8`, 's8 c15'],
    [{}, `${S_BITS}=15`, 's15 c15'],
    [{ serverMaxWindowBits: 12 }, `${S_BITS}=8`, 's8 c15'],
    [{ serverMaxWindowBits: 12 }, `${S_BITS}=12`, 's12 c15'],
    [{ serverMaxWindowBits: 12 }, `${S_BITS}=13`, `fails: ${S_BITS} is larger than asked for`],
    [{ serverMaxWindowBits: 12 }, `${S_BITS}=15`, `fails: ${S_BITS} is larger than asked for`],
    [{ serverMaxWindowBits: 12 }, '', `fails: ${S_BITS} was asked for`],
    [{ serverMaxWindowBits: 12 }, `${C_BITS}=12`, `fails: ${S_BITS} was asked for`],
    [{ serverMaxWindowBits: 15 }, `${S_BITS}=15`, 's15 c15'],
    [{ serverMaxWindowBits: 15 }, '', `fails: ${S_BITS} was asked for`],
    [{}, `${C_BITS}=8`, 's15 c8'],
    [{}, `${C_BITS}=15`, 's15 c15'],
    [{ clientMaxWindowBits: false }, `${C_BITS}=10`, `fails: ${C_BITS} was not offered`],
    [{ clientMaxWindowBits: false }, `${C_BITS}=15`, `fails: ${C_BITS} was not offered`],
    [{ clientMaxWindowBits: false }, `${S_BITS}=9; ${S_ALONE}; ${C_ALONE}`, 's9! c15!'],
    [{ clientMaxWindowBits: 12 }, '', 's15 c12'],
    [{ clientMaxWindowBits: 12 }, `${C_BITS}=10`, 's15 c10'],
    [{ clientMaxWindowBits: 12 }, `${C_BITS}=12`, 's15 c12'],
    // 7.1.2.2: a hint that the server ignores; ws, Python websockets and faye fail.
    [{ clientMaxWindowBits: 12 }, `${C_BITS}=13`, 's15 c12'],
    [ALL, `${S_ALONE}; ${C_ALONE}; ${S_BITS}=10; ${C_BITS}=10`, 's10! c10!'],
    [ALL, `${S_ALONE}; ${S_BITS}=12`, 's12! c11!'],
    [ALL, `${S_ALONE}; ${S_BITS}=13`, `fails: ${S_BITS} is larger than asked for`],
    [{}, `${C_BITS}=10; ${S_BITS}=10; ${C_ALONE}; ${S_ALONE}`, 's10! c10!'],
    [{}, `${S_BITS}="10"; ${C_BITS}="\\9"`, 's10 c9'],
  ]
  for (const [wish, answer, agreed] of rows) {
    t.equal(verdictOn(element(answer), wish), agreed, `${JSON.stringify(wish)}, ${answer}`)
  }
})

t.test('an answer may fit any of the offers, and what was promised in any that it fits is kept', async t => {
  const small = { serverMaxWindowBits: 10 }
  const silent = { clientMaxWindowBits: false } as const
  type Row = readonly [offered: readonly DeflateParameters[], answer: string, agreed: string]
  const rows: readonly Row[] = [
    [[small, {}], '', 's15 c15'],
    [[small, {}], `${S_BITS}=10`, 's10 c15'],
    [[small, {}], `${S_BITS}=12`, 's12 c15'],
    [[small, { serverMaxWindowBits: 12 }], `${S_BITS}=12`, 's12 c15'],
    [[small, { serverMaxWindowBits: 12 }], `${S_BITS}=13`, `fails: ${S_BITS} is larger than asked for`],
    [[small, { serverNoContextTakeover: true }], '', `fails: ${S_BITS} was asked for`],
    [[{ serverNoContextTakeover: true }, small, {}], '', 's15 c15'],
    [[silent, { clientMaxWindowBits: 10 }], `${C_BITS}=9`, 's15 c9'],
    [[silent, { clientMaxWindowBits: 10 }], '', 's15 c10'],
    [[{ clientMaxWindowBits: 10 }, {}], '', 's15 c10'],
    [[{ clientNoContextTakeover: true }, {}], '', 's15 c15!'],
    [[{ ...small, clientNoContextTakeover: true }, {}], '', 's15 c15'],
    [[silent, { ...silent, ...small }], `${C_BITS}=9`, `fails: ${C_BITS} was not offered`],
  ]
  for (const [offered, answer, agreed] of rows) {
    t.equal(verdictOn(element(answer), ...offered), agreed, `${JSON.stringify(offered)}, ${answer}`)
  }
})

/** Values of a window that are tokens, and yet no number from 8 to 15 in decimal digits without leading zeros. */
const BAD_WINDOWS = [
  ...'0 1 7 16 20 42 80 100 1000 999999 4294967304 18446744073709551624'.split(' '),
  ...'00 08 010 015 0010 -8 -1 +8 8. 8.0 8.5 .9 1e1 9e0 0x8 0xa 0b1000 10_0 10- 12a a12'.split(' '),
  ...String.raw`'10' "16" "7" "08" "1\6" true null NaN Infinity abc * __proto__`.split(' '),
  '9'.repeat(1000),
  `${'0'.repeat(1000)}9`,
]
const REPEATED = [
  `${S_ALONE}; ${S_ALONE}`,
  `${C_ALONE}; ${C_ALONE}`,
  `${S_ALONE}; ${C_ALONE}; ${S_ALONE}`,
  `${S_BITS}=10; ${S_BITS}=10`,
  `${S_BITS}=10; ${S_BITS}=11`,
  `${S_BITS}=10; ${S_BITS}="10"`,
  `${C_BITS}=10; ${C_BITS}=10`,
  `${C_BITS}=10; ${C_BITS}`,
  `${C_BITS}=9; ${S_ALONE}; ${C_BITS}=9`,
]
const UNKNOWN = [
  ...'foo foo=10 constructor __proto__ __proto__=10 toString hasOwnProperty=1'.split(' '),
  ...'no_context_takeover max_window_bits=10 server-max-window-bits=10 serverMaxWindowBits=10'.split(' '),
  ...'SERVER_NO_CONTEXT_TAKEOVER Server_Max_Window_Bits=10 permessage-deflate'.split(' '),
  `x${S_BITS}=10`,
  `${S_BITS}x=10`,
  `${C_BITS}*=10`,
  'foo; foo',
]

/** Parameters that no offer and no answer may have, and what is said of them. RFC 7692, section 7. */
const BAD_PARAMETERS: readonly (readonly [params: string, why: string])[] = [
  [S_BITS, `${S_BITS} is not 8 to 15`],
  ...[S_BITS, C_BITS].flatMap(name =>
    BAD_WINDOWS.map(value => [`${name}=${value}`, `${name} is not 8 to 15`] as const),
  ),
  ...[S_ALONE, C_ALONE].flatMap(name =>
    ['10', '0', '1', 'true', 'false', '"true"', String.raw`"\1"`, name].map(
      value => [`${name}=${value}`, `${name} takes no value`] as const,
    ),
  ),
  ...REPEATED.map(params => [params, `${/^\w+/.exec(params)?.[0]} comes twice`] as const),
  ...UNKNOWN.map(params => [params, 'it has an unknown parameter'] as const),
]

t.test('a bad parameter declines that offer only, and fails an answer', async t => {
  for (const [params, why] of BAD_PARAMETERS) {
    const bad = element(params)
    const name = bad.slice(0, 100)
    t.equal(answerTo(bad), null, `declined: ${name}`)
    t.equal(answerTo(`${bad}, ${bad}`), null)
    t.strictSame(answerTo(`${bad}, ${element(`${S_BITS}=9`)}, ${NAME}`), [element(`${S_BITS}=9`), 's9 c15'])
    t.strictSame(answerTo(`${NAME}, ${bad}`), [NAME, 's15 c15'])
    t.equal(answerTo(bad, ALL), null)
    t.equal(verdictOn(bad, {}), `fails: ${why}`, `failed: ${name}`)
    t.equal(verdictOn(bad, { serverMaxWindowBits: 9 }, {}, ALL), `fails: ${why}`)
  }
})

t.test('good parameters around a bad one do not make it good', async t => {
  for (const bad of [`${S_BITS}=16`, S_BITS, `${C_ALONE}=1`, 'constructor', `${S_ALONE}; ${S_ALONE}`]) {
    for (const params of [`${C_BITS}=9; ${bad}`, `${bad}; ${C_BITS}=9`]) {
      t.equal(answerTo(element(params)), null, params)
      t.match(verdictOn(element(params), {}), /^fails: /, params)
    }
  }
})

t.test('only an offer may have client_max_window_bits without a value', async t => {
  t.strictSame(answerTo(element(C_BITS)), [element(`${C_BITS}=12`), 's15 c12'])
  t.equal(verdictOn(element(C_BITS), {}), `fails: ${C_BITS} is not 8 to 15`)
})

t.test('a value that no header can carry is as bad as any', async t => {
  for (const value of [
    '',
    ' ',
    ' 9',
    '9 ',
    '9\n',
    '\n9',
    '9\0',
    '٩',
    '９',
    '9,10',
    '9;',
    '"9"',
    '\\9',
    '\ud800',
  ]) {
    for (const name of [S_BITS, C_BITS]) {
      const one: ExtensionOffer = { name: NAME, params: [[name, value]] }
      t.equal(acceptDeflate([one], {}), null, JSON.stringify(value))
      t.equal(verifyDeflate(one, [{}]), `${name} is not 8 to 15`, JSON.stringify(value))
    }
    for (const name of [S_ALONE, C_ALONE]) {
      const one: ExtensionOffer = { name: NAME, params: [[name, value]] }
      t.equal(acceptDeflate([one], {}), null, JSON.stringify(value))
      t.equal(verifyDeflate(one, [{}]), `${name} takes no value`, JSON.stringify(value))
    }
  }
})

t.test('what is no list of extensions never gets here', async t => {
  for (const params of [
    '=',
    '=""',
    '=" 10"',
    '="10 "',
    '="1 0"',
    '="10',
    '=1 0',
    '=10;',
    '=10; ;',
    '=٩',
    '="10"x',
  ]) {
    t.equal(parseExtensionList([element(`${S_BITS}${params}`)]), null, params)
  }
})
