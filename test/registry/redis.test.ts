// Strategy: two nodes in one program, each with a client of its own, and a real Redis: what one node does and the other sees.
import t from 'tap'
import { call, cast, info, send, stop, whereis } from '../../src/index.js'
import { createRedisRegistry } from '../../src/registry/redis/index.js'
import { Scene } from '../support/scene.js'
import { failure } from '../support/servers.js'
import { idler, until } from './members.js'
import { BOTH, pairOf, peek } from './pair.js'
import { clusterClient, RedisServer, skip, startCluster } from './redis-server.js'

for (const kinds of BOTH) {
  t.test(`two nodes, ${kinds.join(' and ')}`, { skip }, async t => {
    await t.test('a unique name is one for all nodes, and reached from each', async t => {
      const { a, b } = await pairOf(t, kinds)
      t.not(a.node, b.node)
      const [ann, bob] = [await idler(t), await idler(t)]
      const answers = await Promise.all([
        a.unique.register('x', ann.process),
        b.unique.register('x', bob.process),
      ])
      t.same(answers.toSorted(), ['ok', 'taken'])
      const [here, there, winner] = answers[0] === 'ok' ? [a, b, ann] : [b, a, bob]
      const holder = await here.unique.lookup('x')
      t.equal(holder?.process, winner.process)
      t.same(await there.unique.lookup('x'), { ...holder, process: null })
      t.equal(await there.unique.send('x', { bytes: new Uint8Array([7]), none: undefined }), true)
      t.equal(await here.unique.send('x', 'here'), true)
      await until(() => winner.heard.length === 2)
      t.same(winner.heard, [{ bytes: new Uint8Array([7]), none: undefined }, 'here'])
      t.equal(await there.unique.send('y', 1), false)
      await winner.process.stop()
      t.equal(await there.unique.send('x', 1), false)
      await until(async () => (await there.unique.lookup('x')) === null)
    })

    await t.test('a message to a group goes to the nodes that have members, and they say so', async t => {
      const { a, b, server, keys } = await pairOf(t, kinds)
      const all = await Promise.all(Array.from({ length: 5 }, () => idler(t)))
      const [ann, bob, cid, dan] = all
      for (const { process } of [ann, bob]) await a.group.join('g', process)
      t.same(await b.group.publish('g', 1), { recipients: 2, nodes: 1, confirmed: 1 })
      for (const { process } of [cid, dan]) await b.group.join('g', process)
      t.same(await b.group.publish('g', 2), { recipients: 4, nodes: 2, confirmed: 2 })
      t.same(await a.group.publish('g', 3), { recipients: 4, nodes: 2, confirmed: 2 })
      for (const { process } of [ann, bob]) await a.group.leave('g', process)
      t.same(await a.group.publish('g', 4), { recipients: 2, nodes: 1, confirmed: 1 })
      await Promise.all([cid.process.stop(), dan.process.stop()])
      await until(async () => (await a.group.publish('g', 5)).nodes === 0)
      t.same(
        all.map(({ heard }) => heard),
        [[1, 2, 3], [1, 2, 3], [2, 3, 4], [2, 3, 4], []],
      )
      const redis = await peek(t, server)
      t.same(await redis.keys(`${keys.replace(/[{}]/g, '?')}group:*`), [], 'nothing is left of it')
    })

    await t.test('a broadcast goes out on the connections of all nodes', async t => {
      const { a, b } = await pairOf(t, kinds)
      const scene = new Scene(t)
      await a.group.join('g', await scene.start())
      await b.group.join('g', await scene.start())
      t.match(await a.group.broadcast('g', 'text'), { recipients: 2, nodes: 2, confirmed: 2 })
      const bytes = { type: 'binary' as const, data: new Uint8Array([1, 2]), compress: false }
      t.match(await b.group.broadcast('g', bytes), { recipients: 2 })
      await scene.network.settle()
      for (const link of [0, 1]) {
        const frames = scene
          .framesOf(link)
          .map(({ opcode, payload }) => `${opcode} ${Buffer.from(payload).toString('latin1')}`)
        t.same(frames, ['1 text', '2 \x01\x02'])
      }
    })

    await t.test(
      'a process on another node can be told, called, sent to and stopped by its name',
      async t => {
        const { a, b } = await pairOf(t, kinds)
        const ann = await idler(t, { via: a, key: 'ann' })
        const name = { via: b, key: 'ann' }
        t.match(await failure(idler(t, name)), { code: 'WS_ALREADY_STARTED' })
        await cast(name, 1)
        await info(name, { two: new Uint8Array([2]) })
        await until(() => ann.heard.length === 2)
        t.same(ann.heard, [1, { two: new Uint8Array([2]) }])
        t.same(await call(name, 3), ['answer', 3])
        t.match(await failure(send(name, 'x')), { name: 'NotConnectedError', code: 'WS_NOT_CONNECTED' })
        const handle = (await whereis(name))!
        t.not(handle, ann.process)
        t.throws(() => handle.write('x'), { code: 'WS_NO_CALLBACK' })
        t.throws(() => handle.info(() => {}), { code: 'WS_REGISTRY_BAD_MESSAGE' })
        t.match(await stop(name, new Error('enough')), {
          type: 'stop',
          normal: false,
          error: { message: 'enough' },
        })
        t.match(await ann.process.ended, { type: 'stop', error: { message: 'enough' } })
        t.match(await failure(handle.send('x')), { code: 'WS_NO_PROCESS' })
        t.equal(await whereis(name), null)
        await idler(t, name)
      },
    )

    await t.test('what cannot be carried is refused before anybody gets it', async t => {
      const { a, b } = await pairOf(t, kinds)
      const ann = await idler(t)
      await a.group.join('g', ann.process)
      await a.unique.register('x', ann.process)
      const self: unknown[] = []
      self.push(self)
      for (const wrong of [new Date(), 1n, Number.NaN, [new Map()], { f: () => {} }, Symbol('s'), self, -0]) {
        for (const registry of [a, b]) {
          t.match(await failure(registry.group.publish('g', wrong)), { code: 'WS_REGISTRY_BAD_MESSAGE' })
          t.match(await failure(registry.unique.send('x', wrong)), { code: 'WS_REGISTRY_BAD_MESSAGE' })
        }
      }
      t.same(ann.heard, [])
    })

    await t.test('what a node has is free at once when it closes', async t => {
      const { a, b, server, keys } = await pairOf(t, kinds)
      const all = await Promise.all(Array.from({ length: 20 }, () => idler(t)))
      await Promise.all(all.map(({ process }, i) => b.unique.register(`n${i}`, process)))
      await Promise.all(all.map(({ process }, i) => b.group.join(`g${i}`, process)))
      t.equal((await a.group.publish('g7', 1)).nodes, 1)
      await b.close()
      const other = await idler(t)
      t.equal(await a.unique.register('n7', other.process), 'ok')
      t.same(await a.group.publish('g7', 1), { recipients: 0, nodes: 0, confirmed: 0 })
      await a.close()
      const redis = await peek(t, server)
      t.same(await redis.keys(`${keys.replace(/[{}]/g, '?')}*`), [`${keys}fence`], 'nothing is left')
    })
  })
}

t.test('a Redis Cluster will do, with sharded channels where the client can', { skip }, async t => {
  const ports = await startCluster(t)
  if (ports === null) {
    t.comment('this Redis is too old')
    return
  }
  for (const [kinds, sharded] of [
    [['redis', 'ioredis'], true],
    [['ioredis', 'redis'], false],
    [['ioredis', 'ioredis'], false],
  ] as const) {
    // Some of them in each half of the slots.
    for (let i = 0; i < 3; i++) {
      const [a, b] = await Promise.all(
        kinds.map(async kind =>
          createRedisRegistry(await clusterClient(t, kind, ports, sharded), {
            prefix: `${kinds.join()}-${sharded}-${i}`,
          }),
        ),
      )
      const [ann, bob] = [await idler(t), await idler(t)]
      t.equal(await a.unique.register('ann', ann.process), 'ok')
      t.equal(await b.unique.register('ann', bob.process), 'taken')
      t.equal(await b.unique.send('ann', 1), true)
      await a.group.join('g', ann.process)
      await b.group.join('g', bob.process)
      t.same(await a.group.publish('g', 2), { recipients: 2, nodes: 2, confirmed: 2 })
      t.same(await b.group.publish('g', 3), { recipients: 2, nodes: 2, confirmed: 2 })
      await Promise.all([a.close(), b.close()])
      t.same(
        [ann.heard, bob.heard],
        [
          [1, 2, 3],
          [2, 3],
        ],
      )
    }
  }
})

t.test('a registry needs a client that can be used, and options that are some', { skip }, async t => {
  const server = await RedisServer.start(t)
  for (const wrong of [null, {}, { duplicate: () => {} }, 7])
    t.match(await failure(createRedisRegistry(wrong as never)), { code: 'WS_BAD_OPTION' })
  const client = await server.client(t, 'redis')
  for (const wrong of [
    { prefix: '' },
    { prefix: 'a{b' },
    { node: 'a|b' },
    { leaseMs: 1 },
    { leaseMs: Number.NaN },
    { timeoutMs: 0 },
    { lease: 1 },
  ])
    t.match(await failure(createRedisRegistry(client, wrong)), { code: 'WS_BAD_OPTION' })
  const clients = [client, await server.client(t, 'ioredis')]
  await server.kill()
  for (const one of clients) {
    t.match(await failure(createRedisRegistry(one, { timeoutMs: 100 })), { code: 'WS_REGISTRY_UNREACHABLE' })
  }
})
