// A pool of connections under a supervisor: `node build/examples/supervised-pool.js`. Four workers, each a process with a
// name and a connection of its own, ask a server on a free loopback port; jobs are spread over them by name, so nobody
// holds a worker that may have been replaced. One job makes its worker crash: its supervisor starts another under the same
// name, and whoever waited for an answer asks again. In the end the workers are stopped in the opposite order. If
// anything of this did not happen, the exit code is 1.
import {
  call,
  childSpec,
  defineBehaviour,
  type From,
  listen,
  NoProcessError,
  reply,
  type Socket,
  startSupervisor,
  type SupervisorEvent,
} from 'sansocket'

const WORKERS = 4
const JOBS = 60
/** This job crashes whoever gets its answer first. */
const POISON = 23
const LIMIT_MS = 10_000

const names = Array.from({ length: WORKERS }, (_, i) => `worker-${i + 1}`)

const began = performance.now()

function say(who: string, what: string): void {
  const seconds = ((performance.now() - began) / 1000).toFixed(3)
  console.log(`${seconds.padStart(7)}  ${who.padEnd(12)}${what}`)
}

// ------------------------------------------------------------------------------------------------ the server

interface Job {
  readonly id: number
  readonly n: number
}

/** Squares numbers. It answers each job after a while, in no order; one of them wrongly, once. */
class Squares {
  readonly closes: string[] = []
  #poisoned = false

  serve(socket: Socket, worker: string): void {
    socket.onMessage = message => {
      if (message.type !== 'text') return
      const { id, n } = JSON.parse(message.data) as Job
      const poison = n === POISON && !this.#poisoned
      if (poison) this.#poisoned = true
      const answer = poison ? '{"id":' : JSON.stringify({ id, square: n * n })
      setTimeout(() => socket.write(answer), 5 + ((n * 13) % 20))
    }
    void socket.closed.then(({ received }) => this.closes.push(`${worker} ${received?.code ?? 'lost'}`))
  }
}

// ----------------------------------------------------------------------------------------------- the workers

interface WorkerState {
  readonly name: string
  readonly nextId: number
  readonly done: number
  /** Who waits for which answer. */
  readonly waiting: ReadonlyMap<number, From<number>>
}

const worker = defineBehaviour({
  init: (_args: undefined, self): WorkerState => ({
    name: self.name!,
    nextId: 1,
    done: 0,
    waiting: new Map(),
  }),
  handleConnect: ({ attempt, url }, { name }) =>
    say(name, `connected to ${new URL(url).pathname} at attempt ${attempt}`),
  handleCall: (n: number, from: From<number>, state) => ({
    state: { ...state, nextId: state.nextId + 1, waiting: new Map(state.waiting).set(state.nextId, from) },
    reply: JSON.stringify({ id: state.nextId, n }),
  }),
  handleFrame: (frame, state) => {
    if (frame.type !== 'text') return undefined
    // What is no JSON throws, and that ends this worker: its supervisor knows what to do.
    const { id, square } = JSON.parse(frame.data) as { readonly id: number; readonly square: number }
    const waiting = new Map(state.waiting)
    const from = waiting.get(id)
    if (from !== undefined) reply(from, square)
    waiting.delete(id)
    return { state: { ...state, waiting, done: state.done + 1 } }
  },
  terminate: ({ type }, { name, done, waiting }) =>
    say(name, `ends (${type}) after ${done} answers, ${waiting.size} still waited for`),
})

/** Asks a worker by its name; one that is gone is there again soon, and meanwhile the others are. */
async function square(n: number): Promise<{ readonly value: number; readonly asked: number }> {
  for (let asked = 1; ; asked++) {
    const name = names[(n + asked) % names.length]
    try {
      return { value: await call<number>(name, n, { timeoutMs: LIMIT_MS }), asked }
    } catch (error) {
      if (!(error instanceof NoProcessError) || asked > names.length) throw error
      say(name, `is gone, job ${n} goes to another`)
    }
  }
}

const squares = new Squares()
const events: string[] = []

function note(event: SupervisorEvent): void {
  if (event.type === 'child-ended') {
    events.push(`${event.id} ${event.expected ? 'stopped' : 'crashed'}`)
    if (!event.expected) say(event.id, `crashed: ${event.reason.error?.message}`)
  } else if (event.type === 'child-started' && event.restarted) {
    events.push(`${event.id} restarted`)
    say(event.id, 'was started again')
  }
}

let failures = 0

function check(what: string, ok: boolean): void {
  if (!ok) failures++
  say(ok ? 'good' : 'BAD', what)
}

{
  await using server = await listen({}, (socket, { head }) => squares.serve(socket, head.target.slice(1)))
  const specs = names.map(name =>
    childSpec({
      target: `${server.url}/${name}`,
      behaviour: worker,
      // A lost connection is the worker's own business, a crash its supervisor's.
      options: { name, reconnect: { minDelayMs: 20, maxDelayMs: 500 } },
      restart: 'transient',
      shutdownMs: 2000,
    }),
  )
  const pool = await startSupervisor({
    name: 'pool',
    strategy: 'one-for-one',
    maxRestarts: 3,
    withinMs: 5000,
    children: specs,
    onEvent: note,
    signal: AbortSignal.timeout(LIMIT_MS),
  })
  say('pool', `${pool.count().active} workers at ${server.url}`)
  const jobs = Array.from({ length: JOBS }, (_, n) => n)
  const answers = await Promise.all(jobs.map(square))
  const again = answers.filter(({ asked }) => asked > 1).length
  check(
    `${JOBS} jobs answered, ${again} of them asked again`,
    answers.every(({ value }, n) => value === n * n),
  )
  // The others may have answered everything before the one that crashed is back.
  const soon = AbortSignal.timeout(LIMIT_MS)
  while (pool.count().active < WORKERS && !soon.aborted) await new Promise(resolve => setTimeout(resolve, 5))
  const [crashed, ...others] = events.filter(event => event.endsWith(' crashed'))
  const restarted = crashed?.replace(' crashed', ' restarted')
  check(`${crashed}, and ${restarted}`, others.length === 0 && events.includes(restarted ?? ''))
  check(`all ${WORKERS} workers are there`, pool.count().active === WORKERS)
  events.length = 0
  await pool.stop()
  const order = events.join(', ')
  check(
    order,
    order ===
      names
        .map(name => `${name} stopped`)
        .toReversed()
        .join(', '),
  )
}
// The server has ended too, so it has seen all there was to see.
const goodbyes = squares.closes.filter(close => close.endsWith(' 1001')).length
check(`the server saw Close 1001 ${goodbyes} times`, goodbyes === WORKERS)
process.exitCode = failures === 0 ? 0 : 1
