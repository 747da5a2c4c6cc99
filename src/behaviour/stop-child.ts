// Strategy: a child is asked to end, then forced, then left. What counts is that `ended` resolves; what `stop` gives does not
// matter, but a `stop` that fails is answered by force without waiting.
//
//   stop(shutdownMs) ──shutdownMs, or stop fails, or kill──▶ stop(0) ──FORCE_MS──▶ abandoned
import { after, type Clock } from '../transport/clock.js'
import type { Child } from './child-spec.js'
import type { EndReason } from './end-reason.js'

/** How a child is ended. */
export interface Shutdown {
  readonly clock: Clock
  readonly shutdownMs: number
  /** Of the Close frame. */
  readonly code: number
  /** Of the Close frame. */
  readonly text: string
  /** There is no time left for anybody. */
  readonly kill: AbortSignal
}

// OTP's `kill` cannot fail. A process that is ended by force has ended a few turns later.
const FORCE_MS = 5000

const nothing = (): void => {}

/**
 * Ends a child.
 *
 * @returns how it ended, or null when it has not, though it was forced to. Never rejects.
 */
export function stopChild(child: Child, shutdown: Shutdown): Promise<EndReason | null> {
  const { clock, shutdownMs, code, text, kill } = shutdown
  return new Promise(resolve => {
    let forced = false
    let cancelTimer = nothing
    const done = (reason: EndReason | null): void => {
      forced = true
      cancelTimer()
      kill.removeEventListener('abort', force)
      resolve(reason)
    }
    const stop = async (timeoutMs: number): Promise<unknown> =>
      child.stop('shutdown', { code, reason: text, timeoutMs })
    const force = (): void => {
      if (forced) return
      forced = true
      cancelTimer()
      cancelTimer = after(clock, FORCE_MS, () => done(null))
      void stop(0).catch(() => {})
    }
    void endOf(child).then(done)
    if (shutdownMs === 0 || kill.aborted) {
      force()
      return
    }
    kill.addEventListener('abort', force)
    cancelTimer = after(clock, shutdownMs, force)
    void stop(shutdownMs).catch(force)
  })
}

/** How a child ended. Never rejects: a child whose promise does has crashed. */
export function endOf(child: Child): Promise<EndReason> {
  return child.ended.then(undefined, (error: unknown) =>
    endReason('crash', { normal: false, error: error instanceof Error ? error : new Error(String(error)) }),
  )
}

/** The end of something without a connection. */
export function endReason(
  type: EndReason['type'],
  { normal, error = null, value }: { normal: boolean; error?: Error | null; value?: unknown },
): EndReason {
  return { type, normal, code: null, text: '', error, value, unsent: [] }
}
