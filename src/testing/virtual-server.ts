// Strategy: a name in the network, what becomes of those who connect to it, and its links. What is done with a link that
// was accepted is the `serve` it was made with: the project's own acceptor (`listen`), or the test (`listenRaw`).
import { encodeReject, HandshakeError, type HeaderList, type UpgradeRequest } from '../handshake/index.js'
import { UsageError } from '../protocol/index.js'
import { ACCEPT_OPTIONS, type AcceptOptions, SocketAcceptor } from '../transport/listen.js'
import { requireOptions } from '../transport/dial-options.js'
import { readRequest } from '../transport/server-handshake.js'
import type { Socket } from '../transport/socket.js'
import type { LinkConditions } from './link-conditions.js'
import type { VirtualClock } from './virtual-clock.js'
import type { VirtualLink } from './virtual-link.js'

/** Called for each connection of a server in memory, as `listen()` calls its own; with the link as well. */
export type OnVirtualConnection = (socket: Socket, request: UpgradeRequest, link: VirtualLink) => unknown

/** How a server in memory accepts, and what the links to it are like. */
export interface VirtualListenOptions extends Omit<AcceptOptions, 'clock'> {
  /** Laid over those of the network. */
  readonly conditions?: LinkConditions | undefined
}

/** What becomes of those who connect. */
export type ServerState =
  /** They are connected. */
  | 'up'
  /** They get `ECONNREFUSED`. */
  | 'down'
  /** They get no answer at all. */
  | 'hanging'

/** One connection that was asked for. */
export interface ConnectAttempt {
  /** When the client asked, on the network's clock. */
  readonly atMs: number
  /** `waiting` until there is an answer, `abandoned` when the client gave up before. */
  readonly outcome: 'waiting' | 'open' | 'refused' | 'abandoned'
}

/** @internal What a server needs to exist. */
export interface ServerOwner {
  readonly clock: VirtualClock
  readonly links: ReadonlySet<VirtualLink>
  readonly attempts: readonly ConnectAttempt[]
  /** Those who wait for an answer may get one now. */
  retry(): void
  removed(): void
}

/** @internal What is done with links. */
export interface Service {
  readonly serve: (link: VirtualLink) => void
  /** Null where links are left to the test. */
  readonly acceptor: SocketAcceptor | null
}

/**
 * A server in memory.
 *
 * @example
 * ```ts
 * const server = network.listen('ws://feed.test/', socket => {
 *   socket.onMessage = ({ data }) => void socket.send(data)
 * })
 * server.down() // every link is reset, every new connection refused
 * await network.advance(10_000)
 * server.up()
 * console.log(server.attempts.map(({ atMs }) => atMs)) // when the clients came back
 * ```
 */
export class VirtualServer implements AsyncDisposable {
  /** What it was made for; a client may add a path and a query. */
  readonly url: string
  /** Each connection that was asked for, from the first on. */
  readonly attempts: readonly ConnectAttempt[]
  /** Links that are open at one of their ends at least, the oldest first. */
  readonly links: ReadonlySet<VirtualLink>
  /** Called for each link when it is there and nothing was sent: the place for `resetAfter()` and taps. */
  onLink: ((link: VirtualLink) => void) | null = null

  readonly #owner: ServerOwner
  readonly #service: Service
  #state: ServerState = 'up'
  #parted = false
  #refusal: HandshakeError | null = null

  /** @internal Use `VirtualNetwork.listen()` or `listenRaw()`. */
  constructor(url: string, owner: ServerOwner, service: Service) {
    this.url = url
    this.#owner = owner
    this.#service = service
    this.links = owner.links
    this.attempts = owner.attempts
  }

  /** Those that are not closed yet; none for `listenRaw`. */
  get sockets(): ReadonlySet<Socket> {
    return this.#service.acceptor?.sockets ?? new Set()
  }

  /** The youngest link that is open. @throws Error when there is none. */
  get link(): VirtualLink {
    const link = [...this.links].at(-1)
    if (link === undefined) throw new Error(`${this.url} has no link`)
    return link
  }

  /** What becomes of those who connect. */
  get state(): ServerState {
    return this.#state
  }

  /** True between `partition()` and `heal()`. */
  get parted(): boolean {
    return this.#parted
  }

  /** Connections are accepted again; those that have waited for an answer get it now. */
  up(): void {
    this.#state = 'up'
    this.#refusal = null
    this.#owner.retry()
  }

  /**
   * New connections are refused: `WS_CONNECT_FAILED`, with `ECONNREFUSED` as the cause.
   *
   * @param links what happens to those there are: `reset` (default), as when the process is killed, or `keep`.
   */
  down(links: 'reset' | 'keep' = 'reset'): void {
    this.#state = 'down'
    if (links === 'reset') for (const link of this.links) link.reset()
    this.#owner.retry()
  }

  /** New connections get no answer: neither accepted nor refused, until `up()` or `down()`. Links go on. */
  hang(): void {
    this.#state = 'hanging'
  }

  /**
   * The opening handshake of new connections is answered with an HTTP status from 300 to 599, until `up()`. Links go on.
   *
   * @throws InvalidHeadError for another status, or headers that cannot be sent.
   */
  refuse(status = 503, headers: HeaderList = []): void {
    const refusal = new HandshakeError('WS_HANDSHAKE_REFUSED', { status, headers })
    encodeReject(refusal)
    this.#state = 'up'
    this.#refusal = refusal
    this.#owner.retry()
  }

  /** The way to this server is gone, and nobody is told: all its links are half-open, and nobody who connects gets an answer. */
  partition(): void {
    this.#parted = true
  }

  /** The way is there again: what was sent meanwhile arrives, late. */
  heal(): void {
    this.#parted = false
    for (const link of this.links) link.flow()
    this.#owner.retry()
  }

  /**
   * Refuses connections from now on, closes every socket with 1001, and settles when all are gone. It takes time where links
   * do: `await network.run(server.close())`. Raw links are reset.
   */
  async close(): Promise<void> {
    this.#state = 'down'
    this.#owner.removed()
    this.#owner.retry()
    if (this.#service.acceptor === null) for (const link of this.links) link.reset()
    await this.#service.acceptor?.close()
    // What is left never finished its handshake.
    for (const link of this.links) link.serverEnd.destroy()
  }

  /** Closes. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  /** @internal A client has connected. */
  accept(link: VirtualLink): void {
    const refusal = this.#refusal
    if (refusal === null) {
      this.#service.serve(link)
      return
    }
    const stream = link.serverEnd
    const limits = { clock: this.#owner.clock, limitMs: Infinity, headLimits: {} }
    readRequest(stream, limits, () => {
      stream.resume()
      stream.end(encodeReject(refusal))
    })
  }
}

/** Serves links with the project's own handshake. @throws UsageError for a bad option. */
export function socketServer(options: AcceptOptions, onConnection: OnVirtualConnection): Service {
  requireOptions(options, ACCEPT_OPTIONS)
  requireFunction(onConnection)
  let accepting: VirtualLink
  const acceptor = new SocketAcceptor(options, (socket, request) => onConnection(socket, request, accepting))
  const { headLimits = {} } = options
  return {
    acceptor,
    serve: link => {
      readRequest(link.serverEnd, { ...acceptor.limits, headLimits }, ({ head, rest }) => {
        accepting = link
        acceptor.accept(link.serverEnd, head, rest)
      })
    },
  }
}

/** @throws UsageError when a server would have nobody to give its connections to. */
export function requireFunction(handler: unknown): void {
  if (typeof handler === 'function') return
  throw new UsageError('WS_BAD_OPTION', 'a server needs a function that takes its connections')
}
