const NONE: Uint8Array[] = []
/** So many places may be left behind. */
const COMPACT_AT = 64

/** Output that a stream was given, one batch a write, in the order in which it says that it is done with them. */
export class InFlight {
  // Places are used again, since mostly there is one batch: `push` and `shift` make arrays.
  readonly #segments: Uint8Array[][] = [NONE]
  readonly #frames: number[] = [0]
  #head = 0
  #end = 0
  #handed = 0
  #written = 0
  /** How many frames there are up to our Close frame, once that was handed over. */
  #closeFrame = Infinity

  /** How many of all frames that were sent the stream was handed. */
  get handed(): number {
    return this.#handed
  }

  /** How many of them the stream is done with. */
  get written(): number {
    return this.#written
  }

  /** How many batches there is room for without more memory. */
  get places(): number {
    return this.#segments.length
  }

  /** True when the stream is done with everything. */
  get empty(): boolean {
    return this.#head === this.#end
  }

  /** True while the stream is not done with what came before our Close frame. */
  get beforeClose(): boolean {
    return this.#written < this.#closeFrame
  }

  /**
   * @param frames - how many frames were given to the stream up to the end of this batch.
   * @param closing - whether our Close frame is among them.
   */
  push(segments: Uint8Array[], frames: number, closing: boolean): void {
    if (this.#head >= COMPACT_AT && this.#head * 2 >= this.#end) this.#compact()
    const at = this.#end++
    this.#segments[at] = segments
    this.#frames[at] = frames
    this.#handed = frames
    if (closing && this.#closeFrame === Infinity) this.#closeFrame = frames
  }

  /** Gives the places of what has left to what comes. */
  #compact(): void {
    this.#segments.copyWithin(0, this.#head, this.#end)
    this.#frames.copyWithin(0, this.#head, this.#end)
    const left = this.#end - this.#head
    this.#segments.length = this.#frames.length = left
    this.#head = 0
    this.#end = left
  }

  /** A batch that the stream was done with at once; only when none is in flight. */
  pass(frames: number, closing: boolean): void {
    this.#handed = this.#written = frames
    if (closing && this.#closeFrame === Infinity) this.#closeFrame = frames
  }

  /** The stream is done with the oldest batch. */
  shift(): Uint8Array[] {
    if (this.empty) return NONE
    const at = this.#head++
    const segments = this.#segments[at]
    this.#segments[at] = NONE
    this.#written = this.#frames[at]
    if (this.empty) this.#head = this.#end = 0
    return segments
  }
}
