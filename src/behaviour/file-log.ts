// Strategy: a stream of Node's holds whatever it is given, without an end, and a disk can be slower than a connection. So
// lines wait here while the stream is full, up to a limit in bytes; what does not fit is counted and left out, and the file
// says so. A log that cannot be written is no reason to end a process: one warning, and silence.
import { createWriteStream } from 'node:fs'
import type { Writable } from 'node:stream'

/** How many characters may wait for a slow disk. */
const MAX_WAITING = 1024 * 1024

/** Appends lines to a file. */
export class FileLog {
  /** Settles when the file is closed, by `close()` or by an error; never rejects. */
  readonly closed: Promise<void>
  readonly #path: string
  readonly #file: Writable
  #waiting: string[] = []
  #waitingLength = 0
  #left = 0
  #full = false
  #ended = false

  /** @param file - stands in for the file; opened otherwise, and made if need be, for its owner's eyes only. */
  constructor(path: string, file: Writable = createWriteStream(path, { flags: 'a', mode: 0o600 })) {
    this.#path = path
    this.#file = file
    file.on('drain', () => this.#drain())
    file.on('error', error => this.#fail(error))
    this.closed = new Promise(done => {
      file.once('close', () => done())
    })
  }

  /** Appends a line, which has no line end yet. Does nothing after `close()` or an error. */
  append(line: string): void {
    if (this.#ended) return
    const text = `${line}\n`
    if (!this.#full) this.#full = !this.#file.write(text)
    else if (this.#waitingLength + text.length > MAX_WAITING) this.#left++
    else {
      this.#waiting.push(text)
      this.#waitingLength += text.length
    }
  }

  /** Writes what waits, and closes the file. @returns `closed`. */
  close(): Promise<void> {
    if (!this.#ended) {
      this.#ended = true
      this.#file.end(this.#takeWaiting())
    }
    return this.closed
  }

  #drain(): void {
    this.#full = false
    const text = this.#takeWaiting()
    if (text !== '' && !this.#ended) this.#full = !this.#file.write(text)
  }

  #takeWaiting(): string {
    if (this.#left > 0) this.#waiting.push(`sansocket: ${this.#left} lines were left out\n`)
    const text = this.#waiting.join('')
    this.#waiting = []
    this.#waitingLength = this.#left = 0
    return text
  }

  #fail(error: Error): void {
    this.#ended = true
    this.#takeWaiting()
    process.emitWarning(`the log ${this.#path} cannot be written: ${error.message}`, {
      type: 'SansocketWarning',
      code: 'WS_LOG_FILE',
    })
  }
}
