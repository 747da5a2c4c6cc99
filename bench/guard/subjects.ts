// Strategy: the library at work, a turn at a time. A turn makes as little as it can besides: it is called from the event loop,
// leaves an immediate behind, and asks the other end without a promise. What that takes all the same is found by turns that are
// not active, which do everything but what is counted, and is taken out.
import { type Behaviour, connect, listen, type Message, type Socket, start } from 'sansocket'
import { listen as listenWith, type ServerBehaviour } from 'sansocket/server'
import type { Barrier } from './barrier.js'
import { framesOf, payloadOf, type Scenario } from './scenarios.js'

/** What turns are made with. */
export interface Surroundings {
  readonly scenario: Scenario
  readonly barrier: Barrier
  /** Asks the other end to be a server. @returns its port. */
  readonly serve: () => Promise<number>
  /** Tells the other end where the server is, and waits until it has the connections that it is to have. */
  readonly visit: (port: number) => Promise<void>
}

/** Runs one turn, and calls `done` from the event loop when it is over. */
export type Turn = (active: boolean, done: () => void) => void

/** So many bytes are sent before the other end must have received them. */
const AHEAD_BYTES = 128 * 1024
/** So long that no ping is sent while there is somebody to count it, who would be a slow machine. */
const KEEPALIVE = { intervalMs: 3_600_000, timeoutMs: 3_600_000 } as const
const NOTHING = Promise.resolve()
const nothing = (): void => {}

/** Prepares the turns of a scenario. */
export async function turnOf(surroundings: Surroundings): Promise<Turn> {
  const { job } = surroundings.scenario
  if (job === 'send') return sender(surroundings)
  if (job === 'receive') return receiver(surroundings)
  if (job === 'echo') return echo(surroundings)
  return job === 'connect' ? connector(surroundings) : acceptor(surroundings)
}

/** The part of a socket and of a process that sends. */
interface Sending {
  readonly bufferedAmount: number
  write(data: string | Uint8Array): boolean
  send(data: string | Uint8Array): Promise<void>
}

async function sender({ scenario, barrier, serve }: Surroundings): Promise<Turn> {
  const { api, how, kind, messages } = scenario
  const url = `ws://127.0.0.1:${await serve()}/`
  const out: Sending =
    api === 'socket' ? await connect(url) : await start(url, { init: () => 0 }, { keepalive: KEEPALIVE })
  const payload = payloadOf(scenario)
  const data = kind === 'binary' ? payload : payload.toString()
  const turnBytes = framesOf(scenario, true).length
  const ahead = Math.ceil(AHEAD_BYTES / turnBytes)
  let sent = 0
  let turns = 0
  let next = nothing
  const settle = (): void => {
    // What is not with the kernel cannot be waited for.
    if (out.bufferedAmount > 0) setImmediate(settle)
    else {
      barrier.pass(sent, false)
      next()
    }
  }
  const over = (): void => void setImmediate(++turns % ahead === 0 ? settle : next)
  const inSequence = async (active: boolean): Promise<void> => {
    for (let i = 0; i < messages; i++) await (active ? out.send(data) : NOTHING)
    over()
  }
  return (active, done) => {
    next = done
    if (active) sent += turnBytes
    if (how === 'await') {
      void inSequence(active)
      return
    }
    if (active && how === 'write') for (let i = 0; i < messages; i++) out.write(data)
    if (active && how === 'send') for (let i = 0; i < messages; i++) void out.send(data)
    over()
  }
}

/** Counts the messages of a turn. */
class Arrivals {
  readonly #messages: number
  readonly #expected: string | Buffer
  #left = 0
  #looked = false
  #done = nothing

  constructor(scenario: Scenario) {
    const payload = payloadOf(scenario)
    this.#messages = scenario.messages
    this.#expected = scenario.kind === 'binary' ? payload : payload.toString()
  }

  begin(done: () => void): void {
    this.#left = this.#messages
    this.#done = done
  }

  take({ data }: Message): void {
    if (!this.#looked) this.#look(data)
    if (data.length !== this.#expected.length) throw new Error('a message came that was not sent')
    if (--this.#left === 0) setImmediate(this.#done)
  }

  #look(data: string | Uint8Array): void {
    this.#looked = true
    const same = typeof data === 'string' ? data === this.#expected : (this.#expected as Buffer).equals(data)
    if (!same) throw new Error('another message came than was sent')
  }
}

async function receiver({ scenario, barrier, serve }: Surroundings): Promise<Turn> {
  const url = `ws://127.0.0.1:${await serve()}/`
  const arrivals = new Arrivals(scenario)
  if (scenario.api === 'socket') await connect(url, { onMessage: message => arrivals.take(message) })
  else {
    const handleFrame = (message: Message): void => arrivals.take(message)
    await start(url, { init: () => 0, handleFrame }, { keepalive: KEEPALIVE })
  }
  return (active, done) => {
    if (active) arrivals.begin(done)
    else setImmediate(done)
    barrier.pass(0, active)
  }
}

async function echo({ scenario, barrier, visit }: Surroundings): Promise<Turn> {
  const arrivals = new Arrivals(scenario)
  const turnBytes = framesOf(scenario, false).length * scenario.connections
  let echoed = 0
  if (scenario.api === 'socket') {
    const server = await listen({}, socket => {
      socket.onMessage = message => {
        arrivals.take(message)
        socket.write(message.data)
      }
    })
    await visit(server.port)
  } else {
    const behaviour: ServerBehaviour<number> = {
      init: () => 0,
      handleFrame: message => {
        arrivals.take(message)
        return { reply: message }
      },
    }
    // What rests depends on the time.
    const server = await listenWith({ behaviour, keepalive: KEEPALIVE, restAfterMs: Infinity })
    await visit(server.port)
  }
  return (active, done) => {
    if (active) arrivals.begin(done)
    else setImmediate(done)
    barrier.pass(echoed, active)
    if (active) echoed += turnBytes
  }
}

async function connector({ scenario, serve }: Surroundings): Promise<Turn> {
  const url = `ws://127.0.0.1:${await serve()}/`
  const behaviour: Behaviour<number> = { init: () => 0 }
  const turn = async (active: boolean, done: () => void): Promise<void> => {
    if (!active) {
      await NOTHING
      await NOTHING
    } else if (scenario.api === 'socket') {
      const socket = await connect(url)
      await socket.close()
    } else {
      const process = await start(url, behaviour)
      await process.stop()
    }
    setImmediate(done)
  }
  return (active, done) => void turn(active, done)
}

async function acceptor({ scenario, barrier, visit }: Surroundings): Promise<Turn> {
  let next = nothing
  const settle = (): void => {
    barrier.wait()
    next()
  }
  const over = (): void => void setImmediate(settle)
  if (scenario.api === 'socket') {
    const accepted = (socket: Socket): void => void socket.closed.then(over)
    const server = await listen({}, accepted)
    await visit(server.port)
  } else {
    const server = await listenWith({ behaviour: { init: () => 0, terminate: over } })
    await visit(server.port)
  }
  return (active, done) => {
    next = done
    barrier.ask(0, active)
    if (!active) over()
  }
}
