// For tests: a network in memory and a clock that can be stepped.
export type { LinkConditions } from './link-conditions.js'
export { NetworkError } from './network-error.js'
export type { Direction, NetworkEvent } from './network-event.js'
export type { VirtualConnectOptions, VirtualNetworkOptions, VirtualStartOptions } from './network-options.js'
export type { Range, Seed } from './random.js'
export { StalledError } from './stalled-error.js'
export type { WaitOptions } from './stepper.js'
export { VirtualClock } from './virtual-clock.js'
export type { VirtualLink } from './virtual-link.js'
export { VirtualNetwork } from './virtual-network.js'
export type {
  ConnectAttempt,
  OnVirtualConnection,
  ServerState,
  VirtualListenOptions,
  VirtualServer,
} from './virtual-server.js'
