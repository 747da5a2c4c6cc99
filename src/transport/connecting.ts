import type { Duplex } from 'node:stream'
import { disown, own, type StreamOwner } from './stream-owner.js'

/** The owner of a socket that is being connected: what `awaitEvent` does, without listeners of its own. */
class Connecting implements StreamOwner {
  readonly #stream: Duplex
  readonly #succeeded: () => void
  readonly #failed: (cause: Error | undefined) => void

  constructor(stream: Duplex, succeeded: () => void, failed: (cause: Error | undefined) => void) {
    this.#stream = stream
    this.#succeeded = succeeded
    this.#failed = failed
  }

  connected(): void {
    disown(this.#stream)
    this.#succeeded()
  }

  failed(error: Error | undefined): void {
    disown(this.#stream)
    this.#failed(error)
  }

  closed(): void {
    this.failed(undefined)
  }

  received(): void {
    // Nothing comes before it is connected.
  }

  ended(): void {
    this.received()
  }

  drained(): void {
    this.received()
  }
}

/**
 * Waits until a socket is connected, or is not going to be, and owns it meanwhile.
 *
 * @param failed - gets the error, or `undefined` for a socket that closed without one.
 * @returns a function that stops waiting; neither callback is called then.
 */
export function awaitConnection(
  socket: Duplex,
  succeeded: () => void,
  failed: (cause: Error | undefined) => void,
): () => void {
  own(socket, new Connecting(socket, succeeded, failed))
  return () => disown(socket)
}
