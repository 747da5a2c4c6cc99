// Strategy: what a slow reader does not get. With `whenBufferFull: 'drop'` a message that does not fit behind what waits already is
// not sent, whole or not at all: of one in fragments whose first was sent no other can be left out, since no message may follow
// before its end (5.4), so a reader that is too slow for that one loses its connection. Control frames are small and tell
// whether anybody is there: they go, up to a number.
import { type CheckedFrame, frameBytes } from './frame.js'

/** What becomes of a frame. */
export type Fate = 'send' | 'drop' | 'close'

/** The most that a header takes. */
const HEADER_BYTES = 14
/** So many control frames, of at most 131 bytes, may be sent while there is no room for anything else. */
const MAX_CONTROLS = 512

/** Decides which frames of one connection are dropped. */
export class DropPolicy {
  readonly #maxBytes: number
  #controls = 0
  /** The beginning of a message in fragments was dropped, and its end was not there yet. */
  #skipping = false

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes
  }

  /** True while the rest of a message in fragments is still to be dropped. */
  get skipping(): boolean {
    return this.#skipping
  }

  /** @param waiting - how many bytes wait already. Where none do, every message fits. */
  decide(frame: CheckedFrame, waiting: number): Fate {
    const { type } = frame
    if (type === 'close') return 'send'
    const part = type === 'continuation' || type === 'finish'
    if (part && this.#skipping) {
      this.#skipping = type !== 'finish'
      return 'drop'
    }
    if (waiting === 0 || waiting + sizeOf(frame, this.#maxBytes - waiting) <= this.#maxBytes) {
      this.#controls = 0
      return 'send'
    }
    if (type === 'ping' || type === 'pong') return ++this.#controls > MAX_CONTROLS ? 'drop' : 'send'
    if (part) return 'close'
    this.#skipping = type === 'fragment'
    return 'drop'
  }
}

/** How many bytes it takes; texts are only measured where that matters. */
function sizeOf(frame: CheckedFrame, room: number): number {
  const bytes = HEADER_BYTES + frameBytes(frame)
  const { data } = frame as { readonly data?: unknown }
  if (typeof data !== 'string' || bytes > room || 3 * bytes <= room) return bytes
  return HEADER_BYTES + Buffer.byteLength(data)
}
