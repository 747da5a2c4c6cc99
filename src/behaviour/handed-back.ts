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

  /** @param warn - called once, when frames had to be given up. */
  constructor(warn: () => void) {
    this.#warn = warn
  }

  /** Keeps a frame. */
  push(frame: CheckedFrame): void {
    this.#frames.push(frame)
    this.#bytes += frameBytes(frame)
    if (this.#frames.length <= MAX_FRAMES && this.#bytes <= MAX_BYTES) return
    // A tenth at a time: to move all of them for each one would cost too much.
    const dropped = this.#frames.splice(0, Math.max(1, this.#frames.length / 10))
    for (const one of dropped) this.#bytes -= frameBytes(one)
    if (!this.#warned) this.#warn()
    this.#warned = true
  }

  /** All of them, in order; nobody else gets them. */
  take(): readonly CheckedFrame[] {
    const frames = this.#frames
    this.#frames = []
    this.#bytes = 0
    return frames
  }
}
