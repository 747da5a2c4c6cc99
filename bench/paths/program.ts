// Strategy: one contestant, in a process and perhaps a runtime of its own, which is told what to do by lines of JSON on its standard
// input and answers with one line each. It keeps the time of what it does itself; the other end is the counterpart, always.
import { performance } from 'node:perf_hooks'
import process from 'node:process'
import { createInterface } from 'node:readline'
import { inParallel } from './in-parallel.js'
import type { Connection, Library, Load } from './library.js'
import { raw } from './libraries/raw.js'
import { faye, global, undici } from './libraries/whatwg.js'
import { websocket } from './libraries/websocket.js'
import { ws } from './libraries/ws.js'
import type { Request } from './raw-frames.js'

/** What a contestant is told. */
export type ContestantTask =
  /** Opens connections to the counterpart. */
  | { readonly type: 'connect'; readonly port: number; readonly count: number }
  /** Answers with its port. Who comes is a connection. */
  | { readonly type: 'listen' }
  /** Sends messages over the first connection, so many a tick, until the other end has counted all. */
  | ({ readonly type: 'send'; readonly messages: number; readonly perTick: number } & Load)
  /** Receives messages over the first connection. */
  | ({ readonly type: 'receive'; readonly messages: number; readonly fragments?: number } & Load)
  /** Echoes, on all connections. */
  | ({ readonly type: 'echo' } & Load)
  /** Opens and closes so many connections, some at a time. */
  | { readonly type: 'handshakes'; readonly port: number; readonly count: number; readonly width: number }
  /** Closes all. */
  | { readonly type: 'close' }
  /** The other end has closed all. */
  | { readonly type: 'forget' }
  /** Milliseconds of processor time up to now. */
  | { readonly type: 'cpu' }

/** How long a thing took. */
export interface Took {
  readonly ms: number
  /** Of processor time, of all threads of the process. */
  readonly cpuMs: number
}

/** The contestants, by name. What only some runtimes can load is loaded when it is asked for. */
const libraries: Readonly<Record<string, () => Library | Promise<Library>>> = {
  raw: () => raw,
  ws,
  undici,
  websocket,
  faye,
  global,
  sansocket: async () => (await import('./libraries/sansocket.js')).sansocket(),
  behaviours: async () => (await import('./libraries/sansocket.js')).behaviours(),
}

/** What is held back at most before more is sent. */
const HIGH_WATER = 4 * 1024 * 1024
const LIFE_MS = 30 * 60_000

const connections: Connection[] = []

function cpuMs(): number {
  const { user, system } = process.cpuUsage()
  return (user + system) / 1000
}

async function timed(work: () => Promise<unknown>): Promise<Took> {
  const cpu = cpuMs()
  const start = performance.now()
  await work()
  return { ms: performance.now() - start, cpuMs: cpuMs() - cpu }
}

const ask = (connection: Connection, request: Request): void => connection.say(JSON.stringify(request))

async function send(connection: Connection, load: Load, messages: number, perTick: number): Promise<Took> {
  const ready = connection.hear()
  ask(connection, { do: 'count', messages })
  if ((await ready) !== 'ready') throw new Error('the counterpart is not ready')
  const some = connection.sender(load, perTick)
  return timed(async () => {
    const done = connection.hear()
    let left = messages
    await new Promise<void>(resolve => {
      const tick = (): void => {
        if (connection.buffered() < HIGH_WATER) {
          some()
          left -= perTick
        }
        if (left > 0) setImmediate(tick)
        else resolve()
      }
      tick()
    })
    if ((await done) !== 'done') throw new Error('not all has arrived')
  })
}

async function receive(
  connection: Connection,
  load: Load,
  messages: number,
  fragments: number,
): Promise<Took> {
  const expected = messages * load.bytes
  return timed(async () => {
    const all = connection.count(load, messages)
    ask(connection, { do: 'give', kind: load.kind, bytes: load.bytes, messages, fragments })
    if ((await all) !== expected) throw new Error(`not what was sent: ${await all} of ${expected}`)
  })
}

async function closeAll(): Promise<null> {
  await Promise.all(connections.splice(0).map(connection => connection.close()))
  return null
}

async function handle(library: Library, task: ContestantTask): Promise<unknown> {
  if (task.type === 'cpu') return cpuMs()
  if (task.type === 'close') return closeAll()
  if (task.type === 'forget') {
    connections.length = 0
    return null
  }
  if (task.type === 'listen') return library.listen!(connection => void connections.push(connection))
  if (task.type === 'connect') {
    for (let i = 0; i < task.count; i++) connections.push(await library.connect(task.port))
    return null
  }
  if (task.type === 'handshakes') {
    const { port, count, width } = task
    return timed(() => inParallel(count, width, async () => (await library.connect(port)).close()))
  }
  if (task.type === 'echo') {
    for (const connection of connections) connection.echo(task)
    return null
  }
  // Of those that came, the last is the one that is still there.
  const connection = connections.at(-1)!
  if (task.type === 'send') return send(connection, task, task.messages, task.perTick)
  return receive(connection, task, task.messages, task.fragments ?? 1)
}

const library = await libraries[process.argv[2]]()
setTimeout(() => process.exit(1), LIFE_MS).unref()
const lines = createInterface({ input: process.stdin })
lines.on('line', line => {
  void handle(library, JSON.parse(line) as ContestantTask).then(
    answer => process.stdout.write(`${JSON.stringify({ answer })}\n`),
    (error: unknown) => process.stdout.write(`${JSON.stringify({ error: String(error) })}\n`),
  )
})
lines.on('close', () => process.exit())
