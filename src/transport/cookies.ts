// Strategy: the rules of cookies (domains, paths, ages, public suffixes) are a store's business, and there are good stores.
// So this is only the meeting of a store with a handshake: it is asked before each request and offered each `Set-Cookie`
// of each response (RFC 6455 4.1 (12), 4.2.2). A store knows HTTP, so it is told `http:` and `https:` URLs, which is how
// browsers look at `ws:` and `wss:`. A unix socket has no host that a cookie could belong to, so it has no cookies.
import { type HeaderList, headerValues } from '../handshake/index.js'
import { UsageError } from '../protocol/index.js'
import { ConnectionError } from './connection-error.js'
import type { Target } from './target.js'

/**
 * Keeps cookies from one connection to the next. `CookieJar` of `tough-cookie` is one as it is; what both methods give may
 * be a promise. The time they take counts in `handshakeTimeoutMs`.
 */
export interface CookieStore {
  /**
   * The cookies for a request, as the value of a `Cookie` header: `a=1; b=2`, `''` for none.
   *
   * @param url - `http:` or `https:`, without user info.
   * @throws (or rejects) what fails the attempt to connect, with `WS_COOKIES_FAILED`.
   */
  getCookieString(url: string): string | Promise<string>
  /**
   * Takes the value of one `Set-Cookie` header. `connect()` settles when this has.
   *
   * @param url - of the request that was answered with it.
   * @throws (or rejects) for a cookie that it does not take, which is no error of connecting.
   */
  setCookie(cookie: string, url: string): unknown
}

/** A store, and the URL of one request as the store sees it. */
export interface CookieSource {
  readonly store: CookieStore
  readonly url: string
}

/**
 * Checks the option, for all requests.
 *
 * @throws UsageError `WS_BAD_OPTION`.
 */
export function requireCookieStore(store: CookieStore | undefined): void {
  if (store === undefined) return
  const given: Partial<Record<keyof CookieStore, unknown>> = Object(store)
  if (typeof given.getCookieString === 'function' && typeof given.setCookie === 'function') return
  throw new UsageError('WS_BAD_OPTION', 'cookieStore must have getCookieString() and setCookie()')
}

/** Where cookies for a target come from and go to; null where there are none. */
export function cookieSource(store: CookieStore | undefined, target: Target): CookieSource | null {
  if (store === undefined || target.socketPath !== null) return null
  return { store, url: target.href.replace(/^ws/, 'http') }
}

/**
 * Asks for the cookies of a request.
 *
 * @param peer who the request is for, for the error.
 * @throws (rejects) ConnectionError `WS_COOKIES_FAILED` with what the store said as its cause.
 */
export async function storedCookies({ store, url }: CookieSource, peer: string): Promise<string> {
  try {
    const cookies: unknown = (await store.getCookieString(url)) ?? ''
    if (typeof cookies === 'string') return cookies
    throw new TypeError(`getCookieString() gave no string but a ${typeof cookies}`)
  } catch (cause) {
    throw new ConnectionError('WS_COOKIES_FAILED', peer, { cause })
  }
}

/**
 * Offers all cookies of a response, one after the other, as their order counts. Never rejects.
 *
 * @param givenUp whether connecting was given up, so that no more cookies are offered.
 */
export async function offerCookies(
  { store, url }: CookieSource,
  headers: HeaderList,
  givenUp: () => boolean,
): Promise<void> {
  for (const cookie of headerValues(headers, 'set-cookie')) {
    if (givenUp()) return
    try {
      await store.setCookie(cookie, url)
    } catch {
      // RFC 6265 5.3: a client may ignore any cookie, and a store does so for one that is malformed or for elsewhere.
    }
  }
}
