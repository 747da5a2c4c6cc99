// Rule 8 of the behaviour contract: a callback that throws, rejects or answers badly. One table goes through all callbacks, and
// nothing of it may get out as an uncaught error, for which the runner listens. All in virtual time.
import t, { type Test } from 'tap'
import { BadResponseError, type EndReason, FrameEncodeError, idle, start } from '../../src/index.js'
import { CALLBACKS, Run } from '../support/callback-run.js'
import { failure, turn } from '../support/servers.js'
import { Stage, STAGE } from '../support/stage.js'

const rejecting = (thrown: unknown) => (): Promise<never> => Promise.reject(thrown)

const throwing = (thrown: unknown) => (): never => {
  throw thrown
}

/** What no callback may answer. `state` is added to what is an object: none of a bad answer takes effect. */
const BAD: readonly (readonly [name: string, answer: unknown])[] = [
  ['a string', 'ok'],
  ['a number', 0],
  ['true', true],
  ['null', null],
  ['a list', []],
  ['a function', () => ({})],
  ['a frame', { type: 'text', data: 'x' }],
  ['an unknown key', { sate: 2 }],
  ['an unknown key without a value', { repply: undefined }],
  ['reconnect', { reconnect: true }],
  ['stay', { stay: true }],
  ['reply null', { reply: null }],
  ['reply, a number', { reply: 5 }],
  ['reply, a promise', { reply: Promise.resolve('x') }],
  ['reply, a frame without data', { reply: { type: 'text' } }],
  ['reply, an unknown type', { reply: ['fine', { type: 'txt', data: 'x' }] }],
  ['reply, text of bytes', { reply: { type: 'text', data: Uint8Array.of(1) } }],
  ['reply, a ping too large', { reply: ['fine', { type: 'ping', data: 'x'.repeat(126) }] }],
  ['reply, a code that is none', { reply: { type: 'close', code: 1005 } }],
  ['reply, a bad frame behind a close', { reply: [{ type: 'close' }, 5] }],
  ['close, a string', { close: 'bye' }],
  ['close, false', { close: false }],
  ['close, a number', { close: 1000 }],
  ['close, a code that is none', { close: { code: 999 } }],
  ['close, a reason too long', { close: { reason: 'x'.repeat(124) } }],
  ['close, a key that is none', { close: { code: 4000, raeson: 'x' } }],
  ['keepalive, a string', { keepalive: 'often' }],
  ['keepalive null', { keepalive: null }],
  ['keepalive, no time', { keepalive: -1 }],
  ['keepalive, a key that is none', { keepalive: { every: 5 } }],
  ['flow, less than none', { flow: -1 }],
  ['flow, a string', { flow: '5' }],
]

for (const callback of Object.keys(CALLBACKS)) {
  t.test(`rule 8: ${callback} that throws, rejects or answers badly`, async t => {
    const error = new Error('boom')
    const crash = async (name: string, answer: () => unknown, expected: object): Promise<void> => {
      const run = await Run.of(t, callback, answer)
      const reason = await run.stage.ended(t, run.feed)
      // All at once: there are hundreds of these.
      t.match(
        { reason, heard: run.heard(), statuses: run.statuses, ends: run.ends },
        {
          reason: { type: 'crash', normal: false, code: null, ...expected },
          heard: ['close 1011 ""'],
          statuses: [],
          ends: [[expected, 1]],
        },
        `${name}: 1011 and nothing else, no handleDisconnect, terminate with the state from before`,
      )
      t.same([run.heard().length, run.statuses.length, run.ends.length], [1, 0, 1], name)
    }
    await crash('an error', throwing(error), { error })
    await crash('something that is no error', throwing('boom'), { error: { cause: 'boom' } })
    await crash('nothing at all', throwing(undefined), { error: /undefined/ })
    await crash('a rejection', rejecting(error), { error })
    await crash('a rejection without an error', rejecting(5), { error: { cause: 5 } })
    const more = callback === 'handleCall' ? [] : [['answer', { answer: 1 }] as const]
    for (const [name, bad] of [...BAD, ...more]) {
      const isObject = typeof bad === 'object' && bad !== null && !Array.isArray(bad)
      const answer = isObject ? { state: 2, ...bad } : bad
      const expected = { error: { name: 'BadResponseError', code: 'WS_BAD_RESPONSE', callback } }
      await crash(name, () => answer, expected)
      if (name.startsWith('reply')) await crash(`${name}, promised`, () => Promise.resolve(answer), expected)
    }
    const run = await Run.of(t, callback, () => 'ok')
    const { error: bad } = await run.stage.ended(t, run.feed)
    t.ok(bad instanceof BadResponseError)
    t.equal((bad as BadResponseError).response, 'ok')
    t.match(bad!.message, `${callback} answered 'ok'`)
  })

  t.test(`rule 8: a fragment out of order from ${callback} is a crash like any other`, async t => {
    const run = await Run.of(t, callback, () => ({
      state: 2,
      reply: ['before', { type: 'finish', data: 'x' }, 'behind'],
    }))
    const { type, error } = await run.stage.ended(t, run.feed)
    t.equal(type, 'crash')
    t.ok(error instanceof FrameEncodeError)
    t.same(run.heard(), ['text "before"', 'close 1011 ""'])
    t.equal(run.ends[0]?.[1], 1, 'the state from before')
  })
}

/** Ways in which a callback that is not in the table above can fail. */
const FAILING: Readonly<Record<string, () => unknown>> = {
  throws: () => {
    throw new Error('boom')
  },
  rejects: () => Promise.reject(new Error('boom')),
  'answers badly': () => ({ nonsense: true }),
  'promises a bad answer': () => Promise.resolve('nonsense'),
}

for (const [how, fail] of Object.entries(FAILING)) {
  const error = how.includes('bad') ? { name: 'BadResponseError' } : { message: 'boom' }

  t.test(`rule 8: handleConnect of the first connection ${how}, and start() rejects`, async t => {
    const stage = new Stage(t)
    const ends: unknown[] = []
    const rejection = await failure(
      stage.start({
        init: () => 1,
        handleConnect: () => fail() as undefined,
        handleDisconnect: () => void t.fail('nothing was disconnected'),
        terminate: (reason, state) => void ends.push(reason.type, state),
      }),
    )
    t.match(rejection, error)
    t.same(ends, ['crash', 1])
    t.same(stage.heard(), ['close 1011 ""'])
    await stage.empty(t)
  })

  t.test(`rule 8: handleConnect of a later connection ${how}, and it does not reconnect`, async t => {
    const stage = new Stage(t)
    let disconnects = 0
    const feed = await stage.start(
      {
        init: () => 1,
        handleConnect: ({ reconnects }, state) =>
          reconnects === 0 ? { state: state + 1 } : (fail() as undefined),
        handleDisconnect: () => void disconnects++,
        terminate: (_reason, state) => t.equal(state, 2),
      },
      { reconnect: true },
    )
    stage.server.link.reset()
    t.match(await stage.ended(t, feed), { type: 'crash', normal: false, error })
    t.equal(disconnects, 1, 'of the first connection')
    t.equal(stage.sockets.length, 2)
    t.same(stage.heard(), ['close 1011 ""'])
  })

  t.test(`rule 8: handleDisconnect ${how}, and it does not reconnect`, async t => {
    const stage = new Stage(t)
    const feed = await stage.start(
      {
        init: () => 1,
        handleDisconnect: () => fail() as undefined,
        terminate: (_reason, state) => t.equal(state, 1),
      },
      { reconnect: true },
    )
    stage.server.link.reset()
    t.match(await stage.ended(t, feed), { type: 'crash', normal: false, error })
    t.equal(stage.server.attempts.length, 1)
  })

  t.test(`rule 8: reconnect.decide ${how}`, async t => {
    const stage = new Stage(t)
    const feed = await stage.start(
      {
        init: () => 1,
        handleDisconnect: (_status, state) => ({ state: state + 1 }),
        // From before: the policy belongs to the callback.
        terminate: (_, state) => t.equal(state, 1),
      },
      { reconnect: { decide: fail as () => 'fatal' } },
    )
    stage.server.link.reset()
    // A promise is no decision, whatever becomes of it.
    const expected = how === 'throws' ? error : { name: 'BadResponseError', callback: 'reconnect.decide' }
    t.match(await stage.ended(t, feed), { type: 'crash', normal: false, error: expected })
  })

  t.test(`rule 8: a callback without a connection ${how}`, async t => {
    for (const connected of [false, true]) {
      const stage = new Stage(t)
      const ends: EndReason[] = []
      const feed = await stage.start(
        {
          init: () => idle(1),
          handleInfo: () => fail() as undefined,
          terminate: reason => void ends.push(reason),
        },
        { reconnect: { minDelayMs: 5000, jitter: 'none' } },
      )
      if (connected) {
        await stage.network.run(feed.connect())
        stage.server.link.reset()
        await stage.network.settle()
      }
      feed.info('go')
      t.match(await stage.ended(t, feed), { type: 'crash', normal: false, error })
      t.equal(ends.length, 1)
      t.equal(stage.server.attempts.length, connected ? 1 : 0)
    }
  })

  t.test(`rule 8: terminate ${how}: reported and swallowed`, async t => {
    const stage = new Stage(t)
    const warnings = listenToWarnings(t)
    const feed = await stage.start({ terminate: fail })
    t.match(await stage.network.run(feed.stop('because')), { type: 'stop', normal: true, value: 'because' })
    await stage.empty(t)
    await turn()
    t.match(warnings, how.includes('bad') ? [] : [{ code: 'WS_TERMINATE_FAILED', detail: /boom/ }])
    t.equal(warnings.length, how.includes('bad') ? 0 : 1)
  })

  t.test(`rule 8: formatStatus ${how}: reported, and the process goes on`, async t => {
    const stage = new Stage(t)
    const warnings = listenToWarnings(t)
    const feed = await stage.start({ init: () => 1, formatStatus: fail })
    const status = await stage.network.run(feed.status())
    await turn()
    if (how === 'answers badly') t.same(status, { nonsense: true }, 'there is no bad answer')
    else if (how === 'promises a bad answer') t.equal(status, 'nonsense')
    else {
      t.match(status, { phase: 'open', state: 1 }, 'all is shown')
      t.match(warnings, [{ code: 'WS_FORMAT_STATUS_FAILED', detail: /boom/ }])
    }
    t.equal(feed.phase, 'open')
    await stage.over(t, feed)
  })

  t.test(`rule 8: codeChange ${how}: refused, and the process goes on as it was`, async t => {
    const stage = new Stage(t)
    const feed = await stage.start({ init: () => 1, handleCast: (message: string) => ({ reply: message }) })
    t.match(await failure(stage.network.run(feed.changeBehaviour({ codeChange: fail as never }))), error)
    t.equal(await feed.getState(), 1)
    feed.cast('still me')
    await stage.network.settle()
    t.same(stage.heard(), ['text "still me"'])
    await stage.over(t, feed)
  })
}

for (const how of ['throws', 'rejects'] as const) {
  t.test(`rule 8: init ${how}: start() rejects, and there never was a process`, async t => {
    const stage = new Stage(t)
    const other = await stage.start({})
    const starting = stage.starting(
      {
        init: () => FAILING[how]() as Promise<number>,
        handleInfo: () => void t.fail('there is no state to handle it with'),
        terminate: () => t.fail('there is nothing to terminate'),
      },
      { name: 'unborn', link: other },
    )
    t.match(await failure(starting), { message: 'boom' })
    t.equal(stage.server.attempts.length, 1, 'that of the other')
    t.equal(other.phase, 'open', 'which was not linked yet')
    const next = await stage.start({}, { name: 'unborn' })
    await stage.over(t, other, next)
  })
}

t.test('rule 8: a peer that does not answer the Close has closeTimeoutMs', async t => {
  const stage = new Stage(t)
  const feed = await stage.start({
    handleInfo: () => {
      throw new Error('boom')
    },
  })
  stage.server.partition()
  feed.info('go')
  await stage.network.advance(4999)
  t.equal(feed.phase, 'closing')
  await stage.network.advance(1)
  t.equal(feed.phase, 'ended')
  stage.server.heal()
  t.match(await stage.ended(t, feed), { type: 'crash' })
})

t.test('rule 8: who waits for an answer is told, with the error as the cause', async t => {
  const stage = new Stage(t)
  const error = new Error('boom')
  const feed = await stage.start({
    handleCall: (): undefined => {
      throw error
    },
  })
  const calls = [feed.call('a' as never), feed.call('b' as never), feed.getState()].map(failure)
  const failures = await stage.network.run(Promise.all(calls))
  for (const one of failures)
    t.match(one, { name: 'NoProcessError', cause: error, reason: { type: 'crash' } })
  await stage.ended(t, feed)
})

t.test('rule 8: an abnormal end that nobody would hear of is a warning, and no other is', async t => {
  const stage = new Stage(t)
  const warnings = listenToWarnings(t)
  const behaviour = {
    handleInfo: (): never => {
      throw new Error('boom')
    },
  }
  const unheard = await start(STAGE, behaviour, { ...stage.network.startOptions, name: 'unheard' })
  unheard.info('go')
  await stage.network.settle()
  const heard = await stage.start(behaviour)
  const { ended } = heard
  heard.info('go')
  t.match(await stage.network.run(ended), { type: 'crash' })
  await turn()
  t.equal(warnings.length, 1)
  t.match(warnings, [{ code: 'WS_PROCESS_ENDED', message: /unheard/, detail: /boom/ }])
  await stage.empty(t)
})

/** Warnings of this program, while a test runs. */
function listenToWarnings(t: Test): Error[] {
  const warnings: Error[] = []
  const listen = (warning: Error): void => void warnings.push(warning)
  process.on('warning', listen)
  t.teardown(() => process.off('warning', listen))
  return warnings
}
