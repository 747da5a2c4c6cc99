// Strategy: contestants run in one process, one time slot each per round, in an order that turns round after
// round, so that a slow moment of the machine hits all of them. The number of iterations per slot is fixed during
// the warm-up (which ends when every contestant is compiled and its slot has the wished length) and does not
// change afterwards. A ratio is taken inside each round and the median of those ratios is reported with its
// quartiles; a ratio of two medians would mix rounds. Work that both sides need but that is not what we want to
// know (copying a chunk) is measured as a contestant of its own and subtracted in its own round.
// Garbage, as a rule the young, is collected between slots, outside the clock, so nobody pays for the one before.
import { performance } from 'node:perf_hooks'
import { setImmediate as turn } from 'node:timers/promises'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

setFlagsFromString('--expose-gc')
/** V8's collector; `{ type: 'minor' }` collects the young generation only. */
export const collect = runInNewContext('gc') as (options?: { readonly type: 'minor' }) => void

export interface Contestant {
  readonly name: string
  /** Does the work `iterations` times; the number it returns depends on every result, so nothing is optimized away. */
  readonly run: (iterations: number) => number | Promise<number>
  /** What it returns is how many milliseconds it took, by the clock of another process. */
  readonly ownClock?: boolean
}

export interface Pace {
  readonly rounds: number
  /** Wished length of one contestant's turn in one round, in milliseconds. */
  readonly slotMs: number
  /**
   * `wall` is what a user waits for. `cpu` counts what this process used, its helper threads included, and is for a
   * machine that others keep busy.
   */
  readonly clock: 'wall' | 'cpu'
}

export interface Race {
  readonly contestants: readonly Contestant[]
  /** What one iteration counts for, e.g. messages. */
  readonly operations: number
  /** Its time is subtracted from everybody else's. */
  readonly overhead?: Contestant
  /** Collect all garbage between slots, not only the young: where large memory outside the heap is what a slot leaves behind. */
  readonly collectAll?: boolean
}

/** Nanoseconds per operation, one number per round, the overhead already taken out. */
export type Timings = ReadonlyMap<string, readonly number[]>

export interface Spread {
  readonly low: number
  readonly median: number
  readonly high: number
}

/**
 * Calls `step` once per tick until it returns false. A socket delivers each chunk, and takes each batch, in a callback of
 * its own, and a stream puts off part of its work to the end of that: in one long loop nobody would ever pay for it.
 */
export function everyTick(step: () => boolean): Promise<void> {
  return new Promise(resolve => {
    const tick = (): void => {
      if (step()) process.nextTick(tick)
      else resolve()
    }
    process.nextTick(tick)
  })
}

let sink = 0

/** Keeps what the contestants computed alive; print it once to use it up. */
export function takeSink(): number {
  return sink
}

/** Milliseconds since some moment. */
const clocks: Readonly<Record<Pace['clock'], () => number>> = {
  wall: () => performance.now(),
  cpu() {
    const { user, system } = process.cpuUsage()
    return (user + system) / 1000
  },
}

async function slot(contestant: Contestant, iterations: number, now: () => number): Promise<number> {
  const start = now()
  const result = contestant.run(iterations)
  const value = typeof result === 'number' ? result : await result
  sink = (sink + value) | 0
  return contestant.ownClock === true ? value : now() - start
}

/** Runs until the code is hot and the slot has its length; answers the iterations to use from now on. */
async function warmUp(contestant: Contestant, slotMs: number, now: () => number): Promise<number> {
  let iterations = 1
  let spent = 0
  for (;;) {
    const elapsed = await slot(contestant, iterations, now)
    await turn()
    spent += elapsed
    const fits = elapsed > slotMs * 0.7 && elapsed < slotMs * 1.5
    if ((fits && spent > slotMs * 3) || spent > slotMs * 12) return iterations
    const wished = (iterations * slotMs) / Math.max(elapsed, 0.001)
    iterations = Math.max(1, Math.round(Math.min(wished, iterations * 8)))
  }
}

/** Runs all contestants of one race, round by round. */
export async function measure(race: Race, pace: Pace): Promise<Timings> {
  const all = race.overhead === undefined ? [...race.contestants] : [race.overhead, ...race.contestants]
  const iterations: number[] = []
  const now = clocks[pace.clock]
  // Twice: the later contestants' first runs may have sent code shared with the earlier ones back to the interpreter.
  for (const contestant of all) await warmUp(contestant, pace.slotMs / 2, now)
  for (const contestant of all) iterations.push(await warmUp(contestant, pace.slotMs, now))

  const raw = all.map(() => [] as number[])
  for (let round = 0; round < pace.rounds; round++) {
    // A B C, C B A, B C A, A C B, …: everybody starts, ends and follows everybody.
    const order = all.map((_, index) => (index + (round >> 1)) % all.length)
    if (round % 2 === 1) order.reverse()
    for (const index of order) {
      if (race.collectAll === true) collect()
      else collect({ type: 'minor' })
      await turn()
      const elapsed = await slot(all[index], iterations[index], now)
      raw[index].push((elapsed * 1e6) / (iterations[index] * race.operations))
    }
  }

  const timings = new Map<string, readonly number[]>()
  const overhead = race.overhead === undefined ? null : raw[0]
  all.forEach((contestant, index) => {
    const own = contestant === race.overhead || overhead === null
    timings.set(contestant.name, own ? raw[index] : raw[index].map((ns, round) => ns - overhead[round]))
  })
  return timings
}

function quantile(sorted: readonly number[], share: number): number {
  const at = (sorted.length - 1) * share
  const below = Math.floor(at)
  return sorted[below] + (sorted[Math.min(below + 1, sorted.length - 1)] - sorted[below]) * (at - below)
}

/** Median and quartiles. */
export function spread(values: readonly number[]): Spread {
  const sorted = values.toSorted((a, b) => a - b)
  return { low: quantile(sorted, 0.25), median: quantile(sorted, 0.5), high: quantile(sorted, 0.75) }
}

/** How many times faster `ours` is than `peer`: the ratio of each round, then its median and quartiles. */
export function ratio(timings: Timings, peer: string, ours: string): Spread {
  const a = timings.get(peer)
  const b = timings.get(ours)
  if (a === undefined || b === undefined) throw new Error(`no timings for ${peer} or ${ours}`)
  return spread(a.map((ns, round) => ns / b[round]))
}
