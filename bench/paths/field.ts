// Strategy: the contestants of one role and the counterpart, each in a process of its own. They take turns; whoever has none waits
// for its next line and costs nothing.
import type { Contestant as Runner, Pace, Timings } from '../measure.js'
import { measure } from '../measure.js'
import { type Cell, cellOf, ours } from '../report.js'
import { Contestant, Counterpart, type Entry } from './contestant.js'
import { names } from './entries.js'
import type { ContestantTask, Took } from './program.js'

/** Which end the contestants are. */
export type Side = 'client' | 'server'

/** Contestants that are joined to the counterpart. */
export class Field {
  readonly counterpart: Counterpart
  readonly contestants: readonly Contestant[]
  /** Where each listens, when they serve. */
  readonly #ports = new Map<Contestant, number>()

  private constructor(counterpart: Counterpart, contestants: readonly Contestant[]) {
    this.counterpart = counterpart
    this.contestants = contestants
  }

  static async start(side: Side, entries: readonly Entry[]): Promise<Field> {
    const field = new Field(
      await Counterpart.start(),
      entries.map(entry => new Contestant(entry)),
    )
    if (side === 'server') {
      for (const one of field.contestants) field.#ports.set(one, await one.ask<number>({ type: 'listen' }))
    }
    return field
  }

  /** Where it listens. */
  portOf(contestant: Contestant): number {
    return this.#ports.get(contestant)!
  }

  /** Opens connections between one of them and the counterpart. */
  async join(contestant: Contestant, count: number): Promise<void> {
    const port = this.#ports.get(contestant)
    if (port === undefined) await contestant.ask({ type: 'connect', port: this.counterpart.port, count })
    else await this.counterpart.ask({ type: 'join', port, count })
  }

  /** Closes them. */
  async part(contestant: Contestant): Promise<void> {
    const port = this.#ports.get(contestant)
    if (port === undefined) await contestant.ask({ type: 'close' })
    else {
      await this.counterpart.ask({ type: 'leave' })
      await contestant.ask({ type: 'forget' })
    }
  }

  stop(): void {
    for (const one of this.contestants) one.stop()
    this.counterpart.stop()
  }
}

/** Starts a field in which everybody has one connection. */
export async function joinedField(side: Side, entries: readonly Entry[]): Promise<Field> {
  const field = await Field.start(side, entries)
  try {
    for (const one of field.contestants) await field.join(one, 1)
    return field
  } catch (error) {
    field.stop()
    throw error
  }
}

/** What a contestant does for some iterations: by its own clock, or in processor time. */
export function runner(
  contestant: Contestant,
  pace: Pace,
  work: (iterations: number) => Promise<Took>,
): Runner {
  return {
    name: contestant.name,
    ownClock: true,
    run: async iterations => {
      const { ms, cpuMs } = await work(iterations)
      return pace.clock === 'cpu' ? cpuMs : ms
    },
  }
}

/** Lets everybody do the same thing, in turns. */
export function race(
  field: Field,
  pace: Pace,
  operations: number,
  task: (contestant: Contestant, iterations: number) => ContestantTask,
): Promise<Timings> {
  const contestants = field.contestants.map(one =>
    runner(one, pace, iterations => one.ask<Took>(task(one, iterations))),
  )
  return measure({ contestants, operations }, pace)
}

/** Slots that the trip to another process does not matter in. */
export const longer = (pace: Pace): Pace => ({ ...pace, slotMs: pace.slotMs * 6 })

/** Something that is timed, in processes that are started anew now and then. */
export interface Trial {
  readonly label: string
  readonly time: (field: Field, pace: Pace) => Promise<Timings>
}

/** How often all processes are started: how fast one is depends on what it was compiled to, and where its memory came to lie. */
const STARTS = 3

/** The rounds of each start: as many in all as the pace wants. */
function roundsOfStarts(rounds: number): number[] {
  const starts = Math.min(STARTS, rounds)
  return Array.from({ length: starts }, (_, i) => Math.floor((rounds + i) / starts))
}

/**
 * Times everything in each of several starts, in which the contestants are new processes with new connections.
 *
 * @returns for each trial what all starts have found.
 */
export async function inStarts(
  open: () => Promise<Field>,
  pace: Pace,
  trials: readonly Trial[],
  progress: (label: string) => void,
): Promise<Timings[]> {
  const found = trials.map(() => new Map<string, number[]>())
  const starts = roundsOfStarts(pace.rounds)
  for (const [start, rounds] of starts.entries()) {
    const field = await open()
    try {
      for (const [index, { label, time }] of trials.entries()) {
        progress(`${label}; start ${start + 1} of ${starts.length}`)
        for (const [name, values] of await time(field, { ...pace, rounds }))
          found[index].set(name, [...(found[index].get(name) ?? []), ...values])
      }
    } finally {
      field.stop()
    }
  }
  return found
}

/** What is wanted of one cell. */
export interface Wanted {
  /** Times as fast as `ws`. */
  readonly ws: number | null
  /** As a share of the raw socket's speed. */
  readonly raw?: number | null
  /** What the behaviour layer keeps of the bare API's speed. */
  readonly layer?: number | null
}

/** Where a cell is shown. */
export type Place = Pick<Cell, 'group' | 'row' | 'column' | 'unit'>

/**
 * Up to four cells of one measurement: beside the peers, beside the raw socket, the behaviour layer beside the bare API, and
 * beside `ws`.
 */
export function cellsOf(place: Place, timings: Timings, { ws, raw = null, layer = null }: Wanted): Cell[] {
  const only = (...pairs: readonly (readonly [string, string])[]): Timings =>
    new Map(pairs.flatMap(([from, to]) => (timings.has(from) ? [[to, timings.get(from)!] as const] : [])))
  const cells = [cellOf({ ...place, headline: names.ws, target: ws }, timings)]
  if (raw !== null)
    cells.push(
      cellOf(
        { ...place, group: `${place.group}: beside the raw socket`, headline: names.raw, target: raw },
        only([names.raw, names.raw], [ours, ours]),
      ),
    )
  if (layer !== null && timings.has(names.behaviours))
    cells.push(
      cellOf(
        {
          ...place,
          group: `${place.group}: what the behaviour layer keeps`,
          headline: 'bare API',
          target: layer,
        },
        only([ours, 'bare API'], [names.behaviours, ours]),
      ),
      cellOf(
        { ...place, group: `${place.group}: with the behaviour layer`, headline: names.ws, target: null },
        only([names.ws, names.ws], [names.behaviours, ours]),
      ),
    )
  return cells
}
