// Strategy: one table of 256 entries says what each byte may be part of (RFC 9110 section 5.6.2 and 5.5,
// RFC 9112 section 3). The reader asks it about bytes, the checks below about the characters of strings,
// where a character above U+00FF falls outside the table and so belongs to nothing.

/** `tchar`: what names, methods, subprotocols and extension parameters are made of. */
export const TOKEN = 1
/** What a line of a head may contain: tab, space, visible ASCII, and the bytes from 0x80 on. */
export const TEXT = 2
/** Visible ASCII: what a request target is made of. */
export const VISIBLE = 4
/** What can be in the value of `Host`: visible ASCII but the delimiters that would end an authority. */
const AUTHORITY = 8

/** What each byte may be part of: a union of the bits above. */
export const byteClass: Uint8Array = new Uint8Array(256)

for (let byte = 0; byte < 256; byte++) {
  if (byte === 0x09 || (byte >= 0x20 && byte !== 0x7f)) byteClass[byte] |= TEXT
  if (byte > 0x20 && byte < 0x7f) byteClass[byte] |= VISIBLE | TOKEN | AUTHORITY
}
for (const separator of '()<>@,;:\\"/[]?={}') byteClass[separator.charCodeAt(0)] &= ~TOKEN
for (const delimiter of '/\\@?#"<>') byteClass[delimiter.charCodeAt(0)] &= ~AUTHORITY

function isAll(text: string, wanted: number): boolean {
  for (let i = 0; i < text.length; i++) {
    if ((byteClass[text.charCodeAt(i)] & wanted) === 0) return false
  }
  return true
}

/** Whether the text is a `token`, which is never empty. */
export function isToken(text: string): boolean {
  return text !== '' && isAll(text, TOKEN)
}

/** Whether the text can be a header value: no CR, LF, NUL or other control, nothing outside latin1. */
export function isFieldValue(text: string): boolean {
  return isAll(text, TEXT)
}

/** Whether the text has nothing but visible ASCII, and some of it. */
export function isVisible(text: string): boolean {
  return text !== '' && isAll(text, VISIBLE)
}

/** Whether the text can be the value of `Host` (a screen against nonsense, not a full URI grammar). */
export function isHost(text: string): boolean {
  return text !== '' && isAll(text, AUTHORITY)
}

/**
 * Whether the text is a request target RFC 6455 section 4.1 (3) knows: a path, or an absolute http(s) URI.
 */
export function isTarget(text: string): boolean {
  if (!isVisible(text) || text.includes('#')) return false
  return text.startsWith('/') || /^https?:\/\/[^/?]/i.test(text)
}

/** Whether the character is a space or a tab, all the whitespace that a line of a head can contain. */
export function isBlank(character: number): boolean {
  return character === 0x20 || character === 0x09
}
