// Strategy: the context of the incoming direction is its history, at most a window of what came out; everything else can be
// made again from it, so a connection that says nothing holds nothing of zlib's. Three ways to work, by what there is to do:
//
//   kept engine   a small message: steps on this thread, some microseconds, no job
//   one call      there is no kept engine: `inflateRawSync` with the history as dictionary, once the message is whole
//   jobs          what is large or turns out to be: an engine in the thread pool, output as it comes
//
// A step makes 64 KiB at most, a message of over SYNC_OUTPUT_BYTES goes on in jobs, the sink refuses what is over the limit,
// and a turn of the event loop has its budget, so what a bomb costs is bounded in time and in memory. A final block ends an
// engine (7.2.3.4). A message that ends inside of a block is not noticed: the trailer is read as its end, zlib cannot tell.
import { constants, inflateRawSync, type ZlibOptions } from 'node:zlib'
import { type IncomingTransform, ProtocolViolation, type TransformSink } from '../protocol/index.js'
import { Engine, output } from './engine.js'
import { dropEngine, giveBack, keepEngine, roomForParts } from './engine-pool.js'
import { History } from './history.js'
import { Gathered, type Info, type Rest, TRAILER, unreadable, withTrailer } from './inflate-input.js'
import * as limits from './inflate-limits.js'
import { isSpent, spend } from './turn-budget.js'
import { zlibWork } from './work-queue.js'

const joined = Buffer.allocUnsafeSlow(limits.JOIN_BYTES + TRAILER.length)

/** The incoming half of `permessage-deflate`. RFC 7692, section 7.2.2. */
export class Inflater implements IncomingTransform {
  readonly #options: ZlibOptions
  readonly #takeover: boolean
  readonly #ready: () => void
  readonly #history: History
  #engine: Engine | null = null
  /** How the current message is worked on. */
  #way: 'none' | 'steps' | 'jobs' = 'none'
  #last = false
  #input = 0
  #output = 0
  /** Final blocks in the current message. */
  #ends = 0
  #sink: TransformSink | null = null
  #working = false
  /** What was put off to another turn is done, its end included. */
  #finished = false
  readonly #gathered = new Gathered()
  #fault: Error | null = null
  #cancel: (() => void) | null = null
  #closed = false

  /**
   * @param windowBits - what was agreed on for the peer.
   * @param takeover - whether messages may refer to those before.
   */
  constructor(windowBits: number, takeover: boolean, ready: () => void) {
    this.#options = { windowBits }
    this.#takeover = takeover
    this.#ready = ready
    this.#history = new History(windowBits)
  }

  /** Bytes of memory that the context holds, zlib's not counted. */
  get contextBytes(): number {
    return this.#history.bytes
  }

  decode(input: Uint8Array, start: number, end: number, last: boolean, sink: TransformSink): boolean {
    this.#sink = sink
    this.#last = last
    this.#input += end - start
    // 7.2.1: even an empty message is at least one octet.
    if (last && this.#input === 0) throw new ProtocolViolation('WS_BAD_COMPRESSION', 'no data')
    if (!isSpent()) return this.#decode(input, start, end)
    this.#later(() => this.#decode(input, start, end))
    return false
  }

  #decode(input: Uint8Array, start: number, end: number): boolean {
    if (this.#way === 'none') this.#begin(end - start)
    if (this.#way === 'steps') {
      const left = this.#steps(input, start, end)
      if (left === null) return this.#done()
      this.#way = 'jobs'
      this.#addJob(left.bytes, left.payload)
      return false
    }
    const gathered = this.#gathered.add(input, start, end, this.#last)
    if (gathered === null) return true
    // All of a message, and nothing was made of it before.
    const whole = this.#last && this.#engine === null && gathered.length === this.#input
    if (whole && this.#atOnce(gathered)) return this.#done()
    this.#addJob(withTrailer(gathered, 0, gathered.length, this.#last), gathered.length)
    return false
  }

  /** Goes on in the next turn of the event loop. */
  #later(work: () => boolean): void {
    this.#working = true
    setImmediate(() => {
      if (this.#closed) return
      try {
        // What is done has been finished by it; what is not has begun a job.
        if (!work()) return
        this.#finished = true
      } catch (fault) {
        this.#fault = fault as Error
      }
      this.#working = false
      this.#ready()
    })
  }

  decoded(): boolean {
    if (this.#working) return false
    if (this.#fault !== null) throw this.#fault
    const finished = this.#finished
    this.#finished = false
    return finished || this.#done()
  }

  /** Gives back all memory; a job that is running is the last. */
  close(): void {
    this.#closed = true
    this.#cancel?.()
    this.#drop()
    this.#history.clear()
    this.#gathered.clear()
    this.#sink = null
  }

  #begin(bytes: number): void {
    // A message that may never end must not keep an engine from the others: half of the pool is for those that are whole.
    const kept = (this.#last || roomForParts()) && this.#keptEngine()
    this.#way = kept && bytes <= limits.SYNC_INPUT_BYTES ? 'steps' : 'jobs'
    if (!kept) this.#drop()
  }

  /** What was given is worked off. */
  #done(): true {
    if (!this.#last) return true
    const engine = this.#engine
    if (engine !== null) {
      engine.busy = false
      if (!engine.kept || (engine.seeded && !this.#takeover)) this.#drop()
      else if (!this.#takeover) {
        giveBack(engine, this.#options)
        this.#engine = null
      }
    }
    if (!this.#takeover) this.#history.restart()
    this.#way = 'none'
    this.#input = this.#output = this.#ends = 0
    return true
  }

  /** True when there is an engine to step, with all the history that there is. */
  #keptEngine(): boolean {
    if (this.#engine === null || this.#engine.closed) {
      const options = this.#seeded()
      spend(limits.ENGINE_US)
      this.#engine = keepEngine('inflate', options, !this.#takeover && options === this.#options)
    }
    if (this.#engine === null) return false
    this.#engine.busy = true
    return true
  }

  #seeded(): ZlibOptions {
    const dictionary = this.#history.linear()
    return dictionary === undefined ? this.#options : { ...this.#options, dictionary }
  }

  /** @returns null when all is done, or what is left for the thread pool. */
  #steps(input: Uint8Array, start: number, end: number): Rest | null {
    const last = this.#last
    const length = end - start
    let at: number | null
    if (last && length <= limits.JOIN_BYTES) {
      for (let i = 0; i < length; i++) joined[i] = input[start + i]
      joined.set(TRAILER, length)
      at = this.#feed(joined, 0, length + TRAILER.length, length)
      // Copied: the memory is everybody's.
      const bytes = at === null ? null : Buffer.from(joined.subarray(at, length + TRAILER.length))
      return bytes === null ? null : { bytes, payload: Math.max(0, bytes.length - TRAILER.length) }
    }
    at = this.#feed(input, start, end, end)
    if (at !== null) return { bytes: withTrailer(input, at, end, last), payload: end - at }
    if (!last) return null
    at = this.#feed(TRAILER, 0, TRAILER.length, 0)
    return at === null ? null : { bytes: TRAILER.subarray(at), payload: 0 }
  }

  /**
   * Steps through the input.
   *
   * @param payload - where the payload in it ends: after a final block, the trailer means nothing.
   * @returns null when it is used up, or where to go on in the thread pool.
   */
  #feed(input: Uint8Array, start: number, end: number, payload: number): number | null {
    let at = start
    for (;;) {
      const engine = this.#engine
      // A final block was the last of what came before, and nothing has been known of it until now.
      if (engine === null) return at >= payload ? null : at
      try {
        engine.step(input, at, end)
      } catch (error) {
        throw unreadable(error)
      }
      at += engine.consumed
      spend(limits.STEP_US + (limits.KIB_US * engine.produced) / 1024)
      if (engine.produced > 0) this.#take(output, 0, engine.produced, false)
      if (engine.produced === output.length) {
        if (this.#output > limits.SYNC_OUTPUT_BYTES) return at
      } else if (at === end) return null
      else this.#finalBlock(at < payload)
    }
  }

  /** 7.2.3.4: a final block has ended before the input did. What follows begins anew, with the same history. */
  #finalBlock(more: boolean): void {
    const engine = this.#engine
    // Without a history there is nothing to begin with.
    if (!this.#takeover && this.#output === 0 && engine?.kept === true && !engine.seeded) engine.reset()
    else this.#drop()
    if (!more) return
    if (++this.#ends > limits.FREE_ENDS + this.#input / limits.BYTES_PER_END) {
      throw new ProtocolViolation('WS_COMPRESSION_COST', `${this.#ends} final blocks`)
    }
    if (this.#way === 'steps' && !isSpent()) this.#keptEngine()
  }

  readonly #take = (bytes: Uint8Array, start: number, end: number, owned: boolean): void => {
    this.#output += end - start
    this.#history.append(bytes, start, end)
    // Nobody looks at it before this is told to be done, and others write to the same memory until then.
    if (owned || !this.#working) this.#sink!(bytes, start, end, owned)
    else this.#sink!(Buffer.from(bytes.subarray(start, end)), 0, end - start, true)
  }

  /** A whole message in one call; false when it is for the thread pool. */
  #atOnce(payload: Uint8Array): boolean {
    if (payload.length > limits.SYNC_INPUT_BYTES) return false
    const bytes = withTrailer(payload, 0, payload.length, true)
    const options = { finishFlush: constants.Z_SYNC_FLUSH, maxOutputLength: limits.AT_ONCE_BYTES, info: true }
    try {
      const result = inflateRawSync(bytes, { ...this.#seeded(), ...options }) as unknown as Info
      if (result.engine.bytesWritten < payload.length) return false
      const { length } = result.buffer
      spend(limits.CALL_US + (limits.KIB_US * length) / 1024)
      this.#take(result.buffer, 0, length, length >= limits.OWNED_BYTES)
      return true
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ERR_BUFFER_TOO_LARGE') return false
      throw error instanceof ProtocolViolation ? error : unreadable(error)
    }
  }

  /** @param payload - how much of the input is payload; the rest is the trailer. */
  #addJob(input: Uint8Array, payload: number): void {
    this.#working = true
    this.#cancel = zlibWork.add(release => this.#job(input, payload, release))
  }

  #job(input: Uint8Array, payload: number, release: () => void): void {
    this.#cancel = null
    const engine = (this.#engine ??= new Engine('inflate', this.#seeded()))
    engine.busy = true
    const take = (bytes: Buffer): void => {
      if (this.#fault !== null || this.#closed) return
      try {
        this.#take(bytes, 0, bytes.length, bytes.length >= limits.OWNED_BYTES)
      } catch (fault) {
        this.#fault = fault as Error
        this.#drop()
      }
    }
    engine.write(input, take, error => {
      release()
      // Its closure holds the input.
      this.#cancel = null
      if (this.#closed) return
      if (error !== null) this.#fault ??= unreadable(error)
      if (this.#fault === null && engine.consumed < input.length) {
        const left = payload - engine.consumed
        try {
          this.#finalBlock(left > 0)
          if (left > 0) return this.#addJob(input.subarray(engine.consumed), left)
        } catch (fault) {
          this.#fault = fault as Error
        }
      }
      this.#working = false
      this.#ready()
    })
  }

  #drop(): void {
    if (this.#engine !== null) dropEngine(this.#engine)
    this.#engine = null
  }
}
