// The contract's section "Callbacks", and its rules 3 (ping and pong), 7 (closing handshake) and 14 (introspection), as far as no
// other file is about them. All in virtual time.
import t from 'tap'
import {
  type Behaviour,
  type ConnectionInfo,
  type DisconnectStatus,
  idle,
  once,
  type PongInfo,
  type Process,
  type ProcessStatus,
  reconnect,
  type Self,
} from '../../src/index.js'
import { PHASES } from '../support/phases.js'
import { failure } from '../support/servers.js'
import { gate, Stage } from '../support/stage.js'

const text = (data: string | Uint8Array): string => Buffer.from(data).toString()

t.test('init is called once, with the args, before any I/O, and gives the first state', async t => {
  for (const wrap of [(state: string) => state, once, reconnect, idle]) {
    const stage = new Stage(t)
    const ready = gate()
    let inits = 0
    const starting = stage.starting(
      {
        init: async (args: { readonly name: string }) => {
          inits++
          await ready.opened
          return wrap(`state of ${args.name}`)
        },
        handleDisconnect: () => ({ reconnect: true }),
      },
      { args: { name: 'a' } },
    )
    await stage.network.advance(1000)
    t.same(stage.server.attempts, [], 'nothing is dialed before it has answered')
    ready.open()
    const feed = await stage.network.run(starting)
    t.equal(feed.phase, wrap === idle ? 'idle' : 'open')
    await stage.network.run(feed.connect())
    for (const connections of [2, 3]) {
      stage.server.link.reset()
      await stage.network.runUntil(() => stage.sockets.length === connections)
    }
    t.equal(inits, 1)
    t.equal(await stage.network.run(feed.getState()), 'state of a')
    await stage.over(t, feed)
  }
})

t.test('without init the args are the first state', async t => {
  const stage = new Stage(t)
  const args = { seen: 7 }
  const feed = await stage.start<{ seen: number }, never, never, never, unknown, { seen: number }>(
    {},
    { args },
  )
  t.equal(await feed.getState(), args)
  await stage.over(t, feed)
})

t.test('handleConnect sees what the connection is, each time', async t => {
  const stage = new Stage(t, { accept: { subprotocols: ['v2', 'v1'] } })
  const seen: ConnectionInfo[] = []
  const feed = await stage.start(
    { handleConnect: connection => void seen.push(connection) },
    { subprotocols: ['v1', 'v3'], reconnect: { minDelayMs: 10 } },
  )
  stage.server.down()
  await stage.network.runUntil(() => stage.server.attempts.length === 4)
  stage.server.up()
  await stage.network.runUntil(() => seen.length === 2)
  for (const [at, { head, ...connection }] of seen.entries()) {
    t.match(connection, {
      url: 'ws://stage.test/',
      headers: { upgrade: 'websocket', 'sec-websocket-protocol': 'v1' },
      subprotocol: 'v1',
      extensions: [],
      attempt: at === 0 ? 1 : 4,
      reconnects: at,
    })
    t.equal(head.status, 101)
  }
  await stage.over(t, feed)
})

t.test('handleConnect comes before every frame, however long it takes', async t => {
  const stage = new Stage(t, {
    onConnection: socket => {
      socket.write('early')
      void socket.ping('early').catch(() => {})
    },
  })
  const log: string[] = []
  const feed = await stage.start({
    handleConnect: async () => {
      log.push('begin')
      await new Promise<void>(resolve => void stage.network.clock.setTimeout(resolve, 500))
      log.push('end')
    },
    handleFrame: ({ data }) => void log.push(`frame ${String(data)}`),
    handlePing: data => void log.push(`ping ${text(data)}`),
  })
  await stage.network.settle()
  t.same(log, ['begin', 'end', 'frame early', 'ping early'])
  t.same(stage.heard(), ['pong "early"'])
  await stage.over(t, feed)
})

t.test(
  'handleFrame gets each message once it is whole, a text as a string and the rest as bytes',
  async t => {
    const stage = new Stage(t)
    const got: unknown[] = []
    const feed = await stage.start({ handleFrame: frame => void got.push(frame) })
    stage.socket.write('Grüße 🌍')
    stage.socket.write('')
    stage.socket.write(Uint8Array.of(0, 255))
    stage.socket.fragment('text', 'in ', false)
    stage.socket.fragment('continuation', 'three ', false)
    await stage.network.settle()
    t.equal(got.length, 3)
    void stage.socket.ping().catch(() => {})
    stage.socket.fragment('continuation', 'parts', true)
    await stage.network.settle()
    t.same(got, [
      { type: 'text', data: 'Grüße 🌍' },
      { type: 'text', data: '' },
      { type: 'binary', data: Uint8Array.of(0, 255) },
      { type: 'text', data: 'in three parts' },
    ])
    await stage.over(t, feed)
  },
)

t.test('each callback has the process itself as its last argument, init too', async t => {
  const stage = new Stage(t)
  const selves: [string, Self][] = []
  const note =
    (name: string) =>
    (...args: unknown[]): undefined => {
      selves.push([name, args.at(-1) as Self])
    }
  const behaviour: Behaviour<undefined, string, string, string> = {
    init: note('init'),
    handleConnect: note('handleConnect'),
    handleFrame: note('handleFrame'),
    handlePing: note('handlePing'),
    handlePong: note('handlePong'),
    handleCast: note('handleCast'),
    handleCall: note('handleCall'),
    handleInfo: note('handleInfo'),
    handleDrain: note('handleDrain'),
    handleDisconnect: note('handleDisconnect'),
  }
  const feed = await stage.start(behaviour, { name: 'self', highWaterMark: 10 })
  stage.socket.write('frame')
  stage.socket.pong()
  const rtt = stage.socket.ping()
  feed.cast('cast')
  feed.info('info')
  feed.call('call').catch(() => {})
  feed.write('x'.repeat(20))
  feed.write('x'.repeat(20))
  await stage.network.run(rtt)
  void stage.socket.close()
  await stage.ended(t, feed)
  t.same(selves.map(([name]) => name).toSorted(), Object.keys(behaviour).toSorted())
  for (const [name, self] of selves) {
    t.equal(self, selves[0]?.[1], name)
    t.equal(self.name, 'self')
    t.equal(self.phase, 'ended')
    t.equal(self.now(), stage.network.clock.now())
  }
})

t.test('terminate comes once, last, when the connection is gone', async t => {
  for (const how of ['stop', 'result', 'crash', 'remote', 'lost'] as const) {
    const log: string[] = []
    const stage = new Stage(t)
    const feed = await stage.start({
      handleInfo: message => {
        if (message === 'late') return undefined
        if (how === 'crash') throw new Error('boom')
        return { stop: 'enough' }
      },
      handleDisconnect: () => void log.push('disconnect'),
      terminate: () => {
        log.push('terminate')
        t.equal(feed.phase, 'closing')
        t.ok(
          [...stage.links].every(link => link.clientEnd.destroyed),
          'no socket is left',
        )
      },
    })
    if (how === 'stop') void feed.stop()
    else if (how === 'remote') void stage.socket.close(4000)
    else if (how === 'lost') stage.server.link.reset()
    else feed.info('go')
    feed.info('late')
    await stage.ended(t, feed)
    t.same(log, how === 'remote' || how === 'lost' ? ['disconnect', 'terminate'] : ['terminate'])
    t.equal(feed.phase, 'ended')
  }
})

t.test('rule 3: a ping is answered before the callback sees it', async t => {
  const stage = new Stage(t)
  const seen: string[] = []
  const feed = await stage.start({
    handlePing: data => {
      seen.push(text(data))
      return { reply: `seen ${text(data)}` }
    },
  })
  t.equal(await stage.network.run(stage.socket.ping('a')), 0)
  await stage.network.run(stage.socket.ping(''))
  await stage.network.settle()
  t.same(seen, ['a', ''])
  t.same(stage.heard(), ['pong "a"', 'text "seen a"', 'pong ""', 'text "seen "'])
  await stage.over(t, feed)
})

t.test('rule 3: with autoPong false the callback is the answer, whenever it comes', async t => {
  const stage = new Stage(t)
  const answers: Readonly<Record<string, () => unknown>> = {
    now: () => ({ reply: { type: 'pong', data: 'now' } }),
    later: async () => {
      await new Promise<void>(resolve => void stage.network.clock.setTimeout(resolve, 300))
      return { reply: { type: 'pong', data: 'later' } }
    },
    otherwise: () => ({ reply: [{ type: 'pong', data: 'something else' }, 'and a text'] }),
    never: () => undefined,
  }
  const feed = await stage.start(
    { handlePing: payload => answers[text(payload)]() as undefined },
    { autoPong: false },
  )
  t.equal(await stage.network.run(stage.socket.ping('now')), 0)
  t.equal(await stage.network.run(stage.socket.ping('later')), 300)
  for (const payload of ['otherwise', 'never']) stage.socket.ping(payload).catch(() => {})
  await stage.network.advance(1000)
  t.same(stage.heard(), ['pong "now"', 'pong "later"', 'pong "something else"', 'text "and a text"'])
  await stage.over(t, feed)
})

t.test('rule 3: with autoPong false and no callback nobody answers', async t => {
  for (const silencePings of [false, true]) {
    const stage = new Stage(t)
    const behaviour: Behaviour<undefined> = silencePings
      ? { handlePing: () => ({ reply: { type: 'pong' } }) }
      : {}
    const feed = await stage.start(behaviour, { autoPong: false, silencePings })
    stage.socket.ping('?').catch(() => {})
    await stage.network.settle()
    t.same(stage.heard(), [])
    await stage.over(t, feed)
  }
})

t.test('rule 3: handlePong tells which pong answers a ping, and how long that took', async t => {
  const stage = new Stage(t, { conditions: { latencyMs: 20 } })
  const seen: [string, PongInfo][] = []
  const feed = await stage.start({
    handlePong: (data, _state, pong) => void seen.push([text(data), pong]),
    handleInfo: () => ({ reply: { type: 'ping', data: 'reply' } }),
  })
  stage.socket.pong('nobody asked')
  await stage.network.run(feed.send({ type: 'ping', data: 'sent' }))
  await stage.network.advance(10)
  feed.info('go')
  await stage.network.advance(100)
  t.same(seen, [
    ['nobody asked', { rttMs: null, solicited: false }],
    ['sent', { rttMs: 40, solicited: true }],
    ['reply', { rttMs: 40, solicited: true }],
  ])
  t.equal(feed.rttMs, 40)
  await stage.over(t, feed)
})

t.test('rule 3: silencePings hides both, and they are answered and measured all the same', async t => {
  const stage = new Stage(t, { conditions: { latencyMs: 5 } })
  const feed = await stage.start(
    { handlePing: () => void t.fail('a ping'), handlePong: () => void t.fail('a pong') },
    { silencePings: true },
  )
  t.equal(await stage.network.run(stage.socket.ping('a')), 10)
  stage.socket.pong('b')
  await stage.network.run(feed.send({ type: 'ping' }))
  await stage.network.advance(20)
  t.equal(feed.rttMs, 10)
  await stage.over(t, feed)
})

/** Codes that a Close may have, and what becomes of each. */
const CODES: readonly (readonly [code: number | undefined, reason: string, normal: boolean])[] = [
  [undefined, '', true],
  [1000, '', true],
  [1000, 'bye', true],
  [1001, 'going away', false],
  [1011, '', false],
  [3000, 'first', false],
  [3999, '', false],
  [4000, 'Grüße', false],
  [4999, 'x'.repeat(123), false],
]
const shown = (code: number | undefined, reason: string): string =>
  `close ${code === undefined ? '' : `${code} `}${JSON.stringify(reason)}`

for (const [code, reason, normal] of CODES) {
  t.test(`rules 7 and 10: a Close with ${code ?? 'no code'}, of the peer and of this side`, async t => {
    for (const type of ['remote', 'local'] as const) {
      const stage = new Stage(t)
      let status!: DisconnectStatus
      const feed = await stage.start({ handleDisconnect: one => void (status = one) })
      if (type === 'remote') void stage.socket.close(code ?? 1005, reason)
      else void feed.send({ type: 'close', ...(code === undefined ? {} : { code, reason }) })
      const end = await stage.ended(t, feed)
      t.same(stage.heard(), [shown(code, reason)], 'the echo, or the Close itself')
      const frame = { code: code ?? 1005, reason }
      t.same(status, {
        reason: { type, normal, code: code ?? null, text: reason },
        phase: 'closing',
        sent: frame,
        received: frame,
        wasClean: true,
        attempt: 1,
        httpResponse: null,
        error: null,
        target: 'ws://stage.test/',
        unsent: [],
      })
      t.same(end, {
        type,
        normal,
        code: code ?? null,
        text: reason,
        error: null,
        value: undefined,
        unsent: [],
      })
    }
  })
}

t.test('rule 7: Close frames that cross are both shown, and it was this side', async t => {
  const stage = new Stage(t, { conditions: { latencyMs: 10 } })
  let status!: DisconnectStatus
  const feed = await stage.start({ handleDisconnect: one => void (status = one) })
  void feed.send({ type: 'close', code: 4001, reason: 'mine' })
  void stage.socket.close(4002, 'yours')
  const end = await stage.network.run(feed.ended)
  t.match(end, { type: 'local', code: 4001, text: 'mine' })
  t.match(status, {
    sent: { code: 4001, reason: 'mine' },
    received: { code: 4002, reason: 'yours' },
    wasClean: true,
  })
  await stage.network.runUntil(() => stage.network.leaks().length === 0)
})

t.test('rule 7: a Close that is not answered ends the socket after closeTimeoutMs', async t => {
  for (const [closeTimeoutMs, limit] of [
    [undefined, 5000],
    [100, 100],
  ] as const) {
    const stage = new Stage(t)
    const statuses: DisconnectStatus[] = []
    const feed = await stage.start({ handleDisconnect: one => void statuses.push(one) }, { closeTimeoutMs })
    stage.server.partition()
    await stage.network.run(feed.send({ type: 'close', code: 4001 }))
    await stage.network.advance(limit - 1)
    t.equal(feed.phase, 'closing')
    t.same(statuses, [])
    await stage.network.advance(1)
    t.equal(feed.phase, 'ended')
    t.match(statuses, [
      {
        reason: { type: 'local', normal: false, code: 4001 },
        phase: 'closing',
        sent: { code: 4001 },
        received: null,
        wasClean: false,
        error: { name: 'ConnectionError', code: 'WS_CLOSE_TIMEOUT' },
      },
    ])
    stage.server.heal()
    await stage.network.runUntil(() => stage.network.leaks().length === 0)
  }
})

t.test('rule 7: what comes after our Close is delivered only with deliverWhileClosing', async t => {
  for (const deliverWhileClosing of [false, true]) {
    const stage = new Stage(t, { conditions: { latencyMs: 10 } })
    const log: string[] = []
    const feed: Process<undefined, never, never, never, string> = await stage.start(
      {
        init: () => undefined,
        handleFrame: ({ data }, _state, self) => {
          log.push(`${self.phase} ${String(data)}`)
          return { reply: 'too late' }
        },
        handleInfo: (message: string) => void log.push(message),
        handleDisconnect: ({ unsent }) => void log.push(`disconnect ${unsent.length}`),
      },
      { deliverWhileClosing },
    )
    void feed.send({ type: 'close', code: 4001 })
    stage.socket.write('a')
    stage.socket.write('b')
    await stage.network.advance(15)
    feed.info('info')
    t.match(await stage.network.run(feed.ended), { type: 'local', code: 4001 })
    t.same(
      log,
      deliverWhileClosing ? ['closing a', 'closing b', 'info', 'disconnect 2'] : ['info', 'disconnect 0'],
    )
    t.same(stage.heard(), ['close 4001 ""'])
    await stage.network.runUntil(() => stage.network.leaks().length === 0)
  }
})

for (const [phase, { options, enter }] of Object.entries(PHASES)) {
  t.test(`rule 14: getState, replaceState, status and formatStatus while ${phase}`, async t => {
    const stage = new Stage(t)
    const given: ProcessStatus<number>[] = []
    const feed = await stage.start(
      {
        version: 3,
        init: () => idle(1),
        formatStatus: status => {
          given.push(status)
          return { ...status, state: 'secret', more: true }
        },
      },
      { ...options, name: `status ${phase}`, whenNotOpen: 'queue' },
    )
    const leave = await enter(stage, feed)
    t.equal(feed.phase, phase)
    t.equal(await stage.network.run(feed.getState()), 1)
    t.equal(await stage.network.run(feed.replaceState(state => state + 1)), 2)
    t.equal(await stage.network.run(feed.getState()), 2)
    const error = new Error('not this one')
    const refused = feed.replaceState(() => {
      throw error
    })
    t.equal(await failure(stage.network.run(refused)), error)
    t.equal(await stage.network.run(feed.getState()), 2, 'and nothing has changed')
    if (phase !== 'open') void feed.send('waits')
    const expected = {
      name: `status ${phase}`,
      phase,
      url: phase === 'idle' ? '' : 'ws://stage.test/',
      failures: phase === 'waiting' ? 1 : 0,
      reconnects: 0,
      mailboxLength: 0,
      queuedFrames: phase === 'open' ? 0 : 1,
      bufferedAmount: 0,
      droppedFrames: 0,
      rttMs: null,
      version: 3,
    }
    t.same(await stage.network.run(feed.status()), { ...expected, state: 'secret', more: true })
    t.same(given, [{ ...expected, state: 2 }], 'formatStatus is given all of it')
    leave()
    await stage.network.runUntil(() => feed.phase === 'open')
    await stage.over(t, feed)
    for (const asked of [feed.getState(), feed.replaceState(state => state), feed.status()]) {
      t.match(await failure(asked), { name: 'NoProcessError', reason: { type: 'stop' } })
    }
  })
}

t.test('rule 14: while a callback runs they wait for it, and no longer than 5 s', async t => {
  const stage = new Stage(t)
  const slow = gate()
  const feed = await stage.start({
    init: () => 1,
    handleInfo: async () => {
      await slow.opened
      return { state: 2 }
    },
  })
  feed.info('go')
  await stage.network.settle()
  const late = failure(feed.getState())
  const short = failure(feed.status({ timeoutMs: 100 }))
  const controller = new AbortController()
  const aborted = failure(feed.replaceState(() => 5, { signal: controller.signal }))
  controller.abort()
  t.match(await stage.network.run(aborted), { name: 'AbortError' })
  t.match(await stage.network.run(short), { name: 'CallTimeoutError', timeoutMs: 100 })
  t.equal(stage.network.clock.now(), 100)
  t.match(await stage.network.run(late), {
    name: 'CallTimeoutError',
    code: 'WS_CALL_TIMEOUT',
    timeoutMs: 5000,
  })
  t.equal(stage.network.clock.now(), 5000)
  const patient = feed.getState({ timeoutMs: Infinity })
  slow.open()
  t.equal(await stage.network.run(patient), 2, 'what nobody waits for any more is not done')
  await stage.over(t, feed)
})
