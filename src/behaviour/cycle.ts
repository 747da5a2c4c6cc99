// Strategy: the connections of one process, one after the other: attempt, open, lost, and what follows. It decides when which
// callback is due and what its answer means for the next connection; what callbacks do is not its business. Everything that
// happens to a connection goes through the inbox, so it comes in order and never during another callback.
//
//   connect ─▶ opened ─▶ handleConnect ─▶ ready … lost ─┐
//      ▲          failed ───────────────────────────────┴▶ handleDisconnect, or the policy
//      └───── at once, or after a delay ◀── reconnect ◀────┴▶ stay (idle), or end
import { InvalidHeadError, type ResponseHead } from '../handshake/index.js'
import { UsageError } from '../protocol/index.js'
import type { ConnectEvent } from '../transport/connect-event.js'
import { ConnectionError } from '../transport/connection-error.js'
import type { SocketOutcome } from '../transport/socket-outcome.js'
import type { Socket } from '../transport/socket.js'
import type { ConnectionInfo, ProcessStatus } from './behaviour.js'
import { Connector } from './connector.js'
import { type DisconnectStatus, failedStatus, lostStatus } from './disconnect-status.js'
import type { Cause } from './ending.js'
import type { CloseRequest } from './frame.js'
import type { EventStream } from './events.js'
import type { CheckedFrame } from './frame.js'
import { Keepalive, type KeepaliveOptions, type KeepaliveSettings, resolveKeepalive } from './keepalive.js'
import type { ReconnectPolicy } from './reconnect-policy.js'
import type { DisconnectResult, InitMode } from './result.js'
import type { InboxItem, Serial } from './serial.js'
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
  /** Calls `handleConnect`, then `ready()`. */
  handleConnect(info: ConnectionInfo): Promise<void> | null
  /** Calls `handleDisconnect`, then `decide()`. */
  handleDisconnect(status: DisconnectStatus): Promise<void> | null
  /** What was accepted and is not to be sent by anybody; taken. */
  takeUnsent(): readonly CheckedFrame[]
  end(cause: Cause): void
  /** There will be no connection, and that is well. */
  settled(): void
}

/** The connections of one process. */
export class Cycle {
  /** The connection there is now. */
  session: Session | null = null
  readonly #host: CycleHost
  readonly #connector: Connector
  /** What the next connection begins with. */
  #keepalive: KeepaliveSettings
  #policy: ReconnectPolicy | null
  /** For reconnects that the policy has no say in. */
  #backoff: ReconnectPolicy
  #handlesInitialFailure: boolean
  #idle = true
  #opened = 0
  #failures = 0
  #last: DisconnectStatus | null = null

  constructor(target: StartTarget, host: CycleHost) {
    const { settings } = host
    this.#host = host
    this.#policy = settings.policy
    this.#backoff = settings.policy ?? settings.defaultPolicy()
    this.#handlesInitialFailure = settings.handleInitialFailure ?? settings.async
    this.#keepalive = settings.keepalive
    this.#connector = new Connector(target, settings, {
      attempt: url => host.events.publish({ type: 'attempt', attempt: this.#connector.tries, url }),
      event: (event: ConnectEvent) => host.events.publish(event),
      opened: socket => this.#open(socket),
      failed: error => host.serial.receive({ kind: 'connection', run: () => this.#fail(error) }),
    })
  }

  /** Whether, and how, there is a connection. */
  get phase(): ProcessStatus<unknown>['phase'] {
    if (this.session !== null) return this.session.open ? 'open' : 'closing'
    if (this.#connector.connecting) return 'connecting'
    return this.#idle ? 'idle' : 'waiting'
  }

  /** Where it is, or was last, connected to; `''` for nowhere. */
  get url(): string {
    return this.session?.socket.url ?? this.#connector.url
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
    if (mode === 'reconnect') this.#policy ??= this.#backoff
    else if (mode === 'once') this.#policy = null
    // Whoever began idle has its process already: nobody else could be told that the first attempt failed.
    if (mode === 'reconnect' || mode === 'idle') this.#handlesInitialFailure = handleInitialFailure ?? true
    if (mode === 'idle') this.#host.settled()
    else this.connect()
  }

  /** Connects now, unless there is a connection or an attempt. */
  connect(): void {
    if (this.session !== null || this.#connector.connecting) return
    this.#idle = false
    this.#connector.connect(this.#last)
  }

  /** Other pings from now on. @throws UsageError `WS_BAD_OPTION`. */
  setKeepalive(options: KeepaliveOptions | number | false): void {
    this.#keepalive = resolveKeepalive(options)
    this.session?.keepalive?.change(this.#keepalive)
  }

  /** No more connections. @returns the socket that is still there. */
  quit(): Socket | null {
    this.#connector.cancel()
    this.session?.keepalive?.stop()
    return this.session?.socket ?? null
  }

  /** `handleConnect` is done. */
  ready(session: Session): void {
    const { socket } = session
    const { clock } = this.#host.settings
    session.keepalive ??= new Keepalive(
      {
        clock,
        received: () => socket.bytesReceived,
        // While closing, `closeTimeoutMs` is the limit, and nothing else.
        paused: () => session.paused || !session.open,
        ping: payload => {
          if (session.open) this.#host.events.publish({ type: 'keepalive-ping' })
          return socket.ping(payload)
        },
        missed: missed => this.#host.events.publish({ type: 'keepalive-miss', missed }),
        dead: ({ timeoutMs }) => {
          const { host } = new URL(socket.url.replace(/^(wss?)\+unix:.*/, '$1://localhost'))
          session.error = new ConnectionError('WS_KEEPALIVE_TIMEOUT', host, { limitMs: timeoutMs })
          session.dead = true
          socket.terminate()
        },
      },
      this.#keepalive,
    )
  }

  /** What `handleDisconnect` answered, or nothing. */
  decide(status: DisconnectStatus, result: DisconnectResult<unknown> | undefined): void {
    const { stop, stay, reconnect } = result ?? {}
    if (stop !== undefined) this.#host.end(stop === true ? causeOf(status) : stopCause(stop))
    // Somebody did it already, with `connect()`.
    else if (this.#connector.connecting || this.session !== null) return
    else if (stay === true) {
      this.#idle = true
      this.#host.settled()
    } else if (reconnect !== undefined) {
      const { delayMs, target } = reconnect === true ? {} : reconnect
      if (target !== undefined) this.#connector.target = target
      // At once after a connection that was there; after a failure not in a busy loop, unless it is asked for.
      const wasOpen = status.phase === 'open' || status.phase === 'closing'
      this.#wait(delayMs ?? (wasOpen ? 0 : this.#backoff.delay(status)), status)
    } else {
      const delayMs = this.#hopeless(status) ? null : this.#policy?.decide(status, this.#connector.fresh)
      if (delayMs === null || delayMs === undefined) this.#host.end(causeOf(status))
      else this.#wait(delayMs, status)
    }
  }

  /** What this side asks for wrongly stays wrong. */
  #hopeless({ error, phase }: DisconnectStatus): boolean {
    if (phase === 'open' || phase === 'closing') return false
    return error instanceof UsageError || error instanceof InvalidHeadError
  }

  #wait(delayMs: number, status: DisconnectStatus): void {
    this.#host.events.publish({ type: 'reconnect', delayMs, attempt: this.#connector.tries + 1 })
    if (delayMs === 0) this.#connector.connect(status)
    else this.#connector.connectAfter(delayMs, status)
  }

  #open(socket: Socket): void {
    const { settings, serial } = this.#host
    const session = new Session(socket, settings.clock.now(), settings.lowWaterMark, () =>
      serial.receive({ kind: 'drain' }),
    )
    this.session = session
    serial.restart()
    serial.receive({ kind: 'connection', run: () => this.#connected(session) })
    this.#host.listen(socket)
    const finish = (outcome: SocketOutcome): void => {
      const item: InboxItem = { kind: 'connection', run: () => this.#lose(session, outcome) }
      serial.finish(item)
    }
    void socket.closed.then(finish)
  }

  #connected(session: Session): Promise<void> | null {
    const { socket } = session
    const { url, subprotocol, extensions } = socket
    const head = socket.head as ResponseHead
    const info: ConnectionInfo = {
      url,
      head,
      headers: joinHeaders(head),
      subprotocol,
      extensions,
      attempt: this.#connector.tries,
      reconnects: this.#opened,
    }
    this.#opened++
    this.#failures = 0
    this.#connector.reset()
    const { attempt, reconnects } = info
    this.#host.events.publish({ type: 'open', url, subprotocol, attempt, reconnects })
    return this.#host.handleConnect(info)
  }

  #lose(session: Session, outcome: SocketOutcome): Promise<void> | null {
    session.keepalive?.stop()
    this.session = null
    this.#backoff.lived(this.#host.settings.clock.now() - session.openedAt)
    this.#failures = 1
    const unsent = [...session.unsent(), ...this.#host.takeUnsent()]
    const context = { attempt: 1, target: session.socket.url, unsent }
    return this.#disconnected(lostStatus(outcome, session.error, session.dead, context))
  }

  #fail(error: Error): Promise<void> | null {
    this.#failures++
    const context = { attempt: this.#failures, target: this.#connector.url, unsent: this.#host.takeUnsent() }
    const status = failedStatus(error, context)
    if (this.#opened === 0 && this.#last === null && !this.#handlesInitialFailure) {
      this.#host.end(causeOf(status))
      return null
    }
    return this.#disconnected(status)
  }

  #disconnected(status: DisconnectStatus): Promise<void> | null {
    this.#last = status
    this.#host.events.publish({ type: 'disconnect', status })
    return this.#host.handleDisconnect(status)
  }
}

/** The end of a process that does not connect again. */
function causeOf({ reason, error }: DisconnectStatus): Cause {
  return { ...reason, error, value: undefined }
}

/** The end of a process that was to close when it had no connection: as if it had closed one, and did not want another. */
export function closeCause({ code, reason: text = '' }: CloseRequest): Cause {
  const normal = code === undefined || code === 1000
  return { type: 'local', normal, code: code ?? null, text, error: null, value: undefined }
}

/** The end of a process that was told to stop. */
export function stopCause(value: unknown): Cause {
  const error = value instanceof Error ? value : null
  return { type: 'stop', normal: error === null, code: null, text: '', error, value }
}

function joinHeaders({ headers }: ResponseHead): Readonly<Record<string, string>> {
  const joined = new Map<string, string>()
  for (const [name, value] of headers) {
    const before = joined.get(name.toLowerCase())
    joined.set(name.toLowerCase(), before === undefined ? value : `${before}, ${value}`)
  }
  return Object.fromEntries(joined)
}
