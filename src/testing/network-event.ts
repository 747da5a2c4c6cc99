/** The way that bytes go on a link. */
export type Direction = 'to-client' | 'to-server'

/** The other way. */
export const opposite = (direction: Direction): Direction =>
  direction === 'to-client' ? 'to-server' : 'to-client'

/** What happened on the network, in the order in which it happened. */
export interface NetworkEvent {
  /** When, on the network's clock. */
  readonly atMs: number
  /**
   * - `connect`: a client asks for a connection; then `open`, `refused` or, as long as it gets no answer, `unanswered`.
   * - `taken`: the network took bytes from the writer; `delivered`: they were handed to the other end's stream.
   * - `end`: one side's end of its bytes reached the other; `reset`: both ends, or the one that `direction` leads to, got
   *   `ECONNRESET`; `closed`: both ends are gone.
   */
  readonly type:
    'connect' | 'open' | 'refused' | 'unanswered' | 'taken' | 'delivered' | 'end' | 'reset' | 'closed'
  /** `host:port` of the server. */
  readonly peer: string
  /** The number of the link; 0 before there is one. */
  readonly link: number
  readonly direction: Direction | null
  /** How many bytes were taken or delivered. */
  readonly bytes: number
}
