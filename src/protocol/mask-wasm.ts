// Strategy: from a kilobyte up, copying through the memory of a tiny WebAssembly SIMD module, XOR there, and copying back
// beats every loop JavaScript can express: 9 to 35 times a byte loop, about half the speed of a native add-on in place, and
// its equal where the payload is copied anyway. Blocks of 16 KiB keep source, memory and target in the first-level cache.
// Where WebAssembly or its SIMD is missing or forbidden (old engines, a content security policy), `wasmXor` is null and
// the word loop of mask.ts does all of it.
//
// The module below, in its text form (each step repeated at offsets 0, 16, 32 and 48):
//   (func (export "xor") (param $n i32) (param $key i32) (result i32)
//     loop: $v = v128.load($i) ^ i32x4.splat($key); v128.store($i, $v); $or |= $v; $i += 64; while $i < $n
//     i8x16.bitmask($or))
// It works on multiples of 64 bytes and returns non-zero when a result byte has its high bit set.

import { view } from './runtime.js'

const MODULE =
  'AGFzbQEAAAABBwFgAn9/AX8DAgEABQMBAAEHEAIGbWVtb3J5AgADeG9yAAAKkwEBkAECAX8DeyAB/REhAwNAIAL9AAQAIAP9USEEIAIg' +
  'BP0LBAAgBSAE/VAhBSAC/QAEECAD/VEhBCACIAT9CwQQIAUgBP1QIQUgAv0ABCAgA/1RIQQgAiAE/QsEICAFIAT9UCEFIAL9AAQwIAP9' +
  'USEEIAIgBP0LBDAgBSAE/VAhBSACQcAAaiICIABJDQALIAX9ZAs='

/** What fits into the memory. */
export const BLOCK_BYTES: number = 16 * 1024

/** The little of WebAssembly's types that this file uses; TypeScript keeps them in its DOM library. */
interface Wasm {
  readonly Module: new (code: Uint8Array) => object
  readonly Instance: new (module: object) => { readonly exports: object }
}

interface Exports {
  readonly memory: { readonly buffer: ArrayBuffer }
  readonly xor: (bytes: number, key: number) => number
}

/**
 * What `mask.ts` needs: the XOR of `length` bytes, a multiple of 64, from one place to another or to the same; the sign of
 * non-ASCII comes back.
 */
export type WasmXor = (
  from: Uint8Array,
  fromStart: number,
  into: Uint8Array,
  intoStart: number,
  length: number,
  key: number,
) => number

function load(): WasmXor | null {
  let exports: Exports
  try {
    const { Module, Instance } = (globalThis as unknown as { WebAssembly: Wasm }).WebAssembly
    const code = Uint8Array.from(atob(MODULE), char => char.charCodeAt(0))
    exports = new Instance(new Module(code)).exports as Exports
  } catch {
    return null
  }
  const { memory, xor } = exports
  const block = new Uint8Array(memory.buffer, 0, BLOCK_BYTES)
  /** The part of it that was used last. */
  let part: Uint8Array = block
  return (from, fromStart, into, intoStart, length, key) => {
    let high = 0
    for (let at = 0; at < length; at += BLOCK_BYTES) {
      const bytes = Math.min(BLOCK_BYTES, length - at)
      const start = fromStart + at
      // A view costs as much as masking a kilobyte.
      block.set(start === 0 && from.length <= BLOCK_BYTES ? from : view(from, start, start + bytes))
      high |= xor(bytes, key)
      if (bytes !== part.length) part = view(block, 0, bytes)
      into.set(part, intoStart + at)
    }
    return high
  }
}

let loaded: WasmXor | null | undefined

/** The SIMD kernel, compiled at first use; null where the runtime cannot have it. */
export function wasmXor(): WasmXor | null {
  if (loaded === undefined) loaded = load()
  return loaded
}
