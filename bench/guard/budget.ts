// Strategy: what was counted once and committed, and how far a run may be from it. Some limits are no measurements but promises of
// the library, see `most` of a scenario: nothing is granted on top of those, and no update changes them.
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { type CountName, countNames, type Scenario, scenarios } from './scenarios.js'
import type { Calls } from './strace.js'

/** What was found of one scenario. `calls` are null where nobody could count them. */
export interface Found {
  readonly counts: Readonly<Record<CountName, number>>
  readonly calls: Calls | null
}

/** Numbers of one scenario, by their names; those of system calls begin with `call `. */
export type Numbers = Readonly<Record<string, number>>

/** What is committed. */
export interface Budget {
  /** The major version of Node it was measured with: what others allocate and call is different. */
  readonly node: number
  readonly scenarios: Readonly<Record<string, Numbers>>
}

// From `build/bench/guard/` to `bench/`.
const FILE = fileURLToPath(new URL('../../../bench/guard-budget.json', import.meta.url))
/** This Node's. */
export const NODE: number = Number(process.versions.node.split('.')[0])

/** How much more than the budget is no failure: the larger of the two. */
interface Slack {
  readonly share: number
  readonly least: number
}

// What V8 inlines, and so what it need not allocate, differs a little from run to run; a new object is 16 bytes or more.
const BYTES: Slack = { share: 0.03, least: 6 }
// What is compiled in a handshake differs more: it is long, and there are few of them.
const HANDSHAKE_BYTES: Slack = { share: 0.08, least: 0 }
// Whole numbers; something that happens once in a window is not meant.
const COUNTS: Slack = { share: 0, least: 0.1 }
// What happens once in a few handshakes may not happen in a window.
const HANDSHAKE_COUNTS: Slack = { share: 0, least: 0.3 }

function slackOf({ job }: Scenario, count: string): Slack {
  if (job === 'connect' || job === 'accept') return isBytes(count) ? HANDSHAKE_BYTES : HANDSHAKE_COUNTS
  return isBytes(count) ? BYTES : COUNTS
}

function isBytes(count: string): boolean {
  return count === 'heap' || count === 'buffers'
}

/** Bytes whole, or to three digits; everything else to two decimals. */
export function rounded(count: string, value: number): number {
  const positive = Math.max(0, value)
  if (!isBytes(count)) return Math.round(positive * 100) / 100
  return positive < 1000 ? Math.round(positive) : Number(positive.toPrecision(3))
}

/** Everything that was found, by the name of the count, rounded. */
export function numbersOf({ counts, calls }: Found): Numbers {
  const all: [string, number][] = countNames.map(name => [name, counts[name]])
  for (const name of Object.keys(calls ?? {}).toSorted()) all.push([`call ${name}`, calls![name]])
  return Object.fromEntries(all.map(([name, value]) => [name, rounded(name, value)]))
}

/** What is committed; null when there is nothing yet. */
export function readBudget(): Budget | null {
  return existsSync(FILE) ? (JSON.parse(readFileSync(FILE, 'utf8')) as Budget) : null
}

/** Commits to what was found; what was not counted stays as it was. */
export function writeBudget(found: ReadonlyMap<string, Found>): void {
  const old = readBudget()
  const known: [string, Numbers][] = []
  for (const { name } of scenarios) {
    const before = old?.node === NODE ? old.scenarios[name] : undefined
    const now = found.get(name)
    if (now === undefined) {
      if (before !== undefined) known.push([name, before])
      continue
    }
    const kept = now.calls === null ? Object.entries(before ?? {}).filter(([count]) => isCall(count)) : []
    known.push([name, { ...numbersOf(now), ...Object.fromEntries(kept) }])
  }
  const budget: Budget = { node: NODE, scenarios: Object.fromEntries(known) }
  writeFileSync(FILE, `${JSON.stringify(budget, null, 2)}\n`)
}

function isCall(count: string): boolean {
  return count.startsWith('call ')
}

/** What differs from a budget, in lines. */
export interface Verdict {
  readonly failures: readonly string[]
  /** What is less than it may be, by more than the slack. */
  readonly better: readonly string[]
}

/** Compares. Without a budget of this Node only the promises of the library count. */
export function judge(scenario: Scenario, found: Found, budget: Budget | null): Verdict {
  const failures: string[] = []
  const better: string[] = []
  const numbers = numbersOf(found)
  const { name } = scenario
  for (const [count, most] of Object.entries(scenario.most)) {
    if (numbers[count] > most) failures.push(`${name}: ${count}: at most ${most}, found ${numbers[count]}`)
  }
  if (budget?.node !== NODE) return { failures, better }
  const granted = budget.scenarios[name] as Numbers | undefined
  if (granted === undefined)
    return { failures: [...failures, `${name}: no budget; --update makes one`], better }
  for (const count of new Set([...Object.keys(granted), ...Object.keys(numbers)])) {
    if (isCall(count) && found.calls === null) continue
    const { [count]: wanted = 0 } = granted
    const { [count]: value = 0 } = numbers
    const { share, least } = slackOf(scenario, count)
    const slack = Math.max(share * wanted, least)
    const line = `${name}: ${count}: budget ${wanted}, found ${value}`
    if (value > wanted + slack) failures.push(`${line} (slack ${Math.round(slack * 100) / 100})`)
    else if (value < wanted - slack) better.push(line)
  }
  return { failures, better }
}
