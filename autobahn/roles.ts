// Strategy: one pass over the suite is cut into jobs, each with a wstest process, cases and a folder of its own. In the
// client role the suite waits and we ask for case after case; in the server role it does all the work and
// we only read along. Either way a job that stands still is ended, so a pass can't hang.
import { mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { type CaseId, split } from './cases.js'
import type { Child } from './children.js'
import { type Engine, type Job, REPORTS } from './engine.js'
import type { RunName } from './options.js'
import { ask, echoClient, echoServer } from './peer.js'
import { AGENT, type CaseResult, collectReports } from './report.js'

/** What a pass reports while it goes on. */
export interface Listener {
  begin(id: CaseId): void
  finish(id: CaseId): void
}

/** One pass over the suite. */
export interface Pass {
  readonly run: RunName
  readonly cases: readonly CaseId[]
  readonly jobs: number
  readonly engine: Engine
  /** Where the reports go; emptied first. */
  readonly folder: string
  readonly listener: Listener
  /** Ends the pass early. */
  readonly signal: AbortSignal
}

const CASE_LIMIT_MS = 60_000
const STILL_LIMIT_MS = 120_000
const START_LIMIT_MS = 60_000
const REPORTS_LIMIT_MS = 120_000

/** Rejects when `signal` aborts or `limitMs` have passed, whatever becomes of `work`. */
async function within<T>(limitMs: number, signal: AbortSignal, what: string, work: Promise<T>): Promise<T> {
  signal.throwIfAborted()
  let fail: (reason: unknown) => void
  const stopped = new Promise<never>((_, reject) => (fail = reject))
  const timer = setTimeout(() => fail(new Error(`${what}: not done in ${limitMs / 1000} s`)), limitMs)
  const abort = (): void => fail(signal.reason)
  signal.addEventListener('abort', abort)
  try {
    return await Promise.race([work, stopped])
  } finally {
    clearTimeout(timer)
    signal.removeEventListener('abort', abort)
  }
}

/** Asks the fuzzing server, which may take a moment to listen inside a container. */
async function caseCount(url: string, signal: AbortSignal): Promise<number> {
  for (let attempt = 1; ; attempt++)
    try {
      const [count] = await ask(`${url}/getCaseCount`, AbortSignal.any([signal, AbortSignal.timeout(5000)]))
      return Number(count)
    } catch (error) {
      signal.throwIfAborted()
      if (attempt === 20) throw error
      await new Promise(resolve => setTimeout(resolve, 250))
    }
}

async function clientJob(pass: Pass, job: Job): Promise<void> {
  const { signal, listener } = pass
  const { child, url: listening } = await pass.engine.startServer(job)
  try {
    const url = await within(START_LIMIT_MS, signal, 'starting the fuzzing server', listening)
    const count = await caseCount(url, signal)
    if (count !== job.cases.length) throw new Error(`the suite has ${count} of ${job.cases.length} cases`)
    for (const [i, id] of job.cases.entries()) {
      listener.begin(id)
      // A case over its limit is given up; the suite will call it failed.
      const limit = AbortSignal.any([signal, AbortSignal.timeout(CASE_LIMIT_MS)])
      await echoClient(`${url}/runCase?case=${i + 1}&agent=${AGENT}`, limit)
      signal.throwIfAborted()
      listener.finish(id)
    }
    const limit = AbortSignal.any([signal, AbortSignal.timeout(REPORTS_LIMIT_MS)])
    await ask(`${url}/updateReports?agent=${AGENT}`, limit)
  } finally {
    await child.end()
  }
}

async function serverJob(pass: Pass, job: Job, url: string): Promise<void> {
  const { signal, listener } = pass
  let current: CaseId | null = null
  let child: Child | null = null
  let stoodStill = false
  const still = setTimeout(() => {
    stoodStill = true
    void child?.end()
  }, STILL_LIMIT_MS)
  const onLine = (line: string): void => {
    const id = /^Running test case ID ([\d.]+) /.exec(line)?.[1]
    if (id === undefined) return
    still.refresh()
    if (current !== null) listener.finish(current)
    current = id
    listener.begin(id)
  }
  const abort = (): void => void child?.end()
  signal.addEventListener('abort', abort)
  try {
    child = await pass.engine.startClient({ ...job, onLine }, url)
    const { status, lastLines } = await child.ended
    signal.throwIfAborted()
    if (stoodStill)
      throw new Error(`case ${current ?? 'none'}: the suite stood still for ${STILL_LIMIT_MS / 1000} s`)
    if (status !== 0) throw new Error(['the fuzzing client failed:', ...lastLines].join('\n  '))
    if (current !== null) listener.finish(current)
  } finally {
    clearTimeout(still)
    signal.removeEventListener('abort', abort)
    await child?.end()
  }
}

/** Waits for all of `work`, then throws the first failure: nothing is left running behind the caller's back. */
async function settle(work: readonly Promise<void>[]): Promise<void> {
  const results = await Promise.allSettled(work)
  for (const result of results) if (result.status === 'rejected') throw result.reason
}

/** Runs the pass and returns the suite's results; the reports stay in its folder. */
export async function runPass(pass: Pass): Promise<Map<CaseId, CaseResult>> {
  rmSync(pass.folder, { recursive: true, force: true })
  const jobs = split(pass.cases, pass.jobs).map((cases, i): Job => {
    const folder = join(pass.folder, `job-${i + 1}`)
    mkdirSync(join(folder, REPORTS), { recursive: true })
    return { folder, cases, onLine: () => {} }
  })
  // One job's failure ends the others.
  const failed = new AbortController()
  const shared: Pass = { ...pass, signal: AbortSignal.any([pass.signal, failed.signal]) }
  const together = (work: (job: Job) => Promise<void>): Promise<void> =>
    settle(
      jobs.map(async job => {
        try {
          await work(job)
        } catch (error) {
          failed.abort(error)
          throw error
        }
      }),
    )

  if (pass.run === 'client') await together(job => clientJob(shared, job))
  else {
    const server = await echoServer({ tls: pass.run === 'server-tls' })
    try {
      await together(job => serverJob(shared, job, server.url))
    } finally {
      await server.close()
    }
  }
  const results = collectReports(
    pass.folder,
    jobs.map(job => join(job.folder, REPORTS)),
  )
  for (const job of jobs) rmSync(job.folder, { recursive: true })
  return results
}
