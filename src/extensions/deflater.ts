// Strategy: a compressor may begin afresh at any time, so what is kept between messages is a matter of the ratio and never of
// correctness. As the inflater does, it works in one of three ways: a kept engine steps through small messages on this thread
// with all of its window behind it; without one, `deflateRawSync` takes the last 4 KiB as a dictionary, which loses little;
// what is large goes to the thread pool. Every part ends with a flush to a whole byte (7.2.1), so that the peer can read it
// before the next one is there.
import { constants, deflateRawSync, type ZlibOptions } from 'node:zlib'
import type { OutgoingTransform, PreparedMessage } from '../protocol/index.js'
import type { CompressSettings } from './compress-options.js'
import { Engine, output } from './engine.js'
import { dropEngine, giveBack, keepEngine } from './engine-pool.js'
import { History } from './history.js'
import { zlibWork } from './work-queue.js'

/** Above this, compressing would hold up this thread: some 200 µs. */
const SYNC_BYTES = 16 * 1024
// ws 1,024 where the context is not kept, and everything elsewhere; coder 128 and 512; Python websockets everything.
const THRESHOLD_BYTES = 128
const ALONE_BYTES = 1024
/** 7.2.1: what is taken from the end of each message. */
const TRAILER_BYTES = 4
/** What an engine begins with when the last one is gone. Of JSON in messages of 143 bytes, 32 KiB save a twentieth more. */
const HISTORY_BITS = 12
/** 7.2.3.6: an empty block. */
const EMPTY_BLOCK = Buffer.from([0x00])
const NOTHING = Buffer.alloc(0)

/** The outgoing half of `permessage-deflate`. RFC 7692, section 7.2.1. */
export class Deflater implements OutgoingTransform {
  readonly threshold: number
  owned = true
  readonly #options: ZlibOptions
  readonly #ready: () => void
  /** Null without context takeover. */
  readonly #history: History | null
  #engine: Engine | null = null
  #result: Uint8Array | null = null
  #cancel: (() => void) | null = null
  #closed = false

  /**
   * @param windowBits - what was agreed on for this side.
   * @param takeover - whether messages may refer to those before.
   * @param ready - called when a "not yet" is done.
   */
  constructor(windowBits: number, takeover: boolean, settings: CompressSettings, ready: () => void) {
    const { threshold, level, memLevel, strategy } = settings
    this.threshold = threshold ?? (takeover ? THRESHOLD_BYTES : ALONE_BYTES)
    // zlib cannot make streams for a window of 256 bytes. One of 512 serves: zlib looks back at most its size less 262.
    this.#options = { windowBits: Math.max(9, windowBits), level, memLevel, strategy }
    this.#ready = ready
    this.#history = takeover ? new History(Math.min(windowBits, HISTORY_BITS)) : null
  }

  /** Bytes of memory that the context holds, zlib's not counted. */
  get contextBytes(): number {
    return this.#history?.bytes ?? 0
  }

  encode(data: Uint8Array, first: boolean, fin: boolean, lasting: boolean): Uint8Array | null {
    if (data.length === 0) {
      this.owned = true
      if (fin) this.#done()
      return fin ? EMPTY_BLOCK : NOTHING
    }
    if (data.length <= SYNC_BYTES) {
      if (this.#keptEngine(first)) return this.#step(this.#engine!, data, fin)
      if (first && fin) return this.#atOnce(data)
    }
    // The caller's bytes are free when this returns.
    const own = lasting ? data : Buffer.from(data)
    this.#cancel = zlibWork.add(release => this.#job(own, first, fin, release))
    return null
  }

  encoded(): Uint8Array | null {
    const result = this.#result
    this.#result = null
    this.owned = true
    return result
  }

  preparedNow(message: PreparedMessage): Uint8Array | null {
    const key = this.#key
    const { payload } = message
    let bytes = message.transformed(key)
    if (bytes === undefined && payload.length > SYNC_BYTES) return null
    // What the peer's window will have, this side's has not.
    this.#afterPrepared()
    if (bytes === undefined) message.keep(key, (bytes = withoutTrailer(deflate(payload, this.#options))))
    return bytes
  }

  prepared(message: PreparedMessage): Uint8Array | null {
    const bytes = this.preparedNow(message)
    if (bytes !== null) return bytes
    const key = this.#key
    this.#afterPrepared()
    const { payload } = message
    const first = message.wait(key, () => {
      if (this.#closed) return
      this.#result = message.transformed(key)!
      this.#ready()
    })
    if (first) prepareLater(payload, this.#options, made => message.keep(key, made))
    return null
  }

  get #key(): string {
    const { windowBits, level, memLevel, strategy } = this.#options
    return `deflate ${windowBits} ${level} ${memLevel} ${strategy}`
  }

  #afterPrepared(): void {
    this.#drop()
    this.#history?.clear()
    this.owned = true
  }

  /** Gives back all memory; a job that is running is the last. */
  close(): void {
    this.#closed = true
    this.#cancel?.()
    this.#drop()
    this.#history?.clear()
  }

  /** True when there is an engine to step, in the state that the peer's is in. */
  #keptEngine(first: boolean): boolean {
    const engine = this.#engine
    if (engine !== null && !engine.closed) {
      engine.busy = true
      return engine.kept
    }
    // A message that was begun elsewhere ends there.
    if (!first) return false
    this.#engine = keepEngine('deflate', this.#seeded(), this.#history === null)
    if (this.#engine === null) return false
    this.#engine.busy = true
    return true
  }

  #seeded(): ZlibOptions {
    const dictionary = this.#history?.linear()
    return dictionary === undefined ? this.#options : { ...this.#options, dictionary }
  }

  #step(engine: Engine, data: Uint8Array, fin: boolean): Uint8Array {
    try {
      engine.step(data, 0, data.length)
    } catch {
      // As in a job: nothing of it was sent.
      this.#drop()
      return this.#afresh(data, fin)
    }
    this.#history?.append(data, 0, data.length)
    this.owned = false
    const { produced } = engine
    if (fin) this.#done()
    return output.subarray(0, fin ? produced - TRAILER_BYTES : produced)
  }

  #atOnce(data: Uint8Array): Uint8Array {
    const bytes = deflate(data, this.#seeded())
    this.#history?.append(data, 0, data.length)
    this.owned = true
    return withoutTrailer(bytes)
  }

  #afresh(data: Uint8Array, fin: boolean): Uint8Array {
    const bytes = deflate(data, this.#options)
    this.#history?.append(data, 0, data.length)
    this.owned = true
    if (fin) this.#done()
    return fin ? withoutTrailer(bytes) : bytes
  }

  #job(data: Uint8Array, first: boolean, fin: boolean, release: () => void): void {
    this.#cancel = null
    if (this.#engine?.closed === true) this.#engine = null
    // One that stays knows all of its window afterwards; one of the job's own is followed by 4 KiB of it.
    this.#engine ??= first ? keepEngine('deflate', this.#seeded(), this.#history === null) : null
    const engine = (this.#engine ??= new Engine('deflate', this.#seeded()))
    engine.busy = true
    const parts: Buffer[] = []
    engine.write(
      data,
      bytes => void parts.push(bytes),
      error => {
        release()
        // Its closure holds the data.
        this.#cancel = null
        if (this.#closed) return
        // zlib finds no fault with what it compresses, but memory may be short: nothing of it was sent, so it can begin afresh.
        if (error !== null) this.#drop()
        const bytes = error === null ? joined(parts) : deflate(data, this.#options)
        this.#history?.append(data, 0, data.length)
        if (fin) this.#done()
        this.#result = fin ? withoutTrailer(bytes) : bytes
        this.#ready()
      },
    )
  }

  /** A message has ended. */
  #done(): void {
    const engine = this.#engine
    if (engine === null) return
    engine.busy = false
    if (!engine.kept) this.#drop()
    else if (this.#history === null) {
      giveBack(engine, this.#options)
      this.#engine = null
    }
  }

  #drop(): void {
    if (this.#engine !== null) dropEngine(this.#engine)
    this.#engine = null
  }
}

/** Compresses in the thread pool, by itself and for whoever waits for it. */
function prepareLater(payload: Uint8Array, options: ZlibOptions, done: (bytes: Uint8Array) => void): void {
  zlibWork.add(release => {
    const engine = new Engine('deflate', options)
    const parts: Buffer[] = []
    engine.write(
      payload,
      bytes => void parts.push(bytes),
      error => {
        release()
        engine.close()
        done(withoutTrailer(error === null ? joined(parts) : deflate(payload, options)))
      },
    )
  })
}

const joined = (parts: readonly Buffer[]): Buffer => (parts.length === 1 ? parts[0] : Buffer.concat(parts))

/** The whole of `data` in one call, with the trailer. Short data gets less of zlib's memory, which is what a call costs. */
function deflate(data: Uint8Array, options: ZlibOptions): Buffer {
  const { windowBits = 15, memLevel = 8, dictionary } = options
  const short = data.length + (dictionary?.byteLength ?? 0) <= 1 << HISTORY_BITS
  return deflateRawSync(data, {
    ...options,
    windowBits: short ? Math.min(windowBits, HISTORY_BITS) : windowBits,
    memLevel: short ? Math.min(memLevel, 5) : memLevel,
    finishFlush: constants.Z_SYNC_FLUSH,
  })
}

function withoutTrailer(bytes: Buffer): Uint8Array {
  return bytes.subarray(0, bytes.length - TRAILER_BYTES)
}
