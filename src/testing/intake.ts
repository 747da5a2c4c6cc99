import { NetworkError } from './network-error.js'
import type { Stepper } from './stepper.js'

/** The callback of a stream's `_write`. */
export type Done = (error?: Error | null) => void

/** What follows the bytes of a lane: the end that their writer sent, or a reset. */
export type Closing = 'end' | 'reset'

/** What the intake asks and tells its lane. */
export interface IntakeOwner {
  readonly windowBytes: number
  /** Called with bytes that were just taken; it may end everything. */
  taken(bytes: Uint8Array): void
  /** All that was taken in this tick, and what closes it. */
  leave(bytes: readonly Uint8Array[], closing: Closing | null): void
  /** The limit was reached. */
  reset(): void
}

interface Writing {
  readonly chunks: readonly Uint8Array[]
  readonly done: Done
  /** The chunk to go on with, and how much of it was taken. */
  chunk: number
  offset: number
}

/** A copy of the next bytes, at most `most`; null when there are none, or there is no room. */
function nextOf(writing: Writing, most: number): Uint8Array | null {
  const { chunks } = writing
  while (writing.chunk < chunks.length && writing.offset === chunks[writing.chunk].length) {
    writing.chunk++
    writing.offset = 0
  }
  if (writing.chunk === chunks.length || most <= 0) return null
  const bytes = Buffer.from(chunks[writing.chunk].subarray(writing.offset, writing.offset + most))
  writing.offset += bytes.length
  return bytes
}

/** The writer's side of a lane: takes bytes as far as the window has room, and sends off what one tick brought. */
export class Intake {
  readonly #stepper: Stepper
  readonly #owner: IntakeOwner
  #taken = 0
  /** Resets the link at so many. */
  #limit = Infinity
  /** Taken and not yet delivered. */
  #inFlight = 0
  #writing: Writing | null = null
  #gathered: Uint8Array[] = []
  #leaving = false
  #closing: Closing | null = null
  #closed = false
  #dead = false

  constructor(stepper: Stepper, owner: IntakeOwner) {
    this.#stepper = stepper
    this.#owner = owner
  }

  get taken(): number {
    return this.#taken
  }

  /** Takes what a `_write` brings, as far as there is room; the rest follows when there is. */
  take(chunks: readonly Uint8Array[], done: Done): void {
    // A reset is on its way to the writer: until it is there the write is under way.
    if (this.#closed && !this.#dead) {
      done(new NetworkError('EPIPE'))
      return
    }
    this.#writing = { chunks, done, chunk: 0, offset: 0 }
    this.#fill()
  }

  /** So many bytes have reached the reader, or nobody: there is room for others. */
  free(bytes: number): void {
    this.#inFlight -= bytes
    this.#fill()
  }

  /** Bytes that nobody wrote. */
  inject(bytes: Uint8Array): void {
    if (this.#closed || bytes.length === 0) return
    this.#inFlight += bytes.length
    this.#gather(Buffer.from(bytes))
  }

  /** Nothing follows what was taken but this. A reset may still follow an end. */
  close(closing: Closing): void {
    const writing = this.#writing
    this.#writing = null
    writing?.done(new NetworkError('EPIPE'))
    if (this.#dead || (this.#closed && closing === 'end')) return
    this.#closed = true
    this.#closing = closing
    this.#leave()
  }

  /** Ends everything as soon as so many bytes were taken. */
  limit(bytes: number): void {
    this.#limit = bytes
    if (this.#taken >= bytes) this.#owner.reset()
  }

  /**
   * The writer is gone: what was not taken never will be. The write that was under way is reported as done all the same: that
   * is what Node's sockets do when they are destroyed, and who counts by callbacks must know it.
   */
  abandon(): void {
    const writing = this.#writing
    this.#writing = null
    writing?.done()
  }

  /** Nothing leaves any more. */
  kill(): void {
    this.#dead = this.#closed = true
    this.#gathered = []
  }

  #fill(): void {
    const writing = this.#writing
    if (writing === null || this.#dead) return
    for (;;) {
      const room = Math.min(this.#owner.windowBytes - this.#inFlight, this.#limit - this.#taken)
      const bytes = nextOf(writing, room)
      if (bytes === null) break
      this.#taken += bytes.length
      this.#inFlight += bytes.length
      this.#gather(bytes)
      this.#owner.taken(bytes)
      // Whoever watches may have reset the link.
      if (this.#writing !== writing) return
    }
    if (writing.chunk === writing.chunks.length) {
      this.#writing = null
      writing.done()
    }
    if (this.#taken >= this.#limit) this.#owner.reset()
  }

  #gather(bytes: Uint8Array): void {
    this.#gathered.push(bytes)
    this.#leave()
  }

  #leave(): void {
    if (this.#leaving) return
    this.#leaving = true
    this.#stepper.defer(() => {
      this.#leaving = false
      if (this.#dead) return
      const gathered = this.#gathered
      const closing = this.#closing
      this.#gathered = []
      this.#closing = null
      this.#owner.leave(gathered, closing)
    })
  }
}
