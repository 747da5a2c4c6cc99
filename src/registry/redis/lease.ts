// Strategy: the life of a node as the others see it. A session is begun, and renewed by one command a heartbeat, however many
// names it has. When Redis says that the session is over (it was not renewed in time, or Redis has lost changes of it), or what
// follows a beginning failed, another session is begun, and everything is registered again in it. `session` changes at one
// moment: who asked in another session than this one must ask again.
import { after, type Clock } from './clock.js'
import { RegistryError } from '../registry-error.js'
import type { RedisPort } from './redis-client.js'
import { BEAT, BEGIN, END, KEY, type Script } from './scripts.js'

/**
 * How much of a lease a node relies on. Redis measures it by another clock, which may be set, run faster, or be read some moments
 * before the command is run: another node must not get a name while this one still counts as its holder.
 */
const SURE = 0.9

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
  /** How often Redis was asked to say something. */
  #said = 0
  /** Everything is registered in this session. */
  #settled = false
  /** Redis does not know all that was registered in it. */
  #forgotten = false
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

  /** Whether everything that is here is registered in this session. */
  get settled(): boolean {
    return this.#settled
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

  /**
   * Runs a script that says something, which it does once: a client that lost its connection asks again, and whoever would be
   * told then may be another than the first time.
   *
   * @returns what the script returns. @throws (rejects) as `run`.
   */
  async say(script: Script, ...args: readonly string[]): Promise<unknown> {
    await this.requireGood()
    const session = this.#session
    const answer = await this.#runWith(script, this.#settings.timeoutMs, () => [
      session,
      String(++this.#said),
      ...args,
    ])
    if (answer !== null) return answer
    if (session === this.#session) this.#forgotten = true
    void this.renew()
    throw new RegistryError('WS_REGISTRY_UNREACHABLE', 'Redis has lost what it was told by this node')
  }

  /** Redis has counted a change of a session. One that it has counted before is one that it had forgotten: another session begins. */
  changed(session: string, version: unknown): void {
    if (session !== this.#session) return
    const forgotten = Number(version) <= this.#version
    this.#version = Math.max(this.#version, Number(version))
    if (!forgotten || this.#forgotten) return
    this.#forgotten = true
    void this.renew()
  }

  /** Renews the lease now. @returns whether Redis could be reached. */
  renew(): Promise<boolean> {
    if (this.#closed) return Promise.resolve(false)
    this.#cancel()
    this.#renewing ??= this.#renew().then(reached => {
      this.#renewing = null
      this.#schedule(reached && this.#forgotten)
      return reached
    })
    return this.#renewing
  }

  /** Ends the session, and with it all that was registered in it. Where Redis cannot be reached, the lease ends by itself. */
  async close(): Promise<void> {
    const { good } = this
    this.#closed = true
    this.#cancel()
    await this.#renewing
    if (!good) return
    try {
      while (Number(await this.#run(END, this.#settings.timeoutMs, this.#session)) === 1);
    } catch {
      // It ends with the lease.
    }
  }

  async #renew(): Promise<boolean> {
    try {
      const lives = this.#settled && !this.#forgotten && (await this.#beat())
      if (!lives) await this.#begin()
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
    this.#forgotten = false
    this.#goodUntilMs = atMs + leaseMs * SURE
    // To say again what there is may take longer than the lease.
    const stop = this.#keepAlive()
    try {
      await this.#host.begun()
    } finally {
      stop()
    }
    this.#settled = this.#session === session
  }

  /** Renews a session that has begun and is not settled. @returns a function that ends that. */
  #keepAlive(): () => void {
    const { clock, leaseMs } = this.#settings
    let over = false
    let cancel: (() => void) | null = null
    const later = (): void => {
      if (over) return
      // Where that fails, so does what is said meanwhile.
      cancel = after(clock, leaseMs / 3, () => void this.#beat().then(later, later))
    }
    later()
    return () => {
      over = true
      cancel?.()
    }
  }

  /** @returns whether the session lives. @throws (rejects) RegistryError `WS_REGISTRY_UNREACHABLE`. */
  async #beat(): Promise<boolean> {
    const { leaseMs, channel, clock } = this.#settings
    const atMs = clock.now()
    const args = [String(leaseMs), String(this.#version), channel]
    // One that takes longer than that would come too late.
    const alive = Number(await this.#run(BEAT, leaseMs / 2, this.#session, ...args)) === 1
    if (alive) this.#goodUntilMs = atMs + leaseMs * SURE
    return alive
  }

  /** @param now - since it came out meanwhile that another session has to begin. */
  #schedule(now = false): void {
    this.#cancel()
    if (this.#closed) return
    const { clock, leaseMs } = this.#settings
    // A third, as is usual for leases: two beats may be lost.
    const timer = clock.setTimeout(() => void this.renew(), now ? 0 : leaseMs / 3) as { unref?: () => void }
    timer.unref?.()
    this.#cancel = () => clock.clearTimeout(timer)
  }

  #run(script: Script, ms: number, ...args: readonly string[]): Promise<unknown> {
    return this.#runWith(script, ms, () => args)
  }

  #runWith(script: Script, ms: number, args: () => readonly string[]): Promise<unknown> {
    const { port, keys, clock } = this.#settings
    let waiting = true
    const answer = within(
      port.run(script, [keys + KEY], args, () => waiting),
      ms,
      clock,
    )
    answer.catch(() => (waiting = false))
    return answer
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
        reject(
          new RegistryError('WS_REGISTRY_UNREACHABLE', `Redis cannot be used: ${saidBy(cause)}`, { cause }),
        )
      },
    )
  })
}

/** Node's error for a name with two addresses, neither of which answers, has a code and no message. */
function saidBy(cause: unknown): string {
  if (!(cause instanceof Error)) return String(cause)
  const { message, code = cause.name } = cause as Error & { readonly code?: string }
  return message === '' ? code : message
}
