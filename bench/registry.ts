// Strategy: what names and groups cost a Redis: commands, bytes, processor time and memory, asked of a real one on loopback, and
// how many messages one program gets through. All nodes are in this process, each with a client of its own, so the messages per
// second are those of one core that does the work of all of them; Redis' own figures are not touched by that.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { type AddressInfo, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Redis } from 'ioredis'
import { idle, type Process, start } from 'sansocket'
import { createRedisRegistry, type RedisRegistry } from 'sansocket/registry/redis'

/** A bench that measures neither time beside a rival nor memory of its own, and says what it found line by line. */
export interface TextBench {
  readonly title: string
  readonly notes: readonly string[]
  readonly run: (quick: boolean) => AsyncGenerator<string>
}

export const registry: TextBench = {
  title: 'registry: what names and groups cost a Redis',
  notes: [
    'commands that nodes send, commands that scripts run inside Redis, bytes into and out of Redis, its processor time; each',
    'for one operation of 100 B, 64 at once. Replies of nodes are part of the operation; the time of a renewal has in it what Redis',
    'does when nobody asks. Commands of lookups are in "group.leave, last here", which waits for one.',
  ],
  run: lines,
}

/** So long that no heartbeat comes between. */
const QUIET = { leaseMs: 3_600_000, timeoutMs: 30_000 }
/** How many operations are under way at once. */
const AT_ONCE = 64

/** What one operation made Redis do. */
interface Cost {
  readonly sent: number
  readonly inside: number
  readonly inBytes: number
  readonly outBytes: number
  readonly cpuUs: number
  readonly perSecond: number
}

/** One Redis, and what it says of itself. */
class Measured {
  readonly port: number
  readonly #admin: Redis
  readonly #ends: (() => unknown)[]
  #sent = 0

  private constructor(port: number, admin: Redis, ends: (() => unknown)[]) {
    this.port = port
    this.#admin = admin
    this.#ends = ends
  }

  static async start(): Promise<Measured> {
    const folder = mkdtempSync(join(tmpdir(), 'sansocket-bench-'))
    const port = await freePort()
    const program = process.env['SANSOCKET_TEST_REDIS_SERVER'] ?? 'redis-server'
    const args = ['--port', String(port), '--bind', '127.0.0.1', '--dir', folder, '--save', '']
    const child = spawn(program, args, { stdio: 'ignore' })
    await once(child, 'spawn')
    const admin = new Redis({ port, host: '127.0.0.1', retryStrategy: () => 20, maxRetriesPerRequest: null })
    admin.on('error', () => {})
    await admin.ping()
    const ends = [
      () => admin.disconnect(),
      () => void child.kill(),
      () => rmSync(folder, { recursive: true, force: true }),
    ]
    return new Measured(port, admin, ends)
  }

  async node(
    prefix: string,
    settings: { leaseMs: number; timeoutMs: number } = QUIET,
  ): Promise<RedisRegistry> {
    const client = new Redis({ port: this.port, host: '127.0.0.1' })
    client.on('error', () => {})
    this.#ends.unshift(() => client.disconnect())
    const send = client.sendCommand.bind(client)
    client.sendCommand = (...args) => {
      this.#sent++
      return send(...args)
    }
    const node = await createRedisRegistry(client, { prefix, ...settings })
    return node
  }

  /** Does something so often, and asks what it did to Redis. */
  async cost(times: number, one: (i: number) => Promise<unknown>, atOnce = AT_ONCE): Promise<Cost> {
    const before = await this.#figures()
    const beganMs = performance.now()
    let next = 0
    const some = async (): Promise<void> => {
      for (let i = next++; i < times; i = next++) await one(i)
    }
    await Promise.all(Array.from({ length: atOnce }, some))
    const ms = performance.now() - beganMs
    const after = await this.#figures()
    const each = (name: keyof typeof after): number => (after[name] - before[name]) / times
    return {
      sent: each('sent'),
      inside: each('inside'),
      inBytes: each('inBytes'),
      outBytes: each('outBytes'),
      cpuUs: each('cpuUs'),
      perSecond: (times / ms) * 1000,
    }
  }

  async memory(): Promise<number> {
    return number(await this.#admin.info('memory'), 'used_memory')
  }

  async close(): Promise<void> {
    for (const end of this.#ends) await end()
  }

  async #figures(): Promise<Record<'sent' | 'inside' | 'inBytes' | 'outBytes' | 'cpuUs', number>> {
    const commands = await this.#admin.info('commandstats')
    const stats = await this.#admin.info('stats')
    const cpu = await this.#admin.info('cpu')
    let inside = 0
    for (const [, name, count] of commands.matchAll(/cmdstat_([^:]+):calls=(\d+)/g)) {
      if (name !== 'info') inside += Number(count)
    }
    return {
      sent: this.#sent,
      inside: inside - this.#sent,
      inBytes: number(stats, 'total_net_input_bytes'),
      outBytes: number(stats, 'total_net_output_bytes'),
      cpuUs: (number(cpu, 'used_cpu_user') + number(cpu, 'used_cpu_sys')) * 1e6,
    }
  }
}

async function* lines(quick: boolean): AsyncGenerator<string> {
  const redis = await Measured.start()
  try {
    yield head()
    yield* one(redis, quick ? 500 : 5000)
    yield* many(redis, quick ? 500 : 5000)
    yield* held(redis, quick ? 2000 : 20_000)
  } finally {
    await redis.close()
  }
}

/** What one node says about its own processes. */
async function* one(redis: Measured, times: number): AsyncGenerator<string> {
  const node = await redis.node('one')
  const all = await processes(times)
  yield row('unique.register', await redis.cost(times, i => node.unique.register(`n${i}`, all[i])))
  yield row('unique.lookup', await redis.cost(times, i => node.unique.lookup(`n${i}`)))
  yield row('unique.send, here', await redis.cost(times, i => node.unique.send(`n${i}`, MESSAGE)))
  yield row('group.join, first here', await redis.cost(times, i => node.group.join(`g${i}`, all[i])))
  yield row(
    'group.join, further',
    await redis.cost(times, i => node.group.join(`g${i}`, all[(i + 1) % times])),
  )
  yield row('group.leave, not last', await redis.cost(times, async i => node.group.leave(`g${i}`, all[i])))
  yield row('group.publish, only here', await redis.cost(times, i => node.group.publish(`g${i}`, MESSAGE)))
  yield row(
    'group.leave, last here',
    await redis.cost(times, async i => {
      await node.group.leave(`g${i}`, all[(i + 1) % times])
      // What Redis is told on the way is waited for: a lookup comes after it.
      await node.unique.lookup('x')
    }),
  )
  yield row('unique.unregister', await redis.cost(times, i => node.unique.unregister(`n${i}`, all[i])))
  await node.close()
  await ended(all)
  const beats = await redis.node('beats', { leaseMs: 1500, timeoutMs: 30_000 })
  const ms = 5000
  const cost = await redis.cost(1, () => new Promise(done => setTimeout(done, ms)))
  const count = Math.round(cost.sent)
  yield row('a renewal of the lease', {
    sent: cost.sent / count,
    inside: cost.inside / count,
    inBytes: cost.inBytes / count,
    outBytes: cost.outBytes / count,
    cpuUs: cost.cpuUs / count,
    perSecond: count / (ms / 1000),
  })
  await beats.close()
}

/** What several nodes say to each other. */
async function* many(redis: Measured, times: number): AsyncGenerator<string> {
  for (const others of [1, 2, 4, 9]) {
    const nodes = await Promise.all(Array.from({ length: others + 1 }, () => redis.node(`many${others}`)))
    const all = await processes(nodes.length)
    for (const [i, node] of nodes.entries()) await node.group.join('g', all[i])
    const [from, other] = nodes
    if (others === 1) {
      await other.unique.register('x', all[1])
      yield row('unique.send, elsewhere', await redis.cost(times, () => from.unique.send('x', MESSAGE)))
    }
    let confirmed = 0
    const publish = async (): Promise<void> => {
      const { confirmed: by } = await from.group.publish('g', MESSAGE)
      confirmed += by
    }
    yield row(`group.publish, ${others} others`, await redis.cost(times, publish))
    if (confirmed !== times * nodes.length)
      throw new Error(`${confirmed} of ${times * nodes.length} confirmed`)
    for (const node of nodes) await node.close()
    await ended(all)
  }
}

/** What Redis holds. */
async function* held(redis: Measured, count: number): AsyncGenerator<string> {
  const nodes = await Promise.all(Array.from({ length: 3 }, () => redis.node('held')))
  const all = await processes(count)
  const some = async (work: (i: number) => Promise<unknown>): Promise<number> => {
    const before = await redis.memory()
    await redis.cost(count, work)
    return ((await redis.memory()) - before) / count
  }
  yield '\n'
  yield size('a name of 16 letters', await some(i => nodes[0].unique.register(named('n', i), all[i])))
  for (const [i, node] of nodes.entries()) {
    const what = `a group of 16 letters on ${i === 0 ? 'a first node' : 'one more node'}`
    yield size(what, await some(j => node.group.join(named('g', j), all[j])))
  }
  for (const node of nodes) await node.close()
  await ended(all)
}

const size = (what: string, bytes: number): string =>
  `  ${what.padEnd(50)} ${bytes.toFixed(0)} bytes of Redis\n`

/** A hundred bytes of text. */
const MESSAGE = 'x'.repeat(100)

const named = (letter: string, i: number): string => letter + String(i).padStart(15, '0')

function processes(count: number): Promise<Process[]> {
  return Promise.all(
    Array.from(
      { length: count },
      async () => (await start('ws://nowhere.test/', { init: () => idle(undefined) })) as Process,
    ),
  )
}

const ended = (all: readonly Process[]): Promise<unknown> =>
  Promise.all(all.map(process => process.stop(undefined, { timeoutMs: 0 })))

const COLUMNS = ['sent', 'inside', 'bytes in', 'bytes out', 'CPU µs', 'a second']

function head(): string {
  return `  ${''.padEnd(26)} ${COLUMNS.map(name => name.padStart(9)).join(' ')}\n`
}

function row(what: string, { sent, inside, inBytes, outBytes, cpuUs, perSecond }: Cost): string {
  const cells = [
    sent.toFixed(2),
    inside.toFixed(2),
    inBytes.toFixed(0),
    outBytes.toFixed(0),
    cpuUs.toFixed(1),
    perSecond.toFixed(0),
  ]
  return `  ${what.padEnd(26)} ${cells.map(cell => cell.padStart(9)).join(' ')}\n`
}

function number(info: string, name: string): number {
  return Number(new RegExp(`^${name}:([\\d.]+)`, 'm').exec(info)?.[1])
}

function freePort(): Promise<number> {
  return new Promise(resolve => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address() as AddressInfo
      server.close(() => resolve(port))
    })
  })
}
