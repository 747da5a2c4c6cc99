import { UsageError } from '../protocol/index.js'
import type { Clock } from '../transport/clock.js'
import { systemClock } from '../transport/clock.js'
import { CONNECT_OPTIONS, type ConnectOptions } from '../transport/connect.js'
import { milliseconds, requireOptions } from '../transport/dial-options.js'
import type { SocketSettings } from '../transport/socket-options.js'
import { type DebugOption, requireDebugOptions } from './debug.js'
import { type KeepaliveOptions, type KeepaliveSettings, resolveKeepalive } from './keepalive.js'
import type { ProcessName } from './names.js'
import type { AnyProcess } from './process.js'
import { type ReconnectOptions, ReconnectPolicy } from './reconnect-policy.js'
import type { QueueOptions, WhenNotOpen } from './waiting-frames.js'

/** How a process runs, and how it connects (all of {@link ConnectOptions}). Times are in milliseconds. */
export interface StartOptions<Args = undefined> extends Omit<ConnectOptions, 'onMessage'> {
  /** For `init`. Without `init` it is the first state. */
  readonly args?: Args | undefined
  /** What others call the process: a text in this program, `{ via, key }` in a registry of yours, `{ global }` in a cluster. */
  readonly name?: ProcessName | undefined
  /** Resolve before the first connection is there. Default false. */
  readonly async?: boolean | undefined
  /**
   * A first attempt that fails goes to `handleDisconnect` and the reconnect policy, like any other. Default: true with
   * `async`, or when `init` said `idle` or `reconnect`; else false, and `start()` rejects.
   */
  readonly handleInitialFailure?: boolean | undefined
  /** How to connect again; `true` for the defaults. Default false: a process whose connection is lost ends. */
  readonly reconnect?: ReconnectOptions | boolean | undefined
  /** Pings that find a dead connection; a number is an interval, `false` is none. Default `true`, every 20,000. */
  readonly keepalive?: KeepaliveOptions | number | boolean | undefined
  /** What happens to a frame while there is no open connection. Default `'error'`. */
  readonly whenNotOpen?: WhenNotOpen | undefined
  /**
   * Credits: how many messages may be delivered until `updateFlow` or a result's `flow` gives more. Default `Infinity`.
   * Without credits control frames are still handled, until `maxQueuedMessages` messages wait: what is behind them cannot be
   * seen without reading on.
   */
  readonly flow?: number | undefined
  /** `handleDrain` comes when the buffered output falls to this many bytes. Default half of `highWaterMark`. */
  readonly lowWaterMark?: number | undefined
  /** Neither `handlePing` nor `handlePong` is called. Default false. */
  readonly silencePings?: boolean | undefined
  /** How long a target that is a function may take. Default 30,000. */
  readonly targetTimeoutMs?: number | undefined
  /** Ties the process to another, or to several: the abnormal end of one ends the other. */
  readonly link?: AnyProcess | readonly AnyProcess[] | undefined
  /** The end of a linked process arrives in `handleInfo`, as `{ type: 'exit', process, reason }`, and ends nothing. Default false. */
  readonly trapExit?: boolean | undefined
  /** Tracing, a log, statistics, from the start. */
  readonly debug?: readonly DebugOption[] | undefined
  /** Where the jitter of the delays comes from: numbers of at least 0 and less than 1. Default `Math.random`. */
  readonly random?: (() => number) | undefined
}

const START_OPTIONS: Readonly<Record<string, true>> = {
  ...CONNECT_OPTIONS,
  args: true,
  name: true,
  async: true,
  handleInitialFailure: true,
  reconnect: true,
  keepalive: true,
  whenNotOpen: true,
  flow: true,
  lowWaterMark: true,
  silencePings: true,
  targetTimeoutMs: true,
  link: true,
  trapExit: true,
  debug: true,
  random: true,
} satisfies Record<keyof StartOptions, true> & { onMessage: true }

/** {@link StartOptions} with the defaults of this layer filled in. */
export interface ProcessSettings {
  readonly connect: ConnectOptions
  readonly clock: Clock
  readonly handleInitialFailure: boolean | undefined
  readonly async: boolean
  readonly policy: ReconnectPolicy | null
  /** For what `handleDisconnect` asks for by itself, and for the mode `reconnect`. */
  readonly defaultPolicy: () => ReconnectPolicy
  readonly keepalive: KeepaliveSettings
  readonly whenNotOpen: 'error' | 'drop' | QueueOptions
  readonly flow: number
  readonly lowWaterMark: number
  readonly maxQueuedMessages: number
  readonly deliverWhileClosing: boolean
  readonly silencePings: boolean
  readonly targetTimeoutMs: number
  readonly trapExit: boolean
  readonly debug: readonly DebugOption[]
  readonly signal: AbortSignal | undefined
  /** Messages that would let more bytes wait than this are dropped; `Infinity` for none. */
  readonly dropAbove: number
  /** For a connection that was accepted, of which there is no other one after it; null for a client. */
  readonly accepted: SocketSettings | null
}

// A token service behind it answers in a second or never; DNS, TCP and TLS have 10 s each.
const TARGET_TIMEOUT_MS = 30_000

/**
 * Checks the options of this layer and fills in the defaults; those of `connect()` are checked by it.
 *
 * @throws UsageError `WS_BAD_OPTION`.
 */
export function resolveStartOptions(options: StartOptions<unknown>): ProcessSettings {
  requireOptions(options, START_OPTIONS)
  const { random = Math.random, clock = systemClock, flow = Infinity, whenNotOpen = 'error' } = options
  if ('onMessage' in options)
    throw new UsageError('WS_BAD_OPTION', 'a process has handleFrame, not onMessage')
  if (!(typeof flow === 'number' && flow >= 0))
    throw new UsageError('WS_BAD_OPTION', 'flow must be a number of credits')
  const { highWaterMark = 64 * 1024, lowWaterMark = highWaterMark / 2 } = options
  const defaultPolicy = (): ReconnectPolicy => new ReconnectPolicy({}, random)
  const { reconnect = false } = options
  return {
    connect: connectOptions(options),
    clock,
    async: options.async ?? false,
    handleInitialFailure: options.handleInitialFailure,
    policy: reconnect === false ? null : new ReconnectPolicy(reconnect === true ? {} : reconnect, random),
    defaultPolicy,
    keepalive: resolveKeepalive(options.keepalive),
    whenNotOpen: requireWhenNotOpen(whenNotOpen),
    flow,
    lowWaterMark: milliseconds('lowWaterMark', lowWaterMark, 0, 0),
    maxQueuedMessages: options.maxQueuedMessages ?? 16,
    deliverWhileClosing: options.deliverWhileClosing ?? false,
    silencePings: options.silencePings ?? false,
    targetTimeoutMs: milliseconds('targetTimeoutMs', options.targetTimeoutMs, TARGET_TIMEOUT_MS),
    trapExit: options.trapExit ?? false,
    debug: requireDebugOptions(options.debug),
    signal: options.signal,
    dropAbove: Infinity,
    accepted: null,
  }
}

function connectOptions(options: StartOptions<unknown>): ConnectOptions {
  const ours: Record<string, unknown> = {}
  for (const name of Object.keys(options))
    if (Object.hasOwn(CONNECT_OPTIONS, name) && name !== 'signal')
      ours[name] = options[name as keyof StartOptions]
  return ours
}

function requireWhenNotOpen(wish: WhenNotOpen): ProcessSettings['whenNotOpen'] {
  if (wish === 'error' || wish === 'drop') return wish
  if (wish === 'queue') return {}
  if (typeof wish === 'object' && wish !== null && wish.type === 'queue') return wish
  throw new UsageError(
    'WS_BAD_OPTION',
    "whenNotOpen must be 'error', 'drop', 'queue' or { type: 'queue', … }",
  )
}
