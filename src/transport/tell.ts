import type { ConnectEvent } from './connect-event.js'
import { throwLater } from './throw-later.js'

/** A listener to the steps of connecting that does not always listen. */
export interface Witness {
  /** False when an event of this type would be made for nobody. */
  wants(type: ConnectEvent['type']): boolean
  tell(event: ConnectEvent): void
}

/** Whoever is told of the steps of connecting. */
export type ConnectListener = ((event: ConnectEvent) => void) | Witness

/** False when an event of this type would be made for nobody. */
export function isWanted(
  onEvent: ConnectListener | undefined,
  type: ConnectEvent['type'],
): onEvent is ConnectListener {
  return onEvent !== undefined && (typeof onEvent === 'function' || onEvent.wants(type))
}

/**
 * Tells whoever asked what happened. What the callback throws cannot break what goes on: it goes where an uncaught error
 * goes.
 */
export function tell(onEvent: ConnectListener | undefined, event: ConnectEvent): void {
  try {
    if (typeof onEvent === 'function') onEvent(event)
    else onEvent?.tell(event)
  } catch (error) {
    throwLater(error)
  }
}
