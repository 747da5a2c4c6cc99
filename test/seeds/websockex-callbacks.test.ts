// Strategy: the callbacks of WebSockex and all they may answer, each as a test on ours. Which test proves which row is
// written in docs/coming-from.md, and a test compares. The server is a raw peer, so what is on the wire is what is compared.
import t, { type Test } from 'tap'
import {
  type Behaviour,
  type ConnectionInfo,
  type DisconnectStatus,
  type EndReason,
  start,
} from '../../src/index.js'
import { BINARY, CLOSE, CONTINUATION, fromPeer, PING, PONG, TEXT } from '../support/frames.js'
import { VirtualNetwork } from '../../src/testing/index.js'
import { type RawPeer, rawServer } from '../support/raw-peer.js'
import { failure, turn, withResolvers } from '../support/servers.js'
import {
  bidFarewell,
  type Feed,
  greet,
  hangUp,
  nobody,
  owned,
  type Story,
  story,
} from './websockex-support.js'

/** The callbacks that answer with {ok|reply|close}: what makes them run, from outside. */
const CALLBACKS: readonly (readonly [
  theirs: string,
  ours: string,
  provoke: (feed: Feed, peer: RawPeer) => void,
])[] = [
  ['handle_frame', 'handleFrame', (_, peer) => peer.send({ opcode: TEXT, payload: 'go' })],
  ['handle_ping', 'handlePing', (_, peer) => peer.send({ opcode: PING, payload: 'go' })],
  ['handle_pong', 'handlePong', (_, peer) => peer.send({ opcode: PONG, payload: 'go' })],
  ['handle_cast', 'handleCast', feed => feed.cast('go')],
  ['handle_info', 'handleInfo', feed => feed.info('go')],
]

/** A process with state 1 that is connected to a raw peer, and leaves the answers to pings to its callbacks. */
const connected = (t: Test, callbacks: Behaviour<number, string>): Promise<Story> =>
  story(t, callbacks, { autoPong: false })

/** The state is the last argument but one, the process itself the last. */
const stateOf = (args: readonly unknown[]): number => args.find(arg => typeof arg === 'number') as number

for (const [theirs, ours, provoke] of CALLBACKS) {
  t.test(`${theirs}: {ok, state} keeps the new state and goes on`, async t => {
    const twice = withResolvers<void>()
    const answer = (...args: unknown[]): { state: number } => {
      if (stateOf(args) === 2) twice.resolve()
      return { state: stateOf(args) + 1 }
    }
    const { feed, peer } = await connected(t, { [ours]: answer })
    provoke(feed, peer)
    provoke(feed, peer)
    await twice.promise
    t.equal(await feed.getState(), 3)
    await feed.send('still here')
    t.same(await peer.shown(1), ['text "still here"'], 'and nothing else was sent')
  })

  t.test(`${theirs}: {reply, frame, state} sends the frame before the next callback`, async t => {
    const { feed, peer } = await connected(t, {
      [ours]: (...args: unknown[]) => ({
        state: stateOf(args) + 1,
        reply: [{ type: 'text', data: `answer ${stateOf(args)}` }, new Uint8Array([65])],
      }),
    })
    provoke(feed, peer)
    provoke(feed, peer)
    t.same(await peer.shown(4), ['text "answer 1"', 'binary "A"', 'text "answer 2"', 'binary "A"'])
    t.equal(await feed.getState(), 3)
  })

  t.test(`${theirs}: {close, state} closes normally`, async t => {
    const reasons: unknown[] = []
    const { feed, peer } = await connected(t, {
      [ours]: () => ({ state: 2, close: true }),
      handleDisconnect: ({ reason }, state) => void reasons.push(reason, state),
    })
    const { ended } = feed
    provoke(feed, peer)
    t.equal(await bidFarewell(peer), 'close 1000 ""')
    t.match(await ended, { type: 'local', normal: true, code: 1000, error: null })
    t.same(reasons, [{ type: 'local', normal: true, code: 1000, text: '' }, 2])
  })

  t.test(`${theirs}: {close, {code, message}, state} closes with that code and text`, async t => {
    const reasons: unknown[] = []
    const { feed, peer } = await connected(t, {
      [ours]: () => ({ state: 2, close: { code: 4001, reason: 'enough' } }),
      handleDisconnect: ({ reason }, state) => void reasons.push(reason, state),
    })
    const { ended } = feed
    provoke(feed, peer)
    t.equal(await bidFarewell(peer, 4001), 'close 4001 "enough"')
    t.match(await ended, { type: 'local', normal: false, code: 4001, text: 'enough' })
    t.same(reasons, [{ type: 'local', normal: false, code: 4001, text: 'enough' }, 2])
  })
}

t.test('handle_frame: each data message whole, a text as a string and a binary one as bytes', async t => {
  const frames: unknown[] = []
  const { feed, peer } = await connected(t, {
    handleFrame: frame => void frames.push(frame.type, frame.data),
  })
  peer.send(
    { opcode: TEXT, payload: 'whole' },
    { opcode: BINARY, payload: Uint8Array.of(1, 0xff) },
    { opcode: TEXT, payload: 'in ', fin: false },
    { opcode: PING },
    { opcode: CONTINUATION, payload: 'thr', fin: false },
    { opcode: CONTINUATION, payload: 'ee' },
  )
  const { ended } = feed
  await hangUp(peer)
  await ended
  t.same(frames, ['text', 'whole', 'binary', Buffer.of(1, 0xff), 'text', 'in three'])
})

t.test('handle_frame: without the callback frames are passed over', async t => {
  const { feed, peer } = await connected(t, {})
  peer.send({ opcode: TEXT, payload: 'anybody?' })
  const { ended } = feed
  await hangUp(peer)
  t.match(await ended, { type: 'remote', normal: true })
})

t.test('handle_ping: {ping, payload} and :ping come after the pong that answers them', async t => {
  const server = await rawServer(t)
  const starting = start(server.url, {
    handlePing: payload => ({ reply: `saw ${payload.length}` }),
  })
  const peer = await greet(server)
  owned(t, await starting)
  peer.send({ opcode: PING, payload: 'abc' })
  t.same(await peer.shown(2), ['pong "abc"', 'text "saw 3"'])
  peer.send({ opcode: PING })
  t.same(await peer.shown(2), ['pong ""', 'text "saw 0"'])
})

t.test('handle_ping: with autoPong false the callback is the answer', async t => {
  const { peer } = await connected(t, {
    handlePing: payload => ({ reply: { type: 'pong', data: payload.toReversed() } }),
  })
  peer.send({ opcode: PING, payload: 'abc' })
  t.same(await peer.shown(1), ['pong "cba"'])
})

t.test('handle_pong: {pong, payload} and :pong, solicited or not', async t => {
  const pongs: unknown[] = []
  const { feed, peer } = await connected(t, {
    handlePong: (payload, _, { solicited, rttMs }) =>
      void pongs.push([String(payload.length), solicited, typeof rttMs]),
  })
  await feed.send({ type: 'ping', data: 'abc' })
  t.same(await peer.shown(1), ['ping "abc"'])
  peer.send({ opcode: PONG, payload: 'abc' }, { opcode: PONG })
  const { ended } = feed
  await hangUp(peer)
  await ended
  t.same(pongs, [
    ['3', true, 'number'],
    ['0', false, 'object'],
  ])
})

t.test('handle_info: everything else, such as timers and the ends of linked processes', async t => {
  const server = await rawServer(t)
  const heard: unknown[] = []
  const whole = withResolvers<void>()
  const starting = start(
    server.url,
    {
      handleConnect: (_, __, self) => void self.sendAfter('tick', 0),
      handleInfo: message => {
        heard.push(message)
        if (heard.length === 2) whole.resolve()
      },
    },
    { trapExit: true },
  )
  await greet(server)
  const feed = owned(t, await starting)
  const other = await start('ws://127.0.0.1:1/', {}, { async: true, handleInitialFailure: false })
  feed.link(other)
  await other.ended
  await whole.promise
  const timer = heard.indexOf('tick')
  t.not(timer, -1)
  t.match(heard[1 - timer], { type: 'exit', process: other, reason: { type: 'error', normal: false } })
})

t.test('handle_info: without the callback messages are dropped, and nobody hangs', async t => {
  const { feed, peer } = await connected(t, {})
  feed.info('anybody?')
  t.match(await failure(feed.call('anybody?' as never)), { code: 'WS_NO_CALLBACK' })
  t.throws(() => feed.cast('anybody?'), { code: 'WS_NO_CALLBACK' })
  const { ended } = feed
  await hangUp(peer)
  t.match(await ended, { normal: true })
})

t.test('handle_connect: after each connection, before any frame, with the response headers', async t => {
  const server = await rawServer(t)
  const log: unknown[] = []
  const behaviour: Behaviour<number> = {
    init: () => 1,
    handleConnect: ({ url, headers, subprotocol, attempt, reconnects }: ConnectionInfo, state) => {
      log.push({ url, feed: headers['x-feed'], subprotocol, attempt, reconnects, state })
      return { state: state + 1 }
    },
    handleFrame: frame => void log.push(frame.data),
    handleDisconnect: () => ({ reconnect: true }),
  }
  const early = fromPeer('client', { opcode: TEXT, payload: 'early' })
  const starting = start(server.url, behaviour, { subprotocols: ['news'] })
  const first = await greet(server, ['X-Feed: a', 'X-Feed: b', 'Sec-WebSocket-Protocol: news'], early)
  const feed = owned(t, await starting)
  await hangUp(first, 1001)
  const second = await greet(server, [], early)
  await hangUp(second, 1001)
  await server.accepted()
  const seen = { url: server.url, attempt: 1 }
  t.same(log, [
    { ...seen, feed: 'a, b', subprotocol: 'news', reconnects: 0, state: 1 },
    'early',
    { ...seen, feed: undefined, subprotocol: '', reconnects: 1, state: 2 },
    'early',
  ])
  t.equal(await feed.getState(), 3)
})

t.test('handle_connect: {ok, state} and more: it may reply and close', async t => {
  const server = await rawServer(t)
  const starting = start(server.url, {
    init: () => 1,
    handleConnect: () => ({ state: 2, reply: 'hello', close: { code: 4000 } }),
  })
  const peer = await greet(server)
  t.same(await peer.shown(1), ['text "hello"'])
  t.equal(await bidFarewell(peer), 'close 4000 ""')
  const feed = await starting
  t.match(await feed.ended, { type: 'local', code: 4000, normal: false })
})

t.test('handle_disconnect: {ok, state} goes on to end the process, and terminate has that state', async t => {
  const log: unknown[] = []
  const { feed, peer } = await connected(t, {
    handleDisconnect: (_, state) => {
      log.push(state)
      return { state: state + 1 }
    },
    terminate: ({ type, code }, state) => void log.push(type, code, state),
  })
  const { ended } = feed
  await hangUp(peer, 4002)
  t.match(await ended, { type: 'remote', code: 4002, normal: false })
  t.same(log, [1, 'remote', 4002, 2])
})

t.test('handle_disconnect: {reconnect, state} connects again instead', async t => {
  const server = await rawServer(t)
  const starting = start(server.url, {
    init: () => 1,
    handleDisconnect: (_, state) => ({ state: state + 1, reconnect: true }),
  })
  const first = await greet(server)
  const feed = owned(t, await starting)
  await hangUp(first)
  const second = await greet(server)
  await feed.connect()
  t.equal(feed.phase, 'open')
  t.equal(await feed.getState(), 2)
  await feed.send('back')
  t.same(await second.shown(1), ['text "back"'])
})

t.test('handle_disconnect: {reconnect, conn, state} connects to another target from then on', async t => {
  const [one, other] = [await rawServer(t), await rawServer(t)]
  const target = { url: `${other.url}elsewhere?token=2`, headers: { 'X-Token': '2' } }
  const starting = start(one.url, {
    init: () => 1,
    handleDisconnect: ({ attempt, target: tried }, state) => {
      if (tried !== one.url) return { reconnect: true }
      t.equal(attempt, 1)
      return { state: state + 1, reconnect: { target } }
    },
  })
  const first = await greet(one)
  const feed = owned(t, await starting)
  await hangUp(first)
  const heads: string[] = []
  for (let i = 0; i < 2; i++) {
    const peer = await other.accepted()
    heads.push(await peer.head())
    peer.reset()
  }
  for (const head of heads) {
    t.match(head, /^GET \/elsewhere\?token=2 HTTP/)
    t.match(head, /^X-Token: 2$/m)
  }
  t.equal(await feed.getState(), 2)
})

t.test('connection_status_map: reason, attempt_number and conn', async t => {
  const statuses: DisconnectStatus[] = []
  const { feed, peer } = await connected(t, { handleDisconnect: status => void statuses.push(status) })
  const { ended } = feed
  await hangUp(peer, 4003, 'gone')
  await ended
  t.match(statuses, [
    {
      reason: { type: 'remote', normal: false, code: 4003, text: 'gone' },
      phase: 'closing',
      sent: { code: 4003, reason: 'gone' },
      received: { code: 4003, reason: 'gone' },
      wasClean: true,
      attempt: 1,
      target: /^ws:\/\/127\.0\.0\.1:\d+\/$/,
      httpResponse: null,
      error: null,
      unsent: [],
    },
  ])
})

t.test('close_reason: {remote, :normal} is an empty Close, or 1000', async t => {
  for (const [payload, code] of [
    [[], null],
    [[3, 0xe8], 1000],
  ] as const) {
    const { peer, statuses, ended } = await story(t)
    peer.send({ opcode: CLOSE, payload: Uint8Array.from(payload) })
    t.same(await peer.shown(1), [code === null ? 'close ""' : 'close 1000 ""'], 'it is echoed')
    peer.stream.end()
    t.match(await ended, { type: 'remote', normal: true, code })
    t.match(statuses, [{ reason: { type: 'remote', normal: true, code, text: '' }, wasClean: true }])
  }
})

t.test('close_reason: {local, :normal} is an empty Close of ours, or 1000', async t => {
  for (const code of [undefined, 1000]) {
    const { feed, peer, statuses, ended } = await story(t)
    await feed.send({ type: 'close', code })
    t.equal(await bidFarewell(peer, 4000), code === undefined ? 'close ""' : 'close 1000 ""')
    t.match(await ended, { type: 'local', normal: true, code: code ?? null })
    t.match(statuses, [{ reason: { type: 'local' }, received: { code: 4000 } }], 'whatever the answer is')
  }
})

t.test('close_reason: {remote, code, message} is told and echoed', async t => {
  const { peer, statuses, ended } = await story(t)
  t.same(await hangUp(peer, 1001, 'bye'), ['close 1001 "bye"'])
  const reason = { type: 'remote', normal: false, code: 1001, text: 'bye' }
  t.match(await ended, reason)
  t.match(statuses, [{ reason, sent: { code: 1001, reason: 'bye' }, attempt: 1 }])
})

t.test('close_reason: {local, code, message} stays local', async t => {
  const { feed, peer, statuses, ended } = await story(t)
  await feed.send({ type: 'close', code: 4999, reason: 'bye' })
  t.equal(await bidFarewell(peer, 1001), 'close 4999 "bye"')
  const reason = { type: 'local', normal: false, code: 4999, text: 'bye' }
  t.match(await ended, reason)
  t.match(statuses, [{ reason, received: { code: 1001 } }])
})

t.test('close_reason: {remote, :closed} is an end without a Close frame', async t => {
  for (const end of [(peer: RawPeer) => peer.stream.end(), (peer: RawPeer) => peer.reset()]) {
    const { peer, statuses, ended } = await story(t)
    end(peer)
    const error = { name: 'ConnectionError', code: 'WS_CONNECTION_LOST' }
    t.match(await ended, { type: 'closed', normal: false, code: null, error })
    t.match(statuses, [{ reason: { type: 'closed', normal: false }, phase: 'open', wasClean: false, error }])
  }
})

t.test('close_reason: {error, term} is a failed attempt or a violation, with the error itself', async t => {
  const { peer, statuses, ended } = await story(t)
  peer.send({ opcode: 3 })
  t.match(await peer.shown(1), [/^close 1002/])
  peer.stream.end()
  const { error } = await ended
  t.match(error, { name: 'ProtocolViolation', code: 'WS_UNKNOWN_OPCODE' })
  t.match(statuses, [{ reason: { type: 'error', normal: false, code: 1002 }, error }])
})

t.test('close_code: every one that may be on the wire, and no other', async t => {
  const { feed, peer, ended } = await story(t)
  for (const code of [0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 1.5])
    t.match(await failure(feed.send({ type: 'close', code })), { reason: 'close-code-out-of-range' })
  await feed.send({ type: 'close', code: 3000 })
  t.equal(await bidFarewell(peer, 3000), 'close 3000 ""')
  await ended
  for (const code of [1000, 1003, 1014, 4999]) {
    const { feed, peer } = await story(t)
    await feed.send({ type: 'close', code, reason: 'x'.repeat(123) })
    t.equal(await bidFarewell(peer, 1000), `close ${code} "${'x'.repeat(123)}"`)
  }
})

t.test('exit reason: normal after a Close without code or with 1000, and after stop()', async t => {
  const survivor = (await story(t)).feed
  const ends: ((story: Story) => unknown)[] = [
    ({ peer }) => hangUp(peer),
    ({ feed, peer }) => Promise.all([feed.send({ type: 'close' }), bidFarewell(peer)]),
    ({ feed, peer }) => Promise.all([feed.stop('enough'), bidFarewell(peer)]),
  ]
  for (const end of ends) {
    const one = await story(t)
    one.feed.link(survivor)
    await end(one)
    t.match(await one.ended, { normal: true, error: null })
  }
  t.equal(survivor.phase, 'open')
})

t.test('exit reason: everything else is abnormal, and a failed reconnect is its own error', async t => {
  const closed = await nobody()
  const { peer, statuses, ended } = await story(t, {
    handleDisconnect: ({ phase }) => (phase === 'tcp' ? undefined : { reconnect: { target: closed } }),
  })
  await hangUp(peer, 1001)
  const reason = await ended
  t.match(reason, { type: 'error', normal: false, error: { code: 'WS_CONNECT_FAILED' } })
  t.equal(reason.error, statuses[1].error)
})

t.test('attempt_number: 1, 2, 3 with the state of each call, and 1 again after a connection', async t => {
  const network = new VirtualNetwork()
  const server = network.listen('ws://feed.test/', () => {})
  const log: number[][] = []
  const behaviour: Behaviour<number> = {
    init: () => 0,
    handleDisconnect: ({ attempt }, state) => {
      log.push([attempt, state])
      return { state: state + 1, reconnect: { delayMs: 1000 } }
    },
  }
  const feed = await network.run(start('ws://feed.test/', behaviour, network.startOptions))
  server.down()
  await network.advance(2500)
  server.up()
  await network.runUntil(() => feed.phase === 'open')
  server.link.reset()
  await network.settle()
  t.same(log, [
    [1, 0],
    [2, 1],
    [3, 2],
    [1, 3],
  ])
  await network.run(feed.stop())
  await network.run(server.close())
  t.same(network.leaks(), [])
})

t.test('terminate: exactly once, last, when the socket is closed', async t => {
  const log: unknown[] = []
  let feed: Feed | null = null
  const { feed: started, peer } = await connected(t, {
    handleDisconnect: () => void log.push('disconnect'),
    terminate: async ({ type }, state) => {
      log.push(`terminate ${type} ${state} ${feed?.phase}`)
      await turn()
      log.push('terminated')
    },
  })
  feed = started
  const ended = feed.ended.then(() => log.push('ended'))
  await hangUp(peer)
  await peer.closed
  await ended
  t.same(log, ['disconnect', 'terminate remote 1 closing', 'terminated', 'ended'])
  t.same(await feed.stop(), await feed.ended, 'and what comes later changes nothing')
  t.equal(log.length, 4)
})

t.test('terminate: what it throws is reported, and the reason stays', async t => {
  const warned = withResolvers<Error & { code?: string; detail?: string }>()
  const note = (warning: Error & { code?: string }): void => {
    if (warning.code === 'WS_TERMINATE_FAILED') warned.resolve(warning)
  }
  process.on('warning', note)
  t.teardown(() => process.off('warning', note))
  const { feed, peer } = await connected(t, {
    terminate: () => {
      throw new Error('and another thing')
    },
  })
  const { ended } = feed
  await hangUp(peer)
  t.match(await ended, { type: 'remote', normal: true, error: null })
  t.match((await warned.promise).detail, /and another thing/)
})

t.test('terminate: not called for a process whose init failed', async t => {
  const log: string[] = []
  const behaviour: Behaviour<number> = {
    init: () => {
      throw new Error('no state')
    },
    terminate: () => void log.push('terminate'),
  }
  t.match(await failure(start('ws://127.0.0.1:1/', behaviour)), { message: 'no state' })
  t.same(log, [])
})

const boom = new Error('boom')

/** How a callback fails: an error, a throw or an exit, and a bad return. */
const FAILURES: readonly (readonly [how: string, act: () => unknown, error: (ours: string) => object])[] = [
  [
    'throws',
    () => {
      throw boom
    },
    () => boom,
  ],
  ['rejects', () => Promise.reject(boom), () => boom],
  [
    'answers badly',
    () => ({ state: 2, nonsense: true }),
    ours => ({ name: 'BadResponseError', callback: ours, response: { state: 2, nonsense: true } }),
  ],
]

/** A crash: 1011, no handleDisconnect, terminate with the error and the state from before. */
function isCrash(t: Test, reason: EndReason, terminated: readonly unknown[], error: object): void {
  t.match(reason, { type: 'crash', normal: false, error })
  t.equal(terminated.length, 2, 'terminate was called once')
  t.equal(terminated[0], reason)
  t.equal(terminated[1], 1, 'with the state from before')
}

for (const [theirs, ours, provoke] of CALLBACKS) {
  t.test(`${theirs}: an error, an exit and a bad return end the process through terminate`, async t => {
    for (const [how, act, error] of FAILURES) {
      t.comment(how)
      const terminated: unknown[] = []
      const { feed, peer } = await connected(t, {
        [ours]: act,
        handleDisconnect: () => t.fail('no handleDisconnect') as never,
        terminate: (reason, state) => void terminated.push(reason, state),
      })
      const { ended } = feed
      provoke(feed, peer)
      t.equal(await bidFarewell(peer, 1011), 'close 1011 ""')
      isCrash(t, await ended, terminated, error(ours))
    }
  })
}

t.test('handle_connect: an error, an exit and a bad return end the process through terminate', async t => {
  for (const [how, act, error] of FAILURES) {
    t.comment(how)
    const terminated: unknown[] = []
    const server = await rawServer(t)
    const behaviour: Behaviour<number> = {
      init: () => 1,
      handleConnect: act as () => undefined,
      handleDisconnect: () => t.fail('no handleDisconnect') as never,
      terminate: (reason, state) => void terminated.push(reason, state),
    }
    const starting = failure(start(server.url, behaviour))
    const peer = await greet(server)
    t.equal(await bidFarewell(peer, 1011), 'close 1011 ""')
    t.match(await starting, error('handleConnect'), 'start rejects')
    isCrash(t, terminated[0] as EndReason, terminated, error('handleConnect'))
  }
})

t.test('handle_disconnect: an error, an exit and a bad return end the process through terminate', async t => {
  for (const [how, act, error] of FAILURES) {
    t.comment(how)
    const terminated: unknown[] = []
    let disconnects = 0
    const { feed, peer } = await connected(t, {
      handleDisconnect: () => {
        disconnects++
        return act() as undefined
      },
      terminate: (reason, state) => void terminated.push(reason, state),
    })
    const { ended } = feed
    await hangUp(peer)
    isCrash(t, await ended, terminated, error('handleDisconnect'))
    t.equal(disconnects, 1)
  }
})

t.test('format_status: edits what status() shows', async t => {
  const { feed } = await connected(t, {
    formatStatus: ({ state, phase, ...rest }) => ({ ...rest, phase, state: state === 1 ? 'one' : '?' }),
  })
  t.match(await feed.status(), { phase: 'open', state: 'one', failures: 0, mailboxLength: 0, name: null })
})

t.test('format_status: may be anything, and without it all is shown', async t => {
  const { feed } = await connected(t, { formatStatus: ({ state }) => [['State', state]] })
  t.same(await feed.status(), [['State', 1]])
  const { feed: plain } = await connected(t, {})
  t.match(await plain.status(), { phase: 'open', state: 1 })
})

t.test('format_status: one that fails is reported, and the default is shown', async t => {
  const warned = withResolvers<Error & { detail?: string }>()
  const note = (warning: Error & { code?: string }): void => {
    if (warning.code === 'WS_FORMAT_STATUS_FAILED') warned.resolve(warning)
  }
  process.on('warning', note)
  t.teardown(() => process.off('warning', note))
  const { feed } = await connected(t, {
    formatStatus: () => {
      throw new Error('not presentable')
    },
  })
  t.match(await feed.status(), { phase: 'open', state: 1 })
  t.match((await warned.promise).detail, /not presentable/)
})

t.test('code_change: {ok, new_state} goes on as the new behaviour, over the same connection', async t => {
  const { feed, peer } = await connected(t, { version: 1, handleFrame: () => ({ reply: 'old' }) })
  await feed.changeBehaviour(
    {
      version: 2,
      codeChange: (oldVersion, state, extra) => ({ state: [oldVersion, state, extra] }),
      handleFrame: (_, state) => ({ reply: JSON.stringify(state) }),
    },
    'extra',
  )
  peer.send({ opcode: TEXT })
  t.same(await peer.shown(1), [`text ${JSON.stringify('[1,1,"extra"]')}`])
})

t.test('code_change: {error, reason} refuses the change', async t => {
  const { feed, peer } = await connected(t, { version: 1, handleFrame: () => ({ reply: 'old' }) })
  const change = feed.changeBehaviour({
    codeChange: () => {
      throw new Error('cannot')
    },
    handleFrame: () => ({ reply: 'new' }),
  })
  t.match(await failure(change), { message: 'cannot' })
  peer.send({ opcode: TEXT })
  t.same(await peer.shown(1), ['text "old"'])
  t.equal(await feed.getState(), 1)
})

t.test('code_change: {down, old_vsn} is told as the version that ran before', async t => {
  const { feed } = await connected(t, { version: 2 })
  const versions: unknown[] = []
  await feed.changeBehaviour<number, never, never, never, unknown, undefined>({
    version: 1,
    codeChange: (oldVersion, state) => {
      versions.push(oldVersion)
      return { state: (state as number) - 1 }
    },
  })
  t.same(versions, [2])
  t.match(await feed.status(), { version: 1, state: 0 })
})
