// Strategy: two plain objects over one core, so that what a callback holds of its process cannot wait for itself.
import type { ProcessStatus } from './behaviour.js'
import type { AnyBehaviour, Callbacks } from './callbacks.js'
import { warn } from './ending.js'
import type { EndReason } from './end-reason.js'
import type { Links } from './links.js'
import { requireBehaviour } from './require-behaviour.js'
import type { ProcessCore } from './process-core.js'
import { NoProcessError } from './process-error.js'
import type { NamedProcess } from './process-ref.js'
import type { AnyProcess, Process, Self } from './process.js'
import { requireKeys } from './result-check.js'

/** The processes behind the handles that users hold. */
const cores = new WeakMap<object, ProcessCore>()

function linksOf(handle: AnyProcess): Links {
  const core = cores.get(handle)
  if (core === undefined) throw new NoProcessError(String(handle.name), null)
  core.watch()
  return core.links
}

/** What others hold of a process. */
export function makeProcess(core: ProcessCore): Process {
  const process: Process = {
    get name() {
      return core.name
    },
    get phase() {
      return core.phase
    },
    get ended() {
      return core.ended
    },
    get bufferedAmount() {
      return core.bufferedAmount
    },
    get rttMs() {
      return core.rttMs
    },
    get debug() {
      return core.debug
    },
    send: frame => core.outbox.send(frame),
    write: frame => core.outbox.write(frame),
    cast: (message: unknown) => core.mail.cast(message),
    call: (message: unknown, options = {}) => core.mail.call(message, options),
    info: (message: unknown) => core.mail.info(message),
    sendAfter: (message: unknown, delayMs) => core.mail.sendAfter(message, delayMs),
    connect: () => core.connect(),
    stop: async (reason, options) => core.stop(reason, options),
    updateFlow: credits => core.updateFlow(credits),
    setKeepalive: keepalive => core.setKeepalive(keepalive),
    link: other => link(core, other),
    unlink: other => core.links.remove(linksOf(other)),
    getState: (options = {}) => core.mail.ask('getState', options, ({ state }) => state),
    replaceState: (replace, options = {}) =>
      core.mail.ask('replaceState', options, callbacks => {
        callbacks.state = replace(callbacks.state)
        return callbacks.state
      }),
    status: (options = {}) => core.mail.ask('status', options, callbacks => status(core, callbacks)),
    changeBehaviour: (behaviour, extra, options = {}) =>
      core.mail
        .ask('changeBehaviour', options, (callbacks, wanted) =>
          change(
            core,
            callbacks,
            requireBehaviour(behaviour, core.settings.accepted ? ['handleUpgrade'] : []),
            extra,
            wanted,
          ),
        )
        .then(() => process as never),
    [Symbol.asyncDispose]: async () => void (await core.stop(undefined)),
  }
  cores.set(process, core)
  return process
}

/** What the callbacks of a process hold of it. */
export function makeSelf(core: ProcessCore): Self {
  const self: Self = {
    get name() {
      return core.name
    },
    get phase() {
      return core.phase
    },
    get bufferedAmount() {
      return core.bufferedAmount
    },
    get rttMs() {
      return core.rttMs
    },
    now: () => core.settings.clock.now(),
    send: frame => core.outbox.send(frame, true),
    write: frame => core.outbox.write(frame, true),
    cast: message => core.mail.cast(message),
    info: message => core.mail.info(message),
    sendAfter: (message, delayMs) => core.mail.sendAfter(message, delayMs),
    connect: () => void core.connect(),
    stop: (reason, options) => void core.stop(reason, options),
    updateFlow: credits => core.updateFlow(credits),
    setKeepalive: keepalive => core.setKeepalive(keepalive),
    link: other => link(core, other),
  }
  cores.set(self, core)
  return self
}

/**
 * @internal For registries: the process that a handle, or what its callbacks hold, stands for; and what happens at its end.
 *
 * @throws NoProcessError for something that is no process.
 */
export function processOf(ref: AnyProcess | Self): {
  readonly process: NamedProcess
  readonly whenEnded: (listener: (reason: EndReason) => void) => () => void
} {
  const core = cores.get(ref)
  if (core === undefined) throw new NoProcessError(String(ref?.name), null)
  return { process: core.handle, whenEnded: listener => core.links.whenEnded(listener) }
}

/** @throws NoProcessError for something that is no process. */
export function requireProcess(handle: AnyProcess): void {
  linksOf(handle)
}

export function link(core: ProcessCore, other: AnyProcess): void {
  core.watch()
  core.links.add(linksOf(other))
}

/** Puts another behaviour in the place of the one that runs. What `codeChange` throws leaves everything as it was. */
async function change(
  core: ProcessCore,
  callbacks: Callbacks,
  behaviour: AnyBehaviour,
  extra: unknown,
  wanted: () => boolean,
): Promise<void> {
  const changed = await behaviour.codeChange?.(callbacks.behaviour.version, callbacks.state, extra)
  if (changed !== undefined) requireKeys('codeChange', changed, { state: true })
  if (!wanted()) return
  if (changed?.state !== undefined) callbacks.state = changed.state
  callbacks.behaviour = behaviour
  core.events.publish({ type: 'behaviour-change', version: behaviour.version })
}

/** What is known about a process, as `formatStatus` shows it. */
function status({ facts }: ProcessCore, { behaviour, state }: Callbacks): unknown {
  const all: ProcessStatus<unknown> = { ...facts, version: behaviour.version, state }
  const failed = (error: unknown): unknown => {
    warn('WS_FORMAT_STATUS_FAILED', 'formatStatus() of a process threw', error)
    return all
  }
  try {
    const shown = behaviour.formatStatus === undefined ? all : behaviour.formatStatus(all)
    return shown instanceof Promise ? shown.catch(failed) : shown
  } catch (error) {
    return failed(error)
  }
}
