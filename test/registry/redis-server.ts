// Strategy: a real Redis for tests: on a port that the system chose, keeping nothing on disk, in a folder that goes with it. It
// can be killed and started again on the same port, empty. Clients of both kinds, which end with the test.
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, existsSync, rmSync } from 'node:fs'
import { type AddressInfo, connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { Cluster, Redis } from 'ioredis'
import { createClient, createCluster } from 'redis'
import type { RedisClient } from '../../src/registry/redis/index.js'
import { SlowProxy } from './slow-proxy.js'

/** Where a Redis is, or a Valkey: SANSOCKET_TEST_REDIS_SERVER names another one than that on PATH. Null for nowhere. */
export const REDIS: string | null =
  process.env['SANSOCKET_TEST_REDIS_SERVER'] ??
  (process.env['PATH'] ?? '')
    .split(delimiter)
    .flatMap(folder => ['redis-server', 'valkey-server'].map(name => join(folder, name)))
    .find(path => existsSync(path)) ??
  null

/** As tap wants it: why tests are skipped, or false. */
export const skip: string | false =
  REDIS === null ? 'no redis-server on PATH: bash scripts/ci/redis.sh installs it' : false

/** What of a test is needed here. */
export interface Ends {
  teardown(work: () => unknown): unknown
}

/** The two packages. */
export const KINDS = ['redis', 'ioredis'] as const
export type Kind = (typeof KINDS)[number]

/** One Redis. */
export class RedisServer {
  readonly port: number
  readonly #folder = mkdtempSync(join(tmpdir(), 'sansocket-redis-'))
  readonly #more: Readonly<Record<string, string | number>>
  #child: ChildProcess | null = null

  private constructor(port: number, settings: Readonly<Record<string, string | number>>) {
    this.port = port
    this.#more = settings
  }

  /** Starts one, which ends with the test. */
  static async start(
    t: Ends,
    settings: Readonly<Record<string, string | number>> = {},
  ): Promise<RedisServer> {
    const server = new RedisServer(await freePort(), settings)
    t.teardown(async () => {
      await server.kill()
      rmSync(server.#folder, { recursive: true, force: true })
    })
    await server.start()
    return server
  }

  async start(): Promise<void> {
    const settings = {
      port: this.port,
      bind: '127.0.0.1',
      dir: this.#folder,
      save: '',
      appendonly: 'no',
      // A replica need not wait for others.
      'repl-diskless-sync-delay': 0,
      ...this.#more,
    }
    const args = Object.entries(settings).flatMap(([key, value]) => [`--${key}`, String(value)])
    this.#child = spawn(REDIS!, args, { stdio: 'ignore' })
    for (let attempt = 0; !(await accepts(this.port)); attempt++) {
      if (attempt > 500) throw new Error('Redis does not start')
      await new Promise(done => setTimeout(done, 10))
    }
  }

  /** Kills it, and waits for that. It forgets everything, or what it had not yet saved. */
  kill(): Promise<void> {
    return this.#end('SIGKILL')
  }

  /** Ends it in order: it saves what it knows, if its settings have a `save`. */
  stop(): Promise<void> {
    return this.#end('SIGTERM')
  }

  async #end(signal: 'SIGKILL' | 'SIGTERM'): Promise<void> {
    const child = this.#child
    this.#child = null
    if (child === null || child.exitCode !== null || child.signalCode !== null) return
    await new Promise(done => {
      child.once('exit', done)
      child.kill(signal)
    })
  }

  /** Another one, which knows what this one knew `lagMs` ago, and does not follow it any more. */
  async lagging(t: Ends, lagMs: number): Promise<RedisServer> {
    const link = await SlowProxy.before(t, this.port)
    const replica = await RedisServer.start(t, this.#more)
    await replica.say('REPLICAOF', '127.0.0.1', String(link.port))
    while (!/master_link_status:up/.test(await replica.say('INFO', 'replication'))) await pause(5)
    // It is behind from here on.
    link.cut()
    await pause(lagMs)
    await replica.say('REPLICAOF', 'NO', 'ONE')
    return replica
  }

  /** Says something to it once. */
  async say(command: string, ...args: readonly string[]): Promise<string> {
    const client = new Redis({ port: this.port, host: '127.0.0.1' })
    try {
      return String(await client.call(command, ...args))
    } finally {
      client.disconnect()
    }
  }

  /** A client. @param port - where, if not here. */
  client(t: Ends, kind: Kind, port = this.port): Promise<RedisClient> {
    return connectClient(t, kind, port)
  }
}

/** A client that tries again soon, and whose commands wait for that. */
export async function connectClient(t: Ends, kind: Kind, port: number): Promise<RedisClient> {
  if (kind === 'ioredis') {
    const client = new Redis({ port, host: '127.0.0.1', retryStrategy: () => 20, maxRetriesPerRequest: null })
    client.on('error', () => {})
    t.teardown(() => client.disconnect())
    return client
  }
  const client = createClient({ socket: { port, host: '127.0.0.1', reconnectStrategy: () => 20 } })
  client.on('error', () => {})
  t.teardown(() => {
    if (client.isOpen) client.destroy()
  })
  await client.connect()
  return client
}

/** Two masters that share the slots. @returns their ports; null where it cannot be done: Redis 6 has no such commands. */
export async function startCluster(t: Ends): Promise<readonly number[] | null> {
  const admins: Redis[] = []
  const ports: number[] = []
  const buses = [await freePort(), await freePort()]
  for (const bus of buses) {
    const settings = { 'cluster-enabled': 'yes', 'cluster-port': bus }
    const server = await RedisServer.start(t, settings).catch(() => null)
    if (server === null) return null
    const admin = new Redis({ port: server.port, host: '127.0.0.1' })
    t.teardown(() => admin.disconnect())
    admins.push(admin)
    ports.push(server.port)
  }
  await admins[0].call('CLUSTER', 'ADDSLOTSRANGE', '0', '8191')
  await admins[1].call('CLUSTER', 'ADDSLOTSRANGE', '8192', '16383')
  await admins[0].call('CLUSTER', 'MEET', '127.0.0.1', String(ports[1]), String(buses[1]))
  for (let attempt = 0; attempt < 500; attempt++) {
    const states = await Promise.all(admins.map(admin => admin.call('CLUSTER', 'INFO') as Promise<string>))
    if (states.every(state => /cluster_state:ok/.test(state) && /cluster_known_nodes:2/.test(state)))
      return ports
    await new Promise(done => setTimeout(done, 20))
  }
  throw new Error('no cluster came to be')
}

/** A client of a cluster. */
export async function clusterClient(
  t: Ends,
  kind: Kind,
  [port]: readonly number[],
  shardedSubscribers = true,
): Promise<RedisClient> {
  if (kind === 'ioredis') {
    const cluster = new Cluster([{ port, host: '127.0.0.1' }], { shardedSubscribers })
    cluster.on('error', () => {})
    t.teardown(() => cluster.disconnect())
    return cluster
  }
  const cluster = createCluster({ rootNodes: [{ url: `redis://127.0.0.1:${port}` }] })
  cluster.on('error', () => {})
  t.teardown(() => cluster.destroy())
  await cluster.connect()
  return cluster
}

const pause = (ms: number): Promise<void> => new Promise(done => setTimeout(done, ms))

function freePort(): Promise<number> {
  return new Promise(resolve => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address() as AddressInfo
      server.close(() => resolve(port))
    })
  })
}

function accepts(port: number): Promise<boolean> {
  return new Promise(resolve => {
    const socket = connect({ port, host: '127.0.0.1' })
    socket.on('connect', () => {
      socket.destroy()
      resolve(true)
    })
    socket.on('error', () => resolve(false))
  })
}
