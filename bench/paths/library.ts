import type { Kind } from '../sample.js'

/** What is sent. */
export interface Load {
  readonly kind: Kind
  /** Of payload. */
  readonly bytes: number
}

/** An open connection of a contestant. */
export interface Connection {
  /** A function that sends so many messages, one after another, in the way users of the library do it. */
  sender(load: Load, count: number): () => void
  /** Bytes that were sent and that the operating system has not taken. */
  buffered(): number
  /** Sends a short text. */
  say(text: string): void
  /** Settles with the next message, a short text. */
  hear(): Promise<string>
  /**
   * Settles when so many messages have come. A text is counted up to the string, since that is what its user wants.
   *
   * @returns how many bytes, or characters, they had.
   */
  count(load: Load, messages: number): Promise<number>
  /** From now on what comes goes back. */
  echo(load: Load): void
  /** Settles when the connection was closed in order and is gone. */
  close(): Promise<unknown>
}

/** A contestant. */
export interface Library {
  connect(port: number): Promise<Connection>
  /** Serves; calls back for each connection. Not all can. @returns the port. */
  listen?(accept: (connection: Connection) => void): Promise<number>
}

/** What a user's handler is given: a text as a string, bytes otherwise. */
export type Data = string | { readonly length: number } | { readonly byteLength: number }

/** How long a message is, whatever it is. */
const lengthOf = (data: Data): number =>
  typeof data === 'string' || 'length' in data ? data.length : data.byteLength

/** What most have in common: they call back for each message. */
export abstract class Messages implements Connection {
  /** To be called for each message. */
  protected onMessage: (data: Data) => void = () => {}

  abstract sender(load: Load, count: number): () => void
  abstract buffered(): number
  abstract say(text: string): void
  abstract close(): Promise<unknown>
  protected abstract send(data: Data): void

  hear(): Promise<string> {
    return new Promise(resolve => {
      this.onMessage = data => resolve(data as string)
    })
  }

  count(_: Load, messages: number): Promise<number> {
    let left = messages
    let sum = 0
    return new Promise(resolve => {
      this.onMessage = data => {
        sum += lengthOf(data)
        if (--left === 0) resolve(sum)
      }
    })
  }

  echo(_load: Load): void {
    this.onMessage = data => this.send(data)
  }
}
