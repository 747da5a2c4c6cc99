// Rule 6 of the behaviour contract: what is known of each failure, one by one. All in virtual time, but for the proxy.
import type { LookupFunction } from 'node:net'
import t, { type Test } from 'tap'
import { type DisconnectStatus, ProtocolViolation, start, type StartOptions } from '../../src/index.js'
import { buildFrame } from '../support/frames.js'
import { acceptance, rawServer } from '../support/raw-peer.js'
import { MUTE, PEER, SAFE, Scene } from '../support/scene.js'
import { failure } from '../support/servers.js'

const STEADY = { jitter: 'none' } as const
const never = <T>(): Promise<T> => new Promise(() => {})

const lookupNever = (() => {}) as unknown as LookupFunction

/** A failure, and what is known of it. */
interface Failure {
  readonly text: string
  readonly arrange?: (scene: Scene) => StartOptions | void
  readonly target?: unknown
  /** What happens to the connection. */
  readonly lose?: (scene: Scene) => unknown
  /** What of the status is not as usual. */
  readonly expected: object
}

const text = (body: string): Uint8Array => Uint8Array.from(Buffer.from(body))
const FAILURES: readonly Failure[] = [
  {
    text: 'the target cannot be found out',
    target: () => Promise.reject(new Error('no token')),
    expected: {
      phase: 'target',
      target: '',
      error: { code: 'WS_TARGET_FAILED', cause: { message: 'no token' } },
    },
  },
  {
    text: 'the target takes too long',
    target: never,
    expected: { phase: 'target', target: '', error: { code: 'WS_TARGET_TIMEOUT' } },
  },
  {
    text: 'the name is not known',
    arrange: () => ({
      createConnection: undefined,
      lookup: ((_name: string, _options: object, done: (error: Error) => void) => {
        done(Object.assign(new Error('unknown'), { code: 'ENOTFOUND' }))
      }) as unknown as LookupFunction,
    }),
    expected: { phase: 'dns', error: { code: 'WS_DNS_FAILED', cause: { code: 'ENOTFOUND' } } },
  },
  {
    text: 'the lookup takes too long',
    arrange: () => ({ createConnection: undefined, lookup: lookupNever }),
    expected: { phase: 'dns', error: { code: 'WS_DNS_TIMEOUT' } },
  },
  {
    text: 'nobody listens',
    arrange: ({ server }) => server.down(),
    expected: { phase: 'tcp', error: { code: 'WS_CONNECT_FAILED', cause: { code: 'ECONNREFUSED' } } },
  },
  {
    text: 'nobody answers',
    arrange: ({ server }) => server.hang(),
    expected: { phase: 'tcp', error: { code: 'WS_CONNECT_TIMEOUT' } },
  },
  {
    text: 'no TLS is spoken',
    arrange: scene => scene.listenRaw(SAFE, 'SSH-2.0-OpenSSH_9.2\r\n'),
    target: SAFE,
    expected: { phase: 'tls', target: SAFE, error: { code: 'WS_TLS_FAILED' } },
  },
  {
    text: 'TLS takes too long',
    arrange: scene => scene.listenRaw(SAFE, ''),
    target: SAFE,
    expected: { phase: 'tls', target: SAFE, error: { code: 'WS_TLS_TIMEOUT' } },
  },
  {
    text: 'the handshake is not answered',
    arrange: scene => scene.listenRaw(MUTE, ''),
    target: MUTE,
    expected: { phase: 'handshake', target: MUTE, error: { code: 'WS_HANDSHAKE_TIMEOUT' } },
  },
  {
    text: 'the connection ends instead of an answer',
    arrange: scene => scene.listenRaw(MUTE, null),
    target: MUTE,
    expected: { phase: 'handshake', target: MUTE, error: { code: 'WS_HANDSHAKE_ENDED' } },
  },
  {
    text: 'the server says no, and why',
    arrange: scene =>
      scene.listenRaw(MUTE, 'HTTP/1.1 503 Too Busy\r\nX-Load: 99\r\nContent-Length: 11\r\n\r\ncome back, …'),
    target: MUTE,
    expected: {
      phase: 'handshake',
      target: MUTE,
      httpResponse: {
        status: 503,
        reason: 'Too Busy',
        headers: [
          ['X-Load', '99'],
          ['Content-Length', '11'],
        ],
        body: text('come back, '),
      },
      error: { name: 'HandshakeError', code: 'WS_HANDSHAKE_STATUS', status: 503 },
    },
  },
  {
    text: 'the server agrees to something else',
    arrange: scene => scene.listenRaw(MUTE, acceptance('GET / HTTP/1.1\r\nSec-WebSocket-Key: other')),
    target: MUTE,
    expected: {
      phase: 'handshake',
      target: MUTE,
      httpResponse: { status: 101 },
      error: { code: 'WS_HANDSHAKE_BAD_ACCEPT' },
    },
  },
  {
    text: 'the server speaks no HTTP',
    arrange: scene => scene.listenRaw(MUTE, 'SSH-2.0-OpenSSH_9.2\r\n\r\n'),
    target: MUTE,
    expected: { phase: 'handshake', target: MUTE, error: { name: 'HandshakeError', status: 0 } },
  },
  {
    text: 'the connection is reset',
    lose: ({ server }) => server.link.reset(),
    expected: {
      reason: { type: 'closed' },
      phase: 'open',
      error: { code: 'WS_CONNECTION_LOST', phase: 'open', cause: { code: 'ECONNRESET' } },
    },
  },
  {
    text: 'the connection ends without a Close',
    lose: ({ server }) => server.link.end('to-client'),
    expected: { reason: { type: 'closed' }, phase: 'open', error: { code: 'WS_CONNECTION_LOST' } },
  },
  {
    text: 'the peer closes with a code and a text',
    lose: ({ sockets }) => sockets[0].close(4321, 'see you'),
    expected: {
      reason: { type: 'remote', code: 4321, text: 'see you' },
      phase: 'closing',
      received: { code: 4321, reason: 'see you' },
      sent: { code: 4321, reason: 'see you' },
      wasClean: true,
      error: null,
    },
  },
  {
    text: 'the peer closes without a code',
    lose: ({ sockets }) => sockets[0].close(1005),
    expected: {
      reason: { type: 'remote', normal: true, code: null, text: '' },
      phase: 'closing',
      received: { code: 1005, reason: '' },
      sent: { code: 1005, reason: '' },
      wasClean: true,
      error: null,
    },
  },
  {
    text: 'the peer is lost behind its Close',
    lose: async ({ network, server }) => {
      server.link.change({ latencyMs: 60_000 }, 'to-server')
      server.link.inject(buildFrame({ opcode: 8, payload: Uint8Array.from([3, 233]) }), 'to-client')
      await network.advance(10_000)
    },
    expected: {
      reason: { type: 'remote', code: 1001, text: '' },
      phase: 'closing',
      received: { code: 1001 },
      sent: { code: 1001 },
      wasClean: true,
      error: null,
    },
  },
  {
    text: 'the peer breaks the protocol',
    lose: ({ server }) => server.link.inject(buildFrame({ opcode: 3 }), 'to-client'),
    expected: {
      reason: { type: 'error', code: 1002, text: 'unknown opcode: 0x3' },
      phase: 'closing',
      sent: { code: 1002 },
      error: { name: 'ProtocolViolation' },
    },
  },
]

const USUAL = {
  reason: { type: 'error', normal: false, code: null, text: '' },
  sent: null,
  received: null,
  wasClean: false,
  attempt: 1,
  httpResponse: null,
  target: PEER,
  unsent: [],
} as const

function checkStatus(t: Test, status: DisconnectStatus, expected: object): void {
  const { reason } = expected as { reason?: object }
  const whole = { ...USUAL, ...expected, reason: { ...USUAL.reason, ...reason } }
  t.match(status, whole)
  for (const [name, value] of Object.entries(whole)) {
    // `match` takes null for anything.
    if (value === null) t.equal((status as unknown as Record<string, unknown>)[name], null, name)
  }
}

for (const { text, arrange, target = PEER, lose, expected } of FAILURES) {
  t.test(`the status when ${text}`, async t => {
    const scene = new Scene(t)
    const options = arrange?.(scene) ?? {}
    const process = await scene.start(
      { ...options, async: lose === undefined, keepalive: false },
      () => {},
      target as string,
    )
    await lose?.(scene)
    const end = await scene.network.run(process.ended)
    t.equal(scene.statuses.length, 1)
    const [status] = scene.statuses
    checkStatus(t, status, expected)
    const { type, normal, code, text, error } = end
    t.same({ type, normal, code, text }, status.reason, 'and the process ends so')
    t.equal(error, status.error)
    await scene.cut()
    scene.empty()
  })
}

t.test('the status of a Close of our own: answered, not answered in time, and lost', async t => {
  const sent = { code: 4000, reason: 'bye' }
  const base = { reason: { type: 'local', code: 4000, text: 'bye' }, phase: 'closing', sent }
  for (const [how, expected] of [
    ['answered', { ...base, received: sent, wasClean: true, error: null }],
    ['late', { ...base, error: { code: 'WS_CLOSE_TIMEOUT', phase: 'closing' } }],
    ['lost', { ...base, error: { code: 'WS_CONNECTION_LOST', phase: 'closing' } }],
  ] as const) {
    const scene = new Scene(t)
    const process = await scene.start()
    const { link } = scene.server
    if (how !== 'answered') link.freeze()
    process.write({ type: 'close', ...sent })
    if (how === 'lost') link.reset()
    await scene.network.run(process.ended)
    checkStatus(t, scene.statuses[0], expected)
    t.equal(scene.network.clock.now(), how === 'late' ? 5000 : 0)
    link.reset()
    await scene.network.settle()
    scene.empty()
  }
})

t.test('a violation says where it was, and a full buffer is an error of this side', async t => {
  const scene = new Scene(t)
  const process = await scene.start({ maxBufferedBytes: 100_000, reconnect: STEADY })
  scene.server.link.inject(buildFrame({ opcode: 1, rsv: 2, payload: 'x' }), 'to-client')
  await scene.network.runUntil(() => scene.statuses.length === 1)
  t.ok(scene.statuses[0].error instanceof ProtocolViolation)
  await scene.opens(2)
  scene.server.link.freeze()
  for (let i = 0; i < 4; i++) process.write('x'.repeat(50_000))
  await scene.network.settle()
  t.match(scene.statuses[1], { reason: { type: 'error' }, error: { code: 'WS_BUFFER_FULL' } })
  t.ok(scene.statuses[1].unsent.length > 0)
  await scene.network.run(process.stop(undefined, { timeoutMs: 0 }))
  await scene.cut()
  scene.empty()
})

t.test('no status has the user info of its URL', async t => {
  const scene = new Scene(t)
  const process = await scene.start({ reconnect: STEADY }, () => {}, 'ws://me:secret@peer.test/feed?x=1')
  t.equal(scene.connections[0].url, 'ws://peer.test/feed?x=1')
  scene.server.down()
  await scene.calls(3)
  t.same(
    scene.statuses.map(({ target }) => target),
    Array.from({ length: 3 }, () => 'ws://peer.test/feed?x=1'),
  )
  t.notMatch(JSON.stringify(scene.statuses), /secret/)
  t.match(scene.requests[0], 'Authorization: Basic bWU6c2VjcmV0')
  await scene.over(process)
})

t.test('the phase and the answer of a proxy that refuses', async t => {
  const proxy = await rawServer(t)
  const statuses: DisconnectStatus[] = []
  const starting = start(
    'ws://127.0.0.1:1/',
    { handleDisconnect: status => void statuses.push(status) },
    { proxy: `http://127.0.0.1:${proxy.port}`, handleInitialFailure: true },
  )
  const rejected = failure(starting)
  const peer = await proxy.accepted()
  await peer.head()
  peer.write('HTTP/1.1 407 Who Are You\r\nContent-Length: 2\r\n\r\nno')
  const refusal = { code: 'WS_PROXY_REFUSED', phase: 'proxy', response: { status: 407 } }
  t.match(await rejected, refusal)
  peer.stream.end()
  t.equal(statuses.length, 1)
  const httpResponse = { status: 407, reason: 'Who Are You', body: text('no') }
  checkStatus(t, statuses[0], { phase: 'proxy', target: 'ws://127.0.0.1:1/', httpResponse, error: refusal })
})
