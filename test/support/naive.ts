// Strategy: the same functions as the fast ones in `src/protocol`, written straight from the text of RFC 6455 (5.3) and
// RFC 3629 and in no hurry. Tests prove the fast ones equal to these.

/** The four key bytes in wire order of a key as `src` has it, a little-endian number. */
export function keyBytes(key: number): [number, number, number, number] {
  return [key & 0xff, (key >> 8) & 0xff, (key >> 16) & 0xff, (key >> 24) & 0xff]
}

/** 5.3: octet i of the result is octet i of the data XOR octet i modulo 4 of the key. */
export function naiveMask(data: Uint8Array, key: number, offset = 0): Uint8Array {
  const octets = keyBytes(key)
  const result = new Uint8Array(data.length)
  for (let i = 0; i < data.length; i++) result[i] = data[i] ^ octets[(i + offset) % 4]
  return result
}

export interface Utf8Scan {
  /** Index of the first octet that no valid text can have there; -1 when there is none. */
  readonly bad: number
  /** Whether the bytes end with a whole character. */
  readonly whole: boolean
}

/** RFC 3629, section 3: the number ranges that two, three and four octets may stand for. */
const RANGES: Readonly<Record<number, readonly (readonly [number, number])[]>> = {
  2: [[0x80, 0x7ff]],
  3: [
    [0x800, 0xd7ff],
    [0xe000, 0xffff],
  ],
  4: [[0x10000, 0x10ffff]],
}

/** Decodes characters as numbers; a prefix is bad when no number that begins with its bits is in range. */
export function naiveUtf8(bytes: Uint8Array): Utf8Scan {
  let at = 0
  while (at < bytes.length) {
    const lead = bytes[at]
    if (lead < 0x80) {
      at++
      continue
    }
    const length = (lead & 0xe0) === 0xc0 ? 2 : (lead & 0xf0) === 0xe0 ? 3 : (lead & 0xf8) === 0xf0 ? 4 : 0
    if (length === 0) return { bad: at, whole: false }
    let value = lead & (0x7f >> length)
    for (let i = 0; i < length; i++) {
      if (at + i >= bytes.length) return { bad: -1, whole: false }
      if (i > 0) {
        if ((bytes[at + i] & 0xc0) !== 0x80) return { bad: at + i, whole: false }
        value = value * 64 + (bytes[at + i] & 0x3f)
      }
      const scale = 64 ** (length - 1 - i)
      const [low, high] = [value * scale, (value + 1) * scale - 1]
      if (!RANGES[length].some(([from, to]) => low <= to && high >= from))
        return { bad: at + i, whole: false }
    }
    at += length
  }
  return { bad: -1, whole: true }
}
