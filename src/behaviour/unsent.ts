import type { CheckedFrame } from './frame.js'

/**
 * Frames that the socket accepted, until the operating system has taken the last byte of each. What is left when the
 * connection ends never got there, or not whole.
 */
export class Unsent {
  #frames: CheckedFrame[] = []
  #batches: number[] = []
  #head = 0
  #done = 0

  /** A frame leaves with this batch of output. */
  add(frame: CheckedFrame, batch: number): void {
    // A message in parts is known to be whole only later: it may be written already.
    if (batch <= this.#done) return
    this.#frames.push(frame)
    this.#batches.push(batch)
  }

  /** The stream is done with the first `batches`. */
  written(batches: number): void {
    this.#done = batches
    const { length } = this.#batches
    while (this.#head < length && this.#batches[this.#head] <= batches) this.#head++
    if (this.#head === length) {
      if (length === 0) return
      this.#frames = []
      this.#batches = []
      this.#head = 0
    } else if (this.#head > 1024) {
      this.#frames = this.#frames.slice(this.#head)
      this.#batches = this.#batches.slice(this.#head)
      this.#head = 0
    }
  }

  /** What never got to the operating system, in order. */
  rest(): readonly CheckedFrame[] {
    return this.#frames.slice(this.#head)
  }
}
