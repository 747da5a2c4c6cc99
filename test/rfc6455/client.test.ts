// What docs/rfc6455.md needs proved about clients and no other test says.
import crypto from 'node:crypto'
import { syncBuiltinESMExports } from 'node:module'
import t, { type Test } from 'tap'
import { connect, parseTarget, type Socket, UsageError } from '../../src/index.js'
import { generateKey } from '../../src/handshake/index.js'
import { bytesOf, type Frame } from '../support/frames.js'
import { MemoryStream, openInMemory } from '../support/memory-stream.js'
import { acceptance, headerOf } from '../support/raw-peer.js'
import { failure, turn } from '../support/servers.js'

/** The request that `connect` writes. */
async function requestOf(t: Test, url: string): Promise<string> {
  const stream = new MemoryStream()
  const socket = await connect(url, { createConnection: () => stream })
  t.teardown(() => socket.terminate())
  return stream.request
}

const never = (): never => {
  throw new Error('dialed')
}

t.test('a scheme in any case has its own default port and its own security', async t => {
  for (const [schemes, secure, port] of [
    [['ws', 'WS', 'wS'], false, 80],
    [['wss', 'WSS', 'wSs', 'WsS'], true, 443],
  ] as const) {
    for (const scheme of schemes) {
      const url = `${scheme}://example.test/`
      t.match(parseTarget(url), { secure, port, host: 'example.test' }, url)
      t.match(parseTarget(`${scheme}://example.test:8080/`), {
        secure,
        port: 8080,
        host: 'example.test:8080',
      })
    }
  }
})

t.test('an escaped # stays escaped in the request target', async t => {
  const request = await requestOf(t, 'ws://in.memory/a%23b?c=%23d')
  t.match(request, 'GET /a%23b?c=%23d HTTP/1.1\r\n')
})

t.test('an invalid part of the URL fails before anything is looked up or dialed', async t => {
  for (const url of [
    'ws://',
    'ws://:80/',
    'ws://in.memory:65536/',
    'ws://in.memory:port/',
    'ws://in memory/',
    'ws://in<memory/',
    'ws://[::1/',
    'ftp://in.memory/',
    'in.memory/path',
    'ws://in.memory/path#fragment',
    'wss://in.memory/#',
    'wss://in.memory/a\r\nb',
  ]) {
    const error = await failure(connect(url, { createConnection: never, lookup: never, netConnect: never }))
    t.ok(error instanceof UsageError && error.code === 'WS_BAD_URL', url)
  }
})

t.test('characters outside ASCII are IDNA in the host and percent-encoded UTF-8 elsewhere', async t => {
  const request = await requestOf(t, 'ws://b\u00fccher.example/\u00e9/\u{1f600}?q=\u20ac')
  t.match(request, 'GET /%C3%A9/%F0%9F%98%80?q=%E2%82%AC HTTP/1.1\r\n')
  t.equal(headerOf(request, 'Host'), 'xn--bcher-kva.example')
  for (const scheme of ['ws', 'wss']) {
    t.match(parseTarget(`${scheme}://\u4f8b\u3048.example:99/\u00e9?q=\u20ac`), {
      hostname: 'xn--r8jz45g.example',
      host: 'xn--r8jz45g.example:99',
      requestTarget: '/%C3%A9?q=%E2%82%AC',
      href: `${scheme}://xn--r8jz45g.example:99/%C3%A9?q=%E2%82%AC`,
    })
  }
})

t.test(
  'serialize: behind a proxy, where the address is not known, each name and port counts as a host',
  async t => {
    const dialed: string[] = []
    const through = (url: string): { connecting: Promise<Socket>; answer: () => void } => {
      const stream = new MemoryStream()
      // The request is taken, and the answer waits for the test.
      stream.push = () => true
      const connecting = connect(url, {
        serialize: true,
        createConnection: target => {
          dialed.push(target.href)
          return stream
        },
      })
      return {
        connecting,
        answer: () => {
          Reflect.deleteProperty(stream, 'push')
          stream.push(acceptance(stream.request))
        },
      }
    }
    const first = through('ws://a.test/1')
    const second = through('ws://a.test/2')
    const others = [through('ws://b.test/3'), through('ws://a.test:81/4')]
    for (let turns = 0; turns < 50; turns++) await turn()
    t.strictSame(dialed, ['ws://a.test/1', 'ws://b.test/3', 'ws://a.test:81/4'])
    for (const { answer } of [first, ...others]) answer()
    const sockets = await Promise.all([first, ...others].map(({ connecting }) => connecting))
    for (let turns = 0; turns < 50; turns++) await turn()
    t.equal(dialed[3], 'ws://a.test/2', 'goes on when the one before is open')
    second.answer()
    for (const socket of [...sockets, await second.connecting]) socket.terminate()
  },
)

t.test('masking keys and handshake keys are bytes of the cryptographic generator', async t => {
  const fills: Int32Array[] = []
  const pools: Buffer[] = []
  const { randomFillSync } = crypto
  Object.assign(crypto, {
    randomFillSync: (memory: Int32Array | Buffer) => {
      randomFillSync(memory)
      if (memory instanceof Int32Array) fills.push(memory.slice())
      else pools.push(Buffer.from(memory))
      return memory
    },
  })
  syncBuiltinESMExports()
  t.teardown(() => {
    Object.assign(crypto, { randomFillSync })
    syncBuiltinESMExports()
  })
  let first = ''
  while (pools.length === 0) first = generateKey()
  const [pool] = pools
  const { socket, stream } = await openInMemory(t)
  const keys = [first, headerOf(stream.request, 'Sec-WebSocket-Key')]
  while (keys.length * 16 < pool.length) keys.push(generateKey())
  t.same(
    keys,
    keys.map((_, i) => pool.toString('base64', i * 16, (i + 1) * 16)),
    'each byte once',
  )
  t.equal(pools.length, 1)

  while (fills.length < 3) socket.write('')
  await turn()
  const used = stream.frames().map(({ mask }) => Buffer.from(mask!).readInt32LE())
  const from = used.lastIndexOf(fills[0][0])
  // Every key of a filling once, in its order, so none comes back and none is made from another.
  const whole = [...fills[0], ...fills[1]]
  t.same(used.slice(from, from + whole.length), whole)
})

t.test('bytes that change after they were sent do not change on the wire', async t => {
  const senders: readonly (readonly [string, (socket: Socket, data: Uint8Array) => unknown])[] = [
    ['write', (socket, data) => socket.write(data)],
    ['send', (socket, data) => socket.send(data)],
    ['ping', (socket, data) => socket.ping(data).catch(() => {})],
    ['pong', (socket, data) => socket.pong(data)],
  ]
  for (const size of [1, 16, 100, 125, 126, 600, 4096, 5000, 70_000, 1_000_000]) {
    for (const [name, send] of senders) {
      if (size > 125 && name.startsWith('p')) continue
      const stream = new MemoryStream()
      const { socket } = await openInMemory(t, { highWaterMark: Infinity }, stream)
      stream.held = true
      const data = new Uint8Array(size).fill(1)
      // The first is in the hands of the stream, the second waits in the connection.
      send(socket, data)
      data.fill(2)
      send(socket, data)
      data.fill(3)
      await turn()
      stream.release()
      await turn()
      const frames = stream.frames()
      t.same(
        frames.map(({ payload }) => [payload.length, ...new Set(payload)]),
        [
          [size, 1],
          [size, 2],
        ],
        `${name}, ${size} bytes`,
      )
      t.notSame(
        keyOf(frames[0]),
        keyOf(frames[1]),
        'what changed goes in a frame of its own, under a new key',
      )
    }
  }
})

t.test('a part that changes after it was given does not change on the wire', async t => {
  const { socket, stream } = await openInMemory(t)
  const data = bytesOf('part one')
  await socket.send(
    (function* () {
      yield data
      data.set(bytesOf('part two'))
      yield data
      data.fill(0)
    })(),
  )
  t.strictSame(stream.shown(), ['binary+ "part one"', 'continuation+ "part two"', 'continuation ""'])
})

function keyOf({ mask }: Frame): string {
  return String(mask)
}
