// Express and websockets on one port: `node build/examples/express.js`. Express logs people in and takes messages by HTTP; who
// has its cookie may connect, and hears them. Beside it, `attach()` takes the upgrades of its routes, and nothing else.
//
//   POST /login, GET and POST /rooms/:room ──▶ Express ──▶ registry ──▶ everybody in the room
//   websocket /rooms/:room ─────────────────▶ attach() ─▶ handleUpgrade (the cookie) ─▶ a process each
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import express from 'express'
import { connect, HandshakeError, start } from 'sansocket'
import { createRegistry } from 'sansocket/registry'
import { attach, endpoint } from 'sansocket/server'

const sessions = new Map<string, { readonly name: string }>()
const registry = createRegistry()

// ------------------------------------------------------------------------------------------------- HTTP

const app = express()

app.post('/login', express.json(), (request, response) => {
  const { name } = request.body as { readonly name: string }
  const id = randomUUID()
  sessions.set(id, { name })
  response.cookie('session', id, { httpOnly: true, sameSite: 'strict' }).status(204).end()
})

app
  .route('/rooms/:room')
  .get((request, response) => {
    response.json({ people: registry.group.members(request.params.room).length })
  })
  // oxlint-disable-next-line oxc/no-async-endpoint-handlers -- Express 5 awaits it.
  .post(express.text(), async (request, response) => {
    await registry.group.broadcast(request.params.room, `HTTP says: ${String(request.body)}`)
    response.status(202).end()
  })

// ------------------------------------------------------------------------------------------- websockets

const room = endpoint({
  // Before the 101. The cookie is the one that Express has set.
  handleUpgrade: ({ cookies }) => {
    const session = sessions.get(cookies['session'] ?? '')
    return session === undefined ? { status: 401, body: 'log in first' } : { data: session }
  },
  init: async ({ params, data }, self) => {
    const name = params['room'] ?? ''
    await registry.group.join(name, self)
    return { room: name, user: data.name }
  },
  handleConnect: (_connection, { user }) => ({ reply: `welcome, ${user}` }),
  handleFrame: async ({ data }, { room: name, user }) => {
    await registry.group.broadcast(name, `${user} says: ${String(data)}`)
  },
})

const http = createServer(app)
const sockets = attach(http, { routes: { '/rooms/:room': room } })
http.listen(0, '127.0.0.1')
await once(http, 'listening')
const { port } = http.address() as AddressInfo
console.log(`Express and websockets on port ${port}`)

// ---------------------------------------------------------------------------------- a client that uses both

const url = `http://127.0.0.1:${port}`
const refused: unknown = await connect(`${url}/rooms/blue`).catch((error: unknown) => error)
if (refused instanceof HandshakeError) console.log(`without a cookie: ${refused.status}`)

const tell = async (body: string): Promise<void> => {
  const headers = { 'Content-Type': 'text/plain' }
  await (await fetch(`${url}/rooms/blue`, { method: 'POST', headers, body })).text()
}

const login = await fetch(`${url}/login`, {
  method: 'POST',
  headers: { 'Content-Type': 'application/json' },
  body: JSON.stringify({ name: 'Ann' }),
})
const [cookie] = login.headers.getSetCookie().map(line => line.split(';')[0])

const expected = ['welcome, Ann', 'Ann says: hello', 'HTTP says: good morning']
const ann = await start(
  `${url}/rooms/blue`,
  {
    init: (): readonly string[] => [],
    handleFrame: async ({ data }, heard) => {
      console.log(`Ann hears: ${String(data)}`)
      const all = [...heard, String(data)]
      if (all.length === 1) return { state: all, reply: 'hello' }
      if (all.length === 2) await tell('good morning')
      return all.length === expected.length ? { state: all, stop: all } : { state: all }
    },
  },
  { headers: { Cookie: cookie } },
)

console.log(`GET /rooms/blue: ${await (await fetch(`${url}/rooms/blue`)).text()}`)
const { value } = await ann.ended
// First the websockets, which are told to go, then the port.
await sockets.close()
http.close()
await once(http, 'close')
process.exitCode = JSON.stringify(value) === JSON.stringify(expected) ? 0 : 1
console.log(process.exitCode === 0 ? 'good' : 'BAD')
