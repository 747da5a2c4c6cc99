// Strategy: one timer, in one of two states: until the next ping, or until the deadline of the one that is out. A sign of
// life takes the deadline back. A deadline that passes while this side is not reading is no miss: the pong may be there, and
// it is we who do not look. One that comes late looks once more before it judges.
//
//   interval ──▶ ping ──▶ deadline ──▶ miss ──▶ (maxMissed) give up
//      ▲                     │ sign of life
//      └─────────────────────┘
import { UsageError } from '../protocol/index.js'
import { after, type Clock } from '../transport/clock.js'
import { milliseconds, requireOptions } from '../transport/dial-options.js'
import { type Payload, toBytes } from '../transport/payload.js'

/** Pings that find out whether the connection still lives. Times are in milliseconds. */
export interface KeepaliveOptions {
  /** Time between two pings. Default 20,000; `Infinity` is none. */
  readonly intervalMs?: number | undefined
  /** How long a sign of life may take after a ping. Default 20,000. */
  readonly timeoutMs?: number | undefined
  /** The connection is given up after this many misses in a row. Default 1. */
  readonly maxMissed?: number | undefined
  /** Any byte counts as a sign of life, not only the pong. Default true: a pong may be behind a large message. */
  readonly countAnyData?: boolean | undefined
  /** What the pings carry, at most 125 bytes. By default a few bytes that no other ping has that waits for its pong. */
  readonly payload?: Payload | undefined
}

/** {@link KeepaliveOptions} with every default filled in. */
export interface KeepaliveSettings {
  readonly intervalMs: number
  readonly timeoutMs: number
  readonly maxMissed: number
  readonly countAnyData: boolean
  readonly payload: Payload | undefined
}

// Python websockets 20 s and 20 s, on by default; proxies and load balancers give up silent connections after 60 s (nginx,
// AWS) or so. gun, WebSockex, Slack's client and ws send none unless asked to, and their trackers are full of connections
// that were dead for hours.
const INTERVAL_MS = 20_000
const TIMEOUT_MS = 20_000
const MAX_PAYLOAD_BYTES = 125

const OPTIONS: Readonly<Record<keyof KeepaliveOptions, true>> = {
  intervalMs: true,
  timeoutMs: true,
  maxMissed: true,
  countAnyData: true,
  payload: true,
}

/**
 * Checks the options and fills in the defaults. A number is an interval, `false` is none.
 *
 * @throws UsageError `WS_BAD_OPTION`.
 */
export function resolveKeepalive(
  options: KeepaliveOptions | number | boolean | undefined,
): KeepaliveSettings {
  if (options !== undefined && !['object', 'number', 'boolean'].includes(typeof options)) {
    throw new UsageError('WS_BAD_OPTION', 'keepalive must be an interval in milliseconds, false, or options')
  }
  const given = optionsOf(options)
  requireOptions(given, OPTIONS, 'keepalive')
  const { maxMissed = 1, payload } = given
  if (!(maxMissed >= 1)) throw new UsageError('WS_BAD_OPTION', 'keepalive.maxMissed must be at least 1')
  const bytes =
    payload === undefined
      ? 0
      : typeof payload === 'string'
        ? Buffer.byteLength(payload)
        : toBytes(payload).length
  if (bytes > MAX_PAYLOAD_BYTES) throw new UsageError('WS_CONTROL_PAYLOAD', 'a ping has at most 125 bytes')
  return {
    intervalMs: milliseconds('keepalive.intervalMs', given.intervalMs, INTERVAL_MS),
    timeoutMs: milliseconds('keepalive.timeoutMs', given.timeoutMs, TIMEOUT_MS),
    maxMissed,
    countAnyData: given.countAnyData ?? true,
    payload,
  }
}

function optionsOf(options: KeepaliveOptions | number | boolean | undefined): KeepaliveOptions {
  if (options === undefined || options === true) return {}
  if (options === false) return { intervalMs: Infinity }
  return typeof options === 'number' ? { intervalMs: options } : options
}

/** What the keepalive needs of its connection. */
export interface KeepaliveHost {
  readonly clock: Clock
  /** Bytes that have come so far. */
  received(): number
  /** True while this side does not read, or another limit holds: misses do not count. */
  paused(): boolean
  /** Sends a ping; the promise settles at its pong, and rejects when the connection ends. */
  ping(payload: Payload | undefined): Promise<number>
  missed(count: number): void
  /** No sign of life: the connection is to be given up. */
  dead(settings: KeepaliveSettings): void
}

/** The keepalive of one connection. */
export class Keepalive {
  readonly #host: KeepaliveHost
  #settings: KeepaliveSettings
  #cancel: () => void = () => {}
  #stopped = false
  #dueAt: number | null = null
  #missed = 0
  /** Counts pings, so that a late pong is not taken for the answer to a newer one. */
  #ping = 0

  /** @param firstMs - when the first ping is due. */
  constructor(host: KeepaliveHost, settings: KeepaliveSettings, firstMs: number = settings.intervalMs) {
    this.#host = host
    this.#settings = settings
    this.#wait(firstMs)
  }

  /** When the next ping is due, by the clock; null while the last one is not answered, or misses are counted. */
  get dueAt(): number | null {
    return this.#missed > 0 ? null : this.#dueAt
  }

  /** Begins anew with other settings. */
  change(settings: KeepaliveSettings): void {
    if (this.#stopped) return
    this.#settings = settings
    this.#missed = 0
    this.#ping++
    this.#wait(settings.intervalMs)
  }

  /** No more pings. */
  stop(): void {
    this.#stopped = true
    this.#cancel()
  }

  #wait(ms: number): void {
    this.#cancel()
    this.#dueAt = this.#host.clock.now() + ms
    this.#cancel = after(this.#host.clock, ms, () => this.#send())
  }

  #send(): void {
    this.#dueAt = null
    const { clock } = this.#host
    const sentAt = clock.now()
    const before = this.#host.received()
    const ping = ++this.#ping
    this.#host.ping(this.#settings.payload).then(
      () => {
        if (ping === this.#ping && !this.#stopped) this.#alive(sentAt)
      },
      // The connection is gone, and whoever holds this keepalive knows.
      () => {},
    )
    this.#watch(sentAt, before)
  }

  #watch(sentAt: number, before: number): void {
    if (this.#stopped) return
    this.#cancel()
    const { timeoutMs, countAnyData } = this.#settings
    const { clock } = this.#host
    const deadline = clock.now() + timeoutMs
    const judge = (): void => {
      if (countAnyData && this.#host.received() > before) this.#alive(sentAt)
      else if (this.#host.paused()) this.#watch(sentAt, this.#host.received())
      else this.#miss(sentAt)
    }
    this.#cancel = after(clock, timeoutMs, () => {
      // A program that did not come round to its timers did not come round to its sockets either.
      if (clock.now() > deadline) this.#cancel = after(clock, 0, judge)
      else judge()
    })
  }

  #alive(sentAt: number): void {
    this.#missed = 0
    this.#next(sentAt)
  }

  #miss(sentAt: number): void {
    this.#missed++
    this.#host.missed(this.#missed)
    if (this.#missed < this.#settings.maxMissed) {
      this.#next(sentAt)
      return
    }
    this.stop()
    this.#host.dead(this.#settings)
  }

  #next(sentAt: number): void {
    this.#ping++
    this.#wait(Math.max(0, sentAt + this.#settings.intervalMs - this.#host.clock.now()))
  }
}
