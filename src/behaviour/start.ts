import type { Behaviour } from './behaviour.js'
import { UsageError } from '../protocol/index.js'
import { claimName } from './claim-name.js'
import { isName, showName } from './names.js'
import { ProcessCore } from './process-core.js'
import { link as linkProcesses, requireProcess } from './process-handles.js'
import type { AnyProcess, Process } from './process.js'
import { requireBehaviour } from './require-behaviour.js'
import { resolveStartOptions, type StartOptions } from './start-options.js'
import type { StartTarget } from './start-target.js'

/**
 * Starts a process: a WebSocket client that runs a behaviour.
 *
 * @param target - a URL, a URL with options of its own, or a function that finds it out for each attempt anew.
 * @returns the process, after its first `handleConnect`; at once (but after `init`) with `async`, or when `init` said `idle`.
 * @throws (rejects) UsageError for a bad option or URL and AlreadyStartedError, before anything is done; what `init` or
 * `handleConnect` threw; ConnectionError or HandshakeError when the first attempt failed, see `handleInitialFailure`;
 * AbortError. The process has ended then, and nothing of it is left.
 */
export async function start<
  State,
  Cast = never,
  Call = never,
  Answer = unknown,
  Info = unknown,
  Args = undefined,
>(
  target: StartTarget,
  behaviour: Behaviour<State, Cast, Call, Answer, Info, Args>,
  options: StartOptions<Args> = {},
): Promise<Process<State, Cast, Call, Answer, Info>> {
  const callbacks = requireBehaviour(behaviour)
  const settings = resolveStartOptions(options)
  const { name, link } = options
  if (name !== undefined && !isName(name)) {
    throw new UsageError('WS_BAD_OPTION', 'name must be a text, { via, key } or { global }')
  }
  for (const other of linked(link)) requireProcess(other)
  // A name must be claimed before there is a process, by something that stands for it.
  let release: (() => unknown) | null = null
  const core = new ProcessCore(callbacks, target, settings, {
    name: name === undefined ? null : showName(name),
    release: () => release?.(),
  })
  core.works.cycle.connector.prepare()
  const process = core.handle
  if (name !== undefined) release = await claimName(name, process)
  await core.start(options.args, () => {
    for (const other of linked(link)) linkProcesses(core, other)
  })
  return process as Process<State, Cast, Call, Answer, Info>
}

function linked(link: AnyProcess | readonly AnyProcess[] | undefined): readonly AnyProcess[] {
  if (link === undefined) return []
  return Array.isArray(link) ? (link as readonly AnyProcess[]) : [link as AnyProcess]
}
