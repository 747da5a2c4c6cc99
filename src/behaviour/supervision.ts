// Strategy: one thing at a time. Everything that starts or stops a child is a piece of work in one queue: the exit of a
// child, a request, another attempt. So no child can be started twice, and an exit that was overtaken (the child was stopped
// or replaced before its turn came) is recognised and forgotten. Only the end does not wait in the queue: `#ending` is
// set at once, every piece of work looks at it after each `await` and leaves, and the last piece stops whatever there is.
import { AbortError } from '../transport/abort-error.js'
import { after } from '../transport/clock.js'
import { milliseconds } from '../transport/dial-options.js'
import { ChildList, type Slot } from './child-list.js'
import { type Child, type ChildOptions, childSpec } from './child-spec.js'
import type { EndReason } from './end-reason.js'
import { checkFrame } from './frame.js'
import { onEnd } from './on-end.js'
import type { StopOptions } from './process.js'
import { AlreadyStartedError, NoProcessError, ProcessError } from './process-error.js'
import { Restarts } from './restarts.js'
import { endReason } from './stop-child.js'
import type { ChildCount, ChildInfo, Supervisor } from './supervisor.js'
import type { SupervisorSettings } from './supervisor-options.js'

const STOPPED = 'supervisor stopped'

/** A running supervisor. */
export class Supervision implements Supervisor {
  readonly name: string | null
  readonly ended: Promise<EndReason>
  readonly #settings: SupervisorSettings
  readonly #list: ChildList
  readonly #restarts: Restarts
  #tail: Promise<unknown> = Promise.resolve()
  #cancelDeadlines: readonly (() => void)[] = []
  /** How it will end; everything else gives way. */
  #ending: EndReason | null = null
  #finished = false
  #finish!: (reason: EndReason) => void

  constructor(settings: SupervisorSettings) {
    this.#settings = settings
    this.name = settings.name
    this.ended = new Promise(resolve => {
      this.#finish = resolve
    })
    const { clock, onEvent } = settings
    this.#list = new ChildList({
      clock,
      onEvent,
      exited: (slot, child) => this.#work(() => this.#restarts.exited(slot, child)),
    })
    this.#restarts = new Restarts(settings, this.#list, {
      ending: () => this.#ending !== null,
      later: work => after(clock, 0, () => this.#work(work)),
      giveUp: error => this.#end(endReason('crash', { normal: false, error })),
    })
    for (const spec of settings.children) this.#list.add(spec)
  }

  /** Starts the children. @throws (rejects) what made that impossible; nothing is left then. */
  async begin(): Promise<void> {
    const { signal } = this.#settings
    const throwIfAborted = (): void => {
      if (signal?.aborted === true) throw new AbortError(signal)
    }
    throwIfAborted()
    const onAbort = (): void => this.#end(endReason('stop', { normal: true, value: signal?.reason }))
    signal?.addEventListener('abort', onAbort)
    void this.ended.then(() => signal?.removeEventListener('abort', onAbort))
    this.#watchLinks()
    await this.#enqueue(() => this.#startAll()).catch((error: Error) =>
      this.#end(endReason('crash', { normal: false, error })),
    )
    if (this.#ending === null) {
      this.#endLinks()
      return
    }
    const reason = await this.ended
    throwIfAborted()
    throw reason.error ?? new NoProcessError(`that ${this.#shown} is linked to`, reason)
  }

  children(): readonly ChildInfo[] {
    return this.#list.slots.map(({ spec: { id, restart, type }, child, state }) => ({
      id,
      child,
      state,
      restart,
      type,
    }))
  }

  count(): ChildCount {
    const { slots } = this.#list
    const supervisors = slots.filter(({ spec }) => spec.type === 'supervisor').length
    const active = slots.filter(({ child }) => child !== null).length
    return { specs: slots.length, active, workers: slots.length - supervisors, supervisors }
  }

  child(id: string): Child | null {
    return this.#list.find(id)?.child ?? null
  }

  async startChild<Started extends Child>(options: ChildOptions<Started>): Promise<Started> {
    const spec = childSpec(options)
    return this.#request(async () => {
      const holder = this.#list.find(spec.id)
      if (holder !== undefined) throw new AlreadyStartedError(spec.id, holder.child)
      const slot = this.#list.add(spec)
      try {
        return (await this.#list.start(slot)) as Started
      } catch (error) {
        this.#list.remove(slot)
        throw error
      }
    })
  }

  stopChild(id: string): Promise<void> {
    return this.#request(() => this.#list.stop(this.#find(id), 'stopped by its supervisor'))
  }

  restartChild(id: string): Promise<Child> {
    return this.#request(() => this.#list.start(this.#findStopped(id)))
  }

  deleteChild(id: string): Promise<void> {
    return this.#request(async () => this.#list.remove(this.#findStopped(id)))
  }

  async stop(reason?: unknown, options: StopOptions = {}): Promise<EndReason> {
    const { code = 1001, reason: text = STOPPED } = options
    // Otherwise every child would refuse it, one after the other.
    checkFrame({ type: 'close', code, reason: text })
    const timeoutMs = milliseconds('timeoutMs', options.timeoutMs, Infinity, 0)
    const error = reason instanceof Error ? reason : null
    this.#end(endReason('stop', { normal: error === null, error, value: reason }), text, code)
    if (timeoutMs === 0) this.#list.kill()
    else if (!this.#finished) {
      const cancel = after(this.#settings.clock, timeoutMs, () => this.#list.kill())
      this.#cancelDeadlines = [...this.#cancelDeadlines, cancel]
    }
    return this.ended
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop()
  }

  /** From here on nothing is started any more. The first reason counts. */
  #end(reason: EndReason, text = STOPPED, code = 1001): void {
    if (this.#ending !== null) return
    this.#ending = reason
    this.#list.giveUpStart()
    this.#restarts.cancel()
    void this.#enqueue(async () => {
      for (const slot of this.#list.slots.toReversed()) await this.#list.stop(slot, text, code)
      for (const cancel of this.#cancelDeadlines) cancel()
      this.#finished = true
      this.#finish(reason)
    })
  }

  async #startAll(): Promise<void> {
    for (const slot of this.#list.slots) {
      if (this.#ending !== null) return
      await this.#list.start(slot)
    }
  }

  #watchLinks(): void {
    for (const link of this.#settings.links) {
      const forget = onEnd(link, ({ normal, error }) => {
        if (!normal) this.#end(endReason('link', { normal, error }))
      })
      void this.ended.then(forget)
    }
  }

  #endLinks(): void {
    void this.ended.then(({ normal, error }) => {
      if (normal) return
      const cause = error ?? new Error(`${this.#shown} has ended`)
      for (const link of this.#settings.links) void (async () => link.stop(cause))().catch(() => {})
    })
  }

  #find(id: string): Slot {
    const slot = this.#list.find(id)
    if (slot !== undefined) return slot
    throw new ProcessError('WS_NO_CHILD', `${this.#shown} has no child ${id}`)
  }

  #findStopped(id: string): Slot {
    const slot = this.#find(id)
    if (slot.state === 'stopped') return slot
    throw new ProcessError('WS_CHILD_RUNNING', `the child ${id} of ${this.#shown} is ${slot.state}`)
  }

  get #shown(): string {
    return this.name === null ? 'the supervisor' : `the supervisor ${this.name}`
  }

  /** A piece of work that somebody waits for. */
  #request<T>(work: () => Promise<T>): Promise<T> {
    return this.#enqueue(async () => {
      if (this.#ending !== null) throw new NoProcessError(this.#shown, this.#ending)
      return work()
    })
  }

  /** A piece of work that nobody waits for. It does not fail. */
  #work(work: () => Promise<void>): void {
    void this.#enqueue(async () => {
      if (this.#ending === null) await work()
    })
  }

  #enqueue<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#tail.then(work)
    this.#tail = done.catch(() => {})
    return done
  }
}
