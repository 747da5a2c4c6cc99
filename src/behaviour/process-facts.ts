import type { Parts } from './answers.js'
import type { ProcessStatus } from './behaviour.js'
import type { EndReason } from './end-reason.js'
import type { ProcessCore } from './process-core.js'
import type { Rest } from './rest.js'

/** How a process is known to others. */
export interface ProcessIdentity {
  readonly name: string | null
  /** Gives the name back. */
  readonly release: () => unknown
  /** Called last of all. */
  readonly ended?: (core: ProcessCore, reason: EndReason) => void
  /** Called when it goes on after a rest in which it wanted to ping at `pingAt`. */
  readonly woken?: (core: ProcessCore, rest: Rest) => void
}

/** What is known about a process, but for what its behaviour knows. */
export type ProcessFacts = Omit<ProcessStatus<unknown>, 'version' | 'state'>

export function factsOf(
  { name, phase, droppedFrames }: Pick<ProcessCore, 'name' | 'phase' | 'droppedFrames'>,
  { cycle, reception, outbox }: Parts,
): ProcessFacts {
  const { url, failures, reconnects } = cycle
  return {
    name,
    phase,
    url,
    failures,
    reconnects,
    mailboxLength: reception.serial.mailboxLength,
    queuedFrames: outbox.waiting,
    bufferedAmount: cycle.session?.socket.bufferedAmount ?? 0,
    droppedFrames,
    rttMs: reception.rttMs,
  }
}
