// Strategy: a WebSockex process at work: what it is told and asked, why it ends, what the tests of WebSockex check, and what
// its users complain of. The server is a raw peer over TCP; stories that take minutes run on a network in memory.
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { networkInterfaces } from 'node:os'
import { createServer as createTlsServer } from 'node:tls'
import t, { type Test } from 'tap'
import {
  type Behaviour,
  cast,
  childSpec,
  type DisconnectStatus,
  type EndReason,
  type Frame,
  type PublishedEvent,
  start,
  startSupervisor,
} from '../../src/index.js'
import { VirtualNetwork } from '../../src/testing/index.js'
import { authority, certificates } from '../support/certificates.js'
import {
  BINARY,
  buildFrame,
  bytesOf,
  CLOSE,
  concat,
  CONTINUATION,
  type FrameSpec,
  fromPeer,
  PING,
  PONG,
  TEXT,
} from '../support/frames.js'
import { connectProxy, socksProxy } from '../support/proxies.js'
import { acceptance, headerOf, RawPeer, rawServer, until } from '../support/raw-peer.js'
import { failure, serve, turn, withResolvers } from '../support/servers.js'
import { VirtualClock } from '../support/virtual-clock.js'
import { bidFarewell, echo, type Feed, greet, hangUp, owned, story, wsServer } from './websockex-support.js'

t.test('cast: returns at once, and the message goes to handle_cast', async t => {
  const log: string[] = []
  const { feed, peer } = await story(t, {
    handleCast: message => {
      log.push(message)
      return { reply: message.toUpperCase() }
    },
  })
  feed.cast('a')
  cast(feed, 'b')
  log.push('cast')
  t.same(await peer.shown(2), ['text "A"', 'text "B"'])
  t.same(log, ['cast', 'a', 'b'])
})

t.test('cast: waits through connecting, closing and reconnecting', async t => {
  const server = await rawServer(t)
  const behaviour: Behaviour<unknown, string> = {
    handleCast: text => ({ reply: text }),
    handleDisconnect: () => ({ reconnect: true }),
  }
  const feed = owned(t, await start(server.url, behaviour, { async: true }))
  feed.cast('while connecting')
  const first = await greet(server)
  t.same(await first.shown(1), ['text "while connecting"'])
  await feed.send({ type: 'close', code: 4000 })
  feed.cast('while closing')
  t.equal(await bidFarewell(first), 'close 4000 ""')
  const waiting = await server.accepted()
  feed.cast('while reconnecting')
  waiting.write(acceptance(await waiting.head()))
  t.same(await waiting.shown(2), ['text "while closing"', 'text "while reconnecting"'])
})

t.test('send_frame: ok when the bytes were handed to the socket', async t => {
  const { feed, peer } = await story(t)
  t.equal(await feed.send('hello'), undefined)
  t.ok(feed.write('world'))
  t.same(await peer.shown(2), ['text "hello"', 'text "world"'])
})

t.test('send_frame: {error, NotConnectedError} while connecting and while closing', async t => {
  const server = await rawServer(t)
  const feed = owned(t, await start(server.url, {}, { async: true }))
  t.match(await failure(feed.send('early')), { code: 'WS_NOT_CONNECTED', state: 'connecting' })
  t.equal(feed.write('early'), false)
  const peer = await greet(server)
  await feed.connect()
  await feed.send({ type: 'close' })
  t.match(await failure(feed.send('late')), { code: 'WS_NOT_CONNECTED', state: 'closing' })
  t.equal(await bidFarewell(peer), 'close ""')
})

t.test(
  'send_frame: {error, ConnError} when the connection is lost first, and the frame is handed back',
  async t => {
    const { feed, peer, statuses, ended } = await story(t)
    peer.stream.pause()
    const large = new Uint8Array(48 * 1024 * 1024)
    const sending = failure(feed.send(large))
    peer.reset()
    t.match(await sending, { name: 'ConnectionError', code: 'WS_CONNECTION_LOST' })
    await ended
    t.equal((statuses[0].unsent[0] as { data: unknown }).data, large)
  },
)

t.test(
  'send_frame: {error, FrameEncodeError} and {error, InvalidFrameError} leave the connection open',
  async t => {
    const { feed, peer } = await story(t)
    t.match(await failure(feed.send({ type: 'pong', data: 'x'.repeat(126) })), { name: 'FrameEncodeError' })
    t.match(await failure(feed.send({ type: 'finish', data: 'x' })), { reason: 'fragment-sequence' })
    t.match(await failure(feed.send({ type: 'huh' } as never)), { name: 'InvalidFrameError' })
    await feed.send('fine')
    t.same(await peer.shown(1), ['text "fine"'])
  },
)

t.test('send_frame: works inside a callback, where it was a CallingSelfError', async t => {
  const { peer } = await story(t, {
    handleFrame: async ({ data }, _, self) => {
      await self.send(`heard ${data.length}`)
      return { reply: 'and more' }
    },
  })
  peer.send({ opcode: TEXT, payload: 'abc' })
  t.same(await peer.shown(2), ['text "heard 3"', 'text "and more"'])
})

t.test('frame: each form as it stands on the wire', async t => {
  const { feed, peer } = await story(t)
  const forms: readonly (readonly [Frame, string])[] = [
    [{ type: 'ping' }, 'ping ""'],
    [{ type: 'ping', data: 'a' }, 'ping "a"'],
    [{ type: 'pong' }, 'pong ""'],
    [{ type: 'pong', data: bytesOf('b') }, 'pong "b"'],
    [{ type: 'text', data: 'c' }, 'text "c"'],
    ['d', 'text "d"'],
    [{ type: 'binary', data: bytesOf('e') }, 'binary "e"'],
    [bytesOf('f'), 'binary "f"'],
    [{ type: 'fragment', kind: 'text', data: 'g' }, 'text+ "g"'],
    [{ type: 'continuation', data: 'h' }, 'continuation+ "h"'],
    [{ type: 'finish', data: 'i' }, 'continuation "i"'],
    [{ type: 'close', code: 4000, reason: 'j' }, 'close 4000 "j"'],
  ]
  for (const [frame] of forms) await feed.send(frame)
  t.same(
    await peer.shown(forms.length),
    forms.map(([, shown]) => shown),
  )
  peer.sendClose(4000)
  peer.stream.end()
})

/** What `:sys` offers, in whatever phase. */
async function inspects(t: Test, feed: Feed, phase: string): Promise<void> {
  t.equal(await feed.getState(), 1)
  t.equal(await feed.replaceState(state => state + 1), 2)
  t.equal(await feed.getState(), 2)
  t.match(
    await failure(
      feed.replaceState(() => {
        throw new Error('no')
      }),
    ),
    { message: 'no' },
  )
  t.match(await feed.status(), { phase, state: 2, mailboxLength: 0, version: undefined })
}

t.test('sys: get_state, replace_state and get_status while connecting', async t => {
  const server = await rawServer(t)
  const behaviour: Behaviour<number, string> = { init: () => 1 }
  const feed = owned(t, await start(server.url, behaviour, { async: true }))
  const peer = await server.accepted()
  await inspects(t, feed, 'connecting')
  peer.write(acceptance(await peer.head()))
  await feed.connect()
  t.equal(await feed.getState(), 2)
})

t.test('sys: get_state, replace_state and get_status while connected', async t => {
  const { feed } = await story(t)
  await inspects(t, feed, 'open')
})

t.test('sys: get_state, replace_state and get_status while closing', async t => {
  const { feed, peer } = await story(t)
  await feed.send({ type: 'close' })
  await inspects(t, feed, 'closing')
  t.equal(await bidFarewell(peer), 'close ""')
})

t.test('debug events: everything that a trace of WebSockex shows', async t => {
  const clock = new VirtualClock()
  const { feed, peer, server, ended } = await story(
    t,
    {
      handleCast: () => ({ reply: 'replied' }),
      handleInfo: () => {},
      handleDisconnect: ({ reason }) => (reason.type === 'local' ? undefined : { reconnect: true }),
    },
    { debug: [{ log: 1000 }], clock, keepalive: false },
  )
  peer.send(
    { opcode: TEXT, payload: 'a', fin: false },
    { opcode: CONTINUATION, payload: 'b' },
    { opcode: PING },
  )
  t.same(await peer.shown(1), ['pong ""'])
  feed.cast('cast')
  feed.info('info')
  t.same(await peer.shown(1), ['text "replied"'])
  await feed.send('sent')
  await hangUp(peer, 4000)
  const second = await greet(server)
  await feed.connect()
  second.reset()
  const third = await greet(server)
  await until(() => feed.phase === 'open', 'the third connection')
  await feed.send({ type: 'close', code: 4001 })
  t.same(await third.shown(1), ['close 4001 ""'])
  clock.advance(5000)
  await ended
  const opening = ['attempt', 'connect', 'request', 'response', 'open']
  const talk = ['frame-in', 'ping-in', 'cast', 'frame-out', 'info', 'frame-out', 'close-in', 'close-out']
  const lost = ['disconnect', 'reconnect', ...opening]
  const types = feed.debug.getLog().map(({ event }) => event.type)
  t.same(types, [
    'start',
    ...opening,
    ...talk,
    ...lost,
    ...lost,
    'close-out',
    'frame-out',
    'disconnect',
    'terminate',
  ])
  const events = feed.debug.getLog().map(({ event }) => event)
  t.match(events.at(-2), { status: { reason: { code: 4001 }, error: { code: 'WS_CLOSE_TIMEOUT' } } })
})

t.test('telemetry: connected, disconnected, terminate, frame received and sent', async t => {
  const events: PublishedEvent[] = []
  const note = (event: unknown): void => void events.push(event as PublishedEvent)
  const channels = ['open', 'disconnect', 'terminate', 'frame-in', 'frame-out'].map(one => `sansocket:${one}`)
  for (const channel of channels) subscribe(channel, note)
  t.teardown(() => channels.forEach(channel => unsubscribe(channel, note)))
  const { feed, peer, server, ended } = await story(t, {
    handleFrame: ({ data }) => ({ reply: data }),
    handleDisconnect: ({ reason }) => (reason.normal ? undefined : { reconnect: true }),
  })
  peer.send({ opcode: TEXT, payload: 'a' })
  t.same(await peer.shown(1), ['text "a"'])
  await hangUp(peer, 1001)
  const second = await greet(server)
  await hangUp(second)
  await ended
  t.match(
    events.map(({ event }) => event),
    [
      { type: 'open', attempt: 1, reconnects: 0, url: server.url },
      { type: 'frame-in', frame: { type: 'text', data: 'a' } },
      { type: 'frame-out', frame: { type: 'text', data: 'a' } },
      { type: 'disconnect', status: { reason: { code: 1001 }, attempt: 1 } },
      { type: 'open', reconnects: 1 },
      { type: 'disconnect', status: { reason: { code: 1000 } } },
      { type: 'terminate', reason: { type: 'remote', normal: true } },
    ],
  )
  t.ok(events.every(({ process, at, elapsedMs }) => process === feed && at > 0 && elapsedMs >= 0))
})

t.test('a frame right behind the 101, in the same packet, is delivered: tcp and tls', async t => {
  const early = buildFrame({ opcode: TEXT, payload: 'early' })
  const tls = createTlsServer(certificates.valid, stream => {
    const peer = new RawPeer(stream, 'client')
    void peer.head().then(head => peer.write(concat([bytesOf(acceptance(head)), early])))
  })
  const server = await rawServer(t)
  const greeted = greet(server, [], early)
  for (const url of [server.url, `wss://localhost:${await serve(t, tls)}/`]) {
    const log: unknown[] = []
    const { promise, resolve } = withResolvers<void>()
    const behaviour: Behaviour<unknown> = {
      handleConnect: () => void log.push('connect'),
      handleFrame: ({ data }) => {
        log.push(data)
        resolve()
      },
    }
    owned(t, await start(url, behaviour, { tls: { ca: authority.cert } }))
    await promise
    t.same(log, ['connect', 'early'])
  }
  await greeted
})

t.test('partial and batched frames: cut anywhere, or many at once', async t => {
  const { promise, resolve } = withResolvers<void>()
  const got: unknown[] = []
  const { peer } = await story(t, {
    handleFrame: ({ data }) => {
      got.push(data)
      if (data === 'end') resolve()
    },
  })
  const frames = ['one', 'x'.repeat(300), 'three'].map(payload =>
    fromPeer('client', { opcode: TEXT, payload }),
  )
  for (const byte of concat(frames)) {
    peer.write(Uint8Array.of(byte))
    await turn()
  }
  peer.write(concat([...frames, buildFrame({ opcode: TEXT, payload: 'end' })]))
  await promise
  const three = ['one', 'x'.repeat(300), 'three']
  t.same(got, [...three, ...three, 'end'])
})

t.test('frames that were read are handled before the next message of the mailbox', async t => {
  const log: unknown[] = []
  const gate = withResolvers<void>()
  const { feed, peer } = await story(t, {
    handleFrame: async ({ data }) => {
      log.push(data)
      if (data === '1') await gate.promise
    },
    handleCast: message => void log.push(message),
  })
  peer.send(...['1', '2', '3'].map(payload => ({ opcode: TEXT, payload })), { opcode: PING })
  t.same(await peer.shown(1), ['pong ""'], 'all has been read')
  feed.cast('cast')
  gate.resolve()
  await feed.getState()
  t.same(log, ['1', '2', '3', 'cast'])
})

t.test('the buffer and the fragments are reset by a reconnect', async t => {
  const { promise, resolve } = withResolvers<unknown>()
  const { peer, server } = await story(t, {
    handleFrame: ({ data }) => resolve(data),
    handleDisconnect: () => ({ reconnect: true }),
  })
  peer.send({ opcode: BINARY, payload: 'a', fin: false })
  peer.write(fromPeer('client', { opcode: CONTINUATION, payload: 'bcd' }).subarray(0, 3))
  peer.reset()
  await greet(server, [], buildFrame({ opcode: TEXT, payload: 'whole' }))
  t.equal(await promise, 'whole')
})

t.test('a reply to a dead socket leads to one disconnect, and is handed back', async t => {
  const provoked: Readonly<Record<string, (feed: Feed, peer: RawPeer) => void>> = {
    handleFrame: (_, peer) => peer.send({ opcode: TEXT }),
    handlePing: (_, peer) => peer.send({ opcode: PING }),
    handlePong: (_, peer) => peer.send({ opcode: PONG }),
    handleCast: feed => feed.cast('go'),
    handleInfo: feed => feed.info('go'),
  }
  for (const [callback, provoke] of Object.entries(provoked)) {
    const [entered, gate] = [withResolvers<void>(), withResolvers<void>()]
    const act = async (): Promise<object> => {
      entered.resolve()
      await gate.promise
      return { reply: ['too', 'late'] }
    }
    const { feed, peer, statuses, ended } = await story(t, { [callback]: act })
    provoke(feed, peer)
    await entered.promise
    peer.reset()
    await until(() => feed.phase !== 'open', 'the end of the connection')
    gate.resolve()
    t.match(await ended, { type: 'closed', normal: false }, callback)
    const unsent = ['too', 'late'].map(data => ({ type: 'text', data }))
    t.match(statuses, [{ reason: { type: 'closed' }, unsent }])
    t.equal(statuses.length, 1)
  }
})

t.test('the close timeout is 5 s, for our Close and for a server that answers and does not end', async t => {
  for (const initiator of ['local', 'remote']) {
    const clock = new VirtualClock()
    const { feed, peer, statuses, ended } = await story(t, {}, { clock, keepalive: false })
    if (initiator === 'local') await feed.send({ type: 'close', code: 4000 })
    else peer.sendClose(4000)
    t.same(await peer.shown(1), ['close 4000 ""'])
    clock.advance(4999)
    await turn()
    t.equal(feed.phase, 'closing')
    clock.advance(1)
    t.match(await ended, { type: initiator, normal: false, code: 4000 })
    t.match(statuses, [{ reason: { type: initiator }, wasClean: initiator === 'remote' }])
    t.equal(clock.pending, 0)
  }
})

t.test('the exit of a parent ends a process that is connecting, connected or reconnecting', async t => {
  const error = new Error('parent')
  const terminated: EndReason[] = []
  const behaviour: Behaviour<number, string> = {
    init: () => 1,
    handleDisconnect: () => ({ reconnect: true }),
    terminate: reason => void terminated.push(reason),
  }
  for (const phase of ['connecting', 'open', 'reconnecting']) {
    const { feed: parent, peer: parentPeer } = await story(t)
    const server = await rawServer(t)
    const child = await start(server.url, behaviour, { async: true, link: parent })
    const peer = phase === 'connecting' ? await server.accepted() : await greet(server)
    if (phase !== 'connecting') await child.connect()
    if (phase === 'reconnecting') {
      await hangUp(peer)
      await server.accepted()
    }
    const stopping = parent.stop(error)
    t.equal(await bidFarewell(parentPeer), 'close 1011 ""')
    await stopping
    if (phase === 'open') t.equal(await bidFarewell(peer), 'close 1011 ""')
    t.match(await child.ended, { type: 'link', normal: false, error }, phase)
    t.equal(terminated.length, 1)
    t.equal(terminated.pop(), await child.ended)
  }
})

const hasIPv6 = Object.values(networkInterfaces()).some(list => list?.some(one => one.address === '::1'))

t.test('beyond: reconnects back off, with jitter and a cap', async t => {
  const network = new VirtualNetwork({ seed: 3 })
  const server = network.listen('ws://feed.test/', () => {})
  const reconnect = { minDelayMs: 100, maxDelayMs: 1000, factor: 2 }
  const options = { ...network.startOptions, reconnect, debug: [{ log: 1000 }] } as const
  const feed = await network.run(start('ws://feed.test/', {}, options))
  server.down()
  await network.runUntil(() => server.attempts.length > 20)
  const events = feed.debug.getLog().map(({ event }) => event)
  const delays = events.flatMap(event => (event.type === 'reconnect' ? [event.delayMs] : []))
  t.ok(delays.length >= 20)
  for (const [step, delayMs] of delays.entries()) {
    const longest = Math.min(1000, 100 * 2 ** step)
    t.ok(delayMs >= 0 && delayMs <= longest, `${delayMs} of at most ${longest} ms`)
  }
  t.equal(new Set(delays).size, delays.length, 'no two are the same')
  t.ok(delays.some(delayMs => delayMs > 500))
  await network.run(feed.stop())
  await network.run(server.close())
  t.same(network.leaks(), [])
})

t.test('beyond: a half-open connection is found by the keepalive', async t => {
  const network = new VirtualNetwork()
  const server = network.listen('ws://feed.test/', () => {})
  const statuses: [DisconnectStatus, number][] = []
  const behaviour: Behaviour<undefined> = {
    handleDisconnect: (status, _, self) => {
      statuses.push([status, self.now()])
      return { reconnect: { delayMs: 60_000 } }
    },
  }
  const feed = await network.run(start('ws://feed.test/', behaviour, network.startOptions))
  await network.advance(30_000)
  t.equal(feed.phase, 'open', 'as long as there are pongs')
  server.partition()
  await network.advance(40_000)
  const error = { code: 'WS_KEEPALIVE_TIMEOUT' }
  t.match(statuses, [
    [{ reason: { type: 'keepalive-timeout', normal: false }, phase: 'open', error }, 60_000],
  ])
  server.heal()
  await network.advance(60_000)
  t.equal(feed.phase, 'open', 'and it is back')
  await network.run(feed.stop())
  await network.run(server.close())
  t.same(network.leaks(), [])
})

t.test('beyond: a handshake that never answers fails, and is tried again', async t => {
  const server = await rawServer(t)
  const clock = new VirtualClock()
  const statuses: DisconnectStatus[] = []
  const feed = owned(
    t,
    await start(
      server.url,
      {
        handleDisconnect: status => {
          statuses.push(status)
          return { reconnect: { delayMs: 0 } }
        },
      },
      { async: true, clock, keepalive: false },
    ),
  )
  const silent = await server.accepted()
  await silent.head()
  clock.advance(10_000)
  await silent.ended
  await greet(server)
  await feed.connect()
  const error = { code: 'WS_HANDSHAKE_TIMEOUT' }
  t.match(statuses, [{ reason: { type: 'error' }, phase: 'handshake', attempt: 1, error }])
})

for (const [kind, proxied] of [
  ['CONNECT', connectProxy],
  ['SOCKS5', socksProxy],
] as const) {
  t.test(`beyond: through a proxy, ${kind}`, async t => {
    const { port } = await wsServer(t, echo)
    const proxy = await proxied(t)
    const { promise, resolve } = withResolvers<unknown>()
    const behaviour: Behaviour<unknown> = {
      handleConnect: () => ({ reply: 'through' }),
      handleFrame: ({ data }) => resolve(data),
    }
    const feed = await start(`ws://target.invalid:${port}/`, behaviour, { proxy: proxy.url })
    t.equal(await promise, 'through')
    t.match(proxy.asked, [new RegExp(`target\\.invalid:${port}`)])
    await feed.stop()
  })
}

t.test('beyond: Host has the port where it is not the default one', async t => {
  const server = await rawServer(t)
  const starting = failure(start(server.url, {}))
  const peer = await server.accepted()
  t.equal(headerOf(await peer.head(), 'Host'), `127.0.0.1:${server.port}`)
  peer.reset()
  t.match(await starting, { code: 'WS_HANDSHAKE_ENDED' })
})

t.test('beyond: an IPv6 literal', { skip: hasIPv6 ? false : 'this machine has no ::1' }, async t => {
  const { url, port, requests } = await wsServer(t, () => {}, { host: '::1' })
  const feed = await start(url, {})
  t.match(requests, [{ headers: { host: `[::1]:${port}` } }])
  await feed.stop()
})

t.test('beyond: a server that closes right behind the 101', async t => {
  const server = await rawServer(t)
  const log: unknown[] = []
  const behaviour: Behaviour<number> = {
    handleConnect: () => void log.push('connect'),
    handleDisconnect: ({ reason }) => void log.push(reason.code, reason.text),
  }
  const starting = start(server.url, behaviour)
  const close = buildFrame({ opcode: CLOSE, payload: concat([Uint8Array.of(0x0f, 0xa1), bytesOf('full')]) })
  const peer = await greet(server, [], close)
  peer.stream.end()
  const feed = await starting
  t.match(await feed.ended, { type: 'remote', code: 4001, text: 'full' })
  t.same(log, ['connect', 4001, 'full'])
})

t.test('beyond: close codes from 4000 on are always visible', async t => {
  for (const code of [3000, 4000, 4004, 4999]) {
    const { peer, statuses, ended } = await story(t)
    t.same(await hangUp(peer, code, 'why'), [`close ${code} "why"`])
    t.match(await ended, { type: 'remote', code, text: 'why', normal: false })
    t.match(statuses, [{ received: { code, reason: 'why' }, reason: { code } }])
  }
})

t.test('beyond: a clean close does not restart a transient child, another one does', async t => {
  const server = await rawServer(t)
  const spec = childSpec({ id: 'feed', target: server.url, behaviour: {}, restart: 'transient' })
  const starting = startSupervisor({ children: [spec] })
  const first = await greet(server)
  const supervisor = await starting
  t.teardown(() => supervisor.stop(undefined, { timeoutMs: 0 }))
  const before = supervisor.child('feed')
  await hangUp(first, 4000)
  const second = await greet(server)
  await until(() => supervisor.child('feed') !== null && supervisor.child('feed') !== before, 'a restart')
  const after = supervisor.child('feed')!
  await hangUp(second)
  t.match(await after.ended, { type: 'remote', normal: true })
  await turn()
  t.match(supervisor.children(), [{ id: 'feed', child: null, state: 'stopped' }])
})

t.test(
  'beyond: no malformed frame crashes: 1002, 1007 or 1009, a disconnect, and terminate once',
  async t => {
    const masked = { mask: [1, 2, 3, 4] } as const
    const cases: readonly (readonly [number, string, ...FrameSpec[]])[] = [
      [1002, 'WS_RESERVED_BITS', { opcode: TEXT, rsv: 4 }],
      [1002, 'WS_UNKNOWN_OPCODE', { opcode: 3 }],
      [1002, 'WS_UNKNOWN_OPCODE', { opcode: 11 }],
      [1002, 'WS_MASK_FORBIDDEN', { opcode: TEXT, payload: 'a', ...masked }],
      [1002, 'WS_LENGTH_NOT_MINIMAL', { opcode: BINARY, payload: 'a', lengthBytes: 8 }],
      [1002, 'WS_LENGTH_INVALID', { opcode: BINARY, declared: 1n << 63n }],
      [1002, 'WS_CONTROL_FRAGMENTED', { opcode: PONG, fin: false }],
      [1002, 'WS_CONTROL_TOO_LONG', { opcode: CLOSE, payload: 'x'.repeat(126) }],
      [1002, 'WS_CONTINUATION_UNEXPECTED', { opcode: CONTINUATION }],
      [1002, 'WS_CONTINUATION_EXPECTED', { opcode: TEXT, fin: false }, { opcode: BINARY }],
      [1002, 'WS_CLOSE_PAYLOAD', { opcode: CLOSE, payload: 'x' }],
      [1002, 'WS_CLOSE_CODE', { opcode: CLOSE, payload: Uint8Array.of(3, 0xed) }],
      [1007, 'WS_INVALID_UTF8', { opcode: CLOSE, payload: Uint8Array.of(3, 0xe8, 0xff) }],
      [1007, 'WS_INVALID_UTF8', { opcode: TEXT, payload: Uint8Array.of(0xc0) }],
      [
        1007,
        'WS_INVALID_UTF8',
        { opcode: TEXT, payload: Uint8Array.of(0xe2), fin: false },
        { opcode: CONTINUATION },
      ],
      [1009, 'WS_MESSAGE_TOO_BIG', { opcode: BINARY, declared: 2n ** 40n }],
    ]
    for (const [closeCode, code, ...frames] of cases) {
      const terminated: EndReason[] = []
      const callbacks = { terminate: (reason: EndReason): void => void terminated.push(reason) }
      const { peer, statuses, ended } = await story(t, callbacks)
      peer.send(...frames)
      t.match(await peer.shown(1), [new RegExp(`^close ${closeCode} `)], code)
      peer.stream.end()
      const reason = await ended
      t.match(reason, { type: 'error', normal: false, code: closeCode, error: { code } })
      t.match(statuses, [
        { reason: { type: 'error', code: closeCode }, sent: { code: closeCode }, error: { code } },
      ])
      t.same(terminated, [reason])
    }
  },
)
