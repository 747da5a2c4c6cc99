// Strategy: two nodes in one program, each with a client of its own, and a real Redis; and what can happen to them, one thing at a
// time. cluster.test.ts has it all at once.
import t from 'tap'
import { failure } from '../support/servers.js'
import { idler, until } from './members.js'
import { BOTH, LEASE_MS, pairOf, peek } from './pair.js'
import { RedisServer, skip } from './redis-server.js'

for (const kinds of BOTH) {
  t.test(`two nodes, ${kinds.join(' and ')}`, { skip }, async t => {
    await t.test('what a node that died had is free within the lease, and swept', async t => {
      const { a, b, proxy, server, keys } = await pairOf(t, kinds)
      const [ann, bob] = [await idler(t), await idler(t)]
      await b.unique.register('x', bob.process)
      await b.unique.register('x2', (await idler(t)).process)
      await b.group.join('g', bob.process)
      const { fence } = (await a.unique.lookup('x'))!
      t.equal(await a.unique.register('x', ann.process), 'taken')
      await proxy.close()
      const diedMs = performance.now()
      t.match(await a.group.publish('g', 1), { recipients: 0, nodes: 1, confirmed: 0 })
      t.equal(await a.unique.send('x', 1), false)
      await until(async () => (await a.unique.register('x', ann.process)) === 'ok')
      t.ok(performance.now() - diedMs > LEASE_MS / 4)
      t.ok((await a.unique.lookup('x'))!.fence > fence)
      t.same(await a.group.publish('g', 1), { recipients: 0, nodes: 0, confirmed: 0 })
      const redis = await peek(t, server)
      await until(async () => (await redis.hlen(`${keys}names`)) === 1)
      await until(async () => (await redis.zcard(`${keys}sessions`)) === 1)
      t.equal(b.reachable, false)
    })

    await t.test(
      'a node that was cut off gets its names back, and who has lost one is told and ended',
      async t => {
        const { a, b, proxy } = await pairOf(t, kinds)
        const [ann, bob, cid] = [await idler(t), await idler(t), await idler(t)]
        await b.unique.register('x', bob.process)
        await b.unique.register('y', cid.process)
        for (const { process } of [bob, cid]) await b.group.join('g', process)
        const { fence } = (await b.unique.lookup('y'))!
        proxy.cut()
        const late = a.unique.send('y', 'late')
        await until(async () => (await a.unique.register('x', ann.process)) === 'ok')
        t.equal(b.reachable, false)
        t.same(await b.group.publish('g', 'local'), { recipients: 2, nodes: 2, confirmed: 1 })
        t.match(await failure(b.unique.lookup('x')), { code: 'WS_REGISTRY_UNREACHABLE' })
        t.equal(await late, false, 'not confirmed')
        proxy.heal()
        t.match(await bob.process.ended, {
          normal: false,
          error: { name: 'RegistryError', code: 'WS_NAME_CONFLICT' },
        })
        await until(async () => (await a.unique.lookup('y')) !== null)
        t.ok((await a.unique.lookup('y'))!.fence > fence)
        t.equal((await b.unique.lookup('x'))?.node, a.node)
        await until(async () => (await a.group.publish('g', 'healed')).recipients === 1)
        t.same(bob.heard, ['local'])
        const own = cid.heard.filter(message => message !== 'healed')
        t.same(own.map(String).toSorted(), ['late', 'local'], 'what was on its way came, once')
        t.equal(b.reachable, true)
      },
    )
  })
}

t.test('a cluster outlives its Redis', { skip }, async t => {
  for (const kinds of BOTH) {
    await t.test(kinds.join(' and '), async t => {
      const server = await RedisServer.start(t)
      const { a, b } = await pairOf(t, kinds, server)
      const [ann, bob] = [await idler(t), await idler(t)]
      await a.unique.register('ann', ann.process)
      await b.unique.register('bob', bob.process)
      for (const [registry, { process }] of [
        [a, ann],
        [b, bob],
      ] as const)
        await registry.group.join('g', process)
      const { fence } = (await a.unique.lookup('bob'))!
      await server.kill()
      t.same(await a.group.publish('g', 1), { recipients: 1, nodes: 2, confirmed: 1 })
      t.equal(await a.unique.send('ann', 2), true)
      const cid = await idler(t)
      t.match(await failure(a.unique.register('cid', cid.process)), { code: 'WS_REGISTRY_UNREACHABLE' })
      t.match(await failure(a.group.join('new', cid.process)), { code: 'WS_REGISTRY_UNREACHABLE' })
      t.same(a.group.members('new'), [])
      t.equal(await a.group.join('g', cid.process), 'ok', 'where there are members here, Redis is not asked')
      t.match(await failure(a.unique.unregister('ann', ann.process)), { code: 'WS_REGISTRY_UNREACHABLE' })
      await server.start()
      await until(async () => {
        const { recipients, nodes } = await b.group.publish('g', 3)
        return recipients === 3 && nodes === 2
      })
      await until(async () => (await a.unique.lookup('bob').catch(() => null)) !== null)
      t.equal((await a.unique.lookup('bob'))?.node, b.node)
      t.ok((await a.unique.lookup('bob'))!.fence > fence, 'though it was forgotten which was the last')
      await until(async () => (await b.unique.lookup('ann').catch(() => 0)) === null)
      t.equal(await b.unique.lookup('cid'), null, 'what was refused was not done later')
      t.same(ann.heard.slice(0, 2), [1, 2])
    })
  }
})

t.test('a node notices that Redis has lost what it was told', { skip }, async t => {
  const { a, b, server, keys } = await pairOf(t, BOTH[0])
  const [ann, bob] = [await idler(t), await idler(t)]
  await a.unique.register('ann', ann.process)
  await a.unique.register('bob', bob.process)
  const redis = await peek(t, server)
  const [session] = (await redis.hget(`${keys}names`, 'ann'))!.split(' ')
  // As when another server takes over that had not heard of the last two changes.
  await redis.hdel(`${keys}names`, 'ann', 'bob')
  await redis.hincrby(`${keys}versions`, session, -2)
  const cid = await idler(t)
  t.equal(await b.unique.register('ann', cid.process), 'ok')
  t.match(await ann.process.ended, { error: { code: 'WS_NAME_CONFLICT' } })
  await until(async () => (await b.unique.lookup('bob'))?.node === a.node)
  t.equal((await a.unique.lookup('ann'))?.node, b.node)
})

t.test('a node that hears nothing any more listens anew', { skip }, async t => {
  for (const kinds of BOTH) {
    const { a, b, proxy } = await pairOf(t, kinds)
    const bob = await idler(t)
    await b.unique.register('bob', bob.process)
    await b.group.join('g', bob.process)
    t.same(await a.group.publish('g', 1), { recipients: 1, nodes: 1, confirmed: 1 })
    proxy.deafen()
    t.match(await a.group.publish('g', 2), { recipients: 0, nodes: 1, confirmed: 0 })
    await until(async () => (await a.group.publish('g', 3)).confirmed === 1)
    t.equal(await a.unique.send('bob', 4), true)
    t.equal(b.reachable, true)
  }
})

t.test('a message that comes twice is delivered once, and what no node wrote is not', { skip }, async t => {
  const { a, server, keys } = await pairOf(t, BOTH[0])
  const ann = await idler(t)
  await a.group.join('g', ann.process)
  const redis = await peek(t, server)
  const say = (what: unknown): Promise<number> =>
    redis.publish(`${keys}to:${a.node}`, typeof what === 'string' ? what : JSON.stringify(what))
  const good = { type: 'publish', to: 'g', message: 1, from: 'elsewhere', id: 1 }
  for (const wrong of [
    '{',
    'null',
    '[]',
    { ...good, to: 1 },
    { ...good, from: 1 },
    { ...good, id: -1 },
    { ...good, type: 'x' },
    { ...good, type: 'ask' },
    { ...good, type: 'ask', operation: 'constructor' },
    { ...good, message: undefined },
    { ...good, message: { $: 'x' } },
    { ...good, type: 'broadcast', message: {}, from: 'another' },
    { ...good, type: 'reply' },
    { ...good, type: 'reply', count: 1 },
    { ...good, type: 'reply', count: 1, error: 1 },
    '['.repeat(100_000),
  ])
    t.equal(await say(wrong), 1)
  for (const message of [
    good,
    good,
    { ...good, id: 3 },
    { ...good, id: 2, message: JSON.parse('{"__proto__":1}') },
    good,
  ])
    await say(message)
  t.equal((await a.group.publish('g', 'last')).recipients, 1)
  await until(() => ann.heard.length > 3)
  t.same(ann.heard.slice(0, 2).concat(ann.heard.slice(3)), [1, 1, 'last'])
  t.same(Object.keys(ann.heard[2] as object), ['__proto__'])
})
