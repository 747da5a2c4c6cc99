/** Header fields in the order of the wire, names as they were written, values decoded as latin1. */
export type HeaderList = readonly (readonly [name: string, value: string])[]

/** The head of an HTTP request. A `node:http` `'upgrade'` request gives one too (`rawHeaders` in pairs). */
export interface RequestHead {
  readonly method: string
  readonly target: string
  /** `'1.1'`, without the `HTTP/`, like `httpVersion` of `node:http`. */
  readonly version: string
  readonly headers: HeaderList
}

/** The head of an HTTP response. */
export interface ResponseHead {
  /** `'1.1'`, without the `HTTP/`. */
  readonly version: string
  readonly status: number
  readonly reason: string
  readonly headers: HeaderList
}

/** One extension of a `Sec-WebSocket-Extensions` header (RFC 6455 section 9.1): offered, or agreed on. */
export interface ExtensionOffer {
  readonly name: string
  /** Pairs and not an object: names may repeat, and `__proto__` is as good a name as any. */
  readonly params: readonly (readonly [name: string, value: string | null])[]
}

/** What both sides settled on in the opening handshake. */
export interface Agreement {
  /** The subprotocol in use, `null` for none. */
  readonly subprotocol: string | null
  /** The extensions in use, in the order in which they apply to the data. */
  readonly extensions: readonly ExtensionOffer[]
}

const NONE: readonly string[] = []

/** All values of a header, in order; `name` in any case. An empty list when the header is missing. */
export function headerValues(headers: HeaderList, name: string): readonly string[] {
  const wanted = name.toLowerCase()
  let values: string[] | null = null
  for (const header of headers) {
    // Comparing lengths first spares nearly every lower-casing.
    if (header[0].length !== wanted.length || header[0].toLowerCase() !== wanted) continue
    if (values === null) values = [header[1]]
    else values.push(header[1])
  }
  return values ?? NONE
}

/**
 * The value of a header, several lines joined with `, ` (RFC 9110 section 5.3), `null` when it is missing.
 */
export function headerValue(headers: HeaderList, name: string): string | null {
  const values = headerValues(headers, name)
  return values.length === 0 ? null : values.join(', ')
}
