// Strategy: each wstest process writes an index.json, an index.html and two files per case into a folder of its own.
// Here the folders become one, as if a single process had written it; then the index is what gets compared, counted
// and shown, and the file of a case is only opened to explain why it isn't OK.
import { existsSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type CaseId, compareIds, GROUP_TITLES, groupOf } from './cases.js'
import { type Outcome, VERDICTS, verdict } from './golden.js'

/** The name our peers give themselves to the suite. */
export const AGENT = 'sansocket'

/** What `index.json` holds of a case. */
export interface CaseResult extends Outcome {
  readonly remoteCloseCode: number | null
  /** Milliseconds. */
  readonly duration: number
  readonly reportfile: string
}

type Index = Readonly<Record<string, Readonly<Record<CaseId, CaseResult>>>>

/** What the suite's file of a case holds, as far as it is shown here. */
export interface CaseDetail {
  readonly description: string
  readonly expectation: string
  readonly expected: unknown
  readonly received: unknown
  readonly expectedClose: unknown
  readonly result: string
  readonly resultClose: string
  readonly remoteCloseCode: number | null
  readonly remoteCloseReason: string | null
  readonly wasNotCleanReason: string | null
}

/** Joins the `index.json` of several jobs. @throws when two of them ran the same case. */
export function mergeIndexes(indexes: readonly Index[]): Index {
  const cases: Record<CaseId, CaseResult> = {}
  for (const index of indexes)
    for (const [id, result] of Object.entries(index[AGENT] ?? {})) {
      if (id in cases) throw new Error(`two jobs ran case ${id}`)
      cases[id] = result
    }
  return { [AGENT]: Object.fromEntries(Object.entries(cases).toSorted(([a], [b]) => compareIds(a, b))) }
}

function missing(line: string): boolean {
  return line.includes('class="case_missing close_flex"')
}

/**
 * Joins the `index.html` of several jobs, or gives `null` when they don't fit. The suite writes a row for every case
 * it knows, with the result on one line; in the other jobs that line says that the case is missing.
 */
export function mergePages(pages: readonly string[]): string | null {
  const [first, ...others] = pages.map(page => page.split('\n'))
  if (first === undefined || others.some(lines => lines.length !== first.length)) return null
  return first
    .map((line, i) => (missing(line) ? (others.find(lines => !missing(lines[i]))?.[i] ?? line) : line))
    .join('\n')
}

/** Moves what the jobs wrote into `folder` and returns the results; a job that wrote nothing has none. */
export function collectReports(folder: string, jobFolders: readonly string[]): Map<CaseId, CaseResult> {
  const written = jobFolders.filter(job => existsSync(join(job, 'index.json')))
  const indexes = written.map((job): Index => JSON.parse(readFileSync(join(job, 'index.json'), 'utf8')))
  const pages = written.map(job => readFileSync(join(job, 'index.html'), 'utf8'))
  for (const job of written)
    for (const name of readdirSync(job))
      if (name !== 'index.json' && name !== 'index.html') renameSync(join(job, name), join(folder, name))
  const index = mergeIndexes(indexes)
  writeFileSync(join(folder, 'index.json'), `${JSON.stringify(index, null, 2)}\n`)
  const page = mergePages(pages)
  if (page !== null) writeFileSync(join(folder, 'index.html'), page)
  else pages.forEach((text, i) => writeFileSync(join(folder, `index-${i + 1}.html`), text))
  return new Map(Object.entries(index[AGENT]))
}

interface Row {
  cases: number
  ms: number
  readonly counts: Map<string, number>
}

function emptyRow(): Row {
  return { cases: 0, ms: 0, counts: new Map() }
}

/** Lines of a table with a row for each group and one for the sum. */
export function groupTable(results: ReadonlyMap<CaseId, CaseResult>): string[] {
  const groups = new Map<number, Row>()
  const sum = emptyRow()
  for (const [id, result] of results) {
    const group = groups.get(groupOf(id)) ?? emptyRow()
    groups.set(groupOf(id), group)
    for (const row of [group, sum]) {
      row.cases++
      row.ms += result.duration
      const word = verdict(result)
      row.counts.set(word, (row.counts.get(word) ?? 0) + 1)
    }
  }
  const cells = (name: string, row: Row): string[] => [
    name,
    String(row.cases),
    ...VERDICTS.map(word => (row.counts.has(word) ? String(row.counts.get(word)) : '·')),
    `${(row.ms / 1000).toFixed(1)} s`,
  ]
  const rows = [
    ['group', 'cases', ...VERDICTS, 'time'],
    ...[...groups.entries()]
      .toSorted(([a], [b]) => a - b)
      .map(([group, row]) => cells(`${String(group).padStart(2)} ${GROUP_TITLES.get(group) ?? ''}`, row)),
    cells('all', sum),
  ]
  const widths = rows[0].map((_, column) => Math.max(...rows.map(row => row[column].length)))
  return rows.map(row =>
    row.map((cell, i) => (i === 0 ? cell.padEnd(widths[i]) : cell.padStart(widths[i]))).join('  '),
  )
}

function plain(html: string): string {
  return html
    .replaceAll(/<[^>]*>/g, ' ')
    .replaceAll(/\s+/g, ' ')
    .trim()
}

function short(value: unknown): string {
  const text = JSON.stringify(value) ?? 'nothing'
  return text.length > 300 ? `${text.slice(0, 300)}…` : text
}

/** Lines that say what a case wanted and what it got. */
export function explainCase(detail: CaseDetail): string[] {
  const reason = detail.remoteCloseReason ? ` (${detail.remoteCloseReason})` : ''
  const unclean = detail.wasNotCleanReason ? ` (${detail.wasNotCleanReason})` : ''
  return [
    `does:     ${plain(detail.description)}`,
    `wants:    ${plain(detail.expectation)}`,
    `expected: ${short(detail.expected)}`,
    `received: ${short(detail.received)}`,
    `messages: ${detail.result}`,
    `close:    ${detail.resultClose}${unclean}`,
    `wanted:   ${short(detail.expectedClose)}`,
    `our code: ${detail.remoteCloseCode ?? 'none'}${reason}`,
  ]
}

/** The suite's file of a case. */
export function readDetail(folder: string, result: CaseResult): CaseDetail {
  const detail: CaseDetail = JSON.parse(readFileSync(join(folder, result.reportfile), 'utf8'))
  return detail
}

/** The counts of one or several runs in one line, such as `autobahn client: 247 cases, 244 OK, 3 INFORMATIONAL, 0 failed`. */
export function countsLine(name: string, results: readonly Outcome[], failed: number): string {
  const words = results.map(verdict)
  const counts = VERDICTS.filter(word => word === 'OK' || words.includes(word)).map(
    word => `${words.filter(other => other === word).length} ${word}`,
  )
  return `autobahn ${name}: ${results.length} cases, ${counts.join(', ')}, ${failed} failed`
}
