// Strategy: a native slice costs some 45 ns before it copies a byte, twice as much as this. `String.fromCharCode` with
// its arguments written out makes a flat one-byte string in one builtin call; a loop that adds characters would build a
// rope instead. Up to 16 characters the table stays readable, and above that the native call has caught up.

import type { FramePiece } from './frame-piece.js'
import { isAscii } from './mask.js'

const from = String.fromCharCode

/** The longest text `shortAscii` decodes. */
export const SHORT_TEXT_BYTES = 16

/**
 * Decodes a piece of at most 16 bytes when it is ASCII.
 *
 * @returns null when a byte is over 127: the caller must decode UTF-8 then.
 */
export function shortAscii(piece: FramePiece): string | null {
  const { chunk, start, end, words } = piece
  if (!piece.ascii) {
    let high = 0
    let at = start
    if (words !== null) for (const last = end - 3; at < last; at += 4) high |= words.getInt32(at, true)
    for (; at < end; at++) high |= chunk[at]
    if (!isAscii(high)) return null
  }
  return flat(chunk, start, end - start)
}

// A table, one length a line.
// prettier-ignore
function flat(b: Uint8Array, i: number, length: number): string {
  switch (length) {
    case 0: return ''
    case 1: return from(b[i])
    case 2: return from(b[i], b[i+1])
    case 3: return from(b[i], b[i+1], b[i+2])
    case 4: return from(b[i], b[i+1], b[i+2], b[i+3])
    case 5: return from(b[i], b[i+1], b[i+2], b[i+3], b[i+4])
    case 6: return from(b[i], b[i+1], b[i+2], b[i+3], b[i+4], b[i+5])
    case 7: return from(b[i], b[i+1], b[i+2], b[i+3], b[i+4], b[i+5], b[i+6])
    case 8: return from(b[i], b[i+1], b[i+2], b[i+3], b[i+4], b[i+5], b[i+6], b[i+7])
    case 9: return from(b[i], b[i+1], b[i+2], b[i+3], b[i+4], b[i+5], b[i+6], b[i+7], b[i+8])
    case 10: return from(b[i], b[i+1], b[i+2], b[i+3], b[i+4], b[i+5], b[i+6], b[i+7], b[i+8], b[i+9])
    case 11: return from(b[i], b[i+1], b[i+2], b[i+3], b[i+4], b[i+5], b[i+6], b[i+7], b[i+8], b[i+9], b[i+10])
    case 12: return from(b[i], b[i+1], b[i+2], b[i+3], b[i+4], b[i+5], b[i+6], b[i+7], b[i+8], b[i+9], b[i+10], b[i+11])
    case 13: return from(b[i], b[i+1], b[i+2], b[i+3], b[i+4], b[i+5], b[i+6], b[i+7], b[i+8], b[i+9], b[i+10], b[i+11], b[i+12])
    case 14: return from(b[i], b[i+1], b[i+2], b[i+3], b[i+4], b[i+5], b[i+6], b[i+7], b[i+8], b[i+9], b[i+10], b[i+11], b[i+12], b[i+13])
    case 15: return from(b[i], b[i+1], b[i+2], b[i+3], b[i+4], b[i+5], b[i+6], b[i+7], b[i+8], b[i+9], b[i+10], b[i+11], b[i+12], b[i+13], b[i+14])
    default: return from(b[i], b[i+1], b[i+2], b[i+3], b[i+4], b[i+5], b[i+6], b[i+7], b[i+8], b[i+9], b[i+10], b[i+11], b[i+12], b[i+13], b[i+14], b[i+15])
  }
}
