import { throwLater } from './throw-later.js'

/** What is asked of an `AbortSignal` here, so that something that is no `EventTarget` will do where nobody else sees it. */
export interface Abortable {
  readonly aborted: boolean
  readonly reason: unknown
  addEventListener(type: 'abort', listener: () => void): void
  removeEventListener(type: 'abort', listener: () => void): void
}

/** An `AbortController` and its signal in one, for those whose signal nobody else sees: it costs next to nothing. */
export class Abandon implements Abortable {
  #aborted = false
  /** In the order in which they came. */
  #listeners: (() => void)[] = []

  get aborted(): boolean {
    return this.#aborted
  }

  /** Nobody says why. */
  get reason(): undefined {
    return undefined
  }

  addEventListener(_: 'abort', listener: () => void): void {
    this.#listeners.push(listener)
  }

  removeEventListener(_: 'abort', listener: () => void): void {
    // Not in place: it may be one of them that asks.
    this.#listeners = this.#listeners.filter(one => one !== listener)
  }

  /** Not wanted any more. Only the first call counts. */
  abort(): void {
    if (this.#aborted) return
    this.#aborted = true
    const listeners = this.#listeners
    this.#listeners = []
    for (const listener of listeners) {
      try {
        listener()
      } catch (error) {
        // As with an `EventTarget`, the others are told all the same.
        throwLater(error)
      }
    }
  }
}
