// Where messages are kept while servers come and go: what a database and its notifications would be. It lives in the parent of
// the servers, which reach it over the channel that `fork()` gives; each end is a class here. It keeps the messages of each
// client in order, each number once, and numbers what a client is to receive.
import type { ChildProcess } from 'node:child_process'

/** A message as its client numbered it. */
export interface Posting {
  readonly client: string
  /** Which of the client's connections this came over. What a later one has replaced may write nothing any more. */
  readonly connection: number
  /** From 1 on, without gaps. */
  readonly n: number
  readonly text: string
  /** It was sent before, and nobody knows whether it arrived. */
  readonly again: boolean
}

/** A message as it is received. */
export interface StoredEvent {
  /** From 1 on, without gaps, for each receiver. */
  readonly seq: number
  readonly from: string
  readonly text: string
}

/** Who wants to hear what. */
export interface Subscription {
  readonly client: string
  readonly connection: number
  /** The last number that was received. */
  readonly after: number
}

/** `refused`: one before it is missing, or a later connection of the client has taken over. */
export type Stored = 'stored' | 'known' | 'refused'

type ToStore =
  | { readonly append: Posting; readonly id: number }
  | { readonly subscribe: Subscription; readonly id: number }
type FromStore =
  { readonly id: number; readonly stored: Stored } | { readonly id: number; readonly event: StoredEvent }

interface Account {
  /** What it has sent: number 1 first. */
  readonly sent: string[]
  readonly inbox: StoredEvent[]
  connection: number
  deliver: (event: StoredEvent) => void
}

/** The store itself. */
export class Store {
  /** Messages that came twice, and were kept once. */
  repeated = 0
  /** Those among them that were sent as new: there must be none. */
  unannounced = 0
  readonly #accounts = new Map<string, Account>()
  readonly #receiverOf: (client: string) => string

  /** @param receiverOf - who receives what a client sends. */
  constructor(receiverOf: (client: string) => string) {
    this.#receiverOf = receiverOf
  }

  /** Answers a server process. */
  serve(server: ChildProcess): void {
    const answer = (message: FromStore): void => {
      // A server that is gone asks for nothing: its clients come back elsewhere.
      if (server.connected) server.send(message, () => {})
    }
    server.on('message', (message: ToStore | { readonly id?: never }) => {
      // What it has to say to the parent is not for the store.
      if (message.id === undefined) return
      const { id } = message
      if ('append' in message) answer({ id, stored: this.append(message.append) })
      else this.subscribe(message.subscribe, event => answer({ id, event }))
    })
  }

  append({ client, connection, n, text, again }: Posting): Stored {
    const account = this.account(client)
    if (connection < account.connection || n > account.sent.length + 1) return 'refused'
    if (n <= account.sent.length) {
      this.repeated++
      if (!again) this.unannounced++
      return 'known'
    }
    account.sent.push(text)
    const { inbox, deliver } = this.account(this.#receiverOf(client))
    const event = { seq: inbox.length + 1, from: client, text }
    inbox.push(event)
    deliver(event)
    return 'stored'
  }

  /** What was missed, and from now on everything. */
  subscribe({ client, connection, after }: Subscription, deliver: (event: StoredEvent) => void): void {
    const account = this.account(client)
    // Two servers tell of two connections; the news of the older one may come last.
    if (connection < account.connection) return
    account.connection = connection
    account.deliver = deliver
    for (const event of account.inbox.slice(after)) deliver(event)
  }

  account(client: string): Account {
    let account = this.#accounts.get(client)
    if (account === undefined) {
      account = { sent: [], inbox: [], connection: -1, deliver: () => {} }
      this.#accounts.set(client, account)
    }
    return account
  }
}

/** The store as a server process sees it. */
export class RemoteStore {
  readonly #answers = new Map<number, (stored: Stored) => void>()
  readonly #subscribers = new Map<number, (event: StoredEvent) => void>()
  #id = 0

  constructor() {
    process.on('message', (message: FromStore) => {
      if ('event' in message) this.#subscribers.get(message.id)?.(message.event)
      else {
        this.#answers.get(message.id)?.(message.stored)
        this.#answers.delete(message.id)
      }
    })
  }

  append(append: Posting): Promise<Stored> {
    const id = ++this.#id
    return new Promise(resolve => {
      this.#answers.set(id, resolve)
      this.#ask({ append, id })
    })
  }

  /** @returns a function that ends it. */
  subscribe(subscribe: Subscription, deliver: (event: StoredEvent) => void): () => void {
    const id = ++this.#id
    this.#subscribers.set(id, deliver)
    this.#ask({ subscribe, id })
    return () => this.#subscribers.delete(id)
  }

  #ask(message: ToStore): void {
    process.send!(message)
  }
}
