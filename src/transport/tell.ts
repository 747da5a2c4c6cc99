import type { ConnectEvent } from './connect-event.js'
import { throwLater } from './throw-later.js'

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
