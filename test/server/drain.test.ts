// What somebody who is told to go still gets, and what must be sent again elsewhere.
import { test } from 'tap'
import { start } from '../../src/index.js'
import { listen } from '../../src/server/index.js'
import { VirtualClock } from '../../src/testing/index.js'
import { withResolvers } from '../support/servers.js'
import { until } from '../support/raw-peer.js'

void test('drain waits for the message that is being handled, and what came behind it is not handled any more', async t => {
  const { promise: stored, resolve: store } = withResolvers<undefined>()
  const handled: unknown[] = []
  const clock = new VirtualClock()
  const server = await listen({
    clock,
    behaviour: {
      handleFrame: async ({ data }) => {
        handled.push(data)
        await stored
        return { reply: `${String(data)} is stored` }
      },
    },
  })
  t.teardown(() => server.close())
  const got: unknown[] = []
  const client = await start(server.url, {
    handleConnect: () => ({ reply: ['one', 'two'] }),
    handleFrame: ({ data }) => void got.push(data),
  })
  await until(() => handled.length === 1, 'the first message')
  const drained = server.drain()
  // The Close is due.
  clock.advance(1)
  store(undefined)
  t.same(await drained, { closed: 1, cut: 0 })
  t.match(await client.ended, { type: 'remote', code: 1001, unsent: [] })
  t.same(handled, ['one'])
  t.same(got, ['one is stored'])
})
