/**
 * Whom an address counts for: itself, or for IPv6 its network of 64 bits, which is what a household or a machine is given to
 * take any address of.
 */
export function countedAs(address: string): string {
  if (!address.includes(':') || address.includes('.')) return address
  const [head, tail] = address.split('%')[0].split('::')
  const first = head === '' ? [] : head.split(':')
  const last = tail === undefined || tail === '' ? [] : tail.split(':')
  const zeros = Array.from({ length: tail === undefined ? 0 : 8 - first.length - last.length }, () => '0')
  return [...first, ...zeros, ...last].slice(0, 4).join(':')
}

/** Handshakes that are under way, in all and by address: who opens very many and says nothing is not waited for. */
export class HalfOpen {
  readonly #max: number
  readonly #maxPerAddress: number
  readonly #byAddress = new Map<string, number>()
  #count = 0

  constructor(max: number, maxPerAddress: number) {
    this.#max = max
    this.#maxPerAddress = maxPerAddress
  }

  /** Handshakes that are under way. */
  get count(): number {
    return this.#count
  }

  /** One more. @returns what to call when it is over, once or more; null when there are enough. */
  enter(from: string): (() => void) | null {
    const address = countedAs(from)
    const here = this.#byAddress.get(address) ?? 0
    if (this.#count >= this.#max || here >= this.#maxPerAddress) return null
    this.#count++
    this.#byAddress.set(address, here + 1)
    let over = false
    return () => {
      if (over) return
      over = true
      this.#count--
      const left = this.#byAddress.get(address)! - 1
      if (left === 0) this.#byAddress.delete(address)
      else this.#byAddress.set(address, left)
    }
  }
}
