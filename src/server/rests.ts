// Strategy: who holds ten thousand connections holds mostly silence. Now and then all processes that are awake are looked at: one
// that has done nothing since it came, or for a while, lets go of its works. Its next keepalive ping is remembered by the
// twentieth of a second in which it is due; shortly before, it is woken, and pings by itself. So a process at rest has no timer.
// One that wakes after a long silence is let rest again at once, when nothing is left to do: what it was made of dies young.
import type { ProcessCore } from '../behaviour/process-core.js'
import type { Rest } from '../behaviour/rest.js'
import { after, type Clock } from '../transport/clock.js'

interface Awake {
  /** What it had done when it was last seen to have done something; null for what it does when it comes. */
  activity: number | null
  since: number
  /** True once it has done something since it came or was woken. */
  busy: boolean
}

/** How many looks there are in `restAfterMs`. */
const LOOKS = 8
const SLOT_MS = 50
/** How long one is awake that was silent before: as long as a message takes that is dealt with at once. */
const BRIEF_MS = 1

/** Lets the processes of a server rest. */
export class Rests {
  readonly #clock: Clock
  readonly #restAfterMs: number
  readonly #awake = new Map<ProcessCore, Awake>()
  /** Woken after a long silence, in this moment. */
  #brief: ProcessCore[] = []
  /** Those at rest, by the time of their next ping. */
  readonly #slots = new Map<number, Set<ProcessCore>>()
  #stopLook: (() => void) | null = null
  #stopPing: (() => void) | null = null
  #pingSlot = Infinity

  /** @param restAfterMs - how long a process does nothing before it rests; `Infinity` for never. */
  constructor(clock: Clock, restAfterMs: number) {
    this.#clock = clock
    this.#restAfterMs = restAfterMs
  }

  /** How many processes are awake. */
  get awake(): number {
    return this.#awake.size
  }

  /** A process has come. */
  came(core: ProcessCore): void {
    if (this.#restAfterMs !== Infinity) this.#watch(core, null)
  }

  #watch(core: ProcessCore, activity: number | null): void {
    this.#awake.set(core, { activity, since: this.#clock.now(), busy: false })
    this.#stopLook ??= after(this.#clock, this.#restAfterMs / LOOKS, this.#look)
  }

  /** A process was at rest until now. */
  woken(core: ProcessCore, { pingAt, since }: Rest): void {
    const slot = slotOf(pingAt)
    const slots = this.#slots.get(slot)
    slots?.delete(core)
    if (slots?.size === 0) this.#slots.delete(slot)
    if (this.#slots.size === 0) this.#disarmPing()
    this.#watch(core, core.activity)
    // Whoever was silent for so long has one thing to say, as a rule.
    if (this.#clock.now() - since < this.#restAfterMs) return
    if (this.#brief.push(core) === 1) after(this.#clock, BRIEF_MS, this.#restAgain)
  }

  /** A process has ended. */
  gone(core: ProcessCore): void {
    this.#awake.delete(core)
    if (this.#awake.size > 0) return
    this.#stopLook?.()
    this.#stopLook = null
  }

  readonly #look = (): void => {
    this.#stopLook = null
    const now = this.#clock.now()
    for (const [core, awake] of this.#awake) {
      const { activity } = core
      awake.activity ??= activity
      if (activity !== awake.activity) {
        awake.activity = activity
        awake.since = now
        awake.busy = true
      } else if (!awake.busy || now - awake.since >= this.#restAfterMs) this.#rest(core, now)
    }
    if (this.#awake.size > 0) this.#stopLook = after(this.#clock, this.#restAfterMs / LOOKS, this.#look)
  }

  readonly #restAgain = (): void => {
    const all = this.#brief
    this.#brief = []
    const now = this.#clock.now()
    for (const core of all) if (this.#awake.has(core)) this.#rest(core, now)
  }

  #rest(core: ProcessCore, now: number): void {
    // One that is to ping soon would not rest long.
    const pingAt = core.rest(now, 2 * SLOT_MS)
    if (pingAt === null) return
    this.#awake.delete(core)
    if (pingAt === Infinity) return
    const slot = slotOf(pingAt)
    const resting = this.#slots.get(slot)
    if (resting === undefined) this.#slots.set(slot, new Set([core]))
    else resting.add(core)
    if (slot < this.#pingSlot) this.#armPing(slot, now)
  }

  #armPing(slot: number, now: number): void {
    this.#disarmPing()
    this.#pingSlot = slot
    this.#stopPing = after(this.#clock, Math.max(0, slot * SLOT_MS - now), this.#wake)
  }

  #disarmPing(): void {
    this.#stopPing?.()
    this.#stopPing = null
    this.#pingSlot = Infinity
  }

  readonly #wake = (): void => {
    const due = this.#slots.get(this.#pingSlot)
    this.#disarmPing()
    // Each tells `woken()` of it.
    for (const core of due ?? []) core.wake()
    let next = Infinity
    for (const slot of this.#slots.keys()) next = Math.min(next, slot)
    if (next !== Infinity) this.#armPing(next, this.#clock.now())
  }
}

/** The stretch of time before the one in which it is due, so that there is time to wake. */
function slotOf(pingAt: number): number {
  return Math.floor(pingAt / SLOT_MS) - 1
}
