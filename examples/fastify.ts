// Fastify and websockets on one port: `node build/examples/fastify.js`. Whether somebody may connect is asked of Fastify itself:
// `inject()` runs a request through its hooks without a socket, so there is one authentication for both.
//
//   GET /me, /numbers ──▶ Fastify: onRequest (the token) ─▶ route
//   websocket /count/:from ─▶ attach() ─▶ handleUpgrade ─▶ inject(GET /me)
import type { AddressInfo } from 'node:net'
import fastify from 'fastify'
import { connect, HandshakeError, start } from 'sansocket'
import { attach, endpoint } from 'sansocket/server'

const TOKENS = new Map([['Bearer ann-1', 'Ann']])

// ------------------------------------------------------------------------------------------------- HTTP

const app = fastify()
app.decorateRequest('user', '')

declare module 'fastify' {
  interface FastifyRequest {
    user: string
  }
}

app.addHook('onRequest', async (request, reply) => {
  const user = TOKENS.get(request.headers.authorization ?? '')
  if (user === undefined) return reply.code(401).send({ error: 'no valid token' })
  request.user = user
  return undefined
})
app.get('/me', request => ({ name: request.user }))
app.get('/clients', () => ({ clients: sockets.statistics().count }))

// ------------------------------------------------------------------------------------------- websockets

const count = endpoint({
  handleUpgrade: async ({ headers }) => {
    const answer = await app.inject({
      url: '/me',
      headers: { authorization: headers['authorization'] ?? '' },
    })
    // Fastify's own refusal, as it is.
    if (answer.statusCode !== 200)
      return { status: answer.statusCode, body: answer.body, type: 'application/json' }
    return { data: answer.json<{ readonly name: string }>() }
  },
  init: ({ params, data }) => ({ next: Number(params['from']), name: data.name }),
  handleConnect: (_connection, { name }) => ({ reply: `${name} counts` }),
  handleFrame: (_frame, state) => ({ reply: String(state.next), state: { ...state, next: state.next + 1 } }),
})

const sockets = attach(app.server, { routes: { '/count/:from': count } })
// Fastify waits for all connections when it closes; so they are told to go before that.
app.addHook('preClose', async () => {
  await sockets.drain({ deadlineMs: 5000 })
})

await app.listen({ port: 0, host: '127.0.0.1' })
const { port } = app.server.address() as AddressInfo
console.log(`Fastify and websockets on port ${port}`)

// ---------------------------------------------------------------------------------- a client that uses both

const url = `http://127.0.0.1:${port}`
const refused: unknown = await connect(`${url}/count/7`).catch((error: unknown) => error)
if (refused instanceof HandshakeError) {
  console.log(`without a token: ${refused.status} ${new TextDecoder().decode(refused.response?.body)}`)
}

const headers = { Authorization: 'Bearer ann-1' }
const heard: string[] = []
const { promise: counted, resolve: done } = promiseOf()
const ann = await start(
  `${url}/count/7`,
  {
    handleFrame: ({ data }) => {
      console.log(`Ann hears: ${String(data)}`)
      heard.push(String(data))
      if (heard.length < 3) return { reply: 'next' }
      done()
      return undefined
    },
    handleDisconnect: ({ reason }) => console.log(`Ann is told to go: ${reason.code} ${reason.text}`),
  },
  { headers },
)
await counted
console.log(`GET /clients: ${await (await fetch(`${url}/clients`, { headers })).text()}`)
// Nothing else is needed: `preClose` lets the websockets go.
const [{ code }] = await Promise.all([ann.ended, app.close()])
process.exitCode = heard.join() === 'Ann counts,7,8' && code === 1001 ? 0 : 1
console.log(process.exitCode === 0 ? 'good' : 'BAD')

function promiseOf(): { readonly promise: Promise<void>; readonly resolve: () => void } {
  let resolve!: () => void
  return { promise: new Promise<void>(settle => (resolve = settle)), resolve }
}
