import { type FramePiece, pieceView } from './frame-piece.js'
import { dataView, isAscii, SIMD_BYTES, xorMask, xorWhole } from './mask.js'
import { BLOCK_BYTES, wasmXor } from './mask-wasm.js'

/** A `DataView` costs as much as unmasking this many bytes one by one; above `WORDS_TO_BYTES` it is SIMD's business. */
const WORDS_FROM_BYTES = 160
const WORDS_TO_BYTES = 2048

/** Unmasks the payload where it lies, unless it is plain. 5.3: octet i is XORed with octet i modulo 4 of the key. */
export function unmask(piece: FramePiece): void {
  const { chunk, start, end, maskKey } = piece
  if (maskKey === 0) return
  piece.maskKey = 0
  const bytes = end - start
  // The view that the module wants will be the message's own.
  if (bytes >= SIMD_BYTES && bytes <= BLOCK_BYTES && piece.last && piece.first && wasmXor() !== null) {
    piece.ascii = isAscii(xorWhole(pieceView(piece), chunk, start, maskKey, piece.words))
    return
  }
  if (piece.words === null && bytes >= WORDS_FROM_BYTES && bytes < WORDS_TO_BYTES)
    piece.words = dataView(chunk)
  piece.ascii = isAscii(xorMask(chunk, start, end, maskKey, piece.words))
}
