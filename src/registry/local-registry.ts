// Strategy: the registry of one program. Everything is decided at the call, before its promise: of two who ask for a name, the
// first one gets it.
import { quiet } from '../behaviour/quiet.js'
import { broadcast } from '../behaviour/broadcasts.js'
import type { AnyProcess } from '../behaviour/process.js'
import { prepare, tellAll } from './broadcast.js'
import { memberOf, Membership } from './membership.js'
import { keyText, scoped, subscope } from './names.js'
import type { Broadcast, Delivery, Group, Holder, Member, Registry, Unique } from './registry.js'
import { RegistryError } from './registry-error.js'

/** What all scopes of one registry share. */
interface Shared {
  readonly membership: Membership
  closed: boolean
}

/** Makes a registry for the processes of this program. */
export function createRegistry(): Registry {
  return new LocalRegistry({ membership: new Membership(), closed: false }, '')
}

class LocalRegistry implements Registry {
  readonly node = 'local'
  readonly unique: Unique
  readonly group: Group
  readonly #shared: Shared
  readonly #scope: string

  constructor(shared: Shared, scope: string) {
    this.#shared = shared
    this.#scope = scope
    this.unique = {
      register: async (name, process) => this.#register(name, process),
      unregister: async (name, process) =>
        this.#membership.release(this.#named(name), memberOf(process)) ? 'ok' : 'not-registered',
      lookup: async name => this.#lookup(name),
      send: (name, message) => quiet(this.#send(name, message)),
    }
    this.group = {
      join: async (name, process) => {
        this.#membership.join(this.#named(name), memberOf(process))
        return 'ok'
      },
      leave: async (name, process) =>
        this.#membership.leave(this.#named(name), memberOf(process)) === false ? 'not-in-group' : 'ok',
      publish: (name, message) => quiet(this.#publish(name, message)),
      broadcast: (name, message) => quiet(this.#broadcast(name, message)),
      members: name => [...this.#membership.members(this.#named(name))],
    }
  }

  scope(name: string): Registry {
    return new LocalRegistry(this.#shared, subscope(this.#scope, name))
  }

  register(key: unknown, process: AnyProcess): boolean {
    const name = this.#keyed(key)
    if (this.#membership.holder(name) !== null) return false
    this.#membership.hold(name, memberOf(process), null)
    return true
  }

  unregister(key: unknown, process: AnyProcess): void {
    // When all was forgotten, so was this.
    if (this.#shared.closed) return
    this.#membership.release(this.#keyed(key), memberOf(process))
  }

  whereis(key: unknown): AnyProcess | null {
    return this.#membership.holder(this.#keyed(key))
  }

  async close(): Promise<void> {
    this.#shared.closed = true
    this.#shared.membership.clear()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  #register(name: string, member: Member): 'ok' | 'taken' | 'already-registered' {
    const full = this.#named(name)
    const process = memberOf(member)
    const holder = this.#membership.holder(full)
    if (holder === process) return 'ok'
    if (holder !== null) return 'taken'
    if (this.#membership.nameOf(process, this.#scope) !== null) return 'already-registered'
    this.#membership.hold(full, process, this.#scope)
    return 'ok'
  }

  #lookup(name: string): Holder | null {
    const full = this.#named(name)
    const process = this.#membership.holder(full)
    return process === null ? null : { node: this.node, process, fence: this.#membership.fence(full) }
  }

  async #send(name: string, message: unknown): Promise<boolean> {
    const process = this.#membership.holder(this.#named(name))
    process?.info(message)
    return process !== null
  }

  async #publish(name: string, message: unknown): Promise<Delivery> {
    const members = this.#membership.members(this.#named(name))
    const { size } = members
    return delivered({ size }, tellAll(members, message))
  }

  async #broadcast(name: string, message: Broadcast): Promise<Delivery> {
    const members = this.#membership.members(this.#named(name))
    const { size } = members
    return delivered({ size }, size === 0 ? 0 : await broadcast(members, prepare(message)))
  }

  get #membership(): Membership {
    if (this.#shared.closed) throw new RegistryError('WS_REGISTRY_CLOSED', 'the registry is closed')
    return this.#shared.membership
  }

  #named(name: string): string {
    return scoped(this.#scope, name)
  }

  /** Beside the unique names, not among them. */
  #keyed(key: unknown): string {
    return `${this.#scope}\0${keyText(key)}`
  }
}

function delivered(members: { readonly size: number }, recipients: number): Delivery {
  const nodes = members.size > 0 ? 1 : 0
  return { recipients, nodes, confirmed: nodes }
}
