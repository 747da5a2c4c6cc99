// Strategy: each thing that can go wrong on a network, as `connect()` and a server's Socket see it: the same codes, phases
// and causes as over TCP, and nothing left behind. How TCP does it is asked of TCP where that is possible.
import fc from 'fast-check'
import { type EventEmitter, once } from 'node:events'
import { createServer } from 'node:http'
import { connect as netConnect, createServer as createNetServer, type Socket as NetSocket } from 'node:net'
import type { Duplex } from 'node:stream'
import t, { type Test } from 'tap'
import { attach, connect, parseTarget, type Socket } from '../../src/index.js'
import {
  type Direction,
  type VirtualLink,
  VirtualNetwork,
  type VirtualServer,
} from '../../src/testing/index.js'
import type { VirtualNetworkOptions } from '../../src/testing/network-options.js'
import { isSettled } from '../support/raw-peer.js'
import { failure, serve, turn } from '../support/servers.js'

const FEED = 'ws://feed.test/'

interface Open {
  readonly network: VirtualNetwork
  readonly server: VirtualServer
  readonly link: VirtualLink
  /** The client's socket, and the server's. */
  readonly socket: Socket
  readonly accepted: Socket
  /** What the server's socket was sent. */
  readonly received: (string | Uint8Array)[]
}

/** A client and a server, connected. */
async function open(options: VirtualNetworkOptions = {}): Promise<Open> {
  const network = new VirtualNetwork(options)
  const received: (string | Uint8Array)[] = []
  let accepted!: Socket
  const server = network.listen(FEED, socket => {
    accepted = socket
    socket.onMessage = ({ data }) => received.push(data)
  })
  const socket = await network.run(connect(FEED, network.connectOptions))
  return { network, server, link: server.link, socket, accepted, received }
}

/** Connecting, which fails: the error, and how long it took. */
async function refusal(
  network: VirtualNetwork,
  options: object = {},
): Promise<[Record<string, unknown>, number]> {
  const since = network.clock.now()
  const error = await network.run(failure(connect(FEED, { ...network.connectOptions, ...options })))
  return [error as never, network.clock.now() - since]
}

const bothLatencies = (
  t: Test,
  name: string,
  body: (t: Test, options: VirtualNetworkOptions) => Promise<void>,
): void => {
  for (const latencyMs of [0, 10])
    t.test(`${name}, with a latency of ${latencyMs} ms`, t => body(t, { conditions: { latencyMs } }))
}

const REFUSED = {
  code: 'WS_CONNECT_FAILED',
  phase: 'tcp',
  cause: { code: 'ECONNREFUSED', syscall: 'connect' },
}
const LOST = { code: 'WS_CONNECTION_LOST', phase: 'open' }

bothLatencies(t, 'who connects where nobody listens is refused', async (t, options) => {
  const network = new VirtualNetwork(options)
  t.match((await refusal(network))[0], {
    ...REFUSED,
    message: 'connect to feed.test:80 failed: ECONNREFUSED',
  })
  t.same(network.leaks(), [])
})

bothLatencies(
  t,
  'a server that goes down resets its links and refuses others, until it is up again',
  async (t, options) => {
    const { network, server, socket, accepted } = await open(options)
    server.down()
    for (const end of [socket, accepted])
      t.match(await network.run(end.closed), {
        wasClean: false,
        error: { ...LOST, cause: { code: 'ECONNRESET' } },
      })
    t.same([server.links.size, server.sockets.size, server.state], [0, 0, 'down'])
    t.throws(() => server.link, /has no link/)
    t.match((await refusal(network))[0], REFUSED)
    server.up()
    const again = await network.run(connect(FEED, network.connectOptions))
    server.down('keep')
    t.match((await refusal(network))[0], REFUSED)
    t.equal(again.state, 'open', 'links may be kept')
    t.match(await network.run(again.close()), { wasClean: true })
    t.same(
      server.attempts.map(({ outcome }) => outcome),
      ['open', 'refused', 'open', 'refused'],
    )
    // Of its own, so that a list of them keeps no stream.
    t.same(server.attempts[0], { atMs: server.attempts[0].atMs, outcome: 'open' })
    t.same(Reflect.ownKeys(server.attempts[0]), ['atMs', 'outcome'])
    t.equal(Object.getPrototypeOf(server.attempts[0]), Object.prototype)
    // The last end of bytes is on its way to the server.
    await network.runUntil(() => network.leaks().length === 0)
  },
)

bothLatencies(t, 'a server that hangs answers nobody until it is up again, or down', async (t, options) => {
  const network = new VirtualNetwork(options)
  const server = network.listen(FEED, () => {})
  server.hang()
  const [error, ms] = await refusal(network, { connectTimeoutMs: 3000 })
  t.match(error, { code: 'WS_CONNECT_TIMEOUT' })
  t.equal(ms, 3000)
  t.same(network.leaks(), [])
  const late = connect(FEED, network.connectOptions)
  await network.advance(5000)
  t.equal(await isSettled(late), false)
  server.up()
  const socket = await network.run(late)
  server.hang()
  const refused = refusal(network)
  network.clock.setTimeout(() => server.down('keep'), 100)
  t.match((await refused)[0], REFUSED)
  t.equal(socket.state, 'open', 'links go on')
  t.same(
    server.attempts.map(({ outcome }) => outcome),
    ['abandoned', 'open', 'refused'],
  )
  await network.run(server.close())
  t.same(network.leaks(), [])
})

t.test(
  'a client that gives up in time leaves the server nothing, and one that gives up later its end',
  async t => {
    const network = new VirtualNetwork({ conditions: { latencyMs: 100 } })
    let accepted = 0
    const server = network.listen(FEED, () => accepted++)
    for (const connectTimeoutMs of [50, 150]) {
      const [error, ms] = await refusal(network, { connectTimeoutMs })
      t.match(error, { code: 'WS_CONNECT_TIMEOUT' })
      t.equal(ms, connectTimeoutMs)
      t.same(network.leaks(), [])
    }
    t.match(await refusal(network, { handshakeTimeoutMs: 150 }), [{ code: 'WS_HANDSHAKE_TIMEOUT' }, 350])
    await network.advance(1000)
    t.same(
      server.attempts.map(({ outcome }) => outcome),
      ['abandoned', 'abandoned', 'open'],
    )
    t.equal(accepted, 1, 'the server had answered before it learnt of it')
    t.same(network.leaks(), [])
  },
)

t.test('a server may go while a client is on its way', async t => {
  const network = new VirtualNetwork({ conditions: { latencyMs: 100 } })
  const server = network.listen(FEED, () => {})
  for (const atMs of [50, 150]) {
    server.up()
    network.clock.setTimeout(() => server.down(), atMs)
    t.match(await refusal(network), [REFUSED, 200])
  }
  server.up()
  network.clock.setTimeout(() => server.hang(), 150)
  t.match(await refusal(network), [{ code: 'WS_CONNECT_TIMEOUT' }, 10_000])
  t.same(network.leaks(), [])
})

bothLatencies(t, 'a handshake can be refused with any status', async (t, options) => {
  const network = new VirtualNetwork(options)
  const server = network.listen(FEED, () => t.fail('nobody is accepted'))
  server.refuse(503, [['Retry-After', '7']])
  const [error] = await refusal(network)
  t.match(error, { code: 'WS_HANDSHAKE_STATUS', status: 503, response: { status: 503 } })
  t.match(Object.fromEntries(error['headers'] as [string, string][]), { 'Retry-After': '7' })
  server.refuse(401)
  t.match((await refusal(network))[0], { status: 401 })
  t.throws(() => server.refuse(200), { name: 'InvalidHeadError' })
  await network.advance(60_000)
  t.same(network.leaks(), [])
  const open = new VirtualNetwork()
  const other = open.listen(FEED, () => {})
  other.refuse()
  t.match((await refusal(open))[0], { status: 503 })
  other.up()
  await connect(FEED, open.connectOptions)
})

t.test('peers that speak bytes: garbage, half an answer, silence, an end, a reset', async t => {
  const cases: [string, (stream: Duplex, link: VirtualLink) => void, object][] = [
    ['garbage', stream => stream.write('SSH-2.0-OpenSSH_9.2\r\n'), { code: 'WS_HANDSHAKE_BAD_STATUS_LINE' }],
    ['half an answer', stream => stream.write('HTTP/1.1 101 Switch'), { code: 'WS_HANDSHAKE_TIMEOUT' }],
    ['silence', () => {}, { code: 'WS_HANDSHAKE_TIMEOUT', phase: 'handshake' }],
    ['an end', stream => stream.end(), { code: 'WS_HANDSHAKE_ENDED' }],
    ['half an answer and an end', stream => stream.end('HTTP/1.1 101'), { code: 'WS_HANDSHAKE_ENDED' }],
    ['no reading', stream => stream.destroy(), { code: 'WS_HANDSHAKE_ENDED' }],
    [
      'a reset',
      (_stream, link) => link.reset(),
      { code: 'WS_HANDSHAKE_ENDED', cause: { code: 'ECONNRESET' } },
    ],
    [
      'an answer of another kind',
      stream => stream.end('HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n'),
      { code: 'WS_HANDSHAKE_STATUS', status: 404 },
    ],
  ]
  for (const [name, speak, expected] of cases) {
    const network = new VirtualNetwork({ conditions: { latencyMs: [1, 5], segmentBytes: [1, 7] } })
    const server = network.listenRaw(FEED, (stream, link) => {
      stream.on('data', () => {}).on('end', () => stream.end())
      speak(stream, link)
    })
    t.match((await refusal(network))[0], expected, name)
    t.equal(server.sockets.size, 0)
    // What the other side still has to say finds nobody.
    await network.advance(1000)
    t.same(network.leaks(), [], name)
  }
})

t.test('a reset at any byte leaves exactly what came before, of either count', async t => {
  const sides = fc.constantFrom<Direction>('to-client', 'to-server')
  const counts = fc.constantFrom('taken' as const, 'delivered' as const)
  const bytes = fc.nat(4000)
  await fc.assert(
    fc.asyncProperty(fc.integer(), sides, counts, bytes, async (seed, direction, counted, limit) => {
      const network = new VirtualNetwork({ seed, conditions: { segmentBytes: [1, 500], latencyMs: [0, 3] } })
      const server = network.listen(FEED, socket => {
        socket.onMessage = ({ data }) => void socket.send(data)
      })
      let link!: VirtualLink
      let heard = 0
      server.onLink = one => {
        link = one
        link.onDelivered = (chunk, way) => void (heard += way === direction ? chunk.length : 0)
        link.resetAfter(limit, direction, counted)
      }
      const talk = async (): Promise<void> => {
        const socket = await connect(FEED, network.connectOptions)
        socket.onMessage = () => {}
        for (let i = 0; i < 60; i++) {
          socket.write('x'.repeat(100))
          await new Promise<void>(resolve => network.clock.setTimeout(resolve, 1))
        }
        throw (await socket.closed).error!
      }
      t.match(await network.run(failure(talk())), { cause: { code: 'ECONNRESET' } })
      t.equal(link[counted](direction), limit)
      t.ok(link.delivered(direction) <= link.taken(direction))
      t.ok(heard >= link.delivered(direction))
      await network.settle()
      t.same(network.leaks(), [])
    }),
    { numRuns: 40 },
  )
})

t.test('what was taken and not delivered before a reset is lost, and counts as taken', async t => {
  const { network, link, socket, received } = await open({ conditions: { latencyMs: 10, windowBytes: 500 } })
  const [taken, delivered] = [link.taken('to-server'), link.delivered('to-server')]
  t.equal(taken, delivered)
  const sent = socket.send('x'.repeat(300))
  const drained = socket.drained()
  await network.advance(5)
  await sent
  await drained
  t.equal(link.taken('to-server') - taken, 308, 'the network has it')
  t.equal(link.delivered('to-server'), delivered, 'and the server has not')
  socket.write('y'.repeat(300))
  await network.settle()
  t.equal(link.taken('to-server') - taken, 500, 'a part of the second message has found room')
  link.reset()
  const { error } = await socket.closed
  t.match(error, { ...LOST, cause: { code: 'ECONNRESET' } })
  await network.advance(1000)
  t.same(received, [])
  t.equal(link.delivered('to-server'), delivered)
  t.equal(link.open, false)
  t.equal(String(link), 'link 1 to feed.test:80 is closed')
  t.same(network.leaks(), [])
})

t.test('nobody learns of a frozen link until somebody gives up', async t => {
  const { network, link, socket, accepted, received } = await open({ conditions: { latencyMs: 5 } })
  link.freeze()
  t.equal(link.frozen, true)
  await socket.send('into the void')
  void accepted.send('and back')
  await network.advance(3_600_000)
  t.same([socket.state, accepted.state, received], ['open', 'open', []])
  const ping = failure(socket.ping())
  const closing = socket.close()
  await network.advance(4_999)
  t.equal(await isSettled(closing), false)
  t.match(await network.run(closing), { wasClean: false, error: { code: 'WS_CLOSE_TIMEOUT' } })
  await ping
  await network.advance(3_600_000)
  t.equal(accepted.state, 'open', 'the other end does not even learn that it is gone')
  t.same(network.leaks(), ['link 1 to feed.test:80 is frozen at its server end'])
  link.thaw()
  await network.advance(100)
  t.same(received, ['into the void'], 'and then, late, of everything')
  t.equal(accepted.state, 'closed')
  t.same(network.leaks(), [])
})

t.test('a link that thaws in time has lost nothing', async t => {
  const { network, link, socket, accepted, received } = await open({
    conditions: { latencyMs: 5, windowBytes: 2000 },
  })
  link.freeze()
  for (let i = 0; i < 100; i++) socket.write(`${i}`.padEnd(100))
  const drained = socket.drained()
  await network.advance(60_000)
  t.equal(await isSettled(drained), false, 'what is written is taken as long as the window has room')
  link.thaw()
  await network.run(drained)
  await network.advance(10)
  t.same(
    received.map(Number),
    Array.from({ length: 100 }, (_, i) => i),
  )
  link.delay(400)
  const rtt = socket.ping()
  const answer = accepted.ping()
  t.same(await network.run(Promise.all([rtt, answer])), [405, 405], 'a delay is a freeze with an end')
  t.same(await network.run(socket.ping()), 10)
  t.throws(() => link.delay(-1), { code: 'WS_BAD_OPTION' })
})

t.test('a partition stops all links and all who connect, and heals', async t => {
  for (const whole of [true, false]) {
    const { network, server, socket, received } = await open({ conditions: { latencyMs: 5 } })
    network.listen('ws://other.test/', () => {})
    const parted = whole ? network : server
    parted.partition()
    const connecting = connect(FEED, network.connectOptions)
    void socket.send('late')
    const other = connect('ws://other.test/', network.connectOptions)
    await network.advance(5000)
    t.same([await isSettled(connecting), received], [false, []])
    t.equal(await isSettled(other), !whole, 'other servers have nothing to do with the partition of one')
    t.equal((await refusal(network, { connectTimeoutMs: 100 }))[0]['code'], 'WS_CONNECT_TIMEOUT')
    parted.heal()
    await network.run(Promise.all([connecting, other]))
    t.same(received, ['late'])
    t.equal(server.parted, false)
  }
})

t.test('an end of bytes that nobody sent is as one that was', async t => {
  const { network, link, socket, accepted } = await open({ conditions: { latencyMs: 5 } })
  link.end('to-client')
  t.match(await network.run(socket.closed), { wasClean: false, error: LOST })
  // The server has not ended; but what it writes goes nowhere.
  await network.run(accepted.closed)
  t.same(network.leaks(), [])
  const raw = new VirtualNetwork()
  let stream!: Duplex
  raw.listenRaw(FEED, one => {
    stream = one
  })
  const client = await raw.createConnection(parseTarget(FEED), new AbortController().signal)
  await raw.settle()
  const [rawLink] = raw.links
  rawLink.end('to-client')
  const errors: unknown[] = []
  stream.on('error', error => errors.push(error))
  stream.write('x', error => errors.push(error))
  await raw.settle()
  t.match(errors, [{ code: 'EPIPE' }, { code: 'EPIPE' }])
  t.equal(client.readableEnded, true)
  t.throws(() => rawLink.end('down' as never), { code: 'WS_BAD_OPTION' })
  t.throws(() => rawLink.resetAfter(-1, 'to-client'), { code: 'WS_BAD_OPTION' })
})

t.test('bytes that nobody sent arrive behind those that were', async t => {
  const { network, link, socket, accepted } = await open({ conditions: { latencyMs: 5 } })
  const heard: unknown[] = []
  socket.onMessage = ({ data }) => heard.push(data)
  void accepted.send('first')
  link.inject(new Uint8Array([0x81, 2, 0x68, 0x69]), 'to-client')
  await network.advance(5)
  t.same(heard, ['first', 'hi'])
  const taken = link.taken('to-client')
  link.inject('\xff', 'to-client')
  t.match((await network.run(socket.closed)).error, { name: 'ProtocolViolation' })
  t.ok(link.delivered('to-client') > taken - 10)
  await network.run(accepted.closed)
  t.same(network.leaks(), [])
})

t.test('a server that closes tells its clients 1001, and takes no more', async t => {
  const { network, server, socket } = await open({ conditions: { latencyMs: 5 } })
  const raw = network.listenRaw('ws://raw.test/', () => {})
  const rawClient = connect('ws://raw.test/', network.connectOptions)
  const half = network.createConnection(parseTarget(FEED), new AbortController().signal) as Promise<Duplex>
  const stranger = await network.run(half)
  await network.run(Promise.all([server.close(), raw[Symbol.asyncDispose](), failure(rawClient)]))
  t.match(await socket.closed, { wasClean: true, received: { code: 1001 } })
  t.match((await refusal(network))[0], REFUSED)
  stranger.resume()
  await network.advance(100)
  t.equal(stranger.readableEnded, true, 'who never finished the handshake has seen the end')
  stranger.destroy()
  await network.advance(5)
  t.same(network.leaks(), [])
  network.listen(FEED, () => {})
  await server.close()
  await network.run(connect(FEED, network.connectOptions))
})

interface Ends {
  readonly client: Duplex
  readonly server: Duplex
}

/** Notes what the ends of a connection come to see, in order. */
function watch(ends: Ends): () => string {
  const fates = Object.entries(ends).map(([name, stream]: [string, Duplex]) => {
    const fate: string[] = []
    for (const event of ['end', 'finish', 'close']) stream.on(event, () => fate.push(event))
    // The system may notice a reset while writing or while reading.
    stream.on('error', (error: NodeJS.ErrnoException) =>
      fate.push(error.code === 'EPIPE' ? 'ECONNRESET' : String(error.code)),
    )
    // Which of the two comes first is chance.
    return () =>
      `${name}: ${(fate.includes('end') && fate.includes('finish') ? fate.toSorted() : fate).join()}`
  })
  return () => fates.map(fate => fate()).join('; ')
}

t.test('ends meet the same fate as the ends of a TCP connection', async t => {
  const acts: Record<string, (ends: Ends) => unknown> = {
    'both end': ({ client, server }) => [client, server].map(end => end.resume().end()),
    'one ends': ({ client, server }) => (server.resume(), client.resume().end()),
    'one ends, and the other does not read': ({ client }) => client.resume().end(),
    'bytes and an end, and the other does not read': ({ client }) => client.resume().end('x'),
    'one is destroyed, and the other does not read': ({ client }) => client.destroy(),
    'bytes, and neither reads': ({ client, server }) => {
      client.write('x')
      setImmediate(() => server.destroy())
    },
    'one is destroyed, the other ends too': ({ client, server }) => {
      server.resume().on('end', () => server.end())
      client.destroy()
    },
    'one is destroyed and the other writes': ({ client, server }) => {
      server.resume().on('end', () => {
        server.write('too late')
        setImmediate(() => server.write('much too late'))
      })
      client.destroy()
    },
    'one is destroyed with an error': ({ client, server }) => {
      server.resume().on('end', () => server.end())
      client.destroy(Object.assign(new Error('own'), { code: 'OWN' }))
    },
    'bytes and an end': ({ client, server }) => {
      server.resume().on('end', () => server.end('answer'))
      client.resume().end('question')
    },
    // Node says of a write that was under way that it was done, whatever the network has taken of it.
    'destroyed in the middle of a write': ({ client }) => {
      client.write(Buffer.alloc(50_000_000), error => {
        client.emit('error', Object.assign(new Error(), { code: error ? 'failed' : 'written' }))
      })
      client.destroy()
    },
  }
  for (const [name, act] of Object.entries(acts)) {
    const network = new VirtualNetwork()
    let server!: Duplex
    network.listenRaw(FEED, stream => {
      server = stream
    })
    const end = await network.createConnection(parseTarget(FEED), new AbortController().signal)
    await network.settle()
    const virtual = watch({ client: end, server })
    act({ client: end, server })
    await network.settle()

    const netServer = createNetServer({ allowHalfOpen: true })
    const port = await serve(t, netServer)
    const accepted = new Promise<NetSocket>(resolve => netServer.once('connection', resolve))
    const client = netConnect({ port, host: '127.0.0.1', allowHalfOpen: true })
    await once(client, 'connect')
    const tcp = { client, server: await accepted }
    const real = watch(tcp)
    act(tcp)
    for (let turns = 0; turns < 20_000 && real() !== virtual(); turns++) await turn()
    t.equal(virtual(), real(), name)
    client.destroy()
  }
})

t.test('a server of another kind can be put on the network', async t => {
  const network = new VirtualNetwork({ conditions: { latencyMs: 3 } })
  const http = createServer((_request, response) => response.end('hello'))
  const acceptor = attach(http as EventEmitter, { clock: network.clock }, socket => {
    socket.onMessage = ({ data }) => void socket.send(`${String(data)}!`)
  })
  network.listenRaw(FEED, stream => http.emit('connection', stream))
  const socket = await network.run(connect(FEED, network.connectOptions))
  const answer = new Promise(resolve => {
    socket.onMessage = ({ data }) => resolve(data)
  })
  void socket.send('hello')
  t.equal(await network.run(answer), 'hello!')
  await network.run(acceptor.close())
  http.closeAllConnections()
  await network.close()
})

t.test('a thousand clients come back after their server was away', async t => {
  const network = new VirtualNetwork({ seed: 'storm', conditions: { latencyMs: [5, 50] } })
  const server = network.listen(FEED, () => {})
  const codes = new Set<string>()
  const state = { stopped: false }
  const pause = (ms: number): Promise<void> => new Promise(resolve => network.clock.setTimeout(resolve, ms))
  const client = async (): Promise<void> => {
    for (let delayMs = 1000; !state.stopped; delayMs = Math.min(delayMs * 2, 10_000)) {
      try {
        const socket = await connect(FEED, network.connectOptions)
        delayMs = 500
        await socket.closed
      } catch (error) {
        codes.add((error as { code: string }).code)
      }
      await pause(delayMs * (0.5 + network.random()))
    }
  }
  const clients = Array.from({ length: 1000 }, client)
  await network.runUntil(() => server.sockets.size === 1000)
  server.down()
  await network.advance(10_000)
  t.equal(server.sockets.size, 0)
  server.up()
  await network.runUntil(() => server.sockets.size === 1000)
  const busiest = new Map<number, number>()
  for (const { atMs } of server.attempts.slice(1000)) {
    const second = Math.floor(atMs / 1000)
    busiest.set(second, (busiest.get(second) ?? 0) + 1)
  }
  t.same([...codes].toSorted(), ['WS_CONNECT_FAILED', 'WS_HANDSHAKE_ENDED'])
  t.ok(Math.max(...busiest.values()) < 5000, 'spread over the seconds')
  state.stopped = true
  await network.run(Promise.all([server.close(), ...clients]))
  t.same(network.leaks(), [])
})
