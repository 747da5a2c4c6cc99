import { UsageError } from '../protocol/index.js'
import { AbortError } from '../transport/abort-error.js'
import { after, type Clock } from '../transport/clock.js'
import type { Child, ChildSpec } from './child-spec.js'

/** How a start is given up. */
export interface StartLimits {
  readonly clock: Clock
  /** Not wanted any more: `start` is told, and has `shutdownMs` to settle. */
  readonly unwanted: AbortSignal
  /** Not waited for any more. */
  readonly kill: AbortSignal
}

const nothing = (): void => {}

/**
 * Starts a child. A child that comes when nobody waits for it any more is ended by force.
 *
 * @throws (rejects) what `start` throws or rejects with; UsageError `WS_BAD_DATA` for what is no child; AbortError.
 */
export function startChild(spec: ChildSpec, { clock, unwanted, kill }: StartLimits): Promise<Child> {
  return new Promise((resolve, reject) => {
    let done = false
    let cancelTimer = nothing
    const finish = (settle: () => void): void => {
      if (done) return
      done = true
      cancelTimer()
      unwanted.removeEventListener('abort', onUnwanted)
      kill.removeEventListener('abort', giveUp)
      settle()
    }
    const giveUp = (): void => finish(() => reject(new AbortError(unwanted)))
    const onUnwanted = (): void => {
      cancelTimer = after(clock, spec.shutdownMs, giveUp)
    }
    unwanted.addEventListener('abort', onUnwanted)
    kill.addEventListener('abort', giveUp)
    begin(spec, unwanted).then(
      child => {
        if (done) destroy(child)
        else finish(() => resolve(child))
      },
      (error: unknown) => finish(() => reject(error)),
    )
  })
}

async function begin({ id, start }: ChildSpec, unwanted: AbortSignal): Promise<Child> {
  const child: unknown = await start(unwanted)
  if (isChild(child)) return child
  throw new UsageError(
    'WS_BAD_DATA',
    `start of ${id} gave nothing that has the promise ended and the function stop`,
  )
}

function isChild(child: unknown): child is Child {
  if (typeof child !== 'object' || child === null || !('ended' in child) || !('stop' in child)) return false
  return (
    typeof child.stop === 'function' &&
    typeof (child.ended as Partial<Child['ended']> | null)?.then === 'function'
  )
}

function destroy(child: Child): void {
  // Nobody is left who could be told.
  void (async () => child.stop('shutdown', { code: 1001, timeoutMs: 0 }))().catch(() => {})
}
