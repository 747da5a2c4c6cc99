import { UsageError } from '../protocol/index.js'
import { type Clock, systemClock } from '../transport/clock.js'
import { milliseconds, requireOptions } from '../transport/dial-options.js'
import { type Child, type ChildOptions, type ChildSpec, childSpec } from './child-spec.js'
import type { SupervisorEvent } from './supervisor-event.js'

/**
 * Who is restarted when a child has to be: `one-for-one` that child; `one-for-all` every child; `rest-for-one` that child and
 * those after it.
 */
export type RestartStrategy = 'one-for-one' | 'one-for-all' | 'rest-for-one'

/** What a supervisor does. Times are in milliseconds. */
export interface SupervisorOptions {
  /** What it is called in messages. It is not registered anywhere. */
  readonly name?: string | undefined
  /** Default `'one-for-one'`. */
  readonly strategy?: RestartStrategy | undefined
  /** How many restarts there may be within `withinMs`; one more ends the supervisor. Default 3. */
  readonly maxRestarts?: number | undefined
  /** Default 5,000. */
  readonly withinMs?: number | undefined
  /** Started in this order, ended in the opposite one. */
  readonly children?: readonly ChildOptions[] | undefined
  /** Ties it to a process or a supervisor, or to several: the abnormal end of one ends the other. */
  readonly link?: Child | readonly Child[] | undefined
  /** Gives up starting, and later stops the supervisor. */
  readonly signal?: AbortSignal | undefined
  /** Hears of everything that happens. It is not waited for. */
  readonly onEvent?: ((event: SupervisorEvent) => void) | undefined
  /** Where time comes from. Default {@link systemClock}. */
  readonly clock?: Clock | undefined
}

/** {@link SupervisorOptions} with every default filled in. */
export interface SupervisorSettings {
  readonly name: string | null
  readonly strategy: RestartStrategy
  readonly maxRestarts: number
  readonly withinMs: number
  readonly children: readonly ChildSpec[]
  readonly links: readonly Child[]
  readonly signal: AbortSignal | undefined
  readonly onEvent: ((event: SupervisorEvent) => void) | undefined
  readonly clock: Clock
}

const SUPERVISOR_OPTIONS: Readonly<Record<keyof SupervisorOptions, true>> = {
  name: true,
  strategy: true,
  maxRestarts: true,
  withinMs: true,
  children: true,
  link: true,
  signal: true,
  onEvent: true,
  clock: true,
}
const STRATEGIES: ReadonlySet<unknown> = new Set(['one-for-one', 'one-for-all', 'rest-for-one'])

// Elixir 3 in 5 s; OTP itself 1 in 5 s.
const MAX_RESTARTS = 3
const WITHIN_MS = 5000

/**
 * Checks the options and fills in the defaults.
 *
 * @throws UsageError `WS_BAD_OPTION`.
 */
export function resolveSupervisorOptions(options: SupervisorOptions): SupervisorSettings {
  requireOptions(options, SUPERVISOR_OPTIONS)
  const { name = null, strategy = 'one-for-one', maxRestarts = MAX_RESTARTS } = options
  const { children: given = [], link = [], onEvent } = options
  if (!STRATEGIES.has(strategy)) throw badOption(`there is no strategy ${strategy}`)
  if (maxRestarts !== Infinity && !(Number.isInteger(maxRestarts) && maxRestarts >= 0))
    throw badOption(`maxRestarts must be a whole number or Infinity, and not ${maxRestarts}`)
  if (onEvent !== undefined && typeof onEvent !== 'function') throw badOption('onEvent must be a function')
  const children = given.map(one => childSpec(one))
  const ids = children.map(({ id }) => id)
  const twice = ids.find((id, at) => ids.indexOf(id) !== at)
  if (twice !== undefined) throw badOption(`there are two children with the id ${twice}`)
  return {
    name,
    strategy,
    maxRestarts,
    withinMs: milliseconds('withinMs', options.withinMs, WITHIN_MS),
    children,
    links: 'ended' in link ? [link] : link,
    signal: options.signal,
    onEvent,
    clock: options.clock ?? systemClock,
  }
}

const badOption = (message: string): UsageError => new UsageError('WS_BAD_OPTION', message)
