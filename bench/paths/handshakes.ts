// Strategy: connections opened and closed in order, 32 at a time, beside the same exchange written by hand: a request, its answer with
// the right key, a Close frame each way, and the end of the stream.
import type { Bench } from '../bench.js'
import { measure, type Pace, type Timings } from '../measure.js'
import type { Cell } from '../report.js'
import { clients, few, names, servers } from './entries.js'
import { cellsOf, Field, inStarts, race, runner, type Wanted } from './field.js'
import { groupsOf, LAYER } from './streams.js'
import type { Took } from './program.js'

const WIDTH = 32
/** Of what bare sockets do. */
const TARGET = 0.85

const wanted: Wanted = { ws: 1, raw: TARGET, layer: LAYER }

function asClients(field: Field, pace: Pace): Promise<Timings> {
  const { port } = field.counterpart
  return race(field, pace, WIDTH, (_, iterations) => ({
    type: 'handshakes',
    port,
    count: iterations * WIDTH,
    width: WIDTH,
  }))
}

function asServers(field: Field, pace: Pace): Promise<Timings> {
  const contestants = field.contestants.map(one =>
    runner(one, pace, async (iterations): Promise<Took> => {
      const before = await one.ask<number>({ type: 'cpu' })
      const task = {
        type: 'knock',
        port: field.portOf(one),
        count: iterations * WIDTH,
        width: WIDTH,
      } as const
      const ms = await field.counterpart.ask<number>(task)
      return { ms, cpuMs: (await one.ask<number>({ type: 'cpu' })) - before }
    }),
  )
  return measure({ contestants, operations: WIDTH }, pace)
}

export const handshake: Bench = {
  title: 'handshake: connections opened and closed, 32 at a time',
  notes: [
    `'${names.raw}' is the same exchange over bare sockets. As server the other end keeps the time, as client the contestant.`,
  ],
  async *run(context) {
    // The first thousands are slower for everybody, and more so for who has more code to be compiled.
    const pace = { ...context.pace, slotMs: context.pace.slotMs * 40 }
    const cells: Cell[] = []
    for (const side of ['client', 'server'] as const) {
      const place = { group: 'open and close', row: `as ${side}`, column: '32 at a time' }
      if (!context.wanted(place.group, place.row, place.column)) continue
      const everybody = side === 'client' ? clients : servers
      const [found] = await inStarts(
        () => Field.start(side, context.quick ? few : everybody),
        pace,
        [{ label: `handshake; ${side}`, time: side === 'client' ? asClients : asServers }],
        context.progress,
      )
      cells.push(...cellsOf(place, found, wanted))
    }
    yield* groupsOf(cells, 'connection')
  },
}
