// Strategy: what is left of an open connection on which nothing is under way. Decoder, queues, counters and promises say nothing
// then that new ones would not say, so they are let go of, and made anew by the first byte, the first send, or the end. A
// server holds tens of thousands of such connections.
//
//   Socket at rest ─▶ RestingSocket ─▶ received, ended, failed, closed ─▶ wake ─▶ Socket
//                          └─ write of whole messages: handed to the stream as they are
import type { Duplex } from 'node:stream'
import type { PerMessageDeflate } from '../extensions/index.js'
import type { ExtensionOffer } from '../handshake/index.js'
import type { MessageTransform, PreparedMessage } from '../protocol/index.js'
import { type NextRead, ownerOf, read, type StreamOwner } from './stream-owner.js'

/** Who goes on with a connection that was at rest. */
export interface Sleeper {
  /** Something happened: makes a Socket that owns the stream. */
  wake(): void
}

/** Messages that can be written as they are. */
export interface Framed {
  readonly messages: readonly PreparedMessage[]
  /** A server's frames of them, as they go through this transform; null when they take a while. */
  frames(transform: MessageTransform | null): Uint8Array | null
}

type Written = (error: Error | null | undefined) => void

/** Messages that were written at rest, as always over TLS, and that somebody has to remember until they are gone. */
export class LateWrite {
  readonly messages: readonly PreparedMessage[]
  #taker: Written | null = null
  #outcome: Error | null | undefined

  constructor(messages: readonly PreparedMessage[]) {
    this.messages = messages
  }

  /** Somebody else remembers them from now on. @param written - called once they are gone, or will never be. */
  handOver(written: Written): void {
    if (this.#outcome === undefined) this.#taker = written
    else written(this.#outcome)
  }

  /** They are gone, or will never be. */
  written(error: Error | null | undefined): void {
    this.#outcome = error ?? null
    this.#taker?.(error)
  }
}

const NOTHING = new Uint8Array(0)

/** A connection at rest. Whatever happens to its stream wakes it first. */
export class RestingSocket implements StreamOwner {
  readonly stream: Duplex
  readonly url: string
  readonly subprotocol: string
  readonly extensions: readonly ExtensionOffer[]
  readonly deflate: PerMessageDeflate | null
  /** Bytes that had come since the handshake. */
  readonly bytesReceived: number
  readonly #sleeper: Sleeper
  #late: LateWrite[] | null = null

  constructor(
    stream: Duplex,
    {
      url,
      subprotocol,
      extensions,
      bytesReceived,
    }: Pick<RestingSocket, 'url' | 'subprotocol' | 'extensions' | 'bytesReceived'>,
    deflate: PerMessageDeflate | null,
    sleeper: Sleeper,
  ) {
    this.stream = stream
    this.url = url
    this.subprotocol = subprotocol
    this.extensions = extensions
    this.bytesReceived = bytesReceived
    this.deflate = deflate
    this.#sleeper = sleeper
  }

  /** What was written here and not taken by the operating system when it was; null for nothing. */
  get late(): readonly LateWrite[] | null {
    return this.#late
  }

  /**
   * Writes whole messages that were prepared, as long as its stream has room.
   *
   * @returns false when this is no case for it.
   */
  write(messages: Framed): boolean {
    const { stream } = this
    if (stream.destroyed || stream.writableNeedDrain) return false
    const frames = messages.frames(this.deflate)
    if (frames === null) return false
    // A callback for each of ten thousand would cost more than asking who needs one.
    stream.write(frames)
    if (stream.writableLength > 0 || stream.errored !== null) this.#remember(messages.messages)
    return true
  }

  #remember(messages: readonly PreparedMessage[]): void {
    const late = new LateWrite(messages)
    if (this.#late === null) this.#late = [late]
    else this.#late.push(late)
    // Nothing, behind all that.
    this.stream.write(NOTHING, error => {
      late.written(error)
      if (error || this.#late === null) return
      this.#late = this.#late.length === 1 ? null : this.#late.filter(one => one !== late)
    })
  }

  received(chunk: Uint8Array): void {
    this.#wake().received(chunk)
  }

  read(memory: Uint8Array, bytes: number, lent: boolean): NextRead {
    this.#wake()
    return read(this.stream, memory, bytes, lent)
  }

  ended(): void {
    this.#wake().ended()
  }

  failed(error: Error): void {
    this.#wake().failed(error)
  }

  closed(): void {
    this.#wake().closed()
  }

  drained(): void {
    // Nothing waits for room.
  }

  #wake(): StreamOwner {
    this.#sleeper.wake()
    return ownerOf(this.stream)
  }
}
