import type { EndReason } from './end-reason.js'
import type { AnyProcess } from './process.js'

/** What a linked process is told. */
export interface LinkHost {
  readonly handle: AnyProcess
  /** A process linked to this one has ended. */
  linkEnded(other: AnyProcess, reason: EndReason): void
}

/** Arrives in `handleInfo` of a process with `trapExit` when a process linked to it has ended, normally or not. */
export interface ExitMessage {
  readonly type: 'exit'
  readonly process: AnyProcess
  readonly reason: EndReason
}

/** The processes that one process is tied to. A link is known at both its ends. */
export class Links {
  readonly #host: LinkHost
  readonly #links = new Set<Links>()
  #reason: EndReason | null
  /** Called when the process has ended; null as long as nobody asked. */
  #listeners: Set<(reason: EndReason) => void> | null = null

  /** @param reason - how the process has ended, null for one that has not. */
  constructor(host: LinkHost, reason: EndReason | null) {
    this.#host = host
    this.#reason = reason
  }

  /** Ties the two; when one has ended already, the other is told at once. */
  add(other: Links): void {
    if (other === this) return
    if (other.#reason !== null) this.#host.linkEnded(other.#host.handle, other.#reason)
    else if (this.#reason !== null) other.#host.linkEnded(this.#host.handle, this.#reason)
    else {
      this.#links.add(other)
      other.#links.add(this)
    }
  }

  remove(other: Links): void {
    this.#links.delete(other)
    other.#links.delete(this)
  }

  /**
   * Calls `listener` when the process has ended, before others can know; at once where it has.
   *
   * @returns a function that takes the listener back.
   */
  whenEnded(listener: (reason: EndReason) => void): () => void {
    if (this.#reason !== null) {
      listener(this.#reason)
      return () => {}
    }
    this.#listeners ??= new Set()
    this.#listeners.add(listener)
    return () => void this.#listeners?.delete(listener)
  }

  /** The process has ended. */
  end(reason: EndReason): void {
    this.#reason = reason
    const listeners = this.#listeners
    this.#listeners = null
    for (const listener of listeners ?? []) listener(reason)
    for (const other of this.#links) {
      this.remove(other)
      other.#host.linkEnded(this.#host.handle, reason)
    }
  }
}
