// Strategy: one URL, from dialing to the server's answer. The cookie store's part is inside of the handshake's step, so that
// one limit, and one way to give up, holds for all three of these:
//
//   dial --> ask the store --> request, answer --> the store has taken the answer's cookies --> Opened, Redirected, error
//            '------------------------ one step for runPhase --------------------------'
//
// Cookies are offered as soon as there is a head, while the body of a refusal is still read. Without a store nothing is
// waited for.
import type { Duplex } from 'node:stream'
import type { CompressSettings } from '../extensions/index.js'
import { encodeRequest, type ResponseHead } from '../handshake/index.js'
import { ClientHandshake, type Exchange, type Opened, type Redirected } from './client-handshake.js'
import { headersOf, withCookies } from './client-request.js'
import type { Clock } from './clock.js'
import type { ConnectOptions } from './connect.js'
import { ConnectionError } from './connection-error.js'
import { cookieSource, offerCookies, storedCookies } from './cookies.js'
import { dialWith } from './dial.js'
import { type DialSettings, tlsSettings } from './dial-options.js'
import { runPhase } from './phase.js'
import type { Hop, Refusal } from './redirect.js'
import { discard } from './stream-events.js'
import { peerName } from './target.js'
import { isWanted, tell } from './tell.js'

/** What is the same for every hop. */
export interface HopSettings {
  readonly options: ConnectOptions
  /** How the first hop is dialed; others may have other TLS. */
  readonly dial: DialSettings
  readonly clock: Clock
  readonly compress: CompressSettings | null
  readonly handshakeTimeoutMs: number
}

/** An answer, and the stream it came on: the caller's when it is open, destroyed otherwise. */
export interface HopResult {
  readonly stream: Duplex
  readonly answer: Opened | Redirected
}

/**
 * Dials one URL and shakes hands there.
 *
 * @param judge says where to go after a response other than 101, or why nowhere.
 * @throws (rejects) ConnectionError, HandshakeError, InvalidHeadError, AbortError. Whatever is thrown, nothing is left.
 */
export async function openHop(
  hop: Hop,
  settings: HopSettings,
  judge: (head: ResponseHead) => Hop | Refusal,
): Promise<HopResult> {
  const { options, clock, handshakeTimeoutMs: limitMs } = settings
  const leaveGate: (() => void)[] = []
  const onGate = options.serialize === true ? (leave: () => void) => leaveGate.push(leave) : undefined
  try {
    const first = hop.tls === options.tls
    const how = first
      ? settings.dial
      : { ...settings.dial, tls: tlsSettings(hop.tls, options.insecure === true) }
    const { socket: stream } = await dialWith(hop.target, how, options.proxy, { onGate, owned: true })
    try {
      const step = new HandshakeStep(stream, hop, settings, judge)
      const { signal } = options
      const limits = { clock, limitMs, signal, timeoutError: () => step.timeoutError(limitMs) }
      return { stream, answer: (await runPhase(limits, step.start)).value }
    } catch (error) {
      discard(stream)
      throw error
    }
  } finally {
    for (const leave of leaveGate) leave()
  }
}

/** The handshake with the store's part, as a step for `runPhase`. The stream is discarded by whoever runs it. */
class HandshakeStep {
  readonly #stream: Duplex
  readonly #hop: Hop
  readonly #settings: HopSettings
  readonly #judge: Exchange['judge']
  readonly #peer: string
  #handshake: ClientHandshake | null = null
  /** What went wrong already, while the store still takes its time. */
  #failure: Error | null = null
  #offering: Promise<void> | null = null
  #cancel: () => void = () => {}
  #givenUp = false

  constructor(stream: Duplex, hop: Hop, settings: HopSettings, judge: Exchange['judge']) {
    this.#stream = stream
    this.#hop = hop
    this.#settings = settings
    this.#judge = judge
    this.#peer = peerName(hop.target)
  }

  /** The most telling thing known when the time is over. */
  timeoutError(limitMs: number): Error {
    const known = this.#failure ?? this.#handshake?.refusal
    return known ?? new ConnectionError('WS_HANDSHAKE_TIMEOUT', this.#peer, { limitMs })
  }

  readonly start = (
    resolve: (answer: Opened | Redirected) => void,
    reject: (error: unknown) => void,
  ): (() => void) => {
    const cookies = cookieSource(this.#settings.options.cookieStore, this.#hop.target)
    if (cookies === null) {
      this.#exchange('', resolve, reject)
    } else {
      storedCookies(cookies, this.#peer)
        .then(stored => {
          if (!this.#givenUp) this.#exchange(stored, resolve, reject)
        })
        .catch(reject)
    }
    return () => {
      this.#givenUp = true
      this.#cancel()
    }
  }

  #exchange(
    stored: string,
    resolve: (answer: Opened | Redirected) => void,
    reject: (error: unknown) => void,
  ): void {
    const { options, clock, compress } = this.#settings
    const { request: asked, bytes: written, target } = this.#hop
    const { onEvent, cookieStore, headLimits: limits = {} } = options
    const request = withCookies(asked, stored)
    // Checked once more: a store's cookies are not the caller's.
    const bytes = request === asked ? written : encodeRequest(request)
    const url = target.href
    const sentAt = clock.now()
    const handshake = new ClientHandshake(this.#stream, {
      request,
      bytes,
      limits,
      peer: this.#peer,
      compress,
      judge: this.#judge,
      onSent: () => {
        if (isWanted(onEvent, 'request')) tell(onEvent, { type: 'request', url, headers: headersOf(bytes) })
      },
      onHead: ({ status, headers }) => {
        const ms = clock.now() - sentAt
        tell(onEvent, { type: 'response', url, status, headers, ms })
        const cookies = cookieSource(cookieStore, target)
        if (cookies !== null) this.#offering = offerCookies(cookies, headers, () => this.#givenUp)
      },
    })
    this.#handshake = handshake
    this.#cancel = handshake.start(
      answer => this.#whenOffered(() => resolve(answer)),
      error => {
        this.#failure = error
        this.#whenOffered(() => reject(error))
      },
    )
  }

  /** Whoever hears of an answer finds its cookies in the store. */
  #whenOffered(settle: () => void): void {
    if (this.#offering === null) return settle()
    this.#stream.pause()
    void this.#offering.then(settle)
  }
}
