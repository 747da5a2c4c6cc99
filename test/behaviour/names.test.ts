import t from 'tap'
import { claimName } from '../../src/behaviour/claim-name.js'
import {
  locate,
  type NameRegistry,
  type ProcessName,
  setGlobalRegistry,
  showName,
} from '../../src/behaviour/names.js'
import type { AnyProcess, CallOptions, Process } from '../../src/behaviour/process.js'
import { AlreadyStartedError, NoProcessError, ProcessError } from '../../src/behaviour/process-error.js'
import { call, cast, info, send, stop, whereis } from '../../src/behaviour/process-ref.js'
import { UsageError } from '../../src/index.js'
import { failure, turn, withResolvers } from '../support/servers.js'

/** Stands in for a process: writes down what it is asked. */
function fake(shown = 'fake'): AnyProcess & { readonly log: unknown[] } {
  const log: unknown[] = []
  const process = {
    name: shown,
    log,
    send: async (frame: unknown) => void log.push(['send', frame]),
    cast: (message: unknown) => void log.push(['cast', message]),
    info: (message: unknown) => void log.push(['info', message]),
    call: async (message: unknown, options?: CallOptions) => {
      log.push(['call', message, options])
      return 42
    },
    stop: async (reason: unknown, options: unknown) => {
      log.push(['stop', reason, options])
      return { normal: true }
    },
  }
  return process as unknown as AnyProcess & { readonly log: unknown[] }
}

/** A registry that answers a turn later, or at once. */
function registry(slow: boolean): NameRegistry & { readonly entries: Map<unknown, AnyProcess> } {
  const entries = new Map<unknown, AnyProcess>()
  const maybe = <T>(work: () => T): T | Promise<T> => (slow ? turn().then(work) : work())
  return {
    entries,
    register: (key, process) =>
      maybe(() => {
        if (entries.has(key)) return false
        entries.set(key, process)
        return true
      }),
    unregister: (key, process) =>
      maybe(() => {
        if (entries.get(key) === process) entries.delete(key)
      }),
    whereis: key => maybe(() => entries.get(key)),
  }
}

const kinds: readonly (readonly [string, () => ProcessName])[] = [
  ['a local name', () => 'feed'],
  ['a name of a registry that answers at once', () => ({ via: registry(false), key: 'feed' })],
  ['a name of a registry that takes its time', () => ({ via: registry(true), key: { feed: 1 } })],
  [
    'a global name',
    () => {
      setGlobalRegistry(registry(true))
      return { global: 'feed' }
    },
  ],
]

for (const [kind, make] of kinds) {
  t.test(`${kind} belongs to one process until that gives it back`, async t => {
    const name = make()
    const [first, second] = [fake('first'), fake('second')]
    t.equal(await whereis(name), null)
    const results = await Promise.allSettled([claimName(name, first), claimName(name, second)])
    t.same(
      results.map(({ status }) => status),
      ['fulfilled', 'rejected'],
      'of two who claim it at once, one gets it',
    )
    const error = await failure(claimName(name, second))
    t.ok(error instanceof AlreadyStartedError)
    t.equal((error as AlreadyStartedError).code, 'WS_ALREADY_STARTED')
    t.equal((error as AlreadyStartedError).holder, first)
    t.equal(error.message, `the name ${showName(name)} is taken`)
    t.equal(await whereis(name), first)

    const release = (results[0] as PromiseFulfilledResult<() => Promise<void>>).value
    await release()
    t.equal(await whereis(name), null)
    const again = await claimName(name, second)
    await release()
    t.equal(await whereis(name), second, 'giving it back twice does not take it from the next holder')
    await again()
    setGlobalRegistry(null)
  })

  t.test(`${kind} can be cast to, called, sent to and stopped`, async t => {
    const name = make()
    const process = fake()
    const release = await claimName(name, process)
    await cast(name, 1)
    await info(name, 2)
    t.equal(await call(name, 3, { timeoutMs: 4 }), 42)
    await send(name, { type: 'text', data: '5' })
    t.match(await stop(name, 'six', { code: 1001 }), { normal: true })
    const all = [
      ['cast', 1],
      ['info', 2],
      ['call', 3, { timeoutMs: 4 }],
      ['send', { type: 'text', data: '5' }],
      ['stop', 'six', { code: 1001 }],
    ]
    t.same(process.log, all)
    await release()

    const attempts: readonly (() => unknown)[] = [
      () => cast(name, 1),
      () => info(name, 1),
      () => call(name, 1),
      () => send(name, { type: 'text', data: '' }),
      () => stop(name),
    ]
    for (const attempt of attempts) {
      const error = await failure((async () => attempt())())
      t.ok(error instanceof NoProcessError)
      t.match(error, {
        code: 'WS_NO_PROCESS',
        reason: null,
        message: `there is no process ${showName(name)}`,
      })
    }
    t.same(process.log, all)
    setGlobalRegistry(null)
  })
}

t.test('a process takes the place of a name, with the types of its messages', async t => {
  const process = fake()
  const typed = process as unknown as Process<number, 'up' | 'down', number, string, Date>
  t.equal(cast(typed, 'up'), undefined)
  const date = new Date(0)
  t.equal(info(typed, date), undefined)
  const answer: string = await call(typed, 3)
  t.equal(answer, 42)
  t.same(process.log, [
    ['cast', 'up'],
    ['info', date],
    ['call', 3, undefined],
  ])
  // Never called: only the compiler looks at it.
  const refused = (): unknown => [
    // @ts-expect-error no such cast
    cast(typed, 'left'),
    // @ts-expect-error no such info
    info(typed, 'now'),
    // @ts-expect-error no such call
    call(typed, 'x'),
    // @ts-expect-error the answer is a string
    call(typed, 1).then((value: number) => value),
    // @ts-expect-error a process without handleCast
    cast(process as unknown as Process<number>, 1),
    // @ts-expect-error no frame
    send('feed', { type: 'txt' }),
  ]
  t.type(refused, 'function')
})

t.test('a local name is used at once: casts throw, and what is sent first arrives first', async t => {
  const process = fake()
  const claiming = claimName('feed', process)
  t.equal(whereis('feed'), process, 'claimed before anything is awaited')
  cast('feed', 1)
  void send('feed', 'a')
  void call('feed', 2)
  info('feed', 3)
  t.same(
    process.log.map(entry => (entry as unknown[])[0]),
    ['cast', 'send', 'call', 'info'],
  )
  const release = await claiming
  const releasing = release()
  t.equal(whereis('feed'), null, 'and free before anything is awaited')
  await releasing
  t.throws(() => cast('feed', 1), { code: 'WS_NO_PROCESS' })
  t.throws(() => info('feed', 1), { code: 'WS_NO_PROCESS' })
})

t.test('a rejection that the process excuses stays excused when it was sent to a name', async t => {
  const process = fake()
  const rejected = Promise.reject(new Error('no connection'))
  rejected.catch(() => {})
  Object.assign(process, { send: () => rejected })
  const release = await claimName('feed', process)
  t.equal(send('feed', 'x'), rejected, 'the very same promise')
  await release()
})

t.test('global names need a registry, and the error says how to give one', async t => {
  const name = { global: 'feed' }
  for (const attempt of [claimName(name, fake()), whereis(name), cast(name, 1), call(name, 1), stop(name)]) {
    const error = await failure(attempt)
    t.ok(error instanceof ProcessError)
    t.equal((error as ProcessError).code, 'WS_NO_CLUSTER')
    t.match(error.message, /^global:feed .*setGlobalRegistry\(registry\)/)
  }
  // Given back where it was claimed, whatever is configured by then.
  const cluster = registry(false)
  setGlobalRegistry(cluster)
  const release = await claimName(name, fake())
  t.equal(cluster.entries.size, 1)
  setGlobalRegistry(null)
  await release()
  t.equal(cluster.entries.size, 0)
  t.throws(() => setGlobalRegistry({ register: () => true } as never), { code: 'WS_BAD_OPTION' })
})

t.test('what a registry fails with is what the caller gets', async t => {
  const broken = new Error('the registry is down')
  const failing: NameRegistry = {
    register: () => Promise.reject(broken),
    unregister: () => Promise.reject(broken),
    whereis: () => {
      throw broken
    },
  }
  const name = { via: failing, key: 1 }
  t.equal(await failure(claimName(name, fake())), broken)
  for (const attempt of [
    whereis(name),
    cast(name, 1),
    info(name, 1),
    call(name, 1),
    send(name, ''),
    stop(name),
  ])
    t.equal(await failure(Promise.resolve(attempt)), broken)

  const taken = await failure(claimName({ via: { ...failing, register: () => false }, key: 1 }, fake()))
  t.match(taken, { code: 'WS_ALREADY_STARTED', holder: null, cause: broken })
  const release = await claimName({ via: { ...failing, register: () => true }, key: 1 }, fake())
  t.equal(await failure(release()), broken)

  const chatty = { ...failing, register: () => 'taken' } as unknown as NameRegistry
  const error = await failure(claimName({ via: chatty, key: 1 }, fake()))
  t.ok(error instanceof UsageError, 'a text does not pass for a yes')
})

t.test('a registry may know of things that only take frames', async t => {
  const { promise, resolve } = withResolvers<AnyProcess>()
  const name = { via: { ...registry(false), whereis: () => promise }, key: 'lamp' }
  const casting = cast(name, 1)
  const calling = call(name, 1)
  const { stop: end, send: write } = fake()
  resolve({ stop: end, send: write } as AnyProcess)
  t.match(await failure(casting), { code: 'WS_NO_CALLBACK', message: 'via:lamp takes no cast' })
  t.match(await failure(calling), { code: 'WS_NO_CALLBACK' })
  await send(name, 'on')
})

t.test('names are shown as text, and what is no name is refused', async t => {
  t.equal(showName('feed'), 'feed')
  t.equal(showName({ global: 'feed' }), 'global:feed')
  t.equal(showName({ via: registry(false), key: { id: 7 } }), 'via:{ id: 7 }')
  for (const wrong of ['', 7, null, undefined, {}, { key: 1 }, { via: {}, key: 1 }, { via: null, key: 1 }])
    t.throws(() => locate(wrong as never), { code: 'WS_BAD_OPTION' })
  for (const wrong of ['', 7, null, undefined]) {
    t.throws(() => cast(wrong as never, 1), { code: 'WS_BAD_OPTION' })
    t.match(await failure(send(wrong as never, 'x')), { code: 'WS_BAD_OPTION' })
  }
})
