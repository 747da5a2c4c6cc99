import type { CloseFrame, Message, ProtocolViolation } from '../protocol/index.js'

/** What the wire reports. Of these only `flushed` and `written` are called from within `send…`, `write` and `close`. */
export interface WireHandler {
  /** @returns false to let promises settle before the next event: a reader that waits must see one thing at a time. */
  message(message: Message): boolean
  ping(data: Uint8Array): void
  pong(data: Uint8Array): void
  /** The peer's Close frame arrived, and was answered. */
  closing(frame: CloseFrame): void
  /** The peer broke the protocol; the Close frame that says so is on its way. */
  failed(violation: ProtocolViolation): void
  /** All output so far was handed to the stream. `full` is true when the stream asks for a pause. */
  flushed(full: boolean): void
  /** The stream is done with the first so many of all frames that were sent (`Connection.accepted`). */
  written(frames: number): void
  /** The stream is gone. Called once, last. */
  ended(cause: Error | null, timedOut: boolean): void
}
