// Strategy: curves over sizes or counts. Both axes are logarithmic, since sizes and counts are multiples of each other, and a
// factor is the same distance everywhere. A panel for each row of the table, all with the same axes, so they can be compared; a
// line for each contestant, ours above the others; a thin stroke through each point for its quartiles.
import type { Spread } from '../measure.js'
import type { Look, Palette } from './contestants.js'
import { logRange, logScale, logTicks, type Scale } from './scale.js'
import { coordinate, element, sheet, text, textWidth } from './svg.js'

/** One measured point of a line. */
export interface Point {
  readonly x: number
  readonly y: Spread
}

/** One contestant's points, from left to right. */
export interface Line {
  readonly name: string
  readonly points: readonly Point[]
}

/** One row of the table. */
export interface Panel {
  readonly title: string
  readonly lines: readonly Line[]
}

/** Everything on one sheet. */
export interface LineFigure {
  readonly title: string
  /** What is measured, and which way is better. */
  readonly subtitle: string
  readonly description: string
  readonly panels: readonly Panel[]
  /** What stands below the axis, and where. */
  readonly columns: readonly { readonly x: number; readonly label: string }[]
  /** What stands beside the other axis. */
  readonly tick: (value: number) => string
  /** A value that everything is compared with. */
  readonly baseline: number | null
}

const WIDTH = 860
const MARGIN = 16
const LEFT = 58
const BELOW = 26
const GAP = 18
/** A stroke that is shorter than this is hidden by the mark upon it. */
const MARK = 6

interface Frame {
  readonly left: number
  readonly top: number
  readonly right: number
  readonly bottom: number
  readonly x: Scale
  readonly y: Scale
}

const shapes: readonly ((x: number, y: number) => string)[] = [
  (x, y) => `M${coordinate(x - 3)} ${coordinate(y)}a3 3 0 1 0 6 0a3 3 0 1 0-6 0`,
  (x, y) => `M${coordinate(x - 2.7)} ${coordinate(y - 2.7)}h5.4v5.4h-5.4z`,
  (x, y) => `M${coordinate(x)} ${coordinate(y - 3.7)}l3.6 6.6h-7.2z`,
  (x, y) => `M${coordinate(x)} ${coordinate(y - 4)}l4 4l-4 4l-4-4z`,
  (x, y) => `M${coordinate(x - 3.6)} ${coordinate(y - 3)}h7.2l-3.6 6.6z`,
]

/** The same contestant has the same shape in all charts, as it has the same colour. */
function mark({ colour, isOurs }: Look, x: number, y: number): string {
  return shapes[isOurs ? 0 : colour % shapes.length](x, y)
}

function curve({ points }: Line, look: Look, { x, y }: Frame): string {
  const at = points.map(point => ({ x: x(point.x), y: y(point.y.median), spread: point.y }))
  const path = at.map((one, i) => `${i === 0 ? 'M' : 'L'}${coordinate(one.x)} ${coordinate(one.y)}`).join('')
  const quartiles = at
    .filter(({ spread: { low, high } }) => low > 0 && y(low) - y(high) > MARK)
    .map(one => `M${coordinate(one.x)} ${coordinate(y(one.spread.low))}V${coordinate(y(one.spread.high))}`)
  const style = `${look.isOurs && !look.dashed ? ' o' : ''}${look.dashed ? ' d' : ''} c${look.colour}`
  return [
    element('path', { class: `l${style}`, d: path }),
    quartiles.length === 0 ? '' : element('path', { class: `q c${look.colour}`, d: quartiles.join('') }),
    element('path', { class: `p c${look.colour}`, d: at.map(one => mark(look, one.x, one.y)).join('') }),
  ].join('')
}

/** Labels below the axis: as many as fit, the first and the last in any case. */
function columnLabels(columns: LineFigure['columns'], { left, right, bottom, x }: Frame): string {
  const sorted = columns.toSorted((a, b) => a.x - b.x)
  const place = (one: (typeof sorted)[number]): [number, number] => {
    const half = textWidth(one.label) / 2
    const middle = Math.min(Math.max(x(one.x), left - LEFT / 2 + half), right + MARGIN - 6 - half)
    return [middle - half, middle + half]
  }
  const last = sorted.length - 1
  let free = -Infinity
  const limit = place(sorted[last])[0]
  let drawn = ''
  sorted.forEach((one, i) => {
    const [from, to] = place(one)
    if (i !== last && (from < free || (i > 0 && to + 8 > limit))) return
    free = to + 8
    drawn += text((from + to) / 2, bottom + 17, one.label, { class: 'm', anchor: 'middle' })
  })
  return drawn
}

function panel({ title }: Panel, figure: LineFigure, frame: Frame, range: [number, number]): string {
  const { left, top, right, bottom, x, y } = frame
  let grid = figure.columns
    .map(one => `M${coordinate(x(one.x))} ${coordinate(top)}V${coordinate(bottom)}`)
    .join('')
  let labels = columnLabels(figure.columns, frame)
  for (const tick of logTicks(...range)) {
    grid += `M${coordinate(left)} ${coordinate(y(tick))}H${coordinate(right)}`
    labels += text(left - 7, y(tick) + 4, figure.tick(tick), { class: 'm', anchor: 'end' })
  }
  const { baseline } = figure
  const base =
    baseline === null
      ? ''
      : element('path', { class: 'w', d: `M${left} ${coordinate(y(baseline))}H${right}` })
  const heading = title === '' ? '' : text(left, top - 8, title, { class: 'b' })
  return element('path', { class: 'g', d: grid }) + labels + heading + base
}

/** Swatches with names, in as many lines as it takes. */
function legend(names: readonly string[], palette: Palette, top: number): { svg: string; height: number } {
  let left = MARGIN
  let y = top
  let svg = ''
  for (const name of names) {
    const look = palette.look(name)
    const width = 30 + textWidth(name, look.isOurs && !look.dashed) + 14
    if (left + width > WIDTH - MARGIN && left > MARGIN) {
      left = MARGIN
      y += 20
    }
    const style = `${look.isOurs && !look.dashed ? ' o' : ''}${look.dashed ? ' d' : ''} c${look.colour}`
    svg += element('path', { class: `l${style}`, d: `M${coordinate(left)} ${y - 4}h22` })
    svg += element('path', { class: `p c${look.colour}`, d: mark(look, left + 11, y - 4) })
    svg += text(left + 28, y, name, look.isOurs && !look.dashed ? { class: 'b' } : {})
    left += width
  }
  return { svg, height: y - top + 20 }
}

/** What is drawn of a panel within this range of medians. */
function clipped({ title, lines }: Panel, [low, high]: readonly [number, number]): Panel {
  // A part of ours that was measured alone is left out where it lies far below; all others are within the range.
  const inside = lines.filter(({ points }) => points.every(({ y }) => y.median >= low && y.median <= high))
  const cut = ({ x, y }: Point): Point => ({
    x,
    y: { ...y, low: Math.max(y.low, low), high: Math.min(y.high, high) },
  })
  return { title, lines: inside.map(({ name, points }) => ({ name, points: points.map(cut) })) }
}

/** What everything fits into but parts of ours that were measured alone, which would press all others together. */
function rangeOf({ panels, baseline }: LineFigure, palette: Palette): [number, number] {
  const whole = panels.flatMap(({ lines }) =>
    lines.filter(({ name }) => !(palette.look(name).isOurs && palette.look(name).dashed)),
  )
  const values = whole.flatMap(({ points }) => points.map(({ y }) => y.median))
  return logRange(baseline === null ? values : [...values, baseline])
}

/** Curves as an SVG. */
export function lineChart(figure: LineFigure, palette: Palette): string {
  const { title, subtitle, description, columns } = figure
  const range = rangeOf(figure, palette)
  const panels = figure.panels.map(one => clipped(one, range))
  const domain = columns.map(one => one.x)
  const isTheirs = (name: string): number => Number(!palette.look(name).isOurs)
  const all = panels.flatMap(({ lines }) => lines.map(({ name }) => name))
  const key = legend(
    [...new Set(all)].toSorted((a, b) => isTheirs(a) - isTheirs(b)),
    palette,
    70,
  )
  const across = panels.length === 1 ? 1 : 2
  const wide = (WIDTH - 2 * MARGIN - (across - 1) * GAP) / across
  const high = across === 1 ? 280 : 190
  const begin = 62 + key.height
  const step = high + 24 + BELOW + 10
  let body = text(MARGIN, 28, title, { class: 't' }) + text(MARGIN, 47, subtitle, { class: 'm' }) + key.svg
  panels.forEach((one, i) => {
    const left = MARGIN + (i % across) * (wide + GAP) + LEFT - MARGIN
    const top = begin + Math.floor(i / across) * step + (one.title === '' ? 6 : 24)
    const [right, bottom] = [left + wide - LEFT + MARGIN - 12, top + high]
    const x = logScale(Math.min(...domain), Math.max(...domain), left + 10, right - 10)
    const frame = { left, top, right, bottom, x, y: logScale(...range, bottom, top) }
    const looks = one.lines.map(line => ({ line, look: palette.look(line.name) }))
    const order = looks.toSorted((a, b) => Number(a.look.isOurs) - Number(b.look.isOurs))
    body +=
      panel(one, figure, frame, range) + order.map(({ line, look }) => curve(line, look, frame)).join('')
  })
  const height = begin + Math.ceil(panels.length / across) * step + 4
  return sheet({ width: WIDTH, height, title, description, palette }, body)
}
