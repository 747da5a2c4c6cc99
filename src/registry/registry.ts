// Strategy: names and groups through which processes are reached, as an interface that is the same in one program and across
// machines: so every answer is a promise, and every answer is data. A registry knows processes by their handle and nothing of
// their connections. Entries vanish with their process.
import type { Frame } from '../behaviour/frame.js'
import type { NameRegistry } from '../behaviour/names.js'
import type { NamedProcess } from '../behaviour/process-ref.js'
import type { AnyProcess, Self } from '../behaviour/process.js'

/** A process, or what its callbacks hold of it: `registry.unique.register('ann', self)`. */
export type Member = AnyProcess | Self

/** Who has a unique name. */
export interface Holder {
  /** The node it runs on; that of this program is `registry.node`. */
  readonly node: string
  /** The process, where it runs in this program; null elsewhere. */
  readonly process: NamedProcess | null
  /**
   * Grows with each holder that a name gets, and is never given twice: whoever guards something outside with a name can tell a
   * holder of yesterday by it.
   */
  readonly fence: number
}

/** Names that one process has at a time. */
export interface Unique {
  /**
   * Gives a name to a process.
   *
   * @returns `ok` (also for a name that it has already), `taken` when another process has it, `already-registered` when this
   * process has another name.
   * @throws (rejects) NoProcessError for a process that has ended; RegistryError when the registry cannot be reached.
   */
  register(name: string, process: Member): Promise<'ok' | 'taken' | 'already-registered'>
  /** Takes a name back. */
  unregister(name: string, process: Member): Promise<'ok' | 'not-registered'>
  /** Who has the name. @throws (rejects) RegistryError. */
  lookup(name: string): Promise<Holder | null>
  /**
   * A message for `handleInfo` of whoever has the name.
   *
   * @returns true when it was handed to whoever has it. False when nobody has it, or it is not known whether it was: it may have been.
   */
  send(name: string, message: unknown): Promise<boolean>
}

/** What became of a message to a group. */
export interface Delivery {
  /** Processes that it was handed to, on all nodes that confirmed. */
  readonly recipients: number
  /** Nodes that had members, this one included. */
  readonly nodes: number
  /** How many of them have said that they delivered it. */
  readonly confirmed: number
}

/** Groups of processes. A process may be in many. */
export interface Group {
  /** Adds a process; nothing where it is a member already. @throws (rejects) NoProcessError, RegistryError. */
  join(name: string, process: Member): Promise<'ok'>
  /** Takes a process out. */
  leave(name: string, process: Member): Promise<'ok' | 'not-in-group'>
  /** A message for `handleInfo` of each member, the sender included if it is one. */
  publish(name: string, message: unknown): Promise<Delivery>
  /**
   * A message for the other end of each member's connection, past its callbacks: encoded, compressed and framed once on each
   * node. Members that are not connected do not count as recipients.
   */
  broadcast(name: string, message: Broadcast): Promise<Delivery>
  /** Members in this program. */
  members(name: string): readonly NamedProcess[]
}

/** What `broadcast` takes: a whole message. */
export type Broadcast = Extract<Frame, string | { readonly type: 'text' | 'binary' }> | Uint8Array

/**
 * Names and groups. As a {@link NameRegistry} it also is where names of `start()` live: `{ via: registry, key }`, or
 * `{ global: key }` after `setGlobalRegistry(registry)`; those names are other ones than those of `unique`, and a process may
 * have both.
 */
export interface Registry extends NameRegistry, AsyncDisposable {
  /** What this program is called among others. */
  readonly node: string
  readonly unique: Unique
  readonly group: Group
  /** The same registry for names of a scope of their own, such as a tenant's. */
  scope(name: string): Registry
  /** Forgets everything. Processes go on. */
  close(): Promise<void>
}
