// Strategy: what is sent to many is gathered until the end of the tick, once for all of them: the frames of all messages are one
// buffer, and each member gets one write of it. Whoever sends to a process in particular, closes it, or changes who the
// members are, has what waits go first; so the order of the calls is the order on every wire, and nobody gets what was sent
// before it came. A lone message leaves at the end of the tick that it was sent in, and waits for nothing.
//
//   broadcast(members, message) ─▶ batch ──end of tick, or flushBroadcasts()──▶ each member: writeAll(batch) ─▶ how many took it
import type { MessageTransform, PreparedMessage } from '../protocol/index.js'
import { throwLater } from '../transport/throw-later.js'
import { recipientOf } from './process-handles.js'
import type { AnyProcess } from './process.js'

/** Messages for the same members, in order. */
export class Batch {
  readonly members: Iterable<AnyProcess>
  readonly messages: PreparedMessage[] = []
  /** Settles when they have gone, with how many members took them. */
  readonly gone: Promise<number>
  #bytes = 0
  #settle!: (recipients: number) => void
  /** The frames of all messages, joined, by what they were joined from. */
  readonly #joined: { readonly parts: readonly Uint8Array[]; readonly bytes: Uint8Array }[] = []

  constructor(members: Iterable<AnyProcess>) {
    this.members = members
    this.gone = new Promise(resolve => (this.#settle = resolve))
  }

  /** Bytes of all messages. */
  get bytes(): number {
    return this.#bytes
  }

  /** One more message. */
  add(message: PreparedMessage): void {
    this.messages.push(message)
    this.#bytes += message.payload.length
  }

  /** They go. */
  write(): void {
    let recipients = 0
    for (const member of this.members) {
      try {
        if (recipientOf(member).writeAll(this)) recipients++
      } catch (error) {
        // The others get theirs.
        throwLater(error)
      }
    }
    this.#settle(recipients)
  }

  /** A server's frames of all messages, as they go through this transform; null when one of them takes a while. */
  frames(transform: MessageTransform | null): Uint8Array | null {
    const { messages } = this
    if (messages.length === 1) return messages[0].serverFrame(transform)
    const parts: Uint8Array[] = []
    for (const message of messages) {
      const frame = message.serverFrame(transform)
      if (frame === null) return null
      parts.push(frame)
    }
    const known = this.#joined.find(one => one.parts.every((part, i) => part === parts[i]))
    if (known !== undefined) return known.bytes
    const bytes = Buffer.concat(parts)
    this.#joined.push({ parts, bytes })
    return bytes
  }
}

/** Who gets what is sent to many. */
export interface Recipient {
  /** @returns false when it takes no whole messages now. */
  writeAll(batch: Batch): boolean
}

/** With so much gathered, it goes at once. */
const MAX_BYTES = 256 * 1024

let batches: Batch[] = []

/**
 * Sends a message to many at the end of the tick. The members may not change before that without `flushBroadcasts()`.
 *
 * @returns how many got it, when it has gone.
 */
export function broadcast(members: Iterable<AnyProcess>, message: PreparedMessage): Promise<number> {
  if (batches.length === 0) process.nextTick(flushBroadcasts)
  let batch = batches.at(-1)
  if (batch?.members !== members) batches.push((batch = new Batch(members)))
  batch.add(message)
  if (batch.bytes > MAX_BYTES) flushBroadcasts()
  return batch.gone
}

/** Everything that was sent to many goes now. */
export function flushBroadcasts(): void {
  if (batches.length === 0) return
  const all = batches
  batches = []
  for (const batch of all) batch.write()
}
