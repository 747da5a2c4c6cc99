// One of the servers that rolling-restart.ts starts. It keeps nothing that matters: a message is acknowledged when the store has
// it, so whoever was not acknowledged sends it again, here or elsewhere. On SIGTERM it lets its clients go, a few at a time, and
// ends when they are gone.
import { endpoint, listen } from 'sansocket/server'
import type { ClientMessage, ServerMessage } from './rolling-restart-client.js'
import { RemoteStore, type StoredEvent } from './rolling-restart-store.js'

/** The clients go over so long, so that the other servers do not get them all at once. Minutes, where there are many. */
const SPREAD_MS = 400
/** Who has not gone by then is cut off. Less than what is given to this process: Kubernetes gives 30 s. */
const DEADLINE_MS = 10_000

const store = new RemoteStore()
const line = (message: ServerMessage): string => JSON.stringify(message)

const client = endpoint({
  init: ({ params }) => ({ client: params['client'] ?? '', connection: 0, unsubscribe: () => {} }),

  handleFrame: async (frame, state, self) => {
    const message = JSON.parse(String(frame.data)) as ClientMessage
    if ('after' in message) {
      const { connection, after } = message
      const unsubscribe = store.subscribe({ client: state.client, connection, after }, event =>
        self.info(event),
      )
      return { state: { ...state, connection, unsubscribe } }
    }
    // `drain()` waits for a callback that runs: what the store has taken is acknowledged before the Close frame.
    const stored = await store.append({ client: state.client, connection: state.connection, ...message })
    return stored === 'refused'
      ? { close: { code: 4409, reason: 'send that again from the first that was not acknowledged' } }
      : { reply: line({ ack: message.n }) }
  },

  handleInfo: (event: StoredEvent) => ({ reply: line(event) }),

  terminate: (_reason, { unsubscribe }) => unsubscribe(),
})

const server = await listen({ routes: { '/clients/:client': client } })

process.once('SIGTERM', () => {
  void (async () => {
    const drained = await server.drain({ spreadMs: SPREAD_MS, deadlineMs: DEADLINE_MS })
    await server.close()
    process.send!({ drained }, () => process.disconnect())
  })()
})
// Without the store there is nothing to do: afterwards, or when its process has died.
process.once('disconnect', () => process.exit())
process.send!({ url: server.url })
