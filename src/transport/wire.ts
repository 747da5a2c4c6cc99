// Strategy: joins a stream to a Connection, and is the only place that reads from or writes to the stream once the
// handshake is done.
//
//   stream 'data' ─▶ connection.receive ─▶ nextEvent() until null, or until reading is paused ─▶ handler
//   handler sends ─▶ connection ─▶ takeOutput() ─▶ stream.write
//
// Output is gathered: the first send of an idle tick is written at once, so a lone message never waits; what follows in
// the same tick leaves in one write at its end, and so does everything sent while a chunk's events are handled. While the
// stream is full, output stays in the Connection, where pongs are bounded. What the Connection owes the socket (`shutdown`)
// is settled after every step, with one deadline for the closing handshake.
import { Socket as NetSocket } from 'node:net'
import type { Duplex } from 'node:stream'
import type { CloseFrame, Connection, Message, ProtocolViolation } from '../protocol/index.js'
import { after, type Clock } from './clock.js'
import { swallowErrors } from './stream-events.js'

/** What the wire reports. None of these is called from within `send…`, `write` or `close`. */
export interface WireHandler {
  /** @returns false to let promises settle before the next event: a reader that waits must see one thing at a time. */
  message(message: Message): boolean
  ping(data: Uint8Array): void
  pong(data: Uint8Array): void
  /** The peer's Close frame arrived, and was answered. */
  closing(frame: CloseFrame): void
  /** The peer broke the protocol; the Close frame that says so is on its way. */
  failed(violation: ProtocolViolation): void
  /** All output so far was handed to the stream. `full` is true when the stream asks for a pause. */
  flushed(full: boolean): void
  /** The stream is done with the first `batches` that it was handed, one a flush. */
  written(batches: number): void
  /** The stream is gone. Called once, last. */
  ended(cause: Error | null, timedOut: boolean): void
}

/** Throws an error of the user's own callback where nobody of ours is on the stack. */
export function throwLater(error: unknown): void {
  queueMicrotask(() => {
    throw error
  })
}

/** Reads and writes one stream for one connection. */
export class Wire {
  readonly #stream: Duplex
  readonly #connection: Connection
  readonly #handler: WireHandler
  readonly #clock: Clock
  readonly #closeTimeoutMs: number
  #bytesReceived = 0
  #reading = true
  #pulling = false
  #tick = false
  #yielded = false
  /** The stream has ended: what is left is delivered whether reading is paused or not. */
  #draining = false
  #endWritten = false
  #closed = false
  #timedOut = false
  #error: Error | null = null
  /** What the stream has been given and has not reported as written. */
  #inFlight: Uint8Array[][] = []
  #handed = 0
  #written = 0
  /** The batch that our Close frame was in. */
  #closeBatch = Infinity
  #cancelDeadline: (() => void) | null = null

  constructor(
    stream: Duplex,
    connection: Connection,
    handler: WireHandler,
    { clock, closeTimeoutMs }: { readonly clock: Clock; readonly closeTimeoutMs: number },
  ) {
    this.#stream = stream
    this.#connection = connection
    this.#handler = handler
    this.#clock = clock
    this.#closeTimeoutMs = closeTimeoutMs
    swallowErrors(stream)
  }

  /** How many batches the stream was handed. */
  get handed(): number {
    return this.#handed
  }

  /** How many batches the stream is done with. */
  get written(): number {
    return this.#written
  }

  /** Bytes that have come since the handshake. */
  get bytesReceived(): number {
    return this.#bytesReceived
  }

  /** Bytes handed to the stream that the operating system has not taken yet. */
  get writableLength(): number {
    return this.#stream.writableLength
  }

  /** True while the stream asks for a pause in writing. */
  get full(): boolean {
    return this.#stream.writableNeedDrain
  }

  /** Begins to read. `rest` is what came behind the head of the handshake. */
  start(rest: Uint8Array): void {
    const stream = this.#stream
    stream.on('data', this.#onData)
    stream.on('end', this.#onEnd)
    stream.on('error', this.#onError)
    stream.on('close', this.#onClose)
    stream.on('drain', this.#onDrain)
    if (stream.destroyed) {
      process.nextTick(this.#onClose)
      return
    }
    if (rest.length > 0) {
      this.#connection.receive(rest)
      this.#pull()
    }
    if (this.#reading) stream.resume()
    // A socket with nothing to read tells its end even when it is paused, and tells it once: here before it was ours.
    if (stream.readableEnded) process.nextTick(this.#onEnd)
  }

  /** Stops reading: nothing more is delivered until `resume()`, and the peer is slowed down. */
  pause(): void {
    this.#reading = false
    if (!this.#closed) this.#stream.pause()
  }

  /** Goes on reading; what was received already is delivered first. */
  resume(): void {
    const paused = !this.#reading
    this.#reading = true
    this.#pull()
    if (paused && this.#reading && !this.#closed) this.#stream.resume()
  }

  /** Something was added to the connection's output: writes it now, or at the end of the tick. */
  flush(): void {
    if (this.#pulling || this.#tick) return
    this.#tick = true
    process.nextTick(this.#onTick)
    this.#write(false)
    this.#settle()
  }

  /** Ends the connection at once, without a closing handshake. */
  destroy(): void {
    const { destroyed, writableLength } = this.#stream
    // Once it is destroyed a stream says of every write that it is done, so this is the last moment to know.
    if (!destroyed && writableLength === 0) this.#handler.written(this.#handed)
    this.#stream.destroy()
  }

  readonly #onData = (chunk: Uint8Array): void => {
    this.#bytesReceived += chunk.length
    this.#connection.receive(chunk)
    this.#pull()
  }

  readonly #onEnd = (): void => {
    this.#drain()
    this.#connection.receiveEnd()
    this.#settle()
  }

  readonly #onError = (error: Error): void => {
    this.#error ??= error
  }

  readonly #onDrain = (): void => {
    // The peer still takes what came before our Close frame; from there on the time is up when it is up.
    if (this.#cancelDeadline !== null && this.#written < this.#closeBatch) this.#armDeadline()
    this.#write(false)
    this.#handler.flushed(this.#stream.writableNeedDrain)
  }

  /** Writes end in the order they were begun in. After an error the memory is left to the collector. */
  readonly #onWritten = (error: Error | null | undefined): void => {
    const segments = this.#inFlight.shift()
    this.#written++
    if (error || this.#stream.destroyed) return
    // Only a socket of Node's own is known to be done with the memory when it says so.
    if (segments !== undefined && this.#stream instanceof NetSocket) this.#connection.recycleOutput(segments)
    this.#handler.written(this.#written)
  }

  readonly #onTick = (): void => {
    this.#tick = false
    this.#write(false)
    this.#settle()
  }

  readonly #onYielded = (): void => {
    this.#yielded = false
    this.#pull()
  }

  readonly #onClose = (): void => {
    if (this.#closed) return
    this.#closed = true
    this.#cancelDeadline?.()
    this.#drain()
    this.#connection.receiveEnd()
    const stream = this.#stream
    stream.off('data', this.#onData).off('end', this.#onEnd).off('error', this.#onError)
    stream.off('close', this.#onClose).off('drain', this.#onDrain)
    this.#handler.ended(this.#error ?? stream.errored ?? null, this.#timedOut)
  }

  #pull(): void {
    if (this.#pulling) return
    const connection = this.#connection
    const handler = this.#handler
    this.#pulling = true
    try {
      while (this.#reading || this.#draining) {
        const event = connection.nextEvent()
        if (event === null) break
        if (event.type === 'text' || event.type === 'binary') {
          if (handler.message(event) || this.#draining) continue
          this.#yield()
          break
        }
        if (event.type === 'ping') handler.ping(event.data)
        else if (event.type === 'pong') handler.pong(event.data)
        else if (event.type === 'fail') handler.failed(event.violation)
        else if (event.type === 'close') handler.closing(event.frame)
      }
    } catch (error) {
      // Only the user's own callbacks throw here. The peer is told, and the error goes where an uncaught one goes.
      connection.close(1011)
      throwLater(error)
      // A Close of the peer may be behind.
      this.#yield()
    } finally {
      this.#pulling = false
      this.#write(false)
      this.#settle()
    }
  }

  /** Nothing more will come: what was received is handed over, paused or not. */
  #drain(): void {
    this.#draining = true
    this.#pull()
    this.#draining = false
  }

  /** Goes on pulling once all microtasks are done, which a tick alone would come before. */
  #yield(): void {
    if (this.#yielded) return
    this.#yielded = true
    queueMicrotask(() => process.nextTick(this.#onYielded))
  }

  #write(evenIfFull: boolean): void {
    const stream = this.#stream
    if (this.#closed || stream.destroyed || stream.writableEnded) return
    if (stream.writableNeedDrain && !evenIfFull) return
    const segments = this.#connection.takeOutput()
    if (segments.length === 0) return
    const { length } = segments
    if (length > 1) stream.cork()
    for (let i = 0; i < length - 1; i++) stream.write(segments[i])
    this.#inFlight.push(segments)
    this.#handed++
    if (this.#closeBatch === Infinity && this.#connection.state !== 'open') this.#closeBatch = this.#handed
    stream.write(segments[length - 1], this.#onWritten)
    if (length > 1) stream.uncork()
    this.#handler.flushed(stream.writableNeedDrain)
  }

  /** Does what the connection owes the socket. */
  #settle(): void {
    const owed = this.#connection.shutdown
    if (owed === 'none' || this.#closed) return
    if (this.#cancelDeadline === null) this.#armDeadline()
    if (owed === 'end' && !this.#endWritten) {
      this.#endWritten = true
      this.#write(true)
      this.#stream.end()
    }
    // What still arrives is only thrown away, but the end of it must be seen.
    const { received } = this.#connection.outcome
    if (received !== null || owed === 'end') this.#stream.resume()
  }

  #armDeadline(): void {
    this.#cancelDeadline?.()
    this.#cancelDeadline = after(this.#clock, this.#closeTimeoutMs, () => {
      this.#timedOut = true
      this.destroy()
    })
  }
}
