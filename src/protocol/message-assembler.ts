// Strategy: a frame cut by a chunk and a message cut into fragments are the same thing here: a piece to append. A
// message whose only piece lies whole in the chunk, which is nearly every one, needs no buffer: it is decoded or viewed
// where it lies. All others go to a MessageBuffer, whose memory follows what has arrived, so a declared length costs 16 KiB
// at most and a million fragments cost their bytes. Text is checked piece by piece, so it fails at the first bad octet.
//
// A message that an extension transforms goes through it piece by piece, and what comes out is treated as what came in: checked
// as UTF-8, held against the limit, put together. The extension may say "not yet" (`waiting`).
//
// A binary payload of at most 64 bytes is copied to the JavaScript heap: it costs the same as a view, and a kept view
// would pin its whole chunk, usually 64 KiB.
import { Opcode } from './opcode.js'
import { parseClosePayload } from './close-payload.js'
import { detach } from './detach.js'
import type { Message, ProtocolEvent } from './event.js'
import type { FramePiece } from './frame-piece.js'
import { lastingView } from './lasting.js'
import type { Limits } from './limits.js'
import { MessageBuffer } from './message-buffer.js'
import type { IncomingTransform, TransformSink } from './message-transform.js'
import { decodeAscii, decodeUtf8, isAsciiBytes, isUtf8, MAX_BYTES, view } from './runtime.js'
import { shortAscii, SHORT_TEXT_BYTES } from './short-text.js'
import { TransformedMessage } from './transformed-message.js'
import { unmask } from './unmask.js'
import { checkUtf8, UTF8_INVALID, UTF8_START } from './utf8.js'
import { ProtocolViolation } from './violation.js'

/** V8's longest string. A text that could not become one is refused as too big instead of throwing. */
const MAX_TEXT_BYTES = 2 ** 29 - 24
const NONE = 0
/** From here on a native check that finds plain ASCII pays for itself in the decoding. */
const LONG_TEXT_BYTES = 2048

/** Puts pieces of frames together to messages and control events. RFC 6455, section 5.4 and 5.5. */
export class MessageAssembler {
  readonly #maxMessageBytes: number
  readonly #maxTextBytes: number
  readonly #maxFragments: number
  /** The opcode of the unfinished message; 0 when there is none. */
  #opcode: number = NONE
  #fragments = 0
  readonly #buffer = new MessageBuffer()
  /** Bytes that the frames so far declare. */
  #declared = 0
  #utf8 = UTF8_START
  #ascii = true
  /** An unfinished control frame; it may come between the pieces of a message. */
  #control: MessageBuffer | null = null
  readonly #transform: IncomingTransform | null
  /** What the transform makes of the current message; null when it is as it came. */
  #transformed: TransformedMessage | null = null
  #spare: TransformedMessage | null = null
  /** The transform works on the last piece: of the end of a message, or of its middle. */
  #waiting: 'no' | 'end' | 'middle' = 'no'

  /**
   * @param limits from `resolveLimits`: they are not checked again.
   * @param transform what an extension does to messages with reserved bits.
   */
  constructor(limits: Limits, transform: IncomingTransform | null = null) {
    this.#transform = transform
    this.#maxMessageBytes = Math.min(limits.maxMessageBytes, MAX_BYTES)
    this.#maxTextBytes = Math.min(limits.maxMessageBytes, MAX_TEXT_BYTES)
    this.#maxFragments = limits.maxFragments
  }

  /** True while a message has begun and not ended. */
  get unfinished(): boolean {
    return this.#opcode !== NONE
  }

  /** True while the transform works on what was absorbed last: `resume()` instead of the next piece. */
  get waiting(): boolean {
    return this.#waiting !== 'no'
  }

  /**
   * Absorbs a piece.
   *
   * @returns the event that the piece completes, if it completes one. Binary data may alias the piece's chunk.
   * @throws ProtocolViolation when the piece breaks section 5.4, 5.5.1, 8.1 or a limit.
   */
  absorb(piece: FramePiece): ProtocolEvent | null {
    const { opcode, first, last, fin } = piece
    if (opcode >= 0x8) return this.#absorbControl(piece)
    if (first) {
      if (opcode !== Opcode.Continuation) {
        // 5.4: the fragments of one message MUST NOT be interleaved between the fragments of another.
        if (this.#opcode !== NONE) throw new ProtocolViolation('WS_CONTINUATION_EXPECTED')
        const plain = piece.rsv === 0
        if (plain && last && fin && piece.frameBytes <= this.#maxOf(opcode)) return wholeMessage(piece)
        this.#opcode = opcode
        if (!plain) this.#beginTransformed(opcode)
      } else if (this.#opcode === NONE) {
        throw new ProtocolViolation('WS_CONTINUATION_UNEXPECTED')
      } else if (piece.rsv !== 0) {
        // RFC 7692, 6.1: only the first frame of a message has the bit; MUST fail the connection.
        throw new ProtocolViolation('WS_RESERVED_BITS', 'on a continuation frame')
      }
      this.#admit(piece)
    }
    if (this.#transformed !== null) return this.#decode(piece)
    this.#append(piece, piece.fin ? this.#declared : Infinity)
    return last && fin ? this.#finish() : null
  }

  /** Where the next bytes of the current frame, at most so many, will stay; null where they are better read elsewhere. */
  place(bytes: number): Uint8Array | null {
    return this.#transformed === null ? this.#buffer.place(bytes) : null
  }

  /** Goes on after `waiting`: an event, or null when there is none yet. @throws ProtocolViolation as `absorb`. */
  resume(): ProtocolEvent | null {
    if (!this.#transform!.decoded()) return null
    const end = this.#waiting === 'end'
    this.#waiting = 'no'
    return this.#afterDecoding(end)
  }

  #beginTransformed(opcode: Opcode): void {
    // Without a transform, the decoder lets no reserved bit pass; one used on its own may.
    if (this.#transform === null) throw new ProtocolViolation('WS_RESERVED_BITS')
    this.#transformed = this.#spare ??= new TransformedMessage()
    this.#transformed.begin(opcode, this.#maxOf(opcode))
  }

  #decode(piece: FramePiece): ProtocolEvent | null {
    const end = piece.last && piece.fin
    unmask(piece)
    const done = piece.lent
      ? this.#transform!.decode(lastingView(piece), 0, piece.end - piece.start, end, this.#sink)
      : this.#transform!.decode(piece.chunk, piece.start, piece.end, end, this.#sink)
    if (done) return this.#afterDecoding(end)
    // What came so far may lie in memory that others write to meanwhile.
    this.#keep()
    this.#waiting = end ? 'end' : 'middle'
    return null
  }

  readonly #sink: TransformSink = (bytes, start, end, owned) => {
    this.#keep()
    this.#transformed!.hold(bytes, start, end, owned)
  }

  #keep(): void {
    const transformed = this.#transformed!
    if (!transformed.holding) return
    this.#append(transformed.keep(), Infinity)
    transformed.kept()
  }

  #afterDecoding(end: boolean): ProtocolEvent | null {
    const transformed = this.#transformed!
    if (!end || !transformed.whole) this.#keep()
    if (!end) return null
    if (!transformed.whole) return this.#finish()
    const text = this.#opcode === Opcode.Text
    const message: Message = text
      ? { type: 'text', data: wholeText(transformed.piece) }
      : { type: 'binary', data: transformed.takeBytes() }
    transformed.kept()
    this.#reset()
    return message
  }

  #maxOf(opcode: number): number {
    return opcode === Opcode.Text ? this.#maxTextBytes : this.#maxMessageBytes
  }

  /** 10.4: refuses what a header announces before a byte of it is kept. */
  #admit(piece: FramePiece): void {
    const bytes = this.#declared + piece.frameBytes
    const max = this.#maxOf(this.#opcode)
    if (bytes > max) {
      const how = this.#transformed === null ? '' : ' compressed'
      throw new ProtocolViolation('WS_MESSAGE_TOO_BIG', `${bytes} bytes${how}, limit ${max}`)
    }
    if (++this.#fragments > this.#maxFragments) {
      throw new ProtocolViolation('WS_TOO_MANY_FRAGMENTS', `limit ${this.#maxFragments}`)
    }
    this.#declared = bytes
  }

  /** @param total how long the message will be, `Infinity` as long as that is not known. */
  #append(piece: FramePiece, total: number): void {
    const { start, end } = piece
    if (start === end) return
    const text = this.#opcode === Opcode.Text
    if (text) unmask(piece)
    if (text && !this.#plain(piece)) {
      // 8.1: checked as it arrives, so that invalid text fails without waiting for the end of the message.
      this.#utf8 = checkUtf8(this.#utf8, piece.chunk, start, end)
      if (this.#utf8 === UTF8_INVALID) throw new ProtocolViolation('WS_INVALID_UTF8')
      this.#ascii = false
    }
    this.#buffer.append(piece, total, text)
  }

  /** True when the piece is known to be ASCII and not inside a character. */
  #plain({ ascii, chunk, start, end }: FramePiece): boolean {
    if (this.#utf8 !== UTF8_START) return false
    if (ascii) return true
    if (end - start > SHORT_TEXT_BYTES) return isAsciiBytes(view(chunk, start, end))
    let high = 0
    for (let at = start; at < end; at++) high |= chunk[at]
    return high < 0x80
  }

  #finish(): Message {
    const text = this.#opcode === Opcode.Text
    // 8.1: a message that ends inside a character is not valid UTF-8 either.
    if (this.#utf8 !== UTF8_START) throw new ProtocolViolation('WS_INVALID_UTF8')
    const ascii = this.#ascii
    this.#reset()
    if (text) return { type: 'text', data: this.#buffer.takeText(ascii) }
    return { type: 'binary', data: this.#buffer.takeBytes() }
  }

  #reset(): void {
    this.#opcode = NONE
    this.#fragments = 0
    this.#declared = 0
    this.#ascii = true
    this.#transformed = null
  }

  #absorbControl(piece: FramePiece): ProtocolEvent | null {
    const { last, opcode } = piece
    if (piece.first && last) return controlEvent(opcode, detach(piece))
    this.#control ??= new MessageBuffer()
    this.#control.append(piece, piece.frameBytes, false)
    if (!last) return null
    const bytes = this.#control.takeBytes()
    return controlEvent(opcode, bytes)
  }
}

function wholeMessage(piece: FramePiece): Message {
  if (piece.opcode === Opcode.Text) return { type: 'text', data: wholeText(piece) }
  return { type: 'binary', data: detach(piece) }
}

function wholeText(piece: FramePiece): string {
  const { chunk, start, end } = piece
  const bytes = end - start
  if (bytes <= SHORT_TEXT_BYTES) {
    const text = shortAscii(piece)
    if (text !== null) return text
  } else if (piece.ascii || (bytes >= LONG_TEXT_BYTES && isAsciiBytes(view(chunk, start, end)))) {
    return decodeAscii(chunk, start, end)
  }
  // Decoding replaces what is invalid by U+FFFD, so a text without one needs no second look. Looking for it costs
  // nothing in a one-byte string, which is what ASCII and Latin-1 decode to.
  const text = decodeUtf8(chunk, start, end)
  if (text.includes('\ufffd') && !isUtf8(view(chunk, start, end))) {
    throw new ProtocolViolation('WS_INVALID_UTF8')
  }
  return text
}

function controlEvent(opcode: Opcode, data: Uint8Array): ProtocolEvent {
  if (opcode === Opcode.Close) return { type: 'close', frame: parseClosePayload(data) }
  return { type: opcode === Opcode.Ping ? 'ping' : 'pong', data }
}
