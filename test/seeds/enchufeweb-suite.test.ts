// Strategy: what the tests of websocket_client, on which Enchufeweb stands, check; and what people ran into there, by the
// number of the issue.
import t, { type Test } from 'tap'
import {
  type ConnectionError,
  defineBehaviour,
  type DisconnectStatus,
  HandshakeError,
  start,
  type StartOptions,
} from '../../src/index.js'
import { answeringServer, OPEN, redirect } from '../support/answering-server.js'
import { fromPeer, TEXT } from '../support/frames.js'
import { acceptance, headerOf, rawServer } from '../support/raw-peer.js'
import { failure, silentServer, serve } from '../support/servers.js'
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
import { findPython, startPython } from '../interop/python.js'

// What the tests of websocket_client check.

/** Messages of 5, 150 and more than 65,535 bytes, of both types, come back as they were. */
const comeBack = async (t: Test, url: string): Promise<void> => {
  const log = new Queue<string>()
  const client = running(t, await start(url, { handleFrame: frame => log.put(spell(frame)) }))
  for (const size of [5, 150, 70_000]) {
    const bytes = Uint8Array.from({ length: size }, (_, i) => i * 31)
    for (const data of ['x'.repeat(size), bytes]) {
      await client.send(data)
      const type = typeof data === 'string' ? 'text' : 'binary'
      t.ok((await log.next()) === spell({ type, data } as never), `${type} of ${size} bytes`)
    }
  }
}

t.test('wc_SUITE: messages of 5, 150 and more than 65,535 bytes come back', async t => {
  const { url } = await guestServer(t, { greet: echo })
  await comeBack(t, url)
})

const python = findPython()
const required = process.env['CI'] === 'true' || process.env['SANSOCKET_REQUIRE_PEERS'] === '1'
const absent = 'no Python with the websockets package here: scripts/ci/python-peers.sh makes one'

t.test(
  'wc_SUITE: messages of every size come back from Python websockets too',
  python === null && !required ? { skip: absent } : {},
  async t => {
    if (python === null) throw new Error(absent)
    const { url } = await startPython(t, python.command).start(t, null)
    await comeBack(t, `${url}/echo`)
  },
)

t.test('wc_SUITE: pings with and without a payload are answered with the same', async t => {
  const { guest } = await meet(t, url => start(url, {}))
  guest.socket.ping()
  guest.socket.ping('payload')
  t.same([await guest.next(), await guest.next()], ['pong', 'pong payload'])
})

t.test('wc_SUITE: bytes after the 101 are delivered, CRLFCRLF in them or not', async t => {
  const { url, ...server } = await rawServer(t)
  const log = new Queue<string>()
  const starting = start(url, {
    handleConnect: () => log.put('connected'),
    handleFrame: frame => log.put(spell(frame)),
  })
  const peer = await server.accepted()
  const early = ['early', 'head\r\n\r\nbody'].map(payload => fromPeer('client', { opcode: TEXT, payload }))
  peer.write(Buffer.concat([Buffer.from(acceptance(await peer.head())), ...early]))
  running(t, await starting)
  t.same(
    [await log.next(), await log.next(), await log.next()],
    ['connected', 'text early', 'text head\r\n\r\nbody'],
  )
})

t.test('wc_SUITE: a refusal with 400 or 403 arrives with its code, text and body', async t => {
  for (const status of [400, 403]) {
    const { url } = await answeringServer(t, () => ({ status, body: 'not you' }))
    const statuses: DisconnectStatus[] = []
    const error = await failure(
      start(url, { handleDisconnect: one => void statuses.push(one) }, { handleInitialFailure: true }),
    )
    t.ok(error instanceof HandshakeError)
    t.match(statuses, [
      { reason: { type: 'error' }, phase: 'handshake', httpResponse: { status, reason: 'Word' }, error },
    ])
    t.equal(Buffer.from(statuses[0].httpResponse!.body).toString(), 'not you')
  }
})

t.test('wc_SUITE: a keepalive of 100 ms has its pong within 500 ms', async t => {
  const network = virtualNetwork(t)
  network.listen(MEMORY_URL, () => {}, { conditions: { latencyMs: 200 } })
  const rtts: (number | null)[] = []
  const client = await network.run(
    start(
      MEMORY_URL,
      { handlePong: (_payload, _state, { rttMs }) => void rtts.push(rttMs) },
      { ...network.startOptions, keepalive: 100 },
    ),
  )
  await network.advance(500)
  t.equal(rtts[0], 400)
  t.equal(client.rttMs, 400)
  await theEnd(t, network, client)
})

t.test('wc_SUITE: a server that falls silent is a keepalive timeout', async t => {
  const network = virtualNetwork(t)
  const server = network.listen(MEMORY_URL, () => {})
  const statuses: DisconnectStatus[] = []
  const client = await network.run(
    start(
      MEMORY_URL,
      { handleDisconnect: status => void statuses.push(status) },
      { ...network.startOptions, keepalive: { intervalMs: 100, timeoutMs: 50 } },
    ),
  )
  const { ended } = client
  server.link.freeze()
  await network.advance(150)
  t.match(statuses, [{ reason: { type: 'keepalive-timeout' }, error: { code: 'WS_KEEPALIVE_TIMEOUT' } }])
  t.match(await ended, { type: 'keepalive-timeout', normal: false })
  server.link.thaw()
  await network.settle()
  t.same(network.leaks(), [])
})

t.test('wc_SUITE: a silent TCP listener is given up', async t => {
  const { server, heard } = silentServer()
  const port = await serve(t, server)
  const { clock } = virtualNetwork(t)
  const failed = failure(start(`ws://127.0.0.1:${port}/`, {}, { clock, handshakeTimeoutMs: 100 }))
  await heard
  clock.advance(100)
  t.match(await failed, { code: 'WS_HANDSHAKE_TIMEOUT', phase: 'handshake' })
})

t.test('wc_SUITE: reconnects after 1,000 ms across a restart of the server', async t => {
  const network = virtualNetwork(t)
  const server = network.listen(MEMORY_URL, () => {})
  const log: string[] = []
  const client = await network.run(
    start(
      MEMORY_URL,
      {
        handleConnect: () => void log.push(`open at ${network.clock.now()}`),
        handleDisconnect: ({ reason, attempt }) => {
          log.push(`${reason.type} ${attempt} at ${network.clock.now()}`)
          return { reconnect: { delayMs: 1000 } }
        },
      },
      network.startOptions,
    ),
  )
  server.down()
  await network.advance(1500)
  server.up()
  await network.advance(500)
  t.same(log, ['open at 0', 'closed 1 at 0', 'error 2 at 1000', 'open at 2000'])
  await theEnd(t, network, client)
})

t.test('wc_SUITE: a chain of 10 replies', async t => {
  const { url, guest } = await guestServer(t, { greet: echo })
  const client = await start(url, {
    init: () => 0,
    handleConnect: () => ({ reply: '0' }),
    handleFrame: (_frame, count) =>
      count < 9 ? { reply: String(count + 1), state: count + 1 } : { close: true },
  })
  const one = await guest()
  for (let i = 0; i < 10; i++) t.equal(await one.next(), `text ${i}`)
  t.match(await client.ended, { type: 'local', normal: true })
})

t.test('wc_SUITE: our Close, which the server answers by ending TCP alone, was not clean', async t => {
  const { url, ...server } = await rawServer(t)
  const log = new Queue<DisconnectStatus>()
  const starting = start(url, { handleDisconnect: status => log.put(status) })
  const peer = await server.accepted()
  peer.write(acceptance(await peer.head()))
  const client = running(t, await starting)
  void client.send({ type: 'close' })
  t.same(await peer.shown(1), ['close ""'])
  peer.stream.end()
  t.match(await log.next(), { reason: { type: 'local', normal: true }, received: null, wasClean: false })
})

t.test('wc_SUITE: a TCP connection that just ends is {remote, closed}', async t => {
  const { client, guest } = await meet(t, url => start(url, {}))
  guest.socket.terminate()
  t.match(await client.ended, { type: 'closed', normal: false, code: null })
})

// What people ran into there.

t.test('websocket_client issue 48: the code and reason of a Close reach the user', async t => {
  const { client, guest } = await meet(t, url => start(url, {}))
  guest.socket.close(4321, 'quota')
  t.match(await client.ended, { type: 'remote', normal: false, code: 4321, text: 'quota' })
  t.equal(await guest.next(), 'close 4321 quota', 'as the server hears it')
})

t.test('websocket_client issue 50: waiting to reconnect blocks nothing', async t => {
  const network = virtualNetwork(t)
  const server = network.listen(MEMORY_URL, () => {})
  const behaviour = defineBehaviour({
    init: () => 0,
    handleInfo: (_message: unknown, count: number) => ({ state: count + 1 }),
    handleDisconnect: () => ({ reconnect: { delayMs: 60_000 } }),
  })
  const client = await network.run(
    start(MEMORY_URL, behaviour, { ...network.startOptions, keepalive: false }),
  )
  server.link.reset()
  await network.settle()
  client.info('while it waits')
  t.equal(await network.run(client.getState()), 1)
  await network.run(client.connect())
  t.equal(network.clock.pending, 0)
  await network.advance(120_000)
  t.equal(server.attempts.length, 2)
  await theEnd(t, network, client)
})

t.test('websocket_client issue 36: subprotocols are offered, and one is chosen', async t => {
  const { url } = await guestServer(t, { handleProtocols: offered => [...offered][1] })
  const chosen: string[] = []
  const client = await start(
    url,
    { handleConnect: ({ subprotocol }) => void chosen.push(subprotocol) },
    { subprotocols: ['v1.chat', 'v2.chat'] },
  )
  running(t, client)
  t.same(chosen, ['v2.chat'])
})

t.test('websocket_client issue 17: redirects are followed where that is allowed', async t => {
  const server = await answeringServer(t, ({ what }) => (what.endsWith('/moved') ? OPEN : redirect('/moved')))
  t.match(await failure(start(server.url, {})), { status: 302 })
  const urls: string[] = []
  const client = await start(
    server.url,
    { handleConnect: ({ url }) => void urls.push(url) },
    { maxRedirects: 1 },
  )
  running(t, client)
  t.same(urls, [`${server.url}moved`])
})

t.test('websocket_client issue 70: {reconnect, State} after a failure tries again', async t => {
  const network = virtualNetwork(t)
  const server = network.listen(MEMORY_URL, () => {})
  server.refuse(502)
  const statuses: number[] = []
  const starting = start(
    MEMORY_URL,
    {
      handleDisconnect: ({ httpResponse }) => {
        statuses.push(httpResponse!.status)
        if (statuses.length === 3) server.up()
        return { reconnect: true }
      },
    },
    { ...network.startOptions, handleInitialFailure: true },
  )
  const client = await network.run(starting)
  t.same(statuses, [502, 502, 502])
  await theEnd(t, network, client)
})

/** A resolver that knows nobody. */
const lookup: StartOptions['lookup'] = (_host, _options, callback) =>
  callback(Object.assign(new Error('no such host'), { code: 'ENOTFOUND' }), '')

t.test('Lanyard pull request 288: each failure to connect is told from the others', async t => {
  const refusing = await answeringServer(t, () => ({ status: 401 }))
  const cutting = await rawServer(t)
  void cutting.accepted().then(({ stream }) => stream.destroy())
  const seen: unknown[] = []
  const behaviour = {
    handleDisconnect: ({ phase, httpResponse, error }: DisconnectStatus) =>
      void seen.push([phase, httpResponse?.status ?? null, (error as ConnectionError).code]),
  }
  const { startOptions } = virtualNetwork(t)
  const options = { handleInitialFailure: true }
  await failure(start(refusing.url, behaviour, options))
  await failure(start('ws://nowhere.invalid/', behaviour, { ...options, lookup }))
  await failure(start(MEMORY_URL, behaviour, { ...options, ...startOptions }))
  await failure(start(cutting.url, behaviour, options))
  t.same(seen, [
    ['handshake', 401, 'WS_HANDSHAKE_STATUS'],
    ['dns', null, 'WS_DNS_FAILED'],
    ['tcp', null, 'WS_CONNECT_FAILED'],
    ['handshake', null, 'WS_HANDSHAKE_ENDED'],
  ])
})

t.test('websocket_client: each connection has a key of its own, and begins anew', async t => {
  const { url, ...server } = await rawServer(t)
  const log = new Queue<string>()
  const starting = start(url, {
    handleFrame: frame => log.put(spell(frame)),
    handleDisconnect: () => ({ reconnect: true }),
  })
  const keys: (string | undefined)[] = []
  const open = async (): Promise<Awaited<ReturnType<typeof server.accepted>>> => {
    const peer = await server.accepted()
    const head = await peer.head()
    keys.push(headerOf(head, 'Sec-WebSocket-Key'))
    peer.write(acceptance(head))
    return peer
  }
  const first = await open()
  running(t, await starting)
  const whole = fromPeer('client', { opcode: TEXT, payload: 'whole' })
  first.write(Buffer.concat([whole, fromPeer('client', { opcode: TEXT, payload: 'cut off' }).subarray(0, 5)]))
  t.equal(await log.next(), 'text whole')
  first.reset()
  const second = await open()
  second.write(whole)
  t.equal(await log.next(), 'text whole')
  t.equal(new Set(keys).size, 2)
})

t.test('websocket_client: a keepalive that is set twice is one keepalive', async t => {
  const network = virtualNetwork(t)
  const times = pingTimes(network)
  const client = await network.run(
    start(
      MEMORY_URL,
      { handleConnect: () => ({ keepalive: 500 }) },
      { ...network.startOptions, keepalive: 300 },
    ),
  )
  client.setKeepalive(1000)
  await network.advance(3000)
  t.same(times, [1000, 2000, 3000])
  await theEnd(t, network, client)
})
