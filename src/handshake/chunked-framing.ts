const LF = 0x0a
const CR = 0x0d

// Chunk extensions and one-byte chunks cost a reader more than they bring; no honest error page comes near
// this.
const MAX_FRAMING_BYTES = 64 * 1024

/**
 * Takes the chunked transfer coding (RFC 9112 section 7.1) off a stream of bytes, cut in any way, in linear
 * time. Only for bodies after which the connection is closed: it ends with the last chunk and does not read
 * the trailers.
 */
export class ChunkedFraming {
  #state: 'size' | 'extension' | 'data' | 'data-end' | 'ended' | 'broken' = 'size'
  #size = 0
  #digits = 0
  #framingBytes = 0

  /** `ended` behind the last chunk, `broken` when the bytes make no sense. */
  get state(): 'open' | 'ended' | 'broken' {
    return this.#state === 'ended' || this.#state === 'broken' ? this.#state : 'open'
  }

  /**
   * Walks `bytes` and hands each span of data to `take`; stops where the coding ends or breaks. Keeps no
   * bytes.
   */
  receive(bytes: Uint8Array, take: (data: Uint8Array) => void): void {
    for (let at = 0; at < bytes.length && this.state === 'open';) {
      if (this.#state === 'data') {
        const end = Math.min(bytes.length, at + this.#size)
        take(bytes.subarray(at, end))
        this.#size -= end - at
        at = end
        if (this.#size === 0) this.#state = 'data-end'
      } else {
        this.#frame(bytes[at++])
        if (++this.#framingBytes > MAX_FRAMING_BYTES) this.#state = 'broken'
      }
    }
  }

  #frame(byte: number): void {
    if (this.#state === 'data-end') {
      if (byte === LF) this.#state = 'size'
      else if (byte !== CR) this.#state = 'broken'
      return
    }
    const digit = this.#state === 'size' ? hexDigit(byte) : -1
    if (digit >= 0) {
      this.#size = this.#size * 16 + digit
      // Seven digits are 256 MiB, more than anyone wants of a refusal, and no number that loses its last
      // bits.
      if (++this.#digits > 7) this.#state = 'broken'
    } else if (this.#digits === 0) {
      this.#state = 'broken'
    } else if (byte === LF) {
      this.#state = this.#size === 0 ? 'ended' : 'data'
      this.#digits = 0
    } else {
      // 7.1.1: what stands between the size and the end of the line is an extension nobody here knows.
      this.#state = 'extension'
    }
  }
}

function hexDigit(byte: number): number {
  if (byte >= 0x30 && byte <= 0x39) return byte - 0x30
  const letter = (byte | 0x20) - 0x61
  return letter >= 0 && letter < 6 ? letter + 10 : -1
}
