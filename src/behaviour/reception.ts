// Strategy: what a connection brings, on its way to the callbacks. A message that finds nothing in its way goes straight to
// `handleFrame`, from within the socket's read; everything else waits in the inbox of Serial, in the order it came.
import { type CloseFrame, type Message, UsageError } from '../protocol/index.js'
import type { Socket } from '../transport/socket.js'
import type { Callbacks } from './callbacks.js'
import type { EventStream } from './events.js'
import type { Rest } from './rest.js'
import { type InboxItem, type MailItem, Serial, type SerialHost } from './serial.js'
import type { Session } from './session.js'
import type { ProcessSettings } from './start-options.js'

/** What reception belongs to. */
export interface ReceptionHost {
  readonly callbacks: Callbacks
  readonly events: EventStream
  readonly settings: ProcessSettings
  session(): Session | null
  /** True while casts may be delivered. */
  takesCasts(): boolean
  deliverCast(message: unknown): Promise<void> | null
}

/** Takes what the connections of one process bring. */
export class Reception implements SerialHost {
  readonly serial: Serial
  readonly #host: ReceptionHost
  readonly #silencePings: boolean
  #credits: number
  #rttMs: number | null = null

  constructor(host: ReceptionHost) {
    const { flow, silencePings, maxQueuedMessages } = host.settings
    this.#host = host
    this.#credits = flow
    this.#silencePings = silencePings
    this.serial = new Serial(this, maxQueuedMessages)
  }

  hasCredits(): boolean {
    return this.#credits > 0
  }

  takesCasts(): boolean {
    return this.#host.takesCasts()
  }

  /** The last round-trip time in milliseconds; null when no ping was answered yet. */
  get rttMs(): number | null {
    return this.#rttMs
  }

  /** How many messages may still be delivered. */
  get credits(): number {
    return this.#credits
  }

  /** Goes on after a rest. */
  resume({ credits, rttMs }: Rest): void {
    this.#credits = credits
    this.#rttMs = rttMs
  }

  /** More messages may be delivered. @throws UsageError `WS_BAD_OPTION`. */
  addCredits(credits: number): void {
    if (!(typeof credits === 'number' && credits >= 0)) {
      throw new UsageError('WS_BAD_OPTION', 'credits must be a number of at least 0')
    }
    this.#credits += credits
    this.serial.schedule()
  }

  /** Takes what this socket brings. */
  listen(socket: Socket): void {
    socket.onMessage = this.#onMessage
    socket.onPing = this.#onPing
    socket.onPong = this.#onPong
    socket.onClosing = this.#onClosing
    socket.outgoing.onCloseSent = this.#onCloseSent
  }

  // V8 makes a function that is written as the value of a property (`x.onPing = …`) in old space, where it keeps what it
  // knows until a major collection. These are made where they are young.
  readonly #onPing = (data: Uint8Array): void => {
    if (this.serial.ended) return
    const { events, callbacks } = this.#host
    events.publish({ type: 'ping-in', data })
    if (!this.#silencePings && callbacks.behaviour.handlePing !== undefined) {
      this.serial.receive({ kind: 'ping', data })
    }
  }

  readonly #onPong = (data: Uint8Array, rttMs: number | null): void => {
    if (this.serial.ended) return
    const { events, callbacks } = this.#host
    events.publish({ type: 'pong-in', data })
    if (rttMs !== null) this.#rttMs = rttMs
    if (!this.#silencePings && callbacks.behaviour.handlePong !== undefined) {
      this.serial.receive({ kind: 'pong', data, rttMs })
    }
  }

  readonly #onClosing = (frame: CloseFrame): void => this.#host.events.publish({ type: 'close-in', frame })

  readonly #onCloseSent = (frame: CloseFrame): void => this.#host.events.publish({ type: 'close-out', frame })

  readonly #onMessage = (message: Message): void => {
    if (!this.serial.free || this.#credits <= 0) {
      this.serial.receive({ kind: 'frame', message })
      return
    }
    const promise = this.#frame(message)
    if (promise !== null) this.serial.wait(promise)
  }

  #frame(message: Message): Promise<void> | null {
    // What is drained after the end needs none.
    if (this.#credits > 0 && this.#credits !== Infinity) this.#credits--
    const { events, callbacks } = this.#host
    if (events.wants('frame-in')) events.publish({ type: 'frame-in', frame: message })
    return callbacks.frame(message)
  }

  /** Handles one item. */
  run(item: InboxItem | MailItem): Promise<void> | null {
    const { callbacks, events } = this.#host
    switch (item.kind) {
      case 'frame':
        return this.#frame(item.message)
      case 'ping':
        return callbacks.call('handlePing', (one, state, self) => one.handlePing?.(item.data, state, self))
      case 'pong': {
        const { data, rttMs } = item
        const pong = { rttMs, solicited: rttMs !== null }
        return callbacks.call('handlePong', (one, state, self) => one.handlePong?.(data, state, pong, self))
      }
      case 'drain':
        events.publish({ type: 'drain' })
        return callbacks.call('handleDrain', (one, state, self) => one.handleDrain?.(state, self))
      case 'cast':
        return this.#host.deliverCast(item.message)
      default:
        return item.run()
    }
  }

  /** Stops or goes on reading. */
  read(on: boolean): void {
    const session = this.#host.session()
    if (session === null) return
    session.paused = !on
    if (on) session.socket.resume()
    else session.socket.pause()
  }
}
