// The Autobahn test suite against this library: `npm run autobahn -- --help`.
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import { type CaseId, SUITE_VERSION } from './cases.js'
import { killAll } from './children.js'
import { chooseEngine, type Engine } from './engine.js'
import {
  acceptable,
  compareGolden,
  type Difference,
  EMPTY_GOLDEN,
  formatGolden,
  type Golden,
  type Outcome,
  parseGolden,
  updateGolden,
  verdict,
} from './golden.js'
import { casesOf, type Options, OptionsError, parseOptions, type RunName, USAGE } from './options.js'
import { formatSeconds, Progress, ProgressLine } from './progress.js'
import { type CaseResult, countsLine, explainCase, groupTable, readDetail } from './report.js'
import { runPass } from './roles.js'

const FOLDER = join(import.meta.dirname, '../../autobahn')
const GOLDEN_FILE = join(FOLDER, 'expected.json')
const TOTAL_LIMIT_MS = 45 * 60_000

function words(outcome: Outcome | null): string {
  return outcome === null ? 'missing' : `${outcome.behavior}, close ${outcome.behaviorClose}`
}

/** Names every case that isn't OK, and explains those that aren't as they should be. */
function showCases(
  folder: string,
  results: ReadonlyMap<CaseId, CaseResult>,
  differences: readonly Difference[],
): void {
  const wrong = new Set(differences.map(({ id }) => id))
  for (const [id, result] of results)
    if (verdict(result) !== 'OK' && !wrong.has(id)) console.log(`case ${id}: ${words(result)} (as expected)`)
  const unknown = differences.filter(({ expected, actual }) => !expected && actual && acceptable(actual))
  if (unknown.length > 0) {
    const names = unknown.slice(0, 5).map(({ id }) => id)
    const more = unknown.length > names.length ? ` and ${unknown.length - names.length} more` : ''
    console.log(`fine, but not in expected.json (--update adds them): ${names.join(', ')}${more}`)
  }
  for (const { id, expected, actual } of differences) {
    if (!expected && actual && acceptable(actual)) continue
    const wanted = expected === null ? 'expected OK' : `expected ${words(expected)}`
    console.log(`case ${id}: ${words(actual)} (${wanted})`)
    const result = results.get(id)
    if (result !== undefined && !acceptable(result))
      for (const line of explainCase(readDetail(folder, result))) console.log(`  ${line}`)
  }
}

async function runOne(
  options: Options,
  run: RunName,
  engine: Engine,
  golden: Golden,
  signal: AbortSignal,
): Promise<{
  readonly results: ReadonlyMap<CaseId, CaseResult>
  readonly wrong: number
  readonly golden: Golden
}> {
  const cases = casesOf(options, run)
  const scope = (id: CaseId): boolean => options.scope(run, id)
  const folder = join(FOLDER, 'reports', run)
  console.log(
    `\n${run}: ${cases.length} cases of Autobahn ${SUITE_VERSION}, ${options.jobs} at a time, ${engine.description}`,
  )

  const startMs = performance.now()
  const line = new ProgressLine(run, new Progress(cases, options.jobs, startMs), process.stdout)
  const listener = {
    begin: (id: CaseId) => line.begin(id, performance.now()),
    finish: (id: CaseId) => line.finish(id, performance.now()),
  }
  let results: ReadonlyMap<CaseId, CaseResult>
  try {
    results = await runPass({ run, cases, jobs: options.jobs, engine, folder, listener, signal })
  } finally {
    line.clear()
  }
  console.log(`${run}: done in ${formatSeconds((performance.now() - startMs) / 1000)}\n`)
  for (const row of groupTable(results)) console.log(row)
  console.log('')

  if (options.update) {
    const updated = updateGolden(golden, run, scope, cases, results)
    const refused = 'refused' in updated ? updated.refused : []
    showCases(
      folder,
      results,
      refused.map(id => ({ id, expected: null, actual: results.get(id) ?? null })),
    )
    console.log(`report: ${relative('.', join(folder, 'index.html'))}`)
    if (refused.length > 0)
      console.log('expected.json stays as it is: only OK and INFORMATIONAL may be in it')
    return { results, wrong: refused.length, golden: 'golden' in updated ? updated.golden : golden }
  }
  const differences = compareGolden(golden, run, scope, cases, results)
  showCases(folder, results, differences)
  console.log(`report: ${relative('.', join(folder, 'index.html'))}`)
  return { results, wrong: differences.length, golden }
}

/** @returns the exit status. */
async function main(argv: readonly string[], signal: AbortSignal): Promise<number> {
  const options = parseOptions(argv)
  if (options === null) {
    console.log(USAGE)
    return 0
  }
  let golden = existsSync(GOLDEN_FILE) ? parseGolden(readFileSync(GOLDEN_FILE, 'utf8')) : EMPTY_GOLDEN
  const engine = await chooseEngine(options.engine)
  const lines: string[] = []
  const all: Outcome[] = []
  let wrong = 0
  try {
    for (const run of options.runs) {
      signal.throwIfAborted()
      const outcome = await runOne(options, run, engine, golden, signal)
      golden = outcome.golden
      lines.push(countsLine(run, [...outcome.results.values()], outcome.wrong))
      all.push(...outcome.results.values())
      wrong += outcome.wrong
    }
  } finally {
    // Its failure must not hide why the run failed.
    await engine.cleanUp().catch((error: unknown) => console.error(error))
  }
  if (options.update && wrong === 0) {
    writeFileSync(GOLDEN_FILE, formatGolden(golden))
    console.log('expected.json is written')
  }
  if (options.runs.length > 1) lines.push(countsLine(options.runs.join('+'), all, wrong))
  console.log(`\n${lines.join('\n')}`)
  return wrong === 0 ? 0 : 1
}

const stop = new AbortController()
const limit = setTimeout(
  () => stop.abort(new Error(`not done in ${TOTAL_LIMIT_MS / 60_000} minutes`)),
  TOTAL_LIMIT_MS,
)
for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
  process.once(name, () => stop.abort(new Error(`ended by ${name}`)))
process.once('exit', killAll)
try {
  process.exitCode = await main(process.argv.slice(2), stop.signal)
} catch (error) {
  console.error(error instanceof Error ? `autobahn: ${error.message}` : error)
  if (error instanceof OptionsError) console.error(USAGE)
  process.exitCode = error instanceof OptionsError ? 2 : 1
} finally {
  clearTimeout(limit)
}
