// Strategy: the same client in other runtimes, beside `ws` in the same one and the client that the runtime has by itself. The other
// runtimes are npm packages of `bench/runtimes`.
import type { Bench } from '../bench.js'
import type { Pace } from '../measure.js'
import { type Cell, cellOf, ours } from '../report.js'
import { sizeName } from '../targets.js'
import type { Entry } from './contestant.js'
import { otherRuntimes } from './entries.js'
import { type Field, inStarts, joinedField, longer, race } from './field.js'
import { groupsOf } from './streams.js'

const SIZES = [16, 1024, 16 * 1024]
const PER_TICK = 100
const directions = [
  ['text, sent 100 per tick', 'send'],
  ['text, received', 'receive'],
] as const
const here = `Node ${process.versions.node.split('.')[0]}`

export const runtimes: Bench = {
  title: 'runtimes: the client in other runtimes',
  notes: [
    'The ratio is to `ws` in the same runtime. Bun puts an implementation of its own in the place of `ws`.',
  ],
  async *run(context) {
    const pace = longer(context.pace)
    const cells: Cell[] = []
    for (const [name, runtime] of Object.entries({ [here]: [process.execPath], ...otherRuntimes })) {
      const entries: Entry[] = [
        { name: 'ws', library: 'ws', runtime },
        { name: ours, library: 'sansocket', runtime },
      ]
      if (name !== here) entries.push({ name: 'its own', library: 'global', runtime })
      const places = SIZES.flatMap(bytes =>
        directions.map(([group, type]) => ({ group, type, bytes, column: sizeName(bytes) })),
      ).filter(({ group, column }) => context.wanted(group, name, column))
      if (places.length === 0) continue
      const trials = places.map(({ group, type, bytes, column }) => ({
        label: `${group}; ${name}; ${column}`,
        time: (field: Field, pace: Pace) =>
          race(field, pace, PER_TICK, (_, iterations) => ({
            type,
            kind: 'text',
            bytes,
            messages: iterations * PER_TICK,
            perTick: PER_TICK,
          })),
      }))
      const found = await inStarts(() => joinedField('client', entries), pace, trials, context.progress)
      for (const [i, { group, column }] of places.entries())
        cells.push(cellOf({ group, row: name, column, headline: 'ws', target: null }, found[i]))
    }
    yield* groupsOf(cells, 'message')
  },
}
