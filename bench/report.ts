// Strategy: a bench yields cells; this file turns them into two tables per group: the ratios with their targets,
// which is what one wants to know, and below it the time per operation of everybody, which says why.
import { cpus, loadavg } from 'node:os'
import type { Peers } from './peers.js'
import type { Spread, Timings } from './measure.js'
import { ratio, spread } from './measure.js'

export interface Cell {
  readonly group: string
  readonly row: string
  readonly column: string
  /** The median of this contestant's ratio is held against the target. */
  readonly headline: string
  readonly target: number | null
  readonly verdict: Verdict
  /** Times as fast as each contestant we are compared with. */
  readonly ratios: Readonly<Record<string, Spread>>
  /** Nanoseconds per operation, or what `unit` says. */
  readonly ns: Readonly<Record<string, Spread>>
  /** What `ns` counts, if not nanoseconds: 'µs', 'bytes', 'attempts'; less is better. All cells of a group have the same. */
  readonly unit?: string
}

/** `barely` and `close`: the median meets the target, or misses it, but the target lies within the quartiles. */
export type Verdict = 'met' | 'barely' | 'close' | 'missed' | 'no target'

/** How verdicts are shown. */
export const marks: Readonly<Record<Verdict, string>> = {
  met: '✓',
  barely: '✓≈',
  close: '≈',
  missed: '✗',
  'no target': '',
}

/** Whether a target was met, however narrowly. */
export const isMet = (verdict: Verdict): boolean => verdict === 'met' || verdict === 'barely'

export function judge(found: Spread, target: number | null): Verdict {
  if (target === null) return 'no target'
  if (found.median >= target) return found.low >= target ? 'met' : 'barely'
  return found.high >= target ? 'close' : 'missed'
}

/** Contestants whose names start with this are ours: they get no ratio of their own. */
export const ours = 'sansocket'

export function cellOf(
  place: Pick<Cell, 'group' | 'row' | 'column' | 'headline' | 'target' | 'unit'>,
  timings: Timings,
): Cell {
  const ns: Record<string, Spread> = {}
  const ratios: Record<string, Spread> = {}
  for (const [name, values] of timings) {
    ns[name] = spread(values)
    if (!name.startsWith(ours) && !name.startsWith('(')) ratios[name] = ratio(timings, name, ours)
  }
  return { ...place, verdict: judge(ratios[place.headline], place.target), ratios, ns }
}

function unique(values: readonly string[]): string[] {
  return [...new Set(values)]
}

function table(rows: readonly (readonly string[])[]): string {
  const widths = rows[0].map((_, column) => Math.max(...rows.map(row => row[column].length)))
  const line = (row: readonly string[]): string =>
    row.map((text, i) => (i === 0 ? text.padEnd(widths[i]) : text.padStart(widths[i]))).join('   ')
  return rows.map(row => `  ${line(row).trimEnd()}`).join('\n')
}

function number(value: number): string {
  if (!Number.isFinite(value)) return '-'
  if (Math.abs(value) >= 1000) return Math.round(value).toLocaleString('en-US')
  return value.toFixed(Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 10 ? 1 : 2)
}

/** The two tables of one group. */
export function groupText(cells: readonly Cell[], operation: string): string {
  const columns = unique(cells.map(cell => cell.column))
  const at = (row: string, column: string): Cell | undefined =>
    cells.find(cell => cell.row === row && cell.column === column)
  const rows = unique(cells.map(cell => cell.row))

  const ratios = [['', ...columns]]
  for (const row of rows) {
    const texts = columns.map(column => {
      const cell = at(row, column)
      if (cell === undefined) return ''
      const { low, median, high } = cell.ratios[cell.headline]
      const wanted = cell.target === null ? '' : ` ≥${cell.target} ${marks[cell.verdict]}`
      return `${number(median)} (${number(low)}-${number(high)})${wanted}`
    })
    ratios.push([row, ...texts])
  }

  const times = [['', '', ...columns]]
  for (const row of rows) {
    const names = unique(cells.filter(cell => cell.row === row).flatMap(cell => Object.keys(cell.ns)))
    names.forEach((name, index) => {
      const texts = columns.map(column => {
        const found = at(row, column)?.ns[name]
        return found === undefined ? '' : number(found.median)
      })
      times.push([index === 0 ? row : '', name, ...texts])
    })
  }
  // The second column of the times is a label as well.
  const width = Math.max(...times.map(row => row[1].length))
  const padded = times.map(row => row.map((text, i) => (i === 1 ? text.padEnd(width) : text)))

  const { group, headline, unit = 'nanoseconds' } = cells[0]
  return [
    `${group}: times as fast as ${headline}; median (quartiles) ≥target`,
    table(ratios),
    `  ${unit} per ${operation}`,
    table(padded),
    '',
  ].join('\n')
}

/** "37 of 40 targets met, 1 within the noise, 2 missed", and the missed ones by name. */
export function summaryText(cells: readonly Cell[]): string {
  const judged = cells.filter(cell => cell.verdict !== 'no target')
  if (judged.length === 0) return ''
  const count = (verdict: Verdict): number => judged.filter(cell => cell.verdict === verdict).length
  const lines = [
    `${count('met') + count('barely')} of ${judged.length} targets met (${count('barely')} of them within the noise, ✓≈), ` +
      `${count('close')} missed within the noise (≈), ${count('missed')} missed (✗)`,
  ]
  for (const cell of judged) {
    if (isMet(cell.verdict)) continue
    const found = number(cell.ratios[cell.headline].median)
    lines.push(
      `  ${marks[cell.verdict]} ${cell.group}; ${cell.row}; ${cell.column}: ${found}, wanted ${cell.target}`,
    )
  }
  return `${lines.join('\n')}\n`
}

export interface Machine {
  readonly node: string
  readonly v8: string
  readonly cpu: string
  readonly cores: number
  readonly loadAverage: readonly number[]
  readonly ws: string
  readonly addOns: Readonly<Record<string, { readonly masking: string; readonly utf8: string }>>
}

export function machine(peers: Peers): Machine {
  const { native, plain } = peers
  return {
    node: process.version,
    v8: process.versions.v8,
    cpu: cpus()[0]?.model ?? 'unknown',
    cores: cpus().length,
    loadAverage: loadavg().map(value => Math.round(value * 100) / 100),
    ws: native.version,
    addOns: {
      'ws + add-ons': { masking: native.masking, utf8: native.utf8 },
      'ws alone': { masking: plain.masking, utf8: plain.utf8 },
    },
  }
}

export function machineText(found: Machine): string {
  const lines = [
    `Node ${found.node} (V8 ${found.v8}), ${found.cpu}, ${found.cores} cores, load ${found.loadAverage.join(' ')}`,
    `ws ${found.ws}, loaded twice, as seen in this process:`,
  ]
  for (const [name, { masking, utf8 }] of Object.entries(found.addOns)) {
    lines.push(`  ${name.padEnd(12)}  masking: ${masking}; UTF-8: ${utf8}`)
  }
  lines.push(
    '  (ws loads utf-8-validate only where buffer.isUtf8 is missing, and bufferutil only where http.websocketMask is)',
  )
  if (found.loadAverage[0] > found.cores / 2) {
    lines.push('  NOTE: the machine is busy; read ratios, not digits, and expect wide quartiles')
  }
  return `${lines.join('\n')}\n`
}
