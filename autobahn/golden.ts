// Strategy: the golden file says, for each run, what the suite is known to answer for each case. A run passes when
// it gives exactly that. Only strict results may be in the file, so a NON-STRICT one fails in two ways: it
// differs from the file, and it could not be written there.
import { type CaseId, compareIds, SUITE_VERSION } from './cases.js'
import type { RunName } from './options.js'

/** What the suite says of a case: of the messages, and of the way the connection ended. */
export interface Outcome {
  readonly behavior: string
  readonly behaviorClose: string
}

/** The contents of `expected.json`. */
export interface Golden {
  readonly suite: string
  readonly runs: Readonly<Partial<Record<RunName, Readonly<Record<CaseId, Outcome>>>>>
}

/** A case that is not as it should be; `null` stands for "not there". */
export interface Difference {
  readonly id: CaseId
  readonly expected: Outcome | null
  readonly actual: Outcome | null
}

/** A case's place in the table of results. */
export const VERDICTS = ['OK', 'NON-STRICT', 'INFORMATIONAL', 'FAILED', 'UNIMPLEMENTED'] as const
export type Verdict = (typeof VERDICTS)[number]

/**
 * Both halves of an outcome in one word. Whatever isn't good by name is FAILED, so the suite's WRONG CODE,
 * UNCLEAN and FAILED BY CLIENT (the server left closing TCP to the client) are too.
 */
export function verdict({ behavior, behaviorClose }: Outcome): Verdict {
  if (behavior === 'UNIMPLEMENTED') return 'UNIMPLEMENTED'
  if (behaviorClose !== 'OK' && behaviorClose !== 'INFORMATIONAL') return 'FAILED'
  if (behavior === 'OK' || behavior === 'INFORMATIONAL' || behavior === 'NON-STRICT') return behavior
  return 'FAILED'
}

/** Whether an outcome may stand in the golden file. */
export function acceptable(outcome: Outcome): boolean {
  const word = verdict(outcome)
  return word === 'OK' || word === 'INFORMATIONAL'
}

/** A golden file without results. */
export const EMPTY_GOLDEN: Golden = { suite: SUITE_VERSION, runs: {} }

/**
 * Every case of `run` in `scope` that was not as the golden file says, or that the file could never say: a case
 * that is missing on either side, another outcome, or one that isn't acceptable. Empty when all is well.
 */
export function compareGolden(
  golden: Golden,
  run: RunName,
  scope: (id: CaseId) => boolean,
  selected: readonly CaseId[],
  results: ReadonlyMap<CaseId, Outcome>,
): Difference[] {
  const expected = golden.runs[run] ?? {}
  const ids = new Set([...selected, ...Object.keys(expected).filter(scope), ...results.keys()])
  const differences: Difference[] = []
  for (const id of [...ids].toSorted(compareIds)) {
    const wanted = expected[id] ?? null
    const actual = results.get(id) ?? null
    const same =
      wanted !== null &&
      actual !== null &&
      wanted.behavior === actual.behavior &&
      wanted.behaviorClose === actual.behaviorClose
    if (!same || !acceptable(actual)) differences.push({ id, expected: wanted, actual })
  }
  return differences
}

/**
 * The golden file with the results of `run` in place of what it said for `scope`; what is outside of it stays.
 *
 * @returns the new contents, or the ids that keep them from being written: not acceptable, or missing.
 */
export function updateGolden(
  golden: Golden,
  run: RunName,
  scope: (id: CaseId) => boolean,
  selected: readonly CaseId[],
  results: ReadonlyMap<CaseId, Outcome>,
): { readonly golden: Golden } | { readonly refused: readonly CaseId[] } {
  const refused = selected.filter(id => {
    const outcome = results.get(id)
    return outcome === undefined || !acceptable(outcome)
  })
  if (refused.length > 0) return { refused }
  const kept = Object.entries(golden.runs[run] ?? {}).filter(([id]) => !scope(id))
  const fresh = selected.map(id => {
    const { behavior, behaviorClose } = results.get(id)!
    return [id, { behavior, behaviorClose }] as const
  })
  const cases = Object.fromEntries([...kept, ...fresh].toSorted(([a], [b]) => compareIds(a, b)))
  return { golden: { suite: SUITE_VERSION, runs: { ...golden.runs, [run]: cases } } }
}

/** Reads the text of a golden file; a file for another version of the suite is refused. */
export function parseGolden(text: string): Golden {
  const golden: Golden = JSON.parse(text)
  if (golden.suite !== SUITE_VERSION || typeof golden.runs !== 'object')
    throw new Error(`expected.json is for version ${golden.suite} of the suite, not ${SUITE_VERSION}`)
  return golden
}

/** The text of a golden file, one line a case, so that a diff names the cases that changed. */
export function formatGolden(golden: Golden): string {
  const order: readonly RunName[] = ['client', 'server', 'server-tls']
  const runs = order.flatMap(run => {
    const cases = golden.runs[run]
    if (cases === undefined) return []
    const lines = Object.entries(cases).map(
      ([id, outcome]) => `      ${JSON.stringify(id)}: ${JSON.stringify(outcome)}`,
    )
    return [`    ${JSON.stringify(run)}: {\n${lines.join(',\n')}\n    }`]
  })
  return `{\n  "suite": ${JSON.stringify(golden.suite)},\n  "runs": {\n${runs.join(',\n')}\n  }\n}\n`
}
