// Strategy: what compression holds. Each library's clients live in a process of their own, which opens many connections, says
// a few messages on each, hears as many, and then is left in peace; its memory after full collections, less what it was after
// a warm-up that was ended again, is what the connections hold. RSS is what the machine has to have, with zlib's memory and what
// the allocator does not give back; heap and external are in use, and do not count zlib's memory, so they have no target.
//
// Growth is what 50,000 more messages of mixed sizes, each answered by one, add to what the first 50,000 have left.
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as wait } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { withAddOns } from './bench.js'
import { type Client, type Open, openers } from './deflate-clients.js'
import { type Peer, startPeer } from './deflate-peer.js'
import { json, mixedMessages } from './deflate-sample.js'
import { collect } from './measure.js'
import { loadPeers } from './peers.js'
import { ours } from './report.js'
import type { MemoryBench, Retained } from './retain.js'
import { seeded } from './sample.js'
import { deflateGrowthTarget, deflateMemoryTarget } from './targets.js'

const CONNECTIONS = 500
const WARM_UP = 20
/** Messages each way and connection. */
const FEW = 5
/** Engines that `sansocket` keeps are closed within ten seconds without use. */
const IDLE_MS = 12_000
const SETTLE_MS = 300
const GROWTH_CONNECTIONS = 4
const GROWTH_MESSAGES = 50_000
/** Messages that wait for an answer, for each connection. */
const WINDOW = 8
const LIFE_MS = 10 * 60_000

/** One moment's memory, in bytes. */
interface Memory {
  readonly rss: number
  readonly used: number
}

/** What a child finds: memory between the moments it was asked about. */
type Found = Readonly<Record<string, Memory>>

async function memory(): Promise<Memory> {
  // More than once: finalizers run between, and give back what is outside the heap.
  for (let i = 0; i < 3; i++) {
    collect()
    await wait(SETTLE_MS)
  }
  const { rss, heapUsed, external } = process.memoryUsage()
  return { rss, used: heapUsed + external }
}

function less(after: Memory, before: Memory, divisor = 1): Memory {
  return { rss: (after.rss - before.rss) / divisor, used: (after.used - before.used) / divisor }
}

/** Sends `count` messages, `window` of them unanswered at a time, and waits for the answers. */
function exchange(client: Client, next: () => string, count: number, window: number): Promise<void> {
  return new Promise(resolve => {
    let left = count
    let missing = count
    const one = (): void => {
      if (left === 0) return
      left--
      client.send(next())
    }
    client.onData = () => {
      missing--
      if (missing === 0) resolve()
      else one()
    }
    for (let i = 0; i < window; i++) one()
  })
}

async function openMany(open: Open, url: string, count: number, messages: number): Promise<Client[]> {
  const random = seeded(count)
  const clients: Client[] = []
  for (let i = 0; i < count; i++) {
    const client = await open(`${url}/exchange/1024`)
    if (messages > 0) await exchange(client, () => json(1024, random), messages, 1)
    clients.push(client)
  }
  return clients
}

async function hold(open: Open, url: string, messages: number): Promise<Found> {
  for (const client of await openMany(open, url, WARM_UP, 100)) client.end()
  await wait(SETTLE_MS)
  const before = await memory()
  const clients = await openMany(open, url, CONNECTIONS, messages)
  const found: Record<string, Memory> = {}
  found[messages === 0 ? 'new' : 'first'] = less(await memory(), before, CONNECTIONS)
  if (messages > 0) {
    await wait(IDLE_MS)
    found['idle'] = less(await memory(), before, CONNECTIONS)
  }
  for (const client of clients) client.end()
  return found
}

async function grow(open: Open, url: string): Promise<Found> {
  const texts = mixedMessages()
  const clients = await Promise.all(
    Array.from({ length: GROWTH_CONNECTIONS }, () => open(`${url}/exchange/mixed`)),
  )
  let at = 0
  const next = (): string => texts[at++ % texts.length]
  const moments: Memory[] = []
  for (let half = 0; half < 2; half++) {
    await Promise.all(
      clients.map(client => exchange(client, next, GROWTH_MESSAGES / GROWTH_CONNECTIONS, WINDOW)),
    )
    moments.push(await memory())
  }
  for (const client of clients) client.end()
  return { growth: less(moments[1], moments[0]) }
}

/** Runs one child to its end. */
async function ask(name: string, task: string, url: string): Promise<Found> {
  const child: ChildProcess = fork(fileURLToPath(import.meta.url), ['--deflate-memory', name, task, url], {
    execArgv: ['--expose-gc'],
  })
  const answer = await Promise.race([
    once(child, 'message'),
    once(child, 'exit').then(() => Promise.reject(new Error(`${name} ended early (${task})`))),
  ])
  return (answer as [Found])[0]
}

/** Both libraries' children, at the same time: it is no matter of time. */
async function askAll(task: string, { url }: Peer): Promise<Readonly<Record<string, Found>>> {
  const names = [ours, withAddOns]
  const all = await Promise.all(names.map(async name => [name, await ask(name, task, url)] as const))
  return Object.fromEntries(all)
}

const kinds = [
  ['rss', 'RSS'],
  ['used', 'heap and external'],
] as const

/** The two rows for one moment. */
function rowsOf(label: string, found: Readonly<Record<string, Found>>, moment: string): Retained[] {
  return kinds.map(([kind, name]) => {
    const bytes = Object.fromEntries(Object.entries(found).map(([who, one]) => [who, one[moment][kind]]))
    const row = `${label}: ${name}`
    if (moment === 'growth') {
      const wanted = `<${deflateGrowthTarget / 1e6} MB`
      return { row, bytes, wanted, met: bytes[ours] < deflateGrowthTarget }
    }
    // Without messages there is nothing to compress with yet, and no difference to aim at.
    const judged = kind === 'rss' && moment !== 'new'
    const wanted = judged ? `≤${deflateMemoryTarget} of ${withAddOns}` : null
    return { row, bytes, wanted, met: bytes[ours] <= bytes[withAddOns] * deflateMemoryTarget }
  })
}

/** What each child does, and the rows it makes. */
const tasks: readonly (readonly [string, readonly (readonly [string, string])[]])[] = [
  ['0', [['no messages yet', 'new']]],
  [
    String(FEW),
    [
      [`${FEW} messages each way, at once`, 'first'],
      [`${FEW} messages each way, ${IDLE_MS / 1000} s later`, 'idle'],
    ],
  ],
  ['grow', [['growth, 50,000 to 100,000', 'growth']]],
]

export const deflateMemory: MemoryBench = {
  title:
    'deflate-memory: what an idle client with compression holds, and whether messages leave anything behind',
  notes: [
    `bytes for each of ${CONNECTIONS} clients in a process of their own; compression is agreed on with everything kept. The last`,
    'rows: all bytes that 50,000 messages of 143 B to 256 KiB, and as many answers, add to what the first 50,000 left.',
  ],
  async *run(_, wanted) {
    const peer = await startPeer()
    try {
      for (const [task, moments] of tasks) {
        if (!moments.some(([label]) => wanted(label))) continue
        const found = await askAll(task, peer)
        for (const [label, moment] of moments) yield* rowsOf(label, found, moment)
      }
    } finally {
      peer.stop()
    }
  },
}

if (process.argv[2] === '--deflate-memory') {
  const [, , , name, task, url] = process.argv
  setTimeout(() => process.exit(1), LIFE_MS).unref()
  process.once('disconnect', () => process.exit())
  const open = openers(loadPeers().native).get(name)!
  const found = task === 'grow' ? await grow(open, url) : await hold(open, url, Number(task))
  process.send!(found, () => process.exit())
}
