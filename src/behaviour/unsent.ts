import { type CheckedFrame, checkFrame, type ShortFrame } from './frame.js'

/**
 * Frames that the socket accepted, until the operating system has taken the last byte of each. What is left when the
 * connection ends never got there, or not whole.
 */
export class Unsent {
  #frames: (CheckedFrame | ShortFrame)[] = []
  #positions: number[] = []
  #head = 0
  #done = 0

  /** True when all have left. */
  get empty(): boolean {
    return this.#frames.length === 0
  }

  /** A frame has left once so many of all that were sent have. */
  add(frame: CheckedFrame | ShortFrame, position: number): void {
    // A message in parts is known to be whole only later: it may be written already.
    if (position <= this.#done) return
    if (this.#frames.length > 0) {
      this.#frames.push(frame)
      this.#positions.push(position)
      return
    }
    // The first `push` makes room for many, and mostly there is one.
    this.#frames = [frame]
    this.#positions = [position]
  }

  /** The stream is done with the first so many. */
  written(frames: number): void {
    this.#done = frames
    const { length } = this.#positions
    while (this.#head < length && this.#positions[this.#head] <= frames) this.#head++
    if (this.#head === length) {
      if (length === 0) return
      this.#frames = []
      this.#positions = []
      this.#head = 0
    } else if (this.#head > 1024) {
      this.#frames = this.#frames.slice(this.#head)
      this.#positions = this.#positions.slice(this.#head)
      this.#head = 0
    }
  }

  /** What never got to the operating system, in order. */
  rest(): readonly CheckedFrame[] {
    return this.#frames.slice(this.#head).map(frame => checkFrame(frame))
  }
}
