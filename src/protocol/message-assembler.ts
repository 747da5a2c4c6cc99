// Strategy: a frame cut by a chunk and a message cut into fragments are the same thing here: a piece to append. A
// message whose only piece lies whole in the chunk, which is nearly every one, needs no buffer: it is decoded or viewed
// where it lies. All others go to one buffer that grows with what has arrived, at most fourfold and never past what the
// header declares, so a declared length costs nothing and a million fragments cost their bytes. Text is checked piece
// by piece, so it fails at the first bad octet.
//
// A binary payload of at most 64 bytes is copied to the JavaScript heap: it costs the same as a view, and a kept view
// would pin its whole chunk, usually 64 KiB.
import { Opcode } from './opcode.js'
import { parseClosePayload } from './close-payload.js'
import type { Message, ProtocolEvent } from './event.js'
import type { FramePiece } from './frame-decoder.js'
import type { Limits } from './limits.js'
import { allocate, decodeAscii, decodeUtf8, isUtf8, view } from './runtime.js'
import { shortAscii, SHORT_TEXT_BYTES } from './short-text.js'
import { checkUtf8, UTF8_INVALID, UTF8_START } from './utf8.js'
import { ProtocolViolation } from './violation.js'

const COPY_BYTES = 64
/** V8's longest string. A text that could not become one is refused as too big instead of throwing. */
const MAX_TEXT_BYTES = 2 ** 29 - 24
const NONE = 0
const EMPTY = new Uint8Array(0)

/** Puts pieces of frames together to messages and control events. RFC 6455, section 5.4 and 5.5. */
export class MessageAssembler {
  readonly #maxMessageBytes: number
  readonly #maxFragments: number
  /** The opcode of the unfinished message; 0 when there is none. */
  #opcode: number = NONE
  #fragments = 0
  #buffer: Uint8Array = EMPTY
  #length = 0
  #utf8 = UTF8_START
  #ascii = true
  /** An unfinished control frame; it may come between the pieces of a message. */
  #control: Uint8Array | null = null
  #controlLength = 0

  constructor(limits: Limits) {
    this.#maxMessageBytes = limits.maxMessageBytes
    this.#maxFragments = limits.maxFragments
  }

  /** True while a message has begun and not ended. */
  get unfinished(): boolean {
    return this.#opcode !== NONE
  }

  /**
   * Absorbs a piece.
   *
   * @returns the event that the piece completes, if it completes one. Binary data may alias the piece's chunk.
   * @throws ProtocolViolation when the piece breaks section 5.4, 5.5.1, 8.1 or a limit.
   */
  absorb(piece: FramePiece): ProtocolEvent | null {
    const { opcode, first, last } = piece
    if (opcode >= 0x8) return this.#absorbControl(piece)
    if (first) {
      if (opcode !== Opcode.Continuation) {
        // 5.4: the fragments of one message MUST NOT be interleaved between the fragments of another.
        if (this.#opcode !== NONE) throw new ProtocolViolation('WS_CONTINUATION_EXPECTED')
        if (last && piece.fin && piece.frameBytes <= this.#maxMessageBytes) return wholeMessage(piece)
        this.#opcode = opcode
      } else if (this.#opcode === NONE) {
        throw new ProtocolViolation('WS_CONTINUATION_UNEXPECTED')
      }
      this.#admit(piece)
    }
    this.#append(piece)
    return last && piece.fin ? this.#finish() : null
  }

  /** 10.4: refuses what a header announces before a byte of it is kept. */
  #admit(piece: FramePiece): void {
    const bytes = this.#length + piece.frameBytes
    const max =
      this.#opcode === Opcode.Text ? Math.min(this.#maxMessageBytes, MAX_TEXT_BYTES) : this.#maxMessageBytes
    if (bytes > max) throw new ProtocolViolation('WS_MESSAGE_TOO_BIG', `${bytes} bytes, limit ${max}`)
    if (++this.#fragments > this.#maxFragments) {
      throw new ProtocolViolation('WS_TOO_MANY_FRAGMENTS', `limit ${this.#maxFragments}`)
    }
  }

  #append(piece: FramePiece): void {
    const { chunk, start, end } = piece
    const bytes = end - start
    if (bytes === 0) return
    if (this.#opcode === Opcode.Text && !(piece.ascii && this.#utf8 === UTF8_START)) {
      // 8.1: checked as it arrives, so that invalid text fails without waiting for the end of the message.
      this.#utf8 = checkUtf8(this.#utf8, chunk, start, end)
      if (this.#utf8 === UTF8_INVALID) throw new ProtocolViolation('WS_INVALID_UTF8')
      this.#ascii = false
    }
    const length = this.#length + bytes
    if (length > this.#buffer.length) this.#grow(piece, length)
    copy(this.#buffer, this.#length, chunk, start, end)
    this.#length = length
  }

  /** Makes room for `needed` bytes and what is likely to follow; at most four times what has arrived. */
  #grow(piece: FramePiece, needed: number): void {
    // What is still to come of this frame is known from its first piece on; of a later fragment nothing is.
    const declared = piece.fin && piece.first ? this.#length + piece.frameBytes : Infinity
    const buffer = allocate(Math.min(Math.max(declared, needed), needed * 4, this.#maxMessageBytes))
    if (this.#length !== 0) buffer.set(view(this.#buffer, 0, this.#length))
    this.#buffer = buffer
  }

  #finish(): Message {
    const text = this.#opcode === Opcode.Text
    // 8.1: a message that ends inside a character is not valid UTF-8 either.
    if (this.#utf8 !== UTF8_START) throw new ProtocolViolation('WS_INVALID_UTF8', 'ends inside a character')
    const buffer = this.#buffer
    const length = this.#length
    const ascii = this.#ascii
    this.#opcode = NONE
    this.#fragments = 0
    this.#buffer = EMPTY
    this.#length = 0
    this.#ascii = true
    if (text)
      return { type: 'text', data: ascii ? decodeAscii(buffer, 0, length) : decodeUtf8(buffer, 0, length) }
    return { type: 'binary', data: detach(buffer, 0, length) }
  }

  #absorbControl(piece: FramePiece): ProtocolEvent | null {
    const { chunk, start, end, last, opcode } = piece
    if (piece.first && last) return controlEvent(opcode, chunk, start, end)
    const control = (this.#control ??= new Uint8Array(125))
    copy(control, this.#controlLength, chunk, start, end)
    this.#controlLength += end - start
    if (!last) return null
    const length = this.#controlLength
    this.#control = null
    this.#controlLength = 0
    return controlEvent(opcode, control, 0, length)
  }
}

function wholeMessage(piece: FramePiece): Message {
  const { chunk, start, end } = piece
  if (piece.opcode === Opcode.Text) return { type: 'text', data: wholeText(chunk, start, end, piece.ascii) }
  return { type: 'binary', data: detach(chunk, start, end) }
}

function wholeText(chunk: Uint8Array, start: number, end: number, ascii: boolean): string {
  const bytes = end - start
  if (bytes <= SHORT_TEXT_BYTES) {
    const text = shortAscii(chunk, start, bytes)
    if (text !== null) return text
  } else if (ascii) {
    return decodeAscii(chunk, start, end)
  }
  // Decoding replaces what is invalid by U+FFFD, so a text without one needs no second look. Looking for it costs
  // nothing in a one-byte string, which is what ASCII and Latin-1 decode to.
  if (bytes > MAX_TEXT_BYTES) throw new ProtocolViolation('WS_MESSAGE_TOO_BIG', `${bytes} bytes of text`)
  const text = decodeUtf8(chunk, start, end)
  if (text.includes('\ufffd') && !isUtf8(view(chunk, start, end)))
    throw new ProtocolViolation('WS_INVALID_UTF8')
  return text
}

function controlEvent(opcode: Opcode, chunk: Uint8Array, start: number, end: number): ProtocolEvent {
  if (opcode === Opcode.Close) return { type: 'close', frame: parseClosePayload(chunk, start, end) }
  return { type: opcode === Opcode.Ping ? 'ping' : 'pong', data: detach(chunk, start, end) }
}

/** A payload as the user gets it: a copy when it is small, else a view. */
function detach(bytes: Uint8Array, start: number, end: number): Uint8Array {
  const length = end - start
  if (length > COPY_BYTES) return view(bytes, start, end)
  const small = new Uint8Array(length)
  for (let i = 0; i < length; i++) small[i] = bytes[start + i]
  return small
}

function copy(into: Uint8Array, at: number, from: Uint8Array, start: number, end: number): void {
  if (end - start > COPY_BYTES) into.set(view(from, start, end), at)
  else for (let i = start; i < end; i++) into[at++] = from[i]
}
