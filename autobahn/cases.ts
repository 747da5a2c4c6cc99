// Strategy: the suite's cases as a table. The version is pinned, so its list is fixed; knowing it beforehand
// lets a run be cut into disjoint halves, its length be estimated, and a case that vanished be noticed.

/** The version of the Autobahn test suite that all of this is written for. */
export const SUITE_VERSION = '25.10.1'

/** The id of a case, such as `6.4.1`. */
export type CaseId = string

/** Prefix of the ids, how many cases share it, and what they usually take in milliseconds; the last figure goes on. */
const TABLE: readonly (readonly [prefix: string, count: number, ...typicalMs: number[]])[] = [
  ['1.1', 8, 10],
  ['1.2', 8, 10],
  ['2', 11, 10],
  ['3', 7, 10],
  ['4.1', 5, 10],
  ['4.2', 5, 10],
  ['5', 20, 10, 10, 10, 10, 10, 10, 10, 10, 10, 10, 10, 10, 10, 10, 10, 10, 10, 10, 1000],
  ['6.1', 3, 10],
  ['6.2', 4, 10],
  ['6.3', 2, 10],
  ['6.4', 4, 1000],
  ['6.5', 5, 10],
  ['6.6', 11, 10],
  ['6.7', 4, 10],
  ['6.8', 2, 10],
  ['6.9', 4, 10],
  ['6.10', 3, 10],
  ['6.11', 5, 10],
  ['6.12', 8, 10],
  ['6.13', 5, 10],
  ['6.14', 10, 10],
  ['6.15', 1, 10],
  ['6.16', 3, 10],
  ['6.17', 5, 10],
  ['6.18', 5, 10],
  ['6.19', 5, 10],
  ['6.20', 7, 10],
  ['6.21', 8, 10],
  ['6.22', 34, 10],
  ['6.23', 7, 10],
  ['7.1', 6, 10],
  ['7.3', 6, 10],
  ['7.5', 1, 10],
  ['7.7', 13, 10],
  ['7.9', 9, 10],
  ['7.13', 2, 10],
  ['9.1', 6, 10, 10, 50, 100, 300, 500],
  ['9.2', 6, 10, 10, 50, 100, 300, 500],
  ['9.3', 9, 1000, 300, 120, 80, 60],
  ['9.4', 9, 1000, 300, 120, 80, 60],
  ['9.5', 6, 800, 300, 200, 120, 90, 50],
  ['9.6', 6, 800, 300, 200, 120, 90, 50],
  ['9.7', 6, 80, 150, 80, 180, 100, 600],
  ['9.8', 6, 80, 150, 80, 180, 100, 600],
  ['10.1', 1, 10],
  ['12.1', 18, 2000],
  ['12.2', 18, 2000],
  ['12.3', 18, 2000],
  ['12.4', 18, 2000],
  ['12.5', 18, 2000],
  ['13.1', 18, 2000],
  ['13.2', 18, 2000],
  ['13.3', 18, 2000],
  ['13.4', 18, 2000],
  ['13.5', 18, 2000],
  ['13.6', 18, 2000],
  ['13.7', 18, 2000],
]

/** What each group of cases is about, by the first number of its ids. */
export const GROUP_TITLES: ReadonlyMap<number, string> = new Map([
  [1, 'Framing'],
  [2, 'Pings and pongs'],
  [3, 'Reserved bits'],
  [4, 'Opcodes'],
  [5, 'Fragmentation'],
  [6, 'UTF-8'],
  [7, 'Close'],
  [9, 'Limits and performance'],
  [10, 'Automatic fragmentation'],
  [12, 'Compression, payloads'],
  [13, 'Compression, parameters'],
])

const TYPICAL_MS = new Map<CaseId, number>()
for (const [prefix, count, ...figures] of TABLE)
  for (let last = 1; last <= count; last++)
    TYPICAL_MS.set(`${prefix}.${last}`, figures[Math.min(last, figures.length) - 1])

/** Every case of the suite, in its own order. */
export const ALL_CASES: readonly CaseId[] = [...TYPICAL_MS.keys()]

/** What a case usually takes, in milliseconds; only good for estimates. */
export function typicalMs(id: CaseId): number {
  return TYPICAL_MS.get(id) ?? 100
}

/** The group of a case: 6 for `6.4.1`. */
export function groupOf(id: CaseId): number {
  return Number(id.slice(0, id.indexOf('.')))
}

/** Orders ids as the suite does: number by number, so that `6.10.1` comes after `6.9.4`. */
export function compareIds(a: CaseId, b: CaseId): number {
  const left = a.split('.').map(Number)
  const right = b.split('.').map(Number)
  for (let i = 0; i < Math.max(left.length, right.length); i++) {
    const difference = (left[i] ?? -1) - (right[i] ?? -1)
    if (difference !== 0) return difference
  }
  return 0
}

/** Whether `pattern` names `id`: by the whole id, by its first numbers (`6`, `6.4`), or with `*` for anything. */
export function matches(pattern: string, id: CaseId): boolean {
  if (!pattern.includes('*')) return id === pattern || id.startsWith(`${pattern}.`)
  const source = pattern.replaceAll('.', '\\.').replaceAll('*', '.*')
  return new RegExp(`^${source}$`).test(id)
}

/**
 * Deals `cases` to at most `jobs` lists that take about the same time, each in the suite's order. The longest
 * cases are dealt first, each to the list with the least to do.
 */
export function split(cases: readonly CaseId[], jobs: number): CaseId[][] {
  const lists = Array.from({ length: Math.min(jobs, cases.length) }, () => ({ ms: 0, ids: [] as CaseId[] }))
  for (const id of cases.toSorted((a, b) => typicalMs(b) - typicalMs(a) || compareIds(a, b))) {
    const shortest = lists.reduce((least, list) => (list.ms < least.ms ? list : least))
    shortest.ids.push(id)
    shortest.ms += typicalMs(id)
  }
  return lists.map(list => list.ids.toSorted(compareIds))
}
