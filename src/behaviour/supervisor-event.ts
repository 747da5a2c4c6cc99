import type { Child } from './child-spec.js'
import type { EndReason } from './end-reason.js'
import type { ChildStartError, RestartIntensityError } from './process-error.js'

/**
 * Something a supervisor did, or that happened to a child of it; `id` is the child's.
 *
 * - `child-started`: it runs; `restarted` when it ran before
 * - `child-ended`: it ended; `expected` when its supervisor ended it, false when it did by itself
 * - `child-start-failed`: `start` rejected; `error.cause` is with what
 * - `child-restarting`: it will be started again, for the `restarts`th time within `withinMs`; `reason` is how it ended, null
 *   when it could not be started
 * - `child-abandoned`: it was ended by force and has not ended; its supervisor goes on without waiting for it
 * - `intensity-exceeded`: there were too many restarts, the supervisor ends
 */
export type SupervisorEvent =
  | {
      readonly type: 'child-started'
      readonly id: string
      readonly child: Child
      readonly restarted: boolean
    }
  | {
      readonly type: 'child-ended'
      readonly id: string
      readonly child: Child
      readonly reason: EndReason
      readonly expected: boolean
    }
  | { readonly type: 'child-start-failed'; readonly id: string; readonly error: ChildStartError }
  | {
      readonly type: 'child-restarting'
      readonly id: string
      readonly reason: EndReason | null
      readonly restarts: number
    }
  | { readonly type: 'child-abandoned'; readonly id: string; readonly child: Child }
  | { readonly type: 'intensity-exceeded'; readonly id: string; readonly error: RestartIntensityError }
