// Strategy: what benches found, kept in a file that outlives the run. Each bench carries the machine, the pace and the day
// it was measured with, so that benches can be run one after another and merged; a bench that is run again replaces what
// it found before, as a whole. The text is written so that prettier has nothing to change in it, with a line for each
// short value, so that the difference between two runs can be read.
import { readFileSync } from 'node:fs'
import type { Pace } from '../measure.js'
import type { Cell, Machine } from '../report.js'
import type { Retained } from '../retain.js'

/** Where a bench was run. */
export interface Host extends Pick<Machine, 'node' | 'v8' | 'cpu' | 'cores' | 'addOns'> {
  /** Operating system and architecture. */
  readonly platform: string
  /** Of the library, and of what is installed for the benches to compare with. */
  readonly versions: Readonly<Record<string, string>>
}

/** When, where and how a bench was run. */
export interface Measured {
  /** ISO 8601, the day in UTC. */
  readonly date: string
  readonly machine: Host
  /** Load averages over 1, 5 and 15 minutes. */
  readonly load: { readonly start: readonly number[]; readonly end: readonly number[] }
  readonly pace: Pace
  readonly quick: boolean
  /** What `--filter` said; empty for everything. */
  readonly filter: string
}

/** Cells that a bench yielded together. */
export interface GroupResult {
  /** What one operation is. */
  readonly operation: string
  readonly notes: readonly string[]
  readonly cells: readonly Cell[]
}

/** One bench; of the last three fields, those that it does not have are empty. */
export interface BenchResult {
  readonly title: string
  readonly notes: readonly string[]
  readonly measured: Measured
  readonly groups: readonly GroupResult[]
  readonly retained: readonly Retained[]
  readonly lines: readonly string[]
}

/** The whole file. */
export interface ResultFile {
  readonly format: 1
  readonly benches: Readonly<Record<string, BenchResult>>
}

/** A file without benches. */
export const empty: ResultFile = { format: 1, benches: {} }

/** JSON knows no NaN and no Infinity: what nobody could measure is written as null. */
function revived(key: string, value: unknown): unknown {
  return value === null && ['low', 'median', 'high'].includes(key) ? NaN : value
}

/** @throws Error when the text is not a result file of this format. */
export function parseResults(text: string): ResultFile {
  const found = JSON.parse(text, revived) as Partial<ResultFile> | null
  if (found?.format !== 1 || typeof found.benches !== 'object')
    throw new Error('this is not a result file of format 1, as `npm run bench -- NAME… --save` writes it')
  return { format: 1, benches: found.benches }
}

/** @throws Error when there is no such file, or it is none of these. */
export function readResults(path: string): ResultFile {
  return parseResults(readFileSync(path, 'utf8'))
}

/** As prettier is configured. */
const WIDTH = 110

/** Four digits are more than a measurement has. */
function rounded(value: unknown): unknown {
  return typeof value === 'number' && Number.isFinite(value) ? Number(value.toPrecision(4)) : value
}

function inline(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(inline).join(', ')}]`
  if (typeof value !== 'object' || value === null) return JSON.stringify(value)
  const fields = Object.entries(value).map(([key, field]) => `${JSON.stringify(key)}: ${inline(field)}`)
  return fields.length === 0 ? '{}' : `{ ${fields.join(', ')} }`
}

const isRich = (value: unknown): boolean =>
  typeof value === 'object' && value !== null && !Array.isArray(value) && Object.keys(value).length > 1

/** @param used - columns taken on this line by what stands before and after. */
function pretty(value: unknown, indent: string, used: number): string {
  const short = inline(value)
  if (typeof value !== 'object' || value === null) return short
  const list = Array.isArray(value)
  // Prettier never puts several objects of several fields into one line.
  const breaks = list && value.length > 1 && value.every(isRich)
  if (!breaks && indent.length + used + short.length <= WIDTH) return short
  const deeper = `${indent}  `
  const fields = list
    ? value.map((one: unknown) => deeper + pretty(one, deeper, 1))
    : Object.entries(value).map(([key, field]) => {
        const name = `${JSON.stringify(key)}: `
        return deeper + name + pretty(field, deeper, name.length + 1)
      })
  const [open, close] = list ? '[]' : '{}'
  return `${open}\n${fields.join(',\n')}\n${indent}${close}`
}

/** The text of a result file, its numbers rounded to four digits. */
export function resultText(results: ResultFile): string {
  const plain: unknown = JSON.parse(JSON.stringify(results, (_, value: unknown) => rounded(value)))
  return `${pretty(plain, '', 0)}\n`
}
