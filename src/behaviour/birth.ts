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

/**
 * Runs `init`. Meanwhile whoever ends the process, by its name or by the signal, ends it at once.
 *
 * @param onAbort - listens to the signal from now on.
 * @returns how to begin; null where `init` does not say.
 * @throws (rejects) what `init` threw, AbortError, or NoProcessError. The process has ended then, without a `terminate`.
 */
export async function giveBirth(
  { callbacks, ending, signal, release }: Unborn,
  args: unknown,
  onAbort: (() => void) | null,
): Promise<InitMode | null> {
  const aborted = (): boolean => signal?.aborted === true
  const ended = async (): Promise<never> => {
    await ending.ended
    throw aborted() ? new AbortError(signal!) : ending.error!
  }
  try {
    if (aborted()) throw new AbortError(signal!)
    if (onAbort !== null) signal?.addEventListener('abort', onAbort)
    // Ended by its name, before its turn came.
    if (ending.begun) return await ended()
    const mode = callbacks.init(args)
    // Most say at once; where the end comes before the answer, nobody hears of either after that.
    const known = mode instanceof Promise ? await Promise.race([mode, quiet(ended())]) : mode
    if (ending.begun) return await ended()
    return known
  } catch (error) {
    ending.begin({ ...stopCause(toError(error)), type: 'crash' }, { code: 1011 })
    await ending.ended
    // A name that came after the end.
    await release()
    throw error
  }
}
