// Strategy: what connections hold on which nothing happens. Each server has a process of its own; some clients come, say
// something and go, and after that everything that is there counts as nobody's. Then many come. What they add is measured
// before they have said anything and after each has been answered once. The floor is a bare `node:net` server: what a
// connection adds to that is the library's.
import { Crowd, type CrowdServerKind } from './crowd.js'
import type { Retained, MemoryBench } from './retain.js'
import { idleMemoryTarget } from './targets.js'

const CONNECTIONS = 10_000
const WARM_UP = 1000

type Found = Readonly<Record<'silent' | 'spoken', { readonly heap: number; readonly rss: number }>>

async function measureOne(kind: CrowdServerKind): Promise<Found> {
  const crowd = await Crowd.start(kind)
  try {
    await crowd.open(WARM_UP)
    await crowd.speak()
    await crowd.close()
    const before = await crowd.memory()
    await crowd.open(CONNECTIONS)
    const silent = await crowd.memory()
    await crowd.speak()
    const spoken = await crowd.memory()
    const each = ({ heap, rss }: { heap: number; rss: number }): { heap: number; rss: number } => ({
      heap: (heap - before.heap) / CONNECTIONS,
      rss: (rss - before.rss) / CONNECTIONS,
    })
    return { silent: each(silent), spoken: each(spoken) }
  } finally {
    crowd.stop()
  }
}

export const idle: MemoryBench = {
  title: 'idle: what each of 10,000 connections holds in a server, beside `ws` and a bare socket',
  notes: [
    'bytes a connection. "above the floor" is what the library adds to a bare `node:net` server that answers the handshake.',
  ],
  async *run(_, wanted) {
    const found = new Map<string, Found>()
    for (const kind of ['bare', 'ws', 'sansocket'] as const) found.set(kind, await measureOne(kind))
    for (const moment of ['silent', 'spoken'] as const) {
      for (const what of ['heap', 'rss'] as const) {
        const name = moment === 'silent' ? 'nothing said yet' : 'one message each way'
        const row = `${name}: ${what === 'heap' ? 'JavaScript heap' : 'resident'}`
        if (!wanted(row)) continue
        const bytes = Object.fromEntries([...found].map(([kind, one]) => [kind, one[moment][what]]))
        yield { row, bytes, wanted: null, met: true } satisfies Retained
        const { bare, ws, sansocket } = bytes
        const above = { ws: ws - bare, sansocket: sansocket - bare }
        const met = above.sansocket <= above.ws * idleMemoryTarget
        yield { row: `${row}, above the floor`, bytes: above, wanted: `≤${idleMemoryTarget} of ws`, met }
      }
    }
  },
}
