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
import type { Hop, Refusal } from './redirect.js'
import { discard, swallowErrors } from './stream-events.js'

/** A server's acceptance: what was agreed, what it said, and the bytes behind its head. */
export interface Opened {
  readonly agreement: Agreement
  /** How messages may be compressed; null for not at all. */
  readonly deflate: DeflateAgreement | null
  readonly head: ResponseHead
  readonly rest: Uint8Array
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
  readonly limits: Partial<HeadLimits>
  readonly peer: string
  /** What was offered of compression. */
  readonly compress: CompressSettings | null
  /** The request was handed to the stream. */
  readonly onSent: () => void
  /** The head of the answer is there, whatever it says. */
  readonly onHead: (head: ResponseHead) => void
  /** Where to go after a response other than 101, or why nowhere. */
  readonly judge: (head: ResponseHead) => Hop | Refusal
}

/** A step for `runPhase`, and the error that replaces its time-out when a refusal was being read. */
export class ClientHandshake {
  readonly #stream: Duplex
  readonly #exchange: Exchange
  readonly #reader: HeadReader<ResponseHead>
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

  /** Starts; the stream is left paused, without a listener, when it was opened, and destroyed otherwise. */
  readonly start = (
    resolve: (answer: Opened | Redirected) => void,
    reject: (error: Error) => void,
  ): (() => void) => {
    const stream = this.#stream
    let lastError: Error | undefined
    const forget = (): void => {
      stream.off('data', onData).off('end', onEnd).off('error', onError).off('close', onEnd)
    }
    const fail = (error: Error): void => {
      forget()
      discard(stream)
      reject(error)
    }
    const onData = (chunk: Uint8Array): void => {
      try {
        const answer = this.#receive(chunk)
        if (answer === null) return
        forget()
        if ('next' in answer) discard(stream)
        else stream.pause()
        resolve(answer)
      } catch (error) {
        fail(error as Error)
      }
    }
    const onError = (error: Error): void => {
      lastError = error
    }
    const onEnd = (): void => {
      const cause = lastError ?? stream.errored ?? null
      const details = cause === null ? {} : { cause }
      fail(this.refusal ?? new ConnectionError('WS_HANDSHAKE_ENDED', this.#exchange.peer, details))
    }
    swallowErrors(stream)
    stream.on('data', onData).on('end', onEnd).on('error', onError).on('close', onEnd)
    // Either may have come while a cookie store was asked, and comes once only.
    if (stream.destroyed || stream.readableEnded) {
      process.nextTick(onEnd)
    } else {
      stream.write(this.#exchange.bytes)
      this.#exchange.onSent()
    }
    return () => {
      forget()
      discard(stream)
    }
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
    const { request, onHead, judge, compress } = this.#exchange
    onHead(head)
    if (head.status === 101) {
      const agreement = verifyResponse(request, head)
      return { agreement, deflate: agreedDeflate(agreement, head, compress), head, rest }
    }
    const verdict = judge(head)
    if (!('code' in verdict)) return { status: head.status, next: verdict }
    this.#refused = { head, body: new ResponseBody(head), why: verdict }
    if (this.#refused.body.receive(rest)) throw this.refusal!
    return null
  }
}
