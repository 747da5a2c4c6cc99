import { Duplex } from 'node:stream'
import type { Done } from './intake.js'
import type { Lane } from './lane.js'

/** One end of a link: the stream that the program under test reads and writes. Half-open, like the sockets of `connect()`. */
export class LinkEnd extends Duplex {
  /** As `net.Socket` has it: an address for documentation (RFC 5737) and a number for each link. */
  readonly remoteAddress: string
  readonly remotePort: number
  readonly #gone: (end: LinkEnd) => void
  #incoming!: Lane
  #outgoing!: Lane

  constructor(remote: { readonly address: string; readonly port: number }, gone: (end: LinkEnd) => void) {
    super({ allowHalfOpen: true })
    this.remoteAddress = remote.address
    this.remotePort = remote.port
    this.#gone = gone
    // A reset that nobody listens for must not end the test's process.
    this.on('error', () => {})
  }

  /** Joins the lanes, before anything is read or written. */
  join(incoming: Lane, outgoing: Lane): void {
    this.#incoming = incoming
    this.#outgoing = outgoing
  }

  override _read(): void {
    this.#incoming.resume()
  }

  override _write(chunk: Uint8Array, _encoding: string, done: Done): void {
    this.#outgoing.take([chunk], done)
  }

  override _writev(chunks: readonly { readonly chunk: Uint8Array }[], done: Done): void {
    this.#outgoing.take(
      chunks.map(({ chunk }) => chunk),
      done,
    )
  }

  override _final(done: Done): void {
    this.#outgoing.close('end')
    done()
  }

  override _destroy(error: Error | null, done: Done): void {
    this.#gone(this)
    done(error)
  }
}
