import t from 'tap'
import { connect } from '../../src/index.js'
import { acceptance, isSettled, rawServer } from '../support/raw-peer.js'
import { leavesNothing, turn } from '../support/servers.js'

// RFC 6455 4.1: at most one connection to one address is being opened at a time.

async function turns(): Promise<void> {
  for (let i = 0; i < 50; i++) await turn()
}

t.test('serialize: opens one connection after the other to the same address', async t => {
  const server = await rawServer(t)
  const url = server.url
  // Another name for the same address.
  const named = url.replace('127.0.0.1', 'localhost')
  const first = connect(url, { serialize: true })
  const one = await server.accepted()
  const second = connect(named, { serialize: true, tcp: { family: 4 } })
  const other = server.accepted()
  await turns()
  t.notOk(await isSettled(other), 'the second waits for the handshake of the first')
  one.write(acceptance(await one.head()))
  const socket = await first
  const two = await other
  two.write(acceptance(await two.head()))
  const next = await second
  socket.terminate()
  next.terminate()
})

t.test('serialize: a connection that fails lets the next one go on', async t => {
  const server = await rawServer(t)
  const first = connect(server.url, { serialize: true })
  const one = await server.accepted()
  const second = connect(server.url, { serialize: true })
  const other = server.accepted()
  one.write('HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n')
  await t.rejects(first, { code: 'WS_HANDSHAKE_STATUS' })
  const two = await other
  two.write(acceptance(await two.head()))
  const socket = await second
  socket.terminate()
})

t.test('serialize: a connection that is aborted while it waits leaves the line', async t => {
  const server = await rawServer(t)
  await leavesNothing(t, async () => {
    const first = connect(server.url, { serialize: true })
    const one = await server.accepted()
    const controller = new AbortController()
    const second = connect(server.url, { serialize: true, signal: controller.signal })
    const third = connect(server.url, { serialize: true })
    controller.abort()
    await t.rejects(second, { name: 'AbortError' })
    one.write(acceptance(await one.head()))
    const socket = await first
    const three = await server.accepted()
    three.write(acceptance(await three.head()))
    const last = await third
    socket.terminate()
    last.terminate()
    await Promise.all([socket.closed, last.closed])
    for (const peer of [one, three]) peer.stream.destroy()
  })
})

t.test('connections are opened at the same time when serialize is not asked for', async t => {
  const server = await rawServer(t)
  const both = [connect(server.url), connect(server.url)]
  const peers = [await server.accepted(), await server.accepted()]
  for (const peer of peers) peer.write(acceptance(await peer.head()))
  for (const socket of await Promise.all(both)) socket.terminate()
})
