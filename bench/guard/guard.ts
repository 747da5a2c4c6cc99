// Strategy: counts instead of times, so that a busy machine finds the same as an idle one: bytes allocated, system calls, promises,
// timers and ticks of each scenario, compared with what is committed in `bench/guard-budget.json`. What exceeds that by more than
// the slack is a line and an exit code of 1. Each scenario has a process of its own (program.ts) and another for its other end
// (counterpart.ts), which is not counted. V8 has one thread there, so that it compiles the same functions at the same messages.
//
// Instructions are not counted: under callgrind, two runs of the same turns differed by a tenth, and one scenario took a quarter of a
// minute.
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { availableParallelism, tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { makeBarrier } from './barrier.js'
import { type Budget, type Found, judge, NODE, numbersOf, readBudget, writeBudget } from './budget.js'
import type { Counts } from './program.js'
import { countNames, type Scenario, scenarios, TRACED_TURNS } from './scenarios.js'
import { straceFails, Tracer } from './strace.js'

/** A young generation in which no window causes a collection, in MiB. */
const YOUNG_MIB = 64
const LIMIT_MS = 60_000
/** So often something is counted until it is believed to be too much: noise is not in each run, and a regression is. */
const TRIES = 3

const NOTES = `heap and buffers are bytes allocated for a message (for a handshake), on the heap and outside of it; all else is for a turn: one tick
of sends, one chunk of 48 KiB that came, one round of echoes, or one handshake with its end.
`

/**
 * Counts, and compares with the budget.
 *
 * @param args - `--update` commits to what is found instead; `--filter TEXT` counts scenarios only whose name contains it.
 * @returns the exit code: 1 when something is over budget, or cannot be counted where it must be.
 */
export async function guard(args: readonly string[]): Promise<number> {
  const { values } = parseArgs({
    args: [...args],
    options: { update: { type: 'boolean', default: false }, filter: { type: 'string', default: '' } },
  })
  const chosen = scenarios.filter(({ name }) => name.includes(values.filter))
  const budget = readBudget()
  const reason = await straceFails()
  const failures = [...complaints(budget, values.update, reason)]
  const better: string[] = []
  const all = new Map<string, Found>()
  print(`${NOTES}\n${heading()}`)
  const granted = values.update ? null : budget
  for await (const [scenario, found] of inOrder(chosen, one => tryFor(one, reason === null, granted))) {
    all.set(scenario.name, found)
    print(row(scenario, found))
    const verdict = judge(scenario, found, granted)
    failures.push(...verdict.failures)
    better.push(...verdict.better)
  }
  if (values.update) writeBudget(all)
  print(`\n${failures.map(line => `✗ ${line}\n`).join('')}`)
  if (better.length > 0) {
    print(`less than the budget, which --update lowers:\n${better.map(line => `  ${line}\n`).join('')}`)
  }
  print(`${all.size} scenarios, ${failures.length} failures\n`)
  return failures.length === 0 ? 0 : 1
}

const print = (text: string): void => void process.stdout.write(text)

/** What is wrong before anything is counted. */
function* complaints(budget: Budget | null, update: boolean, reason: string | null): Generator<string> {
  if (reason !== null) {
    print(`no system calls are counted: ${reason}\n`)
    if (process.env['CI'] === 'true') yield reason
  }
  if (update) return
  if (budget === null) yield 'there is no budget: --update makes one'
  else if (budget.node !== NODE)
    print(
      `the budget is of Node ${budget.node}: on Node ${NODE} only what the library promises is compared\n`,
    )
}

/** Runs some at once, and yields the results in order. A scenario and its other end take turns, so a core is enough for both. */
async function* inOrder<T>(
  all: readonly Scenario[],
  run: (one: Scenario) => Promise<T>,
): AsyncGenerator<readonly [Scenario, T]> {
  const begun: Promise<T>[] = []
  const atOnce = Math.min(4, availableParallelism())
  for (const [i, scenario] of all.entries()) {
    while (begun.length < Math.min(all.length, i + atOnce)) {
      const one = run(all[begun.length])
      // Its turn to be told comes.
      one.catch(() => {})
      begun.push(one)
    }
    yield [scenario, await begun[i]]
  }
}

async function tryFor(scenario: Scenario, trace: boolean, granted: Budget | null): Promise<Found> {
  for (let tried = 1; ; tried++) {
    const found = await count(scenario, trace)
    if (tried === TRIES || judge(scenario, found, granted).failures.length === 0) return found
  }
}

async function count({ name }: Scenario, trace: boolean): Promise<Found> {
  const folder = mkdtempSync(join(tmpdir(), 'sansocket-guard-'))
  const file = fileURLToPath(new URL('program.js', import.meta.url))
  const execArgv = [
    '--single-threaded',
    `--min-semi-space-size=${YOUNG_MIB}`,
    `--max-semi-space-size=${YOUNG_MIB}`,
  ]
  makeBarrier(folder)
  const child = fork(file, ['--guard-program', name, folder], { execArgv })
  const limit = setTimeout(() => child.kill('SIGKILL'), LIMIT_MS)
  try {
    const counts = await answerOf<Counts>(child, name)
    const tracer = trace ? await Tracer.attach(child.pid!, join(folder, 'calls')) : null
    child.send(tracer !== null)
    await answerOf(child, name)
    const calls = tracer === null ? null : await tracer.detach()
    return { counts, calls: calls && perTurn(calls) }
  } finally {
    clearTimeout(limit)
    child.kill('SIGKILL')
    rmSync(folder, { recursive: true, force: true })
  }
}

function perTurn(calls: Readonly<Record<string, number>>): Record<string, number> {
  return Object.fromEntries(Object.entries(calls).map(([name, value]) => [name, value / TRACED_TURNS]))
}

async function answerOf<T>(child: ChildProcess, name: string): Promise<T> {
  const ended = once(child, 'exit').then(() => {
    throw new Error(`${name}: the process under count has ended early`)
  })
  const [answer] = (await Promise.race([once(child, 'message'), ended])) as [T]
  ended.catch(() => {})
  return answer
}

const NAME_WIDTH = 48

function heading(): string {
  return `${''.padEnd(NAME_WIDTH)}${countNames.map(name => name.padStart(11)).join('')}   system calls\n`
}

function row({ name }: Scenario, found: Found): string {
  const numbers = numbersOf(found)
  const cells = countNames.map(count => String(numbers[count]).padStart(11))
  const calls = Object.keys(numbers)
    .filter(count => count.startsWith('call '))
    .map(count => `${numbers[count]} ${count.slice(5)}`)
  return `${name.padEnd(NAME_WIDTH)}${cells.join('')}   ${calls.join(', ')}\n`
}
