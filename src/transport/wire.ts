// Strategy: joins a stream to a Connection, and is all that reads from or writes to the stream once the handshake is done.
//
//   stream 'data' ─▶ connection.receive ─▶ nextEvent() until null, or until reading is paused ─▶ handler
//   handler sends ─▶ connection ─▶ takeOutput() ─▶ stream.write
//
// Output is gathered: the first send of an idle tick is written at once, so a lone message never waits; what follows in the same
// tick leaves in one write at its end, or once it is much, and so does all that is sent while a chunk's events are handled. While
// the stream is full, output stays in the Connection, where pongs are bounded. An extension may still be busy with a message when its
// turn comes: `wake` goes on. What the Connection owes is settled after every step, with one deadline.
import type { Duplex } from 'node:stream'
import type { Connection } from '../protocol/index.js'
import type { Clock } from './clock.js'
import { Deadline } from './deadline.js'
import type { InFlight } from './in-flight.js'
import { lendReads } from './lent-reads.js'
import { Output } from './output.js'
import { isQuiet, swallowErrors } from './stream-events.js'
import { type NextRead, own, release, type StreamOwner } from './stream-owner.js'
import { throwLater } from './throw-later.js'
import type { WireHandler } from './wire-handler.js'

/** Reads and writes one stream for one connection. */
export class Wire implements StreamOwner {
  /** What it reads from and writes to. */
  readonly stream: Duplex
  readonly #connection: Connection
  readonly #handler: WireHandler
  #bytesReceived = 0
  /** Where the next bytes are read to, when that is where they stay. */
  #place: Uint8Array | null = null
  #reading = true
  #pulling = false
  /** What is sent leaves at the end of this tick. */
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
  readonly #output: Output
  /** How the stream ended, while a message that came before is not ready. */
  #ended: 'no' | 'end' | 'close' = 'no'
  readonly #deadline: Deadline

  constructor(
    stream: Duplex,
    connection: Connection,
    handler: WireHandler,
    { clock, closeTimeoutMs }: { readonly clock: Clock; readonly closeTimeoutMs: number },
  ) {
    this.stream = stream
    this.#output = new Output(stream, connection, handler)
    this.#connection = connection
    this.#handler = handler
    this.#deadline = new Deadline(clock, closeTimeoutMs, () => this.destroy())
    swallowErrors(stream)
  }

  /** What the stream has been given and has not reported as written. */
  get inFlight(): InFlight {
    return this.#output.inFlight
  }

  /** Bytes that have come since the handshake. */
  get bytesReceived(): number {
    return this.#bytesReceived
  }

  /** True when nothing is on its way in either direction, and nothing is due. */
  get atRest(): boolean {
    const due = this.#pulling || this.#tick || this.#yielded || this.#stalled || this.#deadline.armed
    const over = this.#closed || this.#abandoned || this.#ended !== 'no' || this.#error !== null
    return !due && !over && this.#reading && this.inFlight.empty && isQuiet(this.stream)
  }

  /** Begins to read. `rest` is what came behind the head of the handshake. */
  start(rest: Uint8Array): void {
    const stream = this.stream
    own(stream, this)
    if (stream.destroyed) {
      process.nextTick(() => this.closed())
      return
    }
    if (rest.length > 0) {
      this.#connection.receive(rest)
      this.#pull()
    }
    if (this.#reading && !this.#stalled) stream.resume()
    // A socket with nothing to read tells its end even when it is paused, and tells it once: here before it was ours.
    if (stream.readableEnded) process.nextTick(() => this.ended())
  }

  /** Stops reading: nothing more is delivered until `resume()`, and the peer is slowed down. */
  pause(): void {
    this.#reading = false
    if (!this.#closed) this.stream.pause()
  }

  /** Goes on reading; what was received already is delivered first. */
  resume(): void {
    const paused = !this.#reading
    this.#reading = true
    this.#pull()
    const went = this.#stalled && !this.#connection.decoding
    if (went) this.#stalled = false
    if ((paused || went) && this.#reading && !this.#closed && !this.#stalled) this.stream.resume()
  }

  /** Gathers what `send` adds to the output, as at the end of a tick. */
  gather(send: () => void): void {
    if (this.#pulling || this.#tick) return send()
    this.#tick = true
    try {
      send()
    } finally {
      this.#onTick()
    }
  }

  /** The stream was given so many frames while there was no wire, and holds them. @returns to be called when it is done with them. */
  takeOver(frames: number): (error: Error | null | undefined) => void {
    return this.#output.takeOver(frames)
  }

  /** Something was added to the connection's output: writes it now, or at the end of the tick. */
  flush(): void {
    if (this.#pulling) return
    if (this.#tick) {
      this.#output.relieve()
      return
    }
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
    if (ended === 'end') return this.ended()
    if (ended === 'close') return this.closed()
    if (this.#reading) this.resume()
    else this.#pull()
  }

  /** Ends the connection at once, without a closing handshake. */
  destroy(): void {
    this.#abandoned = true
    const { destroyed, writableLength } = this.stream
    // Once it is destroyed a stream says of every write that it is done, so this is the last moment to know.
    if (!destroyed && writableLength === 0) this.#handler.written(this.inFlight.handed)
    this.stream.destroy()
    if (this.#ended === 'close') this.closed()
  }

  received(chunk: Uint8Array): void {
    this.#bytesReceived += chunk.length
    this.#connection.receive(chunk)
    this.#pull()
    if (!this.#closed) lendReads(this.stream, this.#bytesReceived)
  }

  read(memory: Uint8Array, bytes: number, lent: boolean): NextRead {
    const connection = this.#connection
    this.#bytesReceived += bytes
    if (memory === this.#place) connection.receivePlaced(memory, bytes)
    else connection.receive(memory.subarray(0, bytes), lent)
    this.#pull()
    const lasts = connection.giveBack()
    this.#place = connection.place
    return this.#place ?? (lasts ? 'own' : 'lent')
  }

  ended(): void {
    if (this.#mustWait('end')) return
    this.#connection.receiveEnd()
    this.#settle()
  }

  failed(error: Error): void {
    this.#error ??= error
  }

  drained(): void {
    // The peer still takes what came before our Close frame; from there on the time is up when it is up.
    if (this.#deadline.armed && this.inFlight.beforeClose) this.#deadline.arm()
    this.#write(false)
    this.#handler.flushed(this.stream.writableNeedDrain)
  }

  readonly #onTick = (): void => {
    this.#tick = false
    // A lone message has left.
    if (this.#connection.pendingBytes === 0 && this.#connection.shutdown === 'none') return
    this.#write(false)
    this.#settle()
  }

  readonly #onYielded = (): void => {
    this.#yielded = false
    this.#pull()
  }

  closed(): void {
    if (this.#closed || this.#mustWait('close')) return
    this.#closed = true
    this.#deadline.cancel()
    this.#connection.receiveEnd()
    const stream = this.stream
    release(stream)
    swallowErrors(stream)
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
        this.stream.pause()
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
    if (!this.#closed) this.#output.write(evenIfFull)
  }

  /** Does what the connection owes the socket. */
  #settle(): void {
    const owed = this.#connection.shutdown
    if (owed === 'none' || this.#closed || this.stream.destroyed) return
    if (!this.#deadline.armed) this.#deadline.arm()
    if (owed === 'end' && !this.#endWritten) {
      this.#endWritten = true
      this.#write(true)
      this.stream.end()
    }
    // What still arrives is only thrown away, but the end of it must be seen.
    const { received } = this.#connection.outcome
    if (received !== null || owed === 'end') this.stream.resume()
  }
}
