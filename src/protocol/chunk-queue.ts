/** Chunks that arrived while an earlier one is being read. */
export class ChunkQueue {
  #chunks: Uint8Array[] = []
  #next = 0

  push(chunk: Uint8Array): void {
    this.#chunks.push(chunk)
  }

  /** The oldest one, null when there is none. */
  take(): Uint8Array | null {
    if (this.#next < this.#chunks.length) return this.#chunks[this.#next++]
    if (this.#next > 0) this.clear()
    return null
  }

  clear(): void {
    this.#chunks = []
    this.#next = 0
  }
}
