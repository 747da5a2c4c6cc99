// Strategy: masking is XOR with a four-byte key (5.3), and the key may be applied in place because its own inverse
// unmasks. Three kernels by size, as measured on Node 20: an unrolled byte loop while a word loop would not pay; 32-bit
// words through an `Int32Array` that the owner of the memory keeps (making one costs 100 ns, so never per frame); the
// SIMD module of mask-wasm.ts from half a kilobyte. Each ORs the plain bytes on the way, which costs nothing here and
// tells a text that is ASCII from one that must be validated. Hot: no allocation below `SIMD_BYTES`.
//
// A key is the four key bytes in wire order read as a little-endian 32-bit number, so byte `i` of a payload meets
// `key >>> 8 * (i & 3)`. `rotateKey` moves it along when a payload arrives in pieces.
import { wasmXor } from './mask-wasm.js'

const WORDS_BYTES = 24
const SIMD_BYTES = 512
const littleEndian = new Uint8Array(new Uint32Array([1]).buffer)[0] === 1

/** 32-bit words over the whole memory behind `bytes`, for `xorMask`; null where words would be in the wrong order. */
export function wordsOf(bytes: Uint8Array): Int32Array | null {
  return littleEndian ? new Int32Array(bytes.buffer, 0, bytes.buffer.byteLength >> 2) : null
}

/** The key for a payload that continues `offset` bytes after the place `key` was for. */
export function rotateKey(key: number, offset: number): number {
  const shift = (offset & 3) << 3
  return shift === 0 ? key : (key >>> shift) | (key << (32 - shift))
}

/**
 * XORs `bytes[start, end)` with `key` in place.
 *
 * @param words `wordsOf(bytes)`, kept by the caller as long as it keeps the memory.
 * @returns a number of which bit 7 of some byte is set exactly when a resulting byte is over 127: test it with `isAscii`.
 */
export function xorMask(
  bytes: Uint8Array,
  start: number,
  end: number,
  key: number,
  words: Int32Array | null,
): number {
  if (end - start < WORDS_BYTES || words === null) return xorBytes(bytes, start, end, key)
  // Up to the first word boundary of the memory …
  const lead = -(bytes.byteOffset + start) & 3
  let high = lead === 0 ? 0 : xorBytes(bytes, start, start + lead, key)
  let at = start + lead
  const turned = rotateKey(key, lead)
  // … whole words or SIMD blocks …
  if (end - at >= SIMD_BYTES) {
    const simd = wasmXor()
    if (simd !== null) {
      const blocks = (end - at) & ~63
      if (simd(bytes, at, at + blocks, turned) !== 0) high |= 0x80
      at += blocks
    }
  }
  const whole = (end - at) & ~3
  if (whole !== 0)
    high |= xorWords(words, (bytes.byteOffset + at) >> 2, (bytes.byteOffset + at + whole) >> 2, turned)
  at += whole
  // … and the rest.
  return at === end ? high : high | xorBytes(bytes, at, end, turned)
}

/** True when the result of `xorMask` (or an OR of bytes) says that every byte was below 128. */
export function isAscii(high: number): boolean {
  return (high & 0x80808080) === 0
}

function xorBytes(bytes: Uint8Array, start: number, end: number, key: number): number {
  const k0 = key & 0xff
  const k1 = (key >>> 8) & 0xff
  const k2 = (key >>> 16) & 0xff
  const k3 = key >>> 24
  let high = 0
  let at = start
  for (const last = end - 3; at < last; at += 4) {
    high |= bytes[at] ^= k0
    high |= bytes[at + 1] ^= k1
    high |= bytes[at + 2] ^= k2
    high |= bytes[at + 3] ^= k3
  }
  if (at < end) high |= bytes[at] ^= k0
  if (at + 1 < end) high |= bytes[at + 1] ^= k1
  if (at + 2 < end) high |= bytes[at + 2] ^= k2
  return high
}

function xorWords(words: Int32Array, start: number, end: number, key: number): number {
  let high = 0
  let at = start
  for (const last = end - 7; at < last; at += 8) {
    const a = (words[at] ^= key)
    const b = (words[at + 1] ^= key)
    const c = (words[at + 2] ^= key)
    const d = (words[at + 3] ^= key)
    const e = (words[at + 4] ^= key)
    const f = (words[at + 5] ^= key)
    const g = (words[at + 6] ^= key)
    const h = (words[at + 7] ^= key)
    high |= a | b | c | d | e | f | g | h
  }
  for (; at < end; at++) high |= words[at] ^= key
  return high
}
