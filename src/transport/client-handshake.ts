// Strategy: one step of connecting, like lookup, TCP and TLS: write the request, read one head, check it. What follows a 101
// is `rest`, already frames. Any other head is judged by the caller. Where it leads on, the connection is of no more use,
// and its body of no interest. Where it does not, the body is that of a refusal, of which the first 64 KiB are kept; when
// they do not all come in time, the refusal is reported with what there is.
import type { Duplex } from 'node:stream'
import type { CompressSettings, DeflateAgreement } from '../extensions/index.js'
import {
  type Agreement,
  type ClientRequest,
  HandshakeError,
  type HeadLimits,
  HeadReader,
  ResponseBody,
  type ResponseHead,
  verifyResponse,
} from '../handshake/index.js'
import { agreedDeflate } from './compression.js'
import { ConnectionError } from './connection-error.js'
import { isLending } from './lent-reads.js'
import type { Hop, Refusal } from './redirect.js'
import { discard } from './stream-events.js'
import { own, ownerOf, release, type StreamOwner } from './stream-owner.js'

/** A server's acceptance: what was agreed, what it said, and the bytes behind its head. */
export interface Opened {
  readonly agreement: Agreement
  /** How messages may be compressed; null for not at all. */
  readonly deflate: DeflateAgreement | null
  readonly head: ResponseHead
  /** It grows as long as nobody else owns the stream. */
  rest: Uint8Array
}

/** A server's word that the connection is to be had elsewhere. */
export interface Redirected {
  readonly status: number
  readonly next: Hop
}

/** What to write, and who wants to know. */
export interface Exchange {
  readonly request: ClientRequest
  /** `request`, encoded. */
  readonly bytes: Uint8Array
  readonly limits: Partial<HeadLimits> | undefined
  readonly peer: string
  /** What was offered of compression. */
  readonly compress: CompressSettings | null
  /** The request was handed to the stream. */
  sent(): void
  /** The head of the answer is there, whatever it says. */
  answered(head: ResponseHead): void
  /** Where to go after a response other than 101, or why nowhere. */
  judge(head: ResponseHead): Hop | Refusal
}

/** Writes the request and reads the answer; has the error that replaces a time-out when a refusal was being read. */
export class ClientHandshake implements StreamOwner {
  readonly #stream: Duplex
  readonly #exchange: Exchange
  readonly #reader: HeadReader<ResponseHead>
  #resolve!: (answer: Opened | Redirected) => void
  #reject!: (error: Error) => void
  #lastError: Error | undefined
  #opened: Opened | null = null
  #refused: { readonly head: ResponseHead; readonly body: ResponseBody; readonly why: Refusal } | null = null

  /** @throws InvalidHeadError when a limit makes no sense. */
  constructor(stream: Duplex, exchange: Exchange) {
    this.#stream = stream
    this.#exchange = exchange
    this.#reader = HeadReader.forResponse(exchange.limits)
  }

  /** The refusal as far as it was read, or null when the server has not answered. */
  get refusal(): HandshakeError | null {
    if (this.#refused === null) return null
    const { head, body, why } = this.#refused
    const { status, reason, headers } = head
    const { code, ...details } = why
    return new HandshakeError(code, { ...details, response: { status, reason, headers, body: body.bytes } })
  }

  /** Starts; the stream is kept until somebody takes it when it was opened, and destroyed otherwise. */
  start(resolve: (answer: Opened | Redirected) => void, reject: (error: Error) => void): void {
    const stream = this.#stream
    this.#resolve = resolve
    this.#reject = reject
    own(stream, this)
    // Either may have come while a cookie store was asked, and comes once only.
    if (stream.destroyed || stream.readableEnded) {
      process.nextTick(() => this.ended())
    } else {
      // One that lends what it reads was paused.
      stream.resume()
      stream.write(this.#exchange.bytes)
      this.#exchange.sent()
    }
  }

  /** Nobody waits for the answer any more. */
  giveUp(): void {
    release(this.#stream)
    discard(this.#stream)
  }

  received(chunk: Uint8Array): void {
    const stream = this.#stream
    if (this.#opened !== null) {
      this.#opened.rest = Buffer.concat([this.#opened.rest, chunk])
      return
    }
    try {
      const answer = this.#receive(chunk)
      // Whoever heard of the answer may have given up.
      if (answer === null || ownerOf(stream) !== this) return
      if ('next' in answer) this.giveUp()
      else {
        this.#opened = answer
        if (!isLending(stream)) stream.pause()
      }
      this.#resolve(answer)
    } catch (error) {
      this.#fail(error as Error)
    }
  }

  ended(): void {
    // Who takes the stream over sees that.
    if (this.#opened !== null) return
    const cause = this.#lastError ?? this.#stream.errored ?? null
    const details = cause === null ? {} : { cause }
    this.#fail(this.refusal ?? new ConnectionError('WS_HANDSHAKE_ENDED', this.#exchange.peer, details))
  }

  failed(error: Error): void {
    this.#lastError = error
  }

  closed(): void {
    this.ended()
  }

  drained(): void {
    // The request is all that is written.
  }

  #fail(error: Error): void {
    this.giveUp()
    this.#reject(error)
  }

  #receive(chunk: Uint8Array): Opened | Redirected | null {
    if (this.#refused !== null) {
      if (this.#refused.body.receive(chunk)) throw this.refusal!
      return null
    }
    // Interim 1xx responses are skipped by the reader.
    const result = this.#reader.receive(chunk)
    if (result === null) return null
    const { head, rest } = result
    const { request, compress } = this.#exchange
    this.#exchange.answered(head)
    if (head.status === 101) {
      const agreement = verifyResponse(request, head)
      return { agreement, deflate: agreedDeflate(agreement, head, compress), head, rest }
    }
    const verdict = this.#exchange.judge(head)
    if (!('code' in verdict)) return { status: head.status, next: verdict }
    this.#refused = { head, body: new ResponseBody(head), why: verdict }
    if (this.#refused.body.receive(rest)) throw this.refusal!
    return null
  }
}
