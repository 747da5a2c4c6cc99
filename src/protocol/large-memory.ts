// Strategy: glibc returns memory to the operating system when more than 128 KiB at the end of its heap are free, and asks for each block
// of that size anew; what comes next then has fresh pages, which cost as much as all the rest of receiving a message. It does so until
// a larger block has been returned: blocks of that size, it takes it, come and go, and from then on it keeps twice as much. So the first
// time one is let go of, untouched. Where another allocator is in use this means nothing.
import { allocate } from './runtime.js'

/** So much, again and again, is returned each time the collector has run. */
const LARGE_BYTES = 32 * 1024
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
