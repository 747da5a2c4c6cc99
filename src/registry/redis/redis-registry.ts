import { broadcast } from '../../behaviour/broadcasts.js'
import type { AnyProcess } from '../../behaviour/process.js'
import { prepare, tellAll } from '../broadcast.js'
import { memberOf } from '../membership.js'
import { keyText, scoped, subscope } from '../names.js'
import type { Broadcast, Delivery, Group, Holder, Registry, Unique } from '../registry.js'
import { quiet } from '../../behaviour/quiet.js'
import { RegistryError } from '../registry-error.js'
import { within } from './lease.js'
import { encodeMessage } from './message-codec.js'
import { portOf, type RedisClient } from './redis-client.js'
import { RedisNode } from './redis-node.js'
import { keysOf, type RedisRegistryOptions, resolveRedisOptions } from './redis-options.js'
import { KEY, PROBE, SHARDED } from './scripts.js'
import { remoteProcess } from './remote-process.js'

/** A registry that is the same one on all nodes with the same Redis. */
export interface RedisRegistry extends Registry {
  /**
   * Whether, as far as is known here, this node has its names: it was heard of within its lease. False means that others may
   * get them; processes go on, and messages between those of this node arrive.
   */
  readonly reachable: boolean
  scope(name: string): RedisRegistry
}

/**
 * Makes this program a node of a cluster that shares a Redis (6 or newer) or Valkey.
 *
 * A node that dies frees its names within `leaseMs`. One that lost sight of Redis for longer claims its names again when it
 * sees it; where another process has a name by then, the process of this node ends with a reason of type `name-conflict`, whose error
 * is a RegistryError `WS_NAME_CONFLICT`. Messages to other nodes are JSON and bytes; they arrive at most once, and the result says whether they did.
 *
 * @param client - of the package `redis` or `ioredis`, connected; of a Redis Cluster too, of which one prefix uses one slot, and
 * sharded channels (Redis 7; with `ioredis` the option `shardedSubscribers`). It stays yours, and must outlive the registry. One more
 * connection, a duplicate, is opened for listening.
 * @throws (rejects) UsageError `WS_BAD_OPTION`; RegistryError `WS_REGISTRY_UNREACHABLE`.
 */
export async function createRedisRegistry(
  client: RedisClient,
  options: RedisRegistryOptions = {},
): Promise<RedisRegistry> {
  const port = portOf(client)
  const settings = resolveRedisOptions(options)
  const { prefix, timeoutMs, clock } = settings
  const shards =
    port.canShard &&
    Number(
      await within(
        port.run(
          PROBE,
          [keysOf(prefix) + KEY],
          () => [''],
          () => true,
        ),
        timeoutMs,
        clock,
      ),
    ) === 1
  const node = new RedisNode(port, shards ? { ...settings, node: settings.node + SHARDED } : settings)
  await node.open()
  return new ScopedRegistry(node, '')
}

class ScopedRegistry implements RedisRegistry {
  readonly node: string
  readonly unique: Unique
  readonly group: Group
  readonly #shared: RedisNode
  readonly #scope: string

  constructor(shared: RedisNode, scope: string) {
    this.node = shared.id
    this.#shared = shared
    this.#scope = scope
    this.unique = {
      register: async (name, process) =>
        this.#node.names.register(this.#named(name), memberOf(process), this.#scope),
      unregister: async (name, process) => this.#node.names.unregister(this.#named(name), memberOf(process)),
      lookup: async name => this.#lookup(name),
      send: (name, message) => quiet(this.#send(name, message)),
    }
    this.group = {
      join: async (name, process) => this.#node.groups.join(this.#named(name), memberOf(process)),
      leave: async (name, process) => this.#node.groups.leave(this.#named(name), memberOf(process)),
      publish: (name, message) => quiet(this.#publish(name, message)),
      broadcast: (name, message) => quiet(this.#broadcast(name, message)),
      members: name => [...this.#node.membership.members(this.#named(name))],
    }
  }

  get reachable(): boolean {
    const { good, settled } = this.#shared.lease
    return good && settled
  }

  scope(name: string): RedisRegistry {
    return new ScopedRegistry(this.#shared, subscope(this.#scope, name))
  }

  async register(key: unknown, process: AnyProcess): Promise<boolean> {
    return (await this.#node.names.register(this.#keyed(key), memberOf(process), null)) === 'ok'
  }

  async unregister(key: unknown, process: AnyProcess): Promise<void> {
    // When all was forgotten, so was this.
    if (this.#shared.closed) return
    try {
      await this.#shared.names.unregister(this.#keyed(key), memberOf(process))
    } catch (error) {
      // The process has ended, and this node goes on telling so until Redis has heard it.
      if (!(error instanceof RegistryError)) throw error
    }
  }

  async whereis(key: unknown): Promise<AnyProcess | null> {
    const { membership, names } = this.#node
    const name = this.#keyed(key)
    const here = membership.holder(name)
    if (here !== null) return here
    const found = await names.lookup(name)
    if (found === null) return null
    if (found.node === this.node) return membership.holder(name)
    return remoteProcess(name, typeof key === 'string' ? key : keyText(key), (body, extraMs) =>
      this.#node.ask(body, extraMs),
    )
  }

  close(): Promise<void> {
    return this.#shared.close()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  async #lookup(name: string): Promise<Holder | null> {
    const { membership, names } = this.#node
    const full = this.#named(name)
    const found = await names.lookup(full)
    if (found === null) return null
    const { node, fence } = found
    return { node, process: node === this.node ? membership.holder(full) : null, fence }
  }

  async #send(name: string, message: unknown): Promise<boolean> {
    const node = this.#node
    const to = this.#named(name)
    const encoded = encodeMessage([message])
    const here = node.membership.holder(to)
    if (here === null) {
      const reply = await node.ask({ type: 'ask', to, operation: 'info', message: encoded })
      return reply !== null && reply.count > 0
    }
    here.info(message)
    return true
  }

  async #publish(name: string, message: unknown): Promise<Delivery> {
    const body = { type: 'publish', to: this.#named(name), message: encodeMessage(message) } as const
    return this.#node.toGroup(body, members => tellAll(members, message))
  }

  async #broadcast(name: string, message: Broadcast): Promise<Delivery> {
    const prepared = prepare(message)
    const { data, compress } = prepared
    const body = { type: 'broadcast', to: this.#named(name), message: encodeMessage(data) } as const
    return this.#node.toGroup(compress === undefined ? body : { ...body, compress }, members =>
      broadcast(members, prepared),
    )
  }

  get #node(): RedisNode {
    if (this.#shared.closed) throw new RegistryError('WS_REGISTRY_CLOSED', 'the registry is closed')
    return this.#shared
  }

  #named(name: string): string {
    return scoped(this.#scope, name)
  }

  /** Beside the unique names, not among them. */
  #keyed(key: unknown): string {
    return `${this.#scope}\0${keyText(key)}`
  }
}
