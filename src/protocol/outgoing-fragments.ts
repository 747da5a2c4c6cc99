import { allocate } from './runtime.js'
import { UsageError } from './usage-error.js'
import { checkUtf8, UTF8_INVALID, UTF8_START } from './utf8.js'

/** The place of a fragment in its message. */
export type FragmentKind = 'text' | 'binary' | 'continuation'

/**
 * Keeps the order of fragments that the user sends (5.4) and the text among them whole (8.1: UTF-8 as a message, not as
 * a fragment): bytes are checked across fragments, and a surrogate pair cut between two strings is joined.
 */
export class OutgoingFragments {
  #kind: 'text' | 'binary' | null = null
  #utf8 = UTF8_START
  #surrogate = ''

  /** True while a message has begun and not ended. */
  get unfinished(): boolean {
    return this.#kind !== null
  }

  /**
   * Admits the next fragment and returns what to write for it.
   *
   * @throws UsageError `WS_BAD_SEQUENCE` or `WS_BAD_DATA`; the state is then as before.
   */
  next(kind: FragmentKind, data: string | Uint8Array, fin: boolean): string | Uint8Array {
    if (kind !== 'text' && kind !== 'binary' && kind !== 'continuation') {
      throw new UsageError(
        'WS_BAD_SEQUENCE',
        `a fragment is text, binary or continuation, not ${String(kind)}`,
      )
    }
    if ((kind === 'continuation') !== this.unfinished) {
      const problem = this.unfinished
        ? 'a fragmented message is not finished'
        : 'there is no message to continue'
      throw new UsageError('WS_BAD_SEQUENCE', problem)
    }
    const message = kind === 'continuation' ? this.#kind : kind
    if (message === 'text') data = this.#text(data, fin)
    else if (typeof data === 'string')
      throw new UsageError('WS_BAD_DATA', 'a fragment of a binary message takes bytes')
    this.#kind = fin ? null : message
    return data
  }

  #text(data: string | Uint8Array, fin: boolean): string | Uint8Array {
    if (typeof data === 'string') {
      if (this.#utf8 !== UTF8_START)
        throw new UsageError('WS_BAD_DATA', 'a string inside a character begun in bytes')
      const text = this.#surrogate + data
      const cut = !fin && isHighSurrogate(text.charCodeAt(text.length - 1)) ? 1 : 0
      this.#surrogate = text.slice(text.length - cut)
      return cut === 0 ? text : text.slice(0, -1)
    }
    const state = checkUtf8(this.#utf8, data, 0, data.length)
    if (state === UTF8_INVALID || (fin && state !== UTF8_START)) {
      throw new UsageError('WS_BAD_DATA', 'a fragment of a text message is not valid UTF-8')
    }
    this.#utf8 = fin ? UTF8_START : state
    if (this.#surrogate === '') return data
    // The other half never came: it is sent as U+FFFD, as a lone surrogate anywhere is.
    this.#surrogate = ''
    const joined = allocate(data.length + 3)
    joined.set([0xef, 0xbf, 0xbd])
    joined.set(data, 3)
    return joined
  }
}

function isHighSurrogate(unit: number): boolean {
  return unit >= 0xd800 && unit <= 0xdbff
}
