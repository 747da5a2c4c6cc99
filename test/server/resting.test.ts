// Strategy: a process at rest is one that nobody can tell from another: whatever happens to it, it goes on as if it had been awake
// all the time. So each test looks at a server whose processes rest at every opportunity, waits until they do, and then does
// one thing to them. Time is virtual, connections are real.
import fc from 'fast-check'
import t from 'tap'
import type { EndReason, Message, Self } from '../../src/index.js'
import type { ServerBehaviour } from '../../src/server/index.js'
import { disown } from '../../src/transport/stream-owner.js'
import { rawClient, until, upgradeRequest } from '../support/raw-peer.js'
import { client, scene, turns } from './resting-scene.js'

const counting: ServerBehaviour<number> = {
  init: () => 0,
  handleFrame: (_, state) => ({ state: state + 1, reply: String(state + 1) }),
}

t.test('one that has said nothing rests at the next look, and one that has, after restAfterMs', async t => {
  const { clock, server } = await scene(t, counting, { restAfterMs: 800 })
  const { socket, got } = await client(t, server)
  await until(() => server.processes.size === 1, 'the process')
  await turns()
  t.equal(server.resting, 0)
  clock.advance(100)
  t.equal(server.resting, 1, 'it has said nothing')
  socket.write('x')
  await until(() => got.length === 1, 'the answer')
  t.equal(server.resting, 0, 'it was woken')
  clock.advance(700)
  t.equal(server.resting, 0)
  clock.advance(300)
  t.equal(server.resting, 1)
})

t.test('with restAfterMs: Infinity nobody rests', async t => {
  const { clock, server } = await scene(t, counting, { restAfterMs: Infinity })
  await client(t, server)
  await until(() => server.processes.size === 1, 'the process')
  await turns()
  clock.advance(100_000)
  t.equal(server.resting, 0)
})

t.test('state, credits and round-trip time outlast a rest', async t => {
  let self: Self | null = null
  const { server, rest } = await scene(
    t,
    {
      ...counting,
      init: (_, own) => {
        self = own
        return 0
      },
    },
    { flow: 3 },
  )
  const { socket, got } = await client(t, server)
  const [process] = server.processes
  for (let i = 1; i <= 3; i++) {
    await rest()
    t.equal(process.phase, 'open')
    t.equal(process.bufferedAmount, 0)
    socket.write('x')
    await until(() => got.length === i, 'the answer')
  }
  await rest()
  socket.write('x')
  await turns(20)
  t.equal(got.length, 3, 'there are no credits left')
  self!.updateFlow(1)
  await until(() => got.length === 4, 'the answer')
  t.same(got, ['1', '2', '3', '4'])
  t.equal(await process.getState(), 4)
  await rest()
  t.match(await process.status(), { phase: 'open', state: 4, reconnects: 0, failures: 0, url: '/' })
})

t.test(
  'any pieces of any conversation give the same answers whether it rests between them or not',
  async t => {
    const { server, rest } = await scene(t, {
      handleFrame: frame => ({ reply: frame }),
      handlePing: payload => ({
        reply: { type: 'text', data: `ping ${Buffer.from(payload).toString('latin1')}` },
      }),
    })
    const step = fc.oneof(
      fc.record({ send: fc.string({ maxLength: 300 }) }),
      fc.record({ send: fc.uint8Array({ maxLength: 300 }) }),
      fc.record({ ping: fc.constantFrom('', 'a', 'bc') }),
      fc.record({ parts: fc.array(fc.string({ maxLength: 20 }), { minLength: 1, maxLength: 4 }) }),
      fc.constant({ rest: true }),
    )
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 20 }), async steps => {
        const { socket, got } = await client(t, server)
        const wanted: Message['data'][] = []
        for (const one of steps) {
          if ('send' in one) {
            socket.write(one.send)
            wanted.push(one.send)
          } else if ('ping' in one) {
            void socket.ping(one.ping).catch(() => {})
            wanted.push(`ping ${one.ping}`)
          } else if ('parts' in one) {
            await socket.send(one.parts)
            wanted.push(one.parts.join(''))
          } else {
            await until(() => got.length === wanted.length, 'what was sent')
            await rest()
          }
        }
        await until(() => got.length === wanted.length, 'all')
        const same = got.every((data, i) =>
          Buffer.from(data as string).equals(Buffer.from(wanted[i] as string)),
        )
        await socket.close()
        return same
      }),
      { numRuns: 30 },
    )
    t.pass('all of them')
  },
)

t.test('a frame that has come in part keeps it awake', async t => {
  const { clock, server } = await scene(t, counting)
  const raw = await rawClient(t, server.port)
  raw.write(upgradeRequest())
  await raw.head()
  await until(() => server.processes.size === 1, 'the process')
  raw.write(Buffer.from([0x81, 0x85, 1, 2]))
  for (let i = 0; i < 10; i++) {
    await turns()
    clock.advance(8)
  }
  t.equal(server.resting, 0)
  raw.write(Buffer.from([3, 4, 0x69, 0x67, 0x6f, 0x68, 0x6e]))
  t.same(await raw.shown(1), ['text "1"'])
})

t.test('one that breaks a long silence rests again when it has been answered', async t => {
  const { clock, server, rest } = await scene(t, counting, { restAfterMs: 800 })
  const { socket, got } = await client(t, server)
  const say = async (): Promise<void> => {
    const before = got.length
    socket.write('x')
    await until(() => got.length > before, 'the answer')
  }
  await say()
  await rest()
  clock.advance(700)
  await say()
  clock.advance(1)
  await turns()
  t.equal(server.resting, 0, 'it was not silent for long')
  await rest()
  clock.advance(800)
  await say()
  t.equal(server.resting, 0)
  clock.advance(1)
  t.equal(server.resting, 1)
  await say()
  clock.advance(1)
  await turns()
  t.equal(server.resting, 0, 'now it is busy')
})

t.test('what is left of compression holds nothing of what was let go of', async t => {
  const { server } = await scene(t, counting, { compress: true })
  const { socket } = await client(t, server, { compress: true })
  await turns()
  const { deflate, stream } = socket.rest({ wake: () => disown(stream) })
  t.teardown(() => stream.destroy())
  t.not(deflate, null)
  t.equal(deflate?.onReady, null)
})

t.test('compression goes on where it was', async t => {
  const compress = { threshold: 0 }
  const { server, rest } = await scene(t, { handleFrame: frame => ({ reply: frame }) }, { compress })
  const { socket, got } = await client(t, server, { compress })
  const text = 'the same again and again, '.repeat(40)
  for (let i = 1; i <= 4; i++) {
    await rest()
    socket.write(text)
    await until(() => got.length === i, 'the answer')
  }
  t.same(got, [text, text, text, text])
})

t.test('timers, calls that wait and asynchronous callbacks keep it awake', async t => {
  let answer: (() => void) | null = null
  const infos: unknown[] = []
  const { clock, server, rest } = await scene(t, {
    handleFrame: () =>
      new Promise<undefined>(resolve => {
        answer = () => resolve(undefined)
      }),
    handleInfo: message => void infos.push(message),
  })
  const { socket } = await client(t, server)
  const [process] = server.processes
  await rest()
  process.sendAfter('later', 100)
  for (let i = 0; i < 11; i++) {
    await turns()
    t.equal(server.resting, 0)
    clock.advance(8)
  }
  clock.advance(12)
  await until(() => infos.length === 1, 'the message')
  await rest()
  socket.write('x')
  await until(() => answer !== null, 'the callback')
  for (let i = 0; i < 5; i++) {
    await turns()
    clock.advance(8)
  }
  t.equal(server.resting, 0)
  answer!()
  await rest()
})

t.test('stop, drain and the limits of time end it as they end others', async t => {
  const ended: EndReason[] = []
  const { clock, server, rest } = await scene(
    t,
    { terminate: reason => void ended.push(reason) },
    { maxLifetimeMs: 16_000 },
  )
  const [first, second, third] = [await client(t, server), await client(t, server), await client(t, server)]
  await rest()
  const [process] = server.processes
  void process.stop('enough', { code: 4000, reason: 'bye' })
  t.match(await first.socket.closed, { received: { code: 4000, reason: 'bye' }, wasClean: true })
  await until(() => ended.length === 1, 'its end')
  t.match(ended, [{ type: 'stop', value: 'enough' }])
  await rest()
  second.socket.terminate()
  await until(() => ended.length === 2, 'the end of one whose client has gone')
  t.match(ended[1], { normal: false })
  await rest()
  // A look comes every sixteenth of the limit.
  clock.advance(17_000)
  t.match(await third.socket.closed, { received: { code: 1000, reason: 'timeout' } })
  await until(() => server.processes.size === 0, 'all ends')
  t.equal(server.resting, 0)
  const fourth = await client(t, server)
  await rest()
  const drained = server.drain()
  clock.advance(0)
  t.same(await drained, { closed: 1, cut: 0 })
  t.match(await fourth.socket.closed, { received: { code: 1001 } })
})

t.test('it is woken for its keepalive ping, which is on time, and ends when nothing answers', async t => {
  const ended: EndReason[] = []
  const { clock, server } = await scene(
    t,
    { terminate: reason => void ended.push(reason) },
    { keepalive: { intervalMs: 5000, timeoutMs: 2000 } },
  )
  const raw = await rawClient(t, server.port)
  raw.write(upgradeRequest())
  await raw.head()
  await until(() => server.processes.size === 1, 'the process')
  await turns()
  const openedAt = clock.now()
  clock.advance(8)
  t.equal(server.resting, 1)
  clock.advance(4991)
  await turns()
  t.equal(raw.receivedBytes > 0 && clock.now() - openedAt, 4999, 'a millisecond before')
  const before = raw.receivedBytes
  clock.advance(1)
  await until(() => raw.receivedBytes > before, 'the ping')
  t.match(await raw.shown(1), [/^ping/i])
  clock.advance(2000)
  await until(() => ended.length === 1, 'the end')
  t.match(ended[0], { error: { code: 'WS_KEEPALIVE_TIMEOUT' } })
  t.equal(server.processes.size, 0)
})
