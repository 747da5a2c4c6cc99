// Strategy: system calls as strace sees them. It is attached to one thread, the one that runs JavaScript, when that is warm, and
// says what the thread calls; counted is what concerns a socket, between two markers. So neither helpers, nor pipes, nor what depends
// on time (futex, epoll_wait, madvise) is in it. A turn is the same calls each time.
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { MARKER } from './scenarios.js'

/** How often each system call is made. */
export type Calls = Readonly<Record<string, number>>

// A name with a question mark may be missing: not every processor has every call.
const CALLS =
  'read,readv,recvfrom,recvmsg,write,writev,sendto,sendmsg,epoll_ctl,socket,connect,bind,listen,accept4,shutdown,close,' +
  'fcntl,ioctl,setsockopt,getsockopt,getsockname,getpeername,?access,?faccessat,?faccessat2'

/** Why there are no system calls to count; null when there are. It is tried on this process. */
export async function straceFails(): Promise<string | null> {
  try {
    const tracer = await Tracer.attach(process.pid, '/dev/null')
    await tracer.leave()
    return null
  } catch (error) {
    return (error as Error).message
  }
}

/** strace, at work on a process. */
export class Tracer {
  readonly #child: ChildProcess
  readonly #file: string

  private constructor(child: ChildProcess, file: string) {
    this.#child = child
    this.#file = file
  }

  /** @throws when strace may not. */
  static async attach(pid: number, file: string): Promise<Tracer> {
    const args = ['-y', '-e', `trace=${CALLS}`, '-e', 'signal=none', '-o', file, '-p', String(pid)]
    const child = spawn('strace', args, { stdio: ['ignore', 'ignore', 'pipe'] })
    let said = ''
    child.once('error', error => (said += error.message))
    for await (const chunk of child.stderr as AsyncIterable<Buffer>) {
      said += chunk.toString()
      if (said.includes(' attached')) return new Tracer(child, file)
    }
    throw new Error(`strace does not work here: ${said.trim()}`)
  }

  /** Lets go of the process. */
  async leave(): Promise<void> {
    const ended = once(this.#child, 'exit')
    this.#child.kill('SIGINT')
    await ended
  }

  /** Lets go of the process. @returns what was called between the two markers. */
  async detach(): Promise<Calls> {
    await this.leave()
    const [, between, after] = readFileSync(this.#file, 'utf8').split(new RegExp(`^.*"${MARKER}".*\n`, 'm'))
    if (after === undefined) throw new Error('strace has not seen both ends of its window')
    return callsIn(between)
  }
}

function callsIn(log: string): Calls {
  const found: Record<string, number> = {}
  for (const line of log.split('\n')) {
    const name = /^\w+(?=\()/.exec(line)?.[0]
    if (name !== undefined && line.includes('<socket:')) found[name] = (found[name] ?? 0) + 1
  }
  return found
}
