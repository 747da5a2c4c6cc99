// Strategy: Gundam.Websocket 0.1.0 on this layer, part three: the options that it hands to gun's upgrade. Names begin with
// their words.
import type { Socket as NetSocket } from 'node:net'
import t from 'tap'
import { type DisconnectStatus, idle, info, type Message, start } from '../../src/index.js'
import { VirtualNetwork } from '../../src/testing/index.js'
import { Queue } from '../interop/conversation.js'
import { PING, PONG, TEXT } from '../support/frames.js'
import { running, welcome, wsServer } from '../support/gundam.js'
import { connectProxy } from '../support/proxies.js'
import { rawServer, until } from '../support/raw-peer.js'
import { failure } from '../support/servers.js'

const FEED = 'ws://feed.test/'

t.test('closing_timeout: is how long a Close waits for its answer', async t => {
  const network = new VirtualNetwork()
  const server = network.listen(FEED, () => {})
  const lost: DisconnectStatus[] = []
  const feed = await network.run(
    start(
      FEED,
      {
        handleInfo: () => ({ close: { code: 4000, reason: 'enough' } }),
        handleDisconnect: status => void lost.push(status),
      },
      { ...network.startOptions, closeTimeoutMs: 15_000 },
    ),
  )
  server.link.freeze()
  feed.info('close')
  t.match(await network.run(feed.ended), { type: 'local', code: 4000, normal: false })
  t.equal(network.clock.now(), 15_000)
  t.match(lost, [
    {
      reason: { type: 'local', code: 4000, text: 'enough' },
      phase: 'closing',
      received: null,
      wasClean: false,
      error: { code: 'WS_CLOSE_TIMEOUT' },
    },
  ])
})

t.test('compress: is offered when it is asked for, and then messages go compressed both ways', async t => {
  const text = 'the same words again and again, '.repeat(200)
  let socket: NetSocket | undefined
  const server = await wsServer(
    t,
    client => client.on('message', data => client.send((data as Buffer).toString())),
    {
      perMessageDeflate: true,
    },
  )
  server.http.on('connection', (one: NetSocket) => (socket = one))
  const bytes: number[] = []
  for (const compress of [true, false] as const) {
    const got = new Queue<unknown>()
    const feed = await running(
      t,
      start(
        server.url,
        {
          handleConnect: ({ extensions }) => got.put(extensions.map(({ name }) => name)),
          handleFrame: ({ data }) => got.put(data),
        },
        { compress },
      ),
    )
    t.same(await got.next(), compress ? ['permessage-deflate'] : [])
    await feed.send(text)
    t.equal(await got.next(), text)
    bytes.push(socket!.bytesRead, socket!.bytesWritten)
    // A frame has the last word.
    await feed.send({ type: 'text', data: text, compress: false })
    t.equal(await got.next(), text)
    t.ok(socket!.bytesRead > bytes.at(-2)! + text.length)
  }
  t.ok(bytes[0] < 1000 && bytes[1] < 1000, 'compressed, with the request and the answer')
  t.ok(bytes[2] > text.length && bytes[3] > text.length)
})

t.test('default_protocol: without an agreed subprotocol the behaviour gets every message', async t => {
  const server = await wsServer(t, socket => socket.send('for anybody'), { handleProtocols: () => false })
  const got = new Queue<unknown>()
  await running(
    t,
    start(
      server.url,
      { handleConnect: ({ subprotocol }) => got.put(subprotocol), handleFrame: ({ data }) => got.put(data) },
      { subprotocols: ['mqtt'] },
    ),
  )
  t.same([await got.next(), await got.next()], ['', 'for anybody'])
})

t.test('protocols: are offered in order, and each has its own handler; others are refused', async t => {
  const server = await wsServer(t, socket => socket.send('7'), { handleProtocols: () => 'v2.feed' })
  const handlers = { 'v1.feed': (text: string) => text, 'v2.feed': (text: string) => Number(text) }
  const got = new Queue<unknown>()
  const subprotocols = Object.keys(handlers)
  await running(
    t,
    start(
      server.url,
      {
        init: () => handlers['v1.feed'] as (text: string) => unknown,
        handleConnect: ({ subprotocol }) => ({ state: handlers[subprotocol as keyof typeof handlers] }),
        handleFrame: ({ data }, handle) => got.put(handle(String(data))),
      },
      { subprotocols },
    ),
  )
  t.equal(await got.next(), 7)
  t.equal(server.requests[0].headers['sec-websocket-protocol'], 'v1.feed, v2.feed')
  const other = await failure(start(server.url, {}, { subprotocols: ['v1.feed'] }))
  t.match(other, { code: 'WS_HANDSHAKE_BAD_SUBPROTOCOL' })
})

t.test('flow: without credits no message is delivered, while pings are answered all the same', async t => {
  const server = await rawServer(t)
  const got: unknown[] = []
  const pings: number[] = []
  const starting = start(
    server.url,
    {
      handleFrame: ({ data }) => {
        got.push(data)
        return data === '4' ? { flow: 1 } : undefined
      },
      handlePing: () => void pings.push(got.length),
    },
    { flow: 2 },
  )
  const { peer } = await welcome(server)
  const feed = await running(t, starting)
  const texts = ['1', '2', '3', '4', '5', '6'].map(payload => ({ opcode: TEXT, payload }))
  peer.send(...texts, { opcode: PING, payload: 'x' })
  t.same(await peer.shown(1), ['pong "x"'])
  await until(() => pings.length === 1, 'the ping')
  t.same(got, ['1', '2'])
  t.same(pings, [2])
  feed.updateFlow(2)
  await until(() => got.length === 5, 'two messages more, and the one that a result paid for')
  t.same(got, ['1', '2', '3', '4', '5'])
  feed.updateFlow(1)
  await until(() => got.length === 6, 'the last one')
})

t.test('keepalive: pings each interval, whatever the traffic, and notices a missing pong', async t => {
  const network = new VirtualNetwork()
  const pings: number[] = []
  const server = network.listen(FEED, socket => {
    socket.onPing = () => pings.push(network.clock.now())
  })
  const lost: DisconnectStatus[] = []
  const feed = await network.run(
    start(
      FEED,
      { handleDisconnect: status => void lost.push(status) },
      { ...network.startOptions, keepalive: { intervalMs: 5000, timeoutMs: 3000 } },
    ),
  )
  for (let second = 0; second < 16; second++) {
    await feed.send('traffic')
    await network.advance(1000)
  }
  t.same(pings, [5000, 10_000, 15_000])
  server.link.freeze()
  await network.run(feed.ended)
  t.equal(network.clock.now(), 23_000)
  t.match(lost, [{ reason: { type: 'keepalive-timeout' }, error: { code: 'WS_KEEPALIVE_TIMEOUT' } }])
})

t.test('silence_pings: hides pings and pongs, which are answered all the same', async t => {
  for (const silencePings of [true, false]) {
    const server = await rawServer(t)
    const seen: string[] = []
    const starting = start(
      server.url,
      {
        handlePing: () => void seen.push('ping'),
        handlePong: () => void seen.push('pong'),
        handleFrame: () => void seen.push('text'),
      },
      { silencePings },
    )
    const { peer } = await welcome(server)
    const feed = await running(t, starting)
    await feed.send({ type: 'ping', data: 'a' })
    t.same(await peer.shown(1), ['ping "a"'])
    peer.send({ opcode: PONG, payload: 'a' }, { opcode: PING, payload: 'b' }, { opcode: TEXT, payload: 'c' })
    t.same(await peer.shown(1), ['pong "b"'])
    await until(() => seen.includes('text'), 'the text')
    t.same(seen, silencePings ? ['text'] : ['pong', 'ping', 'text'])
    t.type(feed.rttMs, 'number', 'the round-trip time is known in either case')
  }
})

t.test('reply_to: messages go on to another process, by its name, or to a function', async t => {
  const server = await wsServer(t, socket => socket.send('news'))
  const got = new Queue<readonly [string, unknown]>()
  await running(
    t,
    start(
      server.url,
      {
        init: () => idle(null),
        handleInfo: (message: unknown) => got.put(['process', message]),
      },
      { name: 'reader' },
    ),
  )
  await running(t, start(server.url, { handleFrame: ({ data }) => info('reader', data) }))
  t.same(await got.next(), ['process', 'news'])
  const fun = (frame: Message): void => got.put(['function', frame.data])
  await running(t, start(server.url, { handleFrame: fun }))
  t.same(await got.next(), ['function', 'news'])
})

t.test('tunnel: an upgrade through a proxy, which is asked again after a reconnect', async t => {
  const server = await wsServer(t)
  const proxy = await connectProxy(t)
  const connected = new Queue<true>()
  await running(
    t,
    start(
      server.url.replace('127.0.0.1', 'target.invalid'),
      { handleConnect: () => connected.put(true) },
      { proxy: proxy.url, reconnect: { minDelayMs: 0 } },
    ),
  )
  await connected.next()
  for (const socket of server.server.clients) socket.terminate()
  await connected.next()
  t.same(
    proxy.asked.map(head => head.split('\n')[0]),
    [`CONNECT target.invalid:${server.port} HTTP/1.1`, `CONNECT target.invalid:${server.port} HTTP/1.1`],
  )
})

t.test('user_opts: what the handler needs comes to init as args', async t => {
  const server = await wsServer(t)
  const feed = await running(
    t,
    start(
      server.url,
      { init: ({ room }: { readonly room: string }, self) => ({ room, name: self.name }) },
      { args: { room: 'lobby' }, name: 'lobby-feed' },
    ),
  )
  t.same(await feed.getState(), { room: 'lobby', name: 'lobby-feed' })
})
