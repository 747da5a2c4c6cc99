import type { PreparedMessage } from '../protocol/index.js'

/** How much is kept for one that is not ready, and what a message counts besides its bytes. */
const MAX_BYTES = 1024 * 1024
const MESSAGE_BYTES = 64

/** Messages to a group that come before `handleConnect` is done. */
export class EarlyMessages {
  #messages: PreparedMessage[] | null = null
  #bytes = 0

  /** @returns false, and keeps none of them, when there are too many. */
  keep(messages: readonly PreparedMessage[]): boolean {
    const bytes = messages.reduce((sum, { payload }) => sum + MESSAGE_BYTES + payload.length, this.#bytes)
    if (bytes > MAX_BYTES) return false
    this.#bytes = bytes
    this.#messages ??= []
    this.#messages.push(...messages)
    return true
  }

  /** What was kept and not taken. */
  get kept(): readonly PreparedMessage[] {
    return this.#messages ?? []
  }

  /** What was kept; nobody else gets it. */
  take(): readonly PreparedMessage[] {
    const { kept } = this
    this.#messages = null
    this.#bytes = 0
    return kept
  }
}
