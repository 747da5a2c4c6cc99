// Strategy: what every registry promises, tried on the one of this program and on the one over Redis, with both clients. What
// only a cluster can show is in the other files.
import t, { type Test } from 'tap'
import { call, cast, info, PreparedMessage, send, setGlobalRegistry, stop, whereis } from '../../src/index.js'
import { createRegistry, type Registry, RegistryError } from '../../src/registry/index.js'
import { createRedisRegistry } from '../../src/registry/redis/index.js'
import { Scene } from '../support/scene.js'
import { failure } from '../support/servers.js'
import { type Idler, idler, until } from './members.js'
import { KINDS, RedisServer, skip } from './redis-server.js'

type Law = (t: Test, registry: Registry) => Promise<void>

const laws: Record<string, Law> = {
  'a unique name belongs to one process': async (t, { unique, node }) => {
    const [ann, bob] = [await idler(t), await idler(t)]
    t.equal(await unique.lookup('x'), null)
    t.equal(await unique.register('x', ann.process), 'ok')
    t.equal(await unique.register('x', ann.process), 'ok', 'its own name once more')
    t.equal(await unique.register('x', bob.process), 'taken')
    t.equal(await unique.register('y', ann.process), 'already-registered')
    const holder = await unique.lookup('x')
    t.equal(holder?.node, node)
    t.equal(holder?.process, ann.process)
    t.ok(Number.isSafeInteger(holder?.fence))
  },
  'of many who ask for one name at once, one gets it': async (t, { unique }) => {
    const all = await Promise.all(Array.from({ length: 10 }, () => idler(t)))
    const answers = await Promise.all(all.map(({ process }) => unique.register('x', process)))
    t.same(answers.toSorted(), ['ok', ...Array.from({ length: 9 }, () => 'taken')])
    t.equal((await unique.lookup('x'))?.process, all[answers.indexOf('ok')].process)
  },
  'a process that asks for two names at once gets one': async (t, { unique }) => {
    const { process } = await idler(t)
    const answers = await Promise.all([unique.register('x', process), unique.register('y', process)])
    t.same(answers.toSorted(), ['already-registered', 'ok'])
    t.equal([await unique.lookup('x'), await unique.lookup('y')].filter(one => one !== null).length, 1)
  },
  'a name that is given back is free, for the same process too, and its fence grows': async (
    t,
    { unique },
  ) => {
    const [ann, bob] = [await idler(t), await idler(t)]
    t.equal(await unique.unregister('x', ann.process), 'not-registered')
    let fence = 0
    for (const { process } of [ann, bob, ann, ann]) {
      t.equal(await unique.register('x', process), 'ok')
      const holder = await unique.lookup('x')
      t.ok(holder!.fence > fence)
      fence = holder!.fence
      t.equal(await unique.unregister('x', process), 'ok')
      t.equal(await unique.lookup('x'), null)
    }
    t.equal(await unique.register('y', ann.process), 'ok', 'it may have another name then')
    t.equal(
      await unique.unregister('y', bob.process),
      'not-registered',
      'nobody gives back what is of another',
    )
    t.equal((await unique.lookup('y'))?.process, ann.process)
  },
  'a name vanishes with its process': async (t, { unique }) => {
    const [ann, bob] = [await idler(t), await idler(t)]
    await unique.register('x', ann.process)
    await ann.process.stop()
    t.equal(await unique.send('x', 1), false)
    t.equal(await unique.register('x', bob.process), 'ok', 'at once')
    const error = await failure(unique.register('z', ann.process))
    t.match(error, { code: 'WS_NO_PROCESS' })
    t.equal(await unique.lookup('z'), null, 'who has ended gets no name')
  },
  'a message to a name is for whoever has it': async (t, { unique }) => {
    const ann = await idler(t)
    t.equal(await unique.send('x', 1), false)
    await unique.register('x', ann.process)
    t.equal(await unique.send('x', { a: [1, undefined, new Uint8Array([1, 2])] }), true)
    await until(() => ann.heard.length > 0)
    t.same(ann.heard, [{ a: [1, undefined, new Uint8Array([1, 2])] }])
  },
  'a group is whoever has joined and not left': async (t, { group }) => {
    const [ann, bob] = [await idler(t), await idler(t)]
    t.same(await group.publish('g', 0), { recipients: 0, nodes: 0, confirmed: 0 })
    t.equal(await group.join('g', ann.process), 'ok')
    t.equal(await group.join('g', ann.process), 'ok', 'twice is once')
    t.equal(await group.join('g', bob.process), 'ok')
    t.same(group.members('g'), [ann.process, bob.process])
    t.same(await group.publish('g', 1), { recipients: 2, nodes: 1, confirmed: 1 })
    t.equal(await group.leave('g', bob.process), 'ok')
    t.equal(await group.leave('g', bob.process), 'not-in-group')
    t.same(await group.publish('g', 2), { recipients: 1, nodes: 1, confirmed: 1 })
    await ann.process.stop()
    t.same(group.members('g'), [])
    t.same(await group.publish('g', 3), { recipients: 0, nodes: 0, confirmed: 0 })
    t.same([ann.heard, bob.heard], [[1, 2], [1]])
    t.match(await failure(group.join('g', ann.process)), { code: 'WS_NO_PROCESS' })
    t.same(group.members('g'), [])
  },
  'a process may be in many groups': async (t, { group }) => {
    const ann = await idler(t)
    await Promise.all(['a', 'b', 'c'].map(name => group.join(name, ann.process)))
    for (const name of ['a', 'b', 'c']) t.equal((await group.publish(name, name)).recipients, 1)
    await until(() => ann.heard.length === 3)
    t.same(ann.heard, ['a', 'b', 'c'])
  },
  'joining and leaving at once ends as it was asked for': async (t, { group }) => {
    const ann = await idler(t)
    for (let i = 0; i < 20; i++) {
      await Promise.all([group.join('g', ann.process), group.leave('g', ann.process)])
      t.equal((await group.publish('g', i)).recipients, 0)
      await Promise.all([
        group.join('g', ann.process),
        group.leave('g', ann.process),
        group.join('g', ann.process),
      ])
      t.equal((await group.publish('g', i)).recipients, 1)
      await group.leave('g', ann.process)
    }
    await until(() => ann.heard.length === 20)
  },
  'a broadcast goes out on the connections of the members': async (t, { group }) => {
    const scene = new Scene(t)
    const [ann, bob] = [await scene.start(), await scene.start()]
    const nobody = await idler(t)
    for (const process of [ann, bob, nobody.process]) await group.join('g', process)
    for (const message of [
      'text',
      new Uint8Array([1, 2]),
      { type: 'text' as const, data: 'object', compress: false },
      new PreparedMessage('ready'),
    ])
      t.match(await group.broadcast('g', message), { recipients: 2, nodes: 1, confirmed: 1 })
    await scene.network.settle()
    for (const link of [0, 1]) {
      t.same(
        scene.framesOf(link).map(({ payload }) => Buffer.from(payload).toString('latin1')),
        ['text', '\x01\x02', 'object', 'ready'],
      )
    }
    t.match(await failure(group.broadcast('g', { type: 'ping' } as never)), {
      code: 'WS_REGISTRY_BAD_MESSAGE',
    })
  },
  'names and groups of a scope are of their own': async (t, registry) => {
    const [ann, bob] = [await idler(t), await idler(t)]
    const scope = registry.scope('tenant')
    t.equal(scope.node, registry.node)
    for (const [where, { process }] of [
      [registry, ann],
      [scope, bob],
      [scope.scope('room'), ann],
    ] as const) {
      t.equal(await where.unique.register('x', process), 'ok')
      await where.group.join('g', process)
      t.equal((await where.unique.lookup('x'))?.process, process)
      t.equal((await where.group.publish('g', 1)).recipients, 1)
    }
    await ann.process.stop()
    t.equal(await registry.unique.lookup('x'), null)
    t.equal((await scope.unique.lookup('x'))?.process, bob.process)
  },
  'names that are no texts are refused': async (t, registry) => {
    const { process } = await idler(t)
    for (const wrong of ['', 'a\0b', 7, null, undefined] as string[]) {
      for (const attempt of [
        () => registry.unique.register(wrong, process),
        () => registry.unique.lookup(wrong),
        () => registry.unique.send(wrong, 1),
        () => registry.group.join(wrong, process),
        () => registry.group.publish(wrong, 1),
      ])
        t.match(await failure(attempt()), { name: 'RegistryError', code: 'WS_REGISTRY_BAD_NAME' })
      t.throws(() => registry.scope(wrong), { code: 'WS_REGISTRY_BAD_NAME' })
    }
    t.match(await failure(registry.unique.register('x', {} as never)), { code: 'WS_NO_PROCESS' })
  },
  'processes are started with a name of the registry': async (t, registry) => {
    setGlobalRegistry(registry)
    t.teardown(() => setGlobalRegistry(null))
    for (const name of [{ via: registry, key: { id: 7 } }, { global: 'feed' }, { via: registry, key: 7 }]) {
      const ann: Idler = await idler(t, name)
      t.equal(await whereis(name), ann.process)
      t.match(await failure(idler(t, name)), { code: 'WS_ALREADY_STARTED', holder: ann.process })
      await info(name, 1)
      await cast(name, 2)
      await until(() => ann.heard.length === 2)
      t.same(ann.heard, [1, 2])
      t.same(await call(name, 3), ['answer', 3])
      t.match(await failure(send(name, 'x')), { name: 'NotConnectedError' })
      t.equal(await registry.unique.register(`u${String(ann.process.name)}`, ann.process), 'ok', 'beside')
      t.match(await stop(name, 'enough'), { value: 'enough' })
      t.equal(await whereis(name), null)
      const bob = await idler(t, name)
      t.equal(await whereis(name), bob.process)
    }
    t.match(await failure(idler(t, { via: registry, key: () => {} })), { code: 'WS_REGISTRY_BAD_NAME' })
  },
  'a closed registry knows nobody, and says that it is closed': async (t, registry) => {
    const ann = await idler(t)
    await registry.unique.register('x', ann.process)
    await registry.group.join('g', ann.process)
    const scope = registry.scope('s')
    await registry.close()
    await registry.close()
    for (const { unique, group } of [registry, scope]) {
      for (const attempt of [
        () => unique.register('x', ann.process),
        () => unique.unregister('x', ann.process),
        () => unique.lookup('x'),
        () => unique.send('x', 1),
        () => group.join('g', ann.process),
        () => group.leave('g', ann.process),
        () => group.publish('g', 1),
        () => group.broadcast('g', 'x'),
      ]) {
        const error = await failure(attempt())
        t.ok(error instanceof RegistryError)
        t.equal(error.code, 'WS_REGISTRY_CLOSED')
      }
    }
    t.not(ann.process.phase, 'ended', 'processes go on')
  },
}

function tryLaws(kind: string, skipped: string | false, make: (t: Test) => Promise<Registry>): void {
  t.test(kind, { skip: skipped }, async t => {
    for (const [law, check] of Object.entries(laws)) {
      await t.test(law, async t => {
        const registry = await make(t)
        t.teardown(() => registry.close())
        await check(t, registry)
      })
    }
  })
}

tryLaws('in one program', false, async () => createRegistry())

let server: Promise<RedisServer> | null = null
for (const kind of KINDS) {
  tryLaws(`on Redis, with ${kind}`, skip, async here => {
    const redis = await (server ??= RedisServer.start(t))
    const client = await redis.client(here, kind)
    return createRedisRegistry(client, { prefix: `contract-${kind}-${Math.random()}`, timeoutMs: 5000 })
  })
}
