// Strategy: Enchufeweb's document read aloud on our layer, one test for each function, mode, callback and answer, and what its
// own tests check. The terms at the head of each name are theirs. Servers are real and on loopback; only what is about time
// runs in virtual time. What websocket_client below it is tested for, and blamed for, is in enchufeweb-suite.test.ts.
import { connect as netConnect, type NetConnectOpts } from 'node:net'
import t from 'tap'
import {
  type AnyProcess,
  ConnectionError,
  defineBehaviour,
  type DisconnectStatus,
  idle,
  once,
  reconnect,
  send,
  start,
  UsageError,
} from '../../src/index.js'
import { answeringServer } from '../support/answering-server.js'
import { authority, certificates } from '../support/certificates.js'
import { rawServer } from '../support/raw-peer.js'
import { failure, leavesNothing } from '../support/servers.js'
import {
  echo,
  guestServer,
  meet,
  MEMORY_URL,
  pingTimes,
  Queue,
  running,
  spell,
  theEnd,
  virtualNetwork,
} from '../support/seed-peers.js'

const BAD_UTF8 = Uint8Array.of(0xc3, 0x28)

// The module: start_link and ws_opts.

t.test('start_link(url, ws_opts) connects to ws://host:port/endpoint', async t => {
  const { url, guest } = await guestServer(t)
  const client = running(t, await start(`${url}chat/room?id=7`, {}))
  t.equal(client.phase, 'open')
  t.equal((await guest()).request.url, '/chat/room?id=7')
})

t.test('start_link: {:error, term} is a rejection, and nothing is left of the process', async t => {
  const listener = await rawServer(t)
  await leavesNothing(t, async () => {
    const bad = await failure(start('localhost:4000', {}))
    t.ok(bad instanceof UsageError)
    t.match(bad, { code: 'WS_BAD_URL' })
    const lost = failure(start(listener.url, {}))
    ;(await listener.accepted()).stream.destroy()
    t.match(await lost, { name: 'ConnectionError', phase: 'handshake' })
  })
})

t.test('start_link: what it was given is the first state, keys of your own included', async t => {
  const { url, guest } = await guestServer(t)
  const given = { url, initMessage: 'hello' }
  const client = await start(
    url,
    { handleConnect: (_connection, state: typeof given) => ({ reply: state.initMessage }) },
    { args: given },
  )
  running(t, client)
  t.equal(await (await guest()).next(), 'text hello')
  t.equal(await client.getState(), given)
})

t.test('use Enchufeweb: callbacks that are not written do nothing; a module serves many', async t => {
  const module = defineBehaviour({
    init: () => 0,
    handleFrame: (_frame, count: number) => ({ state: count + 1 }),
  })
  const { url, guest } = await guestServer(t)
  const clients = [running(t, await start(url, module)), running(t, await start(url, module))]
  const [one, two] = [await guest(), await guest()]
  for (const { socket } of [one, two, two]) {
    socket.send('a message')
    socket.ping('a ping')
  }
  t.equal(await one.next(), 'pong a ping')
  t.equal(await two.next(), 'pong a ping')
  t.equal(await two.next(), 'pong a ping')
  const counts = await Promise.all(clients.map(client => client.getState()))
  t.same(
    counts.toSorted((a, b) => a - b),
    [1, 2],
  )
})

t.test('conn_mode: :disconnected begins without a connection, until connect() is called', async t => {
  const { url, guest } = await guestServer(t)
  const attempts: number[] = []
  const client = await start(url, {
    init: () => idle('resting'),
    handleConnect: ({ attempt }) => void attempts.push(attempt),
  })
  running(t, client)
  t.equal(client.phase, 'idle')
  t.equal(await client.getState(), 'resting')
  t.same(attempts, [])
  await client.connect()
  t.same(attempts, [1])
  ;(await guest()).socket.send('welcome')
  t.equal(client.phase, 'open')
})

t.test('conn_mode: :disconnected, then a connect() that fails: the callback decides', async t => {
  const { url } = await answeringServer(t, () => ({ status: 503 }))
  const statuses: DisconnectStatus[] = []
  const client = await start(url, {
    init: () => idle(null),
    handleDisconnect: status => {
      statuses.push(status)
      return { stay: true }
    },
  })
  running(t, client)
  t.match(await failure(client.connect()), { code: 'WS_HANDSHAKE_STATUS', status: 503 })
  t.match(statuses, [{ attempt: 1, httpResponse: { status: 503 } }])
  t.equal(client.phase, 'idle')
})

t.test('conn_mode: :once tries one connection only, whatever the options say', async t => {
  const { url, asked } = await answeringServer(t, () => ({ status: 503 }))
  const error = await failure(start(url, { init: () => once(null) }, { reconnect: true }))
  t.match(error, { code: 'WS_HANDSHAKE_STATUS', status: 503 })
  t.equal(asked.length, 1)

  const { client, guest } = await meet(t, url =>
    start(url, { init: () => once(null) }, { reconnect: { first: 'immediate' } }),
  )
  guest.socket.terminate()
  t.match(await client.ended, { type: 'closed', normal: false })
})

t.test('conn_mode: :reconnect tries until it gets a connection, with growing delays', async t => {
  const network = virtualNetwork(t)
  const server = network.listen(MEMORY_URL, () => {})
  server.down()
  const attempts: number[] = []
  const starting = start(
    MEMORY_URL,
    {
      init: () => reconnect('patient'),
      handleDisconnect: ({ attempt, phase }) => {
        t.equal(phase, 'tcp')
        attempts.push(attempt)
      },
    },
    { ...network.startOptions, reconnect: { jitter: 'none' } },
  )
  await network.advance(7000)
  t.same(
    server.attempts.map(({ atMs }) => atMs),
    [0, 1000, 3000, 7000],
  )
  server.up()
  const client = await network.run(starting)
  t.same(attempts, [1, 2, 3, 4])
  t.equal(client.phase, 'open')
  t.equal(network.clock.now(), 15_000)
  await theEnd(t, network, client)
})

t.test('conn_mode: :reconnect comes back after a lost connection too', async t => {
  const network = virtualNetwork(t)
  const server = network.listen(MEMORY_URL, () => {})
  const client = await network.run(start(MEMORY_URL, { init: () => reconnect(null) }, network.startOptions))
  server.link.reset()
  await network.runUntil(() => server.attempts.length === 2 && client.phase === 'open')
  await theEnd(t, network, client)
})

t.test('conn_mode: :disconnected, once connected, comes back as the options say', async t => {
  const network = virtualNetwork(t)
  const server = network.listen(MEMORY_URL, () => {})
  const client = await network.run(
    start(MEMORY_URL, { init: () => idle(null) }, { ...network.startOptions, reconnect: true }),
  )
  await network.run(client.connect())
  server.link.reset()
  await network.runUntil(() => server.attempts.length === 2 && client.phase === 'open')
  await theEnd(t, network, client)
})

// Beside ws_opts: the options of websocket_client.

t.test('ws_opts, keepalive: a ping every so many ms', async t => {
  const network = virtualNetwork(t)
  const times = pingTimes(network)
  const client = await network.run(start(MEMORY_URL, {}, { ...network.startOptions, keepalive: 4000 }))
  await network.advance(12_000)
  t.same(times, [4000, 8000, 12_000])
  await theEnd(t, network, client)
})

t.test('ws_opts, extra_headers: are part of the request', async t => {
  const { url, guest } = await guestServer(t)
  running(t, await start(url, {}, { headers: [['X-Token', 'one'], ['X-Token', 'two']] })) // prettier-ignore
  t.equal((await guest()).request.headers['x-token'], 'one, two')
})

t.test('ws_opts, ssl_verify: verify_peer is the default, verify_none must be said', async t => {
  const { url, guest } = await guestServer(t, { tls: certificates.selfSigned })
  const error = await failure(start(url, {}, { tls: { ca: authority.cert } }))
  t.ok(error instanceof ConnectionError)
  t.match(error, { code: 'WS_TLS_FAILED', phase: 'tls', cause: { code: 'DEPTH_ZERO_SELF_SIGNED_CERT' } })
  running(t, await start(url, {}, { insecure: true }))
  await guest()
})

t.test('ws_opts, ssl_verify: {verify_fun, _} is checkServerIdentity', async t => {
  const { url } = await guestServer(t, { tls: certificates.valid })
  const seen: string[] = []
  const verify = (verdict: Error | undefined): Promise<AnyProcess> =>
    start(
      url,
      {},
      {
        tls: {
          ca: authority.cert,
          checkServerIdentity: (host, { subject }) => {
            seen.push(`${host}, ${String(subject.CN)}`)
            return verdict
          },
        },
      },
    )
  t.match(await failure(verify(new Error('not this one'))), { code: 'WS_TLS_FAILED' })
  running(t, await verify(undefined))
  t.same(seen, ['localhost, localhost', 'localhost, localhost'])
})

t.test('ws_opts, socket_opts: reach the TCP socket', async t => {
  const { url, guest } = await guestServer(t)
  const seen: NetConnectOpts[] = []
  const client = await start(
    url,
    {},
    {
      tcp: { noDelay: false, keepAlive: 5000, localAddress: '127.0.0.1' },
      netConnect: options => {
        seen.push(options)
        return netConnect(options)
      },
    },
  )
  running(t, client)
  await guest()
  const tcp = { noDelay: false, keepAlive: true, keepAliveInitialDelay: 5000, localAddress: '127.0.0.1' }
  t.match(seen, [tcp])
})

// ws_send.

t.test('ws_send: valid UTF-8 goes as a text message', async t => {
  const { client, guest } = await meet(t, url => start(url, {}))
  await client.send('Grüße')
  t.equal(await guest.next(), 'text Grüße')
})

t.test('ws_send: another binary goes as a binary message', async t => {
  const { client, guest } = await meet(t, url => start(url, {}))
  await client.send(BAD_UTF8)
  t.equal(await guest.next(), 'binary c328')
})

t.test('ws_send: the atoms :ping, :pong and :close go as control frames', async t => {
  const { client, guest } = await meet(t, url => start(url, {}))
  for (const type of ['ping', 'pong', 'close'] as const) await client.send({ type })
  t.same([await guest.next(), await guest.next(), await guest.next()], ['ping', 'pong', 'close 1005'])
})

t.test('ws_send: takes the process, or its name, from anywhere', async t => {
  const { client, guest } = await meet(t, url => start(url, {}, { name: 'enchufeweb' }))
  await send(client, 'by process')
  await send('enchufeweb', 'by name')
  t.same([await guest.next(), await guest.next()], ['text by process', 'text by name'])
})

t.test('ws_send: is always :ok where one asks for that, connected or not', async t => {
  const { url, guest } = await guestServer(t)
  const behaviour = { init: () => idle(null) }
  const lenient = running(t, await start(url, behaviour, { whenNotOpen: 'drop' }))
  await lenient.send('into the void')
  await lenient.connect()
  await lenient.send('heard')
  t.equal(await (await guest()).next(), 'text heard')

  const strict = running(t, await start(url, behaviour))
  t.match(await failure(strict.send('into the void')), { name: 'NotConnectedError', state: 'idle' })
  t.equal(strict.write('the same without a promise'), false)
})

// handle_connection.

t.test('handle_connection: gets what is known of the connection, and the state', async t => {
  const { url } = await guestServer(t)
  const seen: unknown[] = []
  const client = await start(`${url}feed`, {
    init: () => 'first',
    handleConnect: ({ url, headers, attempt, reconnects }, state) =>
      void seen.push([url, headers['upgrade'], attempt, reconnects, state]),
  })
  running(t, client)
  t.same(seen, [[`${url}feed`, 'websocket', 1, 0, 'first']])
})

t.test('handle_connection: {:ok, state} keeps the new state', async t => {
  const { url } = await guestServer(t)
  const client = await start(url, { init: () => 'old', handleConnect: () => ({ state: 'new' }) })
  running(t, client)
  t.equal(await client.getState(), 'new')
})

t.test('handle_connection: {:ok, keepalive, state} pings every keepalive ms', async t => {
  const network = virtualNetwork(t)
  const times = pingTimes(network)
  const client = await network.run(
    start(
      MEMORY_URL,
      { init: () => 'old', handleConnect: () => ({ keepalive: 3000, state: 'new' }) },
      network.startOptions,
    ),
  )
  await network.advance(9000)
  t.same(times, [3000, 6000, 9000])
  t.equal(await network.run(client.getState()), 'new')
  await theEnd(t, network, client)
})

t.test('handle_connection: {:reply, reply, state} sends the reply directly', async t => {
  const { url, guest } = await guestServer(t)
  const client = await start(url, {
    init: () => 0,
    handleConnect: () => ({ reply: 'hello', state: 1 }),
  })
  running(t, client)
  t.equal(await (await guest()).next(), 'text hello')
  t.equal(await client.getState(), 1)
})

t.test('handle_connection: {:close, reason, state} closes due to the reason', async t => {
  const { url, guest } = await guestServer(t)
  const states: string[] = []
  const client = await start(url, {
    init: () => 'old',
    handleConnect: () => ({ close: { code: 4000, reason: 'wrong place' }, state: 'new' }),
    handleDisconnect: ({ reason }, state) => void states.push(`${reason.type} ${reason.text}: ${state}`),
  })
  running(t, client)
  t.equal(await (await guest()).next(), 'close 4000 wrong place')
  t.match(await client.ended, { type: 'local', normal: false, code: 4000, text: 'wrong place' })
  t.same(states, ['local wrong place: new'])
})

// handle_disconnection.

t.test('handle_disconnection: gets which connection ended, why, and the state', async t => {
  const statuses = new Queue<readonly [DisconnectStatus, string]>()
  const { client, guest } = await meet(t, url =>
    start(url, {
      init: () => 'mine',
      handleDisconnect: (status, state) => statuses.put([status, state]),
    }),
  )
  guest.socket.close(4001, 'go away')
  const [status, state] = await statuses.next()
  t.equal(state, 'mine')
  t.match(status, {
    reason: { type: 'remote', normal: false, code: 4001, text: 'go away' },
    received: { code: 4001, reason: 'go away' },
    wasClean: true,
    phase: 'closing',
    attempt: 1,
    target: `ws://${guest.request.headers.host}/`,
  })
  await client.ended
})

t.test('handle_disconnection: {:ok, state} goes on although the connection is closed', async t => {
  const { url, guest } = await guestServer(t)
  const lost = new Queue<void>()
  const client = await start(url, {
    init: () => 0,
    handleDisconnect: (_status, count) => {
      lost.put()
      return { stay: true, state: count + 1 }
    },
  })
  running(t, client)
  ;(await guest()).socket.close(1000)
  await lost.next()
  t.equal(await client.getState(), 1)
  t.equal(client.phase, 'idle')
  await client.connect()
  await client.send('back again')
  t.equal(await (await guest()).next(), 'text back again')
})

t.test('handle_disconnection: {:reconnect, state} reconnects', async t => {
  const { url, guest } = await guestServer(t)
  const opened = new Queue<string>()
  const client = await start(url, {
    init: () => 'first',
    handleConnect: ({ reconnects }, state) => opened.put(`${reconnects} ${state}`),
    handleDisconnect: () => ({ reconnect: true, state: 'second' }),
  })
  running(t, client)
  t.equal(await opened.next(), '0 first')
  ;(await guest()).socket.terminate()
  t.equal(await opened.next(), '1 second')
  await client.send('still here')
  t.equal(await (await guest()).next(), 'text still here')
})

t.test('handle_disconnection: {:reconnect, delay, state} reconnects after the delay', async t => {
  const network = virtualNetwork(t)
  const server = network.listen(MEMORY_URL, () => {})
  const client = await network.run(
    start(
      MEMORY_URL,
      {
        init: () => 0,
        handleDisconnect: (_status, count) => ({ reconnect: { delayMs: 1500 }, state: count + 1 }),
      },
      network.startOptions,
    ),
  )
  server.link.reset()
  await network.advance(1499)
  t.equal(client.phase, 'waiting')
  t.equal(server.attempts.length, 1)
  await network.advance(1)
  t.equal(client.phase, 'open')
  t.match(server.attempts, [{ atMs: 0 }, { atMs: 1500, outcome: 'open' }])
  t.equal(await network.run(client.getState()), 1)
  await theEnd(t, network, client)
})

t.test('handle_disconnection: {:close, reason, state} terminates the process', async t => {
  const ends: unknown[] = []
  const { client, guest } = await meet(t, url =>
    start(
      url,
      {
        init: () => 'old',
        handleDisconnect: () => ({ stop: 'enough', state: 'new' }),
        terminate: ({ value }, state) => void ends.push([value, state]),
      },
      { reconnect: true },
    ),
  )
  guest.socket.terminate()
  t.match(await client.ended, { type: 'stop', normal: true, value: 'enough' })
  t.same(ends, [['enough', 'new']])
})

// handle_message.

t.test('handle_message: a binary message, and whether it was text is not lost', async t => {
  const log = new Queue<string>()
  const { guest } = await meet(t, url => start(url, { handleFrame: frame => log.put(spell(frame)) }))
  guest.socket.send('Grüße')
  guest.socket.send(BAD_UTF8)
  guest.socket.send('')
  guest.socket.send(Buffer.alloc(0))
  t.same(
    [await log.next(), await log.next(), await log.next(), await log.next()],
    ['text Grüße', 'binary c328', 'text', 'binary'],
  )
})

t.test('handle_message: :ping comes with its payload, after the automatic pong', async t => {
  const log = new Queue<string>()
  const { guest } = await meet(t, url =>
    start(url, {
      handlePing: payload => {
        log.put(`ping ${Buffer.from(payload).toString()}`)
        return { reply: 'pinged' }
      },
    }),
  )
  guest.socket.ping('are you there?')
  t.equal(await log.next(), 'ping are you there?')
  t.same([await guest.next(), await guest.next()], ['pong are you there?', 'text pinged'])
})

t.test('handle_message: :pong comes with its payload', async t => {
  const log = new Queue<string>()
  const { client, guest } = await meet(t, url =>
    start(url, {
      handlePong: (payload, _state, { solicited, rttMs }) =>
        log.put(`${Buffer.from(payload).toString()} ${solicited} ${typeof rttMs}`),
    }),
  )
  await client.send({ type: 'ping', data: 'mine' })
  t.equal(await log.next(), 'mine true number')
  guest.socket.pong('yours')
  t.equal(await log.next(), 'yours false object')
})

t.test('handle_message: :close is told to handleDisconnect, with its code and reason', async t => {
  const log = new Queue<unknown>()
  const { guest } = await meet(t, url =>
    start(url, { handleDisconnect: ({ received }) => log.put(received) }),
  )
  guest.socket.close(1001, 'going away')
  t.same(await log.next(), { code: 1001, reason: 'going away' })
})

t.test('handle_message: {:ok, state} does nothing but keep the new state', async t => {
  const { url, guest } = await guestServer(t)
  const client = await start(url, { init: () => 'old', handleFrame: ({ data }) => ({ state: String(data) }) })
  running(t, client)
  const one = await guest()
  one.socket.send('new')
  one.socket.ping()
  t.equal(await one.next(), 'pong', 'and nothing else')
  t.equal(await client.getState(), 'new')
})

t.test('handle_message: {:reply, reply, state} sends the reply and keeps the state', async t => {
  const { url, guest } = await guestServer(t)
  const client = await start(url, {
    init: () => 0,
    handleFrame: ({ data }, count) => ({ reply: `${count} ${String(data)}`, state: count + 1 }),
  })
  running(t, client)
  const one = await guest()
  one.socket.send('a')
  one.socket.send('b')
  t.same([await one.next(), await one.next()], ['text 0 a', 'text 1 b'])
  t.equal(await client.getState(), 2)
})

t.test('handle_message: {:close, reason, state} closes due to the reason', async t => {
  const ends: unknown[] = []
  const { client, guest } = await meet(t, url =>
    start(url, {
      init: () => 'old',
      handleFrame: () => ({ close: { code: 3001, reason: 'bad word' }, state: 'new' }),
      terminate: ({ code }, state) => void ends.push([code, state]),
    }),
  )
  guest.socket.send('a bad word')
  t.equal(await guest.next(), 'close 3001 bad word')
  await client.ended
  t.same(ends, [[3001, 'new']])
})

t.test('websocket_info: a stray message does not crash the client', async t => {
  const { client, guest } = await meet(t, url => start(url, {}))
  client.info({ stray: true })
  t.throws(() => client.cast({ stray: true } as never), { code: 'WS_NO_CALLBACK' })
  await client.send('fine')
  t.equal(await guest.next(), 'text fine')
})

// What Enchufeweb's own tests check.

t.test('enchufeweb_test, text: a text comes back from an echo server', async t => {
  const log = new Queue<string>()
  const { url } = await guestServer(t, { greet: echo })
  const client = running(t, await start(url, { handleFrame: frame => log.put(spell(frame)) }))
  await client.send('hello')
  t.equal(await log.next(), 'text hello')
})

t.test('enchufeweb_test, ping: the answer to a ping arrives as :pong', async t => {
  const log = new Queue<boolean>()
  const { client } = await meet(t, url =>
    start(url, { handlePong: (_payload, _state, { solicited }) => log.put(solicited) }),
  )
  await client.send({ type: 'ping' })
  t.equal(await log.next(), true)
})

t.test('enchufeweb_test, binary: bytes that are no UTF-8 come back', async t => {
  const log = new Queue<string>()
  const { url } = await guestServer(t, { greet: echo })
  const client = running(t, await start(url, { handleFrame: frame => log.put(spell(frame)) }))
  await client.send(BAD_UTF8)
  t.equal(await log.next(), 'binary c328')
})

t.test('enchufeweb_test, close: :close ends the connection, and the callback hears of it', async t => {
  const log = new Queue<DisconnectStatus>()
  const { client } = await meet(t, url => start(url, { handleDisconnect: status => log.put(status) }))
  await client.send({ type: 'close' })
  const { reason, sent, received, wasClean } = await log.next()
  t.same(reason, { type: 'local', normal: true, code: null, text: '' })
  t.match({ sent, received, wasClean }, { sent: { code: 1005 }, received: { code: 1005 }, wasClean: true })
})

t.test('enchufeweb_test, pong: an unsolicited pong goes either way', async t => {
  const log = new Queue<string>()
  const { client, guest } = await meet(t, url =>
    start(url, { handlePong: payload => log.put(Buffer.from(payload).toString()) }),
  )
  await client.send({ type: 'pong', data: 'there' })
  t.equal(await guest.next(), 'pong there')
  guest.socket.pong('back')
  t.equal(await log.next(), 'back')
})

t.test('enchufeweb_test, reply: a reply goes right after connecting', async t => {
  const log = new Queue<string>()
  const { url } = await guestServer(t, { greet: echo })
  const client = await start(url, {
    handleConnect: () => ({ reply: 'first' }),
    handleFrame: frame => log.put(spell(frame)),
  })
  running(t, client)
  t.equal(await log.next(), 'text first')
})
