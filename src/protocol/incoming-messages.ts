// Strategy: what has come, on its way into events. Chunks are read one after the other; one that comes before the last was used up
// waits. Memory that was only lent is left when it is given back, and bytes that were read to where their message is put together are
// not copied again.
//
//   chunk ──▶ FrameDecoder ─piece─▶ MessageAssembler ──▶ next()
import { ChunkQueue } from './chunk-queue.js'
import type { ProtocolEvent } from './event.js'
import { FrameDecoder } from './frame-decoder.js'
import type { Limits } from './limits.js'
import { MessageAssembler } from './message-assembler.js'
import type { MessageTransform } from './message-transform.js'
import type { Role } from './opcode.js'
import { copy, EMPTY } from './runtime.js'

/** Chunks on their way out of the decoder. */
export class IncomingMessages {
  readonly #decoder: FrameDecoder
  readonly #assembler: MessageAssembler
  readonly #waiting = new ChunkQueue()
  #input: 'none' | 'some' | 'discarded' = 'none'

  constructor(role: Role, limits: Limits, transform: MessageTransform | null | undefined) {
    this.#decoder = new FrameDecoder(role, transform?.rsv ?? 0)
    this.#assembler = new MessageAssembler(limits, transform?.incoming)
  }

  /** True while an extension works on a message that has arrived. */
  get decoding(): boolean {
    return this.#input === 'some' && this.#assembler.waiting
  }

  /** True while a message has arrived in part. */
  get midMessage(): boolean {
    return this.#input !== 'discarded' && this.#assembler.unfinished
  }

  /** True between two messages, when nothing waits. */
  get atRest(): boolean {
    return this.#input === 'none' && !this.midMessage && this.#decoder.atRest
  }

  /** See `Connection.place`. */
  get place(): Uint8Array | null {
    const { remaining } = this.#decoder.piece
    return remaining === 0 || this.#input !== 'none' ? null : this.#assembler.place(remaining)
  }

  receive(chunk: Uint8Array, lent: boolean): void {
    if (this.#input === 'none') {
      this.#decoder.feed(chunk, lent)
      this.#input = 'some'
    } else if (this.#input === 'some') this.#waiting.push(lent ? copy(chunk) : chunk)
  }

  receivePlaced(chunk: Uint8Array): void {
    const isNext = this.#input === 'none'
    this.receive(chunk, false)
    if (isNext) this.#decoder.markPlaced()
  }

  giveBack(): boolean {
    return this.#decoder.giveBack()
  }

  /** The next event; null when more bytes are needed, or nothing will come. @throws ProtocolViolation. */
  next(): ProtocolEvent | null {
    if (this.#input !== 'some') return null
    const decoder = this.#decoder
    const assembler = this.#assembler
    for (;;) {
      while (assembler.waiting || decoder.next()) {
        const event = assembler.waiting ? assembler.resume() : assembler.absorb(decoder.piece)
        if (event !== null) return event
        if (assembler.waiting) return null
      }
      const chunk = this.#waiting.take()
      if (chunk === null) {
        this.#input = 'none'
        return null
      }
      decoder.feed(chunk)
    }
  }

  /** Nothing more is of interest. */
  discard(): void {
    this.#input = 'discarded'
    this.#waiting.clear()
    this.#decoder.feed(EMPTY)
  }
}
