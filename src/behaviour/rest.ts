import type { RestingSocket, Sleeper } from '../transport/resting-socket.js'
import type { KeepaliveSettings } from './keepalive.js'
import type { ProcessWorks } from './process-works.js'

/** What an accepted process at rest has besides its behaviour and its state. */
export class Rest {
  readonly socket: RestingSocket
  readonly rttMs: number | null
  readonly keepalive: KeepaliveSettings
  /** Since when, in whole milliseconds of the clock. */
  readonly since: number
  // Whole numbers and null cost nothing; any other number is an object of its own.
  readonly #credits: number | null
  readonly #pingAt: number | null

  constructor(socket: RestingSocket, { reception, cycle }: ProcessWorks, now: number, pingAt: number) {
    const { rttMs, credits } = reception
    this.socket = socket
    this.since = Math.floor(now)
    this.rttMs = rttMs
    this.keepalive = cycle.keepalive
    this.#credits = credits === Infinity ? null : credits
    this.#pingAt = pingAt === Infinity ? null : Math.ceil(pingAt)
  }

  /** How many messages may still be delivered. */
  get credits(): number {
    return this.#credits ?? Infinity
  }

  /** When the next keepalive ping is due, in whole milliseconds of the clock; `Infinity` for never. */
  get pingAt(): number {
    return this.#pingAt ?? Infinity
  }
}

/** What is left of a process's works; null when something is under way in them, or a ping is due within `ms`. */
export function restOf(works: ProcessWorks, sleeper: Sleeper, now: number, ms: number): Rest | null {
  const { cycle, mail, outbox, serial, waiters } = works
  const { session } = cycle
  if (!serial.atRest || !mail.atRest || !outbox.atRest || !waiters.empty || session?.atRest !== true)
    return null
  const { socket, keepalive } = session
  const pingAt = keepalive?.dueAt ?? null
  if (keepalive === null || pingAt === null || pingAt < now + ms) return null
  const rest = new Rest(socket.rest(sleeper), works, now, pingAt)
  keepalive.stop()
  return rest
}
