// Rules 11 and 12 of the behaviour contract, as far as they are about processes among themselves: links and calls. All in
// virtual time.
import t from 'tap'
import {
  type AnyProcess,
  type Behaviour,
  call,
  CallingSelfError,
  type EndReason,
  type ExitMessage,
  type From,
  idle,
  NoProcessError,
  type Process,
  reply,
  type StartOptions,
  whereis,
} from '../../src/index.js'
import { failure } from '../support/servers.js'
import { gate, Stage } from '../support/stage.js'

/** Ends a process abnormally, in each of the ways there are. */
const ABNORMAL: Readonly<Record<string, (stage: Stage, process: AnyProcess, at: number) => void>> = {
  'a crash': (_stage, process) => (process as Process<unknown, string>).cast('crash'),
  'an error as its stop': (_stage, process) => void process.stop(new Error('boom')),
  'a Close with 4001': (stage, _process, at) => void stage.sockets[at].close(4001, 'boom'),
  'a reset': (stage, _process, at) => stage.links[at].reset(),
}

const linkable: Behaviour<number, string> = {
  init: () => 1,
  handleCast: message => {
    if (message === 'crash') throw new Error('boom')
  },
}

for (const [how, end] of Object.entries(ABNORMAL)) {
  t.test(`rule 11: ${how} of one ends the other, whichever was linked to which`, async t => {
    for (const way of ['option', 'method', 'self'] as const) {
      for (const dies of [0, 1]) {
        const stage = new Stage(t)
        const ends: EndReason[] = []
        let disconnects = 0
        const first = await stage.start(linkable)
        const second = await stage.start(
          {
            ...linkable,
            handleConnect: (_connection, _state, self) => {
              if (way === 'self') self.link(first)
            },
          },
          way === 'option' ? { link: first } : {},
        )
        if (way === 'method') second.link(first)
        const processes = [first, second]
        const survivor = processes[1 - dies]
        await stage.network.run(
          survivor.changeBehaviour({
            handleDisconnect: () => void disconnects++,
            terminate: reason => void ends.push(reason),
          }),
        )
        end(stage, processes[dies], dies)
        const cause = await stage.network.run(processes[dies].ended)
        t.equal(cause.normal, false)
        const reason = await stage.ended(t, survivor)
        t.match(reason, { type: 'link', normal: false, code: null, value: undefined })
        if (cause.error === null) t.match(reason.error, { name: 'NoProcessError', reason: cause })
        else t.equal(reason.error, cause.error)
        t.same(ends, [reason])
        t.equal(disconnects, 0)
        t.same(stage.heard(1 - dies), ['close 1011 ""'])
      }
    }
  })
}

t.test('rule 11: a normal end of one is none of the other, and the link is gone', async t => {
  for (const how of ['stop', 'close', 'remote'] as const) {
    const stage = new Stage(t)
    const first = await stage.start(linkable)
    const second = await stage.start(linkable, { link: first })
    if (how === 'stop') void first.stop('done')
    else if (how === 'close') void first.send({ type: 'close' })
    else void stage.sockets[0].close(1000)
    t.equal((await stage.network.run(first.ended)).normal, true)
    await stage.network.advance(1000)
    t.equal(second.phase, 'open')
    await stage.over(t, second)
  }
})

t.test('rule 11: links make chains and rings, and each process ends once', async t => {
  const stage = new Stage(t)
  const ends: string[] = []
  const noting = (name: string): Behaviour<number, string> => ({
    ...linkable,
    terminate: ({ type }) => void ends.push(`${name} ${type}`),
  })
  const a = await stage.start(noting('a'))
  const b = await stage.start(noting('b'), { link: a })
  const c = await stage.start(noting('c'), { link: [a, b] })
  const apart = await stage.start(noting('apart'))
  b.link(a)
  b.link(b)
  a.cast('crash')
  await stage.network.run(Promise.all([a.ended, b.ended, c.ended]))
  t.same(ends.toSorted(), ['a crash', 'b link', 'c link'])
  t.equal(apart.phase, 'open')
  await stage.over(t, apart)
})

t.test('rule 11: unlink undoes a link, from either side', async t => {
  for (const side of [0, 1]) {
    const stage = new Stage(t)
    const first = await stage.start(linkable)
    const second = await stage.start(linkable, { link: first })
    if (side === 0) first.unlink(second)
    else second.unlink(first)
    first.cast('crash')
    t.match(await stage.network.run(first.ended), { type: 'crash' })
    await stage.network.settle()
    t.equal(second.phase, 'open')
    await stage.over(t, second)
  }
})

t.test('rule 11: with trapExit every end of a linked process is a message, and ends nothing', async t => {
  const stage = new Stage(t)
  const messages: ExitMessage[] = []
  const parent: Process<undefined, never, never, never, unknown> = await stage.start(
    { init: () => undefined, handleInfo: message => void messages.push(message as ExitMessage) },
    { trapExit: true },
  )
  const crashing = await stage.start(linkable, { link: parent })
  const stopping = await stage.start(linkable, { link: parent })
  const killed = await stage.start(linkable, { link: parent })
  crashing.cast('crash')
  const crash = await stage.network.run(crashing.ended)
  const stop = await stage.network.run(stopping.stop('done'))
  await stage.network.settle()
  t.same(messages, [
    { type: 'exit', process: crashing, reason: crash },
    { type: 'exit', process: stopping, reason: stop },
  ])
  t.equal(parent.phase, 'open')
  // Its own end is as good as any.
  void parent.stop(new Error('enough'))
  t.match(await stage.network.run(killed.ended), { type: 'link', error: { message: 'enough' } })
  await stage.empty(t)
})

t.test('rule 11: a link to a process that has ended is an end, if that was abnormal', async t => {
  const stage = new Stage(t)
  const crashed = await stage.start(linkable)
  crashed.cast('crash')
  const { error } = await stage.network.run(crashed.ended)
  const stopped = await stage.start(linkable)
  await stage.network.run(stopped.stop())
  const feed = await stage.start(linkable, { link: stopped })
  feed.link(stopped)
  await stage.network.settle()
  t.equal(feed.phase, 'open')
  feed.link(crashed)
  t.match(await stage.network.run(feed.ended), { type: 'link', error })
  let ends = 0
  const starting = stage.start(
    { init: () => 1, terminate: () => void ends++ },
    { link: crashed, name: 'late' },
  )
  t.equal(await failure(starting), error)
  t.equal(ends, 1, 'it had a state')
  t.equal(whereis('late'), null)
  const trapping: Process<undefined> = await stage.start(
    { init: () => undefined, handleInfo: message => void t.match(message, { process: crashed }) },
    { link: crashed, trapExit: true },
  )
  t.equal(trapping.phase, 'open')
  await stage.over(t, trapping)
})

t.test('rule 11: a start that fails is an abnormal end for those it was linked to', async t => {
  const stage = new Stage(t)
  const parent = await stage.start(linkable)
  stage.server.down('keep')
  const error = await failure(stage.start(linkable, { link: parent }))
  t.match(error, { code: 'WS_CONNECT_FAILED' })
  t.match(await stage.ended(t, parent), { type: 'link', error })
})

t.test('rule 11: what is no process is no link, and a start with it leaves nothing', async t => {
  const stage = new Stage(t)
  let inits = 0
  const wrong: StartOptions['link'][] = [{} as AnyProcess, ['name' as never], 5 as never]
  for (const link of wrong) {
    const starting = stage.start({ init: () => void inits++ }, { link, name: 'linked' })
    t.match(await failure(starting), Error)
    t.equal(whereis('linked'), null)
  }
  t.equal(inits, 0)
  t.same(stage.server.attempts, [])
  const feed = await stage.start(linkable)
  t.throws(() => feed.link({} as AnyProcess), NoProcessError)
  await stage.over(t, feed)
})

t.test('rule 11: a linked process that is busy finishes its callback first', async t => {
  const stage = new Stage(t)
  const slow = gate()
  let last = 0
  const other = await stage.start(linkable)
  const feed = await stage.start(
    {
      init: () => 1,
      handleInfo: async () => {
        await slow.opened
        return { state: 2 }
      },
      terminate: (_reason, state) => void (last = state),
    },
    { link: other },
  )
  feed.info('go')
  await stage.network.settle()
  other.cast('crash')
  await stage.network.advance(1000)
  t.equal(feed.phase, 'open')
  slow.open()
  t.match(await stage.ended(t, feed), { type: 'link' })
  t.equal(last, 2)
})

t.test('call: is answered in time, or fails with CallTimeoutError, 5 s by default', async t => {
  const stage = new Stage(t)
  const froms: From<string>[] = []
  const feed = await stage.start({
    handleCall: (message: string, from: From<string>): { answer: string } | undefined => {
      if (message === 'echo') return { answer: message }
      froms.push(from)
      return undefined
    },
  })
  const timed = async (promise: Promise<unknown>): Promise<unknown> => {
    const before = stage.network.clock.now()
    t.match(await failure(stage.network.run(promise)), { name: 'CallTimeoutError', code: 'WS_CALL_TIMEOUT' })
    return stage.network.clock.now() - before
  }
  t.equal(await feed.call('echo'), 'echo')
  t.equal(await call(feed, 'echo'), 'echo')
  t.equal(await timed(feed.call('keep')), 5000)
  t.equal(await timed(feed.call('keep', { timeoutMs: 30 })), 30)
  const patient = feed.call('keep', { timeoutMs: Infinity })
  await stage.network.advance(1_000_000)
  t.same(
    froms.map(from => reply(from, 'at last')),
    [false, false, true],
    'whether somebody still waits',
  )
  t.equal(await patient, 'at last')
  for (const timeoutMs of [-1, Number.NaN, '5' as never]) {
    t.match(await failure(feed.call('keep', { timeoutMs })), { name: 'UsageError', code: 'WS_BAD_OPTION' })
  }
  t.equal(feed.phase, 'open')
  await stage.over(t, feed)
})

t.test('call: a signal gives it up, and an aborted one does not even begin', async t => {
  const stage = new Stage(t)
  let handled = 0
  const feed = await stage.start({
    handleCall: (_message: string): undefined => void handled++,
  })
  const why = new Error('changed my mind')
  const controller = new AbortController()
  const given = failure(feed.call('x', { signal: controller.signal }))
  await stage.network.settle()
  controller.abort(why)
  t.match(await given, { name: 'AbortError', cause: why })
  t.match(await failure(feed.call('x', { signal: controller.signal })), { name: 'AbortError', cause: why })
  await stage.network.settle()
  t.equal(handled, 1)
  await stage.over(t, feed)
})

t.test('call: a process cannot wait for itself, but for another', async t => {
  const stage = new Stage(t)
  const other = await stage.start({
    init: () => 7,
    handleCall: (_message: string) => ({ answer: 'from the other' }),
  })
  const failures: unknown[] = []
  const answers: unknown[] = []
  const feed: Process<number, string, string, string> = await stage.start({
    init: () => idle(1),
    handleCall: (_message: string) => ({ answer: 'never' }),
    handleCast: async (_message: string) => {
      const own = [
        feed.call('x'),
        feed.getState(),
        feed.replaceState(() => 2),
        feed.status(),
        feed.changeBehaviour({}),
      ]
      failures.push(...(await Promise.all(own.map(failure))))
      answers.push(await other.call('x'), await other.getState())
    },
  })
  feed.cast('go')
  await stage.network.runUntil(() => answers.length === 2)
  t.equal(failures.length, 5)
  for (const error of failures) {
    t.ok(error instanceof CallingSelfError)
    t.match(error, { code: 'WS_CALLING_SELF' })
  }
  t.same(answers, ['from the other', 7])
  t.equal(await feed.getState(), 1)
  await stage.over(t, feed, other)
})

t.test('cast, call and info to a behaviour that has no such callback', async t => {
  const stage = new Stage(t)
  const feed = (await stage.start({})) as Process<undefined, string, string, string, string>
  t.throws(() => feed.cast('x'), { name: 'ProcessError', code: 'WS_NO_CALLBACK' })
  t.match(await failure(feed.call('x')), { name: 'ProcessError', code: 'WS_NO_CALLBACK' })
  feed.info('dropped')
  await stage.network.settle()
  t.equal(feed.phase, 'open')
  await stage.over(t, feed)
})

t.test('sendAfter comes when its time has come, in order, and can be taken back', async t => {
  const stage = new Stage(t)
  const log: string[] = []
  const feed = await stage.start({
    init: () => undefined,
    handleConnect: (_connection, _state, self) => {
      self.sendAfter('from a callback', 30)
      self.sendAfter('taken back', 20)()
    },
    handleInfo: (message: string) => void log.push(`${message} ${stage.network.clock.now()}`),
  })
  feed.sendAfter('b', 20)
  feed.sendAfter('a', 10)
  const back = feed.sendAfter('never', 15)
  feed.sendAfter('at once', 0)
  await stage.network.advance(12)
  back()
  await stage.network.advance(100)
  back()
  t.same(log, ['at once 0', 'a 10', 'b 20', 'from a callback 30'])
  feed.sendAfter('after the end', 1000)
  await stage.over(t, feed)
})
