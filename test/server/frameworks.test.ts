// Strategy: attach() beside the real frameworks, and beside others who take upgrades on the same server. One table: each of them
// serves its routes as before, ours are ours, and nobody answers for anybody else. That holds while we let our clients go.
import { createServer, type Server } from 'node:http'
import { createAdaptorServer, upgradeWebSocket } from '@hono/node-server'
import express from 'express'
import fastify from 'fastify'
import { Hono } from 'hono'
import { type Test, test } from 'tap'
import { WebSocketServer } from 'ws'
import { connect, HandshakeError, type Socket } from '../../src/index.js'
import { attach, endpoint, type Server as ProcessServer } from '../../src/server/index.js'
import { failure, serve } from '../support/servers.js'

type WebSocketOption = NonNullable<Parameters<typeof createAdaptorServer>[0]['websocket']>

const WHO = endpoint({
  init: ({ params }) => params['who'],
  handleFrame: ({ data }, who) => ({ reply: `${who}: ${String(data)}` }),
})

/** An http.Server of each, with one route `GET /hello`. */
const FRAMEWORKS: Readonly<Record<string, () => Promise<Server>>> = {
  Express: async () => {
    const app = express()
    app.get('/hello', (_request, response) => void response.send('hello'))
    return createServer(app)
  },
  Fastify: async () => {
    const app = fastify()
    app.get('/hello', () => 'hello')
    await app.ready()
    return app.server
  },
  'Hono on Node': async () => {
    const app = new Hono()
    app.get('/hello', context => context.text('hello'))
    return createAdaptorServer({ fetch: app.fetch }) as Server
  },
}

async function exchange(t: Test, url: string): Promise<Socket> {
  const socket = await connect(url)
  t.teardown(() => socket.terminate())
  const answer = new Promise(resolve => (socket.onMessage = ({ data }) => resolve(data)))
  socket.write('hello')
  t.equal(await answer, `${url.slice(url.lastIndexOf('/') + 1)}: hello`, url)
  return socket
}

const statusOf = async (url: string): Promise<number | null> => {
  const error = await failure(connect(url))
  return error instanceof HandshakeError ? error.status : null
}

/** What must hold while we are open, while we let go, and afterwards. */
async function checkAll(t: Test, port: number, server: ProcessServer): Promise<void> {
  const http = `http://127.0.0.1:${port}`
  const get = async (path: string): Promise<[number, string]> => {
    const response = await fetch(`${http}${path}`)
    const text = await response.text()
    return [response.status, response.ok ? text : '']
  }
  const unaffected = async (when: string): Promise<void> => {
    t.same(await get('/hello'), [200, 'hello'], when)
    t.same(await get('/nowhere'), [404, ''], when)
  }
  await unaffected('open')
  const socket = await exchange(t, `${http}/ws/ann`)
  const drained = server.drain()
  t.match(await socket.closed, { received: { code: 1001 } })
  t.same(await drained, { closed: 1, cut: 0 })
  // Come back later; a 404 would be for good.
  t.equal(await statusOf(`${http}/ws/bob`), 503)
  await unaffected('drained')
  await server.close()
  await unaffected('closed')
}

for (const [name, make] of Object.entries(FRAMEWORKS)) {
  void test(`${name}: its routes and ours on one port, and an upgrade that nobody knows is a 404`, async t => {
    const http = await make()
    const port = await serve(t, http)
    const server = attach(http, { routes: { '/ws/:who': WHO } })
    t.equal(await statusOf(`ws://127.0.0.1:${port}/hello`), 404)
    t.equal(await statusOf(`ws://127.0.0.1:${port}/ws`), 404)
    await checkAll(t, port, server)
  })

  void test(`${name}: another websocket library on the same server keeps what is its own`, async t => {
    const http = await make()
    const other = new WebSocketServer({ noServer: true })
    http.on('upgrade', (request, stream, head) => {
      if (request.url !== '/other') return
      other.handleUpgrade(request, stream, head, socket =>
        socket.on('message', () => socket.send('other: hello')),
      )
    })
    const port = await serve(t, http)
    const server = attach(http, { routes: { '/ws/:who': WHO } })
    const theirs = await exchange(t, `ws://127.0.0.1:${port}/other`)
    await checkAll(t, port, server)
    t.equal(theirs.state, 'open', 'not ours to close')
    await exchange(t, `ws://127.0.0.1:${port}/other`)
  })
}

void test('Hono: its own upgradeWebSocket() keeps what is its own', async t => {
  const app = new Hono()
  app.get('/hello', context => context.text('hello'))
  app.get(
    '/other',
    upgradeWebSocket(() => ({ onMessage: (_event, socket) => socket.send('other: hello') })),
  )
  // Its types want every option of ws said, `undefined` too.
  const websocket = { server: new WebSocketServer({ noServer: true }) } as unknown as WebSocketOption
  const http = createAdaptorServer({ fetch: app.fetch, websocket }) as Server
  const port = await serve(t, http)
  const server = attach(http, { routes: { '/ws/:who': WHO } })
  await exchange(t, `ws://127.0.0.1:${port}/other`)
  await checkAll(t, port, server)
  await exchange(t, `ws://127.0.0.1:${port}/other`)
})

void test('Fastify: a drain in preClose lets close() end', async t => {
  const app = fastify()
  const server = attach(app.server, { routes: { '/ws/:who': WHO } })
  app.addHook('preClose', async () => {
    await server.drain()
  })
  const url = await app.listen({ port: 0, host: '127.0.0.1' })
  const socket = await exchange(t, `${url}/ws/ann`)
  await app.close()
  t.match(await socket.closed, { received: { code: 1001 } })
})

void test('of two of ours on one server, one that lets its clients go does not make the other say 404', async t => {
  const http = createServer()
  const port = await serve(t, http)
  const first = attach(http, { routes: { '/one/:who': WHO } })
  const second = attach(http, { routes: { '/two/:who': WHO } })
  t.teardown(() => Promise.all([first.close(), second.close()]))
  await second.drain()
  t.equal(await statusOf(`ws://127.0.0.1:${port}/two/ann`), 503)
  t.equal(await statusOf(`ws://127.0.0.1:${port}/three`), 404)
  await exchange(t, `ws://127.0.0.1:${port}/one/ann`)
  const third = attach(http, { routes: { '/two/:who': WHO } })
  t.teardown(() => third.close())
  await exchange(t, `ws://127.0.0.1:${port}/two/ann`)
})
