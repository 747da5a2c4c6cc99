// What a received message costs when its handler is synchronous: no promise, whatever the result is.
import { createHook } from 'node:async_hooks'
import { test } from 'tap'
import { type Behaviour, listen, type Process, start } from '../../src/index.js'
import { withResolvers } from '../support/servers.js'

interface State {
  readonly left: number
}

const handlers: Readonly<Record<string, Behaviour<State>['handleFrame'] & {}>> = {
  'nothing, writing by itself': (frame, { left }, self) => {
    if (left > 0) self.write(frame)
  },
  'a reply': (frame, { left }) => (left > 0 ? { reply: frame } : undefined),
  'a state and a list of replies': (frame, state) => ({ state, reply: state.left > 0 ? [frame] : [] }),
}

/** How many promises are made while `messages` go back and forth, `window` at a time. */
async function promises(process: Process<State>, messages: number): Promise<number> {
  const { promise, resolve } = withResolvers<void>()
  let left = messages
  let made = 0
  const counter = createHook({
    init(_id, type) {
      if (type === 'PROMISE') made++
    },
  })
  await process.replaceState(() => ({
    get left() {
      left--
      if (left === 0) resolve()
      return left
    },
  }))
  counter.enable()
  for (let i = 0; i < 50; i++) process.write('x'.repeat(125))
  await promise
  counter.disable()
  return made
}

test('a synchronous handleFrame makes no promise', async t => {
  const server = await listen({}, socket => {
    socket.onMessage = message => void socket.write(message.data)
  })
  for (const [name, handleFrame] of Object.entries(handlers)) {
    const process = (await start(
      server.url,
      { init: (): State => ({ left: 0 }), handleFrame },
      { keepalive: false },
    )) as Process<State>
    await promises(process, 1000)
    const few = await promises(process, 1000)
    const many = await promises(process, 20_000)
    t.ok(many - few < 20, `${name}: ${few} promises for 1,000 messages, ${many} for 20,000`)
    await process.stop()
  }
  // The counter counts: an asynchronous handler makes one at least for each message.
  const slow = (await start(
    server.url,
    {
      init: (): State => ({ left: 0 }),
      // eslint-disable-next-line require-await -- the promise is what is counted
      handleFrame: async (frame, { left }) => (left > 0 ? { reply: frame } : undefined),
    },
    { keepalive: false },
  )) as Process<State>
  t.ok((await promises(slow, 2000)) >= 2000)
  await slow.stop()
  await server.close()
})
