import type { ConnectEvent } from './connect-event.js'
import { throwLater } from './throw-later.js'

/** What a listener that does not always listen has: whether it wants events of a type now. */
export const WANTS: unique symbol = Symbol('wants')

/** A listener to the steps of connecting. */
export type ConnectListener = ((event: ConnectEvent) => void) & {
  [WANTS]?: (type: ConnectEvent['type']) => boolean
}

/** False when an event of this type would be made for nobody. */
export function isWanted(
  onEvent: ConnectListener | undefined,
  type: ConnectEvent['type'],
): onEvent is ConnectListener {
  return onEvent !== undefined && onEvent[WANTS]?.(type) !== false
}

/**
 * Tells whoever asked what happened. What the callback throws cannot break what goes on: it goes where an uncaught error
 * goes.
 */
export function tell(onEvent: ((event: ConnectEvent) => void) | undefined, event: ConnectEvent): void {
  try {
    onEvent?.(event)
  } catch (error) {
    throwLater(error)
  }
}
