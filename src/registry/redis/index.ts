// Names and groups of processes, across machines, on Redis or Valkey.
export type { IoRedisClient, NodeRedisClient, RedisClient } from './redis-client.js'
export { createRedisRegistry, type RedisRegistry } from './redis-registry.js'
export type { RedisRegistryOptions } from './redis-options.js'
