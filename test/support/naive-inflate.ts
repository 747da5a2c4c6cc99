// DEFLATE (RFC 1951) as it is written there, bit by bit: the naive twin of zlib. It also tells how far the stream has looked
// back, which zlib does not.

const LENGTH_BASE = [
  3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17, 19, 23, 27, 31, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163, 195,
  227, 258,
]
const LENGTH_EXTRA = [0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0]
const DISTANCE_BASE = [
  1, 2, 3, 4, 5, 7, 9, 13, 17, 25, 33, 49, 65, 97, 129, 193, 257, 385, 513, 769, 1025, 1537, 2049, 3073, 4097,
  6145, 8193, 12289, 16385, 24577,
]
const DISTANCE_EXTRA = [
  0, 0, 0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 8, 9, 9, 10, 10, 11, 11, 12, 12, 13, 13,
]
const CODE_ORDER = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15]

/** 3.2.2: codes of one length are consecutive numbers. A map from `length:code` to the symbol. */
type Code = ReadonlyMap<string, number>

function codeOf(lengths: readonly number[]): Code {
  const code = new Map<string, number>()
  let next = 0
  for (let bits = 1; bits <= 15; bits++) {
    lengths.forEach((length, symbol) => {
      if (length === bits) code.set(`${bits}:${next++}`, symbol)
    })
    next <<= 1
  }
  return code
}

const FIXED_LITERALS = codeOf([
  ...Array.from({ length: 144 }, () => 8),
  ...Array.from({ length: 112 }, () => 9),
  ...Array.from({ length: 24 }, () => 7),
  ...Array.from({ length: 8 }, () => 8),
])
const FIXED_DISTANCES = codeOf(Array.from({ length: 30 }, () => 5))

/** Reads streams one after the other, with one history. */
export class NaiveInflate {
  /** Everything that came out. */
  readonly output: number[] = []
  /** The longest way back so far. */
  maxDistance = 0
  #bytes: Uint8Array = new Uint8Array(0)
  #bit = 0
  /** Where the history begins. */
  #start = 0

  /** Forgets all that came before. */
  restart(): void {
    this.#start = this.output.length
  }

  /** Reads one message, its trailer added. @returns what came out. @throws when it is no DEFLATE. */
  message(payload: Uint8Array): Uint8Array {
    const from = this.output.length
    this.#bytes = Uint8Array.from([...payload, 0x00, 0x00, 0xff, 0xff])
    this.#bit = 0
    // A message that ends with a final block needs no trailer, and is followed by one all the same.
    while (this.#bit < this.#bytes.length * 8) {
      if (this.#block()) this.#bit = Math.ceil(this.#bit / 8) * 8
      if (this.#bytes.length * 8 - this.#bit <= 32 && this.#bit % 8 === 0 && this.#bit >= payload.length * 8)
        break
    }
    return Uint8Array.from(this.output.slice(from))
  }

  #take(count: number): number {
    let value = 0
    for (let i = 0; i < count; i++) {
      const byte = this.#bytes[this.#bit >> 3]
      if (byte === undefined) throw new Error('the stream is cut')
      value |= ((byte >> (this.#bit++ & 7)) & 1) << i
    }
    return value
  }

  #symbol(code: Code): number {
    let value = 0
    for (let bits = 1; bits <= 15; bits++) {
      value = (value << 1) | this.#take(1)
      const symbol = code.get(`${bits}:${value}`)
      if (symbol !== undefined) return symbol
    }
    throw new Error('no such code')
  }

  /** @returns whether it was the final one. */
  #block(): boolean {
    const final = this.#take(1) === 1
    const type = this.#take(2)
    if (type === 0) this.#stored()
    else if (type === 1) this.#compressed(FIXED_LITERALS, FIXED_DISTANCES)
    else if (type === 2) this.#dynamic()
    else throw new Error('no such block')
    return final
  }

  #stored(): void {
    this.#bit = Math.ceil(this.#bit / 8) * 8
    const length = this.#take(16)
    if ((this.#take(16) ^ length) !== 0xffff) throw new Error('lengths do not fit')
    for (let i = 0; i < length; i++) this.output.push(this.#take(8))
  }

  #dynamic(): void {
    const literals = this.#take(5) + 257
    const distances = this.#take(5) + 1
    const codes = this.#take(4) + 4
    const lengths = Array.from({ length: 19 }, () => 0)
    for (let i = 0; i < codes; i++) lengths[CODE_ORDER[i]] = this.#take(3)
    const code = codeOf(lengths)
    const all: number[] = []
    while (all.length < literals + distances) {
      const symbol = this.#symbol(code)
      if (symbol < 16) {
        all.push(symbol)
        continue
      }
      const value = symbol === 16 ? all[all.length - 1] : 0
      const times = symbol === 16 ? 3 + this.#take(2) : symbol === 17 ? 3 + this.#take(3) : 11 + this.#take(7)
      for (let i = 0; i < times; i++) all.push(value)
    }
    this.#compressed(codeOf(all.slice(0, literals)), codeOf(all.slice(literals)))
  }

  #compressed(literals: Code, distances: Code): void {
    for (;;) {
      const symbol = this.#symbol(literals)
      if (symbol < 256) {
        this.output.push(symbol)
        continue
      }
      if (symbol === 256) return
      const length = LENGTH_BASE[symbol - 257] + this.#take(LENGTH_EXTRA[symbol - 257])
      const far = this.#symbol(distances)
      const distance = DISTANCE_BASE[far] + this.#take(DISTANCE_EXTRA[far])
      if (distance > this.output.length - this.#start) throw new Error('too far back')
      this.maxDistance = Math.max(this.maxDistance, distance)
      for (let i = 0; i < length; i++) this.output.push(this.output[this.output.length - distance])
    }
  }
}
