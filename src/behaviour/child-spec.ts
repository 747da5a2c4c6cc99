// Strategy: what a supervisor needs to know of a child, and nothing about WebSockets: a promise that tells how it ended, and
// a way to end it. Processes and supervisors are such children, and so is anything of yours. A specification is checked
// and completed once, so that a supervisor that restarts a child in the middle of the night meets no bad option.
import { UsageError } from '../protocol/index.js'
import { milliseconds, requireOptions } from '../transport/dial-options.js'
import type { Behaviour } from './behaviour.js'
import type { EndReason } from './end-reason.js'
import { showName } from './names.js'
import type { Process, StopOptions } from './process.js'
import { start } from './start.js'
import type { StartOptions } from './start-options.js'
import type { StartTarget } from './start-target.js'

/** What can be supervised: a process, a supervisor, or anything else that ends and can be ended. */
export interface Child {
  /** Resolves when it has ended, with how. */
  readonly ended: Promise<EndReason>
  /** Ends it, within `options.timeoutMs`; with 0, at once and by force. May be called again with less time. */
  stop(reason?: unknown, options?: StopOptions): Promise<unknown>
}

/**
 * When a child that ended by itself is started again: `permanent` always, `transient` after an abnormal end, `temporary`
 * never. See {@link EndReason.normal}.
 */
export type RestartType = 'permanent' | 'transient' | 'temporary'

/** How a child is started, ended, and started again. */
export interface ChildOptions<Started extends Child = Child> {
  /** Its name among the children of one supervisor. */
  readonly id: string
  /**
   * Starts it, and resolves when it is ready for those that are started after it. The signal is aborted when it is not
   * wanted any more: what comes nevertheless is stopped.
   */
  readonly start: (signal: AbortSignal) => Promise<Started>
  /** Default `'permanent'`. */
  readonly restart?: RestartType | undefined
  /**
   * How long it may take to end when its supervisor ends it; then it is ended by force. 0: by force at once; `Infinity`: as
   * long as it takes. Default 5,000; `Infinity` for a supervisor.
   */
  readonly shutdownMs?: number | undefined
  /** Whether it is a supervisor itself. Default `'worker'`. */
  readonly type?: 'worker' | 'supervisor' | undefined
}

/** The same for a process: what `start()` is called with. */
export interface ProcessChildOptions<State, Cast, Call, Answer, Info, Args> extends Pick<
  ChildOptions,
  'restart' | 'shutdownMs'
> {
  /** Default: the `name` in the options, as text. */
  readonly id?: string | undefined
  /** Where to connect to. */
  readonly target: StartTarget
  /** What runs. */
  readonly behaviour: Behaviour<State, Cast, Call, Answer, Info, Args>
  /** The same at each start. A `signal` in here ends this child only; for all of them there is the supervisor's. */
  readonly options?: StartOptions<Args> | undefined
}

/** A complete specification of a child. */
export interface ChildSpec<Started extends Child = Child> {
  readonly id: string
  readonly start: (signal: AbortSignal) => Promise<Started>
  readonly restart: RestartType
  readonly shutdownMs: number
  readonly type: 'worker' | 'supervisor'
}

const CHILD_OPTIONS: Readonly<Record<keyof ChildOptions, true>> = {
  id: true,
  start: true,
  restart: true,
  shutdownMs: true,
  type: true,
}
type AnyProcessChildOptions = ProcessChildOptions<unknown, unknown, unknown, unknown, unknown, unknown>
const PROCESS_CHILD_OPTIONS: Readonly<Record<keyof AnyProcessChildOptions, true>> = {
  id: true,
  target: true,
  behaviour: true,
  options: true,
  restart: true,
  shutdownMs: true,
}
const RESTART_TYPES: ReadonlySet<unknown> = new Set(['permanent', 'transient', 'temporary'])

// OTP 5 s for workers and no limit for supervisors; Elixir the same.
const SHUTDOWN_MS = 5000

/**
 * Says how a supervisor starts, ends and restarts a child: by a function, or by what `start()` is called with.
 *
 * @throws UsageError `WS_BAD_OPTION`.
 */
export function childSpec<
  State,
  Cast = never,
  Call = never,
  Answer = never,
  Info = unknown,
  Args = undefined,
>(
  options: ProcessChildOptions<State, Cast, Call, Answer, Info, Args>,
): ChildSpec<Process<State, Cast, Call, Answer, Info>>
export function childSpec<Started extends Child>(options: ChildOptions<Started>): ChildSpec<Started>
export function childSpec(options: ChildOptions | AnyProcessChildOptions): ChildSpec {
  if ('start' in options) return resolveChild(options)
  requireOptions(options, PROCESS_CHILD_OPTIONS)
  if (options.target === undefined || typeof options.behaviour !== 'object' || options.behaviour === null)
    throw badOption('a child needs either start, or target and behaviour')
  const { target, behaviour, options: startOptions = {}, restart, shutdownMs } = options
  const { name, signal } = startOptions
  const id = options.id ?? (name === undefined ? undefined : showName(name))
  if (id === undefined) throw badOption('a child needs an id, or a name in its options')
  return resolveChild({
    id,
    restart,
    shutdownMs,
    start: unwanted =>
      start(target, behaviour, {
        ...startOptions,
        signal: signal === undefined ? unwanted : AbortSignal.any([signal, unwanted]),
      }),
  })
}

function resolveChild<Started extends Child>(options: ChildOptions<Started>): ChildSpec<Started> {
  requireOptions(options, CHILD_OPTIONS)
  const { id, start: begin, restart = 'permanent', type = 'worker' } = options
  if (typeof id !== 'string' || id === '') throw badOption('the id of a child must be a text')
  if (typeof begin !== 'function') throw badOption(`start of the child ${id} must be a function`)
  if (!RESTART_TYPES.has(restart))
    throw badOption(`restart of the child ${id} must be permanent, transient or temporary, not ${restart}`)
  if (type !== 'worker' && type !== 'supervisor')
    throw badOption(`type of the child ${id} must be worker or supervisor, not ${String(type)}`)
  const fallback = type === 'worker' ? SHUTDOWN_MS : Infinity
  const shutdownMs = milliseconds(`shutdownMs of the child ${id}`, options.shutdownMs, fallback, 0)
  return { id, start: begin, restart, shutdownMs, type }
}

const badOption = (message: string): UsageError => new UsageError('WS_BAD_OPTION', message)
