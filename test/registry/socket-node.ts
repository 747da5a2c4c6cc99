// Strategy: one node of cluster-sockets.test.ts: a server on a port of its own, whose clients have a unique name and are in two
// groups. A client asks for what is to be sent; this node writes down what became of it, and who was a member here at that moment.
// What cannot be had (the name of somebody else, a Redis that is away) is tried again until it can.
import { createRedisRegistry, type RedisRegistry } from '../../src/registry/redis/index.js'
import { listen, type Listener } from '../../src/server/index.js'
import { processOf } from '../../src/behaviour/process-handles.js'
import type { NamedProcess } from '../../src/behaviour/process-ref.js'
import type { Self } from '../../src/index.js'
import { again } from './members.js'
import { obeying } from './node-program.js'
import { connectClient, type Kind } from './redis-server.js'

/** What a node has for a lease, and how long it waits for Redis and for the others. */
export const LEASE_MS = 1500
const TIMEOUT_MS = 2000
/** Not all at once: those of a node that was killed are a thousand. */
const AGAIN_MS = 300
const againMs = (): number => AGAIN_MS * (1 + Math.random())

/** What a node is told to do. */
export type SocketOrder =
  { readonly do: 'begin' | 'said' | 'settled' } | { readonly do: 'look'; readonly names: readonly string[] }

/** A message, and what became of it. */
export interface Said {
  readonly id: string
  readonly kind: string
  readonly to: string
  readonly beganMs: number
  readonly endedMs: number
  /** The connections of those members who were here. */
  readonly here: readonly string[]
  /** Null where Redis could not be asked. */
  readonly recipients: number | null
  readonly nodes: number
  readonly confirmed: number
}

/** What a node saw. */
export interface NodeReport {
  readonly said: readonly Said[]
  /** How many callbacks ran after the end of their process. */
  readonly late: number
  /** How many processes have lost their name. */
  readonly conflicts: number
  /** When each process that has ended did, by the connection. */
  readonly ended: Readonly<Record<string, number>>
  readonly failures: readonly string[]
}

/** By name, who has it as this node sees it. */
export type Look = Readonly<Record<string, readonly [node: string, fence: number] | null>>

interface Client {
  readonly id: string
  readonly name: string
  /** What it wants to be in, and is not yet. */
  groups: readonly string[]
  gone: boolean
}

class SocketNode {
  readonly #registry: RedisRegistry
  readonly #ids = new WeakMap<NamedProcess, string>()
  readonly #said: Said[] = []
  readonly #failures: string[] = []
  #late = 0
  #conflicts = 0
  readonly #ended: Record<string, number> = {}

  constructor(registry: RedisRegistry) {
    this.#registry = registry
  }

  listen(): Promise<Listener> {
    return listen({
      // A thousand come at once, from one address, when another node was killed.
      maxHandshakesPerAddress: 4096,
      behaviour: {
        init: ({ query }, self: Self): Client => {
          const name = query.get('name')!
          const id = query.get('id')!
          const client = { id, name, groups: query.getAll('group'), gone: false }
          this.#ids.set(processOf(self).process, id)
          void this.#claim(client, self)
          return client
        },
        handleFrame: ({ data }) => {
          const [kind, to, id] = String(data).split(' ')
          this.#say(kind, to, id).catch((error: unknown) => this.#failures.push(String(error)))
        },
        handleInfo: (message, client, self) => {
          if (client.gone) this.#late++
          if (message !== 'again') return { reply: String(message) }
          void this.#claim(client, self)
          return undefined
        },
        terminate: (reason, client) => {
          client.gone = true
          this.#ended[client.id] = Date.now()
          if (reason.type === 'name-conflict') this.#conflicts++
          if (reason.type === 'crash') this.#failures.push(String(reason.error))
        },
      },
    })
  }

  async look(names: readonly string[]): Promise<Look> {
    const look: Record<string, readonly [string, number] | null> = {}
    const rest = names.values()
    const some = async (): Promise<void> => {
      for (const name of rest) {
        const holder = await this.#registry.unique.lookup(name)
        look[name] = holder === null ? null : [holder.node, holder.fence]
      }
    }
    await Promise.all(Array.from({ length: 20 }, some))
    return look
  }

  get report(): NodeReport {
    return {
      said: this.#said,
      late: this.#late,
      conflicts: this.#conflicts,
      ended: this.#ended,
      failures: this.#failures,
    }
  }

  /** Tries once to get what a client wants. */
  async #claim(client: Client, self: Self): Promise<void> {
    try {
      while (client.groups.length > 0) {
        await this.#registry.group.join(client.groups[0], self)
        client.groups = client.groups.slice(1)
      }
      if ((await this.#registry.unique.register(client.name, self)) === 'ok') self.info('named')
      else self.sendAfter('again', againMs())
    } catch (error) {
      const { code } = error as { code?: string }
      if (code === 'WS_REGISTRY_UNREACHABLE') self.sendAfter('again', againMs())
      else if (code !== 'WS_NO_PROCESS') this.#failures.push(String(error))
    }
  }

  async #say(kind: string, to: string, id: string): Promise<void> {
    const { unique, group } = this.#registry
    const here = kind === 'send' ? [] : group.members(to).filter(({ phase }) => phase === 'open')
    const said = {
      id,
      kind,
      to,
      here: here.flatMap(process => this.#ids.get(process) ?? []),
      beganMs: Date.now(),
    }
    try {
      const { recipients, nodes, confirmed } =
        kind === 'publish'
          ? await group.publish(to, id)
          : kind === 'broadcast'
            ? await group.broadcast(to, id)
            : toName(await unique.send(to, id))
      this.#said.push({ ...said, endedMs: Date.now(), recipients, nodes, confirmed })
    } catch (error) {
      if ((error as { code?: string }).code !== 'WS_REGISTRY_UNREACHABLE') throw error
      this.#said.push({ ...said, endedMs: Date.now(), recipients: null, nodes: 1, confirmed: 0 })
    }
  }
}

/** False is what nobody has said to have taken, and may have come nevertheless. */
const toName = (ok: boolean): { recipients: number; nodes: number; confirmed: number } => ({
  recipients: ok ? 1 : 0,
  nodes: 1,
  confirmed: ok ? 1 : 0,
})

const [kind, port] = process.argv.slice(2)
let node: SocketNode | null = null

obeying(async (order: SocketOrder) => {
  if (order.do === 'look') return node!.look(order.names)
  if (order.do === 'said') return node!.report
  if (order.do === 'settled') return node!.report.said.length
  const client = await connectClient({ teardown: () => {} }, kind as Kind, Number(port))
  const options = { prefix: 'sockets', leaseMs: LEASE_MS, timeoutMs: TIMEOUT_MS }
  node = new SocketNode(await again(10, () => createRedisRegistry(client, options)))
  return (await node.listen()).url
})
