// Names and supervision with real processes over real sockets. What children that do what a test says can show is in
// names.test.ts and supervisor.test.ts.
import t, { type Test } from 'tap'
import { type Behaviour, defineBehaviour } from '../../src/behaviour/behaviour.js'
import { childSpec } from '../../src/behaviour/child-spec.js'
import type { EndReason } from '../../src/behaviour/end-reason.js'
import type { From } from '../../src/behaviour/from.js'
import type { NameRegistry } from '../../src/behaviour/names.js'
import type { AnyProcess, Process } from '../../src/behaviour/process.js'
import { AlreadyStartedError, ChildStartError } from '../../src/behaviour/process-error.js'
import { call, cast, info, send, stop, whereis } from '../../src/behaviour/process-ref.js'
import { start } from '../../src/behaviour/start.js'
import { startSupervisor } from '../../src/behaviour/supervisor.js'
import type { SupervisorEvent } from '../../src/behaviour/supervisor-event.js'
import { ConnectionError, type Listener, listen, type Socket } from '../../src/index.js'
import { failure, leavesNothing, serve, silentServer, turn, withResolvers } from '../support/servers.js'
import { VirtualClock } from '../support/virtual-clock.js'

/** A server that remembers by path who came, and how each Close frame that it received looked. */
interface Host {
  readonly url: string
  readonly closes: string[]
  /** The next connection that comes to a path. */
  readonly arrival: (path: string) => Promise<Socket>
}

async function host(t: Test): Promise<Host> {
  const closes: string[] = []
  const waiting = new Map<string, (socket: Socket) => void>()
  const server: Listener = await listen({}, (socket, request) => {
    const path = request.head.target
    socket.onMessage = message => void socket.write(message.data)
    void socket.closed.then(({ received }) => {
      if (received !== null) closes.push(`${path} ${received.code} ${received.reason}`)
    })
    waiting.get(path)?.(socket)
  })
  t.teardown(() => server.close())
  return {
    url: server.url,
    closes,
    arrival: path => new Promise(resolve => waiting.set(path, resolve)),
  }
}

/** Resolves with the next event of this type. */
function eventually(): {
  readonly onEvent: (event: SupervisorEvent) => void
  readonly next: (type: SupervisorEvent['type']) => Promise<SupervisorEvent>
} {
  const waiting = new Map<string, (event: SupervisorEvent) => void>()
  return {
    onEvent: event => {
      waiting.get(event.type)?.(event)
      waiting.delete(event.type)
    },
    next: type => new Promise(resolve => waiting.set(type, resolve)),
  }
}

const quiet: Behaviour<undefined> = {}
const fail = (): never => {
  throw new TypeError('not today')
}
const handleCast = (message: 'throw' | 'stop'): { stop: string } => {
  if (message === 'throw') throw new RangeError('boom')
  return { stop: 'done' }
}

t.test('a name leads to its process, and is taken until that has ended', async t => {
  const { url } = await host(t)
  const frames = withResolvers<string>()
  const infos = withResolvers<unknown>()
  const behaviour = defineBehaviour({
    init: () => [] as unknown[],
    handleCast: (message: unknown, state) => ({ state: [...state, message] }),
    handleCall: (_: 'all', _from: From<unknown[]>, state) => ({ answer: state }),
    handleInfo: message => infos.resolve(message),
    handleFrame: frame => frames.resolve(String(frame.data)),
  })
  const entries = new Map<unknown, AnyProcess>()
  const registry: NameRegistry = {
    register: async (key, process) => !entries.has(key) && entries.set(key, process) === entries,
    unregister: async key => entries.delete(key),
    whereis: async key => entries.get(key),
  }
  for (const name of ['feed', { via: registry, key: 'feed' }] as const) {
    const process = await start(url, behaviour, { name })
    t.equal(await whereis(name), process)
    const error = await failure(start(url, behaviour, { name }))
    t.ok(error instanceof AlreadyStartedError)
    t.equal((error as AlreadyStartedError).holder, process)
    await cast(name, 'one')
    await cast(name, 'two')
    t.same(await call(name, 'all'), ['one', 'two'])
    await send(name, { type: 'text', data: 'hello' })
    t.equal(await frames.promise, 'hello')
    await info(name, 'three')
    t.equal(await infos.promise, 'three')
    t.match(await stop(name, 'enough'), { type: 'stop', normal: true, value: 'enough' })
    t.equal(await whereis(name), null)
  }
  t.equal(entries.size, 0)
})

t.test('a start that fails gives its name back, and of two that start at once one has it', async t => {
  const { url } = await host(t)
  const gone = await listen({}, () => {})
  await gone.close()
  t.ok((await failure(start(gone.url, quiet, { name: 'feed' }))) instanceof ConnectionError)
  t.equal(whereis('feed'), null)
  t.ok((await failure(start(url, { init: fail }, { name: 'feed' }))) instanceof TypeError)
  t.equal(whereis('feed'), null)
  const both = await Promise.allSettled([
    start(url, quiet, { name: 'feed' }),
    start(url, quiet, { name: 'feed' }),
  ])
  t.same(
    both.map(({ status }) => status),
    ['fulfilled', 'rejected'],
  )
  t.match(both[1], { reason: { code: 'WS_ALREADY_STARTED', holder: whereis('feed') } })
  await stop('feed')
})

t.test(
  'a transient process comes back after an abnormal close, under its name, and not after 1000',
  async t => {
    const { url, arrival } = await host(t)
    const { onEvent, next } = eventually()
    const first = arrival('/feed')
    const supervisor = await startSupervisor({
      onEvent,
      children: [
        childSpec({
          target: `${url}/feed`,
          behaviour: { init: (n: number) => ({ n }) },
          options: { name: 'feed', args: 7 },
          restart: 'transient',
        }),
      ],
    })
    const before = whereis('feed')
    t.equal(supervisor.child('feed'), before)
    const again = arrival('/feed')
    const started = next('child-started')
    void (await first).close(1011, 'oops')
    const second = await again
    await started
    const after = whereis('feed')
    t.not(after, before)
    t.equal(supervisor.child('feed'), after)
    t.match(await before!.ended, { type: 'remote', normal: false, code: 1011, text: 'oops' })
    t.same(await after!.getState(), { n: 7 })

    const ended = next('child-ended')
    void second.close(1000)
    t.match(await ended, { reason: { type: 'remote', normal: true } })
    // What would start it again would come before the answer to this.
    t.match(await failure(supervisor.startChild({ id: 'feed', start: async () => after! })), {
      code: 'WS_ALREADY_STARTED',
      holder: null,
    })
    t.match(supervisor.children(), [{ id: 'feed', child: null, state: 'stopped' }])
    t.equal(whereis('feed'), null)
    await supervisor.stop()
  },
)

t.test('a callback that throws is an abnormal end, and a permanent process comes back after any', async t => {
  const { url } = await host(t)
  const { onEvent, next } = eventually()
  await using supervisor = await startSupervisor({
    onEvent,
    children: [childSpec({ target: url, behaviour: { handleCast }, options: { name: 'worker' } })],
  })
  for (const message of ['throw', 'stop'] as const) {
    const ended = next('child-ended')
    const started = next('child-started')
    cast('worker', message)
    const reasons = {
      throw: { type: 'crash', error: { message: 'boom' } },
      stop: { type: 'stop', value: 'done' },
    }
    t.match(await ended, { reason: reasons[message] })
    t.match(await started, { restarted: true, child: whereis('worker') })
  }
  t.match(supervisor.count(), { active: 1 })
})

t.test('stop() closes with 1001 in reverse order, and terminate says why', async t => {
  const { url, closes } = await host(t)
  const reasons: EndReason[] = []
  const terminate = (reason: EndReason): void => void reasons.push(reason)
  await leavesNothing(t, async () => {
    const supervisor = await startSupervisor({
      children: ['a', 'b', 'c'].map(id =>
        childSpec({ id, target: `${url}/${id}`, behaviour: { terminate } }),
      ),
    })
    t.match(await supervisor.stop(), { type: 'stop', normal: true })
  })
  t.same(closes, ['/c 1001 supervisor stopped', '/b 1001 supervisor stopped', '/a 1001 supervisor stopped'])
  t.match(reasons, [{ type: 'stop', normal: true, value: 'shutdown' }, {}, {}])
})

t.test('one-for-all closes the others with 1001 and connects all of them again', async t => {
  const { url, closes, arrival } = await host(t)
  const { onEvent, next } = eventually()
  const arrivals = ['/a', '/b', '/c'].map(path => arrival(path))
  const supervisor = await startSupervisor({
    strategy: 'one-for-all',
    onEvent,
    children: ['a', 'b', 'c'].map(id => childSpec({ id, target: `${url}/${id}`, behaviour: quiet })),
  })
  const [, b] = await Promise.all(arrivals)
  const last = arrival('/c')
  // A reset, without a Close frame.
  b.terminate()
  await last
  while ((await next('child-started')).id !== 'c');
  t.same(closes, ['/c 1001 supervisor restarts', '/a 1001 supervisor restarts'])
  t.match(supervisor.count(), { active: 3 })
  await supervisor.stop()
})

t.test('a peer that does not answer our Close has shutdownMs, and no longer', async t => {
  const { url, arrival } = await host(t)
  const clock = new VirtualClock()
  const deaf = arrival('/a')
  await leavesNothing(t, async () => {
    const supervisor = await startSupervisor({
      clock,
      children: [
        childSpec({
          id: 'a',
          target: `${url}/a`,
          behaviour: quiet,
          options: { clock, closeTimeoutMs: 60_000, keepalive: false },
          shutdownMs: 200,
        }),
      ],
    })
    const peer = await deaf
    peer.pause()
    const ending = supervisor.stop()
    while (supervisor.children()[0].state !== 'stopping') await turn()
    clock.advance(199)
    t.equal(supervisor.children()[0].state, 'stopping')
    clock.advance(1)
    t.match(await ending, { normal: true })
    t.equal(clock.pending, 0)
    peer.terminate()
  })
})

t.test('a process that cannot connect names its child and its cause, and nothing is left', async t => {
  const { url, closes } = await host(t)
  const gone = await listen({}, () => {})
  await gone.close()
  await leavesNothing(t, async () => {
    const children = [
      childSpec({ id: 'a', target: `${url}/a`, behaviour: quiet }),
      childSpec({ id: 'b', target: gone.url, behaviour: quiet }),
    ]
    const error = await failure(startSupervisor({ children }))
    t.ok(error instanceof ChildStartError)
    t.match(error, { id: 'b', cause: { code: 'WS_CONNECT_FAILED' } })
  })
  t.same(closes, ['/a 1001 supervisor stopped'])
})

t.test('stop() gives up a process that is connecting', async t => {
  const { server, heard } = silentServer()
  const port = await serve(t, server)
  const { url, arrival } = await host(t)
  const targets = [`${url}/a`, `ws://127.0.0.1:${port}/`]
  const first = arrival('/a')
  const supervisor = await startSupervisor({
    children: [
      childSpec({ id: 'a', target: () => targets.shift()!, behaviour: quiet, shutdownMs: Infinity }),
    ],
  })
  void (await first).close(1011)
  await heard
  t.equal(supervisor.children()[0].state, 'starting')
  t.match(await supervisor.stop(), { normal: true })
})

t.test('the types of a process are those of its behaviour', async t => {
  const spec = childSpec({
    id: 'a',
    target: 'ws://127.0.0.1:1',
    behaviour: {
      init: () => ({ seen: 0 }),
      handleFrame: (_, state) => ({ state: { seen: state.seen + 1 } }),
      handleCast: (message: 'up' | 'down') => void message,
    },
  })
  // Never called: only the compiler looks at it.
  const typed = async (process: Process<{ seen: number }, 'up' | 'down'>): Promise<unknown> => {
    process = await spec.start(AbortSignal.timeout(1))
    // @ts-expect-error no such cast
    process.cast('left')
    // @ts-expect-error another state
    return childSpec({
      id: 'a',
      target: '',
      behaviour: { init: () => 1, handleFrame: () => ({ state: '' }) },
    })
  }
  t.type(typed, 'function')
  t.equal(childSpec({ target: '', behaviour: quiet, options: { name: { global: 'x' } } }).id, 'global:x')
  t.throws(() => childSpec({ target: '', behaviour: quiet }), {
    code: 'WS_BAD_OPTION',
    message: /needs an id/,
  })
  t.throws(() => childSpec({ id: 'a', target: '' } as never), { code: 'WS_BAD_OPTION', message: /behaviour/ })
  t.throws(() => childSpec({ id: 'a', target: '', behaviour: quiet, start: 1 } as never), {
    code: 'WS_BAD_OPTION',
  })
})
