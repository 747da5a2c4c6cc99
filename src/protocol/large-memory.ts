// Strategy: glibc asks the operating system for each larger block of memory, and returns it when it is free; the next one then has fresh
// pages, which cost as much as all the rest of receiving a message. It does so until a block has been returned: blocks of that size,
// it takes it, come and go, and from then on it keeps as much. So the first time a larger one is let go of, untouched. Where another
// allocator is in use this means nothing.
import { allocate } from './runtime.js'

const LARGE_BYTES = 128 * 1024
/** Somewhat less than the most that glibc can learn, 32 MiB. */
const LESSON_BYTES = 31 * 1024 * 1024

let isTaught = false

/** As `allocate`, for memory of any length that will not be kept for ever. */
export function allocateAny(bytes: number): Uint8Array {
  if (bytes >= LARGE_BYTES && !isTaught) {
    isTaught = true
    try {
      allocate(LESSON_BYTES)
    } catch {
      // So much is not to be had: then so much will not come and go either.
    }
  }
  return allocate(bytes)
}
