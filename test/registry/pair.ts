import type { Redis } from 'ioredis'
import root, { type Test } from 'tap'
import { createRedisRegistry, type RedisRegistry } from '../../src/registry/redis/index.js'
import { connectClient, type Kind, RedisServer } from './redis-server.js'
import { SlowProxy } from './slow-proxy.js'

/** What the nodes have for a lease: far more than a busy machine holds up a process for, since one that is held up for longer loses its names. */
export const LEASE_MS = 1000

let count = 0
let shared: Promise<RedisServer> | null = null

/** Two nodes that see each other, the second through a proxy; their clients are of both kinds. */
export interface Pair {
  readonly server: RedisServer
  readonly a: RedisRegistry
  readonly b: RedisRegistry
  readonly proxy: SlowProxy
  /** The hash tag of their keys. */
  readonly keys: string
}

/** Makes them; they close with the test. */
export async function pairOf(t: Test, kinds: readonly [Kind, Kind], server?: RedisServer): Promise<Pair> {
  const redis = server ?? (await sharedServer())
  const prefix = `pair-${++count}`
  const options = { prefix, leaseMs: LEASE_MS, timeoutMs: 1000 }
  const proxy = await SlowProxy.before(t, redis.port)
  const a = await createRedisRegistry(await redis.client(t, kinds[0]), { ...options, node: 'a' })
  const b = await createRedisRegistry(await connectClient(t, kinds[1], proxy.port), { ...options, node: 'b' })
  t.teardown(() => Promise.all([a.close(), b.close()]))
  return { server: redis, a, b, proxy, keys: `{${prefix}}:` }
}

const sharedServer = (): Promise<RedisServer> => (shared ??= RedisServer.start(root))

/** A plain connection, to look into Redis. */
export async function peek(t: Test, server: RedisServer): Promise<Redis> {
  return (await server.client(t, 'ioredis')) as unknown as Redis
}

/** Either client on either side. */
export const BOTH: readonly (readonly [Kind, Kind])[] = [
  ['redis', 'ioredis'],
  ['ioredis', 'redis'],
]
