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
import { copyMasked, xorMask } from './mask.js'
import {
  endStretch,
  largeMemory,
  noteForeign,
  renewSlab,
  returnLarge,
  type Slab,
  slab,
  SLAB_BYTES,
  stretch,
} from './output-memory.js'
import { allocate, utf8Length, writeAscii, writeUtf8 } from './runtime.js'
import { writeUint32 } from './uint32.js'

/** A fresh unpredictable 32-bit key per call (5.3, 10.3). The transport owns the pool of random bytes. */
export type MaskSource = () => number

const MAX_HEADER_BYTES = 14
const LOOP_CHARS = 40
/** Texts up to here are written without asking first how long they will be: three bytes a character at most. */
const SHORT_CHARS = 4096
/** Payloads of a server up to this size are gathered: copying them costs less than a buffer of their own in a stream. */
export const GATHER_BYTES = 4096

/** Builds frames. RFC 6455, section 5.2 and 5.3. It knows nothing of the order in which frames may follow. */
export class FrameEncoder {
  readonly #maskKey: MaskSource | null
  readonly #maskBytes: number
  #segments: Uint8Array[] = []
  /** Those of the segments that are the caller's own bytes. */
  #foreign: Uint8Array[] = []
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
  take(): Uint8Array[] {
    this.#endStretch()
    const segments = this.#segments
    if (this.#foreign.length > 0) {
      noteForeign(segments, this.#foreign)
      this.#foreign = []
    }
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
    this.#seal(slab.bytes, at, first, length, start, slab.words)
    this.#close(start + length)
  }

  /**
   * Adds a frame with these bytes. They are never written to; see the strategy for when they are kept.
   *
   * @param rsv the reserved bits of the frame; RSV1 is 4.
   * @param lasting false for bytes that will change soon: they are copied then. No more than fit a slab.
   */
  bytes(opcode: Opcode, fin: boolean, payload: Uint8Array, rsv = 0, lasting = true): void {
    const first = (fin ? opcode | 0x80 : opcode) | (rsv << 4)
    const length = payload.length
    const head = headerBytes(length) + this.#maskBytes
    const maskKey = this.#maskKey
    if (maskKey !== null && head + length > SLAB_BYTES) {
      const frame = largeMemory(head + length)
      copyMasked(payload, frame, head, this.#header(frame, 0, first, length, maskKey), null)
      return this.#push(frame)
    }
    if (maskKey !== null) {
      const at = this.#open(head + length)
      copyMasked(
        payload,
        slab.bytes,
        at + head,
        this.#header(slab.bytes, at, first, length, maskKey),
        slab.words,
      )
      return this.#close(at + head + length)
    }
    const refer = length > GATHER_BYTES && lasting
    const at = this.#open(refer ? head : head + length)
    this.#header(slab.bytes, at, first, length, null)
    if (refer) {
      this.#close(at + head)
      this.#foreign.push(payload)
      return this.#push(payload)
    }
    slab.bytes.set(payload, at + head)
    this.#close(at + head + length)
  }

  /** Adds a whole frame that was built by `frame()` and is nobody else's to change: as it is, or gathered with others. */
  prebuilt(frame: Uint8Array): void {
    if (this.pendingBytes === 0 || frame.length > GATHER_BYTES) return this.#push(frame)
    const at = this.#open(frame.length)
    slab.bytes.set(frame, at)
    this.#close(at + frame.length)
  }

  /** A server's whole frame with this payload, in memory of its own. */
  frame(opcode: Opcode, payload: Uint8Array, rsv: number): Uint8Array {
    const head = headerBytes(payload.length)
    const frame = allocate(head + payload.length)
    this.#header(frame, 0, opcode | 0x80 | (rsv << 4), payload.length, null)
    frame.set(payload, head)
    return frame
  }

  #longText(first: number, text: string): void {
    // Nearly every long text is ASCII, and asking how long it will be takes longer than writing it.
    const chars = text.length
    const head = headerBytes(chars) + this.#maskBytes
    if (head + chars <= SLAB_BYTES) {
      const at = this.#open(head + chars)
      const start = at + head
      if (writeAscii(slab.bytes, text, start)) {
        this.#seal(slab.bytes, at, first, chars, start, slab.words)
        return this.#close(start + chars)
      }
      // The stretch stays open, and what was written to it is written over.
    } else {
      const frame = largeMemory(head + chars)
      if (writeAscii(frame, text, head)) return this.#ownFrame(frame, first, head)
      returnLarge(frame)
    }
    const length = utf8Length(text)
    const start = headerBytes(length) + this.#maskBytes
    const frame = largeMemory(start + length)
    writeUtf8(frame, text, start)
    this.#ownFrame(frame, first, start)
  }

  #ownFrame(frame: Uint8Array, first: number, start: number): void {
    this.#seal(frame, 0, first, frame.length - start, start, null)
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

  /** Everything before `end` is written. */
  #close(end: number): void {
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
    if (bytes === 0) endStretch(this.#slab)
    else {
      const segment = stretch(this.#slab, this.#start, this.#end)
      // The first `push` makes room for many, and mostly there is one.
      if (this.#segments.length === 0) this.#segments = [segment]
      else this.#segments.push(segment)
      this.#segmentBytes += bytes
    }
    this.#slab = null
    this.#start = this.#end = 0
  }

  /** Writes the header before a payload that lies at `start` already, and masks it. */
  #seal(
    into: Uint8Array,
    at: number,
    first: number,
    length: number,
    start: number,
    words: DataView | null,
  ): void {
    const key = this.#header(into, at, first, length, this.#maskKey)
    if (key !== 0) xorMask(into, start, start + length, key, words)
  }

  /** Writes a header at `at`. @returns the masking key, 0 without one. */
  #header(into: Uint8Array, at: number, first: number, length: number, maskKey: MaskSource | null): number {
    const maskBit = maskKey === null ? 0 : 0x80
    into[at] = first
    if (length < 126) {
      into[at + 1] = length | maskBit
      at += 2
    } else if (length < 0x1_0000) {
      into[at + 1] = 126 | maskBit
      into[at + 2] = length >> 8
      into[at + 3] = length
      at += 4
    } else {
      into[at + 1] = 127 | maskBit
      writeUint32(into, at + 2, Math.floor(length / 0x1_0000_0000))
      writeUint32(into, at + 6, length)
      at += 10
    }
    if (maskKey === null) return 0
    // 5.3: a fresh key for every frame.
    const key = maskKey() | 0
    into[at] = key
    into[at + 1] = key >> 8
    into[at + 2] = key >> 16
    into[at + 3] = key >> 24
    return key
  }
}

/** 5.2: the minimal number of bytes for a payload length, masking key not counted. */
function headerBytes(length: number): number {
  return length < 126 ? 2 : length < 0x1_0000 ? 4 : 10
}
