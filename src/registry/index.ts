// Names and groups of processes, in one program.
export { createRegistry } from './local-registry.js'
export { RegistryError, type RegistryErrorCode } from './registry-error.js'
export type { Broadcast, Delivery, Group, Holder, Member, Registry, Unique } from './registry.js'
