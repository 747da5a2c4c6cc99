import type { Test } from 'tap'
import { connect, type ConnectOptions, HandshakeError, headerValue, type Socket } from '../../src/index.js'
import { authority, certificates } from '../support/certificates.js'
import { failure } from '../support/servers.js'
import {
  CUT_TEXT,
  cut,
  type Data,
  describe,
  SAMPLES,
  type StartServer,
  type Tls,
  utf8,
} from './conversation.js'

export const TLS: Tls = { ...certificates.valid, ca: authority.cert }

/** The next message; a connection that ends instead is an error. */
const receive = async (socket: Socket): Promise<Data> => {
  for await (const { data } of socket) return data
  throw new Error('the connection was closed')
}

/** Our `connect()` against a server of somebody else. */
export const testAsClient = async (t: Test, start: StartServer, tls: Tls | null): Promise<void> => {
  const server = await start(t, tls)
  const trust: ConnectOptions = tls === null ? {} : { tls: { ca: tls.ca } }
  const open = (path: string, options: ConnectOptions = {}): Promise<Socket> =>
    // Compressed conversations have tests of their own.
    connect(server.url + path, { ...trust, compress: false, ...options })

  await t.test('carries every message there and back', async t => {
    const socket = await open('/echo')
    for (const sample of SAMPLES) {
      await socket.send(sample)
      t.equal(describe(await receive(socket)), describe(sample))
    }
    for (const sample of SAMPLES) socket.write(sample)
    const echoed: string[] = []
    while (echoed.length < SAMPLES.length) echoed.push(describe(await receive(socket)))
    t.same(echoed, SAMPLES.map(describe), 'and all of them at once, in order')
    t.match(await socket.close(), { wasClean: true, error: null })
    t.match(await server.nextClose(), { code: 1000 })
  })

  await t.test('sends a message in fragments, and takes one', async t => {
    const socket = await open('/fragments')
    const halves = CUT_TEXT.indexOf('🌍') + 1
    await socket.send([CUT_TEXT.slice(0, halves), '', CUT_TEXT.slice(halves)])
    t.equal(describe(await receive(socket)), describe(CUT_TEXT), 'text, cut inside a character')
    await socket.send(cut(utf8(CUT_TEXT)))
    t.equal(describe(await receive(socket)), describe(utf8(CUT_TEXT)), 'binary')
    await socket.close()
    await server.nextClose()
  })

  await t.test('answers pings, and gets its own answered', async t => {
    const pings: string[] = []
    const pongs: string[] = []
    const socket = await open('/ping')
    // The first ping may have come with the handshake: what counts is that it is answered.
    socket.onPing = data => pings.push(Buffer.from(data).toString())
    socket.onPong = data => pongs.push(Buffer.from(data).toString())
    t.equal(await receive(socket), 'the pong is there')
    t.ok((await socket.ping('hello')) >= 0)
    t.ok((await socket.ping('')) >= 0)
    t.ok((await socket.ping('x'.repeat(125))) >= 0)
    t.same(pongs, ['hello', '', 'x'.repeat(125)])
    t.same(
      pings.filter(ping => ping !== 'are you there?'),
      [],
    )
    socket.pong('unasked')
    t.match(await socket.close(), { wasClean: true }, 'and a pong nobody asked for does no harm')
    await server.nextClose()
  })

  await t.test('closes with the code and the reason it is given', async t => {
    for (const [code, reason] of [
      [1000, 'done'],
      [4000, 'naïve ✓'],
      [1005, ''],
    ] as const) {
      const socket = await open('/echo')
      const outcome = await socket.close(code, reason)
      t.match(outcome, { sent: { code, reason }, wasClean: true, initiator: 'local', error: null })
      t.equal(outcome.received?.code, code, 'and the server sends it back')
      t.same(await server.nextClose(), { code, reason })
    }
  })

  await t.test('sees with which code and reason the server closes', async t => {
    for (const [query, code, reason] of [
      ['?code=1000', 1000, ''],
      ['?code=4000&reason=na%C3%AFve%20%E2%9C%93', 4000, 'naïve ✓'],
      ['', 1005, ''],
    ] as const) {
      const socket = await open(`/close${query}`)
      t.match(await socket.closed, {
        received: { code, reason },
        sent: { code, reason },
        wasClean: true,
        initiator: 'remote',
        error: null,
      })
      await server.nextClose()
    }
  })

  await t.test('agrees on a subprotocol and sends headers', async t => {
    const socket = await open('/head', { subprotocols: ['first', 'second'], headers: { 'X-Custom': 'a, b' } })
    t.equal(socket.subprotocol, 'second')
    t.same(JSON.parse((await receive(socket)) as string), {
      subprotocol: 'second',
      offered: '',
      custom: 'a, b',
    })
    t.equal(headerValue(socket.head.headers, 'x-answer'), 'yes', 'and shows those of the answer')
    t.equal(headerValue(socket.head.headers, 'sec-websocket-extensions'), null)
    await socket.close()
    const none = await open('/echo')
    t.equal(none.subprotocol, '')
    await none.close()
    await server.nextClose()
    await server.nextClose()
  })

  await t.test('fails with the status, headers and body of a refusal', async t => {
    const error = await failure(open('/refuse'))
    t.ok(error instanceof HandshakeError)
    t.match(error, { code: 'WS_HANDSHAKE_STATUS', status: 401, response: { status: 401 } })
    const { response } = error as HandshakeError
    t.equal(headerValue(response!.headers, 'www-authenticate'), 'Basic realm="interop"')
    t.match(Buffer.from(response!.body).toString(), 'who are you?')
  })

  await t.test('fails with WS_CONNECTION_LOST when the server drops the connection', async t => {
    const socket = await open('/terminate')
    await socket.send('now')
    t.match(await socket.closed, {
      sent: null,
      received: null,
      wasClean: false,
      error: { code: 'WS_CONNECTION_LOST', phase: 'open' },
    })
    await server.nextClose()
  })

  await t.test('drops the connection when it is told to', async t => {
    const socket = await open('/echo')
    socket.terminate()
    t.match(await socket.closed, { wasClean: false, error: { code: 'WS_CLOSED_LOCALLY' } })
    t.equal((await server.nextClose()).code, 1006)
  })
}
