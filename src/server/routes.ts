// Strategy: a path pattern is a list of segments. `:name` takes one segment, `*name` at the end takes all that are left; a
// segment that is spelt out goes before one that is named, whatever the order in which they were given. Segments are decoded one
// by one, after the path was cut, so that an encoded slash never cuts it.
import { UsageError } from '../protocol/index.js'

/** What the named segments of a pattern have taken. Its prototype is null: `__proto__` is a name like any other. */
export type Params = Readonly<Record<string, string>>

/** Values by path pattern, such as `/rooms/:room`. */
export class Routes<T> {
  readonly #root: Node<T> = new Node()

  /**
   * @param patterns - each begins with `/`.
   * @throws UsageError `WS_BAD_OPTION` for a pattern that is none, and for two that take the same paths.
   */
  constructor(patterns: Readonly<Record<string, T>>) {
    for (const [pattern, value] of Object.entries(patterns)) this.#add(pattern, value)
  }

  /** The value for a path, without its query; null when no pattern takes it. */
  find(path: string): { readonly value: T; readonly params: Params } | null {
    if (!path.startsWith('/')) return null
    const segments: string[] = []
    for (const raw of path.slice(1).split('/')) {
      const segment = decoded(raw)
      if (segment === null) return null
      segments.push(segment)
    }
    return this.#root.find(segments, 0, [])
  }

  #add(pattern: string, value: T): void {
    if (!pattern.startsWith('/')) throw bad(pattern, 'begins with /')
    let node = this.#root
    const names: string[] = []
    const segments = pattern.slice(1).split('/')
    for (const [i, segment] of segments.entries()) {
      const named = segment.startsWith(':') || segment.startsWith('*')
      const name = segment.slice(1)
      if (segment === '' && i < segments.length - 1) throw bad(pattern, 'has no empty segments')
      if (/[?#\s]/.test(segment)) throw bad(pattern, 'is a path, without blanks and query')
      if (named && !/^\w*$/.test(name)) throw bad(pattern, 'has names of letters, digits and _')
      if (named && (name === '' || names.includes(name))) throw bad(pattern, 'names each segment once')
      if (named) names.push(name)
      if (segment.startsWith('*')) {
        if (i < segments.length - 1) throw bad(pattern, 'has nothing behind *')
        if (node.rest !== null) throw bad(pattern, 'is there twice')
        node.rest = { names, value }
        return
      }
      node = named ? (node.one ??= new Node()) : node.fixed(segment)
    }
    if (node.end !== null) throw bad(pattern, 'is there twice')
    node.end = { names, value }
  }
}

interface End<T> {
  readonly names: readonly string[]
  readonly value: T
}

/** Where some segments have led to. */
class Node<T> {
  readonly #fixed = new Map<string, Node<T>>()
  one: Node<T> | null = null
  rest: End<T> | null = null
  end: End<T> | null = null

  fixed(segment: string): Node<T> {
    let node = this.#fixed.get(segment)
    if (node === undefined) this.#fixed.set(segment, (node = new Node()))
    return node
  }

  find(
    segments: readonly string[],
    at: number,
    taken: readonly string[],
  ): { readonly value: T; readonly params: Params } | null {
    if (at === segments.length && this.end !== null) return result(this.end, taken)
    if (at < segments.length) {
      const segment = segments[at]
      const found =
        this.#fixed.get(segment)?.find(segments, at + 1, taken) ??
        (segment === '' ? null : this.one?.find(segments, at + 1, [...taken, segment]))
      if (found) return found
    }
    return this.rest === null || at === segments.length
      ? null
      : result(this.rest, [...taken, segments.slice(at).join('/')])
  }
}

function result<T>({ names, value }: End<T>, taken: readonly string[]): { value: T; params: Params } {
  const params = Object.create(null) as Record<string, string>
  for (let i = 0; i < names.length; i++) params[names[i]] = taken[i]
  return { value, params }
}

/** Null for what is no UTF-8. */
function decoded(segment: string): string | null {
  if (!segment.includes('%')) return segment
  try {
    return decodeURIComponent(segment)
  } catch {
    return null
  }
}

function bad(pattern: string, rule: string): UsageError {
  return new UsageError('WS_BAD_OPTION', `a path pattern ${rule}: ${JSON.stringify(pattern)}`)
}
