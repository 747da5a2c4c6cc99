// Strategy: Redis knows which nodes have members of a group, and each node knows its members. So a node says something only
// when it gets its first member and when it loses its last, and `announced` is what it has said. All that is said about one
// group is said in order, until both agree; what may or may not have come through is `doubtful`, and said again.
import type { NamedProcess } from '../../behaviour/process-ref.js'
import type { Membership } from '../membership.js'
import { RegistryError } from '../registry-error.js'
import { InOrder } from './in-order.js'
import type { Lease } from './lease.js'
import { JOIN, LEAVE } from './scripts.js'

/** How many groups one command announces, and how often it is tried when sessions end in between. */
const BATCH = 100
const ATTEMPTS = 6

/** Calls that are under way and let one process join one group. */
interface Join {
  calls: number
  /** True when it was a member before, or one of them succeeded. */
  stays: boolean
}

/** The groups that have members on this node. */
export class ClusterGroups {
  readonly #lease: Lease
  readonly #membership: Membership
  readonly #order = new InOrder()
  readonly #announced = new Set<string>()
  readonly #doubtful = new Set<string>()
  readonly #joins = new WeakMap<NamedProcess, Map<string, Join>>()

  constructor(lease: Lease, membership: Membership) {
    this.#lease = lease
    this.#membership = membership
  }

  /** @throws (rejects) RegistryError, NoProcessError: it is no member then. */
  async join(group: string, process: NamedProcess): Promise<'ok'> {
    this.#lease.requireOpen()
    const joins = this.#joins.get(process) ?? new Map<string, Join>()
    const join = joins.get(group) ?? { calls: 0, stays: this.#membership.members(group).has(process) }
    this.#membership.join(group, process)
    this.#joins.set(process, joins.set(group, join))
    join.calls++
    try {
      await this.#settle(group)
      join.stays = true
    } finally {
      if (--join.calls === 0) {
        joins.delete(group)
        if (!join.stays) this.leave(group, process)
      }
    }
    return 'ok'
  }

  /** Takes effect at once; messages that still come to this node are for nobody. */
  leave(group: string, process: NamedProcess): 'ok' | 'not-in-group' {
    const left = this.#membership.leave(group, process)
    if (left === 'last') this.departed([group])
    return left === false ? 'not-in-group' : 'ok'
  }

  /** A process that was in these groups has ended. */
  departed(groups: readonly string[]): void {
    for (const group of groups) this.#settle(group).catch(() => {})
  }

  /** Does what is still to be done. */
  renewed(): void {
    this.departed([...this.#doubtful])
  }

  /** Announces all groups in a new session. @throws (rejects) RegistryError. */
  async begun(): Promise<void> {
    this.#announced.clear()
    this.#doubtful.clear()
    const { groups } = this.#membership.all
    for (let from = 0; from < groups.length; from += BATCH) {
      const part = groups.slice(from, from + BATCH)
      const { session } = this.#lease
      const version = await this.#lease.runNow(JOIN, ...part)
      if (version === null) throw new RegistryError('WS_REGISTRY_UNREACHABLE', 'the lease ended at once')
      this.#lease.changed(session, version)
      for (const group of part) this.#announced.add(group)
      this.departed(part.filter(group => this.#membership.members(group).size === 0))
    }
  }

  #settle(group: string): Promise<void> {
    return this.#order.run(group, async () => {
      for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
        const here = this.#membership.members(group).size > 0
        if (here === this.#announced.has(group) && !this.#doubtful.has(group)) return
        this.#doubtful.add(group)
        await this.#lease.requireGood()
        const { session } = this.#lease
        const version = await this.#lease.runNow(here ? JOIN : LEAVE, group)
        if (version === null) await this.#lease.renew()
        // Another session has begun with what was known then.
        if (version === null || session !== this.#lease.session) continue
        this.#lease.changed(session, version)
        this.#doubtful.delete(group)
        if (here) this.#announced.add(group)
        else this.#announced.delete(group)
      }
      throw new RegistryError('WS_REGISTRY_UNREACHABLE', 'the lease of this node does not last')
    })
  }
}
