import type { Parts } from './answers.js'
import type { ProcessStatus } from './behaviour.js'
import type { ProcessCore } from './process-core.js'

/** How a process is known to others. */
export interface ProcessIdentity {
  readonly name: string | null
  /** Gives the name back. */
  readonly release: () => unknown
}

/** What is known about a process, but for what its behaviour knows. */
export type ProcessFacts = Omit<ProcessStatus<unknown>, 'version' | 'state'>

export function factsOf(core: ProcessCore, { cycle, reception, outbox }: Parts): ProcessFacts {
  const { url, failures, reconnects } = cycle
  return {
    name: core.name,
    phase: core.phase,
    url,
    failures,
    reconnects,
    mailboxLength: reception.serial.mailboxLength,
    queuedFrames: outbox.waiting,
    bufferedAmount: core.bufferedAmount,
    rttMs: core.rttMs,
  }
}
