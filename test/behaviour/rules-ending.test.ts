// Rules 9 to 12 of the behaviour contract, as far as they are about the end: stop(), and what is left of a process that has
// ended; and rule 16. All in virtual time.
import t from 'tap'
import {
  type Behaviour,
  type EndReason,
  idle,
  InvalidHeadError,
  NotConnectedError,
  type Process,
  type Self,
  start,
  type StartOptions,
  type StopOptions,
  UsageError,
  whereis,
} from '../../src/index.js'
import { PHASES } from '../support/phases.js'
import { failure } from '../support/servers.js'
import { gate, Stage, STAGE } from '../support/stage.js'

/** What a process was told of its ends. */
class Ends {
  readonly reasons: EndReason[] = []
  disconnects = 0
  readonly callbacks: {
    readonly handleDisconnect: () => void
    readonly terminate: (reason: EndReason) => void
  } = {
    handleDisconnect: () => void this.disconnects++,
    terminate: reason => void this.reasons.push(reason),
  }
}

for (const [phase, { options, enter }] of Object.entries(PHASES)) {
  t.test(`rule 9: stop() while ${phase} is one terminate and no handleDisconnect`, async t => {
    const stage = new Stage(t)
    const ends = new Ends()
    const feed = await stage.start({ ...ends.callbacks, init: () => idle(1) }, options)
    await enter(stage, feed)
    const before = ends.disconnects
    const reasons = await stage.network.run(
      Promise.all([feed.stop('tea'), feed.stop('no, coffee'), feed.ended]),
    )
    t.same(reasons[0], {
      type: 'stop',
      normal: true,
      code: null,
      text: '',
      error: null,
      value: 'tea',
      unsent: [],
    })
    for (const reason of reasons) t.equal(reason, reasons[0])
    t.same(ends.reasons, [reasons[0]])
    t.equal(ends.disconnects, before)
    if (phase === 'open') t.same(stage.heard(), ['close 1000 ""'])
    stage.server.heal()
    await stage.empty(t)
  })
}

t.test('rule 10: stop() is normal but for an error; the Close can be chosen', async t => {
  const error = new Error('no good')
  const cases: readonly (readonly [
    value: unknown,
    options: StopOptions | undefined,
    close: string,
    normal: boolean,
  ])[] = [
    [undefined, undefined, 'close 1000 ""', true],
    ['done', {}, 'close 1000 ""', true],
    [error, undefined, 'close 1011 ""', false],
    [undefined, { code: 4001, reason: 'bye' }, 'close 4001 "bye"', true],
    [undefined, { reason: 'bye' }, 'close 1000 "bye"', true],
    [error, { code: 1001 }, 'close 1001 ""', false],
  ]
  for (const [value, options, close, normal] of cases) {
    const stage = new Stage(t)
    const feed = await stage.start({})
    const reason = await stage.network.run(feed.stop(value, options))
    t.match(reason, { type: 'stop', normal, value, error: normal ? null : error })
    t.same(stage.heard(), [close])
    await stage.empty(t)
  }
})

t.test('a Close that cannot be sent is an error of who calls stop(), and the process lives', async t => {
  const stage = new Stage(t)
  const feed = await stage.start({})
  t.match(await failure(feed.stop(undefined, { code: 1005 })), { name: 'FrameEncodeError' })
  t.match(await failure(feed.stop(undefined, { reason: 'x'.repeat(124) })), { name: 'FrameEncodeError' })
  t.equal(feed.phase, 'open')
  await stage.over(t, feed)
})

t.test('stop() waits for the callback that runs, and its result still counts', async t => {
  const stage = new Stage(t)
  const slow = gate()
  let last = 0
  const feed = await stage.start({
    init: () => 1,
    handleInfo: async () => {
      await slow.opened
      return { state: 2, reply: 'last words' }
    },
    terminate: (_reason, state) => void (last = state),
  })
  feed.info('go')
  await stage.network.settle()
  feed.info('never')
  const stopped = feed.stop()
  await stage.network.advance(9000)
  t.equal(feed.phase, 'open')
  slow.open()
  await stage.network.run(stopped)
  t.equal(last, 2)
  t.same(stage.heard(), ['text "last words"', 'close 1000 ""'])
  await stage.empty(t)
})

t.test('stop() gives up after timeoutMs, whatever takes so long', async t => {
  const never = new Promise<never>(() => {})
  const obstacles: Readonly<Record<string, Behaviour<number>>> = {
    'a callback': { init: () => 1, handleInfo: () => never },
    'the closing handshake': { init: () => 1 },
    terminate: { init: () => 1, terminate: () => never },
  }
  for (const [what, behaviour] of Object.entries(obstacles)) {
    for (const [timeoutMs, limit] of [
      [undefined, 10_000],
      [200, 200],
      [0, 0],
    ] as const) {
      const stage = new Stage(t)
      const ends: EndReason[] = []
      const feed = await stage.start(
        {
          ...behaviour,
          terminate: (reason, state) => {
            ends.push(reason)
            t.equal(state, 1)
            return behaviour.terminate?.(reason, state)
          },
        },
        { closeTimeoutMs: 60_000 },
      )
      if (what === 'a callback') feed.info('go')
      if (what === 'the closing handshake') stage.server.partition()
      await stage.network.settle()
      t.match(await stage.network.run(feed.stop('now', { timeoutMs })), { type: 'stop', value: 'now' })
      t.equal(stage.network.clock.now(), limit, `${what}, ${timeoutMs}`)
      t.equal(ends.length, 1)
      stage.server.heal()
      await stage.empty(t)
    }
  }
})

t.test('a later stop() with less time cuts an earlier one short', async t => {
  const stage = new Stage(t)
  const feed = await stage.start({ handleInfo: () => new Promise<never>(() => {}) })
  feed.info('go')
  await stage.network.settle()
  const first = feed.stop('first', { timeoutMs: Infinity })
  await stage.network.advance(100_000)
  t.equal(feed.phase, 'open')
  t.match(await stage.network.run(feed.stop('second', { timeoutMs: 0 })), { value: 'first' })
  t.match(await first, { value: 'first' })
  await stage.empty(t)
})

t.test('self.stop() in any callback ends the process once that is done', async t => {
  const provoke: Readonly<Record<string, (stage: Stage, feed: Process<number, string, string>) => void>> = {
    handleConnect: () => {},
    handleFrame: stage => stage.socket.write('go'),
    handlePing: stage => void stage.socket.ping().catch(() => {}),
    handlePong: stage => stage.socket.pong(),
    handleCast: (_stage, feed) => feed.cast('go'),
    handleCall: (_stage, feed) => void feed.call('go').catch(() => {}),
    handleInfo: (_stage, feed) => feed.info('go' as never),
    handleDisconnect: stage => stage.server.link.reset(),
  }
  for (const [callback, go] of Object.entries(provoke)) {
    for (const slow of [false, true]) {
      const stage = new Stage(t)
      const log: string[] = []
      const feed = await stage.start(
        {
          init: () => idle(1),
          [callback]: async (...args: unknown[]) => {
            const self = args.at(-1) as Self
            if (slow) await new Promise<void>(done => void stage.network.clock.setTimeout(done, 50))
            self.stop('enough')
            self.stop('more than enough')
            log.push('callback')
          },
          terminate: (reason: EndReason) => void log.push(`terminate ${String(reason.value)}`),
        },
        { reconnect: true },
      )
      await stage.network.run(feed.connect().catch(() => {}))
      go(stage, feed)
      t.match(await stage.ended(t, feed), { type: 'stop', normal: true, value: 'enough' }, callback)
      t.same(log, ['callback', 'terminate enough'])
    }
  }
})

t.test('self.stop() with no time at all ends the process around its own callback', async t => {
  const stage = new Stage(t)
  const log: string[] = []
  const feed = await stage.start({
    handleInfo: async (_message, _state, self) => {
      self.stop('now', { timeoutMs: 0 })
      await Promise.resolve()
      log.push('callback')
      return { reply: 'nobody hears this' }
    },
    terminate: () => void log.push('terminate'),
  })
  feed.info('go')
  t.match(await stage.ended(t, feed), { value: 'now' })
  t.same(log.toSorted(), ['callback', 'terminate'])
  t.notOk(stage.heard().some(frame => frame.startsWith('text')))
})

t.test('stop() during the start: start() rejects, and nothing is left', async t => {
  for (const when of ['init', 'connecting', 'handshake', 'waiting'] as const) {
    for (const timeoutMs of [undefined, 0]) {
      const stage = new Stage(t)
      const ends = new Ends()
      const ready = gate()
      if (when === 'connecting') stage.server.hang()
      const { onLink } = stage.server
      if (when === 'handshake') {
        stage.server.onLink = link => {
          onLink!(link)
          link.freeze()
        }
      }
      if (when === 'waiting') stage.server.down()
      const starting = failure(
        stage.starting(
          {
            ...ends.callbacks,
            init: async () => {
              if (when === 'init') await ready.opened
              return 1
            },
            handleConnect: () => void t.fail('it was connected'),
          },
          { name: 'early', reconnect: true, handleInitialFailure: true },
        ),
      )
      const named = whereis('early')!
      await stage.network.settle()
      const stopped = named.stop('early', { timeoutMs })
      await stage.network.settle()
      ready.open()
      t.match(await stage.network.run(stopped), { type: 'stop', normal: true, value: 'early' })
      t.match(await stage.network.run(starting), { name: 'NoProcessError', reason: { value: 'early' } })
      // Before there is a state there is nothing to terminate, and nothing to wait for.
      t.equal(ends.reasons.length, when === 'init' ? 0 : 1, when)
      t.equal(whereis('early'), null)
      for (const link of stage.links) link.thaw()
      await stage.empty(t)
    }
  }
})

t.test('stop() while the first handleConnect runs ends the process once that is done', async t => {
  const stage = new Stage(t)
  const ready = gate()
  const log: string[] = []
  const starting = stage.starting(
    {
      handleConnect: async () => {
        await ready.opened
        log.push('connect')
      },
      terminate: () => void log.push('terminate'),
    },
    { name: 'early' },
  )
  await stage.network.settle()
  const stopped = whereis('early')!.stop()
  ready.open()
  // Whichever comes first: it has been started, and it has been stopped.
  await stage.network.run(Promise.allSettled([starting, stopped]))
  t.match(await stopped, { type: 'stop' })
  t.same(log, ['connect', 'terminate'])
  await stage.empty(t)
})

t.test('await using ends a process', async t => {
  const stage = new Stage(t)
  const ends = new Ends()
  const feed = await stage.start(ends.callbacks)
  await stage.network.run(
    (async () => {
      await using mine = feed
      t.equal(mine.phase, 'open')
    })(),
  )
  t.match(ends.reasons, [{ type: 'stop', normal: true }])
  t.equal(feed.phase, 'ended')
  await stage.empty(t)
})

t.test('a process that has ended says so to everybody, and sets no timer', async t => {
  for (const whenNotOpen of ['error', 'drop', { type: 'queue', ttlMs: 1000 }] as const) {
    const stage = new Stage(t)
    const frames: unknown[] = []
    const feed: Process<undefined, string, string, string, string> = await stage.start(
      {
        init: () => undefined,
        handleCast: (_message: string) => {},
        handleCall: (_message: string) => ({ answer: '' }),
        handleInfo: (_message: string) => void t.fail('there is nobody'),
        terminate: () => {
          // What comes now comes too late, and is not kept for ever.
          void feed.send('from terminate').then(
            () => frames.push('sent'),
            (error: unknown) => frames.push(error),
          )
          t.equal(feed.write('from terminate'), whenNotOpen === 'drop')
          feed.sendAfter('x', 1000)
        },
      },
      { whenNotOpen },
    )
    const reason = await stage.network.run(feed.stop('over'))
    await stage.network.settle()
    t.match(frames, whenNotOpen === 'drop' ? ['sent'] : [{ name: 'NotConnectedError', state: 'closing' }])
    const none = { name: 'NoProcessError', code: 'WS_NO_PROCESS', reason }
    t.throws(() => feed.cast('x'), none)
    feed.info('x')
    feed.sendAfter('x', 1000)()
    feed.sendAfter('x', 1000)
    for (const asked of [
      feed.call('x'),
      feed.getState(),
      feed.status(),
      feed.connect(),
      feed.changeBehaviour({}),
    ]) {
      t.match(await failure(asked), none)
    }
    const error = await failure(feed.send('x'))
    t.ok(error instanceof NotConnectedError)
    t.match(error, { state: 'ended' })
    t.equal(feed.write('x'), false)
    t.equal(feed.bufferedAmount, 0)
    t.equal(await feed.stop('again'), reason)
    t.equal(await feed.ended, reason)
    feed.updateFlow(1)
    feed.setKeepalive(1000)
    await stage.empty(t)
  }
})

t.test('rule 9: what waits when a process ends is told, and none of it is handled', async t => {
  const stage = new Stage(t)
  const handled: string[] = []
  const feed = await stage.start(
    {
      init: () => idle(0),
      handleCast: (message: string) => void handled.push(message),
      handleCall: (message: string): undefined => void handled.push(message),
      handleInfo: (message: string) => void handled.push(message),
    },
    { whenNotOpen: 'queue' },
  )
  stage.server.hang()
  const connecting = failure(feed.connect())
  feed.cast('cast')
  feed.sendAfter('later', 5000)
  const call = failure(feed.call('call'))
  await stage.network.settle()
  const sending = failure(feed.send('queued'))
  const { unsent } = await stage.network.run(feed.stop())
  t.same(handled, ['call'], 'it was handled, and not answered')
  t.match(await call, { name: 'NoProcessError' })
  t.match(await connecting, { name: 'NoProcessError' })
  t.match(await sending, { name: 'NotConnectedError', state: 'ended' })
  t.same(unsent, [{ type: 'text', data: 'queued' }])
  stage.server.up()
  await stage.empty(t)
})

t.test(
  'rule 16: CR, LF and NUL are refused wherever a request could carry them, and nothing is dialed',
  async t => {
    for (const bad of ['\r', '\n', '\0', '\r\nX-Evil: 1']) {
      const text = `a${bad}b`
      const options: StartOptions[] = [
        { headers: { 'X-Name': text } },
        { headers: [[text, 'x']] },
        { origin: text },
        { subprotocols: [text] },
        { proxy: { url: 'http://proxy.test/', headers: { 'X-Name': text } } },
      ]
      for (const one of options) {
        for (const early of [true, false]) {
          const stage = new Stage(t)
          const ends = new Ends()
          // Said at the start, or only when there is a connection to be made; and no policy tries that again.
          const target = (): { url: string } & StartOptions => ({ url: STAGE, ...one })
          const error = await failure(
            stage.network.run(
              start(early ? STAGE : (target as never), ends.callbacks, {
                ...stage.network.startOptions,
                ...(early ? one : {}),
                reconnect: true,
                handleInitialFailure: true,
              }),
            ),
          )
          t.ok(error instanceof InvalidHeadError || error instanceof UsageError, String(error))
          t.same(stage.server.attempts, [])
          await stage.empty(t)
        }
      }
    }
  },
)

t.test('rule 16: a redirect is a refusal, unless it was asked for', async t => {
  const stage = new Stage(t)
  stage.server.refuse(302, [['Location', '/elsewhere']])
  const error = await failure(stage.start({}, { reconnect: true }))
  t.match(error, { name: 'HandshakeError', response: { status: 302 } })
  t.equal(stage.server.attempts.length, 1)
  await stage.empty(t)
})
