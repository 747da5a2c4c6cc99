// A client that loses nothing, whatever becomes of its connection. Its own messages are numbered, and kept until they are
// acknowledged; those it receives are numbered too, and it says after which one it wants to go on. So each connection begins
// with the same three things: who I am, what I have, and what you may not have.
//
//   info(text) ─▶ pending ─▶ { n, text, again } ──▶ server ──▶ { ack } ─▶ no longer pending
//   handleConnect ─▶ { connection, after }, all that is pending
import { defineBehaviour } from 'sansocket'
import type { StoredEvent } from './rolling-restart-store.js'

/** What a client says: first where it is, then its messages. */
export type ClientMessage =
  | { readonly connection: number; readonly after: number }
  | { readonly n: number; readonly text: string; readonly again: boolean }

/** What a server says. */
export type ServerMessage = { readonly ack: number } | StoredEvent

interface Pending {
  readonly n: number
  readonly text: string
  /** True once a connection has taken it and not handed it back: perhaps it has arrived. */
  doubtful: boolean
}

/** What a client knows, over all its connections. */
export interface ClientState {
  readonly pending: Map<number, Pending>
  readonly received: StoredEvent[]
  /** How many messages it was given, and how many of them were acknowledged. */
  sent: number
  acknowledged: number
  reconnects: number
  /** How many were sent more than once, and how many were handed back by a connection that was lost. */
  resent: number
  handedBack: number
}

const line = (message: ClientMessage): string => JSON.stringify(message)

function send(pending: Pending): string {
  const { n, text, doubtful } = pending
  pending.doubtful = true
  return line({ n, text, again: doubtful })
}

export const client = defineBehaviour({
  init: (): ClientState => ({
    pending: new Map(),
    received: [],
    sent: 0,
    acknowledged: 0,
    reconnects: 0,
    resent: 0,
    handedBack: 0,
  }),

  handleConnect: ({ reconnects }, state) => {
    const { pending, received } = state
    state.reconnects = reconnects
    for (const { doubtful } of pending.values()) if (doubtful) state.resent++
    return {
      reply: [
        line({ connection: reconnects, after: received.length }),
        ...[...pending.values()].map(one => send(one)),
      ],
    }
  },

  // Something to be sent. Without a connection it is only kept, and the next one begins with it.
  handleInfo: (text: string, state, self) => {
    const one: Pending = { n: ++state.sent, text, doubtful: false }
    state.pending.set(one.n, one)
    return self.phase === 'open' ? { reply: send(one) } : undefined
  },

  handleFrame: (frame, state) => {
    const { pending, received } = state
    const message = JSON.parse(String(frame.data)) as ServerMessage
    if ('ack' in message) {
      if (pending.delete(message.ack)) state.acknowledged++
      return undefined
    }
    // The next connection asks for what is missing.
    if (message.seq !== received.length + 1)
      return { close: { code: 4000, reason: 'that is not the next one' } }
    received.push(message)
    return undefined
  },

  // What was handed back has not arrived, for certain. The rest of what is pending may have.
  handleDisconnect: ({ unsent }, state) => {
    for (const frame of unsent) {
      // All that is sent here are texts.
      const { data } = frame as { readonly data: string }
      const message = JSON.parse(data) as ClientMessage
      if (!('n' in message)) continue
      state.pending.get(message.n)!.doubtful = false
      state.handedBack++
    }
  },
})
