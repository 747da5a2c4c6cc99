// Strategy: messages that do not come from the connection. Each is put into the mailbox with what is to be done when its turn
// comes; whoever waits for an answer has a pending call.
import { AbortError } from '../transport/abort-error.js'
import { after, type Clock } from '../transport/clock.js'
import { milliseconds } from '../transport/dial-options.js'
import type { Callbacks } from './callbacks.js'
import type { EventStream } from './events.js'
import type { From } from './from.js'
import { PendingCalls } from './pending-calls.js'
import { CallingSelfError, type NoProcessError, ProcessError } from './process-error.js'
import type { CallOptions } from './process.js'
import type { Serial } from './serial.js'

const ignore = (): void => {}

/** What a mailbox belongs to. */
export interface MailHost {
  readonly callbacks: Callbacks
  readonly serial: Serial
  readonly events: EventStream
  readonly clock: Clock
  /** The error for whoever wants something of a process that is gone; null while it is not. */
  refusal(): NoProcessError | null
  /** Takes the result of `handleCall`. */
  answered(result: unknown, from: From<unknown>): void
}

/** The mailbox of one process. */
export class Mail {
  readonly #host: MailHost
  readonly #calls: PendingCalls
  readonly #timers = new Set<() => void>()

  constructor(host: MailHost) {
    this.#host = host
    this.#calls = new PendingCalls(host.clock)
  }

  /** True when no timer runs and no call waits. */
  get atRest(): boolean {
    return this.#timers.size === 0 && this.#calls.empty
  }

  cast(message: unknown): void {
    const gone = this.#host.refusal()
    if (gone !== null) throw gone
    if (this.#host.callbacks.behaviour.handleCast === undefined) throw noCallback('handleCast')
    this.#host.serial.post({ kind: 'cast', message })
  }

  /** A cast's turn has come. */
  deliverCast(message: unknown): Promise<void> | null {
    const { events, callbacks } = this.#host
    if (events.wants('cast')) events.publish({ type: 'cast', message })
    return callbacks.call('handleCast', (one, state, self) => one.handleCast?.(message, state, self))
  }

  info(message: unknown): void {
    const { events, callbacks, serial } = this.#host
    const run = (): Promise<void> | null => {
      if (events.wants('info')) events.publish({ type: 'info', message })
      return callbacks.call('handleInfo', (one, state, self) => one.handleInfo?.(message, state, self))
    }
    serial.post({ kind: 'message', run })
  }

  sendAfter(message: unknown, delayMs: number): () => void {
    if (this.#host.refusal() !== null) return ignore
    milliseconds('delayMs', delayMs, 0, 0)
    const cancel = after(this.#host.clock, delayMs, () => {
      this.#timers.delete(cancel)
      this.info(message)
    })
    this.#timers.add(cancel)
    return () => {
      this.#timers.delete(cancel)
      cancel()
    }
  }

  call(message: unknown, options: CallOptions): Promise<unknown> {
    const { events, callbacks } = this.#host
    return this.#begin('call', options, from => {
      if (callbacks.behaviour.handleCall === undefined) throw noCallback('handleCall')
      if (events.wants('call')) events.publish({ type: 'call', message })
      return callbacks.call(
        'handleCall',
        (one, state, self) => one.handleCall?.(message, from, state, self),
        result => {
          if (result !== undefined) this.#host.answered(result, from)
        },
      )
    })
  }

  /**
   * Asks something of the process between two callbacks. What `answer` throws goes to whoever asked.
   *
   * @param answer - gets a function that says whether the answer is still wanted.
   */
  ask<T>(
    what: string,
    options: CallOptions,
    answer: (callbacks: Callbacks, wanted: () => boolean) => T | Promise<T>,
  ): Promise<T> {
    return this.#begin<T>(what, options, (from, fail) => {
      // Who was told that it came to nothing must be able to rely on it.
      if (!from.waiting) return null
      const value = answer(this.#host.callbacks, () => from.waiting)
      if (value instanceof Promise) return value.then(from.settle, fail).then(ignore)
      from.settle(value)
      return null
    })
  }

  /** Nobody handles anything any more. */
  end(gone: () => NoProcessError): void {
    for (const cancel of this.#timers) cancel()
    this.#timers.clear()
    this.#calls.end(gone)
  }

  async #begin<T>(
    what: string,
    options: CallOptions,
    run: (from: From<T>, fail: (error: unknown) => void) => Promise<void> | null,
  ): Promise<T> {
    const { callbacks, serial } = this.#host
    const refusal = this.#host.refusal() ?? (callbacks.inside ? new CallingSelfError(what) : null)
    if (refusal !== null) throw refusal
    if (options.signal?.aborted === true) throw new AbortError(options.signal)
    const { from, answer, fail } = this.#calls.begin<T>(what, options)
    serial.post({
      kind: 'message',
      run: () => {
        try {
          return run(from, fail)
        } catch (error) {
          fail(error)
          return null
        }
      },
    })
    return answer
  }
}

function noCallback(name: string): ProcessError {
  return new ProcessError('WS_NO_CALLBACK', `the behaviour has no ${name}`)
}
