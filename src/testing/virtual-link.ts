// Strategy: two ends and two lanes, and what one end's fate means for the other. An end that is destroyed sends the end of
// its bytes, or a reset when it left something unread, as an operating system does; it is told with a reset when more
// arrives for it. Whatever is sent goes through the lane, so a frozen link tells nobody anything.
import type { Duplex } from 'node:stream'
import { UsageError } from '../protocol/index.js'
import { Lane, type LaneOwner } from './lane.js'
import { type LinkConditions, type ResolvedConditions, resolveConditions } from './link-conditions.js'
import { LinkEnd } from './link-end.js'
import { NetworkError } from './network-error.js'
import { type Direction, type NetworkEvent, opposite } from './network-event.js'
import type { Random } from './random.js'
import type { Stepper } from './stepper.js'
import { requireDuration } from './virtual-clock.js'

/** What a link belongs to. */
export interface LinkOwner {
  readonly stepper: Stepper
  readonly peer: string
  /** True while nothing gets through any of its links. */
  readonly parted: boolean
  tell(event: Omit<NetworkEvent, 'atMs' | 'peer'>): void
  /** The server's end has learnt of it. */
  accept(link: VirtualLink): void
  closed(link: VirtualLink): void
}

const DIRECTIONS = ['to-client', 'to-server'] as const

/**
 * One connection between a client and a server of a {@link VirtualNetwork}, and everything that can happen to it.
 *
 * @example
 * ```ts
 * const socket = await network.run(connect('ws://feed.test/', network.connectOptions))
 * server.link.freeze()
 * socket.write('nobody will ever see this')
 * await network.advance(60_000)
 * ```
 */
export class VirtualLink {
  /** 1 for the first link of the network. */
  readonly id: number
  /** When it was opened, on the network's clock. */
  readonly openedAtMs: number
  /** The stream that the client reads and writes. */
  readonly clientEnd: Duplex
  /** The stream that the server reads and writes. */
  readonly serverEnd: Duplex
  /** Called with each piece that the network has taken from a writer. The bytes are a copy. */
  onTaken: ((bytes: Uint8Array, direction: Direction) => void) | null = null
  /** Called with each piece just before the reader's stream gets it. The bytes are a copy. */
  onDelivered: ((bytes: Uint8Array, direction: Direction) => void) | null = null

  readonly #owner: LinkOwner
  readonly #lanes: Readonly<Record<Direction, Lane>>
  #frozen = false
  #resetting = false
  #closed = false

  /** @internal Links are made by connecting. */
  constructor(id: number, owner: LinkOwner, conditions: ResolvedConditions, random: Random) {
    this.id = id
    this.#owner = owner
    this.openedAtMs = owner.stepper.clock.now()
    const client = new LinkEnd({ address: '192.0.2.1', port: 80 }, () => this.#gone('to-client'))
    const server = new LinkEnd({ address: '192.0.2.2', port: 49_151 + id }, () => this.#gone('to-server'))
    this.clientEnd = client
    this.serverEnd = server
    const lane = (direction: Direction, to: LinkEnd): Lane =>
      new Lane(owner.stepper, random.fork(direction), conditions, to, this.#laneOwner(direction))
    this.#lanes = {
      'to-client': lane('to-client', client),
      'to-server': lane('to-server', server),
    }
    client.join(this.#lanes['to-client'], this.#lanes['to-server'])
    server.join(this.#lanes['to-server'], this.#lanes['to-client'])
  }

  /** `host:port` of the server. */
  get peer(): string {
    return this.#owner.peer
  }

  /** False once both ends are gone. */
  get open(): boolean {
    return !this.#closed
  }

  /** True between `freeze()` and `thaw()`. */
  get frozen(): boolean {
    return this.#frozen
  }

  /** How many bytes the network has taken: those of finished writes, and of an unfinished one as many as there was room for. */
  taken(direction: Direction): number {
    return this.#lane(direction).taken
  }

  /** How many bytes the other end got. What it had not read when it was reset or destroyed does not count. */
  delivered(direction: Direction): number {
    return this.#lane(direction).delivered
  }

  /** Changes what the link is like from now on, one way or both. What is on its way already keeps its time. @throws UsageError. */
  change(conditions: LinkConditions, direction?: Direction): void {
    for (const one of direction === undefined ? DIRECTIONS : [direction]) {
      const lane = this.#lane(one)
      lane.conditions = resolveConditions(conditions, lane.conditions)
    }
  }

  /**
   * Nothing gets through any more, neither way, and neither end is told: it is half-open for whoever does not look. What is
   * written is taken as long as the window has room.
   */
  freeze(): void {
    this.#frozen = true
  }

  /** What was taken meanwhile arrives, as TCP would send it again; so do the end and the reset of an end that has gone. */
  thaw(): void {
    this.#frozen = false
    this.flow()
  }

  /** Nothing gets through for so long, in milliseconds, then everything does. @throws UsageError. */
  delay(ms: number): void {
    requireDuration(ms)
    for (const direction of DIRECTIONS) this.#lane(direction).delay(ms)
  }

  /** Both ends get `ECONNRESET` at once. What was on its way, or not read, is lost. */
  reset(): void {
    if (this.#closed || this.#resetting) return
    this.#resetting = true
    this.#owner.tell({ type: 'reset', link: this.id, direction: null, bytes: 0 })
    for (const direction of DIRECTIONS) this.#lane(direction).kill()
    // The ends learn of it a tick later: by then the writes that were done before are reported as done, as an operating
    // system has it.
    process.nextTick(() => this.#kill(() => new NetworkError('ECONNRESET')))
  }

  /**
   * Resets the link as soon as so many bytes, since it was opened, have gone one way: when the other end has been handed
   * exactly so many or, with `'taken'`, when the network has taken exactly so many. At once when that was before.
   *
   * @throws UsageError.
   */
  resetAfter(bytes: number, direction: Direction, counted: 'delivered' | 'taken' = 'delivered'): void {
    if (!(bytes >= 0)) throw new UsageError('WS_BAD_OPTION', `expected a number of bytes, not ${bytes}`)
    this.#lane(direction).limit(counted, bytes)
  }

  /** The bytes of one way end, as if their writer had ended; what it writes from now on fails with `EPIPE`. @throws UsageError. */
  end(direction: Direction): void {
    this.#lane(direction).close('end')
  }

  /** Bytes that nobody wrote arrive, behind those that were taken. They do not count as taken. @throws UsageError. */
  inject(bytes: Uint8Array | string, direction: Direction): void {
    this.#lane(direction).inject(typeof bytes === 'string' ? Buffer.from(bytes) : bytes)
  }

  /** What is left of it, for a message. */
  toString(): string {
    const ends = [
      ...(this.clientEnd.destroyed ? [] : ['client']),
      ...(this.serverEnd.destroyed ? [] : ['server']),
    ]
    const state = this.#frozen ? 'frozen' : 'open'
    return ends.length === 0
      ? `link ${this.id} to ${this.peer} is closed`
      : `link ${this.id} to ${this.peer} is ${state} at its ${ends.join(' and its ')} end`
  }

  /** @internal The client has its end, and the server will learn of its own. */
  establish(): void {
    this.#lane('to-server').open()
  }

  /** @internal Goes on after a hold. */
  flow(): void {
    for (const direction of DIRECTIONS) this.#lane(direction).deliver()
  }

  /** @internal Ends it without a word to anybody. */
  destroy(): void {
    this.#resetting = true
    this.#kill(() => undefined)
  }

  #kill(error: () => Error | undefined): void {
    for (const direction of DIRECTIONS) this.#lane(direction).kill()
    this.clientEnd.destroy(error())
    this.serverEnd.destroy(error())
  }

  #lane(direction: Direction): Lane {
    if (direction === 'to-client' || direction === 'to-server') return this.#lanes[direction]
    throw new UsageError(
      'WS_BAD_OPTION',
      `a link leads 'to-client' and 'to-server', not ${String(direction)}`,
    )
  }

  /** The end that `direction` leads to was destroyed. */
  #gone(direction: Direction): void {
    const incoming = this.#lanes[direction]
    const outgoing = this.#lanes[opposite(direction)]
    const reader = direction === 'to-client' ? this.clientEnd : this.serverEnd
    if (!this.#resetting) {
      const unread = reader.readableLength > 0 || incoming.waiting
      outgoing.fromGone()
      outgoing.close(unread ? 'reset' : 'end')
    }
    outgoing.fromGone()
    incoming.toGone()
    this.#owner.stepper.moved()
    if (!(this.clientEnd.destroyed && this.serverEnd.destroyed) || this.#closed) return
    this.#closed = true
    for (const one of DIRECTIONS) this.#lane(one).kill()
    this.#owner.tell({ type: 'closed', link: this.id, direction: null, bytes: 0 })
    this.#owner.closed(this)
  }

  #laneOwner(direction: Direction): LaneOwner {
    const tell = (type: NetworkEvent['type'], bytes = 0): void => {
      this.#owner.stepper.moved()
      this.#owner.tell({ type, link: this.id, direction, bytes })
    }
    const held = (): boolean => this.#frozen || this.#owner.parted
    return {
      get held() {
        return held()
      },
      opened: () => this.#owner.accept(this),
      taken: bytes => {
        tell('taken', bytes.length)
        this.onTaken?.(Buffer.from(bytes), direction)
      },
      delivered: bytes => {
        tell('delivered', bytes.length)
        this.onDelivered?.(Buffer.from(bytes), direction)
      },
      ended: () => tell('end'),
      resetArrived: () => tell('reset'),
      bounced: () => this.#lanes[opposite(direction)].close('reset'),
      reset: () => this.reset(),
    }
  }
}
