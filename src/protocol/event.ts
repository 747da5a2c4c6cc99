import type { CloseFrame } from './close-code.js'
import type { ProtocolViolation } from './violation.js'

/** A whole data message. `data` of a binary message may alias the received chunk; it is never written to afterwards. */
export type Message =
  { readonly type: 'text'; readonly data: string } | { readonly type: 'binary'; readonly data: Uint8Array }

/** What `Connection.nextEvent()` reports, one object per message or control frame. */
export type ProtocolEvent =
  | Message
  | { readonly type: 'ping' | 'pong'; readonly data: Uint8Array }
  | { readonly type: 'close'; readonly frame: CloseFrame }
  | { readonly type: 'fail'; readonly violation: ProtocolViolation }
