/** Output that a stream was given, one batch a write, in the order in which it says that it is done with them. */
export class InFlight {
  readonly #segments: Uint8Array[][] = []
  readonly #frames: number[] = []
  #done = 0

  /** How many frames the stream is done with. */
  get frames(): number {
    return this.#done
  }

  /** @param frames - how many frames were given to the stream up to the end of this batch. */
  push(segments: Uint8Array[], frames: number): void {
    this.#segments.push(segments)
    this.#frames.push(frames)
  }

  /** The stream is done with the oldest batch. */
  shift(): Uint8Array[] {
    this.#done = this.#frames.shift() ?? this.#done
    return this.#segments.shift() ?? []
  }
}
