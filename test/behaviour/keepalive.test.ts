// Rule 4 of the behaviour contract: pings find out whether a connection still lives, and a connection that does not is closed and
// told like any other loss. All in virtual time.
import t, { type Test } from 'tap'
import { type Clock, type KeepaliveOptions, type Process, start, type StartOptions } from '../../src/index.js'
import { buildFrame, type Frame, PING } from '../support/frames.js'
import { PEER, pingsSeen, Scene } from '../support/scene.js'
import { failure, withResolvers } from '../support/servers.js'

type Keepalive = KeepaliveOptions | number | false

/** The pings a server has got. */
const pingsOf = (frames: readonly Frame[]): Frame[] => frames.filter(({ opcode }) => opcode === PING)

t.test('by default a ping goes out every 20 s; a number is the interval, and false is none', async t => {
  const cases: readonly (readonly [Keepalive | undefined, readonly number[]])[] = [
    [undefined, [20_000, 40_000, 60_000]],
    [{}, [20_000, 40_000, 60_000]],
    [{ timeoutMs: 100 }, [20_000, 40_000, 60_000]],
    [25_000, [25_000, 50_000]],
    [{ intervalMs: 25_000 }, [25_000, 50_000]],
    [{ intervalMs: 10_000, timeoutMs: 60_000 }, [10_000, 20_000, 30_000, 40_000, 50_000, 60_000]],
    [false, []],
    [Infinity, []],
    [{ intervalMs: Infinity }, []],
  ]
  for (const [keepalive, expected] of cases) {
    const scene = new Scene(t)
    const process = await scene.start({ keepalive })
    const { pings, misses } = pingsSeen(process)
    if (expected.length === 0) t.equal(scene.network.clock.pending, 0, 'there is no timer at all')
    await scene.network.advance(60_000)
    t.same(pings, expected, JSON.stringify(keepalive))
    t.equal(pingsOf(scene.framesOf(0)).length, expected.length)
    await scene.network.advance(3_600_000)
    t.equal(process.phase, 'open', 'and the connection lives as long as they are answered')
    t.same(misses, [])
    await scene.over(process)
  }
})

t.test(
  'a half-open link is found after interval and timeout, closed, and told as keepalive-timeout',
  async t => {
    const cases: readonly (readonly [Keepalive | undefined, number, number])[] = [
      [undefined, 40_000, 20_000],
      [5000, 25_000, 20_000],
      [{ timeoutMs: 3000 }, 23_000, 3000],
      [{ intervalMs: 1000, timeoutMs: 500 }, 1500, 500],
    ]
    for (const [keepalive, diesAt, limitMs] of cases) {
      const scene = new Scene(t)
      const process = await scene.start({ keepalive })
      const { link } = scene.server
      link.freeze()
      await scene.network.advance(diesAt - 1)
      t.equal(process.phase, 'open')
      await scene.network.advance(1)
      const reason = await scene.network.run(process.ended)
      t.equal(scene.network.clock.now(), diesAt, JSON.stringify(keepalive))
      t.equal(link.clientEnd.destroyed, true, 'the socket is closed')
      const [status] = scene.statuses
      t.equal(scene.statuses.length, 1)
      t.same(status.reason, { type: 'keepalive-timeout', normal: false, code: null, text: '' })
      t.match(status, { phase: 'open', wasClean: false, attempt: 1, target: PEER, unsent: [] })
      t.same([status.sent, status.received, status.httpResponse], [null, null, null])
      t.match(status.error, { name: 'ConnectionError', code: 'WS_KEEPALIVE_TIMEOUT', phase: 'open' })
      t.match(status.error?.message, `peer.test:80 did not answer the keepalive pings (${limitMs} ms)`)
      t.match(reason, { type: 'keepalive-timeout', normal: false, error: status.error })
      await scene.cut()
      scene.empty()
    }
  },
)

t.test(
  'a connection that was given up is followed by another, and what it still brings goes nowhere',
  async t => {
    const scene = new Scene(t)
    const got: unknown[] = []
    const process = await scene.start({ reconnect: { jitter: 'none' } }, () => {}, PEER, {
      handleFrame: ({ data }) => void got.push(data),
    })
    const old = scene.server.link
    await scene.network.advance(10_000)
    old.freeze()
    scene.sockets[0].write('from the dead')
    await scene.opens(2)
    t.same(scene.times, [0, 41_000])
    t.match(scene.statuses, [{ reason: { type: 'keepalive-timeout' } }])
    scene.sockets[1].write('alive')
    await scene.network.settle()
    old.thaw()
    await scene.network.advance(100_000)
    t.same(got, ['alive'])
    t.equal(process.phase, 'open')
    t.equal(old.open, false, 'the peer has heard of it')
    await scene.over(process)
  },
)

t.test('options that make no sense are refused', async t => {
  const bad: readonly (readonly [unknown, string])[] = [
    [{ interval: 1 }, 'WS_BAD_OPTION'],
    [0, 'WS_BAD_OPTION'],
    [-1, 'WS_BAD_OPTION'],
    [Number.NaN, 'WS_BAD_OPTION'],
    [{ intervalMs: 0 }, 'WS_BAD_OPTION'],
    [{ timeoutMs: 0 }, 'WS_BAD_OPTION'],
    [{ timeoutMs: '1' }, 'WS_BAD_OPTION'],
    [{ maxMissed: 0 }, 'WS_BAD_OPTION'],
    [{ maxMissed: Number.NaN }, 'WS_BAD_OPTION'],
    [{ payload: 'x'.repeat(126) }, 'WS_CONTROL_PAYLOAD'],
    [{ payload: '€'.repeat(42) }, 'WS_CONTROL_PAYLOAD'],
    [{ payload: new Uint8Array(126) }, 'WS_CONTROL_PAYLOAD'],
    ['20s', 'WS_BAD_OPTION'],
    [null, 'WS_BAD_OPTION'],
  ]
  const scene = new Scene(t)
  const process = await scene.start()
  for (const [keepalive, code] of bad) {
    const options = { keepalive } as StartOptions
    t.match(await failure(start(PEER, {}, options)), { name: 'UsageError', code }, JSON.stringify(keepalive))
    t.throws(() => process.setKeepalive(keepalive as Keepalive), { name: 'UsageError', code })
  }
  const pings = pingsSeen(process)
  await scene.network.advance(20_000)
  t.equal(pings.pings.length, 1, 'and change nothing')
  await scene.over(process)
})

t.test('maxMissed is how many misses in a row end a connection', async t => {
  const cases: readonly (readonly [KeepaliveOptions, readonly number[], readonly number[][]])[] = [
    [{ timeoutMs: 4000 }, [10], [[14, 1]]],
    [
      { timeoutMs: 4000, maxMissed: 2 },
      [10, 20],
      [
        [14, 1],
        [24, 2],
      ],
    ],
    [
      { timeoutMs: 4000, maxMissed: 3 },
      [10, 20, 30],
      [
        [14, 1],
        [24, 2],
        [34, 3],
      ],
    ],
    // A deadline longer than the interval: the next ping does not wait.
    [
      { timeoutMs: 15_000, maxMissed: 2 },
      [10, 25],
      [
        [25, 1],
        [40, 2],
      ],
    ],
  ]
  for (const [options, pings, misses] of cases) {
    const scene = new Scene(t)
    const process = await scene.start({ keepalive: { intervalMs: 10_000, ...options } })
    const seen = pingsSeen(process)
    scene.server.link.freeze()
    await scene.network.run(process.ended)
    t.same(
      seen.pings.map(at => at / 1000),
      pings,
    )
    t.same(
      seen.misses.map(([at, count]) => [at / 1000, count]),
      misses,
    )
    t.equal(scene.network.clock.now() / 1000, misses.at(-1)![0])
    await scene.cut()
    scene.empty()
  }
})

t.test('a sign of life forgives the misses before it', async t => {
  const scene = new Scene(t)
  const process = await scene.start({ keepalive: { intervalMs: 10_000, timeoutMs: 4000, maxMissed: 2 } })
  const seen = pingsSeen(process)
  for (let round = 0; round < 5; round++) {
    // One miss, at 14 s of each round, then the pong that was kept back, and one ping that is answered.
    scene.server.link.freeze()
    await scene.network.advance(15_000)
    scene.server.link.thaw()
    await scene.network.advance(5000)
  }
  t.same(
    seen.misses.map(([at, count]) => [at / 1000, count]),
    [14, 34, 54, 74, 94].map(at => [at, 1]),
  )
  t.equal(process.phase, 'open')
  await scene.over(process)
})

/** A server that answers no ping, and does what a test wants every few seconds. */
async function deaf(
  t: Test,
  keepalive: KeepaliveOptions,
  everyMs: number,
  say: (scene: Scene) => void,
): Promise<{ scene: Scene; process: Process<undefined, string, string, string> }> {
  const scene = new Scene(t)
  const process = await scene.start({ keepalive, maxBufferedBytes: Infinity })
  // Nothing of the client gets there, so no pong comes back.
  scene.server.link.change({ latencyMs: 1e9 }, 'to-server')
  const again = (): void => {
    if (scene.server.links.size === 0 || process.phase !== 'open') return
    say(scene)
    scene.network.clock.setTimeout(again, everyMs)
  }
  again()
  return { scene, process }
}

t.test('any byte is a sign of life, unless countAnyData is false', async t => {
  const header = buildFrame({ opcode: 2, declared: 1000n })
  const signs: readonly (readonly [string, (scene: Scene) => void])[] = [
    ['messages', ({ sockets }) => void sockets[0].write('tick')],
    ['pings of the peer', ({ sockets }) => void sockets[0].ping().catch(() => {})],
    ['pongs that nobody asked for', ({ sockets }) => sockets[0].pong()],
    // The header first, then a byte at a time.
    [
      'parts of a message',
      ({ server, network }) => server.link.inject(network.clock.now() === 0 ? header : 'x', 'to-client'),
    ],
  ]
  for (const [text, say] of signs) {
    for (const countAnyData of [undefined, true, false]) {
      const { scene, process } = await deaf(t, { countAnyData }, 15_000, say)
      await scene.network.advance(600_000)
      t.equal(process.phase, countAnyData === false ? 'ended' : 'open', `${text} ${countAnyData}`)
      if (countAnyData === false) t.match(scene.statuses, [{ reason: { type: 'keepalive-timeout' } }])
      await scene.network.run(process.stop(undefined, { timeoutMs: 0 }))
      await scene.cut()
    }
  }
})

t.test('what came before a ping is no answer to it', async t => {
  const scene = new Scene(t)
  const process = await scene.start({ keepalive: { intervalMs: 10_000, timeoutMs: 5000 } })
  await scene.network.advance(9999)
  scene.sockets[0].write('tick')
  await scene.network.settle()
  scene.server.link.freeze()
  await scene.network.run(process.ended)
  t.equal(scene.network.clock.now(), 15_000)
  await scene.cut()
  scene.empty()
})

t.test(
  'a pong that comes after its deadline counts as any byte does, but not as the pong of a later ping',
  async t => {
    for (const countAnyData of [true, false]) {
      const scene = new Scene(t)
      const process = await scene.start({ keepalive: { countAnyData, maxMissed: 2 } })
      const { misses } = pingsSeen(process)
      // There and back in 30 s: the answer to the ping of 20 s comes at 50 s, when that of 40 s is out.
      scene.server.link.change({ latencyMs: 15_000 })
      await scene.network.advance(60_000)
      t.equal(process.phase, countAnyData ? 'open' : 'ended')
      t.same(
        misses.map(([at]) => at / 1000),
        countAnyData ? [40] : [40, 60],
      )
      await scene.network.run(process.stop(undefined, { timeoutMs: 0 }))
      await scene.cut()
    }
  },
)

t.test('a pong is enough where only pongs count', async t => {
  const scene = new Scene(t)
  const process = await scene.start({ keepalive: { countAnyData: false } })
  scene.server.link.change({ latencyMs: 9000 })
  await scene.network.advance(3_600_000)
  t.equal(process.phase, 'open')
  t.equal(process.rttMs, 18_000)
  await scene.network.run(process.stop(undefined, { timeoutMs: 0 }))
  await scene.cut()
  scene.empty()
})

t.test('a pong behind a large message is waited for as long as the message comes on', async t => {
  for (const countAnyData of [true, false]) {
    const scene = new Scene(t)
    const got: number[] = []
    const process = await scene.start({ keepalive: { countAnyData } }, () => {}, PEER, {
      handleFrame: ({ data }) => void got.push(data.length),
    })
    scene.server.link.change({ bytesPerSecond: 10_000 }, 'to-client')
    // It takes 100 s.
    scene.sockets[0].write(new Uint8Array(1_000_000))
    await scene.network.advance(200_000)
    t.same(got, countAnyData ? [1_000_000] : [])
    t.equal(process.phase, countAnyData ? 'open' : 'ended')
    await scene.network.run(process.stop(undefined, { timeoutMs: 0 }))
    await scene.cut()
  }
})

t.test('a slow callback is no miss, whether its inbox is full or not', async t => {
  for (const messages of [1, 5, 100]) {
    const scene = new Scene(t)
    const { promise, resolve } = withResolvers<void>()
    let got = 0
    const process = await scene.start({ keepalive: { countAnyData: false } }, () => {}, PEER, {
      handleFrame: async () => {
        got++
        await promise
      },
    })
    const seen = pingsSeen(process)
    for (let i = 0; i < messages; i++) scene.sockets[0].write(`message ${i}`)
    await scene.network.advance(600_000)
    t.same([process.phase, got, seen.misses], ['open', 1, []], `${messages} messages`)
    resolve()
    await scene.network.advance(60_000)
    t.same([process.phase, got, seen.misses], ['open', messages, []])
    t.equal(process.rttMs === null, false)
    await scene.over(process)
  }
})

t.test(
  'a process without credits is no miss either, but a link that dies meanwhile is found afterwards',
  async t => {
    const scene = new Scene(t)
    const process = await scene.start(
      { flow: 1, keepalive: { intervalMs: 5000, timeoutMs: 5000 } },
      () => {},
      PEER,
      {
        handleFrame: () => {},
      },
    )
    for (let i = 0; i < 50; i++) scene.sockets[0].write('message')
    await scene.network.advance(60_000)
    t.equal(process.phase, 'open')
    scene.server.link.freeze()
    await scene.network.advance(60_000)
    t.equal(process.phase, 'open', 'nobody looks, so nobody knows')
    process.updateFlow(Infinity)
    await scene.network.advance(20_000)
    t.match(scene.statuses, [{ reason: { type: 'keepalive-timeout' } }])
    t.equal(process.phase, 'ended')
    await scene.cut()
    scene.empty()
  },
)

t.test('a program that comes round to its timers late looks at its sockets before it judges', async t => {
  for (const answered of [true, false]) {
    const scene = new Scene(t)
    const { clock } = scene.network
    let lateMs = 0
    const late: Clock = {
      now: () => clock.now() + lateMs,
      setTimeout: (callback, ms) => clock.setTimeout(callback, ms),
      clearTimeout: timer => clock.clearTimeout(timer),
    }
    const process = await scene.start({ clock: late, keepalive: { intervalMs: 1000, timeoutMs: 1000 } })
    const seen = pingsSeen(process)
    await scene.network.advance(999)
    // From here on it is busy with something else for a while: the ping goes out late, the pong waits in the system.
    scene.server.link.freeze()
    await scene.network.advance(1000)
    clock.setTimeout(() => {
      lateMs = 30_000
      // Behind the timer of the keepalive, before what that sets.
      if (answered) clock.setTimeout(() => scene.server.link.thaw(), 1)
    }, 0)
    await scene.network.advance(1)
    t.same(seen.misses, answered ? [] : [[32_000, 1]])
    await scene.network.settle()
    t.equal(process.phase, answered ? 'open' : 'ended')
    await scene.cut()
    await scene.network.run(process.ended)
  }
})
