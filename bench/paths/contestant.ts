// Strategy: the parent's side of a contestant and of the counterpart: processes that are asked one thing at a time and end with us.
import { type ChildProcess, fork, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import type { CounterpartTask } from './counterpart.js'
import type { ContestantTask } from './program.js'

/** Which contestant, and how it is started. */
export interface Entry {
  /** As tables name it. */
  readonly name: string
  /** As the program knows it. */
  readonly library: string
  /** What runs it; by default this Node. */
  readonly runtime?: readonly string[]
  readonly env?: Readonly<Record<string, string>>
}

const program = fileURLToPath(new URL('./program.js', import.meta.url))
const counterpart = fileURLToPath(new URL('./counterpart.js', import.meta.url))

/** A contestant that runs. */
export class Contestant {
  readonly name: string
  readonly #child: ChildProcess
  readonly #lines: AsyncIterator<string>

  constructor({ name, library, runtime = [process.execPath], env = {} }: Entry) {
    this.name = name
    const [command, ...args] = runtime
    const child = spawn(command, [...args, program, library], {
      stdio: ['pipe', 'pipe', 'inherit'],
      env: { ...process.env, ...env },
    })
    this.#child = child
    this.#lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  }

  /** Tells it to do something, and waits until it has. @throws (rejects) Error when it can not. */
  async ask<T>(task: ContestantTask): Promise<T> {
    this.#child.stdin!.write(`${JSON.stringify(task)}\n`)
    const { value, done } = await this.#lines.next()
    if (done === true) throw new Error(`${this.name} has ended early`)
    const { answer, error } = JSON.parse(value) as { answer: T; error?: string }
    if (error !== undefined) throw new Error(`${this.name}: ${error}`)
    return answer
  }

  /** It ends when nobody can tell it anything any more. */
  stop(): void {
    this.#child.stdin!.end()
  }
}

/** The neutral end. */
export class Counterpart {
  /** Where contestants that are clients connect to. */
  readonly port: number
  readonly #child: ChildProcess

  private constructor(child: ChildProcess, port: number) {
    this.#child = child
    this.port = port
  }

  static async start(): Promise<Counterpart> {
    const child = fork(counterpart, ['--counterpart'])
    const [port] = (await once(child, 'message')) as [number]
    return new Counterpart(child, port)
  }

  async ask<T>(task: CounterpartTask): Promise<T> {
    this.#child.send(task)
    const waiting = new AbortController()
    const ended = (): void => waiting.abort()
    this.#child.once('exit', ended)
    try {
      const [answer] = (await once(this.#child, 'message', { signal: waiting.signal })) as [T]
      return answer
    } catch {
      throw new Error('the counterpart has ended early')
    } finally {
      this.#child.off('exit', ended)
    }
  }

  stop(): void {
    this.#child.kill()
  }
}
