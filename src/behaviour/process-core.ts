// Strategy: one running behaviour: what it is called, its behaviour and state, what others hold of it, and its end. All else is
// in its works (process-works.ts), which an accepted process lets go of while nothing happens in it; then this object, its two
// handles and a record of the connection are all there is, and whoever needs the works makes new ones. Users see the handles alone.
//
//   handle, self ─▶ core ─▶ works ──rest()──▶ rest ──wake()──▶ works
import { milliseconds } from '../transport/dial-options.js'
import type { Socket } from '../transport/socket.js'
import type { ProcessStatus } from './behaviour.js'
import { applyResult } from './answers.js'
import type { Batch, Recipient } from './broadcasts.js'
import { giveBirth } from './birth.js'
import { type AnyBehaviour, Callbacks, type CallbacksHost } from './callbacks.js'
import { CHANNELS } from './channels.js'
import { Debug } from './debug.js'
import { abortCause, stopCause, TIMEOUT_CAUSE } from './end-cause.js'
import type { EndReason } from './end-reason.js'
import { type Cause, Ending } from './ending.js'
import { EventStream } from './events.js'
import { checkFrame } from './frame.js'
import { Links } from './links.js'
import type { Mail } from './mail.js'
import type { Outbox } from './outbox.js'
import type { NoProcessError } from './process-error.js'
import type { ProcessIdentity } from './process-facts.js'
import { ProcessEnd } from './process-end.js'
import { ProcessHandle, SelfHandle } from './process-handles.js'
import type { Process, StopOptions } from './process.js'
import { ProcessWorks, STOP_TIMEOUT_MS, type WorksHost } from './process-works.js'
import type { Rest } from './rest.js'
import type { InitMode } from './result.js'
import type { ProcessSettings } from './start-options.js'
import type { StartTarget } from './start-target.js'

let count = 0

/** One running behaviour. */
export class ProcessCore implements CallbacksHost, Recipient, WorksHost {
  readonly handle: Process
  readonly settings: ProcessSettings
  readonly callbacks: Callbacks
  readonly target: StartTarget
  readonly identity: ProcessIdentity
  readonly #number = ++count
  readonly #startedAt: number
  #works: ProcessWorks | null = null
  #rest: Rest | null = null
  #ending: Ending | null = null
  #events: EventStream | null = null
  #debug: Debug | null = null
  #links: Links | null = null
  #onAbort: (() => void) | null = null
  #watched = false
  #born = false
  droppedFrames = 0

  constructor(
    behaviour: AnyBehaviour,
    target: StartTarget,
    settings: ProcessSettings,
    identity: ProcessIdentity,
  ) {
    this.settings = settings
    this.#startedAt = settings.clock.now()
    this.target = target
    this.identity = identity
    this.handle = new ProcessHandle(this)
    this.callbacks = new Callbacks(behaviour, new SelfHandle(this), this)
  }

  get name(): string | null {
    return this.identity.name
  }

  /** The process as text. */
  get id(): string {
    return this.name ?? `process-${this.#number}`
  }

  get events(): EventStream {
    const { handle, id, settings } = this
    return (this.#events ??= new EventStream(handle, id, settings.clock, this.#startedAt))
  }

  get debug(): Debug {
    return (this.#debug ??= new Debug(this.events))
  }

  get links(): Links {
    return (this.#links ??= new Links(new ProcessEnd(this), this.#ending?.reason ?? null))
  }

  /** Whoever is linked hears of the end. */
  endLinks(reason: EndReason): void {
    this.#links?.end(reason)
  }

  get ending(): Ending {
    return (this.#ending ??= new Ending(new ProcessEnd(this)))
  }

  get mail(): Mail {
    return this.works.mail
  }

  get outbox(): Outbox {
    return this.works.outbox
  }

  /** What it works with; made anew after a rest. */
  get works(): ProcessWorks {
    if (this.#works === null) this.wake()
    return this.#works!
  }

  /** Whether, and how, it is connected. */
  get phase(): ProcessStatus<unknown>['phase'] {
    if (this.#rest !== null) return 'open'
    if (this.#ending?.reason != null) return 'ended'
    return this.#ending?.begun === true ? 'closing' : this.works.cycle.phase
  }

  /** How it ends. Whoever asks will hear of it. */
  get ended(): Promise<EndReason> {
    this.#watched = true
    return this.ending.ended
  }

  get bufferedAmount(): number {
    const socket = this.#rest?.socket.stream
    return socket?.writableLength ?? this.#works?.cycle.session?.socket.bufferedAmount ?? 0
  }

  get rttMs(): number | null {
    return this.#rest === null ? this.works.reception.rttMs : this.#rest.rttMs
  }

  /** A number that grows with all that happens in it, but for control frames. */
  get activity(): number {
    return this.callbacks.calls + (this.#works?.outbox.accepted ?? 0)
  }

  /** True while it does not read, or is not far enough to: what its peer sends cannot be seen. */
  get paused(): boolean {
    return this.#rest === null && (this.#works?.cycle.session?.paused ?? true)
  }

  /** Bytes that have come since the handshake. */
  get bytesReceived(): number {
    return this.#rest?.socket.bytesReceived ?? this.#works?.cycle.session?.socket.bytesReceived ?? 0
  }

  /**
   * Runs `init`, calls `begin`, since there is a process now, and connects. Settles after the first `handleConnect`; at once
   * for an idle process, or with `async`.
   */
  async start(args: unknown, begin: () => void): Promise<void> {
    const mode = await this.#bear(args)
    this.#begin(begin)
    const { cycle, serial, waiters } = this.works
    const started = this.settings.async ? null : waiters.started()
    cycle.begin(mode)
    serial.begin()
    await started
  }

  /** Runs `init` and goes on with a connection that was accepted, now or later; one that ends before is closed. */
  adopt(socket: Socket, args: unknown): Promise<void> | void {
    this.works.cycle.expect(socket)
    const mode = this.#bear(args)
    return mode instanceof Promise ? mode.then(() => this.#adopted()) : this.#adopted()
  }

  /**
   * Lets go of the works of an accepted process in which nothing is under way, nor will be within so many milliseconds.
   * @returns when it wants to ping, `Infinity` for never; null when it did not rest.
   */
  rest(now: number, ms: number): number | null {
    const works = this.#works
    const ending = this.#ending
    if (works === null || !this.#born || this.callbacks.inside || this.settings.accepted === null) return null
    if (ending !== null && !ending.untouched) return null
    const rest = works.rest(this, now, ms)
    if (rest === null) return null
    this.#rest = rest
    this.#works = null
    // Nobody holds them.
    if (!this.#watched) this.#ending = null
    if (this.#debug === null && this.#events?.quiet === true) this.#events = null
    return rest.pingAt
  }

  /** Makes works, after a rest or in the beginning. */
  wake(): void {
    if (this.#works !== null) return
    const works = new ProcessWorks(this)
    this.#works = works
    const rest = this.#rest
    this.#rest = null
    if (rest === null) return
    works.resume(rest)
    for (const late of rest.socket.late ?? []) late.handOver(works.outbox.takeOver(late.messages))
    this.identity.woken?.(this, rest)
  }

  /** At rest it need not wake for that. */
  writeAll(batch: Batch): boolean {
    const rest = this.#rest
    if (rest !== null && this.#events?.quiet !== false && !CHANNELS['frame-out'].hasSubscribers) {
      if (rest.socket.write(batch)) return true
    }
    const { session } = this.works.cycle
    // It may be about to close, but has not yet.
    if (session === null || !session.open) return false
    if (!session.ready) return session.early.keep(batch.messages)
    return session.takesMessages && this.works.outbox.writeAll(batch.messages)
  }

  /** Ends it with the reason `timeout`, or another one that is not its own; its text is that of the Close frame. */
  expire(cause: Cause = TIMEOUT_CAUSE): void {
    this.ending.stop(cause, { code: cause.normal ? 1000 : 1011, reason: cause.text }, STOP_TIMEOUT_MS)
  }

  /** @throws InvalidFrameError, FrameEncodeError for a Close frame that cannot be sent. */
  stop(value: unknown, options: StopOptions = {}): Promise<EndReason> {
    const cause = stopCause(value)
    const { code = cause.normal ? 1000 : 1011, reason, timeoutMs = STOP_TIMEOUT_MS } = options
    checkFrame({ type: 'close', code, reason })
    milliseconds('timeoutMs', timeoutMs, 0, 0)
    this.ending.stop(cause, { code, reason }, timeoutMs)
    return this.ending.ended
  }

  /** It ends: the signal is nothing to it any more. */
  ignoreSignal(): void {
    if (this.#onAbort !== null) this.settings.signal?.removeEventListener('abort', this.#onAbort)
  }

  closeDebug(): Promise<void> | undefined {
    return this.#debug?.close()
  }

  /** True since `init` has given a state: there will be a `terminate`. */
  get born(): boolean {
    return this.#born
  }

  /** True when somebody will hear of its end. */
  get watched(): boolean {
    return this.#watched || this.identity.ended !== undefined
  }

  /** Somebody will hear of its end. */
  watch(): void {
    this.#watched = true
  }

  apply(callback: string, result: unknown): void {
    applyResult(this.works, callback, result, null)
  }

  crashed(callback: string, error: Error): void {
    this.events.publish({ type: 'callback-error', callback, error })
    this.ending.begin({ ...stopCause(error), type: 'crash', value: undefined }, { code: 1011 })
  }

  /** True once nobody wants results any more. */
  done(): boolean {
    return this.#ending?.begun === true
  }

  refusal(): NoProcessError | null {
    return this.#ending?.error ?? null
  }

  /** Runs `init`. Whoever waits for it calls `#begin` at once: it could be stopped in between. */
  #bear(args: unknown): InitMode | null | Promise<InitMode | null> {
    const { callbacks, ending, identity } = this
    const { signal } = this.settings
    if (signal !== undefined) {
      const abort = (): void =>
        ending.stop(abortCause(signal), { code: 1001, reason: 'aborted' }, STOP_TIMEOUT_MS)
      this.#onAbort = abort
    }
    return giveBirth({ callbacks, ending, signal, release: identity.release }, args, this.#onAbort)
  }

  #adopted(): void {
    this.#begin()
    this.works.cycle.adopt()
    this.works.serial.begin()
  }

  #begin(known?: () => void): void {
    this.#born = true
    // Not before: a process that does not come to be opens no file.
    if (this.settings.debug.length > 0) this.debug.switchOn(this.settings.debug)
    known?.()
    this.events.publish({ type: 'start' })
  }
}
