// Strategy: a text must fail at the first octet that cannot be UTF-8 (8.1; Autobahn 6.4.*), so each piece is checked
// as it arrives. The native `isUtf8` only judges whole strings, so the state between two pieces is the unfinished
// character at the end of the first, at most three bytes, packed into one number with its length. A piece is then:
// finish that character by the table of Unicode's section 3.9 (D92), hand the middle to `isUtf8`, look at the last
// three bytes for the next unfinished one. Hot: no allocation but the view for `isUtf8`.
import { isUtf8, view } from './runtime.js'

/** The state before the first byte and after each whole character. */
export const UTF8_START = 0
/** The state after a byte that no valid UTF-8 can have there. */
export const UTF8_INVALID = -1

const SHORT_BYTES = 24

/**
 * Checks the next piece of a text.
 *
 * @param state what the last call returned, `UTF8_START` at the beginning.
 * @returns `UTF8_INVALID`, `UTF8_START` when the piece ends with a whole character, else the state to go on with.
 */
export function checkUtf8(state: number, bytes: Uint8Array, start: number, end: number): number {
  let at = start
  while (state > 0 && at < end) state = step(state, bytes[at++])
  if (state < 0) return UTF8_INVALID
  if (end - at > SHORT_BYTES) {
    const body = wholeUntil(bytes, at, end)
    if (!isUtf8(view(bytes, at, body))) return UTF8_INVALID
    at = body
  }
  while (at < end) {
    const byte = bytes[at++]
    if (state === 0 && byte < 0x80) continue
    state = step(state, byte)
    if (state < 0) return UTF8_INVALID
  }
  return state
}

/** Where the last character that may be unfinished begins, or `end`. */
function wholeUntil(bytes: Uint8Array, start: number, end: number): number {
  for (let at = end - 1; at >= start && at >= end - 3; at--) {
    const byte = bytes[at]
    if (byte < 0x80) return end
    if (byte >= 0xc0) {
      const length = byte < 0xe0 ? 2 : byte < 0xf0 ? 3 : 4
      return at + length > end ? at : end
    }
  }
  return end
}

// A state is `needed << 16 | low << 8 | high`: the continuation bytes still needed and the range of the next one.
const CONTINUE_1 = (1 << 16) | 0x80bf
const CONTINUE_2 = (2 << 16) | 0x80bf
const CONTINUE_3 = (3 << 16) | 0x80bf

/** One byte further. Unicode 3.9, table 3-7: well-formed byte sequences. */
function step(state: number, byte: number): number {
  if (state !== 0) {
    if (byte < ((state >> 8) & 0xff) || byte > (state & 0xff)) return UTF8_INVALID
    const needed = (state >> 16) - 1
    return needed === 0 ? UTF8_START : (needed << 16) | 0x80bf
  }
  if (byte < 0x80) return UTF8_START
  if (byte < 0xc2) return UTF8_INVALID // a continuation byte, or an overlong form
  if (byte < 0xe0) return CONTINUE_1
  if (byte === 0xe0) return (2 << 16) | 0xa0bf // no overlong forms
  if (byte === 0xed) return (2 << 16) | 0x809f // no surrogates
  if (byte < 0xf0) return CONTINUE_2
  if (byte === 0xf0) return (3 << 16) | 0x90bf // no overlong forms
  if (byte < 0xf4) return CONTINUE_3
  if (byte === 0xf4) return (3 << 16) | 0x808f // nothing over U+10FFFF
  return UTF8_INVALID
}
