import type { Child } from '../../src/behaviour/child-spec.js'
import type { EndReason } from '../../src/behaviour/end-reason.js'
import type { StopOptions } from '../../src/behaviour/process.js'
import { withResolvers } from './servers.js'

/** How something without a connection ended. */
export const end = (normal: boolean, error: Error | null = null): EndReason => ({
  type: error === null ? 'stop' : 'crash',
  normal,
  code: null,
  text: '',
  error,
  value: undefined,
  unsent: [],
})

/** How a child takes to being stopped: at once, only by force, not at all, or with an error that ends nothing. */
export type Manner = 'willing' | 'stubborn' | 'immortal' | 'failing'

/** A child that does what a test says. */
export class FakeChild implements Child {
  readonly id: string
  readonly ended: Promise<EndReason>
  /** What `stop` was called with. */
  readonly stops: { readonly reason: unknown; readonly options: StopOptions }[] = []
  alive = true
  manner: Manner
  readonly #resolve: (reason: EndReason) => void
  readonly #onEnd: () => void

  constructor(id: string, manner: Manner = 'willing', onEnd: () => void = () => {}) {
    this.id = id
    this.manner = manner
    this.#onEnd = onEnd
    const { promise, resolve } = withResolvers<EndReason>()
    this.ended = promise
    this.#resolve = resolve
  }

  /** Ends by itself. */
  end(reason: EndReason = end(false)): void {
    if (!this.alive) return
    this.alive = false
    this.#onEnd()
    this.#resolve(reason)
  }

  /** Ends with an error. */
  crash(message = 'boom'): void {
    this.end(end(false, new Error(message)))
  }

  stop(reason?: unknown, options: StopOptions = {}): Promise<EndReason> {
    this.stops.push({ reason, options })
    const forced = options.timeoutMs === 0
    if (this.manner === 'willing' || (forced && this.manner !== 'immortal')) this.end(end(true))
    if (this.manner === 'failing') return Promise.reject(new Error('stop failed'))
    return this.ended
  }
}

/** Children as they come and go, of all ids. */
export class Nursery {
  /** `+a` for a start of `a`, `-a` for an end of it, `!a` for a start that fails. */
  log: string[] = []
  readonly living: FakeChild[] = []
  /** How many starts of an id fail. */
  readonly failing = new Map<string, number>()
  /** What a start of an id waits for. */
  readonly waiting = new Map<string, Promise<unknown>>()
  manner: Manner = 'willing'
  /** The signals that starts were given, the last of each id. */
  readonly signals = new Map<string, AbortSignal>()

  /** For `start` of a child. */
  readonly starter =
    (id: string) =>
    async (signal: AbortSignal): Promise<FakeChild> => {
      this.signals.set(id, signal)
      await this.waiting.get(id)
      const failures = this.failing.get(id) ?? 0
      if (failures > 0) {
        this.failing.set(id, failures - 1)
        this.log.push(`!${id}`)
        throw new Error(`${id} does not start`)
      }
      const child = new FakeChild(id, this.manner, () => {
        this.log.push(`-${id}`)
        this.living.splice(this.living.indexOf(child), 1)
      })
      this.log.push(`+${id}`)
      this.living.push(child)
      return child
    }

  /** The living child of this id. */
  get(id: string): FakeChild {
    const child = this.living.find(one => one.id === id)
    if (child === undefined) throw new Error(`${id} does not live`)
    return child
  }

  /** What happened since the last look. */
  take(): string {
    const taken = this.log.join(' ')
    this.log = []
    return taken
  }
}
