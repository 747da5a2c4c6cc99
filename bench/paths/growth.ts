// Strategy: what a message costs as something grows: how many connections there are, how many fragments a message has, how long it is.
// One thing is changed at a time; a flat line is what is wanted.
import type { Bench, Context, Group } from '../bench.js'
import { measure } from '../measure.js'
import type { Cell } from '../report.js'
import type { Kind } from '../sample.js'
import { sizeName } from '../targets.js'
import type { Entry } from './contestant.js'
import { few, names } from './entries.js'
import { cellsOf, Field, inStarts, joinedField, longer, type Place, race, type Trial } from './field.js'
import { groupsOf } from './streams.js'

const CONNECTIONS = [1, 10, 100, 1000, 10_000]
const FRAGMENTS = [1, 10, 100, 1000]
const FRAGMENTED_BYTES = 64 * 1024
const SIZES = [16, 256, 4096, 65_536, 1024 * 1024, 16 * 1024 * 1024]
const ECHO_BYTES = 125
/** What one iteration of a size brings, about. */
const BATCH_BYTES = 1024 * 1024

const count = (one: string, number: number): string =>
  `${number.toLocaleString('en-US')} ${one}${number === 1 ? '' : 's'}`

/** Milliseconds for an echo among so many that all wait for theirs. */
async function byConnections(context: Context, cells: Cell[]): Promise<void> {
  const [group, row] = ['an echo, by how many are connected to the server', 'text, 125 B']
  const wanted = CONNECTIONS.filter(number => context.wanted(group, row, count('connection', number)))
  if (wanted.length === 0) return
  const field = await Field.start('server', few)
  const { counterpart } = field
  const load = { kind: 'text', bytes: ECHO_BYTES } as const
  try {
    for (const number of wanted) {
      const column = count('connection', number)
      context.progress(`${group}; ${column}`)
      const contestants = field.contestants.map(one => ({
        name: one.name,
        ownClock: true,
        // As many as it comes to in the time, so each echo is counted as one iteration's share.
        run: async (iterations: number): Promise<number> => {
          // Long enough that each says several messages: the first of a connection that has been silent costs more.
          const ms = Math.max(context.pace.slotMs * 20, number / 5)
          await field.join(one, number)
          await one.ask({ type: 'echo', ...load })
          const rate = await counterpart.ask<number>({ type: 'saturate', ms, ...load })
          await field.part(one)
          return (iterations * 1000) / rate
        },
      }))
      const timings = await measure({ contestants, operations: 1 }, { ...context.pace, slotMs: 0.001 })
      cells.push(...cellsOf({ group, row, column }, timings, { ws: null }))
    }
  } finally {
    field.stop()
  }
}

/** Something that is timed, and where it is shown. */
interface Placed extends Trial {
  readonly place: Place
}

/** Times those that were asked for, in processes of their own. */
async function timed(
  context: Context,
  entries: readonly Entry[],
  placed: readonly Placed[],
): Promise<Cell[]> {
  const wanted = placed.filter(({ place: { group, row, column } }) => context.wanted(group, row, column))
  if (wanted.length === 0) return []
  const open = (): Promise<Field> => joinedField('client', entries)
  const found = await inStarts(open, longer(context.pace), wanted, context.progress)
  return wanted.flatMap(({ place }, i) => cellsOf(place, found[i], { ws: null }))
}

const trial = (group: string, row: string, column: string, time: Trial['time']): Placed => ({
  place: { group, row, column },
  label: `${group}; ${row}; ${column}`,
  time,
})

const kinds: readonly Kind[] = ['text', 'binary']

function byFragments(context: Context): Promise<Cell[]> {
  const group = 'a message of 64 KiB, by its fragments'
  const trials = kinds.flatMap(kind =>
    FRAGMENTS.map(fragments =>
      trial(group, `${kind}, received by a client`, count('fragment', fragments), (field, pace) =>
        race(field, pace, 10, (_, iterations) => ({
          type: 'receive',
          kind,
          bytes: FRAGMENTED_BYTES,
          fragments,
          messages: iterations * 10,
        })),
      ),
    ),
  )
  // The raw socket counts the bytes of whole frames.
  return timed(
    context,
    few.filter(({ name }) => name !== names.raw),
    trials,
  )
}

function bySize(context: Context): Promise<Cell[]> {
  const group = 'a KiB, by the size of its message'
  const trials = kinds.flatMap(kind =>
    SIZES.flatMap(bytes => {
      const messages = Math.max(1, Math.round(BATCH_BYTES / bytes))
      const perTick = Math.min(100, messages)
      return [
        trial(group, `${kind}, received by a client`, sizeName(bytes), (field, pace) =>
          race(field, pace, (messages * bytes) / 1024, (_, iterations) => ({
            type: 'receive',
            kind,
            bytes,
            messages: iterations * messages,
          })),
        ),
        trial(group, `${kind}, sent by a client`, sizeName(bytes), (field, pace) =>
          race(field, pace, (perTick * bytes) / 1024, (_, iterations) => ({
            type: 'send',
            kind,
            bytes,
            messages: iterations * perTick,
            perTick,
          })),
        ),
      ]
    }),
  )
  return timed(context, few, trials)
}

export const growth: Bench = {
  title: 'growth: what a message costs as connections, fragments and sizes grow',
  notes: [
    'Of messages up to 100 a tick are sent. With many connections each waits for its echo before it says the next.',
  ],
  async *run(context): AsyncGenerator<Group> {
    const cells: Cell[] = []
    await byConnections(context, cells)
    yield* groupsOf(cells, 'echo')
    yield* groupsOf(await byFragments(context), 'message')
    yield* groupsOf(await bySize(context), 'KiB')
  },
}
