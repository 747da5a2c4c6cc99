import type { Duplex } from 'node:stream'
import type { CompressSettings, DeflateAgreement } from '../extensions/index.js'
import {
  type Agreement,
  encodeAccept,
  encodeReject,
  HandshakeError,
  type HeadLimits,
  HeadReader,
  parseUpgrade,
  type RejectBody,
  type RequestHead,
  type UpgradeRequest,
} from '../handshake/index.js'
import { after, type Clock } from './clock.js'
import { chosenDeflate } from './compression.js'
import { discard, swallowErrors } from './stream-events.js'
import { closing, own, type StreamOwner } from './stream-owner.js'

/** A request head that was read from a stream, and the bytes behind it. */
export interface ReadHead {
  readonly head: RequestHead
  readonly rest: Uint8Array
}

/** A handshake that was answered with 101. */
export interface Accepted {
  readonly upgrade: UpgradeRequest
  readonly agreement: Agreement
  /** How messages may be compressed; null for not at all. */
  readonly deflate: DeflateAgreement | null
}

/** How long the head of a request may take, and be. */
export interface ReadLimits {
  readonly clock: Clock
  readonly limitMs: number
  readonly headLimits: Partial<HeadLimits>
}

/**
 * Reads one request head; the stream is refused and ended when it is none, or not whole in time.
 *
 * @param next - who owns the stream afterwards, whatever comes of it.
 */
export function readRequest(
  stream: Duplex,
  limits: ReadLimits,
  done: (read: ReadHead) => void,
  next: StreamOwner = NOBODY,
): void {
  own(stream, new RequestReading(stream, limits, done, next))
}

const NOBODY = closing(() => {})

/** Owns a stream until its head is there. */
class RequestReading implements StreamOwner {
  readonly #stream: Duplex
  readonly #limits: ReadLimits
  readonly #reader: HeadReader<RequestHead>
  readonly #done: (read: ReadHead) => void
  readonly #next: StreamOwner
  readonly #stopTimer: () => void

  constructor(stream: Duplex, limits: ReadLimits, done: (read: ReadHead) => void, next: StreamOwner) {
    this.#stream = stream
    this.#limits = limits
    this.#reader = HeadReader.forRequest(limits.headLimits)
    this.#done = done
    this.#next = next
    // 408 would be the polite answer, but a peer that dribbles a head for seconds does not read it.
    this.#stopTimer = after(limits.clock, limits.limitMs, () => this.ended())
  }

  received(chunk: Uint8Array): void {
    let read: ReadHead | null
    try {
      read = this.#reader.receive(chunk)
      if (read === null) return
      this.#stream.pause()
      this.#leave()
    } catch (error) {
      this.#leave()
      refuse(this.#stream, error, this.#limits)
      return
    }
    this.#done(read)
  }

  ended(): void {
    this.#leave()
    discard(this.#stream)
  }

  closed(): void {
    this.#leave()
    this.#next.closed()
  }

  failed(): void {
    // It closes after that.
  }

  drained(): void {
    // Nothing was written.
  }

  #leave(): void {
    this.#stopTimer()
    own(this.#stream, this.#next)
  }
}

/**
 * Checks the head, chooses a subprotocol and compression, and writes the 101; or writes the refusal and ends the stream.
 *
 * @returns null after a refusal.
 */
export function acceptUpgrade(
  stream: Duplex,
  head: RequestHead,
  wishes: { readonly subprotocols: readonly string[]; readonly compress: CompressSettings | null },
  options: { readonly clock: Clock; readonly limitMs: number },
): Accepted | null {
  try {
    const upgrade = parseUpgrade(head)
    // 4.2.2: one the server supports, in the client's order of preference, or none.
    const subprotocol = upgrade.subprotocols.find(one => wishes.subprotocols.includes(one)) ?? null
    const { deflate, extensions } = chosenDeflate(upgrade, wishes.compress)
    const agreement = { subprotocol, extensions }
    stream.write(encodeAccept(upgrade, agreement))
    return { upgrade, agreement, deflate }
  } catch (error) {
    refuse(stream, error, options)
    return null
  }
}

/** Answers with the error's status, then ends; the peer gets `limitMs` to take it. @param body instead of the message. */
export function refuse(
  stream: Duplex,
  error: unknown,
  options: { readonly clock: Clock; readonly limitMs: number },
  body?: RejectBody,
): void {
  if (!(error instanceof HandshakeError)) throw error
  if (stream.destroyed) return
  const stopTimer = after(options.clock, options.limitMs, () => stream.destroy())
  swallowErrors(stream)
  stream.once('close', stopTimer)
  // What the peer still sends is thrown away, or the reset that answers unread bytes could overtake our response.
  stream.resume()
  stream.end(encodeReject(error, body))
}
