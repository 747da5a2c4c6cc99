// Where one way of inflating ends and the next begins, and what each is reckoned to cost.

/** Pieces longer than this are not worth this thread's time: some 100 µs. */
export const SYNC_INPUT_BYTES: number = 32 * 1024
/** From here on a message goes on in the thread pool. */
export const SYNC_OUTPUT_BYTES: number = 128 * 1024
/** Short input is joined with the trailer: a second call into zlib costs more. */
export const JOIN_BYTES: number = 1024
/** Shorter output is copied, so that it does not hold memory of 64 KiB. */
export const OWNED_BYTES: number = 16 * 1024
/** What one call may make: as much as a step. */
export const AT_ONCE_BYTES: number = 64 * 1024
/** Final blocks that one message may have, and one more for so many bytes. */
export const FREE_ENDS: number = 32
export const BYTES_PER_END: number = 256
/** Microseconds, as measured: an engine, a call without one, a step and each KiB that it makes. */
export const ENGINE_US: number = 150
export const CALL_US: number = 30
export const STEP_US: number = 2
export const KIB_US: number = 3
