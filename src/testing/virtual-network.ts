// Strategy: the face of three parts: the stepper, which moves the time; the fabric, which knows who can reach whom; and chances
// from the seed, one generator for each use, so that a test that asks for one number more changes nothing else.
import type { Duplex } from 'node:stream'
import { UsageError } from '../protocol/index.js'
import type { ConnectionFactory } from '../transport/dial-options.js'
import { parseTarget } from '../transport/target.js'
import { Fabric } from './fabric.js'
import { DEFAULT_CONDITIONS, type LinkConditions, resolveConditions } from './link-conditions.js'
import type { NetworkEvent } from './network-event.js'
import type { VirtualConnectOptions, VirtualNetworkOptions, VirtualStartOptions } from './network-options.js'
import { Random, type Seed } from './random.js'
import { Stepper, type WaitOptions } from './stepper.js'
import { VirtualClock } from './virtual-clock.js'
import type { VirtualLink } from './virtual-link.js'
import {
  type OnVirtualConnection,
  requireFunction,
  socketServer,
  type VirtualListenOptions,
  type VirtualServer,
} from './virtual-server.js'

/**
 * Servers and connections in memory, on a clock that the test moves. Nothing in it takes real time or opens a socket.
 *
 * @example
 * ```ts
 * test('survives a reset', async () => {
 *   const network = new VirtualNetwork({ seed: 7, conditions: { latencyMs: [5, 50], segmentBytes: [1, 100] } })
 *   const server = network.listen('ws://feed.test/', socket => void socket.send('welcome'))
 *   const socket = await network.run(connect('ws://feed.test/', network.connectOptions))
 *   server.link.reset()
 *   const { error } = await network.run(socket.closed)
 *   assert.equal(error?.code, 'WS_CONNECTION_LOST')
 *   await network.run(server.close())
 *   assert.deepEqual(network.leaks(), [])
 * })
 * ```
 */
export class VirtualNetwork implements AsyncDisposable {
  /** To be printed when a test fails, and given to the next run. */
  readonly seed: Seed
  /** The time of this network. */
  readonly clock: VirtualClock
  /** `connect(url, { ...network.connectOptions })`. */
  readonly connectOptions: VirtualConnectOptions
  /** `start(url, behaviour, { ...network.startOptions })`. */
  readonly startOptions: VirtualStartOptions
  /** Called with everything that happens on the network, as it happens. */
  onEvent: ((event: NetworkEvent) => void) | null = null

  readonly #users: Random
  readonly #stepper: Stepper
  readonly #fabric: Fabric

  /** @throws UsageError for a condition that makes no sense. */
  constructor(options: VirtualNetworkOptions = {}) {
    const { seed = 0, clock = new VirtualClock(), conditions = {}, quietTurns = 2 } = options
    this.seed = seed
    this.clock = clock
    const chances = new Random(seed)
    this.#users = chances.fork('user')
    const masks = chances.fork('mask')
    this.#stepper = new Stepper(clock, quietTurns, () => this.#describe())
    const resolved = resolveConditions(conditions, DEFAULT_CONDITIONS)
    this.#fabric = new Fabric(this.#stepper, chances, resolved, event => this.#tell(event))
    const { createConnection } = this
    this.connectOptions = { clock, createConnection, maskKey: () => masks.word() }
    this.startOptions = { ...this.connectOptions, random: this.random }
  }

  /** A number from the seed, at least 0 and below 1. */
  readonly random = (): number => this.#users.number()

  /** Connects to the server of this network that `target` names; refused where there is none. For `connect()` and the like. */
  readonly createConnection: ConnectionFactory = (target, signal) => this.#fabric.connect(target, signal)

  /** Links that are open at one of their ends at least, the oldest first. */
  get links(): ReadonlySet<VirtualLink> {
    return this.#fabric.links
  }

  /**
   * Starts a WebSocket server in memory, which speaks the real protocol, at the host and port of `url`.
   *
   * @throws UsageError for a URL that is none or is taken, for `wss:`, which a server in memory does not speak, and for a bad option.
   */
  listen(
    url: string | URL,
    onConnection: OnVirtualConnection,
    options: VirtualListenOptions = {},
  ): VirtualServer {
    if (parseTarget(url).secure)
      throw new UsageError(
        'WS_BAD_URL',
        'a server in memory speaks no TLS: use ws:, or listenRaw() and a TLSSocket of your own',
      )
    const { conditions = {}, ...accept } = options
    return this.#fabric.host(url, conditions, socketServer({ ...accept, clock: this.clock }, onConnection))
  }

  /**
   * Starts a server that leaves every byte to the test: what it is given is the server's end of each link, half-open.
   *
   * @throws UsageError for a URL that is none or is taken, and for a bad condition.
   */
  listenRaw(
    url: string | URL,
    onLink: (stream: Duplex, link: VirtualLink) => void,
    options: { readonly conditions?: LinkConditions | undefined } = {},
  ): VirtualServer {
    requireFunction(onLink)
    const serve = (link: VirtualLink): void => onLink(link.serverEnd, link)
    return this.#fabric.host(url, options.conditions ?? {}, { acceptor: null, serve })
  }

  /** Nothing gets through any more, nobody is told, and nobody who connects gets an answer. */
  partition(): void {
    this.#fabric.part()
  }

  /** Everything gets through again: what was sent meanwhile arrives, late. */
  heal(): void {
    this.#fabric.heal()
  }

  /**
   * Moves the time on by `ms`: each timer fires at its own time, and everything that follows from it happens before the next.
   *
   * @throws (rejects) UsageError, `WS_BAD_SEQUENCE` while the time is being moved already; StalledError when it cannot go
   * on; and what a timer throws.
   */
  advance(ms: number): Promise<void> {
    return this.#stepper.advance(ms)
  }

  /** Lets everything happen that needs no time. @throws (rejects) as `advance()` does. */
  settle(): Promise<void> {
    return this.#stepper.settle()
  }

  /**
   * Moves the time on, from timer to timer, until `condition` holds.
   *
   * @throws (rejects) StalledError when it never does: no timer is set, or none within `limitMs`; otherwise as `advance()`.
   */
  runUntil(condition: () => boolean, options: WaitOptions = {}): Promise<void> {
    return this.#stepper.runUntil(condition, options)
  }

  /**
   * Moves the time on until `promise` settles.
   *
   * @returns what it is fulfilled with.
   * @throws (rejects) what it is rejected with; otherwise as `runUntil()`.
   */
  run<Value>(promise: PromiseLike<Value>, options: WaitOptions = {}): Promise<Value> {
    return this.#stepper.run(promise, options)
  }

  /** What is still there: links, connections that are being made, timers. Empty when everybody has cleared up. */
  leaks(): string[] {
    const { links, knocks } = this.#fabric
    const nowMs = this.clock.now()
    return [
      ...Array.from(links, String),
      ...Array.from(knocks, String),
      ...this.clock.dueTimes.map(atMs => `a timer is due in ${Math.round((atMs - nowMs) * 1000) / 1000} ms`),
    ]
  }

  /**
   * Ends everything at once: links vanish without an error, and whoever connects is refused. What has a timer of its own is left
   * to `leaks()`.
   */
  async close(): Promise<void> {
    this.#fabric.close()
    await this.settle()
  }

  /** Closes. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  #tell(event: Omit<NetworkEvent, 'atMs'>): void {
    this.#stepper.moved()
    if (this.onEvent !== null) this.onEvent({ atMs: this.clock.now(), ...event })
  }

  #describe(): string {
    const left = this.leaks()
    return `seed ${JSON.stringify(this.seed)}, ${this.clock.now()} ms; ${left.length === 0 ? 'nothing is left' : left.slice(0, 10).join('; ')}`
  }
}
