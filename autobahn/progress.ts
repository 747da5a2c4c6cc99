import { type CaseId, typicalMs } from './cases.js'

/**
 * How far a run has come and how long it still needs. The table's typical times only give proportions; as cases
 * finish, the speed of this machine takes over. Pure: the caller brings the clock (milliseconds).
 */
export class Progress {
  readonly total: number
  readonly #jobs: number
  readonly #startMs: number
  readonly #totalWeight: number
  readonly #done = new Set<CaseId>()
  #doneWeight = 0

  constructor(cases: readonly CaseId[], jobs: number, startMs: number) {
    this.total = cases.length
    this.#jobs = Math.min(jobs, cases.length)
    this.#startMs = startMs
    this.#totalWeight = cases.reduce((sum, id) => sum + typicalMs(id), 0)
  }

  /** How many cases are finished. */
  get done(): number {
    return this.#done.size
  }

  /** Records that a case is finished; a second time changes nothing. */
  finish(id: CaseId): void {
    if (this.#done.has(id)) return
    this.#done.add(id)
    this.#doneWeight += typicalMs(id)
  }

  /**
   * Seconds left at `nowMs`. The table's guess and the measured speed are mixed by how much is done, so that the
   * first few cases don't throw the figure about.
   */
  secondsLeft(nowMs: number): number {
    const left = this.#totalWeight - this.#doneWeight
    if (left <= 0) return 0
    const share = this.#doneWeight / this.#totalWeight
    const guess = left / this.#jobs
    const measured = share === 0 ? guess : ((nowMs - this.#startMs) * (1 - share)) / share
    return (guess * (1 - share) + measured * share) / 1000
  }
}

/** Seconds as people say them: `8 s`, `2 min 05 s`. */
export function formatSeconds(seconds: number): string {
  const whole = Math.ceil(seconds)
  if (whole < 60) return `${whole} s`
  return `${Math.floor(whole / 60)} min ${String(whole % 60).padStart(2, '0')} s`
}

/** What the progress is written to; `process.stdout` is one. */
export interface ProgressOutput {
  readonly isTTY?: boolean
  readonly columns?: number
  write(text: string): unknown
}

/** Shows a `Progress`: on a terminal one line that is rewritten, elsewhere a plain line for every tenth case. */
export class ProgressLine {
  readonly #label: string
  readonly #progress: Progress
  readonly #output: ProgressOutput
  #shown = 0

  constructor(label: string, progress: Progress, output: ProgressOutput) {
    this.#label = label
    this.#progress = progress
    this.#output = output
  }

  /** A case began. */
  begin(id: CaseId, nowMs: number): void {
    if (this.#output.isTTY) this.#rewrite(`case ${id}, `, nowMs)
  }

  /** A case ended. */
  finish(id: CaseId, nowMs: number): void {
    this.#progress.finish(id)
    if (this.#output.isTTY) return this.#rewrite('', nowMs)
    const tenth = Math.floor((10 * this.#progress.done) / this.#progress.total)
    if (tenth === this.#shown) return
    this.#shown = tenth
    this.#output.write(`${this.#text('', nowMs)}\n`)
  }

  /** Takes the line off the terminal. */
  clear(): void {
    if (this.#output.isTTY) this.#output.write('\r\u001B[2K')
  }

  #text(activity: string, nowMs: number): string {
    const { done, total } = this.#progress
    return `${this.#label}: ${done} of ${total} cases, ${activity}${formatSeconds(this.#progress.secondsLeft(nowMs))} left`
  }

  #rewrite(activity: string, nowMs: number): void {
    const width = (this.#output.columns || 80) - 1 // some terminals say 0
    this.#output.write(`\r\u001B[2K${this.#text(activity, nowMs).slice(0, width)}`)
  }
}
