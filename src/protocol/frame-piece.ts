import type { Opcode } from './opcode.js'

/** Part of one frame's payload, already unmasked: `chunk[start, end)`. The decoder reuses the object. */
export interface FramePiece {
  readonly opcode: Opcode
  readonly fin: boolean
  /** RSV1 is 4, RSV2 is 2, RSV3 is 1; always 0 unless an extension allowed them. */
  readonly rsv: number
  readonly chunk: Uint8Array
  /** The memory behind `chunk`, once somebody asked for it, and where the chunk begins in it. See `pieceView`. */
  buffer: ArrayBufferLike | null
  base: number
  /** The payload as a view, once somebody made one. */
  view: Uint8Array | null
  /** A `DataView` over `chunk`, where there is one. */
  readonly words: DataView | null
  readonly start: number
  readonly end: number
  /** Payload bytes of the whole frame, as its header declares; may be over 2^32. */
  readonly frameBytes: number
  /** True on the first piece of a frame. */
  readonly first: boolean
  /** True on the piece that ends its frame. A frame in one piece is both first and last. */
  readonly last: boolean
  /** True when the decoder knows, at no cost, that every byte of this piece is below 128. */
  readonly ascii: boolean
}
