// Strategy: between two timers everything that waits for no time must have happened. Promise jobs and ticks are done when
// the event loop has made one turn; so turns are made until some in a row have passed in which no byte moved and no timer
// was set. Several, because a callback may itself wait for a turn. Of work outside of
// this thread only compression is seen; a file is not.
import { zlibWork } from '../extensions/index.js'
import { UsageError } from '../protocol/index.js'
import { StalledError } from './stalled-error.js'
import { requireDuration, type VirtualClock } from './virtual-clock.js'

/** How long to wait for something. */
export interface WaitOptions {
  /** Milliseconds of the virtual clock. Default 3,600,000, an hour. */
  readonly limitMs?: number | undefined
  /** What is waited for, for the message of the error. */
  readonly what?: string | undefined
}

const HOUR_MS = 3_600_000
/** So that two ends that answer each other without latency leave the event loop a chance. */
const TICKS_PER_TURN = 1000
/** More deliveries than this without any time passing, or turns: two ends answer each other for ever. */
const MAX_DEFERRED = 200_000
const MAX_TURNS = 100_000

const turn = (): Promise<void> => new Promise(resolve => setImmediate(resolve))

/** Moves the time of one clock and lets everything settle in between. */
export class Stepper {
  readonly clock: VirtualClock
  readonly #quietTurns: number
  readonly #describe: () => string
  #moves = 0
  #ticks = 0
  #deferred = 0
  #running = false

  constructor(clock: VirtualClock, quietTurns: number, describe: () => string) {
    this.clock = clock
    this.#quietTurns = quietTurns
    this.#describe = describe
  }

  /** Something happened: this is no quiet turn. */
  moved(): void {
    this.#moves++
  }

  /** Calls `work` once the caller has returned, before any time passes. */
  defer(work: () => void): void {
    this.#moves++
    this.#deferred++
    if (++this.#ticks < TICKS_PER_TURN) process.nextTick(work)
    else
      setImmediate(() => {
        this.#ticks = 0
        work()
      })
  }

  settle(): Promise<void> {
    return this.#alone(() => this.#settle())
  }

  advance(ms: number): Promise<void> {
    return this.#alone(async () => {
      requireDuration(ms)
      const endMs = this.clock.now() + ms
      await this.#settle()
      while (this.clock.step(endMs)) await this.#settle()
    })
  }

  runUntil(condition: () => boolean, { limitMs = HOUR_MS, what }: WaitOptions): Promise<void> {
    return this.#alone(async () => {
      requireDuration(limitMs)
      const name = what ?? condition.toString()
      const endMs = this.clock.now() + limitMs
      for (;;) {
        await this.#settle()
        if (condition()) return
        const { nextMs } = this.clock
        if (nextMs !== null && nextMs <= endMs) {
          this.clock.step()
          continue
        }
        const why = nextMs === null ? 'no timer is set' : `nothing more happens within ${limitMs} ms`
        throw new StalledError(`still waiting for ${name}: ${why}; ${this.#describe()}`)
      }
    })
  }

  async run<Value>(promise: PromiseLike<Value>, options: WaitOptions): Promise<Value> {
    let settled = false
    const note = (): void => {
      settled = true
    }
    promise.then(note, note)
    await this.runUntil(() => settled, { what: 'a promise', ...options })
    return promise
  }

  /** Two that move the time at once would see each other's timers fire. */
  async #alone(work: () => Promise<void>): Promise<void> {
    if (this.#running)
      throw new UsageError(
        'WS_BAD_SEQUENCE',
        'the time is being moved already: await what moves it, or wait for several things with run(Promise.all(…))',
      )
    this.#running = true
    try {
      await work()
    } finally {
      this.#running = false
    }
  }

  async #settle(): Promise<void> {
    const { clock } = this
    this.#deferred = 0
    for (let turns = 0, quiet = 0; quiet < this.#quietTurns; turns++) {
      if (turns > MAX_TURNS || this.#deferred > MAX_DEFERRED)
        throw new StalledError(
          `no rest at ${clock.now()} ms: ends answer each other without latency; ${this.#describe()}`,
        )
      const before = this.#moves + clock.changes
      this.#ticks = 0
      // Compressing takes no time of the clock's, and happens where nobody here sees it.
      const working = zlibWork.size > 0
      await (working ? zlibWork.next() : turn())
      if (working) this.#moves++
      quiet = this.#moves + clock.changes === before ? quiet + 1 : 0
    }
  }
}
