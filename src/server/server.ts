// Strategy: a server is a gate and the processes of those who came through. It knows no more of a process than its handle, how
// to let it go, and when it has ended.
import type { EventEmitter } from 'node:events'
import type { Duplex } from 'node:stream'
import { warn } from '../behaviour/ending.js'
import type { EndReason } from '../behaviour/end-reason.js'
import { ProcessCore } from '../behaviour/process-core.js'
import type { ProcessIdentity } from '../behaviour/process-facts.js'
import type { NamedProcess } from '../behaviour/process-ref.js'
import type { Rest } from '../behaviour/rest.js'
import { UsageError } from '../protocol/index.js'
import { isLost } from '../transport/loss-error.js'
import { type AddressInfo, openDoor, type TlsOptions } from '../transport/door.js'
import { after } from '../transport/clock.js'
import { requireOptions } from '../transport/dial-options.js'
import { requireHttpServer } from '../transport/listen.js'
import { drainAll, type Drained, type DrainOptions, resolveDrainOptions } from './drain.js'
import { type AnyService, behavioursOf, type Endpoint } from './endpoint.js'
import { type Admitted, type AnyServerBehaviour, Gate } from './gate.js'
import { share } from './guests.js'
import { Lifetimes } from './lifetimes.js'
import { Pools, type PoolStatistics } from './pools.js'
import { Rests } from './rests.js'
import { Routes } from './routes.js'
import type { ServerBehaviour } from './server-behaviour.js'
import { TlsHandshakes } from './tls-handshakes.js'
import { pathOf } from './upgrade-context.js'
import {
  resolveServerOptions,
  SERVER_OPTIONS,
  type ServerOptions,
  type ServerSettings,
} from './server-options.js'

/** What clients find: one behaviour for every path, or one for each pattern, such as `/rooms/:room`. */
export type Service<State, Data, Cast, Call, Answer, Info> =
  | {
      readonly behaviour: ServerBehaviour<State, Data, Cast, Call, Answer, Info>
      readonly routes?: undefined
    }
  | { readonly routes: Readonly<Record<string, Endpoint>>; readonly behaviour?: undefined }

/** Where a server of its own listens. */
export interface ListenOptions extends ServerOptions {
  /** Default `'127.0.0.1'`: others must be let in on purpose. */
  readonly host?: string | undefined
  /** Default 0: any free port. */
  readonly port?: number | undefined
  /** A unix socket instead of host and port. */
  readonly path?: string | undefined
  /** With `key` and `cert` (see `tls.createServer`) it speaks `wss:`. */
  readonly tls?: TlsOptions | undefined
}

/** A server whose clients are processes. */
export interface Server extends AsyncDisposable {
  /** Those that have not ended. */
  readonly processes: ReadonlySet<NamedProcess>
  /** How many of them are at rest, see `restAfterMs`. */
  readonly resting: number
  /** Handshakes that are under way, those of TLS too on a port of its own. */
  readonly handshakes: number
  /** How many connections there are, may be, and were turned away; of one pool, or of all. @throws UsageError. */
  statistics(pool?: string): PoolStatistics
  /** Changes a limit. Who is inside stays. @throws UsageError. */
  setMaxConnections(max: number, pool?: string): void
  /**
   * Lets nobody in any more and everybody go: a Close frame for each, spread over `spreadMs`; settles when all are gone. The
   * first call counts. A shared `http.Server` goes on, and answers upgrades with 503.
   *
   * @throws (rejects) UsageError.
   */
  drain(options?: DrainOptions): Promise<Drained>
  /** `drain()` at once, and the port is closed. */
  close(): Promise<void>
}

/** A server on a port of its own. */
export interface Listener extends Server {
  readonly url: string
  readonly port: number
  readonly address: AddressInfo | string
}

const LISTEN_OPTIONS: Readonly<Record<string, true>> = {
  ...SERVER_OPTIONS,
  host: true,
  port: true,
  path: true,
  tls: true,
}

/**
 * Starts a server on a port of its own. Each client is a process that runs a behaviour.
 *
 * @throws (rejects) UsageError for a bad option, or what the operating system says (`EADDRINUSE`, …).
 */
export async function listen<
  State,
  Data = undefined,
  Cast = never,
  Call = never,
  Answer = unknown,
  Info = unknown,
>(options: ListenOptions & Service<State, Data, Cast, Call, Answer, Info>): Promise<Listener> {
  const { host = '127.0.0.1', port = 0, path, tls, ...rest } = options
  requireOptions(options, { ...LISTEN_OPTIONS, ...SERVICE })
  const server = new ProcessServer(rest as ServerOptions & AnyService)
  const { handshakeTimeoutMs: limitMs } = server.settings
  const handshakes = new TlsHandshakes(server.gate.halfOpen, server.settings.socket.clock, limitMs)
  const serve = (stream: Duplex): void => server.gate.read(stream)
  const door = await openDoor(
    { host, port, path, tls, limitMs },
    serve,
    path === undefined ? handshakes : null,
  )
  server.onClose = async () => {
    await door.clear()
  }
  server.onDrain = () => door.shut()
  return Object.assign(server, { url: door.url, port: door.port, address: door.address })
}

/**
 * Serves the upgrades of an existing `http.Server` or `https.Server`. Paths that no route takes are refused with 404, unless
 * somebody else listens for upgrades as well. Afterwards the stream is ours: a listener to its `'data'` that comes later may hear
 * nothing.
 *
 * @throws UsageError for a bad option.
 */
export function attach<State, Data = undefined, Cast = never, Call = never, Answer = unknown, Info = unknown>(
  http: EventEmitter,
  options: ServerOptions & Service<State, Data, Cast, Call, Answer, Info>,
): Server {
  requireHttpServer(http)
  requireOptions(options, { ...SERVER_OPTIONS, ...SERVICE })
  const server = new ProcessServer(options as ServerOptions & AnyService)
  server.onClose = share(http, {
    knows: target => server.knows(target),
    closed: () => server.closed,
    take: (stream, head, rest) => server.gate.take(stream, head, rest),
    leaveToOthers: (stream, before) => server.gate.leaveToOthers(stream, before),
  })
  return server
}

const SERVICE = { behaviour: true, routes: true } as const
const NOBODY = (): never => {
  throw new UsageError('WS_BAD_OPTION', 'a client that was accepted cannot be connected to')
}

/** A gate, and the processes of those who came through. */
class ProcessServer implements Server, ProcessIdentity {
  readonly name = null
  readonly settings: ServerSettings
  readonly gate: Gate
  readonly processes = new Set<NamedProcess>()
  onDrain: () => unknown = () => {}
  onClose: () => unknown = () => {}
  readonly #routes: Routes<AnyServerBehaviour>
  readonly #pools: Pools
  readonly #lifetimes: Lifetimes
  readonly #rests: Rests
  /** The pools of those that are in one. */
  readonly #poolOf = new Map<ProcessCore, string>()
  #drained: Promise<Drained> | null = null
  #closed: Promise<void> | null = null

  constructor({ behaviour, routes, ...options }: ServerOptions & AnyService) {
    this.settings = resolveServerOptions(options)
    const { maxConnections, pools, socket, idleTimeoutMs, maxLifetimeMs, restAfterMs } = this.settings
    this.#routes = new Routes(behavioursOf(behaviour, routes))
    this.#pools = new Pools(maxConnections, pools)
    this.#lifetimes = new Lifetimes(socket.clock, idleTimeoutMs, maxLifetimeMs)
    this.#rests = new Rests(socket.clock, restAfterMs)
    this.gate = new Gate({
      settings: this.settings,
      routes: this.#routes,
      pools: this.#pools,
      closed: () => this.closed,
      admitted: one => this.#start(one),
    })
  }

  get resting(): number {
    return this.settings.restAfterMs === Infinity ? 0 : this.processes.size - this.#rests.awake
  }

  get handshakes(): number {
    return this.gate.halfOpen.count
  }

  statistics(pool?: string): PoolStatistics {
    return this.#pools.pool(pool).statistics
  }

  setMaxConnections(max: number, pool?: string): void {
    this.#pools.pool(pool).max = max
  }

  /** Whether a route takes this path. */
  knows(target: string): boolean {
    return this.#routes.find(pathOf(target)) !== null
  }

  /** True once nobody is let in any more. */
  get closed(): boolean {
    return this.#drained !== null
  }

  async drain(options: DrainOptions = {}): Promise<Drained> {
    const resolved = resolveDrainOptions(options)
    if (this.#drained === null) {
      this.#drained = drainAll([...this.processes], resolved, this.settings.socket.clock)
      this.onDrain()
    }
    return this.#drained
  }

  close(): Promise<void> {
    this.#closed ??= this.drain().then(async () => {
      await this.onClose()
    })
    return this.#closed
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  ended(core: ProcessCore, reason: EndReason): void {
    this.processes.delete(core.handle)
    this.#lifetimes.forget(core)
    this.#rests.gone(core)
    this.#pools.leave(this.#poolOf.get(core))
    this.#poolOf.delete(core)
    // That a client has gone is nothing to report, nor is a callback that waited for it; that one has failed is.
    if (reason.type === 'crash' && !isLost(reason.error))
      warn('WS_PROCESS_CRASHED', 'a callback of a server process failed', reason.error)
  }

  woken(core: ProcessCore, rest: Rest): void {
    this.#rests.woken(core, rest)
  }

  release(): void {
    // There is no name to give back.
  }

  #start({ behaviour, socket, connection, pool, rest }: Admitted): void {
    const core = new ProcessCore(behaviour, NOBODY, this.settings.process, this)
    this.processes.add(core.handle)
    if (pool !== undefined) this.#poolOf.set(core, pool)
    this.#lifetimes.watch(core)
    this.#rests.came(core)
    const adopting = core.adopt(socket, connection)
    if (adopting instanceof Promise) this.#limitInit(core, adopting)
    socket.start(rest)
  }

  #limitInit(core: ProcessCore, adopting: Promise<void>): void {
    const { handleUpgradeTimeoutMs: limitMs } = this.settings
    const stopTimer = after(this.settings.socket.clock, limitMs, () => {
      const error = new Error(`init() of a server process took longer than ${limitMs} ms`)
      warn('WS_PROCESS_CRASHED', error.message, null)
      void core.stop(error, { reason: 'init timed out' })
    })
    // What it rejects with is the reason of its end.
    adopting.then(stopTimer, stopTimer)
  }
}
