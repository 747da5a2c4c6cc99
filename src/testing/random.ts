// Strategy: xoshiro128** (Blackman and Vigna), whose four words are hashed from the seed. What belongs together draws from
// a generator of its own (`fork`), named and not numbered by what was drawn before: so a test that asks for one number
// more does not change how the bytes of its links are cut.

/** Where a run's chances come from. Equal seeds give equal runs. */
export type Seed = number | string

/** A fixed number, or the bounds (inclusive) between which one is drawn; whole numbers when both bounds are whole. */
export type Range = number | readonly [from: number, to: number]

const rotate = (word: number, by: number): number => (word << by) | (word >>> (32 - by))

/** FNV-1a over the text, started differently for each word, and then mixed. */
function hash(text: string, start: number): number {
  let word = 0x811c9dc5 ^ Math.imul(start + 1, 0x9e3779b9)
  for (let i = 0; i < text.length; i++) word = Math.imul(word ^ text.charCodeAt(i), 0x01000193)
  word = Math.imul(word ^ (word >>> 16), 0x85ebca6b)
  word = Math.imul(word ^ (word >>> 13), 0xc2b2ae35)
  return word ^ (word >>> 16)
}

/** Numbers that look random and are the same in every run. */
export class Random {
  readonly #name: string
  #a: number
  #b: number
  #c: number
  #d: number

  constructor(seed: Seed) {
    this.#name = `${typeof seed} ${seed}`
    this.#a = hash(this.#name, 0)
    this.#b = hash(this.#name, 1)
    this.#c = hash(this.#name, 2)
    // Never all zero: the generator would stay there.
    this.#d = hash(this.#name, 3) | 1
  }

  /** A generator of its own, which depends on the seed and on `name` and on nothing drawn so far. */
  fork(name: string): Random {
    return new Random(`${this.#name}/${name}`)
  }

  /** A whole number of 32 bits, signed. */
  word(): number {
    const word = Math.imul(rotate(Math.imul(this.#b, 5), 7), 9)
    const shifted = this.#b << 9
    this.#c ^= this.#a
    this.#d ^= this.#b
    this.#b ^= this.#c
    this.#a ^= this.#d
    this.#c ^= shifted
    this.#d = rotate(this.#d, 11)
    return word
  }

  /** At least 0 and below 1, like `Math.random()`. */
  number(): number {
    return (this.word() >>> 0) / 0x1_0000_0000
  }

  /** One of a range. A fixed number draws nothing. */
  from(range: Range): number {
    if (typeof range === 'number') return range
    const [from, to] = range
    if (from === to) return from
    return Number.isInteger(from) && Number.isInteger(to)
      ? from + Math.floor(this.number() * (to - from + 1))
      : from + this.number() * (to - from)
  }
}
