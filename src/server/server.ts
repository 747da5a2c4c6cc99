// Strategy: a server is a gate and the processes of those who came through. It knows no more of a process than its handle, how
// to let it go, and when it has ended.
import type { EventEmitter } from 'node:events'
import type { Duplex } from 'node:stream'
import { warn } from '../behaviour/ending.js'
import { ProcessCore } from '../behaviour/process-core.js'
import type { NamedProcess } from '../behaviour/process-ref.js'
import { requireBehaviour } from '../behaviour/require-behaviour.js'
import type { RequestHead } from '../handshake/index.js'
import { UsageError } from '../protocol/index.js'
import { type AddressInfo, openDoor, type TlsOptions } from '../transport/door.js'
import { after } from '../transport/clock.js'
import { type NodeRequest, requestHead } from '../transport/listen.js'
import { swallowErrors } from '../transport/stream-events.js'
import { drainAll, type Drained, type DrainOptions, resolveDrainOptions } from './drain.js'
import { type Admitted, type AnyServerBehaviour, Gate } from './gate.js'
import { Lifetimes } from './lifetimes.js'
import { Pools, type PoolStatistics } from './pools.js'
import { Routes } from './routes.js'
import type { ServerBehaviour } from './server-behaviour.js'
import { pathOf } from './upgrade-context.js'
import {
  resolveServerOptions,
  SERVER_OPTIONS,
  type ServerOptions,
  type ServerSettings,
} from './server-options.js'

/** A behaviour of any types, for a list of routes; see {@link endpoint}. */
export interface Endpoint {
  /** @internal */
  readonly behaviour: AnyServerBehaviour
}

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
  /** Handshakes that are under way. */
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

/** A behaviour for `routes`. Returns it in a form in which behaviours of different types stand side by side. */
export function endpoint<
  State,
  Data = undefined,
  Cast = never,
  Call = never,
  Answer = unknown,
  Info = unknown,
>(behaviour: ServerBehaviour<State, Data, Cast, Call, Answer, Info>): Endpoint {
  return { behaviour: requireBehaviour(behaviour, ['handleUpgrade']) }
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
  requireKnown(options, LISTEN_OPTIONS)
  const server = new ProcessServer(rest as ServerOptions & AnyService)
  const { handshakeTimeoutMs: limitMs } = server.settings
  const door = await openDoor({ host, port, path, tls, limitMs }, stream => server.gate.read(stream))
  server.onClose = async () => {
    await door.clear()
  }
  server.onDrain = () => door.shut()
  return Object.assign(server, { url: door.url, port: door.port, address: door.address })
}

/**
 * Serves the upgrades of an existing `http.Server` or `https.Server`. Paths that no route takes are refused with 404, unless
 * somebody else listens for upgrades as well.
 *
 * @throws UsageError for a bad option.
 */
export function attach<State, Data = undefined, Cast = never, Call = never, Answer = unknown, Info = unknown>(
  http: EventEmitter,
  options: ServerOptions & Service<State, Data, Cast, Call, Answer, Info>,
): Server {
  requireKnown(options, SERVER_OPTIONS)
  const server = new ProcessServer(options as ServerOptions & AnyService)
  const guests = guestsOf(http)
  const guest: Guest = {
    serves: target => server.serves(target),
    take: (stream, head, rest) => server.gate.take(stream, head, rest),
  }
  const onUpgrade = (request: NodeRequest, stream: Duplex, rest: Uint8Array): void => {
    swallowErrors(stream)
    const head = requestHead(request)
    // Of several servers of ours, the one that was attached last and has the route answers, else the first says that there is none.
    const chosen = [...guests].findLast(one => one.serves(head.target)) ?? [...guests][0]
    if (chosen !== guest) return
    if (!guest.serves(head.target) && http.listenerCount('upgrade') > guests.size)
      server.gate.leaveToOthers(stream)
    else guest.take(stream, head, rest)
  }
  guests.add(guest)
  http.on('upgrade', onUpgrade)
  server.onClose = () => {
    guests.delete(guest)
    http.off('upgrade', onUpgrade)
  }
  return server
}

/** One `attach()` among others on the same server. */
interface Guest {
  serves(target: string): boolean
  take(stream: Duplex, head: RequestHead, rest: Uint8Array): void
}

const allGuests = new WeakMap<EventEmitter, Set<Guest>>()

function guestsOf(http: EventEmitter): Set<Guest> {
  let guests = allGuests.get(http)
  if (guests === undefined) allGuests.set(http, (guests = new Set()))
  return guests
}

type AnyService = { readonly behaviour?: unknown; readonly routes?: Readonly<Record<string, Endpoint>> }
const NOBODY = (): never => {
  throw new UsageError('WS_BAD_OPTION', 'a client that was accepted cannot be connected to')
}

/** A gate, and the processes of those who came through. */
class ProcessServer implements Server {
  readonly settings: ServerSettings
  readonly gate: Gate
  readonly processes = new Set<NamedProcess>()
  onDrain: () => unknown = () => {}
  onClose: () => unknown = () => {}
  readonly #routes: Routes<AnyServerBehaviour>
  readonly #pools: Pools
  readonly #lifetimes: Lifetimes
  #drained: Promise<Drained> | null = null
  #closed: Promise<void> | null = null

  constructor({ behaviour, routes, ...options }: ServerOptions & AnyService) {
    this.settings = resolveServerOptions(options)
    const { maxConnections, pools, socket, idleTimeoutMs, maxLifetimeMs } = this.settings
    this.#routes = new Routes(behavioursOf(behaviour, routes))
    this.#pools = new Pools(maxConnections, pools)
    this.#lifetimes = new Lifetimes(socket.clock, idleTimeoutMs, maxLifetimeMs)
    this.gate = new Gate({
      settings: this.settings,
      routes: this.#routes,
      pools: this.#pools,
      closed: () => this.#drained !== null,
      admitted: one => this.#start(one),
    })
  }

  get handshakes(): number {
    return this.gate.handshakes
  }

  statistics(pool?: string): PoolStatistics {
    return this.#pools.pool(pool).statistics
  }

  setMaxConnections(max: number, pool?: string): void {
    this.#pools.pool(pool).max = max
  }

  /** Whether a route takes this path, and somebody is still let in. */
  serves(target: string): boolean {
    return this.#drained === null && this.#routes.find(pathOf(target)) !== null
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

  #start({ behaviour, socket, connection, leave, rest }: Admitted): void {
    const identity = { name: null, release: () => {} }
    const core = new ProcessCore(behaviour, NOBODY, this.settings.process, identity)
    const process = core.handle as NamedProcess
    this.processes.add(process)
    const forget = this.#lifetimes.watch(socket, () => core.expire())
    void core.ended.then(reason => {
      forget()
      leave()
      this.processes.delete(process)
      // That a client has gone is nothing to report; that a callback has failed is.
      if (reason.type === 'crash')
        warn('WS_PROCESS_CRASHED', 'a callback of a server process failed', reason.error)
    })
    const { handleUpgradeTimeoutMs: limitMs } = this.settings
    const stopTimer = after(this.settings.socket.clock, limitMs, () => {
      void core.stop(new Error(`init() took longer than ${limitMs} ms`))
    })
    // What it rejects with is the reason of its end.
    core.adopt(socket, connection).then(stopTimer, stopTimer)
    socket.start(rest)
  }
}

function behavioursOf(behaviour: unknown, routes: AnyService['routes']): Record<string, AnyServerBehaviour> {
  if ((behaviour === undefined) === (routes === undefined)) {
    throw new UsageError('WS_BAD_OPTION', 'a server has either a behaviour or routes')
  }
  if (routes === undefined) return { '/*path': requireBehaviour(behaviour, ['handleUpgrade']) }
  return Object.fromEntries(
    Object.entries(routes).map(([pattern, one]) => {
      if (typeof one !== 'object' || one === null || !('behaviour' in one)) {
        throw new UsageError('WS_BAD_OPTION', `the route ${pattern} must be endpoint(behaviour)`)
      }
      return [pattern, one.behaviour]
    }),
  )
}

/** Misspelt options are refused by whoever knows them all. */
function requireKnown(options: object, known: Readonly<Record<string, true>>): void {
  const all: Readonly<Record<string, true>> = { ...known, behaviour: true, routes: true }
  for (const name of Object.keys(options)) {
    if (!Object.hasOwn(all, name)) throw new UsageError('WS_BAD_OPTION', `there is no option ${name}`)
  }
}
