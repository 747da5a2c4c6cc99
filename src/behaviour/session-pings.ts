import type { Clock } from '../transport/clock.js'
import { ConnectionError } from '../transport/connection-error.js'
import type { Payload } from '../transport/payload.js'
import type { EventStream } from './events.js'
import type { KeepaliveHost, KeepaliveSettings } from './keepalive.js'
import type { Session } from './session.js'

/** Sends the keepalive pings of one connection, and gives it up when nothing answers. */
export class SessionPings implements KeepaliveHost {
  readonly clock: Clock
  readonly #session: Session
  readonly #events: EventStream

  constructor(session: Session, events: EventStream, clock: Clock) {
    this.#session = session
    this.#events = events
    this.clock = clock
  }

  received(): number {
    return this.#session.socket.bytesReceived
  }

  paused(): boolean {
    // While closing, `closeTimeoutMs` is the limit, and nothing else.
    return this.#session.paused || !this.#session.open
  }

  ping(payload: Payload | undefined): Promise<number> {
    if (this.#session.open) this.#events.publish({ type: 'keepalive-ping' })
    return this.#session.socket.ping(payload)
  }

  missed(missed: number): void {
    this.#events.publish({ type: 'keepalive-miss', missed })
  }

  dead({ timeoutMs }: KeepaliveSettings): void {
    const { socket } = this.#session
    this.#session.error = new ConnectionError('WS_KEEPALIVE_TIMEOUT', socket.peer, { limitMs: timeoutMs })
    this.#session.dead = true
    socket.terminate()
  }
}
