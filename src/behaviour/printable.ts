// Strategy: what a peer sends must not be able to write a line of its own into a log, nor to move the cursor of a terminal,
// nor to turn the direction of writing round. So there are no other characters in a line than those that only look like
// themselves, and what is not a plain word stands in quotes.

// Control characters, invisible formatting (with the marks of direction), lone surrogates, private use, line separators.
const UNSAFE = /[\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Zl}\p{Zp}]/u
const ALL_UNSAFE = new RegExp(UNSAFE, 'gu')

const SHORT: Readonly<Record<string, string>> = { '\n': '\\n', '\r': '\\r', '\t': '\\t' }

function escapeCharacter(character: string): string {
  const short = SHORT[character]
  if (short !== undefined) return short
  const hex = character.codePointAt(0)!.toString(16)
  if (hex.length <= 2) return `\\x${hex.padStart(2, '0')}`
  return hex.length <= 4 ? `\\u${hex.padStart(4, '0')}` : `\\u{${hex}}`
}

/** Writes out all characters that are not only themselves: `\n`, `\x1b`, `\u202e`. */
export const escapeUnsafe = (text: string): string => text.replaceAll(ALL_UNSAFE, escapeCharacter)

/**
 * A text in quotes, its quotes and backslashes escaped too, of about `max` characters; `…` behind the quotes says that it
 * was longer, or that there is `more`.
 */
export function quote(text: string, max: number, more = false): string {
  let shown = ''
  let at = 0
  while (at < text.length && shown.length < max) {
    const character = String.fromCodePoint(text.codePointAt(at)!)
    at += character.length
    if (character === '"' || character === '\\') shown += `\\${character}`
    else shown += UNSAFE.test(character) ? escapeCharacter(character) : character
  }
  return `"${shown}"${more || at < text.length ? '…' : ''}`
}

/** The text as it is when it is one plain word, in quotes otherwise. */
export function word(text: string, max = 400): string {
  return text.length <= max && /^[!#-[\]-~]+$/.test(text) ? text : quote(text, max)
}
