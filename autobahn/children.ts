// Strategy: every process that is started goes through here, so that all of them are ended, by their own ids, on every
// way out: the end of the run, a failure, a signal, a time limit. A child's standard input is a pipe that
// stays open as long as we live; wstest.py ends when it closes, which covers being killed outright.
import { type ChildProcess, spawn } from 'node:child_process'
import { createInterface } from 'node:readline'

/** How a child ended, and the last lines it wrote. */
export interface Ending {
  readonly status: number | null
  readonly signal: NodeJS.Signals | null
  readonly lastLines: readonly string[]
}

/** A running child process. */
export interface Child {
  /** Resolves when the process is gone; rejects when it could not be started. */
  readonly ended: Promise<Ending>
  /** Asks it to end, insists after two seconds, resolves when it is gone. */
  end(): Promise<void>
}

const running = new Set<ChildProcess>()
const KEPT_LINES = 25

/** Starts a process and hands its output over line by line. */
export function start(
  command: string,
  args: readonly string[],
  options: { readonly env?: NodeJS.ProcessEnv; readonly onLine?: (line: string) => void } = {},
): Child {
  const child = spawn(command, args, { env: { ...process.env, ...options.env }, stdio: 'pipe' })
  running.add(child)
  const lastLines: string[] = []
  for (const stream of [child.stdout, child.stderr])
    createInterface({ input: stream }).on('line', line => {
      lastLines.push(line)
      if (lastLines.length > KEPT_LINES) lastLines.shift()
      options.onLine?.(line)
    })
  child.stdin.on('error', () => {}) // it ended before we did
  const ended = new Promise<Ending>((resolve, reject) => {
    child.once('error', error => {
      running.delete(child)
      reject(error)
    })
    child.once('close', (status, signal) => {
      running.delete(child)
      resolve({ status, signal, lastLines })
    })
  })
  const end = async (): Promise<void> => {
    child.kill('SIGTERM')
    const insist = setTimeout(() => child.kill('SIGKILL'), 2000)
    try {
      await ended
    } catch {
      // never started: nothing to end
    } finally {
      clearTimeout(insist)
    }
  }
  ended.catch(() => {}) // whoever awaits it sees the error; nobody may be waiting yet
  return { ended, end }
}

/** Runs a process to its end. @throws with its last lines when it fails or takes longer than `limitMs`. */
export async function run(
  command: string,
  args: readonly string[],
  options: { readonly env?: NodeJS.ProcessEnv; readonly limitMs: number },
): Promise<readonly string[]> {
  const child = start(command, args, options)
  let late = false
  const limit = setTimeout(() => {
    late = true
    void child.end()
  }, options.limitMs)
  try {
    const { status, lastLines } = await child.ended
    if (late) throw new Error(`${command} ${args.join(' ')}: not done in ${options.limitMs / 1000} s`)
    if (status !== 0) throw new Error([`${command} ${args.join(' ')} failed:`, ...lastLines].join('\n  '))
    return lastLines
  } finally {
    clearTimeout(limit)
  }
}

/** Kills whatever still runs, at once: for the very end of the process. */
export function killAll(): void {
  for (const child of running) child.kill('SIGKILL')
}
