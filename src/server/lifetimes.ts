// Strategy: one timer for all connections. Every so often, a sixteenth of the shorter limit, each is looked at: has it sent
// anything since, is it too old? So a limit is kept with that delay at most, and a connection costs two numbers.
import { after, type Clock } from '../transport/clock.js'
import type { Socket } from '../transport/socket.js'

interface Life {
  readonly socket: Socket
  readonly since: number
  bytes: number
  heardAt: number
  readonly expire: () => void
}

const PARTS = 16

/** The connections of a server that have limits of time. */
export class Lifetimes {
  readonly #clock: Clock
  readonly #idleMs: number
  readonly #lifeMs: number
  readonly #lives = new Set<Life>()
  #cancel: (() => void) | null = null

  constructor(clock: Clock, idleMs: number, lifeMs: number) {
    this.#clock = clock
    this.#idleMs = idleMs
    this.#lifeMs = lifeMs
  }

  /** Calls `expire` once when a limit is reached. @returns a function that takes the connection out. */
  watch(socket: Socket, expire: () => void): () => void {
    if (this.#idleMs === Infinity && this.#lifeMs === Infinity) return () => {}
    const now = this.#clock.now()
    const life: Life = { socket, since: now, bytes: socket.bytesReceived, heardAt: now, expire }
    this.#lives.add(life)
    this.#arm()
    return () => {
      this.#lives.delete(life)
      if (this.#lives.size === 0) this.#disarm()
    }
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
    for (const life of this.#lives) {
      const { bytesReceived } = life.socket
      if (bytesReceived !== life.bytes) {
        life.bytes = bytesReceived
        life.heardAt = now
      }
      if (now - life.heardAt < this.#idleMs && now - life.since < this.#lifeMs) continue
      this.#lives.delete(life)
      life.expire()
    }
  }
}
