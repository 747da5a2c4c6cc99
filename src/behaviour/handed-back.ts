import { type CheckedFrame, frameBytes } from './frame.js'

// As much as may wait in a socket's output (64 MiB) is too much to keep for who never asks.
const MAX_BYTES = 16 * 1024 * 1024
const MAX_FRAMES = 16_384

/**
 * Frames that were accepted and that nobody is to send, until a callback is told of them. Bounded: what nobody takes for too
 * long is given up, the oldest first, and that is said once.
 */
export class HandedBack {
  readonly #warn: () => void
  #frames: CheckedFrame[] = []
  #bytes = 0
  #warned = false
  /** How many were there before the connection there is. */
  #older = 0

  /** @param warn - called once, when frames had to be given up. */
  constructor(warn: () => void) {
    this.#warn = warn
  }

  /** True when there are none. */
  get empty(): boolean {
    return this.#frames.length === 0
  }

  /** Keeps a frame. */
  push(frame: CheckedFrame): void {
    this.#frames.push(frame)
    this.#bytes += frameBytes(frame)
    if (this.#frames.length <= MAX_FRAMES && this.#bytes <= MAX_BYTES) return
    // A tenth at a time: to move all of them for each one would cost too much.
    const dropped = this.#frames.splice(0, Math.max(1, this.#frames.length / 10))
    for (const one of dropped) this.#bytes -= frameBytes(one)
    this.#older = Math.max(0, this.#older - dropped.length)
    if (!this.#warned) this.#warn()
    this.#warned = true
  }

  /** A connection begins: what it leaves will be newer than what is here, and older than what comes. */
  mark(): void {
    this.#older = this.#frames.length
  }

  /** All of them, in order, with what the connection left in its place; nobody else gets them. */
  take(left: readonly CheckedFrame[]): readonly CheckedFrame[] {
    const frames = this.#frames
    const older = frames.splice(0, this.#older)
    this.#frames = []
    this.#bytes = 0
    this.#older = 0
    return [...older, ...left, ...frames]
  }
}
