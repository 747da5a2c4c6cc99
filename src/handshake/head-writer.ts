// Strategy: everything a caller can put into a head goes through the checks of this file, so that no value
// can end its line and begin another (CR, LF, NUL), and no header can be written twice where the handshake
// writes its own. The text is then latin1 by proof, and its bytes are its char codes.
import { isFieldValue, isToken } from './grammar.js'
import { type ExtensionOffer, type HeaderList, headerValues } from './head.js'
import { formatExtensionList } from './header-values.js'
import { InvalidHeadError } from './invalid-head-error.js'

// What a handshake says itself (11.3), or must not say: neither an upgrade request nor a 101 has a body.
const handshakeHeaders: ReadonlySet<string> = new Set([
  'upgrade',
  'connection',
  'content-length',
  'transfer-encoding',
  'sec-websocket-key',
  'sec-websocket-accept',
  'sec-websocket-version',
  'sec-websocket-protocol',
  'sec-websocket-extensions',
])

/**
 * Writes the caller's headers as lines.
 * @param reserved names, in lower case, of those that are written elsewhere
 * @throws InvalidHeadError for a name that is no token or is reserved, or a value that no line can carry
 */
export function formatHeaders(headers: HeaderList, reserved: ReadonlySet<string> = handshakeHeaders): string {
  let lines = ''
  for (const [name, value] of headers) {
    const field = `headers[${JSON.stringify(name)}]`
    if (typeof name !== 'string' || !isToken(name))
      throw new InvalidHeadError(field, 'the name must be a token')
    if (reserved.has(name.toLowerCase()))
      throw new InvalidHeadError(field, 'the handshake writes this header itself')
    if (typeof value !== 'string' || !isFieldValue(value)) {
      throw new InvalidHeadError(field, 'the value must be latin1 text without control characters')
    }
    lines += `${name}: ${value}\r\n`
  }
  return lines
}

/** Makes sure that the caller gives a header once at most. */
export function requireSingle(headers: HeaderList, name: string): void {
  if (headerValues(headers, name).length > 1) {
    throw new InvalidHeadError(`headers[${JSON.stringify(name)}]`, 'cannot be given more than once')
  }
}

/** Makes sure that a text of the caller's is a token, and so can be an element of a list. */
export function requireToken(text: string, field: string): void {
  if (typeof text !== 'string' || !isToken(text)) throw new InvalidHeadError(field, 'must be a token')
}

/**
 * Writes the `Sec-WebSocket-Extensions` line; nothing for no extension, as an empty one is not allowed.
 * @throws InvalidHeadError for a name or value that is no token
 */
export function formatExtensions(extensions: readonly ExtensionOffer[]): string {
  if (extensions.length === 0) return ''
  for (const [i, { name, params }] of extensions.entries()) {
    requireToken(name, `extensions[${i}].name`)
    for (const [j, [param, value]] of params.entries()) {
      requireToken(param, `extensions[${i}].params[${j}]`)
      // 9.1: a value must be a token, even where it is written in quotes.
      if (value !== null) requireToken(value, `extensions[${i}].params[${j}]`)
    }
  }
  return `Sec-WebSocket-Extensions: ${formatExtensionList(extensions)}\r\n`
}
