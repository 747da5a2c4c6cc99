// Strategy: one node: its lease, names, groups and post, which all scopes of a registry share. Names come with their scope.
// What is for processes here never waits for Redis.
import { broadcast } from '../../behaviour/broadcasts.js'
import type { NamedProcess } from '../../behaviour/process-ref.js'
import { PreparedMessage } from '../../protocol/index.js'
import { tellAll } from '../broadcast.js'
import { Membership } from '../membership.js'
import type { Delivery } from '../registry.js'
import { ClusterGroups } from './cluster-groups.js'
import { ClusterNames } from './cluster-names.js'
import { type Body, type Reply, SILENCE } from './envelope.js'
import { Lease } from './lease.js'
import { decodeMessage } from './message-codec.js'
import { Post, type Sent, UNKNOWN } from './post.js'
import type { RedisPort } from './redis-client.js'
import { keysOf, type RedisSettings } from './redis-options.js'
import { carryOut } from './remote-process.js'
import { PUBLISH, REPEATED, ROUTE } from './scripts.js'

type Ask = Extract<Body, { type: 'ask' }>
type ToGroup = Exclude<Body, Ask>

/** One node of a cluster. */
export class RedisNode {
  readonly id: string
  readonly membership: Membership
  readonly names: ClusterNames
  readonly groups: ClusterGroups
  readonly lease: Lease
  readonly #post: Post
  readonly #port: RedisPort
  closed = false

  constructor(port: RedisPort, { prefix, node, leaseMs, timeoutMs, clock }: RedisSettings) {
    this.id = node
    this.#port = port
    const keys = keysOf(prefix)
    const channels = `${keys}to:`
    const common = { port, node, timeoutMs, clock }
    this.membership = new Membership(({ names, groups }) => {
      this.names.departed(names)
      this.groups.departed(groups)
    })
    this.lease = new Lease(
      { ...common, keys, leaseMs, channel: channels + node },
      {
        begun: async () => void (await Promise.all([this.names.begun(), this.groups.begun()])),
        renewed: () => {
          this.names.renewed()
          this.groups.renewed()
          this.#post.renewed()
        },
      },
    )
    this.names = new ClusterNames(this.lease, this.membership)
    this.groups = new ClusterGroups(this.lease, this.membership)
    this.#post = new Post({ ...common, channels }, body => this.#deliver(body))
  }

  /** @throws (rejects) RegistryError `WS_REGISTRY_UNREACHABLE`. */
  async open(): Promise<void> {
    try {
      // Whoever sees this node can reach it.
      await this.#post.open()
      await this.lease.open()
    } catch (error) {
      this.closed = true
      this.#post.close()
      throw error
    }
  }

  /** Asks whoever has a name, on another node. @returns null when nobody has it, {@link SILENCE}. @throws (rejects) RegistryError. */
  async ask(body: Ask, extraMs = 0): Promise<Reply | null> {
    const send = async (text: string): Promise<Sent> =>
      this.#sent(await this.lease.say(ROUTE, body.to, this.#post.channels, text))
    const { nodes, replies } = await this.#post.send(body, send, extraMs)
    if (nodes === 0) return null
    return replies.at(0) ?? SILENCE
  }

  /** A message to the members of a group on all nodes. @param here - delivers it to those of this node. */
  async toGroup(
    body: ToGroup,
    here: (members: ReadonlySet<NamedProcess>) => number | Promise<number>,
  ): Promise<Delivery> {
    const members = this.membership.members(body.to)
    const local = members.size > 0 ? 1 : 0
    const delivered = local === 0 ? 0 : here(members)
    try {
      const { nodes, replies } = await this.#post.send(body, async text =>
        this.#sent(await this.lease.say(PUBLISH, body.to, this.#post.channels, text)),
      )
      const recipients = await delivered
      return {
        recipients: replies.reduce((sum, { count }) => sum + count, recipients),
        nodes: local + nodes,
        confirmed: local + replies.length,
      }
    } catch {
      // How many others there are is not known: one stands for them.
      return { recipients: await delivered, nodes: local + 1, confirmed: local }
    }
  }

  async close(): Promise<void> {
    if (this.closed) return
    this.closed = true
    this.membership.clear()
    await this.lease.close()
    this.#post.close()
  }

  async #deliver(body: Body): Promise<Omit<Reply, 'type'>> {
    if (body.type === 'ask') {
      const process = this.membership.holder(body.to)
      return process === null ? { count: 0 } : carryOut(process, body.operation, body.message)
    }
    const members = this.membership.members(body.to)
    if (members.size === 0) return { count: 0 }
    const message = decodeMessage(body.message)
    if (body.type === 'publish') return { count: tellAll(members, message) }
    if (typeof message !== 'string' && !(message instanceof Uint8Array)) return { count: 0 }
    const { compress } = body
    return { count: await broadcast(members, new PreparedMessage(message, { compress })) }
  }

  #sent(answer: unknown): Sent {
    // The answer that said to whom was lost: one stands for them.
    if (answer === REPEATED) return [[UNKNOWN, 1]]
    const flat = answer as readonly string[]
    const all: (readonly [string, number])[] = []
    // In a cluster, those who listen at other nodes of Redis were not counted.
    for (let i = 0; i < flat.length; i += 2) all.push([flat[i], this.#port.cluster ? 1 : Number(flat[i + 1])])
    return all
  }
}
