// Strategy: how a process gets a connection: find out where to, connect, or wait for the next attempt. At most one attempt or
// one timer exists at any time, and `cancel` ends either. What comes of an attempt is reported once, from a promise job.
//
//   connect() ─▶ target ─▶ connect() of the transport ─▶ opened(socket) | failed(error)
//   after(ms) ─▶ timer ─▶ connect()
import { UsageError } from '../protocol/index.js'
import { Abandon } from '../transport/abandon.js'
import { AbortError } from '../transport/abort-error.js'
import { after } from '../transport/clock.js'
import type { ConnectEvent } from '../transport/connect-event.js'
import { type ConnectOptions, open, prepare, type Prepared } from '../transport/connect.js'
import { ConnectionError } from '../transport/connection-error.js'
import { runPhase } from '../transport/phase.js'
import type { Witness } from '../transport/tell.js'
import type { Socket } from '../transport/socket.js'
import type { DisconnectStatus } from './disconnect-status.js'
import type { EventStream } from './events.js'
import type { ProcessSettings } from './start-options.js'
import { parseTarget } from '../transport/target.js'
import { requireTargetObject, type StartTarget, type TargetObject } from './start-target.js'

/** What a connector tells its process. */
export interface ConnectorHost {
  /** An attempt begins. */
  attempt(url: string): void
  readonly events: EventStream
  opened(socket: Socket): void
  failed(error: Error): void
}

/** The attempts of one process. */
export class Connector implements Witness {
  readonly #host: ConnectorHost
  readonly #settings: ProcessSettings
  #target: StartTarget
  #attempt: Abandon | null = null
  /** What was prepared for the first attempt. */
  #first: { readonly attempt: Abandon; readonly prepared: Prepared } | null = null
  #cancelTimer: (() => void) | null = null
  #url = ''
  #tries = 0

  constructor(target: StartTarget, settings: ProcessSettings, host: ConnectorHost) {
    this.#target = target
    this.#settings = settings
    this.#host = host
  }

  /** Where the last attempt went, without user info; `''` when that is not known. */
  get url(): string {
    return this.#url
  }

  /** Which attempt this is, since the start or since the last connection. */
  get tries(): number {
    return this.#tries
  }

  get connecting(): boolean {
    return this.#attempt !== null
  }

  /** True when each attempt may have other credentials. */
  get fresh(): boolean {
    return typeof this.#target === 'function'
  }

  set target(target: StartTarget) {
    this.#target = target
    this.#first = null
  }

  /**
   * Looks at the target, with the options that it is laid over, before anything is done.
   *
   * @throws UsageError, InvalidHeadError.
   */
  prepare(): void {
    const target: unknown = this.#target
    // Where it leads to is not known yet, but everything else is.
    if (typeof target === 'function')
      prepare('ws://localhost/', { ...this.#settings.connect, proxy: undefined })
    else if (
      typeof target === 'string' ||
      (typeof target === 'object' && target !== null && isTarget(target))
    ) {
      const attempt = new Abandon()
      const prepared = this.#prepare(asObject(target as string | TargetObject), attempt)
      // What may be changed before the first attempt, by `init` for example, is looked at again.
      if (typeof target === 'string' && isFixed(this.#settings.connect)) this.#first = { attempt, prepared }
    } else
      throw new UsageError(
        'WS_BAD_URL',
        `a target is a URL, { url, … } or a function, and not ${String(target)}`,
      )
  }

  /** The next attempt is the first one again. */
  reset(): void {
    this.#tries = 0
  }

  /** Begins an attempt, now. @param last - why there was no connection before. */
  connect(last: DisconnectStatus | null): void {
    this.cancel()
    const first = this.#first
    this.#first = null
    const attempt = first === null ? new Abandon() : first.attempt
    this.#attempt = attempt
    this.#tries++
    this.#url = ''
    this.#open(attempt, first === null ? null : first.prepared, last).then(
      socket => {
        if (this.#attempt !== attempt) {
          socket.terminate()
          return
        }
        this.#attempt = null
        this.#host.opened(socket)
      },
      (error: Error) => {
        if (this.#attempt !== attempt) return
        this.#attempt = null
        // Whoever was too slow to find out where to connect to may stop.
        attempt.abort()
        this.#host.failed(error)
      },
    )
  }

  /** Begins an attempt after a while. */
  connectAfter(delayMs: number, last: DisconnectStatus | null): void {
    this.cancel()
    this.#cancelTimer = after(this.#settings.clock, delayMs, () => this.connect(last))
  }

  /** Gives up the attempt, or takes the timer back. Nothing is reported. */
  cancel(): void {
    this.#cancelTimer?.()
    this.#cancelTimer = null
    const attempt = this.#attempt
    this.#attempt = null
    attempt?.abort()
  }

  wants(type: ConnectEvent['type']): boolean {
    return (
      type === 'redirect' || this.#settings.connect.onEvent !== undefined || this.#host.events.wants(type)
    )
  }

  tell(event: ConnectEvent): void {
    if (event.type === 'redirect') this.#url = event.to
    this.#host.events.publish(event)
    this.#settings.connect.onEvent?.(event)
  }

  async #open(attempt: Abandon, first: Prepared | null, last: DisconnectStatus | null): Promise<Socket> {
    const target = await (first === null ? this.#resolve(attempt, last) : null)
    const { href } = target === null ? first!.first.target : parseTarget(target.url)
    this.#url = href
    this.#host.attempt(href)
    return open(target === null ? first! : this.#prepare(target, attempt))
  }

  #prepare({ url, ...own }: TargetObject, signal: Abandon): Prepared {
    const { connect } = this.#settings
    const options: ConnectOptions = Object.keys(own).length === 0 ? connect : { ...connect, ...own }
    return prepare(url, options, { onEvent: this, signal })
  }

  async #resolve(attempt: Abandon, last: DisconnectStatus | null): Promise<TargetObject> {
    const target = this.#target
    if (typeof target !== 'function') return asObject(target)
    const controller = new AbortController()
    attempt.addEventListener('abort', () => controller.abort())
    const { signal } = controller
    const limits = {
      clock: this.#settings.clock,
      limitMs: this.#settings.targetTimeoutMs,
      signal: attempt,
      timeoutError: (limitMs: number) => new ConnectionError('WS_TARGET_TIMEOUT', '', { limitMs }),
    }
    let value: string | URL | TargetObject
    try {
      ;({ value } = await runPhase<string | URL | TargetObject>(limits, (resolve, reject) => {
        void (async () => target({ attempt: this.#tries, last, signal }))().then(resolve, reject)
        return () => {}
      }))
    } catch (cause) {
      if (cause instanceof AbortError || cause instanceof ConnectionError) throw cause
      throw new ConnectionError('WS_TARGET_FAILED', '', { cause })
    }
    return asObject(value)
  }
}

const isTarget = (target: object): boolean => target instanceof URL || 'url' in target

/** True for options that mean the same at any time. */
const isFixed = (options: ConnectOptions): boolean =>
  Object.values(options).every(value => typeof value !== 'object')

function asObject(target: string | URL | TargetObject): TargetObject {
  // What is no target at all is a URL that cannot be parsed.
  if (typeof target !== 'object' || target === null || target instanceof URL) return { url: target }
  return requireTargetObject(target)
}
