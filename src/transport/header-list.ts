import type { HeaderList } from '../handshake/index.js'

/**
 * Headers as a caller may give them: pairs in the order in which they are written (a list, a `Headers` object, a `Map`), or
 * an object whose values may be lists.
 */
export type HeaderInput =
  | HeaderList
  | Iterable<readonly [name: string, value: string]>
  | Readonly<Record<string, string | readonly string[]>>

/**
 * Headers as pairs. Nothing of them is checked.
 */
export const headerList = (headers: HeaderInput): [name: string, value: string][] => {
  if (Symbol.iterator in headers) return Array.from(headers as HeaderList, ([name, value]) => [name, value])
  return Object.entries(headers).flatMap(([name, value]) =>
    (Array.isArray(value) ? value : [value]).map((one: string): [string, string] => [name, one]),
  )
}
