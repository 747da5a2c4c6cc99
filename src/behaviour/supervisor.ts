import type { Child, ChildOptions, RestartType } from './child-spec.js'
import type { ChildState } from './child-list.js'
import type { EndReason } from './end-reason.js'
import type { StopOptions } from './process.js'
import { Supervision } from './supervision.js'
import { resolveSupervisorOptions, type SupervisorOptions } from './supervisor-options.js'

/** What is known of one child. */
export interface ChildInfo {
  readonly id: string
  /** Null while there is none. */
  readonly child: Child | null
  readonly state: ChildState
  readonly restart: RestartType
  readonly type: 'worker' | 'supervisor'
}

/** How many children a supervisor has. */
export interface ChildCount {
  /** Running or not. */
  readonly specs: number
  /** Those that are running. */
  readonly active: number
  readonly workers: number
  readonly supervisors: number
}

/**
 * Starts children, starts them again when they end, and ends them. A supervisor is a {@link Child} itself, so supervisors
 * make trees. It does one thing after the other: what is asked of it waits until the restart before is done.
 */
export interface Supervisor extends AsyncDisposable {
  /** What it is called in messages; null for nothing. */
  readonly name: string | null
  /** Resolves with the reason when all children have ended, and never rejects. */
  readonly ended: Promise<EndReason>
  /** All children, in the order in which they are started. */
  children(): readonly ChildInfo[]
  /** How many there are. */
  count(): ChildCount
  /** The child that runs as `id`; null when there is none at the moment. Another one after each restart. */
  child(id: string): Child | null
  /**
   * Adds a child behind the others and starts it. Should that fail, it is not added.
   *
   * @throws (rejects) ChildStartError; AlreadyStartedError when there is a child with this id, running or not; NoProcessError
   * when the supervisor has ended; UsageError `WS_BAD_OPTION`.
   */
  startChild<Started extends Child>(options: ChildOptions<Started>): Promise<Started>
  /**
   * Ends a child, which stays known (unless it is temporary) and may be started again by `restartChild`. With `one-for-all` and
   * `rest-for-one` a restart of its siblings starts it too, as in OTP; `deleteChild` prevents that.
   *
   * @throws (rejects) ProcessError `WS_NO_CHILD`; NoProcessError when the supervisor has ended.
   */
  stopChild(id: string): Promise<void>
  /**
   * Starts a child that does not run.
   *
   * @throws (rejects) ChildStartError; ProcessError `WS_NO_CHILD`, or `WS_CHILD_RUNNING` when it runs or is about to;
   * NoProcessError when the supervisor has ended.
   */
  restartChild(id: string): Promise<Child>
  /**
   * Forgets a child that does not run.
   *
   * @throws (rejects) ProcessError `WS_NO_CHILD`, or `WS_CHILD_RUNNING` when it runs or is about to; NoProcessError when the
   * supervisor has ended.
   */
  deleteChild(id: string): Promise<void>
  /**
   * Ends all children in the opposite order, one after the other, each within its `shutdownMs`, and then the supervisor. It
   * comes before everything that waits, and a child that is being started is given up. Never call and await it inside a
   * callback of a child: the child cannot end before the callback does.
   *
   * @param reason - an `Error` ends it abnormally; anything else is kept in the reason's `value`.
   * @param options - code (default 1001) and text (default `supervisor stopped`) of the Close frames; `timeoutMs` for all
   * together, then children are ended by force: default `Infinity`.
   * @returns how it ended; the same as `ended`.
   * @throws (rejects) InvalidFrameError or FrameEncodeError for a Close frame that cannot be sent; UsageError `WS_BAD_OPTION`. Nothing is ended.
   */
  stop(reason?: unknown, options?: StopOptions): Promise<EndReason>
}

/**
 * Starts a supervisor and its children, in order.
 *
 * @throws (rejects) UsageError `WS_BAD_OPTION`; ChildStartError when a child cannot be started: those before it have been
 * ended again, in the opposite order; AbortError; what a linked process ended with meanwhile.
 */
export async function startSupervisor(options: SupervisorOptions): Promise<Supervisor> {
  const supervision = new Supervision(resolveSupervisorOptions(options))
  await supervision.begin()
  return supervision
}
