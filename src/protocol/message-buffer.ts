// Strategy: where the pieces of a cut message are put together. Memory follows what has arrived, never what a header
// declares. Three kinds of memory, so that the usual cut message, a small one at the end of a chunk, allocates nothing:
//
//   small     a stretch of a slab shared by all connections, given back when the bytes were only needed to make a string;
//             the last stretch of a slab grows in place
//   medium    memory of its own that grows fourfold, at most to what the frame declares
//   large     pieces of 16 KiB and more are held as they are (each pins at most four times its size) and joined once, at
//             the exact size: growing would copy, and touch fresh memory, twice
//
// A text is joined in one scratch buffer for the whole process, since only its string leaves.
import { allocate, decodeAscii, decodeUtf8, view } from './runtime.js'

const SLAB_BYTES = 64 * 1024
const SMALL_BYTES = 16 * 1024
const HELD_BYTES = 16 * 1024
const SCRATCH_BYTES = 1024 * 1024
const LOOP_BYTES = 40
const LEAST_BYTES = 256
const EMPTY = new Uint8Array(0)

let slab = new Uint8Array(0)
let slabUsed = 0
let scratch = EMPTY

/** Collects the bytes of one message; empty again after `takeText` or `takeBytes`. */
export class MessageBuffer {
  /** Parts that came before the memory being filled. */
  #parts: Uint8Array[] | null = null
  #memory: Uint8Array = EMPTY
  #start = 0
  #end = 0
  #limit = 0
  #length = 0

  /** Bytes collected so far. */
  get length(): number {
    return this.#length
  }

  /**
   * Adds `chunk[start, end)`.
   *
   * @param following how many bytes of the message will come from `start` on, as far as the frame's header tells;
   * `Infinity` when more frames follow.
   */
  append(chunk: Uint8Array, start: number, end: number, following: number): void {
    const bytes = end - start
    this.#length += bytes
    if (bytes >= HELD_BYTES) {
      this.#hold(view(chunk, start, end))
      return
    }
    if (this.#end + bytes > this.#limit) this.#grow(bytes, following)
    const memory = this.#memory
    let at = this.#end
    this.#end += bytes
    if (bytes > LOOP_BYTES) memory.set(view(chunk, start, end), at)
    else for (let i = start; i < end; i++) memory[at++] = chunk[i]
  }

  /** The bytes as a string; they must be valid UTF-8, or ASCII when `ascii` says so. */
  takeText(ascii: boolean): string {
    const decode = ascii ? decodeAscii : decodeUtf8
    const length = this.#length
    let text: string
    if (this.#parts === null) {
      text = decode(this.#memory, this.#start, this.#end)
    } else {
      if (length <= SCRATCH_BYTES && scratch.length < length) scratch = allocate(SCRATCH_BYTES)
      const joined = this.#join(length <= SCRATCH_BYTES ? scratch : allocate(length))
      text = decode(joined, 0, length)
    }
    this.#release(this.#start)
    return text
  }

  /** The bytes, in memory that nobody else will write to. */
  takeBytes(): Uint8Array {
    const bytes =
      this.#parts === null ? view(this.#memory, this.#start, this.#end) : this.#join(allocate(this.#length))
    this.#release(this.#end)
    return bytes
  }

  #hold(part: Uint8Array): void {
    this.#closeMemory().push(part)
  }

  /** What is in memory becomes a part. */
  #closeMemory(): Uint8Array[] {
    const parts = (this.#parts ??= [])
    if (this.#end > this.#start) parts.push(view(this.#memory, this.#start, this.#end))
    if (this.#ownsSlabEnd) slabUsed = this.#end
    this.#memory = EMPTY
    this.#start = this.#end = this.#limit = 0
    return parts
  }

  /** Makes room for `bytes` more and for what is likely to follow: some four times what has arrived. */
  #grow(bytes: number, following: number): void {
    // Memory that is as large as a held piece becomes one, instead of being copied.
    if (this.#end - this.#start >= HELD_BYTES) this.#closeMemory()
    const held = this.#end - this.#start
    const needed = held + bytes
    const ample = Math.max(needed * 4, Math.min(this.#length, SCRATCH_BYTES), LEAST_BYTES)
    const wanted = Math.max(needed, Math.min(held + following, ample))
    if (wanted > SMALL_BYTES) {
      this.#move(allocate(wanted), 0, wanted)
    } else if (this.#ownsSlabEnd && this.#start + wanted <= SLAB_BYTES) {
      slabUsed = this.#limit = this.#start + wanted
    } else {
      if (slabUsed + wanted > slab.length) {
        slab = allocate(SLAB_BYTES)
        slabUsed = 0
      }
      const start = slabUsed
      slabUsed += wanted
      this.#move(slab, start, wanted)
    }
  }

  /** True when nobody reserved a stretch of the slab behind ours. */
  get #ownsSlabEnd(): boolean {
    return this.#memory === slab && this.#limit === slabUsed
  }

  #move(memory: Uint8Array, start: number, bytes: number): void {
    if (this.#end > this.#start) memory.set(view(this.#memory, this.#start, this.#end), start)
    this.#end = start + (this.#end - this.#start)
    this.#memory = memory
    this.#start = start
    this.#limit = start + bytes
  }

  #join(into: Uint8Array): Uint8Array {
    let at = 0
    for (const part of this.#parts!) {
      into.set(part, at)
      at += part.length
    }
    if (this.#end > this.#start) into.set(view(this.#memory, this.#start, this.#end), at)
    return into
  }

  /** Forgets the message; the slab is free again from `from` on, when nobody came after us. */
  #release(from: number): void {
    if (this.#ownsSlabEnd) slabUsed = from
    this.#parts = null
    this.#memory = EMPTY
    this.#start = this.#end = this.#limit = 0
    this.#length = 0
  }
}
