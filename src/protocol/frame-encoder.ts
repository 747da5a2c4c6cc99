// Strategy: small frames of all connections are written, header and payload, one behind the other into a shared slab and
// masked there. What one connection wrote without another in between is one segment, so a tick of a hundred sends leaves as
// one buffer, without a buffer, a view or a second copy per frame, and an idle connection holds nothing. A slab is never
// written twice, so a segment stays intact until the socket let go of it; then the collector takes the slab.
//
// A short text is written by a loop while it is ASCII, any other by the native writer, behind a header of the likeliest
// size. Large payloads get memory of their own, header and payload in one: a client must copy to mask anyway. A server's
// large binary goes beside its header untouched, and the caller must not change it until it has left.
//
//   text, bytes ──▶ [slab ……|hdr|payload|hdr|payload|……]  ──▶ take(): one view per uninterrupted stretch
//   large bytes ──▶ [hdr|masked payload] or [hdr] + [payload itself]
//
// Hot: what is module state here is memory to be filled, and is reached without a call.
import type { Opcode, Role } from './opcode.js'
import { dataView, xorMask } from './mask.js'
import { allocate, utf8Length, view, writeUtf8 } from './runtime.js'

/** A fresh unpredictable 32-bit key per call (5.3, 10.3). The transport owns the pool of random bytes. */
export type MaskSource = () => number

const SLAB_BYTES = 64 * 1024
const MAX_HEADER_BYTES = 14
const LOOP_CHARS = 40
/** Payloads up to this size are gathered: copying them costs less than a buffer of their own costs in a stream. */
const GATHER_BYTES = 4096
/** The same for texts, whose UTF-8 may be three times as long. */
const GATHER_CHARS = 8192

let slab = allocate(SLAB_BYTES)
let words = dataView(slab)
let used = 0

function renewSlab(): void {
  slab = allocate(SLAB_BYTES)
  words = dataView(slab)
  used = 0
}

/** Builds frames. RFC 6455, section 5.2 and 5.3. It knows nothing of the order in which frames may follow. */
export class FrameEncoder {
  readonly #maskKey: MaskSource | null
  readonly #maskBytes: number
  #segments: Uint8Array[] = []
  #segmentBytes = 0
  /** The stretch of a slab that is being written. */
  #memory: Uint8Array | null = null
  #start = 0
  #end = 0

  /** @param maskKey where keys come from; null for a server, which MUST NOT mask (5.1). */
  constructor(role: Role, maskKey: MaskSource | null) {
    this.#maskKey = role === 'client' ? maskKey : null
    this.#maskBytes = role === 'client' ? 4 : 0
  }

  /** Bytes that `take()` would return. */
  get pendingBytes(): number {
    return this.#segmentBytes + this.#end - this.#start
  }

  /** Drains the frames written so far, in order. The segments are the caller's, to read. */
  take(): readonly Uint8Array[] {
    this.#endStretch()
    const segments = this.#segments
    this.#segments = []
    this.#segmentBytes = 0
    return segments
  }

  /** Adds a frame with `text` as UTF-8; lone surrogates become U+FFFD. */
  text(opcode: Opcode, fin: boolean, text: string): void {
    const chars = text.length
    if (chars > GATHER_CHARS) return this.#largeText(opcode, fin, text)
    const at = this.#open(MAX_HEADER_BYTES + 3 * chars)
    const likely = at + headerBytes(chars) + this.#maskBytes
    let end = likely
    if (chars <= LOOP_CHARS) {
      let high = 0
      for (let i = 0; i < chars; i++) {
        const unit = text.charCodeAt(i)
        slab[end++] = unit
        high |= unit
      }
      if (high > 0x7f) end = likely + writeUtf8(slab, text, likely)
    } else {
      end = likely + writeUtf8(slab, text, likely)
    }
    const length = end - likely
    const start = at + headerBytes(length) + this.#maskBytes
    if (start !== likely) slab.copyWithin(start, likely, end)
    this.#seal(slab, at, fin ? opcode | 0x80 : opcode, length, start, start + length, words)
    this.#close(start + length)
  }

  /** Adds a frame with these bytes. They are never written to; see the strategy for when they are kept. */
  bytes(opcode: Opcode, fin: boolean, payload: Uint8Array): void {
    const length = payload.length
    if (length > GATHER_BYTES) return this.#largeBytes(opcode, fin, payload)
    const at = this.#open(MAX_HEADER_BYTES + length)
    const start = at + headerBytes(length) + this.#maskBytes
    slab.set(payload, start)
    this.#seal(slab, at, fin ? opcode | 0x80 : opcode, length, start, start + length, words)
    this.#close(start + length)
  }

  #largeText(opcode: Opcode, fin: boolean, text: string): void {
    const length = utf8Length(text)
    const start = headerBytes(length) + this.#maskBytes
    const frame = allocate(start + length)
    writeUtf8(frame, text, start)
    this.#seal(frame, 0, fin ? opcode | 0x80 : opcode, length, start, frame.length, null)
    this.#push(frame)
  }

  #largeBytes(opcode: Opcode, fin: boolean, payload: Uint8Array): void {
    const length = payload.length
    const first = fin ? opcode | 0x80 : opcode
    const start = headerBytes(length) + this.#maskBytes
    if (this.#maskKey !== null) {
      const frame = allocate(start + length)
      frame.set(payload, start)
      this.#seal(frame, 0, first, length, start, frame.length, null)
      return this.#push(frame)
    }
    const at = this.#open(start)
    this.#seal(slab, at, first, length, at + start, at + start, null)
    this.#close(at + start)
    this.#push(payload)
  }

  /** Makes room in the slab and returns the place; when that is not behind our last frame, a new stretch begins. */
  #open(need: number): number {
    if (used + need > SLAB_BYTES) renewSlab()
    if (this.#memory !== slab || this.#end !== used) {
      this.#endStretch()
      this.#memory = slab
      this.#start = used
    }
    return used
  }

  #close(end: number): void {
    this.#end = used = end
  }

  #push(segment: Uint8Array): void {
    this.#endStretch()
    this.#segments.push(segment)
    this.#segmentBytes += segment.length
  }

  #endStretch(): void {
    const bytes = this.#end - this.#start
    if (bytes > 0) {
      this.#segments.push(view(this.#memory!, this.#start, this.#end))
      this.#segmentBytes += bytes
    }
    this.#memory = null
    this.#start = this.#end = 0
  }

  /** Writes the header at `at`, for a payload of `length` bytes, and masks what of it lies in `[start, end)`. */
  #seal(
    into: Uint8Array,
    at: number,
    first: number,
    length: number,
    start: number,
    end: number,
    intoWords: DataView | null,
  ): void {
    const maskKey = this.#maskKey
    const maskBit = maskKey === null ? 0 : 0x80
    into[at] = first
    if (length < 126) {
      into[at + 1] = length | maskBit
    } else if (length < 0x1_0000) {
      into[at + 1] = 126 | maskBit
      into[at + 2] = length >> 8
      into[at + 3] = length
    } else {
      into[at + 1] = 127 | maskBit
      writeUint32(into, at + 2, Math.floor(length / 0x1_0000_0000))
      writeUint32(into, at + 6, length)
    }
    if (maskKey === null) return
    // 5.3: a fresh key for every frame.
    const key = maskKey() | 0
    into[start - 4] = key
    into[start - 3] = key >> 8
    into[start - 2] = key >> 16
    into[start - 1] = key >> 24
    if (key !== 0) xorMask(into, start, end, key, intoWords)
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
