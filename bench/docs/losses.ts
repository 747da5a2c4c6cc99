// Strategy: where somebody else is faster, found in the data and not chosen by anybody. Each cell with a ratio below 1 to anyone
// is in one of two tables: rivals, which do the same work, and floors, which do less of it. Each target that was not met is in a
// third, and memory in a fourth. Lines are put together by row and rival, and nothing is left out.
import type { Cell } from '../report.js'
import { isMet, ours } from '../report.js'
import { isFloor } from './contestants.js'
import { amountText, ratioText, targetText } from './number.js'
import type { BenchResult, ResultFile } from './result-file.js'
import { plain, table } from './tables.js'

/** How often something was below 1, of how many. */
interface Count {
  below: number
  all: number
}

type Benches = readonly (readonly [string, BenchResult])[]

const cellsOf = (bench: BenchResult): readonly Cell[] => bench.groups.flatMap(({ cells }) => cells)

const benchesOf = ({ benches }: ResultFile): Benches => Object.entries(benches)

const isLoss = (median: number): boolean => median < 1

/** "16 B 0.71, 125 B 0.960 ≈". */
function place(cell: Cell, name: string): string {
  const { median, high } = cell.ratios[name]
  return `${plain(cell.column)} ${ratioText(median)}${high >= 1 ? ' ≈' : ''}`.trim()
}

function ratioRows(benches: Benches, floors: boolean): { readonly rows: string[][]; readonly count: Count } {
  const rows = new Map<string, { readonly head: string[]; readonly places: string[] }>()
  const count = { below: 0, all: 0 }
  for (const [bench, result] of benches) {
    for (const cell of cellsOf(result)) {
      for (const [name, { median }] of Object.entries(cell.ratios)) {
        if (isFloor(name) !== floors) continue
        count.all++
        if (!isLoss(median)) continue
        count.below++
        const head = [bench, `${plain(cell.group)}; ${plain(cell.row)}`, plain(name)]
        const key = head.join('\n')
        const row = rows.get(key) ?? { head, places: [] }
        row.places.push(place(cell, name))
        rows.set(key, row)
      }
    }
  }
  return { rows: [...rows.values()].map(({ head, places }) => head.concat(places.join(', '))), count }
}

function missedRows(benches: Benches): { readonly rows: string[][]; readonly all: number } {
  const rows: string[][] = []
  let all = 0
  for (const [bench, result] of benches) {
    for (const cell of cellsOf(result)) {
      if (cell.target === null) continue
      all++
      if (isMet(cell.verdict)) continue
      const where = [cell.group, cell.row, cell.column].map(plain).join('; ')
      const found = ratioText(cell.ratios[cell.headline].median) + (cell.verdict === 'close' ? ' ≈' : '')
      rows.push([bench, where, plain(cell.headline), found, `≥${targetText(cell.target)}`])
    }
    for (const { row, bytes, wanted, met } of result.retained) {
      if (wanted === null) continue
      all++
      if (!met) rows.push([bench, plain(row), '', amountText(bytes[ours], 'bytes'), plain(wanted)])
    }
  }
  return { rows, all }
}

function memoryRows(benches: Benches): string[][] {
  return benches.flatMap(([bench, { retained }]) =>
    retained.flatMap(({ row, bytes }) =>
      Object.entries(bytes)
        .filter(([name, held]) => name !== ours && !isFloor(name) && held < bytes[ours])
        .map(([name, held]) => [
          bench,
          plain(row),
          plain(name),
          `${amountText(bytes[ours], 'bytes')} beside ${amountText(held, 'bytes')}`,
        ]),
    ),
  )
}

/** The section about everything that is worse than somebody else's, or than what was wanted. */
export function lossesText(results: ResultFile): string {
  const benches = benchesOf(results)
  const rivals = ratioRows(benches, false)
  const floors = ratioRows(benches, true)
  const missed = missedRows(benches)
  const memory = memoryRows(benches)
  const parts = [
    `${rivals.count.below} of ${rivals.count.all} ratios to a rival are below 1, and ${missed.rows.length} of ${missed.all} targets were not met. ` +
      'This list is made from the data. `≈`: 1, or what was wanted, lies within the quartiles, so another run may say otherwise.',
  ]
  const add = (
    text: string,
    head: readonly string[],
    rows: readonly (readonly string[])[],
    labels: number,
  ): void => {
    if (rows.length > 0) parts.push(text, table(head, rows, labels))
  }
  const heads = ['bench', 'what', 'beside', `where, and times as fast as it`]
  add('**A rival is faster:**', heads, rivals.rows, 4)
  add('**A rival holds less:**', ['bench', 'what', 'rival', `${ours} beside it`], memory, 4)
  add('**Less than was wanted:**', ['bench', 'where', 'beside', 'found', 'wanted'], missed.rows, 3)
  const less =
    '**Slower than a floor**, which does less: a bare or raw socket parses nothing, and a bare `connect()` is what `start()` ' +
    'stands on. How far below 1 is the price of what is done on top.'
  add(less, heads, floors.rows, 4)
  return parts.join('\n\n')
}

/** The lowest, the middle and the highest ratio of each bench to each contestant. */
export function glanceTable(results: ResultFile): string {
  const rows = benchesOf(results).flatMap(([bench, result]) => {
    const found = new Map<string, number[]>()
    for (const cell of cellsOf(result)) {
      for (const [name, { median }] of Object.entries(cell.ratios)) {
        if (Number.isFinite(median)) found.set(name, [...(found.get(name) ?? []), median])
      }
    }
    return [...found].map(([name, ratios], i) => {
      const sorted = ratios.toSorted((a, b) => a - b)
      const three = [sorted[0], sorted[(sorted.length - 1) >> 1], sorted.at(-1)!]
      const label = i === 0 ? `[${bench}](#${bench})` : ''
      const below = String(sorted.filter(isLoss).length)
      return [label, plain(name), String(sorted.length)].concat(three.map(ratioText), below)
    })
  })
  return table(['bench', 'beside', 'cells', 'lowest', 'middle', 'highest', 'below 1'], rows, 2)
}
