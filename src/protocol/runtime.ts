// Strategy: the engine needs nothing but `Uint8Array`, but Node (and Bun, Deno) have native calls that are several
// times faster than what the language offers. They are looked up once, here, without an import, so that the same
// file runs in a browser, where the fallbacks stand in. Nothing else in this folder asks where it runs.

type NodeBuffer = typeof import('node:buffer')
type Slice = (this: Uint8Array, start: number, end: number) => string
type Write = (this: Uint8Array, text: string, offset: number, length: number) => number
/** The three undocumented-but-public methods of `Buffer.prototype` that take any `Uint8Array` as `this`. */
interface FastBuffer {
  readonly utf8Slice?: Slice
  readonly latin1Slice?: Slice
  readonly utf8Write?: Write
}

const host = (globalThis as { process?: { getBuiltinModule?: (id: string) => object | undefined } }).process
const node = host?.getBuiltinModule?.('node:buffer') as NodeBuffer | undefined
const fast = (node?.Buffer.prototype ?? {}) as FastBuffer

const lenient = new TextDecoder('utf-8', { ignoreBOM: true })
const strict = new TextDecoder('utf-8', { ignoreBOM: true, fatal: true })
const encoder = new TextEncoder()

const utf8Slice: Slice | undefined = works(fast.utf8Slice)
const latin1Slice: Slice | undefined = works(fast.latin1Slice)
const utf8Write: Write | undefined = writes(fast.utf8Write)

/** A native slice is used only when it really accepts a plain `Uint8Array`. */
function works(slice: Slice | undefined): Slice | undefined {
  try {
    return slice?.call(new Uint8Array([0x61, 0x62, 0x63]), 1, 3) === 'bc' ? slice : undefined
  } catch {
    return undefined
  }
}

function writes(write: Write | undefined): Write | undefined {
  try {
    return write?.call(new Uint8Array(4), 'é', 1, 3) === 2 ? write : undefined
  } catch {
    return undefined
  }
}

/**
 * Memory that is not zeroed where the runtime has it: every byte must be written before it is shown to anyone. In Node it
 * is a `Buffer`, as the chunks of a socket are, so that hot code meets one class of memory only.
 */
export const allocate: (bytes: number) => Uint8Array =
  node === undefined ? bytes => new Uint8Array(bytes) : bytes => node.Buffer.allocUnsafeSlow(bytes)

/** The longest memory that can be had: a message beyond it is refused as too big instead of throwing. */
export const MAX_BYTES: number = node?.constants.MAX_LENGTH ?? 2 ** 31 - 1

/** No bytes, in the class that chunks have: code that has met two classes runs at half the speed from then on. */
export const EMPTY: Uint8Array = allocate(0)

/** `bytes[start, end)` as a view that is always a plain `Uint8Array`, whatever class `bytes` has. */
export function view(bytes: Uint8Array, start: number, end: number): Uint8Array {
  return new Uint8Array(bytes.buffer, bytes.byteOffset + start, end - start)
}

/** As `allocate`, but a little memory may come from a pool of Node's, of 8 KiB, which costs a tenth. */
const allocateLittle: typeof allocate =
  node === undefined ? allocate : bytes => node.Buffer.allocUnsafe(bytes)

/** `bytes[start, …)` in memory that nobody else writes to. */
export function copy(bytes: Uint8Array, start = 0): Uint8Array {
  const own = allocateLittle(bytes.length - start)
  own.set(start === 0 ? bytes : view(bytes, start, bytes.length))
  return own
}

/** Decodes UTF-8; what is invalid becomes U+FFFD. A byte-order mark is kept. */
export const decodeUtf8: (bytes: Uint8Array, start: number, end: number) => string =
  utf8Slice === undefined
    ? (bytes, start, end) => lenient.decode(view(bytes, start, end))
    : (bytes, start, end) => utf8Slice.call(bytes, start, end)

/** Decodes bytes known to be ASCII. */
export const decodeAscii: (bytes: Uint8Array, start: number, end: number) => string =
  latin1Slice === undefined ? decodeUtf8 : (bytes, start, end) => latin1Slice.call(bytes, start, end)

/** True when `bytes` is whole and valid UTF-8. */
export const isUtf8: (bytes: Uint8Array) => boolean =
  typeof node?.isUtf8 === 'function'
    ? node.isUtf8
    : bytes => {
        try {
          strict.decode(bytes)
          return true
        } catch {
          return false
        }
      }

/** True when every byte is below 128; may say false where finding out would cost more than it gains. */
export const isAsciiBytes: (bytes: Uint8Array) => boolean =
  typeof node?.isAscii === 'function' ? node.isAscii : () => false

/** Writes `text` as UTF-8 at `offset`; lone surrogates become U+FFFD. The caller made sure that it fits. */
export const writeUtf8: (into: Uint8Array, text: string, offset: number) => number =
  utf8Write === undefined
    ? (into, text, offset) => encoder.encodeInto(text, into.subarray(offset)).written
    : (into, text, offset) => utf8Write.call(into, text, offset, into.length - offset)

/** Writes `text` at `offset` when it is all ASCII; tells whether it was, else what was written means nothing. */
export function writeAscii(into: Uint8Array, text: string, offset: number): boolean {
  return encoder.encodeInto(text, view(into, offset, offset + text.length)).read === text.length
}

/** How many bytes `text` takes as UTF-8. */
export const utf8Length: (text: string) => number =
  node === undefined ? text => encoder.encode(text).length : text => node.Buffer.byteLength(text)
