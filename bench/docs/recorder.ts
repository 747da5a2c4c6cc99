// Strategy: collects what one bench yields and merges it into the result file as soon as the bench is over, so that a run
// that breaks off keeps what was complete. The file is read again just before it is written, and replaced in one step.
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { loadavg } from 'node:os'
import { dirname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Pace } from '../measure.js'
import type { Group } from '../bench.js'
import type { Machine } from '../report.js'
import type { Retained } from '../retain.js'
import type { BenchResult, GroupResult, Host } from './result-file.js'
import { empty, readResults, resultText } from './result-file.js'

/** The folder of the project; this file runs from `build/bench/docs/`. */
export const root = fileURLToPath(new URL('../../../', import.meta.url))

/** Where results go when nobody says where. */
export const latest = join(root, 'bench/results/latest.json')

interface Manifest {
  readonly version: string
  readonly dependencies?: Readonly<Record<string, string>>
}

function manifest(folder: string): Manifest | null {
  const path = join(folder, 'package.json')
  return existsSync(path) ? (JSON.parse(readFileSync(path, 'utf8')) as Manifest) : null
}

/** The library's version, and those really installed of everything in the benches' own manifests. */
function versions(): Record<string, string> {
  const found: Record<string, string> = { sansocket: manifest(root)!.version }
  for (const folder of ['bench', 'bench/runtimes']) {
    for (const name of Object.keys(manifest(join(root, folder))?.dependencies ?? {})) {
      const installed = manifest(join(root, folder, 'node_modules', name))
      if (installed !== null) found[name] = installed.version
    }
  }
  return found
}

const load = (): number[] => loadavg().map(value => Math.round(value * 100) / 100)

/** What a run is, beside its benches. */
export interface Run {
  readonly machine: Machine
  readonly pace: Pace
  readonly quick: boolean
  /** What `--filter` said. */
  readonly filter: string
  /** The names of all benches, in the order in which a result file has them. */
  readonly order: readonly string[]
}

/** What a bench has yielded since it began. */
interface Open {
  readonly name: string
  readonly title: string
  readonly notes: readonly string[]
  readonly start: readonly number[]
  readonly groups: GroupResult[]
  readonly retained: Retained[]
  readonly lines: string[]
}

/** Writes what benches find into a result file. */
export class Recorder {
  readonly #path: string
  readonly #run: Run
  #open: Open | null = null

  constructor(path: string, run: Run) {
    this.#path = path
    this.#run = run
  }

  /** A bench begins; the one before, if any, is over and saved. */
  begin(name: string, { title, notes }: { readonly title: string; readonly notes: readonly string[] }): void {
    this.finish()
    this.#open = { name, title, notes, start: load(), groups: [], retained: [], lines: [] }
  }

  /** Cells of the bench that has begun. */
  group({ operation, notes = [], cells }: Group): void {
    this.#open?.groups.push({ operation, notes, cells })
  }

  /** Memory that the bench that has begun has found. */
  retained(found: readonly Retained[]): void {
    this.#open?.retained.push(...found)
  }

  /** A line of the bench that has begun. */
  line(text: string): void {
    this.#open?.lines.push(text)
  }

  /** The bench is over: merges it into the file. What found nothing replaces nothing. */
  finish(): void {
    const open = this.#open
    this.#open = null
    if (open === null || open.groups.length + open.retained.length + open.lines.length === 0) return
    const { name, start, ...found } = open
    const { pace, quick, filter } = this.#run
    const measured = {
      date: new Date().toISOString().slice(0, 10),
      machine: this.#host(),
      load: { start, end: load() },
      pace,
      quick,
      filter,
    }
    this.#merge(name, { ...found, measured })
    process.stderr.write(`${name} saved to ${relative(process.cwd(), this.#path)}\n`)
  }

  #host(): Host {
    const { node, v8, cpu, cores, addOns } = this.#run.machine
    const platform = `${process.platform} ${process.arch}`
    return { node, v8, cpu, cores, platform, versions: versions(), addOns }
  }

  #merge(name: string, bench: BenchResult): void {
    const { order } = this.#run
    const before = existsSync(this.#path) ? readResults(this.#path) : empty
    const place = (one: string): number => (order.includes(one) ? order.indexOf(one) : order.length)
    const all = Object.entries({ ...before.benches, [name]: bench })
    const benches = Object.fromEntries(all.toSorted(([a], [b]) => place(a) - place(b)))
    mkdirSync(dirname(this.#path), { recursive: true })
    const draft = `${this.#path}.${process.pid}.tmp`
    writeFileSync(draft, resultText({ ...before, benches }))
    renameSync(draft, this.#path)
  }
}
