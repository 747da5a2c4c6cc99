// Strategy: the end of a process, which comes once, whatever it was that ended it. Callbacks stop, the connection is closed,
// what was not sent is gathered, `terminate` runs, and then everybody who waits is told. `kill` cuts short what takes too
// long: the socket is destroyed and `terminate` not waited for.
import { after, type Clock } from '../transport/clock.js'
import type { Socket } from '../transport/socket.js'
import type { EndReason } from './end-reason.js'
import type { CheckedFrame } from './frame.js'

/** How a process ends, before it is known what it leaves. */
export type Cause = Omit<EndReason, 'unsent'>

/** What ends with the process. */
export interface EndingHost {
  readonly clock: Clock
  /** No more callbacks, attempts, timers. @returns the socket that is still there. */
  quit(cause: Cause): Socket | null
  /** What was accepted and never sent. */
  unsent(): readonly CheckedFrame[]
  /** Calls the user's `terminate`. */
  terminate(reason: EndReason): unknown
  /** Tells everybody else. */
  gone(reason: EndReason): Promise<void>
}

/** The end of one process. */
export class Ending {
  readonly ended: Promise<EndReason>
  readonly #host: EndingHost
  #resolve!: (reason: EndReason) => void
  #begun = false
  #reason: EndReason | null = null
  #socket: Socket | null = null
  readonly #killed: Promise<void>
  #kill!: () => void
  readonly #deadlines: (() => void)[] = []

  constructor(host: EndingHost) {
    this.#host = host
    this.ended = new Promise(resolve => {
      this.#resolve = resolve
    })
    this.#killed = new Promise(resolve => {
      this.#kill = resolve
    })
  }

  /** True from the moment on when no callback but `terminate` runs any more. */
  get begun(): boolean {
    return this.#begun
  }

  /** How it ended; null until it has. */
  get reason(): EndReason | null {
    return this.#reason
  }

  /** Ends the process. The first call counts. @param close - the Close frame to send, if nobody has begun to close. */
  begin(cause: Cause, close: { readonly code: number; readonly reason?: string | undefined } | null): void {
    if (this.#begun) return
    this.#begun = true
    void this.#run(cause, close)
  }

  /** Gives the end, begun or not, a limit. @param late - begins it, if nothing has. */
  limit(ms: number, late: () => void): void {
    const kill = (): void => {
      late()
      this.#socket?.terminate()
      this.#kill()
    }
    if (ms <= 0) kill()
    else this.#deadlines.push(after(this.#host.clock, ms, kill))
  }

  async #run(
    cause: Cause,
    close: { readonly code: number; readonly reason?: string | undefined } | null,
  ): Promise<void> {
    const socket = this.#host.quit(cause)
    this.#socket = socket
    if (socket !== null) {
      if (close !== null) void socket.close(close.code, close.reason)
      await socket.closed
    }
    const reason: EndReason = { ...cause, unsent: this.#host.unsent() }
    try {
      await Promise.race([this.#host.terminate(reason), this.#killed])
    } catch (error) {
      warn('WS_TERMINATE_FAILED', 'terminate() of a process threw', error)
    }
    this.#reason = reason
    await this.#host.gone(reason)
    for (const cancel of this.#deadlines) cancel()
    this.#resolve(reason)
  }
}

/** Says something that nobody else would hear. Node prints it, unless the program listens to `'warning'`. */
export function warn(code: string, message: string, error: unknown): void {
  const detail = error instanceof Error ? (error.stack ?? error.message) : String(error)
  process.emitWarning(message, { type: 'SansocketWarning', code, detail })
}

/** Whatever was thrown, as an error. */
export function toError(thrown: unknown): Error {
  return thrown instanceof Error ? thrown : new Error(`something that is no Error was thrown: ${String(thrown)}`, { cause: thrown })
}
