// Strategy: how a WebSockex process begins and how it ends: its functions, options, errors and reasons, each as a test on
// ours. Time-outs are those of a clock that the test moves; the sockets are real.
import { readFileSync } from 'node:fs'
import { networkInterfaces } from 'node:os'
import { join } from 'node:path'
import { type LookupFunction, Socket as NetSocket } from 'node:net'
import type { TLSSocket } from 'node:tls'
import t, { type Test } from 'tap'
import {
  type AnyProcess,
  type Behaviour,
  cast,
  childSpec,
  connect,
  type DisconnectStatus,
  type EndReason,
  type NameRegistry,
  parseTarget,
  type Process,
  type ProcessName,
  send,
  setGlobalRegistry,
  start,
  startSupervisor,
  whereis,
} from '../../src/index.js'
import {
  acceptKey,
  encodeRequest,
  generateKey,
  HeadReader,
  verifyResponse,
} from '../../src/handshake/index.js'
import { authority, certificates } from '../support/certificates.js'
import { bytesOf, CLOSE, closePayload, CONTINUATION, type FrameSpec, PING, TEXT } from '../support/frames.js'
import { headerOf, rawServer, until } from '../support/raw-peer.js'
import { failure, leavesNothing, serve, silentServer, turn, withResolvers } from '../support/servers.js'
import { VirtualClock } from '../support/virtual-clock.js'
import { bidFarewell, echo, greet, nobody, owned, wsServer } from './websockex-support.js'

const hasIPv6 = Object.values(networkInterfaces()).some(list => list?.some(one => one.address === '::1'))

/** Names of any kind, as long as somebody has them. */
const mapRegistry = (): NameRegistry => {
  const entries = new Map<unknown, AnyProcess>()
  return {
    register: (key, process) => !entries.has(key) && entries.set(key, process).get(key) === process,
    unregister: (key, process) => entries.get(key) === process && entries.delete(key),
    whereis: key => entries.get(key) ?? null,
  }
}

t.test('start: {ok, pid} comes after handle_connect of the first connection', async t => {
  const { url } = await wsServer(t)
  let connected = false
  const feed = await start(url, {
    handleConnect: async () => {
      await turn()
      connected = true
    },
  })
  t.ok(connected)
  t.equal(feed.phase, 'open')
  t.match(await feed.stop(), { type: 'stop', normal: true })
})

t.test('start: {error, reason} is the failure itself, and nothing is left of the process', async t => {
  const url = await nobody()
  await leavesNothing(t, async () => {
    const terminated: EndReason[] = []
    const behaviour: Behaviour<undefined> = {
      handleDisconnect: () => t.fail('not for the first connection') as never,
      terminate: reason => void terminated.push(reason),
    }
    const error = await failure(start(url, behaviour, { name: 'gone' }))
    t.match(error, { name: 'ConnectionError', code: 'WS_CONNECT_FAILED', phase: 'tcp' })
    t.match(error.cause, { code: 'ECONNREFUSED' })
    t.match(terminated, [{ type: 'error', normal: false, error }])
    t.equal(whereis('gone'), null)
  })
})

t.test('start_link: the abnormal end of one ends the other, a normal one does not', async t => {
  const { url } = await wsServer(t)
  const parent = await start(url, {})
  const child = await start(url, {}, { link: parent })
  const other = owned(t, await start(url, {}, { link: child }))
  await child.stop()
  t.equal(parent.phase, 'open', 'a normal end is nobody else’s business')
  t.equal(other.phase, 'open')
  other.link(parent)
  const error = new Error('no more')
  void parent.stop(error)
  t.match(await other.ended, { type: 'link', normal: false, error })
})

t.test('child_spec/1: [state] as a child of a supervisor', async t => {
  const { url } = await wsServer(t)
  const behaviour: Behaviour<number, never, never, never, unknown, number> = { init: state => state }
  const spec = childSpec({ id: 'feed', target: url, behaviour, options: { args: 7 } })
  t.match(spec, { id: 'feed', restart: 'permanent', shutdownMs: 5000, type: 'worker' })
  const supervisor = await startSupervisor({ children: [spec] })
  t.match(supervisor.children(), [{ id: 'feed', state: 'running' }])
  const feed = supervisor.child('feed') as Process<number>
  t.equal(await feed.getState(), 7)
  await supervisor.stop()
  t.match(await feed.ended, { type: 'stop', normal: true })
})

t.test('child_spec/2: [conn_info, state], the connection as part of the specification', async t => {
  const { url, requests } = await wsServer(t)
  const target = { url: `${url}room`, headers: { 'X-Room': '1' } }
  const spec = childSpec({ target, behaviour: {}, options: { name: 'room', args: undefined } })
  t.equal(spec.id, 'room', 'a name is an id')
  const supervisor = await startSupervisor({ children: [spec] })
  t.match(requests, [{ url: '/room', headers: { 'x-room': '1' } }])
  await supervisor.stop()
})

t.test('child_spec: overridable, such as with restart: :transient', async t => {
  const { url } = await wsServer(t)
  const spec = childSpec({ id: 'a', target: url, behaviour: {}, restart: 'transient', shutdownMs: 10 })
  t.match({ ...spec, id: 'b', restart: 'temporary' }, { id: 'b', restart: 'temporary', shutdownMs: 10 })
  t.equal(spec.restart, 'transient')
  const own = childSpec({ id: 'own', start: signal => start(url, {}, { signal }) })
  const supervisor = await startSupervisor({ children: [own] })
  t.match(supervisor.child('own'), { phase: 'open' })
  await supervisor.stop()
})

t.test('Conn.new: a target has options of its own, which win over those of start()', async t => {
  const { url, requests } = await wsServer(t)
  const target = { url: new URL('/a?b=c', url), headers: { 'X-One': 'target' } }
  const feed = await start(target, {}, { headers: { 'X-One': 'options' }, origin: 'http://both.test' })
  t.match(requests, [{ url: '/a?b=c', headers: { 'x-one': 'target', origin: 'http://both.test' } }])
  await feed.stop()
})

t.test('Conn.parse_url: ws, wss, http, https, and an empty path is a slash', t => {
  t.match(parseTarget('ws://a.test'), { secure: false, port: 80, host: 'a.test', requestTarget: '/' })
  t.match(parseTarget('wss://a.test/b?c=d'), { secure: true, port: 443, requestTarget: '/b?c=d' })
  t.match(parseTarget('http://a.test:81'), { secure: false, port: 81, host: 'a.test:81' })
  t.match(parseTarget('https://a.test'), { secure: true, port: 443, href: 'wss://a.test/' })
  t.end()
})

t.test(
  'Conn.open_socket, socket_send, set_active and close_socket: connect(), without a process',
  async t => {
    const { url } = await wsServer(t, echo)
    const socket = await connect(url)
    socket.pause()
    await socket.send('hello')
    socket.resume()
    for await (const message of socket) {
      t.equal(message.data, 'hello')
      break
    }
    t.match(await socket.close(4000, 'bye'), { wasClean: true, sent: { code: 4000, reason: 'bye' } })
  },
)

t.test('Conn.build_request and handle_response: the handshake without a socket', t => {
  const key = generateKey()
  const { host, requestTarget } = parseTarget('ws://a.test/b')
  const request = { host, target: requestTarget, key, subprotocols: [], extensions: [], headers: [] }
  t.match(Buffer.from(encodeRequest(request)).toString(), /^GET \/b HTTP\/1.1\r\nHost: a.test\r\n/)
  const reader = HeadReader.forResponse()
  const answer = `HTTP/1.1 101 Go\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${acceptKey(key)}\r\n\r\n`
  const result = reader.receive(bytesOf(answer))
  t.match(verifyResponse(request, result!.head), { subprotocol: null, extensions: [] })
  t.end()
})

t.test('Conn.controlling_process: a connection of your own is handed over', async t => {
  const { url, port } = await wsServer(t, socket => socket.send('welcome'))
  const { promise, resolve } = withResolvers<unknown>()
  const mine = new NetSocket()
  const feed = await start(
    url,
    { handleFrame: frame => resolve(frame.data) },
    { createConnection: () => mine.connect(port, '127.0.0.1') },
  )
  t.equal(await promise, 'welcome')
  await feed.stop()
  t.ok(mine.destroyed)
})

t.test('async: true answers before there is a connection, and failing it ends the process', async t => {
  const feed = await start(await nobody(), {}, { async: true, handleInitialFailure: false })
  t.equal(feed.phase, 'connecting')
  const reason = await feed.ended
  t.match(reason, { type: 'error', normal: false, error: { code: 'WS_CONNECT_FAILED' } })

  const server = await rawServer(t)
  const later = owned(t, await start(server.url, {}, { async: true }))
  t.equal(later.phase, 'connecting')
  const connected = later.connect()
  await greet(server)
  await connected
  t.equal(later.phase, 'open')
})

t.test(
  'handle_initial_conn_failure: true asks handle_disconnect, and start waits for what comes of it',
  async t => {
    const { url } = await wsServer(t)
    const closed = await nobody()
    const statuses: DisconnectStatus[] = []
    const behaviour: Behaviour<number> = {
      init: () => 1,
      handleDisconnect: (status, state) => {
        statuses.push(status)
        return { state: state + 1, reconnect: { delayMs: 0, target: state < 3 ? closed : url } }
      },
    }
    const feed = await start(closed, behaviour, { handleInitialFailure: true })
    t.same(
      statuses.map(({ attempt, reason, phase }) => [attempt, reason.type, phase]),
      [1, 2, 3].map(attempt => [attempt, 'error', 'tcp']),
    )
    t.equal(await feed.getState(), 4)
    await feed.stop()
    const refusing = start(closed, { handleDisconnect: () => {} }, { handleInitialFailure: true })
    t.match(await failure(refusing), { code: 'WS_CONNECT_FAILED' })
  },
)

/** A name of any kind: taken once, used, and free again at the end. */
async function testName(t: Test, name: ProcessName): Promise<void> {
  const { url } = await wsServer(t, echo)
  const heard = withResolvers<unknown>()
  const echoed = withResolvers<unknown>()
  const feed = await start(
    url,
    { handleCast: heard.resolve, handleFrame: frame => echoed.resolve(frame.data) },
    { name },
  )
  t.match(await failure(start(url, {}, { name })), {
    name: 'AlreadyStartedError',
    code: 'WS_ALREADY_STARTED',
    holder: feed,
  })
  t.equal(await whereis(name), feed)
  await cast(name, 'by name')
  t.equal(await heard.promise, 'by name')
  await send(name, 'by name too')
  t.equal(await echoed.promise, 'by name too')
  await feed.stop()
  t.equal(await whereis(name), null)
}

t.test('name: an atom registers it locally', t => testName(t, 'feed'))
t.test('name: {via, module, term} registers it with a module', t =>
  testName(t, { via: mapRegistry(), key: ['any', 'term'] }),
)
t.test('name: {global, term} registers it in the cluster', async t => {
  t.match(await failure(start('ws://127.0.0.1:1', {}, { name: { global: 'feed' } })), {
    code: 'WS_NO_CLUSTER',
  })
  setGlobalRegistry(mapRegistry())
  t.teardown(() => setGlobalRegistry(null))
  await testName(t, { global: 'feed' })
})

/** A short life with some of everything: a cast, a message in and one out. */
async function life(
  t: Test,
  debug: NonNullable<Parameters<typeof start>[2]>['debug'],
): Promise<Pick<Process, 'debug'>> {
  const { url } = await wsServer(t, socket => socket.on('message', () => socket.close(4000, 'enough')))
  const feed = await start(url, { handleCast: (message: string) => ({ reply: message }) }, { debug })
  const { ended } = feed
  feed.cast('hello')
  await ended
  return feed
}

const typesOf = (feed: Pick<Process, 'debug'>): string[] => feed.debug.getLog().map(({ event }) => event.type)

t.test('debug: trace prints each event', async t => {
  const printed = t.capture(console, 'error', () => {})
  await life(t, ['trace'])
  const lines = printed().map(({ args }) => String(args[0]))
  for (const type of ['open', 'cast "hello"', 'frame-out text 5 B "hello"', 'close-in 4000', 'terminate'])
    t.ok(
      lines.some(line => line.includes(` ${type}`)),
      type,
    )
})

t.test('debug: log keeps the last ten events', async t => {
  const feed = await life(t, ['log'])
  t.equal(typesOf(feed).length, 10)
  t.equal(typesOf(feed).at(-1), 'terminate')
})

t.test('debug: {log, log_depth} keeps that many', async t => {
  const feed = await life(t, [{ log: 2 }])
  t.same(typesOf(feed), ['disconnect', 'terminate'])
})

t.test('debug: statistics counts what came and went', async t => {
  const feed = await life(t, ['statistics'])
  const counted = { opens: 1, casts: 1, framesOut: 1, bytesOut: 5, framesIn: 0, disconnects: 1 }
  t.match(feed.debug.getStatistics(), counted)
})

t.test('debug: {log_to_file, path} appends to a file', async t => {
  const path = join(t.testdir(), 'feed.log')
  await life(t, [{ logToFile: path }])
  const text = readFileSync(path, 'utf8')
  t.match(text, /^\S+Z sansocket process-\d+ \+\S+ start\n/)
  t.match(text, /terminate remote 4000 "enough".*\n$/)
})

t.test('extra_headers: sent with each handshake', async t => {
  const { url, requests } = await wsServer(t)
  const headers = [
    ['X-Token', 'secret'],
    ['Cookie', 'a=b'],
  ] as const
  const feed = await start(url, {}, { headers })
  t.match(requests, [{ headers: { 'x-token': 'secret', cookie: 'a=b' } }])
  await feed.stop()
})

const secure = (t: Test, more = {}): ReturnType<typeof wsServer> =>
  wsServer(t, () => {}, { tls: { ...certificates.valid, ...more } })

t.test('insecure: false is the default, and true must be said', async t => {
  const { url } = await secure(t)
  t.match(await failure(start(url, {})), { code: 'WS_TLS_FAILED', phase: 'tls' })
  const feed = await start(url, {}, { insecure: true })
  t.equal(feed.phase, 'open')
  await feed.stop()
})

t.test('cacerts: the authorities to trust', async t => {
  const { url } = await secure(t)
  const feed = await start(url, {}, { tls: { ca: authority.cert } })
  t.equal(feed.phase, 'open')
  await feed.stop()
})

t.test('ssl_options: a client certificate, say, without losing the safe defaults', async t => {
  const { url, requests } = await secure(t, {
    ca: authority.cert,
    requestCert: true,
    rejectUnauthorized: true,
  })
  const { cert, key } = certificates.valid
  const feed = await start(url, {}, { tls: { ca: authority.cert, cert, key } })
  t.ok((requests[0].socket as TLSSocket).authorized)
  await feed.stop()
  t.match(await failure(start(url, {}, { tls: { cert, key } })), { code: 'WS_TLS_FAILED' })
  t.match(await failure(start(url, {}, { tls: { rejectUnauthorized: false } })), { code: 'WS_BAD_OPTION' })
})

t.test('socket_connect_timeout: how long TCP may take', async t => {
  const clock = new VirtualClock()
  const made: NetSocket[] = []
  const netConnect = (): NetSocket => made[made.push(new NetSocket()) - 1]
  const options = { clock, connectTimeoutMs: 6000, netConnect, keepalive: false } as const
  const starting = failure(start('ws://192.0.2.1/', {}, options))
  await until(() => made.length === 1, 'an attempt')
  clock.advance(6000)
  t.match(await starting, { code: 'WS_CONNECT_TIMEOUT', phase: 'tcp' })
  t.ok(made[0].destroyed)
  t.equal(clock.pending, 0)
})

t.test('socket_recv_timeout: how long the answer to the handshake may take', async t => {
  const { server, heard } = silentServer()
  const port = await serve(t, server)
  const clock = new VirtualClock()
  const starting = failure(start(`ws://127.0.0.1:${port}`, {}, { clock, handshakeTimeoutMs: 5000 }))
  await heard
  clock.advance(5000)
  t.match(await starting, { code: 'WS_HANDSHAKE_TIMEOUT', phase: 'handshake' })
  t.equal(clock.pending, 0)
})

const lookup: LookupFunction = (_hostname, _options, found) =>
  found(null, [
    { address: '127.0.0.1', family: 4 },
    { address: '::1', family: 6 },
  ])

t.test('socket_options: such as :inet6', { skip: hasIPv6 ? false : 'this machine has no ::1' }, async t => {
  const { port, requests } = await wsServer(t, () => {}, { host: '::1' })
  const feed = await start(`ws://feed.test:${port}/`, {}, { lookup, tcp: { family: 6, noDelay: false } })
  t.equal(requests[0].socket.remoteAddress, '::1')
  await feed.stop()
})

t.test('RequestError: an answer other than 101, with its code and message', async t => {
  const server = await rawServer(t)
  const starting = failure(start(server.url, {}))
  const peer = await server.accepted()
  await peer.head()
  peer.write('HTTP/1.1 403 Forbidden\r\nX-Why: no\r\nContent-Length: 4\r\n\r\nno!!')
  const error = await starting
  t.match(error, { name: 'HandshakeError', code: 'WS_HANDSHAKE_STATUS', status: 403 })
  t.match(error, { response: { status: 403, reason: 'Forbidden', body: Buffer.from('no!!') } })
})

t.test('ConnError: what the system said is kept as the cause', async t => {
  const error = await failure(start(await nobody(), {}))
  t.match(error, { name: 'ConnectionError', code: 'WS_CONNECT_FAILED', cause: { code: 'ECONNREFUSED' } })
})

t.test('URLError: a url that is none is refused before anything is done', async t => {
  const behaviour = { init: () => t.fail('no init') as never }
  for (const url of ['', 'nonsense', 'ftp://a.test', 'ws://', 'ws://a.test/#there', 'ws://a.test/\r\nX: y'])
    t.match(await failure(start(url, behaviour)), { name: 'UsageError', code: 'WS_BAD_URL' }, url)
})

t.test('HandshakeError: a wrong or missing Sec-WebSocket-Accept', async t => {
  for (const accept of ['Sec-WebSocket-Accept: bm8=\r\n', '']) {
    const server = await rawServer(t)
    const starting = failure(start(server.url, {}))
    const peer = await server.accepted()
    t.ok(headerOf(await peer.head(), 'Sec-WebSocket-Key'))
    peer.write(`HTTP/1.1 101 Go\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n${accept}\r\n`)
    t.match(await starting, { name: 'HandshakeError', code: 'WS_HANDSHAKE_BAD_ACCEPT' })
  }
})

t.test('ApplicationError: no application has to be started; only a process can be missing', async t => {
  t.throws(() => cast('nobody', 'hello'), { name: 'NoProcessError', code: 'WS_NO_PROCESS', reason: null })
  const { url } = await wsServer(t)
  const feed = await start(url, { handleCast: (message: string) => void message })
  await feed.stop()
  t.throws(() => feed.cast('hello'), { code: 'WS_NO_PROCESS', reason: { type: 'stop' } })
})

t.test('BadResponseError: says which callback answered what', async t => {
  const { url } = await wsServer(t)
  const behaviour = { handleConnect: () => ({ ok: 1 }) } as Behaviour<undefined>
  t.match(await failure(start(url, behaviour)), {
    name: 'BadResponseError',
    code: 'WS_BAD_RESPONSE',
    callback: 'handleConnect',
    response: { ok: 1 },
    message: /^handleConnect answered \{ ok \}/,
  })
})

/** What a frame of the server's leads to. */
async function violate(
  t: Test,
  ...frames: FrameSpec[]
): Promise<{ close: string; status: DisconnectStatus }> {
  const server = await rawServer(t)
  const { promise, resolve } = withResolvers<DisconnectStatus>()
  const starting = start(server.url, { handleDisconnect: resolve })
  const peer = await greet(server)
  const { ended } = await starting
  peer.send(...frames)
  const [close] = await peer.shown(1)
  peer.stream.end()
  t.match(await ended, { type: 'error', normal: false, error: { name: 'ProtocolViolation' } })
  return { close, status: await promise }
}

t.test('FrameError: each reason is a close with its code and a disconnect, and no crash', async t => {
  const faults: Readonly<Record<string, readonly [string, number, FrameSpec]>> = {
    nonfin_control_frame: ['WS_CONTROL_FRAGMENTED', 1002, { opcode: PING, fin: false }],
    control_frame_too_large: ['WS_CONTROL_TOO_LONG', 1002, { opcode: PING, payload: 'x'.repeat(126) }],
    invalid_utf8: ['WS_INVALID_UTF8', 1007, { opcode: TEXT, payload: Uint8Array.of(0xff) }],
    invalid_close_code: ['WS_CLOSE_CODE', 1002, { opcode: CLOSE, payload: closePayload(999) }],
    close_with_single_byte_payload: ['WS_CLOSE_PAYLOAD', 1002, { opcode: CLOSE, payload: Uint8Array.of(3) }],
  }
  for (const [reason, [code, closeCode, frame]] of Object.entries(faults)) {
    const { close, status } = await violate(t, frame)
    t.match(close, `close ${closeCode} `, reason)
    t.match(status, { reason: { type: 'error', code: closeCode }, error: { code } })
  }
})

t.test('FragmentParseError: two starts, and a continuation of nothing', async t => {
  const begun = { opcode: TEXT, payload: 'a', fin: false }
  const twice = await violate(t, begun, begun)
  t.match(twice, { close: /^close 1002 /, status: { error: { code: 'WS_CONTINUATION_EXPECTED' } } })
  for (const fin of [true, false]) {
    const stray = await violate(t, { opcode: CONTINUATION, fin })
    t.match(stray, { close: /^close 1002 /, status: { error: { code: 'WS_CONTINUATION_UNEXPECTED' } } })
  }
})

/** A process that is connected, and its server. */
const connected = async (t: Test): Promise<Process> => {
  const { url } = await wsServer(t)
  return owned(t, await start(url, {}))
}

t.test('FrameEncodeError: control_frame_too_large and close_code_out_of_range', async t => {
  const feed = await connected(t)
  const ping = { type: 'ping', data: 'x'.repeat(126) } as const
  t.match(await failure(feed.send(ping)), { reason: 'control-frame-too-large', frame: ping })
  for (const code of [999, 1005, 1006, 1015, 5000])
    t.match(await failure(feed.send({ type: 'close', code })), {
      name: 'FrameEncodeError',
      code: 'WS_FRAME_ENCODE',
      reason: 'close-code-out-of-range',
    })
  t.equal(feed.phase, 'open')
})

t.test('InvalidFrameError: what is no frame', async t => {
  const feed = await connected(t)
  for (const frame of [null, 1, {}, { type: 'tex', data: 'a' }, { type: 'text', data: 1 }])
    t.match(await failure(feed.send(frame as never)), { code: 'WS_INVALID_FRAME', frame })
  t.equal(feed.phase, 'open')
})

t.test('NotConnectedError: says whether it is connecting or closing', async t => {
  const server = await rawServer(t)
  const feed = owned(t, await start(server.url, {}, { async: true }))
  const early = await failure(feed.send('early'))
  t.match(early, { name: 'NotConnectedError', code: 'WS_NOT_CONNECTED', state: 'connecting' })
  const connected = feed.connect()
  const peer = await greet(server)
  await connected
  await feed.send({ type: 'close' })
  t.match(await failure(feed.send('late')), { state: 'closing', message: 'not connected: closing' })
  await bidFarewell(peer)
  await feed.ended
  t.match(await failure(feed.send('too late')), { state: 'ended' })
})

t.test('CallingSelfError: a process that would wait for itself, in a callback', async t => {
  const { url } = await wsServer(t)
  const { promise, resolve } = withResolvers<unknown>()
  let feed: Process | null = null
  feed = (await start(url, {
    handleCall: () => ({ answer: 1 }),
    handleInfo: () => resolve(failure(feed!.call(undefined as never))),
  })) as unknown as Process
  feed.info(undefined as never)
  t.match(await promise, { name: 'CallingSelfError', code: 'WS_CALLING_SELF', message: /^call\(\)/ })
  await feed.stop()
})
