// The keepalive of a process that runs: changed, measured, hidden, and gone with the connection. All in virtual time. What finds
// a dead connection is in keepalive.test.ts.
import t from 'tap'
import type { KeepaliveOptions, PongInfo, Process } from '../../src/index.js'
import { type Frame, PING, show } from '../support/frames.js'
import { PEER, pingsSeen, Scene } from '../support/scene.js'

/** The pings a server has got. */
const pingsOf = (frames: readonly Frame[]): Frame[] => frames.filter(({ opcode }) => opcode === PING)

t.test('the answer of any callback changes it, and so does setKeepalive', async t => {
  const ways: readonly (readonly [string, (scene: Scene, process: Process<undefined, string>) => unknown])[] =
    [
      ['a cast', (_scene, process) => process.cast('change')],
      ['a message', ({ sockets }) => sockets[0].write('change')],
      ['setKeepalive', (_scene, process) => process.setKeepalive(3000)],
      ['self.setKeepalive', (_scene, process) => process.cast('self')],
    ]
  for (const [text, change] of ways) {
    const scene = new Scene(t)
    const process = await scene.start({}, () => {}, PEER, {
      handleCast: (message, _state, self) => {
        if (message === 'change') return { keepalive: 3000 }
        self.setKeepalive(3000)
        return undefined
      },
      handleFrame: () => ({ keepalive: { intervalMs: 3000 } }),
    })
    const { pings } = pingsSeen(process)
    await scene.network.advance(10_000)
    change(scene, process)
    await scene.network.advance(9999)
    t.same(pings, [13_000, 16_000, 19_000], text)
    await scene.over(process)
  }
})

t.test('handleConnect says what this connection begins with, and those after it', async t => {
  const scene = new Scene(t)
  const process = await scene.start({ reconnect: { jitter: 'none' } }, () => {}, PEER, {
    handleConnect: ({ reconnects }) => (reconnects === 0 ? { keepalive: 4000 } : undefined),
  })
  const { pings } = pingsSeen(process)
  await scene.network.advance(10_000)
  t.same(pings, [4000, 8000])
  scene.server.link.reset()
  await scene.network.advance(10_000)
  t.same(pings, [4000, 8000, 15_000, 19_000], 'from when the second connection was there')
  await scene.over(process)
})

t.test('the first ping is an interval away from the end of handleConnect', async t => {
  const scene = new Scene(t)
  const { clock } = scene.network
  const process = await scene.start({ async: true }, () => {}, PEER, {
    handleConnect: () => new Promise<void>(resolve => void clock.setTimeout(resolve, 90_000)),
  })
  const { pings } = pingsSeen(process)
  await scene.network.advance(120_000)
  t.same(pings, [110_000])
  await scene.over(process)
})

t.test('changed to false there is no timer any more, and a ping that is out is forgotten', async t => {
  const scene = new Scene(t)
  const process = await scene.start()
  const seen = pingsSeen(process)
  scene.server.link.freeze()
  await scene.network.advance(30_000)
  process.setKeepalive(false)
  t.equal(scene.network.clock.pending, 0)
  await scene.network.advance(3_600_000)
  t.equal(process.phase, 'open')
  process.setKeepalive({ intervalMs: 1000, timeoutMs: 1000 })
  await scene.network.run(process.ended)
  t.same(seen, { pings: [20_000, 3_631_000], misses: [[3_632_000, 1]] })
  await scene.cut()
  scene.empty()
})

t.test('changed while there is no connection it is for the next one', async t => {
  const scene = new Scene(t)
  const process = await scene.start({ reconnect: { jitter: 'none' } })
  const { pings } = pingsSeen(process)
  scene.server.link.reset()
  await scene.network.settle()
  t.equal(process.phase, 'waiting')
  process.setKeepalive(2000)
  await scene.network.advance(5999)
  t.same(pings, [3000, 5000])
  await scene.over(process)
})

t.test('a bad answer about it is a crash, before anything of the answer is done', async t => {
  const scene = new Scene(t)
  const process = await scene.start({}, () => {}, PEER, {
    handleCast: () => ({ reply: 'never sent', keepalive: { intervalMs: 0 } }),
  })
  process.cast('change')
  const reason = await scene.network.run(process.ended)
  t.match(reason, { type: 'crash', error: { code: 'WS_BAD_RESPONSE', cause: { code: 'WS_BAD_OPTION' } } })
  t.same(show(scene.framesOf(0)), ['close 1011 ""'])
  scene.empty()
})

t.test('the round-trip time of the last ping can be read everywhere', async t => {
  const scene = new Scene(t)
  const pongs: PongInfo[] = []
  const selfs: (number | null)[] = []
  const process = await scene.start({}, () => {}, PEER, {
    handlePong: (_payload, _state, pong, self) => {
      pongs.push(pong)
      selfs.push(self.rttMs)
    },
  })
  t.equal(process.rttMs, null)
  for (const [i, latencyMs] of [30, 45].entries()) {
    scene.server.link.change({ latencyMs })
    await scene.network.advance(20_000 * (i + 1) + 2 * latencyMs - scene.network.clock.now())
    t.equal(process.rttMs, 2 * latencyMs)
    t.match(await scene.network.run(process.status()), { rttMs: 2 * latencyMs })
    t.same(pongs[i], { rttMs: 2 * latencyMs, solicited: true })
    t.equal(selfs[i], 2 * latencyMs)
  }
  scene.sockets[0].pong('unasked')
  await scene.network.advance(100)
  t.same(pongs.at(-1), { rttMs: null, solicited: false })
  t.equal(process.rttMs, 90)
  await scene.network.run(process.stop())
  await scene.network.advance(100)
  scene.empty()
})

t.test('pings carry what payload says, or something else each time', async t => {
  const cases: readonly (readonly [KeepaliveOptions['payload'], (payloads: string[]) => boolean])[] = [
    ['still there?', payloads => payloads.every(one => one === 'still there?')],
    [Uint8Array.from([65, 66]), payloads => payloads.every(one => one === 'AB')],
    ['x'.repeat(125), payloads => payloads.every(one => one.length === 125)],
    ['', payloads => payloads.every(one => one === '')],
    [undefined, payloads => new Set(payloads).size === payloads.length],
  ]
  for (const [payload, check] of cases) {
    const scene = new Scene(t)
    const process = await scene.start({ keepalive: { payload, countAnyData: false } })
    await scene.network.advance(200_000)
    const payloads = pingsOf(scene.framesOf(0)).map(one => Buffer.from(one.payload).toString('latin1'))
    t.equal(payloads.length, 10)
    t.ok(check(payloads), JSON.stringify(payloads))
    t.equal(process.phase, 'open')
    await scene.over(process)
  }
})

t.test('silencePings hides pings and pongs from the callbacks and nothing else', async t => {
  for (const silencePings of [false, true]) {
    const scene = new Scene(t)
    const calls: string[] = []
    const process = await scene.start({ silencePings }, () => {}, PEER, {
      handlePing: () => void calls.push('ping'),
      handlePong: () => void calls.push('pong'),
    })
    scene.server.link.change({ latencyMs: 10 })
    scene.sockets[0].ping().catch(() => {})
    await scene.network.advance(30_000)
    t.same(calls, silencePings ? [] : ['ping', 'pong'])
    t.equal(process.rttMs, 20)
    t.same(
      show(scene.framesOf(0)).map(one => one.split(' ')[0]),
      ['pong', 'ping'],
    )
    scene.server.link.change({ latencyMs: 0 })
    await scene.over(process)
  }
})

t.test('while closing, closeTimeoutMs is the limit and the keepalive is silent', async t => {
  const scene = new Scene(t)
  const process = await scene.start({ closeTimeoutMs: 120_000 })
  const seen = pingsSeen(process)
  await scene.network.advance(19_000)
  scene.server.link.freeze()
  process.write({ type: 'close', code: 4000 })
  await scene.network.run(process.ended)
  t.equal(scene.network.clock.now(), 139_000)
  t.same(seen, { pings: [], misses: [] })
  t.match(scene.statuses, [{ reason: { type: 'local', code: 4000 }, error: { code: 'WS_CLOSE_TIMEOUT' } }])
  await scene.cut()
  scene.empty()
})

t.test('however a process ends, with a ping out or not, no timer is left', async t => {
  type End = (scene: Scene, process: Process<undefined, string>, controller: AbortController) => unknown
  const ends: readonly (readonly [string, End])[] = [
    ['stop', (_scene, process) => process.stop()],
    ['stop by force', (_scene, process) => process.stop(undefined, { timeoutMs: 0 })],
    ['abort', (_scene, _process, controller) => controller.abort()],
    ['crash', (_scene, process) => process.cast('crash')],
    ['reset', ({ server }) => server.link.reset()],
    ['close', ({ sockets }) => sockets[0].close(1000)],
    ['stay', ({ server }) => server.link.reset()],
  ]
  for (const [text, end] of ends) {
    for (const atMs of [5000, 20_005]) {
      const scene = new Scene(t)
      const controller = new AbortController()
      const answer = () => (text === 'stay' ? ({ stay: true } as const) : undefined)
      const process = await scene.start({ signal: controller.signal }, answer, PEER, {
        handleCast: () => {
          throw new Error('told to')
        },
      })
      scene.server.link.change({ latencyMs: 10 })
      await scene.network.advance(atMs)
      void end(scene, process, controller)
      if (text === 'stay') {
        await scene.network.runUntil(() => process.phase === 'idle')
        t.equal(scene.network.clock.pending, 0)
        void process.stop()
      }
      await scene.network.run(process.ended)
      await scene.network.advance(20)
      t.same(scene.network.clock.dueTimes, [], `${text} at ${atMs}`)
      scene.empty()
    }
  }
})
