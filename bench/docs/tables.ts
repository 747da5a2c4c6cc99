// Strategy: one line of a table for each cell, one column for each contestant: what it took, and below that how many times as
// fast ours was. So a table grows downwards with sizes, and sideways only with contestants. Long ones are folded.
import type { Cell } from '../report.js'
import { marks, ours } from '../report.js'
import type { Retained } from '../retain.js'
import { isFloor, isOverhead } from './contestants.js'
import { amountText, ratioText, targetText } from './number.js'
import { namesOf, unique, type View } from './view.js'

/** A table of more lines is folded. */
const FOLDED = 16

/** Text that is no markup but for code in backticks, within a table or outside. */
export function plain(text: string): string {
  return text.replaceAll(/`[^`]+`|[|*\\<]/g, found => {
    if (found.startsWith('`')) return found.replaceAll('|', '\\|')
    return found === '<' ? '&lt;' : `\\${found}`
  })
}

const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`

/** A table; the columns after the first few, `labels`, are aligned to the right. */
export function table(
  head: readonly string[],
  rows: readonly (readonly string[])[],
  labels: number = head.length,
): string {
  const rule = head.map((_, i) => (i < labels ? '---' : '---:'))
  return [line(head), line(rule), ...rows.map(line)].join('\n')
}

/** The same, folded when it is long. */
function folded(summary: string, rows: number, text: string): string {
  if (rows <= FOLDED) return text
  return `<details>\n<summary>${summary}</summary>\n\n${text}\n\n</details>`
}

/** "5.31× (5.22–5.40)"; the quartiles are left out where there are none. */
function ratio({ ratios }: Cell, name: string): string {
  const found = ratios[name]
  if (found === undefined || !Number.isFinite(found.median)) return ''
  const { low, median, high } = found
  const quartiles = low === high ? '' : ` (${ratioText(low)}–${ratioText(high)})`
  return `<br>${ratioText(median)}×${quartiles}`
}

/** A column of labels is left out where all of them are the same and something else tells the lines apart. */
function without(rows: readonly (readonly string[])[], head: string[], at: number): string[][] {
  const copies = rows.map(row => [...row])
  if (rows.some(row => row[at] !== '')) return copies
  head.splice(at, 1)
  for (const row of copies) row.splice(at, 1)
  return copies
}

/** Ours come first, then rivals, floors, and what was taken out. */
function rank(name: string): number {
  if (name.startsWith(ours)) return 0
  return isOverhead(name) ? 3 : isFloor(name) ? 2 : 1
}

/** Everything that was measured in a group. */
export function groupTable({ cells, unit, operation }: View): string {
  const names = namesOf(cells).toSorted((a, b) => rank(a) - rank(b))
  const columns = unique(cells.map(cell => cell.column))
  const headlines = unique(cells.filter(cell => cell.target !== null).map(cell => cell.headline))
  let before: string | null = null
  const lines = cells.map(cell => {
    const row = cell.row === before ? '' : plain(cell.row)
    before = cell.row
    const values = names.map(name => {
      const found = cell.ns[name]
      return found === undefined ? '' : amountText(found.median, unit) + ratio(cell, name)
    })
    const { target, headline, verdict } = cell
    const beside = headlines.length > 1 ? ` ${plain(headline)}` : ''
    const wanted = target === null ? '' : `≥${targetText(target)}×${beside} ${marks[verdict]}`
    return [row, columns.length > 1 ? plain(cell.column) : '', ...values, wanted]
  })
  const wanted = headlines.length === 1 ? `wanted beside ${plain(headlines[0])}` : 'wanted'
  const head = ['', '', ...names.map(plain), wanted]
  const rows = without(without(lines, head, head.length - 1), head, 1)
  const text = table(head, rows, columns.length > 1 ? 2 : 1)
  return folded(`All ${rows.length} cells, per ${operation}`, rows.length, text)
}

/** What was held. */
export function memoryTable(found: readonly Retained[]): string {
  const all = unique(found.flatMap(({ bytes }) => Object.keys(bytes)))
  const names = all.toSorted((a, b) => rank(a) - rank(b))
  const head = ['bytes held', ...names.map(plain), 'wanted']
  const lines = found.map(({ row, bytes, wanted, met }) => [
    plain(row),
    ...names.map(name => (bytes[name] === undefined ? '' : amountText(bytes[name], 'bytes'))),
    wanted === null ? '' : `${plain(wanted)} ${met ? '✓' : '✗'}`,
  ])
  return table(head, without(lines, head, head.length - 1), 1)
}
