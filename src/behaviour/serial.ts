// Strategy: one thing at a time. What comes from the connection waits in the inbox, what comes from elsewhere in the
// mailbox; the inbox goes first, and reading stops while it is full. A received frame that finds nothing in its way does not
// come here at all: the process handles it at once (`free`), with no queue, no promise and no closure.
//
//   connection ─▶ inbox ─┐
//                        ├─▶ run(item) ─▶ promise? wait : next
//   cast, call … ─▶ mailbox (casts wait while not connected)
import { Fifo } from './fifo.js'
import type { Message } from '../protocol/index.js'

/** What comes from the connection, in order. */
export type InboxItem =
  | { readonly kind: 'frame'; readonly message: Message }
  | { readonly kind: 'ping'; readonly data: Uint8Array }
  | { readonly kind: 'pong'; readonly data: Uint8Array; readonly rttMs: number | null }
  | { readonly kind: 'drain' }
  | { readonly kind: 'connection'; readonly run: () => Promise<void> | null }

/** What comes from elsewhere. */
export type MailItem = (
  | { readonly kind: 'cast'; readonly message: unknown }
  | { readonly kind: 'message'; readonly run: () => Promise<void> | null }
) & {
  /** When it was posted, compared with others. */
  order?: number
}

/** What the queues ask of their process. */
export interface SerialHost {
  /** Handles one item; a promise, which never rejects, when it goes on for longer. */
  run(item: InboxItem | MailItem): Promise<void> | null
  /** True while messages may be delivered. */
  hasCredits(): boolean
  /** True while casts may be delivered. */
  takesCasts(): boolean
  /** Stops or goes on reading from the connection. Going on may deliver at once. */
  read(on: boolean): void
}

const MAX_BYTES = 1024 * 1024

/** How many items all processes together handle before timers and sockets have their turn. */
const TURN_ITEMS = 10_000
let handled = 0
const refresh = (): void => {
  handled = 0
}

/** Counts one more; true when it is time to let go. Who posts to itself for ever must not stop the program. */
function tired(): boolean {
  if (handled === 0) setImmediate(refresh)
  return ++handled > TURN_ITEMS
}

/** The queues of one process. */
export class Serial {
  readonly #host: SerialHost
  readonly #maxInbox: number
  readonly #inbox = new Fifo<InboxItem>()
  readonly #mailbox = new Fifo<MailItem>()
  /** Apart from the others, since they wait for a connection. */
  readonly #casts = new Fifo<MailItem>()
  #posted = 0
  #inboxBytes = 0
  #reading = true
  /** From the beginning, until there is a state. */
  #waiting = true
  #looping = false
  #scheduled = false
  #interrupt: (() => void) | null = null
  #ended = false
  /** True when the connection has ended: what it brought is delivered without credits. */
  #draining = false

  constructor(host: SerialHost, maxInbox: number) {
    this.#host = host
    this.#maxInbox = maxInbox
  }

  /** True when nothing is handled any more. */
  get ended(): boolean {
    return this.#ended
  }

  /** True when nothing waits, nothing runs, and nothing keeps anything from it. */
  get atRest(): boolean {
    return this.free && this.#reading && !this.#scheduled && !this.#draining && this.mailboxLength === 0
  }

  /** How many things have come from elsewhere so far. */
  get posted(): number {
    return this.#posted
  }

  /** True when a message may be handled right now. */
  get free(): boolean {
    if (this.#waiting || this.#looping || this.#interrupt !== null) return false
    return this.#inbox.length === 0 && !this.#ended
  }

  /** How many messages wait that did not come from the connection. */
  get mailboxLength(): number {
    return this.#mailbox.length + this.#casts.length
  }

  /** There is a state: callbacks may run. */
  begin(): void {
    this.#waiting = false
    this.schedule()
  }

  /** Something came from the connection and cannot be handled now. */
  receive(item: InboxItem): void {
    if (this.#ended) return
    this.#inbox.push(item)
    if (item.kind === 'frame') this.#inboxBytes += item.message.data.length
    if (this.#reading && (this.#inbox.length >= this.#maxInbox || this.#inboxBytes >= MAX_BYTES)) {
      this.#reading = false
      this.#host.read(false)
    }
    this.schedule()
  }

  /** The connection has ended; this is the last that comes from it. */
  finish(item: InboxItem): void {
    this.#draining = true
    this.receive(item)
  }

  /** Another connection begins. */
  restart(): void {
    this.#draining = false
    this.#reading = true
  }

  /** Drops what was received and not delivered. */
  dropFrames(): void {
    const rest = this.#inbox.clear()
    this.#inboxBytes = 0
    for (const item of rest) if (item.kind === 'connection') this.#inbox.push(item)
  }

  /** Something came from elsewhere. */
  post(item: MailItem): void {
    if (this.#ended) return
    item.order = ++this.#posted
    if (item.kind === 'cast') this.#casts.push(item)
    else this.#mailbox.push(item)
    this.schedule()
  }

  /** A handler that was called directly goes on for longer: nothing else happens until its promise settles. */
  wait(promise: Promise<unknown>): void {
    this.#waiting = true
    const go = (): void => {
      this.#waiting = false
      this.#loop()
    }
    promise.then(go, go)
  }

  /** Runs `interrupt` as soon as no callback runs any more, before everything that waits. */
  interrupt(interrupt: () => void): void {
    this.#interrupt = interrupt
    this.schedule()
  }

  /** Looks for work once what runs now is done. */
  schedule(): void {
    if (this.#scheduled || this.#waiting || this.#looping || this.#ended) return
    this.#scheduled = true
    queueMicrotask(this.#onScheduled)
  }

  /** Nothing is handled any more. */
  end(): void {
    this.#ended = true
    this.#interrupt = null
    this.#inbox.clear()
    this.#mailbox.clear()
    this.#casts.clear()
  }

  readonly #onScheduled = (): void => {
    this.#scheduled = false
    this.#loop()
  }

  #loop(): void {
    if (this.#looping || this.#waiting || this.#ended) return
    this.#looping = true
    try {
      while (!this.#waiting && !this.#ended) {
        if (this.#interrupt !== null) {
          const interrupt = this.#interrupt
          this.#interrupt = null
          interrupt()
          continue
        }
        if (tired()) {
          this.#scheduled = true
          setImmediate(this.#onScheduled)
          break
        }
        const item = this.#next()
        if (item === undefined) break
        const promise = this.#host.run(item)
        if (promise !== null) this.wait(promise)
      }
    } finally {
      this.#looping = false
    }
    // Outside of the loop, so that what comes now is handled at once.
    if (this.#inbox.length === 0) this.#read()
  }

  #next(): InboxItem | MailItem | undefined {
    const received = this.#fromInbox()
    if (received !== undefined) return received
    // More may have been read already, and goes first.
    if (!this.#reading && this.#inbox.length === 0) {
      this.#read()
      const more = this.#fromInbox()
      if (more !== undefined) return more
    }
    const cast = this.#casts.peek()
    const other = this.#mailbox.peek()
    const castFirst = other === undefined || (cast !== undefined && cast.order! < other.order!)
    if (cast !== undefined && castFirst && this.#host.takesCasts()) return this.#casts.shift()
    if (other !== undefined) return this.#mailbox.shift()
    return undefined
  }

  #fromInbox(): InboxItem | undefined {
    const item =
      this.#draining || this.#host.hasCredits()
        ? this.#inbox.shift()
        : this.#inbox.take(({ kind }) => kind !== 'frame')
    if (item?.kind === 'frame') this.#inboxBytes -= item.message.data.length
    return item
  }

  #read(): void {
    if (this.#reading) return
    this.#reading = true
    this.#host.read(true)
  }
}
