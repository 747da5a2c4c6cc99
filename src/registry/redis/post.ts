// Strategy: messages between nodes. Each node listens on a channel of its own. A message has a number, and whoever gets it
// replies with what became of it, so that the sender knows, instead of hoping: what Redis did not carry, or was carried to a
// node that is dead, is not confirmed. A message is delivered at most once, however often it comes.
import { type Clock, after } from './clock.js'
import { type Body, type Envelope, parseEnvelope, type Reply } from './envelope.js'
import { within } from './lease.js'
import type { RedisPort } from './redis-client.js'
import { SeenIds } from './seen-ids.js'

/** As many heartbeats as make a lease. */
const MAX_UNHEARD = 3

/** What post needs. */
export interface PostSettings {
  readonly port: RedisPort
  readonly node: string
  /** The beginning of each channel. */
  readonly channels: string
  readonly timeoutMs: number
  readonly clock: Clock
}

/** Nodes that a message went to, and how many listened there. */
export type Sent = readonly (readonly [node: string, listeners: number])[]

/** In place of the nodes that a message went to. */
export const UNKNOWN = ''

/** What became of a message. */
export interface Outcome {
  /** Nodes that it went to. */
  readonly nodes: number
  readonly replies: readonly Reply[]
}

/** Somebody else's bytes must not end this program, whatever they are. */
const ignore = (): void => {}

interface Waiting {
  readonly replies: Map<string, Reply>
  changed: () => void
}

/** The messages of one node to others, and theirs to it. */
export class Post {
  readonly #settings: PostSettings
  readonly #deliver: (body: Body) => Promise<Omit<Reply, 'type'>>
  readonly #seen = new SeenIds()
  readonly #waiting = new Map<number, Waiting>()
  #count = 0
  #close: () => void = () => {}
  #closed = false
  /** How often the lease was renewed since something came. */
  #unheard = 0

  /** @param deliver - for what comes. */
  constructor(settings: PostSettings, deliver: (body: Body) => Promise<Omit<Reply, 'type'>>) {
    this.#settings = settings
    this.#deliver = deliver
  }

  /** The beginning of each channel. */
  get channels(): string {
    return this.#settings.channels
  }

  /** Begins to listen. @throws (rejects) RegistryError `WS_REGISTRY_UNREACHABLE`. */
  async open(): Promise<void> {
    const { port, channels, node, timeoutMs, clock } = this.#settings
    const subscription = port.subscribe(channels + node, text => void this.#receive(text).catch(ignore))
    this.#close = () => subscription.close()
    await within(subscription.ready, timeoutMs, clock)
  }

  /** The lease was renewed, which should be heard here too. */
  renewed(): void {
    if (++this.#unheard <= MAX_UNHEARD) return
    // A connection that only listens does not notice that nothing comes through any more.
    this.#unheard = 0
    this.#close()
    this.open().catch(() => {})
  }

  /** Listens no more. Who waits for replies has waited long enough. */
  close(): void {
    this.#closed = true
    this.#close()
    for (const { changed } of this.#waiting.values()) changed()
  }

  /**
   * Sends a message, and waits for what those who listen reply.
   *
   * @param send - hands it to Redis.
   * @param extraMs - more time for the replies.
   * @throws (rejects) what `send` rejects with.
   */
  async send(body: Body, send: (text: string) => Promise<Sent>, extraMs = 0): Promise<Outcome> {
    const id = ++this.#count
    const envelope: Envelope = { ...body, from: this.#settings.node, id }
    // Replies may come before it is known of whom.
    const waiting: Waiting = { replies: new Map(), changed: () => {} }
    this.#waiting.set(id, waiting)
    try {
      const sent = await send(JSON.stringify(envelope))
      const listening = sent.filter(([, listeners]) => listeners > 0).map(([node]) => node)
      // One is asked, whoever that is.
      const enough = body.type === 'ask' ? 1 : Infinity
      await this.#all(waiting, listening, enough, this.#settings.timeoutMs + extraMs)
      // When it is not known who was told: who replied was.
      const nodes = new Set([...sent.map(([node]) => node), ...waiting.replies.keys()])
      return { nodes: nodes.size, replies: [...waiting.replies.values()] }
    } finally {
      this.#waiting.delete(id)
    }
  }

  /** Waits until these have replied, or so many. */
  #all(waiting: Waiting, nodes: readonly string[], enough: number, timeoutMs: number): Promise<void> {
    return new Promise(resolve => {
      const done = (): void => {
        cancel()
        resolve()
      }
      const cancel = after(this.#settings.clock, timeoutMs, done)
      const changed = (): void => {
        const { replies } = waiting
        if (this.#closed || replies.size >= enough || nodes.every(node => replies.has(node))) done()
      }
      waiting.changed = changed
      changed()
    })
  }

  async #receive(text: string): Promise<void> {
    this.#unheard = 0
    const envelope = this.#closed ? null : parseEnvelope(text)
    if (envelope === null) return
    const { from, id } = envelope
    if (envelope.type === 'reply') {
      const waiting = this.#waiting.get(id)
      waiting?.replies.set(from, envelope)
      waiting?.changed()
      return
    }
    if (!this.#seen.add(from, id)) return
    const { port, node, channels } = this.#settings
    const reply: Envelope = { ...(await this.#deliver(envelope)), type: 'reply', from: node, id }
    // Who does not hear of it counts it as not confirmed, which it is.
    port.publish(channels + from, JSON.stringify(reply)).catch(() => {})
  }
}
