// Strategy: what becomes of the process that loses a name after a split, as all who have to do with it see it: its own callbacks, its
// client, its supervisor. Which of two processes that is, is in redis-faults.test.ts.
import t, { type Test } from 'tap'
import {
  childSpec,
  connect,
  type EndReason,
  idle,
  type Self,
  start,
  startSupervisor,
} from '../../src/index.js'
import { listen } from '../../src/server/index.js'
import { watchWarnings } from '../support/warnings.js'
import { idler, until } from './members.js'
import { BOTH, type Pair, pairOf } from './pair.js'
import { skip } from './redis-server.js'

/** Lets the second node lose a name to a process of the first. */
async function split(t: Test, { a, proxy }: Pair): Promise<void> {
  const { process } = await idler(t)
  proxy.cut()
  await until(async () => (await a.unique.register('x', process)) === 'ok')
  proxy.heal()
}

t.test('the client of a loser gets 1011 and the reason, its callbacks the error', { skip }, async t => {
  const warnings = watchWarnings(t)
  const pair = await pairOf(t, BOTH[0])
  const reasons: EndReason[] = []
  const server = await listen({
    behaviour: {
      init: async (_, self: Self) => void (await pair.b.unique.register('x', self)),
      handleFrame: ({ data }) => ({ reply: data }),
      terminate: reason => void reasons.push(reason),
    },
  })
  t.teardown(() => server.close())
  const client = await connect(server.url)
  client.onMessage = () => {}
  await until(async () => (await pair.b.unique.lookup('x')) !== null)
  await split(t, pair)
  t.match((await client.closed).received, { code: 1011, reason: 'name-conflict' })
  await until(() => reasons.length > 0)
  t.match(reasons, [
    {
      type: 'name-conflict',
      normal: false,
      code: null,
      text: 'name-conflict',
      value: undefined,
      error: { name: 'RegistryError', code: 'WS_NAME_CONFLICT' },
    },
  ])
  t.same(warnings, [], 'whose client will come again is nothing to report')
})

for (const restart of ['transient', 'temporary'] as const) {
  t.test(
    `a supervisor starts a ${restart} loser again, or not, as after any abnormal end`,
    { skip },
    async t => {
      const pair = await pairOf(t, BOTH[1])
      const started: Self[] = []
      const child = childSpec({
        id: 'one',
        restart,
        target: 'ws://nowhere.test/',
        behaviour: {
          init: async (_, self: Self) => {
            started.push(self)
            if (started.length === 1) await pair.b.unique.register('x', self)
            return idle(undefined)
          },
        },
      })
      const supervisor = await startSupervisor({ children: [child] })
      t.teardown(() => supervisor.stop())
      await split(t, pair)
      await until(() => started[0].phase === 'ended')
      const again = restart === 'transient'
      if (again) await until(() => started.length === 2)
      t.equal(supervisor.children().length, again ? 1 : 0)
      t.equal((await pair.b.unique.lookup('x'))?.node, pair.a.node)
    },
  )
}

t.test('a loser for whom nobody waits is a warning', { skip }, async t => {
  const warnings = watchWarnings(t)
  const pair = await pairOf(t, BOTH[0])
  const lost = await start('ws://nowhere.test/', { init: () => idle(undefined) })
  await pair.b.unique.register('x', lost)
  await split(t, pair)
  await until(() => lost.phase === 'ended')
  t.match(warnings, [{ code: 'WS_PROCESS_ENDED', message: /name-conflict/ }])
})
