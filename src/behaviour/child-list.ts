// Strategy: the children of one supervisor in their order, and the two things that are done to each: start and stop. Who
// calls these does one after the other; when to do which is decided in `supervision.ts`.
import type { Clock } from '../transport/clock.js'
import { throwLater } from '../transport/throw-later.js'
import type { Child, ChildSpec } from './child-spec.js'
import type { EndReason } from './end-reason.js'
import { ChildStartError } from './process-error.js'
import { startChild } from './start-child.js'
import { endOf, stopChild } from './stop-child.js'
import type { SupervisorEvent } from './supervisor-event.js'

/**
 * What a child of a supervisor is at: `restarting` is one that will be started as soon as it is its turn, `stopped` one that
 * waits for `restartChild()`.
 */
export type ChildState = 'starting' | 'running' | 'stopping' | 'restarting' | 'stopped'

/** A place for one child at a time. */
export interface Slot {
  readonly spec: ChildSpec
  child: Child | null
  state: ChildState
  /** How the child ended by itself, from then until that is dealt with. */
  reason: EndReason | null
  /** Whether there was a child before. */
  used: boolean
}

/** What a list of children asks of its supervisor. */
export interface ChildListHost {
  readonly clock: Clock
  readonly onEvent: ((event: SupervisorEvent) => void) | undefined
  /** A child ended, by itself or not. */
  exited(slot: Slot, child: Child): void
}

/** The children of one supervisor. */
export class ChildList {
  readonly #host: ChildListHost
  readonly #kill = new AbortController()
  #slots: readonly Slot[] = []
  #starting: AbortController | null = null

  constructor(host: ChildListHost) {
    this.#host = host
  }

  /** In the order in which they are started. */
  get slots(): readonly Slot[] {
    return this.#slots
  }

  find(id: string): Slot | undefined {
    return this.#slots.find(slot => slot.spec.id === id)
  }

  add(spec: ChildSpec): Slot {
    const slot: Slot = { spec, child: null, state: 'stopped', reason: null, used: false }
    this.#slots = [...this.#slots, slot]
    return slot
  }

  remove(slot: Slot): void {
    this.#slots = this.#slots.filter(one => one !== slot)
  }

  /** @throws (rejects) ChildStartError; the slot is `stopped` then. */
  async start(slot: Slot): Promise<Child> {
    const { spec } = slot
    const starting = new AbortController()
    this.#starting = starting
    slot.state = 'starting'
    try {
      const child = await startChild(spec, {
        clock: this.#host.clock,
        unwanted: starting.signal,
        kill: this.#kill.signal,
      })
      slot.child = child
      slot.state = 'running'
      void endOf(child).then(reason => {
        if (slot.child !== child) return
        slot.reason = reason
        this.#host.exited(slot, child)
      })
      this.emit({ type: 'child-started', id: spec.id, child, restarted: slot.used })
      slot.used = true
      return child
    } catch (cause) {
      slot.state = 'stopped'
      const error = new ChildStartError(spec.id, cause)
      this.emit({ type: 'child-start-failed', id: spec.id, error })
      throw error
    } finally {
      this.#starting = null
    }
  }

  /** Ends the child, when there is one. A temporary child leaves the list. Never rejects. */
  async stop(slot: Slot, text: string, code = 1001): Promise<void> {
    const { spec, child } = slot
    if (child !== null) {
      slot.state = 'stopping'
      const { shutdownMs } = spec
      const kill = this.#kill.signal
      const expected = slot.reason === null
      const reason = await stopChild(child, { clock: this.#host.clock, shutdownMs, code, text, kill })
      if (reason === null) this.emit({ type: 'child-abandoned', id: spec.id, child })
      this.#gone(slot, child, reason, expected)
    }
    this.settle(slot)
  }

  /** Its child ended by itself: there is none now. What comes next is not decided. */
  clear(slot: Slot): void {
    const { child, reason } = slot
    if (child !== null) this.#gone(slot, child, reason, false)
  }

  /** It will not be started again by itself. */
  settle(slot: Slot): void {
    slot.state = 'stopped'
    if (slot.spec.restart === 'temporary') this.remove(slot)
  }

  /** The child that is being started is not wanted any more. */
  giveUpStart(): void {
    this.#starting?.abort()
  }

  /** Ends what is left by force: what is being stopped, and what will be. */
  kill(): void {
    this.#kill.abort()
  }

  /** Tells whoever listens. What a listener throws goes where uncaught errors go. */
  emit(event: SupervisorEvent): void {
    try {
      this.#host.onEvent?.(event)
    } catch (error) {
      throwLater(error)
    }
  }

  #gone(slot: Slot, child: Child, reason: EndReason | null, expected: boolean): void {
    slot.child = null
    slot.reason = null
    if (reason !== null) this.emit({ type: 'child-ended', id: slot.spec.id, child, reason, expected })
  }
}
