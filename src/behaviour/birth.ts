import { AbortError } from '../transport/abort-error.js'
import { quiet } from '../transport/send-queue.js'
import type { Callbacks } from './callbacks.js'
import { stopCause } from './end-cause.js'
import { type Ending, toError } from './ending.js'
import type { InitMode } from './result.js'

/** What a process consists of before it has a state. */
export interface Unborn {
  readonly callbacks: Callbacks
  readonly ending: Ending
  readonly signal: AbortSignal | undefined
  /** Gives the name back. */
  readonly release: () => unknown
}

/** How to begin; null where `init` does not say. */
type Known = InitMode | null

/**
 * Runs `init`. Meanwhile whoever ends the process, by its name or by the signal, ends it at once.
 *
 * @param onAbort - listens to the signal from now on.
 * @returns what `init` says; a promise when that is not known at once.
 * @throws (rejects, and never throws) what `init` threw, AbortError, or NoProcessError. The process has ended then, without a
 * `terminate`.
 */
export function giveBirth(
  unborn: Unborn,
  args: unknown,
  onAbort: (() => void) | null,
): Known | Promise<Known> {
  const { callbacks, ending, signal } = unborn
  try {
    if (signal?.aborted === true) throw new AbortError(signal)
    if (onAbort !== null) signal?.addEventListener('abort', onAbort)
    // Ended by its name, before its turn came.
    if (ending.begun) return whenKnown(unborn, null)
    const mode = callbacks.init(args)
    return mode instanceof Promise || ending.begun ? whenKnown(unborn, mode) : mode
  } catch (error) {
    return failed(unborn, error)
  }
}

async function whenKnown(unborn: Unborn, mode: Known | Promise<Known>): Promise<Known> {
  const { ending } = unborn
  try {
    // Where the end comes before the answer, nobody hears of either after that.
    const known = mode instanceof Promise ? await Promise.race([mode, quiet(ended(unborn))]) : mode
    return ending.begun ? await ended(unborn) : known
  } catch (error) {
    return failed(unborn, error)
  }
}

async function ended({ ending, signal }: Unborn): Promise<never> {
  await ending.ended
  throw signal?.aborted === true ? new AbortError(signal) : ending.error!
}

async function failed({ ending, release }: Unborn, error: unknown): Promise<never> {
  ending.begin({ ...stopCause(toError(error)), type: 'crash' }, { code: 1011 })
  await ending.ended
  // A name that came after the end.
  await release()
  throw error
}
