// Strategy: a server with many clients goes away and comes back. What is good for the server is that not all of them knock at the same
// moment; what is good for the clients, that they are soon back. Beside clients written by hand on `ws`, that try again after a second.
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import type { Bench } from '../bench.js'
import { type Cell, cellOf, ours } from '../report.js'
import { Counterpart } from './contestant.js'
import type { Storm } from './storm-program.js'

const CLIENTS = 1000
const GONE_MS = 3000

const kinds = { 'ws, again after 1 s': 'ws', [ours]: 'sansocket' } as const
const rows = [
  ['attempts in the worst tenth of a second', 'attempts', ({ worst }: Storm) => worst],
  ['attempts of all', 'attempts', ({ attempts }: Storm) => attempts],
  ['seconds until all are back', 's', ({ seconds }: Storm) => seconds],
] as const

async function once1000(kind: string): Promise<Storm> {
  const counterpart = await Counterpart.start()
  const file = fileURLToPath(new URL('storm-program.js', import.meta.url))
  const clients = fork(file, [kind, String(counterpart.port), String(CLIENTS)])
  try {
    await once(clients, 'message')
    const back = once(clients, 'message')
    await counterpart.ask({ type: 'vanish', ms: GONE_MS })
    const [storm] = (await back) as [Storm]
    return storm
  } finally {
    clients.kill()
    counterpart.stop()
  }
}

export const storm: Bench = {
  title: 'storm: 1,000 clients whose server is gone for three seconds',
  notes: ['Both try for ever. sansocket: `start()` with `reconnect: true`, as it comes.'],
  async *run({ pace, quick, wanted, progress }) {
    const found = rows.map(() => new Map<string, number[]>())
    const group = 'a server is gone for 3 s'
    if (!wanted(group, '', '')) return
    for (let round = 0; round < (quick ? 1 : Math.min(3, pace.rounds)); round++) {
      for (const [name, kind] of Object.entries(kinds)) {
        progress(`${group}; ${name}`)
        const result = await once1000(kind)
        rows.forEach(([, , value], i) => found[i].set(name, [...(found[i].get(name) ?? []), value(result)]))
      }
    }
    for (const [i, [row, unit]] of rows.entries()) {
      const place = { group: row, row: `${CLIENTS} clients`, column: group, unit }
      const cell: Cell = cellOf({ ...place, headline: 'ws, again after 1 s', target: null }, found[i])
      yield { cells: [cell], operation: 'storm' }
    }
  },
}
