// Strategy: a long text is put together in memory that is used again, since only its string leaves: fresh memory costs far more than
// copying does. Who has some has it alone, and whoever is never done with it, as when a connection is lost, leaves it to the collector.
import { allocateAny } from './large-memory.js'

/** The longest that is kept. */
export const SCRATCH_BYTES: number = 1024 * 1024
const SPARES = 2
const STEP_BYTES = 64 * 1024

const spares: Uint8Array[] = []

/** Memory of at least so many bytes, to be given back. */
export function takeScratch(bytes: number): Uint8Array {
  const at = spares.findIndex(({ length }) => length >= bytes)
  if (at >= 0) return spares.splice(at, 1)[0]
  return allocateAny(bytes > SCRATCH_BYTES ? bytes : Math.ceil(bytes / STEP_BYTES) * STEP_BYTES)
}

/** Nobody refers to it any more. */
export function giveBackScratch(memory: Uint8Array): void {
  if (memory.length > SCRATCH_BYTES) return
  spares.push(memory)
  if (spares.length <= SPARES) return
  const least = Math.min(...spares.map(({ length }) => length))
  spares.splice(
    spares.findIndex(({ length }) => length === least),
    1,
  )
}
