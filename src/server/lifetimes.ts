// Strategy: one timer for all connections. Every so often, a sixteenth of the shorter limit, each is looked at: has it sent
// anything since, is it too old? So a limit is kept with that delay at most, and a connection costs two numbers. Whom this side
// does not read may have sent anything, and is not called idle.
import { after, type Clock } from '../transport/clock.js'
import type { ProcessCore } from '../behaviour/process-core.js'

interface Life {
  readonly since: number
  bytes: number
  heardAt: number
}

const PARTS = 16

/** The connections of a server that have limits of time. */
export class Lifetimes {
  readonly #clock: Clock
  readonly #idleMs: number
  readonly #lifeMs: number
  readonly #lives = new Map<ProcessCore, Life>()
  #cancel: (() => void) | null = null

  constructor(clock: Clock, idleMs: number, lifeMs: number) {
    this.#clock = clock
    this.#idleMs = idleMs
    this.#lifeMs = lifeMs
  }

  /** Ends the process when a limit is reached. */
  watch(core: ProcessCore): void {
    if (this.#idleMs === Infinity && this.#lifeMs === Infinity) return
    const now = this.#clock.now()
    this.#lives.set(core, { since: now, bytes: core.bytesReceived, heardAt: now })
    this.#arm()
  }

  /** It has ended by itself. */
  forget(core: ProcessCore): void {
    this.#lives.delete(core)
    if (this.#lives.size === 0) this.#disarm()
  }

  #arm(): void {
    this.#cancel ??= after(this.#clock, Math.min(this.#idleMs, this.#lifeMs) / PARTS, () => {
      this.#cancel = null
      this.#look()
      if (this.#lives.size > 0) this.#arm()
    })
  }

  #disarm(): void {
    this.#cancel?.()
    this.#cancel = null
  }

  #look(): void {
    const now = this.#clock.now()
    for (const [core, life] of this.#lives) {
      const { bytesReceived } = core
      if (bytesReceived !== life.bytes || core.paused) {
        life.bytes = bytesReceived
        life.heardAt = now
      }
      if (now - life.heardAt < this.#idleMs && now - life.since < this.#lifeMs) continue
      this.#lives.delete(core)
      core.expire()
    }
  }
}
