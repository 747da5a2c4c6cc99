// Strategy: frames of all connections are written one behind the other into shared slabs. What one connection wrote
// without another in between is one segment, so a hundred sends of a tick leave as one buffer; an idle connection
// holds nothing. A slab is never written twice, so a segment stays intact until the socket let go of it, and then the
// collector takes the slab. The view for masking is made once a slab.
import { allocate } from './runtime.js'
import { dataView } from './mask.js'

const SLAB_BYTES = 64 * 1024

/** The slab that is being filled. Module state on purpose: it is memory to be filled, and holds no one's data twice. */
let bytes = allocate(SLAB_BYTES)
let words: DataView = dataView(bytes)
let used = 0

/** Where an encoder may write: at `offset` of `bytes`, after a successful `reserve`. */
export const slab = {
  get bytes(): Uint8Array<ArrayBuffer> {
    return bytes
  },
  /** The same memory, for `xorMask`. */
  get words(): DataView {
    return words
  },
  /** The first free byte. */
  get used(): number {
    return used
  },
  /** Makes sure that `need` bytes are free behind `used`, by a new slab where they are not. At most `SLAB_BYTES`. */
  reserve(need: number): void {
    if (used + need <= SLAB_BYTES) return
    bytes = allocate(SLAB_BYTES)
    words = dataView(bytes)
    used = 0
  },
  /** Everything before `end` is taken. */
  commit(end: number): void {
    used = end
  },
}
