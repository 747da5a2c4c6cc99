import type { CloseFrame } from './close-code.js'

/** What the transport owes the socket: nothing, to wait for the peer with a deadline, or FIN once the output is flushed. */
export type Shutdown = 'none' | 'await-peer' | 'end'

/** Both sides of the closing handshake, separately. */
export interface CloseOutcome {
  /** The Close frame this side sent. */
  readonly sent: CloseFrame | null
  /** The Close frame the peer sent; its code is 1005 when the frame was empty. */
  readonly received: CloseFrame | null
  /** Who sent the first Close frame. */
  readonly initiator: 'local' | 'remote' | null
}
