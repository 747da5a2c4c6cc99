import { AbortError } from '../transport/abort-error.js'
import type { Clock } from '../transport/clock.js'
import type { Socket } from '../transport/socket.js'
import { flushBroadcasts } from './broadcasts.js'
import { giveNameBack } from './claim-name.js'
import type { EndReason } from './end-reason.js'
import { stopCause } from './end-cause.js'
import { type Cause, type EndingHost, warn } from './ending.js'
import type { CheckedFrame } from './frame.js'
import type { ExitMessage, LinkHost } from './links.js'
import type { ProcessCore } from './process-core.js'
import { NoProcessError } from './process-error.js'
import { STOP_TIMEOUT_MS } from './process-works.js'
import type { AnyProcess } from './process.js'

/** What ends with a process, and who is told. */
export class ProcessEnd implements EndingHost, LinkHost {
  readonly #core: ProcessCore

  constructor(core: ProcessCore) {
    this.#core = core
  }

  get id(): string {
    return this.#core.id
  }

  get clock(): Clock {
    return this.#core.settings.clock
  }

  get handle(): AnyProcess {
    return this.#core.handle
  }

  interrupt(run: () => void): void {
    if (this.#core.born) this.#core.works.serial.interrupt(run)
    else run()
  }

  inside(): boolean {
    return this.#core.callbacks.inside
  }

  quit(): Socket | null {
    flushBroadcasts()
    const { cycle, serial, mail } = this.#core.works
    const socket = cycle.quit()
    serial.end()
    this.#core.ignoreSignal()
    mail.end(() => this.#core.ending.error!)
    return socket
  }

  unsent(): readonly CheckedFrame[] {
    return this.#core.outbox.end()
  }

  terminate(reason: EndReason): unknown {
    const { born, events, callbacks } = this.#core
    if (!born) return undefined
    events.publish({ type: 'terminate', reason })
    return callbacks.behaviour.terminate?.(reason, callbacks.state)
  }

  gone(reason: EndReason): Promise<unknown> | null {
    const core = this.#core
    core.endLinks(reason)
    const named = giveNameBack(core.identity.release, core.settings.clock, STOP_TIMEOUT_MS)
    return named === null ? this.#tell(reason) : named.then(() => this.#tell(reason))
  }

  #tell(reason: EndReason): Promise<unknown> | null {
    const core = this.#core
    const { identity, ending } = core
    const { signal } = core.settings
    const told = core.works.waiters.end(() =>
      signal?.aborted === true ? new AbortError(signal) : (reason.error ?? ending.error!),
    )
    if (core.born && !reason.normal && !core.watched && !told && reason.type !== 'stop') {
      warn('WS_PROCESS_ENDED', ending.error!.message, reason.error)
    }
    const closed = core.closeDebug()
    if (closed !== undefined) return closed.then(() => identity.ended?.(core, reason))
    identity.ended?.(core, reason)
    return null
  }

  linkEnded(other: AnyProcess, reason: EndReason): void {
    if (this.#core.settings.trapExit)
      this.#core.mail.info({ type: 'exit', process: other, reason } satisfies ExitMessage)
    else if (!reason.normal) {
      const error = reason.error ?? new NoProcessError(other.name ?? 'linked to this one', reason)
      const cause: Cause = { ...stopCause(error), type: 'link', value: undefined }
      this.#core.ending.stop(cause, { code: 1011 }, STOP_TIMEOUT_MS)
    }
  }
}
