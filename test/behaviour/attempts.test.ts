// One attempt to connect: where it leads to, what it begins with, what its failure means, and that nothing of the attempt
// before is left in it. All in virtual time.
import type { Duplex } from 'node:stream'
import t, { type Test } from 'tap'
import { failedStatus } from '../../src/behaviour/disconnect-status.js'
import { ReconnectPolicy } from '../../src/behaviour/reconnect-policy.js'
import {
  HandshakeError,
  start,
  type StartOptions,
  type StartTarget,
  type TargetRequest,
} from '../../src/index.js'
import { buildFrame, show } from '../support/frames.js'
import { acceptance, headerOf } from '../support/raw-peer.js'
import { PEER, Scene } from '../support/scene.js'
import { failure } from '../support/servers.js'

const STEADY = { jitter: 'none' } as const
const NOBODY_ASKS = (): never => {
  throw new Error('nobody asks the policy')
}
/** A target that may have another token each time. */
const FRESH = (): string => PEER

t.test(
  'a target that is a function is asked for each attempt, and may answer with a fresh token',
  async t => {
    const scene = new Scene(t)
    const asked: TargetRequest[] = []
    const target = async (
      request: TargetRequest,
    ): Promise<{ url: string; headers: Record<string, string> }> => {
      asked.push(request)
      const token = asked.length
      await Promise.resolve()
      return { url: `${PEER}feed?n=${token}`, headers: { Authorization: `Bearer ${token}` } }
    }
    const process = await scene.start({ reconnect: STEADY, headers: { 'X-Of': 'start' } }, () => {}, target)
    scene.server.link.reset()
    await scene.opens(2)
    scene.server.down()
    await scene.calls(4)
    scene.server.up()
    await scene.opens(3)
    t.same(
      scene.requests.map(head => [
        head.split('\r\n')[0],
        headerOf(head, 'Authorization'),
        headerOf(head, 'X-Of'),
      ]),
      // Those of a target take the place of those of the options.
      [
        ['GET /feed?n=1 HTTP/1.1', 'Bearer 1', undefined],
        ['GET /feed?n=2 HTTP/1.1', 'Bearer 2', undefined],
        ['GET /feed?n=5 HTTP/1.1', 'Bearer 5', undefined],
      ],
    )
    t.same(
      asked.map(({ attempt }) => attempt),
      [1, 1, 1, 2, 3],
    )
    t.same(
      asked.map(({ last }) => last),
      [null, ...scene.statuses],
      'and is told why there was no connection before',
    )
    t.equal(scene.statuses[1].target, `${PEER}feed?n=2`)
    await scene.over(process)
  },
)

t.test('every option of a target is laid over those of the start, for this attempt', async t => {
  const scene = new Scene(t)
  const targets: StartTarget[] = [
    PEER,
    new URL(PEER),
    { url: PEER, origin: 'https://own.test', subprotocols: ['v2'], headers: { 'X-Own': 'yes' } },
  ]
  const options: StartOptions = { origin: 'https://start.test', subprotocols: ['v1'], reconnect: STEADY }
  const process = await scene.start(
    options,
    () => {},
    () => targets[scene.times.length] as string,
  )
  for (const count of [2, 3]) {
    scene.server.link.reset()
    await scene.opens(count)
  }
  const names = ['Origin', 'Sec-WebSocket-Protocol', 'X-Own']
  t.same(
    scene.requests.map(head => names.map(name => headerOf(head, name))),
    [
      ['https://start.test', 'v1', undefined],
      ['https://start.test', 'v1', undefined],
      ['https://own.test', 'v2', 'yes'],
    ],
  )
  await scene.over(process)
})

t.test('a target that fails is a failed attempt like any other', async t => {
  const error = new Error('no token')
  const failing: readonly (readonly [string, () => never | Promise<never>, unknown])[] = [
    ['rejects', () => Promise.reject(error), error],
    [
      'throws',
      () => {
        throw error
      },
      error,
    ],
    // oxlint-disable-next-line prefer-promise-reject-errors -- Users do.
    ['rejects with anything', () => Promise.reject('no'), 'no'],
  ]
  for (const [text, target, cause] of failing) {
    const scene = new Scene(t)
    let good = false
    const process = await scene.start(
      { async: true, reconnect: STEADY },
      () => {},
      () => (good ? PEER : target()),
    )
    await scene.network.runUntil(() => scene.statuses.length === 2)
    t.equal(scene.network.clock.now(), 1000, text)
    const failed = { name: 'ConnectionError', code: 'WS_TARGET_FAILED', phase: 'target', cause }
    const status = { reason: { type: 'error', normal: false }, phase: 'target', target: '', error: failed }
    t.match(scene.statuses, [
      { ...status, attempt: 1 },
      { ...status, attempt: 2 },
    ])
    good = true
    await scene.opens(1)
    t.match(scene.connections, [{ attempt: 3, reconnects: 0 }])
    await scene.over(process)
  }
})

t.test('a target may take 30 s, or targetTimeoutMs, and its signal tells it when that is over', async t => {
  for (const [options, limitMs] of [
    [{}, 30_000],
    [{ targetTimeoutMs: 200 }, 200],
  ] as const) {
    const scene = new Scene(t)
    const asked: TargetRequest[] = []
    const late: ((target: string) => void)[] = []
    const target = (request: TargetRequest): Promise<string> => {
      asked.push(request)
      return new Promise(resolve => late.push(resolve))
    }
    const process = await scene.start({ ...options, async: true, reconnect: STEADY }, () => {}, target)
    await scene.network.advance(limitMs - 1)
    t.equal(asked[0].signal.aborted, false)
    t.equal(process.phase, 'connecting')
    await scene.network.advance(1)
    t.equal(asked[0].signal.aborted, true)
    t.match(scene.statuses, [{ phase: 'target', error: { code: 'WS_TARGET_TIMEOUT' }, target: '' }])
    late[0](PEER)
    await scene.network.advance(999)
    t.same(scene.times, [], 'a late answer is not looked at')
    await scene.network.advance(1)
    late[1](PEER)
    await scene.opens(1)
    t.equal(asked[1].signal.aborted, false)
    await scene.over(process)
    t.equal(asked.length, 2)
  }
})

t.test('a target that is still being found out is given up by stop(), and by an abort', async t => {
  for (const how of ['stop', 'abort'] as const) {
    const scene = new Scene(t)
    const controller = new AbortController()
    const signals: AbortSignal[] = []
    const target = ({ signal }: TargetRequest): Promise<string> => {
      signals.push(signal)
      return new Promise(() => {})
    }
    const process = await scene.start({ async: true, signal: controller.signal }, () => {}, target)
    await scene.network.settle()
    if (how === 'abort') controller.abort()
    else void process.stop()
    await scene.network.run(process.ended)
    t.equal(signals[0].aborted, true)
    t.same(scene.statuses, [])
    scene.empty()
  }
})

t.test(
  'what is asked for wrongly ends the process whatever the policy says, but handleDisconnect may know better',
  async t => {
    const bad: readonly (readonly [unknown, string])[] = [
      ['nonsense', 'WS_BAD_URL'],
      ['ftp://peer.test/', 'WS_BAD_URL'],
      [`${PEER}#fragment`, 'WS_BAD_URL'],
      [undefined, 'WS_BAD_URL'],
      [null, 'WS_BAD_URL'],
      [5, 'WS_BAD_URL'],
      [{}, 'WS_BAD_URL'],
      [{ url: PEER, token: 'x' }, 'WS_BAD_OPTION'],
      [{ url: PEER, tls: { rejectUnauthorized: false } }, 'WS_BAD_OPTION'],
      [{ url: PEER, headers: { 'X-Bad': 'a\r\nb' } }, 'WS_INVALID_HEAD'],
      [{ url: PEER, subprotocols: ['not a token'] }, 'WS_INVALID_HEAD'],
    ]
    for (const [answer, code] of bad) {
      const scene = new Scene(t)
      const options = { async: true, reconnect: { decide: NOBODY_ASKS } }
      const process = await scene.start(
        options,
        () => {},
        () => answer as string,
      )
      const { type, error } = await scene.network.run(process.ended)
      t.equal(type, 'error', String(error))
      t.match(error, { code })
      t.match(scene.statuses, [{ phase: 'target', error }])
      t.same(scene.times, [])
      scene.empty()
    }
    const scene = new Scene(t)
    const process = await scene.start(
      { async: true },
      () => ({ reconnect: { delayMs: 10, target: PEER } }),
      () => 'nonsense',
    )
    await scene.opens(1)
    t.equal(scene.network.clock.now(), 10)
    await scene.over(process)
    t.match(
      await failure(start('nonsense', {})),
      { code: 'WS_BAD_URL' },
      'and is refused at once where it can be',
    )
  },
)

/** Attempts within so much time when each is answered with this status. */
async function attemptsAgainst(
  t: Test,
  status: number,
  target: StartTarget = PEER,
  withinMs = 8000,
): Promise<number> {
  const scene = new Scene(t)
  scene.server.refuse(status)
  const process = await scene.start({ async: true, reconnect: STEADY }, () => {}, target)
  await scene.network.advance(withinMs)
  const { type } = await scene.over(process)
  t.equal(type === 'error', scene.times.length === 1, `${status}`)
  return scene.times.length
}

t.test('a server that refuses for good ends the process; one that may change its mind does not', async t => {
  const HOPELESS = [
    300, 301, 302, 307, 400, 401, 402, 403, 404, 405, 406, 409, 410, 421, 422, 426, 428, 451, 499,
  ]
  for (const status of HOPELESS) t.equal(await attemptsAgainst(t, status), 1, `${status}`)
  for (const status of [408, 425, 429, 500, 501, 502, 503, 504, 511, 599])
    t.equal(await attemptsAgainst(t, status), 4, `${status}`)
})

t.test('a page instead of a handshake, HTTP 200, is for good too', t => {
  const httpResponse = { status: 200, reason: 'OK', headers: [], body: new Uint8Array(0) }
  const status = failedStatus(new HandshakeError('WS_HANDSHAKE_STATUS', { response: httpResponse }), {
    attempt: 1,
    target: '',
    unsent: [],
  })
  t.equal(new ReconnectPolicy({}, () => 0.5).decide(status, false), null)
  const later = { ...status, httpResponse: { ...httpResponse, status: 503 } }
  t.equal(new ReconnectPolicy({}, () => 0.5).decide(later, false), 500)
  t.end()
})

t.test('401, 403 and 407 are not for good when the next attempt has another token', async t => {
  for (const status of [401, 403, 407]) t.equal(await attemptsAgainst(t, status, FRESH), 4, `${status}`)
  for (const status of [400, 404, 410]) t.equal(await attemptsAgainst(t, status, FRESH), 1, `${status}`)
})

t.test('Retry-After is added to the delay, up to an hour', async t => {
  const cases: readonly (readonly [string, number])[] = [
    ['0', 0],
    ['7', 7000],
    ['3600', 3_600_000],
    ['3601', 3_600_000],
    ['99999999999999999999', 3_600_000],
    // Clocks need not agree, so dates are not looked at; nor is what is no number.
    ['Wed, 21 Oct 2026 07:28:00 GMT', 0],
    ['-5', 0],
    ['1.5', 0],
    ['1e3', 0],
    ['soon', 0],
  ]
  for (const [value, ms] of cases) {
    const scene = new Scene(t)
    scene.server.refuse(503, [['retry-after', value]])
    const process = await scene.start({ async: true, reconnect: STEADY })
    await scene.network.runUntil(() => scene.times.length === 3, { limitMs: 1e9 })
    t.same(scene.gaps, [1000 + ms, 2000 + ms], value)
    await scene.over(process)
  }
})

t.test('Retry-After counts for reconnect: true, and not where a delay was asked for', async t => {
  for (const [reconnect, gap] of [
    [true, 7500],
    [{ delayMs: 20 }, 20],
  ] as const) {
    const scene = new Scene(t)
    scene.server.refuse(429, [['Retry-After', '7']])
    const process = await scene.start({ async: true, random: () => 0.5 }, () => ({ reconnect }))
    await scene.calls(2)
    t.same(scene.gaps, [gap])
    await scene.over(process)
  }
})

type Said = (stream: Duplex, acceptance: string) => void

/** A server that answers the first handshake in the first way, and so on. */
const answering = (...ways: readonly Said[]): ((stream: Duplex) => void) => {
  let turn = 0
  return stream => {
    let head = ''
    stream.on('error', () => {})
    stream.on('end', () => stream.destroy())
    stream.on('data', (chunk: Buffer) => {
      if (head.includes('\r\n\r\n')) return
      head += chunk.toString('latin1')
      if (head.includes('\r\n\r\n')) ways[turn++](stream, acceptance(head))
    })
  }
}

const sayAndEnd =
  (rest: Uint8Array): Said =>
  (stream, head) => {
    stream.write(head)
    stream.end(rest)
  }

const sayWhole: Said = (stream, head) => {
  stream.write(head)
  stream.write(buildFrame({ opcode: 1, payload: '€ whole' }))
}

t.test('nothing of the half-read connection before is in the next one', async t => {
  const halves: readonly (readonly [string, Said])[] = [
    ['half a 101', (stream, head) => stream.end(head.slice(0, 60))],
    ['half a header of a frame', sayAndEnd(Buffer.from([0x82, 126, 1]))],
    ['half a frame', sayAndEnd(Buffer.from([0x81, 5, 0x68, 0x65]))],
    ['half a message', sayAndEnd(buildFrame({ opcode: 1, payload: 'half', fin: false }))],
    [
      'half a character',
      sayAndEnd(buildFrame({ opcode: 1, payload: Buffer.from([0xe2, 0x82]), fin: false })),
    ],
    ['half a Close', sayAndEnd(Buffer.from([0x88, 2, 3]))],
  ]
  for (const [text, half] of halves) {
    const scene = new Scene(t, answering(half, sayWhole))
    const got: unknown[] = []
    const process = await scene.start({ async: true, reconnect: STEADY }, () => {}, PEER, {
      handleFrame: frame => void got.push(frame.data),
    })
    await scene.network.runUntil(() => got.length > 0)
    t.same(got, ['€ whole'], text)
    t.equal(scene.statuses.length, 1)
    await scene.network.run(process.stop(undefined, { timeoutMs: 0 }))
    await scene.network.settle()
    scene.empty()
  }
})

t.test('nothing of the half-written connection before is in the next one', async t => {
  const scene = new Scene(t)
  const process = await scene.start({ reconnect: STEADY })
  // The first fragment of a message.
  await scene.network.run(process.send({ type: 'fragment', kind: 'text', data: 'half' }))
  scene.server.link.reset()
  await scene.opens(2)
  t.match(await failure(process.send({ type: 'finish', data: 'rest' })), { reason: 'fragment-sequence' })
  // Half a frame: the network takes no more of it.
  await scene.network.run(process.send('whole'))
  scene.server.link.freeze()
  const big = failure(process.send('x'.repeat(1_000_000)))
  await scene.network.settle()
  t.ok(scene.server.link.taken('to-server') < 1_000_000)
  scene.server.link.reset()
  t.match(await scene.network.run(big), { code: 'WS_CONNECTION_LOST' })
  await scene.opens(3)
  await scene.network.run(process.send('whole again'))
  t.same(show(scene.framesOf(0)), ['text+ "half"'])
  t.throws(() => scene.framesOf(1), 'the second connection ended inside a frame')
  t.same(show(scene.framesOf(2)), ['text "whole again"'])
  await scene.over(process)
})

t.test('each attempt has its own Sec-WebSocket-Key, and each frame its own mask', async t => {
  const scene = new Scene(t)
  const { maskKey: _, ...options } = scene.network.startOptions
  const process = await start(
    PEER,
    { handleConnect: connection => (scene.connections.push(connection), { reply: 'hello' }) },
    { ...options, async: true, reconnect: { ...STEADY, factor: 1 } },
  )
  for (let count = 1; count <= 20; count++) {
    await scene.opens(count)
    await scene.network.settle()
    scene.server.link.reset()
    await scene.network.settle()
  }
  const keys = scene.requests.map(head => headerOf(head, 'Sec-WebSocket-Key') ?? '')
  t.equal(new Set(keys).size, 20)
  for (const key of keys) {
    const bytes = Buffer.from(key, 'base64')
    t.equal(bytes.length, 16)
    t.equal(bytes.toString('base64'), key)
  }
  const frames = keys.map((_key, i) => scene.framesOf(i))
  t.ok(frames.every(one => show(one).join() === 'text "hello"'))
  t.equal(new Set(frames.map(([{ mask }]) => String(mask))).size, 20)
  await scene.network.run(process.stop())
  t.same(scene.network.leaks(), [])
})
