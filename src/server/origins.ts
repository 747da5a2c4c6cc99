// Strategy: browsers send an Origin and cookies with every handshake, whatever page it comes from (RFC 6455, 10.2), so a page of
// anybody could speak to this server in the name of its visitor. By default a request that carries an Origin must carry this
// server's own; who sends none is no browser and passes.
import { headerValue, type UpgradeRequest } from '../handshake/index.js'
import { UsageError } from '../protocol/index.js'

/** Which origins may connect: this server's own, all, or these; a text, such as `https://example.com`, or a pattern. */
export type Origins = 'same' | '*' | readonly (string | RegExp)[]

/** @throws UsageError `WS_BAD_OPTION`. */
export function requireOrigins(origins: Origins = 'same'): Origins {
  if (origins === 'same' || origins === '*') return origins
  if (Array.isArray(origins) && origins.every(isOrigin)) return origins as readonly (string | RegExp)[]
  throw new UsageError(
    'WS_BAD_OPTION',
    "origins must be 'same', '*' or a list of origins (https://example.com, without a path) and patterns",
  )
}

const isOrigin = (one: unknown): boolean =>
  one instanceof RegExp || (typeof one === 'string' && /^[a-z][a-z0-9+.-]*:\/\/[^/]+$/i.test(one))

/** Whether a request may come from where it says. A list is beside the server's own origin. */
export function isAllowedOrigin({ origin, head }: UpgradeRequest, origins: Origins): boolean {
  if (origin === null || origins === '*') return true
  const from = origin.toLowerCase()
  if (sameHost(from, headerValue(head.headers, 'host') ?? '')) return true
  if (origins === 'same') return false
  return origins.some(one => {
    if (typeof one === 'string') return one.toLowerCase() === from
    // A pattern with the flag g remembers where it was.
    one.lastIndex = 0
    return one.test(origin)
  })
}

/** A scheme is not compared: behind a proxy nobody knows the one that the browser has used. */
function sameHost(origin: string, host: string): boolean {
  try {
    const url = new URL(origin)
    if (url.host === '' || url.origin === 'null') return false
    // Default ports are left out of an origin; of Host, not always.
    return url.host === new URL(`${url.protocol}//${host}`).host
  } catch {
    return false
  }
}
