import assert from 'node:assert/strict'
import { constants } from 'node:zlib'
import fc from 'fast-check'
import t from 'tap'
import {
  type Compress,
  type CompressOptions,
  type DeflateParameters,
  resolveCompress,
} from '../../src/extensions/index.js'
import { UsageError } from '../../src/protocol/index.js'

/** A side that wishes nothing. */
const NOTHING = {
  serverNoContextTakeover: undefined,
  clientNoContextTakeover: undefined,
  serverMaxWindowBits: undefined,
  clientMaxWindowBits: undefined,
}
const DEFAULTS = { threshold: null, level: -1, memLevel: 8, strategy: 0, wishes: [NOTHING] }

/** What is said of options that make no sense. */
function refusal(options: unknown): string {
  try {
    return `accepted: ${JSON.stringify(resolveCompress(options as Compress))}`
  } catch (error) {
    if (!(error instanceof UsageError)) throw error
    return `${error.code}: ${error.message}`
  }
}

const flag = fc.option(fc.boolean(), { nil: undefined })
const bits = fc.option(fc.integer({ min: 8, max: 15 }), { nil: undefined })
const PARAMETERS = {
  serverNoContextTakeover: flag,
  clientNoContextTakeover: flag,
  serverMaxWindowBits: bits,
  clientMaxWindowBits: fc.oneof(bits, fc.constant(false as const)),
}
const parameters: fc.Arbitrary<DeflateParameters> = fc.record(PARAMETERS, { requiredKeys: [] })
const valid: fc.Arbitrary<CompressOptions> = fc.record(
  {
    ...PARAMETERS,
    threshold: fc.oneof(fc.nat(), fc.constantFrom(Infinity, undefined)),
    level: fc.option(fc.integer({ min: -1, max: 9 }), { nil: undefined }),
    memLevel: fc.option(fc.integer({ min: 1, max: 9 }), { nil: undefined }),
    strategy: fc.option(fc.integer({ min: 0, max: 4 }), { nil: undefined }),
    alternatives: fc.option(fc.array(parameters, { maxLength: 3 }), { nil: undefined }),
  },
  { requiredKeys: [] },
)

const pick = ({
  serverNoContextTakeover,
  clientNoContextTakeover,
  serverMaxWindowBits,
  clientMaxWindowBits,
}: DeflateParameters): DeflateParameters => ({
  serverNoContextTakeover,
  clientNoContextTakeover,
  serverMaxWindowBits,
  clientMaxWindowBits,
})

t.test('law: what is valid is kept as it is, and what is left out or undefined is the default', async () => {
  const law = fc.property(valid, options => {
    const { threshold = null, level = -1, memLevel = 8, strategy = 0, alternatives = [] } = options
    const wishes = [options, ...alternatives].map(pick)
    assert.deepEqual(resolveCompress(options), { threshold, level, memLevel, strategy, wishes })
  })
  fc.assert(law)
})

t.test('law: one bad value among valid options is a UsageError that names it', async () => {
  const bad = fc.constantFrom<unknown>(
    null,
    NaN,
    -Infinity,
    -2,
    0.5,
    '9',
    '',
    true,
    9n,
    Symbol('x'),
    [],
    {},
    [9],
  )
  const names = fc.constantFrom('threshold', 'level', 'memLevel', 'strategy', 'serverMaxWindowBits')
  const law = fc.property(valid, names, bad, (options, name, value) => {
    const said = refusal({ ...options, [name]: value })
    assert.match(said, new RegExp(`^WS_BAD_OPTION: .*${name} must be `))
  })
  fc.assert(law)
})

t.test('who says nothing can receive, and compresses only what is asked for', async t => {
  const receive = { ...DEFAULTS, threshold: Infinity }
  t.strictSame(resolveCompress(), receive)
  t.strictSame(resolveCompress(undefined), receive)
  t.strictSame(resolveCompress('receive'), receive)
})

t.test('true and an empty object compress from the default on, and false does not at all', async t => {
  t.strictSame(resolveCompress(true), DEFAULTS)
  t.strictSame(resolveCompress({}), DEFAULTS)
  t.equal(resolveCompress(false), null)
})

t.test("zlib's defaults are zlib's", async t => {
  t.match(resolveCompress(true), {
    level: constants.Z_DEFAULT_COMPRESSION,
    memLevel: constants.Z_DEFAULT_MEMLEVEL,
    strategy: constants.Z_DEFAULT_STRATEGY,
  })
})

t.test('takes each option up to its limits, and refuses the next value', async t => {
  type Row = readonly [name: keyof CompressOptions, good: readonly unknown[], bad: readonly unknown[]]
  const whole = [1.5, NaN, '8', '', null, true, 8n, [], {}, [8], Symbol('8'), -Infinity]
  const rows: readonly Row[] = [
    ['threshold', [0, 1, Number.MAX_SAFE_INTEGER, Infinity], [-1, 2 ** 53, false, ...whole]],
    ['level', [-1, 0, 9], [-2, 10, Infinity, false, ...whole]],
    ['memLevel', [1, 9], [0, 10, -1, Infinity, false, ...whole]],
    ['strategy', [constants.Z_DEFAULT_STRATEGY, constants.Z_FIXED], [-1, 5, Infinity, false, ...whole]],
    ['serverMaxWindowBits', [8, 15], [7, 16, 0, -8, Infinity, false, ...whole]],
    ['clientMaxWindowBits', [8, 15, false], [7, 16, 0, -8, Infinity, ...whole]],
    ['serverNoContextTakeover', [true, false], [null, 0, 1, '', 'true', {}, []]],
    ['clientNoContextTakeover', [true, false], [null, 0, 1, '', 'true', {}, []]],
  ]
  for (const [name, good, bad] of rows) {
    for (const value of [...good, undefined]) {
      const settings = resolveCompress({ [name]: value })!
      const kept = value ?? { ...DEFAULTS, ...NOTHING }[name as 'level']
      t.strictSame({ ...settings, ...settings.wishes[0] }[name as 'level'], kept, `${name}: ${String(value)}`)
    }
    for (const value of bad) {
      t.match(refusal({ [name]: value }), new RegExp(`^WS_BAD_OPTION: (compress\\.)?${name} must be `), name)
    }
  }
})

t.test('alternatives are checked as the options are, and follow them in order', async t => {
  const { wishes } = resolveCompress({
    serverMaxWindowBits: 10,
    alternatives: [
      { serverMaxWindowBits: 12, serverNoContextTakeover: true },
      { clientMaxWindowBits: false },
      {},
    ],
  })!
  t.strictSame(wishes, [
    { ...NOTHING, serverMaxWindowBits: 10 },
    { ...NOTHING, serverMaxWindowBits: 12, serverNoContextTakeover: true },
    { ...NOTHING, clientMaxWindowBits: false },
    NOTHING,
  ])
  t.equal(resolveCompress({ alternatives: [] })!.wishes.length, 1)
  for (const [one, why] of [
    [{ serverMaxWindowBits: 7 }, /serverMaxWindowBits must be /],
    [{ clientMaxWindowBits: 16 }, /clientMaxWindowBits must be /],
    [{ clientMaxWindowBits: true }, /clientMaxWindowBits must be /],
    [{ serverNoContextTakeover: 1 }, /serverNoContextTakeover must be /],
    [{ clientNoContextTakeover: 'no' }, /clientNoContextTakeover must be /],
    [{ threshold: 0 }, /no option compress\.alternatives\.threshold$/],
    [{ level: 9 }, /no option compress\.alternatives\.level$/],
    [{ alternatives: [] }, /no option compress\.alternatives\.alternatives$/],
    [{ serverMaxWindowsBits: 9 }, /no option compress\.alternatives\.serverMaxWindowsBits$/],
    [null, /compress\.alternatives must be an object$/],
    [undefined, /compress\.alternatives must be an object$/],
    [true, /compress\.alternatives must be an object$/],
    ['permessage-deflate', /compress\.alternatives must be an object$/],
  ] as const) {
    t.match(refusal({ alternatives: [one] }), why)
    t.match(refusal({ alternatives: [{}, one] }), /^WS_BAD_OPTION: /)
  }
  for (const alternatives of [null, {}, 'x', 0, true, { length: 0 }, new Set([{}])]) {
    t.equal(refusal({ alternatives }), 'WS_BAD_OPTION: compress.alternatives must be a list')
  }
})

t.test('refuses what is neither true, false, "receive" nor an object', async t => {
  for (const value of [null, 0, 1, '', 'true', 'send', 'Receive', 9n, Symbol('receive'), () => ({})]) {
    t.equal(
      refusal(value),
      `WS_BAD_OPTION: compress must be true, false, 'receive' or an object`,
      String(value),
    )
  }
})

t.test('refuses options that it does not know, and those of other libraries', async t => {
  const misspelt =
    'threshhold Level serverMaxWindowsBits server_max_window_bits constructor toString hasOwnProperty'
  const elsewhere =
    'windowBits maxWindowBits requestMaxWindowBits noContextTakeover zlibDeflateOptions concurrencyLimit enabled'
  for (const name of ['', ...misspelt.split(' '), ...elsewhere.split(' ')]) {
    t.equal(refusal({ [name]: undefined }), `WS_BAD_OPTION: there is no option compress.${name}`)
  }
  const proto = JSON.parse('{"__proto__":{"level":9}}') as unknown
  t.equal(refusal(proto), 'WS_BAD_OPTION: there is no option compress.__proto__')
})

t.test('what is done to the options afterwards changes nothing', async t => {
  const alternative = { serverMaxWindowBits: 9 }
  const options = { level: 1, serverMaxWindowBits: 10, alternatives: [alternative] }
  const settings = resolveCompress(options)
  options.level = 99
  options.serverMaxWindowBits = 99
  alternative.serverMaxWindowBits = 99
  options.alternatives.push({ serverMaxWindowBits: 99 })
  t.strictSame(settings, {
    ...DEFAULTS,
    level: 1,
    wishes: [
      { ...NOTHING, serverMaxWindowBits: 10 },
      { ...NOTHING, serverMaxWindowBits: 9 },
    ],
  })
})
