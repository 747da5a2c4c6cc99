// Strategy: Gundam.Websocket 0.1.0 on this layer, part one: its documented examples, each of its callbacks, each function of
// its module, and what its own tests check. Names begin with Gundam's word for the thing. gundam-options.test.ts has the
// options, gun.test.ts what gun itself does.
import t, { type Test } from 'tap'
import {
  AlreadyStartedError,
  type DisconnectStatus,
  HandshakeError,
  type Message,
  NotConnectedError,
  type PongInfo,
  ProtocolViolation,
  start,
  whereis,
} from '../../src/index.js'
import { VirtualClock, VirtualNetwork } from '../../src/testing/index.js'
import { Queue } from '../interop/conversation.js'
import { answeringServer } from '../support/answering-server.js'
import { bytesOf, concat, PING, TEXT } from '../support/frames.js'
import { kill, running, socketPath, TRUST, welcome, wsServer } from '../support/gundam.js'
import { acceptance, fromServer, rawServer, until } from '../support/raw-peer.js'
import { failure } from '../support/servers.js'

t.test('usage: a module that defines nothing is a client, so is an empty object', async t => {
  const server = await wsServer(t, socket => socket.on('message', () => socket.send('ignored')))
  const feed = await running(t, start(`${server.url}/websocket`, {}))
  await feed.send('anybody there?')
  t.equal(feed.phase, 'open')
  t.same(
    server.requests.map(({ url }) => url),
    ['/websocket'],
  )
})

t.test('on_connect: sees the headers of the 101 at each connection, and gives the next state', async t => {
  const server = await wsServer(t)
  let visits = 0
  server.server.on('headers', headers => headers.push('X-Node: Alpha', `X-Visit: ${++visits}`))
  const connected = new Queue<unknown>()
  const feed = await running(
    t,
    start(server.url, {
      init: () => ({ visits: 0 }),
      handleConnect: ({ headers, reconnects }, state) => {
        connected.put([headers['x-node'], headers['x-visit'], headers['upgrade'], reconnects])
        return { state: { visits: state.visits + 1 } }
      },
      handleDisconnect: () => ({ reconnect: true }),
    }),
  )
  t.same(await connected.next(), ['Alpha', '1', 'websocket', 0])
  for (const socket of server.server.clients) socket.terminate()
  t.same(await connected.next(), ['Alpha', '2', 'websocket', 1], 'it is upgraded again without being asked')
  t.same(await feed.getState(), { visits: 2 })
})

t.test('on_connect: comes before what the server sent together with the 101, and may answer', async t => {
  const server = await rawServer(t)
  const log: unknown[] = []
  const starting = start(server.url, {
    handleConnect: ({ headers }) => {
      log.push(headers['x-node'])
      return { reply: { type: 'text', data: 'subscribe' } }
    },
    handleFrame: ({ data }) => void log.push(data),
  })
  const peer = await server.accepted()
  const answer = bytesOf(acceptance(await peer.head(), ['X-Node: Alpha']))
  peer.write(concat([answer, fromServer({ opcode: TEXT, payload: 'hello' })]))
  await running(t, starting)
  t.same(await peer.shown(1), ['text "subscribe"'])
  await until(() => log.length === 2, 'the message behind the 101')
  t.same(log, ['Alpha', 'hello'])
})

t.test('on_message: gets texts, bytes, pings, pongs and the Close of the server, in order', async t => {
  const server = await wsServer(t, socket => {
    socket.send('a text')
    socket.send(Uint8Array.of(0, 255))
    socket.send('')
    socket.ping('are you there?')
    socket.pong('unasked')
    socket.close(4001, 'bye')
  })
  const log: unknown[] = []
  const feed = await start(server.url, {
    init: () => 0,
    handleFrame: ({ type, data }, state) => {
      log.push([type, typeof data === 'string' ? data : [...data]])
      return { state: state + 1 }
    },
    handlePing: payload => void log.push(['ping', String(Buffer.from(payload))]),
    handlePong: (payload, _state, { solicited }) =>
      void log.push(['pong', String(Buffer.from(payload)), solicited]),
    handleDisconnect: ({ reason }, state) => void log.push([reason.type, reason.code, reason.text, state]),
  })
  await feed.ended
  t.same(log, [
    ['text', 'a text'],
    ['binary', [0, 255]],
    ['text', ''],
    ['ping', 'are you there?'],
    ['pong', 'unasked', false],
    ['remote', 4001, 'bye', 3],
  ])
})

t.test('on_disconnect: comes once for a connection that is lost, and the policy connects again', async t => {
  const server = await wsServer(t)
  const connected = new Queue<number>()
  const lost: DisconnectStatus[] = []
  const feed = await running(
    t,
    start(
      server.url,
      {
        init: () => ({ losses: 0 }),
        handleConnect: ({ attempt }) => connected.put(attempt),
        handleDisconnect: (status, state) => {
          lost.push(status)
          return { state: { losses: state.losses + 1 } }
        },
      },
      { reconnect: { minDelayMs: 0 } },
    ),
  )
  await connected.next()
  for (const socket of server.server.clients) socket.terminate()
  await connected.next()
  t.match(lost, [
    {
      reason: { type: 'closed', normal: false, code: null },
      phase: 'open',
      wasClean: false,
      received: null,
      attempt: 1,
      target: `${server.url}/`,
      unsent: [],
    },
  ])
  t.equal(lost.length, 1)
  t.same(await feed.getState(), { losses: 1 })
  t.equal(server.requests.length, 2)
})

t.test('on_close: a refused upgrade shows status, headers and body, and ends the process', async t => {
  const server = await answeringServer(t, () => ({
    status: 403,
    headers: ['X-Why: no token'],
    body: 'who are you?',
  }))
  const seen: unknown[] = []
  const refused = await failure(
    start(
      server.url,
      {
        init: () => 'first state',
        handleDisconnect: ({ httpResponse, phase, reason }, state) => {
          const { status, headers, body } = httpResponse!
          seen.push([
            status,
            new Map(headers).get('X-Why'),
            String(Buffer.from(body)),
            phase,
            reason.type,
            state,
          ])
          return { stop: true }
        },
        terminate: ({ type, normal }) => seen.push([type, normal]),
      },
      { handleInitialFailure: true },
    ),
  )
  t.same(seen, [
    [403, 'no token', 'who are you?', 'handshake', 'error', 'first state'],
    ['error', false],
  ])
  t.ok(refused instanceof HandshakeError, 'which is what start() rejects with')
  t.match(refused, { response: { status: 403 } })
  const unseen = await failure(start(server.url, { handleDisconnect: () => void t.fail('not asked for') }))
  t.match(unseen, { response: { status: 403 } }, 'by default it is told by start() alone')
})

t.test('on_close: the process may end normally all the same, as a Gundam does', async t => {
  const server = await answeringServer(t, () => ({ status: 404 }))
  const feed = await start(
    server.url,
    { handleDisconnect: ({ httpResponse }) => ({ stop: `got ${httpResponse!.status}` }) },
    { async: true },
  )
  t.match(await feed.ended, { type: 'stop', normal: true, error: null, value: 'got 404' })
})

t.test("on_error: a fault of the server's comes once, with its error, and ends the process", async t => {
  const server = await rawServer(t)
  const seen: DisconnectStatus[] = []
  let terminated = 0
  const starting = start(server.url, {
    handleDisconnect: status => void seen.push(status),
    terminate: () => void terminated++,
  })
  const { peer } = await welcome(server)
  const feed = await starting
  // RSV1, and no extension was agreed upon.
  peer.send({ opcode: TEXT, payload: 'x', rsv: 4 })
  t.match(await peer.shown(1), [/^close 1002/])
  peer.stream.end()
  const reason = await feed.ended
  t.equal(seen.length, 1)
  t.match(seen[0], { reason: { type: 'error', code: 1002, normal: false }, received: null })
  t.ok(seen[0].error instanceof ProtocolViolation)
  t.equal(reason.type, 'error')
  t.equal(reason.error, seen[0].error)
  t.equal(terminated, 1)
})

t.test('on_error: when a callback throws, the server is told 1011 and terminate gets the error', async t => {
  const server = await rawServer(t)
  const terminated: unknown[] = []
  const starting = start(server.url, {
    init: () => 'state before',
    handleFrame: () => {
      throw new Error('a bug')
    },
    handleDisconnect: () => void t.fail('no disconnect of its own'),
    terminate: ({ type, error }, state) => void terminated.push([type, error?.message, state]),
  })
  const { peer } = await welcome(server)
  const feed = await starting
  const ended = feed.ended
  peer.send({ opcode: TEXT, payload: 'x' })
  t.same(await peer.shown(1), ['close 1011 ""'])
  peer.sendClose(1011)
  peer.stream.end()
  await ended
  t.same(terminated, [['crash', 'a bug', 'state before']])
})

t.test('start_link: with async it returns before there is a connection', async t => {
  const server = await rawServer(t)
  const connected = new Queue<true>()
  const feed = await running(
    t,
    start(server.url, { handleConnect: () => connected.put(true) }, { async: true }),
  )
  const peer = await server.accepted()
  t.equal(feed.phase, 'connecting')
  peer.write(acceptance(await peer.head()))
  await connected.next()
  t.equal(feed.phase, 'open')
})

t.test('start_link: takes a name, as the GenServer does, which one process has at a time', async t => {
  const server = await wsServer(t)
  const feed = await running(t, start(server.url, {}, { name: 'gundam' }))
  t.equal(whereis('gundam'), feed)
  const taken = await failure(start(server.url, {}, { name: 'gundam' }))
  t.ok(taken instanceof AlreadyStartedError)
  t.equal((taken as AlreadyStartedError).holder, feed)
  t.equal(server.server.clients.size, 1, 'the second one did not connect')
  await feed.stop()
  t.equal(whereis('gundam'), null)
})

t.test('start_link: that all attempts have failed is told by ended and by terminate', async t => {
  const network = new VirtualNetwork()
  const server = network.listen('ws://feed.test/', () => {})
  const terminated: unknown[] = []
  const feed = await network.run(
    start(
      'ws://feed.test/',
      { terminate: ({ type, normal }) => void terminated.push([type, normal]) },
      { ...network.startOptions, reconnect: { retries: 2, jitter: 'none' } },
    ),
  )
  server.down()
  const reason = await network.run(feed.ended)
  t.match(reason, { type: 'error', normal: false, error: { code: 'WS_CONNECT_FAILED' } })
  t.same(terminated, [['error', false]])
  t.equal(server.attempts.length, 3)
  t.same(network.leaks(), [])
})

t.test('send_message: sends a text, and bytes too, and says when they were handed over', async t => {
  const got = new Queue<unknown>()
  const server = await wsServer(t, socket =>
    socket.on('message', (data: Buffer, binary) => got.put([String(data), binary])),
  )
  const feed = await running(t, start(server.url, {}))
  await feed.send('a text')
  await feed.send({ type: 'text', data: 'another' })
  await feed.send(Buffer.from('bytes'))
  t.equal(feed.bufferedAmount, 0)
  t.same(
    [await got.next(), await got.next(), await got.next()],
    [
      ['a text', false],
      ['another', false],
      ['bytes', true],
    ],
  )
})

t.test(
  "send_message: without a connection it is an error, and dropped only by whenNotOpen: 'drop'",
  async t => {
    const server = await rawServer(t)
    for (const whenNotOpen of ['error', 'drop'] as const) {
      const feed = await start(server.url, {}, { async: true, whenNotOpen })
      const sent = feed.send('too early')
      if (whenNotOpen === 'drop') t.equal(await sent, undefined)
      else {
        const error = await failure(sent)
        t.ok(error instanceof NotConnectedError)
        t.match(error, { code: 'WS_NOT_CONNECTED', state: 'connecting' })
      }
      const { unsent } = await feed.stop()
      t.same(unsent, [], 'in neither case was it accepted')
    }
  },
)

t.test('ping: sends a ping, and the pong tells the round-trip time', async t => {
  const pings = new Queue<string>()
  const server = await wsServer(t, socket => socket.on('ping', data => pings.put(String(data))))
  const pongs = new Queue<[string, PongInfo]>()
  const feed = await running(
    t,
    start(server.url, {
      handlePong: (payload, _state, info) => pongs.put([String(Buffer.from(payload)), info]),
    }),
  )
  await feed.send({ type: 'ping', data: 'there?' })
  t.equal(await pings.next(), 'there?')
  const [payload, info] = await pongs.next()
  t.equal(payload, 'there?')
  t.equal(info.solicited, true)
  t.equal(info.rttMs, feed.rttMs)
  t.type(feed.rttMs, 'number')
})

t.test('state: getState gives your own, status what is known of the connection', async t => {
  const server = await wsServer(t)
  const feed = await running(
    t,
    start(
      `${server.url}/websocket?token=secret`,
      {
        init: (args: { readonly seen: number }) => args,
        formatStatus: ({ phase, url, failures, state }) => ({
          phase,
          path: new URL(url).pathname,
          failures,
          state,
        }),
      },
      { args: { seen: 7 } },
    ),
  )
  t.same(await feed.getState(), { seen: 7 })
  t.same(await feed.replaceState(({ seen }) => ({ seen: seen + 1 })), { seen: 8 })
  t.same(await feed.status(), { phase: 'open', path: '/websocket', failures: 0, state: { seen: 8 } })
})

t.test('unknown messages: what nobody handles is dropped, and ends nothing', async t => {
  const server = await rawServer(t)
  const starting = start(server.url, {})
  const peer = await server.accepted()
  // gun_inform: an answer before the answer.
  peer.write('HTTP/1.1 103 Early Hints\r\nLink: </style.css>\r\n\r\n')
  peer.write(acceptance(await peer.head()))
  const feed = await starting
  feed.info('stray')
  peer.send({ opcode: TEXT, payload: 'no handleFrame' }, { opcode: PING, payload: 'x' })
  t.same(await peer.shown(1), ['pong "x"'])
  t.equal(feed.phase, 'open')
  const ended = feed.stop()
  t.same(await peer.shown(1), ['close 1000 ""'])
  peer.sendClose(1000)
  peer.stream.end()
  t.match(await ended, { type: 'stop', normal: true })
})

t.test('GunTest: a behaviour is tested in memory and in virtual time, without a fake client', async t => {
  const network = new VirtualNetwork({ conditions: { latencyMs: 30 } })
  const server = network.listen('ws://feed.test/', socket => {
    socket.onMessage = ({ data }) => void socket.send([String(data), ' back'])
  })
  const got: Message[] = []
  const feed = await network.run(
    start('ws://feed.test/', { handleFrame: frame => void got.push(frame) }, network.startOptions),
  )
  await feed.send('there')
  await network.runUntil(() => got.length === 1)
  t.same(got, [{ type: 'text', data: 'there back' }])
  t.equal(server.attempts.length, 1)
  await network.run(feed.stop())
  await network.advance(30)
  t.same(network.leaks(), [])
})

async function exchange(t: Test, tls: boolean): Promise<void> {
  const server = await wsServer(
    t,
    socket => socket.on('message', (data, binary) => socket.send(data as Buffer, { binary })),
    { tls },
  )
  const got = new Queue<Message>()
  const feed = await running(t, start(server.url, { handleFrame: frame => got.put(frame) }, tls ? TRUST : {}))
  t.equal(feed.phase, 'open')
  await feed.send('Grüße')
  t.same(await got.next(), { type: 'text', data: 'Grüße' })
  await feed.send(Uint8Array.of(1, 2, 3))
  t.same(await got.next(), { type: 'binary', data: new Uint8Array([1, 2, 3]) })
  t.match(await feed.stop(), { type: 'stop', normal: true })
}

t.test('ws: connects, sends and receives over TCP', t => exchange(t, false))

t.test('wss: connects, sends and receives over TLS, certificate checked', t => exchange(t, true))

t.test('auto-reconnect: after a restart of the server it is connected again, state and all', async t => {
  for (const tls of [false, true]) {
    const socket = socketPath(t)
    const clock = new VirtualClock()
    const got = new Queue<unknown>()
    const first = await wsServer(t, client => client.send('first server'), { tls, socket })
    const feed = await running(
      t,
      start(
        first.url,
        {
          init: () => ({ connected: false, messages: 0 }),
          handleConnect: (_connection, state) => ({ state: { ...state, connected: true } }),
          handleFrame: ({ data }, state) => {
            got.put(data)
            return { state: { ...state, messages: state.messages + 1 } }
          },
          handleDisconnect: (_status, state) => {
            got.put('disconnected')
            return { state: { ...state, connected: false } }
          },
        },
        { ...TRUST, clock, reconnect: { minDelayMs: 5000, jitter: 'none' } },
      ),
    )
    t.equal(await got.next(), 'first server')
    t.same(await feed.getState(), { connected: true, messages: 1 })
    await kill(first)
    t.equal(await got.next(), 'disconnected')
    t.same(await feed.getState(), { connected: false, messages: 1 })
    t.equal(feed.phase, 'waiting')
    await wsServer(t, client => client.send('second server'), { tls, socket })
    clock.advance(5000)
    t.equal(await got.next(), 'second server')
    t.same(await feed.getState(), { connected: true, messages: 2 })
    t.equal(feed.phase, 'open')
  }
})
