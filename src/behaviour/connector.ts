// Strategy: how a process gets a connection: find out where to, connect, or wait for the next attempt. At most one attempt or
// one timer exists at any time, and `cancel` ends either. What comes of an attempt is reported once, from a promise job.
//
//   connect() ─▶ target ─▶ connect() of the transport ─▶ opened(socket) | failed(error)
//   after(ms) ─▶ timer ─▶ connect()
import { parseTarget } from '../transport/target.js'
import { AbortError } from '../transport/abort-error.js'
import { after } from '../transport/clock.js'
import type { ConnectEvent } from '../transport/connect-event.js'
import { connect, type ConnectOptions } from '../transport/connect.js'
import { ConnectionError } from '../transport/connection-error.js'
import { runPhase } from '../transport/phase.js'
import { type ConnectListener, WANTS } from '../transport/tell.js'
import type { Socket } from '../transport/socket.js'
import type { DisconnectStatus } from './disconnect-status.js'
import type { EventStream } from './events.js'
import type { ProcessSettings } from './start-options.js'
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
export class Connector {
  readonly #host: ConnectorHost
  readonly #settings: ProcessSettings
  #target: StartTarget
  #attempt: AbortController | null = null
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
  }

  /** The next attempt is the first one again. */
  reset(): void {
    this.#tries = 0
  }

  /** Begins an attempt, now. @param last - why there was no connection before. */
  connect(last: DisconnectStatus | null): void {
    this.cancel()
    const controller = new AbortController()
    this.#attempt = controller
    this.#tries++
    this.#url = ''
    this.#open(controller.signal, last).then(
      socket => {
        if (this.#attempt !== controller) {
          socket.terminate()
          return
        }
        this.#attempt = null
        this.#host.opened(socket)
      },
      (error: Error) => {
        if (this.#attempt !== controller) return
        this.#attempt = null
        // Whoever was too slow to find out where to connect to may stop.
        controller.abort()
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

  async #open(signal: AbortSignal, last: DisconnectStatus | null): Promise<Socket> {
    const { url, ...own } = await this.#resolve(signal, last)
    const target = parseTarget(url)
    this.#url = target.href
    this.#host.attempt(target.href)
    const { onEvent } = this.#settings.connect
    const listener: ConnectListener = event => {
      if (event.type === 'redirect') this.#url = event.to
      this.#host.events.publish(event)
      onEvent?.(event)
    }
    const wants = (type: ConnectEvent['type']): boolean =>
      onEvent !== undefined || this.#host.events.wants(type)
    listener[WANTS] = wants
    const options: ConnectOptions = { ...this.#settings.connect, ...own, signal, onEvent: listener }
    return connect(url, options)
  }

  async #resolve(signal: AbortSignal, last: DisconnectStatus | null): Promise<TargetObject> {
    const target = this.#target
    if (typeof target !== 'function') return asObject(target)
    const limits = {
      clock: this.#settings.clock,
      limitMs: this.#settings.targetTimeoutMs,
      signal,
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

function asObject(target: string | URL | TargetObject): TargetObject {
  // What is no target at all is a URL that cannot be parsed.
  if (typeof target !== 'object' || target === null || target instanceof URL) return { url: target }
  return requireTargetObject(target)
}
