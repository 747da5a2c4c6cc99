// Strategy: messages in one direction as fast as they go, by size: sent by a client, received by a client, received by a server.
import type { Bench, Context, Group } from '../bench.js'
import type { Pace, Timings } from '../measure.js'
import { type Cell, ours } from '../report.js'
import type { Kind } from '../sample.js'
import { sizeName } from '../targets.js'
import { clients, few, names, servers } from './entries.js'
import { cellsOf, type Field, inStarts, joinedField, longer, race, type Side, type Wanted } from './field.js'

/** No tick sends more than that. */
const TICK_BYTES = 8 * 1024 * 1024

const kinds: readonly Kind[] = ['text', 'binary']

/** How many messages of a size a tick sends, where so many are wanted. */
const perTickOf = (bytes: number, wanted: number): number =>
  Math.max(1, Math.min(wanted, Math.floor(TICK_BYTES / bytes)))

/** Messages that one iteration stands for. */
const batchOf = (bytes: number): number => Math.max(1, Math.min(100, Math.floor(TICK_BYTES / bytes)))

/** Times as fast as `ws` with its add-ons. */
const sendMany: Readonly<Record<number, number>> = { 16: 8, 125: 8, 1024: 3, 16384: 1.3, 1048576: 1.3 }
const receiveTargets: Readonly<Record<number, number>> = {
  16: 3,
  125: 3,
  1024: 1.7,
  16384: 1.2,
  1048576: 1.2,
}
/** What the behaviour layer has to keep. */
export const LAYER = 0.8

async function* rows(
  context: Context,
  side: Side,
  group: string,
  wanted: (bytes: number) => Wanted,
  time: (field: Field, pace: Pace, kind: Kind, bytes: number) => Promise<Timings>,
): AsyncGenerator<Group> {
  const entries = context.quick ? few : side === 'client' ? clients : servers
  const places = kinds
    .flatMap(kind => context.sizes.map(bytes => ({ kind, bytes, column: sizeName(bytes) })))
    .filter(({ kind, column }) => context.wanted(group, kind, column))
  if (places.length === 0) return
  const trials = places.map(({ kind, bytes, column }) => ({
    label: `${group}; ${kind}; ${column}`,
    time: (field: Field, pace: Pace) => time(field, pace, kind, bytes),
  }))
  const found = await inStarts(
    () => joinedField(side, entries),
    longer(context.pace),
    trials,
    context.progress,
  )
  const cells = places.flatMap(({ kind, bytes, column }, i) =>
    cellsOf({ group, row: kind, column }, found[i], wanted(bytes)),
  )
  yield* groupsOf(cells, 'message')
}

/** Cells by their group. */
export function* groupsOf(cells: readonly Cell[], operation: string): Generator<Group> {
  for (const group of new Set(cells.map(cell => cell.group)))
    yield { cells: cells.filter(cell => cell.group === group), operation }
}

const notes = [
  `Each contestant is a process of its own; the other end is always the same raw socket in another. '${names.raw}' sends and counts`,
  `bytes without looking at them: the limit. '${names.behaviours}' has a behaviour, '${ours}' is connect() and listen().`,
]

export const send: Bench = {
  title: 'send: messages from a client to a raw socket, as fast as they go',
  notes: [
    ...notes,
    'A slot ends when the other end has counted all. Every contestant stops sending while more than 4 MiB wait in it.',
  ],
  async *run(context) {
    for (const many of [100, 1]) {
      const group = `client sends ${many} per tick`
      const wanted = (bytes: number): Wanted => ({
        ws: many === 1 ? 1 : (sendMany[bytes] ?? null),
        layer: LAYER,
      })
      yield* rows(context, 'client', group, wanted, (field, pace, kind, bytes) => {
        const operations = perTickOf(bytes, many)
        return race(field, pace, operations, (_, iterations) => ({
          type: 'send',
          kind,
          bytes,
          messages: iterations * operations,
          perTick: operations,
        }))
      })
    }
  },
}

export const receive: Bench = {
  title: 'receive: messages from a raw socket, as fast as they go',
  notes,
  async *run(context) {
    for (const side of ['client', 'server'] as const) {
      const wanted = (bytes: number): Wanted => ({
        ws: receiveTargets[bytes] ?? null,
        raw: bytes >= 16384 ? 0.6 : null,
        layer: LAYER,
      })
      yield* rows(context, side, `${side} receives`, wanted, (field, pace, kind, bytes) => {
        const operations = batchOf(bytes)
        return race(field, pace, operations, (_, iterations) => ({
          type: 'receive',
          kind,
          bytes,
          messages: iterations * operations,
        }))
      })
    }
  },
}
