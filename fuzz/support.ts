// What the targets share: cutting an input into chunks, and checks that name what broke.
//
// The first byte or two of every input steer the target (role, limits, how the rest is cut); the rest is what the
// library reads. So the fuzzer finds a way of cutting as it finds a byte, and a crash replays from one small file.
import { isDeepStrictEqual } from 'node:util'

/** Chunk sizes in bytes: the small ones cut headers and code points, the others sit around 125/126 and word sizes. */
const SIZES = [1, 2, 3, 4, 5, 7, 8, 13, 16, 24, 33, 64, 125, 126, 333, 1024] as const

/** A broken invariant. Its own class, so that a report tells it from an error of the library. */
export class InvariantBroken extends Error {
  override readonly name = 'InvariantBroken'
}

/** Throws InvariantBroken unless `condition` holds; `detail` is only called then. */
export function must(condition: boolean, what: string, detail?: () => unknown): asserts condition {
  if (!condition) throw new InvariantBroken(detail === undefined ? what : `${what}: ${show(detail())}`)
}

/** Throws InvariantBroken unless both values, plain data, are deeply equal. */
export function mustEqual(actual: unknown, expected: unknown, what: string): void {
  if (isDeepStrictEqual(actual, expected)) return
  throw new InvariantBroken(`${what}:\n  ${show(actual)}\n  ${show(expected)}`)
}

function show(value: unknown): string {
  return JSON.stringify(value, (_key, part: unknown) => {
    if (part instanceof Uint8Array) return Buffer.from(part).toString('hex')
    return part === Infinity ? 'Infinity' : part
  })
}

/** The two chunk sizes that one steering byte stands for. */
export function sizesOf(steering: number): readonly number[] {
  return [SIZES[steering & 15], SIZES[steering >> 4]]
}

/**
 * Cuts `bytes` into chunks whose sizes repeat `sizes`. Each chunk is a copy of its own, as the library may write to
 * it, and starts at a changing offset of its memory, so that word-wise code meets every alignment.
 */
export function* cut(bytes: Uint8Array, sizes: readonly number[]): Generator<Uint8Array> {
  for (let at = 0, index = 0; at < bytes.length; index++) {
    const part = bytes.subarray(at, at + sizes[index % sizes.length])
    const offset = index % 8
    const chunk = new Uint8Array(new ArrayBuffer(offset + part.length), offset)
    chunk.set(part)
    yield chunk
    at += part.length
  }
}

/** All of `bytes` as one chunk; none when it is empty. */
export const whole = (bytes: Uint8Array): Generator<Uint8Array> => cut(bytes, [Infinity])

/** One byte at a time. */
export const bytewise = (bytes: Uint8Array): Generator<Uint8Array> => cut(bytes, [1])
