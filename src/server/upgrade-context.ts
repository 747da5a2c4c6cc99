import { type HeaderList, headerValues, type RequestHead, type UpgradeRequest } from '../handshake/index.js'
import type { Params } from './routes.js'

/**
 * A client that wants to connect, as `handleUpgrade` sees it. Like the headers of Node's own requests, `query`, `headers` and
 * `cookies` are getters: made when they are first asked for, and not among what `{ ...request }` copies.
 */
export interface Upgrade {
  /** Without the query, as it was sent. */
  readonly path: string
  /** What the named segments of the route have taken, decoded. */
  readonly params: Params
  readonly query: URLSearchParams
  readonly head: RequestHead
  /** Names in lower case; several of one name are joined with `, `. */
  readonly headers: Readonly<Record<string, string>>
  /** Of two of one name the first, as browsers order them: the more specific path. Values are as they were sent. */
  readonly cookies: Readonly<Record<string, string>>
  /** Null for a client that is no browser. */
  readonly origin: string | null
  /** In the client's order of preference. */
  readonly subprotocols: readonly string[]
  /** The client's address; `''` where the stream has none. Behind a proxy, the proxy's. */
  readonly remoteAddress: string
  /** Aborted when the client has gone away, or `handleUpgradeTimeoutMs` is over. */
  readonly signal: AbortSignal
}

/** A connection that was accepted: what `init` gets. */
export interface Accepted<Data = unknown> extends Omit<Upgrade, 'signal'> {
  /** `''` for none. */
  readonly subprotocol: string
  /** What `handleUpgrade` gave. */
  readonly data: Data
}

type Facts = Pick<Upgrade, 'path' | 'params' | 'head' | 'origin' | 'subprotocols' | 'remoteAddress'>

/** What is known of a request without taking anything apart. */
class RequestFacts implements Facts {
  readonly path: string
  readonly params: Params
  readonly head: RequestHead
  readonly origin: string | null
  readonly subprotocols: readonly string[]
  readonly remoteAddress: string

  constructor({ path, params, head, origin, subprotocols, remoteAddress }: Facts) {
    this.path = path
    this.params = params
    this.head = head
    this.origin = origin
    this.subprotocols = subprotocols
    this.remoteAddress = remoteAddress
  }
}

/** A request before anything is decided. What has to be taken apart for it is taken apart for who asks. */
export class UpgradeContext extends RequestFacts implements Upgrade {
  readonly signal: AbortSignal
  #query: URLSearchParams | null = null
  #headers: Readonly<Record<string, string>> | null = null
  #cookies: Readonly<Record<string, string>> | null = null

  constructor(request: UpgradeRequest, params: Params, remoteAddress: string, signal: AbortSignal) {
    const { head, origin, subprotocols } = request
    super({ path: pathOf(head.target), params, head, origin, subprotocols, remoteAddress })
    this.signal = signal
  }

  get query(): URLSearchParams {
    return (this.#query ??= queryOf(this.head.target))
  }

  get headers(): Readonly<Record<string, string>> {
    return (this.#headers ??= joined(this.head.headers))
  }

  get cookies(): Readonly<Record<string, string>> {
    return (this.#cookies ??= cookiesOf(this.head.headers))
  }
}

/** A request that was accepted. What was taken apart before is not taken apart again. */
export class AcceptedContext extends RequestFacts implements Accepted {
  readonly subprotocol: string
  readonly data: unknown
  readonly #request: Upgrade

  constructor(request: Upgrade, subprotocol: string, data: unknown) {
    super(request)
    this.subprotocol = subprotocol
    this.data = data
    this.#request = request
  }

  get query(): URLSearchParams {
    return this.#request.query
  }

  get headers(): Readonly<Record<string, string>> {
    return this.#request.headers
  }

  get cookies(): Readonly<Record<string, string>> {
    return this.#request.cookies
  }
}

function queryOf(target: string): URLSearchParams {
  const question = target.indexOf('?')
  return new URLSearchParams(question < 0 ? '' : target.slice(question + 1))
}

/** The path of a request's target, which may be a whole URI. */
export function pathOf(target: string): string {
  const path = target.startsWith('/') ? target : target.replace(/^[a-z][a-z0-9+.-]*:\/\/[^/?]*/i, '') || '/'
  const question = path.indexOf('?')
  const found = question < 0 ? path : path.slice(0, question)
  return found === '' ? '/' : found
}

/** Prototypes are null, so that no name from outside is one that objects have already. */
function joined(headers: HeaderList): Record<string, string> {
  const all = Object.create(null) as Record<string, string>
  for (const [name, value] of headers) {
    const key = name.toLowerCase()
    // RFC 6265, 5.4: cookies are joined by another sign.
    const separator = key === 'cookie' ? '; ' : ', '
    all[key] = key in all ? all[key] + separator + value : value
  }
  return all
}

function cookiesOf(headers: HeaderList): Record<string, string> {
  const cookies = Object.create(null) as Record<string, string>
  for (const pair of headerValues(headers, 'cookie').flatMap(value => value.split(';'))) {
    const equals = pair.indexOf('=')
    if (equals < 0) continue
    const name = pair.slice(0, equals).trim()
    if (name === '' || name in cookies) continue
    const value = pair.slice(equals + 1).trim()
    cookies[name] =
      value.startsWith('"') && value.endsWith('"') && value.length > 1 ? value.slice(1, -1) : value
  }
  return cookies
}
