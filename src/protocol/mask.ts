// Strategy: masking is XOR with a four-byte key (5.3), and since XOR is its own inverse the same call unmasks. Three
// kernels by size, as measured on Node 20: an unrolled byte loop where there is no `DataView` or nothing to gain; 32-bit
// words through a `DataView`, which cares for neither alignment nor byte order, and which the owner of the memory keeps
// (making one costs as much as masking 500 bytes); the SIMD module of mask-wasm.ts above that. Each ORs the plain bytes on
// the way, which costs nothing here and tells a text that is ASCII from one that must be validated. Hot: no allocation
// below `SIMD_BYTES`.
//
// A key is the four key bytes in wire order read as a little-endian 32-bit number, so byte `i` of a payload meets
// `key >>> 8 * (i & 3)`. `rotateKey` moves it along when a payload arrives in pieces.
import { wasmXor } from './mask-wasm.js'
import { view } from './runtime.js'

const WORDS_BYTES = 8
/** From here on it is the module's business. */
export const SIMD_BYTES = 1024

/** A `DataView` over `bytes`, for `xorMask`. */
export function dataView(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}

/** The key for a payload that continues `offset` bytes after the place `key` was for. */
export function rotateKey(key: number, offset: number): number {
  const shift = (offset & 3) << 3
  return shift === 0 ? key : (key >>> shift) | (key << (32 - shift))
}

/**
 * XORs `bytes[start, end)` with `key` in place.
 *
 * @param words `dataView(bytes)`, kept by the caller as long as it keeps the memory; null when it is not worth making.
 * @returns a number that has bit 7 of one of its bytes set exactly when a resulting byte is over 127: see `isAscii`.
 */
export function xorMask(
  bytes: Uint8Array,
  start: number,
  end: number,
  key: number,
  words: DataView | null,
): number {
  const length = end - start
  let high = 0
  let at = start
  if (length >= SIMD_BYTES) {
    const simd = wasmXor()
    if (simd !== null) {
      at += length & ~63
      if (simd(bytes, start, bytes, start, at - start, key) !== 0) high = 0x80
    }
  }
  if (words === null || length < WORDS_BYTES) return high | xorBytes(bytes, at, end, key)
  for (const last = end - 15; at < last; at += 16) {
    const a = words.getInt32(at, true) ^ key
    const b = words.getInt32(at + 4, true) ^ key
    const c = words.getInt32(at + 8, true) ^ key
    const d = words.getInt32(at + 12, true) ^ key
    words.setInt32(at, a, true)
    words.setInt32(at + 4, b, true)
    words.setInt32(at + 8, c, true)
    words.setInt32(at + 12, d, true)
    high |= a | b | c | d
  }
  for (const last = end - 3; at < last; at += 4) {
    const a = words.getInt32(at, true) ^ key
    words.setInt32(at, a, true)
    high |= a
  }
  return at === end ? high : high | xorBytes(bytes, at, end, key)
}

/**
 * As `xorMask` for `whole`, a view of `bytes` from `start` on that somebody has anyway, of at least `SIMD_BYTES` and where there is the
 * module. Nothing but the module meets the view, since it may be of another class.
 */
export function xorWhole(
  whole: Uint8Array,
  bytes: Uint8Array,
  start: number,
  key: number,
  words: DataView | null,
): number {
  const { length } = whole
  const blocks = length & ~63
  const high = wasmXor()!(whole, 0, whole, 0, blocks, key) === 0 ? 0 : 0x80
  return blocks === length ? high : high | xorMask(bytes, start + blocks, start + length, key, words)
}

/**
 * Copies `from` to `into[start, …)` and XORs it with `key` on the way. `from` is not written to.
 *
 * @param words `dataView(into)`, or null.
 */
export function copyMasked(
  from: Uint8Array,
  into: Uint8Array,
  start: number,
  key: number,
  words: DataView | null,
): void {
  const { length } = from
  const simd = length >= SIMD_BYTES ? wasmXor() : null
  if (simd === null) {
    into.set(from, start)
    xorMask(into, start, start + length, key, words)
    return
  }
  const blocks = length & ~63
  simd(from, 0, into, start, blocks, key)
  if (blocks === length) return
  into.set(view(from, blocks, length), start + blocks)
  xorMask(into, start + blocks, start + length, key, words)
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
