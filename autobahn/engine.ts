// Strategy: two ways to run the suite behind one interface. Docker wins where an engine answers, since it needs nothing
// else; otherwise the suite, which is Python 2.7 only, gets a virtual environment of its own.
import { writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import type { CaseId } from './cases.js'
import { type Child, run, start } from './children.js'
import type { EngineName } from './options.js'
import { makeEnvironment } from './python.js'
import { AGENT } from './report.js'

/** One `wstest` process to come. */
export interface Job {
  /** An empty folder: the reports appear in its subfolder `reports`. */
  readonly folder: string
  readonly cases: readonly CaseId[]
  readonly onLine: (line: string) => void
}

/** A way to run `wstest`. */
export interface Engine {
  readonly description: string
  /** Starts the fuzzing server on a loopback port; `url` resolves once it listens. */
  startServer(job: Job): Promise<{ readonly child: Child; readonly url: Promise<string> }>
  /** Starts the fuzzing client against `url`, a server of ours on a loopback port. */
  startClient(job: Job, url: string): Promise<Child>
  /** Removes what the processes left behind, once they have ended. */
  cleanUp(): Promise<void>
}

/** The subfolder of a job's folder that the suite writes to. */
export const REPORTS = 'reports'

const ROOT = join(import.meta.dirname, '../..')

function writeSpec(job: Job, outdir: string, peer: Record<string, unknown>): string {
  const file = join(job.folder, 'spec.json')
  writeFileSync(file, JSON.stringify({ ...peer, outdir, cases: job.cases, 'exclude-cases': [] }))
  return file
}

/** Watches lines for the first that matches. */
function firstMatch(
  child: () => Child,
  what: string,
): { readonly see: (line: string) => void; readonly match: () => Promise<string> } {
  let found: ((text: string) => void) | undefined
  const promise = new Promise<string>(resolve => (found = resolve))
  const pattern = new RegExp(what)
  return {
    see: line => {
      const match = pattern.exec(line)
      if (match) found?.(match[1] ?? match[0])
    },
    match: () =>
      Promise.race([
        promise,
        child().ended.then(({ lastLines }) => {
          throw new Error(['the fuzzing server ended before it listened:', ...lastLines].join('\n  '))
        }),
      ]),
  }
}

async function pythonEngine(): Promise<Engine> {
  const python = await makeEnvironment(join(ROOT, '.cache/autobahn'))
  const script = join(ROOT, 'autobahn/wstest.py')
  const wstest = (args: readonly string[], onLine: (line: string) => void): Child =>
    start(python, ['-u', script, ...args], { onLine })
  return {
    description: 'wstest in a Python 2.7 environment',
    async startServer(job) {
      // wstest.py puts the port the system gives in the place of this one.
      const spec = writeSpec(job, join(job.folder, REPORTS), { url: 'ws://127.0.0.1:9001' })
      const listening = firstMatch(() => child, '^Listening on port (\\d+)$')
      const child = wstest(['-m', 'fuzzingserver', '-s', spec, '-u', '0'], line => {
        listening.see(line)
        job.onLine(line)
      })
      return { child, url: listening.match().then(port => `ws://127.0.0.1:${port}`) }
    },
    async startClient(job, url) {
      const spec = writeSpec(job, join(job.folder, REPORTS), { servers: [{ agent: AGENT, url }] })
      return wstest(['-m', 'fuzzingclient', '-s', spec], job.onLine)
    },
    async cleanUp() {},
  }
}

/** A loopback port that is free now: a container must be told its port beforehand. */
function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer()
    server.once('error', reject)
    server.listen(0, '127.0.0.1', () => {
      const address = server.address()
      server.close(() => resolve(typeof address === 'object' && address !== null ? address.port : 0))
    })
  })
}

async function dockerEngine(): Promise<Engine> {
  const project = `sansocket-autobahn-${process.pid}`
  const compose = ['compose', '-p', project, '-f', join(ROOT, 'autobahn/docker-compose.yml')]
  await run('docker', [...compose, 'pull', '--quiet', 'fuzzingclient'], { limitMs: 600_000 })
  const service = (name: string, job: Job, env: NodeJS.ProcessEnv, onLine: (line: string) => void): Child =>
    start('docker', [...compose, 'run', '--rm', '-T', '--service-ports', name], {
      env: { AUTOBAHN_FOLDER: job.folder, ...env },
      onLine,
    })
  return {
    description: 'wstest in Docker',
    async startServer(job) {
      const port = await freePort()
      const url = `ws://127.0.0.1:${port}`
      writeSpec(job, `/autobahn/${REPORTS}`, { url })
      const listening = firstMatch(() => child, '^Cases = ') // the last thing it prints before it listens
      const child = service('fuzzingserver', job, { AUTOBAHN_PORT: String(port) }, line => {
        listening.see(line)
        job.onLine(line)
      })
      return { child, url: listening.match().then(() => url) }
    },
    async startClient(job, url) {
      // Only Linux lets a container share the host's network; elsewhere Docker forwards this name to its loopback.
      const shared = process.platform === 'linux'
      const reachable = shared ? url : url.replace('127.0.0.1', 'host.docker.internal')
      writeSpec(job, `/autobahn/${REPORTS}`, { servers: [{ agent: AGENT, url: reachable }] })
      return service('fuzzingclient', job, { AUTOBAHN_NETWORK: shared ? 'host' : 'bridge' }, job.onLine)
    },
    async cleanUp() {
      await run('docker', [...compose, 'down', '--remove-orphans', '-t', '1'], { limitMs: 60_000 })
    },
  }
}

async function dockerAnswers(): Promise<boolean> {
  try {
    await run('docker', ['info'], { limitMs: 10_000 })
    await run('docker', ['compose', 'version'], { limitMs: 10_000 })
    return true
  } catch {
    return false
  }
}

/** Finds a way to run the suite and gets it ready, which takes a while the first time. */
export async function chooseEngine(name: EngineName | null): Promise<Engine> {
  const docker = name === 'docker' || (name === null && (await dockerAnswers()))
  return docker ? dockerEngine() : pythonEngine()
}
