// Strategy: lines, not heads. Each chunk is walked once. A line that lies in one chunk is decoded straight
// from it; only the unfinished line at the end of a chunk is copied, and the next chunk goes on behind it. So
// each byte is looked at once however the bytes are cut, no memory is held but the lines that passed and one
// that is open, and a fault shows on its own line: the greeting of a mail server or a TLS hello fails at once
// instead of waiting for a blank line.
//
//   chunk --walk--> CR LF --decode--> first line --parseStartLine--> head
//                                     others ----parseHeaderLine--> head.headers
//                                     empty -----> { head, rest }
//
// Strict where leniency lets two parsers disagree about one head (RFC 9112 section 11.2): lines end in CRLF
// and nothing else; no NUL or other control, no folded line, no blank before a colon. What a fault is depends
// on the bytes before it only, so that any split of the input gives the same result.
import { byteClass, TEXT } from './grammar.js'
import { HandshakeError, type HandshakeErrorCode } from './handshake-error.js'
import { type HeadLimits, resolveHeadLimits } from './head-limits.js'
import type { HeaderList, RequestHead, ResponseHead } from './head.js'
import { decodeLatin1 } from './latin1.js'
import { parseHeaderLine, parseRequestLine, parseStatusLine } from './start-line.js'

const CR = 0x0d
const LF = 0x0a
const EMPTY = new Uint8Array(0)

/** A complete head. */
export interface HeadResult<Head> {
  readonly head: Head
  /** What followed the blank line: a view into the last chunk, the start of the frames or of a body. */
  readonly rest: Uint8Array
}

interface Kind<Head> {
  readonly parseStartLine: (line: string, headers: HeaderList) => Head | null
  readonly badStartLine: HandshakeErrorCode
  readonly startLineTooLong: HandshakeErrorCode
  /** The status of an error, where it is not the one of the table. */
  readonly status: number | null
  readonly blankLineFirst: boolean
  readonly isInterim: (head: Head) => boolean
}

const requestKind: Kind<RequestHead> = {
  parseStartLine: parseRequestLine,
  badStartLine: 'WS_HANDSHAKE_BAD_REQUEST_LINE',
  startLineTooLong: 'WS_HANDSHAKE_TARGET_TOO_LONG',
  status: null,
  // RFC 9112 2.2: a server should ignore at least one empty line before the request line.
  blankLineFirst: true,
  isInterim: () => false,
}

const responseKind: Kind<ResponseHead> = {
  parseStartLine: parseStatusLine,
  badStartLine: 'WS_HANDSHAKE_BAD_STATUS_LINE',
  startLineTooLong: 'WS_HANDSHAKE_HEAD_TOO_LARGE',
  status: 0,
  blankLineFirst: false,
  // RFC 9110 15.2: any number of 1xx responses (103 Early Hints) may come before the one that counts.
  isInterim: head => head.status < 200 && head.status !== 101,
}

/** Collects the bytes of one HTTP/1.1 head, cut in any way, within limits of size and number. */
export class HeadReader<Head extends RequestHead | ResponseHead> {
  readonly #kind: Kind<Head>
  readonly #limits: HeadLimits
  #headers: (readonly [string, string])[] = []
  #head: Head | null = null
  #complete = false
  #failure: HandshakeError | null = null
  #mayStartBlank: boolean
  #byteCount = 0
  // The unfinished line is #line[0, #lineLength), its CR left out.
  #line: Uint8Array = EMPTY
  #lineLength = 0
  #afterCr = false

  private constructor(kind: Kind<Head>, limits: Partial<HeadLimits> | undefined) {
    this.#kind = kind
    this.#limits = resolveHeadLimits(limits)
    this.#mayStartBlank = kind.blankLineFirst
  }

  /**
   * A reader for a server.
   * @throws InvalidHeadError for limits that make no sense
   */
  static forRequest(limits?: Partial<HeadLimits>): HeadReader<RequestHead> {
    return new HeadReader<RequestHead>(requestKind, limits)
  }

  /**
   * A reader for a client. Interim responses (1xx other than 101) are passed over; they count as part of the
   * head.
   * @throws InvalidHeadError for limits that make no sense
   */
  static forResponse(limits?: Partial<HeadLimits>): HeadReader<ResponseHead> {
    return new HeadReader<ResponseHead>(responseKind, limits)
  }

  /**
   * Takes the next bytes; `null` means that more are needed. `chunk` is neither changed nor kept, but `rest`
   * is a view into it. A reader is good for one head: after it, all bytes are `rest`; after a failure, each
   * call fails again.
   * @throws HandshakeError for a head that is malformed or over a limit
   */
  receive(chunk: Uint8Array): HeadResult<Head> | null {
    if (this.#failure !== null) throw this.#failure
    if (this.#complete) return { head: this.#head!, rest: chunk }
    const end = Math.min(chunk.length, this.#limits.maxHeadBytes - this.#byteCount)
    this.#byteCount += end
    let lineStart = 0
    let at = 0
    while (at < end) {
      if (!this.#afterCr) {
        while (at < end && (byteClass[chunk[at]] & TEXT) !== 0) at++
        if (at === end) break
        // RFC 9112 2.2: a bare LF may be taken for a line's end; we don't, like Node. RFC 9110 5.5: no
        // controls.
        if (chunk[at++] !== CR) this.#fail('WS_HANDSHAKE_BAD_BYTE')
        this.#afterCr = true
      } else {
        if (chunk[at++] !== LF) this.#fail('WS_HANDSHAKE_BAD_BYTE')
        this.#afterCr = false
        // Where the CR came with the chunk before, this one adds nothing to the line.
        const line = this.#takeLine(chunk, lineStart, Math.max(lineStart, at - 2))
        lineStart = at
        if (this.#acceptLine(line)) return { head: this.#head!, rest: chunk.subarray(at) }
      }
    }
    this.#keep(chunk, lineStart, this.#afterCr ? end - 1 : end)
    if (end < chunk.length) {
      this.#fail(this.#head === null ? this.#kind.startLineTooLong : 'WS_HANDSHAKE_HEAD_TOO_LARGE')
    }
    return null
  }

  /** Takes a line without its end; whether it was the one that ends the head. */
  #acceptLine(line: string): boolean {
    if (this.#head === null) {
      const mayBeBlank = this.#mayStartBlank
      this.#mayStartBlank = false
      if (line === '' && mayBeBlank) return false
      this.#head = this.#kind.parseStartLine(line, this.#headers)
      if (this.#head === null) this.#fail(this.#kind.badStartLine)
      return false
    }
    if (line === '') {
      this.#complete = !this.#kind.isInterim(this.#head)
      if (this.#complete) return true
      this.#head = null
      this.#headers = []
      return false
    }
    const count = this.#headers.length
    if (count >= this.#limits.maxHeaders) this.#fail('WS_HANDSHAKE_TOO_MANY_HEADERS')
    this.#headers.push(parseHeaderLine(line) ?? this.#fail('WS_HANDSHAKE_BAD_HEADER', `line ${count + 2}`))
    return false
  }

  #takeLine(chunk: Uint8Array, start: number, end: number): string {
    if (this.#lineLength === 0) return decodeLatin1(chunk, start, end)
    this.#keep(chunk, start, end)
    const length = this.#lineLength
    this.#lineLength = 0
    return decodeLatin1(this.#line, 0, length)
  }

  #keep(chunk: Uint8Array, start: number, end: number): void {
    if (end <= start) return
    const length = this.#lineLength + end - start
    if (length > this.#line.length) {
      // Doubling keeps the copying linear. An unfinished line is never longer than a head may be.
      const capacity = Math.min(Math.max(256, length, this.#line.length * 2), this.#limits.maxHeadBytes)
      const line = new Uint8Array(capacity)
      line.set(this.#line.subarray(0, this.#lineLength))
      this.#line = line
    }
    this.#line.set(chunk.subarray(start, end), this.#lineLength)
    this.#lineLength = length
  }

  #fail(code: HandshakeErrorCode, detail?: string): never {
    const { status } = this.#kind
    const failure = new HandshakeError(code, {
      ...(detail === undefined ? {} : { detail }),
      ...(status === null ? {} : { status, headers: [] }),
    })
    this.#failure = failure
    this.#line = EMPTY
    throw failure
  }
}
