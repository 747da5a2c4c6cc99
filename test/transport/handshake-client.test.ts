import t, { type Test } from 'tap'
import {
  AbortError,
  connect,
  ConnectionError,
  type ConnectOptions,
  HandshakeError,
  InvalidHeadError,
  UsageError,
} from '../../src/index.js'
import { bytesOf, TEXT } from '../support/frames.js'
import { abortListeners, listenersOf } from '../support/leaks.js'
import { MemoryStream, openInMemory } from '../support/memory-stream.js'
import {
  acceptance,
  acceptFor,
  fromServer,
  headerOf,
  isSettled,
  openClient,
  type RawPeer,
  rawServer,
  until,
} from '../support/raw-peer.js'
import { failure, leavesNothing, turn } from '../support/servers.js'
import { VirtualClock } from '../support/virtual-clock.js'

const KIB = 1024

/** Connects to a raw server, and hands the request and the connection to `answer`. Nothing may be left afterwards. */
async function refused(
  t: Test,
  answer: (peer: RawPeer, request: string) => unknown,
  options: ConnectOptions = {},
): Promise<Error & { code?: unknown; phase?: unknown }> {
  const server = await rawServer(t)
  let error: Error | undefined
  await leavesNothing(t, async () => {
    const connecting = failure(connect(server.url, options))
    const peer = await server.accepted()
    await answer(peer, await peer.head())
    error = await connecting
    await peer.ended
    peer.stream.destroy()
  })
  return error!
}

const badHead = (
  t: Test,
  answer: (request: string) => string | Uint8Array,
): Promise<Error & { code?: unknown }> => refused(t, (peer, request) => peer.write(answer(request)))

const never = (): never => {
  throw new Error('dialed')
}

/** The request that `connect` writes, and the socket, on a stream in memory. */
async function requestOf(t: Test, url: string, options: ConnectOptions = {}): Promise<string> {
  const stream = new MemoryStream()
  const socket = await connect(url, { ...options, createConnection: () => stream })
  t.teardown(() => socket.terminate())
  return stream.request
}

t.test('asks for an upgrade as RFC 6455 4.1 says, and waits for the answer', async t => {
  const server = await rawServer(t)
  const connecting = connect(`${server.url}chat/room?id=1&x=%20y`)
  const peer = await server.accepted()
  const request = await peer.head()
  const key = headerOf(request, 'Sec-WebSocket-Key')!
  t.strictSame(request.split('\r\n'), [
    'GET /chat/room?id=1&x=%20y HTTP/1.1',
    `Host: 127.0.0.1:${server.port}`,
    'Upgrade: websocket',
    'Connection: Upgrade',
    `Sec-WebSocket-Key: ${key}`,
    'Sec-WebSocket-Version: 13',
    'Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits',
  ])
  t.equal(Buffer.from(key, 'base64').length, 16)
  t.notOk(await isSettled(connecting))
  t.equal(peer.receivedBytes, request.length + 4, 'nothing is sent before the answer')
  peer.write(acceptance(request, ['X-Trace: 7', 'Set-Cookie: a=1', 'Set-Cookie: b=2']))
  const socket = await connecting
  t.equal(socket.role, 'client')
  t.equal(socket.url, `ws://127.0.0.1:${server.port}/chat/room?id=1&x=%20y`)
  t.equal(socket.state, 'open')
  t.equal(socket.subprotocol, '')
  t.equal(socket.bufferedAmount, 0)
  t.match(socket.head, { status: 101 })
  t.strictSame(socket.head.headers.slice(-3), [
    ['X-Trace', '7'],
    ['Set-Cookie', 'a=1'],
    ['Set-Cookie', 'b=2'],
  ])
  socket.terminate()
})

t.test('each connection has a key of its own', async t => {
  const keys = new Set<string | undefined>()
  for (let i = 0; i < 20; i++) keys.add(headerOf(await requestOf(t, 'ws://in.memory/'), 'Sec-WebSocket-Key'))
  t.equal(keys.size, 20)
})

t.test('leaves the default port out of Host, and names any other', async t => {
  const cases: readonly (readonly [string, string])[] = [
    ['ws://example.test/', 'example.test'],
    ['ws://example.test:80/', 'example.test'],
    ['ws://example.test:443/', 'example.test:443'],
    ['http://example.test:8080/', 'example.test:8080'],
    ['ws://[::1]:9000/', '[::1]:9000'],
    ['ws+unix:/tmp/some.sock:/path', 'localhost'],
  ]
  for (const [url, host] of cases) t.equal(headerOf(await requestOf(t, url), 'Host'), host, url)
})

t.test('sends headers given as pairs or as an object, in their order', async t => {
  const asPairs = await requestOf(t, 'ws://in.memory/', {
    headers: [
      ['X-B', '1'],
      ['x-a', '2'],
      ['X-B', '3'],
    ],
  })
  t.match(asPairs, /\r\nX-B: 1\r\nx-a: 2\r\nX-B: 3\r\n\r\n$/)
  const asObject = await requestOf(t, 'ws://in.memory/', {
    headers: { 'X-B': ['1', '3'], 'x-a': '2', 'X-None': [] },
  })
  t.match(asObject, /\r\nX-B: 1\r\nX-B: 3\r\nx-a: 2\r\n\r\n$/)
  const replaced = await requestOf(t, 'ws://in.memory/', { headers: { host: 'else.where:1' } })
  t.equal(headerOf(replaced, 'Host'), 'else.where:1')
  t.equal(replaced.match(/host:/gi)?.length, 1)
})

t.test('sends origin and subprotocols', async t => {
  const request = await requestOf(t, 'ws://in.memory/', {
    origin: 'https://example.test',
    subprotocols: ['chat.v2', 'chat.v1'],
  })
  t.equal(headerOf(request, 'Origin'), 'https://example.test')
  t.equal(headerOf(request, 'Sec-WebSocket-Protocol'), 'chat.v2, chat.v1')
})

t.test('makes Basic authorization from the URL, unless the caller says otherwise', async t => {
  const url = 'ws://us%20er:p%40ss@in.memory/'
  const request = await requestOf(t, url)
  t.equal(headerOf(request, 'Authorization'), `Basic ${Buffer.from('us er:p@ss').toString('base64')}`)
  t.notMatch(request, /p%40ss/)
  const own = await requestOf(t, url, { headers: { authorization: 'Bearer x' } })
  t.equal(headerOf(own, 'Authorization'), 'Bearer x')
  t.equal(own.match(/authorization/gi)?.length, 1)
})

t.test(
  'refuses CR, LF and NUL in everything that goes into the request, before anything is dialed',
  async t => {
    for (const bad of ['\r', '\n', '\0', '\r\n', '\r\nX-Evil: 1']) {
      const text = `a${bad}b`
      const cases: readonly (readonly [string, ConnectOptions])[] = [
        ['ws://in.memory/', { headers: { [text]: 'x' } }],
        ['ws://in.memory/', { headers: { 'X-Name': text } }],
        ['ws://in.memory/', { headers: { 'X-Name': ['fine', text] } }],
        ['ws://in.memory/', { headers: [[text, 'x']] }],
        ['ws://in.memory/', { headers: [['X-Name', text]] }],
        ['ws://in.memory/', { headers: { host: text } }],
        ['ws://in.memory/', { origin: text }],
        ['ws://in.memory/', { subprotocols: [text] }],
        [`ws://in.memory/${text}`, {}],
        [`ws://in.memory/?${text}`, {}],
        [`ws://${text}@in.memory/`, {}],
        [`ws://in.${text}memory/`, {}],
      ]
      for (const [url, options] of cases) {
        const error = await failure(connect(url, { ...options, createConnection: never, lookup: never }))
        t.ok(error instanceof InvalidHeadError || error instanceof UsageError, String(error))
      }
    }
  },
)

t.test('refuses options that make no sense, before anything is dialed', async t => {
  let dialed = 0
  const createConnection = (): MemoryStream => {
    dialed++
    return new MemoryStream()
  }
  const cases: readonly unknown[] = [
    { headers: { Upgrade: 'h2c' } },
    { headers: { 'Sec-WebSocket-Key': 'x' } },
    {
      headers: [
        ['Origin', 'a'],
        ['origin', 'b'],
      ],
    },
    { origin: 'a', headers: { Origin: 'b' } },
    { headers: { 'X-Number': 1 } },
    { subprotocols: ['a', 'a'] },
    { subprotocols: [''] },
    { subprotocols: ['a b'] },
    { handshakeTimeoutMs: 0 },
    { handshakeTimeoutMs: Number.NaN },
    { closeTimeoutMs: -1 },
    { highWaterMark: 0 },
    { maxBufferedBytes: 1.5 },
    { maxQueuedMessages: 0 },
    { headLimits: { maxHeadBytes: 0 } },
    { headLimits: { maxLines: 1 } },
    { limits: { maxMessageBytes: -1 } },
    { limits: { maxMessages: 1 } },
    { connectTimeoutMs: 0 },
  ]
  for (const options of cases) {
    const error = await failure(
      connect('ws://in.memory/', { ...(options as ConnectOptions), createConnection }),
    )
    t.ok(
      error instanceof InvalidHeadError || error instanceof UsageError,
      `${JSON.stringify(options)}: ${error}`,
    )
  }
  t.equal(dialed, 0)
})

t.test('takes the subprotocol that the server chose', async t => {
  const server = await rawServer(t)
  const connecting = connect(server.url, { subprotocols: ['a', 'b'] })
  const peer = await server.accepted()
  peer.write(acceptance(await peer.head(), ['Sec-WebSocket-Protocol: b']))
  const socket = await connecting
  t.equal(socket.subprotocol, 'b')
  socket.terminate()
})

t.test('reads an answer that comes byte by byte, with other spellings and more headers', async t => {
  const server = await rawServer(t)
  const connecting = connect(server.url)
  const peer = await server.accepted()
  const key = headerOf(await peer.head(), 'Sec-WebSocket-Key')!
  const answer = `HTTP/1.1 101\r\nupgrade: WebSocket\r\nCONNECTION: keep-alive, upgrade\r\nServer: x\r\nsec-websocket-accept:  ${acceptFor(key)} \r\n\r\n`
  for (const char of answer) {
    peer.write(char)
    await turn()
  }
  peer.send({ opcode: TEXT, payload: 'hi' })
  const socket = await connecting
  for await (const message of socket) {
    t.strictSame(message, { type: 'text', data: 'hi' })
    break
  }
  socket.terminate()
})

t.test('passes over informational answers before the 101', async t => {
  const server = await rawServer(t)
  const connecting = connect(server.url)
  const peer = await server.accepted()
  const request = await peer.head()
  peer.write('HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n')
  await turn()
  peer.write(acceptance(request))
  const socket = await connecting
  t.match(socket.head, { status: 101 })
  t.equal(socket.head.headers.length, 3)
  socket.terminate()
})

t.test('endless informational answers are no answer', async t => {
  const error = await refused(t, peer => peer.write('HTTP/1.1 103 Early Hints\r\n\r\n'.repeat(10_000)))
  t.ok(error instanceof HandshakeError)
})

t.test('a refusal keeps status, reason, headers and body', async t => {
  const body = '{"error":"no such user"}'
  const error = await refused(t, peer =>
    peer.write(
      `HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm="x"\r\nContent-Length: ${body.length}\r\n\r\n${body}ignored`,
    ),
  )
  t.ok(error instanceof HandshakeError)
  t.match(error, { code: 'WS_HANDSHAKE_STATUS', status: 401, message: /401/ })
  const { response } = error as HandshakeError
  t.match(response, { status: 401, reason: 'Unauthorized' })
  t.strictSame(response!.headers, [
    ['WWW-Authenticate', 'Basic realm="x"'],
    ['Content-Length', String(body.length)],
  ])
  t.equal(Buffer.from(response!.body).toString(), body)
})

t.test('a refusal keeps a chunked body', async t => {
  const error = await refused(t, async peer => {
    peer.write('HTTP/1.1 503 Busy\r\nTransfer-Encoding: chunked\r\n\r\n5;x=y\r\nhel')
    await turn()
    peer.write('lo\r\n7\r\n, world\r\n0\r\n\r\n')
  })
  t.equal(Buffer.from((error as HandshakeError).response!.body).toString(), 'hello, world')
})

t.test('a refusal keeps the first 64 KiB of an endless body', async t => {
  for (const head of ['', 'Content-Length: 100000000\r\n', 'Transfer-Encoding: chunked\r\n']) {
    const chunk = head.startsWith('T') ? `ff00\r\n${'x'.repeat(0xff00)}\r\n` : 'x'.repeat(0xff00)
    const error = await refused(t, peer => {
      peer.write(`HTTP/1.1 500 Oh\r\n${head}\r\n`)
      for (let i = 0; i < 20; i++) peer.write(chunk)
    })
    const { body } = (error as HandshakeError).response!
    t.equal(body.length, 64 * KIB)
    t.ok(body.every(byte => byte === 0x78))
  }
})

t.test('a refusal whose body never ends is reported when its time is over', async t => {
  const clock = new VirtualClock()
  const server = await rawServer(t)
  await leavesNothing(t, async () => {
    const connecting = failure(connect(server.url, { clock }))
    const peer = await server.accepted()
    await peer.head()
    peer.write('HTTP/1.1 403 Forbidden\r\nContent-Length: 100\r\n\r\nbecause')
    await until(() => peer.stream.writableLength === 0, 'it is sent')
    for (let turns = 0; turns < 20; turns++) await turn()
    clock.advance(9999)
    t.notOk(await isSettled(connecting))
    clock.advance(1)
    const error = await connecting
    t.match(error, { code: 'WS_HANDSHAKE_STATUS', status: 403 })
    t.equal(Buffer.from((error as HandshakeError).response!.body).toString(), 'because')
    await peer.ended
    peer.stream.destroy()
  })
  t.equal(clock.pending, 0)
})

t.test('a refusal whose body breaks off is reported', async t => {
  for (const end of [(peer: RawPeer) => void peer.stream.end(), (peer: RawPeer) => peer.reset()]) {
    const error = await refused(t, async peer => {
      peer.write('HTTP/1.1 302 Found\r\nLocation: /x\r\nContent-Length: 100\r\n\r\nhere')
      for (let turns = 0; turns < 20; turns++) await turn()
      end(peer)
    })
    t.match(error, { code: 'WS_HANDSHAKE_STATUS', status: 302 })
    t.equal(Buffer.from((error as HandshakeError).response!.body).toString(), 'here')
  }
})

t.test('a refusal without a body is reported at once', async t => {
  for (const head of ['204 No Content\r\n\r\n', '404 Not Found\r\nContent-Length: 0\r\n\r\n']) {
    t.match(await refused(t, peer => peer.write(`HTTP/1.1 ${head}`)), { code: 'WS_HANDSHAKE_STATUS' })
  }
})

t.test('fails with WS_HANDSHAKE_TIMEOUT when the server does not answer', async t => {
  for (const said of ['', 'HTTP/1.1 101 Switching']) {
    const clock = new VirtualClock()
    const error = await refused(
      t,
      async peer => {
        peer.write(said)
        for (let turns = 0; turns < 20; turns++) await turn()
        clock.advance(250)
      },
      { clock, handshakeTimeoutMs: 250 },
    )
    t.ok(error instanceof ConnectionError)
    t.match(error, { code: 'WS_HANDSHAKE_TIMEOUT', phase: 'handshake', message: /250 ms/ })
    t.equal(clock.pending, 0)
  }
})

t.test('fails with WS_HANDSHAKE_ENDED when the server ends before or within its answer', async t => {
  for (const said of ['', 'HTTP/1.1 101 Switching Protocols\r\nUpgr']) {
    const ended = await refused(t, peer => {
      peer.write(said)
      peer.stream.end()
    })
    t.ok(ended instanceof ConnectionError)
    t.match(ended, { code: 'WS_HANDSHAKE_ENDED', phase: 'handshake' })
    const reset = await refused(t, async peer => {
      peer.write(said)
      for (let turns = 0; turns < 20; turns++) await turn()
      peer.reset()
    })
    t.match(reset, { code: 'WS_HANDSHAKE_ENDED', phase: 'handshake', cause: { code: 'ECONNRESET' } })
  }
})

t.test('fails with a HandshakeError when the answer is not HTTP', async t => {
  for (const [said, code] of [
    ['220 mail.example.test ESMTP\r\n', 'WS_HANDSHAKE_BAD_STATUS_LINE'],
    ['SSH-2.0-OpenSSH_9.2\r\n', 'WS_HANDSHAKE_BAD_STATUS_LINE'],
    [Uint8Array.from([0x15, 3, 1, 0, 2, 2, 22]), 'WS_HANDSHAKE_BAD_BYTE'],
    ['HTTP/1.1 101 Yes\nUpgrade: websocket\n\n', 'WS_HANDSHAKE_BAD_BYTE'],
    ['HTTP/1.1 101 Yes\r\nUpgrade : websocket\r\n\r\n', 'WS_HANDSHAKE_BAD_HEADER'],
  ] as const) {
    const error = await badHead(t, () => said)
    t.ok(error instanceof HandshakeError)
    t.match(error, { code, status: 0, response: null })
  }
})

t.test('stops reading a head of ten megabytes at its limit', async t => {
  const big = `HTTP/1.1 101 Yes\r\nX-Big: ${'x'.repeat(10 * KIB * KIB)}\r\n\r\n`
  let received = 0
  const error = await refused(t, peer => {
    peer.write(big)
    received = peer.stream.writableLength
  })
  t.match(error, { code: 'WS_HANDSHAKE_HEAD_TOO_LARGE', status: 0 })
  t.ok(received > 0)
  const many = await badHead(t, () => `HTTP/1.1 101 Yes\r\n${'X: y\r\n'.repeat(200)}\r\n`)
  t.match(many, { code: 'WS_HANDSHAKE_TOO_MANY_HEADERS' })
  const small = await refused(t, peer => peer.write('HTTP/1.1 101 Switching'), {
    headLimits: { maxHeadBytes: 10 },
  })
  t.match(small, { code: 'WS_HANDSHAKE_HEAD_TOO_LARGE' })
})

t.test('fails with a HandshakeError when a 101 does not fit the request', async t => {
  const cases: readonly (readonly [(good: string) => string, string])[] = [
    [good => good.replace(/Accept: ./, 'Accept: _'), 'WS_HANDSHAKE_BAD_ACCEPT'],
    [good => good.replace(/Sec-WebSocket-Accept.*\r\n/, ''), 'WS_HANDSHAKE_BAD_ACCEPT'],
    [good => good.replace('Upgrade: websocket\r\n', ''), 'WS_HANDSHAKE_BAD_UPGRADE'],
    [good => good.replace('Connection: Upgrade', 'Connection: close'), 'WS_HANDSHAKE_BAD_CONNECTION'],
    [good => good.replace('HTTP/1.1', 'HTTP/1.0'), 'WS_HANDSHAKE_OLD_HTTP_VERSION'],
    [
      good => good.replace('\r\n\r\n', '\r\nSec-WebSocket-Protocol: c\r\n\r\n'),
      'WS_HANDSHAKE_BAD_SUBPROTOCOL',
    ],
    [
      good => good.replace('\r\n\r\n', '\r\nSec-WebSocket-Extensions: x-unasked\r\n\r\n'),
      'WS_HANDSHAKE_UNREQUESTED_EXTENSION',
    ],
  ]
  for (const [change, code] of cases) {
    const error = await refused(t, (peer, request) => peer.write(change(acceptance(request))), {
      subprotocols: ['a', 'b'],
    })
    t.ok(error instanceof HandshakeError)
    t.match(error, { code, status: 101, response: { status: 101 } })
  }
  const unasked = await badHead(t, request => acceptance(request, ['Sec-WebSocket-Protocol: a']))
  t.equal(unasked.code, 'WS_HANDSHAKE_UNREQUESTED_SUBPROTOCOL')
})

t.test('a signal that was aborted before stops everything before it begins', async t => {
  let dialed = false
  const error = await failure(
    connect('ws://in.memory/', {
      signal: AbortSignal.abort('no'),
      createConnection: () => {
        dialed = true
        return new MemoryStream()
      },
    }),
  )
  t.ok(error instanceof AbortError)
  t.match(error, { name: 'AbortError', code: 'ABORT_ERR', cause: 'no' })
  t.equal(dialed, false)
})

t.test('a signal that is aborted during the handshake ends it', async t => {
  for (const said of ['', 'HTTP/1.1 101 Swi', 'HTTP/1.1 401 No\r\nContent-Length: 10\r\n\r\n']) {
    const controller = new AbortController()
    const error = await refused(
      t,
      async peer => {
        peer.write(said)
        for (let turns = 0; turns < 20; turns++) await turn()
        controller.abort()
      },
      { signal: controller.signal },
    )
    t.ok(error instanceof AbortError)
    t.equal(abortListeners(controller.signal), 0)
  }
})

t.test('a signal that is aborted later closes with 1001', async t => {
  const controller = new AbortController()
  const { socket, peer } = await openClient(t, { signal: controller.signal })
  t.equal(abortListeners(controller.signal), 1)
  controller.abort()
  t.match(await peer.shown(1), [/^close 1001 /])
  peer.sendClose(1001)
  peer.stream.end()
  t.equal((await socket.closed).wasClean, true)
  const kept = new AbortController()
  const other = await openClient(t, { signal: kept.signal })
  other.socket.terminate()
  await other.socket.closed
  await turn()
  t.equal(abortListeners(kept.signal), 0, 'no listener stays when the connection is gone')
  t.doesNotThrow(() => kept.abort())
})

t.test('a signal that is aborted at any moment ends the connection, and leaves no stream behind', async t => {
  const attempt = async (microtasks: number, from: 'dialed' | 'answered'): Promise<void> => {
    const controller = new AbortController()
    const stream = new MemoryStream()
    const before = listenersOf(stream)
    const abortAfter = (left: number): void => {
      if (left === 0) controller.abort()
      else queueMicrotask(() => abortAfter(left - 1))
    }
    if (from === 'answered') {
      // Behind the listener of the handshake.
      stream.once('newListener', () =>
        process.nextTick(() => stream.once('data', () => abortAfter(microtasks))),
      )
    }
    const result = await connect('ws://in.memory/', {
      signal: controller.signal,
      createConnection: () => {
        if (from === 'dialed') abortAfter(microtasks)
        return stream
      },
    }).catch((error: unknown) => error as Error)
    for (let turns = 0; turns < 3; turns++) await turn()
    const when = `${microtasks} microtasks after the stream ${from}`
    if (result instanceof Error) {
      t.ok(result instanceof AbortError, when)
      t.ok(stream.destroyed, `destroyed, ${when}`)
      t.strictSame(listenersOf(stream), { ...before, error: 1 }, `no listener, ${when}`)
    } else {
      t.match(stream.shown(), [/^close 1001 /], `closed, ${when}`)
      result.terminate()
      await result.closed
    }
    t.equal(abortListeners(controller.signal), 0)
  }
  for (let microtasks = 0; microtasks < 30; microtasks++) {
    await attempt(microtasks, 'dialed')
    await attempt(microtasks, 'answered')
  }
})

t.test('onMessage of the options never misses a message, however the first bytes are cut', async t => {
  for (const cut of [0, 1, 5, 9]) {
    const frames = Buffer.concat([
      fromServer({ opcode: TEXT, payload: 'one' }),
      fromServer({ opcode: TEXT, payload: 'two' }),
    ])
    const got: unknown[] = []
    const { peer } = await openClient(t, { onMessage: ({ data }) => got.push(data) }, frames.subarray(0, cut))
    peer.write(frames.subarray(cut))
    await until(() => got.length === 2, 'both messages')
    t.strictSame(got, ['one', 'two'])
  }
})

t.test('a server that answers, closes and ends in one go was still connected', async t => {
  const server = await rawServer(t)
  const connecting = connect(server.url)
  const peer = await server.accepted()
  const close = fromServer({ opcode: 0x8, payload: Uint8Array.from([0x0f, 0xa0]) })
  peer.write(
    Buffer.concat([
      bytesOf(acceptance(await peer.head())),
      fromServer({ opcode: TEXT, payload: 'bye' }),
      close,
    ]),
  )
  peer.stream.end()
  const socket = await connecting
  const got: unknown[] = []
  for await (const { data } of socket) got.push(data)
  t.strictSame(got, ['bye'])
  t.match(await socket.closed, { received: { code: 4000 }, wasClean: true })
})

t.test(
  'a stream that is destroyed when it is handed over fails, and one that breaks at once is reported',
  async t => {
    const broken = new MemoryStream()
    const connecting = connect('ws://in.memory/', {
      createConnection: () => {
        process.nextTick(() => broken.destroy(new Error('broke')))
        return broken
      },
    })
    const result = await connecting.catch((error: unknown) => error as Error)
    if (result instanceof Error) t.ok(result instanceof ConnectionError)
    else t.match(await result.closed, { wasClean: false })
    const { socket, stream } = await openInMemory(t)
    stream.destroy(new Error('broke'))
    t.match((await socket.closed).error, { code: 'WS_CONNECTION_LOST', cause: { message: 'broke' } })
  },
)
