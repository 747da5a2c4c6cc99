import type { Opcode } from './opcode.js'

/** Part of one frame's payload: `chunk[start, end)`. The decoder reuses the object. */
export interface FramePiece {
  readonly opcode: Opcode
  readonly fin: boolean
  /** RSV1 is 4, RSV2 is 2, RSV3 is 1; always 0 unless an extension allowed them. */
  readonly rsv: number
  chunk: Uint8Array
  /** The chunk will be written to by others: whoever refers to it for longer asks for a `lastingView`. */
  lent: boolean
  /** Something refers to the chunk, or would if it were not lent. */
  lasts: boolean
  /** The chunk lies where the message is put together. */
  placed: boolean
  /** The memory behind `chunk`, once somebody asked for it, and where the chunk begins in it. See `pieceView`. */
  buffer: ArrayBufferLike | null
  base: number
  /** The payload as a view, once somebody made one. */
  view: Uint8Array | null
  /** A `DataView` over `chunk`, where there is one. */
  words: DataView | null
  start: number
  /** The decoder goes on from here. */
  end: number
  /** Payload bytes of the whole frame, as its header declares; may be over 2^32. */
  readonly frameBytes: number
  /** How many of them are still to come behind this piece. */
  readonly remaining: number
  /** True on the first piece of a frame. */
  readonly first: boolean
  /** True on the piece that ends its frame. A frame in one piece is both first and last. */
  readonly last: boolean
  /** True when the decoder knows, at no cost, that every byte of this piece is below 128. */
  ascii: boolean
  /** The key that the payload is still masked with; 0 for plain bytes. See unmask.ts. */
  maskKey: number
}

/** The payload of a piece as a view, the same each time. Asking a chunk for its memory costs as much as a view, so it is asked once. */
export function pieceView(piece: FramePiece): Uint8Array {
  if (piece.view !== null) return piece.view
  if (piece.buffer === null) {
    piece.buffer = piece.chunk.buffer
    piece.base = piece.chunk.byteOffset
  }
  piece.view = new Uint8Array(piece.buffer, piece.base + piece.start, piece.end - piece.start)
  return piece.view
}
