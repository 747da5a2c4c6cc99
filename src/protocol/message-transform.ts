// Strategy: the two places where an extension may change whole messages (RFC 6455, section 9), as interfaces, so that the core
// needs to know none. Either may say "not yet" and work on, off this thread: then nothing else goes through until it is done,
// and whoever has the connection is told by `onReady`. Bytes go in as they come and out in pieces; no side keeps a message.
import type { PreparedMessage } from './prepared-message.js'

/**
 * Takes what a piece of a message has become. `bytes[start, end)` stays as it is until this is called again or the transform says
 * "done" or "not yet", and for ever when it is `owned`. Throws a `ProtocolViolation` to fail the connection.
 */
export type TransformSink = (bytes: Uint8Array, start: number, end: number, owned: boolean) => void

/** Undoes the transform on the messages that come. */
export interface IncomingTransform {
  /**
   * Works on a piece of the current message's payload. The input must stay as it is until this is done.
   *
   * @param last - whether the message ends here.
   * @returns false for "not yet": `decoded()` tells when it is done.
   * @throws ProtocolViolation, the sink's or one that says that the input makes no sense.
   */
  decode(input: Uint8Array, start: number, end: number, last: boolean, sink: TransformSink): boolean
  /** After a "not yet": true once it is done. @throws as `decode`. */
  decoded(): boolean
}

/** Transforms the messages that go. Bytes it returns stay as they are until its next call, unless they are `owned`. */
export interface OutgoingTransform {
  /** Messages of at least this many bytes are transformed when nobody says otherwise. */
  readonly threshold: number
  /** True when the bytes of the last result are nobody else's. */
  readonly owned: boolean
  /**
   * Transforms the next part of the current message.
   *
   * @param first - whether the message begins here.
   * @param fin - whether it ends here.
   * @param lasting - whether `data` is nobody else's. Else it may change as soon as this returns.
   * @returns null for "not yet": `encoded()` gives the result.
   */
  encode(data: Uint8Array, first: boolean, fin: boolean, lasting: boolean): Uint8Array | null
  /** After a "not yet": the result, null as long as there is none. */
  encoded(): Uint8Array | null
  /**
   * A whole message, as every receiver with the same parameters can read it; made once and then shared.
   *
   * @returns null for "not yet", as `encode`.
   */
  prepared(message: PreparedMessage): Uint8Array | null
  /** The same, where it can be had at once; null, and nothing has begun, where it cannot. */
  preparedNow(message: PreparedMessage): Uint8Array | null
}

/** What a negotiated extension does to data messages. RFC 6455, section 9; for example RFC 7692. */
export interface MessageTransform {
  /** The RSV bit that marks the first frame of a transformed message: 4, 2 or 1 for RSV1 to RSV3. */
  readonly rsv: number
  readonly incoming: IncomingTransform
  readonly outgoing: OutgoingTransform
  /** Called when a "not yet" is done. Set by whoever moves the connection's bytes, to pull events and take output. */
  onReady: (() => void) | null
  /** The connection is gone: gives back all memory, and ends what is going on. */
  close(): void
}
