// Strategy: hands a Connection's output to its stream, and knows what has become of it. Node's own TCP socket mostly gives small
// output to the operating system at once, and shows that by holding nothing afterwards; then the memory is written to again, still
// warm, and nobody is called back: a callback would cost a tick of its own. Where the socket does hold something, an empty write
// behind it says when that has gone. Everything else, TLS and streams of the user's, is asked to call back for each batch.
import { Socket as NetSocket } from 'node:net'
import type { Duplex } from 'node:stream'
import type { Connection } from '../protocol/index.js'
import { InFlight } from './in-flight.js'
import type { WireHandler } from './wire-handler.js'

/** A batch from here on is hardly ever taken at once. */
const LARGE_BYTES = 32 * 1024
/** So many bytes do not wait for the end of the tick; a hundred messages of a kilobyte do, and leave in two writes. */
const MUCH_BYTES = 128 * 1024
const NOTHING: Uint8Array = Buffer.alloc(0)
/** Others have a `net.Socket` too, of which it is not known when it is done with memory but by its callback. */
const IS_NODE = !('bun' in process.versions) && !('deno' in process.versions)

const nodesWrite: unknown = Reflect.get(NetSocket.prototype, 'write')

/** The way out of one connection. */
export class Output {
  /** What the stream has been given and has not reported as written. */
  readonly inFlight: InFlight = new InFlight()
  readonly #stream: Duplex
  readonly #connection: Connection
  readonly #handler: Pick<WireHandler, 'written' | 'flushed'>
  /** A socket of Node's own: it is known to be done with the memory when it says so. */
  readonly #isNative: boolean
  /** It holds nothing when the operating system has everything. */
  readonly #isDirect: boolean

  constructor(stream: Duplex, connection: Connection, handler: Pick<WireHandler, 'written' | 'flushed'>) {
    this.#stream = stream
    this.#connection = connection
    this.#handler = handler
    this.#isNative = stream instanceof NetSocket
    this.#isDirect = this.#isNative && IS_NODE && !('encrypted' in stream)
  }

  /** See `Wire.takeOver()`. */
  takeOver(frames: number): (error: Error | null | undefined) => void {
    this.#connection.outgoing.count(frames)
    // Others write the same bytes: they are nobody's to recycle.
    this.inFlight.push([], this.#connection.encoded, false)
    return this.#onWritten
  }

  /** Writes what there is if it is much: where it is taken at once, the same warm memory can be filled again in this tick. */
  relieve(): void {
    if (this.#isDirect && this.#connection.pendingBytes >= MUCH_BYTES) this.write(false)
  }

  /** Writes what there is, unless the stream asks for a pause. */
  write(evenIfFull: boolean): void {
    const stream = this.#stream
    const connection = this.#connection
    if (stream.destroyed || stream.writableEnded) return
    if (stream.writableNeedDrain && !evenIfFull) return
    const segments = connection.takeOutput()
    const { length } = segments
    if (length === 0) return
    const frames = connection.encoded
    const closing = connection.shutdown !== 'none'
    const { inFlight } = this
    // Nor is it known of a `write` that was put in the place of Node's.
    const direct = this.#isDirect && stream.write === nodesWrite
    const asks = !direct || length > 1 || segments[0].length >= LARGE_BYTES || !inFlight.empty
    if (asks) inFlight.push(segments, frames, closing)
    if (length > 1) stream.cork()
    for (let i = 0; i < length - 1; i++) stream.write(segments[i])
    if (asks) stream.write(segments[length - 1], this.#onWritten)
    else stream.write(segments[length - 1])
    if (length > 1) stream.uncork()
    if (direct && stream.writableLength === 0 && stream.errored === null) {
      connection.recycleOutput(segments)
      if (!asks) {
        inFlight.pass(frames, closing)
        this.#handler.written(frames)
      }
    } else if (!asks) {
      inFlight.push(segments, frames, closing)
      stream.write(NOTHING, this.#onWritten)
    }
    this.#handler.flushed(stream.writableNeedDrain)
  }

  /** Writes end in the order they were begun in. After an error the memory is left to the collector. */
  readonly #onWritten = (error: Error | null | undefined): void => {
    const segments = this.inFlight.shift()
    if (error || this.#stream.destroyed) return
    if (this.#isNative && segments.length > 0) this.#connection.recycleOutput(segments)
    this.#handler.written(this.inFlight.written)
  }
}
