// Rules 1 and 15 of the behaviour contract: one callback at a time, what was read before what was posted, a process that is
// behind stops reading, and credits. All in virtual time.
import t from 'tap'
import { type Behaviour, idle, type Process, reply, type Self, UsageError, whereis } from '../../src/index.js'
import { PHASES } from '../support/phases.js'
import { failure } from '../support/servers.js'
import { type Gate, gate, Stage } from '../support/stage.js'

const text = (data: Uint8Array): string => Buffer.from(data).toString()

const numbers = (count: number): string[] => Array.from({ length: count }, (_, at) => String(at))

/** How a callback may take its time. */
const PACES: Readonly<Record<string, (stage: Stage) => Promise<void> | undefined>> = {
  synchronous: () => undefined,
  asynchronous: () => Promise.resolve(),
  slow: stage => new Promise(resolve => void stage.network.clock.setTimeout(resolve, 7)),
}

t.test('rule 1: callbacks of one process never overlap, whichever they are', async t => {
  const log: string[] = []
  let running = ''
  let overlaps = 0
  const stage: Stage = new Stage(t, {
    onConnection: socket => {
      for (const number of numbers(5)) socket.write(number)
      void socket.ping('p').catch(() => {})
      socket.pong('q')
      socket.write('x'.repeat(50))
    },
  })
  const slowly = (name: string) => async (): Promise<void> => {
    if (running !== '') overlaps++
    running = name
    log.push(name)
    await new Promise<void>(resolve => void stage.network.clock.setTimeout(resolve, 20))
    running = ''
  }
  const behaviour: Behaviour<void, string, string, string> = {
    init: slowly('init'),
    handleConnect: slowly('connect'),
    handleFrame: slowly('frame'),
    handlePing: slowly('ping'),
    handlePong: slowly('pong'),
    handleCast: slowly('cast'),
    handleCall: (_message, from) => {
      reply(from, 'answer')
      return slowly('call')()
    },
    handleInfo: slowly('info'),
    handleDrain: slowly('drain'),
    handleDisconnect: slowly('disconnect'),
    terminate: slowly('terminate'),
  }
  const options = { async: true, reconnect: true, highWaterMark: 100, lowWaterMark: 10 }
  const process = await stage.start(behaviour, options)
  const busy = (): void => {
    process.cast('c')
    process.info('i')
    process.call('?').catch(() => {})
    // The first is taken at once, the other has to wait.
    process.write('y'.repeat(200))
    process.write('y'.repeat(200))
  }
  busy()
  for (let at = 0; at < 30; at++) {
    await stage.network.advance(13)
    if (at % 4 === 0) busy()
  }
  stage.server.link.reset()
  busy()
  await stage.network.advance(2000)
  await stage.over(t, process)
  t.equal(overlaps, 0)
  t.equal(running, '')
  t.same(
    [...new Set(log)].toSorted(),
    'call cast connect disconnect drain frame info init ping pong terminate'.split(' '),
    'every callback was called',
  )
  t.equal(log[0], 'init')
  t.equal(log.at(-1), 'terminate')
})

for (const [pace, take] of Object.entries(PACES)) {
  t.test(`rule 1: a frame that was already read comes before the next cast (${pace})`, async t => {
    const log: string[] = []
    // Written in one tick, and so one chunk; more than an inbox holds.
    const stage: Stage = new Stage(t, {
      onConnection: socket => {
        for (const number of numbers(100)) socket.write(number)
      },
    })
    const process = await stage.start({
      init: () => 0,
      handleFrame: ({ data }, state, self) => {
        log.push(String(data))
        if (state === 0) {
          self.cast('cast')
          self.info('info')
        }
        const took = take(stage)
        return took === undefined ? { state: state + 1 } : took.then(() => ({ state: state + 1 }))
      },
      handleCast: (message: string) => void log.push(message),
      handleInfo: (message: string) => void log.push(message),
    })
    await stage.network.runUntil(() => log.includes('info'))
    t.same(log, [...numbers(100), 'cast', 'info'])
    t.equal(await process.getState(), 100)
    await stage.over(t, process)
  })
}

t.test('rule 1: messages, pings and pongs keep the order they came in', async t => {
  const log: string[] = []
  const stage = new Stage(t, {
    onConnection: socket => {
      for (const number of numbers(60)) {
        socket.write(number)
        socket.pong(`pong ${number}`)
        if (Number(number) % 7 === 0) void socket.ping(`ping ${number}`).catch(() => {})
      }
    },
  })
  const process = await stage.start({
    // Every third one takes a while, so that the rest comes by way of the queue.
    handleFrame: ({ data }) => {
      log.push(String(data))
      return Number(data) % 3 === 0 ? Promise.resolve() : undefined
    },
    handlePing: data => void log.push(text(data)),
    handlePong: data => void log.push(text(data)),
  })
  await stage.network.settle()
  const expected = numbers(60).flatMap(number =>
    Number(number) % 7 === 0 ? [number, `pong ${number}`, `ping ${number}`] : [number, `pong ${number}`],
  )
  t.same(log, expected)
  await stage.over(t, process)
})

t.test(
  'rule 1: a process that is behind stops reading, the server feels it, and then all arrives',
  async t => {
    for (const bytes of [1, 5000]) {
      const blocked = gate()
      const got: number[] = []
      const stage = new Stage(t)
      const process = await stage.start({
        handleFrame: ({ data }) => {
          got.push(Number.parseInt(String(data), 10))
          return got.length === 1 ? blocked.opened : undefined
        },
      })
      const { socket } = stage
      for (let number = 0; number < 20_000 / Math.sqrt(bytes); number++) {
        socket.write(String(number).padEnd(bytes, '.'))
      }
      await stage.network.settle()
      const [link] = stage.links
      const delivered = link.delivered('to-client')
      t.equal(got.length, 1)
      if (bytes > 1) t.ok(socket.bufferedAmount > 0, 'the server has to wait')
      if (bytes > 1) t.ok(delivered < 400_000, `${delivered} bytes were taken off the network`)
      await stage.network.advance(60_000)
      t.equal(got.length, 1)
      t.equal(link.delivered('to-client'), delivered, 'and no more')
      blocked.open()
      await stage.network.settle()
      t.same(got, [...got.keys()])
      t.equal(got.length, Math.ceil(20_000 / Math.sqrt(bytes)))
      t.equal(socket.bufferedAmount, 0)
      await stage.over(t, process)
    }
  },
)

for (const [phase, { options, enter }] of Object.entries(PHASES)) {
  t.test(`rule 1: casts, infos and calls while ${phase}`, async t => {
    const log: string[] = []
    const stage = new Stage(t)
    const process: Process<undefined, string, string, string, string> = await stage.start(
      {
        init: () => idle(undefined),
        handleConnect: () => void log.push('connect'),
        handleCast: (message: string) => void log.push(message),
        handleInfo: (message: string) => void log.push(message),
        handleCall: (message: string) => ({ answer: `${message}!` }),
      },
      options,
    )
    const leave = await enter(stage, process)
    t.equal(process.phase, phase)
    const waits = phase !== 'idle' && phase !== 'open'
    log.length = 0
    for (const cast of ['first', 'second']) process.cast(cast)
    process.info('info')
    t.equal(await stage.network.run(process.call('call')), 'call!')
    t.same(log, waits ? ['info'] : ['first', 'second', 'info'])
    t.match(await stage.network.run(process.status()), { phase, mailboxLength: waits ? 2 : 0 })
    leave()
    await stage.network.runUntil(() => process.phase === 'open')
    await stage.network.settle()
    const connect = phase === 'open' ? [] : ['connect']
    t.same(
      log,
      waits ? ['info', ...connect, 'first', 'second'] : ['first', 'second', 'info', ...connect],
      'casts come after handleConnect, in order',
    )
    await stage.over(t, process)
  })
}

t.test('rule 1: what comes before init has given a state waits for it', async t => {
  const log: unknown[] = []
  const ready: Gate = gate()
  const stage = new Stage(t)
  const behaviour = (init: (self: Self) => { n: number } | Promise<{ n: number }>) =>
    ({
      init: (_args: undefined, self: Self) => init(self),
      handleConnect: (_connection, state) => void log.push('connect', state),
      handleInfo: (message, state) => void log.push(message, state),
      handleCast: (message: string, state) => void log.push(message, state),
      handleCall: (message: string, _from, state) => ({ answer: [message, state] as const }),
    }) satisfies Behaviour<{ n: number }, string, string, readonly [string, unknown]>
  const first = await stage.start(
    behaviour(self => {
      self.info('from init')
      self.cast('cast')
      return { n: 1 }
    }),
  )
  t.same(log, ['from init', { n: 1 }, 'connect', { n: 1 }, 'cast', { n: 1 }])
  log.length = 0
  const starting = stage.starting(
    behaviour(async () => {
      await ready.opened
      return { n: 2 }
    }),
    { name: 'slow to begin' },
  )
  const named = whereis('slow to begin')!
  named.info('by name')
  const answer = named.call('call')
  await stage.network.settle()
  t.same(log, [], 'there is nothing to handle it with yet')
  ready.open()
  t.same(await stage.network.run(answer), ['call', { n: 2 }])
  const second = await stage.network.run(starting)
  t.same(log, ['by name', { n: 2 }, 'connect', { n: 2 }])
  await stage.over(t, first, second)
})

t.test('rule 1: nothing that was read with a message whose callback stops is handled', async t => {
  for (const how of ['result', 'self', 'throw'] as const) {
    const got: string[] = []
    const stage = new Stage(t, {
      onConnection: socket => {
        for (const number of numbers(10)) socket.write(number)
      },
    })
    const starting = stage.starting({
      handleFrame: ({ data }, _state, self) => {
        got.push(String(data))
        if (data !== '3') return undefined
        if (how === 'throw') throw new Error('boom')
        if (how === 'result') return { stop: 'enough' }
        self.stop('enough')
        return undefined
      },
    })
    const process = await stage.network.run(starting)
    t.equal((await stage.ended(t, process)).type, how === 'throw' ? 'crash' : 'stop')
    t.same(got, numbers(4))
  }
})

t.test('rule 15: each message takes a credit, and without one no message is delivered', async t => {
  const got: string[] = []
  const stage = new Stage(t)
  const process: Process<undefined, never, never, never, number> = await stage.start(
    {
      init: () => undefined,
      handleFrame: ({ data }) => void got.push(String(data)),
      handleInfo: (credits: number, _state, self) => {
        if (credits < 10) return { flow: credits }
        self.updateFlow(credits)
        return undefined
      },
    },
    { flow: 2 },
  )
  for (const number of numbers(50)) stage.socket.write(number)
  await stage.network.settle()
  t.same(got, numbers(2), 'the option says with how many it begins')
  process.updateFlow(1)
  await stage.network.settle()
  t.same(got, numbers(3))
  process.info(2)
  await stage.network.settle()
  t.same(got, numbers(5), 'results give more')
  process.info(10)
  await stage.network.settle()
  t.same(got, numbers(15), 'and so does the process itself')
  process.updateFlow(0)
  await stage.network.settle()
  t.same(got, numbers(15))
  process.updateFlow(Infinity)
  await stage.network.settle()
  t.same(got, numbers(50))
  await stage.over(t, process)
})

t.test('rule 15: a message that gives its own credit back goes on for ever', async t => {
  let got = 0
  const stage = new Stage(t)
  const process = await stage.start(
    { handleFrame: () => (++got % 2 === 0 ? { flow: 1 } : Promise.resolve({ flow: 1 })) },
    { flow: 1 },
  )
  for (const number of numbers(200)) stage.socket.write(number)
  await stage.network.settle()
  t.equal(got, 200)
  await stage.over(t, process)
})

t.test('rule 15: without credits pings, pongs, casts and the end are handled all the same', async t => {
  const log: string[] = []
  const stage = new Stage(t)
  const process: Process<undefined, string> = await stage.start(
    {
      init: () => undefined,
      handleFrame: ({ data }) => void log.push(`frame ${String(data)}`),
      handlePing: data => void log.push(`ping ${text(data)}`),
      handlePong: data => void log.push(`pong ${text(data)}`),
      handleCast: (message: string) => void log.push(`cast ${message}`),
      handleDisconnect: ({ reason }) => void log.push(`disconnect ${reason.code}`),
    },
    { flow: 0 },
  )
  stage.socket.write('a')
  const answered = stage.socket.ping('p')
  stage.socket.pong('q')
  process.cast('c')
  t.equal(await stage.network.run(answered), 0)
  t.same(log, ['cast c', 'ping p', 'pong q'])
  stage.socket.write('b')
  void stage.socket.close(4001)
  t.match(await stage.ended(t, process), { type: 'remote', code: 4001 })
  t.same(log.slice(3), ['frame a', 'frame b', 'disconnect 4001'], 'what was held back is not lost')
})

t.test('rule 15: messages that nobody may have are left on the network, up to a few', async t => {
  let got = 0
  const stage = new Stage(t)
  const process = await stage.start({ handleFrame: () => void got++ }, { flow: 0, maxQueuedMessages: 4 })
  for (let at = 0; at < 100; at++) stage.socket.write('x'.repeat(20_000))
  await stage.network.settle()
  t.ok(stage.socket.bufferedAmount > 1_000_000)
  t.equal(got, 0)
  process.updateFlow(100)
  await stage.network.settle()
  t.equal(got, 100)
  await stage.over(t, process)
})

t.test('rule 15: credits that are none are refused', async t => {
  const stage = new Stage(t)
  for (const flow of [-1, Number.NaN, '1' as never]) {
    t.match(await failure(stage.starting({}, { flow })), { name: 'UsageError', code: 'WS_BAD_OPTION' })
  }
  const process = await stage.start({})
  for (const credits of [-1, Number.NaN, '1' as never])
    t.throws(() => process.updateFlow(credits), UsageError)
  t.equal(process.phase, 'open')
  await stage.over(t, process)
})
