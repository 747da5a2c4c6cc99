// Strategy: fresh memory costs more than everything else about sending (page faults, cold caches, collection), so what was
// written out is used again. Frames go into the current slab; `live` counts the stretches of a slab that somebody may still
// read. A user of the core who never calls `recycle` just leaves slabs to the collector; the transport calls it as soon as
// the operating system has taken a segment, and then each tick writes to the same warm bytes. Larger frames have memory of
// their own, of which a few are kept. At most 2 MiB of slabs and 4 MiB of larger memory wait here for the process.
import { dataView } from './mask.js'
import { allocate } from './runtime.js'

/** The most that fits into a slab. */
export const SLAB_BYTES: number = 64 * 1024
const FREE_SLABS = 32
const FREE_LARGE_BYTES = 4 * 1024 * 1024
const LARGE_STEP_BYTES = 64 * 1024

/** Memory that frames are written to one behind the other. */
export interface Slab {
  readonly bytes: Uint8Array
  /** The same memory, for `xorMask`. */
  readonly words: DataView
  /** The first free byte. */
  used: number
  /** Stretches that were begun and not recycled. */
  live: number
}

function makeSlab(): Slab {
  const bytes = allocate(SLAB_BYTES)
  return { bytes, words: dataView(bytes), used: 0, live: 0 }
}

const owners = new WeakMap<ArrayBufferLike, Slab | Uint8Array>()
const freeSlabs: Slab[] = []
const freeLarge: Uint8Array[] = []
let freeLargeBytes = 0

/** The slab that is being filled. */
export let slab: Slab = makeSlab()
owners.set(slab.bytes.buffer, slab)

/** Takes a slab with room; the current one goes on to live in the segments that point into it. */
export function renewSlab(): void {
  slab = freeSlabs.pop() ?? makeSlab()
  owners.set(slab.bytes.buffer, slab)
}

/** Memory for a frame too large for a slab, of exactly `bytes`; not zeroed. */
export function largeMemory(bytes: number): Uint8Array {
  const at = freeLarge.findIndex(one => one.length >= bytes && one.length <= 2 * bytes + LARGE_STEP_BYTES)
  if (at >= 0) {
    const [memory] = freeLarge.splice(at, 1)
    freeLargeBytes -= memory.length
    return memory.subarray(0, bytes)
  }
  const memory = allocate(Math.ceil(bytes / LARGE_STEP_BYTES) * LARGE_STEP_BYTES)
  owners.set(memory.buffer, memory)
  return memory.subarray(0, bytes)
}

/** Which of some segments are payloads of the caller's; one may itself lie in a slab, where nothing was copied between. */
const foreignOf = new WeakMap<readonly Uint8Array[], readonly Uint8Array[]>()

/** These of the segments are the caller's own bytes. */
export function noteForeign(segments: readonly Uint8Array[], foreign: readonly Uint8Array[]): void {
  foreignOf.set(segments, foreign)
}

/** Nobody reads or will read this memory, which `largeMemory` gave. */
export function returnLarge(view: Uint8Array): void {
  const memory = owners.get(view.buffer)
  if (memory === undefined || !('length' in memory)) return
  if (freeLargeBytes + memory.length > FREE_LARGE_BYTES || freeLarge.includes(memory)) return
  freeLarge.push(memory)
  freeLargeBytes += memory.length
}

/** The newest stretch of a slab: mostly it is written and recycled before there is another. */
let lastSegment: Uint8Array | null = null
let lastOwner: Slab = slab
let lastStart = 0
let lastEnd = 0

/** `bytes[start, end)` of a slab as a segment. */
export function stretch(owner: Slab, start: number, end: number): Uint8Array {
  // A lone message after another of its length lies where that did, and a view costs more than the rest of encoding it.
  if (lastSegment !== null && owner === lastOwner && start === lastStart && end === lastEnd)
    return lastSegment
  // Not a plain view: a stream of Node's would make a `Buffer` of it.
  lastSegment = owner.bytes.subarray(start, end)
  lastOwner = owner
  lastStart = start
  lastEnd = end
  return lastSegment
}

/** One stretch of a slab less that somebody may read. */
export function endStretch(owner: Slab): void {
  if (--owner.live > 0) return
  owner.used = 0
  if (owner !== slab && freeSlabs.length < FREE_SLABS) freeSlabs.push(owner)
}

/**
 * Nobody will read these segments any more: their memory may be written to again. Memory of others is left alone. The list
 * is emptied, so that giving it back twice does nothing.
 */
export function recycle(segments: Uint8Array[]): void {
  const foreign = foreignOf.get(segments)
  for (const segment of segments) {
    const owner = segment === lastSegment ? lastOwner : owners.get(segment.buffer)
    if (owner === undefined || foreign?.includes(segment)) continue
    if ('length' in owner) returnLarge(owner)
    else endStretch(owner)
  }
  segments.length = 0
}
