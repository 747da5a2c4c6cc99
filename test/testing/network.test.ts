// Strategy: the laws of a network without faults. Whatever its links are like, both ends get what the other wrote, in order
// and whole; what was taken is what was delivered; and a run can be repeated to the last byte.
import fc from 'fast-check'
import type { Duplex } from 'node:stream'
import t from 'tap'
import { connect, parseTarget, type Socket, UsageError } from '../../src/index.js'
import {
  type LinkConditions,
  type NetworkEvent,
  StalledError,
  VirtualClock,
  VirtualNetwork,
} from '../../src/testing/index.js'
import * as testing from '../../src/testing/index.js'
import { isSettled } from '../support/raw-peer.js'
import { failure, leavesNothing } from '../support/servers.js'

const FEED = 'ws://feed.test/'

const range = (from: number, to: number): fc.Arbitrary<number | readonly [number, number]> =>
  fc.oneof(
    fc.integer({ min: from, max: to }),
    fc
      .tuple(fc.integer({ min: from, max: to }), fc.integer({ min: from, max: to }))
      .map(([a, b]) => [Math.min(a, b), Math.max(a, b)] as const),
  )

/** Any link that still gets somewhere. */
const anyConditions: fc.Arbitrary<LinkConditions> = fc.record(
  {
    latencyMs: range(0, 200),
    bytesPerSecond: range(1000, 1_000_000),
    segmentBytes: range(1, 2000),
    windowBytes: fc.integer({ min: 1, max: 5000 }),
  },
  { requiredKeys: [] },
)

/** Bytes that tell where they belong. */
const pattern = (from: number, length: number): Buffer =>
  Buffer.from(Uint8Array.from({ length }, (_, i) => (from + i) * 31))

/** A client's raw stream to a raw server. */
async function rawPair(network: VirtualNetwork): Promise<{ client: Duplex; server: Duplex }> {
  let server!: Duplex
  network.listenRaw(FEED, stream => {
    server = stream
  })
  const connecting = network.createConnection(parseTarget(FEED), new AbortController().signal)
  const client = await network.run(Promise.resolve(connecting))
  await network.runUntil(() => server !== undefined)
  return { client, server }
}

t.test('both ends get what the other wrote, in order and whole, whatever the link is like', async t => {
  const writes = fc.array(fc.integer({ min: 0, max: 3000 }), { maxLength: 12 })
  await fc.assert(
    fc.asyncProperty(fc.integer(), anyConditions, writes, writes, async (seed, conditions, there, back) => {
      const network = new VirtualNetwork({ seed, conditions })
      const { client, server } = await rawPair(network)
      const [link] = network.links
      const ends: [Duplex, readonly number[], Duplex][] = [
        [client, there, server],
        [server, back, client],
      ]
      const tapped = { 'to-client': 0, 'to-server': 0 }
      link.onDelivered = (bytes, direction) => void (tapped[direction] += bytes.length)
      const seen = ends.map(([writer, sizes, reader]) => {
        const chunks: Buffer[] = []
        reader.on('data', (chunk: Buffer) => {
          chunks.push(Buffer.from(chunk))
          // What a reader gets is its own.
          chunk.fill(0)
        })
        let at = 0
        let called = 0
        for (const size of sizes) {
          const bytes = pattern(at, size)
          at += size
          // And what was taken may be used again.
          writer.write(bytes, () => {
            called++
            bytes.fill(0xff)
          })
        }
        writer.end()
        return () => [Buffer.concat(chunks).equals(pattern(0, at)), called === sizes.length]
      })
      await network.runUntil(() => client.destroyed && server.destroyed)
      t.same(
        seen.map(check => check()),
        [
          [true, true],
          [true, true],
        ],
      )
      const sums = [there, back].map(sizes => sizes.reduce((sum, size) => sum + size, 0))
      for (const count of [link.taken.bind(link), link.delivered.bind(link)])
        t.same([count('to-server'), count('to-client')], sums)
      t.same([tapped['to-server'], tapped['to-client']], sums)
      t.same(network.leaks(), [])
    }),
    { numRuns: 50 },
  )
})

/** A conversation over some links, with chances and faults, as everything that happened. */
async function story(seed: number | string): Promise<string[]> {
  const log: unknown[] = []
  const network = new VirtualNetwork({
    seed,
    conditions: {
      latencyMs: [1, 40],
      segmentBytes: [1, 60],
      bytesPerSecond: [5000, 90_000],
      windowBytes: 200,
    },
  })
  network.onEvent = event => log.push(event)
  const server = network.listen(FEED, (socket, request, link) => {
    log.push(request.head.target)
    link.onDelivered = (bytes, direction) => {
      // But for the request's nonce and its answer, every byte.
      if (link.delivered(direction) > 150) log.push(Buffer.from(bytes).toString('hex'))
    }
    socket.onMessage = ({ data }) => void socket.send(`${String(data)}${network.random()}`)
  })
  for (let client = 0; client < 5; client++) {
    void (async () => {
      for (let attempt = 0; attempt < 3; attempt++) {
        try {
          const socket = await connect(`${FEED}${client}`, network.connectOptions)
          if (network.random() < 0.5) server.link.resetAfter(300 + network.random() * 200, 'to-client')
          socket.onMessage = ({ data }) => log.push(data)
          for (let i = 0; i < 20; i++) await socket.send(`message ${i}`)
          await socket.close()
        } catch (error) {
          log.push([network.clock.now(), String(error)])
        }
      }
    })()
  }
  await network.advance(500)
  server.down()
  await network.advance(20)
  server.up()
  await network.advance(10_000)
  await network.run(server.close())
  t.same(network.leaks(), [])
  return log.map(entry => JSON.stringify(entry))
}

t.test('the same seed gives the same run, bit for bit', async t => {
  const [first, second, other] = [await story('storm'), await story('storm'), await story('calm')]
  t.ok(first.length > 500, `${first.length} events`)
  t.equal(first.join('\n'), second.join('\n'))
  t.not(first.join('\n'), other.join('\n'))
  for (const type of ['connect', 'open', 'refused', 'taken', 'delivered', 'end', 'reset', 'closed'])
    t.match(first.join('\n'), `"type":"${type}"`)
})

/** What happens on a network when a test asks for so many numbers. */
async function runWith(numbers: number): Promise<NetworkEvent[]> {
  const events: NetworkEvent[] = []
  const network = new VirtualNetwork({ conditions: { latencyMs: [1, 100], segmentBytes: [1, 20] } })
  network.onEvent = event => events.push(event)
  network.listen(FEED, () => {})
  for (let i = 0; i < numbers; i++) network.random()
  await network.run(connect(FEED, network.connectOptions))
  return events
}

t.test('a test that asks for one number more does not change its links', async t => {
  t.same(await runWith(0), await runWith(1))
  t.equal(new VirtualNetwork().random(), new VirtualNetwork({ seed: 0 }).random(), 'the default seed is 0')
  t.not(new VirtualNetwork({ seed: '0' }).random(), new VirtualNetwork({ seed: 0 }).random())
})

t.test('nothing is opened and no real timer is set', async t => {
  await leavesNothing(t, async () => {
    const network = new VirtualNetwork({ conditions: { latencyMs: 5 } })
    network.listen(FEED, () => {})
    const socket = await network.run(connect(FEED, network.connectOptions))
    t.same(
      process.getActiveResourcesInfo().filter(name => /timeout|tcp/i.test(name)),
      [],
    )
    await network.run(socket.close())
  })
})

/** When a connection is open, and how long a ping takes. */
async function times(conditions: LinkConditions): Promise<number[]> {
  const network = new VirtualNetwork({ conditions })
  const server = network.listen(FEED, socket => {
    socket.onMessage = ({ data }) => void socket.send(data)
  })
  const socket = await network.run(connect(FEED, network.connectOptions))
  const opened = network.clock.now()
  const rtt = await network.run(socket.ping())
  await network.run(server.close())
  return [opened, rtt]
}

t.test('time passes for what has a latency, and for nothing else', async t => {
  t.same(await times({}), [0, 0])
  t.same(await times({ latencyMs: 10 }), [40, 20], 'a round trip to connect, one for the handshake')
  const [opened, rtt] = await times({ bytesPerSecond: 1000 })
  t.ok(opened > 300 && opened < 500, `${opened} ms for about 420 bytes`)
  // A masked ping with 8 bytes or less, and its pong.
  t.ok(rtt > 4 && rtt < 40, `${rtt} ms`)
})

t.test(
  'conditions of a server are laid over those of the network, and those of a link over both',
  async t => {
    const network = new VirtualNetwork({ conditions: { latencyMs: 10, segmentBytes: 100 } })
    const server = network.listen(FEED, () => {}, { conditions: { latencyMs: 1 } })
    network.listen('ws://other.test/', () => {})
    const socket = await network.run(connect(FEED, network.connectOptions))
    t.equal(network.clock.now(), 4)
    server.link.change({ latencyMs: 50 }, 'to-client')
    t.equal(await network.run(socket.ping()), 51)
    server.link.change({ latencyMs: 7 })
    t.equal(await network.run(socket.ping()), 14)
    const before = network.clock.now()
    await network.run(connect('ws://other.test/', network.connectOptions))
    t.equal(network.clock.now() - before, 40)
  },
)

t.test('bytes arrive in segments, and what is written in one tick is joined', async t => {
  const network = new VirtualNetwork()
  const { client, server } = await rawPair(network)
  const sizes: number[] = []
  server.on('data', (chunk: Buffer) => sizes.push(chunk.length))
  client.write('ab')
  client.write('cde')
  await network.settle()
  t.same(sizes.splice(0), [5])
  const [link] = network.links
  link.change({ segmentBytes: 2 })
  client.write('abcde')
  await network.settle()
  t.same(sizes.splice(0), [2, 2, 1])
})

t.test('a peer that does not read makes the writer wait', async t => {
  const network = new VirtualNetwork({ conditions: { windowBytes: 1000 } })
  const { client, server } = await rawPair(network)
  const [link] = network.links
  const called: string[] = []
  const total = 100_000
  client.write(Buffer.alloc(total), () => called.push('large'))
  client.write('x', () => called.push('small'))
  await network.advance(60_000)
  t.same(called, [])
  // As much as the reader's stream holds without being read, and the window.
  const taken = link.taken('to-server')
  t.ok(taken < 20_000 + 1000, `${taken} bytes`)
  t.equal(taken - server.readableLength, 1000)
  t.equal(client.writableLength, total + 1)
  server.read(500)
  await network.settle()
  t.ok(link.taken('to-server') > taken, 'who reads lets it go on')
  server.resume()
  await network.settle()
  t.same(called, ['large', 'small'])
  t.equal(link.taken('to-server'), total + 1)
  t.equal(link.delivered('to-server'), total + 1)
})

t.test('a socket that is paused holds up the sends of the other', async t => {
  const network = new VirtualNetwork()
  let reader!: Socket
  network.listen(FEED, socket => {
    reader = socket
    socket.onMessage = () => {}
    socket.pause()
  })
  const socket = await network.run(connect(FEED, network.connectOptions))
  const data = new Uint8Array(300_000)
  const sent = socket.send(data).then(() => socket.send(data))
  const drained = sent.then(() => socket.drained())
  await network.advance(60_000)
  t.equal(await isSettled(drained), false)
  t.ok(socket.bufferedAmount > 100_000)
  reader.resume()
  await network.run(drained)
  t.equal(socket.bufferedAmount, 0)
})

t.test('run() moves the time until a promise settles, and hands on what it settles with', async t => {
  const network = new VirtualNetwork()
  const { clock } = network
  const after = (ms: number): Promise<number> =>
    new Promise(resolve => clock.setTimeout(() => resolve(ms), ms))
  t.equal(await network.run(after(1000)), 1000)
  t.equal(clock.now(), 1000)
  t.same(await network.run(Promise.all([after(20), after(10)])), [20, 10])
  t.equal((await failure(network.run(after(5).then(() => Promise.reject(new Error('no')))))).message, 'no')
  t.equal(await network.run(Promise.resolve(1)), 1)
  t.equal(clock.now(), 1025)
})

t.test('advance() fires each timer at its own time, and lets everything follow before the next', async t => {
  const network = new VirtualNetwork()
  const { clock } = network
  const log: string[] = []
  const note = (what: string): void => void log.push(`${what} at ${clock.now()}`)
  clock.setTimeout(() => {
    note('first')
    void (async () => {
      for (let i = 0; i < 50; i++) await Promise.resolve()
      await new Promise<void>(resolve => process.nextTick(resolve))
      await new Promise<void>(resolve => setImmediate(resolve))
      note('what follows')
      clock.setTimeout(() => note('what it set'), 3)
    })()
  }, 10)
  clock.setTimeout(() => note('second'), 10)
  clock.setTimeout(() => note('third'), 15)
  clock.setTimeout(() => note('late'), 21)
  await network.advance(20)
  t.same(log, ['first at 10', 'what follows at 10', 'second at 10', 'what it set at 13', 'third at 15'])
  t.equal(clock.now(), 20)
})

t.test('who waits for what never comes is told so, with the seed and what is left', async t => {
  const network = new VirtualNetwork({ seed: 'mine' })
  const nothing = await failure(network.run(new Promise(() => {}), { what: 'Godot' }))
  t.ok(nothing instanceof StalledError)
  t.match(nothing, {
    code: 'WS_TEST_STALLED',
    message: /still waiting for Godot: no timer is set; seed "mine", 0 ms/,
  })
  network.clock.setTimeout(() => {}, 5000)
  const late = await failure(network.runUntil(() => network.clock.now() > 7000, { limitMs: 1000 }))
  t.match(
    late.message,
    /network\.clock\.now\(\) > 7(?:000|e3): nothing more happens within 1000 ms.*due in 5000 ms/,
  )
  t.equal(network.clock.now(), 0, 'and no time has passed')
  const ticking = (): void => void network.clock.setTimeout(ticking, 100)
  ticking()
  t.match(await failure(network.runUntil(() => false, { limitMs: 1000 })), { code: 'WS_TEST_STALLED' })
  t.equal(network.clock.now(), 1000)
})

t.test(
  'two ends that answer each other for ever without latency are told so, and stop the process from nothing',
  async t => {
    const network = new VirtualNetwork()
    const { client, server } = await rawPair(network)
    client.on('data', bytes => client.write(bytes))
    server.on('data', bytes => server.write(bytes))
    client.write('x')
    t.match(await failure(network.settle()), { code: 'WS_TEST_STALLED', message: /without latency/ })
    await network.close()
  },
)

t.test('only one at a time moves the time', async t => {
  const network = new VirtualNetwork()
  const moving = network.advance(10)
  for (const second of [
    network.advance(1),
    network.settle(),
    network.runUntil(() => true),
    network.run(moving),
  ])
    t.match(await failure(second), { code: 'WS_BAD_SEQUENCE' })
  await moving
  await network.advance(1)
  t.equal(network.clock.now(), 11)
  t.match(await failure(network.advance(-1)), { code: 'WS_BAD_OPTION' })
  await network.settle()
})

t.test('what a timer throws comes out of advance(), which works afterwards', async t => {
  const network = new VirtualNetwork()
  network.clock.setTimeout(() => {
    throw new Error('boom')
  }, 5)
  t.equal((await failure(network.advance(10))).message, 'boom')
  t.equal(network.clock.now(), 5)
  await network.advance(1)
})

t.test('two networks may share a clock', async t => {
  const clock = new VirtualClock()
  const one = new VirtualNetwork({ clock, conditions: { latencyMs: 10 } })
  const two = new VirtualNetwork({ clock, conditions: { latencyMs: 10 } })
  one.listen(FEED, () => {})
  two.listen(FEED, () => {})
  const socket = connect(FEED, two.connectOptions)
  await one.run(Promise.all([connect(FEED, one.connectOptions), socket]))
  t.equal(clock.now(), 40)
})

t.test('leaks() tells links, connections under way and timers', async t => {
  const network = new VirtualNetwork({ conditions: { latencyMs: 1 } })
  const server = network.listen(FEED, () => {})
  t.same(network.leaks(), [], 'a server is none')
  const socket = await network.run(connect(FEED, network.connectOptions))
  t.same(network.leaks(), ['link 1 to feed.test:80 is open at its client and its server end'])
  server.hang()
  const controller = new AbortController()
  const hanging = connect(FEED, { ...network.connectOptions, signal: controller.signal })
  await network.advance(10)
  network.clock.setTimeout(() => {}, 90)
  t.same(network.leaks(), [
    'link 1 to feed.test:80 is open at its client and its server end',
    'a connection to feed.test:80 is being made since 4 ms',
    'a timer is due in 90 ms',
    'a timer is due in 9990 ms',
  ])
  controller.abort()
  t.match(await failure(hanging), { name: 'AbortError' })
  server.link.freeze()
  socket.terminate()
  await network.settle()
  t.same(network.leaks(), ['link 1 to feed.test:80 is frozen at its server end', 'a timer is due in 90 ms'])
  await network.close()
  t.same(network.leaks(), ['a timer is due in 90 ms'], 'whose owner must see to it')
})

t.test('close() ends everything, and everybody who connects afterwards is refused', async t => {
  const network = new VirtualNetwork()
  const raw = network.listenRaw('ws://raw.test/', () => {})
  const server = network.listen(FEED, () => {})
  const socket = await network.run(connect(FEED, network.connectOptions))
  const connecting = failure(connect('ws://raw.test/', network.connectOptions))
  await network.settle()
  raw.hang()
  const hanging = failure(connect('ws://raw.test/', network.connectOptions))
  await network.settle()
  await network[Symbol.asyncDispose]()
  t.equal((await connecting).code, 'WS_HANDSHAKE_ENDED')
  t.match(await hanging, { code: 'WS_CONNECT_FAILED', cause: { code: 'ECONNREFUSED' } })
  t.match(await socket.closed, { wasClean: false, error: { code: 'WS_CONNECTION_LOST', cause: undefined } })
  t.equal(server.sockets.size, 0)
  server.partition()
  t.equal((await failure(connect(FEED, network.connectOptions))).code, 'WS_CONNECT_FAILED')
  t.same(network.leaks(), [])
})

t.test('what makes no sense is refused', t => {
  const network = new VirtualNetwork()
  const wrong: (() => unknown)[] = [
    () => new VirtualNetwork({ conditions: { latencyMs: -1 } }),
    () => new VirtualNetwork({ conditions: { latencyMs: Infinity } }),
    () => new VirtualNetwork({ conditions: { latencyMs: [5, 1] } }),
    () => new VirtualNetwork({ conditions: { segmentBytes: 0 } }),
    () => new VirtualNetwork({ conditions: { bytesPerSecond: Number.NaN } }),
    () => new VirtualNetwork({ conditions: { windowBytes: [1, 2] as never } }),
    () => new VirtualNetwork({ conditions: { latency: 5 } as never }),
    () => network.listen('ftp://feed.test/', () => {}),
    () => network.listen('wss://feed.test/', () => {}),
    () => network.listen(FEED, () => {}, { subprotocol: 'x' } as never),
    () => network.listen(FEED, undefined as never),
    () => network.listenRaw(FEED, undefined as never),
  ]
  for (const call of wrong) t.throws(call, UsageError, String(call))
  network.listen(FEED, () => {})
  t.throws(() => network.listenRaw('ws://feed.test:80/other', () => {}), {
    message: /listens at feed.test:80 already/,
  })
  t.end()
})

t.test('the entry exports these names and no others', t => {
  t.same(Object.keys(testing).toSorted(), ['NetworkError', 'StalledError', 'VirtualClock', 'VirtualNetwork'])
  t.end()
})
