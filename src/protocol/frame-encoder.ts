// Strategy: small frames are written, header and payload, straight into the shared slab of output-pool.ts and masked
// there, so a tick of sends becomes one segment without a buffer, a view or a second copy per frame. A text is written
// by a loop while it is short ASCII, else by the native writer behind a header of the likely size. Large payloads get
// memory of their own, one allocation for header and payload: a client must copy to mask anyway; a server's binary goes
// beside its header untouched, and the caller must not change it until it has left.
//
//   text, bytes ──▶ [slab ……|hdr|payload|hdr|payload|……]  ──▶ take(): one view per stretch nobody else interrupted
//   large bytes ──▶ [hdr|masked payload] or [hdr] + [payload itself]
import type { Opcode, Role } from './opcode.js'
import { xorMask, dataView } from './mask.js'
import { slab } from './output-pool.js'
import { allocate, utf8Length, view, writeUtf8 } from './runtime.js'

/** A fresh unpredictable 32-bit key per call (5.3, 10.3). The transport owns the pool of random bytes. */
export type MaskSource = () => number

const LOOP_CHARS = 40
const LOOP_BYTES = 40
/** Payloads up to this size are gathered in the slab. Above it a copy would cost more than a segment of its own. */
const GATHER_BYTES = 4096
/** Three bytes of UTF-8 per UTF-16 unit at most. */
const GATHER_CHARS = GATHER_BYTES
const MAX_HEADER_BYTES = 14

/** Builds frames. RFC 6455, section 5.2 and 5.3. It knows nothing of the order in which frames may follow. */
export class FrameEncoder {
  readonly #maskKey: MaskSource | null
  readonly #maskBytes: number
  #segments: Uint8Array[] = []
  /** The slab memory of the segment being written, and its bounds. */
  #bytes: Uint8Array<ArrayBuffer> | null = null
  #start = 0
  #end = 0
  #pending = 0

  /** @param maskKey where keys come from; null for a server, which MUST NOT mask (5.1). */
  constructor(role: Role, maskKey: MaskSource | null) {
    this.#maskKey = role === 'client' ? maskKey : null
    this.#maskBytes = role === 'client' ? 4 : 0
  }

  /** Bytes that `take()` would return. */
  get pendingBytes(): number {
    return this.#pending
  }

  /** Drains the frames written so far, in order. The segments are the caller's, to read. */
  take(): readonly Uint8Array[] {
    this.#endSegment()
    const segments = this.#segments
    this.#segments = []
    this.#pending = 0
    return segments
  }

  /** Adds a frame with `text` as UTF-8; lone surrogates become U+FFFD. */
  text(opcode: Opcode, fin: boolean, text: string): void {
    const chars = text.length
    if (chars > GATHER_CHARS) return this.#largeText(opcode, fin, text)
    this.#open(MAX_HEADER_BYTES + 3 * chars)
    const bytes = slab.bytes
    const at = slab.used
    // The header of the likeliest length, that of ASCII.
    const likely = at + headerBytes(chars) + this.#maskBytes
    let end = likely
    if (chars <= LOOP_CHARS) {
      let high = 0
      for (let i = 0; i < chars; i++) high |= bytes[end++] = text.charCodeAt(i)
      // A code over 255 was cut to a byte, but not in `high`.
      if (high > 0x7f) end = likely + writeUtf8(bytes, text, likely)
    } else {
      end = likely + writeUtf8(bytes, text, likely)
    }
    const length = end - likely
    const start = at + headerBytes(length) + this.#maskBytes
    if (start !== likely) bytes.copyWithin(start, likely, end)
    this.#close(bytes, at, opcode, fin, start, length, slab.words)
  }

  /** Adds a frame with these bytes. They are never written to; see the strategy for when they are kept. */
  bytes(opcode: Opcode, fin: boolean, payload: Uint8Array): void {
    const length = payload.length
    if (length > GATHER_BYTES) return this.#largeBytes(opcode, fin, payload)
    this.#open(MAX_HEADER_BYTES + length)
    const bytes = slab.bytes
    const at = slab.used
    const start = at + headerBytes(length) + this.#maskBytes
    if (length <= LOOP_BYTES) for (let i = 0; i < length; i++) bytes[start + i] = payload[i]
    else bytes.set(payload, start)
    this.#close(bytes, at, opcode, fin, start, length, slab.words)
  }

  #largeText(opcode: Opcode, fin: boolean, text: string): void {
    const length = utf8Length(text)
    const start = headerBytes(length) + this.#maskBytes
    const frame = allocate(start + length)
    writeUtf8(frame, text, start)
    this.#own(frame, opcode, fin, start, length)
  }

  #largeBytes(opcode: Opcode, fin: boolean, payload: Uint8Array): void {
    const length = payload.length
    const start = headerBytes(length) + this.#maskBytes
    if (this.#maskKey !== null) {
      const frame = allocate(start + length)
      frame.set(payload, start)
      return this.#own(frame, opcode, fin, start, length)
    }
    this.#open(start)
    this.#close(slab.bytes, slab.used, opcode, fin, slab.used + start, 0, null, length)
    this.#push(payload)
  }

  /** Finishes a frame in memory of its own. */
  #own(frame: Uint8Array, opcode: Opcode, fin: boolean, start: number, length: number): void {
    this.#seal(frame, 0, opcode, fin, start, length, this.#maskKey === null ? null : dataView(frame), length)
    this.#push(frame)
  }

  #push(segment: Uint8Array): void {
    this.#endSegment()
    this.#segments.push(segment)
    this.#pending += segment.length
  }

  /** Makes room in the slab; when the slab or its position is no longer ours, the segment so far ends. */
  #open(need: number): void {
    slab.reserve(need)
    if (this.#bytes === slab.bytes && this.#end === slab.used) return
    this.#endSegment()
    this.#bytes = slab.bytes
    this.#start = this.#end = slab.used
  }

  /** Finishes a frame in the slab. `declared` is for a payload that follows in a segment of its own. */
  #close(
    bytes: Uint8Array,
    at: number,
    opcode: Opcode,
    fin: boolean,
    start: number,
    length: number,
    words: DataView | null,
    declared = length,
  ): void {
    this.#seal(bytes, at, opcode, fin, start, length, words, declared)
    const end = start + length
    this.#pending += end - at
    this.#end = end
    slab.commit(end)
  }

  /** Writes the header at `at`, and masks the payload at `start`. */
  #seal(
    bytes: Uint8Array,
    at: number,
    opcode: Opcode,
    fin: boolean,
    start: number,
    length: number,
    words: DataView | null,
    declared: number,
  ): void {
    const maskKey = this.#maskKey
    bytes[at] = fin ? opcode | 0x80 : opcode
    const maskBit = maskKey === null ? 0 : 0x80
    if (declared < 126) {
      bytes[at + 1] = declared | maskBit
    } else if (declared < 0x1_0000) {
      bytes[at + 1] = 126 | maskBit
      bytes[at + 2] = declared >> 8
      bytes[at + 3] = declared
    } else {
      bytes[at + 1] = 127 | maskBit
      writeUint32(bytes, at + 2, Math.floor(declared / 0x1_0000_0000))
      writeUint32(bytes, at + 6, declared)
    }
    if (maskKey === null) return
    // 5.3: a fresh key for every frame.
    const key = maskKey() | 0
    bytes[start - 4] = key
    bytes[start - 3] = key >> 8
    bytes[start - 2] = key >> 16
    bytes[start - 1] = key >> 24
    if (key !== 0) xorMask(bytes, start, start + length, key, words)
  }

  #endSegment(): void {
    if (this.#bytes === null) return
    if (this.#end > this.#start) this.#segments.push(view(this.#bytes, this.#start, this.#end))
    this.#bytes = null
  }
}

/** 5.2: the minimal number of bytes for a payload length, masking key not counted. */
function headerBytes(length: number): number {
  return length < 126 ? 2 : length < 0x1_0000 ? 4 : 10
}

function writeUint32(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value >>> 24
  bytes[at + 1] = value >>> 16
  bytes[at + 2] = value >>> 8
  bytes[at + 3] = value
}
