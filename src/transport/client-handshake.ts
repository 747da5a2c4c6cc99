// Strategy: one phase of connecting, run by `runPhase` like lookup, TCP and TLS: write the request, read one head, check
// it. What follows a 101 is `rest`, already frames. What follows anything else is the body of a refusal, of which the
// first 64 KiB are kept; when they do not all come in time, the refusal is reported with what there is.
import type { Duplex } from 'node:stream'
import {
  type Agreement,
  type ClientRequest,
  encodeRequest,
  type HandshakeError,
  type HeadLimits,
  HeadReader,
  ResponseBody,
  type ResponseHead,
  unexpectedStatus,
  verifyResponse,
} from '../handshake/index.js'
import { ConnectionError } from './connection-error.js'
import { discard, swallowErrors } from './stream-events.js'

/** A server's acceptance: what was agreed, what it said, and the bytes behind its head. */
export interface Opened {
  readonly agreement: Agreement
  readonly head: ResponseHead
  readonly rest: Uint8Array
}

/** A step for `runPhase`, and the error that replaces its time-out when a refusal was being read. */
export class ClientHandshake {
  readonly #stream: Duplex
  readonly #request: ClientRequest
  readonly #bytes: Uint8Array
  readonly #peer: string
  readonly #reader: HeadReader<ResponseHead>
  #refused: { readonly head: ResponseHead; readonly body: ResponseBody } | null = null

  private constructor(
    stream: Duplex,
    request: ClientRequest,
    bytes: Uint8Array,
    limits: Partial<HeadLimits>,
    peer: string,
  ) {
    this.#stream = stream
    this.#request = request
    this.#bytes = bytes
    this.#peer = peer
    this.#reader = HeadReader.forResponse(limits)
  }

  /**
   * Writes the request, before anything is dialed, and returns what runs it on a stream.
   *
   * @throws InvalidHeadError when the request cannot be written or a limit makes no sense.
   */
  static prepare(
    request: ClientRequest,
    limits: Partial<HeadLimits>,
    peer: string,
  ): (stream: Duplex) => ClientHandshake {
    const bytes = encodeRequest(request)
    HeadReader.forResponse(limits)
    return stream => new ClientHandshake(stream, request, bytes, limits, peer)
  }

  /** The refusal as far as it was read, or null when the server has not answered. */
  get refusal(): HandshakeError | null {
    return this.#refused && unexpectedStatus(this.#refused.head, this.#refused.body.bytes)
  }

  /** Starts; the stream is left paused, without a listener, on success, and destroyed otherwise. */
  readonly start = (resolve: (opened: Opened) => void, reject: (error: Error) => void): (() => void) => {
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
        const opened = this.#receive(chunk)
        if (opened === null) return
        stream.pause()
        forget()
        resolve(opened)
      } catch (error) {
        fail(error as Error)
      }
    }
    const onError = (error: Error): void => {
      lastError = error
    }
    const onEnd = (): void => {
      const cause = lastError === undefined ? {} : { cause: lastError }
      fail(this.refusal ?? new ConnectionError('WS_HANDSHAKE_ENDED', this.#peer, cause))
    }
    swallowErrors(stream)
    stream.on('data', onData).on('end', onEnd).on('error', onError).on('close', onEnd)
    if (stream.destroyed) process.nextTick(onEnd)
    else stream.write(this.#bytes)
    return () => {
      forget()
      discard(stream)
    }
  }

  #receive(chunk: Uint8Array): Opened | null {
    if (this.#refused !== null) {
      if (this.#refused.body.receive(chunk)) throw this.refusal!
      return null
    }
    // Interim 1xx responses are skipped by the reader.
    const result = this.#reader.receive(chunk)
    if (result === null) return null
    const { head, rest } = result
    if (head.status === 101) return { agreement: verifyResponse(this.#request, head), head, rest }
    this.#refused = { head, body: new ResponseBody(head) }
    if (this.#refused.body.receive(rest)) throw this.refusal!
    return null
  }
}
