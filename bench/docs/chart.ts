// Strategy: which chart a table becomes. Where columns (or rows) are three or more sizes or counts it is curves, else bars. Where
// times grow with sizes by a factor of hundreds, curves of different contestants lie on top of each other; then what is drawn is
// everybody's time in multiples of ours, which is what one wants to know.
import type { Spread } from '../measure.js'
import type { Cell } from '../report.js'
import { ours } from '../report.js'
import type { Retained } from '../retain.js'
import { barChart, type Cluster } from './bar-chart.js'
import { isOverhead, type Palette } from './contestants.js'
import { lineChart, type Panel } from './line-chart.js'
import { amountText, isTime, ratioText, tickText } from './number.js'
import { quantities } from './scale.js'
import { namesOf, unique, type View } from './view.js'

/** A picture, and what to say where it cannot be seen. */
export interface Chart {
  readonly svg: string
  readonly alt: string
}

/** Beyond this factor between the lowest and the highest, absolute curves hide what differs. */
const ABSOLUTE = 100
const LONGEST_DESCRIPTION = 2400

const isSound = (spread: Spread | undefined): spread is Spread =>
  spread !== undefined && Number.isFinite(spread.median) && spread.median > 0

const drawn = (cells: readonly Cell[]): string[] => namesOf(cells).filter(name => !isOverhead(name))

/** Everybody's value in multiples of ours: the ratio where the rounds gave one, and the ratio of the medians elsewhere. */
function multiple({ ns, ratios }: Cell, name: string): Spread | undefined {
  if (ratios[name] !== undefined) return ratios[name]
  if (ns[name] === undefined || ns[ours] === undefined) return undefined
  const median = ns[name].median / ns[ours].median
  return { low: median, median, high: median }
}

const label = (...parts: readonly string[]): string => parts.filter(part => part !== '').join('; ')

function describe(lines: readonly string[]): string {
  const whole = lines.join('. ')
  return whole.length > LONGEST_DESCRIPTION ? `${whole.slice(0, LONGEST_DESCRIPTION)} …` : `${whole}.`
}

/** `xs` are the numbers that the columns stand for. */
function curves(
  title: string,
  view: View,
  cells: readonly Cell[],
  xs: readonly number[],
  palette: Palette,
): Chart {
  const columns = unique(cells.map(cell => cell.column)).map((text, i) => ({ x: xs[i], label: text }))
  const names = drawn(cells)
  const medians = cells.flatMap(cell => names.map(name => cell.ns[name])).filter(isSound)
  const values = medians.map(({ median }) => median)
  const relative =
    Math.max(...values) / Math.min(...values) > ABSOLUTE && cells.every(cell => isSound(cell.ns[ours]))
  const rows = unique(cells.map(cell => cell.row))
  const panels = rows.map((row): Panel => {
    const own = cells.filter(cell => cell.row === row)
    const lines = names.map(name => {
      const points = own.map(cell => ({
        x: columns.find(({ label }) => label === cell.column)!.x,
        y: relative ? multiple(cell, name) : cell.ns[name],
      }))
      const sound = points.filter((point): point is { x: number; y: Spread } => isSound(point.y))
      return { name, points: sound.toSorted((a, b) => a.x - b.x) }
    })
    return { title: row, lines: lines.filter(({ points }) => points.length > 0) }
  })
  const what = isTime(view.unit) ? 'time' : view.unit
  const subtitle = relative
    ? `${what} per ${view.operation} in multiples of ${ours}'s (log); above 1 is ${isTime(view.unit) ? 'slower' : 'more'} than ${ours}; thin strokes: quartiles`
    : `${what} per ${view.operation} (both axes log); lower is better; thin strokes: quartiles`
  const tick = (value: number): string => (relative ? `${value}×` : tickText(value, view.unit))
  const said = panels.flatMap(panel =>
    panel.lines.map(({ name, points }) => {
      const each = points.map(({ x, y }) => {
        const value = relative ? `${ratioText(y.median)} times` : amountText(y.median, view.unit)
        return `${value} at ${columns.find(column => column.x === x)!.label}`
      })
      return `${label(panel.title, name)}: ${each.join(', ')}`
    }),
  )
  const description = describe([`Curves, logarithmic: ${subtitle}`, ...said])
  const baseline = relative ? 1 : null
  const figure = { title, subtitle, description, panels, columns, tick, baseline }
  return { svg: lineChart(figure, palette), alt: `${title}: ${subtitle}` }
}

function bars(
  title: string,
  subtitle: string,
  clusters: readonly Cluster[],
  unit: string,
  palette: Palette,
): Chart | null {
  const sound = clusters.filter(({ bars }) => bars.length > 0)
  if (!sound.some(({ bars }) => bars.length > 1)) return null
  const amount = (value: number): string => amountText(value, unit)
  const said = sound.map(({ title, bars }) =>
    label(title, bars.map(({ name, value }) => `${name} ${amount(value.median)}`).join(', ')),
  )
  const description = describe([`Bars: ${subtitle}`, ...said])
  return {
    svg: barChart({ title, subtitle, description, clusters: sound, amount }, palette),
    alt: `${title}: ${subtitle}`,
  }
}

const turned = (cell: Cell): Cell => ({ ...cell, row: cell.column, column: cell.row })

/** The chart of one group; null where there is nothing to compare. */
export function chartOf(bench: string, view: View, palette: Palette): Chart | null {
  const { cells, unit, operation } = view
  const title = `${bench}: ${view.name}`
  if (drawn(cells).length < 2) return null
  for (const way of [cells, cells.map(turned)]) {
    const labels = unique(way.map(cell => cell.column))
    const xs = labels.length < 3 ? null : quantities(labels)
    if (xs !== null) return curves(title, view, way, xs, palette)
  }
  const rows = unique(cells.map(cell => cell.row))
  const columns = unique(cells.map(cell => cell.column))
  const clusters = cells.map((cell): Cluster => {
    const all = drawn([cell]).map(name => ({ name, value: cell.ns[name] }))
    const name = label(
      rows.length > 1 || columns.length === 1 ? cell.row : '',
      columns.length > 1 ? cell.column : '',
    )
    return { title: name, bars: all.filter(({ value }) => isSound(value)) }
  })
  const of = label(
    columns.length === 1 ? columns[0] : '',
    rows.length === 1 && columns.length > 1 ? rows[0] : '',
  )
  const place = of === '' ? '' : `, ${of}`
  const subtitle = `${isTime(unit) ? 'time' : unit} per ${operation}${place}; lower is better; thin strokes: quartiles`
  return bars(title, subtitle, clusters, unit, palette)
}

/** The chart of what was held; null where there is nothing to compare. */
export function memoryChart(bench: string, rows: readonly Retained[], palette: Palette): Chart | null {
  const clusters = rows.map(({ row, bytes }): Cluster => {
    const all = Object.entries(bytes).map(([name, held]) => ({
      name,
      value: { low: held, median: held, high: held },
    }))
    return { title: row, bars: all.filter(({ value }) => Number.isFinite(value.median)) }
  })
  return bars(`${bench}: memory`, 'bytes held; lower is better', clusters, 'bytes', palette)
}
