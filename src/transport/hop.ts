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
import { type ClientRequest, encodeRequest, type HeadLimits, type ResponseHead } from '../handshake/index.js'
import { ClientHandshake, type Exchange, type Opened, type Redirected } from './client-handshake.js'
import { headersOf, withCookies } from './client-request.js'
import type { Clock } from './clock.js'
import type { ConnectOptions } from './connect.js'
import { ConnectionError } from './connection-error.js'
import { cookieSource, offerCookies, storedCookies } from './cookies.js'
import { dialWith } from './dial.js'
import { type DialSettings, tlsSettings } from './dial-options.js'
import { runPhase } from './phase.js'
import { afterResponse, type Hop, type Refusal } from './redirect.js'
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

/** How many redirects may still be followed, of how many. */
export interface Redirects {
  readonly left: number
  readonly maxRedirects: number
}

/**
 * Dials one URL and shakes hands there.
 *
 * @throws (rejects) ConnectionError, HandshakeError, InvalidHeadError, AbortError. Whatever is thrown, nothing is left.
 */
export async function openHop(hop: Hop, settings: HopSettings, redirects: Redirects): Promise<HopResult> {
  const { options, dial, clock, handshakeTimeoutMs: limitMs } = settings
  const leaveGate: (() => void)[] | null = options.serialize === true ? [] : null
  try {
    const how =
      hop.tls === options.tls ? dial : { ...dial, tls: tlsSettings(hop.tls, options.insecure === true) }
    const onGate = leaveGate === null ? undefined : (leave: () => void) => leaveGate.push(leave)
    const { socket: stream } = await dialWith(hop.target, how, options.proxy, { onGate, owned: true })
    try {
      const step = new HandshakeStep(stream, hop, settings, redirects)
      const limits = { clock, limitMs, signal: dial.signal, timeoutError: step.timeoutError }
      return { stream, answer: (await runPhase(limits, step.start)).value }
    } catch (error) {
      discard(stream)
      throw error
    }
  } finally {
    for (const leave of leaveGate ?? []) leave()
  }
}

/** The handshake with the store's part, as a step for `runPhase`. The stream is discarded by whoever runs it. */
class HandshakeStep implements Exchange {
  request: ClientRequest
  bytes: Uint8Array
  readonly peer: string
  readonly #stream: Duplex
  readonly #hop: Hop
  readonly #settings: HopSettings
  readonly #redirects: Redirects
  #handshake: ClientHandshake | null = null
  /** What went wrong already, while the store still takes its time. */
  #failure: Error | null = null
  #offering: Promise<void> | null = null
  #sentAt = 0
  #givenUp = false

  constructor(stream: Duplex, hop: Hop, settings: HopSettings, redirects: Redirects) {
    this.request = hop.request
    this.bytes = hop.bytes
    this.peer = peerName(hop.target)
    this.#stream = stream
    this.#hop = hop
    this.#settings = settings
    this.#redirects = redirects
  }

  get limits(): Partial<HeadLimits> | undefined {
    return this.#settings.options.headLimits
  }

  get compress(): CompressSettings | null {
    return this.#settings.compress
  }

  /** The most telling thing known when the time is over. */
  readonly timeoutError = (limitMs: number): Error => {
    const known = this.#failure ?? this.#handshake?.refusal
    return known ?? new ConnectionError('WS_HANDSHAKE_TIMEOUT', this.peer, { limitMs })
  }

  readonly start = (
    resolve: (answer: Opened | Redirected) => void,
    reject: (error: unknown) => void,
  ): (() => void) => {
    const cookies = cookieSource(this.#settings.options.cookieStore, this.#hop.target)
    if (cookies === null) {
      this.#exchange(resolve, reject)
    } else {
      storedCookies(cookies, this.peer)
        .then(stored => {
          if (this.#givenUp) return
          this.#add(stored)
          this.#exchange(resolve, reject)
        })
        .catch(reject)
    }
    return this.#giveUp
  }

  sent(): void {
    const { onEvent } = this.#settings.dial
    if (!isWanted(onEvent, 'request')) return
    tell(onEvent, { type: 'request', url: this.#hop.target.href, headers: headersOf(this.bytes) })
  }

  answered({ status, headers }: ResponseHead): void {
    const { dial, clock, options } = this.#settings
    const { target } = this.#hop
    if (isWanted(dial.onEvent, 'response')) {
      const ms = clock.now() - this.#sentAt
      tell(dial.onEvent, { type: 'response', url: target.href, status, headers, ms })
    }
    const cookies = cookieSource(options.cookieStore, target)
    if (cookies !== null) this.#offering = offerCookies(cookies, headers, () => this.#givenUp)
  }

  judge(head: ResponseHead): Hop | Refusal {
    const { left, maxRedirects } = this.#redirects
    return afterResponse(this.#hop, head, left, maxRedirects)
  }

  #add(stored: string): void {
    const { request } = this
    this.request = withCookies(request, stored)
    // Checked once more: a store's cookies are not the caller's.
    if (this.request !== request) this.bytes = encodeRequest(this.request)
  }

  #exchange(resolve: (answer: Opened | Redirected) => void, reject: (error: unknown) => void): void {
    this.#sentAt = this.#settings.clock.now()
    this.#handshake = new ClientHandshake(this.#stream, this)
    this.#handshake.start(
      answer => {
        if (this.#offering === null) resolve(answer)
        else this.#whenOffered(() => resolve(answer))
      },
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

  readonly #giveUp = (): void => {
    this.#givenUp = true
    this.#handshake?.giveUp()
  }
}
