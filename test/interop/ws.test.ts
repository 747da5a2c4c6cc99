import { createServer as createHttpServer } from 'node:http'
import { createServer as createHttpsServer } from 'node:https'
import t, { type Test } from 'tap'
import { type RawData, WebSocket, WebSocketServer } from 'ws'
import { connect, ConnectionError } from '../../src/index.js'
import { authority, certificates } from '../support/certificates.js'
import { failure, serve } from '../support/servers.js'
import { testAsClient, TLS } from './as-client.js'
import { testAsProcess } from './as-process.js'
import { testAsServer } from './as-server.js'
import {
  type Close,
  cut,
  type Data,
  type Heard,
  type PeerClient,
  type PeerServer,
  Queue,
  type StartServer,
  type Talk,
  utf8,
} from './conversation.js'
import {
  attachedProcesses,
  compressingAttached,
  compressingProcesses,
  listeningProcesses,
} from './our-processes.js'
import { attached, listening } from './our-server.js'

const dataOf = (data: RawData, isBinary: boolean): Data =>
  isBinary ? new Uint8Array(data as Buffer) : (data as Buffer).toString()

/** The parts as frames of one message; a text in bytes may be cut anywhere. */
const sendFragments = (socket: WebSocket, parts: readonly Uint8Array[], binary: boolean): void => {
  for (const [i, part] of parts.entries()) socket.send(part, { binary, fin: i === parts.length - 1 })
}

const behave = (socket: WebSocket, target: string, offered: string, custom: unknown): void => {
  const { pathname, searchParams } = new URL(target, 'http://localhost')
  socket.on('message', (raw, isBinary) => {
    const data = dataOf(raw, isBinary)
    if (pathname === '/echo') socket.send(data)
    if (pathname === '/fragments') sendFragments(socket, cut(utf8(data)), isBinary)
    if (pathname === '/terminate') socket.terminate()
  })
  socket.on('error', () => {})
  if (pathname === '/ping') {
    socket.ping('are you there?')
    socket.on('pong', data => {
      if (String(data) === 'are you there?') socket.send('the pong is there')
    })
  }
  if (pathname === '/head') socket.send(JSON.stringify({ subprotocol: socket.protocol, offered, custom }))
  if (pathname === '/close') {
    const code = searchParams.get('code')
    socket.close(code === null ? undefined : Number(code), searchParams.get('reason') ?? undefined)
  }
}

const startWith =
  (perMessageDeflate: boolean): StartServer =>
  async (t, tls): Promise<PeerServer> => {
    const closes = new Queue<Close>()
    const http = tls === null ? createHttpServer() : createHttpsServer(tls)
    const server = new WebSocketServer({
      server: http,
      perMessageDeflate,
      handleProtocols: offered => offered.has('second') && 'second',
      verifyClient: ({ req }, answer) => {
        const headers = { 'WWW-Authenticate': 'Basic realm="interop"' }
        if (req.url === '/refuse') answer(false, 401, 'who are you?', headers)
        else answer(true)
      },
    })
    server.on('headers', headers => headers.push('X-Answer: yes'))
    server.on('connection', (socket, request) => {
      socket.on('close', (code, reason) => closes.put({ code, reason: reason.toString() }))
      const offered = request.headers['sec-websocket-extensions'] ?? ''
      behave(socket, request.url!, offered, request.headers['x-custom'])
    })
    const port = await serve(t, http)
    return {
      url: `${tls === null ? 'ws' : 'wss'}://127.0.0.1:${port}`,
      nextClose: () => closes.next(),
    }
  }

const client = (perMessageDeflate: boolean | undefined, more: object = {}): PeerClient => ({
  can: { fragments: true, terminate: true },
  async talk({ url, ca, subprotocols = [], headers = {}, actions }: Talk): Promise<Heard> {
    const socket = new WebSocket(url, [...subprotocols], {
      headers,
      ...(perMessageDeflate === undefined ? {} : { perMessageDeflate }),
      ...(ca === null ? {} : { ca }),
      ...more,
    })
    const messages: Data[] = []
    const arrived = new Queue<Data>()
    const closed = new Promise<Close>(resolve => {
      socket.on('close', (code, reason) => resolve({ code, reason: reason.toString() }))
    })
    socket.on('message', (data, isBinary) => arrived.put(dataOf(data, isBinary)))
    socket.on('error', () => {})
    const refused = await new Promise<number | null>(resolve => {
      socket.on('open', () => resolve(null))
      // With a listener, ending the connection is up to it.
      socket.on('unexpected-response', (_request, { statusCode }) => {
        resolve(statusCode ?? 0)
        socket.terminate()
      })
    })
    let close: Close | null = null
    for (const action of refused === null ? actions : []) {
      if (action.do === 'send') socket.send(action.data)
      if (action.do === 'send-fragments') sendFragments(socket, action.parts, !action.text)
      if (action.do === 'receive') {
        for (let i = 0; i < action.count; i++) messages.push(await arrived.next())
      }
      if (action.do === 'ping') {
        const answered = new Promise<void>(resolve => {
          socket.on('pong', data => String(data) === action.data && resolve())
        })
        socket.ping(action.data)
        await answered
      }
      if (action.do === 'close') socket.close(action.code, action.reason)
      if (action.do === 'terminate') socket.terminate()
      if (action.do === 'await-close') close = await closed
    }
    await closed
    return { refused, subprotocol: socket.protocol, extensions: socket.extensions, messages, close }
  },
})

t.test('our client talks to a ws server over TCP', t => testAsClient(t, startWith(false), null))
t.test('our client talks to a ws server that would compress', t => testAsClient(t, startWith(true), null))
t.test('our client talks to a ws server over TLS', t => testAsClient(t, startWith(true), TLS))
t.test('our process talks to a ws server over TCP', t => testAsProcess(t, startWith(false), null))
t.test('our process talks to a ws server over TLS', t => testAsProcess(t, startWith(false), TLS))

// By default ws offers compression.
const offering = client(undefined)

t.test('a ws client talks to listen() over TCP', t => testAsServer(t, listening, offering, null))
t.test('a ws client talks to listen() over TLS', t => testAsServer(t, listening, offering, TLS))
t.test('a ws client talks to attach() over TCP', t => testAsServer(t, attached, offering, null))
t.test('a ws client talks to attach() over TLS', t => testAsServer(t, attached, offering, TLS))

for (const [name, start, tls] of [
  ['listen() over TCP', listeningProcesses, null],
  ['listen() over TLS', compressingProcesses, TLS],
  ['attach() over TCP', compressingAttached, null],
  ['attach() over TLS', attachedProcesses, TLS],
] as const) {
  t.test(`a ws client talks to processes of ${name}`, t => testAsServer(t, start, offering, tls))
}

t.test('a ws client that offers no extension gets none', async t => {
  const { url } = await listening(t, null)
  const { extensions, messages } = await client(false).talk({
    url: `${url}/head`,
    ca: null,
    actions: [{ do: 'receive', count: 1 }, { do: 'close' }, { do: 'await-close' }],
  })
  t.equal(extensions, '')
  t.match(JSON.parse(messages[0] as string), { offered: '', subprotocol: '' })
})

t.test('a ws client sees why it was refused', async t => {
  const guarded = await attached(t, null)
  const refused = { url: `${guarded.url}/refuse`, ca: null, actions: [] }
  t.equal((await offering.talk(refused)).refused, 401, 'by the application')
  const processes = await listeningProcesses(t, null)
  const forbidden = { ...refused, url: `${processes.url}/refuse` }
  t.equal((await offering.talk(forbidden)).refused, 401, 'by handleUpgrade')
  t.equal((await offering.talk({ ...refused, url: `${processes.url}/nowhere` })).refused, 404, 'by no route')
  const old = client(undefined, { protocolVersion: 8 })
  for (const start of [listening, attached, listeningProcesses, attachedProcesses]) {
    const { url } = await start(t, null)
    t.equal(
      (await old.talk({ url: `${url}/echo`, ca: null, actions: [] })).refused,
      426,
      'for its old version',
    )
  }
})

/** A ws server over https with this certificate. */
const secureServer = async (t: Test, certificate: { cert: string; key: string }): Promise<number> => {
  const http = createHttpsServer(certificate)
  const server = new WebSocketServer({ server: http })
  server.on('connection', socket => socket.send('hello'))
  return serve(t, http)
}

t.test('connect() fails with WS_TLS_FAILED and the TLS code in cause', async t => {
  const trust = { tls: { ca: authority.cert } }
  for (const [certificate, code] of [
    [certificates.expired, 'CERT_HAS_EXPIRED'],
    [certificates.selfSigned, 'DEPTH_ZERO_SELF_SIGNED_CERT'],
    [certificates.wrongHost, 'ERR_TLS_CERT_ALTNAME_INVALID'],
  ] as const) {
    const port = await secureServer(t, certificate)
    const error = await failure(connect(`wss://127.0.0.1:${port}/`, trust))
    t.ok(error instanceof ConnectionError)
    t.match(error, { code: 'WS_TLS_FAILED', phase: 'tls', cause: { code } }, code)
    t.match(error.message, code)
    const insecure = await connect(`wss://127.0.0.1:${port}/`, { insecure: true })
    t.match(await insecure.close(), { wasClean: true }, 'and connects all the same when told to')
  }
})
