// Strategy: three accounts of one run, kept apart, so that they can be held against each other: what the network saw (bytes
// that it took, writes that were done), what the process says (its events), and what its user was told (callbacks, promises).
import type { Duplex } from 'node:stream'
import type { EndReason, Frame } from '../../src/index.js'
import type { PublishedEvent } from '../../src/behaviour/process-event.js'
import type { VirtualClock, VirtualLink } from '../../src/testing/index.js'
import { parseFrames } from './frames.js'

/** What became of a frame when it was given to the process, as far as its user can know. */
export type Acceptance =
  /** It has to be delivered or handed back. */
  | 'accepted'
  /** It may never be seen again. */
  | 'refused'
  /** It may be either, and once at most. */
  | 'unsure'

type OnWritten = (error: Error | null | undefined) => void

/** The bytes of one connection, as the network has them. */
class Account {
  readonly chunks: Uint8Array[] = []
  /** How many bytes were in writes that were done, and when. */
  readonly done: { readonly bytes: number; readonly atMs: number }[] = []
  endedAtMs = Infinity
  #written = 0

  constructor(link: VirtualLink, clock: VirtualClock) {
    link.onTaken = (bytes, direction) => {
      if (direction === 'to-server') this.chunks.push(bytes)
    }
    const stream: Duplex = link.clientEnd
    stream.once('close', () => {
      this.endedAtMs = clock.now()
    })
    const write = stream.write.bind(stream) as (chunk: Uint8Array, done: OnWritten) => boolean
    const watched = (chunk: Uint8Array, done?: OnWritten): boolean => {
      this.#written += chunk.length
      const bytes = this.#written
      return write(chunk, error => {
        // A stream that was destroyed says of a write that it was done, whether or not.
        if (!error && !stream.destroyed) this.done.push({ bytes, atMs: clock.now() })
        done?.(error)
      })
    }
    stream.write = watched as Duplex['write']
  }

  /** Where the frames begin: behind the request. */
  get frames(): { readonly bytes: Buffer; readonly at: number } | null {
    const bytes = Buffer.concat(this.chunks)
    const end = bytes.indexOf('\r\n\r\n')
    return end < 0 ? null : { bytes, at: end + 4 }
  }

  /**
   * True when the write that ended with this byte was done well before the connection ended.
   *
   * @param all - only when everything that was written by then was done.
   */
  surely(offset: number, all: boolean): boolean {
    const before = this.done.filter(({ atMs }) => atMs < this.endedAtMs)
    return before.some(({ bytes }) => bytes >= (all ? this.#written : offset))
  }
}

/** What one run did, in order, and what became of each frame. */
export class Story {
  readonly log: string[] = []
  readonly events: PublishedEvent[] = []
  readonly given = new Map<string, Acceptance>()
  readonly handed: string[][] = []
  readonly links: VirtualLink[] = []
  readonly #accounts: Account[] = []
  running = false
  overlaps = 0
  calls = 0
  terminated: EndReason[] = []
  afterTerminate = 0
  /** Sends whose promise has not settled. */
  pending = 0
  /** Messages that were handled without a credit. */
  unpaid = 0
  dials = 0

  /** Keeps the books of a link. */
  watch(link: VirtualLink, clock: VirtualClock): void {
    this.links.push(link)
    this.#accounts.push(new Account(link, clock))
  }

  handBack(frames: readonly Frame[]): void {
    this.handed.push(frames.map(idOf))
  }

  /** All that was handed back. */
  get unsent(): readonly string[] {
    return this.handed.flat()
  }

  /**
   * What the network took of the frames: whole messages, messages that it took a part of, and which it surely has.
   *
   * @param streams - a message in parts, and what waits behind it, is known to be whole a little late, so it is counted
   * with what was written after it.
   */
  taken(streams: boolean): {
    readonly whole: string[]
    readonly begun: Set<string>
    readonly sure: Set<string>
  } {
    const whole: string[] = []
    const begun = new Set<string>()
    const sure = new Set<string>()
    for (const account of this.#accounts) {
      const { frames } = account
      if (frames === null) continue
      let stream = ''
      for (const { opcode, fin, text, end } of framesIn(frames.bytes, frames.at)) {
        if (opcode > 2) continue
        const id = /^[a-z]+\d+(?= )/.exec(text)?.[0] ?? stream
        // The fragments of a stream belong together; those that were sent by hand are frames of their own.
        const ends = fin || !isStream(id)
        begun.add(id)
        stream = isStream(id) && !fin ? id : ''
        if (!ends) continue
        whole.push(id)
        if (account.surely(end, streams)) sure.add(id)
      }
    }
    return { whole, begun, sure }
  }
}

export const isStream = (id: string): boolean => id.startsWith('t')

const ids = new WeakMap<object, string>()

/** Gives a frame that has no text in it a name. */
export function named<F extends object>(frame: F, id: string): F {
  ids.set(frame, id)
  return frame
}

export function idOf(frame: Frame): string {
  if (typeof frame === 'string') return frame.split(' ')[0]
  return ids.get(frame) ?? String((frame as { readonly data: unknown }).data).split(' ')[0]
}

/** All frames but one that is cut at the end. */
function* framesIn(
  bytes: Uint8Array,
  from: number,
): Generator<{
  readonly opcode: number
  readonly fin: boolean
  readonly text: string
  readonly end: number
}> {
  for (let at = from; at + 2 <= bytes.length;) {
    const short = bytes[at + 1] & 0x7f
    const head = 2 + (short === 126 ? 2 : short === 127 ? 8 : 0) + 4
    if (at + head > bytes.length) return
    const length = short === 126 ? bytes[at + 2] * 256 + bytes[at + 3] : short
    const end = at + head + length
    if (end > bytes.length) return
    const [{ opcode, fin, payload }] = parseFrames(bytes.subarray(at, end))
    yield { opcode, fin, text: Buffer.from(payload).toString(), end }
    at = end
  }
}
