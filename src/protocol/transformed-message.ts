// Strategy: what a transform gives back, held until it is known whether more comes. A message that comes out in one piece, as
// nearly every one does, is decoded or copied from where the transform has put it; only of longer ones are the pieces kept.
// A piece looks like one of the decoder's, so that all that is done with pieces can be done with it.
import type { FramePiece } from './frame-piece.js'
import { type Opcode, Opcode as Opcodes } from './opcode.js'
import { allocate, EMPTY, view } from './runtime.js'
import { ProtocolViolation } from './violation.js'

/** Below this size an array lives on the JavaScript heap. */
const SMALL_BYTES = 64
/** Pieces from here on may be kept as they are, which those of others must not. */
const COPY_BYTES = 16 * 1024

/** The pieces of one message after another. */
export class TransformedMessage {
  /** The piece that is held. */
  readonly piece: { -readonly [K in keyof FramePiece]: FramePiece[K] } = {
    opcode: Opcodes.Continuation,
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
  #max = 0
  #bytes = 0
  #whole = true
  #owned = false

  /** A message begins. @param max how many bytes it may become. */
  begin(opcode: Opcode, max: number): void {
    this.piece.opcode = opcode
    this.#max = max
    this.#bytes = 0
    this.#whole = true
    this.#clear()
  }

  /** True when there is a piece that was not kept. */
  get holding(): boolean {
    return this.piece.end > this.piece.start
  }

  /** True while the piece that is held is all there was. */
  get whole(): boolean {
    return this.#whole
  }

  /** Takes the next piece, once the last one was kept. @throws ProtocolViolation `WS_MESSAGE_TOO_BIG`. */
  hold(bytes: Uint8Array, start: number, end: number, owned: boolean): void {
    this.#bytes += end - start
    if (this.#bytes > this.#max) {
      throw new ProtocolViolation('WS_MESSAGE_TOO_BIG', `more than ${this.#max} when it is decompressed`)
    }
    const { piece } = this
    piece.chunk = bytes
    piece.buffer = piece.view = null
    piece.start = start
    piece.end = end
    this.#owned = owned
  }

  /** The piece that is held, for one who keeps it. */
  keep(): FramePiece {
    const { piece } = this
    this.#whole = false
    if (this.#owned || piece.end - piece.start < COPY_BYTES) return piece
    piece.chunk = this.#copy()
    piece.buffer = piece.view = null
    piece.end -= piece.start
    piece.start = 0
    return piece
  }

  /** The piece was kept. */
  kept(): void {
    this.#clear()
  }

  /** The bytes of a message that came in one piece, in memory that nobody else will write to. */
  takeBytes(): Uint8Array {
    const { chunk, start, end } = this.piece
    const bytes = end - start
    const result =
      bytes <= SMALL_BYTES
        ? new Uint8Array(view(chunk, start, end))
        : this.#owned
          ? view(chunk, start, end)
          : view(this.#copy(), 0, bytes)
    this.#clear()
    return result
  }

  #copy(): Uint8Array {
    const { chunk, start, end } = this.piece
    const own = allocate(end - start)
    own.set(view(chunk, start, end))
    return own
  }

  #clear(): void {
    const { piece } = this
    piece.chunk = EMPTY
    piece.buffer = piece.view = null
    piece.start = piece.end = 0
  }
}
