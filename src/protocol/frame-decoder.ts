// Strategy: a cursor over the chunk that the caller handed over, and one reused `piece` that says where payload lies in it,
// unmasked in place but for long parts of frames, which may be copied on the way. No payload is ever buffered here: a frame that
// spans chunks is several pieces, and putting them together is the assembler's business. A header that spans chunks (at most 14
// bytes) is the only thing kept, byte by byte, in `#header`; the usual header, whole inside the chunk, is read where it lies.
//
//   chunk:  [header][payload………][header][payl   ──▶  piece {start, end, last: true}, piece {start, end, last: false}
//   chunk:  oad…][header]                       ──▶  piece {start, end, last: true}, piece {empty, last: false}
//
// A header always yields a piece, if an empty one, so that the assembler can refuse what it declares at once. Hot: no
// allocation but the word view that `xorMask` needs, once a chunk and only when a frame is worth it.
//
// Code that has met two classes of `Uint8Array` runs at half its speed from then on, so all memory of our own is of the
// class that chunks have (`allocate`).
import type { FramePiece } from './frame-piece.js'
import { MAX_CONTROL_PAYLOAD_BYTES, Opcode, type Role } from './opcode.js'
import { dataView, isAscii, rotateKey, xorMask } from './mask.js'
import { allocate, copy, EMPTY } from './runtime.js'
import { readUint32 } from './uint32.js'
import { unmask } from './unmask.js'
import { ProtocolViolation } from './violation.js'

type MutablePiece = { -readonly [K in keyof FramePiece]: FramePiece[K] }

/** Part of a frame from here on is unmasked by whoever puts the message together, who may copy it on the way. */
const LATER_BYTES = 4096
/** A chunk with a short frame and this long has room for several. */
const MANY_FRAMES_BYTES = 256

/** Turns chunks of bytes into pieces of frames. RFC 6455, section 5.2. */
export class FrameDecoder {
  /** Meaningful after `next()` returned true, until the following call. */
  readonly piece: FramePiece

  readonly #piece: MutablePiece
  readonly #expectMask: boolean
  readonly #allowedRsv: number
  /** A header cut by the end of a chunk, and how much of it there is. */
  #header: Uint8Array | null = null
  #headerBytes = 0
  #key = 0

  /**
   * @param role who receives: a server expects masked frames, a client unmasked ones.
   * @param allowedRsv the RSV bits that negotiated extensions own (RSV1 is 4).
   */
  constructor(role: Role, allowedRsv = 0) {
    this.#expectMask = role === 'server'
    this.#allowedRsv = allowedRsv
    this.#piece = {
      opcode: Opcode.Continuation,
      fin: false,
      rsv: 0,
      chunk: EMPTY,
      lent: false,
      lasts: false,
      placed: false,
      buffer: null,
      base: 0,
      view: null,
      words: null,
      start: 0,
      end: 0,
      frameBytes: 0,
      remaining: 0,
      first: false,
      last: true,
      ascii: false,
      maskKey: 0,
    }
    this.piece = this.#piece
  }

  /** True between two frames. */
  get atRest(): boolean {
    return this.#piece.last && this.#headerBytes === 0
  }

  /**
   * Hands over the next chunk. The decoder owns it from here on: payload in it is unmasked in place, a long part of a frame
   * by `unmask(piece)`, and pieces point into it. Call only after `next()` returned false.
   *
   * @param lent - whether it is the decoder's only until `giveBack()`.
   */
  feed(chunk: Uint8Array, lent = false): void {
    this.#piece.lent = lent
    this.#piece.lasts = false
    this.#piece.placed = false
    this.#use(chunk)
  }

  /** The chunk just fed lies where the message is put together. */
  markPlaced(): void {
    this.#piece.placed = true
  }

  /**
   * What is left of a chunk that was lent is copied. The last piece must not be needed any more.
   *
   * @returns whether something refers to the last chunk, or to a copy of it.
   */
  giveBack(): boolean {
    const { lent, lasts, chunk, end } = this.#piece
    const left = end < chunk.length
    if (lent && left) this.feed(copy(chunk, end))
    return lasts || left
  }

  /**
   * Moves to the next piece.
   *
   * @returns false when the chunk is used up.
   * @throws ProtocolViolation when a header breaks section 5.2 or 5.5; the decoder must not be used afterwards.
   */
  next(): boolean {
    const piece = this.#piece
    const { chunk, end: at } = piece
    const first = chunk[at]
    // What nearly every call finds, without another call: a short data frame, whole in the chunk. Beyond the chunk's end
    // there is `undefined`, which is equal to nothing.
    if ((first === 0x81 || first === 0x82) && piece.last && this.#headerBytes === 0) {
      const second = chunk[at + 1]
      const masked = this.#expectMask
      const length = masked ? second - 0x80 : second
      const start = masked ? at + 6 : at + 2
      const end = start + length
      if (length >= 0 && length < 126 && end <= chunk.length) {
        piece.opcode = (first & 0xf) as Opcode
        piece.fin = true
        piece.rsv = 0
        piece.start = start
        piece.end = end
        piece.frameBytes = length
        piece.first = true
        piece.ascii = false
        piece.view = null
        if (piece.words === null && chunk.length >= MANY_FRAMES_BYTES) piece.words = dataView(chunk)
        if (masked) {
          const key =
            chunk[start - 4] | (chunk[start - 3] << 8) | (chunk[start - 2] << 16) | (chunk[start - 1] << 24)
          // 5.3: octet i of the payload is XORed with octet i modulo 4 of the key.
          piece.ascii = isAscii(xorMask(chunk, start, end, key, piece.words))
        }
        return true
      }
    }
    return this.#other(piece, chunk, at)
  }

  /** All other frames, and parts of frames. */
  #other(piece: MutablePiece, chunk: Uint8Array, at: number): boolean {
    if (!piece.last) {
      if (at === chunk.length) return this.#drained()
      piece.first = false
      return this.#payload(chunk)
    }
    const available = chunk.length - at
    if (available === 0) return this.#drained()
    if (this.#headerBytes !== 0 || available < 2) return this.#spanningHeader(chunk)

    const second = chunk[at + 1]
    const short = second & 0x7f
    const need = 2 + (short < 126 ? 0 : short === 126 ? 2 : 8) + (second >= 0x80 ? 4 : 0)
    if (available < need) return this.#spanningHeader(chunk)
    piece.end = at + need
    this.#readHeader(chunk, at)
    return this.#payload(chunk)
  }

  /** Lets go of the chunk, so that an idle connection does not hold 64 KiB. */
  #drained(): false {
    this.#use(EMPTY)
    return false
  }

  #use(chunk: Uint8Array): void {
    const piece = this.#piece
    piece.chunk = chunk
    piece.start = piece.end = 0
    piece.words = null
    piece.buffer = piece.view = null
  }

  /** Collects a header that the end of a chunk cut; each byte is looked at as soon as it is there. */
  #spanningHeader(chunk: Uint8Array): boolean {
    const header = (this.#header ??= allocate(14))
    const piece = this.#piece
    while (piece.end < chunk.length) {
      header[this.#headerBytes++] = chunk[piece.end++]
      if (this.#headerBytes < 2) {
        this.#checkFirst(header[0])
        continue
      }
      const second = header[1]
      const short = second & 0x7f
      const need = 2 + (short < 126 ? 0 : short === 126 ? 2 : 8) + (second >= 0x80 ? 4 : 0)
      if (this.#headerBytes < need) {
        if (this.#headerBytes === 2) this.#checkSecond(header[0], second)
        continue
      }
      this.#headerBytes = 0
      this.#readHeader(header, 0)
      return this.#payload(chunk)
    }
    return this.#drained()
  }

  #checkFirst(first: number): void {
    // 5.2: RSV1, RSV2, RSV3 MUST be 0 unless an extension is negotiated that defines meanings for non-zero values.
    const rsv = (first >> 4) & 0x7
    if ((rsv & ~this.#allowedRsv) !== 0) throw new ProtocolViolation('WS_RESERVED_BITS')
    const opcode = first & 0xf
    // 5.2: 0x3-7 and 0xB-F are reserved.
    if ((opcode & 0x7) > 2) throw new ProtocolViolation('WS_UNKNOWN_OPCODE', `0x${opcode.toString(16)}`)
    // 5.5: control frames MUST NOT be fragmented; no extension we know defines RSV bits on them.
    if (opcode >= 0x8) {
      if (first < 0x80) throw new ProtocolViolation('WS_CONTROL_FRAGMENTED')
      if (rsv !== 0) throw new ProtocolViolation('WS_RESERVED_BITS')
    }
  }

  #checkSecond(first: number, second: number): void {
    // 5.1: a client masks all frames, a server none; either MUST close the connection on the contrary.
    if (second >= 0x80 !== this.#expectMask) {
      throw new ProtocolViolation(this.#expectMask ? 'WS_MASK_EXPECTED' : 'WS_MASK_FORBIDDEN')
    }
    // 5.5: control frames MUST have a payload of 125 bytes or less.
    if ((first & 0x8) !== 0 && (second & 0x7f) > MAX_CONTROL_PAYLOAD_BYTES) {
      throw new ProtocolViolation('WS_CONTROL_TOO_LONG')
    }
  }

  /** Reads a whole header at `bytes[at]` into the piece and `#key`. */
  #readHeader(bytes: Uint8Array, at: number): void {
    const first = bytes[at]
    const second = bytes[at + 1]
    // The two headers nearly every frame has pass without a call.
    if ((first !== 0x82 && first !== 0x81) || second >= 0x80 !== this.#expectMask) {
      this.#checkFirst(first)
      this.#checkSecond(first, second)
    }
    let length = second & 0x7f
    let next = at + 2
    if (length === 126) {
      length = (bytes[next] << 8) | bytes[next + 1]
      next += 2
      // 5.2: the minimal number of bytes MUST be used to encode the length.
      if (length < 126) throw new ProtocolViolation('WS_LENGTH_NOT_MINIMAL')
    } else if (length === 127) {
      const upper = readUint32(bytes, next)
      // 5.2: the most significant bit MUST be 0.
      if (upper >= 0x80000000) throw new ProtocolViolation('WS_LENGTH_INVALID')
      // Over 2^53 the number is rounded, which no limit can notice.
      length = upper * 0x1_0000_0000 + readUint32(bytes, next + 4)
      next += 8
      if (length < 0x1_0000) throw new ProtocolViolation('WS_LENGTH_NOT_MINIMAL')
    }
    if (this.#expectMask) {
      this.#key = bytes[next] | (bytes[next + 1] << 8) | (bytes[next + 2] << 16) | (bytes[next + 3] << 24)
    }
    const piece = this.#piece
    piece.opcode = (first & 0xf) as Opcode
    piece.fin = first >= 0x80
    piece.rsv = (first >> 4) & 0x7
    piece.frameBytes = length
    piece.first = true
    piece.remaining = length
  }

  /** Describes the payload that the chunk has from the cursor on, unmasking it. */
  #payload(chunk: Uint8Array): true {
    const piece = this.#piece
    const start = piece.end
    const { remaining } = piece
    const available = chunk.length - start
    const taken = remaining < available ? remaining : available
    const end = start + taken
    piece.remaining = remaining - taken
    piece.start = start
    piece.end = end
    piece.last = taken === remaining
    piece.ascii = false
    piece.view = null
    piece.maskKey = 0
    if (this.#expectMask && taken !== 0) {
      piece.maskKey = this.#key
      if (taken < LATER_BYTES || (piece.first && piece.last)) unmask(piece)
      if (!piece.last) this.#key = rotateKey(this.#key, taken)
    }
    return true
  }
}
