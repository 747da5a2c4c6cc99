// Strategy: permessage-deflate as it is negotiated over real sockets. One end is ours, the other a raw peer, which says what a
// test tells it to say. Whether compression is in use is seen by a compressed message: it is either understood, or a frame
// with a reserved bit that nobody agreed on. What is a good or bad parameter is in test/extensions/negotiation.test.ts.
import { EventEmitter } from 'node:events'
import { createServer as createHttpServer } from 'node:http'
import t, { type Test } from 'tap'
import {
  attach,
  type Compress,
  connect,
  type CompressOptions,
  HandshakeError,
  listen,
  type Message,
  type Socket,
  UsageError,
} from '../../src/index.js'
import { formatExtensionList } from '../../src/handshake/header-values.js'
import { type Answer, answeringServer, redirect, routedTo } from '../support/answering-server.js'
import { bytesOf, concat, type FrameSpec, TEXT } from '../support/frames.js'
import {
  acceptance,
  fromServer,
  headerOf,
  type RawPeer,
  rawClient,
  type RawServer,
  rawServer,
  startListener,
  until,
  upgradeRequest,
} from '../support/raw-peer.js'
import { failure, leavesNothing, serve } from '../support/servers.js'

const HEADER = 'Sec-WebSocket-Extensions'
const NAME = 'permessage-deflate'
const S_ALONE = 'server_no_context_takeover'
const C_ALONE = 'client_no_context_takeover'
const S_BITS = 'server_max_window_bits'
const C_BITS = 'client_max_window_bits'
const OFFER = `${NAME}; ${C_BITS}`

/** "Hello", compressed. RFC 7692, section 7.2.3.1. */
const HELLO: FrameSpec = {
  opcode: TEXT,
  rsv: 4,
  payload: Uint8Array.of(0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00),
}

const ALL: CompressOptions = {
  serverNoContextTakeover: true,
  clientNoContextTakeover: true,
  serverMaxWindowBits: 10,
  clientMaxWindowBits: 11,
}
const ALL_SAID = `${NAME}; ${S_ALONE}; ${C_ALONE}; ${S_BITS}=10; ${C_BITS}=11`

/** Offers and answers that no option makes acceptable, and what is said of them as answers. */
const BAD: readonly (readonly [element: string, why: RegExp])[] = [
  ...['foo', 'constructor', '__proto__=1', 'toString'].map(
    params => [`${NAME}; ${params}`, /: it has an unknown parameter$/] as const,
  ),
  ...[`${S_ALONE}=1`, `${C_ALONE}=true`, `${S_ALONE}="10"`].map(
    params => [`${NAME}; ${params}`, /takes no value$/] as const,
  ),
  ...['7', '16', '08', '0', '-8', '0xa', '8.5', '1000', '999999', '"16"', 'true'].flatMap(value =>
    [S_BITS, C_BITS].map(name => [`${NAME}; ${name}=${value}`, /: \w+_bits is not 8 to 15$/] as const),
  ),
  [`${NAME}; ${S_BITS}`, /server_max_window_bits is not 8 to 15$/],
  [`${NAME}; ${S_ALONE}; ${S_ALONE}`, /server_no_context_takeover comes twice$/],
  [`${NAME}; ${S_BITS}=10; ${S_BITS}=10`, /server_max_window_bits comes twice$/],
]

const show = (compress: Compress | undefined): string => JSON.stringify(compress) ?? 'default'
const compressing = (compress: Compress | undefined): { readonly compress?: Compress } =>
  compress === undefined ? {} : { compress }

async function ended(socket: Socket, peer: RawPeer): Promise<void> {
  socket.terminate()
  await socket.closed
  peer.stream.destroy()
  await peer.closed
}

/** Connects to a raw server that answers with these header lines, and what comes behind them in the same packet. */
async function connecting(
  server: RawServer,
  compress: Compress | undefined,
  lines: readonly string[],
  behind: readonly FrameSpec[] = [],
): Promise<{ readonly result: Promise<Socket>; readonly request: string; readonly peer: RawPeer }> {
  const result = connect(server.url, compressing(compress))
  result.catch(() => {})
  const peer = await server.accepted()
  const request = await peer.head()
  peer.write(concat([bytesOf(acceptance(request, lines)), ...behind.map(fromServer)]))
  return { result, request, peer }
}

async function firstMessage(socket: Socket): Promise<Message | undefined> {
  for await (const message of socket) return message
  return undefined
}

t.test('connect() offers what its options say, in one header, and works without an answer to it', async t => {
  const server = await rawServer(t)
  const rows: readonly (readonly [compress: Compress | undefined, offer: string | undefined])[] = [
    [undefined, OFFER],
    ['receive', OFFER],
    [true, OFFER],
    [{}, OFFER],
    [false, undefined],
    [{ clientMaxWindowBits: false }, NAME],
    [{ clientMaxWindowBits: 8 }, `${NAME}; ${C_BITS}=8`],
    [{ serverMaxWindowBits: 15 }, `${NAME}; ${S_BITS}=15; ${C_BITS}`],
    [{ serverNoContextTakeover: true }, `${NAME}; ${S_ALONE}; ${C_BITS}`],
    [{ clientNoContextTakeover: true }, `${NAME}; ${C_ALONE}; ${C_BITS}`],
    [ALL, ALL_SAID],
    [{ threshold: 0, level: 9, memLevel: 9, strategy: 1 }, OFFER],
    [
      { serverMaxWindowBits: 10, alternatives: [{ serverMaxWindowBits: 12 }, {}] },
      `${NAME}; ${S_BITS}=10; ${C_BITS}, ${NAME}; ${S_BITS}=12; ${C_BITS}, ${OFFER}`,
    ],
  ]
  await leavesNothing(t, async () => {
    for (const [compress, offer] of rows) {
      const { result, request, peer } = await connecting(server, compress, [])
      t.equal(headerOf(request, HEADER), offer, show(compress))
      t.equal(request.match(/sec-websocket-extensions/gi)?.length, offer === undefined ? undefined : 1)
      const socket = await result
      t.strictSame(socket.extensions, [])
      // Section 5: both proceed without.
      peer.send({ opcode: TEXT, payload: 'plain' }, HELLO)
      t.strictSame(await firstMessage(socket), { type: 'text', data: 'plain' })
      t.match(await peer.shown(1), [/^close 1002 /], 'nobody agreed on compressed messages')
      await ended(socket, peer)
    }
  })
})

t.test(
  'connect() takes each answer that fits its offer, and reads compressed messages from the first on',
  async t => {
    const server = await rawServer(t)
    const rows: readonly (readonly [compress: Compress | undefined, answer: string])[] = [
      [undefined, NAME],
      [undefined, ALL_SAID],
      [undefined, `${NAME}; ${S_BITS}=8; ${C_BITS}=8`],
      [undefined, `${NAME}; ${S_BITS}=15; ${C_BITS}=15`],
      [true, `${NAME}; ${C_ALONE}`],
      [ALL, `${NAME}; ${S_ALONE}; ${S_BITS}=8`],
      [ALL, ALL_SAID],
      [{ clientMaxWindowBits: false }, NAME],
      [{ serverMaxWindowBits: 10, alternatives: [{}] }, `${NAME}; ${S_BITS}=10`],
      [{ serverMaxWindowBits: 10, alternatives: [{}] }, NAME],
    ]
    await leavesNothing(t, async () => {
      for (const [compress, answer] of rows) {
        const { result, peer } = await connecting(server, compress, [`${HEADER}: ${answer}`], [HELLO])
        const socket = await result
        t.equal(formatExtensionList(socket.extensions), answer, `${show(compress)}, ${answer}`)
        t.strictSame(await firstMessage(socket), { type: 'text', data: 'Hello' })
        await ended(socket, peer)
      }
      const quoted = `sec-websocket-extensions: ${NAME} ;${S_BITS} = "1\\0"`
      const { result, peer } = await connecting(server, undefined, [quoted], [HELLO])
      const socket = await result
      t.equal(formatExtensionList(socket.extensions), `${NAME}; ${S_BITS}=10`)
      t.strictSame(await firstMessage(socket), { type: 'text', data: 'Hello' })
      await ended(socket, peer)
    })
  },
)

t.test('connect() fails on each answer that does not fit its offer, and nothing is left open', async t => {
  const bad = 'WS_HANDSHAKE_BAD_EXTENSIONS'
  const unasked = 'WS_HANDSHAKE_UNREQUESTED_EXTENSION'
  type Row = readonly [compress: Compress | undefined, answer: readonly string[], code: string, why: RegExp]
  const rows: readonly Row[] = [
    ...BAD.map(([answer, why]): Row => [undefined, [answer], bad, why]),
    [true, [`${NAME}; ${C_BITS}`], bad, /client_max_window_bits is not 8 to 15$/],
    [{ serverNoContextTakeover: true }, [NAME], bad, /server_no_context_takeover was asked for$/],
    [{ serverMaxWindowBits: 10 }, [NAME], bad, /server_max_window_bits was asked for$/],
    [{ serverMaxWindowBits: 10 }, [`${NAME}; ${S_BITS}=11`], bad, /is larger than asked for$/],
    [
      { clientMaxWindowBits: false },
      [`${NAME}; ${C_BITS}=10`],
      bad,
      /client_max_window_bits was not offered$/,
    ],
    [{ serverMaxWindowBits: 10, alternatives: [{ serverMaxWindowBits: 11 }] }, [NAME], bad, /was asked for$/],
    [undefined, [`${NAME}, ${NAME}`], bad, /one extension twice$/],
    [undefined, [NAME, NAME], bad, /one extension twice$/],
    // RFC 6455, section 9.1: MUST fail what is no list of extensions.
    ...['', ';', `${NAME};`, `${NAME}; ${S_BITS}=`, `${NAME}; ${S_BITS}=""`, `${NAME}; ${S_BITS}="1 0"`].map(
      (answer): Row => [undefined, [answer], bad, /^Invalid Sec-WebSocket-Extensions header$/],
    ),
    // Section 5: what the client did not offer, above all what would want the same bit.
    [undefined, ['x-webkit-deflate-frame'], unasked, /not requested/],
    [undefined, [`${NAME}, x-webkit-deflate-frame`], unasked, /not requested/],
    [undefined, [NAME, 'permessage-bzip2'], unasked, /not requested/],
    [undefined, ['Permessage-Deflate'], unasked, /not requested/],
    [undefined, ['constructor'], unasked, /not requested/],
    [false, [NAME], unasked, /not requested/],
  ]
  const server = await rawServer(t)
  for (const [compress, answer, code, why] of rows) {
    const name = `${show(compress)}, ${answer.join(' and ')}`
    await leavesNothing(t, async () => {
      const lines = answer.map(value => `${HEADER}: ${value}`)
      const { result, peer } = await connecting(server, compress, lines, [HELLO])
      const error = await failure(result)
      t.ok(error instanceof HandshakeError, name)
      t.match(error, { code, status: 101, message: why, response: { status: 101 } }, name)
      const { response } = error as HandshakeError
      t.equal(response?.reason, 'Switching Protocols')
      t.equal(response?.body.length, 0)
      t.strictSame(
        response?.headers.filter(([header]) => header === HEADER).map(([, value]) => value),
        answer,
      )
      t.equal((await peer.rest()).length, 0, 'not a byte is sent')
      peer.stream.destroy()
    })
  }
  const { result, peer } = await connecting(server, undefined, [`${HEADER}: ${NAME}`], [HELLO])
  const socket = await result
  t.strictSame(await firstMessage(socket), { type: 'text', data: 'Hello' }, 'the next answer may be better')
  await ended(socket, peer)
})

/** Asks a server on a port, and checks that it opens the connection, and whether it reads compressed messages. */
async function answerOf(t: Test, port: number, offers: readonly string[]): Promise<string | undefined> {
  const peer = await rawClient(t, port)
  peer.write(upgradeRequest(offers.map(offer => `${HEADER}: ${offer}`)))
  const head = await peer.head()
  t.match(head, /^HTTP\/1\.1 101 /, offers.join(' and '))
  const answer = headerOf(head, HEADER)
  peer.send({ opcode: TEXT, payload: 'plain' }, HELLO)
  const [plain, hello] = await peer.shown(2)
  t.equal(plain, 'text "plain"')
  t.match(hello, answer === undefined ? /^close 1002 / : /^text "Hello"$/)
  peer.stream.destroy()
  await peer.closed
  return answer
}

const echo = (socket: Socket): void => {
  socket.onMessage = ({ data }) => void socket.write(data)
}

type Offered = readonly [
  compress: Compress | undefined,
  offers: readonly string[],
  answer: string | undefined,
]
const OFFERED: readonly Offered[] = [
  [undefined, [], undefined],
  [undefined, [NAME], NAME],
  [undefined, [OFFER], `${NAME}; ${C_BITS}=12`],
  ['receive', [`${NAME}; ${C_BITS}=10`], `${NAME}; ${C_BITS}=10`],
  [true, [OFFER], `${NAME}; ${C_BITS}=12`],
  [{}, [`${NAME}; ${S_BITS}="10"; ${S_ALONE}`], `${NAME}; ${S_ALONE}; ${S_BITS}=10`],
  [ALL, [OFFER], ALL_SAID],
  [ALL, [`${NAME}; ${S_BITS}=9; ${C_BITS}=8`], `${NAME}; ${S_ALONE}; ${C_ALONE}; ${S_BITS}=9; ${C_BITS}=8`],
  [ALL, [NAME], undefined],
  [ALL, [`${NAME}, ${OFFER}`], ALL_SAID],
  [{ clientMaxWindowBits: false }, [`${NAME}; ${C_BITS}=10`], NAME],
  [{ alternatives: [{ serverMaxWindowBits: 9 }] }, [NAME], NAME],
  [
    undefined,
    [`x-webkit-deflate-frame, ${NAME}; foo`, `${NAME}; ${S_BITS}=9, ${NAME}`],
    `${NAME}; ${S_BITS}=9`,
  ],
  [undefined, ['x-webkit-deflate-frame; no_context_takeover, Permessage-Deflate, constructor'], undefined],
  [false, [], undefined],
  [false, [OFFER], undefined],
]

t.test('listen() answers what fits the offer and its options', async t => {
  for (const [compress, offers, answer] of OFFERED) {
    const listener = await startListener(t, compressing(compress), echo)
    await leavesNothing(t, async () => {
      t.equal(await answerOf(t, listener.port, offers), answer, `${show(compress)}, ${offers.join(' and ')}`)
      await until(() => listener.sockets.size === 0, 'it is gone')
    })
  }
})

t.test('attach() answers as listen() does', async t => {
  for (const [compress, offers, answer] of OFFERED) {
    const server = createHttpServer()
    const acceptor = attach(server, compressing(compress), echo)
    const port = await serve(t, server)
    t.equal(await answerOf(t, port, offers), answer, `${show(compress)}, ${offers.join(' and ')}`)
    await until(() => acceptor.sockets.size === 0, 'it is gone')
  }
})

t.test('a bad offer is declined and not refused, and the next one is accepted', async t => {
  const listener = await startListener(t, { compress: true }, echo)
  await leavesNothing(t, async () => {
    for (const [bad] of BAD) {
      t.equal(await answerOf(t, listener.port, [bad]), undefined, bad)
      t.equal(await answerOf(t, listener.port, [`${bad}, ${NAME}; ${S_BITS}=9`]), `${NAME}; ${S_BITS}=9`, bad)
    }
    t.equal(
      await answerOf(
        t,
        listener.port,
        BAD.map(([bad]) => bad),
      ),
      undefined,
      'all of them',
    )
    await until(() => listener.sockets.size === 0, 'all are gone')
  })
  const socket = await connect(listener.url)
  t.equal(formatExtensionList(socket.extensions), `${NAME}; ${C_BITS}=12`, 'the process is alive')
  socket.terminate()
})

t.test('what is no list of extensions is refused with 400, with compression or without', async t => {
  for (const compress of [true, false]) {
    const listener = await startListener(t, { compress }, () => t.fail('accepted'))
    for (const offer of [';', `${NAME}; ${S_BITS}=`, `${NAME}; ${S_BITS}=""`, `${NAME}; ${S_BITS}=" 10"`]) {
      const peer = await rawClient(t, listener.port)
      peer.write(upgradeRequest([`${HEADER}: ${offer}`]))
      t.match(await peer.head(), /^HTTP\/1\.1 400 /, offer)
      peer.stream.end()
      await peer.closed
    }
  }
})

t.test('both ends agree on the same, whatever their options are', async t => {
  type Row = readonly [client: Compress | undefined, server: Compress | undefined, agreed: string]
  const rows: readonly Row[] = [
    [undefined, undefined, `${NAME}; ${C_BITS}=12`],
    [true, 'receive', `${NAME}; ${C_BITS}=12`],
    [ALL, undefined, ALL_SAID],
    [undefined, ALL, ALL_SAID],
    [ALL, ALL, ALL_SAID],
    [{ clientMaxWindowBits: 9 }, { clientMaxWindowBits: false }, NAME],
    [{ clientMaxWindowBits: false }, { clientMaxWindowBits: 9 }, ''],
    [{ clientMaxWindowBits: false, alternatives: [{}] }, { clientMaxWindowBits: 9 }, `${NAME}; ${C_BITS}=9`],
    [{ serverMaxWindowBits: 8 }, { clientMaxWindowBits: 8 }, `${NAME}; ${S_BITS}=8; ${C_BITS}=8`],
    [false, true, ''],
    [true, false, ''],
  ]
  for (const [client, server, agreed] of rows) {
    const listener = await startListener(t, compressing(server), echo)
    await leavesNothing(t, async () => {
      const socket = await connect(listener.url, compressing(client))
      t.equal(formatExtensionList(socket.extensions), agreed, `${show(client)}, ${show(server)}`)
      t.strictSame([...listener.sockets][0].extensions, socket.extensions)
      const text = 'a message '.repeat(500)
      await socket.send(text, { compress: true })
      t.strictSame(await firstMessage(socket), { type: 'text', data: text })
      socket.terminate()
      await socket.closed
      await until(() => listener.sockets.size === 0, 'it is gone')
    })
  }
})

t.test('a redirect keeps the offer, also to another origin, and the last answer counts', async t => {
  const agreed = [`${HEADER}: ${NAME}; ${S_BITS}=9; ${C_BITS}=9`]
  const open: Answer = { status: 101, headers: agreed }
  const rows: readonly (readonly [compress: Compress | undefined, offer: string | undefined])[] = [
    [undefined, OFFER],
    [{ ...ALL, alternatives: [{}] }, `${ALL_SAID}, ${OFFER}`],
    [false, undefined],
  ]
  for (const [compress, offer] of rows) {
    const server = await answeringServer(t, (_, nth) => {
      if (nth === 0) return redirect('/next', 302, ...agreed)
      if (nth === 1) return redirect('ws://two.test/', 307)
      return offer === undefined ? { status: 101 } : open
    })
    await leavesNothing(t, async () => {
      const socket = await connect('ws://one.test/', {
        ...compressing(compress),
        maxRedirects: 2,
        createConnection: routedTo(server),
      })
      t.equal(socket.url, 'ws://two.test/')
      const extensions = offer === undefined ? '' : `${NAME}; ${S_BITS}=9; ${C_BITS}=9`
      t.equal(formatExtensionList(socket.extensions), extensions)
      socket.terminate()
      await socket.closed
    })
    t.strictSame(
      server.asked.map(({ headers }) => headers['sec-websocket-extensions']),
      [offer, offer, offer],
      show(compress),
    )
  }
})

t.test('a bad answer behind a redirect fails like any other', async t => {
  const bad: Answer = { status: 101, headers: [`${HEADER}: ${NAME}; ${S_BITS}=16`] }
  const server = await answeringServer(t, (_, nth) => (nth === 0 ? redirect('/next') : bad))
  await leavesNothing(t, async () => {
    const error = await failure(connect(server.url, { maxRedirects: 1 }))
    t.ok(error instanceof HandshakeError)
    t.match(error, { code: 'WS_HANDSHAKE_BAD_EXTENSIONS', response: { status: 101 } })
  })
})

t.test('bad options are refused before anything is dialed or listened to', async t => {
  let dialed = 0
  const createConnection = (): never => {
    dialed++
    throw new Error('dialed')
  }
  for (const compress of [null, 'send', { level: 10 }, { nonsense: 1 }, { alternatives: [{ level: 1 }] }]) {
    const options = { compress: compress as Compress }
    await leavesNothing(t, async () => {
      for (const error of [
        await failure(connect('ws://in.memory/', { ...options, createConnection })),
        await failure(listen(options, () => {}).then(listener => listener.close())),
      ]) {
        t.ok(error instanceof UsageError)
        t.match(error, { code: 'WS_BAD_OPTION', message: /compress/ })
      }
      t.throws(() => attach(new EventEmitter(), options, () => {}), { code: 'WS_BAD_OPTION' })
    })
  }
  t.equal(dialed, 0)
})
