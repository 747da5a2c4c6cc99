import type { Message } from '../protocol/index.js'

const MAX_BYTES = 1024 * 1024

interface Reader {
  readonly resolve: (result: IteratorResult<Message, undefined>) => void
  readonly reject: (error: Error) => void
}

/**
 * Messages that nobody has taken yet, and readers that wait for one: never both at once. What is behind it is told to
 * stop (`full`) long before memory matters.
 */
export class Inbox {
  readonly #maxMessages: number
  #messages: Message[] = []
  #bytes = 0
  #readers: Reader[] = []
  #ended = false
  #error: Error | null = null

  constructor(maxMessages: number) {
    this.#maxMessages = maxMessages
  }

  get empty(): boolean {
    return this.#messages.length === 0
  }

  /** True when neither a message nor a reader waits. */
  get atRest(): boolean {
    return this.empty && this.#readers.length === 0 && !this.#ended
  }

  get full(): boolean {
    return this.#messages.length >= this.#maxMessages || this.#bytes >= MAX_BYTES
  }

  /** Gives the message to the reader that waits longest (true), or keeps it (false). */
  put(message: Message): boolean {
    const reader = this.#readers.shift()
    if (reader !== undefined) {
      reader.resolve({ value: message, done: false })
      return true
    }
    this.#messages.push(message)
    this.#bytes += message.data.length
    return false
  }

  /** Throws away what nobody has taken. */
  clear(): void {
    this.#messages = []
    this.#bytes = 0
  }

  /** The oldest message. */
  take(): Message | undefined {
    const message = this.#messages.shift()
    if (message !== undefined) this.#bytes -= message.data.length
    return message
  }

  /** The next message, or the end once the last one was taken. */
  next(): Promise<IteratorResult<Message, undefined>> {
    const value = this.take()
    if (value !== undefined) return Promise.resolve({ value, done: false })
    if (this.#ended) {
      return this.#error === null
        ? Promise.resolve({ value: undefined, done: true })
        : Promise.reject(this.#error)
    }
    return new Promise((resolve, reject) => this.#readers.push({ resolve, reject }))
  }

  /** No message will come any more: readers end, or one of them fails with `error`. */
  end(error: Error | null): void {
    if (this.#ended) return
    this.#ended = true
    this.#error = error
    for (const reader of this.#readers) {
      if (error === null) reader.resolve({ value: undefined, done: true })
      else reader.reject(error)
    }
    this.#readers = []
  }
}
