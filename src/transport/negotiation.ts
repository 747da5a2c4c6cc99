import type { ConnectionError } from './connection-error.js'

/**
 * What asks one proxy for a tunnel: bytes in, bytes out, no I/O. It is good for one conversation.
 */
export interface Negotiation {
  /** What is said first. */
  readonly opening: Uint8Array
  /**
   * Takes the next bytes of the proxy, cut in any way. `chunk` is neither changed nor kept, but `rest` is a view into it.
   *
   * @throws ConnectionError `WS_PROXY_REFUSED` or `WS_PROXY_FAILED`; each later call does so again.
   */
  receive(chunk: Uint8Array): NegotiationStep
  /** Why there is no tunnel, for a proxy that said no and was still explaining when it ended or its time was over. */
  readonly refusal: ConnectionError | null
}

/**
 * Where a negotiation is after the bytes so far.
 */
export interface NegotiationStep {
  /** What must be written now; empty for nothing. */
  readonly output: Uint8Array
  /** Not null once the tunnel is open: what came behind the proxy's answer, from the other end. */
  readonly rest: Uint8Array | null
}

/**
 * More bytes are needed.
 */
export const WAITING: NegotiationStep = { output: new Uint8Array(0), rest: null }
