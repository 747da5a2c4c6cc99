// Strategy: how long an echo takes at fixed rates. The neutral end says messages when they are due, whether or not what went before has
// come back, and counts from when a message was due; so who makes it wait cannot hide that. The rate is half of what `ws` does in a
// closed loop in the same run, and a tenth.
import type { Bench } from '../bench.js'
import { type Cell, ours } from '../report.js'
import type { Kind } from '../sample.js'
import { few, names, servers } from './entries.js'
import { cellsOf, Field, type Side } from './field.js'
import { groupsOf } from './streams.js'
import type { Latency } from './raw-peer.js'

const CONNECTIONS = 32
const BYTES = 125
const QUANTILES = ['p50', 'p99', 'p999'] as const
const columns: Readonly<Record<(typeof QUANTILES)[number], string>> = {
  p50: 'p50',
  p99: 'p99',
  p999: 'p99.9',
}

export const echo: Bench = {
  title: 'echo: how long an echo of 125 bytes takes at a fixed rate over 32 connections',
  notes: [
    'An open loop: time counts from when a message was due (no coordinated omission). The rates are shares of what ws saturates at,',
    'each connection waiting for its echo before it says the next.',
  ],
  async *run(context) {
    const { rounds, slotMs } = context.pace
    const ms = slotMs * 40
    const cells: Cell[] = []
    const notes: string[] = []
    for (const side of ['server', 'client'] satisfies Side[]) {
      for (const kind of ['text', 'binary'] satisfies Kind[]) {
        const row = (share: string): string => `${side}, ${kind}, ${share}`
        const shares = (
          [
            ['half the rate', 0.5],
            ['a tenth', 0.1],
          ] as const
        ).filter(([share]) => context.wanted('echo', row(share), ''))
        if (shares.length === 0) continue
        context.progress(`echo; ${side}; ${kind}`)
        const field = await Field.start(side, context.quick ? few : servers)
        const { counterpart } = field
        try {
          const load = { kind, bytes: BYTES }
          // Only who is being measured is connected: the neutral end speaks to all that are.
          const turn = async <T>(index: number, work: () => Promise<T>): Promise<T> => {
            const one = field.contestants[index]
            await field.join(one, CONNECTIONS)
            await one.ask({ type: 'echo', ...load })
            const found = await work()
            await field.part(one)
            return found
          }
          const saturated: number[] = []
          for (const index of field.contestants.keys()) {
            for (let i = 0; i < 3; i++)
              saturated[index] = await turn(index, () =>
                counterpart.ask<number>({ type: 'saturate', ms, ...load }),
              )
          }
          const ws = field.contestants.findIndex(({ name }) => name === names.ws)
          notes.push(
            `${side}, ${kind}: a closed loop does ${field.contestants.map(({ name }, i) => `${name} ${Math.round(saturated[i]).toLocaleString('en-US')}`).join(', ')} a second`,
          )
          for (const [share, part] of shares) {
            const rate = saturated[ws] * part
            const found = new Map(QUANTILES.map(q => [q, new Map<string, number[]>()]))
            for (let round = 0; round < rounds; round++) {
              const order = [...field.contestants.keys()]
              if (round % 2 === 1) order.reverse()
              for (const index of order) {
                const latency = await turn(index, () =>
                  counterpart.ask<Latency>({ type: 'load', rate, ms, ...load }),
                )
                for (const q of QUANTILES) {
                  const { name } = field.contestants[index]
                  const values = found.get(q)!.get(name) ?? []
                  found.get(q)!.set(name, [...values, latency[q]])
                }
              }
            }
            for (const q of QUANTILES) {
              const wanted = part === 0.5 && q !== 'p999' ? { ws: 1, raw: 0.8 } : { ws: null }
              const place = { group: 'echo', row: row(share), column: columns[q], unit: 'µs' }
              cells.push(...cellsOf(place, found.get(q)!, wanted))
            }
          }
        } finally {
          field.stop()
        }
      }
    }
    const [first, ...rest] = groupsOf(cells, 'echo')
    if (first === undefined) return
    yield { ...first, notes: [...notes, `${ours} and its peers at the same rate, that of ws`] }
    yield* rest
  },
}
