// Strategy: the callbacks of Slack.WebSocketClient on our layer, one test for each answer, reason and frame; and those of
// websocket_client, where Slack's client mirrors them and where it leaves them out. The terms at the head of each name are
// theirs, atoms for Slack (`:ok`), bare words for websocket_client (`{ok, State, Keepalive}`). Servers are real and on loopback;
// only what is about time runs in virtual time. Functions and options are in slack-starting.test.ts.
import t, { type Test } from 'tap'
import {
  BadResponseError,
  defineBehaviour,
  type DisconnectStatus,
  type EndReason,
  HandshakeError,
  idle,
  once,
  type Process,
  ProtocolViolation,
  reconnect,
  start,
  type StartOptions,
} from '../../src/index.js'
import { answeringServer } from '../support/answering-server.js'
import { BINARY, PING, TEXT } from '../support/frames.js'
import { acceptance, rawServer } from '../support/raw-peer.js'
import {
  type Guest,
  guestServer,
  meet,
  meetRaw,
  MEMORY_URL,
  Queue,
  running,
  spell,
  theEnd,
  virtualNetwork,
} from '../support/seed-peers.js'
import { failure, turn, withResolvers } from '../support/servers.js'

/** A behaviour whose state is what it heard last. */
const memory = defineBehaviour({
  init: (): unknown => 'nothing yet',
  handleInfo: (message: unknown) => ({ state: message }),
})

// init/1

t.test('init: {:ok, state} gives the state, and connects, as Slack has it', async t => {
  const { client } = await meet(t, url =>
    start(url, { init: (bot: { name: string }) => ({ ...bot, seen: 0 }) }, { args: { name: 'hal' } }),
  )
  t.equal(client.phase, 'open')
  t.same(await client.getState(), { name: 'hal', seen: 0 })
})

t.test('init: {ok, State} begins disconnected with idle(), as websocket_client has it', async t => {
  const { url, guest } = await guestServer(t)
  const client = running(t, await start(url, { init: () => idle('resting') }))
  t.equal(client.phase, 'idle')
  t.equal(await client.getState(), 'resting')
  await client.connect()
  await client.send('here')
  t.equal(await (await guest()).next(), 'text here')
})

t.test('init: {:once, state} connects, and never again', async t => {
  const { client, guest } = await meet(t, url => start(url, { init: () => once('one life') }))
  t.equal(await client.getState(), 'one life')
  guest.socket.close(1001)
  t.match(await client.ended, { type: 'remote', normal: false, code: 1001 })
})

t.test('init: {:reconnect, state} connects, and comes back by itself', async t => {
  const network = virtualNetwork(t)
  const server = network.listen(MEMORY_URL, () => {})
  const client = await network.run(start(MEMORY_URL, { init: () => reconnect('cat') }, network.startOptions))
  server.link.reset()
  await network.runUntil(() => server.attempts.length === 2 && client.phase === 'open')
  t.equal(await network.run(client.getState()), 'cat')
  await theEnd(t, network, client)
})

t.test('init: {:error, {:bad_init, other}}: what it throws is what start() rejects with', async t => {
  const { url, guest } = await guestServer(t)
  const bad = new Error('bad init')
  let terminated = false
  const behaviour = {
    init: () => {
      throw bad
    },
    terminate: () => {
      terminated = true
    },
  }
  t.equal(await failure(start(url, behaviour, { name: 'badly begun' })), bad)
  t.notOk(terminated)
  const next = running(t, await start(url, {}, { name: 'badly begun' }))
  t.equal(next.phase, 'open', 'and its name is free again')
  await guest()
})

// onconnect/2

t.test('onconnect: {:ok, state} keeps the state, before any frame that came with the 101', async t => {
  const log = new Queue<string>()
  const { client } = await meet(t, url =>
    start(url, {
      init: () => 'old',
      handleConnect: () => ({ state: 'new' }),
      handleFrame: (frame, state) => log.put(`${spell(frame)}, ${state}`),
    }),
  )
  t.equal(await client.getState(), 'new')
  const { url } = await guestServer(t, { greet: ({ socket }) => socket.send('early') })
  running(
    t,
    await start(url, {
      init: () => 'old',
      handleConnect: () => ({ state: 'new' }),
      handleFrame: (frame, state) => log.put(`${spell(frame)}, ${state}`),
    }),
  )
  t.equal(await log.next(), 'text early, new')
})

t.test('onconnect: is called after each connection, the reconnected ones too', async t => {
  const { url, guest } = await guestServer(t)
  const log = new Queue<number>()
  const client = await start(url, {
    handleConnect: ({ reconnects }) => log.put(reconnects),
    handleDisconnect: () => ({ reconnect: true }),
  })
  running(t, client)
  t.equal(await log.next(), 0)
  ;(await guest()).socket.terminate()
  t.equal(await log.next(), 1)
  await guest()
})

t.test('onconnect: {ok, State, Keepalive} pings so from now on, and not as before', async t => {
  const network = virtualNetwork(t)
  const times: number[] = []
  network.listen(MEMORY_URL, socket => {
    socket.onPing = () => times.push(network.clock.now())
  })
  const client = await network.run(
    start(
      MEMORY_URL,
      { handleConnect: () => ({ keepalive: 2500 }) },
      { ...network.startOptions, keepalive: 1000 },
    ),
  )
  await network.advance(5000)
  t.same(times, [2500, 5000])
  await theEnd(t, network, client)
})

t.test('onconnect: {reply, Frame, State} and {close, Reason, State} do what their types say', async t => {
  const { url, guest } = await guestServer(t)
  const client = await start(url, {
    handleConnect: () => ({ reply: ['hello', 'and good bye'], close: { code: 3000, reason: 'said it' } }),
  })
  running(t, client)
  const one = await guest()
  t.same(
    [await one.next(), await one.next(), await one.next()],
    ['text hello', 'text and good bye', 'close 3000 said it'],
  )
  t.match(await client.ended, { type: 'local', code: 3000, text: 'said it' })
})

// ondisconnect/2: what it answers

t.test('ondisconnect: {ok, State} stays alive without a connection, as websocket_client has it', async t => {
  const { url, guest } = await guestServer(t)
  const lost = new Queue<void>()
  const client = await start(url, {
    init: () => 'old',
    handleDisconnect: () => {
      lost.put()
      return { stay: true, state: 'new' }
    },
  })
  running(t, client)
  ;(await guest()).socket.terminate()
  await lost.next()
  t.equal(await client.getState(), 'new')
  t.equal(client.phase, 'idle')
})

t.test('ondisconnect: {:ok, state} ends the process, as Slack has it', async t => {
  const states: unknown[] = []
  const { client, guest } = await meet(t, url =>
    start(url, {
      init: () => 'old',
      handleDisconnect: () => ({ state: 'new' }),
      terminate: (_reason, state) => void states.push(state),
    }),
  )
  guest.socket.close()
  t.match(await client.ended, { type: 'remote', normal: true })
  t.same(states, ['new'])
})

t.test('ondisconnect: {:reconnect, state} reconnects at once, with the new state', async t => {
  const network = virtualNetwork(t)
  const server = network.listen(MEMORY_URL, () => {})
  const client = await network.run(
    start(
      MEMORY_URL,
      { init: () => 0, handleDisconnect: (_status, lost) => ({ reconnect: true, state: lost + 1 }) },
      network.startOptions,
    ),
  )
  server.link.reset()
  await network.settle()
  t.match(server.attempts, [{ atMs: 0 }, { atMs: 0, outcome: 'open' }])
  t.equal(await network.run(client.getState()), 1)
  await theEnd(t, network, client)
})

t.test('ondisconnect: {:reconnect, state} with a dead server is no busy loop', async t => {
  const network = virtualNetwork(t)
  const server = network.listen(MEMORY_URL, () => {})
  const client = await network.run(
    start(
      MEMORY_URL,
      { ...memory, handleDisconnect: () => ({ reconnect: true }) },
      { ...network.startOptions, random: () => 0.5 },
    ),
  )
  server.down()
  await network.advance(60_000)
  const tries = server.attempts.length - 1
  t.ok(tries > 3 && tries < 12, `${tries} attempts in a minute`)
  client.info('still there?')
  t.equal(await network.run(client.getState()), 'still there?')
  await theEnd(t, network, client)
})

t.test('ondisconnect: {reconnect, Ms, State} is a timer, which connect() and stop() take back', async t => {
  const network = virtualNetwork(t)
  const server = network.listen(MEMORY_URL, () => {})
  const client = await network.run(
    start(
      MEMORY_URL,
      { handleDisconnect: () => ({ reconnect: { delayMs: 5000 } }) },
      { ...network.startOptions, keepalive: false },
    ),
  )
  server.link.reset()
  await network.advance(5000)
  t.same(
    server.attempts.map(({ atMs }) => atMs),
    [0, 5000],
  )
  server.link.reset()
  await network.advance(1000)
  await network.run(client.connect())
  t.match(server.attempts[2], { atMs: 6000, outcome: 'open' })
  t.same(network.clock.dueTimes, [])
  server.link.reset()
  await network.settle()
  t.same(network.clock.dueTimes, [11_000])
  await theEnd(t, network, client)
  t.equal(server.attempts.length, 3)
})

t.test('ondisconnect: {:close, reason, state} stops with the reason, by way of terminate', async t => {
  const ends: unknown[] = []
  const { client, guest } = await meet(t, url =>
    start(url, {
      init: () => 'old',
      handleDisconnect: () => ({ stop: 'tired', state: 'new' }),
      terminate: ({ value }, state) => void ends.push([value, state]),
    }),
  )
  guest.socket.terminate()
  t.match(await client.ended, { type: 'stop', value: 'tired' })
  t.same(ends, [['tired', 'new']])
})

t.test('ondisconnect: {:close, reason, state} is normal for normal and shutdown, not for errors', async t => {
  const endWith = async (stop: unknown): Promise<EndReason> => {
    const { client, guest } = await meet(t, url => start(url, { handleDisconnect: () => ({ stop }) }))
    guest.socket.terminate()
    return client.ended
  }
  for (const value of ['normal', 'shutdown', { shutdown: 'for tonight' }]) {
    t.match(await endWith(value), { type: 'stop', normal: true, value, error: null })
  }
  const error = new Error('no such team')
  t.match(await endWith(error), { type: 'stop', normal: false, error })
})

// ondisconnect/2: what it is told

/** The status with which a client that is refused, or cut off before it is open, starts and ends. */
const firstFailure = async (url: string, options: StartOptions = {}): Promise<DisconnectStatus> => {
  const statuses: DisconnectStatus[] = []
  const behaviour = { handleDisconnect: (status: DisconnectStatus) => void statuses.push(status) }
  await failure(start(url, behaviour, { ...options, handleInitialFailure: true }))
  if (statuses.length !== 1) throw new Error(`${statuses.length} disconnects instead of one`)
  return statuses[0]
}

t.test('ondisconnect, :remote: the server closed, and its code and reason are there', async t => {
  const log = new Queue<DisconnectStatus>()
  const { guest } = await meet(t, url => start(url, { handleDisconnect: status => log.put(status) }))
  guest.socket.close(4002, 'token revoked')
  t.match(await log.next(), {
    reason: { type: 'remote', normal: false, code: 4002, text: 'token revoked' },
    received: { code: 4002, reason: 'token revoked' },
    wasClean: true,
    error: null,
  })
})

t.test('ondisconnect, :remote: a Close without a code is none with 1000', async t => {
  const log = new Queue<DisconnectStatus>()
  const { guest } = await meet(t, url => start(url, { handleDisconnect: status => log.put(status) }))
  guest.socket.close()
  t.match(await log.next(), { reason: { normal: true, code: null, text: '' }, received: { code: 1005 } })
})

t.test('ondisconnect, the own reason of the handler: is the Close that was sent', async t => {
  const log = new Queue<DisconnectStatus>()
  const { guest } = await meet(t, url =>
    start(url, {
      handleFrame: () => ({ close: { code: 4100, reason: 'enough' } }),
      handleDisconnect: status => log.put(status),
    }),
  )
  guest.socket.send('one too many')
  t.match(await log.next(), {
    reason: { type: 'local', code: 4100, text: 'enough' },
    sent: { code: 4100, reason: 'enough' },
  })
})

t.test('ondisconnect, {remote, closed}: TCP ended without a Close frame', async t => {
  const log = new Queue<DisconnectStatus>()
  const { peer } = await meetRaw(t, url => start(url, { handleDisconnect: status => log.put(status) }))
  peer.stream.end()
  t.match(await log.next(), { reason: { type: 'closed', normal: false }, received: null, wasClean: false })
})

t.test('ondisconnect, TransportError and {error, Posix}: the code of the system is the cause', async t => {
  const log = new Queue<DisconnectStatus>()
  const { peer } = await meetRaw(t, url => start(url, { handleDisconnect: status => log.put(status) }))
  peer.reset()
  t.match(await log.next(), {
    reason: { type: 'closed' },
    phase: 'open',
    error: { code: 'WS_CONNECTION_LOST', cause: { code: 'ECONNRESET' } },
  })
  const refused = await firstFailure(MEMORY_URL, virtualNetwork(t).startOptions)
  t.match(refused, { phase: 'tcp', error: { code: 'WS_CONNECT_FAILED', cause: { code: 'ECONNREFUSED' } } })
})

t.test('ondisconnect, a drop before the connection is open: is one disconnect', async t => {
  const { url, ...server } = await rawServer(t)
  void server.accepted().then(async peer => {
    await peer.head()
    peer.stream.destroy()
  })
  t.match(await firstFailure(url), {
    reason: { type: 'error' },
    phase: 'handshake',
    attempt: 1,
    error: { code: 'WS_HANDSHAKE_ENDED' },
  })
})

t.test('ondisconnect, UpgradeFailureError{status_code, headers}: a 404, with headers and body', async t => {
  const answer = { status: 404, headers: ['X-Why: no such team'], body: '{"ok":false}' }
  const { url } = await answeringServer(t, () => answer)
  const { error, httpResponse } = await firstFailure(url)
  t.ok(error instanceof HandshakeError)
  t.equal(httpResponse?.status, 404)
  t.match(
    httpResponse?.headers.find(([name]) => name === 'X-Why'),
    ['X-Why', 'no such team'],
  )
  t.equal(Buffer.from(httpResponse!.body).toString(), '{"ok":false}')
})

t.test('ondisconnect, :invalid_nonce and {error, invalid_handshake}: a wrong answer', async t => {
  const { url, ...server } = await rawServer(t)
  void server.accepted().then(async peer => {
    await peer.head()
    peer.write(acceptance('Sec-WebSocket-Key: of somebody else'))
  })
  t.match(await firstFailure(url), { phase: 'handshake', error: { code: 'WS_HANDSHAKE_BAD_ACCEPT' } })
})

t.test('ondisconnect, {error, keepalive_timeout}: nobody answered, and it may reconnect', async t => {
  const network = virtualNetwork(t)
  const server = network.listen(MEMORY_URL, () => {})
  const statuses: DisconnectStatus[] = []
  const client = await network.run(
    start(
      MEMORY_URL,
      {
        handleDisconnect: status => {
          statuses.push(status)
          return { reconnect: true }
        },
      },
      { ...network.startOptions, keepalive: { intervalMs: 10_000, timeoutMs: 5000 } },
    ),
  )
  const silent = server.link
  silent.freeze()
  await network.advance(15_000)
  t.match(statuses, [
    { reason: { type: 'keepalive-timeout', normal: false }, error: { code: 'WS_KEEPALIVE_TIMEOUT' } },
  ])
  t.equal(client.phase, 'open', 'and it is connected again')
  silent.thaw()
  await theEnd(t, network, client)
})

t.test('ondisconnect, WebSocketError: a message that is too large is closed with 1009', async t => {
  const log = new Queue<DisconnectStatus>()
  const { guest } = await meet(t, url =>
    start(url, { handleDisconnect: status => log.put(status) }, { limits: { maxMessageBytes: 10 } }),
  )
  guest.socket.send('x'.repeat(11))
  const { reason, error } = await log.next()
  t.match(reason, { type: 'error', code: 1009 })
  t.ok(error instanceof ProtocolViolation)
  t.match(await guest.next(), /^close 1009/)
})

t.test('ondisconnect, {:error, reason} frames: what cannot be decoded never reaches the handler', async t => {
  for (const [spec, code] of [
    [{ opcode: TEXT, payload: Uint8Array.of(0xc3, 0x28) }, 1007],
    [{ opcode: BINARY, rsv: 4 }, 1002],
    [{ opcode: 5 }, 1002],
    [{ opcode: PING, payload: 'x'.repeat(126) }, 1002],
  ] as const) {
    const log: unknown[] = []
    const { client, peer } = await meetRaw(t, url =>
      start(url, {
        handleFrame: () => void log.push('a frame'),
        handleDisconnect: ({ reason }) => void log.push([reason.type, reason.code]),
      }),
    )
    peer.send(spec)
    t.match(await peer.shown(1), [`close ${code}`])
    peer.stream.end()
    t.match(await client.ended, { type: 'error', normal: false })
    t.same(log, [['error', code]])
  }
})

// websocket_handle/3: what it is given

const text = (payload: Uint8Array): string => Buffer.from(payload).toString()

/** The frames that the handlers of a client were given, spelt out. */
const hears = async (
  t: Test,
  sending: (guest: Guest) => void,
  ...expected: readonly string[]
): Promise<void> => {
  const log = new Queue<string>()
  const { guest } = await meet(t, url =>
    start(url, {
      handleFrame: frame => log.put(spell(frame)),
      handlePing: payload => log.put(`ping ${text(payload)}`),
      handlePong: payload => log.put(`pong ${text(payload)}`),
      handleDisconnect: ({ received }) => log.put(`close ${received?.code} ${received?.reason}`),
    }),
  )
  sending(guest)
  for (const one of expected) t.equal(await log.next(), one)
}

t.test('websocket_handle {:text, binary}: is handleFrame with a string', t =>
  hears(t, ({ socket }) => socket.send('Grüße'), 'text Grüße'),
)

t.test('websocket_handle {:binary, binary}: is handleFrame with bytes', t =>
  hears(t, ({ socket }) => socket.send(Uint8Array.of(1, 2, 255)), 'binary 0102ff'),
)

t.test('websocket_handle :pong and {:pong, binary}: are handlePong', t =>
  hears(
    t,
    ({ socket }) => {
      socket.pong()
      socket.pong('there')
    },
    'pong ',
    'pong there',
  ),
)

t.test('websocket_handle :ping and {:ping, binary}: are handlePing, as websocket_client has it', t =>
  hears(
    t,
    ({ socket }) => {
      socket.ping()
      socket.ping('here?')
    },
    'ping ',
    'ping here?',
  ),
)

t.test('websocket_handle, not :ping: pings are answered without a word', async t => {
  const log = new Queue<string>()
  const { guest } = await meet(t, url =>
    start(
      url,
      {
        handleFrame: frame => log.put(spell(frame)),
        handlePing: () => log.put('a ping'),
        handlePong: () => log.put('a pong'),
      },
      { silencePings: true },
    ),
  )
  guest.socket.ping('one')
  guest.socket.pong('two')
  guest.socket.send('three')
  t.equal(await guest.next(), 'pong one')
  t.equal(await log.next(), 'text three')
})

t.test('websocket_handle :close and {:close, code, reason}: are told to handleDisconnect', async t => {
  await hears(t, ({ socket }) => socket.close(), 'close 1005 ')
  const log: string[] = []
  const { client, guest } = await meet(t, url =>
    start(url, {
      handleFrame: frame => void log.push(spell(frame)),
      handleDisconnect: ({ reason }) => void log.push(`${reason.type} ${reason.code} ${reason.text}`),
      terminate: ({ type }) => void log.push(`terminate ${type}`),
    }),
  )
  guest.socket.send('last words')
  guest.socket.close(4000, 'bye')
  await client.ended
  t.same(log, ['text last words', 'remote 4000 bye', 'terminate remote'])
})

// websocket_handle/3: what it answers

t.test('websocket_handle: :ok changes nothing', async t => {
  const { client, guest } = await meet(t, url => start(url, { init: () => 'kept', handleFrame: () => {} }))
  guest.socket.send('something')
  guest.socket.ping()
  t.equal(await guest.next(), 'pong')
  t.equal(await client.getState(), 'kept')
})

t.test('websocket_handle: {:ok, state} keeps the state', async t => {
  const { client, guest } = await meet(t, url =>
    start(url, { init: () => '', handleFrame: ({ data }, said) => ({ state: said + String(data) }) }),
  )
  guest.socket.send('a')
  guest.socket.send('b')
  guest.socket.ping()
  await guest.next()
  t.equal(await client.getState(), 'ab')
})

t.test('websocket_handle: {:reply, frame, state} sends the frame before the next callback', async t => {
  const { client, guest } = await meet(t, url =>
    start(url, {
      init: () => 0,
      handleFrame: ({ data }, count) => ({ reply: `${String(data)}!`, state: count + 1 }),
    }),
  )
  guest.socket.send('one')
  guest.socket.send('two')
  t.same([await guest.next(), await guest.next()], ['text one!', 'text two!'])
  t.equal(await client.getState(), 2)
})

t.test('websocket_handle: {:close, reason, state} sends a Close, and waits for the answer', async t => {
  const log: string[] = []
  const { client, peer } = await meetRaw(t, url =>
    start(url, {
      init: () => 'old',
      handleFrame: () => ({ close: { code: 1000, reason: 'done' }, state: 'new' }),
      handleDisconnect: ({ wasClean }, state) => void log.push(`clean ${wasClean}, ${state}`),
    }),
  )
  peer.send({ opcode: TEXT, payload: 'go' })
  t.same(await peer.shown(1), ['close 1000 "done"'])
  await turn()
  t.same(log, [], 'it waits')
  peer.sendClose(1000)
  peer.stream.end()
  t.match(await client.ended, { type: 'local', normal: true, code: 1000, text: 'done' })
  t.same(log, ['clean true, new'])
})

t.test('websocket_handle: anything else is no result, and ends with 1011', async t => {
  const { client, guest } = await meet(t, url => start(url, { handleFrame: () => 'noreply' as never }))
  guest.socket.send('x')
  t.match(await guest.next(), 'close 1011')
  const { type, error } = await client.ended
  t.equal(type, 'crash')
  t.ok(error instanceof BadResponseError)
})

// websocket_info/3

t.test('websocket_info: {:ok, state} keeps the state', async t => {
  const { client } = await meet(t, url => start(url, memory))
  client.info({ tick: 1 })
  t.same(await client.getState(), { tick: 1 })
})

t.test('websocket_info: {:reply, frame, state} sends the frame', async t => {
  const { client, guest } = await meet(t, url =>
    start(url, { init: () => 0, handleInfo: (said: string, count) => ({ reply: said, state: count + 1 }) }),
  )
  client.info('forward this')
  t.equal(await guest.next(), 'text forward this')
  t.equal(await client.getState(), 1)
})

t.test('websocket_info: {:close, reason, state} closes', async t => {
  const { client, guest } = await meet(t, url =>
    start(url, { handleInfo: () => ({ close: { code: 3500, reason: 'told to' } }) }),
  )
  client.info('leave')
  t.equal(await guest.next(), 'close 3500 told to')
  t.match(await client.ended, { type: 'local', code: 3500 })
})

t.test('websocket_info: is called in every state: idle, connecting, open, closing, waiting', async t => {
  const network = virtualNetwork(t)
  const server = network.listen(MEMORY_URL, () => {})
  const phases: string[] = []
  const client = await network.run(
    start(
      MEMORY_URL,
      {
        init: () => idle(null),
        handleInfo: (_message: unknown, _state, self) => void phases.push(self.phase),
        handleDisconnect: () => ({ reconnect: { delayMs: 1000 } }),
      },
      network.startOptions,
    ),
  )
  const ask = async (): Promise<void> => {
    client.info('where are you?')
    await network.settle()
  }
  await ask()
  server.hang()
  const connecting = client.connect()
  await ask()
  server.up()
  await network.run(connecting)
  await ask()
  server.link.freeze()
  client.write({ type: 'close' })
  await ask()
  server.link.thaw()
  await network.settle()
  await ask()
  t.same(phases, ['idle', 'connecting', 'open', 'closing', 'waiting'])
  await theEnd(t, network, client)
})

t.test('websocket_info: {:reply, frame, state} without a connection is handed back', async t => {
  const { url } = await guestServer(t)
  const client = await start(url, {
    init: () => idle(null),
    handleInfo: (said: string) => ({ reply: said }),
  })
  client.info('too early')
  t.equal(await client.getState(), null)
  t.match(await client.stop(), { unsent: [{ type: 'text', data: 'too early' }] })
})

t.test('websocket_info: {:close, reason, state} without a connection ends the process', async t => {
  for (const [wish, code, normal] of [
    [true, 1000, true],
    [{ code: 4000, reason: 'never mind' }, 4000, false],
  ] as const) {
    const network = virtualNetwork(t)
    const server = network.listen(MEMORY_URL, () => {})
    const ends: string[] = []
    const client = await network.run(
      start(
        MEMORY_URL,
        {
          handleInfo: () => ({ close: wish }),
          handleDisconnect: () => ({ reconnect: { delayMs: 1000 } }),
          terminate: ({ type }) => void ends.push(type),
        },
        network.startOptions,
      ),
    )
    server.link.reset()
    await network.settle()
    t.equal(client.phase, 'waiting')
    client.info('never mind')
    t.match(await network.run(client.ended), { type: 'local', normal, code, error: null })
    t.same(ends, ['local'])
    await network.advance(10_000)
    t.equal(server.attempts.length, 1)
    await theEnd(t, network, client)
  }
})

t.test('websocket_info: a message to itself comes later, and can be taken back', async t => {
  const network = virtualNetwork(t)
  const heard: string[] = []
  network.listen(MEMORY_URL, socket => {
    socket.onMessage = ({ data }) => heard.push(`${String(data)} at ${network.clock.now()}`)
  })
  const client = await network.run(
    start(
      MEMORY_URL,
      {
        handleConnect: (_connection, _state, self) => void self.sendAfter('tick', 1000),
        handleInfo: (message: string, _state, self) => {
          if (message === 'tick') self.sendAfter('tick', 1000)
          return { reply: message }
        },
      },
      network.startOptions,
    ),
  )
  const takeBack = client.sendAfter('never', 1500)
  await network.advance(1499)
  takeBack()
  await network.advance(1501)
  t.same(heard, ['tick at 1000', 'tick at 2000', 'tick at 3000'])
  await theEnd(t, network, client)
})

// websocket_terminate/3

/** How the state and the reason reach terminate when a client ends as `end` wants. */
const terminates = async (
  t: Test,
  end: (client: Process<string, never, never, unknown, unknown>, guest: Guest) => unknown,
  options: StartOptions = {},
): Promise<readonly [EndReason, string, phase: string]> => {
  const ends: [EndReason, string, string][] = []
  const { client, guest } = await meet(t, url =>
    start(
      url,
      {
        init: () => 'mine',
        handleInfo: () => {
          throw new Error('handler')
        },
        terminate: (reason, state) => void ends.push([reason, state, client.phase]),
      },
      options,
    ),
  )
  await end(client, guest)
  const reason = await client.ended
  t.equal(ends.length, 1, 'once')
  t.same(ends[0][0], reason)
  return ends[0]
}

t.test('websocket_terminate: after stop, with the state', async t => {
  const [reason, state, phase] = await terminates(t, client => client.stop('for tonight'))
  t.match(reason, { type: 'stop', normal: true, value: 'for tonight' })
  t.equal(state, 'mine')
  t.equal(phase, 'closing')
})

t.test('websocket_terminate: after the server closed', async t => {
  const [reason] = await terminates(t, (_client, guest) => guest.socket.close(4009, 'moved'))
  t.match(reason, { type: 'remote', normal: false, code: 4009, text: 'moved' })
})

t.test('websocket_terminate: after a callback crashed, with the state from before it', async t => {
  const closes: string[] = []
  const [reason, state] = await terminates(t, async (client, guest) => {
    client.info('crash')
    closes.push(await guest.next())
  })
  t.match(reason, { type: 'crash', normal: false, error: new Error('handler') })
  t.equal(state, 'mine')
  t.same(closes, ['close 1011'])
})

t.test('websocket_terminate: after the process that it is linked to crashed', async t => {
  const { url, guest } = await guestServer(t)
  const parent = await start(url, {})
  const [reason] = await terminates(t, () => parent.stop(new Error('parent')), { link: parent })
  t.match(reason, { type: 'link', normal: false, error: new Error('parent') })
  await guest()
})

t.test('websocket_terminate: after a start that failed, when init had succeeded', async t => {
  const { url } = await answeringServer(t, () => ({ status: 503 }))
  const ends: unknown[] = []
  const behaviour = {
    init: () => 'begun',
    terminate: ({ type }: EndReason, state: string) => void ends.push([type, state]),
  }
  t.match(await failure(start(url, behaviour)), { status: 503 })
  t.same(ends, [['error', 'begun']])
})

t.test('websocket_terminate: what it throws is reported and swallowed', async t => {
  const { promise: warned, resolve } = withResolvers<Error>()
  const listen = (warning: Error & { code?: string }): void => {
    if (warning.code === 'WS_TERMINATE_FAILED') resolve(warning)
  }
  process.on('warning', listen)
  t.teardown(() => process.off('warning', listen))
  const { client } = await meet(t, url =>
    start(url, {
      terminate: () => {
        throw new Error('in terminate')
      },
    }),
  )
  t.match(await client.stop('enough'), { type: 'stop', normal: true, value: 'enough' })
  t.match(await warned, { name: 'SansocketWarning', message: /terminate/ })
})

t.test('websocket_terminate: normal, {local, R}, remote, {remote, Code}, {handler, E}', async t => {
  const of = async (end: Parameters<typeof terminates>[1]): Promise<EndReason> =>
    (await terminates(t, end))[0]
  t.match(await of(client => client.stop()), { type: 'stop', normal: true })
  t.match(await of(client => client.send({ type: 'close', code: 4000, reason: 'mine' })), {
    type: 'local',
    code: 4000,
    text: 'mine',
  })
  t.match(await of((_client, guest) => guest.socket.terminate()), { type: 'closed', code: null })
  t.match(await of((_client, guest) => guest.socket.close(4001)), { type: 'remote', code: 4001 })
  t.match(await of(client => client.info('crash')), { type: 'crash', error: new Error('handler') })
})
