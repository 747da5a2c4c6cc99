// Strategy: the connections of one process, one after the other: attempt, open, lost, and what follows. It decides when which
// callback is due and what its answer means for the next connection; what callbacks do is not its business. Everything that
// happens to a connection goes through the inbox, so it comes in order and never during another callback.
//
//   connect ─▶ opened ─▶ handleConnect ─▶ ready … lost ─┐
//      ▲          failed ───────────────────────────────┴▶ handleDisconnect, or the policy
//      └───── at once, or after a delay ◀── reconnect ◀────┴▶ stay (idle), or end
import { NotConnectedError } from '../transport/not-connected-error.js'
import type { SocketOutcome } from '../transport/socket-outcome.js'
import type { Socket } from '../transport/socket.js'
import { wakeSocket } from '../transport/wake-socket.js'
import { Backoff } from './backoff.js'
import { BadResponseError } from './bad-response-error.js'
import type { ConnectionInfo, ProcessStatus } from './behaviour.js'
import { connectionInfo } from './connection-info.js'
import { Connector, type ConnectorHost } from './connector.js'
import { type DisconnectStatus, failedStatus, lostStatus, withoutFrames } from './disconnect-status.js'
import { causeOf, stopCause } from './end-cause.js'
import type { Cause } from './ending.js'
import { DropPolicy } from './drop-policy.js'
import type { EventStream } from './events.js'
import type { CheckedFrame } from './frame.js'
import { Keepalive, type KeepaliveOptions, type KeepaliveSettings, resolveKeepalive } from './keepalive.js'
import type { DisconnectResult, InitMode } from './result.js'
import type { Rest } from './rest.js'
import type { Serial } from './serial.js'
import { SessionPings } from './session-pings.js'
import { Session } from './session.js'
import type { ProcessSettings } from './start-options.js'
import type { StartTarget } from './start-target.js'

/** What the connections of a process lead to. */
export interface CycleHost {
  readonly settings: ProcessSettings
  readonly serial: Serial
  readonly events: EventStream
  /** Makes the socket's messages and control frames arrive. */
  listen(socket: Socket): void
  /** Calls `handleConnect`, then `ready()`. @param info - makes what it is told. */
  handleConnect(info: () => ConnectionInfo): Promise<void> | null
  /** Calls `handleDisconnect`, then `decide()`. */
  handleDisconnect(status: DisconnectStatus): Promise<void> | null
  /** Hands back what was accepted and is not to be sent by anybody, these frames first, if a callback will be told. */
  handBack(frames: readonly CheckedFrame[]): readonly CheckedFrame[]
  end(cause: Cause): void
  /** An attempt has failed, or the connection was lost. */
  unconnected(lost: () => Error): void
  /** There will be no connection, and that is well. */
  settled(): void
}

const NOTHING = new Uint8Array(0)

/** The connections of one process. */
export class Cycle implements ConnectorHost {
  /** The connection there is now. */
  session: Session | null = null
  readonly #host: CycleHost
  readonly connector: Connector
  /** What the next connection begins with. */
  #keepalive: KeepaliveSettings
  readonly #backoff: Backoff
  #handlesInitialFailure: boolean
  #idle = true
  #expected: Socket | null = null
  #opened = 0
  #failures = 0
  /** How many attempts have failed whose turn to be told has not come. */
  #untold = 0
  #last: DisconnectStatus | null = null

  constructor(target: StartTarget, host: CycleHost) {
    const { settings } = host
    this.#host = host
    this.#backoff = new Backoff(settings)
    this.#handlesInitialFailure = settings.handleInitialFailure ?? settings.async
    this.#keepalive = settings.keepalive
    this.connector = new Connector(target, settings, this)
  }

  attempt(url: string): void {
    this.#host.events.publish({ type: 'attempt', attempt: this.connector.tries, url })
  }

  get events(): EventStream {
    return this.#host.events
  }

  opened(socket: Socket): void {
    this.#watch(this.#open(socket))
  }

  failed(error: Error): void {
    const { url } = this.connector
    // Whoever waits for this attempt is told now: when its turn comes there may be another.
    this.#host.unconnected(() => error)
    this.#untold++
    this.#host.serial.receive({ kind: 'connection', run: () => this.#fail(error, url) })
  }

  /** How the next pings are sent. */
  get keepalive(): KeepaliveSettings {
    return this.#keepalive
  }

  /** Whether, and how, there is a connection. */
  get phase(): ProcessStatus<unknown>['phase'] {
    // Until `handleConnect` is done it is not everybody's.
    if (this.session !== null && !this.session.open) return 'closing'
    if (this.session !== null) return this.session.ready ? 'open' : 'connecting'
    if (this.connector.connecting) return 'connecting'
    return this.#idle ? 'idle' : 'waiting'
  }

  /** Where it is, or was last, connected to; `''` for nowhere. */
  get url(): string {
    return this.session?.socket.url ?? this.connector.url
  }

  /** How many attempts have failed since there was a connection. */
  get failures(): number {
    return this.#failures
  }

  /** How many connections there were before this one. */
  get reconnects(): number {
    return Math.max(0, this.#opened - 1)
  }

  /** Begins, as `init` wished. */
  begin(mode: InitMode | null): void {
    const { handleInitialFailure } = this.#host.settings
    this.#backoff.begin(mode)
    // Whoever began idle has its process already: nobody else could be told that the first attempt failed.
    if (mode === 'reconnect' || mode === 'idle') this.#handlesInitialFailure = handleInitialFailure ?? true
    if (mode === 'idle') this.#host.settled()
    else this.connect()
  }

  /** There is a connection already, for which there is no process yet: whatever ends before that, ends it. */
  expect(socket: Socket): void {
    this.#expected = socket
  }

  /** Begins with the connection that was expected. */
  adopt(): void {
    const socket = this.#expected!
    this.#expected = null
    this.#idle = false
    // What has come and was not taken is unloaded in a tick; if it is closed, that comes behind.
    const session = this.#open(socket)
    process.nextTick(() => this.#watch(session))
  }

  /** Goes on with a connection that was at rest. */
  resume({ socket: before, keepalive, pingAt }: Rest): void {
    const { accepted, clock } = this.#host.settings
    this.#idle = false
    this.#opened = 1
    this.#keepalive = keepalive
    const socket = wakeSocket(before, accepted!)
    const session = this.#sessionOf(socket, clock.now())
    this.#host.listen(socket)
    this.#watch(session)
    this.ready(session, Math.max(0, pingAt - clock.now()))
    socket.start(NOTHING)
  }

  /** Connects now, unless there is a connection or an attempt. */
  connect(): void {
    if (this.session !== null || this.connector.connecting || this.#host.settings.accepted !== null) return
    this.#idle = false
    this.connector.connect(this.#last)
  }

  /** Other pings from now on. @throws UsageError `WS_BAD_OPTION`. */
  setKeepalive(options: KeepaliveOptions | number | false): void {
    this.#keepalive = resolveKeepalive(options)
    this.session?.keepalive?.change(this.#keepalive)
  }

  /** No more connections. @returns the socket that is still there. */
  quit(): Socket | null {
    this.connector.cancel()
    this.session?.keepalive?.stop()
    return this.session?.socket ?? this.#expected
  }

  /** `handleConnect` is done. @param firstMs - when the first ping is due. */
  ready(session: Session, firstMs?: number): void {
    const { events, settings } = this.#host
    session.ready = true
    const pings = new SessionPings(session, events, settings.clock)
    session.keepalive ??= new Keepalive(pings, this.#keepalive, firstMs)
  }

  /**
   * What `handleDisconnect` answered, or nothing.
   *
   * @returns what does it. Before that, what the policy throws has changed nothing.
   */
  decide(status: DisconnectStatus, result: DisconnectResult<unknown> | undefined): () => void {
    const { stop, stay, reconnect } = result ?? {}
    if (this.#host.settings.accepted !== null && (stay !== undefined || reconnect !== undefined)) {
      throw new BadResponseError(
        'handleDisconnect',
        result,
        'a client that was accepted has to come back by itself',
      )
    }
    if (stop !== undefined) return () => this.#host.end(stop === true ? causeOf(status) : stopCause(stop))
    if (typeof reconnect === 'object' && reconnect.target !== undefined)
      this.connector.target = reconnect.target
    // Somebody did it already, with `connect()`. Where that has failed meanwhile, what is told next decides.
    if (this.connector.connecting || this.session !== null || this.#untold > 0) return () => {}
    if (stay === true) {
      return () => {
        this.#idle = true
        this.#host.settled()
      }
    }
    const delayMs = this.#backoff.delay(status, reconnect, this.connector.fresh)
    return () => (delayMs === null ? this.#host.end(causeOf(status)) : this.#wait(delayMs, status))
  }

  #wait(delayMs: number, status: DisconnectStatus): void {
    const last = withoutFrames(status)
    const attempt = this.connector.tries + 1
    if (delayMs === 0) this.connector.connect(last)
    else this.connector.connectAfter(delayMs, last)
    // Afterwards: whoever hears of it may connect at once.
    this.#host.events.publish({ type: 'reconnect', delayMs, attempt })
  }

  #open(socket: Socket): Session {
    const { settings, serial } = this.#host
    const session = this.#sessionOf(socket, settings.clock.now())
    serial.restart()
    serial.receive({ kind: 'connection', run: () => this.#connected(session) })
    this.#host.listen(socket)
    return session
  }

  #sessionOf(socket: Socket, openedAt: number): Session {
    const { settings, serial } = this.#host
    const drops = settings.dropAbove === Infinity ? null : new DropPolicy(settings.dropAbove)
    const drained = (): void => serial.receive({ kind: 'drain' })
    const session = new Session(socket, openedAt, settings.lowWaterMark, drained, drops)
    this.session = session
    return session
  }

  #watch(session: Session): void {
    void session.socket.closed.then(outcome => {
      this.#host.serial.finish({ kind: 'connection', run: () => this.#lose(session, outcome) })
    })
  }

  #connected(session: Session): Promise<void> | null {
    session.begun = true
    const { socket } = session
    const { tries: attempt } = this.connector
    const reconnects = this.#opened
    this.#opened++
    this.#failures = 0
    this.#last = null
    this.connector.reset()
    const { url, subprotocol } = socket
    this.#host.events.publish({ type: 'open', url, subprotocol, attempt, reconnects })
    return this.#host.handleConnect(() => connectionInfo(socket, attempt, reconnects))
  }

  #lose(session: Session, outcome: SocketOutcome): Promise<void> | null {
    session.keepalive?.stop()
    this.session = null
    this.#backoff.lived(this.#host.settings.clock.now() - session.openedAt)
    this.#failures = 1
    const context = { attempt: 1, target: session.socket.url, unsent: this.#host.handBack(session.unsent()) }
    const status = lostStatus(outcome, session.error, session.dead, context)
    this.#host.unconnected(() => status.error ?? new NotConnectedError('closed'))
    return this.#disconnected(status)
  }

  #fail(error: Error, target: string): Promise<void> | null {
    this.#untold--
    this.#failures++
    const context = { attempt: this.#failures, target }
    if (this.#opened === 0 && this.#last === null && !this.#handlesInitialFailure) {
      this.#host.end(causeOf(failedStatus(error, { ...context, unsent: [] })))
      return null
    }
    return this.#disconnected(failedStatus(error, { ...context, unsent: this.#host.handBack([]) }))
  }

  #disconnected(status: DisconnectStatus): Promise<void> | null {
    this.#last = withoutFrames(status)
    this.#host.events.publish({ type: 'disconnect', status })
    return this.#host.handleDisconnect(status)
  }
}
