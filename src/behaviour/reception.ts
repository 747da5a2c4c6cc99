// Strategy: what a connection brings, on its way to the callbacks. A message that finds nothing in its way goes straight to
// `handleFrame`, from within the socket's read; everything else waits in the inbox of Serial, in the order it came.
import { type Message, UsageError } from '../protocol/index.js'
import type { Socket } from '../transport/socket.js'
import type { Callbacks } from './callbacks.js'
import type { EventStream } from './events.js'
import { type InboxItem, type MailItem, Serial } from './serial.js'
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
export class Reception {
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
    const serialHost = {
      run: (item: InboxItem | MailItem) => this.#run(item),
      hasCredits: () => this.#credits > 0,
      takesCasts: () => host.takesCasts(),
      read: (on: boolean) => this.#read(on),
    }
    this.serial = new Serial(serialHost, maxQueuedMessages)
  }

  /** The last round-trip time in milliseconds; null when no ping was answered yet. */
  get rttMs(): number | null {
    return this.#rttMs
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
    const { events, callbacks } = this.#host
    socket.onMessage = this.#onMessage
    socket.onPing = data => {
      if (this.serial.ended) return
      events.publish({ type: 'ping-in', data })
      if (!this.#silencePings && callbacks.behaviour.handlePing !== undefined) {
        this.serial.receive({ kind: 'ping', data })
      }
    }
    socket.onPong = (data, rttMs) => {
      if (this.serial.ended) return
      events.publish({ type: 'pong-in', data })
      if (rttMs !== null) this.#rttMs = rttMs
      if (!this.#silencePings && callbacks.behaviour.handlePong !== undefined) {
        this.serial.receive({ kind: 'pong', data, rttMs })
      }
    }
    socket.onClosing = frame => events.publish({ type: 'close-in', frame })
    socket.outgoing.onCloseSent = frame => events.publish({ type: 'close-out', frame })
  }

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
    if (this.#credits > 0) this.#credits--
    const { events, callbacks } = this.#host
    if (events.wants('frame-in')) events.publish({ type: 'frame-in', frame: message })
    return callbacks.frame(message)
  }

  #run(item: InboxItem | MailItem): Promise<void> | null {
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

  #read(on: boolean): void {
    const session = this.#host.session()
    if (session === null) return
    session.paused = !on
    if (on) session.socket.resume()
    else session.socket.pause()
  }
}
