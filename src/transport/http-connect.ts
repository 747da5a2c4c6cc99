import {
  encodeConnect,
  type HeaderList,
  HeadReader,
  type HeadResult,
  ResponseBody,
  type ResponseHead,
} from '../handshake/index.js'
import { ConnectionError } from './connection-error.js'
import { type Negotiation, type NegotiationStep, WAITING } from './negotiation.js'

/**
 * Asks an HTTP proxy for a tunnel by CONNECT (RFC 9110 section 9.3.6). The head of the answer is read within the default
 * limits; of a refusal the first 64 KiB of the body are kept.
 */
export class HttpConnect implements Negotiation {
  /** The request. */
  readonly opening: Uint8Array
  readonly #peer: string
  readonly #reader: HeadReader<ResponseHead> = HeadReader.forResponse()
  #refused: { readonly head: ResponseHead; readonly body: ResponseBody } | null = null
  #failure: ConnectionError | null = null

  /**
   * @param authority - `host:port`, where the tunnel leads to.
   * @param peer - what errors call the proxy.
   * @throws InvalidHeadError when the request cannot be written.
   */
  constructor(authority: string, headers: HeaderList, peer: string) {
    this.opening = encodeConnect({ authority, headers })
    this.#peer = peer
  }

  /** The refusal as far as it was read, or null when the proxy has not answered. */
  get refusal(): ConnectionError | null {
    if (this.#refused === null) return null
    const { head, body } = this.#refused
    const { status, reason, headers } = head
    const response = { status, reason, headers, body: body.bytes }
    return new ConnectionError('WS_PROXY_REFUSED', this.#peer, { response, detail: `status-${status}` })
  }

  /** Takes the next bytes; see {@link Negotiation.receive}. */
  receive(chunk: Uint8Array): NegotiationStep {
    if (this.#failure !== null) throw this.#failure
    if (this.#refused !== null) return this.#explain(this.#refused.body, chunk)
    const result = this.#read(chunk)
    if (result === null) return WAITING
    const { head, rest } = result
    // RFC 9110 9.3.6: any 2xx opens the tunnel, and whatever it says of a body is to be ignored. tinyproxy says HTTP/1.0.
    if (head.status >= 200 && head.status < 300) {
      if (!head.version.startsWith('1.')) this.#fail('bad-http-version')
      return { output: WAITING.output, rest }
    }
    const body = new ResponseBody(head)
    this.#refused = { head, body }
    return this.#explain(body, rest)
  }

  #read(chunk: Uint8Array): HeadResult<ResponseHead> | null {
    try {
      // Interim 1xx responses are skipped by the reader.
      return this.#reader.receive(chunk)
    } catch (cause) {
      return this.#fail('bad-response', cause)
    }
  }

  #explain(body: ResponseBody, chunk: Uint8Array): NegotiationStep {
    if (!body.receive(chunk)) return WAITING
    this.#failure = this.refusal!
    throw this.#failure
  }

  #fail(detail: string, cause?: unknown): never {
    const details = cause === undefined ? { detail } : { detail, cause }
    this.#failure = new ConnectionError('WS_PROXY_FAILED', this.#peer, details)
    throw this.#failure
  }
}
