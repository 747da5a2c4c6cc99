// Strategy: the body of a refusal is kept to be shown, not processed. So only its first bytes are kept,
// nothing of it ever throws, and it is complete as soon as no more of it is wanted: at the end its framing
// tells (RFC 9112 section 6.3), at the limit, or when the framing makes no sense. Bodies without a length
// last until the connection ends.
//
//   chunk --> the first #remaining bytes -----> #buffer   (Content-Length; Infinity for "to the end")
//         --> ChunkedFraming --> spans of data --> #buffer
import { ChunkedFraming } from './chunked-framing.js'
import { type HeaderList, headerValues, type ResponseHead } from './head.js'
import { listContains } from './header-values.js'

// Precedents: Python's websockets keeps up to 1 MiB, most others nothing. 64 KiB holds an error page or a
// JSON problem description, and costs little for each of many refused connections.
const DEFAULT_MAX_BYTES = 64 * 1024

/** Collects the beginning of the body that follows a response's head. */
export class ResponseBody {
  readonly #maxBytes: number
  readonly #chunked: ChunkedFraming | null
  #remaining: number
  #buffer = new Uint8Array(0)
  #length = 0
  #complete: boolean
  #truncated = false

  /** @param maxBytes how much of the body is kept. Default 64 KiB. */
  constructor(head: ResponseHead, maxBytes: number = DEFAULT_MAX_BYTES) {
    const { status, headers } = head
    this.#maxBytes = maxBytes
    // RFC 9112 6.3 (1): these never have a body.
    const empty = (status >= 100 && status < 200) || status === 204 || status === 304
    const codings = headerValues(headers, 'transfer-encoding')
    // 6.3 (3) and (4): a transfer coding wins over a length. One that does not end in chunked lasts to the
    // end.
    this.#chunked = !empty && listContains(codings, 'chunked') ? new ChunkedFraming() : null
    this.#remaining = empty ? 0 : codings.length > 0 ? Infinity : contentLength(headers)
    this.#complete = this.#remaining === 0
  }

  /** Whether there is nothing more to wait for. */
  get complete(): boolean {
    return this.#complete
  }

  /** Whether the body went on behind what was kept, or broke off. */
  get truncated(): boolean {
    return this.#truncated
  }

  /** What was kept so far: a view of this object's own memory. */
  get bytes(): Uint8Array {
    return this.#buffer.subarray(0, this.#length)
  }

  /** Takes the next bytes, copies those it wants, and tells whether the body is complete. Never throws. */
  receive(chunk: Uint8Array): boolean {
    if (this.#complete) return true
    if (this.#chunked === null) {
      const data = chunk.length > this.#remaining ? chunk.subarray(0, this.#remaining) : chunk
      this.#remaining -= data.length
      this.#append(data)
      if (this.#remaining === 0) this.#complete = true
    } else {
      this.#chunked.receive(chunk, data => this.#append(data))
      if (this.#chunked.state !== 'open') this.#complete = true
      if (this.#chunked.state === 'broken') this.#truncated = true
    }
    return this.#complete
  }

  /** The connection ended. Idempotent. */
  receiveEnd(): void {
    if (this.#complete) return
    this.#complete = true
    this.#truncated = this.#chunked !== null || this.#remaining !== Infinity
  }

  #append(data: Uint8Array): void {
    const room = this.#maxBytes - this.#length
    const kept = data.length > room ? data.subarray(0, room) : data
    if (kept.length < data.length) {
      this.#truncated = true
      this.#complete = true
    }
    const length = this.#length + kept.length
    if (length > this.#buffer.length) {
      // Grows with what has arrived, never with what was announced; doubling keeps the copying linear.
      const buffer = new Uint8Array(Math.min(Math.max(length, this.#buffer.length * 2), this.#maxBytes))
      buffer.set(this.bytes)
      this.#buffer = buffer
    }
    this.#buffer.set(kept, this.#length)
    this.#length = length
  }
}

// 6.3 (5) and (6): one length, or the same one several times. Without one, or with nonsense, the body lasts
// to the end.
function contentLength(headers: HeaderList): number {
  const lengths = new Set(headerValues(headers, 'content-length'))
  const [length] = lengths
  return length !== undefined && lengths.size === 1 && /^\d{1,15}$/.test(length) ? Number(length) : Infinity
}
