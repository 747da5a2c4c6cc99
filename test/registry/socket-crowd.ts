// Strategy: the clients of cluster-sockets.test.ts, real sockets that come again, elsewhere, when their connection ends. Each wants
// a name; some names are wanted by two. Each is in two groups. They let the nodes say something at random, and write down what
// they hear, by connection.
import { connect, type Socket } from '../../src/index.js'
import type { Random } from '../../src/testing/random.js'
import { below } from './members.js'

const GROUPS = 40
/** So many pairs of clients want the same name. */
const RIVALS = 100
const CONNECTING = 50

/** One connection of one client. */
export interface Connection {
  readonly id: string
  readonly client: number
  /** Where it leads to. */
  readonly url: string
  readonly name: string
  readonly groups: readonly string[]
  /** Whether it was told that it has its name. */
  named: boolean
  /** What it heard, and how often. */
  readonly heard: Map<string, number>
  /** When it ended, and how: null while it lives. */
  endedMs: number | null
  readonly socket: Socket
}

/** All clients. */
export class Crowd {
  readonly open = new Set<Connection>()
  readonly all: Connection[] = []
  /** How many connections ended because another had their name. */
  conflicts = 0
  readonly groups: readonly string[] = Array.from({ length: GROUPS }, (_, i) => `g${i}`)
  readonly names: readonly string[]
  readonly size: number
  /** Where clients can go. */
  urls: readonly string[]
  readonly #random: Random
  #count = 0
  #tries = 0
  #timer: NodeJS.Timeout | null = null
  #closed = false

  constructor(size: number, urls: readonly string[], random: Random) {
    this.size = size
    this.urls = urls
    this.#random = random
    this.names = Array.from({ length: size - RIVALS }, (_, i) => `n${i}`)
  }

  /** Everybody comes, evenly spread. */
  async come(): Promise<void> {
    let next = 0
    const some = async (): Promise<void> => {
      for (let client = next++; client < this.size; client = next++) {
        await this.#connect(client, this.urls[client % this.urls.length])
      }
    }
    await Promise.all(Array.from({ length: CONNECTING }, some))
  }

  /** Begins to talk. */
  talk(everyMs: number): void {
    this.#timer = setInterval(() => {
      const kind = ['send', 'send', 'send', 'publish', 'broadcast'][below(this.#random, 5)]
      const to = kind === 'send' ? this.names : this.groups
      this.say([...this.open][below(this.#random, this.open.size)], kind, to[below(this.#random, to.length)])
    }, everyMs)
  }

  /** Says no more. */
  rest(): void {
    if (this.#timer !== null) clearInterval(this.#timer)
  }

  /** Lets the node of a client say something. @returns which message it is. */
  say(by: Connection | undefined, kind: string, to: string): string {
    const id = `m${++this.#count}`
    by?.socket.write(`${kind} ${to} ${id}`)
    return id
  }

  /** Some leave, and come again. */
  stir(): void {
    for (const one of this.open) if (below(this.#random, 4) === 0) void one.socket.close()
  }

  async leave(): Promise<void> {
    this.#closed = true
    this.rest()
    for (const { socket } of this.open) socket.terminate()
    await Promise.all([...this.open].map(({ socket }) => socket.closed))
  }

  async #connect(client: number, url: string): Promise<void> {
    const name = this.names[client] ?? this.names[client - this.names.length]
    const groups = [client, client * 7 + 1 + Math.floor(client / GROUPS)].map(i => this.groups[i % GROUPS])
    const id = `${client}.${++this.#tries}`
    const query = new URLSearchParams({ id, name })
    for (const group of groups) query.append('group', group)
    let socket: Socket
    try {
      socket = await connect(`${url}/?${query.toString()}`)
    } catch {
      return this.#later(client)
    }
    const common = { id, client, url, name, groups: [...new Set(groups)], socket }
    const connection: Connection = { ...common, named: false, heard: new Map(), endedMs: null }
    this.all.push(connection)
    this.open.add(connection)
    socket.onMessage = ({ data }) => {
      const message = String(data)
      if (message === 'named') connection.named = true
      else connection.heard.set(message, (connection.heard.get(message) ?? 0) + 1)
    }
    void socket.closed.then(({ received }) => {
      if (received?.reason === 'name-conflict') this.conflicts++
      connection.endedMs = Date.now()
      this.open.delete(connection)
      return this.#later(client)
    })
  }

  async #later(client: number): Promise<void> {
    await new Promise(done => setTimeout(done, 50 + below(this.#random, 300)))
    if (!this.#closed) await this.#connect(client, this.urls[below(this.#random, this.urls.length)])
  }
}
