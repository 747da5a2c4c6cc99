import type { CloseFrame, Message } from '../protocol/index.js'
import type { ConnectEvent } from '../transport/connect-event.js'
import type { DisconnectStatus } from './disconnect-status.js'
import type { EndReason } from './end-reason.js'
import type { CheckedFrame } from './frame.js'
import type { AnyProcess } from './process.js'

/**
 * Something a process did, or that happened to it. Frames and messages in it are the real ones: look, and leave them as they
 * are. URLs, headers and errors were copied where they held a secret, and have `***` in its place.
 */
export type ProcessEvent =
  | ConnectEvent
  | { readonly type: 'start' }
  | { readonly type: 'attempt'; readonly attempt: number; readonly url: string }
  | {
      readonly type: 'open'
      readonly url: string
      readonly subprotocol: string
      readonly attempt: number
      readonly reconnects: number
    }
  | { readonly type: 'frame-in'; readonly frame: Message }
  | { readonly type: 'frame-out'; readonly frame: CheckedFrame }
  /** A frame was not sent, since the peer reads too slowly. */
  | { readonly type: 'drop'; readonly frame: CheckedFrame }
  | { readonly type: 'ping-in' | 'pong-in'; readonly data: Uint8Array }
  | { readonly type: 'keepalive-ping' }
  | { readonly type: 'keepalive-miss'; readonly missed: number }
  | { readonly type: 'close-in' | 'close-out'; readonly frame: CloseFrame }
  | { readonly type: 'cast' | 'call' | 'info'; readonly message: unknown }
  | { readonly type: 'drain' }
  | { readonly type: 'disconnect'; readonly status: DisconnectStatus }
  | { readonly type: 'reconnect'; readonly delayMs: number; readonly attempt: number }
  | { readonly type: 'behaviour-change'; readonly version: string | number | undefined }
  /** A callback threw, rejected or answered badly. */
  | { readonly type: 'callback-error'; readonly callback: string; readonly error: Error }
  | { readonly type: 'terminate'; readonly reason: EndReason }

/** An event with where and when it happened. */
export interface PublishedEvent {
  /** Whose event it is. */
  readonly process: AnyProcess
  /** The name of the process, or `process-1` and so on for one without. */
  readonly id: string
  /** Milliseconds by the process's clock. */
  readonly at: number
  /** Milliseconds since the process began. */
  readonly elapsedMs: number
  /** What happened. */
  readonly event: ProcessEvent
}
