// Strategy: HTTP heads are bytes, one character each. `TextDecoder('latin1')` will not do: on the web that
// name means windows-1252, which moves 0x80 to 0x9f elsewhere. Node, Bun and Deno have a native slice on
// `Buffer` that works on any Uint8Array; it is looked up once. Elsewhere the char codes are joined in pieces.

type Latin1Slice = (this: Uint8Array, start: number, end: number) => string

interface NativeBuffer {
  readonly prototype: { readonly latin1Slice?: Latin1Slice }
  from(text: string, encoding: 'latin1'): Uint8Array
}

const native = (globalThis as { Buffer?: NativeBuffer }).Buffer
const nativeSlice = native?.prototype.latin1Slice

// Far below the number of arguments a call may have in any engine.
const PIECE = 4096

/** Decodes `bytes[start, end)`, one character a byte, without the help of the platform. */
export function decodeLatin1Portably(bytes: Uint8Array, start: number, end: number): string {
  let text = ''
  for (let at = start; at < end; at += PIECE) {
    text += String.fromCharCode(...bytes.subarray(at, Math.min(at + PIECE, end)))
  }
  return text
}

/** Decodes `bytes[start, end)`, one character a byte. */
export const decodeLatin1: (bytes: Uint8Array, start: number, end: number) => string =
  nativeSlice === undefined
    ? decodeLatin1Portably
    : (bytes, start, end) => (start === end ? '' : nativeSlice.call(bytes, start, end))

/** Encodes a text whose characters are all below U+0100, without the help of the platform. */
export function encodeLatin1Portably(text: string): Uint8Array {
  const bytes = new Uint8Array(text.length)
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i)
  return bytes
}

/** Encodes a text whose characters are all below U+0100, as the checks before it have made sure. */
export const encodeLatin1: (text: string) => Uint8Array =
  native === undefined ? encodeLatin1Portably : text => native.from(text, 'latin1')
