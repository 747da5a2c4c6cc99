import { ProtocolViolation } from '../protocol/index.js'

/** 7.2.2: what the sender took from the end of each message. */
export const TRAILER: Buffer = Buffer.from([0x00, 0x00, 0xff, 0xff])
/** Without an engine, so much of a message is gathered before it gets one of its own in the thread pool. */
const GATHER_BYTES = 16 * 1024

/** What is left of a piece: bytes of the payload, and of the trailer behind it. */
export interface Rest {
  readonly bytes: Uint8Array
  readonly payload: number
}

/** What zlib's calls return when asked for `info`. */
export interface Info {
  readonly buffer: Buffer
  readonly engine: { readonly bytesWritten: number }
}

/** Small pieces of a message, put together until they are worth a job. */
export class Gathered {
  #pieces: Buffer[] = []
  #bytes = 0

  /** Adds a piece, which is copied if it has to wait. @returns all there is; null when more is to come first. */
  add(input: Uint8Array, start: number, end: number, last: boolean): Uint8Array | null {
    const enough = last || this.#bytes + end - start >= GATHER_BYTES
    if (enough && this.#pieces.length === 0) return input.subarray(start, end)
    if (end > start) this.#pieces.push(Buffer.from(input.subarray(start, end)))
    this.#bytes += end - start
    if (!enough) return null
    const all = Buffer.concat(this.#pieces)
    this.clear()
    return all
  }

  clear(): void {
    this.#pieces = []
    this.#bytes = 0
  }
}

/** `input[start, end)`, and behind the last of a message what its sender has taken away. */
export function withTrailer(input: Uint8Array, start: number, end: number, last: boolean): Uint8Array {
  const view = input.subarray(start, end)
  return last ? Buffer.concat([view, TRAILER]) : view
}

/** zlib's words for input that is no DEFLATE. */
export function unreadable(error: unknown): ProtocolViolation {
  return new ProtocolViolation('WS_BAD_COMPRESSION', (error as Error).message)
}
