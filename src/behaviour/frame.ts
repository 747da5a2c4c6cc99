// Strategy: what a user gives as a frame is looked at once, before anything of it is accepted: a frame that is no frame is
// an `InvalidFrameError`, one that RFC 6455 cannot carry a `FrameEncodeError`. What is accepted never fails later for what
// it is.
import { isWireCloseCode, PreparedMessage } from '../protocol/index.js'
import { isParts, type Payload, type PayloadParts } from '../transport/payload.js'
import { FrameEncodeError } from './frame-encode-error.js'
import { InvalidFrameError } from './invalid-frame-error.js'

/** Bytes of any kind. */
export type Bytes = ArrayBufferLike | ArrayBufferView

/** A whole text message; or one whose parts come from an (async) iterable of strings and go as fragments, as they come. */
export interface TextFrame {
  readonly type: 'text'
  readonly data: string | Iterable<string> | AsyncIterable<string>
  /** Whether to compress it, where the connection can; by default as the option `compress` says. */
  readonly compress?: boolean | undefined
}

/** A whole binary message; or one whose parts come from an (async) iterable of bytes, or from a `Blob`. */
export interface BinaryFrame {
  readonly type: 'binary'
  readonly data: Bytes | Iterable<Bytes> | AsyncIterable<Bytes> | Blob
  /** As that of a text. */
  readonly compress?: boolean | undefined
}

/** A Ping or Pong, with at most 125 bytes of UTF-8 or bytes. */
export interface PingPongFrame {
  readonly type: 'ping' | 'pong'
  readonly data?: Payload | undefined
}

/** Begins the closing handshake. Without a code the Close frame is empty. */
export interface CloseRequest {
  readonly type: 'close'
  /** 1000 to 1003, 1007 to 1014 or 3000 to 4999. */
  readonly code?: number | undefined
  /** At most 123 bytes of UTF-8. */
  readonly reason?: string | undefined
}

/** RFC 6455 5.4 by hand: the first fragment of a message, which says for all whether they are compressed, and the others. */
export type FragmentFrame =
  | {
      readonly type: 'fragment'
      readonly kind: 'text'
      readonly data: string
      readonly compress?: boolean | undefined
    }
  | {
      readonly type: 'fragment'
      readonly kind: 'binary'
      readonly data: Bytes
      readonly compress?: boolean | undefined
    }
  | { readonly type: 'continuation' | 'finish'; readonly data: Payload }

/** A frame in full. A received message, `{ type, data }`, is one too, so that it can be sent back as it is. */
export type FrameObject = TextFrame | BinaryFrame | PingPongFrame | CloseRequest | FragmentFrame

/**
 * What can be sent: a frame; in short, a string for a text message and bytes for a binary one; or a message that was prepared
 * for many.
 */
export type Frame = FrameObject | PreparedMessage | string | Bytes

/** A whole message as it is. */
export type ShortFrame = string | ArrayBufferView

/** A frame that was looked at. */
export type CheckedFrame = FrameObject

const MAX_CONTROL_BYTES = 125
const MAX_REASON_BYTES = 123

/**
 * Looks at a frame.
 *
 * @returns the frame as an object; the short forms are spelt out.
 * @throws InvalidFrameError for something that is no frame, FrameEncodeError for one that cannot be encoded.
 */
export function checkFrame(frame: Frame): CheckedFrame {
  if (typeof frame === 'string') return { type: 'text', data: frame }
  // Before it is looked for a type: bytes are bytes, whatever else somebody has put on them.
  if (ArrayBuffer.isView(frame)) return { type: 'binary', data: frame }
  if (typeof frame !== 'object' || frame === null) throw new InvalidFrameError(frame)
  if (!('type' in frame)) {
    if (isBytes(frame)) return { type: 'binary', data: frame }
    throw new InvalidFrameError(frame)
  }
  // It was looked at when it was made, and has the look of a whole message.
  if (frame instanceof PreparedMessage) return frame as CheckedFrame
  const { type } = frame
  if ('compress' in frame && frame.compress !== undefined && typeof frame.compress !== 'boolean') {
    throw new InvalidFrameError(frame)
  }
  if (type === 'text') {
    const streamed = isStream(frame.data) && !((frame.data as unknown) instanceof Blob)
    if (typeof frame.data !== 'string' && !streamed) throw new InvalidFrameError(frame)
  } else if (type === 'binary') {
    if (!isBytes(frame.data) && !isStream(frame.data)) throw new InvalidFrameError(frame)
  } else if (type === 'ping' || type === 'pong') checkControl(frame)
  else if (type === 'close') checkClose(frame)
  else checkFragment(frame as FragmentFrame)
  return frame
}

/** True for a frame that needs no look: a string, or a view of bytes. */
export const isShort = (frame: Frame): frame is ShortFrame =>
  typeof frame === 'string' || ArrayBuffer.isView(frame)

/** True for a message whose parts come from an iterable. */
export function isStreamed(
  frame: CheckedFrame,
): frame is (TextFrame | BinaryFrame) & { readonly data: PayloadParts } {
  return (
    (frame.type === 'text' || frame.type === 'binary') &&
    typeof frame.data === 'object' &&
    isStream(frame.data)
  )
}

/** How much a frame weighs in a queue, in bytes: an estimate for texts, 0 for what cannot be known. */
export function frameBytes(frame: CheckedFrame): number {
  if (frame.type === 'close' || isStreamed(frame)) return 0
  const { data } = frame
  if (typeof data === 'string') return data.length
  return (data as ArrayBufferView | undefined)?.byteLength ?? 0
}

function isBytes(data: unknown): data is Bytes {
  return ArrayBuffer.isView(data) || data instanceof ArrayBuffer || data instanceof SharedArrayBuffer
}

function isStream(data: unknown): data is PayloadParts {
  return isParts(data as Payload | PayloadParts)
}

function checkControl(frame: PingPongFrame): void {
  const { data } = frame
  if (data === undefined) return
  if (typeof data !== 'string' && !isBytes(data)) throw new InvalidFrameError(frame)
  // 5.5: control frames MUST have a payload of 125 bytes or less.
  const bytes = typeof data === 'string' ? utf8Bytes(data) : data.byteLength
  if (bytes > MAX_CONTROL_BYTES) throw new FrameEncodeError('control-frame-too-large', frame)
}

function checkClose(frame: CloseRequest): void {
  const { code, reason = '' } = frame
  if (typeof reason !== 'string') throw new InvalidFrameError(frame)
  if (code === undefined) {
    // 5.5.1: a reason only ever follows a code.
    if (reason !== '') throw new FrameEncodeError('close-reason-without-code', frame)
    return
  }
  // 7.4: 1005, 1006 and 1015 never appear on the wire, nor do codes that nobody has defined.
  if (!isWireCloseCode(code)) throw new FrameEncodeError('close-code-out-of-range', frame)
  if (utf8Bytes(reason) > MAX_REASON_BYTES) throw new FrameEncodeError('control-frame-too-large', frame)
}

function checkFragment(frame: FragmentFrame): void {
  const { type, data } = frame
  if (type !== 'fragment' && type !== 'continuation' && type !== 'finish') throw new InvalidFrameError(frame)
  if (typeof data !== 'string' && !isBytes(data)) throw new InvalidFrameError(frame)
  if (type !== 'fragment') return
  if (frame.kind !== 'text' && frame.kind !== 'binary') throw new InvalidFrameError(frame)
  if ((frame.kind === 'text') !== (typeof data === 'string')) throw new InvalidFrameError(frame)
}

function utf8Bytes(text: string): number {
  return new TextEncoder().encode(text).length
}
