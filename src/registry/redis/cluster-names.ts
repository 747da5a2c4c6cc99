// Strategy: a name is had when Redis and this node agree on it. Redis is asked first, then the name is given here. The other way
// round it is taken back here first, and Redis told; what Redis could not be told, or may have heard though no answer came, is
// `due` until the next heartbeat that comes through. All that is done about one name is done in order. When another session has
// begun, all names are claimed again at once; for one that somebody else has now, the process here is told, and ended.
import { processOf } from '../../behaviour/process-handles.js'
import type { NamedProcess } from '../../behaviour/process-ref.js'
import type { Membership } from '../membership.js'
import { RegistryError } from '../registry-error.js'
import { InOrder } from './in-order.js'
import type { Lease } from './lease.js'
import { CLAIM, LOOKUP, RELEASE } from './scripts.js'

/** How many names one command claims, so that it does not hold up the heartbeats of others; and how often it is tried when sessions end in between. */
const BATCH = 100
const ATTEMPTS = 4

/** A name as Redis knows it. */
export interface Found {
  readonly node: string
  readonly fence: number
}

/** The unique names of the processes of this node, among those of all nodes. */
export class ClusterNames {
  readonly #lease: Lease
  readonly #membership: Membership
  readonly #order = new InOrder()
  readonly #due = new Set<string>()

  constructor(lease: Lease, membership: Membership) {
    this.#lease = lease
    this.#membership = membership
  }

  /** @param scope - null for one of many names. @throws (rejects) RegistryError, NoProcessError. */
  register(
    name: string,
    process: NamedProcess,
    scope: string | null,
  ): Promise<'ok' | 'taken' | 'already-registered'> {
    return this.#order.run(name, async () => {
      // It may have lost it without having heard so.
      if (this.#membership.holder(name) === process) await this.#lease.requireGood()
      const holder = this.#membership.holder(name)
      if (holder !== null) return holder === process && scope !== null ? 'ok' : 'taken'
      const another = (): boolean => scope !== null && this.#membership.nameOf(process, scope) !== null
      for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
        if (another()) return 'already-registered'
        await this.#lease.requireGood()
        const { session } = this.#lease
        const fence = await this.#claim(name)
        this.#lease.requireOpen()
        if (fence === '') return 'taken'
        // What was claimed in another session is not in what was claimed again when this one began.
        if (fence === null || session !== this.#lease.session) {
          await this.#lease.renew()
          continue
        }
        try {
          if (!another()) {
            this.#membership.hold(name, process, scope)
            return 'ok'
          }
        } catch (error) {
          await this.#release(name)
          throw error
        }
        await this.#release(name)
      }
      throw new RegistryError('WS_REGISTRY_UNREACHABLE', 'the lease of this node does not last')
    })
  }

  /** @throws (rejects) RegistryError: the process has lost the name, but the others may not know it yet. */
  unregister(name: string, process: NamedProcess): Promise<'ok' | 'not-registered'> {
    return this.#order.run(name, async () => {
      if (!this.#membership.release(name, process)) return 'not-registered'
      await this.#release(name)
      return 'ok'
    })
  }

  /** @throws (rejects) RegistryError. */
  async lookup(name: string): Promise<Found | null> {
    const answer = (await this.#lease.run(LOOKUP, name)) as readonly [string, string] | null
    return answer === null ? null : { node: answer[0], fence: Number(answer[1]) }
  }

  /** A process that had these names has ended. */
  departed(names: readonly string[]): void {
    for (const name of names) {
      this.#due.add(name)
      this.#settle(name).catch(() => {})
    }
  }

  /** Does what is still to be done. */
  renewed(): void {
    this.departed([...this.#due])
  }

  /** Claims all names in a new session. @throws (rejects) RegistryError. */
  async begun(): Promise<void> {
    const all = this.#membership.all.names
    for (let from = 0; from < all.length; from += BATCH) {
      const part = all
        .slice(from, from + BATCH)
        .filter(([name, process]) => this.#membership.holder(name) === process)
      const { session } = this.#lease
      const answer = await this.#lease.runNow(CLAIM, ...part.map(([name]) => name))
      if (answer === null) throw new RegistryError('WS_REGISTRY_UNREACHABLE', 'the lease ended at once')
      const [version, ...fences] = answer as readonly string[]
      this.#lease.changed(session, version)
      for (const [i, [name, process]] of part.entries()) {
        if (this.#membership.holder(name) !== process) this.departed([name])
        else if (fences[i] === '') this.#lose(name, process)
      }
    }
  }

  #lose(name: string, process: NamedProcess): void {
    this.#membership.release(name, process)
    const shown = name.split('\0').at(-1)
    const error = new RegistryError(
      'WS_NAME_CONFLICT',
      `another process got the name ${shown} while this node could not be seen by the others`,
    )
    processOf(process).loseName(error)
  }

  /** @returns the fence, `''` when another node has the name, null when the session is over. */
  async #claim(name: string): Promise<string | null> {
    const { session } = this.#lease
    try {
      const answer = (await this.#lease.runNow(CLAIM, name)) as readonly [string, string] | null
      if (answer === null) return null
      this.#lease.changed(session, answer[0])
      return answer[1]
    } catch (error) {
      // It may have come through.
      this.#due.add(name)
      throw error
    }
  }

  #settle(name: string): Promise<void> {
    return this.#order.run(name, async () => {
      if (!this.#due.has(name)) return
      if (this.#membership.holder(name) === null) await this.#release(name)
      else this.#due.delete(name)
    })
  }

  async #release(name: string): Promise<void> {
    this.#due.add(name)
    await this.#lease.requireGood()
    const { session } = this.#lease
    const version = await this.#lease.runNow(RELEASE, name)
    if (version !== null) this.#lease.changed(session, version)
    this.#due.delete(name)
  }
}
