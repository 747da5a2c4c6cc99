// Strategy: a cursor that walks each value once, one small function per rule of the grammar, each of which
// steps over what it has read or says that it does not fit. No regular expression, nothing is ever tried
// twice, so the time is linear for any input. `null` means malformed: the caller knows which header it was
// and whose fault that is.
//
// The RFC 2616 #rule that RFC 6455 builds on lets a list have empty elements (`a,, b`), but not only such;
// blanks may stand between any two tokens ("implied *LWS"). Parameters stay a list of pairs: a name such as
// `__proto__` or `constructor` never becomes a key of an object.
import { byteClass, isBlank, isToken, TOKEN } from './grammar.js'
import type { ExtensionOffer } from './head.js'

const COMMA = 0x2c
const SEMICOLON = 0x3b
const EQUALS = 0x3d
const QUOTE = 0x22
const BACKSLASH = 0x5c

class Cursor {
  readonly #text: string
  #at = 0

  constructor(text: string) {
    this.#text = text
  }

  get atEnd(): boolean {
    return this.#at === this.#text.length
  }

  skipBlanks(): void {
    while (isBlank(this.#text.charCodeAt(this.#at))) this.#at++
  }

  /** Steps over blanks, then over `character` if it is there. */
  skip(character: number): boolean {
    this.skipBlanks()
    if (this.#text.charCodeAt(this.#at) !== character) return false
    this.#at++
    return true
  }

  /** Reads a token after blanks; empty when there is none. */
  token(): string {
    this.skipBlanks()
    const start = this.#at
    while ((byteClass[this.#text.charCodeAt(this.#at)] & TOKEN) !== 0) this.#at++
    return this.#text.slice(start, this.#at)
  }

  /**
   * Reads to the closing quote, after the opening one: the text without its escapes, `null` when it does not
   * end.
   */
  quoted(): string | null {
    const text = this.#text
    let value = ''
    let start = this.#at
    while (this.#at < text.length) {
      const character = text.charCodeAt(this.#at++)
      if (character === QUOTE) return value + text.slice(start, this.#at - 1)
      if (character !== BACKSLASH) continue
      // RFC 9110 5.6.4: a backslash stands for the character behind it.
      value += text.slice(start, this.#at - 1)
      start = this.#at++
    }
    return null
  }
}

/**
 * Reads one `element` after the other, commas between them, empty ones passed over; `null` if one is
 * malformed.
 */
function parseList<T>(
  values: readonly string[],
  element: (cursor: Cursor, name: string) => T | null,
): T[] | null {
  const list: T[] = []
  // 9.1: several header lines are one list.
  for (const value of values) {
    const cursor = new Cursor(value)
    do {
      const name = cursor.token()
      if (name === '') continue
      const parsed = element(cursor, name)
      if (parsed === null) return null
      list.push(parsed)
    } while (cursor.skip(COMMA))
    if (!cursor.atEnd) return null
  }
  // 1#element: at least one.
  return list.length === 0 ? null : list
}

/** Parses `1#token` over all lines of a header (RFC 6455 section 4.3); `null` when malformed. */
export function parseTokenList(values: readonly string[]): string[] | null {
  return parseList(values, (_, name) => name)
}

/** Parses `extension-list` over all lines of a header (RFC 6455 section 9.1); `null` when malformed. */
export function parseExtensionList(values: readonly string[]): ExtensionOffer[] | null {
  return parseList(values, parseExtension)
}

// extension = token *( ";" extension-param )
function parseExtension(cursor: Cursor, name: string): ExtensionOffer | null {
  const params: (readonly [string, string | null])[] = []
  while (cursor.skip(SEMICOLON)) {
    // extension-param = token [ "=" (token | quoted-string) ]
    const param = cursor.token()
    if (param === '') return null
    if (!cursor.skip(EQUALS)) {
      params.push([param, null])
      continue
    }
    const value = cursor.skip(QUOTE) ? cursor.quoted() : cursor.token()
    // 9.1: after unescaping, a quoted value must be a token too.
    if (value === null || !isToken(value)) return null
    params.push([param, value])
  }
  return { name, params }
}

/**
 * Whether one element of a comma-separated header is `token` (given in lower case), in any case. Elements
 * that are no tokens, such as `TLS/1.0` in `Upgrade`, are passed over.
 */
export function listContains(values: readonly string[], token: string): boolean {
  for (const value of values) {
    let start = 0
    while (start <= value.length) {
      const comma = value.indexOf(',', start)
      const end = comma === -1 ? value.length : comma
      // An element far longer than the token is not even copied.
      if (end - start >= token.length && trimmedEquals(value, start, end, token)) return true
      start = end + 1
    }
  }
  return false
}

function trimmedEquals(value: string, from: number, to: number, token: string): boolean {
  let start = from
  let end = to
  while (start < end && isBlank(value.charCodeAt(start))) start++
  while (end > start && isBlank(value.charCodeAt(end - 1))) end--
  return end - start === token.length && value.slice(start, end).toLowerCase() === token
}

/** Writes an extension list. Names and values must be tokens, so that nothing ever needs quotes. */
export function formatExtensionList(extensions: readonly ExtensionOffer[]): string {
  return extensions
    .map(({ name, params }) =>
      [name, ...params.map(([param, value]) => (value === null ? param : `${param}=${value}`))].join('; '),
    )
    .join(', ')
}
