import { isBlank, isToken, isVisible } from './grammar.js'
import type { HeaderList, RequestHead, ResponseHead } from './head.js'

const DIGIT_0 = 0x30

function isDigit(text: string, at: number): boolean {
  const digit = text.charCodeAt(at) - DIGIT_0
  return digit >= 0 && digit <= 9
}

// RFC 9112 2.3: HTTP-version = "HTTP" "/" DIGIT "." DIGIT, case-sensitive. Which versions will do is not
// decided here: a refusal may come from a server that speaks 1.0.
function versionAt(line: string, at: number): string | null {
  if (!line.startsWith('HTTP/', at) || line[at + 6] !== '.') return null
  return isDigit(line, at + 5) && isDigit(line, at + 7) ? line.slice(at + 5, at + 8) : null
}

/**
 * Reads `method SP target SP version` (RFC 9112 section 3) into a head around `headers`; `null` if malformed.
 */
export function parseRequestLine(line: string, headers: HeaderList): RequestHead | null {
  const first = line.indexOf(' ')
  const second = line.indexOf(' ', first + 1)
  if (first === -1 || second === -1 || line.length !== second + 9) return null
  const method = line.slice(0, first)
  const target = line.slice(first + 1, second)
  const version = versionAt(line, second + 1)
  return version !== null && isToken(method) && isVisible(target)
    ? { method, target, version, headers }
    : null
}

/**
 * Reads `version SP status SP [reason]` (RFC 9112 section 4) into a head around `headers`; `null` if
 * malformed. The second space may be missing, as many servers with no reason to give leave it out.
 */
export function parseStatusLine(line: string, headers: HeaderList): ResponseHead | null {
  const version = versionAt(line, 0)
  if (version === null || line[8] !== ' ' || (line.length > 12 && line[12] !== ' ')) return null
  if (!isDigit(line, 9) || !isDigit(line, 10) || !isDigit(line, 11)) return null
  const status = Number(line.slice(9, 12))
  return status >= 100 ? { version, status, reason: line.slice(13), headers } : null
}

/** Reads `name ":" OWS value OWS` (RFC 9112 section 5); `null` if malformed. */
export function parseHeaderLine(line: string): readonly [name: string, value: string] | null {
  // 5.1: no whitespace before the colon; 5.2: no folded line. Both fail as names that are not tokens.
  const colon = line.indexOf(':')
  if (colon === -1) return null
  const name = line.slice(0, colon)
  if (!isToken(name)) return null
  let start = colon + 1
  let end = line.length
  while (start < end && isBlank(line.charCodeAt(start))) start++
  while (end > start && isBlank(line.charCodeAt(end - 1))) end--
  return [name, line.slice(start, end)]
}
