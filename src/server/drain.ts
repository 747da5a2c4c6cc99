import { checkFrame } from '../behaviour/frame.js'
import { UsageError } from '../protocol/index.js'
import { after, type Clock } from '../transport/clock.js'
import { milliseconds, requireOptions } from '../transport/dial-options.js'

/** How a server lets its clients go. Times are in milliseconds. */
export interface DrainOptions {
  /** All of it takes no longer; what is left then is cut off. Default 30,000, more than `spreadMs`. */
  readonly deadlineMs?: number | undefined
  /** The Close frames are spread evenly over so long, in random order, so that the clients do not all come back at once. Default 0. */
  readonly spreadMs?: number | undefined
  /** Default 1001. */
  readonly code?: number | undefined
  /** Default `server shutting down; please reconnect`. */
  readonly reason?: string | undefined
}

/** How it went. */
export interface Drained {
  /** Connections that were gone before: closed, given up by `closeTimeoutMs`, or ended by themselves. */
  readonly closed: number
  /** Connections that were left at the deadline, and cut off. */
  readonly cut: number
}

/** What can be told to go. */
export interface Drainable {
  readonly ended: Promise<unknown>
  stop(reason: unknown, options: { code: number; reason: string; timeoutMs?: number }): Promise<unknown>
}

// Kubernetes gives a pod 30 s; Antikythera spreads over 30 min.
const DEADLINE_MS = 30_000
const REASON = 'server shutting down; please reconnect'
const OPTIONS: Readonly<Record<keyof DrainOptions, true>> = {
  deadlineMs: true,
  spreadMs: true,
  code: true,
  reason: true,
}

/** @throws UsageError `WS_BAD_OPTION`. */
export function resolveDrainOptions(options: DrainOptions): Required<Record<keyof DrainOptions, unknown>> & {
  readonly deadlineMs: number
  readonly spreadMs: number
  readonly code: number
  readonly reason: string
} {
  requireOptions(options, OPTIONS)
  const spreadMs = options.spreadMs === 0 ? 0 : milliseconds('spreadMs', options.spreadMs, 0)
  const deadlineMs = milliseconds('deadlineMs', options.deadlineMs, DEADLINE_MS + spreadMs)
  const { code = 1001, reason = REASON } = options
  try {
    checkFrame({ type: 'close', code, reason })
  } catch (cause) {
    throw new UsageError('WS_BAD_OPTION', 'code and reason must be what a Close frame can carry', { cause })
  }
  if (spreadMs > deadlineMs || spreadMs === Infinity)
    throw new UsageError('WS_BAD_OPTION', 'spreadMs must not be longer than deadlineMs')
  return { deadlineMs, spreadMs, code, reason }
}

/** Tells all to go, one after the other; settles when all are gone. */
export async function drainAll(
  all: readonly Drainable[],
  options: ReturnType<typeof resolveDrainOptions>,
  clock: Clock,
  random: () => number = Math.random,
): Promise<Drained> {
  const { deadlineMs, spreadMs, code, reason } = options
  const order = shuffled(all, random)
  const left = new Set(all)
  let cut = 0
  const timers = order.map((one, i) =>
    after(
      clock,
      order.length < 2 ? 0 : (spreadMs * i) / (order.length - 1),
      () => void one.stop(undefined, { code, reason }),
    ),
  )
  const stopDeadline = after(clock, deadlineMs, () => {
    cut = left.size
    for (const one of left) void one.stop(undefined, { code, reason, timeoutMs: 0 })
  })
  await Promise.all(
    all.map(async one => {
      await one.ended
      left.delete(one)
    }),
  )
  stopDeadline()
  for (const cancel of timers) cancel()
  return { closed: all.length - cut, cut }
}

/** Fisher and Yates. */
function shuffled<T>(all: readonly T[], random: () => number): T[] {
  const order = [...all]
  for (let i = order.length - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1))
    ;[order[i], order[j]] = [order[j], order[i]]
  }
  return order
}
