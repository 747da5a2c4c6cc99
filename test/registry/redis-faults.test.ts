// Strategy: two nodes in one program, each with a client of its own, and a real Redis; and what can happen to them, one thing at a
// time. cluster.test.ts has it all at once.
import type { Redis } from 'ioredis'
import t from 'tap'
import { within } from '../../src/registry/redis/lease.js'
import { VirtualClock } from '../../src/testing/index.js'
import { failure } from '../support/servers.js'
import { again, idler, until } from './members.js'
import { createRedisRegistry } from '../../src/registry/redis/index.js'
import { BOTH, LEASE_MS, pairOf, peek } from './pair.js'
import { connectClient, RedisServer, skip } from './redis-server.js'

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
          type: 'name-conflict',
          normal: false,
          value: undefined,
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
  t.match(await ann.process.ended, { type: 'name-conflict', error: { code: 'WS_NAME_CONFLICT' } })
  await until(async () => (await b.unique.lookup('bob'))?.node === a.node)
  t.equal((await a.unique.lookup('ann'))?.node, b.node)
})

t.test('a node notices it by its next change too, before Redis has counted up again', { skip }, async t => {
  const { a, server, keys } = await pairOf(t, BOTH[0])
  const options = { prefix: keys.slice(1, -2), leaseMs: 60_000, timeoutMs: 5000 }
  const b = await createRedisRegistry(await server.client(t, 'ioredis'), options)
  t.teardown(() => b.close())
  const [ann, bob] = [await idler(t), await idler(t)]
  await b.unique.register('ann', ann.process)
  const redis = await peek(t, server)
  const [session] = (await redis.hget(`${keys}names`, 'ann'))!.split(' ')
  await redis.hdel(`${keys}names`, 'ann')
  await redis.hincrby(`${keys}versions`, session, -1)
  t.equal(await b.unique.register('bob', bob.process), 'ok')
  await until(async () => (await a.unique.lookup('ann'))?.node === b.node)
  t.equal((await a.unique.lookup('bob'))?.node, b.node)
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

t.test('what may have been said twice is not confirmed by all', { skip }, async t => {
  for (const kinds of BOTH) {
    const { a, b, proxy, server, keys } = await pairOf(t, kinds)
    const ann = await idler(t)
    await a.group.join('g', ann.process)
    const redis = await peek(t, server)
    proxy.hush()
    const delivery = b.group.publish('g', 1)
    await until(() => ann.heard.length > 0)
    // When it is said again, Redis knows of no member.
    await a.group.leave('g', ann.process)
    await until(async () => (await redis.scard(`${keys}group:g`)) === 0)
    proxy.reset()
    t.same(await delivery, { recipients: 0, nodes: 1, confirmed: 0 })
    t.same(ann.heard, [1])
    await until(async () => (await b.group.publish('g', 2)).nodes === 0)
  }
})

t.test('what was said to who had a name is not said again to who has it now', { skip }, async t => {
  for (const kinds of BOTH) {
    const { a, b, proxy, server, keys } = await pairOf(t, kinds)
    const c = await createRedisRegistry(await server.client(t, kinds[0]), { prefix: keys.slice(1, -2) })
    t.teardown(() => c.close())
    const [ann, cid] = [await idler(t), await idler(t)]
    await a.unique.register('x', ann.process)
    proxy.hush()
    const sent = b.unique.send('x', 1).catch((error: unknown) => (error as { code: string }).code)
    await until(() => ann.heard.length > 0)
    await a.unique.unregister('x', ann.process)
    t.equal(await c.unique.register('x', cid.process), 'ok')
    proxy.reset()
    // The client that does not say it again says that its connection was lost.
    t.equal(await sent, kinds[1] === 'ioredis' ? false : 'WS_REGISTRY_UNREACHABLE')
    await until(() => b.unique.send('x', 2).catch(() => false))
    t.same(ann.heard, [1])
    t.same(
      cid.heard.filter(message => message !== 2),
      [],
    )
  }
})

t.test('a message that another one overtakes on its way to Redis is carried, once', { skip }, async t => {
  const { a, server, keys } = await pairOf(t, BOTH[0])
  const client = (await server.client(t, 'ioredis')) as unknown as Redis
  const b = await createRedisRegistry(client, { prefix: keys.slice(1, -2), timeoutMs: 500 })
  t.teardown(() => b.close())
  const ann = await idler(t)
  await a.group.join('g', ann.process)
  await b.group.publish('g', 'warm')
  const say = client.evalsha.bind(client) as (...args: unknown[]) => Promise<unknown>
  // As clients of a cluster do that try each command again by itself; here it comes through both times.
  let over!: () => void
  const others = new Promise<void>(resolve => (over = resolve))
  client.evalsha = (...args: unknown[]) => {
    client.evalsha = say
    return others.then(async () => {
      await say(...args)
      return say(...args)
    })
  }
  const late = b.group.publish('g', 'late')
  t.match(await b.group.publish('g', 'early'), { recipients: 1, nodes: 1, confirmed: 1 })
  over()
  t.match(await late, { recipients: 1, confirmed: 1 })
  t.same(ann.heard, ['warm', 'early', 'late'])
})

t.test('a node that needs longer than its lease to say again what it has gets there', { skip }, async t => {
  const server = await RedisServer.start(t)
  const client = await server.client(t, 'ioredis')
  const leaseMs = 200
  const a = await createRedisRegistry(client, { prefix: 'many', leaseMs, timeoutMs: 5000 })
  t.teardown(() => a.close())
  const { process } = await idler(t)
  const names = Array.from({ length: 30_000 }, (_, i) => `k${i}`)
  for (let i = 0; i < names.length; i += 200) {
    await Promise.all(
      names.slice(i, i + 200).map(async name => again(9, async () => a.register(name, process))),
    )
  }
  const redis = await peek(t, server)
  await server.kill()
  await server.start()
  await until(async () => (await redis.hlen('{many}:names')) === names.length && a.reachable)
})

t.test('a node is no other node to itself, whatever of its sessions comes back', { skip }, async t => {
  const { a, b, server, keys } = await pairOf(t, BOTH[0])
  const ann = await idler(t)
  await a.unique.register('x', ann.process)
  const redis = await peek(t, server)
  const sessionOf = async (name: string): Promise<string> =>
    (await redis.hget(`${keys}names`, name))!.split(' ')[0]
  // Two servers take over, one after the other, that have not heard the last: the second not even of the session that began then.
  const names = await redis.hgetall(`${keys}names`)
  const first = await sessionOf('x')
  await redis.hincrby(`${keys}versions`, first, -1)
  await until(async () => (await sessionOf('x')) !== first)
  const second = await sessionOf('x')
  await redis
    .multi()
    .hset(`${keys}names`, names)
    .hset(`${keys}versions`, first, 2)
    .zadd(`${keys}sessions`, Date.now() + 60_000, first)
    .zrem(`${keys}sessions`, second)
    .hdel(`${keys}versions`, second)
    .exec()
  await until(async () => ![first, second].includes(await sessionOf('x')))
  t.equal(await b.unique.send('x', 'still here'), true)
  t.equal(ann.process.phase, 'idle')
})

t.test('two calls that let one process join: it is a member if either succeeds', { skip }, async t => {
  const { b, proxy } = await pairOf(t, BOTH[0])
  const bob = await idler(t)
  proxy.cut()
  const first = failure(b.group.join('g', bob.process))
  await new Promise(done => setTimeout(done, 300))
  const second = b.group.join('g', bob.process).catch((error: unknown) => error)
  t.match(await first, { code: 'WS_REGISTRY_UNREACHABLE' })
  proxy.heal()
  const joined = (await second) === 'ok'
  t.equal(b.group.members('g').length, joined ? 1 : 0)
})

t.test('what was given up is not done later, when Redis has forgotten its scripts', { skip }, async t => {
  for (const [kind, other] of BOTH) {
    const { a, proxy, server, keys } = await pairOf(t, [other, kind])
    const client = await connectClient(t, kind, proxy.port)
    const options = { prefix: keys.slice(1, -2), leaseMs: 60_000, timeoutMs: 1000 }
    const b = await createRedisRegistry(client, options)
    t.teardown(() => b.close())
    const [ann, bob, cid] = [await idler(t), await idler(t), await idler(t)]
    await b.unique.register('x', bob.process)
    proxy.cut()
    t.match(await failure(b.unique.unregister('x', bob.process)), { code: 'WS_REGISTRY_UNREACHABLE' })
    const redis = await peek(t, server)
    await redis.script('FLUSH')
    // From here on Redis knows how a name is claimed, and not how one is given back.
    await a.unique.register('y', ann.process)
    const registered = b.unique.register('x', cid.process)
    proxy.heal()
    t.equal(await registered, 'ok')
    for (let i = 0; i < 3; i++) await b.unique.send('y', i)
    t.equal((await a.unique.lookup('x'))?.node, b.node)
  }
})

t.test('who replied counts, though Redis no longer says that it was told', { skip }, async t => {
  const { a, b, proxy, server, keys } = await pairOf(t, BOTH[0])
  const bob = await idler(t)
  await b.group.join('g', bob.process)
  const redis = await peek(t, server)
  proxy.cut()
  const delivery = a.group.publish('g', 1)
  // As of a node that was told, and has left until a client said the command once more.
  const reply = { type: 'reply', count: 3, from: 'gone', id: 1 }
  await redis.publish(`${keys}to:${a.node}`, JSON.stringify(reply))
  t.same(await delivery, { recipients: 3, nodes: 2, confirmed: 1 })
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
    { ...good, type: 'broadcast', message: 'x', compress: 1, from: 'another' },
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

t.test('an error says why Redis cannot be used, where the client has a code and no message', async t => {
  const cause = Object.assign(new AggregateError([], ''), { code: 'ECONNREFUSED' })
  const clock = new VirtualClock()
  t.match(await failure(within(Promise.reject(cause), 1000, clock)), {
    code: 'WS_REGISTRY_UNREACHABLE',
    message: 'Redis cannot be used: ECONNREFUSED',
    cause,
  })
  for (const [other, message] of [
    [new TypeError(''), 'Redis cannot be used: TypeError'],
    [new Error('no'), 'Redis cannot be used: no'],
  ] as const) {
    t.equal((await failure(within(Promise.reject(other), 1000, clock))).message, message)
  }
})
