// Strategy: the packets of a TCP handshake without the packets. One latency to the server; there it is answered, or waits as
// long as there is no answer, and is asked again when that may have changed (`retry`); one latency back, and the client has
// its link. The server hears of it one latency later (lane.ts). Given up, it leaves no timer.
import type { Duplex } from 'node:stream'
import type { Timer } from '../transport/clock.js'
import type { ResolvedConditions } from './link-conditions.js'
import { NetworkError } from './network-error.js'
import type { NetworkEvent } from './network-event.js'
import type { Random } from './random.js'
import type { VirtualClock } from './virtual-clock.js'
import type { ConnectAttempt } from './virtual-server.js'

/** What an attempt to connect needs. */
export interface KnockOwner {
  readonly clock: VirtualClock
  readonly random: Random
  readonly peer: string
  conditions(): ResolvedConditions
  answer(): 'open' | 'refused' | 'none'
  /** Makes the link; the client's end is returned. */
  open(): Duplex
  tell(type: NetworkEvent['type']): void
  done(knock: Knock): void
}

/** One attempt to connect. */
export class Knock {
  /** What is told of it: an object of its own, as lists of them outlive the stream. */
  readonly attempt: ConnectAttempt
  /** The client's end, when there is one. */
  readonly stream: Promise<Duplex>
  readonly #owner: KnockOwner
  readonly #signal: AbortSignal
  readonly #told: { readonly atMs: number; outcome: ConnectAttempt['outcome'] }
  #timer: Timer | null = null
  /** At the server, without an answer. */
  #waiting = false
  #resolve!: (stream: Duplex) => void
  #reject!: (error: unknown) => void

  constructor(owner: KnockOwner, signal: AbortSignal) {
    this.#owner = owner
    this.#signal = signal
    this.attempt = this.#told = { atMs: owner.clock.now(), outcome: 'waiting' }
    this.stream = new Promise((resolve, reject) => {
      this.#resolve = resolve
      this.#reject = reject
    })
    owner.tell('connect')
    signal.addEventListener('abort', this.#giveUp, { once: true })
    // Not at once: whoever keeps the list of those who wait must have it first.
    process.nextTick(() => this.#travel(this.#arrive))
  }

  /** The answer may be another one now. */
  retry(): void {
    if (!this.#waiting) return
    this.#waiting = false
    this.#arrive()
  }

  /** Whatever the answer would have been. */
  refuse(): void {
    if (this.#told.outcome === 'waiting') this.#settle('refused', () => this.#reject(this.#refusal()))
  }

  /** What it waits for, for a message. */
  toString(): string {
    return `a connection to ${this.#owner.peer} is being made since ${this.attempt.atMs} ms`
  }

  /** At the server. */
  readonly #arrive = (): void => {
    const answer = this.#owner.answer()
    if (answer === 'none') this.#wait()
    else this.#travel(answer === 'open' ? this.#return : this.#refused)
  }

  /** Back at the client, with good news, if the server is still there. */
  readonly #return = (): void => {
    const answer = this.#owner.answer()
    if (answer === 'none') this.#wait()
    else if (answer === 'refused') this.#refused()
    else this.#settle('open', () => this.#resolve(this.#owner.open()))
  }

  readonly #refused = (): void => {
    this.#owner.tell('refused')
    this.refuse()
  }

  #wait(): void {
    if (!this.#waiting) this.#owner.tell('unanswered')
    this.#waiting = true
  }

  readonly #giveUp = (): void => {
    if (this.#told.outcome !== 'waiting') return
    this.#settle('abandoned', () => this.#reject(this.#signal.reason))
  }

  /** Goes on after the latency of one way. */
  #travel(next: () => void): void {
    if (this.#told.outcome !== 'waiting') return
    const owner = this.#owner
    const latencyMs = owner.random.from(owner.conditions().latencyMs)
    if (latencyMs === 0) {
      next()
      return
    }
    this.#timer = owner.clock.setTimeout(() => {
      this.#timer = null
      next()
    }, latencyMs)
  }

  #settle(outcome: ConnectAttempt['outcome'], answer: () => void): void {
    this.#told.outcome = outcome
    this.#waiting = false
    if (this.#timer !== null) this.#owner.clock.clearTimeout(this.#timer)
    this.#timer = null
    this.#signal.removeEventListener('abort', this.#giveUp)
    this.#owner.done(this)
    answer()
  }

  #refusal(): NetworkError {
    return new NetworkError('ECONNREFUSED', this.#owner.peer)
  }
}
