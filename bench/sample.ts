// Strategy: everything the contestants eat is made here, from a fixed seed, by code that shares nothing with the
// library: payloads, frames (an encoder of a dozen lines), and the ways to cut a byte stream into chunks. Every
// chunk has memory of its own, as a chunk read from a socket has.

/** A small seeded generator (mulberry32): numbers in [0, 1). */
export function seeded(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296
  }
}

export const kinds = ['text', 'utf8', 'binary'] as const
/** `text` is ASCII, `utf8` mixes characters of one to four bytes. */
export type Kind = (typeof kinds)[number]

export const kindNames: Readonly<Record<Kind, string>> = {
  text: 'text',
  utf8: 'mixed UTF-8 text',
  binary: 'binary',
}

const mixed = ['a', 'e', ' ', 'n', 'é', 'ß', 'ж', 'я', '€', '語', '日', 'ก', '😀', '𝄞']

/** Exactly `size` bytes of the kind. */
export function payload(kind: Kind, size: number, random: () => number): Buffer {
  const bytes = Buffer.allocUnsafeSlow(size)
  let at = 0
  if (kind === 'utf8') {
    while (size - at >= 4) at += bytes.write(mixed[Math.floor(random() * mixed.length)], at)
  }
  for (; at < size; at++) bytes[at] = kind === 'binary' ? random() * 256 : 32 + random() * 95
  return bytes
}

/** A whole message as one frame. 5.2. */
export function frame(kind: Kind, data: Buffer, masked: boolean, random: () => number): Buffer {
  const { length } = data
  const extended = length < 126 ? 0 : length < 65536 ? 2 : 8
  const start = 2 + extended + (masked ? 4 : 0)
  const bytes = Buffer.allocUnsafeSlow(start + length)
  bytes[0] = kind === 'binary' ? 0x82 : 0x81
  bytes[1] = (masked ? 0x80 : 0) | (extended === 0 ? length : extended === 2 ? 126 : 127)
  if (extended === 2) bytes.writeUInt16BE(length, 2)
  if (extended === 8) bytes.writeBigUInt64BE(BigInt(length), 2)
  bytes.set(data, start)
  if (masked) {
    const key = [0, 0, 0, 0].map(() => 1 + Math.floor(random() * 255))
    bytes.set(key, start - 4)
    for (let i = 0; i < length; i++) bytes[start + i] ^= key[i & 3]
  }
  return bytes
}

/** The payload of every whole frame in `bytes`, unmasked: the naive reader the encoders are checked with. */
export function payloads(bytes: Buffer): Buffer[] {
  const found: Buffer[] = []
  let at = 0
  while (at < bytes.length) {
    const short = bytes[at + 1] & 0x7f
    const masked = (bytes[at + 1] & 0x80) !== 0
    let length = short
    if (short === 126) length = bytes.readUInt16BE(at + 2)
    if (short === 127) length = Number(bytes.readBigUInt64BE(at + 2))
    at += short < 126 ? 2 : short === 126 ? 4 : 10
    const key = masked ? bytes.subarray(at, (at += 4)) : Buffer.alloc(4)
    found.push(Buffer.from(bytes.subarray(at, at + length).map((byte, i) => byte ^ key[i & 3])))
    at += length
  }
  return found
}

export const layouts = ['64k', 'frame', 'random', 'torn'] as const
export type Layout = (typeof layouts)[number]

export const layoutNames: Readonly<Record<Layout, string>> = {
  '64k': '64 KiB chunks',
  frame: 'one frame per chunk (of 64 KiB at most, which is what a socket reads)',
  random: 'chunks cut at random (1 B to 64 KiB, log-uniform)',
  torn: 'chunks cut at random (1 B to twice the frame, at most 64 KiB: nearly every frame is cut)',
}

function own(bytes: Uint8Array): Buffer {
  const copy = Buffer.allocUnsafeSlow(bytes.length)
  copy.set(bytes)
  return copy
}

/** The stream of `frames` cut the given way, each chunk in memory of its own. */
export function cut(frames: readonly Buffer[], layout: Layout, random: () => number): Buffer[] {
  if (layout === 'frame') {
    return frames.flatMap(bytes =>
      Array.from({ length: Math.ceil(bytes.length / 65536) }, (_, i) =>
        own(bytes.subarray(i * 65536, (i + 1) * 65536)),
      ),
    )
  }
  const stream = Buffer.concat(frames)
  const chunks: Buffer[] = []
  for (let at = 0; at < stream.length;) {
    let length = 65536
    if (layout === 'random') length = Math.ceil(65536 ** random())
    if (layout === 'torn') length = 1 + Math.floor(random() * Math.min(65536, 2 * frames[0].length))
    chunks.push(own(stream.subarray(at, at + length)))
    at += length
  }
  return chunks
}

/** How many messages one iteration decodes: enough for four 64 KiB chunks, or 1,024 where each has a chunk or more. */
export function messagesPerStream(size: number, layout: Layout): number {
  const most = layout === 'frame' || layout === 'torn' ? 1024 : 16384
  return Math.max(4, Math.min(most, Math.ceil((256 * 1024) / size)))
}
