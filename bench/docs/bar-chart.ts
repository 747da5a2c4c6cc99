// Strategy: horizontal bars, a cluster for each cell of the table and in it a bar for each contestant, the best on top. Names and
// values stand at the bars, so there is no legend to go back and forth to and no axis to estimate by. Clusters share a scale
// unless that would leave some with nothing to see; then each has its own, and the sheet says so.
import type { Spread } from '../measure.js'
import type { Palette } from './contestants.js'
import { coordinate, element, sheet, text, textWidth } from './svg.js'

/** One contestant in one cell. */
export interface Bar {
  readonly name: string
  readonly value: Spread
}

/** One cell of the table. */
export interface Cluster {
  readonly title: string
  readonly bars: readonly Bar[]
}

/** Everything on one sheet. */
export interface BarFigure {
  readonly title: string
  /** What is measured, and which way is better. */
  readonly subtitle: string
  readonly description: string
  readonly clusters: readonly Cluster[]
  readonly amount: (value: number) => string
}

const WIDTH = 860
const MARGIN = 16
const GAP = 24
const BAR = 15
const STEP = 20
/** Clusters whose longest bars differ by more than this have scales of their own. */
const COMMON = 4
/** More bars than this stand in two columns. */
const ONE_COLUMN = 36
/** How much longer than the longest bar its stroke for the quartiles may be. */
const REACH = 1.4

/** The value that takes the whole width; quartiles far outside are cut off. */
function longest({ bars }: Cluster): number {
  const medians = Math.max(...bars.map(({ value }) => value.median), Number.MIN_VALUE)
  const highs = bars.map(({ value }) => (Number.isFinite(value.high) ? value.high : 0))
  return Math.max(medians, Math.min(Math.max(...highs), medians * REACH))
}

const headingHeight = ({ title }: Cluster): number => (title === '' ? 0 : 24)

const heightOf = (cluster: Cluster): number => headingHeight(cluster) + cluster.bars.length * STEP + 10

/** Where a cluster goes. */
interface Place {
  /** Of the heading. */
  readonly edge: number
  /** Of the bars. */
  readonly left: number
  readonly top: number
  readonly room: number
  /** What takes all the room. */
  readonly full: number
}

function clusterSvg(cluster: Cluster, place: Place, amount: BarFigure['amount'], palette: Palette): string {
  const { edge, left, top, room, full } = place
  const width = (value: number): number => Math.min(room, Math.max(1, (value / full) * room))
  let y = top + headingHeight(cluster)
  let svg = cluster.title === '' ? '' : text(edge, y - 8, cluster.title, { class: 'b' })
  const axis = `M${coordinate(left)} ${y - 3}v${cluster.bars.length * STEP + 1}`
  for (const { name, value } of cluster.bars.toSorted((a, b) => a.value.median - b.value.median)) {
    const { colour, dashed, isOurs } = palette.look(name)
    const style = isOurs && !dashed ? ({ class: 'b' } as const) : {}
    let end = left + width(value.median)
    svg += text(left - 8, y + 12, name, { anchor: 'end', ...style })
    const bar = { class: `p c${colour}`, x: left, y, width: end - left, height: BAR }
    svg += element('rect', dashed ? { ...bar, 'fill-opacity': '.6' } : bar)
    if (value.high > value.low && Number.isFinite(value.high)) {
      const [from, to] = [left + width(value.low), left + width(value.high)]
      svg += element('path', { class: 'w', d: `M${coordinate(from)} ${y + BAR / 2}H${coordinate(to)}` })
      end = Math.max(end, to)
    }
    svg += text(end + 6, y + 12, amount(value.median), style)
    y += STEP
  }
  return svg + element('path', { class: 'g', d: axis })
}

/** Bars as an SVG. */
export function barChart(figure: BarFigure, palette: Palette): string {
  const { title, description, clusters, amount } = figure
  const lengths = clusters.map(longest)
  const most = Math.max(...lengths)
  const own = most > COMMON * Math.min(...lengths)
  const bars = clusters.flatMap(cluster => cluster.bars)
  const across = bars.length > ONE_COLUMN && clusters.length > 1 ? 2 : 1
  const names = Math.max(...bars.map(({ name }) => textWidth(name, palette.look(name).isOurs))) + 10
  const values = Math.max(...bars.map(({ value }) => textWidth(amount(value.median), true))) + 8
  const wide = (WIDTH - 2 * MARGIN - (across - 1) * GAP) / across
  const subtitle = own ? `${figure.subtitle}; each cluster has a scale of its own` : figure.subtitle

  let body = text(MARGIN, 28, title, { class: 't' }) + text(MARGIN, 47, subtitle, { class: 'm' })
  let top = 60
  for (let i = 0; i < clusters.length; i += across) {
    const line = clusters.slice(i, i + across)
    for (const [j, cluster] of line.entries()) {
      const edge = MARGIN + j * (wide + GAP)
      const full = own ? lengths[i + j] : most
      const place = { edge, left: edge + names, top, room: wide - names - values, full }
      body += clusterSvg(cluster, place, amount, palette)
    }
    top += Math.max(...line.map(heightOf))
  }
  return sheet({ width: WIDTH, height: top + 4, title, description, palette }, body)
}
