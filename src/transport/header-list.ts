import type { HeaderList } from '../handshake/index.js'
import { UsageError } from '../protocol/usage-error.js'

/**
 * Headers as a caller may give them: pairs in the order in which they are written (a list, a `Headers` object, a `Map`), or
 * an object whose values may be lists; what is undefined is left out.
 */
export type HeaderInput =
  | HeaderList
  | Iterable<readonly [name: string, value: string]>
  | Readonly<Record<string, string | readonly string[] | undefined>>

/**
 * Headers as pairs. Nothing in them is checked.
 *
 * @throws UsageError `WS_BAD_OPTION` for what is no object.
 */
export const headerList = (headers: HeaderInput | undefined): [name: string, value: string][] => {
  if (headers === undefined) return []
  if (typeof headers !== 'object' || headers === null) {
    throw new UsageError('WS_BAD_OPTION', 'headers must be an object, or pairs of a name and a value')
  }
  if (Symbol.iterator in headers) return Array.from(headers as HeaderList, ([name, value]) => [name, value])
  return Object.entries(headers).flatMap(([name, value]) =>
    (Array.isArray(value) ? value : value === undefined ? [] : [value]).map(
      (one: string): [string, string] => [name, one],
    ),
  )
}
