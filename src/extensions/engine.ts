// Strategy: one zlib stream object of Node's, driven in two ways. `write` is the documented one: a job of the thread pool,
// output by 'data' events. `step` calls the native object behind it on this thread, which costs a thirtieth for a small
// message; it is the way of Node's own `…Sync` functions but is not documented, so it is tried out once, faults included, and
// where it does not behave as expected (`canStep()` is false) nobody calls it: what Node documents does the work then.
//
// Nothing a stream says late is an uncaught error: each has a listener for errors from the beginning.
import {
  constants,
  createDeflateRaw,
  createInflateRaw,
  type DeflateRaw,
  deflateRawSync,
  type InflateRaw,
  type ZlibOptions,
} from 'node:zlib'

/** Which way the bytes go. */
export type EngineKind = 'deflate' | 'inflate'

/** The native object of a zlib stream, as far as it is used. */
interface Native {
  writeSync(
    flush: number,
    input: Uint8Array,
    inputStart: number,
    inputLength: number,
    output: Uint8Array,
    outputStart: number,
    outputLength: number,
  ): void
  onerror: (message: string, errno: number, code: string) => void
}

interface Internals {
  readonly _handle?: Native | null
  /** What is left of output and input after a call. */
  readonly _writeState?: Uint32Array
}

const OUTPUT_BYTES = 64 * 1024
let spare: Buffer = Buffer.allocUnsafeSlow(OUTPUT_BYTES)

/** What a step of any engine made last, until the next but one that makes something. */
export let output: Buffer = Buffer.allocUnsafeSlow(OUTPUT_BYTES)

/** What a stream object takes besides zlib's own memory and its first output buffer. */
const STREAM_BYTES = 4 * 1024
/** Of jobs: what is inflated is larger. */
const CHUNK_BYTES = { deflate: 32 * 1024, inflate: 64 * 1024 } as const
const CLOSED_MS = 1000
const noop = (): void => {}

/** One zlib stream. */
export class Engine {
  readonly kind: EngineKind
  /** An estimate of its memory, by the formulas of zlib's zconf.h. */
  readonly bytes: number
  /** True when it began with a dictionary, which a `reset` would bring back. */
  readonly seeded: boolean
  /** How much of the input the last step or write has used: less than all when a block marked as final ended. */
  consumed = 0
  /** How much of `output` the last step has filled. */
  produced = 0
  /** For the pool: whether it was used since the pool looked last. */
  used = true
  /** For the pool: it is in the middle of a message, and must not be closed. */
  busy = false
  /** For the pool: whether it is the pool's. */
  kept = false
  closed = false
  /** Null once it is closed: its owner may remember it for long. */
  #stream: DeflateRaw | InflateRaw | null
  #native: Native | null
  readonly #state: Uint32Array
  #fault: string | null = null
  #stepping = false
  #flowing = false
  #sink: (bytes: Buffer) => void = noop

  constructor(kind: EngineKind, options: ZlibOptions) {
    const { windowBits = 15, memLevel = 8, dictionary } = options
    const chunkSize = CHUNK_BYTES[kind]
    const all = { ...options, chunkSize, flush: constants.Z_SYNC_FLUSH }
    const stream = kind === 'deflate' ? createDeflateRaw(all) : createInflateRaw(all)
    stream.on('error', noop)
    this.kind = kind
    this.seeded = dictionary !== undefined
    this.bytes =
      STREAM_BYTES +
      chunkSize +
      (kind === 'deflate' ? (1 << (windowBits + 2)) + (1 << (memLevel + 9)) : (1 << windowBits) + 7168)
    this.#stream = stream
    const { _handle: native = null, _writeState: state = new Uint32Array(2) } = stream as unknown as Internals
    this.#native = native
    this.#state = state
    if (native === null || typeof native.writeSync !== 'function') return
    const { onerror } = native
    // oxlint-disable-next-line unicorn/prefer-add-event-listener -- it is no event target
    native.onerror = (message, errno, code) => {
      if (this.#stepping) this.#fault = message
      else onerror.call(native, message, errno, code)
    }
  }

  /**
   * Works on `input[start, end)` until it is used up or `output` is full; sets `consumed` and `produced`. While `output` comes
   * back full there may be more.
   *
   * @throws Error with zlib's words when the input is no DEFLATE.
   */
  step(input: Uint8Array, start: number, end: number): void {
    this.used = true
    this.#stepping = true
    ;[output, spare] = [spare, output]
    this.#native!.writeSync(constants.Z_SYNC_FLUSH, input, start, end - start, output, 0, OUTPUT_BYTES)
    this.#stepping = false
    const fault = this.#fault
    this.#fault = null
    if (fault !== null) throw new Error(fault)
    this.produced = OUTPUT_BYTES - this.#state[0]
    this.consumed = end - start - this.#state[1]
    // Nothing was made: what was there before is still the last.
    if (this.produced === 0) [output, spare] = [spare, output]
  }

  /**
   * Works on `input` off this thread. `sink` gets the output as it comes, and owns it; it must not throw. Then `done` is called
   * once, never from within `write`; `consumed` is set.
   */
  write(input: Uint8Array, sink: (bytes: Buffer) => void, done: (error: Error | null) => void): void {
    const stream = this.#stream!
    this.used = true
    this.#sink = sink
    if (!this.#flowing) {
      this.#flowing = true
      stream.on('data', (bytes: Buffer) => this.#sink(bytes))
    }
    const before = stream.bytesWritten
    // The stream remembers its last callback, and with it all that this one knows of.
    let waiting: ((error: Error | null) => void) | null = done
    let timer: NodeJS.Timeout | undefined
    const finish = (error: Error | null | undefined): void => {
      if (waiting === null) return
      const tell = waiting
      waiting = null
      clearTimeout(timer)
      stream.off('close', onClose)
      this.consumed = stream.bytesWritten - before
      this.#sink = noop
      tell(error ?? null)
    }
    // The thread goes on with the job of a stream that was closed, and Node says when it is done. Nobody waits for a runtime
    // that does not.
    const onClose = (): void => {
      timer = setTimeout(finish, CLOSED_MS, stream.errored ?? new Error('closed'))
      timer.unref()
    }
    stream.once('close', onClose)
    stream.write(input, finish)
  }

  /** Forgets all history. Not for an engine that was `seeded`. */
  reset(): void {
    this.#stream!.reset()
  }

  /** Frees its memory, now or when the job that is running is done. */
  close(): void {
    this.closed = true
    this.#stream?.destroy()
    this.#stream = this.#native = null
  }
}

/** Tries `step` out: what it makes, what it says about input behind the end, and how it tells a fault. */
function tryOut(): boolean {
  const engines: Engine[] = []
  const make = (kind: EngineKind, options: ZlibOptions = {}): Engine => {
    const engine = new Engine(kind, options)
    engines.push(engine)
    return engine
  }
  try {
    const text = Buffer.from('sansocket sansocket sansocket')
    const deflate = make('deflate')
    const inflate = make('inflate')
    for (let round = 0; round < 2; round++) {
      deflate.step(text, 0, text.length)
      const compressed = Buffer.from(output.subarray(0, deflate.produced))
      if (deflate.consumed !== text.length || compressed.length >= text.length) return false
      inflate.step(compressed, 0, compressed.length)
      if (inflate.consumed !== compressed.length) return false
      if (!text.equals(output.subarray(0, inflate.produced))) return false
    }
    // A final block, and a byte behind it.
    const ended = make('inflate')
    ended.step(Buffer.from([0x03, 0x00, 0x00]), 0, 3)
    if (ended.consumed !== 2 || ended.produced !== 0) return false
    // A history from before.
    const dictionary = text
    const short = deflateRawSync(text, { dictionary, finishFlush: constants.Z_SYNC_FLUSH })
    const seeded = make('inflate', { dictionary })
    seeded.step(short, 0, short.length)
    if (!text.equals(output.subarray(0, seeded.produced))) return false
    return faults(make('inflate'))
  } catch {
    return false
  } finally {
    for (const engine of engines) engine.close()
  }
}

function faults(engine: Engine): boolean {
  try {
    engine.step(Buffer.from([0x07, 0xff]), 0, 2)
    return false
  } catch (error) {
    return /block type/.test((error as Error).message)
  }
}

let known: boolean | null = null

/** Whether `step` works on this runtime. */
export function canStep(): boolean {
  known ??= tryOut()
  return known
}

/** For tests: as on a runtime where `step` does not work, or as it is. */
export function pretendCannotStep(pretend: boolean): void {
  known = pretend ? false : tryOut()
}
