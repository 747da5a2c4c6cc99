// Strategy: what the registry needs of Redis, as one small interface, and an adapter for each of the two clients. They are told
// apart by what they can do, and no package is imported: the client is the user's own, with the user's own options. Commands go
// through that client; for messages there is one more connection, a duplicate of it, since a connection that listens may do
// nothing else. Both clients connect again by themselves and then subscribe again.
import { UsageError } from '../../protocol/index.js'
import { isSharded, type Script } from './scripts.js'

type Method = (...args: never) => unknown

/** A client of the package `redis` (4 or newer), connected. */
export interface NodeRedisClient {
  readonly isOpen: boolean
  readonly eval: Method
  readonly evalSha: Method
  readonly publish: Method
  readonly duplicate: Method
}

/** A client of the package `ioredis`. */
export interface IoRedisClient {
  readonly status: string
  readonly eval: Method
  readonly evalsha: Method
  readonly publish: Method
  readonly duplicate: Method
}

/** A client of one of both kinds. It stays the caller's: the registry neither connects nor closes it. */
export type RedisClient = NodeRedisClient | IoRedisClient

/** What the registry needs. */
export interface RedisPort {
  /** Whether the client is one for a Redis Cluster, whose nodes do not know how many listen at the others. */
  readonly cluster: boolean
  /** Whether it can listen on sharded channels, whose messages do not go to all nodes of a cluster. */
  readonly canShard: boolean
  /**
   * @param args - called before each attempt, of which there is another one when Redis did not know the script.
   * @param wanted - whether somebody still waits: it is looked at before anything is said that was not said at once.
   */
  run(
    script: Script,
    keys: readonly string[],
    args: () => readonly string[],
    wanted: () => boolean,
  ): Promise<unknown>
  publish(channel: string, text: string): Promise<unknown>
  /** Opens the connection that listens. */
  subscribe(channel: string, listener: (text: string) => void): Subscription
}

/** A connection that listens. */
export interface Subscription {
  /** Settles when it does. */
  readonly ready: Promise<unknown>
  /** Closes it, whether or not it is ready. */
  close(): void
}

/** @throws UsageError `WS_BAD_OPTION` for something that is no client. */
export function portOf(client: RedisClient): RedisPort {
  const { evalSha, evalsha, duplicate, publish } = (client ?? {}) as Partial<
    Record<'evalSha' | 'evalsha' | 'duplicate' | 'publish', unknown>
  >
  if (typeof duplicate === 'function' && typeof publish === 'function') {
    if (typeof evalSha === 'function') return new NodeRedisPort(client as unknown as NodeRedis)
    if (typeof evalsha === 'function') return new IoRedisPort(client as unknown as IoRedis)
  }
  throw new UsageError('WS_BAD_OPTION', 'expected a client of the package redis (4 or newer) or ioredis')
}

interface NodeRedis {
  eval(script: string, options: ScriptOptions): Promise<unknown>
  evalSha(sha1: string, options: ScriptOptions): Promise<unknown>
  publish(channel: string, text: string): Promise<unknown>
  duplicate(): NodeRedis
  on(event: 'error', listener: () => void): unknown
  connect(): Promise<unknown>
  subscribe(channel: string, listener: (text: string) => void): Promise<unknown>
  sPublish?(channel: string, text: string): Promise<unknown>
  sSubscribe?(channel: string, listener: (text: string) => void): Promise<unknown>
  destroy?(): void
  disconnect(): Promise<unknown>
}
interface ScriptOptions {
  readonly keys: readonly string[]
  readonly arguments: readonly string[]
}

class NodeRedisPort implements RedisPort {
  readonly cluster: boolean
  readonly canShard: boolean
  readonly #client: NodeRedis

  constructor(client: NodeRedis) {
    this.#client = client
    this.cluster = 'masters' in client
    this.canShard = this.cluster && client.sSubscribe !== undefined && client.sPublish !== undefined
  }

  async run(
    script: Script,
    keys: readonly string[],
    args: () => readonly string[],
    wanted: () => boolean,
  ): Promise<unknown> {
    const options = (): ScriptOptions => ({ keys: [...keys], arguments: [...args()] })
    return loaded(
      wanted,
      () => this.#client.evalSha(script.sha1, options()),
      () => this.#client.eval(script.text, options()),
    )
  }

  async publish(channel: string, text: string): Promise<unknown> {
    return isSharded(channel) ? this.#client.sPublish!(channel, text) : this.#client.publish(channel, text)
  }

  subscribe(channel: string, listener: (text: string) => void): Subscription {
    const own = this.#client.duplicate()
    // Without a listener it would throw; it connects again in any case.
    own.on('error', () => {})
    const close = (): void => {
      try {
        // Of version 5; a version 4 client has the other one.
        if (own.destroy !== undefined) own.destroy()
        else own.disconnect().catch(() => {})
      } catch {
        // It was closed.
      }
    }
    const open = async (): Promise<void> => {
      await own.connect()
      if (isSharded(channel)) await own.sSubscribe!(channel, text => listener(text))
      else await own.subscribe(channel, text => listener(text))
    }
    return { ready: open(), close }
  }
}

interface IoRedis {
  eval(script: string, keys: number, ...args: string[]): Promise<unknown>
  evalsha(sha1: string, keys: number, ...args: string[]): Promise<unknown>
  publish(channel: string, text: string): Promise<unknown>
  duplicate(): IoRedis
  on(event: 'error' | 'message' | 'smessage', listener: (channel: string, text: string) => void): unknown
  subscribe(channel: string): Promise<unknown>
  spublish?(channel: string, text: string): Promise<unknown>
  ssubscribe?(channel: string): Promise<unknown>
  readonly isCluster?: boolean
  readonly options?: {
    readonly shardedSubscribers?: boolean
    readonly keyPrefix?: string
    readonly redisOptions?: { readonly keyPrefix?: string }
  }
  disconnect(): void
}

class IoRedisPort implements RedisPort {
  readonly cluster: boolean
  readonly canShard: boolean
  readonly #client: IoRedis

  constructor(client: IoRedis) {
    this.#client = client
    this.cluster = client.isCluster === true
    const { shardedSubscribers, keyPrefix, redisOptions } = client.options ?? {}
    // It puts its prefix before sharded channels, and before no others.
    const prefixed = Boolean(keyPrefix) || Boolean(redisOptions?.keyPrefix)
    this.canShard = this.cluster && shardedSubscribers === true && !prefixed
  }

  async run(
    script: Script,
    keys: readonly string[],
    args: () => readonly string[],
    wanted: () => boolean,
  ): Promise<unknown> {
    return loaded(
      wanted,
      () => this.#client.evalsha(script.sha1, keys.length, ...keys, ...args()),
      () => this.#client.eval(script.text, keys.length, ...keys, ...args()),
    )
  }

  async publish(channel: string, text: string): Promise<unknown> {
    return isSharded(channel) ? this.#client.spublish!(channel, text) : this.#client.publish(channel, text)
  }

  subscribe(channel: string, listener: (text: string) => void): Subscription {
    const own = this.#client.duplicate()
    own.on('error', () => {})
    own.on(isSharded(channel) ? 'smessage' : 'message', (from, text) => {
      if (from === channel) listener(text)
    })
    const ready = isSharded(channel) ? own.ssubscribe!(channel) : own.subscribe(channel)
    return { ready, close: () => own.disconnect() }
  }
}

/**
 * Runs a script by its digest; Redis may have forgotten it, after a restart for instance. By its text only while somebody waits:
 * what was said after it was given up must not be overtaken by it.
 */
async function loaded(
  wanted: () => boolean,
  bySha1: () => Promise<unknown>,
  byText: () => Promise<unknown>,
): Promise<unknown> {
  try {
    return await bySha1()
  } catch (error) {
    if (error instanceof Error && error.message.startsWith('NOSCRIPT') && wanted()) return byText()
    throw error
  }
}
