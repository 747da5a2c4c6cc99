import type { CloseOutcome, ProtocolViolation } from '../protocol/index.js'
import { ConnectionError } from './connection-error.js'
import { lossError } from './loss-error.js'
import type { SocketOutcome } from './socket-outcome.js'

/** How a connection ends, and what is known of that before it has. */
export class SocketEnd {
  /** Settles when the connection is gone. */
  readonly closed: Promise<SocketOutcome>
  /** Null until it is. */
  outcome: SocketOutcome | null = null
  /** The user wanted an end without a Close frame. */
  terminated = false
  /** Nothing more is delivered or sent. */
  destroyed = false
  violation: ProtocolViolation | null = null
  readonly #peer: string
  readonly #closeTimeoutMs: number
  #overflow: ConnectionError | null = null
  #resolve!: (outcome: SocketOutcome) => void

  constructor(peer: string, closeTimeoutMs: number) {
    this.#peer = peer
    this.#closeTimeoutMs = closeTimeoutMs
    this.closed = new Promise(resolve => {
      this.#resolve = resolve
    })
  }

  /** The peer does not read. @returns the error that says so. */
  overflow(): ConnectionError {
    this.#overflow = new ConnectionError('WS_BUFFER_FULL', this.#peer)
    return this.#overflow
  }

  /**
   * The stream is gone.
   *
   * @param tell - called before `closed` settles, with the error of an end that was not clean, and with what makes the one for
   * whatever was lost in any case.
   */
  come(
    frames: CloseOutcome,
    cause: Error | null,
    timedOut: boolean,
    tell: (error: Error | null, lost: () => Error) => void,
  ): void {
    const limitMs = timedOut ? this.#closeTimeoutMs : null
    const loss = { cause, limitMs, terminated: this.terminated, open: frames.sent === null }
    const wasClean = frames.sent !== null && frames.received !== null
    const error = wasClean ? null : (this.violation ?? this.#overflow ?? lossError(this.#peer, loss))
    const { sent, received, initiator } = frames
    this.outcome = { sent, received, initiator, wasClean, error }
    tell(error, () => error ?? new ConnectionError('WS_CONNECTION_LOST', this.#peer, { phase: 'closing' }))
    this.#resolve(this.outcome)
  }
}
