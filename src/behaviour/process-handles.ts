// Strategy: two handles over one core, so that what a callback holds of its process cannot wait for itself.
import type { ProcessStatus } from './behaviour.js'
import type { Recipient } from './broadcasts.js'
import type { AnyBehaviour, Callbacks } from './callbacks.js'
import type { Debug } from './debug.js'
import { conflictCause } from './end-cause.js'
import { warn } from './ending.js'
import type { EndReason } from './end-reason.js'
import type { Frame } from './frame.js'
import type { KeepaliveOptions } from './keepalive.js'
import type { Links } from './links.js'
import { requireBehaviour } from './require-behaviour.js'
import type { ProcessCore } from './process-core.js'
import { NoProcessError } from './process-error.js'
import type { NamedProcess } from './process-ref.js'
import type { AnyProcess, CallOptions, Process, Self, StopOptions } from './process.js'
import { requireKeys } from './result-check.js'

/** The process that a handle stands for; null for what is no handle. */
function coreOf(handle: AnyProcess | Self): ProcessCore | null {
  return ProcessHandle.coreOf(handle) ?? SelfHandle.coreOf(handle)
}

function linksOf(handle: AnyProcess): Links {
  const core = coreOf(handle)
  if (core === null) throw new NoProcessError(String(handle.name), null)
  core.watch()
  return core.links
}

/** What others hold of a process. */
export class ProcessHandle implements Process {
  readonly #core: ProcessCore

  constructor(core: ProcessCore) {
    this.#core = core
  }

  /** The core of a handle; null for anything else. */
  static coreOf(handle: object): ProcessCore | null {
    return #core in handle ? handle.#core : null
  }

  get name(): string | null {
    return this.#core.name
  }

  get phase(): ProcessStatus<unknown>['phase'] {
    return this.#core.phase
  }

  get ended(): Promise<EndReason> {
    return this.#core.ended
  }

  get bufferedAmount(): number {
    return this.#core.bufferedAmount
  }

  get droppedFrames(): number {
    return this.#core.droppedFrames
  }

  get rttMs(): number | null {
    return this.#core.rttMs
  }

  get debug(): Debug {
    return this.#core.debug
  }

  send(frame: Frame): Promise<void> {
    return this.#core.outbox.send(frame)
  }

  write(frame: Frame): boolean {
    return this.#core.outbox.write(frame)
  }

  cast(message: unknown): void {
    this.#core.mail.cast(message)
  }

  call(message: unknown, options: CallOptions = {}): Promise<unknown> {
    return this.#core.mail.call(message, options)
  }

  info(message: unknown): void {
    this.#core.mail.info(message)
  }

  sendAfter(message: unknown, delayMs: number): () => void {
    return this.#core.mail.sendAfter(message, delayMs)
  }

  connect(): Promise<void> {
    return this.#core.works.connect()
  }

  async stop(reason?: unknown, options?: StopOptions): Promise<EndReason> {
    return this.#core.stop(reason, options)
  }

  updateFlow(credits: number): void {
    this.#core.works.reception.addCredits(credits)
  }

  setKeepalive(keepalive: KeepaliveOptions | number | false): void {
    this.#core.works.cycle.setKeepalive(keepalive)
  }

  link(other: AnyProcess): void {
    link(this.#core, other)
  }

  unlink(other: AnyProcess): void {
    this.#core.links.remove(linksOf(other))
  }

  getState(options: CallOptions = {}): Promise<unknown> {
    return this.#core.mail.ask('getState', options, ({ state }) => state)
  }

  replaceState(replace: (state: unknown) => unknown, options: CallOptions = {}): Promise<unknown> {
    return this.#core.mail.ask('replaceState', options, callbacks => {
      callbacks.state = replace(callbacks.state)
      return callbacks.state
    })
  }

  status(options: CallOptions = {}): Promise<unknown> {
    return this.#core.mail.ask('status', options, callbacks => status(this.#core, callbacks))
  }

  async changeBehaviour(behaviour: unknown, extra?: unknown, options: CallOptions = {}): Promise<never> {
    const core = this.#core
    await core.mail.ask('changeBehaviour', options, (callbacks, wanted) =>
      change(
        core,
        callbacks,
        requireBehaviour(behaviour, core.settings.accepted !== null ? ['handleUpgrade'] : []),
        extra,
        wanted,
      ),
    )
    // The same process, whose types are others now.
    return this as never
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#core.stop(undefined)
  }
}

/** What the callbacks of a process hold of it. */
export class SelfHandle implements Self {
  readonly #core: ProcessCore

  constructor(core: ProcessCore) {
    this.#core = core
  }

  /** The core of a handle; null for anything else. */
  static coreOf(handle: object): ProcessCore | null {
    return #core in handle ? handle.#core : null
  }

  get name(): string | null {
    return this.#core.name
  }

  get phase(): ProcessStatus<unknown>['phase'] {
    return this.#core.phase
  }

  get bufferedAmount(): number {
    return this.#core.bufferedAmount
  }

  get droppedFrames(): number {
    return this.#core.droppedFrames
  }

  get rttMs(): number | null {
    return this.#core.rttMs
  }

  now(): number {
    return this.#core.settings.clock.now()
  }

  send(frame: Frame): Promise<void> {
    return this.#core.outbox.send(frame, true)
  }

  write(frame: Frame): boolean {
    return this.#core.outbox.write(frame, true)
  }

  cast(message: unknown): void {
    this.#core.mail.cast(message)
  }

  info(message: unknown): void {
    this.#core.mail.info(message)
  }

  sendAfter(message: unknown, delayMs: number): () => void {
    return this.#core.mail.sendAfter(message, delayMs)
  }

  connect(): void {
    void this.#core.works.connect()
  }

  stop(reason?: unknown, options?: StopOptions): void {
    void this.#core.stop(reason, options)
  }

  updateFlow(credits: number): void {
    this.#core.works.reception.addCredits(credits)
  }

  setKeepalive(keepalive: KeepaliveOptions | number | false): void {
    this.#core.works.cycle.setKeepalive(keepalive)
  }

  link(other: AnyProcess): void {
    link(this.#core, other)
  }
}

/**
 * @internal For registries: the process that a handle, or what its callbacks hold, stands for; what happens at its end; and its end
 * when another process has its name.
 *
 * @throws NoProcessError for something that is no process.
 */
export function processOf(ref: AnyProcess | Self): {
  readonly process: NamedProcess
  readonly whenEnded: (listener: (reason: EndReason) => void) => () => void
  readonly loseName: (error: Error) => void
} {
  const core = typeof ref === 'object' && ref !== null ? coreOf(ref) : null
  if (core === null) throw new NoProcessError(String(ref?.name), null)
  return {
    process: core.handle,
    whenEnded: listener => core.links.whenEnded(listener),
    loseName: error => core.expire(conflictCause(error)),
  }
}

/** Who gets what is sent to many. @throws NoProcessError for something that is no process. */
export function recipientOf(handle: AnyProcess): Recipient {
  const core = coreOf(handle)
  if (core === null) throw new NoProcessError(String(handle.name), null)
  return core
}

/** @throws NoProcessError for something that is no process. */
export function requireProcess(handle: AnyProcess): void {
  linksOf(handle)
}

export function link(core: ProcessCore, other: AnyProcess): void {
  core.watch()
  core.links.add(linksOf(other))
}

/** Puts another behaviour in the place of the one that runs. What `codeChange` throws leaves everything as it was. */
async function change(
  core: ProcessCore,
  callbacks: Callbacks,
  behaviour: AnyBehaviour,
  extra: unknown,
  wanted: () => boolean,
): Promise<void> {
  const changed = await behaviour.codeChange?.(callbacks.behaviour.version, callbacks.state, extra)
  if (changed !== undefined) requireKeys('codeChange', changed, { state: true })
  if (!wanted()) return
  if (changed?.state !== undefined) callbacks.state = changed.state
  callbacks.behaviour = behaviour
  core.events.publish({ type: 'behaviour-change', version: behaviour.version })
}

/** What is known about a process, as `formatStatus` shows it. */
function status({ works }: ProcessCore, { behaviour, state }: Callbacks): unknown {
  const all: ProcessStatus<unknown> = { ...works.facts, version: behaviour.version, state }
  const failed = (error: unknown): unknown => {
    warn('WS_FORMAT_STATUS_FAILED', 'formatStatus() of a process threw', error)
    return all
  }
  try {
    const shown = behaviour.formatStatus === undefined ? all : behaviour.formatStatus(all)
    return shown instanceof Promise ? shown.catch(failed) : shown
  } catch (error) {
    return failed(error)
  }
}
