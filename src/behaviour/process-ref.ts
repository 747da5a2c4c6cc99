// Strategy: what can be done to a process can be done to a name. A name is looked up at each use and never kept, so it means
// whoever has it then. Local names are looked up synchronously: what is sent first arrives first, and `cast` throws as it
// does with a process. Names of other registries give promises, `cast` and `info` too.
import { inspect } from 'node:util'
import { UsageError } from '../protocol/index.js'
import type { EndReason } from './end-reason.js'
import type { Frame } from './frame.js'
import { isName, locate, type ProcessName, type RegistryName, showName } from './names.js'
import type { AnyProcess, CallOptions, Process, ProcessRef, StopOptions } from './process.js'
import { NoProcessError, ProcessError } from './process-error.js'

/** What was found by a name: its messages are not known to the compiler. */
export type NamedProcess = Process<unknown, unknown, unknown, unknown, unknown>

/** What takes casts of this type. */
export type CastTarget<Cast> = Pick<Process<unknown, Cast>, 'cast'>
/** What takes calls of this type. */
export type CallTarget<Call, Answer> = Pick<Process<unknown, never, Call, Answer>, 'call'>
/** What takes other messages of this type. */
export type InfoTarget<Info> = Pick<Process<unknown, never, never, unknown, Info>, 'info'>

/**
 * Who has this name now.
 *
 * @returns null for nobody; a promise of it for a name that is not local.
 * @throws UsageError `WS_BAD_OPTION` for what is no name; for a name that is not local it rejects: ProcessError
 * `WS_NO_CLUSTER`, or what the registry rejects with.
 */
export function whereis(name: string): NamedProcess | null
export function whereis(name: RegistryName): Promise<NamedProcess | null>
export function whereis(name: ProcessName): Promise<NamedProcess | null> | NamedProcess | null
export function whereis(name: ProcessName): Promise<AnyProcess | null> | AnyProcess | null {
  return typeof name === 'string' ? locateLocal(name) : locateRemote(name)
}

/**
 * A message for `handleCast` of a process. See {@link Process.cast} for what it throws; a name of nobody throws too. With a
 * name that is not local, it gives a promise that rejects instead, and is handed over when it settles.
 *
 * @throws NoProcessError; ProcessError `WS_NO_CALLBACK`, `WS_NO_CLUSTER`; what the registry rejects with.
 */
export function cast<Cast>(process: CastTarget<Cast>, message: NoInfer<Cast>): void
export function cast(name: string, message: unknown): void
export function cast(name: RegistryName, message: unknown): Promise<void>
export function cast(name: ProcessName, message: unknown): Promise<void> | undefined
export function cast(ref: CastTarget<unknown> | ProcessName, message: unknown): Promise<void> | undefined {
  return tell(ref, process => able(process, 'cast', ref).cast(message))
}

/**
 * A message for `handleInfo` of a process. Dropped when the process has ended or has no such callback, but a name of nobody
 * is an error, which comes as that of `cast()` does.
 *
 * @throws NoProcessError; ProcessError `WS_NO_CLUSTER`; what the registry rejects with.
 */
export function info<Info>(process: InfoTarget<Info>, message: NoInfer<Info>): void
export function info(name: string, message: unknown): void
export function info(name: RegistryName, message: unknown): Promise<void>
export function info(name: ProcessName, message: unknown): Promise<void> | undefined
export function info(ref: InfoTarget<unknown> | ProcessName, message: unknown): Promise<void> | undefined {
  return tell(ref, process => able(process, 'info', ref).info(message))
}

/**
 * A message for `handleCall` of a process.
 *
 * @returns the answer.
 * @throws (rejects) what {@link Process.call} rejects with; NoProcessError for a name of nobody; ProcessError
 * `WS_NO_CLUSTER`; what the registry rejects with. `timeoutMs` begins when the process is found.
 */
export function call<Call, Answer>(
  process: CallTarget<Call, Answer>,
  message: NoInfer<Call>,
  options?: CallOptions,
): Promise<Answer>
export function call<Answer = unknown>(
  name: ProcessName,
  message: unknown,
  options?: CallOptions,
): Promise<Answer>
export function call(
  ref: CallTarget<unknown, unknown> | ProcessName,
  message: unknown,
  options?: CallOptions,
): Promise<unknown> {
  return ask(ref, process => able(process, 'call', ref).call(message, options))
}

/**
 * Sends one frame, see {@link Process.send}.
 *
 * @throws (rejects) what that rejects with; NoProcessError for a name of nobody; ProcessError `WS_NO_CLUSTER`; what the
 * registry rejects with.
 */
export function send(ref: ProcessRef, frame: Frame): Promise<void> {
  return ask(ref, process => process.send(frame))
}

/**
 * Ends a process, see {@link Process.stop}.
 *
 * @returns how it ended.
 * @throws (rejects) NoProcessError for a name of nobody; ProcessError `WS_NO_CLUSTER`; what the registry rejects with.
 */
export function stop(ref: ProcessRef, reason?: unknown, options?: StopOptions): Promise<EndReason> {
  return ask(ref, process => process.stop(reason, options))
}

type Ref = ProcessName | object

function locateLocal(name: string): AnyProcess | null {
  const { registry, key } = locate(name)
  return registry.whereis(key) as AnyProcess | null
}

async function locateRemote(name: RegistryName): Promise<AnyProcess | null> {
  const { registry, key } = locate(name)
  return (await registry.whereis(key)) ?? null
}

/** Finds the process now, or later. @throws NoProcessError, UsageError. */
function find(ref: Ref): AnyProcess | Promise<AnyProcess> {
  if (!isName(ref)) {
    if (typeof ref === 'object' && ref !== null) return ref as AnyProcess
    throw new UsageError(
      'WS_BAD_OPTION',
      `expected a process or a name, and not ${inspect(ref, { depth: 0 })}`,
    )
  }
  if (typeof ref === 'string') return found(ref, locateLocal(ref))
  return locateRemote(ref).then(process => found(ref, process))
}

function found(name: ProcessName, process: AnyProcess | null): AnyProcess {
  if (process === null) throw new NoProcessError(showName(name), null)
  return process
}

/** For what gives no promise with a process. */
function tell(ref: Ref, work: (process: AnyProcess) => void): Promise<void> | undefined {
  const process = find(ref)
  if (process instanceof Promise) return process.then(work)
  work(process)
  return undefined
}

/** For what gives a promise with a process: the same one, so that a rejection it excuses stays excused. */
function ask<T>(ref: Ref, work: (process: AnyProcess) => Promise<T>): Promise<T> {
  try {
    const process = find(ref)
    return process instanceof Promise ? process.then(work) : work(process)
  } catch (error) {
    return Promise.reject(error)
  }
}

/** A registry may know of things that can be stopped and sent to, and no more. */
function able(process: AnyProcess, what: 'cast' | 'call' | 'info', ref: Ref): NamedProcess {
  if (typeof (process as Partial<NamedProcess>)[what] === 'function') return process as NamedProcess
  const shown = isName(ref) ? showName(ref) : 'this'
  throw new ProcessError('WS_NO_CALLBACK', `${shown} takes no ${what}`)
}
