// Strategy: the command line. Without a name it lists the benches; with one (or several, or `all`) it runs them one
// after the other in this process, prints each group of tables as soon as it is complete, and ends by itself. With
// `--json` the tables are left out and one JSON document is printed instead; progress goes to standard error.
import { parseArgs } from 'node:util'
import type { Bench, Context } from './bench.js'
import { behaviour } from './behaviour.js'
import { broadcast } from './broadcast.js'
import { decode } from './decode.js'
import { deflate } from './deflate.js'
import { deflateMemory } from './deflate-memory.js'
import { docs } from './docs/docs.js'
import { latest, Recorder } from './docs/recorder.js'
import { encode } from './encode.js'
import { guard } from './guard/guard.js'
import { idle } from './idle.js'
import { mask } from './mask.js'
import { takeSink } from './measure.js'
import { loadPeers } from './peers.js'
import { echo } from './paths/echo.js'
import { growth } from './paths/growth.js'
import { handshake } from './paths/handshakes.js'
import { runtimes } from './paths/runtimes.js'
import { storm } from './paths/storm.js'
import { receive, send } from './paths/streams.js'
import { registry, type TextBench } from './registry.js'
import type { Cell } from './report.js'
import { groupText, machine, machineText, summaryText } from './report.js'
import type { MemoryBench, Retained } from './retain.js'
import { retain } from './retain.js'
import { serve } from './serve.js'
import { sizes } from './targets.js'
import { utf8 } from './utf8.js'

const benches: Readonly<Record<string, Bench>> = {
  decode,
  encode,
  mask,
  utf8,
  behaviour,
  deflate,
  send,
  receive,
  echo,
  handshake,
  growth,
  runtimes,
  storm,
  broadcast,
  serve,
}
const memoryBenches: Readonly<Record<string, MemoryBench>> = { retain, 'deflate-memory': deflateMemory, idle }
const textBenches: Readonly<Record<string, TextBench>> = { registry }
const all = { ...benches, ...memoryBenches, ...textBenches }

const usage = `npm run bench -- NAME… [--quick] [--rounds n] [--slot ms] [--filter text] [--json] [--save] [--out FILE]

${Object.values(all)
  .map(({ title }) => `  ${title}`)
  .join('\n')}
  all: every one of them

  --quick        5 rounds of short slots, fewer rows (the same targets)
  --rounds n     rounds, 9 by default: every contestant has one slot in each
  --slot ms      wished length of a slot, 25 by default
  --filter text  only cells whose "group; row; column" contains each of these comma-separated texts
  --cpu          counts processor time of this process instead of time passed, for a busy machine
  --sizes list   payload bytes for decode and encode instead of 16,125,1024,16384,1048576 (others have no target)
  --json         one JSON document instead of tables
  --save         merges what is found into bench/results/latest.json, bench by bench
  --out FILE     the same, into this file

npm run bench -- docs [--from FILE] [--check]: makes docs/benchmarks.md from docs/benchmarks/results.json
  --from FILE    takes the results of this file first
  --check        writes nothing, and fails when the page is not what the results say

npm run bench -- guard [--update] [--filter text]: counts bytes, objects and system calls, and fails above bench/guard-budget.json
  --update       commits to what is found
`

interface Options {
  readonly names: readonly string[]
  readonly context: Context
  readonly json: boolean
  readonly filter: string
  /** The result file; null for none. */
  readonly out: string | null
}

function whole(text: string | undefined, standard: number, name: string): number {
  if (text === undefined) return standard
  const value = Number(text)
  if (!Number.isInteger(value) || value < 1)
    throw new Error(`--${name} must be a whole number above 0, not ${text}`)
  return value
}

function options(args: readonly string[]): Options | null {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      quick: { type: 'boolean', default: false },
      rounds: { type: 'string' },
      slot: { type: 'string' },
      filter: { type: 'string', default: '' },
      sizes: { type: 'string' },
      cpu: { type: 'boolean', default: false },
      json: { type: 'boolean', default: false },
      save: { type: 'boolean', default: false },
      out: { type: 'string' },
      help: { type: 'boolean', default: false },
    },
  })
  if (values.help || positionals.length === 0) return null
  const known = Object.keys(all)
  const names = positionals.includes('all') ? known : positionals
  for (const name of names) {
    if (!known.includes(name))
      throw new Error(`no bench is called ${name}; there are ${known.join(', ')}, all`)
  }
  const parts = values.filter.split(',').map(part => part.trim())
  const terminal = process.stderr.isTTY
  const context: Context = {
    peers: loadPeers(),
    quick: values.quick,
    sizes: values.sizes?.split(',').map(text => whole(text, 0, 'sizes')) ?? sizes,
    pace: {
      rounds: whole(values.rounds, values.quick ? 5 : 9, 'rounds'),
      clock: values.cpu ? 'cpu' : 'wall',
      slotMs: whole(values.slot, values.quick ? 10 : 25, 'slot'),
    },
    wanted: (...place) => parts.every(part => place.join('; ').includes(part)),
    progress: label => void (terminal && process.stderr.write(`\r\x1b[K${label}`)),
  }
  const out = values.out ?? (values.save ? latest : null)
  return { names, context, json: values.json, filter: values.filter, out }
}

const lines = (notes: readonly string[]): string => notes.map(line => `  ${line}\n`).join('')

function sizeText(bytes: number): string {
  return Math.abs(bytes) < 1e6 ? `${(bytes / 1e3).toFixed(1)} KB` : `${(bytes / 1e6).toFixed(2)} MB`
}

function retainText(found: readonly Retained[]): string {
  const width = Math.max(24, ...found.map(({ row }) => row.length))
  return found
    .map(({ row, bytes, wanted, met }) => {
      const all = Object.entries(bytes).map(([name, held]) => `${name} ${sizeText(held)}`)
      const target = wanted === null ? '' : `   ${wanted} ${met ? '✓' : '✗'}`
      return `  ${row.padEnd(width)} ${all.join(', ')}${target}\n`
    })
    .join('')
}

async function main(): Promise<void> {
  const args = process.argv.slice(2)
  if (args[0] === 'docs') {
    process.exitCode = docs(args.slice(1))
    return
  }
  if (args[0] === 'guard') {
    process.exitCode = await guard(args.slice(1))
    return
  }
  const chosen = options(args)
  if (chosen === null) {
    process.stdout.write(usage)
    return
  }
  const { names, context, json, filter, out } = chosen
  const print = (text: string): void => void (json || process.stdout.write(text))
  const clear = (): void => context.progress('')
  const host = machine(context.peers)
  const { pace, quick } = context
  const recorder =
    out === null ? null : new Recorder(out, { machine: host, pace, quick, filter, order: Object.keys(all) })
  const cells: Record<string, Cell[]> = {}
  const kept: Retained[] = []
  const said: string[] = []
  print(
    `${machineText(host)}${context.pace.rounds} rounds, slots of about ${context.pace.slotMs} ms, ${context.pace.clock} clock\n`,
  )
  for (const name of names) {
    const { title, notes } = all[name]
    recorder?.begin(name, all[name])
    print(`\n# ${title}\n${lines(notes)}\n`)
    if (name in textBenches) {
      for await (const line of textBenches[name].run(context.quick)) {
        print(line)
        said.push(line)
        recorder?.line(line)
      }
      continue
    }
    if (name in memoryBenches) {
      const held: Retained[] = []
      const wanted = (row: string): boolean => context.wanted(title, row, '')
      for await (const found of memoryBenches[name].run(context.peers, wanted)) held.push(found)
      print(retainText(held))
      kept.push(...held)
      recorder?.retained(held)
      continue
    }
    const found = (cells[name] = [] as Cell[])
    for await (const group of benches[name].run(context)) {
      clear()
      found.push(...group.cells)
      recorder?.group(group)
      print(`${groupText(group.cells, group.operation)}${lines(group.notes ?? [])}\n`)
    }
    clear()
    print(summaryText(found))
  }
  recorder?.finish()
  if (json) {
    process.stdout.write(
      `${JSON.stringify({ machine: host, pace, quick, cells, retained: kept, registry: said }, null, 2)}\n`,
    )
  }
  // Uses what the contestants computed, where no compiler can foresee it.
  if (Number.isNaN(takeSink())) throw new Error('a contestant computed nonsense')
}

main().catch((error: unknown) => {
  process.stderr.write(`\n${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`)
  process.exitCode = 1
})
