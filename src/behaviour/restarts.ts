// Strategy: who is started again after an exit, and how often. A restart is one piece of its supervisor's work. When a start in
// the middle of it fails, the piece ends, and another attempt comes at the next turn of the clock, which counts as one more
// restart; other work has its turn in between, and a child that never starts does not keep the program busy.
//
//   exited ──▶ #restart ──▶ stop the others in reverse order, start all in order
//                  ▲            │ a start fails
//                  │            ▼
//                  └─── #tryAgain at the next turn; too many of them: giveUp
import type { ChildList, Slot } from './child-list.js'
import type { Child } from './child-spec.js'
import type { EndReason } from './end-reason.js'
import { RestartIntensityError } from './process-error.js'
import { RestartWindow } from './restart-window.js'
import type { SupervisorSettings } from './supervisor-options.js'

/** What restarts ask of their supervisor. */
export interface RestartsHost {
  /** True when it is about to end: nothing is started any more. */
  ending(): boolean
  /** Does a piece of work at the next turn of the clock. @returns a function that takes it back. */
  later(work: () => Promise<void>): () => void
  /** There were too many. */
  giveUp(error: RestartIntensityError): void
}

/** The text of the Close frame. */
const RESTARTED = 'supervisor restarts'

/** The restarts of one supervisor. */
export class Restarts {
  readonly #settings: SupervisorSettings
  readonly #list: ChildList
  readonly #host: RestartsHost
  readonly #window: RestartWindow
  /** Those that could not be started, and why, in the order of their turns. */
  #failed: readonly { readonly slot: Slot; readonly error: Error }[] = []
  #cancel: (() => void) | null = null

  constructor(settings: SupervisorSettings, list: ChildList, host: RestartsHost) {
    this.#settings = settings
    this.#list = list
    this.#host = host
    this.#window = new RestartWindow(settings.maxRestarts, settings.withinMs)
  }

  /** A child ended. What happened to it before its turn came is known from the slot. */
  async exited(slot: Slot, child: Child): Promise<void> {
    const { reason } = slot
    if (slot.child !== child || reason === null) return
    this.#list.clear(slot)
    const { restart } = slot.spec
    const again = restart === 'permanent' || (restart === 'transient' && !reason.normal)
    if (again) await this.#restart(slot, reason, reason.error)
    else this.#list.settle(slot)
  }

  /** No more attempts. */
  cancel(): void {
    this.#cancel?.()
  }

  /** @param reason - how it ended; null when it could not be started. */
  async #restart(slot: Slot, reason: EndReason | null, error: Error | null): Promise<void> {
    const { id } = slot.spec
    slot.state = 'restarting'
    if (!this.#window.add(this.#settings.clock.now())) {
      this.#giveUp(id, reason, error)
      return
    }
    this.#list.emit({ type: 'child-restarting', id, reason, restarts: this.#window.count })
    const affected = this.#affected(slot)
    for (const other of affected.toReversed()) {
      if (this.#host.ending()) return
      if (other === slot) continue
      await this.#list.stop(other, RESTARTED)
      other.state = 'restarting'
    }
    for (const one of affected) {
      if (this.#host.ending()) return
      // Those that ran have left the list.
      if (one.spec.restart === 'temporary') continue
      try {
        await this.#list.start(one)
      } catch (failure) {
        one.state = 'restarting'
        this.#failed = [...this.#failed, { slot: one, error: failure as Error }]
        this.#tryLater()
        return
      }
    }
  }

  #affected(slot: Slot): readonly Slot[] {
    const { slots } = this.#list
    const { strategy } = this.#settings
    if (strategy === 'one-for-one') return [slot]
    return strategy === 'one-for-all' ? slots : slots.slice(slots.indexOf(slot))
  }

  #tryLater(): void {
    if (this.#failed.length === 0 || this.#host.ending()) return
    this.#cancel ??= this.#host.later(async () => {
      this.#cancel = null
      await this.#tryAgain()
    })
  }

  async #tryAgain(): Promise<void> {
    const [next, ...others] = this.#failed.filter(({ slot }) => waits(slot))
    this.#failed = others
    // The one that failed may have been stopped meanwhile; those that were to come after it still wait.
    const slot = next?.slot ?? this.#list.slots.find(waits)
    if (slot !== undefined) await this.#restart(slot, null, next?.error ?? null)
    this.#tryLater()
  }

  #giveUp(id: string, reason: EndReason | null, childError: Error | null): void {
    const { maxRestarts, withinMs } = this.#settings
    // Of a start that failed, the reason and not the report.
    const cause = reason === null && childError?.cause instanceof Error ? childError.cause : childError
    const error = new RestartIntensityError(id, `${maxRestarts} restarts in ${withinMs} ms`, reason, cause)
    this.#list.emit({ type: 'intensity-exceeded', id, error })
    this.#host.giveUp(error)
  }
}

const waits = (slot: Slot): boolean => slot.state === 'restarting'
