import t from 'tap'
import { onEnd } from '../../src/behaviour/on-end.js'
import { startSupervisor } from '../../src/behaviour/supervisor.js'
import { abortListeners } from '../support/leaks.js'
import { end, FakeChild, Nursery } from '../support/fake-child.js'
import { failure, turn, withResolvers } from '../support/servers.js'
import { specs, STRATEGIES, supervised } from '../support/supervised.js'
import { VirtualClock } from '../support/virtual-clock.js'

supervised('stop() ends the children in reverse order, each within its shutdownMs', async (t, open) => {
  const { supervisor, nursery, clock, after } = await open('a b c', {}, { shutdownMs: 300 })
  const children = ['a', 'b', 'c'].map(id => nursery.get(id))
  nursery.get('b').manner = 'stubborn'
  for (const options of [{ code: 1005 }, { reason: 'x'.repeat(124) }, { timeoutMs: Number.NaN }])
    t.match(await failure(supervisor.stop('enough', options)), { code: /^WS_/ })
  const ending = supervisor.stop('enough')
  void supervisor.stop('again')
  t.equal(await after(299), '-c', 'one after the other')
  t.equal(await after(1), '-b -a')
  t.match(await ending, { type: 'stop', normal: true, value: 'enough', error: null })
  t.equal(await supervisor.ended, await ending)
  const asked = { code: 1001, reason: 'supervisor stopped' }
  t.same(
    children.map(({ stops }) => stops.map(({ options }) => options)),
    [
      [{ ...asked, timeoutMs: 300 }],
      [
        { ...asked, timeoutMs: 300 },
        { ...asked, timeoutMs: 0 },
      ],
      [{ ...asked, timeoutMs: 300 }],
    ],
  )
  t.equal(clock.pending, 0)
  t.match(await supervisor.stop('late', { timeoutMs: 1 }), { value: 'enough' })
  t.equal(clock.pending, 0, 'a late stop() leaves no timer')
})

supervised('shutdownMs 0 is by force at once, Infinity waits as long as it takes', async (t, open) => {
  for (const [shutdownMs, expected] of [
    [0, [0]],
    [Infinity, [Infinity]],
  ] as const) {
    const { supervisor, nursery, after } = await open('a', {}, { shutdownMs })
    const child = nursery.get('a')
    child.manner = 'stubborn'
    const ending = supervisor.stop()
    if (shutdownMs === Infinity) {
      t.equal(await after(1e9), '')
      child.end()
    }
    await ending
    t.same(
      child.stops.map(({ options }) => options.timeoutMs),
      expected,
    )
  }
})

supervised('stop() with a timeoutMs ends by force what has not ended by then', async (t, open) => {
  const { supervisor, nursery, after } = await open('a b c', {}, { shutdownMs: Infinity })
  for (const id of ['a', 'b', 'c']) nursery.get(id).manner = 'stubborn'
  const ending = supervisor.stop(new Error('no more'), { timeoutMs: 100, code: 4000, reason: 'bye' })
  const { stops } = nursery.get('c')
  t.equal(await after(99), '')
  t.equal(await after(1), '-c -b -a')
  t.match(await ending, { type: 'stop', normal: false, error: { message: 'no more' } })
  t.match(stops[0], { options: { code: 4000, reason: 'bye' } })
  const hasty = await open('a')
  hasty.nursery.get('a').manner = 'stubborn'
  t.match(await hasty.supervisor.stop(undefined, { timeoutMs: 0 }), { normal: true, value: undefined })
})

supervised(
  'a stop() that fails is answered by force, and a child that never ends is left behind',
  async (t, open) => {
    const failing = await open('a')
    failing.nursery.get('a').manner = 'failing'
    await failing.supervisor.stop()
    t.equal(failing.nursery.take(), '-a', 'without waiting for shutdownMs')

    const { supervisor, nursery, events, after } = await open('a b')
    const child = nursery.get('b')
    child.manner = 'immortal'
    const ending = supervisor.stop()
    t.equal(await after(9999), '')
    t.equal(await after(1), '-a')
    t.match(await ending, { normal: true })
    t.same(events.at(2), { type: 'child-abandoned', id: 'b', child })
    child.end()
  },
)

supervised('stop() in the middle of a restart wins and leaves nothing', async (t, open) => {
  for (const strategy of STRATEGIES) {
    // While the others are being stopped.
    const stopping = await open('a b c', { strategy })
    stopping.nursery.get('c').manner = 'stubborn'
    stopping.nursery.get('b').crash()
    await turn()
    const first = stopping.supervisor.stop()
    t.equal(await stopping.after(5000), strategy === 'one-for-one' ? '-b +b -c -b -a' : '-b -c -a')
    t.match(await first, { type: 'stop', normal: true })

    // While one is being started: the start is told, and given up when it rejects.
    const starting = await open('a b c', { strategy })
    const { promise, resolve } = withResolvers<void>()
    starting.nursery.waiting.set('b', promise)
    starting.nursery.get('b').crash()
    await turn()
    starting.nursery.take()
    const second = starting.supervisor.stop()
    t.equal(starting.nursery.signals.get('b')!.aborted, true)
    t.notOk(starting.nursery.signals.get('a')!.aborted, 'others are not told: they end in their turn')
    starting.nursery.failing.set('b', 1)
    resolve()
    const rest = { 'one-for-one': '!b -c -a', 'one-for-all': '!b -a', 'rest-for-one': '!b -a' }
    t.equal(await starting.after(), rest[strategy])
    t.match(await second, { type: 'stop', normal: true })

    // While the next attempt is being waited for.
    const waiting = await open('a b c', { strategy })
    waiting.nursery.failing.set('b', 1)
    waiting.nursery.get('b').crash()
    await turn()
    t.equal(waiting.clock.pending, 1)
    await waiting.supervisor.stop()
    t.equal(waiting.clock.pending, 0)
    t.same(waiting.nursery.living, [])
  }
})

supervised('a start that nobody waits for any more: what comes of it is ended', async (t, open) => {
  // It comes in time, and ends in its turn; those that were to come after it do not start.
  const stories = {
    'one-for-one': '-a +a -b -a',
    'one-for-all': '-a -b +a -a',
    'rest-for-one': '-a -b +a -a',
  }
  for (const strategy of STRATEGIES) {
    const prompt = await open('a b', { strategy })
    const soon = withResolvers<void>()
    prompt.nursery.waiting.set('a', soon.promise)
    prompt.nursery.get('a').crash()
    await turn()
    const ending = prompt.supervisor.stop()
    soon.resolve()
    await ending
    t.equal(prompt.nursery.take(), stories[strategy], strategy)
  }

  // It comes after shutdownMs, when the supervisor has ended.
  const { supervisor, nursery, clock, after } = await open('a', {}, { shutdownMs: 100 })
  const late = withResolvers<void>()
  nursery.waiting.set('a', late.promise)
  nursery.get('a').crash()
  await turn()
  const ended = supervisor.stop()
  t.equal(await after(100), '-a')
  t.match(await ended, { normal: true })
  nursery.manner = 'stubborn'
  late.resolve()
  t.equal(await after(), '+a -a')
  t.equal(clock.pending, 0)

  // The same by force, when shutdownMs would be too long.
  const patient = await open('a', {}, { shutdownMs: Infinity })
  patient.nursery.waiting.set('a', new Promise(() => {}))
  patient.nursery.get('a').crash()
  await turn()
  const forced = patient.supervisor.stop(undefined, { timeoutMs: 50 })
  await patient.after(50)
  t.match(await forced, { normal: true })
})

t.test('a signal gives up starting, and later stops the supervisor', async t => {
  const nursery = new Nursery()
  const clock = new VirtualClock()
  const early = new AbortController()
  const { promise, resolve } = withResolvers<void>()
  nursery.waiting.set('b', promise)
  nursery.failing.set('b', 1)
  const starting = startSupervisor({ clock, signal: early.signal, children: specs(nursery, 'a b c') })
  await turn()
  early.abort(new Error('never mind'))
  t.equal(nursery.signals.get('b')!.aborted, true)
  resolve()
  t.match(await failure(starting), { name: 'AbortError', cause: { message: 'never mind' } })
  t.equal(nursery.take(), '+a !b -a')
  t.equal(abortListeners(early.signal), 0)
  t.match(await failure(startSupervisor({ signal: early.signal })), { name: 'AbortError' })

  const later = new AbortController()
  const supervisor = await startSupervisor({ clock, signal: later.signal, children: specs(nursery, 'a b') })
  t.equal(abortListeners(later.signal), 1)
  later.abort('closing time')
  t.match(await supervisor.ended, { type: 'stop', normal: true, value: 'closing time' })
  t.equal(nursery.take(), '+a +b -b -a')
  t.equal(abortListeners(later.signal), 0)
})

supervised('linked ones end together, if the end is abnormal', async (t, open) => {
  const link = new FakeChild('link')
  const first = await open('a b', { link })
  link.crash('elsewhere')
  t.match(await first.supervisor.ended, { type: 'link', normal: false, error: { message: 'elsewhere' } })
  t.equal(first.nursery.take(), '-b -a')

  const [one, two] = [new FakeChild('one'), new FakeChild('two')]
  const second = await open('a', { link: [one, two], maxRestarts: 0 })
  one.end(end(true))
  t.equal(await second.after(), '', 'a normal end of one is no matter')
  second.nursery.get('a').crash()
  await second.supervisor.ended
  await turn()
  t.match(two.stops, [{ reason: { code: 'WS_RESTART_INTENSITY' } }])

  const three = new FakeChild('three')
  const third = await open('a', { link: three })
  await third.supervisor.stop()
  await turn()
  t.same(three.stops, [], 'nor of the supervisor')

  const gone = new FakeChild('gone')
  gone.end(end(false))
  const nursery = new Nursery()
  const error = await failure(startSupervisor({ link: gone, children: specs(nursery, 'a b') }))
  t.match(error, { code: 'WS_NO_PROCESS', reason: { type: 'link' } })
  t.same(nursery.living, [])
})

supervised('a link that outlives many supervisors keeps nothing of them', async (t, open) => {
  const link = new FakeChild('link')
  const reactions = t.captureFn(link.ended.then.bind(link.ended))
  t.intercept(link.ended, 'then', { value: reactions })
  for (let nth = 0; nth < 20; nth++) await (await open('a', { link })).supervisor.stop()
  t.equal(reactions.calls.length, 1)
  const heard: string[] = []
  const forget = onEnd(link, () => heard.push('forgotten'))
  const listener = (): unknown => heard.push('heard')
  onEnd(link, listener)
  onEnd(link, listener)()
  forget()
  const last = await open('a', { link })
  link.crash('elsewhere')
  t.match(await last.supervisor.ended, { type: 'link' })
  onEnd(link, () => heard.push('late'))
  await turn()
  t.same(heard, ['heard', 'late'])
})

t.test('await using ends it', async t => {
  const nursery = new Nursery()
  {
    await using supervisor = await startSupervisor({ children: specs(nursery, 'a b') })
    t.equal(supervisor.name, null)
    t.equal(nursery.take(), '+a +b')
  }
  t.equal(nursery.take(), '-b -a')
})
