import { once } from 'node:events'
import { createServer as createTcpServer, connect as netConnect } from 'node:net'
import { Duplex } from 'node:stream'
import t, { type Test } from 'tap'
import {
  connect as tlsConnect,
  createServer,
  type TLSSocket,
  type TlsOptions as ServerOptions,
} from 'node:tls'
import { ConnectionError } from '../../src/transport/connection-error.js'
import type { DialOptions } from '../../src/transport/dial-options.js'
import { type Dialed, dial } from '../../src/transport/dial.js'
import { parseTarget } from '../../src/transport/target.js'
import { authority, certificates } from '../support/certificates.js'
import { failure, leavesNothing, serve, silentServer, withResolvers } from '../support/servers.js'

const { valid } = certificates
const trusted = { ca: authority.cert }

/** A TLS echo server; returns its port and what the last client sent as SNI. */
const tlsServer = async (t: Test, options: ServerOptions): Promise<{ port: number; sni: () => unknown }> => {
  let last: unknown
  const server = createServer(options, socket => {
    last = socket.servername
    socket.on('error', () => {}).pipe(socket)
  })
  const port = await serve(t, server)
  return { port, sni: () => last }
}

const dialTls = (port: number, options: DialOptions, host = '127.0.0.1'): Promise<Dialed> =>
  dial(parseTarget(`wss://${host}:${port}/`), {
    lookup: (_hostname, _options, callback) => callback(null, '127.0.0.1', 4),
    ...options,
  })

const echoes = async ({ socket }: Dialed): Promise<string> => {
  socket.write('hello')
  const [chunk] = (await once(socket, 'data')) as [Buffer]
  return chunk.toString()
}

t.test('verifies the certificate against the name and the authority', async t => {
  const { port, sni } = await tlsServer(t, valid)
  await leavesNothing(t, async () => {
    const byName = await dialTls(port, { tls: trusted }, 'localhost')
    t.equal(await echoes(byName), 'hello')
    t.equal(sni(), 'localhost', 'SNI carries the name')
    t.match(byName, { remoteAddress: '127.0.0.1', remotePort: port, remoteFamily: 4 })
    t.ok(byName.timings.tlsMs > 0)
    t.equal(byName.socket.listenerCount('secureConnect'), 0)
    const byAddress = await dialTls(port, { tls: trusted })
    t.equal(await echoes(byAddress), 'hello')
    t.equal(sni(), false, 'an address is never sent as SNI')
    const withDot = await dialTls(port, { tls: trusted }, 'localhost.')
    t.equal(await echoes(withDot), 'hello')
    t.equal(sni(), 'localhost', 'nor is the trailing dot')
    const named = await dialTls(port, { tls: { ...trusted, servername: 'localhost' } }, 'somewhere.test')
    t.equal(await echoes(named), 'hello', 'servername takes the place of the name')
    for (const one of [byName, byAddress, withDot, named]) one.socket.destroy()
  })
})

t.test('fails with WS_TLS_FAILED and the TLS code in cause', async t => {
  const cases: readonly (readonly [ServerOptions, DialOptions, string])[] = [
    [certificates.expired, { tls: trusted }, 'CERT_HAS_EXPIRED'],
    [certificates.notYetValid, { tls: trusted }, 'CERT_NOT_YET_VALID'],
    [certificates.wrongHost, { tls: trusted }, 'ERR_TLS_CERT_ALTNAME_INVALID'],
    [certificates.selfSigned, { tls: trusted }, 'DEPTH_ZERO_SELF_SIGNED_CERT'],
    [valid, {}, 'UNABLE_TO_VERIFY_LEAF_SIGNATURE'],
    [valid, { tls: { ...trusted, servername: 'elsewhere.test' } }, 'ERR_TLS_CERT_ALTNAME_INVALID'],
    [
      { ...valid, maxVersion: 'TLSv1.2' },
      { tls: { ...trusted, minVersion: 'TLSv1.3' } },
      'ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION',
    ],
    [valid, { tls: { cert: 'no certificate' } }, 'ERR_OSSL_PEM_NO_START_LINE'],
  ]
  for (const [server, options, code] of cases) {
    const { port } = await tlsServer(t, server)
    await leavesNothing(t, async () => {
      const error = await failure(dialTls(port, options))
      t.ok(error instanceof ConnectionError)
      t.match(error, { code: 'WS_TLS_FAILED', phase: 'tls', cause: { code } }, code)
      t.equal(error.message, `TLS with 127.0.0.1:${port} failed: ${code}`)
    })
  }
})

t.test('trusts a self-signed certificate that is given as its own authority', async t => {
  const { port } = await tlsServer(t, certificates.selfSigned)
  const dialed = await dialTls(port, { tls: { ca: certificates.selfSigned.cert } })
  t.equal(await echoes(dialed), 'hello')
  dialed.socket.destroy()
})

t.test('skips verification only for insecure: true, whatever the environment says', async t => {
  const { port } = await tlsServer(t, certificates.expired)
  for (const tls of [undefined, { rejectUnauthorized: true }, { rejectUnauthorized: undefined }]) {
    const dialed = await dialTls(port, { insecure: true, tls })
    t.equal(await echoes(dialed), 'hello')
    dialed.socket.destroy()
  }
  t.match(await failure(dialTls(port, { tls: { rejectUnauthorized: false } })), { code: 'WS_BAD_OPTION' })
  t.match(await failure(dialTls(port, { insecure: false, tls: { rejectUnauthorized: false } })), {
    code: 'WS_BAD_OPTION',
  })
  const before = process.env['NODE_TLS_REJECT_UNAUTHORIZED']
  process.env['NODE_TLS_REJECT_UNAUTHORIZED'] = '0'
  try {
    for (const tls of [undefined, { rejectUnauthorized: undefined }]) {
      t.match(await failure(dialTls(port, { tls })), { code: 'WS_TLS_FAILED' })
    }
  } finally {
    if (before === undefined) delete process.env['NODE_TLS_REJECT_UNAUTHORIZED']
    else process.env['NODE_TLS_REJECT_UNAUTHORIZED'] = before
  }
})

t.test('leaves the check of the name to a function of the caller', async t => {
  const { port } = await tlsServer(t, valid)
  const pinned = new Error('not the pinned key')
  const error = await failure(dialTls(port, { tls: { ...trusted, checkServerIdentity: () => pinned } }))
  t.match(error, { code: 'WS_TLS_FAILED', cause: pinned })
  const undefinedCheck = await dialTls(port, { tls: { ...trusted, checkServerIdentity: undefined } })
  undefinedCheck.socket.destroy()
})

t.test('shows a client certificate to a server that wants one', async t => {
  const { port } = await tlsServer(t, { ...valid, ...trusted, requestCert: true, rejectUnauthorized: true })
  const dialed = await dialTls(port, { tls: { ...trusted, ...certificates.wrongHost } })
  t.equal(await echoes(dialed), 'hello')
  dialed.socket.destroy()
})

t.test('offers http/1.1 alone by ALPN', async t => {
  const offered: string[][] = []
  const { port } = await tlsServer(t, {
    ...valid,
    ALPNCallback: ({ protocols }) => {
      offered.push(protocols)
      return 'http/1.1'
    },
  })
  const wish = { ...trusted, ALPNProtocols: ['h2', 'http/1.1'] }
  const { socket } = await dialTls(port, { tls: wish })
  t.same(offered, [['http/1.1']], 'even when something else is asked for')
  t.equal((socket as TLSSocket).alpnProtocol, 'http/1.1')
  socket.destroy()
})

t.test('fails with WS_TLS_ALPN when the server does not speak http/1.1', async t => {
  const { port } = await tlsServer(t, { ...valid, ALPNProtocols: ['h2'] })
  await leavesNothing(t, async () => {
    const refused = await failure(dialTls(port, { tls: trusted }))
    t.match(refused, { code: 'WS_TLS_ALPN', phase: 'tls', cause: { code: /ALERT_NO_APPLICATION_PROTOCOL$/ } })
    const h2 = tlsConnect({ port, ...trusted, ALPNProtocols: ['h2'] })
    await once(h2, 'secureConnect')
    const own = await failure(dialTls(port, { createConnection: () => h2 }))
    t.match(own, {
      code: 'WS_TLS_ALPN',
      message: /does not speak http\/1.1 over TLS \(ALPN\): the server chose h2$/,
    })
    t.ok(h2.destroyed)
  })
})

t.test('fails with WS_TLS_FAILED when the server goes away in the middle', async t => {
  const { server, heard } = silentServer()
  const port = await serve(t, server)
  void heard.then(socket => socket.destroy())
  const error = await failure(dialTls(port, { tls: trusted }))
  t.match(error, { code: 'WS_TLS_FAILED', cause: { code: 'ECONNRESET' } })
})

t.test('fails with WS_TLS_FAILED when the server does not speak TLS', async t => {
  const port = await serve(
    t,
    createTcpServer(socket => socket.resume().end('HTTP/1.1 400 Bad Request\r\n\r\n')),
  )
  await leavesNothing(t, async () => {
    const error = await failure(dialTls(port, { tls: trusted }))
    t.match(error, { code: 'WS_TLS_FAILED', cause: { code: /^ERR_SSL_/ } })
  })
})

t.test('speaks TLS inside a stream of the caller', async t => {
  const { port, sni } = await tlsServer(t, valid)
  await leavesNothing(t, async () => {
    const inSocket = await dialTls(
      port,
      { tls: trusted, createConnection: () => netConnect(port, '127.0.0.1') },
      'localhost',
    )
    t.equal(await echoes(inSocket), 'hello')
    t.equal(sni(), 'localhost')
    inSocket.socket.destroy()
    const raw = netConnect(port, '127.0.0.1')
    const tunnel = Duplex.from({ readable: raw, writable: raw })
    const inStream = await dialTls(port, { tls: trusted, createConnection: () => tunnel }, 'localhost')
    t.equal(await echoes(inStream), 'hello', 'and a stream that is no socket will do')
    inStream.socket.destroy()
    raw.destroy()
    const secure = tlsConnect({ port, ...trusted })
    await once(secure, 'secureConnect')
    const inTls = await dialTls(port, { createConnection: async () => secure }, 'localhost')
    t.equal(inTls.socket, secure, 'a TLS socket is taken as it is')
    t.equal(await echoes(inTls), 'hello')
    secure.destroy()
  })
})

t.test('fails with WS_TLS_FAILED when a stream of the caller breaks', async t => {
  const { promise: written, resolve } = withResolvers<void>()
  const tunnel = new Duplex({
    read: () => {},
    write: (_chunk, _encoding, done) => {
      resolve()
      done()
    },
  })
  const dialing = failure(dialTls(443, { createConnection: () => tunnel }))
  await written
  const broken = new Error('tunnel broke')
  tunnel.destroy(broken)
  const error = await dialing
  t.match(error, { code: 'WS_TLS_FAILED', phase: 'tls', cause: broken })
})
