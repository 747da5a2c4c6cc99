// Strategy: what a process has while something happens in it. The parts know one thing each: Serial the order of things, Cycle
// the connections, Outbox the way out, Mail what comes from elsewhere. Here is what joins them: it is the host of each, so
// that no part needs a function of its own for what it asks of another. An accepted connection on which nothing is under way
// lets go of all this (`rest`): the core keeps what is not as it was in the beginning, and makes new works when something
// happens.
import { NotConnectedError } from '../transport/not-connected-error.js'
import type { Sleeper } from '../transport/resting-socket.js'
import { quiet } from '../transport/send-queue.js'
import type { Socket } from '../transport/socket.js'
import type { Clock } from '../transport/clock.js'
import { applyResult, callHandleConnect, callHandleDisconnect, type Parts } from './answers.js'
import type { ConnectionInfo, ProcessStatus } from './behaviour.js'
import type { Callbacks } from './callbacks.js'
import { Cycle, type CycleHost } from './cycle.js'
import type { DisconnectStatus } from './disconnect-status.js'
import { closeCause } from './end-cause.js'
import { type Cause, type Ending, warn } from './ending.js'
import type { EventStream } from './events.js'
import type { From } from './from.js'
import type { CheckedFrame, CloseRequest } from './frame.js'
import { Mail, type MailHost } from './mail.js'
import { Outbox, type OutboxHost } from './outbox.js'
import type { NoProcessError } from './process-error.js'
import { type ProcessFacts, factsOf } from './process-facts.js'
import { Reception, type ReceptionHost } from './reception.js'
import { type Rest, restOf } from './rest.js'
import type { Serial } from './serial.js'
import type { Session } from './session.js'
import type { ProcessSettings } from './start-options.js'
import type { StartTarget } from './start-target.js'
import { Waiters } from './waiters.js'

/** The process that works belong to. */
export interface WorksHost {
  readonly name: string | null
  readonly id: string
  readonly settings: ProcessSettings
  readonly callbacks: Callbacks
  readonly events: EventStream
  readonly ending: Ending
  readonly phase: ProcessStatus<unknown>['phase']
  readonly target: StartTarget
  /** True since `init` has given a state. */
  readonly born: boolean
  /** How many frames were dropped. */
  droppedFrames: number
  /** The error for whoever wants something of a process that is gone; null while it is not. */
  refusal(): NoProcessError | null
}

/** The parts of a process, put together. */
export class ProcessWorks implements Parts, ReceptionHost, CycleHost, OutboxHost, MailHost {
  readonly settings: ProcessSettings
  readonly callbacks: Callbacks
  readonly events: EventStream
  readonly reception: Reception
  readonly serial: Serial
  readonly cycle: Cycle
  readonly outbox: Outbox
  readonly mail: Mail
  readonly waiters: Waiters = new Waiters()
  readonly #host: WorksHost

  constructor(host: WorksHost) {
    this.#host = host
    this.settings = host.settings
    this.callbacks = host.callbacks
    this.events = host.events
    this.reception = new Reception(this)
    this.serial = this.reception.serial
    this.cycle = new Cycle(host.target, this)
    this.outbox = new Outbox(this)
    this.mail = new Mail(this)
  }

  get ending(): Ending {
    return this.#host.ending
  }

  get clock(): Clock {
    return this.settings.clock
  }

  /** What is known about the process, but for what the behaviour knows. */
  get facts(): ProcessFacts {
    return factsOf(this.#host, this)
  }

  /** Connects now, when idle or waiting. */
  connect(): Promise<void> {
    const { phase, ending, born } = this.#host
    if (phase === 'open') return Promise.resolve()
    if (ending.begun) return quiet(Promise.reject(ending.error!))
    if (phase === 'closing') return quiet(Promise.reject(new NotConnectedError(phase)))
    const connected = this.waiters.connected()
    if (born) this.cycle.connect()
    return connected
  }

  session(): Session | null {
    return this.cycle.session
  }

  phase(): ProcessStatus<unknown>['phase'] {
    return this.#host.phase
  }

  refusal(): NoProcessError | null {
    return this.#host.refusal()
  }

  takesCasts(): boolean {
    const { phase } = this.#host
    return phase === 'open' || phase === 'idle'
  }

  deliverCast(message: unknown): Promise<void> | null {
    return this.mail.deliverCast(message)
  }

  listen(socket: Socket): void {
    this.outbox.opened()
    this.reception.listen(socket)
  }

  handleConnect(info: () => ConnectionInfo): Promise<void> | null {
    // Again: what callbacks replied since then found no connection, and is older than what this one leaves.
    this.outbox.opened()
    return callHandleConnect(this, info)
  }

  handleDisconnect(status: DisconnectStatus): Promise<void> | null {
    return callHandleDisconnect(this, status)
  }

  handBack(frames: readonly CheckedFrame[]): readonly CheckedFrame[] {
    return this.outbox.handBack(frames, this.callbacks.behaviour.handleDisconnect !== undefined)
  }

  unconnected(lost: () => Error): void {
    this.waiters.fail(lost)
  }

  settled(): void {
    this.waiters.resolve()
  }

  end(cause: Cause): void {
    this.ending.begin(cause, null)
  }

  overflow(): void {
    warn('WS_UNSENT_DROPPED', `${this.#host.id}: too many unsent frames, and nobody is told of them`, null)
  }

  closed(): void {
    if (!this.settings.deliverWhileClosing) this.serial.dropFrames()
  }

  dropped(frame: CheckedFrame): void {
    this.#host.droppedFrames++
    if (this.events.wants('drop')) this.events.publish({ type: 'drop', frame })
  }

  nothingToClose(frame: CloseRequest): void {
    this.ending.stop(closeCause(frame), { code: 1000 }, STOP_TIMEOUT_MS)
  }

  answered(result: unknown, from: From<unknown>): void {
    applyResult(this, 'handleCall', result, from)
  }

  /**
   * What is left of it; null when something is under way, or will be within so many milliseconds. The works must not be used any more
   * then.
   */
  rest(sleeper: Sleeper, now: number, ms: number): Rest | null {
    return restOf(this, sleeper, now, ms)
  }

  /** Goes on after a rest. */
  resume(rest: Rest): void {
    this.reception.resume(rest)
    this.cycle.resume(rest)
    this.serial.begin()
  }
}

// OTP gives a worker 5 s to shut down; here the closing handshake alone may take as long.
export const STOP_TIMEOUT_MS = 10_000
