/** A queue that takes from its front in constant time. */
export class Fifo<T> {
  #items: T[] = []
  #head = 0

  /** How many items wait. */
  get length(): number {
    return this.#items.length - this.#head
  }

  /** Adds one at the end. */
  push(item: T): void {
    this.#items.push(item)
  }

  /** The oldest, left in its place. */
  peek(): T | undefined {
    return this.#items[this.#head]
  }

  /** Takes the oldest. */
  shift(): T | undefined {
    const item = this.#items[this.#head]
    if (item === undefined) return undefined
    // Not kept alive for longer than it is wanted.
    this.#items[this.#head++] = undefined as T
    if (this.#head === this.#items.length) {
      this.#items = []
      this.#head = 0
    } else if (this.#head >= 64 && this.#head * 2 >= this.#items.length) {
      this.#items = this.#items.slice(this.#head)
      this.#head = 0
    }
    return item
  }

  /** Takes the oldest for which `wanted` holds. */
  take(wanted: (item: T) => boolean): T | undefined {
    for (let at = this.#head; at < this.#items.length; at++) {
      if (!wanted(this.#items[at])) continue
      return at === this.#head ? this.shift() : this.#items.splice(at, 1)[0]
    }
    return undefined
  }

  /** Takes all of them. */
  clear(): T[] {
    const items = this.#items.slice(this.#head)
    this.#items = []
    this.#head = 0
    return items
  }
}
