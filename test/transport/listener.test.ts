import { EventEmitter, once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer as createHttpServer, request as httpRequest } from 'node:http'
import { createServer as createHttpsServer } from 'node:https'
import { connect as netConnect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { attach, connect, headerValue, listen, type Socket, type UpgradeRequest } from '../../src/index.js'
import { authority, certificates } from '../support/certificates.js'
import { bytesOf, fromPeer, TEXT } from '../support/frames.js'
import { listenersOf } from '../support/leaks.js'
import {
  acceptFor,
  headerOf,
  isSettled,
  KEY,
  openServer,
  RawPeer,
  rawClient,
  startListener,
  until,
  upgradeRequest,
} from '../support/raw-peer.js'
import { failure, leavesNothing, serve, turn, withResolvers } from '../support/servers.js'
import { VirtualClock } from '../support/virtual-clock.js'

const { valid } = certificates
const echo = (socket: Socket): void => {
  socket.onMessage = message => void socket.send(message.data)
}
const echoed = async (socket: Socket): Promise<unknown> => {
  void socket.send('hello')
  for await (const { data } of socket) return data
  return undefined
}

const without = (name: string): string => upgradeRequest().replace(new RegExp(`${name}:.*\r\n`), '')

t.test('listens on a free port of 127.0.0.1 by default, and accepts', async t => {
  const { promise, resolve } = withResolvers<[Socket, UpgradeRequest]>()
  const listener = await startListener(t, {}, (socket, request) => resolve([socket, request]))
  t.match(listener.address, { address: '127.0.0.1', port: listener.port })
  t.equal(listener.url, `ws://127.0.0.1:${listener.port}`)
  const peer = await rawClient(t, listener.port)
  peer.write(upgradeRequest(['Origin: https://example.test', 'X-Unknown: 1'], '/chat?x=1'))
  const head = await peer.head()
  t.strictSame(head.split('\r\n'), [
    'HTTP/1.1 101 Switching Protocols',
    'Upgrade: websocket',
    'Connection: Upgrade',
    `Sec-WebSocket-Accept: ${acceptFor(KEY)}`,
  ])
  const [socket, request] = await promise
  t.match(socket, { role: 'server', state: 'open', url: '/chat?x=1', subprotocol: '' })
  t.match(request, { origin: 'https://example.test', key: KEY, head: { method: 'GET', target: '/chat?x=1' } })
  t.equal(headerValue(request.head.headers, 'x-unknown'), '1')
  t.ok(listener.sockets.has(socket))
  peer.send({ opcode: TEXT, payload: 'hi' })
  for await (const message of socket) {
    t.strictSame(message, { type: 'text', data: 'hi' })
    break
  }
  socket.terminate()
  await socket.closed
  await turn()
  t.equal(listener.sockets.size, 0)
})

t.test("chooses the client's first subprotocol that it speaks, or none", async t => {
  const listener = await startListener(t, { subprotocols: ['a', 'b'] }, () => {})
  for (const [offered, chosen] of [
    ['c, b, a', 'b'],
    ['a', 'a'],
    ['c', undefined],
    ['A', undefined],
  ] as const) {
    const peer = await rawClient(t, listener.port)
    peer.write(upgradeRequest([`Sec-WebSocket-Protocol: ${offered}`]))
    t.equal(headerOf(await peer.head(), 'Sec-WebSocket-Protocol'), chosen)
  }
  const socket = await connect(listener.url, { subprotocols: ['b'] })
  t.equal(socket.subprotocol, 'b')
  t.strictSame(
    [...listener.sockets].map(one => one.subprotocol),
    ['b', 'a', '', '', 'b'],
  )
  socket.terminate()
})

t.test('answers extensions that it does not know by none', async t => {
  const listener = await startListener(t, {}, () => {})
  const peer = await rawClient(t, listener.port)
  peer.write(
    upgradeRequest([
      'Sec-WebSocket-Extensions: x-webkit-deflate-frame; no_context_takeover, bbf-usp-protocol',
    ]),
  )
  t.equal(headerOf(await peer.head(), 'Sec-WebSocket-Extensions'), undefined)
})

t.test('answers a request that is no valid upgrade with the right status, and ends', async t => {
  const cases: readonly (readonly [string, number, Readonly<Record<string, string>>])[] = [
    [upgradeRequest().replace('GET', 'POST'), 405, { Allow: 'GET' }],
    [upgradeRequest().replace('HTTP/1.1', 'HTTP/1.0'), 400, {}],
    [upgradeRequest().replace('HTTP/1.1', 'HTTP/2.0'), 505, {}],
    [without('Host'), 400, {}],
    [without('Upgrade'), 426, { Upgrade: 'websocket', Connection: 'Upgrade, close' }],
    [without('Connection'), 426, { Upgrade: 'websocket' }],
    [without('Sec-WebSocket-Key'), 400, {}],
    [upgradeRequest().replace(KEY, 'c2hvcnQ='), 400, {}],
    [without('Sec-WebSocket-Version'), 400, { 'Sec-WebSocket-Version': '13' }],
    [
      upgradeRequest().replace('Version: 13', 'Version: 8'),
      426,
      { 'Sec-WebSocket-Version': '13', Upgrade: 'websocket' },
    ],
    [upgradeRequest(['Content-Length: 5']), 400, {}],
    [upgradeRequest(['Sec-WebSocket-Protocol: a b']), 400, {}],
    [upgradeRequest(['Sec-WebSocket-Extensions: ;']), 400, {}],
    [upgradeRequest(['Origin: a', 'Origin: b']), 400, {}],
    [upgradeRequest([`X-Big: ${'x'.repeat(20_000)}`]), 431, {}],
    [upgradeRequest(Array.from({ length: 200 }, () => 'X: y')), 431, {}],
    [upgradeRequest([], `/${'x'.repeat(20_000)}`), 414, {}],
    [upgradeRequest(['X-Fold: a\r\n b']), 400, {}],
    ['\x16\x03\x01\x02\x00\x01\x00', 400, {}],
    ['hello\r\n\r\n', 400, {}],
  ]
  const clock = new VirtualClock()
  const listener = await startListener(t, { clock }, () => t.fail('accepted'))
  await leavesNothing(t, async () => {
    for (const [request, status, headers] of cases) {
      const peer = await rawClient(t, listener.port)
      peer.write(request)
      const head = await peer.head()
      t.match(head, new RegExp(`^HTTP/1\\.1 ${status} `), JSON.stringify(request.slice(0, 60)))
      for (const [name, value] of Object.entries(headers)) t.equal(headerOf(head, name), value)
      t.match(headerOf(head, 'Connection'), /close/)
      const body = await peer.rest()
      t.equal(String(body.length), headerOf(head, 'Content-Length'), 'the body is whole')
      peer.stream.end()
      await peer.closed
    }
  })
  t.equal(clock.pending, 0)
})

t.test('a refused peer that never ends the connection is cut off', async t => {
  const clock = new VirtualClock()
  const listener = await startListener(t, { clock }, () => {})
  const peer = await rawClient(t, listener.port)
  peer.write('nonsense\r\n\r\n')
  await peer.head()
  await peer.ended
  t.equal(clock.pending, 1)
  clock.advance(10_000)
  await until(() => {
    peer.write('x')
    return peer.stream.destroyed
  }, 'the reset')
  t.equal(clock.pending, 0)
})

t.test('a head that never ends is dropped after handshakeTimeoutMs', async t => {
  const clock = new VirtualClock()
  const listener = await startListener(t, { clock, handshakeTimeoutMs: 3000 }, () => t.fail('accepted'))
  await leavesNothing(t, async () => {
    const silent = await rawClient(t, listener.port)
    const slow = await rawClient(t, listener.port)
    await until(() => clock.pending === 2, 'both are accepted')
    for (const char of upgradeRequest().slice(0, 29)) {
      slow.write(char)
      await turn()
      clock.advance(100)
    }
    t.notOk(await isSettled(slow.ended))
    clock.advance(100)
    await Promise.all([slow.ended, silent.ended])
    t.equal((await slow.rest()).length, 0)
    slow.stream.destroy()
    silent.stream.destroy()
  })
  t.equal(clock.pending, 0)
})

t.test('a TLS handshake that never ends is dropped after handshakeTimeoutMs', async t => {
  // Node keeps this time itself, so it is a short one.
  const tls = { key: valid.key, cert: valid.cert }
  const listener = await startListener(t, { handshakeTimeoutMs: 50, tls }, () => t.fail('accepted'))
  const silent = await rawClient(t, listener.port)
  await silent.ended
  t.pass('dropped')
})

t.test('refuses unknown options and a missing callback', async t => {
  const misspelt = { maxBufferdBytes: 5 } as object
  await t.rejects(
    listen(misspelt, () => {}),
    { code: 'WS_BAD_OPTION', message: /maxBufferdBytes/ },
  )
  await t.rejects(listen({}, undefined as never), { code: 'WS_BAD_OPTION' })
  t.throws(() => attach(new EventEmitter(), misspelt, () => {}), { code: 'WS_BAD_OPTION' })
  await t.rejects(connect('ws://127.0.0.1:1', { maxPayload: 1 } as object), { code: 'WS_BAD_OPTION' })
  await t.rejects(connect('ws://127.0.0.1:1', { signal: new AbortController() as never }), {
    code: 'WS_BAD_OPTION',
  })
  await t.rejects(connect('ws://127.0.0.1:1', { subprotocols: 'a' as never }), { code: 'WS_BAD_OPTION' })
})

t.test('a client that goes away within its request leaves nothing', async t => {
  const clock = new VirtualClock()
  const listener = await startListener(t, { clock }, () => t.fail('accepted'))
  await leavesNothing(t, async () => {
    for (const end of [(peer: RawPeer) => void peer.stream.end(), (peer: RawPeer) => peer.reset()]) {
      const peer = await rawClient(t, listener.port)
      peer.write('GET / HT')
      for (let turns = 0; turns < 20; turns++) await turn()
      end(peer)
      await peer.closed
    }
    await until(() => clock.pending === 0, 'no timer is left')
  })
})

t.test('close() accepts no more, sends 1001 to all, and settles when all are gone', async t => {
  const clock = new VirtualClock()
  const listener = await startListener(t, { clock }, () => {})
  const polite = await rawClient(t, listener.port)
  polite.write(upgradeRequest())
  await polite.head()
  const rude = await rawClient(t, listener.port)
  rude.write(upgradeRequest())
  await rude.head()
  const half = await rawClient(t, listener.port)
  half.write('GET / HTTP/1.1\r\n')
  await until(() => clock.pending === 1, 'the third is accepted')
  const closing = listener.close()
  t.match(await polite.shown(1), [/^close 1001 /])
  t.match(await rude.shown(1), [/^close 1001 /])
  t.match(await failure(rawClient(t, listener.port)), { code: 'ECONNREFUSED' })
  polite.sendClose(1001)
  polite.stream.end()
  await polite.closed
  t.notOk(await isSettled(closing))
  clock.advance(5000)
  await closing
  await half.ended
  t.equal(listener.sockets.size, 0)
  await listener.close()
  await listener[Symbol.asyncDispose]()
  await until(() => clock.pending === 0, 'no timer is left')
})

t.test('await using closes a listener', async t => {
  await leavesNothing(t, async () => {
    await using listener = await listen({}, echo)
    const socket = await connect(listener.url)
    t.equal(await echoed(socket), 'hello')
    void socket.closed.then(({ received }) => t.equal(received?.code, 1001))
  })
})

t.test('listens on a unix path', async t => {
  const folder = mkdtempSync(join(tmpdir(), 'sansocket-'))
  t.teardown(() => rmSync(folder, { recursive: true }))
  const path = join(folder, 'a.sock')
  const listener = await startListener(t, { path }, echo)
  t.match(listener, { address: path, port: 0, url: `ws+unix:${path}` })
  const socket = await connect(listener.url)
  t.equal(await echoed(socket), 'hello')
  t.equal((await socket.close()).wasClean, true)
})

t.test('listens with TLS', async t => {
  const listener = await startListener(t, { tls: { key: valid.key, cert: valid.cert } }, echo)
  t.match(listener.url, /^wss:/)
  const socket = await connect(listener.url, { tls: { ca: authority.cert } })
  t.equal(await echoed(socket), 'hello')
  t.equal((await socket.close()).wasClean, true)
  const plain = await rawClient(t, listener.port)
  plain.write(upgradeRequest())
  await plain.ended
  const again = await connect(listener.url, { tls: { ca: authority.cert } })
  t.equal(await echoed(again), 'hello', 'a failed TLS handshake does no harm')
  again.terminate()
})

t.test('fails when it cannot listen', async t => {
  const listener = await startListener(t, {}, () => {})
  await leavesNothing(t, async () => {
    t.match(await failure(listen({ port: listener.port }, () => {})), { code: 'EADDRINUSE' })
  })
})

t.test('refuses options that make no sense, before anything listens', async t => {
  const cases: readonly unknown[] = [
    { handshakeTimeoutMs: 0 },
    { closeTimeoutMs: -1 },
    { highWaterMark: 0.5 },
    { limits: { maxMessageBytes: -1 } },
    { limits: { nonsense: 1 } },
    { headLimits: { maxHeadBytes: 0 } },
    { headLimits: { nonsense: 1 } },
  ]
  for (const options of cases) {
    const error = await listen(options as object, () => {}).then(
      async listener => {
        await listener.close()
        return null
      },
      (reason: unknown) => reason as Error,
    )
    t.match(error, { code: /^WS_(BAD_OPTION|INVALID_HEAD)$/ }, JSON.stringify(options))
    t.throws(
      () => attach(new EventEmitter(), options as object, () => {}),
      { code: /^WS_(BAD_OPTION|INVALID_HEAD)$/ },
      `attach, ${JSON.stringify(options)}`,
    )
  }
})

t.test('attaches to an http.Server, which goes on serving', async t => {
  const server = createHttpServer((_request, response) => response.end('plain'))
  const before = server.listenerCount('upgrade')
  const acceptor = attach(server, { subprotocols: ['a'] }, echo)
  const port = await serve(t, server)
  const socket = await connect(`ws://127.0.0.1:${port}/path?x`, { subprotocols: ['a'] })
  t.equal(socket.subprotocol, 'a')
  t.equal(await echoed(socket), 'hello')
  const [onServer] = acceptor.sockets
  t.equal(onServer.url, '/path?x')

  const peer = await rawClient(t, port)
  peer.write(upgradeRequest().replace('Version: 13', 'Version: 7'))
  const refusal = await peer.head()
  t.match(refusal, /^HTTP\/1\.1 426 /)
  t.equal(headerOf(refusal, 'Sec-WebSocket-Version'), '13')
  await peer.ended

  await acceptor.close()
  t.match(await socket.closed, { received: { code: 1001 }, wasClean: true })
  t.equal(server.listenerCount('upgrade'), before)
  const [response] = await once(httpRequest({ port, agent: false }).end(), 'response')
  response.resume()
  t.equal(response.statusCode, 200)
})

t.test('attaches to an https.Server', async t => {
  const server = createHttpsServer({ key: valid.key, cert: valid.cert })
  await using acceptor = attach(server, {}, echo)
  const port = await serve(t, server)
  const socket = await connect(`wss://127.0.0.1:${port}/`, { tls: { ca: authority.cert } })
  t.equal(await echoed(socket), 'hello')
  t.equal(acceptor.sockets.size, 1)
  t.equal((await socket.close()).wasClean, true)
})

t.test('what comes in the same packet as the request is not lost on an http.Server', async t => {
  const server = createHttpServer()
  attach(server, {}, echo)
  const port = await serve(t, server)
  const stream = netConnect(port, '127.0.0.1')
  t.teardown(() => void stream.destroy())
  const peer = new RawPeer(stream, 'server')
  const frames = Buffer.concat([
    fromPeer('server', { opcode: TEXT, payload: 'early' }),
    fromPeer('server', { opcode: TEXT, payload: 'bird' }),
  ])
  peer.write(Buffer.concat([bytesOf(upgradeRequest()), frames.subarray(0, 15)]))
  await peer.head()
  peer.write(frames.subarray(15))
  t.strictSame(await peer.shown(2), ['text "early"', 'text "bird"'])
})

t.test('a server sends nothing that is masked and leaves no listener on the stream', async t => {
  let stream!: NonNullable<Parameters<typeof listenersOf>[0]>
  const server = createHttpServer()
  server.on('upgrade', (_request, socket) => {
    stream = socket
  })
  let before: Record<string, number> = {}
  server.prependListener('upgrade', (_request, socket) => {
    before = listenersOf(socket)
  })
  attach(server, {}, echo)
  const port = await serve(t, server)
  const peer = await rawClient(t, port)
  peer.write(upgradeRequest())
  await peer.head()
  peer.send({ opcode: TEXT, payload: 'a' })
  const [frame] = await peer.frames(1)
  t.equal(frame.mask, null)
  peer.sendClose(1000)
  await peer.ended
  peer.stream.end()
  await once(stream, 'close')
  await turn()
  const { error, ...others } = listenersOf(stream)
  const { error: errorBefore = 0, end: _end, ...othersBefore } = before
  t.ok(error <= errorBefore + 1)
  for (const name of Object.keys(others)) t.ok(others[name] <= (othersBefore[name] ?? 1), name)
  t.notOk('data' in others)
})

t.test('onConnection may send, and close, at once', async t => {
  const listener = await startListener(t, {}, socket => {
    socket.write('welcome')
    void socket.close(4001, 'full')
  })
  const peer = await rawClient(t, listener.port)
  peer.write(upgradeRequest())
  await peer.head()
  t.strictSame(await peer.shown(2), ['text "welcome"', 'close 4001 "full"'])
})

t.test('the address of the client is named in errors', async t => {
  const { socket, peer } = await openServer(t)
  peer.reset()
  t.match((await socket.closed).error?.message, /127\.0\.0\.1:\d+/)
})
