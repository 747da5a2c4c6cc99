// Strategy: a pure function from the result file to the files of the page. It asks no clock and no machine, so a check can make
// them again and compare.
import { chartOf, memoryChart, type Chart } from './chart.js'
import { makePalette, type Palette } from './contestants.js'
import { glanceTable, lossesText } from './losses.js'
import { caveats, how, intro, reasons, rerun } from './prose.js'
import type { BenchResult, Host, Measured, ResultFile } from './result-file.js'
import { groupTable, memoryTable, plain, table } from './tables.js'
import { namesOf, unique, viewsOf } from './view.js'

/** The page and its pictures. */
export interface Page {
  readonly markdown: string
  /** SVG by file name. */
  readonly charts: ReadonlyMap<string, string>
}

/** Puts pictures aside and answers how the page refers to them. */
class Album {
  readonly charts = new Map<string, string>()

  add(title: string, chart: Chart | null): string[] {
    if (chart === null) return []
    const slug = title
      .toLowerCase()
      .replaceAll(/[^a-z\d]+/g, '-')
      .replaceAll(/^-|-$/g, '')
    let file = `${slug}.svg`
    for (let i = 2; this.charts.has(file); i++) file = `${slug}-${i}.svg`
    this.charts.set(file, chart.svg)
    return [`![${chart.alt.replaceAll(/[[\]\\]/g, '\\$&')}](benchmarks/${file})`]
  }
}

const joined = (notes: readonly string[]): string => notes.join(' ').trim()

const hostKey = (host: Host): string => JSON.stringify(host)

/** The machines of all benches; each has a letter if there are several. */
function machines(
  results: ResultFile,
): ReadonlyMap<string, { readonly letter: string; readonly host: Host }> {
  const hosts = Object.values(results.benches).map(({ measured }) => measured.machine)
  const keys = unique(hosts.map(hostKey))
  return new Map(
    keys.map((key, i) => [
      key,
      { letter: String.fromCodePoint(65 + i), host: hosts.find(host => hostKey(host) === key)! },
    ]),
  )
}

function hostText({ node, v8, cpu, cores, platform, versions, addOns }: Host): string {
  const lines = [
    `Node ${node} (V8 ${v8}), ${platform}, ${plain(cpu)}, ${cores} cores.`,
    `Versions: ${Object.entries(versions)
      .map(([name, version]) => `${name} ${version}`)
      .join(', ')}.`,
    'What `ws` really used in this process:',
    Object.entries(addOns)
      .map(([name, { masking, utf8 }]) => `${name}: masks with ${masking}, checks UTF-8 with ${utf8}`)
      .join('; '),
  ]
  return `${lines.join(' ')}.`
}

function paceText({ pace, quick, filter }: Measured): string {
  const clock = pace.clock === 'cpu' ? ', processor time' : ''
  const part = filter === '' ? '' : `, only what has "${filter}"`
  return `${pace.rounds} rounds, slots of ${pace.slotMs} ms${clock}${quick ? ', quick' : ''}${plain(part)}`
}

function machineText(results: ResultFile): string {
  const all = machines(results)
  const several = all.size > 1
  const parts = [...all.values()].map(
    ({ letter, host }) => (several ? `**${letter}:** ` : '') + hostText(host),
  )
  const rows = Object.entries(results.benches).map(([name, { measured }]) => {
    const { load, machine, date } = measured
    const busy = Math.max(load.start[0], load.end[0]) > machine.cores / 2 ? ' (busy)' : ''
    const row = [name, date, paceText(measured), `${load.start[0]}, ${load.end[0]}${busy}`]
    if (several) row.push(all.get(hostKey(machine))!.letter)
    return row
  })
  const head = ['bench', 'day', 'pace', 'load before, after', ...(several ? ['machine'] : [])]
  return [...parts, table(head, rows)].join('\n\n')
}

function benchText(name: string, bench: BenchResult, palette: Palette, album: Album): string {
  const title = bench.title.startsWith(`${name}: `) ? bench.title.slice(name.length + 2) : bench.title
  const parts = [`## ${name}`, `**${plain(title)}**`, plain(joined(bench.notes))]
  for (const view of viewsOf(bench)) {
    parts.push(`### ${plain(view.name)}`, ...album.add(`${name}-${view.name}`, chartOf(name, view, palette)))
    parts.push(groupTable(view))
    if (view.notes.length > 0) parts.push(view.notes.map(note => `- ${plain(note.trim())}`).join('\n'))
  }
  if (bench.retained.length > 0) {
    parts.push(...album.add(`${name}-memory`, memoryChart(name, bench.retained, palette)))
    parts.push(memoryTable(bench.retained))
  }
  if (bench.lines.length > 0) parts.push(`\`\`\`text\n${bench.lines.join('').replace(/\n+$/, '')}\n\`\`\``)
  return parts.filter(part => part !== '').join('\n\n')
}

/** Makes the page from what was measured. */
export function makePage(results: ResultFile): Page {
  const benches = Object.entries(results.benches)
  const names = benches.flatMap(([, { groups, retained }]) => [
    ...groups.flatMap(({ cells }) => namesOf(cells)),
    ...retained.flatMap(({ bytes }) => Object.keys(bytes)),
  ])
  const palette = makePalette(names)
  const album = new Album()
  const parts = [
    intro,
    `## What was measured, and how\n\n${how(benches.map(([name]) => name))}\n\n${caveats}`,
    `## The machine\n\n${machineText(results)}`,
    `## At a glance\n\nTimes as fast as the others; above 1 is in our favour.\n\n${glanceTable(results)}`,
    `## Where we lose\n\n${lossesText(results)}\n\n${reasons}`,
    ...benches.map(([name, bench]) => benchText(name, bench, palette, album)),
    `## Running them again\n\n${rerun}`,
  ]
  return { markdown: `${parts.join('\n\n')}\n`, charts: album.charts }
}
