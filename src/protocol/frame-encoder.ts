// Strategy: small frames of all connections are written, header and payload, one behind the other into a shared slab and
// masked there. What one connection wrote without another in between is one segment, so a tick of a hundred sends leaves as
// one buffer, without a buffer, a view or a second copy per frame, and an idle connection holds nothing. No byte of a slab
// is written again before its segment was recycled (output-memory.ts).
//
// A short text is written by a loop while it is ASCII, any other by the native writer, behind a header of the likeliest
// size. Frames too large for a slab get memory of their own. A server's large binary goes beside its header untouched,
// and the caller must not change it until it has left; a client must copy to mask anyway.
//
//   text, bytes ──▶ [slab ……|hdr|payload|hdr|payload|……]  ──▶ take(): one view per uninterrupted stretch
//   large       ──▶ [hdr|payload], or for a server's binary [hdr] + [payload itself]
import type { Opcode, Role } from './opcode.js'
import { xorMask } from './mask.js'
import { largeMemory, renewSlab, type Slab, slab, SLAB_BYTES } from './output-memory.js'
import { utf8Length, view, writeAscii, writeUtf8 } from './runtime.js'

/** A fresh unpredictable 32-bit key per call (5.3, 10.3). The transport owns the pool of random bytes. */
export type MaskSource = () => number

const MAX_HEADER_BYTES = 14
const LOOP_CHARS = 40
/** Texts up to here are written without asking first how long they will be: three bytes a character at most. */
const SHORT_CHARS = 4096
/** Payloads of a server up to this size are gathered: copying them costs less than a buffer of their own in a stream. */
const GATHER_BYTES = 16 * 1024

/** Builds frames. RFC 6455, section 5.2 and 5.3. It knows nothing of the order in which frames may follow. */
export class FrameEncoder {
  readonly #maskKey: MaskSource | null
  readonly #maskBytes: number
  #segments: Uint8Array[] = []
  #segmentBytes = 0
  /** The stretch of a slab that is being written. */
  #slab: Slab | null = null
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

  /** How long a frame with a payload of `length` bytes is. */
  frameBytes(length: number): number {
    return headerBytes(length) + this.#maskBytes + length
  }

  /** Drains the frames written so far, in order. Their memory stays as it is until `recycle` is called with them. */
  take(): readonly Uint8Array[] {
    this.#endStretch()
    const segments = this.#segments
    this.#segments = []
    this.#segmentBytes = 0
    return segments
  }

  /** Adds a frame with `text` as UTF-8; lone surrogates become U+FFFD. */
  text(opcode: Opcode, fin: boolean, text: string): void {
    const first = fin ? opcode | 0x80 : opcode
    const chars = text.length
    if (chars > SHORT_CHARS) return this.#longText(first, text)
    const at = this.#open(MAX_HEADER_BYTES + 3 * chars)
    const { bytes } = slab
    const likely = at + headerBytes(chars) + this.#maskBytes
    let end = likely
    if (chars <= LOOP_CHARS) {
      let high = 0
      for (let i = 0; i < chars; i++) {
        const unit = text.charCodeAt(i)
        bytes[end++] = unit
        high |= unit
      }
      if (high > 0x7f) end = likely + writeUtf8(bytes, text, likely)
    } else {
      end = likely + writeUtf8(bytes, text, likely)
    }
    const length = end - likely
    const start = at + headerBytes(length) + this.#maskBytes
    if (start !== likely) bytes.copyWithin(start, likely, end)
    this.#close(first, at, length, start, start + length)
  }

  /** Adds a frame with these bytes. They are never written to; see the strategy for when they are kept. */
  bytes(opcode: Opcode, fin: boolean, payload: Uint8Array): void {
    const first = fin ? opcode | 0x80 : opcode
    const length = payload.length
    const head = headerBytes(length) + this.#maskBytes
    if (length <= GATHER_BYTES || (this.#maskKey !== null && head + length <= SLAB_BYTES)) {
      const at = this.#open(head + length)
      const start = at + head
      slab.bytes.set(payload, start)
      this.#close(first, at, length, start, start + length)
    } else if (this.#maskKey === null) {
      const at = this.#open(head)
      this.#close(first, at, length, at + head, at + head)
      this.#push(payload)
    } else {
      const frame = largeMemory(head + length)
      frame.set(payload, head)
      this.#ownFrame(frame, first, head)
    }
  }

  #longText(first: number, text: string): void {
    // Nearly every long text is ASCII, and asking how long it will be takes longer than writing it.
    const chars = text.length
    const head = headerBytes(chars) + this.#maskBytes
    if (head + chars <= SLAB_BYTES) {
      const at = this.#open(head + chars)
      const start = at + head
      if (writeAscii(slab.bytes, text, start)) return this.#close(first, at, chars, start, start + chars)
      // The stretch stays open, and what was written to it is written over.
    } else {
      const frame = largeMemory(head + chars)
      if (writeAscii(frame, text, head)) return this.#ownFrame(frame, first, head)
    }
    const length = utf8Length(text)
    const start = headerBytes(length) + this.#maskBytes
    const frame = largeMemory(start + length)
    writeUtf8(frame, text, start)
    this.#ownFrame(frame, first, start)
  }

  #ownFrame(frame: Uint8Array, first: number, start: number): void {
    this.#seal(frame, 0, first, frame.length - start, start, frame.length, null)
    this.#push(frame)
  }

  /** Makes room in the slab and returns the place; when that is not behind our last frame, a new stretch begins. */
  #open(need: number): number {
    if (slab.used + need > SLAB_BYTES) renewSlab()
    if (this.#slab !== slab || this.#end !== slab.used) {
      this.#endStretch()
      this.#slab = slab
      this.#start = this.#end = slab.used
      slab.live++
    }
    return this.#end
  }

  /** Finishes a frame in the slab. */
  #close(first: number, at: number, length: number, start: number, end: number): void {
    this.#seal(slab.bytes, at, first, length, start, end, slab.words)
    this.#end = slab.used = end
  }

  #push(segment: Uint8Array): void {
    this.#endStretch()
    this.#segments.push(segment)
    this.#segmentBytes += segment.length
  }

  #endStretch(): void {
    if (this.#slab === null) return
    const bytes = this.#end - this.#start
    if (bytes === 0) this.#slab.live--
    else {
      this.#segments.push(view(this.#slab.bytes, this.#start, this.#end))
      this.#segmentBytes += bytes
    }
    this.#slab = null
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
