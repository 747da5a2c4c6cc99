// Strategy: one server and its clients, each a process of its own, driven from here a step at a time.
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import type { ClientTask } from './crowd-clients.js'
import type { CrowdMemory, CrowdServerKind, CrowdSetup, CrowdTask, Load } from './crowd-server.js'

export type { CrowdMemory, CrowdServerKind, Load }

/** A server with its clients. */
export class Crowd {
  readonly #server: ChildProcess
  readonly #clients: ChildProcess
  readonly #compress: boolean

  private constructor(server: ChildProcess, clients: ChildProcess, compress: boolean) {
    this.#server = server
    this.#clients = clients
    this.#compress = compress
  }

  static async start(kind: CrowdServerKind, setup: CrowdSetup = {}): Promise<Crowd> {
    const server = child('crowd-server', kind, JSON.stringify(setup))
    const port = await answerOf<number>(server)
    return new Crowd(server, child('crowd-clients', String(port)), setup.compress === true)
  }

  open(count: number): Promise<void> {
    return this.#tell({ type: 'open', count, compress: this.#compress })
  }

  /** All of them go. */
  close(): Promise<void> {
    return this.#tell({ type: 'close' })
  }

  /** Each says something, and hears an answer. */
  speak(): Promise<void> {
    return this.#tell({ type: 'speak' })
  }

  /** Milliseconds of processor time that the server has taken. */
  cpuMs(): Promise<number> {
    return this.#ask({ type: 'cpu' })
  }

  memory(): Promise<CrowdMemory> {
    return this.#ask({ type: 'memory' })
  }

  /**
   * Sends to all and waits until all have it.
   *
   * @returns milliseconds of the server, until it had handed over everything.
   */
  async broadcast(load: Load): Promise<number> {
    const heard = this.#tell({ type: 'await', frames: load.messages })
    const ms = await this.#ask<number>({ type: 'broadcast', ...load })
    await heard
    return ms
  }

  stop(): void {
    this.#clients.kill()
    this.#server.kill()
  }

  async #tell(task: ClientTask): Promise<void> {
    this.#clients.send(task)
    await answerOf(this.#clients)
  }

  #ask<T>(task: CrowdTask): Promise<T> {
    this.#server.send(task)
    return answerOf<T>(this.#server)
  }
}

function child(name: string, ...args: readonly string[]): ChildProcess {
  const file = fileURLToPath(new URL(`${name}.js`, import.meta.url))
  return fork(file, [`--${name}`, ...args])
}

async function answerOf<T>(one: ChildProcess): Promise<T> {
  const waiting = new AbortController()
  const { signal } = waiting
  const ended = (): void => waiting.abort(new Error('a process of the crowd has ended early'))
  one.once('exit', ended)
  try {
    const [answer] = (await once(one, 'message', { signal })) as [T]
    return answer
  } catch {
    throw signal.reason
  } finally {
    one.off('exit', ended)
  }
}
