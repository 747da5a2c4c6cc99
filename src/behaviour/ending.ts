// Strategy: the end of a process, which comes once, whatever it was that ended it. Callbacks stop, the connection is closed,
// what was not sent is gathered, `terminate` runs, and then everybody who waits is told. `kill` cuts short what takes too
// long: the socket is destroyed and `terminate` not waited for.
import { after, type Clock } from '../transport/clock.js'
import type { Socket } from '../transport/socket.js'
import type { EndReason } from './end-reason.js'
import type { CheckedFrame } from './frame.js'
import { NoProcessError } from './process-error.js'
import { maskText } from './secrets.js'
import { isThenable } from './thenable.js'

/** How a process ends, before it is known what it leaves. */
export type Cause = Omit<EndReason, 'unsent'>

/** The Close frame of an end that begins while there is a connection. */
export interface EndClose {
  readonly code: number
  readonly reason?: string | undefined
}

/** What ends with the process. */
export interface EndingHost {
  readonly clock: Clock
  /** The process as text. */
  readonly id: string
  /** Runs this as soon as no callback runs any more. */
  interrupt(run: () => void): void
  /** True while a callback is on the stack. */
  inside(): boolean
  /** No more callbacks, attempts, timers. @returns the socket that is still there. */
  quit(): Socket | null
  /** What was accepted and never sent. */
  unsent(): readonly CheckedFrame[]
  /** Calls the user's `terminate`. */
  terminate(reason: EndReason): unknown
  /** Tells everybody else. @returns a promise where somebody has to be waited for. */
  gone(reason: EndReason): Promise<unknown> | null
}

/** The end of one process. */
export class Ending {
  readonly ended: Promise<EndReason>
  readonly #host: EndingHost
  #resolve!: (reason: EndReason) => void
  #cause: Cause | null = null
  /** The first `stop`, which is the one that counts. */
  #stop: (() => void) | null = null
  #reason: EndReason | null = null
  #socket: Socket | null = null
  #killed = false
  /** Ends the wait that began last, if it goes on. */
  #giveUp: (() => void) | null = null
  readonly #deadlines: (() => void)[] = []

  constructor(host: EndingHost) {
    this.#host = host
    this.ended = new Promise(resolve => {
      this.#resolve = resolve
    })
  }

  /** True when nobody has asked for the end, so that another in its place would do as well. */
  get untouched(): boolean {
    return this.#cause === null && this.#stop === null && this.#deadlines.length === 0
  }

  /** True from the moment on when no callback but `terminate` runs any more. */
  get begun(): boolean {
    return this.#cause !== null
  }

  /** How it ended; null until it has. */
  get reason(): EndReason | null {
    return this.#reason
  }

  /** Ends the process. The first call counts. @param close - the Close frame to send, if nobody has begun to close. */
  begin(cause: Cause, close: EndClose | null): void {
    if (this.#cause !== null) return
    this.#cause = cause
    void this.#run(cause, close)
  }

  /**
   * Ends the process as soon as no callback runs any more.
   *
   * @param ms - how long all of the end may take; then it is cut short.
   */
  stop(cause: Cause, close: EndClose, ms: number): void {
    if (this.#stop === null) {
      // Not written as the value of the property: V8 would make it old, and all of the process with it.
      const stop = (): void => this.begin(cause, close)
      this.#stop = stop
      this.#host.interrupt(stop)
    }
    if (this.#reason !== null) return
    const kill = (): void => {
      this.#stop?.()
      this.#socket?.terminate()
      this.#killed = true
      this.#giveUp?.()
    }
    // Not on the stack of the callback that asks for it.
    if (ms <= 0 && this.#host.inside()) queueMicrotask(kill)
    else if (ms <= 0) kill()
    else this.#deadlines.push(after(this.#host.clock, ms, kill))
  }

  /** The error for whoever wants something of a process that ends or has ended; null while it does not. */
  get error(): NoProcessError | null {
    if (this.#cause === null) return null
    return new NoProcessError(this.#host.id, this.#reason ?? { ...this.#cause, unsent: [] })
  }

  async #run(cause: Cause, close: EndClose | null): Promise<void> {
    const socket = this.#host.quit()
    this.#socket = socket
    if (socket !== null) {
      if (close !== null) void socket.close(close.code, close.reason)
      // A socket that was destroyed closes some turns later; a stream of the user's may never do it.
      await this.#unlessKilled(socket.closed, someTurns)
    }
    const { type, normal, code, text, error: why, value } = cause
    const unsent = this.#host.unsent()
    const reason: EndReason = { type, normal, code, text, error: why, value, unsent }
    try {
      const terminated = this.#host.terminate(reason)
      await (isThenable(terminated) ? this.#unlessKilled(terminated) : null)
    } catch (error) {
      warn('WS_TERMINATE_FAILED', 'terminate() of a process threw', error)
    }
    this.#reason = reason
    const gone = this.#host.gone(reason)
    if (gone !== null) await this.#unlessKilled(gone)
    for (const cancel of this.#deadlines) cancel()
    this.#resolve(reason)
  }

  /** Waits for `work`, until the process is killed and that has had its time. */
  #unlessKilled(work: PromiseLike<unknown>, grace: () => Promise<void> = nothing): Promise<void> {
    return new Promise((resolve, reject) => {
      const giveUp = (): void => void grace().then(resolve)
      work.then(() => resolve(), reject)
      if (this.#killed) giveUp()
      else this.#giveUp = giveUp
    })
  }
}

async function nothing(): Promise<void> {}

async function someTurns(): Promise<void> {
  for (let i = 0; i < 20; i++) await new Promise(setImmediate)
}

/** Says something that nobody else would hear, without secrets. Node prints it, unless the program listens to `'warning'`. */
export function warn(code: string, message: string, error: unknown): void {
  process.emitWarning(maskText(message), { type: 'SansocketWarning', code, ...detailOf(error) })
}

function detailOf(error: unknown): { readonly detail?: string } {
  try {
    // `Error.prepareStackTrace` makes of a stack what it likes, or throws.
    if (!(error instanceof Error)) return {}
    const detail: unknown = error.stack ?? error.message
    return { detail: maskText(typeof detail === 'string' ? detail : error.message) }
  } catch {
    return {}
  }
}

/** Whatever was thrown, as an error. */
export function toError(thrown: unknown): Error {
  return thrown instanceof Error
    ? thrown
    : new Error(`something that is no Error was thrown: ${String(thrown)}`, { cause: thrown })
}
