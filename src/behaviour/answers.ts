// Strategy: what the answers of callbacks do. A result is looked at whole (result-check.ts) before any of it takes effect; then
// the frames first, since only they may still fail (fragments out of order), and the state must be the one from before then.
import type { ConnectionInfo } from './behaviour.js'
import type { Callbacks } from './callbacks.js'
import type { Cycle } from './cycle.js'
import type { DisconnectStatus } from './disconnect-status.js'
import { stopCause } from './end-cause.js'
import type { Ending } from './ending.js'
import type { From } from './from.js'
import type { Outbox } from './outbox.js'
import type { Reception } from './reception.js'
import { closeFrame, requireDisconnectResult, requireResult } from './result-check.js'
import type { CallResult } from './result.js'
import type { Waiters } from './waiters.js'

/** What answers have an effect on. */
export interface Parts {
  readonly callbacks: Callbacks
  readonly reception: Reception
  readonly cycle: Cycle
  readonly outbox: Outbox
  readonly waiters: Waiters
  readonly ending: Ending
}

/**
 * Does what a callback other than `handleDisconnect` wants.
 *
 * @param from - who made the call, for `handleCall`.
 * @throws BadResponseError, and nothing was done; FrameEncodeError for fragments out of order.
 */
export function applyResult(
  parts: Parts,
  callback: string,
  result: unknown,
  from: From<unknown> | null,
): void {
  const frames = requireResult(callback, result)
  const wish = result as CallResult<unknown, unknown>
  const { state, keepalive, flow, close, stop } = wish
  for (const frame of frames) parts.outbox.reply(frame)
  if (state !== undefined) parts.callbacks.state = state
  if (keepalive !== undefined) parts.cycle.setKeepalive(keepalive)
  if (flow !== undefined) parts.reception.addCredits(flow)
  if (from !== null && 'answer' in wish) from.settle(wish.answer)
  if (close !== undefined) parts.outbox.reply(closeFrame(close))
  if (stop === undefined) return
  const cause = stopCause(stop)
  parts.ending.stop(cause, { code: cause.normal ? 1000 : 1011 }, Infinity)
}

/** Calls `handleConnect`; afterwards the connection is everybody's. @param info - makes what it is told. */
export function callHandleConnect(parts: Parts, info: () => ConnectionInfo): Promise<void> | null {
  return parts.callbacks.call(
    'handleConnect',
    (one, state, self) => one.handleConnect?.(info(), state, self),
    result => {
      if (result !== undefined) applyResult(parts, 'handleConnect', result, null)
      const { session } = parts.cycle
      if (session !== null) {
        parts.cycle.ready(session)
        parts.outbox.flush(session)
      }
      parts.waiters.resolve()
    },
  )
}

/** Calls `handleDisconnect`; what it answers, or does not, decides what follows. */
export function callHandleDisconnect(parts: Parts, status: DisconnectStatus): Promise<void> | null {
  return parts.callbacks.call(
    'handleDisconnect',
    (one, state, self) => one.handleDisconnect?.(status, state, self),
    result => {
      if (result !== undefined) requireDisconnectResult(result)
      const wish = result
      const act = parts.cycle.decide(status, wish)
      if (wish?.state !== undefined) parts.callbacks.state = wish.state
      act()
    },
  )
}
