// The contract's section "Results": what each callback may answer, and what that does. One table goes through all callbacks.
// All in virtual time.
import t from 'tap'
import { type CallResult, type EndReason, reply, type StartOptions } from '../../src/index.js'
import { CALLBACKS, Run } from '../support/callback-run.js'
import { failure } from '../support/servers.js'
import { Stage } from '../support/stage.js'

/** What may be answered everywhere: the answer, the frames that it leads to, the state, how the process ends. */
const ANSWERS: readonly (readonly [
  name: string,
  answer: unknown,
  heard: readonly string[],
  state: number,
  end?: Partial<EndReason>,
])[] = [
  ['nothing', undefined, [], 1],
  ['an empty object', {}, [], 1],
  ['keys without values', { state: undefined, reply: undefined, close: undefined, stop: undefined }, [], 1],
  ['state', { state: 2 }, [], 2],
  ['state 0', { state: 0 }, [], 0],
  ['a promise', Promise.resolve({ state: 2 }), [], 2],
  ['a promise of nothing', Promise.resolve(), [], 1],
  // oxlint-disable-next-line unicorn/no-thenable -- a result may come from any implementation of promises
  ['a thenable', { then: (done: (result: object) => void) => done({ state: 2 }) }, [], 2],
  ['reply, a frame', { reply: { type: 'text', data: 'hello' } }, ['text "hello"'], 1],
  ['reply, a string', { reply: 'hello' }, ['text "hello"'], 1],
  ['reply, bytes', { reply: Uint8Array.of(65) }, ['binary "A"'], 1],
  ['reply, a buffer', { reply: Uint8Array.of(65).buffer }, ['binary "A"'], 1],
  ['reply, no frames', { reply: [] }, [], 1],
  [
    'reply, a list in order',
    { state: 2, reply: ['a', { type: 'ping', data: 'b' }, Uint8Array.of(67), { type: 'pong' }] },
    ['text "a"', 'ping "b"', 'binary "C"', 'pong ""'],
    2,
  ],
  [
    'reply, with a close in the list',
    {
      state: 2,
      reply: ['a', { type: 'close', code: 4001, reason: 'b' }, 'c', { type: 'close', code: 4002 }],
    },
    ['text "a"', 'close 4001 "b"'],
    2,
    { type: 'local', normal: false, code: 4001, text: 'b' },
  ],
  [
    'reply, an empty Close',
    { reply: { type: 'close' } },
    ['close ""'],
    1,
    { type: 'local', normal: true, code: null },
  ],
  ['close', { close: true }, ['close 1000 ""'], 1, { type: 'local', normal: true, code: 1000, text: '' }],
  ['close, nothing said', { close: {} }, ['close 1000 ""'], 1, { type: 'local', normal: true }],
  [
    'close, code and reason',
    { state: 2, close: { code: 4321, reason: 'why' } },
    ['close 4321 "why"'],
    2,
    { type: 'local', normal: false, code: 4321, text: 'why' },
  ],
  [
    'close, a reason',
    { close: { reason: 'done' } },
    ['close 1000 "done"'],
    1,
    { normal: true, text: 'done' },
  ],
  [
    'close after reply',
    { close: true, reply: 'last' },
    ['text "last"', 'close 1000 ""'],
    1,
    { normal: true },
  ],
  [
    'close after a close in reply',
    { close: true, reply: { type: 'close', code: 4001 } },
    ['close 4001 ""'],
    1,
    { code: 4001 },
  ],
  ['stop', { stop: true }, ['close 1000 ""'], 1, { type: 'stop', normal: true, value: true, error: null }],
  [
    'stop, a value',
    { stop: 'tea', state: 2 },
    ['close 1000 ""'],
    2,
    { type: 'stop', normal: true, value: 'tea' },
  ],
  [
    'stop, a value that is little',
    { stop: null },
    ['close 1000 ""'],
    1,
    { type: 'stop', normal: true, value: null },
  ],
  [
    'stop, an error',
    { stop: new RangeError('x'), reply: 'sorry' },
    ['text "sorry"', 'close 1011 ""'],
    1,
    { type: 'stop', normal: false, error: new RangeError('x') },
  ],
]

for (const callback of Object.keys(CALLBACKS)) {
  t.test(`results: what ${callback} may answer`, async t => {
    for (const [name, answer, heard, state, end] of ANSWERS) {
      const run = await Run.of(t, callback, () => answer)
      if (end === undefined) await run.stage.over(t, run.feed)
      else t.match(await run.stage.ended(t, run.feed), end, `${name}: how it ends`)
      t.same(
        {
          heard: run.heard(),
          disconnects: run.statuses.length,
          terminates: run.ends.map(([, last]) => last),
        },
        {
          heard: end === undefined ? [...heard, 'close 1000 ""'] : heard,
          disconnects: end === undefined || end.type === 'stop' ? 0 : 1,
          terminates: [state],
        },
        `${name}: what is sent, and the last state`,
      )
    }
  })

  t.test(`results: keepalive and flow from ${callback}`, async t => {
    const pings = async (answer: unknown, options: StartOptions): Promise<number> => {
      const run = await Run.of(t, callback, () => answer, options)
      await run.stage.network.advance(10_000)
      const count = run.heard().filter(frame => frame.startsWith('ping')).length
      await run.stage.over(t, run.feed)
      return count
    }
    t.equal(await pings({ keepalive: 1000 }, { keepalive: false }), 10, 'a number is an interval')
    t.equal(await pings({ keepalive: false }, { keepalive: 1000 }), 0, 'false is none')
    t.equal(await pings({ keepalive: { intervalMs: 5000 } }, { keepalive: 1000 }), 2, 'an object has options')
    t.equal(await pings({ keepalive: undefined }, { keepalive: 1000 }), 10)
    const initial = callback === 'handleFrame' ? 1 : 0
    const run = await Run.of(t, callback, () => ({ flow: 2 }), { flow: initial })
    const got: unknown[] = []
    await run.stage.network.run(
      run.feed.changeBehaviour<number, string, string, unknown, string, undefined>({
        handleFrame: ({ data }) => void got.push(data),
        handleCall: () => ({}),
      }),
    )
    for (const text of ['a', 'b', 'c']) run.stage.socket.write(text)
    await run.stage.network.settle()
    t.same(got, ['a', 'b'], 'credits')
    await run.stage.over(t, run.feed)
  })
}

t.test('results: handleCall answers in its result, later, once, or never', async t => {
  const stage = new Stage(t)
  const feed = await stage.start({
    handleCall: (message: string, from, _state, self): CallResult<undefined, unknown> | undefined => {
      if (message === 'now') return { answer: 'n', reply: 'sent' }
      if (message === 'nothing') return { answer: undefined }
      if (message === 'early') {
        reply(from, 'e')
        return { answer: 'ignored' }
      }
      if (message === 'later') self.sendAfter(from, 100)
      return undefined
    },
    handleInfo: (from: Parameters<typeof reply<unknown>>[0]) => {
      t.equal(reply(from, 'l'), true)
      t.equal(reply(from, 'again'), false)
    },
  })
  t.equal(await stage.network.run(feed.call('now')), 'n')
  t.same(stage.heard(), ['text "sent"'])
  t.equal(await stage.network.run(feed.call('nothing')), undefined)
  t.equal(await stage.network.run(feed.call('early')), 'e')
  t.equal(await stage.network.run(feed.call('later')), 'l')
  t.match(await failure(stage.network.run(feed.call('never', { timeoutMs: 50 }))), {
    name: 'CallTimeoutError',
    timeoutMs: 50,
  })
  t.equal(feed.phase, 'open')
  await stage.over(t, feed)
})
