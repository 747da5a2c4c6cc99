import type { Clock } from './clock.js'
import { ConnectionError } from './connection-error.js'
import { quiet } from './send-queue.js'

interface Waiting {
  readonly payload: Uint8Array
  readonly sentAt: number
  readonly resolve: (rttMs: number) => void
  readonly reject: (error: Error) => void
}

/** More pings than this are not waited for. The keepalive has one out at a time. */
const MAX_WAITING = 1024

/** Pings that wait for their pong. RFC 6455 5.5.3: a pong answers the ping with its payload, and all pings before that one. */
export class RoundTrips {
  readonly #clock: Clock
  readonly #peer: string
  #waiting: Waiting[] = []
  #count = 0

  constructor(clock: Clock, peer: string) {
    this.#clock = clock
    this.#peer = peer
  }

  /** True when no ping waits for its pong. */
  get atRest(): boolean {
    return this.#waiting.length === 0
  }

  /** A payload that no other ping has that waits for its pong. */
  payload(): Uint8Array {
    this.#count++
    return new Uint8Array(new Uint32Array([this.#count]).buffer)
  }

  /** A ping with this payload is being sent; settles with its round-trip time in milliseconds. */
  add(payload: Uint8Array): Promise<number> {
    const copy = Uint8Array.from(payload)
    return quiet(
      new Promise((resolve, reject) => {
        this.#waiting.push({ payload: copy, sentAt: this.#clock.now(), resolve, reject })
        // A peer may send data for ever, and never a pong.
        if (this.#waiting.length > MAX_WAITING)
          this.#waiting.shift()?.reject(new ConnectionError('WS_PONG_MISSING', this.#peer))
      }),
    )
  }

  /** A pong arrived. @returns the round-trip time of the ping it answers, null when it is unsolicited. */
  answer(payload: Uint8Array): number | null {
    const at = this.#waiting.findIndex(one => sameBytes(one.payload, payload))
    if (at < 0) return null
    const now = this.#clock.now()
    const answered = this.#waiting.splice(0, at + 1)
    for (const { sentAt, resolve } of answered) resolve(now - sentAt)
    return now - answered[at].sentAt
  }

  /** No pong will come any more. */
  fail(lost: () => Error): void {
    if (this.#waiting.length === 0) return
    const error = lost()
    for (const { reject } of this.#waiting) reject(error)
    this.#waiting = []
  }
}

function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, i) => byte === b[i])
}
