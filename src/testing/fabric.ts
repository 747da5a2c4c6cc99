// Strategy: what is on a network, and who may reach whom. A client's `createConnection` becomes a `Knock`, which is answered
// or waits (knock.ts), and if all is well a link is made. Chances come from generators named after the link or the knock,
// so that they do not depend on what else happens.
import type { Duplex } from 'node:stream'
import { UsageError } from '../protocol/index.js'
import { parseTarget, peerName, type Target } from '../transport/target.js'
import { Knock, type KnockOwner } from './knock.js'
import { type LinkConditions, type ResolvedConditions, resolveConditions } from './link-conditions.js'
import type { NetworkEvent } from './network-event.js'
import type { Random } from './random.js'
import type { Stepper } from './stepper.js'
import { VirtualLink } from './virtual-link.js'
import { type ConnectAttempt, type Service, VirtualServer } from './virtual-server.js'

interface Host {
  readonly server: VirtualServer
  readonly conditions: ResolvedConditions
  readonly links: Set<VirtualLink>
  readonly attempts: ConnectAttempt[]
}

/** What there is on a network: hosts, links, and connections under way. */
export class Fabric {
  /** Of all servers; those that are closed may have some still. */
  readonly links: Set<VirtualLink> = new Set()
  /** Connections that are being made. */
  readonly knocks: Set<Knock> = new Set()
  readonly #stepper: Stepper
  readonly #chances: Random
  readonly #conditions: ResolvedConditions
  readonly #tell: (event: Omit<NetworkEvent, 'atMs'>) => void
  readonly #hosts = new Map<string, Host>()
  #lastLink = 0
  #lastKnock = 0
  #parted = false
  #closed = false

  constructor(
    stepper: Stepper,
    chances: Random,
    conditions: ResolvedConditions,
    tell: (event: Omit<NetworkEvent, 'atMs'>) => void,
  ) {
    this.#stepper = stepper
    this.#chances = chances
    this.#conditions = conditions
    this.#tell = tell
  }

  /** Puts a server where `url` says. @throws UsageError when there is one. */
  host(url: string | URL, conditions: LinkConditions, service: Service): VirtualServer {
    const peer = peerName(parseTarget(url))
    if (this.#hosts.has(peer)) throw new UsageError('WS_BAD_OPTION', `somebody listens at ${peer} already`)
    const resolved = resolveConditions(conditions, this.#conditions)
    const links = new Set<VirtualLink>()
    const attempts: ConnectAttempt[] = []
    const owner = {
      clock: this.#stepper.clock,
      links,
      attempts,
      retry: () => this.retry(),
      // There may be another by now.
      removed: () => this.#hosts.get(peer)?.server === server && this.#hosts.delete(peer),
    }
    const server = new VirtualServer(String(url), owner, service)
    this.#hosts.set(peer, { server, links, attempts, conditions: resolved })
    return server
  }

  /** Asks for a connection. */
  connect(target: Target, signal: AbortSignal): Promise<Duplex> {
    const peer = peerName(target)
    const owner: KnockOwner = {
      clock: this.#stepper.clock,
      random: this.#chances.fork(`knock ${++this.#lastKnock}`),
      peer,
      conditions: () => this.#hosts.get(peer)?.conditions ?? this.#conditions,
      answer: () => this.#answer(peer),
      open: () => this.#open(peer),
      tell: type => this.#tell({ type, peer, link: 0, direction: null, bytes: 0 }),
      done: knock => this.knocks.delete(knock),
    }
    const knock = new Knock(owner, signal)
    this.knocks.add(knock)
    this.#hosts.get(peer)?.attempts.push(knock.attempt)
    return knock.stream
  }

  /** Nothing gets through. */
  part(): void {
    this.#parted = true
  }

  /** Everything does. */
  heal(): void {
    this.#parted = false
    for (const link of this.links) link.flow()
    this.retry()
  }

  /** Those who wait for an answer may get one now. */
  retry(): void {
    for (const knock of this.knocks) knock.retry()
  }

  /** Ends everything, and refuses whoever comes. */
  close(): void {
    this.#closed = true
    for (const { server } of this.#hosts.values()) server.down('keep')
    for (const link of this.links) link.destroy()
    for (const knock of this.knocks) knock.refuse()
  }

  #answer(peer: string): 'open' | 'refused' | 'none' {
    const server = this.#hosts.get(peer)?.server
    if (this.#closed) return 'refused'
    if (this.#parted || server?.parted === true) return 'none'
    if (server === undefined || server.state === 'down') return 'refused'
    return server.state === 'up' ? 'open' : 'none'
  }

  #open(peer: string): Duplex {
    const { server, links, conditions } = this.#hosts.get(peer)!
    const id = ++this.#lastLink
    const parted = (): boolean => this.#parted || server.parted
    const owner = {
      stepper: this.#stepper,
      peer,
      get parted() {
        return parted()
      },
      tell: (event: Omit<NetworkEvent, 'atMs' | 'peer'>) => this.#tell({ peer, ...event }),
      accept: (one: VirtualLink) => server.accept(one),
      closed: (one: VirtualLink) => {
        this.links.delete(one)
        links.delete(one)
      },
    }
    const link = new VirtualLink(id, owner, conditions, this.#chances.fork(`link ${id}`))
    this.links.add(link)
    links.add(link)
    owner.tell({ type: 'open', link: id, direction: null, bytes: 0 })
    server.onLink?.(link)
    link.establish()
    return link.clientEnd
  }
}
