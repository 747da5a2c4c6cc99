// Strategy: what is only seen in numbers. One process loses its connection to a real server 200 times, each time at another
// point, and must be as small afterwards as before; a thousand processes lose theirs at once, and must not come back at once.
// The first is measured between two disconnects, when there is no connection and no timer. The heap is compared over whole
// rounds of the same ways to die, so that what the last one left in the status is the same on both sides.
import { readFileSync } from 'node:fs'
import { connect as netConnect, createServer, type NetConnectOpts, type Socket } from 'node:net'
import { queryObjects, setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import t from 'tap'
import { type DisconnectStatus, start } from '../../src/index.js'
import { VirtualNetwork } from '../../src/testing/index.js'
import { buildFrame, concat } from '../support/frames.js'
import { abortListeners, listenersOf } from '../support/leaks.js'
import { acceptance } from '../support/raw-peer.js'
import { serve, turn } from '../support/servers.js'

setFlagsFromString('--expose-gc')
const collect = runInNewContext('gc') as () => void

/** What a server does with a client whose request it has read. */
type Fate = (client: Socket, acceptance: Buffer, nth: number) => void

const text = (payload: string, more: object = {}): Uint8Array => buildFrame({ opcode: 1, payload, ...more })
const close = (code: number): Uint8Array =>
  buildFrame({ opcode: 8, payload: Uint8Array.from([code >> 8, code & 0xff]) })

/** Opens the connection, says this, and ends it. */
const say =
  (...parts: readonly Uint8Array[]): Fate =>
  (client, accept) => {
    client.end(concat([accept, ...parts]))
  }

/** Does something once the bytes are on their way. */
const flushed = (client: Socket, bytes: Uint8Array | string, then: () => void): void => {
  client.write(bytes, then)
}

/** In the order in which they come; the ones that cut the 101 cut it elsewhere each time. */
const FATES: readonly Fate[] = [
  // The opening handshake.
  client => client.resetAndDestroy(),
  client => client.destroy(),
  (client, accept, nth) => client.end(accept.subarray(0, nth % accept.length)),
  (client, accept, nth) =>
    flushed(client, accept.subarray(0, (nth * 7) % accept.length), () => client.resetAndDestroy()),
  client => client.end('HTTP/1.1 503 Busy\r\nContent-Length: 4\r\n\r\nbusy'),
  client => client.end('HTTP/1.1 500 Oh\r\nContent-Length: 1000000\r\n\r\nhalf a body'),
  client =>
    client.end('HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n'),
  client => client.end('SSH-2.0-OpenSSH_9.2\r\n\r\n'),
  client => client.end(Buffer.alloc(100_000, 'A')),
  // The stream.
  say(),
  (client, accept) => flushed(client, accept, () => client.resetAndDestroy()),
  say(text('hello'), text('hello again')),
  say(buildFrame({ opcode: 2, payload: new Uint8Array(200_000) })),
  say(text('x'.repeat(1000)).subarray(0, 1)),
  say(text('x'.repeat(1000)).subarray(0, 3)),
  say(text('x'.repeat(1000)).subarray(0, 500)),
  say(text('half', { fin: false })),
  say(buildFrame({ opcode: 2, declared: 1_000_000_000n })),
  say(buildFrame({ opcode: 9, payload: 'ping' })),
  say(Buffer.from('garbage, and no frame')),
  say(text('x', { rsv: 4 })),
  say(close(1000)),
  say(close(1001)),
  say(close(1011)),
  say(close(4321)),
  say(close(1005)),
  say(close(1000).subarray(0, 3)),
  // A Close, and the other end does not wait for an answer.
  (client, accept) => flushed(client, concat([accept, close(1001)]), () => client.resetAndDestroy()),
]

const ROUND = FATES.length
const WARM_UP = 2 * ROUND
/** Losses between the two rounds that are measured: whole rounds too, more than 200 losses. */
const STORM = 8 * ROUND

const median = (numbers: readonly number[]): number => numbers.toSorted((a, b) => a - b)[numbers.length >> 1]

/** A port that nobody listens on any more. */
async function refusingPort(): Promise<number> {
  const server = createServer()
  const port = await new Promise<number>(resolve => {
    server.listen(0, '127.0.0.1', () => resolve((server.address() as { port: number }).port))
  })
  await new Promise(resolve => server.close(resolve))
  return port
}

const listenerCounts = (): number[] => process.eventNames().map(name => process.listenerCount(name))

t.test(
  'a process that has lost more than 200 connections is no larger than one that has lost a few',
  async t => {
    let nth = 0
    const server = createServer(client => {
      client.on('error', () => {})
      // It reads to the end, so that what it sends is not lost in a reset.
      let head = ''
      let done = false
      client.on('data', (chunk: Buffer) => {
        head += chunk.toString('latin1')
        if (done || !head.includes('\r\n\r\n')) return
        done = true
        FATES[nth % ROUND](client, Buffer.from(acceptance(head)), nth)
      })
    })
    const port = await serve(t, server)
    const refused = await refusingPort()
    const accepted = (): Promise<number> =>
      new Promise(resolve => server.getConnections((_error, count) => resolve(count)))

    const controller = new AbortController()
    const heapBytes: number[] = []
    const bufferBytes: number[] = []
    const objects: number[] = []
    const handles = new Set<number>()
    const kinds = new Set<string>()
    const left = new Set<string>()
    let sockets: Socket[] = []
    const warnings: Error[] = []
    const warn = (warning: Error): void => {
      // Of the very function that counts the objects.
      if (warning.name !== 'ExperimentalWarning') warnings.push(warning)
    }
    process.on('warning', warn)
    t.teardown(() => process.off('warning', warn))
    const ownListeners = listenerCounts()

    const look = async ({ phase, reason, error }: DisconnectStatus): Promise<void> => {
      kinds.add(`${phase} ${reason.type} ${(error as { code?: string } | null)?.code ?? ''}`.trimEnd())
      for (let turns = 0; turns < 1000; turns++) {
        await turn()
        if (turns > 5 && sockets.every(socket => socket.closed) && (await accepted()) === 0) break
      }
      for (const socket of sockets) {
        // Node's own, and one that ignores errors for ever.
        const { close: _close, end: _end, error = 0, ...more } = listenersOf(socket)
        if (!socket.destroyed) left.add('a socket that is not destroyed')
        if (error > 1 || Object.keys(more).length > 0) left.add(JSON.stringify(listenersOf(socket)))
      }
      sockets = []
      if (abortListeners(controller.signal) !== 1) left.add('listeners of the signal')
      handles.add(process.getActiveResourcesInfo().filter(name => name !== 'Immediate').length)
    }
    const measure = (inRound: number): void => {
      collect()
      const { heapUsed, arrayBuffers } = process.memoryUsage()
      heapBytes.push(heapUsed)
      bufferBytes.push(arrayBuffers)
      // Everything that inherits from Object. It takes its time, so once a round, always behind the same fate.
      if (inRound === 0) objects.push(queryObjects(Object, { format: 'count' }))
    }

    const feed = await start(
      // Every tenth attempt is refused.
      () => `ws://127.0.0.1:${nth % 10 === 9 ? refused : port}/`,
      {
        handleConnect: () => ({ reply: ['hello', { type: 'ping' }] }),
        handleDisconnect: async (status): Promise<{ stop: true } | undefined> => {
          await look(status)
          const since = nth - WARM_UP
          if (since >= 0 && (since < ROUND || since >= STORM)) measure(since % STORM)
          nth++
          return nth === WARM_UP + STORM + ROUND ? { stop: true } : undefined
        },
      },
      {
        async: true,
        reconnect: { minDelayMs: 1, maxDelayMs: 1, onClean: true },
        signal: controller.signal,
        whenNotOpen: 'queue',
        netConnect: (options: NetConnectOpts) => {
          const socket = netConnect(options)
          sockets.push(socket)
          return socket
        },
      },
    )
    await feed.ended

    t.comment([...kinds].toSorted().join('; '))
    for (const phase of ['tcp', 'handshake', 'open', 'closing'])
      t.ok(
        [...kinds].some(kind => kind.startsWith(phase)),
        `some died in phase ${phase}`,
      )
    t.equal(heapBytes.length, 2 * ROUND)
    const grown = (name: string, counts: readonly number[]): number => {
      const half = counts.length / 2
      const [before, after] = [median(counts.slice(0, half)), median(counts.slice(half))]
      t.comment(`${name}: ${before}, ${STORM} connections later ${after}: ${after - before} more`)
      return after - before
    }
    t.ok(grown('objects', objects) < STORM / 2, 'not one object for two connections is left')
    t.ok(grown('bytes of buffers', bufferBytes) < STORM * 10, 'no buffer is left')
    // Objects would be few bytes: compiled code still grows for a while.
    t.ok(grown('bytes of heap', heapBytes) < STORM * 2000, 'nor anything large')
    t.equal(handles.size, 1, `as many handles each time: ${[...handles].join(', ')}`)
    t.same([...left], [])
    t.same(listenerCounts(), ownListeners)
    t.same(warnings, [])
    t.equal(abortListeners(controller.signal), 0)
  },
)

const CLIENTS = 1000
const BUCKET_MS = 100
const SEED = 7

type Jitter = 'full' | 'equal' | 'none'

/** When the clients of a server that was away for two seconds knock, in milliseconds from its end, and when it let them in. */
interface Herd {
  readonly all: readonly number[]
  readonly admitted: readonly number[]
  readonly leaks: readonly string[]
}

const herds = new Map<Jitter, Promise<Herd>>()

/** Each is run once. */
function herd(jitter: Jitter): Promise<Herd> {
  const known = herds.get(jitter) ?? runHerd(jitter)
  herds.set(jitter, known)
  return known
}

async function runHerd(jitter: Jitter): Promise<Herd> {
  const network = new VirtualNetwork({ seed: SEED })
  const server = network.listen('ws://feed.test/', () => {})
  const options = { ...network.startOptions, async: true, reconnect: { jitter } }
  const clients = await Promise.all(
    Array.from({ length: CLIENTS }, () => start('ws://feed.test/', {}, options)),
  )
  await network.runUntil(() => server.sockets.size === CLIENTS)
  await network.advance(10_000)
  const downAt = network.clock.now()
  server.down()
  await network.advance(2000)
  server.up()
  await network.runUntil(() => server.sockets.size === CLIENTS)
  const knocks = server.attempts.slice(CLIENTS)
  const since = (wanted: readonly { readonly atMs: number }[]): number[] =>
    wanted.map(({ atMs }) => atMs - downAt)
  await network.run(Promise.all(clients.map(client => client.stop())))
  await network.run(server.close())
  const admitted = knocks.filter(({ outcome }) => outcome === 'open')
  return { all: since(knocks), admitted: since(admitted), leaks: network.leaks() }
}

function histogram(times: readonly number[], bucketMs: number): number[] {
  const counts: number[] = []
  for (const time of times) {
    const bucket = Math.floor(time / bucketMs)
    while (counts.length <= bucket) counts.push(0)
    counts[bucket]++
  }
  return counts
}

/** How far numbers are from being all the same; about their count when chance alone is at work. */
const chiSquare = (counts: readonly number[]): number => {
  const mean = counts.reduce((sum, count) => sum + count, 0) / counts.length
  return counts.reduce((sum, count) => sum + (count - mean) ** 2 / mean, 0)
}

/** True when they come at once: two thirds or more of the clients within a tenth of a second. */
const inStep = (times: readonly number[]): boolean =>
  Math.max(...histogram(times, BUCKET_MS)) >= (CLIENTS * 2) / 3

const BAR_MS = 250
const PER_MARK = 10

/** A histogram for people, as docs/reconnecting.md shows it. */
function draw(times: readonly number[]): string {
  const counts = histogram(
    times.filter(time => time < 6000),
    BAR_MS,
  )
  const later = times.filter(time => time >= 6000).length
  const lines = counts.map((count, i) => {
    const bar = '='.repeat(Math.ceil(count / PER_MARK))
    return `${((i * BAR_MS) / 1000).toFixed(2)} s ${String(count).padStart(5)} ${bar}`.trimEnd()
  })
  return [...lines, ...(later === 0 ? [] : [` later ${String(later).padStart(5)}`])].join('\n')
}

t.test('a thousand clients of a server that was away come back spread out', async t => {
  const { all, admitted, leaks } = await herd('full')
  t.same(leaks, [])
  t.equal(admitted.length, CLIENTS)
  t.notOk(inStep(all))
  const counts = histogram(all, BUCKET_MS)
  t.ok(Math.max(...counts) < CLIENTS * 0.2, `at most ${Math.max(...counts)} in ${BUCKET_MS} ms`)
  // Each client's first attempt falls anywhere in the first second: in 10 buckets of 100 there is chance and nothing else
  // (9 degrees of freedom, 99.9 %). Later ones of the quicker clients come on top.
  const first = counts.slice(0, 4)
  t.ok(chiSquare(first) < 16.3, `chi-square ${chiSquare(first)}`)
  t.ok(
    counts.slice(0, 30).every(count => count > 0),
    'and there is no gap',
  )
  const back = histogram(admitted, BUCKET_MS)
  t.ok(
    Math.max(...back) < CLIENTS * 0.1,
    `the server has to admit at most ${Math.max(...back)} in ${BUCKET_MS} ms`,
  )
  const sorted = admitted.toSorted((a, b) => a - b)
  t.ok(sorted[CLIENTS / 2] < 4000, `half are back after ${sorted[CLIENTS / 2]} ms`)
  t.ok(sorted[CLIENTS * 0.99] < 20_000, `nearly all after ${sorted[CLIENTS * 0.99]} ms`)
  t.ok(all.length < 4 * CLIENTS, `in ${all.length} attempts`)
})

t.test("with jitter: 'equal' they keep some distance, and with 'none' they come in step", async t => {
  const equal = await herd('equal')
  t.notOk(inStep(equal.all))
  const counts = histogram(equal.all, BUCKET_MS)
  t.same(counts.slice(0, 5), [0, 0, 0, 0, 0])
  t.ok(Math.max(...counts) < CLIENTS * 0.3, `at most ${Math.max(...counts)} in ${BUCKET_MS} ms`)

  const { all, admitted } = await herd('none')
  t.ok(inStep(all), 'so what is asserted of the others is not true of anything')
  t.same(new Set(all), new Set([1000, 3000]))
  t.same(new Set(admitted), new Set([3000]))
  t.equal(all.length, 2 * CLIENTS)
})

t.test('the histograms in the guide are those of this run', async t => {
  const guide = readFileSync(new URL('../../docs/reconnecting.md', import.meta.url), 'utf8')
  for (const jitter of ['full', 'none'] as const) {
    const drawn = draw((await herd(jitter)).all)
    const shown = guide.includes(drawn)
    if (!shown) t.comment(drawn)
    t.ok(shown, `jitter '${jitter}', seed ${SEED}`)
  }
  const most = Math.max(...histogram((await herd('full')).admitted, BUCKET_MS))
  t.ok(guide.includes(`admits at most ${most} in a tenth of a second`), `${most}`)
})
