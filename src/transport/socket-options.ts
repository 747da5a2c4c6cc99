import { type Compress, type CompressSettings, resolveCompress } from '../extensions/index.js'
import { type Limits, type MaskSource, resolveLimits, UsageError } from '../protocol/index.js'
import { type Clock, systemClock } from './clock.js'
import { milliseconds, requireOptions } from './dial-options.js'
import { systemMaskKey } from './mask-source.js'

/** How an open connection behaves, both roles. Times are in milliseconds, `Infinity` is no limit. */
export interface SocketOptions {
  /** What one message may cost; see {@link Limits} for the defaults. */
  readonly limits?: Partial<Limits> | undefined
  /**
   * Compression (`permessage-deflate`, RFC 7692). Default `'receive'`: the peer may compress, own messages are compressed only
   * when they are sent with `compress: true`.
   */
  readonly compress?: Compress | undefined
  /** Answer pings by themselves (RFC 6455 5.5.2). Default true. */
  readonly autoPong?: boolean | undefined
  /** How long the peer may take to answer our Close and to end the connection. Default 5,000. */
  readonly closeTimeoutMs?: number | undefined
  /** From this many bytes of buffered output on, `write()` returns false and `send()` waits. Default 65,536. */
  readonly highWaterMark?: number | undefined
  /**
   * With more buffered output than this, a peer counts as one that does not read: the next send ends the connection with
   * `WS_BUFFER_FULL`. Default 64 MiB.
   */
  readonly maxBufferedBytes?: number | undefined
  /** With this many undelivered messages, or 1 MiB of them, the socket is not read any more. Default 16. */
  readonly maxQueuedMessages?: number | undefined
  /**
   * Deliver messages that arrive after our own Close (the peer may still send them until it has seen it). Default false.
   * With it, whoever answers messages must look at `state` first.
   * Reading does not stop for who is behind then: of what comes, `maxQueuedMessages` are kept.
   */
  readonly deliverWhileClosing?: boolean | undefined
  /** Where time comes from. Default {@link systemClock}. */
  readonly clock?: Clock | undefined
  /**
   * Where a client's masking keys come from. Default: Node's secure random generator. RFC 6455 5.3 and 10.3 require keys
   * that nobody can predict, so another source is for tests.
   */
  readonly maskKey?: MaskSource | undefined
}

/** How one message is sent. */
export interface SendOptions {
  /**
   * Whether to compress it, where the connection can; by default as `threshold` says. Leave it off for what is compressed
   * already, and for secrets beside text that others choose: the length of the result tells of both.
   */
  readonly compress?: boolean | undefined
}

/** @throws UsageError `WS_BAD_OPTION` for what is none of {@link SendOptions}. */
export function compressWish(options: SendOptions | undefined): boolean | undefined {
  if (options === undefined) return undefined
  requireOptions(options, SEND_OPTIONS)
  const { compress } = options
  if (compress === undefined || typeof compress === 'boolean') return compress
  throw new UsageError('WS_BAD_OPTION', 'compress must be true or false')
}

const SEND_OPTIONS: Readonly<Record<keyof SendOptions, true>> = { compress: true }

/** The names of {@link SocketOptions}. */
export const SOCKET_OPTIONS: Readonly<Record<keyof SocketOptions, true>> = {
  limits: true,
  compress: true,
  autoPong: true,
  closeTimeoutMs: true,
  highWaterMark: true,
  maxBufferedBytes: true,
  maxQueuedMessages: true,
  deliverWhileClosing: true,
  clock: true,
  maskKey: true,
}

/** {@link SocketOptions} with every default filled in. */
export interface SocketSettings {
  readonly limits: Partial<Limits>
  readonly compress: CompressSettings | null
  readonly autoPong: boolean
  readonly closeTimeoutMs: number
  readonly highWaterMark: number
  readonly maxBufferedBytes: number
  readonly maxQueuedMessages: number
  readonly deliverWhileClosing: boolean
  readonly clock: Clock
  readonly maskKey: MaskSource
}

// WebSockex 5 s, Python websockets 10 s, gun 15 s, ws 30 s, undici never.
const CLOSE_TIMEOUT_MS = 5000
// Node 22's own for sockets; Python websockets 32 KiB, uWebSockets 64 KiB.
const HIGH_WATER_MARK = 64 * 1024
// As much as one message may have; uWebSockets drops at 64 KiB, ws and undici never refuse.
const MAX_BUFFERED_BYTES = 64 * 1024 * 1024
// Python websockets 16.
const MAX_QUEUED_MESSAGES = 16

/**
 * Checks the options and fills in the defaults.
 *
 * @throws UsageError `WS_BAD_OPTION` for a value that makes no sense.
 */
export function resolveSocketOptions(options: SocketOptions): SocketSettings {
  return {
    limits: resolveLimits(options.limits),
    compress: resolveCompress(options.compress),
    autoPong: options.autoPong ?? true,
    closeTimeoutMs: milliseconds('closeTimeoutMs', options.closeTimeoutMs, CLOSE_TIMEOUT_MS),
    highWaterMark: count('highWaterMark', options.highWaterMark, HIGH_WATER_MARK),
    maxBufferedBytes: count('maxBufferedBytes', options.maxBufferedBytes, MAX_BUFFERED_BYTES),
    maxQueuedMessages: count('maxQueuedMessages', options.maxQueuedMessages, MAX_QUEUED_MESSAGES),
    deliverWhileClosing: options.deliverWhileClosing ?? false,
    clock: options.clock ?? systemClock,
    maskKey: options.maskKey ?? systemMaskKey,
  }
}

function count(name: string, value: number | undefined, fallback: number): number {
  if (value === undefined) return fallback
  if (value === Infinity || (Number.isInteger(value) && value > 0)) return value
  throw new UsageError(
    'WS_BAD_OPTION',
    `${name} must be a positive whole number or Infinity, and not ${value}`,
  )
}
