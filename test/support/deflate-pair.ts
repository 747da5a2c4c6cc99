// Two connections joined in memory that compress, and what goes between them. Whoever is busy in the thread pool is waited
// for, so unlike `pair()` this is asynchronous.
import { type CompressOptions, PerMessageDeflate, resolveCompress } from '../../src/extensions/index.js'
import type { DeflateAgreement } from '../../src/extensions/negotiation.js'
import { Connection } from '../../src/protocol/connection.js'
import type { ConnectionOptions } from '../../src/protocol/connection-options.js'
import type { ProtocolEvent } from '../../src/protocol/event.js'
import type { Role } from '../../src/protocol/opcode.js'
import { concat, type Frame, parseFrames } from './frames.js'
import { OWN_KEY } from './pair.js'

/** Everything as it is when nobody asks for anything. */
export const PLAIN: DeflateAgreement = {
  serverNoContextTakeover: false,
  clientNoContextTakeover: false,
  serverMaxWindowBits: 15,
  clientMaxWindowBits: 15,
}

/** One end. */
export class DeflateEnd {
  readonly connection: Connection
  readonly transform: PerMessageDeflate
  readonly events: ProtocolEvent[] = []
  #wake: (() => void) | null = null

  constructor(
    role: Role,
    agreement: Partial<DeflateAgreement> = {},
    compress: CompressOptions = {},
    options: ConnectionOptions = {},
  ) {
    const settings = resolveCompress({ threshold: 0, ...compress })!
    this.transform = new PerMessageDeflate(role, { ...PLAIN, ...agreement }, settings)
    const all = { ...options, transform: this.transform }
    this.connection =
      role === 'client'
        ? new Connection('client', { maskKey: () => OWN_KEY, ...all })
        : new Connection('server', all)
    this.transform.onReady = () => {
      this.connection.advance()
      this.#wake?.()
    }
  }

  /** Takes bytes, as a socket would bring them, and pulls what there is; `events` grows. */
  receive(...chunks: readonly Uint8Array[]): void {
    for (const chunk of chunks) {
      this.connection.receive(chunk.slice())
      this.pull()
    }
  }

  pull(): void {
    for (let event = this.connection.nextEvent(); event !== null; event = this.connection.nextEvent())
      this.events.push(event)
  }

  /** Settles when nothing is in the thread pool any more, in either direction. */
  async idle(): Promise<void> {
    this.pull()
    while (this.connection.decoding || this.connection.encoded < this.connection.accepted) {
      await new Promise<void>(resolve => {
        this.#wake = resolve
      })
      this.pull()
    }
  }

  /** All that is to be written, once it is ready. */
  async output(): Promise<Uint8Array> {
    await this.idle()
    return concat(this.connection.takeOutput())
  }

  /** The same as frames. */
  async frames(): Promise<Frame[]> {
    return parseFrames(await this.output())
  }

  /** Gives back what it holds. */
  close(): void {
    this.transform.close()
  }
}

/** Carries what one end has written to the other, cut where `cut` says; settles when it is all read. */
export async function carry(
  from: DeflateEnd,
  to: DeflateEnd,
  cut: (bytes: Uint8Array) => Iterable<Uint8Array> = bytes => [bytes],
): Promise<void> {
  const bytes = await from.output()
  for (const chunk of cut(bytes)) to.receive(chunk)
  await to.idle()
}
