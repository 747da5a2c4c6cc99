// Hono on Node and websockets on one port: `node build/examples/hono.js`. A visitor gets a signed cookie from Hono. Whether it is
// genuine is asked of Hono before the 101, by `app.request()`, which needs no socket.
//
//   POST /visit, GET /me ──▶ Hono (signed cookies)
//   websocket /echo/:times ─▶ attach() ─▶ handleUpgrade ─▶ app.request('/me')
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { createAdaptorServer } from '@hono/node-server'
import { Hono } from 'hono'
import { getSignedCookie, setSignedCookie } from 'hono/cookie'
import { connect, HandshakeError, start } from 'sansocket'
import { attach, endpoint } from 'sansocket/server'

const SECRET = 'a secret of the server'
let visits = 0

// ------------------------------------------------------------------------------------------------- HTTP

const app = new Hono()
app.post('/visit', async context => {
  await setSignedCookie(context, 'visitor', `number ${++visits}`, SECRET, { httpOnly: true })
  return context.text('come in')
})
app.get('/me', async context => {
  const visitor = await getSignedCookie(context, SECRET, 'visitor')
  return typeof visitor === 'string'
    ? context.json({ visitor })
    : context.json({ error: 'who are you?' }, 401)
})

// ------------------------------------------------------------------------------------------- websockets

const echo = endpoint({
  handleUpgrade: async ({ headers }) => {
    const answer = await app.request('/me', { headers: { Cookie: headers['cookie'] ?? '' } })
    // Hono's own refusal, as it is.
    if (!answer.ok) return { status: answer.status, body: await answer.text(), type: 'application/json' }
    return { data: (await answer.json()) as { readonly visitor: string } }
  },
  init: ({ params, data }) => ({ times: Number(params['times']), visitor: data.visitor }),
  handleFrame: ({ data }, { times, visitor }) => ({
    reply: Array.from({ length: times }, () => `${visitor}: ${String(data)}`),
  }),
})

// `createAdaptorServer()` is `serve()` before it listens.
const http = createAdaptorServer({ fetch: app.fetch })
const sockets = attach(http, { routes: { '/echo/:times': echo } })
http.listen(0, '127.0.0.1')
await once(http, 'listening')
const { port } = http.address() as AddressInfo
console.log(`Hono and websockets on port ${port}`)

// ---------------------------------------------------------------------------------- a client that uses both

const url = `http://127.0.0.1:${port}`
const visit = await fetch(`${url}/visit`, { method: 'POST' })
const [cookie] = visit.headers.getSetCookie().map(line => line.split(';')[0])
console.log(`POST /visit: ${await visit.text()}`)

for (const Cookie of ['', cookie.replace('1', '2')]) {
  const refused: unknown = await connect(`${url}/echo/2`, { headers: { Cookie } }).catch(
    (error: unknown) => error,
  )
  if (refused instanceof HandshakeError) {
    console.log(`with ${Cookie === '' ? 'no cookie' : 'a forged cookie'}: ${refused.status}`)
  }
}

const client = await start(
  `${url}/echo/2`,
  {
    init: () => 0,
    handleConnect: () => ({ reply: 'hello' }),
    handleFrame: ({ data }, count) => {
      console.log(`heard: ${String(data)}`)
      if (data !== 'number 1: hello') return { stop: new Error('that is not what was said') }
      return count === 1 ? { stop: 'done' } : { state: count + 1 }
    },
  },
  { headers: { Cookie: cookie } },
)
const { normal } = await client.ended
console.log(`GET /me: ${await (await fetch(`${url}/me`, { headers: { Cookie: cookie } })).text()}`)
// First the websockets, which are told to go, then the port.
await sockets.close()
http.close()
await once(http, 'close')
process.exitCode = normal ? 0 : 1
console.log(normal ? 'good' : 'BAD')
