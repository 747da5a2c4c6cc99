import { getEventListeners } from 'node:events'
import type { Duplex } from 'node:stream'

/** How many listeners each event of a stream has. */
export function listenersOf(stream: Duplex): Record<string, number> {
  return Object.fromEntries(
    stream
      .eventNames()
      .map(name => [String(name), stream.listenerCount(name)] as const)
      .toSorted(([a], [b]) => (a < b ? -1 : 1)),
  )
}

/** How many listeners wait for a signal to be aborted. */
export function abortListeners(signal: AbortSignal): number {
  return getEventListeners(signal, 'abort').length
}
