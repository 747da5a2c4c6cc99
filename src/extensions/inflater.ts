// Strategy: the context of the incoming direction is its history, at most a window of what came out; everything else can be
// made again from it, so a connection that says nothing holds nothing of zlib's. Three ways to work, by what there is to do:
//
//   kept engine   a small message: steps on this thread, some microseconds, no promise and no job
//   one call      there is no kept engine, and the whole message is in one piece: `inflateRawSync` with the history as dictionary
//   jobs          what is large or turns out to be: an engine in the thread pool, output as it comes
//
// A step makes 64 KiB at most, a message of over SYNC_BYTES goes on in jobs, and the sink refuses what is over the limit, so
// what a bomb costs is bounded in time and in memory. A block marked as final ends an engine (7.2.3.4); another one begins
// from the history.
import { constants, inflateRawSync, type ZlibOptions } from 'node:zlib'
import { type IncomingTransform, ProtocolViolation, type TransformSink } from '../protocol/index.js'
import { Engine, output } from './engine.js'
import { dropEngine, giveBack, keepEngine } from './engine-pool.js'
import { History } from './history.js'
import { zlibWork } from './work-queue.js'

/** 7.2.2: what the sender took from the end of each message. */
const TRAILER = Buffer.from([0x00, 0x00, 0xff, 0xff])
/** Pieces longer than this are not worth this thread's time: some 100 µs. */
const SYNC_INPUT_BYTES = 32 * 1024
/** From here on a message goes on in the thread pool. */
const SYNC_OUTPUT_BYTES = 128 * 1024
/** Short input is joined with the trailer: a second call into zlib costs more. */
const JOIN_BYTES = 1024
/** Output of jobs comes in pieces of this size. */
const JOB_OUTPUT_BYTES = 64 * 1024
/** Shorter output is copied, so that it does not hold memory of 64 KiB. */
const OWNED_BYTES = 16 * 1024
/** Engines that final blocks may end in one message, and one more for so many bytes: each costs as much as 20 KiB of input. */
const FREE_ENDS = 32
const BYTES_PER_END = 256

const joined = Buffer.allocUnsafeSlow(JOIN_BYTES + TRAILER.length)

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
  #fault: Error | null = null
  #cancel: (() => void) | null = null
  #closed = false

  /**
   * @param windowBits - what was agreed on for the peer.
   * @param takeover - whether messages may refer to those before.
   * @param ready - called when a "not yet" is done.
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
    if (this.#way === 'none') this.#begin(end - start)
    if (this.#way === 'steps') {
      const left = this.#steps(input, start, end)
      if (left === null) return this.#done()
      this.#way = 'jobs'
      this.#addJob(left.bytes, left.payload)
      return false
    }
    if (last && this.#output === 0 && this.#input === end - start && this.#atOnce(input, start, end)) {
      return this.#done()
    }
    const bytes = withTrailer(input, start, end, last)
    this.#addJob(bytes, end - start)
    return false
  }

  decoded(): boolean {
    if (this.#working) return false
    if (this.#fault !== null) throw this.#fault
    return this.#done()
  }

  /** Gives back all memory; a job that is running is the last. */
  close(): void {
    this.#closed = true
    this.#cancel?.()
    this.#drop()
    this.#history.clear()
    this.#sink = null
  }

  #begin(bytes: number): void {
    this.#way = 'jobs'
    if (bytes > SYNC_INPUT_BYTES) this.#drop()
    else if (this.#keptEngine()) this.#way = 'steps'
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
    if (last && length <= JOIN_BYTES) {
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
      if (engine.produced > 0) this.#take(output, 0, engine.produced, false)
      if (engine.produced === output.length) {
        if (this.#output > SYNC_OUTPUT_BYTES) return at
      } else if (at === end) return null
      else this.#finalBlock(at < payload)
    }
  }

  /** 7.2.3.4: a final block has ended before the input did. What follows begins anew, with the same history. */
  #finalBlock(more: boolean): void {
    this.#drop()
    if (!more) return
    if (++this.#ends > FREE_ENDS + this.#input / BYTES_PER_END) {
      throw new ProtocolViolation('WS_COMPRESSION_COST', `${this.#ends} final blocks`)
    }
    if (this.#way === 'steps') this.#keptEngine()
  }

  readonly #take = (bytes: Uint8Array, start: number, end: number, owned: boolean): void => {
    this.#output += end - start
    this.#history.append(bytes, start, end)
    this.#sink!(bytes, start, end, owned)
  }

  /** A whole message in one call; false when it is for the thread pool. */
  #atOnce(input: Uint8Array, start: number, end: number): boolean {
    if (end - start > SYNC_INPUT_BYTES) return false
    const bytes = withTrailer(input, start, end, true)
    const options = { finishFlush: constants.Z_SYNC_FLUSH, maxOutputLength: SYNC_OUTPUT_BYTES, info: true }
    try {
      const result = inflateRawSync(bytes, { ...this.#seeded(), ...options }) as unknown as Info
      if (result.engine.bytesWritten < end - start) return false
      this.#take(result.buffer, 0, result.buffer.length, result.buffer.length >= OWNED_BYTES)
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
    const engine = (this.#engine ??= new Engine('inflate', {
      ...this.#seeded(),
      chunkSize: JOB_OUTPUT_BYTES,
    }))
    engine.busy = true
    const take = (bytes: Buffer): void => {
      if (this.#fault !== null || this.#closed) return
      try {
        this.#take(bytes, 0, bytes.length, bytes.length >= OWNED_BYTES)
      } catch (fault) {
        this.#fault = fault as Error
        this.#drop()
      }
    }
    engine.write(input, take, error => {
      release()
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

/** What is left of a piece: bytes of the payload, and of the trailer behind it. */
interface Rest {
  readonly bytes: Uint8Array
  readonly payload: number
}

/** What zlib's calls return when asked for `info`. */
interface Info {
  readonly buffer: Buffer
  readonly engine: { readonly bytesWritten: number }
}

/** `input[start, end)`, and behind the last of a message what its sender has taken away. */
function withTrailer(input: Uint8Array, start: number, end: number, last: boolean): Uint8Array {
  const view = input.subarray(start, end)
  return last ? Buffer.concat([view, TRAILER]) : view
}

/** zlib's words for input that is no DEFLATE. */
function unreadable(error: unknown): ProtocolViolation {
  return new ProtocolViolation('WS_BAD_COMPRESSION', (error as Error).message)
}
