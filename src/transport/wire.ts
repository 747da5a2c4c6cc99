// Strategy: joins a stream to a Connection, and is the only place that reads from or writes to the stream once the
// handshake is done.
//
//   stream 'data' ─▶ connection.receive ─▶ nextEvent() until null, or until reading is paused ─▶ handler
//   handler sends ─▶ connection ─▶ takeOutput() ─▶ stream.write
//
// Output is gathered: the first send of an idle tick is written at once, so a lone message never waits; what follows in
// the same tick leaves in one write at its end, and so does everything sent while a chunk's events are handled. While the
// stream is full, output stays in the Connection, where pongs are bounded. An extension may still be busy with a message when
// its turn comes: `wake` goes on. What the Connection owes the socket (`shutdown`)
// is settled after every step, with one deadline for the closing handshake.
import { Socket as NetSocket } from 'node:net'
import type { Duplex } from 'node:stream'
import type { Connection } from '../protocol/index.js'
import type { Clock } from './clock.js'
import { Deadline } from './deadline.js'
import { InFlight } from './in-flight.js'
import { swallowErrors } from './stream-events.js'
import { throwLater } from './throw-later.js'
import type { WireHandler } from './wire-handler.js'

/** Reads and writes one stream for one connection. */
export class Wire {
  readonly #stream: Duplex
  readonly #connection: Connection
  readonly #handler: WireHandler
  #bytesReceived = 0
  #reading = true
  #pulling = false
  #tick = false
  #yielded = false
  /** An extension is busy with a message that has arrived: nothing more is read. */
  #stalled = false
  /** The stream has ended: what is left is delivered whether reading is paused or not. */
  #draining = false
  #endWritten = false
  #closed = false
  /** Ended by this side: what an extension is still busy with is not waited for. */
  #abandoned = false
  #error: Error | null = null
  /** What the stream has been given and has not reported as written. */
  readonly #inFlight = new InFlight()
  #handed = 0
  #written = 0
  /** How many frames there are up to our Close frame, once that was handed over. */
  #closeFrame = Infinity
  /** How the stream ended, while a message that came before is not ready. */
  #ended: 'no' | 'end' | 'close' = 'no'
  readonly #deadline: Deadline

  constructor(
    stream: Duplex,
    connection: Connection,
    handler: WireHandler,
    { clock, closeTimeoutMs }: { readonly clock: Clock; readonly closeTimeoutMs: number },
  ) {
    this.#stream = stream
    this.#connection = connection
    this.#handler = handler
    this.#deadline = new Deadline(clock, closeTimeoutMs, () => this.destroy())
    swallowErrors(stream)
  }

  /** How many of all frames that were sent the stream was handed. */
  get handed(): number {
    return this.#handed
  }

  /** How many of them the stream is done with. */
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
    if (this.#reading && !this.#stalled) stream.resume()
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
    const went = this.#stalled && !this.#connection.decoding
    if (went) this.#stalled = false
    if ((paused || went) && this.#reading && !this.#closed && !this.#stalled) this.#stream.resume()
  }

  /** Something was added to the connection's output: writes it now, or at the end of the tick. */
  flush(): void {
    if (this.#pulling || this.#tick) return
    this.#tick = true
    process.nextTick(this.#onTick)
    this.#write(false)
    this.#settle()
  }

  /** An extension is done with a message, in one direction or the other. */
  wake(): void {
    this.#connection.advance()
    const ended = this.#ended
    this.#ended = 'no'
    if (ended === 'end') return this.#onEnd()
    if (ended === 'close') return this.#onClose()
    if (this.#reading) this.resume()
    else this.#pull()
  }

  /** Ends the connection at once, without a closing handshake. */
  destroy(): void {
    this.#abandoned = true
    const { destroyed, writableLength } = this.#stream
    // Once it is destroyed a stream says of every write that it is done, so this is the last moment to know.
    if (!destroyed && writableLength === 0) this.#handler.written(this.#handed)
    this.#stream.destroy()
    if (this.#ended === 'close') this.#onClose()
  }

  readonly #onData = (chunk: Uint8Array): void => {
    this.#bytesReceived += chunk.length
    this.#connection.receive(chunk)
    this.#pull()
  }

  readonly #onEnd = (): void => {
    if (this.#mustWait('end')) return
    this.#connection.receiveEnd()
    this.#settle()
  }

  readonly #onError = (error: Error): void => void (this.#error ??= error)

  readonly #onDrain = (): void => {
    // The peer still takes what came before our Close frame; from there on the time is up when it is up.
    if (this.#deadline.armed && this.#written < this.#closeFrame) this.#deadline.arm()
    this.#write(false)
    this.#handler.flushed(this.#stream.writableNeedDrain)
  }

  /** Writes end in the order they were begun in. After an error the memory is left to the collector. */
  readonly #onWritten = (error: Error | null | undefined): void => {
    const segments = this.#inFlight.shift()
    this.#written = this.#inFlight.frames
    if (error || this.#stream.destroyed) return
    // Only a socket of Node's own is known to be done with the memory when it says so.
    if (this.#stream instanceof NetSocket) this.#connection.recycleOutput(segments)
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
    if (this.#closed || this.#mustWait('close')) return
    this.#closed = true
    this.#deadline.cancel()
    this.#connection.receiveEnd()
    const stream = this.#stream
    stream.off('data', this.#onData).off('end', this.#onEnd).off('error', this.#onError)
    stream.off('close', this.#onClose).off('drain', this.#onDrain)
    this.#handler.ended(this.#error ?? stream.errored ?? null, this.#deadline.over)
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
      // What comes meanwhile stays with the operating system.
      if (connection.decoding && !this.#stalled && !this.#closed) {
        this.#stalled = true
        this.#stream.pause()
      }
      this.#write(false)
      this.#settle()
    }
  }

  /**
   * Nothing more will come: what was received is handed over, paused or not. True while a message of it is not ready: then the
   * end is put off.
   */
  #mustWait(what: 'end' | 'close'): boolean {
    this.#draining = true
    this.#pull()
    this.#draining = false
    if (this.#abandoned || !this.#connection.decoding) return false
    this.#ended = what
    return true
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
    this.#handed = this.#connection.encoded
    this.#inFlight.push(segments, this.#handed)
    if (this.#closeFrame === Infinity && this.#connection.shutdown !== 'none') this.#closeFrame = this.#handed
    stream.write(segments[length - 1], this.#onWritten)
    if (length > 1) stream.uncork()
    this.#handler.flushed(stream.writableNeedDrain)
  }

  /** Does what the connection owes the socket. */
  #settle(): void {
    const owed = this.#connection.shutdown
    if (owed === 'none' || this.#closed || this.#stream.destroyed) return
    if (!this.#deadline.armed) this.#deadline.arm()
    if (owed === 'end' && !this.#endWritten) {
      this.#endWritten = true
      this.#write(true)
      this.#stream.end()
    }
    // What still arrives is only thrown away, but the end of it must be seen.
    const { received } = this.#connection.outcome
    if (received !== null || owed === 'end') this.#stream.resume()
  }
}
