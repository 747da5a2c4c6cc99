// Strategy: one process, put together. The parts know one thing each: Serial the order of things, Callbacks the behaviour,
// Cycle the connections, Outbox the way out, Mail what comes from elsewhere, Ending the end. Here is what joins them: what a
// result does, and who is told. Users see it through the handles of process-handles.ts.
import { UsageError } from '../protocol/index.js'
import { AbortError } from '../transport/abort-error.js'
import { NotConnectedError } from '../transport/not-connected-error.js'
import { quiet } from '../transport/send-queue.js'
import type { Socket } from '../transport/socket.js'
import type { ConnectionInfo, ProcessStatus } from './behaviour.js'
import { type AnyBehaviour, Callbacks } from './callbacks.js'
import { Cycle, stopCause } from './cycle.js'
import { Debug } from './debug.js'
import type { DisconnectStatus } from './disconnect-status.js'
import type { EndReason } from './end-reason.js'
import { type Cause, Ending, warn } from './ending.js'
import { EventStream } from './events.js'
import { checkFrame } from './frame.js'
import type { From } from './from.js'
import { type KeepaliveOptions, resolveKeepalive } from './keepalive.js'
import { type ExitMessage, Links } from './links.js'
import { Mail } from './mail.js'
import { Outbox } from './outbox.js'
import { NoProcessError } from './process-error.js'
import { makeProcess, makeSelf } from './process-handles.js'
import type { AnyProcess, Process, Self, StopOptions } from './process.js'
import { closeFrame, requireDisconnectResult, requireResult } from './result-check.js'
import { type CallResult, type DisconnectResult, Initial, type InitMode } from './result.js'
import { Reception } from './reception.js'
import type { Serial } from './serial.js'
import type { ProcessSettings } from './start-options.js'
import type { StartTarget } from './start-target.js'
import { Waiters } from './waiters.js'

// OTP gives a worker 5 s to shut down; here the closing handshake alone may take as long.
const STOP_TIMEOUT_MS = 10_000

/** How a process is known to others. */
export interface ProcessIdentity {
  readonly name: string | null
  /** Gives the name back. */
  readonly release: () => unknown
}

let count = 0

/** One running behaviour. */
export class ProcessCore {
  readonly handle: Process
  readonly self: Self
  readonly name: string | null
  readonly settings: ProcessSettings
  readonly events: EventStream
  readonly debug: Debug
  readonly mail: Mail
  readonly outbox: Outbox
  readonly links: Links
  readonly #id: string
  readonly #callbacks: Callbacks
  readonly #reception: Reception
  readonly #serial: Serial
  readonly #cycle: Cycle
  readonly #ending: Ending
  readonly #release: () => unknown
  readonly #waiters = new Waiters()
  /** Why it ends, from the moment on when it does. */
  #cause: Cause | null = null
  #stopping = false
  /** True when somebody will hear of its end. */
  #watched = false

  constructor(
    behaviour: AnyBehaviour,
    target: StartTarget,
    settings: ProcessSettings,
    identity: ProcessIdentity,
  ) {
    this.name = identity.name
    this.settings = settings
    this.#release = identity.release
    this.handle = makeProcess(this)
    this.self = makeSelf(this)
    this.#id = identity.name ?? `process-${++count}`
    const events = new EventStream(this.handle, this.#id, settings.clock)
    this.events = events
    this.debug = new Debug(events)
    this.links = new Links({
      handle: this.handle,
      linkEnded: (other, reason) => this.#linkEnded(other, reason),
    })
    const callbacks = new Callbacks(behaviour, this.self, {
      apply: (callback, result) => this.#apply(callback, result, null),
      crashed: (callback, error) => this.#crash(callback, error),
      ending: () => this.#ending.begun,
    })
    this.#callbacks = callbacks
    this.#reception = new Reception({
      callbacks,
      events,
      settings,
      session: () => this.#cycle.session,
      takesCasts: () => this.phase === 'open' || this.phase === 'idle',
      deliverCast: message => this.mail.deliverCast(message),
    })
    const { serial } = this.#reception
    this.#serial = serial
    const cycle = new Cycle(target, {
      settings,
      serial,
      events,
      listen: socket => this.#reception.listen(socket),
      handleConnect: info => this.#connected(info),
      handleDisconnect: status => this.#disconnected(status),
      takeUnsent: () => this.outbox.takeUnsent(),
      end: cause => this.#ending.begin(cause, null),
      settled: () => this.#waiters.resolve(),
    })
    this.#cycle = cycle
    const phase = (): ProcessStatus<unknown>['phase'] => this.phase
    this.outbox = new Outbox(
      {
        get session() {
          return cycle.session
        },
        get phase() {
          return phase()
        },
      },
      events,
      settings,
    )
    this.mail = new Mail({
      callbacks,
      serial,
      events,
      clock: settings.clock,
      gone: () => (this.#ending.begun ? this.#noProcess() : null),
      answered: (result, from) => this.#apply('handleCall', result, from),
    })
    this.#ending = new Ending({
      clock: settings.clock,
      quit: cause => this.#quit(cause),
      unsent: () => this.outbox.end(),
      terminate: reason => {
        events.publish({ type: 'terminate', reason })
        return callbacks.behaviour.terminate?.(reason, callbacks.state)
      },
      gone: reason => this.#gone(reason),
    })
  }

  /** Whether, and how, it is connected. */
  get phase(): ProcessStatus<unknown>['phase'] {
    if (this.#ending.reason !== null) return 'ended'
    return this.#ending.begun ? 'closing' : this.#cycle.phase
  }

  /** How it ends. Whoever asks will hear of it. */
  get ended(): Promise<EndReason> {
    this.#watched = true
    return this.#ending.ended
  }

  get bufferedAmount(): number {
    return this.#cycle.session?.socket.bufferedAmount ?? 0
  }

  get rttMs(): number | null {
    return this.#reception.rttMs
  }

  /**
   * Runs `init` and connects.
   *
   * @returns a promise that settles after the first `handleConnect`; at once for an idle process, or with `async`.
   */
  async start(args: unknown): Promise<void> {
    const { signal } = this.settings
    let mode: InitMode | null = null
    try {
      const { behaviour } = this.#callbacks
      const first = behaviour.init === undefined ? args : await behaviour.init(args, this.self)
      if (first instanceof Initial) mode = first.mode
      this.#callbacks.state = first instanceof Initial ? first.state : first
      if (signal?.aborted === true) throw new AbortError(signal)
    } catch (error) {
      await this.#release()
      throw error
    }
    signal?.addEventListener('abort', this.#onAbort)
    // Not before: a process that does not come to be opens no file.
    this.debug.switchOn(this.settings.debug)
    this.events.publish({ type: 'start' })
    const started = this.settings.async ? null : this.#waiters.started()
    this.#cycle.begin(mode)
    await started
  }

  connect(): Promise<void> {
    const { phase } = this
    if (phase === 'open') return Promise.resolve()
    if (this.#ending.begun) return quiet(Promise.reject(this.#noProcess()))
    if (phase === 'closing') return quiet(Promise.reject(new NotConnectedError(phase)))
    const connected = this.#waiters.connected()
    this.#cycle.connect()
    return connected
  }

  /** @throws InvalidFrameError, FrameEncodeError for a Close frame that cannot be sent. */
  stop(value: unknown, options: StopOptions = {}): Promise<EndReason> {
    const cause = stopCause(value)
    const { code = cause.normal ? 1000 : 1011, reason, timeoutMs = STOP_TIMEOUT_MS } = options
    checkFrame({ type: 'close', code, reason })
    this.#stop(cause, { code, reason }, timeoutMs)
    return this.#ending.ended
  }

  updateFlow(credits: number): void {
    if (!(typeof credits === 'number' && credits >= 0)) {
      throw new UsageError('WS_BAD_OPTION', 'credits must be a number of at least 0')
    }
    this.#reception.addCredits(credits)
  }

  setKeepalive(options: KeepaliveOptions | number | false): void {
    const settings = resolveKeepalive(options)
    this.#cycle.keepalive = settings
    this.#cycle.session?.keepalive?.change(settings)
  }

  /** What is known about it, but for what the behaviour knows. */
  get facts(): Omit<ProcessStatus<unknown>, 'version' | 'state'> {
    const { url, failures, reconnects } = this.#cycle
    return {
      name: this.name,
      phase: this.phase,
      url,
      attempt: failures,
      reconnects,
      mailboxLength: this.#serial.mailboxLength,
      queuedFrames: this.outbox.waiting,
      bufferedAmount: this.bufferedAmount,
      rttMs: this.rttMs,
    }
  }

  /** Somebody will hear of its end. */
  watch(): void {
    this.#watched = true
  }

  readonly #onAbort = (): void => {
    const cause: Cause = { ...stopCause(undefined), value: this.settings.signal?.reason }
    this.#stop(cause, { code: 1001, reason: 'aborted' }, STOP_TIMEOUT_MS)
  }

  #connected(info: ConnectionInfo): Promise<void> | null {
    return this.#callbacks.call(
      'handleConnect',
      (one, state, self) => one.handleConnect?.(info, state, self),
      result => {
        if (result !== undefined) this.#apply('handleConnect', result, null)
        const { session } = this.#cycle
        if (session !== null) {
          this.#cycle.ready(session)
          this.outbox.flush(session)
        }
        this.#waiters.resolve()
      },
    )
  }

  #disconnected(status: DisconnectStatus): Promise<void> | null {
    return this.#callbacks.call(
      'handleDisconnect',
      (one, state, self) => one.handleDisconnect?.(status, state, self),
      result => {
        if (result !== undefined) requireDisconnectResult(result)
        const wish = result as DisconnectResult<unknown> | undefined
        if (wish?.state !== undefined) this.#callbacks.state = wish.state
        this.#waiters.fail(status.error ?? new NotConnectedError('closed'))
        this.#cycle.decide(status, wish)
      },
    )
  }

  #apply(callback: string, result: unknown, from: From<unknown> | null): void {
    const frames = requireResult(callback, result)
    const wish = result as CallResult<unknown, unknown>
    if (wish.state !== undefined) this.#callbacks.state = wish.state
    for (const frame of frames) this.outbox.reply(frame)
    if (wish.keepalive !== undefined) this.setKeepalive(wish.keepalive)
    if (wish.flow !== undefined) this.updateFlow(wish.flow)
    if (from !== null && 'answer' in wish) from.settle(wish.answer)
    if (wish.close !== undefined) this.outbox.reply(closeFrame(wish.close))
    if (this.#cycle.session?.open === false && !this.settings.deliverWhileClosing) this.#serial.dropFrames()
    if (wish.stop !== undefined) {
      const cause = stopCause(wish.stop)
      this.#stop(cause, { code: cause.normal ? 1000 : 1011 }, Infinity)
    }
  }

  #crash(callback: string, error: Error): void {
    this.events.publish({ type: 'callback-error', callback, error })
    this.#ending.begin({ ...stopCause(error), type: 'crash' }, { code: 1011 })
  }

  #linkEnded(other: AnyProcess, reason: EndReason): void {
    if (this.settings.trapExit) this.mail.info({ type: 'exit', process: other, reason } satisfies ExitMessage)
    else if (!reason.normal) {
      const error = reason.error ?? new NoProcessError(other.name ?? 'linked to this one', reason)
      this.#stop({ ...stopCause(error), type: 'link' }, { code: 1011 }, STOP_TIMEOUT_MS)
    }
  }

  /** Ends the process as soon as no callback runs any more. */
  #stop(
    cause: Cause,
    close: { readonly code: number; readonly reason?: string | undefined },
    ms: number,
  ): void {
    const begin = (): void => this.#ending.begin(cause, close)
    if (!this.#stopping) this.#serial.interrupt(begin)
    this.#stopping = true
    if (this.#ending.reason === null) this.#ending.limit(ms, begin)
  }

  /** No more callbacks, attempts and timers. */
  #quit(cause: Cause): Socket | null {
    this.#cause = cause
    const socket = this.#cycle.quit()
    this.#serial.end()
    this.settings.signal?.removeEventListener('abort', this.#onAbort)
    this.mail.end(this.#noProcess())
    return socket
  }

  async #gone(reason: EndReason): Promise<void> {
    this.links.end(reason)
    try {
      await this.#release()
    } catch (cause) {
      warn('WS_RELEASE_FAILED', 'the name of a process could not be given back', cause)
    }
    const { signal } = this.settings
    const error = signal?.aborted === true ? new AbortError(signal) : reason.error
    const told = this.#waiters.end(error ?? this.#noProcess())
    if (!reason.normal && !this.#watched && !told && reason.type !== 'stop') {
      warn(
        'WS_PROCESS_ENDED',
        `the process ${this.#id} ended (${reason.type}) and nobody watches it`,
        reason.error,
      )
    }
    await this.debug.close()
  }

  #noProcess(): NoProcessError {
    return new NoProcessError(this.#id, this.#ending.reason ?? { ...this.#cause!, unsent: [] })
  }
}
