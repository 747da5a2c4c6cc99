// Strategy: one node of cluster.test.ts, a program of its own: some hundreds of processes, and traffic at random among them.
// It writes down what it was promised (who has which name, who is in which group, what became of each message) and what its
// processes heard; the test compares. What two operations on one process at once would mean is not asked: each has its turn.
import { createRedisRegistry, type RedisRegistry } from '../../src/registry/redis/index.js'
import { Random } from '../../src/testing/random.js'
import { again, below, type Idler, idler } from './members.js'
import { obeying } from './node-program.js'
import { connectClient, type Ends, type Kind } from './redis-server.js'

const NAMES = 60
/** Those after the first have few members, the first and last of which come and go. */
const GROUPS = 36
const LARGE = 12
const LEASE_MS = 300
const TIMEOUT_MS = 400
const MAX_RUNNING = 60

/** What a worker is told to do. */
export type Order =
  | { readonly do: 'begin'; readonly prefix: string; readonly seed: string; readonly processes: number }
  | { readonly do: 'rest' | 'report' | 'check' | 'greet' | 'end' }

/** A message to a group, and what became of it. */
export interface Published {
  readonly id: string
  readonly recipients: number
  readonly nodes: number
  readonly confirmed: number
}

/** What a worker saw. */
export interface Report {
  readonly node: string
  readonly reachable: boolean
  readonly published: readonly Published[]
  readonly sent: readonly (readonly [id: string, ok: boolean])[]
  /** How often each message was heard here. */
  readonly heard: Readonly<Record<string, number>>
  /** Messages that one process heard twice, or after its end, or that a member here never heard. */
  readonly wrong: readonly string[]
  /** Processes by their names. */
  readonly names: Readonly<Record<string, number>>
  /** How many are in each group. */
  readonly members: Readonly<Record<string, number>>
  readonly ended: number
  readonly conflicts: number
}

/** How this node sees the cluster: of each name the node and fence. */
export type View = Readonly<Record<string, readonly [node: string, fence: number, here: boolean] | null>>

/** What became of one message to each group, and to each name. */
export interface Greetings {
  readonly groups: Readonly<Record<string, Published>>
  readonly names: Readonly<Record<string, boolean>>
}

class Worker {
  readonly #registry: RedisRegistry
  readonly #random: Random
  readonly #idlers: Idler[] = []
  readonly #busy = new Set<number>()
  readonly #ended = new Set<number>()
  readonly #names = new Map<string, number>()
  readonly #members = new Map<string, Set<number>>()
  readonly #published: Published[] = []
  readonly #sent: [string, boolean][] = []
  /** Messages, and who was a member here when they were sent. */
  readonly #expected: (readonly [id: string, members: readonly number[]])[] = []
  readonly #running = new Set<Promise<void>>()
  readonly #heardAt: number[] = []
  readonly #wrong: string[] = []
  #timer: NodeJS.Timeout | null = null
  #conflicts = 0
  #count = 0

  private constructor(registry: RedisRegistry, seed: string) {
    this.#registry = registry
    this.#random = new Random(seed)
  }

  static async begin(t: Ends, kind: Kind, port: number, order: Order & { do: 'begin' }): Promise<Worker> {
    const client = await connectClient(t, kind, port)
    const options = { prefix: order.prefix, leaseMs: LEASE_MS, timeoutMs: TIMEOUT_MS }
    // Other nodes, and other tests, may keep the machine busy for longer than that.
    const registry = await again(10, () => createRedisRegistry(client, options))
    t.teardown(() => registry.close())
    const worker = new Worker(registry, order.seed)
    for (let i = 0; i < order.processes; i++) await worker.#start(t, i)
    // Groups first, so that there is something to say.
    await Promise.all(
      Array.from({ length: order.processes }, (_, i) => worker.#join(`g${i % LARGE}`, i).catch(() => {})),
    )
    worker.#timer = setInterval(() => worker.#step(), 2)
    return worker
  }

  /** No more traffic, once what runs has come to its end. */
  async rest(): Promise<void> {
    if (this.#timer !== null) clearInterval(this.#timer)
    await Promise.all(this.#running)
  }

  report(): Report {
    const heard: Record<string, number> = {}
    const wrong = [...this.#wrong]
    for (const [i, idler] of this.#idlers.entries()) {
      const own = new Set<string>()
      for (const id of idler.heard as string[]) {
        heard[id] = (heard[id] ?? 0) + 1
        if (own.has(id)) wrong.push(`${id} twice`)
        own.add(id)
      }
      const atEnd = this.#heardAt[i]
      if (atEnd !== undefined && idler.heard.length > atEnd) wrong.push(`process ${i} heard after its end`)
    }
    for (const [id, members] of this.#expected) {
      for (const i of members) {
        if (!this.#ended.has(i) && !this.#idlers[i].heard.includes(id)) wrong.push(`${id} never`)
      }
    }
    const { node, reachable } = this.#registry
    return {
      node,
      reachable,
      published: this.#published,
      sent: this.#sent,
      heard,
      wrong,
      names: Object.fromEntries(this.#names),
      members: Object.fromEntries([...this.#members].map(([group, { size }]) => [group, size])),
      ended: this.#ended.size,
      conflicts: this.#conflicts,
    }
  }

  async check(): Promise<View> {
    const view: Record<string, readonly [string, number, boolean] | null> = {}
    for (let i = 0; i < NAMES; i++) {
      const holder = await this.#registry.unique.lookup(`n${i}`)
      const own = this.#names.get(`n${i}`)
      const here = own !== undefined && holder?.process === this.#idlers[own].process
      view[`n${i}`] = holder === null ? null : [holder.node, holder.fence, here]
    }
    return view
  }

  async greet(): Promise<Greetings> {
    const groups: Record<string, Published> = {}
    const names: Record<string, boolean> = {}
    for (let i = 0; i < GROUPS; i++) groups[`g${i}`] = await this.#publish(`g${i}`)
    for (let i = 0; i < NAMES; i++) names[`n${i}`] = await this.#send(`n${i}`)
    return { groups, names }
  }

  async #start(t: Ends, i: number): Promise<void> {
    const one = await idler(t)
    this.#idlers[i] = one
    void one.process.ended.then(reason => {
      this.#ended.add(i)
      this.#heardAt[i] = one.heard.length
      const { code } = (reason.error ?? {}) as { code?: string }
      if (code === 'WS_NAME_CONFLICT') this.#conflicts++
      for (const [name, holder] of this.#names) if (holder === i) this.#names.delete(name)
      for (const members of this.#members.values()) members.delete(i)
    })
  }

  /** One operation at random. */
  #step(): void {
    if (this.#running.size >= MAX_RUNNING) return
    const random = this.#random
    const name = `n${below(random, NAMES)}`
    const group = `g${below(random, GROUPS)}`
    const kind = below(random, 100)
    // Who leaves should be a member, and who ends should have a name.
    const those =
      kind < 70 ? [] : kind < 78 ? this.#members.get(group) : kind < 80 ? this.#names.values() : []
    const i = anyOf(random, [...(those ?? [])]) ?? below(random, this.#idlers.length)
    if (this.#busy.has(i) || this.#ended.has(i)) return
    const work = async (): Promise<void> => {
      if (kind < 25) await this.#register(name, i)
      else if (kind < 35) await this.#unregister(i)
      else if (kind < 60) await this.#send(name)
      else if (kind < 70) await this.#join(group, i)
      else if (kind < 78) await this.#leave(group, i)
      else if (kind < 80) await this.#idlers[i].process.stop()
      else await this.#publish(group)
    }
    this.#busy.add(i)
    const running: Promise<void> = work()
      // What cannot be reached has refused, and counts as not done.
      .catch((error: unknown) => {
        const { code } = error as { code?: string }
        if (code !== 'WS_REGISTRY_UNREACHABLE' && code !== 'WS_NO_PROCESS') this.#wrong.push(String(error))
      })
      .finally(() => {
        this.#busy.delete(i)
        this.#running.delete(running)
      })
    this.#running.add(running)
  }

  async #register(name: string, i: number): Promise<void> {
    const answer = await this.#registry.unique.register(name, this.#idlers[i].process)
    if (answer === 'ok' && !this.#ended.has(i)) this.#names.set(name, i)
  }

  async #unregister(i: number): Promise<void> {
    for (const [name, holder] of this.#names) {
      if (holder !== i) continue
      this.#names.delete(name)
      await this.#registry.unique.unregister(name, this.#idlers[i].process)
    }
  }

  async #send(name: string): Promise<boolean> {
    const id = this.#id()
    const sent: [string, boolean] = [id, false]
    this.#sent.push(sent)
    sent[1] = await this.#registry.unique.send(name, id)
    return sent[1]
  }

  async #join(group: string, i: number): Promise<void> {
    await this.#registry.group.join(group, this.#idlers[i].process)
    if (this.#ended.has(i)) return
    const members = this.#members.get(group) ?? new Set()
    this.#members.set(group, members.add(i))
  }

  async #leave(group: string, i: number): Promise<void> {
    this.#members.get(group)?.delete(i)
    await this.#registry.group.leave(group, this.#idlers[i].process)
  }

  async #publish(group: string): Promise<Published> {
    const id = this.#id()
    this.#expected.push([id, [...(this.#members.get(group) ?? [])]])
    const published = { id, ...(await this.#registry.group.publish(group, id)) }
    this.#published.push(published)
    return published
  }

  #id(): string {
    return `${this.#registry.node}:${++this.#count}`
  }
}

const anyOf = (random: Random, all: readonly number[]): number | undefined => all[below(random, all.length)]

const [kind, port] = process.argv.slice(2)
let worker: Worker | null = null
let teardowns: (() => unknown)[] = []
const ends: Ends = { teardown: work => teardowns.push(work) }

async function obey(order: Order): Promise<unknown> {
  if (order.do === 'begin') worker = await Worker.begin(ends, kind as Kind, Number(port), order)
  else if (order.do === 'rest') await worker!.rest()
  else if (order.do === 'report') return worker!.report()
  else if (order.do === 'greet') return worker!.greet()
  else if (order.do === 'check') return worker!.check()
  else {
    const all = teardowns.toReversed()
    teardowns = []
    for (const work of all) await work()
  }
  return null
}

obeying(obey)
