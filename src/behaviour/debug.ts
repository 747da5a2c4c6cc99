// Strategy: each switch is one listener of the process's event stream, so what is off is not there, and a listener that
// fails takes none of the others with it. The names are those of Erlang's `sys`, which WebSockex hands its options to.
import { UsageError } from '../protocol/usage-error.js'
import { eventText } from './event-text.js'
import { EventRing } from './event-ring.js'
import type { EventStream } from './events.js'
import { FileLog } from './file-log.js'
import type { PublishedEvent } from './process-event.js'
import { type Statistics, StatisticsCounter } from './statistics.js'
import { printLine } from './tracing.js'

/** What is switched on from the start on. WebSockex: `debug`. */
export type DebugOption =
  | 'trace'
  /** The same as `{ log: 10 }`. */
  | 'log'
  | { readonly log: number }
  | 'statistics'
  | { readonly logToFile: string }

// erlang sys: 10.
const DEFAULT_DEPTH = 10

type Off = () => void

/**
 * Looks into a running process; each part is switched on and off at any time, in every phase. All of it off costs nothing.
 * Lines are for people: their form may change in any release. Secrets in them are masked.
 */
export class Debug {
  readonly #events: EventStream
  #trace: Off | null = null
  #log: Off | null = null
  #ring: EventRing | null = null
  #statistics: Off | null = null
  #counter: StatisticsCounter | null = null
  #logToFile: Off | null = null
  #subscribers = 0
  /** Files that are open, or on their way to be closed. */
  #files: Set<FileLog> | null = null
  #closed = false

  /** @internal Nothing is on. */
  constructor(events: EventStream) {
    this.#events = events
  }

  /** True when anything is on. */
  get enabled(): boolean {
    const switches = [this.#trace, this.#log, this.#statistics, this.#logToFile]
    return this.#subscribers > 0 || switches.some(off => off !== null)
  }

  /** Prints one line per event, to standard error or to a function of yours. */
  trace(on: boolean | ((line: string) => void)): void {
    if (typeof on !== 'boolean' && typeof on !== 'function')
      throw badOption('trace takes a boolean or a function')
    this.#trace?.()
    this.#trace = null
    if (on === false) return
    const print = on === true ? printLine : on
    this.#trace = this.#events.subscribe(event => print(eventText(event)))
  }

  /**
   * Keeps the last events, and with them their payloads. `true` is 10; another number keeps what fits of those there are.
   *
   * @throws UsageError `WS_BAD_OPTION` for anything but a positive integer or a boolean.
   */
  log(depth: number | boolean): void {
    const kept = depth === true ? DEFAULT_DEPTH : depth
    requireDepth(kept)
    this.#log?.()
    this.#log = null
    const ring = kept === false ? null : new EventRing(kept, this.getLog())
    this.#ring = ring
    if (ring !== null) this.#log = this.#events.subscribe(event => ring.push(event))
  }

  /** The events that were kept, the oldest first. Empty when the log is off. */
  getLog(): readonly PublishedEvent[] {
    return this.#ring?.list() ?? []
  }

  /** Begins to count, from zero; or ends it. Does nothing when it is on already. */
  statistics(on: boolean): void {
    if (typeof on !== 'boolean') throw badOption('statistics takes a boolean')
    if (on === (this.#counter !== null)) return
    this.#statistics?.()
    this.#statistics = this.#counter = null
    if (!on) return
    const counter = new StatisticsCounter(this.#events.now())
    this.#counter = counter
    this.#statistics = this.#events.subscribe(({ event }) => counter.count(event))
  }

  /** What was counted; null when statistics are off. */
  getStatistics(): Statistics | null {
    return this.#counter?.read(this.#events.now()) ?? null
  }

  /**
   * Appends one line per event to a file, which is made if need be, for its owner's eyes only; `null` ends that. It is
   * closed at the end of the process. What goes wrong is said once, in a warning `WS_LOG_FILE` of the whole program.
   *
   * @throws UsageError `WS_BAD_OPTION` for a path that is none.
   */
  logToFile(path: string | null): void {
    requirePath(path)
    this.#logToFile?.()
    this.#logToFile = null
    if (path === null || this.#closed) return
    const file = new FileLog(path)
    const unsubscribe = this.#events.subscribe(event => {
      // A process's clock says nothing about the time of day, and a file is read later.
      file.append(`${new Date().toISOString()} ${eventText(event)}`)
    })
    const off = (): void => {
      unsubscribe()
      void file.close()
    }
    this.#logToFile = off
    const files = (this.#files ??= new Set())
    files.add(file)
    void file.closed.then(() => {
      files.delete(file)
      unsubscribe()
      // It could not be written.
      if (this.#logToFile === off) this.#logToFile = null
    })
  }

  /**
   * Listens to every event of this process.
   *
   * @returns a function that ends that. What the listener throws is thrown again as an uncaught error, not in the process.
   */
  subscribe(listener: (event: PublishedEvent) => void): () => void {
    if (typeof listener !== 'function') throw badOption('subscribe takes a function')
    let unsubscribe: Off | null = this.#events.subscribe(listener)
    this.#subscribers++
    return () => {
      if (unsubscribe === null) return
      unsubscribe()
      unsubscribe = null
      this.#subscribers--
    }
  }

  /** Switches trace, log, statistics and the file off. */
  off(): void {
    this.trace(false)
    this.log(false)
    this.statistics(false)
    this.logToFile(null)
  }

  /**
   * The process has ended: closes the file, for good. Log and statistics can still be read.
   *
   * @internal
   * @returns a promise that settles when all lines are in their files, and never rejects.
   */
  async close(): Promise<void> {
    this.#closed = true
    this.logToFile(null)
    await Promise.all([...(this.#files ?? [])].map(file => file.close()))
  }

  /** @internal Switches on what was asked for, see `requireDebugOptions`. */
  switchOn(options: readonly DebugOption[]): void {
    for (const option of options) this.#apply(option)
  }

  #apply(option: DebugOption): void {
    if (option === 'trace') this.trace(true)
    else if (option === 'log') this.log(true)
    else if (option === 'statistics') this.statistics(true)
    else if ('log' in option) this.log(option.log)
    else this.logToFile(option.logToFile)
  }
}

/**
 * Checks the option `debug` of `start()`, before anything is done for it.
 *
 * @returns what was given; an empty list for undefined.
 * @throws UsageError `WS_BAD_OPTION` for anything but a list of {@link DebugOption}.
 */
export function requireDebugOptions(given: unknown): readonly DebugOption[] {
  if (given === undefined) return []
  if (!Array.isArray(given)) throw badOption('debug must be a list')
  for (const option of given as readonly unknown[]) requireDebugOption(option)
  return given as readonly DebugOption[]
}

function requireDebugOption(option: unknown): void {
  if (option === 'trace' || option === 'log' || option === 'statistics') return
  if (typeof option === 'object' && option !== null) {
    const entries = Object.entries(option)
    if (entries.length === 1) {
      const [[name, value]] = entries as [string, unknown][]
      if (name === 'log' && typeof value === 'number') return requireDepth(value)
      if (name === 'logToFile' && typeof value === 'string') return requirePath(value)
    }
  }
  throw badOption("each must be 'trace', 'log', { log: n }, 'statistics' or { logToFile: path }")
}

function requireDepth(depth: number | false): void {
  if (depth !== false && !(Number.isSafeInteger(depth) && depth > 0))
    throw badOption('log must be a positive integer')
}

function requirePath(path: string | null): void {
  if (path !== null && (typeof path !== 'string' || path === '' || path.includes('\0')))
    throw badOption('logToFile must be the path of a file')
}

const badOption = (what: string): UsageError => new UsageError('WS_BAD_OPTION', `debug: ${what}`)
