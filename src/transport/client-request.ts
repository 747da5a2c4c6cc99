import { type CompressSettings, offerDeflate } from '../extensions/index.js'
import { type ClientRequest, generateKey, type HeaderList, headerValues } from '../handshake/index.js'
import { UsageError } from '../protocol/index.js'
import type { ConnectOptions } from './connect.js'
import { headerList } from './header-list.js'
import type { Target } from './target.js'

/**
 * What the caller wants to ask of a target, with a key of its own. Nothing of it is checked but that lists are lists.
 *
 * @throws UsageError `WS_BAD_OPTION`.
 */
export function clientRequest(
  target: Target,
  options: Pick<ConnectOptions, 'headers' | 'origin' | 'subprotocols'>,
  compress: CompressSettings | null,
): ClientRequest {
  const headers = headerList(options.headers)
  if (options.origin !== undefined) headers.push(['Origin', options.origin])
  // What the caller says wins over what the URL says.
  const given = headers.some(([name]) => typeof name === 'string' && name.toLowerCase() === 'authorization')
  if (target.authorization !== null && !given) headers.push(['Authorization', target.authorization])
  return {
    host: target.host,
    target: target.requestTarget,
    key: generateKey(),
    subprotocols: requireList(options.subprotocols ?? []),
    extensions: compress === null ? [] : offerDeflate(compress.wishes),
    headers,
  }
}

/**
 * The same request with the cookies of a store behind those that the caller gave, in one header line (RFC 6265 5.4). A
 * cookie that the caller gave by name is not taken from the store too: two of one name mean what each server likes.
 *
 * @param stored a cookie string, `''` for none.
 */
export function withCookies(request: ClientRequest, stored: string): ClientRequest {
  if (stored === '') return request
  const given = headerValues(request.headers, 'cookie').flatMap(cookiePairs)
  const names = new Set(given.map(cookieName))
  // Whole, where it stands alone: no byte that cannot be sent is lost before the request is checked.
  const cookies =
    given.length === 0
      ? stored
      : [...given, ...cookiePairs(stored).filter(pair => !names.has(cookieName(pair)))].join('; ')
  const others = request.headers.filter(([name]) => name.toLowerCase() !== 'cookie')
  return { ...request, headers: [...others, ['Cookie', cookies]] }
}

/** The header lines of a request that was written by `encodeRequest`. */
export function headersOf(request: Uint8Array): HeaderList {
  const lines = Buffer.from(request).toString('latin1').split('\r\n').slice(1, -2)
  return lines.map(line => {
    const colon = line.indexOf(': ')
    return [line.slice(0, colon), line.slice(colon + 2)]
  })
}

function requireList(subprotocols: readonly string[]): readonly string[] {
  if (Array.isArray(subprotocols)) return subprotocols
  throw new UsageError('WS_BAD_OPTION', 'subprotocols must be a list')
}

/** Blanks only are cut off: a line end must be seen, and refused, by whoever writes the request. */
const cookiePairs = (cookies: string): string[] =>
  cookies
    .split(';')
    .map(pair => pair.replaceAll(/^[ \t]+|[ \t]+$/g, ''))
    .filter(pair => pair !== '')

/** RFC 6265bis: what has no `=` is the value of a cookie without a name. */
const cookieName = (pair: string): string => (pair.includes('=') ? pair.slice(0, pair.indexOf('=')) : '')
