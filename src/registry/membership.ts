// Strategy: which processes of this program have which names and are in which groups, in both directions, so that the end of a
// process takes no search. Everything is synchronous: whether a name is free is decided here and now, and what is asynchronous
// about a registry is built around it.
import { flushBroadcasts } from '../behaviour/broadcasts.js'
import { processOf } from '../behaviour/process-handles.js'
import type { NamedProcess } from '../behaviour/process-ref.js'
import { NoProcessError } from '../behaviour/process-error.js'
import type { Member } from './registry.js'

/** What one process is registered as. */
interface Entry {
  /** By the scope's prefix, the unique name. */
  readonly unique: Map<string, string>
  readonly names: Set<string>
  readonly groups: Set<string>
  readonly forget: () => void
}

/** What happens when entries vanish with their process. */
export interface Departure {
  readonly process: NamedProcess
  readonly names: readonly string[]
  readonly groups: readonly string[]
}

/** The processes of this program that are registered. Names and groups come with the prefix of their scope. */
export class Membership {
  readonly #holders = new Map<string, { readonly process: NamedProcess; readonly fence: number }>()
  #fence = 0
  readonly #groups = new Map<string, Set<NamedProcess>>()
  readonly #entries = new Map<NamedProcess, Entry>()
  readonly #departed: (departure: Departure) => void

  /** @param departed - called when a process has ended, after its entries were removed. */
  constructor(departed: (departure: Departure) => void = () => {}) {
    this.#departed = departed
  }

  /** Who has a name here. */
  holder(name: string): NamedProcess | null {
    return this.#holders.get(name)?.process ?? null
  }

  /** How many names had been given when this one was. */
  fence(name: string): number {
    return this.#holders.get(name)?.fence ?? 0
  }

  /** The name that a process has in a scope. */
  nameOf(process: NamedProcess, scope: string): string | null {
    return this.#entries.get(process)?.unique.get(scope) ?? null
  }

  /** Gives a name that nobody has. @param scope - null for one of many names. */
  hold(name: string, process: NamedProcess, scope: string | null): void {
    const entry = this.#entry(process)
    this.#holders.set(name, { process, fence: ++this.#fence })
    entry.names.add(name)
    if (scope !== null) entry.unique.set(scope, name)
  }

  /** Takes a name back. @returns false when the process does not have it. */
  release(name: string, process: NamedProcess): boolean {
    if (this.holder(name) !== process) return false
    this.#holders.delete(name)
    const entry = this.#entries.get(process)!
    entry.names.delete(name)
    for (const [scope, held] of entry.unique) if (held === name) entry.unique.delete(scope)
    this.#tidy(process, entry)
    return true
  }

  /** @returns whether it is the first member here. */
  join(group: string, process: NamedProcess): boolean {
    flushBroadcasts()
    this.#entry(process).groups.add(group)
    const members = this.#groups.get(group)
    if (members !== undefined) {
      members.add(process)
      return false
    }
    this.#groups.set(group, new Set([process]))
    return true
  }

  /** @returns `last` when nobody is left here, false when it was no member. */
  leave(group: string, process: NamedProcess): 'last' | boolean {
    flushBroadcasts()
    const members = this.#groups.get(group)
    if (members?.delete(process) !== true) return false
    const entry = this.#entries.get(process)!
    entry.groups.delete(group)
    this.#tidy(process, entry)
    if (members.size > 0) return true
    this.#groups.delete(group)
    return 'last'
  }

  /** The members of a group here. A set that changes with them. */
  members(group: string): ReadonlySet<NamedProcess> {
    return this.#groups.get(group) ?? NOBODY
  }

  /** All names and groups there are here. */
  get all(): {
    readonly names: readonly (readonly [string, NamedProcess])[]
    readonly groups: readonly string[]
  } {
    return {
      names: [...this.#holders].map(([name, { process }]) => [name, process] as const),
      groups: [...this.#groups.keys()],
    }
  }

  /** Forgets everything. */
  clear(): void {
    flushBroadcasts()
    for (const { forget } of this.#entries.values()) forget()
    this.#entries.clear()
    this.#holders.clear()
    this.#groups.clear()
  }

  #entry(process: NamedProcess): Entry {
    const known = this.#entries.get(process)
    if (known !== undefined) return known
    let gone = false
    const { whenEnded } = processOf(process)
    const forget = whenEnded(() => {
      gone = true
      this.#depart(process)
    })
    if (gone) throw new NoProcessError(process.name ?? 'the process', null)
    const entry: Entry = { unique: new Map(), names: new Set(), groups: new Set(), forget }
    this.#entries.set(process, entry)
    return entry
  }

  #tidy(process: NamedProcess, { names, groups, forget }: Entry): void {
    if (names.size > 0 || groups.size > 0) return
    forget()
    this.#entries.delete(process)
  }

  #depart(process: NamedProcess): void {
    const entry = this.#entries.get(process)
    if (entry === undefined) return
    this.#entries.delete(process)
    for (const name of entry.names) this.#holders.delete(name)
    for (const group of entry.groups) {
      const members = this.#groups.get(group)
      members?.delete(process)
      if (members?.size === 0) this.#groups.delete(group)
    }
    this.#departed({ process, names: [...entry.names], groups: [...entry.groups] })
  }
}

const NOBODY: ReadonlySet<NamedProcess> = new Set()

/** The process behind what was given. @throws NoProcessError for something that is none. */
export function memberOf(member: Member): NamedProcess {
  return processOf(member).process
}
