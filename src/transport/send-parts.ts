import { type FragmentKind, UsageError } from '../protocol/index.js'
import { type Payload, type PayloadParts, toBytes } from './payload.js'

/** Where the fragments of a message go. */
export interface FragmentSink {
  /** Sends one fragment; a promise when there is no room for more yet. Throws when the connection is not open any more. */
  fragment(kind: FragmentKind, data: string | Uint8Array, fin: boolean): Promise<void> | null
  /** The message ends before its last fragment. */
  breakOff(): void
  /** Calls `fail` when the connection is gone. @returns a function that takes that back. */
  whenGone(fail: (error: Error) => void): () => void
}

/**
 * Sends the parts of an iterable as the fragments of one message, each as it comes; an empty fragment ends it, since only
 * the end tells which part was the last. When the connection ends first, the iterable is told by its `return()`.
 *
 * @throws what the iterable or the sink throws; UsageError `WS_BAD_DATA` for no parts at all, or strings among bytes.
 */
export async function sendParts(parts: PayloadParts, sink: FragmentSink): Promise<void> {
  const source = parts instanceof Blob ? (parts.stream() as AsyncIterable<Uint8Array>) : parts
  const iterator = Symbol.asyncIterator in source ? source[Symbol.asyncIterator]() : source[Symbol.iterator]()
  const { next, forget } = untilGone(iterator, sink)
  // An empty Blob is an empty message; nobody can say which type an empty list would be.
  let message: 'text' | 'binary' | null = null
  let finished = false
  try {
    for (;;) {
      const result = await next()
      if (result.done === true) {
        finished = true
        break
      }
      const part = result.value
      const data = typeof part === 'string' ? part : toBytes(part)
      const type = typeof data === 'string' ? 'text' : 'binary'
      if (message !== null && message !== type) {
        throw new UsageError('WS_BAD_DATA', 'the parts of a message are all strings or all bytes')
      }
      const full = sink.fragment(message === null ? type : 'continuation', data, false)
      message = type
      if (full !== null) await full
    }
    if (message === null && !(parts instanceof Blob)) {
      throw new UsageError('WS_BAD_DATA', 'a message needs at least one part')
    }
    const empty = message === 'text' ? '' : new Uint8Array(0)
    const full = sink.fragment(message === null ? 'binary' : 'continuation', empty, true)
    message = null
    if (full !== null) await full
  } catch (error) {
    if (message !== null) sink.breakOff()
    if (!finished) giveUp(iterator)
    throw error
  } finally {
    forget()
  }
}

type Parts = AsyncIterator<Payload> | Iterator<Payload>

/** The iterator's `next()`, but failing as soon as the connection is gone. */
function untilGone(
  iterator: Parts,
  sink: FragmentSink,
): { readonly next: () => Promise<IteratorResult<Payload>>; readonly forget: () => void } {
  let lost: Error | null = null
  let fail: ((error: Error) => void) | null = null
  const forget = sink.whenGone(error => {
    lost = error
    fail?.(error)
  })
  const next = (): Promise<IteratorResult<Payload>> =>
    new Promise((resolve, reject) => {
      if (lost !== null) return reject(lost)
      fail = reject
      Promise.resolve(iterator.next()).then(resolve, reject)
    })
  return { next, forget }
}

/** Not awaited: an iterator that is stuck in `next()` answers `return()` never. */
function giveUp(iterator: Parts): void {
  const returned = async (): Promise<void> => void (await iterator.return?.())
  returned().catch(() => {})
}
