// Strategy: a client that lost its connection may send a command again that was carried out already, and then a message comes
// twice. Senders count their messages, so a receiver remembers, for each sender, the numbers among the last few thousand; what
// is older than those is refused too, which can lose a message but never deliver one twice.
const WINDOW = 4096
const MAX_SENDERS = 4096

interface Sender {
  highest: number
  readonly recent: Set<number>
}

/** Which messages have come already. */
export class SeenIds {
  /** The one who wrote last comes last. */
  readonly #senders = new Map<string, Sender>()

  /** Remembers a message. @returns false when it has come before. */
  add(sender: string, number: number): boolean {
    const known = this.#senders.get(sender) ?? { highest: 0, recent: new Set<number>() }
    if (number <= known.highest - WINDOW || known.recent.has(number)) return false
    known.recent.add(number)
    known.highest = Math.max(known.highest, number)
    if (known.recent.size > WINDOW * 2) {
      for (const old of known.recent) if (old <= known.highest - WINDOW) known.recent.delete(old)
    }
    this.#senders.delete(sender)
    this.#senders.set(sender, known)
    if (this.#senders.size > MAX_SENDERS) this.#senders.delete(this.#senders.keys().next().value!)
    return true
  }
}
