// Strategy: what a message costs a server that ten thousand are connected to, in processor time of its process, the operating
// system's part counted. Each client says one short message and waits for the answer, some hundred at a time; at once again, or
// after a pause in which the library's processes have come to rest and have to be woken. The clients are a process of their own.
import { setTimeout as wait } from 'node:timers/promises'
import type { Bench } from './bench.js'
import { Crowd, type CrowdServerKind } from './crowd.js'
import { type Cell, cellOf, ours } from './report.js'

const CONNECTIONS = 10_000
const WARM_UP = 3
/** Longer than `restAfterMs`. */
const PAUSE_MS = 2500
const KEEPALIVE_MS = 5000

const names: Readonly<Record<CrowdServerKind, string>> = { bare: 'bare socket', ws: 'ws', sansocket: ours }

interface Measured {
  /** Nanoseconds a message and its answer, a round each. */
  readonly timings: Map<string, number[]>
  /** Microseconds of processor time a handshake. */
  readonly handshakes: Map<string, number>
}

async function measure(rounds: number, pauseMs: number): Promise<Measured> {
  const crowds = new Map<CrowdServerKind, Crowd>()
  const timings = new Map<string, number[]>()
  const handshakes = new Map<string, number>()
  try {
    for (const kind of ['bare', 'ws', 'sansocket'] as const) {
      const crowd = await Crowd.start(kind)
      crowds.set(kind, crowd)
      timings.set(names[kind], [])
      // The first few thousand compile what the others run.
      await crowd.open(CONNECTIONS / 2)
      const before = await crowd.cpuMs()
      await crowd.open(CONNECTIONS / 2)
      handshakes.set(names[kind], (((await crowd.cpuMs()) - before) * 1000) / (CONNECTIONS / 2))
    }
    for (let round = -WARM_UP; round < rounds; round++) {
      const order = [...crowds]
      if (round % 2 !== 0) order.reverse()
      for (const [kind, crowd] of order) {
        // The first of two in a row wakes who rests.
        if (pauseMs === 0) await crowd.speak()
        else await wait(pauseMs)
        const before = await crowd.cpuMs()
        await crowd.speak()
        const ms = (await crowd.cpuMs()) - before
        if (round >= 0) timings.get(names[kind])!.push((ms * 1e6) / CONNECTIONS)
      }
    }
  } finally {
    for (const crowd of crowds.values()) crowd.stop()
  }
  return { timings, handshakes }
}

/** Nanoseconds of processor time for one ping of a process at rest, and its pong. */
async function keepalive(intervals: number): Promise<number> {
  const crowd = await Crowd.start('sansocket', { keepaliveMs: KEEPALIVE_MS })
  try {
    await crowd.open(CONNECTIONS)
    await wait(2 * KEEPALIVE_MS)
    const before = await crowd.cpuMs()
    await wait(intervals * KEEPALIVE_MS)
    return (((await crowd.cpuMs()) - before) * 1e6) / intervals / CONNECTIONS
  } finally {
    crowd.stop()
  }
}

export const serve: Bench = {
  title: 'serve: processor time of a server with 10,000 connections, beside `ws` and a bare socket',
  notes: [
    'Both ways: a short message comes, and an empty one goes. A ratio is to `ws`; the bare socket parses nothing.',
  ],
  async *run({ pace, quick, wanted, progress }) {
    const cells: Cell[] = []
    const notes: string[] = []
    const group = 'one of 10,000 says something and is answered'
    const column = 'processor time'
    for (const [row, pauseMs] of [
      ['busy', 0],
      ['after a pause', PAUSE_MS],
    ] as const) {
      if (!wanted(group, row, column)) continue
      progress(`${group}; ${row}`)
      const { timings, handshakes } = await measure(pace.rounds, pauseMs)
      const all = [...handshakes].map(([name, us]) => `${name} ${us.toFixed(0)} µs`)
      notes.push(`a handshake: ${all.join(', ')}`)
      cells.push(cellOf({ group, row, column, headline: 'ws', target: null }, timings))
    }
    if (cells.length === 0) return
    progress('keepalive')
    const us = (await keepalive(quick ? 2 : 6)) / 1000
    notes.push(`a keepalive ping of a process at rest, and its pong: ${us.toFixed(1)} µs`)
    yield { cells, operation: 'message and its answer', notes }
  },
}
