// Strategy: a chunk that was only lent is written to again as soon as its events were pulled. When the first thing in it has to
// last (a view that the user gets, a part of a message, what an extension works on), all that is left of it is copied in one go and
// takes its place; from there on it is as if it had been ours. Copies cost so much that whoever lends had better not, when chunk
// after chunk has to be copied: `lasts` says so. A chunk of texts and of small payloads, which are copied anyway, never comes to that.
import { type FramePiece, pieceView } from './frame-piece.js'
import { dataView } from './mask.js'
import { copy } from './runtime.js'

/** The payload of a piece, which may be referred to for as long as anybody likes. */
export function lastingView(piece: FramePiece): Uint8Array {
  piece.lasts = true
  if (piece.lent) keepChunk(piece)
  return pieceView(piece)
}

/** Nobody writes to the piece's chunk any more, from the piece on. */
function keepChunk(piece: FramePiece): void {
  const { start } = piece
  const chunk = copy(piece.chunk, start)
  piece.chunk = chunk
  piece.lent = false
  piece.start = 0
  piece.end -= start
  piece.buffer = piece.view = null
  if (piece.words !== null) piece.words = dataView(chunk)
}
