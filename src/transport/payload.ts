import { PreparedMessage, UsageError } from '../protocol/index.js'

/** What can be sent as one message: a text as a string, a binary message as bytes of any kind. */
export type Payload = string | ArrayBufferLike | ArrayBufferView

/** What can be sent as a message of several fragments, one for each part, all of them strings or all bytes. */
export type PayloadParts = Iterable<Payload> | AsyncIterable<Payload> | Blob

/**
 * The bytes of a view or buffer, not copied: exactly those it covers.
 *
 * @throws UsageError `WS_BAD_DATA` for anything else, numbers above all.
 */
export function toBytes(data: ArrayBufferLike | ArrayBufferView): Uint8Array {
  if (data instanceof Uint8Array) return data
  if (ArrayBuffer.isView(data)) return new Uint8Array(data.buffer, data.byteOffset, data.byteLength)
  if (data instanceof ArrayBuffer || data instanceof SharedArrayBuffer) return new Uint8Array(data)
  throw new UsageError(
    'WS_BAD_DATA',
    `cannot send ${data === null ? 'null' : typeof data}: only strings and bytes`,
  )
}

/** The bytes of a payload: a string as UTF-8, bytes not copied. @throws UsageError `WS_BAD_DATA`. */
export function encodePayload(data: Payload): Uint8Array {
  return typeof data === 'string' ? new TextEncoder().encode(data) : toBytes(data)
}

/** Tells a message in parts from a message in one piece. Strings and views are iterable too, but are one piece. */
export function isParts(data: Payload | PayloadParts | PreparedMessage): data is PayloadParts {
  if (typeof data !== 'object' || data === null) return false
  if (ArrayBuffer.isView(data) || data instanceof ArrayBuffer || data instanceof PreparedMessage) return false
  return data instanceof Blob || Symbol.asyncIterator in data || Symbol.iterator in data
}
