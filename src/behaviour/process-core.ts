// Strategy: one process, put together. The parts know one thing each: Serial the order of things, Callbacks the behaviour,
// Cycle the connections, Outbox the way out, Mail what comes from elsewhere, Ending the end. Here is what joins them: what a
// result does, and who is told. Users see it through the handles of process-handles.ts.
import { AbortError } from '../transport/abort-error.js'
import { milliseconds } from '../transport/dial-options.js'
import { NotConnectedError } from '../transport/not-connected-error.js'
import { quiet } from '../transport/send-queue.js'
import type { Socket } from '../transport/socket.js'
import type { ProcessStatus } from './behaviour.js'
import { applyResult, callHandleConnect, callHandleDisconnect, type Parts } from './answers.js'
import { type AnyBehaviour, Callbacks } from './callbacks.js'
import { Cycle } from './cycle.js'
import { Debug } from './debug.js'
import { closeCause, stopCause, TIMEOUT_CAUSE } from './end-cause.js'
import type { EndReason } from './end-reason.js'
import { type Cause, Ending, warn } from './ending.js'
import { EventStream } from './events.js'
import { giveBirth } from './birth.js'
import { giveNameBack } from './claim-name.js'
import { checkFrame } from './frame.js'
import type { KeepaliveOptions } from './keepalive.js'
import { type ExitMessage, Links } from './links.js'
import { Mail } from './mail.js'
import { Outbox } from './outbox.js'
import { factsOf, type ProcessFacts, type ProcessIdentity } from './process-facts.js'
import { NoProcessError } from './process-error.js'
import { makeProcess, makeSelf } from './process-handles.js'
import type { AnyProcess, Process, Self, StopOptions } from './process.js'
import { Reception } from './reception.js'
import type { InitMode } from './result.js'
import type { ProcessSettings } from './start-options.js'
import type { StartTarget } from './start-target.js'
import { Waiters } from './waiters.js'

// OTP gives a worker 5 s to shut down; here the closing handshake alone may take as long.
const STOP_TIMEOUT_MS = 10_000

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
  readonly #callbacks: Callbacks
  readonly #reception: Reception
  readonly #cycle: Cycle
  readonly #ending: Ending
  readonly #release: () => unknown
  readonly #waiters = new Waiters()
  readonly #parts: Parts
  /** True when somebody will hear of its end. */
  #watched = false
  /** True since `init` has given a state: there will be a `terminate`. */
  #born = false

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
    const id = identity.name ?? `process-${++count}`
    const events = new EventStream(this.handle, id, settings.clock)
    this.events = events
    this.debug = new Debug(events)
    this.links = new Links({
      handle: this.handle,
      linkEnded: (other, reason) => this.#linkEnded(other, reason),
    })
    const callbacks = new Callbacks(behaviour, this.self, {
      apply: (callback, result) => applyResult(this.#parts, callback, result, null),
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
    const cycle = new Cycle(target, {
      settings,
      serial,
      events,
      listen: socket => {
        this.outbox.opened()
        this.#reception.listen(socket)
      },
      handleConnect: info => callHandleConnect(this.#parts, info),
      handleDisconnect: status => callHandleDisconnect(this.#parts, status),
      handBack: frames => this.outbox.handBack(frames, callbacks.behaviour.handleDisconnect !== undefined),
      unconnected: error => this.#waiters.fail(error),
      end: cause => this.#ending.begin(cause, null),
      settled: () => this.#waiters.resolve(),
    })
    this.#cycle = cycle
    this.outbox = new Outbox(
      {
        session: () => cycle.session,
        phase: () => this.phase,
        overflow: () =>
          warn('WS_UNSENT_DROPPED', `${id}: too many unsent frames, and nobody is told of them`, null),
        closed: () => settings.deliverWhileClosing || serial.dropFrames(),
        nothingToClose: frame => this.#ending.stop(closeCause(frame), { code: 1000 }, STOP_TIMEOUT_MS),
      },
      events,
      settings,
    )
    this.mail = new Mail({
      callbacks,
      serial,
      events,
      clock: settings.clock,
      gone: () => this.#ending.error,
      answered: (result, from) => applyResult(this.#parts, 'handleCall', result, from),
    })
    this.#ending = new Ending({
      clock: settings.clock,
      id,
      interrupt: run => {
        if (this.#born) serial.interrupt(run)
        else run()
      },
      inside: () => callbacks.inside,
      quit: () => this.#quit(),
      unsent: () => this.outbox.end(),
      terminate: reason => {
        if (!this.#born) return undefined
        events.publish({ type: 'terminate', reason })
        return callbacks.behaviour.terminate?.(reason, callbacks.state)
      },
      gone: reason => this.#gone(reason),
    })
    this.#parts = {
      callbacks,
      reception: this.#reception,
      cycle,
      outbox: this.outbox,
      waiters: this.#waiters,
      ending: this.#ending,
    }
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
   * Runs `init`, calls `begin`, since there is a process now, and connects.
   * @returns a promise that settles after the first `handleConnect`; at once for an idle process, or with `async`.
   */
  async start(args: unknown, begin: () => void): Promise<void> {
    const mode = await this.#bear(args)
    this.#begin(begin)
    const started = this.settings.async ? null : this.#waiters.started()
    this.#cycle.begin(mode)
    this.#reception.serial.begin()
    await started
  }

  /** Runs `init` and goes on with a connection that was accepted; one that ends before is closed. @throws (rejects) as `start`. */
  async adopt(socket: Socket, args: unknown): Promise<void> {
    this.#cycle.expect(socket)
    await this.#bear(args)
    this.#begin()
    this.#cycle.adopt()
    this.#reception.serial.begin()
  }

  /** Ends it with the reason `timeout`. */
  expire(): void {
    this.#ending.stop(TIMEOUT_CAUSE, { code: 1000, reason: TIMEOUT_CAUSE.text }, STOP_TIMEOUT_MS)
  }

  connect(): Promise<void> {
    const { phase } = this
    if (phase === 'open') return Promise.resolve()
    if (this.#ending.begun) return quiet(Promise.reject(this.#ending.error!))
    if (phase === 'closing') return quiet(Promise.reject(new NotConnectedError(phase)))
    const connected = this.#waiters.connected()
    if (this.#born) this.#cycle.connect()
    return connected
  }

  /** @throws InvalidFrameError, FrameEncodeError for a Close frame that cannot be sent. */
  stop(value: unknown, options: StopOptions = {}): Promise<EndReason> {
    const cause = stopCause(value)
    const { code = cause.normal ? 1000 : 1011, reason, timeoutMs = STOP_TIMEOUT_MS } = options
    checkFrame({ type: 'close', code, reason })
    milliseconds('timeoutMs', timeoutMs, 0, 0)
    this.#ending.stop(cause, { code, reason }, timeoutMs)
    return this.#ending.ended
  }

  updateFlow(credits: number): void {
    this.#reception.addCredits(credits)
  }

  setKeepalive(options: KeepaliveOptions | number | false): void {
    this.#cycle.setKeepalive(options)
  }

  /** What is known about it, but for what the behaviour knows. */
  get facts(): ProcessFacts {
    return factsOf(this, this.#parts)
  }

  /** Somebody will hear of its end. */
  watch(): void {
    this.#watched = true
  }

  /** Runs `init`. Whoever waits for it calls `#begin` at once: it could be stopped in between. */
  #bear(args: unknown): Promise<InitMode | null> {
    const { signal } = this.settings
    const birth = { callbacks: this.#callbacks, ending: this.#ending, signal, release: this.#release }
    return giveBirth(birth, args, this.#onAbort)
  }

  #begin(known?: () => void): void {
    this.#born = true
    // Not before: a process that does not come to be opens no file.
    this.debug.switchOn(this.settings.debug)
    known?.()
    this.events.publish({ type: 'start' })
  }

  readonly #onAbort = (): void => {
    const cause: Cause = { ...stopCause(undefined), value: this.settings.signal?.reason }
    this.#ending.stop(cause, { code: 1001, reason: 'aborted' }, STOP_TIMEOUT_MS)
  }

  #crash(callback: string, error: Error): void {
    this.events.publish({ type: 'callback-error', callback, error })
    this.#ending.begin({ ...stopCause(error), type: 'crash', value: undefined }, { code: 1011 })
  }

  #linkEnded(other: AnyProcess, reason: EndReason): void {
    if (this.settings.trapExit) this.mail.info({ type: 'exit', process: other, reason } satisfies ExitMessage)
    else if (!reason.normal) {
      const error = reason.error ?? new NoProcessError(other.name ?? 'linked to this one', reason)
      const cause: Cause = { ...stopCause(error), type: 'link', value: undefined }
      this.#ending.stop(cause, { code: 1011 }, STOP_TIMEOUT_MS)
    }
  }

  #quit(): Socket | null {
    const socket = this.#cycle.quit()
    this.#reception.serial.end()
    this.settings.signal?.removeEventListener('abort', this.#onAbort)
    this.mail.end(this.#ending.error!)
    return socket
  }

  async #gone(reason: EndReason): Promise<void> {
    this.links.end(reason)
    await giveNameBack(this.#release, this.settings.clock, STOP_TIMEOUT_MS)
    const { signal } = this.settings
    const error = signal?.aborted === true ? new AbortError(signal) : reason.error
    const told = this.#waiters.end(error ?? this.#ending.error!)
    if (this.#born && !reason.normal && !this.#watched && !told && reason.type !== 'stop') {
      warn('WS_PROCESS_ENDED', this.#ending.error!.message, reason.error)
    }
    await this.debug.close()
  }
}
