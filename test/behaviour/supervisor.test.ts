// Strategy: supervision has nothing to do with sockets, so nearly all of it is tested with children that do what a test
// says, in virtual time. The log of a nursery reads like a story: `-b -c +b +c`. How supervisors end is in
// supervisor-ending.test.ts, random stories are in supervisor-laws.test.ts, processes in supervised-processes.test.ts.
import t from 'tap'
import { childSpec } from '../../src/behaviour/child-spec.js'
import { ChildStartError, RestartIntensityError } from '../../src/behaviour/process-error.js'
import { startSupervisor, type Supervisor } from '../../src/behaviour/supervisor.js'
import type { SupervisorEvent } from '../../src/behaviour/supervisor-event.js'
import type { RestartStrategy, SupervisorOptions } from '../../src/behaviour/supervisor-options.js'
import { UsageError } from '../../src/index.js'
import { end, FakeChild, Nursery } from '../support/fake-child.js'
import { failure, turn, withResolvers } from '../support/servers.js'
import { specs, states, STRATEGIES, supervised } from '../support/supervised.js'
import { VirtualClock } from '../support/virtual-clock.js'

const started = (id: string, child: unknown, restarted = false): object => ({
  type: 'child-started',
  id,
  child,
  restarted,
})
const fail = (): never => {
  throw new Error('not my day')
}
const startFake = async (): Promise<FakeChild> => new FakeChild('a')

supervised(
  'each strategy restarts the child that ended, all of them, or it and those after it',
  async (t, open) => {
    const stories: Record<RestartStrategy, string> = {
      'one-for-one': '-b +b',
      'one-for-all': '-b -d -c -a +a +b +c +d',
      'rest-for-one': '-b -d -c +b +c +d',
    }
    for (const strategy of STRATEGIES) {
      const { supervisor, nursery, after } = await open('a b c d', { strategy })
      const others = ['a', 'c', 'd'].map(id => nursery.get(id))
      const first = supervisor.child('b')
      nursery.get('b').crash()
      t.equal(await after(), stories[strategy], strategy)
      t.not(supervisor.child('b'), first)
      t.equal(supervisor.child('b'), nursery.get('b'))
      for (const { stops } of others.filter(({ alive }) => !alive))
        t.match(stops, [{ options: { code: 1001, reason: 'supervisor restarts', timeoutMs: 5000 } }])
      await supervisor.stop()
      t.equal(nursery.take(), '-d -c -b -a', 'and ends them in reverse order')
    }
  },
)

supervised(
  'permanent children come back always, transient ones after an abnormal end, temporary ones never',
  async (t, open) => {
    const { supervisor, nursery, after } = await open('a b? c? d!', { maxRestarts: 9 })
    nursery.get('a').end(end(true))
    t.equal(await after(), '-a +a')
    nursery.get('a').end(end(false))
    t.equal(await after(), '-a +a')
    nursery.get('b').end(end(false))
    t.equal(await after(), '-b +b')
    nursery.get('c').end(end(true))
    t.equal(await after(), '-c')
    nursery.get('d').crash()
    t.equal(await after(), '-d')
    t.equal(states(supervisor), 'a running, b running, c stopped', 'a temporary child is forgotten')
    t.same(supervisor.count(), { specs: 3, active: 2, workers: 3, supervisors: 0 })
    t.equal(supervisor.child('c'), null)
    t.equal(supervisor.child('d'), null)
  },
)

supervised(
  'a restart of several leaves out temporary children and brings back transient ones',
  async (t, open) => {
    const { supervisor, nursery, after } = await open('a? b c! d', { strategy: 'one-for-all' })
    nursery.get('a').end(end(true))
    t.equal(await after(), '-a')
    nursery.get('d').crash()
    t.equal(await after(), '-d -c -b +a +b +d')
    t.equal(states(supervisor), 'a running, b running, d running')
  },
)

supervised('children that end at the same time are restarted once, in order', async (t, open) => {
  const stories: Record<RestartStrategy, string> = {
    'one-for-one': '-c -a -b +c +a +b',
    'one-for-all': '-c -a -b +a +b +c',
    'rest-for-one': '-c -a -b +c +a +b +c',
  }
  for (const strategy of STRATEGIES) {
    const { supervisor, nursery, after } = await open('a b c', { strategy })
    for (const id of ['c', 'a', 'b']) nursery.get(id).crash()
    const story = await after()
    // With rest-for-one, the restart of `a` stops the `c` that was just started.
    t.equal(story, strategy === 'rest-for-one' ? '-c -a -b +c -c +a +b +c' : stories[strategy], strategy)
    t.equal(states(supervisor), 'a running, b running, c running')
  }
})

supervised(
  'more than maxRestarts within withinMs end the supervisor, and all its children in reverse order',
  async (t, open) => {
    const { supervisor, nursery, clock, events, after } = await open('a b c', { name: 'feeds' })
    for (let i = 0; i < 3; i++) {
      nursery.get('b').crash()
      t.equal(await after(1000), '-b +b')
    }
    nursery.get('b').crash('the last straw')
    t.equal(await after(), '-b -c -a')
    const reason = await supervisor.ended
    t.match(reason, { type: 'crash', normal: false, code: null, unsent: [] })
    const { error } = reason
    t.ok(error instanceof RestartIntensityError)
    t.match(error, {
      code: 'WS_RESTART_INTENSITY',
      id: 'b',
      message: 'more than 3 restarts in 5000 ms, the last one of b: the last straw',
      cause: { message: 'the last straw' },
      reason: { type: 'crash' },
    })
    t.match(events.at(-1), { type: 'child-ended', id: 'a', expected: true })
    t.same(
      events.filter(({ type }) => type === 'intensity-exceeded'),
      [{ type: 'intensity-exceeded', id: 'b', error }],
    )
    t.equal(states(supervisor), 'a stopped, b stopped, c stopped')
    t.equal(clock.pending, 0)
    const refused = [
      supervisor.startChild({ id: 'x', start: nursery.starter('x') }),
      supervisor.restartChild('a'),
    ]
    for (const promise of refused)
      t.match(await failure(promise), { code: 'WS_NO_PROCESS', reason, cause: error })
    t.equal(await supervisor.stop(), reason)
  },
)

supervised('restarts are forgotten after withinMs, which belongs to it', async (t, open) => {
  const { supervisor, nursery, after } = await open('a', { maxRestarts: 2, withinMs: 100 })
  for (const wait of [60, 41, 60, 41, 59]) {
    nursery.get('a').crash()
    t.equal(await after(wait), '-a +a')
  }
  // Restarts at 0, 60, 101, 161, 202. Now, at 261, the one at 161 was exactly 100 ms ago.
  nursery.get('a').crash()
  t.equal(await after(), '-a')
  t.match(await supervisor.ended, { error: { code: 'WS_RESTART_INTENSITY' } })
})

supervised('maxRestarts 0 allows none, and Infinity any number', async (t, open) => {
  const none = await open('a b', { maxRestarts: 0 })
  none.nursery.get('a').end(end(true))
  t.equal(await none.after(), '-a -b')
  const reason = await none.supervisor.ended
  t.match(reason.error, { message: 'more than 0 restarts in 5000 ms, the last one of a' })
  t.equal(reason.error?.cause, undefined, 'a normal end has no error')

  const any = await open('a', { maxRestarts: Infinity })
  for (let i = 0; i < 50; i++) {
    any.nursery.get('a').crash()
    t.equal(await any.after(), '-a +a')
  }
})

supervised(
  'a start that fails is tried again at the next turn of the clock, until it is too often',
  async (t, open) => {
    for (const strategy of STRATEGIES) {
      const { supervisor, nursery, events, after } = await open('a b c', { strategy })
      const tail = strategy === 'one-for-one' ? '' : ' +c'
      nursery.failing.set('b', 2)
      nursery.get('b').crash()
      await turn()
      const first = { 'one-for-one': '-b !b', 'one-for-all': '-b -c -a +a !b', 'rest-for-one': '-b -c !b' }
      t.equal(nursery.take(), first[strategy], strategy)
      const waiting = strategy === 'one-for-one' ? 'c running' : 'c restarting'
      t.equal(states(supervisor), `a running, b restarting, ${waiting}`)
      t.match(await failure(supervisor.restartChild('b')), { code: 'WS_CHILD_RUNNING' })
      t.equal(nursery.take(), '', 'not before')
      const head = strategy === 'one-for-all' ? '-a +a ' : ''
      t.equal(await after(), `${head}!b`)
      t.equal(await after(), `${head}+b${tail}`)
      t.equal(events.filter(({ type }) => type === 'child-restarting').length, 3)
      t.equal(states(supervisor), 'a running, b running, c running')

      nursery.failing.set('b', Infinity)
      nursery.get('b').crash()
      const end = { 'one-for-one': '-b -c -a', 'one-for-all': '-b -c -a', 'rest-for-one': '-b -c -a' }
      t.equal(await after(), end[strategy], 'the fourth restart in no time')
      t.match(await supervisor.ended, {
        error: { id: 'b', reason: { type: 'crash' }, cause: { message: 'boom' } },
      })
    }
  },
)

supervised('when no start succeeds any more, the last failure is the cause of the end', async (t, open) => {
  const { supervisor, nursery, after } = await open('a b')
  nursery.failing.set('b', Infinity)
  nursery.get('b').crash()
  await turn()
  t.equal(nursery.take(), '-b !b')
  for (const story of ['!b', '!b', '-a']) t.equal(await after(), story)
  const { error } = await supervisor.ended
  t.match(error, { id: 'b', reason: null, cause: { message: 'b does not start' } })
})

supervised('two children that cannot be started take turns', async (t, open) => {
  const { supervisor, nursery, after } = await open('a b', { maxRestarts: Infinity })
  nursery.failing.set('a', 2)
  nursery.failing.set('b', 2)
  nursery.get('a').crash()
  nursery.get('b').crash()
  await turn()
  t.equal(nursery.take(), '-a -b !a !b')
  for (const story of ['!a', '!b', '+a', '+b']) t.equal(await after(), story)
  t.equal(states(supervisor), 'a running, b running')
})

supervised(
  'what waits behind a child that cannot be started comes back when that child is stopped',
  async (t, open) => {
    const { supervisor, nursery, after } = await open('a b c', { strategy: 'rest-for-one' })
    nursery.failing.set('b', 1)
    nursery.get('b').crash()
    await turn()
    t.equal(nursery.take(), '-b -c !b')
    await supervisor.stopChild('b')
    t.equal(await after(), '+c')
    t.equal(states(supervisor), 'a running, b stopped, c running')
    t.equal(await after(1), '')
  },
)

t.test('when a child cannot be started, the supervisor is not, and those before it are ended', async t => {
  const nursery = new Nursery()
  const clock = new VirtualClock()
  nursery.failing.set('c', 1)
  const error = await failure(startSupervisor({ clock, children: specs(nursery, 'a b c d') }))
  t.equal(nursery.take(), '+a +b !c -b -a')
  t.ok(error instanceof ChildStartError)
  t.match(error, {
    code: 'WS_CHILD_START_FAILED',
    id: 'c',
    message: 'the child c could not be started: c does not start',
    cause: { message: 'c does not start' },
  })
  t.equal(clock.pending, 0)

  for (const start of [
    () => Promise.resolve(null as never),
    () => Promise.resolve({ ended: 1, stop: () => {} } as never),
    () => Promise.resolve({ ended: Promise.resolve(), stop: 1 } as never),
  ]) {
    const none = await failure(startSupervisor({ children: [{ id: 'x', start }] }))
    t.match(none, { id: 'x', cause: { code: 'WS_BAD_DATA' } })
  }
  const thrown = await failure(
    startSupervisor({
      children: [
        {
          id: 'x',
          start: () => {
            throw new TypeError('at once')
          },
        },
      ],
    }),
  )
  t.match(thrown, { id: 'x', cause: { name: 'TypeError' } })
})

supervised('children can be added, stopped, restarted and forgotten while it runs', async (t, open) => {
  const { supervisor, nursery, after } = await open('a b! c')
  const started: FakeChild = await supervisor.startChild({ id: 'd', start: nursery.starter('d') })
  t.equal(started, nursery.get('d'))
  t.match(await failure(supervisor.startChild({ id: 'd', start: nursery.starter('d') })), {
    code: 'WS_ALREADY_STARTED',
    holder: started,
  })
  t.match(await failure(supervisor.deleteChild('d')), { code: 'WS_CHILD_RUNNING', message: /is running/ })
  t.match(await failure(supervisor.restartChild('d')), { code: 'WS_CHILD_RUNNING' })
  await supervisor.stopChild('d')
  t.match(started.stops, [{ reason: 'shutdown', options: { code: 1001, timeoutMs: 5000 } }])
  t.match(await failure(supervisor.startChild({ id: 'd', start: nursery.starter('d') })), {
    code: 'WS_ALREADY_STARTED',
    holder: null,
  })
  await supervisor.stopChild('d')
  t.equal(await after(60_000), '+d -d', 'what was stopped is not restarted')
  nursery.failing.set('d', 1)
  t.match(await failure(supervisor.restartChild('d')), { id: 'd', cause: { message: 'd does not start' } })
  t.equal(states(supervisor), 'a running, b running, c running, d stopped')
  t.equal(await supervisor.restartChild('d'), nursery.get('d'))
  nursery.get('d').crash()
  t.equal(await after(), '!d +d -d +d', 'it is supervised like the others')
  await supervisor.stopChild('d')
  await supervisor.deleteChild('d')
  await supervisor.stopChild('b')
  t.equal(states(supervisor), 'a running, c running', 'a temporary child that was stopped is forgotten')
  for (const attempt of [
    supervisor.stopChild('d'),
    supervisor.restartChild('d'),
    supervisor.deleteChild('d'),
    supervisor.stopChild('b'),
  ])
    t.match(await failure(attempt), { code: 'WS_NO_CHILD' })
  nursery.failing.set('e', 1)
  t.match(await failure(supervisor.startChild({ id: 'e', start: nursery.starter('e') })), { id: 'e' })
  t.equal(states(supervisor), 'a running, c running', 'a child that cannot be started is not added')
  t.match(await failure(supervisor.startChild({ id: '' } as never)), { code: 'WS_BAD_OPTION' })
})

supervised('requests and exits have their effect one after the other', async (t, open) => {
  const { supervisor, nursery, after } = await open('a b')
  const { promise, resolve } = withResolvers<void>()
  nursery.waiting.set('a', promise)
  nursery.get('a').crash()
  await turn()
  t.equal(states(supervisor), 'a starting, b running')
  // All of these wait for the restart of `a`.
  nursery.get('b').crash()
  await turn()
  const stopping = supervisor.stopChild('a')
  const restarting = supervisor.restartChild('a')
  t.equal(await after(), '-a -b')
  resolve()
  await stopping
  await restarting
  t.equal(await after(), '+a +b -a +a')
})

supervised('a child that ends while it is being stopped is not restarted', async (t, open) => {
  const { supervisor, nursery, clock, events, after } = await open('a b', { strategy: 'one-for-all' })
  nursery.get('b').manner = 'stubborn'
  const stopping = supervisor.stopChild('b')
  await turn()
  t.equal(states(supervisor), 'a running, b stopping')
  nursery.get('b').crash('on its way out')
  await stopping
  t.equal(await after(1), '-b')
  t.match(events.at(-1), { type: 'child-ended', id: 'b', expected: true, reason: { normal: false } })
  t.equal(clock.pending, 0)
})

t.test('supervisors make trees: an inner one that gives up is restarted by the outer one', async t => {
  const nursery = new Nursery()
  const clock = new VirtualClock()
  const inner = {
    id: 'inner',
    type: 'supervisor',
    start: (signal: AbortSignal) =>
      startSupervisor({ signal, clock, maxRestarts: 1, children: specs(nursery, 'b c') }),
  } as const
  const outer = await startSupervisor({
    clock,
    children: [...specs(nursery, 'a'), inner, ...specs(nursery, 'd')],
    strategy: 'rest-for-one',
  })
  t.equal(nursery.take(), '+a +b +c +d')
  t.same(outer.count(), { specs: 3, active: 3, workers: 2, supervisors: 1 })
  nursery.get('b').crash()
  await turn()
  t.equal(nursery.take(), '-b +b')
  nursery.get('c').crash()
  await turn()
  t.equal(nursery.take(), '-c -b -d +b +c +d')
  nursery.get('b').manner = 'stubborn'
  const ending = outer.stop(undefined, { timeoutMs: 200 })
  await turn()
  t.equal(nursery.take(), '-d -c', 'there is no limit of its own for a supervisor')
  clock.advance(200)
  await ending
  t.equal(nursery.take(), '-b -a', 'but the one of the outer stop() reaches the innermost child')
  t.equal(clock.pending, 0)
})

supervised('events tell the story, and may end the supervisor', async (t, open) => {
  const { supervisor, nursery, events, after } = await open('a b?')
  const [a, b] = [nursery.get('a'), nursery.get('b')]
  const reason = end(false)
  nursery.failing.set('a', 1)
  a.end(reason)
  await after()
  b.end(end(true))
  await after()
  t.strictSame(
    events.map(event => ('error' in event ? [event.type, event.id, event.error.code] : event)),
    [
      started('a', a),
      started('b', b),
      { type: 'child-ended', id: 'a', child: a, reason, expected: false },
      { type: 'child-restarting', id: 'a', reason, restarts: 1 },
      ['child-start-failed', 'a', 'WS_CHILD_START_FAILED'],
      { type: 'child-restarting', id: 'a', reason: null, restarts: 2 },
      started('a', nursery.get('a'), true),
      { type: 'child-ended', id: 'b', child: b, reason: end(true), expected: false },
    ],
  )
  await supervisor.stop()

  let whole: Supervisor | null = null
  const onEvent = ({ type }: SupervisorEvent): void => {
    if (type === 'child-restarting') void whole?.stop('enough of it')
  }
  const ended = await open('a b', { onEvent })
  whole = ended.supervisor
  ended.nursery.get('a').crash()
  t.match(await whole.ended, { value: 'enough of it' })
  t.equal(ended.nursery.take(), '-a -b')
})

t.test('what a listener throws is thrown where it disturbs nobody', async t => {
  const thrown: unknown[] = []
  const queued: (() => void)[] = []
  const { queueMicrotask: original } = globalThis
  globalThis.queueMicrotask = callback => void queued.push(callback)
  t.teardown(() => {
    globalThis.queueMicrotask = original
  })
  const nursery = new Nursery()
  const supervisor = await startSupervisor({ onEvent: fail, children: specs(nursery, 'a') })
  await supervisor.stop()
  globalThis.queueMicrotask = original
  for (const callback of queued) {
    try {
      callback()
    } catch (error) {
      thrown.push(error)
    }
  }
  t.match(thrown, [{ message: 'not my day' }, { message: 'not my day' }])
})

t.test('a child whose promise rejects has crashed', async t => {
  let starts = 0
  const start = async (): Promise<FakeChild> => {
    const child = new FakeChild('a')
    if (starts++ === 0) Object.assign(child, { ended: Promise.reject(new Error('against the rules')) })
    return child
  }
  const events: SupervisorEvent[] = []
  await using supervisor = await startSupervisor({
    children: [{ id: 'a', start, restart: 'transient' }],
    onEvent: event => void events.push(event),
  })
  await turn()
  t.match(events[1], {
    type: 'child-ended',
    reason: { type: 'crash', error: { message: 'against the rules' } },
  })
  t.equal(supervisor.child('a') instanceof FakeChild, true)
  t.equal(starts, 2)
})

t.test('options that make no sense are refused before anything is started', async t => {
  const start = startFake
  const wrong: readonly unknown[] = [
    null,
    {
      children: [
        { id: 'a', start },
        { id: 'a', start },
      ],
    },
    { strategy: 'all-for-one' },
    { maxRestarts: -1 },
    { maxRestarts: 1.5 },
    { withinMs: 0 },
    { withinMs: Number.NaN },
    { onEvent: 1 },
    { restarts: 3 },
    { children: [{ id: '', start }] },
    { children: [{ id: 1, start }] },
    { children: [{ id: 'a', start: 1 }] },
    { children: [{ id: 'a', start, restart: 'sometimes' }] },
    { children: [{ id: 'a', start, type: 'boss' }] },
    { children: [{ id: 'a', start, shutdownMs: -1 }] },
    { children: [{ id: 'a', start, shutdown: 1 }] },
    { children: [{ id: 'a' }] },
  ]
  for (const options of wrong) {
    const error = await failure(startSupervisor(options as SupervisorOptions))
    t.ok(error instanceof UsageError, JSON.stringify(options))
    t.equal(error.code, 'WS_BAD_OPTION')
  }
  const spec = childSpec({ id: 'a', start })
  t.match(spec, { id: 'a', start, restart: 'permanent', shutdownMs: 5000, type: 'worker' })
  t.match(childSpec({ ...spec, type: 'supervisor', shutdownMs: undefined }), { shutdownMs: Infinity })
  t.same(childSpec(spec), spec)
})
