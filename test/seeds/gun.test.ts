// Strategy: gun, which Gundam stands on, on this layer: its functions, and how it behaves where a user can tell. Names begin
// with gun's word. Its options are in gundam-options.test.ts and gundam-upgrade.test.ts.
import t from 'tap'
import {
  type DisconnectStatus,
  type Frame,
  idle,
  NotConnectedError,
  ProtocolViolation,
  start,
  type StartOptions,
} from '../../src/index.js'
import { VirtualNetwork } from '../../src/testing/index.js'
import { Queue } from '../interop/conversation.js'
import { authority } from '../support/certificates.js'
import { BINARY, CLOSE, PING, TEXT } from '../support/frames.js'
import { running, socketPath, TRUST, welcome, wsServer } from '../support/gundam.js'
import { connectProxy, scriptedProxy, socksProxy } from '../support/proxies.js'
import { headerOf, isSettled, rawServer, until } from '../support/raw-peer.js'
import { failure, leavesNothing } from '../support/servers.js'

const FEED = 'ws://feed.test/'

t.test('open: start() opens, upgrades, and upgrades again after each reconnect', async t => {
  const server = await rawServer(t)
  const starting = start(server.url, {}, { reconnect: { minDelayMs: 0 } })
  const first = await welcome(server)
  const feed = await running(t, starting)
  t.equal(feed.phase, 'open')
  t.equal(headerOf(first.head, 'Upgrade'), 'websocket')
  first.peer.reset()
  const second = await welcome(server)
  t.equal(headerOf(second.head, 'Upgrade'), 'websocket')
  const keys = [first, second].map(({ head }) => headerOf(head, 'Sec-WebSocket-Key'))
  t.equal(new Set(keys).size, 2, 'each handshake has a key of its own')
})

t.test('open_unix: connects to a unix socket, and says localhost there', async t => {
  const socket = socketPath(t)
  const server = await wsServer(t, client => client.send('over a unix socket'), { socket })
  const got = new Queue<unknown>()
  await running(t, start(`${server.url}:/websocket?room=1`, { handleFrame: ({ data }) => got.put(data) }))
  t.equal(await got.next(), 'over a unix socket')
  t.match(server.requests, [{ url: '/websocket?room=1', headers: { host: 'localhost' } }])
})

t.test('await_up: start() resolves when it is open, and connect() waits for it later', async t => {
  const server = await rawServer(t)
  const order: string[] = []
  const starting = start(server.url, {
    handleConnect: async () => {
      await isSettled(new Promise(() => {}))
      order.push('handleConnect')
    },
    handleDisconnect: () => ({ stay: true }),
  }).then(feed => {
    order.push('start')
    return feed
  })
  const first = await welcome(server)
  const feed = await running(t, starting)
  t.same(order, ['handleConnect', 'start'])
  first.peer.reset()
  await until(() => feed.phase === 'idle', 'the loss')
  const up = feed.connect()
  t.equal(feed.phase, 'connecting')
  await welcome(server)
  await up
  t.equal(feed.phase, 'open')
})

t.test('shutdown: closes with a handshake, waits for it, and does not connect again', async t => {
  const server = await rawServer(t)
  let disconnects = 0
  const starting = start(
    server.url,
    { handleDisconnect: () => void disconnects++ },
    { reconnect: { minDelayMs: 0, onClean: true } },
  )
  const { peer } = await welcome(server)
  const feed = await starting
  const ended = feed.stop('done', { code: 1001, reason: 'going away' })
  t.same(await peer.shown(1), ['close 1001 "going away"'])
  t.notOk(await isSettled(ended), 'until the server has answered')
  peer.sendClose(1001)
  peer.stream.end()
  t.match(await ended, { type: 'stop', normal: true, value: 'done' })
  t.equal(disconnects, 0)
})

t.test('close: with no time for it, the socket is destroyed at once', async t => {
  const server = await rawServer(t)
  await leavesNothing(t, async () => {
    const starting = start(server.url, {})
    const { peer } = await welcome(server)
    const feed = await starting
    await feed.stop(undefined, { timeoutMs: 0 })
    await peer.ended
    peer.stream.destroy()
  })
})

t.test('info: status tells phase, address, queues and round-trip time', async t => {
  const network = new VirtualNetwork({ conditions: { latencyMs: 40 } })
  network.listen(FEED, () => {})
  const feed = await network.run(
    start(`${FEED}path`, {}, { ...network.startOptions, name: 'feed', whenNotOpen: 'queue' }),
  )
  await feed.send({ type: 'ping' })
  await network.advance(80)
  t.same(await network.run(feed.status()), {
    name: 'feed',
    phase: 'open',
    url: `${FEED}path`,
    failures: 0,
    reconnects: 0,
    mailboxLength: 0,
    queuedFrames: 0,
    droppedFrames: 0,
    bufferedAmount: 0,
    rttMs: 80,
    version: undefined,
    state: undefined,
  })
  await network.run(feed.stop())
})

t.test('ws_send: of a list of frames, those after the first close are not sent', async t => {
  const server = await rawServer(t)
  const reply: Frame[] = [
    'text',
    { type: 'binary', data: Uint8Array.of(7) },
    { type: 'ping', data: 'p' },
    { type: 'close', code: 3001, reason: 'bye' },
    'dropped',
    { type: 'pong' },
  ]
  const starting = start(server.url, { handleInfo: () => ({ reply }) })
  const { peer } = await welcome(server)
  const feed = await starting
  feed.info('go')
  t.same(await peer.shown(4), ['text "text"', 'binary "\\u0007"', 'ping "p"', 'close 3001 "bye"'])
  peer.sendClose(3001)
  peer.stream.end()
  t.same(await peer.restShown(), [])
  const { unsent } = await feed.ended
  t.same(unsent, [], 'nor handed back: they were never accepted')
})

t.test('ws_send: while closing it is refused, or kept for the next connection', async t => {
  for (const whenNotOpen of ['error', 'queue'] as const) {
    const server = await rawServer(t)
    const starting = start(
      server.url,
      { handleInfo: () => ({ close: true }), handleDisconnect: () => ({ reconnect: true }) },
      { whenNotOpen },
    )
    const { peer } = await welcome(server)
    const feed = await running(t, starting)
    feed.info('close')
    t.same(await peer.shown(1), ['close 1000 ""'])
    const sent = feed.send('late')
    sent.catch(() => {})
    t.equal(feed.phase, 'closing')
    peer.sendClose(1000)
    peer.stream.end()
    const next = await welcome(server)
    if (whenNotOpen === 'queue') {
      t.same(await next.peer.shown(1), ['text "late"'])
      t.equal(await sent, undefined)
    } else {
      const error = await failure(sent)
      t.ok(error instanceof NotConnectedError)
      t.match(error, { state: 'closing' })
    }
  }
})

t.test('update_flow: credits add up, and a negative number of them is refused', async t => {
  const network = new VirtualNetwork()
  const server = network.listen(FEED, socket => {
    for (let n = 1; n <= 100; n++) socket.write(String(n))
  })
  const got: number[] = []
  const feed = await network.run(
    start(
      FEED,
      { handleFrame: ({ data }) => void got.push(Number(data)) },
      { ...network.startOptions, flow: 0 },
    ),
  )
  await network.settle()
  t.same(got, [])
  feed.updateFlow(1)
  feed.updateFlow(2)
  await network.settle()
  t.same(got, [1, 2, 3])
  t.throws(() => feed.updateFlow(-1), { code: 'WS_BAD_OPTION' })
  for (let n = 0; n < 97; n++) feed.updateFlow(1)
  await network.settle()
  t.same(
    got,
    Array.from({ length: 100 }, (_, i) => i + 1),
  )
  t.equal(server.sockets.size, 1)
  await network.run(feed.stop())
})

t.test('set_owner: links move with link and unlink', async t => {
  const server = await wsServer(t)
  const old = await start(server.url, {})
  const heir = await start(server.url, {})
  const feed = await start(server.url, {}, { link: old })
  feed.link(heir)
  feed.unlink(old)
  await old.stop(new Error('the old owner fails'))
  t.equal(feed.phase, 'open')
  const ended = feed.ended
  await heir.stop(new Error('the heir fails'))
  t.match(await ended, { type: 'link', normal: false, error: { message: 'the heir fails' } })
})

t.test('owner exit: the connection ends with its owner, by link or by signal', async t => {
  const server = await rawServer(t)
  const open = async (
    options: StartOptions,
  ): Promise<{ ended: Promise<unknown>; close: () => Promise<string[]> }> => {
    const starting = start(server.url, { handleDisconnect: () => void t.fail('it is no loss') }, options)
    const { peer } = await welcome(server)
    const { ended } = await starting
    const close = async (): Promise<string[]> => {
      const shown = await peer.shown(1)
      peer.sendClose(1000)
      peer.stream.end()
      return shown
    }
    return { ended, close }
  }
  const owner = await start((await wsServer(t)).url, {})
  const linked = await open({ link: owner })
  await owner.stop(new Error('owner crashed'))
  t.same(await linked.close(), ['close 1011 ""'])
  t.match(await linked.ended, { type: 'link', error: { message: 'owner crashed' } })
  const controller = new AbortController()
  const held = await open({ signal: controller.signal })
  controller.abort()
  t.same(await held.close(), ['close 1001 "aborted"'])
  t.match(await held.ended, { type: 'stop', normal: true })
})

t.test('gun_down: the code of a clean close is echoed, and visible', async t => {
  const server = await rawServer(t)
  const seen: DisconnectStatus[] = []
  const starting = start(server.url, { handleDisconnect: status => void seen.push(status) })
  const { peer } = await welcome(server)
  const feed = await starting
  peer.sendClose(4321, 'see you')
  t.same(await peer.shown(1), ['close 4321 "see you"'])
  peer.stream.end()
  t.match(await feed.ended, { type: 'remote', code: 4321, text: 'see you', normal: false })
  t.match(seen, [{ received: { code: 4321 }, sent: { code: 4321 }, wasClean: true, error: null }])
})

t.test('gun_down: bad frames answer 1002 and bad UTF-8 1007, and both can be told apart', async t => {
  const faults = [
    [{ opcode: 3, payload: 'x' }, 1002],
    [{ opcode: TEXT, payload: Uint8Array.of(0xff) }, 1007],
    [{ opcode: PING, payload: 'x', fin: false }, 1002],
    [{ opcode: CLOSE, payload: Uint8Array.of(3) }, 1002],
    [{ opcode: BINARY, payload: '', declared: 2n ** 62n }, 1009],
  ] as const
  const codes = new Set<string>()
  for (const [spec, code] of faults) {
    const server = await rawServer(t)
    const seen: DisconnectStatus[] = []
    const starting = start(server.url, { handleDisconnect: status => void seen.push(status) })
    const { peer } = await welcome(server)
    const feed = await starting
    const { ended } = feed
    peer.send(spec)
    t.match((await peer.shown(1))[0], `close ${code} `)
    peer.stream.end()
    await ended
    t.match(seen, [{ reason: { type: 'error', code } }])
    const { error } = seen[0]
    t.ok(error instanceof ProtocolViolation)
    codes.add((error as ProtocolViolation).code)
  }
  t.equal(codes.size, faults.length)
})

t.test('gun_down: after our own close messages are still delivered, if that is asked for', async t => {
  for (const deliverWhileClosing of [true, false]) {
    const server = await rawServer(t)
    const got: unknown[] = []
    const starting = start(
      server.url,
      { handleInfo: () => ({ close: true }), handleFrame: ({ data }) => void got.push(data) },
      { deliverWhileClosing },
    )
    const { peer } = await welcome(server)
    const feed = await starting
    feed.info('close')
    await peer.shown(1)
    peer.send({ opcode: TEXT, payload: 'still underway' })
    peer.sendClose(1000)
    peer.stream.end()
    t.match(await feed.ended, { type: 'local', normal: true })
    t.same(got, deliverWhileClosing ? ['still underway'] : [])
  }
})

t.test('event_handler: every step has a name, from the lookup to the end', async t => {
  const server = await wsServer(t, socket => socket.on('message', data => socket.send(data as Buffer)), {
    tls: true,
  })
  const types: string[] = []
  const answered = new Queue<true>()
  const feed = await start(
    server.url.replace('127.0.0.1', 'localhost'),
    {
      init: () => idle(null),
      handleFrame: () => ({ reply: { type: 'ping', data: 'p' } }),
      handlePong: () => answered.put(true),
    },
    {
      ...TRUST,
      lookup: (_name, _options, callback) => callback(null, [{ address: '127.0.0.1', family: 4 }]),
    },
  )
  feed.debug.subscribe(({ event, process }) => {
    t.equal(process, feed)
    types.push(event.type)
  })
  await feed.connect()
  await feed.send('hello')
  await answered.next()
  await feed.stop()
  t.same(types, [
    'attempt',
    'domain-lookup',
    'connect',
    'tls',
    'request',
    'response',
    'open',
    'frame-out',
    'frame-in',
    'frame-out',
    'pong-in',
    'close-out',
    'close-in',
    'terminate',
  ])
})

t.test('connect: CONNECT tunnels in a row, TLS inside TLS, with authentication', async t => {
  const server = await wsServer(t, socket => socket.send('through two proxies'), { tls: true })
  const credentials = { user: 'jo', password: 'secret' }
  const outer = await connectProxy(t, { tls: true, credentials })
  const inner = await connectProxy(t)
  const got = new Queue<unknown>()
  await running(
    t,
    start(
      server.url.replace('127.0.0.1', 'localhost'),
      { handleFrame: ({ data }) => got.put(data) },
      {
        ...TRUST,
        proxy: [{ url: outer.url.replace('//', '//jo:secret@'), tls: { ca: authority.cert } }, inner.url],
      },
    ),
  )
  t.equal(await got.next(), 'through two proxies')
  t.match(outer.asked, [/^CONNECT 127\.0\.0\.1:\d+ /])
  t.match(inner.asked, [`CONNECT localhost:${server.port} `])
  const refused = await failure(
    start(server.url, {}, { ...TRUST, proxy: { url: outer.url, insecure: true } }),
  )
  t.match(refused, { code: 'WS_PROXY_REFUSED', phase: 'proxy', response: { status: 407 } })
})

t.test('socks: SOCKS5 resolves names at the proxy, and knows user and password', async t => {
  const server = await wsServer(t, socket => socket.send('through SOCKS'))
  const proxy = await socksProxy(t, { user: 'jo', password: 'secret' })
  const got = new Queue<unknown>()
  const url = `ws://nobody-knows.invalid:${server.port}/`
  await running(
    t,
    start(
      url,
      { handleFrame: ({ data }) => got.put(data) },
      { proxy: proxy.url.replace('//', '//jo:secret@') },
    ),
  )
  t.equal(await got.next(), 'through SOCKS')
  t.same(proxy.asked, [`nobody-knows.invalid:${server.port}`])
})

t.test('socks: each refusal has a name of its own, which the policy sees', async t => {
  const details: (readonly [number, string | null | undefined])[] = []
  for (const reply of [1, 2, 3, 4, 5, 6, 7, 8]) {
    const proxy = await scriptedProxy(
      t,
      { bytes: Uint8Array.of(5, 0) },
      { bytes: Uint8Array.of(5, reply, 0, 1, 0, 0, 0, 0, 0, 0) },
    )
    await failure(
      start(
        'ws://target.invalid/',
        {
          handleDisconnect: ({ phase, error }) => {
            t.equal(phase, 'proxy')
            details.push([reply, (error as { detail?: string }).detail])
          },
        },
        { proxy: `socks5://127.0.0.1:${proxy.port}`, handleInitialFailure: true },
      ),
    )
  }
  t.same(details, [
    [1, 'general-socks-server-failure'],
    [2, 'connection-not-allowed-by-ruleset'],
    [3, 'network-unreachable'],
    [4, 'host-unreachable'],
    [5, 'connection-refused'],
    [6, 'ttl-expired'],
    [7, 'command-not-supported'],
    [8, 'address-type-not-supported'],
  ])
})
