// A rolling restart in which nobody loses a message: `node build/examples/rolling-restart.js`. Three server processes run the same
// program (rolling-restart-server.ts); fifty clients (rolling-restart-client.ts) send each other numbered messages all the time.
// One server after the other gets SIGTERM, lets its clients go, ends, and is started anew; in the end one is killed outright.
// Then every number must have been stored once, acknowledged, and received once and in order; if not, the exit code is 1.
//
//   clients ══websockets══▶ servers (processes) ──channel──▶ store (here; rolling-restart-store.ts)
//                 └── SIGTERM: drain, 1001, elsewhere ──┘
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as delay } from 'node:timers/promises'
import { type Process, start, type TargetFactory } from 'sansocket'
import type { Drained } from 'sansocket/server'
import { client, type ClientState } from './rolling-restart-client.js'
import { Store } from './rolling-restart-store.js'

const SERVERS = 3
const CLIENTS = 50
/** Each client is given a message so often. */
const EVERY_MS = 40
/** For all that is still under way when the last message was given. */
const LIMIT_MS = 20_000

const began = performance.now()
const say = (who: string, what: string): void => {
  console.log(`${((performance.now() - began) / 1000).toFixed(2).padStart(6)}  ${who.padEnd(9)}${what}`)
}

// ------------------------------------------------------------------------------------------------ servers

const nameOf = (index: number): string => `client-${index % CLIENTS}`
/** Each sends to the one after it. */
const store = new Store(name => nameOf(Number(name.slice('client-'.length)) + 1))

/** One place for a server, and who is there now. */
class Place {
  readonly name: string
  /** What is known of it outside: a server that goes is in there until it is gone. */
  url: string | null = null
  #child: ChildProcess | null = null

  constructor(index: number) {
    this.name = `server ${index + 1}`
  }

  async start(): Promise<void> {
    const child = fork(new URL('rolling-restart-server.js', import.meta.url))
    this.#child = child
    store.serve(child)
    const [{ url }] = (await once(child, 'message')) as [{ readonly url: string }]
    this.url = url
  }

  /** @returns how its clients went, and how it ended. */
  async stop(
    signal: 'SIGTERM' | 'SIGKILL',
  ): Promise<{ readonly drained: Drained | null; readonly end: string }> {
    const child = this.#child!
    let drained: Drained | null = null
    child.on('message', (message: { readonly drained?: Drained }) => {
      drained = message.drained ?? drained
    })
    child.kill(signal)
    const [code, killed] = (await once(child, 'close')) as [number | null, string | null]
    this.url = null
    return { drained, end: killed ?? `exit code ${code}` }
  }
}

const places = Array.from({ length: SERVERS }, (_, index) => new Place(index))

/** One after the other. @returns whether each ended well. */
async function restartAll(): Promise<boolean> {
  let good = true
  for (const place of places) {
    const { drained, end } = await place.stop('SIGTERM')
    say(place.name, `SIGTERM: ${drained?.closed} clients let go, ${drained?.cut} cut off, ${end}`)
    good &&= drained !== null && end === 'exit code 0'
    await place.start()
  }
  // What no server can announce.
  const { end } = await places[0].stop('SIGKILL')
  say(places[0].name, end)
  await places[0].start()
  return good
}

// ------------------------------------------------------------------------------------------------ clients

type Client = Process<ClientState, never, never, unknown, string>

/** For each attempt any server, but not the one that has just sent us away, or was not there. */
function targetOf(name: string): TargetFactory {
  return ({ last }) => {
    const urls = places.flatMap(({ url }) => url ?? [])
    const others = urls.filter(url => last?.target.startsWith(`${url}/`) !== true)
    const from = others.length > 0 ? others : urls
    return `${from[Math.floor(Math.random() * from.length)]}/clients/${name}`
  }
}

const reconnect = {
  // At once, since the servers spread who they send away; with growing delays where an attempt fails.
  first: 'immediate',
  minDelayMs: 50,
  maxDelayMs: 500,
  // A connection here lives for a moment only.
  resetAfterMs: 100,
} as const

/** The messages that a client was given. */
const textsOf = (name: string, count: number): string[] =>
  Array.from({ length: count }, (_, index) => `${name} says ${index + 1}`)

/** Gives everybody something to send, all the time. @returns how many each was given. */
async function talk(clients: readonly Client[], signal: AbortSignal): Promise<number> {
  let count = 0
  while (!signal.aborted) {
    count++
    for (const [index, one] of clients.entries()) one.info(`${nameOf(index)} says ${count}`)
    await delay(EVERY_MS)
  }
  return count
}

/** Looks at every number. @returns whether all is well. */
function verify(states: readonly ClientState[], count: number): boolean {
  const sum = (what: (state: ClientState) => number): number =>
    states.reduce((total, state) => total + what(state), 0)
  let lost = 0
  let doubled = 0
  let disordered = 0
  const compare = (found: readonly string[], expected: readonly string[]): void => {
    const numbers = new Set(found)
    lost += expected.filter(text => !numbers.has(text)).length
    doubled += found.length - numbers.size
    if (found.join('\n') !== expected.join('\n')) disordered++
  }
  for (const [index, { received }] of states.entries()) {
    compare(store.account(nameOf(index)).sent, textsOf(nameOf(index), count))
    const texts = received.map(({ text }) => text)
    compare(texts, textsOf(nameOf(index + CLIENTS - 1), count))
  }
  const sent = CLIENTS * count
  const acknowledged = sum(state => state.acknowledged)
  const [resent, handedBack] = [sum(state => state.resent), sum(state => state.handedBack)]
  say('clients', `${sum(state => state.reconnects)} reconnections`)
  say('clients', `${handedBack} messages handed back unsent, ${resent} in doubt and sent again`)
  say('store', `${store.repeated} of those it knew; ${store.unannounced} came twice as new ones`)
  say(
    'verdict',
    `${sent} sent, ${acknowledged} acknowledged, ${sum(state => state.received.length)} received`,
  )
  const good = lost + doubled + disordered + store.unannounced === 0 && acknowledged === sent
  say('verdict', `${lost} lost, ${doubled} doubled, ${disordered} out of order: ${good ? 'good' : 'BAD'}`)
  return good
}

await Promise.all(places.map(place => place.start()))
const clients = await Promise.all(
  Array.from({ length: CLIENTS }, (_, index) =>
    start(targetOf(nameOf(index)), client, { reconnect, handleInitialFailure: true }),
  ),
)
say('clients', `${CLIENTS} of them at ${SERVERS} servers`)

const enough = new AbortController()
const talking = talk(clients, enough.signal)
const restarted = await restartAll()
enough.abort()
const count = await talking

const states = (): Promise<ClientState[]> => Promise.all(clients.map(one => one.getState()))
const done = ({ pending, received }: ClientState): boolean => pending.size === 0 && received.length >= count
const limit = performance.now() + LIMIT_MS
while (performance.now() < limit && !(await states()).every(done)) await delay(20)

process.exitCode = verify(await states(), count) && restarted ? 0 : 1
await Promise.all(clients.map(one => one.stop()))
await Promise.all(places.map(place => place.stop('SIGTERM')))
