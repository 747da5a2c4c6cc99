// Strategy: where the pieces of a cut message are put together. Memory follows what has arrived; what a header declares is
// believed up to 16 KiB. Four kinds of it, so that the usual cut message, a small one at the end of a chunk, allocates
// nothing:
//
//   slab      a stretch of a slab shared by all connections, given back when the bytes were only needed to make a string;
//             the last stretch of a slab grows in place
//   grown     memory of its own, four times what it holds; when it is full it becomes a part
//   parts     pieces of 16 KiB and more are held as they are (of a socket's chunk of 64 KiB each pins at most four times its
//             size), or copied when their chunk was lent
//   final     once an eighth of a message of known length has arrived, or when that length is at most 16 KiB: memory of
//             exactly that length; for a long text, of which only a string will leave, memory that is used again
//
// A message that ends as parts is joined. What is read from the stream may go to final memory directly, see `place`.
import { type FramePiece, pieceView } from './frame-piece.js'
import { allocateAny } from './large-memory.js'
import { lastingView } from './lasting.js'
import { copyMasked } from './mask.js'
import { allocate, decodeAscii, decodeUtf8, EMPTY, view } from './runtime.js'
import { giveBackScratch, SCRATCH_BYTES, takeScratch } from './scratch.js'
import { unmask } from './unmask.js'

const SLAB_BYTES = 64 * 1024
const SMALL_BYTES = 4096
/** A message known to be this short gets all of its memory at its first byte. */
const AHEAD_BYTES = 16 * 1024
const HELD_BYTES = 16 * 1024
const LOOP_BYTES = 40
/** What is read in one go to where it stays: no less than a read of anything brings, and no more than others may wait for. */
const LEAST_PLACED_BYTES = 64 * 1024
const MOST_PLACED_BYTES = 1024 * 1024
const LEAST_BYTES = 256
const SMALL_COPY_BYTES = 125
/** How much of a message must have arrived before memory for all of it is taken: one part in this many. */
const FINAL_SHARE = 8

let slab: Uint8Array = allocate(0)
let slabUsed = 0

/** Collects the bytes of one message; empty again after `takeText` or `takeBytes`. */
export class MessageBuffer {
  /** Parts that came before the memory being filled. */
  #parts: Uint8Array[] | null = null
  #memory: Uint8Array = EMPTY
  #start = 0
  #end = 0
  #limit = 0
  #length = 0
  /** The memory is nobody's for good. */
  #isScratch = false

  /**
   * Adds the payload of a piece.
   *
   * @param total how long the message will be, `Infinity` while more frames follow.
   * @param text whether `takeText` will end it.
   */
  append(piece: FramePiece, total: number, text: boolean): void {
    const bytes = piece.end - piece.start
    this.#length += bytes
    if (piece.placed) {
      unmask(piece)
      this.#end += bytes
      return
    }
    if (this.#end + bytes > this.#limit) {
      const small = total <= AHEAD_BYTES
      const much = total <= this.#length * FINAL_SHARE
      if (text ? much && !small : total > SMALL_BYTES && (much || small)) this.#finalize(total, text)
      else if (bytes >= HELD_BYTES) return this.#hold(piece)
      else this.#grow(bytes, small ? total : Infinity, text ? AHEAD_BYTES : SMALL_BYTES)
    }
    const memory = this.#memory
    let at = this.#end
    this.#end += bytes
    if (piece.maskKey !== 0) {
      copyMasked(pieceView(piece), memory, at, piece.maskKey, null)
    } else if (bytes > LOOP_BYTES) {
      memory.set(pieceView(piece), at)
    } else {
      const { chunk, start, end } = piece
      for (let i = start; i < end; i++) memory[at++] = chunk[i]
    }
  }

  /** Where the next bytes, at most so many, will be put together; null where there is no room for many. */
  place(bytes: number): Uint8Array | null {
    const room = Math.min(bytes, this.#limit - this.#end, MOST_PLACED_BYTES)
    return room < LEAST_PLACED_BYTES ? null : this.#memory.subarray(this.#end, this.#end + room)
  }

  /** The bytes as a string; they must be valid UTF-8, or ASCII when `ascii` says so. */
  takeText(ascii: boolean): string {
    const decode = ascii ? decodeAscii : decodeUtf8
    let text: string
    if (this.#parts === null) {
      text = decode(this.#memory, this.#start, this.#end)
    } else {
      const memory = takeScratch(this.#length)
      text = decode(memory, 0, this.#joinInto(memory))
      giveBackScratch(memory)
    }
    this.#release(this.#start)
    return text
  }

  /** The bytes, in memory that nobody else will write to. */
  takeBytes(): Uint8Array {
    if (this.#parts !== null) this.#finalize(this.#length, false)
    const bytes = view(this.#memory, this.#start, this.#end)
    if (bytes.length <= SMALL_COPY_BYTES) {
      // A kept view would pin the whole slab.
      const own = new Uint8Array(bytes)
      this.#release(this.#start)
      return own
    }
    this.#release(this.#end)
    return bytes
  }

  #hold(piece: FramePiece): void {
    unmask(piece)
    this.#closeMemory().push(lastingView(piece))
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

  /** Takes memory for all of the message, and moves there what has arrived. */
  #finalize(total: number, text: boolean): void {
    const memory = text ? takeScratch(total) : allocateAny(total)
    this.#isScratch = text
    const length = this.#joinInto(memory)
    if (this.#ownsSlabEnd) slabUsed = this.#start
    this.#parts = null
    this.#memory = memory
    this.#start = 0
    this.#end = length
    this.#limit = total
  }

  /** Makes room for `bytes` more and for what is likely to follow: some four times what has arrived. */
  #grow(bytes: number, total: number, slabLimit: number): void {
    // Memory that is as large as a held piece becomes one, instead of being copied.
    if (this.#end - this.#start >= HELD_BYTES) this.#closeMemory()
    const held = this.#end - this.#start
    const needed = held + bytes
    const ample = Math.max(needed * 4, Math.min(this.#length, SCRATCH_BYTES), LEAST_BYTES)
    const wanted = total === Infinity ? ample : needed + total - this.#length
    if (wanted > slabLimit) {
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

  /** Copies all that has arrived to the beginning of `memory`, and tells how much it was. */
  #joinInto(memory: Uint8Array): number {
    let at = 0
    for (const part of this.#parts ?? []) {
      memory.set(part, at)
      at += part.length
    }
    if (this.#end > this.#start) memory.set(view(this.#memory, this.#start, this.#end), at)
    return at + this.#end - this.#start
  }

  /** Forgets the message; the slab is free again from `from` on, when nobody came after us. */
  #release(from: number): void {
    if (this.#ownsSlabEnd) slabUsed = from
    if (this.#isScratch) giveBackScratch(this.#memory)
    this.#isScratch = false
    this.#parts = null
    this.#memory = EMPTY
    this.#start = this.#end = this.#limit = 0
    this.#length = 0
  }
}
