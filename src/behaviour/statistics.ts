import type { Message } from '../protocol/index.js'
import { type CheckedFrame, frameBytes } from './frame.js'
import type { ProcessEvent } from './process-event.js'

/** What a process did since its statistics were switched on. Times are in milliseconds by the process's clock. */
export interface Statistics {
  /** When they were switched on. */
  readonly startedAt: number
  /** When they were asked for. */
  readonly now: number
  /** Data messages received. */
  readonly framesIn: number
  /** Frames given to `send`, `write` or a result's `reply`, once they were sent. */
  readonly framesOut: number
  /** Frames that were dropped, see the server's option `whenBufferFull`. */
  readonly framesDropped: number
  /** Bytes of payload in `framesIn`; for texts, of their UTF-8. */
  readonly bytesIn: number
  /** Bytes of payload in `framesOut`, without those of frames that come from an iterable. */
  readonly bytesOut: number
  /** Pings received. */
  readonly pingsIn: number
  /** Pongs received, those that answer the keepalive too. */
  readonly pongsIn: number
  /** Pings that the keepalive sent. */
  readonly keepalivePings: number
  /** Pings that nothing followed in time. */
  readonly keepaliveMisses: number
  /** `casts`, `calls` and `infos` together. */
  readonly messagesIn: number
  /** Messages for `handleCast`. */
  readonly casts: number
  /** Messages for `handleCall`. */
  readonly calls: number
  /** Messages for `handleInfo`. */
  readonly infos: number
  /** Connections that were opened. */
  readonly opens: number
  /** Connections lost and attempts failed. */
  readonly disconnects: number
  /** Attempts to connect again. */
  readonly reconnects: number
}

const ZERO = {
  framesIn: 0,
  framesOut: 0,
  framesDropped: 0,
  bytesIn: 0,
  bytesOut: 0,
  pingsIn: 0,
  pongsIn: 0,
  keepalivePings: 0,
  keepaliveMisses: 0,
  casts: 0,
  calls: 0,
  infos: 0,
  opens: 0,
  disconnects: 0,
  reconnects: 0,
}

type Counter = Exclude<keyof typeof ZERO, 'bytesIn' | 'bytesOut'>

/** Which counter goes up by one. */
const COUNTERS: Readonly<Partial<Record<ProcessEvent['type'], Counter>>> = {
  'frame-in': 'framesIn',
  'frame-out': 'framesOut',
  drop: 'framesDropped',
  'ping-in': 'pingsIn',
  'pong-in': 'pongsIn',
  'keepalive-ping': 'keepalivePings',
  'keepalive-miss': 'keepaliveMisses',
  cast: 'casts',
  call: 'calls',
  info: 'infos',
  open: 'opens',
  disconnect: 'disconnects',
  reconnect: 'reconnects',
}

/** Counts events. */
export class StatisticsCounter {
  readonly #startedAt: number
  readonly #counts = { ...ZERO }

  /** @param startedAt - now, by the process's clock. */
  constructor(startedAt: number) {
    this.#startedAt = startedAt
  }

  /** Takes note of one event. */
  count(event: ProcessEvent): void {
    const counter = COUNTERS[event.type]
    if (counter === undefined) return
    this.#counts[counter]++
    if (event.type === 'frame-in') this.#counts.bytesIn += payloadBytes(event.frame)
    else if (event.type === 'frame-out') this.#counts.bytesOut += payloadBytes(event.frame)
  }

  /** What was counted so far. @param now - by the process's clock. */
  read(now: number): Statistics {
    const { casts, calls, infos } = this.#counts
    return { startedAt: this.#startedAt, now, ...this.#counts, messagesIn: casts + calls + infos }
  }
}

function payloadBytes(frame: Message | CheckedFrame): number {
  if ('data' in frame && typeof frame.data === 'string') return Buffer.byteLength(frame.data)
  return frameBytes(frame)
}
