// Strategy: what the tables, the charts and the list of losses all start from: the groups of a bench as readers see them. Cells
// that a bench yielded in several portions under one heading are one group, and cells of different units are not.
import type { Cell } from '../report.js'
import type { BenchResult } from './result-file.js'

/** One heading of a bench, with everything below it. */
export interface View {
  readonly name: string
  readonly operation: string
  /** `ns` or what the cells say. */
  readonly unit: string
  readonly cells: readonly Cell[]
  readonly notes: readonly string[]
}

/** Each once, in the order of their first appearance. */
export function unique(values: readonly string[]): string[] {
  return [...new Set(values)]
}

/** The unit of a cell's values. */
export const unitOf = (cell: Cell): string => cell.unit ?? 'ns'

/** The groups of a bench. */
export function viewsOf({ groups }: BenchResult): View[] {
  const views = new Map<string, { -readonly [key in keyof View]: View[key] }>()
  for (const { operation, notes, cells } of groups) {
    let last: string | null = null
    for (const cell of cells) {
      const unit = unitOf(cell)
      const key = JSON.stringify([cell.group, operation, unit])
      const view = views.get(key) ?? { name: cell.group, operation, unit, cells: [], notes: [] }
      view.cells = [...view.cells, cell]
      views.set(key, view)
      last = key
    }
    const view = last === null ? undefined : views.get(last)
    if (view !== undefined) view.notes = [...view.notes, ...notes]
  }
  return [...views.values()]
}

/** Everybody who is in a cell of these, in the order of appearance. */
export function namesOf(cells: readonly Cell[]): string[] {
  return unique(cells.flatMap(cell => Object.keys(cell.ns)))
}
