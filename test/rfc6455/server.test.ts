// What docs/rfc6455.md needs proved about servers, and about either side in TLS, and no other test says.
import { once } from 'node:events'
import { createServer, connect as netConnect } from 'node:net'
import { connect as tlsConnect, createServer as createTlsServer } from 'node:tls'
import t, { type Test } from 'tap'
import { encodeAccept, encodeReject, headerValues, parseUpgrade } from '../../src/handshake/index.js'
import { connect, HandshakeError } from '../../src/index.js'
import { ACCEPT, type Line, readRequest, readResponse, request, requestLines } from '../handshake/support.js'
import { authority, certificates } from '../support/certificates.js'
import { concat, TEXT } from '../support/frames.js'
import { acceptance, headerOf, RawPeer, startListener, until, upgradeRequest } from '../support/raw-peer.js'
import { serve, withResolvers } from '../support/servers.js'

function* permutations<T>(list: readonly T[]): Generator<T[]> {
  if (list.length < 2) yield [...list]
  for (const [i, one] of list.entries()) {
    for (const others of permutations(list.toSpliced(i, 1))) if (list.length > 1) yield [one, ...others]
  }
}

t.test('headers of a request may come in any order', async t => {
  const lines: readonly Line[] = [...requestLines, ['Sec-WebSocket-Protocol', 'chat']]
  let orders = 0
  for (const order of permutations(lines)) {
    const upgrade = parseUpgrade(readRequest(request(order)))
    const { headers } = readResponse(encodeAccept(upgrade, { subprotocol: 'chat', extensions: [] }))
    if (headerValues(headers, 'Sec-WebSocket-Accept')[0] !== ACCEPT) t.fail(JSON.stringify(order))
    orders++
  }
  t.equal(orders, 720)
})

t.test('an answer has no subprotocol and no extension when none was chosen, and each field once', async t => {
  const asked = [
    ...requestLines,
    ['Sec-WebSocket-Protocol', 'a, b'],
    ['Sec-WebSocket-Extensions', 'x, y; z'],
  ] as const
  const upgrade = parseUpgrade(readRequest(request(asked)))
  const none = readResponse(encodeAccept(upgrade, { subprotocol: null, extensions: [] }))
  t.strictSame(
    none.headers.map(([name]) => name),
    ['Upgrade', 'Connection', 'Sec-WebSocket-Accept'],
  )
  const all = readResponse(encodeAccept(upgrade, { subprotocol: 'a', extensions: upgrade.extensions }))
  t.strictSame(
    all.headers.map(([name]) => name),
    ['Upgrade', 'Connection', 'Sec-WebSocket-Accept', 'Sec-WebSocket-Protocol', 'Sec-WebSocket-Extensions'],
  )
})

t.test(
  'an origin is refused with 403 and a resource with 404, in a response that ends the connection',
  async t => {
    for (const [status, reason] of [
      [403, 'Forbidden'],
      [404, 'Not Found'],
    ] as const) {
      const error = new HandshakeError('WS_HANDSHAKE_REFUSED', { status })
      const head = readResponse(encodeReject(error))
      t.match(head, { version: '1.1', status, reason })
      t.strictSame(headerValues(head.headers, 'Connection'), ['close'])
      t.strictSame(headerValues(head.headers, 'Upgrade'), [])
    }
  },
)

interface Relay {
  readonly port: number
  /** What was sent to the server, and what the server sent. */
  readonly up: readonly Uint8Array[]
  readonly down: readonly Uint8Array[]
}

/** Listens, and hands everything on to a port; it sees what anybody between client and server would see. */
async function relayTo(t: Test, target: number): Promise<Relay> {
  const up: Uint8Array[] = []
  const down: Uint8Array[] = []
  const server = createServer(stream => {
    const onward = netConnect(target, '127.0.0.1')
    t.teardown(() => void onward.destroy())
    stream.on('data', chunk => up.push(chunk as Uint8Array)).pipe(onward)
    onward.on('data', chunk => down.push(chunk as Uint8Array)).pipe(stream)
    onward.on('error', () => stream.destroy())
  })
  return { port: await serve(t, server), up, down }
}

/** Requires that the bytes are TLS records and nothing else: the first of a handshake, application data among the others. */
function isTls(t: Test, chunks: readonly Uint8Array[]): void {
  const bytes = Buffer.from(concat(chunks))
  const types: number[] = []
  for (let at = 0; at < bytes.length; at += 5 + bytes.readUInt16BE(at + 3)) {
    if (bytes.length < at + 5) throw new Error('a record header is cut')
    if (bytes[at + 1] !== 3) throw new Error(`no TLS record at ${at}`)
    types.push(bytes[at])
  }
  t.equal(types[0], 22, 'a handshake record comes first')
  t.ok(types.includes(23), 'application data')
  // Change cipher spec, alert, handshake, application data.
  t.ok(types.every(type => type >= 20 && type <= 23))
  for (const plain of ['GET', 'HTTP', 'Upgrade', 'Sec-WebSocket', 'hidden'])
    t.equal(bytes.indexOf(plain), -1, plain)
}

const { valid } = certificates

t.test('a client on wss begins with TLS and says everything inside it, frames masked as ever', async t => {
  const { promise: accepted, resolve } = withResolvers<RawPeer>()
  const server = createTlsServer({ ...valid, allowHalfOpen: true }, stream =>
    resolve(new RawPeer(stream, 'client')),
  )
  const relay = await relayTo(t, await serve(t, server))
  const connecting = connect(`wss://127.0.0.1:${relay.port}/hidden`, { tls: { ca: authority.cert } })
  const peer = await accepted
  const head = await peer.head()
  t.match(head, /^GET \/hidden HTTP\/1\.1\r\n/)
  t.equal(headerOf(head, 'Host'), `127.0.0.1:${relay.port}`)
  peer.write(acceptance(head))
  const socket = await connecting
  socket.write('hidden')
  void socket.close()
  for (const { mask } of await peer.frames(2)) t.not(mask, null)
  peer.sendClose(1000)
  peer.stream.end()
  t.equal((await socket.closed).wasClean, true)
  isTls(t, relay.up)
})

t.test('a server on wss says everything inside TLS, and frames are unmasked as ever', async t => {
  const listener = await startListener(t, { tls: { key: valid.key, cert: valid.cert } }, socket => {
    socket.onMessage = ({ data }) => socket.write(data)
  })
  const relay = await relayTo(t, listener.port)
  const stream = tlsConnect({ port: relay.port, host: '127.0.0.1', ca: authority.cert })
  t.teardown(() => void stream.destroy())
  await once(stream, 'secureConnect')
  const peer = new RawPeer(stream, 'server')
  peer.write(upgradeRequest())
  t.match(await peer.head(), /^HTTP\/1\.1 101 /)
  peer.send({ opcode: TEXT, payload: 'hidden' })
  peer.sendClose(1000)
  for (const { mask } of await peer.frames(2)) t.equal(mask, null)
  await peer.ended
  peer.stream.end()
  await until(() => listener.sockets.size === 0, 'the socket is closed')
  isTls(t, relay.down)
})

t.test(
  'a server on wss ends a connection that does not begin with TLS, and answers nothing in plain text',
  async t => {
    const listener = await startListener(t, { tls: { key: valid.key, cert: valid.cert } }, () =>
      t.fail('accepted'),
    )
    const stream = netConnect(listener.port, '127.0.0.1')
    t.teardown(() => void stream.destroy())
    const peer = new RawPeer(stream, 'server')
    peer.write(upgradeRequest())
    const answer = Buffer.from(await peer.rest())
    // Nothing, or a TLS alert.
    t.ok(answer.length === 0 || answer[0] === 21, answer.toString('latin1'))
    t.equal(listener.sockets.size, 0)
  },
)
