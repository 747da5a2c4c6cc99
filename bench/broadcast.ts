// Strategy: one message to ten thousand. Each contestant is a server in a process of its own with clients in another; they take
// turns, and a turn ends when the last client has everything. What is timed is the server: from the call until everything was
// handed to the operating system.
import type { Bench } from './bench.js'
import { Crowd, type CrowdServerKind, type Load } from './crowd.js'
import { type Cell, cellOf, ours } from './report.js'
import { broadcastTargets } from './targets.js'

const CONNECTIONS = 10_000
const WARM_UP = 3

interface Row {
  readonly row: string
  readonly load: Load
  readonly headline: string
  readonly target: number
  readonly kinds: readonly CrowdServerKind[]
}

const bare = 'bare socket.write'

const rows: readonly Row[] = [
  {
    row: 'one message of 1 KiB',
    load: { messages: 1, bytes: 1024, compress: false },
    headline: bare,
    target: broadcastTargets.one,
    kinds: ['bare', 'ws', 'sansocket'],
  },
  {
    row: 'ten of 100 B in one tick',
    load: { messages: 10, bytes: 100, compress: false },
    headline: 'ws',
    target: broadcastTargets.ten,
    kinds: ['bare', 'ws', 'sansocket'],
  },
  ...[1, 8].map((kilobytes): Row => ({
    row: `one of ${kilobytes} KiB, compressed`,
    load: { messages: 1, bytes: 1024 * kilobytes, compress: true },
    headline: 'ws',
    target: broadcastTargets.compressed,
    kinds: ['ws', 'sansocket'],
  })),
]

const nameOf = (kind: CrowdServerKind): string => (kind === 'bare' ? bare : kind === 'ws' ? 'ws' : ours)

async function measureRow({ load, kinds }: Row, rounds: number): Promise<Map<string, number[]>> {
  const crowds = new Map<CrowdServerKind, Crowd>()
  const timings = new Map<string, number[]>(kinds.map(kind => [nameOf(kind), []]))
  try {
    for (const kind of kinds) {
      const crowd = await Crowd.start(kind, { compress: load.compress, grouped: true })
      crowds.set(kind, crowd)
      await crowd.open(CONNECTIONS)
    }
    for (let round = -WARM_UP; round < rounds; round++) {
      const order = [...crowds]
      if (round % 2 !== 0) order.reverse()
      for (const [kind, crowd] of order) {
        const ms = await crowd.broadcast(load)
        if (round >= 0) timings.get(nameOf(kind))!.push((ms * 1e6) / CONNECTIONS / load.messages)
      }
    }
  } finally {
    for (const crowd of crowds.values()) crowd.stop()
  }
  return timings
}

export const broadcast: Bench = {
  title: 'broadcast: to 10,000 connections at once, beside `ws` and a bare loop',
  notes: [
    'A ratio of 1 is as fast as the loop; `ws` frames each message for each connection. Compressed: JSON, to clients that offer',
    'what browsers offer; `ws` has the thread pool, so all cores, compress it for each.',
  ],
  async *run(context) {
    for (const row of rows) {
      const group = 'to 10,000'
      const column = 'until handed over'
      if (!context.wanted(group, row.row, column)) continue
      context.progress(`${group}; ${row.row}`)
      const timings = await measureRow(row, context.pace.rounds * 2)
      const place = { group, row: row.row, column, headline: row.headline, target: row.target }
      const cells: Cell[] = [cellOf(place, timings)]
      yield { cells, operation: 'message and connection' }
    }
  },
}
