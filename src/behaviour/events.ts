// Strategy: an event costs nothing until somebody asks for it. Whoever makes one asks `wants()` first, and that reads two
// fields: the list of this process's listeners, and whether the channel of the type has a subscriber. Frames come first,
// with their channels in constants: found by its name in a table, a channel costs 9 ns, so it costs less than one.
//
// Secrets are masked here, before anybody sees the event: a subscriber that logs what it gets is the rule and not the
// exception. What fails in a listener never reaches the process.
import type { Clock } from '../transport/clock.js'
import { throwLater } from '../transport/throw-later.js'
import { CHANNELS, type ProcessEventType } from './channels.js'
import { maskEvent } from './masked-event.js'
import type { AnyProcess } from './process.js'
import type { ProcessEvent, PublishedEvent } from './process-event.js'
import { traceByEnvironment } from './tracing.js'

type Listener = (event: PublishedEvent) => void

const NONE: readonly { readonly listener: Listener }[] = []
const FRAME_IN = CHANNELS['frame-in']
const FRAME_OUT = CHANNELS['frame-out']

/** The events of one process, on their way to whoever asked for them. */
export class EventStream {
  readonly #process: AnyProcess
  readonly #id: string
  readonly #clock: Clock
  readonly #startedAt: number
  #sinks = NONE

  /**
   * Reads `DEBUG` and `NODE_DEBUG`, the first time.
   *
   * @param id - the name of the process, or what stands for one.
   * @param startedAt - when the process began, by its clock.
   */
  constructor(process: AnyProcess, id: string, clock: Clock, startedAt: number = clock.now()) {
    this.#process = process
    this.#id = id
    this.#clock = clock
    this.#startedAt = startedAt
    traceByEnvironment()
  }

  /** True when nobody listens to this process in particular. */
  get quiet(): boolean {
    return this.#sinks.length === 0
  }

  /** Milliseconds by the process's clock. */
  now(): number {
    return this.#clock.now()
  }

  /** True when somebody listens to events of this type. Cheap enough for every frame. */
  wants(type: ProcessEventType): boolean {
    if (this.#sinks.length > 0) return true
    if (type === 'frame-in') return FRAME_IN.hasSubscribers
    if (type === 'frame-out') return FRAME_OUT.hasSubscribers
    return CHANNELS[type].hasSubscribers
  }

  /** Tells listeners, in the order in which they came, and then the channel. Never throws, whatever they do or the event holds. */
  publish(event: ProcessEvent): void {
    const channel = CHANNELS[event.type]
    const sinks = this.#sinks
    if (sinks.length === 0 && !channel.hasSubscribers) return
    const at = this.#clock.now()
    const published: PublishedEvent = {
      process: this.#process,
      id: this.#id,
      at,
      elapsedMs: at - this.#startedAt,
      event: maskEvent(event),
    }
    for (const { listener } of sinks) {
      try {
        listener(published)
      } catch (error) {
        throwLater(error)
      }
    }
    channel.publish(published)
  }

  /** Listens to every event of this process. @returns a function that ends that, and may be called again. */
  subscribe(listener: Listener): () => void {
    // An object of its own: one function may listen twice.
    const sink = { listener }
    this.#sinks = [...this.#sinks, sink]
    return () => {
      const left = this.#sinks.filter(one => one !== sink)
      this.#sinks = left.length === 0 ? NONE : left
    }
  }
}
