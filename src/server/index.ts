// Servers whose clients are processes.
export type { Drained, DrainOptions } from './drain.js'
export type { Origins } from './origins.js'
export type { PoolStatistics } from './pools.js'
export type { Params } from './routes.js'
export {
  attach,
  type Endpoint,
  endpoint,
  listen,
  type Listener,
  type ListenOptions,
  type Server,
  type Service,
} from './server.js'
export type { Admission, Refusal, ServerBehaviour } from './server-behaviour.js'
export type { ServerOptions } from './server-options.js'
export type { Accepted, Upgrade } from './upgrade-context.js'
