import { requireBehaviour } from '../behaviour/require-behaviour.js'
import { UsageError } from '../protocol/index.js'
import type { AnyServerBehaviour } from './gate.js'
import type { ServerBehaviour } from './server-behaviour.js'

/** A behaviour of any types, for a list of routes; see {@link endpoint}. */
export interface Endpoint {
  /** @internal */
  readonly behaviour: AnyServerBehaviour
}

/** A behaviour for `routes`. Returns it in a form in which behaviours of different types stand side by side. */
export function endpoint<
  State,
  Data = undefined,
  Cast = never,
  Call = never,
  Answer = unknown,
  Info = unknown,
>(behaviour: ServerBehaviour<State, Data, Cast, Call, Answer, Info>): Endpoint {
  return { behaviour: requireBehaviour(behaviour, ['handleUpgrade']) }
}

/** Behaviours for all paths, or by pattern. */
export type AnyService = {
  readonly behaviour?: unknown
  readonly routes?: Readonly<Record<string, Endpoint>>
}

/** What a server serves, by pattern. @throws UsageError `WS_BAD_OPTION`. */
export function behavioursOf(
  behaviour: unknown,
  routes: AnyService['routes'],
): Record<string, AnyServerBehaviour> {
  if ((behaviour === undefined) === (routes === undefined)) {
    throw new UsageError('WS_BAD_OPTION', 'a server has either a behaviour or routes')
  }
  if (routes === undefined) return { '/*path': requireBehaviour(behaviour, ['handleUpgrade']) }
  return Object.fromEntries(
    Object.entries(routes).map(([pattern, one]) => {
      if (typeof one !== 'object' || one === null || !('behaviour' in one)) {
        throw new UsageError('WS_BAD_OPTION', `the route ${pattern} must be endpoint(behaviour)`)
      }
      return [pattern, one.behaviour]
    }),
  )
}
