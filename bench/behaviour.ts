// Strategy: what the behaviour layer costs on top of the socket. The same messages bounce between this process and an echo
// server in another; the only difference is who hands them to the handler: `connect()` with `onMessage`, or `start()` with
// `handleFrame`. A window of messages is in flight, so that the client and not the wire is what is measured; with one in
// flight it is the wire.
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { type Behaviour, connect, listen, type Socket, start } from 'sansocket'
import type { Bench } from './bench.js'
import { type Contestant, measure } from './measure.js'
import { type Cell, cellOf } from './report.js'

const bare = 'bare connect()'
const text = 'x'.repeat(125)

/** Messages per second with the layer, as a share of those without: at most 25 % may be lost. */
const target = 0.75

/** Bounces `iterations` messages, `window` of them at a time. */
interface Bouncer {
  readonly bounce: (iterations: number, window: number) => Promise<number>
  readonly close: () => Promise<unknown>
}

/** Counts down; true while there is one more to send. */
class Round {
  left = 0
  missing = 0
  #done: (() => void) | null = null

  begin(iterations: number): Promise<void> {
    this.left = iterations
    this.missing = iterations
    return new Promise(resolve => {
      this.#done = resolve
    })
  }

  /** One came back. */
  take(): boolean {
    this.missing--
    if (this.missing === 0) this.#done?.()
    if (this.left === 0) return false
    this.left--
    return true
  }
}

async function bounce(
  round: Round,
  write: (data: string) => void,
  iterations: number,
  window: number,
): Promise<number> {
  const done = round.begin(iterations)
  for (let i = 0; i < window && round.left > 0; i++) {
    round.left--
    write(text)
  }
  await done
  return round.missing
}

async function bareBouncer(url: string): Promise<Bouncer> {
  const round = new Round()
  const socket: Socket = await connect(url)
  socket.onMessage = message => {
    if (round.take()) socket.write(message.data)
  }
  return {
    bounce: (iterations, window) => bounce(round, data => socket.write(data), iterations, window),
    close: () => socket.close(),
  }
}

async function behaviourBouncer(
  url: string,
  handler: (round: Round) => Behaviour<number>['handleFrame'] & {},
): Promise<Bouncer> {
  const round = new Round()
  const process = await start(url, { init: () => 0, handleFrame: handler(round) })
  return {
    bounce: (iterations, window) => bounce(round, data => process.write(data), iterations, window),
    close: () => process.stop(),
  }
}

const rows: readonly (readonly [string, (round: Round) => Behaviour<number>['handleFrame'] & {}])[] = [
  ['{ reply: frame }', round => frame => (round.take() ? { reply: frame } : undefined)],
  [
    '{ state, reply: frame }',
    round => (frame, state) => (round.take() ? { state: state + 1, reply: frame } : { state: state + 1 }),
  ],
  ['self.write(frame)', round => (frame, _, self) => void (round.take() && self.write(frame))],
  // eslint-disable-next-line require-await -- the price of a promise is what this row is about
  ['async { reply: frame }', round => async frame => (round.take() ? { reply: frame } : undefined)],
]

export const behaviour: Bench = {
  title: 'behaviour: what start() costs beside a bare connect(): an echo of 125-byte texts over loopback',
  notes: [
    'The echo server is another process. A ratio of 1 is no cost; the target is 0.75, and none for one message in flight.',
  ],
  async *run(context) {
    const child = fork(fileURLToPath(import.meta.url), ['--serve'])
    const [url] = (await once(child, 'message')) as [string]
    const cells: Cell[] = []
    const group = 'echo, 125 B'
    for (const window of [100, 1]) {
      for (const [row, handler] of rows) {
        const column = `${window} in flight`
        if (!context.wanted(group, row, column)) continue
        context.progress(`${group}; ${row}; ${column}`)
        const name = 'sansocket, start()'
        const bouncers = new Map([
          [bare, await bareBouncer(url)],
          [name, await behaviourBouncer(url, handler)],
        ])
        const contestants = [...bouncers].map(([one, bouncer]): Contestant => ({
          name: one,
          run: iterations => bouncer.bounce(iterations * 100, window),
        }))
        const timings = await measure({ contestants, operations: 100 }, context.pace)
        for (const bouncer of bouncers.values()) await bouncer.close()
        const asked = window === 1 || row.startsWith('async') ? null : target
        const renamed = new Map([...timings].map(([one, ns]) => [one === name ? 'sansocket' : one, ns]))
        cells.push(cellOf({ group, row, column, headline: bare, target: asked }, renamed))
      }
    }
    child.kill()
    if (cells.length > 0) yield { cells, operation: 'message' }
  },
}

if (process.argv[2] === '--serve') {
  const server = await listen({}, socket => {
    socket.onMessage = message => void socket.write(message.data)
  })
  process.send!(server.url)
  process.once('disconnect', () => process.exit())
}
