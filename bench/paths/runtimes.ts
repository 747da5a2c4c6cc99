// Strategy: the same client in other runtimes, beside `ws` in the same one and the client that the runtime has by itself. The other
// runtimes are npm packages of `bench/runtimes`.
import type { Bench } from '../bench.js'
import { type Cell, cellOf, ours } from '../report.js'
import { sizeName } from '../targets.js'
import type { Entry } from './contestant.js'
import { otherRuntimes } from './entries.js'
import { Field, longer, race } from './field.js'
import { groupsOf } from './streams.js'

const SIZES = [16, 1024, 16 * 1024]
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
      const field = await Field.start('client', entries)
      try {
        for (const one of field.contestants) await field.join(one, 1)
        for (const bytes of SIZES) {
          const column = sizeName(bytes)
          const perTick = 100
          for (const [group, type] of [
            ['text, sent 100 per tick', 'send'],
            ['text, received', 'receive'],
          ] as const) {
            if (!context.wanted(group, name, column)) continue
            context.progress(`${group}; ${name}; ${column}`)
            const timings = await race(field, pace, perTick, (_, iterations) => ({
              type,
              kind: 'text',
              bytes,
              messages: iterations * perTick,
              perTick,
            }))
            cells.push(cellOf({ group, row: name, column, headline: 'ws', target: null }, timings))
          }
        }
      } finally {
        field.stop()
      }
    }
    yield* groupsOf(cells, 'message')
  },
}
