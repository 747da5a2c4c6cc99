import { type FragmentKind, UsageError } from '../protocol/index.js'
import { type PayloadParts, toBytes } from './payload.js'

/** Where the fragments of a message go. */
export interface FragmentSink {
  /** Sends one fragment; a promise when there is no room for more yet. Throws when the connection is not open any more. */
  fragment(kind: FragmentKind, data: string | Uint8Array, fin: boolean): Promise<void> | null
  /** The message ends before its last fragment. */
  breakOff(): void
}

/**
 * Sends the parts of an iterable as the fragments of one message, each as it comes; an empty fragment ends it, since only
 * the end tells which part was the last. When the sink throws, the iterable is told by its `return()`.
 *
 * @throws what the iterable or the sink throws; UsageError `WS_BAD_DATA` for no parts at all, or strings among bytes.
 */
export async function sendParts(parts: PayloadParts, sink: FragmentSink): Promise<void> {
  let message: 'text' | 'binary' | null = null
  try {
    for await (const part of parts instanceof Blob ? (parts.stream() as AsyncIterable<Uint8Array>) : parts) {
      const data = typeof part === 'string' ? part : toBytes(part)
      const type = typeof data === 'string' ? 'text' : 'binary'
      if (message !== null && message !== type) {
        throw new UsageError('WS_BAD_DATA', 'the parts of a message are all strings or all bytes')
      }
      const full = sink.fragment(message === null ? type : 'continuation', data, false)
      message = type
      if (full !== null) await full
    }
    if (message === null) throw new UsageError('WS_BAD_DATA', 'a message needs at least one part')
    const full = sink.fragment('continuation', message === 'text' ? '' : new Uint8Array(0), true)
    message = null
    if (full !== null) await full
  } catch (error) {
    if (message !== null) sink.breakOff()
    throw error
  }
}
