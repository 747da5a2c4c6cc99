import { UsageError } from '../protocol/index.js'
import type { Clock } from '../transport/clock.js'
import { atMost } from './at-most.js'
import { warn } from './ending.js'
import { locate, type NamePlace, type ProcessName, showName } from './names.js'
import type { AnyProcess } from './process.js'
import { AlreadyStartedError } from './process-error.js'

/**
 * @internal Gives a name to a process. A local name is its own when this returns, before the promise settles.
 *
 * @returns how to give it back: does so once, and only if the process still has it. To be awaited before the process counts
 * as ended, so that whoever waits for that can have the name.
 * @throws (rejects) AlreadyStartedError with the holder; ProcessError `WS_NO_CLUSTER`; UsageError `WS_BAD_OPTION` for what
 * is no name; what the registry rejects with.
 */
export async function claimName(name: ProcessName, process: AnyProcess): Promise<() => Promise<void>> {
  const place = locate(name)
  const { registry, key } = place
  const answer = registry.register(key, process)
  // Not awaited without need: the holder of a local name could be gone in the meantime.
  const given: unknown = typeof answer === 'boolean' ? answer : await answer
  if (given === false) throw await takenError(name, place)
  if (given !== true) {
    // A text such as 'taken' must not pass for a yes.
    throw new UsageError(
      'WS_BAD_OPTION',
      `register() of the registry for ${showName(name)} must answer true or false`,
    )
  }
  let released: Promise<void> | null = null
  const release = async (): Promise<void> => {
    await registry.unregister(key, process)
  }
  return () => (released ??= release())
}

async function takenError(name: ProcessName, { registry, key }: NamePlace): Promise<AlreadyStartedError> {
  try {
    return new AlreadyStartedError(showName(name), (await registry.whereis(key)) ?? null)
  } catch (cause) {
    return new AlreadyStartedError(showName(name), null, { cause })
  }
}

/**
 * Gives the name of a process that has ended back, and does not wait for a registry for ever.
 *
 * @returns a promise, which never rejects, where there is somebody to wait for.
 */
export function giveNameBack(release: () => unknown, clock: Clock, limitMs: number): Promise<void> | null {
  try {
    const released = release()
    if (!(released instanceof Promise)) return null
    return atMost(clock, limitMs, released).then(() => {}, notReleased)
  } catch (cause) {
    notReleased(cause)
    return null
  }
}

function notReleased(cause: unknown): void {
  warn('WS_RELEASE_FAILED', 'the name of a process could not be given back', cause)
}
