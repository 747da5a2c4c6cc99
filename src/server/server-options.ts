import type { DebugOption } from '../behaviour/debug.js'
import type { KeepaliveOptions } from '../behaviour/keepalive.js'
import { type ProcessSettings, resolveStartOptions } from '../behaviour/start-options.js'
import { type HeadLimits, HeadReader } from '../handshake/index.js'
import { UsageError } from '../protocol/index.js'
import { milliseconds, requireOptions } from '../transport/dial-options.js'
import {
  resolveSocketOptions,
  SOCKET_OPTIONS,
  type SocketOptions,
  type SocketSettings,
} from '../transport/socket-options.js'
import { type Origins, requireOrigins } from './origins.js'
import { requireCount } from './require-count.js'

/** How clients are let in, and how their processes run. Times are in milliseconds, `Infinity` is no limit. */
export interface ServerOptions extends Omit<SocketOptions, 'maskKey'> {
  /** The subprotocols this server speaks. Default none; `handleUpgrade` may choose another. */
  readonly subprotocols?: readonly string[] | undefined
  /**
   * Which origins may connect, where a request says one. Default `'same'`: the host of this server. A list is beside that.
   */
  readonly origins?: Origins | undefined
  /** For the head of the request, and before that for the TLS handshake. Default 10,000 each. */
  readonly handshakeTimeoutMs?: number | undefined
  /** For `handleUpgrade`, and then for `init`. Default 10,000. */
  readonly handleUpgradeTimeoutMs?: number | undefined
  readonly headLimits?: Partial<HeadLimits> | undefined
  /** How many connections there may be; others are answered with 503. Default 65,536. */
  readonly maxConnections?: number | undefined
  /** Limits for parts of them, by the name that `handleUpgrade` gives. */
  readonly pools?: Readonly<Record<string, number>> | undefined
  /**
   * How many handshakes may be under way, those of TLS too on a port of its own; the streams of others are destroyed. Default 4,096.
   */
  readonly maxHandshakes?: number | undefined
  /** The same for each address. Default 256: raise it behind a proxy that has all clients at one address. */
  readonly maxHandshakesPerAddress?: number | undefined
  /**
   * A client that sends nothing for so long, pongs included, is closed with 1000 and the reason `timeout`. While this side does not
   * read (no credits, a behaviour that is behind) the time does not run. Default `Infinity`.
   */
  readonly idleTimeoutMs?: number | undefined
  /** A connection that is so old is closed in the same way. Default `Infinity`. */
  readonly maxLifetimeMs?: number | undefined
  /**
   * A process that does nothing for so long, and waits for nothing, lets go of most of its memory until something happens to
   * it. Nobody notices but the memory. Default 1,000; `Infinity` for never.
   */
  readonly restAfterMs?: number | undefined
  /** See the option of `start()`. Default `true`: every 20,000. */
  readonly keepalive?: KeepaliveOptions | number | boolean | undefined
  readonly flow?: number | undefined
  readonly lowWaterMark?: number | undefined
  /**
   * What becomes of a message that does not fit into `maxBufferedBytes` behind what its client has not read. Default `'close'`: the
   * connection ends with `WS_BUFFER_FULL`. With `'drop'` it is not sent, is counted in `droppedFrames`, and the connection
   * goes on.
   */
  readonly whenBufferFull?: 'close' | 'drop' | undefined
  readonly silencePings?: boolean | undefined
  readonly trapExit?: boolean | undefined
  readonly debug?: readonly DebugOption[] | undefined
}

const { maskKey: _, ...SHARED } = SOCKET_OPTIONS

/** The names of {@link ServerOptions}. */
export const SERVER_OPTIONS: Readonly<Record<keyof ServerOptions, true>> = {
  ...SHARED,
  subprotocols: true,
  origins: true,
  handshakeTimeoutMs: true,
  handleUpgradeTimeoutMs: true,
  headLimits: true,
  maxConnections: true,
  pools: true,
  maxHandshakes: true,
  maxHandshakesPerAddress: true,
  idleTimeoutMs: true,
  maxLifetimeMs: true,
  restAfterMs: true,
  keepalive: true,
  flow: true,
  lowWaterMark: true,
  whenBufferFull: true,
  silencePings: true,
  trapExit: true,
  debug: true,
}

/** {@link ServerOptions} with every default filled in. */
export interface ServerSettings {
  readonly socket: SocketSettings
  readonly process: ProcessSettings
  readonly subprotocols: readonly string[]
  readonly origins: Origins
  readonly handshakeTimeoutMs: number
  readonly handleUpgradeTimeoutMs: number
  readonly headLimits: Partial<HeadLimits>
  readonly maxConnections: number
  readonly pools: Readonly<Record<string, number>>
  readonly maxHandshakes: number
  readonly maxHandshakesPerAddress: number
  readonly idleTimeoutMs: number
  readonly maxLifetimeMs: number
  readonly restAfterMs: number
}

// The same as the client's; nginx 60 s, Apache 20 to 40 s, Node 60 s for the head.
const HANDSHAKE_TIMEOUT_MS = 10_000
// Antikythera's for an action.
const HANDLE_UPGRADE_TIMEOUT_MS = 10_000
// Antikythera 100 for each pool; everybody else none. A process has 65,536 file descriptors where somebody cared.
const MAX_CONNECTIONS = 65_536
// Phoenix hibernates after 15 s. Waking takes microseconds here, so there is no reason to wait so long.
const REST_AFTER_MS = 1000
const MAX_HANDSHAKES = 4096
const MAX_HANDSHAKES_PER_ADDRESS = 256

/**
 * Checks the options and fills in the defaults.
 *
 * @throws UsageError `WS_BAD_OPTION`.
 */
export function resolveServerOptions(options: ServerOptions): ServerSettings {
  requireOptions(options, SERVER_OPTIONS)
  const { keepalive, flow, lowWaterMark, silencePings, trapExit, debug } = options
  const { clock, highWaterMark, maxQueuedMessages, deliverWhileClosing } = options
  const ofProcess = { keepalive, flow, lowWaterMark, silencePings, trapExit, debug }
  const shared = { clock, highWaterMark, maxQueuedMessages, deliverWhileClosing }
  const { subprotocols = [], headLimits = {} } = options
  if (!Array.isArray(subprotocols)) throw new UsageError('WS_BAD_OPTION', 'subprotocols must be a list')
  HeadReader.forRequest(headLimits)
  const checked = resolveSocketOptions(options)
  const drop = requireWhenBufferFull(options.whenBufferFull) === 'drop'
  // Of two that look at the limit the socket would close.
  const dropAbove = drop ? checked.maxBufferedBytes : Infinity
  const socket = drop ? { ...checked, maxBufferedBytes: Infinity } : checked
  return {
    socket,
    process: { ...resolveStartOptions({ ...ofProcess, ...shared }), dropAbove, accepted: socket },
    subprotocols,
    origins: requireOrigins(options.origins),
    handshakeTimeoutMs: milliseconds('handshakeTimeoutMs', options.handshakeTimeoutMs, HANDSHAKE_TIMEOUT_MS),
    handleUpgradeTimeoutMs: milliseconds(
      'handleUpgradeTimeoutMs',
      options.handleUpgradeTimeoutMs,
      HANDLE_UPGRADE_TIMEOUT_MS,
    ),
    headLimits,
    maxConnections: options.maxConnections ?? MAX_CONNECTIONS,
    pools: options.pools ?? {},
    maxHandshakes: requireCount('maxHandshakes', options.maxHandshakes ?? MAX_HANDSHAKES),
    maxHandshakesPerAddress: requireCount(
      'maxHandshakesPerAddress',
      options.maxHandshakesPerAddress ?? MAX_HANDSHAKES_PER_ADDRESS,
    ),
    idleTimeoutMs: milliseconds('idleTimeoutMs', options.idleTimeoutMs, Infinity),
    maxLifetimeMs: milliseconds('maxLifetimeMs', options.maxLifetimeMs, Infinity),
    restAfterMs: milliseconds('restAfterMs', options.restAfterMs, REST_AFTER_MS),
  }
}

function requireWhenBufferFull(wish: unknown = 'close'): 'close' | 'drop' {
  if (wish === 'close' || wish === 'drop') return wish
  throw new UsageError('WS_BAD_OPTION', "whenBufferFull must be 'close' or 'drop'")
}
