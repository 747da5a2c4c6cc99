import { UsageError } from '../protocol/index.js'
import type { Behaviour } from './behaviour.js'
import type { AnyBehaviour } from './callbacks.js'

const CALLBACKS: Readonly<Record<Exclude<keyof Behaviour<unknown>, 'version'>, true>> = {
  init: true,
  handleConnect: true,
  handleFrame: true,
  handlePing: true,
  handlePong: true,
  handleCast: true,
  handleCall: true,
  handleInfo: true,
  handleDrain: true,
  handleDisconnect: true,
  terminate: true,
  formatStatus: true,
  codeChange: true,
}
const NAMES: readonly string[] = Object.keys(CALLBACKS)

/**
 * Looks at a behaviour before it runs: a misspelt callback would never be called. A class instance is one too; its other
 * members are its own business, unless they look like callbacks.
 *
 * @param more - callbacks that it may have besides, for whoever calls them.
 * @throws UsageError `WS_BAD_OPTION`.
 */
export function requireBehaviour(behaviour: unknown, more: readonly string[] = []): AnyBehaviour {
  if (typeof behaviour !== 'object' || behaviour === null) {
    throw new UsageError('WS_BAD_OPTION', 'a behaviour is an object of callbacks')
  }
  for (const name of NAMES) requireCallback(behaviour, name)
  for (const name of more) requireCallback(behaviour, name)
  for (const name of Object.keys(behaviour)) {
    if (!Object.hasOwn(CALLBACKS, name) && /^(?:handle|on)[A-Z]/.test(name) && !more.includes(name)) {
      throw new UsageError('WS_BAD_OPTION', `there is no callback ${name}; see Behaviour`)
    }
  }
  return behaviour
}

function requireCallback(behaviour: object, name: string): void {
  const callback = (behaviour as Record<string, unknown>)[name]
  if (callback === undefined || typeof callback === 'function') return
  throw new UsageError('WS_BAD_OPTION', `the callback ${name} must be a function`)
}
