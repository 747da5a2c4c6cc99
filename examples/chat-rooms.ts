// The chat of the README: rooms, a page, and as many processes as one likes.
//
//   node build/examples/chat-rooms.js                     talks to itself through a registry, and ends
//   PORT=8080 node build/examples/chat-rooms.js           stays: open http://127.0.0.1:8080/blue?name=Ann twice
//   PORT=8081 REDIS_URL=redis://127.0.0.1:6379 node …     one of several processes, which share the rooms
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { createClient } from 'redis'
import { connect } from 'sansocket'
import { createRegistry } from 'sansocket/registry'
import { createRedisRegistry } from 'sansocket/registry/redis'
import { attach, endpoint } from 'sansocket/server'

const { PORT: port, REDIS_URL: url } = process.env
const redis = url === undefined ? null : await createClient({ url }).on('error', console.error).connect()
const registry = redis === null ? createRegistry() : await createRedisRegistry(redis)

const room = endpoint({
  init: async ({ params, query }, self) => {
    const room = params['room'] ?? 'lobby'
    await registry.group.join(room, self)
    return { room, name: query.get('name') ?? 'somebody' }
  },
  handleConnect: (_, { room, name }) => ({ reply: `welcome to ${room}, ${name}` }),
  handleFrame: ({ data }, { room, name }) => {
    void registry.group.broadcast(room, `${name}: ${String(data)}`)
  },
})

const page = `<!doctype html><meta charset="utf-8"><title>chat</title>
<form><input autofocus autocomplete="off"></form><ul></ul>
<script>
  const socket = new WebSocket(location.href.replace('http', 'ws'))
  socket.onmessage = ({ data }) => {
    document.querySelector('ul').appendChild(document.createElement('li')).textContent = data
  }
  document.forms[0].onsubmit = event => {
    event.preventDefault()
    socket.send(event.target[0].value)
    event.target.reset()
  }
</script>`

const http = createServer((_, response) => {
  response.setHeader('Content-Type', 'text/html')
  response.end(page)
})
const chat = attach(http, { routes: { '/:room': room } })
await new Promise<void>(resolve => http.listen(Number(port ?? 0), '127.0.0.1', resolve))
const origin = `127.0.0.1:${(http.address() as AddressInfo).port}`
console.log(`http://${origin}/blue?name=Ann`)

const end = async (): Promise<void> => {
  await chat.close()
  http.close()
  http.closeAllConnections()
  await registry.close()
  redis?.destroy()
}

if (port === undefined) {
  const ann = await connect(`ws://${origin}/blue?name=Ann`)
  const bob = await connect(`ws://${origin}/blue?name=Bob`)
  const eve = await connect(`ws://${origin}/red?name=Eve`)
  const messages = bob[Symbol.asyncIterator]()
  const next = async (): Promise<void> =>
    console.log(`Bob hears: ${String((await messages.next()).value?.data)}`)
  await next()
  ann.write('hello')
  await next()
  bob.write('hello, Ann')
  await next()
  eve.onMessage = ({ data }) => console.log(`Eve hears: ${String(data)}`)
  for (const socket of [ann, bob, eve]) await socket.close()
  await end()
} else for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => void end())
