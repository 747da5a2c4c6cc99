// Strategy: every peer, whatever it is written in, speaks about the same things, so the two suites beside this file
// (`as-client.ts`, `as-server.ts`) are written once. A peer that serves behaves as the path of the request says; a peer that
// connects works through a list of actions and tells what it heard. Both sides know these paths:
//
//   /echo        sends every message back        /fragments   the same, in fragments
//   /ping        pings; when the pong is there, says so       /head        says what it read in the request
//   /close?code=4000&reason=bye (no code: an empty frame)     /terminate   drops the connection at the first message
//   /refuse      is answered with 401
import { createHash } from 'node:crypto'
import type { Test } from 'tap'

/** A text or a binary message. */
export type Data = string | Uint8Array

export interface Close {
  readonly code: number
  readonly reason: string
}

/** Files and texts of a certificate, and of the authority to trust. */
export interface Tls {
  readonly cert: string
  readonly key: string
  readonly ca: string
}

/** A server of somebody else, for our `connect()`. It ends with the test. */
export interface PeerServer {
  readonly url: string
  /** How the next of its connections ended, as it saw it. */
  nextClose(): Promise<Close>
}

export type StartServer = (t: Test, tls: Tls | null) => Promise<PeerServer>

export type Action =
  | { readonly do: 'send'; readonly data: Data }
  /** As fragments, cut wherever it may be. */
  | { readonly do: 'send-fragments'; readonly parts: readonly Uint8Array[]; readonly text: boolean }
  | { readonly do: 'receive'; readonly count: number }
  /** Waits for the pong. */
  | { readonly do: 'ping'; readonly data: string }
  | { readonly do: 'close'; readonly code?: number; readonly reason?: string }
  | { readonly do: 'terminate' }
  | { readonly do: 'await-close' }

/** What a client of somebody else is to do. */
export interface Talk {
  readonly url: string
  readonly ca: string | null
  readonly subprotocols?: readonly string[]
  readonly headers?: Readonly<Record<string, string>>
  readonly actions: readonly Action[]
}

/** What a client of somebody else saw. */
export interface Heard {
  /** The status of a refusal; 0 when the client does not tell; null when the connection was opened. */
  readonly refused: number | null
  readonly subprotocol: string
  /** As agreed on. */
  readonly extensions: string
  readonly messages: readonly Data[]
  readonly close: Close | null
}

/** A client of somebody else, for our `listen()` and `attach()`. */
export interface PeerClient {
  /** What it can do besides the usual. */
  readonly can: { readonly fragments: boolean; readonly terminate: boolean }
  /** Connects, does what the talk says, and resolves when its connection is gone. */
  talk(talk: Talk): Promise<Heard>
}

const bytes = (length: number): Uint8Array => Uint8Array.from({ length }, (_, i) => (i * 31) ^ (i >> 8))

const MIB = 1024 * 1024

/** One message of every kind; the lengths stand on both sides of where the header grows. */
export const SAMPLES: readonly Data[] = [
  '',
  'hello',
  'x'.repeat(125),
  'x'.repeat(126),
  'é'.repeat(32_767) + 'x',
  'é'.repeat(32_768),
  'zero \0, two é, three 你好, four 🌍, and a mark \ufeff',
  'ab🌍'.repeat(MIB / 6),
  new Uint8Array(0),
  bytes(256),
  bytes(65_535),
  bytes(65_536),
  bytes(MIB),
]

/** A text whose fragments begin and end inside characters. */
export const CUT_TEXT = 'pieces of 🌍🌍 and 你好'

/** Three parts: the first and the second end inside a character when `CUT_TEXT` is cut. */
export const cut = (whole: Uint8Array): readonly [Uint8Array, Uint8Array, Uint8Array] => [
  whole.subarray(0, 12),
  whole.subarray(12, 17),
  whole.subarray(17),
]

/** Text as it is, bytes as UTF-8. */
export const utf8 = (data: Data): Uint8Array =>
  typeof data === 'string' ? new TextEncoder().encode(data) : data

/** A message as it reads well in a failed assertion; long ones by their digest. */
export const describe = (data: Data): string => {
  const type = typeof data === 'string' ? 'text' : 'binary'
  const content = utf8(data)
  if (content.length > 256) {
    return `${type} of ${content.length} bytes, ${createHash('sha256').update(content).digest('hex')}`
  }
  return `${type} ${typeof data === 'string' ? JSON.stringify(data) : Buffer.from(data).toString('hex')}`
}

/** What happens here and is awaited there, in order. */
export class Queue<T> {
  readonly #values: T[] = []
  readonly #waiting: ((value: T) => void)[] = []

  put(value: T): void {
    const resolve = this.#waiting.shift()
    if (resolve === undefined) this.#values.push(value)
    else resolve(value)
  }

  next(): Promise<T> {
    const value = this.#values.shift()
    return value === undefined ? new Promise(resolve => this.#waiting.push(resolve)) : Promise.resolve(value)
  }
}
