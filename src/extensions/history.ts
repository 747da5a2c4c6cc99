const LEAST_BYTES = 256
const RESTART_BYTES = 1024
const EMPTY = Buffer.alloc(0)
/** Works for every `Uint8Array`, without a view. */
const COPY = Buffer.prototype.copy as (
  this: Uint8Array,
  target: Uint8Array,
  targetStart: number,
  sourceStart: number,
  sourceEnd: number,
) => number
let scratch: Buffer | undefined

/** What a context is: the last bytes of a stream, at most as many as fit a window (RFC 7692, section 7.1.2). */
export class History {
  readonly #max: number
  /** A ring once it has its full size; it grows with what has come. */
  #ring: Buffer = EMPTY
  /** Where the oldest byte is, in a full ring. */
  #at = 0
  #used = 0

  /** @param bits - the base-2 logarithm of how much is kept. */
  constructor(bits: number) {
    this.#max = 1 << bits
  }

  /** Bytes of memory. */
  get bytes(): number {
    return this.#ring.length
  }

  /** Adds `bytes[start, end)`, which are copied. */
  append(bytes: Uint8Array, start: number, end: number): void {
    const max = this.#max
    if (start === end) return
    if (end - start >= max) {
      this.#grow(max)
      COPY.call(bytes, this.#ring, 0, end - max, end)
      this.#at = 0
      this.#used = max
      return
    }
    const length = end - start
    if (this.#used + length > this.#ring.length && this.#ring.length < max) this.#grow(this.#used + length)
    const ring = this.#ring
    const size = ring.length
    const to = this.#used < size ? this.#used : this.#at
    const first = Math.min(length, size - to)
    COPY.call(bytes, ring, to, start, start + first)
    if (first < length) COPY.call(bytes, ring, 0, start + first, end)
    const used = this.#used + length
    if (used <= size) this.#used = used
    else {
      this.#at = (to + length) % size
      this.#used = size
    }
  }

  /** All of it in order, for as long as nothing is appended anywhere; undefined when there is nothing. */
  linear(): Buffer | undefined {
    if (this.#used === 0) return undefined
    if (this.#at === 0) return this.#ring.subarray(0, this.#used)
    scratch ??= Buffer.allocUnsafeSlow(1 << 15)
    this.#ring.copy(scratch, 0, this.#at)
    this.#ring.copy(scratch, this.#ring.length - this.#at, 0, this.#at)
    return scratch.subarray(0, this.#ring.length)
  }

  /** Forgets everything; a little memory is kept for what comes next. */
  restart(): void {
    if (this.#ring.length > RESTART_BYTES) this.#ring = EMPTY
    this.#at = this.#used = 0
  }

  /** Forgets everything, and frees the memory. */
  clear(): void {
    this.#ring = EMPTY
    this.#at = this.#used = 0
  }

  /** Only ever called while the ring is not full, or not a ring yet. */
  #grow(need: number): void {
    const { length } = this.#ring
    if (length >= need) return
    const ring = Buffer.allocUnsafeSlow(Math.min(this.#max, Math.max(need, length * 2, LEAST_BYTES)))
    this.#ring.copy(ring, 0, 0, this.#used)
    this.#ring = ring
  }
}
