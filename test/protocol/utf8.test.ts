import fc from 'fast-check'
import { test } from 'tap'
import { checkUtf8, UTF8_INVALID, UTF8_START } from '../../src/protocol/utf8.js'
import { bytesOf, concat } from '../support/frames.js'
import { naiveUtf8 } from '../support/naive.js'
import { cutAt } from '../support/split.js'

type Verdict = 'invalid' | 'whole' | 'unfinished'

function verdict(state: number): Verdict {
  return state === UTF8_INVALID ? 'invalid' : state === UTF8_START ? 'whole' : 'unfinished'
}

function fast(parts: readonly Uint8Array[]): Verdict {
  let state = UTF8_START
  for (const part of parts) state = checkUtf8(state, part, 0, part.length)
  return verdict(state)
}

function naive(bytes: Uint8Array): Verdict {
  const { bad, whole } = naiveUtf8(bytes)
  return bad >= 0 ? 'invalid' : whole ? 'whole' : 'unfinished'
}

/** The octets at which the tables of RFC 3629 change, and their neighbours. */
const EDGES = [0x00, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xc1, 0xc2, 0xe0, 0xed, 0xf0, 0xf4, 0xff]

/** Sequences on which the two disagree. They are checked whole, byte by byte, and in the middle of a long text. */
function disagreements(sequences: Iterable<readonly number[]>): string[] {
  const found: string[] = []
  const one = new Uint8Array(4)
  // The sequence at the end, the beginning and in the middle of more than 24 bytes, which go the native way.
  const long = new Uint8Array(40)
  for (const sequence of sequences) {
    const length = sequence.length
    one.set(sequence)
    const expected = naive(one.subarray(0, length))
    let state = UTF8_START
    for (let i = 0; i < length && state !== UTF8_INVALID; i++) state = checkUtf8(state, one, i, i + 1)
    if (verdict(state) !== expected) found.push(`${sequence.join()} byte by byte`)
    if (verdict(checkUtf8(UTF8_START, one, 0, length)) !== expected) found.push(`${sequence.join()} whole`)
    for (const at of [0, 18, 40 - length]) {
      long.fill(0x61)
      long.set(sequence, at)
      const inText = expected === 'unfinished' && at + length < 40 ? 'invalid' : expected
      if (verdict(checkUtf8(UTF8_START, long, 0, 40)) !== inText) found.push(`${sequence.join()} at ${at}`)
    }
  }
  return found
}

function* sequences(...choices: readonly (readonly number[])[]): Generator<readonly number[]> {
  const [first, ...rest] = choices
  if (first === undefined) yield []
  else for (const byte of first) for (const tail of sequences(...rest)) yield [byte, ...tail]
}

const ALL = Array.from({ length: 256 }, (_, byte) => byte)
const LEADS = ALL.filter(byte => byte >= 0xc0)

void test('judges every sequence of one and of two octets as RFC 3629 does', t => {
  t.same(disagreements(sequences(ALL)), [])
  t.same(disagreements(sequences(ALL, ALL)), [])
  t.end()
})

void test('judges sequences of three and of four octets as RFC 3629 does at every edge of its tables', t => {
  t.same(disagreements(sequences(LEADS, ALL, EDGES)).slice(0, 10), [])
  t.same(disagreements(sequences(LEADS, EDGES, EDGES, EDGES)).slice(0, 10), [])
  t.end()
})

void test('accepts every scalar value and refuses every surrogate', t => {
  const wrong: string[] = []
  for (let point = 0; point <= 0x10ffff; point += point < 0x900 ? 1 : 7) {
    if (point >= 0xd800 && point <= 0xdfff) continue
    const bytes = bytesOf(String.fromCodePoint(point))
    if (checkUtf8(UTF8_START, bytes, 0, bytes.length) !== UTF8_START) wrong.push(point.toString(16))
  }
  for (let point = 0xd800; point <= 0xdfff; point++) {
    const bytes = Uint8Array.from([0xed, 0x80 | ((point >> 6) & 0x3f), 0x80 | (point & 0x3f)])
    if (checkUtf8(UTF8_START, bytes, 0, 3) !== UTF8_INVALID) wrong.push(point.toString(16))
  }
  t.same(wrong, [])
  t.end()
})

const text = fc
  .array(fc.oneof(fc.string({ unit: 'binary', maxLength: 8 }), fc.string({ maxLength: 40 })), {
    maxLength: 6,
  })
  .map(parts => bytesOf(parts.join('')))
const mutated = fc
  .tuple(text, fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 3 }))
  .map(([bytes, changes]) => {
    if (bytes.length > 0) for (const [at, byte] of changes) bytes[at % bytes.length] = byte
    return bytes
  })

void test('judges texts, whole and spoilt, as RFC 3629 does, however they are cut in two', t => {
  fc.assert(
    fc.property(mutated, bytes => {
      const expected = naive(bytes)
      for (let cut = 0; cut <= bytes.length; cut++) if (fast(cutAt(bytes, [cut])) !== expected) return false
      return true
    }),
    { numRuns: 1500 },
  )
  t.end()
})

void test('judges arbitrary bytes as RFC 3629 does, cut at arbitrary places', t => {
  fc.assert(
    fc.property(
      fc.array(fc.oneof(fc.uint8Array({ maxLength: 6 }), text), { maxLength: 5 }),
      fc.array(fc.nat(200)),
      (parts, cuts) => {
        const bytes = concat(parts)
        return fast(cutAt(bytes, cuts)) === naive(bytes)
      },
    ),
    { numRuns: 1500 },
  )
  t.end()
})

void test('refuses at the first octet that cannot be UTF-8 and not before', t => {
  fc.assert(
    fc.property(mutated, bytes => {
      const { bad } = naiveUtf8(bytes)
      let state = UTF8_START
      for (let at = 0; at < bytes.length; at++) {
        state = checkUtf8(state, bytes, at, at + 1)
        if ((state === UTF8_INVALID) !== (at === bad)) return false
        if (at === bad) return true
      }
      return bad < 0
    }),
    { numRuns: 1500 },
  )
  t.end()
})

void test('looks at its own range only', t => {
  const bytes = Uint8Array.from([0xff, 0xc3, 0xa4, 0xff, ...bytesOf('a text of more than 24 bytes: ä'), 0x80])
  t.equal(checkUtf8(UTF8_START, bytes, 1, 3), UTF8_START)
  t.equal(checkUtf8(UTF8_START, bytes, 4, bytes.length - 1), UTF8_START)
  t.equal(checkUtf8(UTF8_START, bytes, 4, bytes.length), UTF8_INVALID)
  t.end()
})

void test('stays invalid once it is invalid', t => {
  t.equal(checkUtf8(UTF8_INVALID, bytesOf('abc'), 0, 3), UTF8_INVALID)
  t.equal(checkUtf8(UTF8_INVALID, bytesOf(''), 0, 0), UTF8_INVALID)
  t.end()
})
