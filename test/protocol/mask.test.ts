import fc from 'fast-check'
import { test } from 'tap'
import { isAscii, rotateKey, dataView, xorMask } from '../../src/protocol/mask.js'
import { naiveMask } from '../support/naive.js'
import { randomBytes, randoms } from '../support/split.js'

const next = randoms(1)
const PLENTY = randomBytes(next, 17_000)
/** With this key and this mask of bits the plain text of PLENTY is ASCII. */
const ASCII = PLENTY.map(byte => byte & 0x7f)

/** XORs in the middle of a larger memory, and says what is wrong. */
function problem(
  data: Uint8Array,
  key: number,
  base: number,
  offset: number,
  withWords: boolean,
): string | null {
  const around = 16
  const memory = new Uint8Array(base + offset + data.length + around).fill(0xa5)
  memory.set(data, base + offset)
  const bytes = new Uint8Array(memory.buffer, base)
  const high = xorMask(bytes, offset, offset + data.length, key, withWords ? dataView(bytes) : null)
  const expected = new Uint8Array(memory.length).fill(0xa5)
  const plain = naiveMask(data, key)
  expected.set(plain, base + offset)
  if (Buffer.compare(memory, expected) !== 0) return 'bytes differ'
  return isAscii(high) === plain.every(byte => byte < 0x80) ? null : 'ASCII told wrongly'
}

function problems(from: number, to: number): string[] {
  const found: string[] = []
  for (let length = from; length <= to; length++) {
    for (let offset = 0; offset <= 8; offset++) {
      const key = length % 7 === 0 ? next(0x8000_0000) & 0x7f7f7f7f : next(0xffff_ffff) | 0
      const data = (key & 0x80808080) === 0 ? ASCII.subarray(0, length) : PLENTY.subarray(0, length)
      for (const withWords of [true, false]) {
        const wrong = problem(data, key, offset & 3, offset, withWords)
        if (wrong !== null) found.push(`${wrong}: length ${length}, offset ${offset}, words ${withWords}`)
      }
    }
  }
  return found
}

void test('masks as the naive loop does at every offset from 0 to 8 and every length from 0 to 200', t => {
  t.same(problems(0, 200), [])
  t.end()
})

void test('masks as the naive loop does around the lengths where the kernel changes', t => {
  t.same(problems(512 - 70, 512 + 70), [])
  t.same(problems(1024 - 70, 1024 + 70), [])
  t.same(problems(16_384 - 70, 16_384 + 70), [])
  t.end()
})

void test('masks as the naive loop does for arbitrary bytes, keys and places', t => {
  fc.assert(
    fc.property(
      fc.uint8Array({ maxLength: 2000 }),
      fc.integer(),
      fc.nat(64),
      fc.nat(64),
      fc.boolean(),
      (data, key, base, offset, withWords) => problem(data, key, base, offset, withWords) === null,
    ),
    { numRuns: 2000 },
  )
  t.end()
})

void test('masks several blocks of the SIMD kernel as the naive loop does', t => {
  const data = randomBytes(next, 200_001)
  for (const length of [32_768, 32_769, 49_151, 65_536 + 63, 200_001]) {
    t.equal(problem(data.subarray(0, length), 0x1234_5678, 0, 3, true), null, `${length} bytes`)
  }
  t.end()
})

void test('tells a result with one byte over 127 from ASCII wherever that byte is', t => {
  const wrong: string[] = []
  const key = 0x3c5a_1177
  for (const length of [
    1, 2, 3, 4, 5, 23, 24, 31, 32, 33, 63, 64, 100, 200, 511, 512, 513, 575, 576, 700, 1023, 1024, 1100,
  ]) {
    for (let at = 0; at < length; at++) {
      const data = naiveMask(ASCII.subarray(0, length), key)
      data[at] ^= 0x80
      if (problem(data, key, 0, at % 5, true) !== null) wrong.push(`${at} of ${length}`)
    }
  }
  t.same(wrong, [])
  t.end()
})

void test('masking twice with the same key gives the bytes back', t => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 1500 }), fc.integer(), (data, key) => {
      const bytes = data.slice()
      xorMask(bytes, 0, bytes.length, key, dataView(bytes))
      xorMask(bytes, 0, bytes.length, key, dataView(bytes))
      return Buffer.compare(bytes, data) === 0
    }),
    { numRuns: 1000 },
  )
  t.end()
})

void test('goes on with a turned key where a payload is cut', t => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 1500 }), fc.integer(), fc.nat(1500), (data, key, cut) => {
      const at = Math.min(cut, data.length)
      const bytes = data.slice()
      const words = dataView(bytes)
      xorMask(bytes, 0, at, key, words)
      xorMask(bytes, at, bytes.length, rotateKey(key, at), words)
      return Buffer.compare(bytes, naiveMask(data, key)) === 0
    }),
    { numRuns: 1000 },
  )
  t.end()
})

void test('leaves the payload as it is under the key 0', t => {
  const bytes = PLENTY.slice(0, 1000)
  xorMask(bytes, 0, bytes.length, 0, dataView(bytes))
  t.equal(Buffer.compare(bytes, PLENTY.subarray(0, 1000)), 0)
  t.end()
})

void test('does nothing to an empty range', t => {
  const bytes = Uint8Array.from([1, 2, 3])
  xorMask(bytes, 1, 1, -1, dataView(bytes))
  t.same([...bytes], [1, 2, 3])
  t.end()
})
