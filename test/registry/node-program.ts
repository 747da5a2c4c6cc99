import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import type { Ends } from './redis-server.js'
import { SlowProxy } from './slow-proxy.js'

/** A node in a program of its own, behind a proxy of its own. It does what it is told, and answers. */
export class NodeProgram<Order> {
  readonly proxy: SlowProxy
  readonly #child: ChildProcess
  readonly #asked = new Map<number, { resolve(answer: never): void; reject(error: Error): void }>()
  #count = 0
  #output = ''

  private constructor(child: ChildProcess, proxy: SlowProxy) {
    this.#child = child
    this.proxy = proxy
    child.stderr?.on('data', chunk => (this.#output += String(chunk)))
    child.on('message', (message: { number?: number; answer?: unknown; error?: string }) => {
      const asked = this.#asked.get(message.number ?? -1)
      this.#asked.delete(message.number ?? -1)
      if (message.error === undefined) asked?.resolve(message.answer as never)
      else asked?.reject(new Error(message.error))
    })
    child.on('exit', (code, signal) => {
      for (const asked of this.#asked.values()) {
        asked.reject(new Error(`a node ended with ${signal ?? code}: ${this.#output}`))
      }
      this.#asked.clear()
    })
  }

  /** Starts one, which ends with the test. @param file - beside this one. It gets the kind of client, and the port of the proxy. */
  static async start<Order>(t: Ends, file: string, kind: string, port: number): Promise<NodeProgram<Order>> {
    const proxy = await SlowProxy.before(t, port)
    const child = fork(new URL(file, import.meta.url), [kind, String(proxy.port)], {
      // Not tap's compiler, which takes a second longer.
      execArgv: ['--import', new URL('../../scripts/typescript.mjs', import.meta.url).href],
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    })
    const node = new NodeProgram<Order>(child, proxy)
    t.teardown(() => node.kill())
    await Promise.race([
      once(child, 'message'),
      once(child, 'exit').then(() => Promise.reject(new Error(node.#output))),
    ])
    return node
  }

  /** As `kill -9`. */
  async kill(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return
    const gone = once(this.#child, 'exit')
    this.#child.kill('SIGKILL')
    await gone
    await this.proxy.close()
  }

  ask<T>(order: Order): Promise<T> {
    return new Promise((resolve, reject) => {
      this.#asked.set(++this.#count, { resolve, reject })
      this.#child.send({ number: this.#count, order })
    })
  }
}

/** The other side: obeys until the parent is gone. */
export function obeying(obey: (order: never) => Promise<unknown>): void {
  process.on('message', ({ number, order }: { number: number; order: unknown }) => {
    obey(order as never).then(
      answer => process.send!({ number, answer: answer ?? null }),
      (error: unknown) =>
        process.send!({ number, error: error instanceof Error ? error.stack : String(error) }),
    )
  })
  process.on('disconnect', () => process.exit())
  process.send!('ready')
}
