// Strategy: what names itself a secret is one. Headers and URLs have a grammar, so their secrets are found by names alone:
// the name stays, the value becomes `***`. Texts (messages of errors, payloads, what `inspect` shows) have none: there only
// names that are hardly ever anything else count, before a colon, an equals sign or an arrow, and tokens that can be told
// by their look. Masking too much is a line that says less; masking too little cannot be taken back.
//
// Everything here is one pass without backtracking, over what a peer may have written. A text is judged as far as it is
// shown. Secrets without a name, in the path of a URL or alone in a payload, are not found.
import type { HeaderList } from '../handshake/index.js'
import { isSecretName, isTellingName } from '../transport/secret-names.js'

/** What stands in the place of a secret. */
export const MASK = '***'

/** URLs, and what may be the rest of one. */
const URLS = /(?:[a-z][a-z\d+.-]{0,30}:\/\/|[/?])[^\s"'<>`]+/gi
const JSON_WEB_TOKEN = /\beyJ[\w-]{4,}\.[\w-]+(?:\.[\w-]*)*/g
const BEARER = /\b(bearer)[\s.:|=+]+[^\s"',;]+/gi
/** Between a name and its value. A comma counts behind the first text of a list only: it may be a pair. */
const SEPARATOR = /[:=]>?|(?<=\[\s{0,4}\\{0,8}["'`][^"'`\\]{1,128}\\{0,8}["'`]),/g
const NOT_IN_NAMES = /[\s?&;#/=,:<>(){}[\]|"'`\\]/
/** In a URL nothing else ends a name: `user[password]`. */
const NOT_IN_PARAMETERS = /[\s?&;#/=]/
const MAX_NAME = 128
/** User info ends at the last @ before the path, and at the last one of all where the port would be none. */
const USER_INFO = /^(?:[^/?#\\]*@|[^/?#\\@[\]:]*:(?!\d*(?:[/?#\\]|$))\S*@)/
/** How deep a URL inside a parameter of a URL is looked into. */
const DEPTH = 2

/** A URL, absolute or not, without user info and without the values of parameters whose name says that they are secret. */
export function maskUrl(url: string): string {
  return maskUrlTo(url, DEPTH)
}

/** Any text without the secrets that can be told as such: those of URLs in it, `token: …`, `Bearer …`, JSON Web Tokens. */
export function maskText(text: string): string {
  return maskTextTo(text, DEPTH)
}

/** Headers with the names they have. A list without secrets is returned as it is. */
export function maskHeaders(headers: HeaderList): HeaderList {
  let changed = false
  const masked = headers.map(header => {
    const [name, value] = header
    const shown = maskHeader(name.toLowerCase(), value)
    if (shown === value) return header
    changed = true
    return [name, shown] as const
  })
  return changed ? masked : headers
}

/** Subprotocols, of which some carry a token: `bearer, <token>`, `api-key.<key>`. */
export function maskSubprotocols(list: string): string {
  let before = ''
  const items = list.split(',').map(item => {
    const name = item.trim()
    const masked = isSecretName(before) ? MASK : maskSubprotocol(name)
    before = masked === name ? name : ''
    return item.replace(name, () => masked)
  })
  return items.join(',')
}

function maskHeader(name: string, value: string): string {
  if (name === 'cookie') return maskCookies(value)
  if (name === 'set-cookie') return maskSetCookie(value)
  if (name === 'sec-websocket-protocol') return maskSubprotocols(value)
  // Challenges are no secrets, and what is wrong with the credentials stands in them.
  if (name.endsWith('-authenticate')) return value
  // The key of the handshake is no secret (RFC 6455, 10.3), nor is what a server lets browsers do.
  if (name.startsWith('sec-websocket-') || name.startsWith('access-control-')) return maskText(value)
  if (name.endsWith('authorization')) {
    const scheme = /^\s*(?:basic|bearer|digest|negotiate|ntlm|token|aws4-hmac-sha256)(?=\s)/i.exec(value)
    return scheme === null ? MASK : `${scheme[0].trim()} ${MASK}`
  }
  return isSecretName(name) ? MASK : maskText(value)
}

const maskCookies = (value: string): string =>
  value
    .split(';')
    // Without a name it is all value, be there equals signs at its end.
    .map(pair => /^[^=]*=(?==*[^=\s])/.exec(pair)?.[0] ?? '')
    .map(name => name + MASK)
    .join(';')

function maskSetCookie(value: string): string {
  const [pair, ...attributes] = value.split(';')
  const known = attributes.filter(one =>
    /^\s*(?:(?:path|domain|max-age|expires|samesite)=|(?:secure|httponly|partitioned)\s*$)/i.test(one),
  )
  return [maskCookies(pair), ...known.map(one => maskText(one))].join(';')
}

function maskSubprotocol(item: string): string {
  let from = 0
  for (const { index } of item.matchAll(/[.:|=~+]/g)) {
    if (isSecretName(item.slice(from, index))) return item.slice(0, index + 1) + MASK
    from = index + 1
  }
  return maskText(item)
}

function maskUrlTo(url: string, depth: number): string {
  // A unix socket has no user info.
  const start = /^(?:(?!wss?\+unix:)[a-z][a-z\d+.-]{0,30}:[/\\]*|[/\\]{2,})/i.exec(url)?.[0].length ?? 0
  const authority = start === 0 ? '' : (USER_INFO.exec(url.slice(start))?.[0] ?? '')
  const rest = url
    .slice(start + authority.length)
    // A parameter may be a URL itself.
    .replaceAll(/:\/\/[^/?#\\&\s]*@/g, `://${MASK}@`)
    .split('&')
    .map(part => maskParameters(part, depth))
  return url.slice(0, start) + (authority === '' ? '' : `${MASK}@`) + rest.join('&')
}

/** What is between two `&`: the first name in it that is a secret's hides all that follows. */
function maskParameters(part: string, depth: number): string {
  for (let at = part.indexOf('='); at >= 0; at = part.indexOf('=', at + 1)) {
    if (isSecretName(decode(nameBefore(part, at, NOT_IN_PARAMETERS)))) return part.slice(0, at + 1) + MASK
  }
  if (depth === 0 || !part.includes('%')) return part
  // It may be one in escapes, or hide its own equals sign. As little as possible is hidden, from the end.
  for (const from of [part.lastIndexOf('='), part.search(/[?=]/), -1]) {
    const decoded = decode(part.slice(from + 1))
    const hidden = [maskUrlTo(decoded, depth - 1), maskTextTo(decoded, depth - 1)]
    if (hidden.some(masked => masked !== decoded)) return part.slice(0, from + 1) + MASK
  }
  return part
}

function maskTextTo(text: string, depth: number): string {
  const urls = text.replaceAll(URLS, url => maskUrlTo(url, depth))
  return maskNamed(urls).replaceAll(JSON_WEB_TOKEN, MASK).replaceAll(BEARER, `$1 ${MASK}`)
}

/** `token: …`, `"token": "…"`, `token=…`, `'token' => '…'`, `['token', '…']`. */
function maskNamed(text: string): string {
  let shown = ''
  let from = 0
  let separator: RegExpExecArray | null
  SEPARATOR.lastIndex = 0
  while ((separator = SEPARATOR.exec(text)) !== null) {
    const name = nameBefore(text, separator.index, NOT_IN_NAMES)
    if (!isTellingName(name)) continue
    const [start, end] = valueAfter(text, SEPARATOR.lastIndex, /authorization|cookie/i.test(name))
    if (start === end) continue
    shown += text.slice(from, start) + MASK
    from = SEPARATOR.lastIndex = end
  }
  return shown + text.slice(from)
}

function nameBefore(text: string, at: number, delimiters: RegExp): string {
  let end = at
  if (delimiters === NOT_IN_NAMES) while (end > 0 && at - end < 8 && /[\s"'`\\\]]/.test(text[end - 1])) end--
  let start = end
  while (start > 0 && end - start < MAX_NAME && !delimiters.test(text[start - 1])) start--
  return text.slice(start, end)
}

/** Where the value begins and ends, without its quotes. @param whole - blanks and commas belong to it. */
function valueAfter(text: string, from: number, whole: boolean): readonly [start: number, end: number] {
  let start = from
  while (/\s/.test(text[start] ?? '')) start++
  let escapes = 0
  while (text[start + escapes] === '\\') escapes++
  const opening = text[start + escapes] ?? ''
  if (/["'`]/.test(opening)) {
    start += escapes + 1
    return [start, closingQuote(text, start, opening, escapes)]
  }
  // The names inside an object speak for themselves.
  if (opening === '{') return [start, start]
  const end = opening === '[' ? /\]/g : whole ? /[\n"'`}\]]/g : /[\s,;&}\])"'`<>]/g
  end.lastIndex = start
  return [start, end.exec(text)?.index ?? text.length]
}

/** The quote that ends what began with one behind `escapes` backslashes; the end of the text when it was cut. */
function closingQuote(text: string, from: number, quote: string, escapes: number): number {
  for (let at = text.indexOf(quote, from); at >= 0; at = text.indexOf(quote, at + 1)) {
    let slash = at
    while (slash > from && text[slash - 1] === '\\') slash--
    if (at - slash <= escapes) return slash
  }
  return text.length
}

/** Unlike `decodeURIComponent` it never fails; good enough to read ASCII names. */
const decode = (text: string): string =>
  text
    .replaceAll('+', ' ')
    .replaceAll(/%([\da-f]{2})/gi, (_, hex: string) => String.fromCharCode(parseInt(hex, 16)))
