// Strategy: the life of a node as the others see it. A session is begun, and renewed by one command a heartbeat, however many
// names it has. When Redis says that the session is over (it was not renewed in time, or Redis has lost changes of it), or what
// follows a beginning failed, another session is begun, and everything is registered again in it. `session` changes at one
// moment: who asked in another session than this one must ask again.
import { after, type Clock } from './clock.js'
import { RegistryError } from '../registry-error.js'
import type { RedisPort } from './redis-client.js'
import { BEAT, BEGIN, END, type Script } from './scripts.js'

/** What a lease is made of. */
export interface LeaseSettings {
  readonly port: RedisPort
  readonly node: string
  /** Before each key. */
  readonly keys: string
  /** Where this node listens. */
  readonly channel: string
  readonly leaseMs: number
  readonly timeoutMs: number
  readonly clock: Clock
}

/** What stands on a lease. */
export interface LeaseHost {
  /** A session has begun, and nothing is registered in it. */
  begun(): Promise<void>
  /** Redis can be reached: time for what is still to be done. */
  renewed(): void
}

/** The lease of one node. */
export class Lease {
  readonly #settings: LeaseSettings
  readonly #host: LeaseHost
  #count = 0
  #session = ''
  #version = 0
  /** Everything is registered in this session. */
  #settled = false
  #goodUntilMs = -Infinity
  #renewing: Promise<boolean> | null = null
  #cancel: () => void = () => {}
  #closed = false

  constructor(settings: LeaseSettings, host: LeaseHost) {
    this.#settings = settings
    this.#host = host
  }

  /** The session, `''` before the first. */
  get session(): string {
    return this.#session
  }

  /** Whether the lease lives, as far as is known here. */
  get good(): boolean {
    return !this.#closed && this.#settings.clock.now() < this.#goodUntilMs
  }

  /** @throws RegistryError `WS_REGISTRY_CLOSED`. */
  requireOpen(): void {
    if (this.#closed) throw new RegistryError('WS_REGISTRY_CLOSED', 'the registry is closed')
  }

  /** Begins the first session. @throws (rejects) RegistryError `WS_REGISTRY_UNREACHABLE`. */
  async open(): Promise<void> {
    await this.#begin()
    this.#schedule()
  }

  /** @throws (rejects) RegistryError `WS_REGISTRY_UNREACHABLE` when the lease has ended and cannot be renewed. */
  async requireGood(): Promise<void> {
    this.requireOpen()
    if (this.good || (await this.renew())) return
    this.requireOpen()
    throw new RegistryError(
      'WS_REGISTRY_UNREACHABLE',
      'Redis cannot be reached for longer than the lease of this node',
    )
  }

  /**
   * Runs a script in this session. Nothing is asked of a Redis that was not heard of for so long: the client would keep it, and
   * say it when nobody waits any more.
   *
   * @throws (rejects) RegistryError `WS_REGISTRY_UNREACHABLE`, `WS_REGISTRY_CLOSED`.
   */
  async run(script: Script, ...args: readonly string[]): Promise<unknown> {
    await this.requireGood()
    return this.runNow(script, ...args)
  }

  /** The same in any case: at the beginning of a session, or after {@link requireGood}. */
  async runNow(script: Script, ...args: readonly string[]): Promise<unknown> {
    this.requireOpen()
    return this.#run(script, this.#settings.timeoutMs, this.#session, ...args)
  }

  /** Redis has counted a change of a session. */
  changed(session: string, version: unknown): void {
    if (session === this.#session) this.#version = Math.max(this.#version, Number(version))
  }

  /** Renews the lease now. @returns whether Redis could be reached. */
  renew(): Promise<boolean> {
    if (this.#closed) return Promise.resolve(false)
    this.#cancel()
    this.#renewing ??= this.#renew().finally(() => {
      this.#renewing = null
      this.#schedule()
    })
    return this.#renewing
  }

  /** Ends the session, and with it all that was registered in it. Where Redis cannot be reached, the lease ends by itself. */
  async close(): Promise<void> {
    this.#closed = true
    this.#cancel()
    await this.#renewing
    try {
      while (Number(await this.#run(END, this.#settings.timeoutMs, this.#session)) === 1);
    } catch {
      // It ends with the lease.
    }
  }

  async #renew(): Promise<boolean> {
    const { leaseMs, channel } = this.#settings
    try {
      const atMs = this.#settings.clock.now()
      const args = [String(leaseMs), String(this.#version), channel]
      // A beat that takes longer than that would come too late.
      if (this.#settled && Number(await this.#run(BEAT, leaseMs / 2, this.#session, ...args)) === 1) {
        this.#goodUntilMs = atMs + leaseMs
      } else await this.#begin()
    } catch {
      return false
    }
    if (!this.#closed) this.#host.renewed()
    return true
  }

  async #begin(): Promise<void> {
    const { node, leaseMs, timeoutMs, clock } = this.#settings
    this.#settled = false
    // Each attempt is a session of its own: one that was given up may still come through.
    const session = `${node}|${++this.#count}`
    const atMs = clock.now()
    const version = await this.#run(BEGIN, timeoutMs, session, String(leaseMs), this.#session)
    this.#session = session
    this.#version = Number(version)
    this.#goodUntilMs = atMs + leaseMs
    await this.#host.begun()
    this.#settled = this.#session === session
  }

  #schedule(): void {
    this.#cancel()
    if (this.#closed) return
    const { clock, leaseMs } = this.#settings
    // A third, as is usual for leases: two beats may be lost.
    const timer = clock.setTimeout(() => void this.renew(), leaseMs / 3) as { unref?: () => void }
    timer.unref?.()
    this.#cancel = () => clock.clearTimeout(timer)
  }

  #run(script: Script, ms: number, ...args: readonly string[]): Promise<unknown> {
    const { port, keys, clock } = this.#settings
    return within(port.run(script, [keys], args), ms, clock)
  }
}

/** What Redis answers, in time. @throws (rejects) RegistryError `WS_REGISTRY_UNREACHABLE`. */
export function within<T>(answer: Promise<T>, ms: number, clock: Clock): Promise<T> {
  return new Promise((resolve, reject) => {
    const cancel = after(clock, ms, () => {
      reject(new RegistryError('WS_REGISTRY_UNREACHABLE', `Redis did not answer within ${ms} ms`))
    })
    answer.then(
      value => {
        cancel()
        resolve(value)
      },
      (cause: unknown) => {
        cancel()
        const said = cause instanceof Error ? cause.message : String(cause)
        reject(new RegistryError('WS_REGISTRY_UNREACHABLE', `Redis cannot be used: ${said}`, { cause }))
      },
    )
  })
}
