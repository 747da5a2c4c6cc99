import { FrameEncoder } from './frame-encoder.js'
import type { MessageTransform, OutgoingTransform } from './message-transform.js'
import { Opcode } from './opcode.js'
import { allocate, utf8Length, writeUtf8 } from './runtime.js'
import { UsageError } from './usage-error.js'

const server = new FrameEncoder('server', null)
/** A message that refers to no other one hardly gets smaller when it is shorter than this. */
const ALONE_BYTES = 1024

/** How a message is prepared. */
export interface PrepareOptions {
  /** Whether to compress it for connections that can. Default: from 1,024 bytes on, where the connection's threshold allows. */
  readonly compress?: boolean | undefined
}

/**
 * A message that is encoded, compressed and framed once, and then sent to many. It may be kept and sent again at any time. The
 * bytes it was made of are copied.
 *
 * Compressed, it refers to nothing that was sent before, so it is larger than the same message sent on its own, and a
 * connection's own compression begins anew after it (RFC 7692, section 7.2.1).
 */
export class PreparedMessage {
  /** Which kind of message it is. */
  readonly type: 'text' | 'binary'
  /** What it says: the text, or a copy of the bytes, which is not to be written to. */
  readonly data: string | Uint8Array
  /** As it was given. */
  readonly compress: boolean | undefined
  #payload: Uint8Array | null = null
  readonly #transformed = new Map<string, Uint8Array>()
  readonly #waiting = new Map<string, (() => void)[]>()
  /** Frames that a server sends, by their payload. */
  readonly #frames = new Map<Uint8Array, Uint8Array>()

  /** @throws UsageError `WS_BAD_DATA` for anything but a string or bytes. */
  constructor(data: string | ArrayBufferLike | ArrayBufferView, options: PrepareOptions = {}) {
    const { compress } = options
    if (compress !== undefined && typeof compress !== 'boolean')
      throw new UsageError('WS_BAD_OPTION', 'compress must be true or false')
    this.type = typeof data === 'string' ? 'text' : 'binary'
    this.data = typeof data === 'string' ? data : copy(data)
    this.compress = compress
  }

  /** The payload, as it goes uncompressed. Not to be written to. */
  get payload(): Uint8Array {
    this.#payload ??= typeof this.data === 'string' ? encode(this.data) : this.data
    return this.#payload
  }

  /** @internal The opcode of its frame. */
  get opcode(): typeof Opcode.Text | typeof Opcode.Binary {
    return this.type === 'text' ? Opcode.Text : Opcode.Binary
  }

  /** @internal Whether it goes through this transform. @param wish - what who sends it says of it. */
  transforms(transform: OutgoingTransform | null, wish: boolean | undefined = this.compress): boolean {
    const { length } = this.payload
    if (transform === null || length === 0) return false
    return wish ?? (length >= ALONE_BYTES && length >= transform.threshold)
  }

  /** @internal The whole frame in which a server sends it on such a connection; null when that takes a while. */
  serverFrame(transform: MessageTransform | null): Uint8Array | null {
    if (transform === null || !this.transforms(transform.outgoing)) return this.frame(this.payload, 0)
    const payload = transform.outgoing.preparedNow(this)
    return payload === null ? null : this.frame(payload, transform.rsv)
  }

  /** @internal What a transform has made of it; undefined for nothing yet. */
  transformed(key: string): Uint8Array | undefined {
    return this.#transformed.get(key)
  }

  /** @internal What a transform has made of it, from now on. */
  keep(key: string, bytes: Uint8Array): void {
    this.#transformed.set(key, bytes)
    const waiting = this.#waiting.get(key)
    this.#waiting.delete(key)
    for (const listener of waiting ?? []) listener()
  }

  /** @internal Waits for what a transform makes of it. @returns true for the first one who does, and has to see to it. */
  wait(key: string, listener: () => void): boolean {
    const waiting = this.#waiting.get(key)
    if (waiting === undefined) this.#waiting.set(key, [listener])
    else waiting.push(listener)
    return waiting === undefined
  }

  /** @internal A server's whole frame with one of its payloads, made when it is asked for first. */
  frame(payload: Uint8Array, rsv: number): Uint8Array {
    let bytes = this.#frames.get(payload)
    if (bytes === undefined) this.#frames.set(payload, (bytes = server.frame(this.opcode, payload, rsv)))
    return bytes
  }
}

function encode(text: string): Uint8Array {
  const bytes = allocate(utf8Length(text))
  writeUtf8(bytes, text, 0)
  return bytes
}

function copy(data: ArrayBufferLike | ArrayBufferView): Uint8Array {
  let bytes: Uint8Array
  if (ArrayBuffer.isView(data)) bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength)
  else if (data instanceof ArrayBuffer || isShared(data)) bytes = new Uint8Array(data)
  else throw new UsageError('WS_BAD_DATA', 'a prepared message is a string or bytes')
  const own = allocate(bytes.length)
  own.set(bytes)
  return own
}

function isShared(data: ArrayBufferLike): boolean {
  return typeof SharedArrayBuffer === 'function' && data instanceof SharedArrayBuffer
}
