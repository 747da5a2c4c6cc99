// A market-data feed that can be resumed: `node build/examples/market-feed.js`. An exchange on a free loopback port numbers
// its ticks and, on this bad day, drops its client now and then, once in the middle of a tick. The client comes back by
// itself, each time with a token of its own, and asks for what it has not seen. In the end every tick must have come
// once, in order; if not, the exit code is 1.
//
//   exchange ──tick 1, 2, 3 …──▶ handleFrame ──▶ desk (works at its own pace) ──credits──▶ updateFlow
//       ▲                            │
//       └──"resume from n"── handleConnect ◀── reconnect
import { randomUUID } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import {
  type DisconnectStatus,
  headerValue,
  listen,
  type Listener,
  type Socket,
  start,
  type TargetFactory,
} from 'sansocket'

const TICKS = 2000
/**
 * How many ticks may be on the client's desk, and a few more where a connection was lost: a slow client slows the exchange
 * down and does not drown.
 */
const DESK_SIZE = 50
const LIMIT_MS = 10_000

interface Tick {
  readonly n: number
  readonly symbol: string
  /** In cents. */
  readonly price: number
}

const began = performance.now()

function say(who: string, what: string): void {
  const seconds = ((performance.now() - began) / 1000).toFixed(3)
  console.log(`${seconds.padStart(7)}  ${who.padEnd(9)}${what}`)
}

// ---------------------------------------------------------------------------------------------- the exchange

/** Publishes ticks, keeps them all, and sends each client those it asks for. */
class Exchange {
  readonly ticks: Tick[] = []
  drops = 0
  readonly #tokens = new Set<string>()
  /** Connections are dropped at these ticks; at the last one in the middle of the message. */
  readonly #badMoments = [300, 301, 700, 1200]
  #wake: () => void = () => {}
  #published = new Promise<void>(resolve => (this.#wake = resolve))

  /** What a token service would answer; a token is good for one connection. */
  async issueToken(): Promise<string> {
    await delay(2)
    const token = randomUUID()
    this.#tokens.add(token)
    return token
  }

  /** The market: a burst of ticks every few milliseconds. */
  async open(): Promise<void> {
    const symbols = ['ACME', 'INIT', 'UMBR']
    while (this.ticks.length < TICKS) {
      for (let burst = 0; burst < 10; burst++) {
        const n = this.ticks.length + 1
        this.ticks.push({ n, symbol: symbols[n % symbols.length], price: 10_000 + ((n * 7919) % 977) })
      }
      this.#wake()
      this.#published = new Promise(resolve => (this.#wake = resolve))
      await delay(3)
    }
    say('exchange', `the market is closed after ${this.ticks.length} ticks`)
  }

  /** One client: the first message says from where on. */
  serve(socket: Socket, authorization: string | null): void {
    const token = /^Bearer (.+)$/.exec(authorization ?? '')?.[1] ?? ''
    if (!this.#tokens.delete(token)) {
      void socket.close(4401, 'no valid token')
      return
    }
    socket.onMessage = message => {
      if (message.type !== 'text') return
      const { resume } = JSON.parse(message.data) as { readonly resume: number }
      // When the client is gone it will ask somebody else for the rest.
      this.#send(socket, resume).catch(() => {})
    }
  }

  async #send(socket: Socket, from: number): Promise<void> {
    for (let n = from; socket.state === 'open'; n++) {
      while (this.ticks.length < n) await this.#published
      const text = JSON.stringify(this.ticks[n - 1])
      if (n !== this.#badMoments[0]) {
        // Settles when there is room for more.
        await socket.send(text)
        continue
      }
      this.#badMoments.shift()
      this.drops++
      if (this.#badMoments.length === 0) {
        say('exchange', `drops the connection in the middle of tick ${n}`)
        await socket.send(halfOf(text, socket))
      }
      say('exchange', `drops the connection before tick ${n}`)
      socket.terminate()
    }
  }
}

/** A message that never ends. */
async function* halfOf(text: string, socket: Socket): AsyncGenerator<string> {
  yield text.slice(0, text.length / 2)
  await delay(10)
  socket.terminate()
}

// ------------------------------------------------------------------------------------------------ the client

/** Takes ticks, and works on them later. */
class Desk {
  /** The numbers of all ticks that were worked on. */
  readonly done: number[] = []
  turnover = 0
  deepest = 0
  readonly #waiting: Tick[] = []
  /** Settles when the last tick was worked on. */
  readonly finished: Promise<void>
  #finish!: () => void

  constructor() {
    this.finished = new Promise(resolve => (this.#finish = resolve))
  }

  put(tick: Tick): void {
    this.#waiting.push(tick)
    this.deepest = Math.max(this.deepest, this.#waiting.length)
  }

  /** Works until there are no more ticks. @param ready - is told how many were taken from the desk. */
  async work(ready: (count: number) => void): Promise<void> {
    while (this.done.length < TICKS) {
      await delay(4)
      const batch = this.#waiting.splice(0, 25)
      for (const { n, price } of batch) {
        this.done.push(n)
        this.turnover += price
      }
      if (batch.length > 0) ready(batch.length)
    }
    this.#finish()
  }
}

interface FeedState {
  /** The tick that should come next. */
  readonly next: number
  readonly connections: number
}

function describe({ reason, phase, attempt, error }: DisconnectStatus): string {
  const why = reason.code === null ? (error?.message ?? reason.type) : `${reason.code} ${reason.text}`
  return `lost (${reason.type}, phase ${phase}, attempt ${attempt}): ${why}`
}

async function trade(exchange: Exchange, { url }: Listener): Promise<boolean> {
  const desk = new Desk()
  // Asked for each attempt: a token that has been used, or has expired, is not shown again.
  const target: TargetFactory = async () => ({
    url: `${url}/ticks`,
    headers: { Authorization: `Bearer ${await exchange.issueToken()}` },
  })
  const limit = AbortSignal.timeout(LIMIT_MS)
  const feed = await start(
    target,
    {
      init: (): FeedState => ({ next: 1, connections: 0 }),
      handleConnect: ({ attempt }, { next, connections }) => {
        say('client', `connected at attempt ${attempt}, resumes from tick ${next}`)
        return { state: { next, connections: connections + 1 }, reply: JSON.stringify({ resume: next }) }
      },
      handleFrame: (frame, state) => {
        if (frame.type !== 'text') return undefined
        const tick = JSON.parse(frame.data) as Tick
        // A crash: nobody should trade on a feed with a hole in it.
        if (tick.n !== state.next) throw new Error(`tick ${tick.n} came instead of ${state.next}`)
        desk.put(tick)
        return { state: { ...state, next: tick.n + 1 } }
      },
      handleDisconnect: status => say('client', describe(status)),
    },
    {
      name: 'market-feed',
      flow: DESK_SIZE,
      // Full jitter: a thousand clients of one exchange do not come back in the same millisecond.
      reconnect: { minDelayMs: 50, maxDelayMs: 1000, jitter: 'full' },
      keepalive: { intervalMs: 5000, timeoutMs: 2000 },
      signal: limit,
    },
  )
  void desk.work(count => feed.updateFlow(count))
  await Promise.race([desk.finished, feed.ended])
  const reason = feed.phase === 'ended' ? await feed.ended : null
  if (reason !== null) say('client', `ended too early: ${reason.error?.message ?? reason.type}`)
  else {
    const { connections } = await feed.getState()
    say('client', `${desk.done.length} ticks over ${connections} connections, ${exchange.drops} drops`)
    say('client', `never more than ${desk.deepest} ticks on the desk`)
  }
  await feed.stop()
  return verify(exchange, desk)
}

/** No tick lost, none doubled, none out of order. */
function verify({ ticks, drops }: Exchange, { done, turnover }: Desk): boolean {
  const inOrder = done.length === ticks.length && done.every((n, i) => n === i + 1)
  const expected = ticks.reduce((sum, { price }) => sum + price, 0)
  const ok = inOrder && turnover === expected && drops > 0
  const numbers = new Set(done)
  const lost = ticks.filter(({ n }) => !numbers.has(n)).length
  const doubled = done.length - numbers.size
  say(
    'verdict',
    `${lost} lost, ${doubled} doubled, turnover ${turnover} of ${expected}: ${ok ? 'good' : 'BAD'}`,
  )
  return ok
}

const exchange = new Exchange()
let ok = false
{
  await using server = await listen({}, (socket, { head }) =>
    exchange.serve(socket, headerValue(head.headers, 'authorization')),
  )
  say('exchange', `open at ${server.url}`)
  const market = exchange.open()
  ok = await trade(exchange, server)
  await market
}
process.exitCode = ok ? 0 : 1
