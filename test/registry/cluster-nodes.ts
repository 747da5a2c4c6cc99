import type { Greetings, Order, Report, View } from './cluster-worker.js'
import { NodeProgram } from './node-program.js'
import type { Ends, Kind } from './redis-server.js'
import type { SlowProxy } from './slow-proxy.js'

/** A node with some hundreds of processes. */
export class ClusterNode {
  readonly #program: NodeProgram<Order>

  private constructor(program: NodeProgram<Order>) {
    this.#program = program
  }

  /** Starts one, which ends with the test. */
  static async start(t: Ends, kind: Kind, port: number): Promise<ClusterNode> {
    return new ClusterNode(await NodeProgram.start(t, './cluster-worker.ts', kind, port))
  }

  get proxy(): SlowProxy {
    return this.#program.proxy
  }

  begin(prefix: string, seed: string, processes: number): Promise<void> {
    return this.#program.ask({ do: 'begin', prefix, seed, processes })
  }

  tell(what: 'rest' | 'end'): Promise<void> {
    return this.#program.ask({ do: what })
  }

  report(): Promise<Report> {
    return this.#program.ask({ do: 'report' })
  }

  check(): Promise<View> {
    return this.#program.ask({ do: 'check' })
  }

  greet(): Promise<Greetings> {
    return this.#program.ask({ do: 'greet' })
  }

  /** As `kill -9`. */
  kill(): Promise<void> {
    return this.#program.kill()
  }
}
