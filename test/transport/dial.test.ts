import * as fc from 'fast-check'
import type { LookupAddress } from 'node:dns'
import { getEventListeners } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { connect as netConnect, createServer, type LookupFunction, type Socket } from 'node:net'
import { networkInterfaces, tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Duplex, PassThrough } from 'node:stream'
import t, { type Test } from 'tap'
import { AbortError } from '../../src/transport/abort-error.js'
import { systemClock } from '../../src/transport/clock.js'
import { ConnectionError } from '../../src/transport/connection-error.js'
import type { DialOptions } from '../../src/transport/dial-options.js'
import { dial } from '../../src/transport/dial.js'
import { interleaveFamilies } from '../../src/transport/lookup.js'
import { NotConnectedError } from '../../src/transport/not-connected-error.js'
import { parseTarget } from '../../src/transport/target.js'
import { deadFor, deadSocket, failure, leavesNothing, serve, silentServer, turn } from '../support/servers.js'
import { VirtualClock } from '../support/virtual-clock.js'

/** A lookup that gives these addresses, and asks for what every lookup should be asked. */
const lookupOf =
  (...addresses: readonly string[]): LookupFunction =>
  (_hostname, _options, callback) =>
    callback(
      null,
      addresses.map(address => ({ address, family: address.includes(':') ? 6 : 4 })),
    )
type Connect = NonNullable<DialOptions['netConnect']>
const neverAnswers: LookupFunction = () => {}
/** Nothing listens there. */
const REFUSED = 'ws://127.0.0.1:1/'
const DEAD = '192.0.2.1'

const hasIPv6 = Object.values(networkInterfaces()).some(list => list?.some(one => one.address === '::1'))

const echo = (t: Test, host?: string, path?: string): Promise<number> =>
  serve(
    t,
    createServer(socket => socket.pipe(socket)),
    host,
    path,
  )

const dialUrl = (url: string, options?: DialOptions): ReturnType<typeof dial> =>
  dial(parseTarget(url), options)

/** Says something to an echo server and waits for it to come back. */
const echoes = (socket: Duplex): Promise<string> =>
  new Promise((done, failed) => {
    socket.once('data', (chunk: Buffer) => done(chunk.toString()))
    socket.once('error', failed)
    socket.write('hello')
  })

t.test('connects over TCP, by name and by address', async t => {
  const port = await echo(t)
  await leavesNothing(t, async () => {
    const byName = await dialUrl(`ws://some.name:${port}/`, { lookup: lookupOf('127.0.0.1') })
    t.equal(await echoes(byName.socket), 'hello')
    t.match(byName, { remoteAddress: '127.0.0.1', remotePort: port, remoteFamily: 4, timings: { tlsMs: 0 } })
    const never: LookupFunction = () => t.fail('an address needs no lookup')
    const byAddress = await dialUrl(`ws://127.0.0.1:${port}/`, { lookup: never })
    t.equal(await echoes(byAddress.socket), 'hello')
    t.equal(byAddress.timings.dnsMs, 0)
    t.ok(byAddress.timings.tcpMs > 0)
    byName.socket.destroy()
    byAddress.socket.destroy()
  })
})

t.test("connects by the system's own lookup", async t => {
  const port = await echo(t)
  const { socket } = await dialUrl(`ws://localhost:${port}/`)
  t.equal(await echoes(socket), 'hello')
  socket.destroy()
})

t.test('connects to an IPv6 literal', { skip: hasIPv6 ? false : 'this machine has no ::1' }, async t => {
  const port = await echo(t, '::1')
  const dialed = await dialUrl(`ws://[::1]:${port}/`)
  t.match(dialed, { remoteAddress: '::1', remoteFamily: 6 })
  dialed.socket.destroy()
})

t.test(
  'connects to a unix socket',
  { skip: process.platform === 'win32' ? 'no unix sockets' : false },
  async t => {
    const folder = mkdtempSync(join(tmpdir(), 'sansocket-'))
    t.teardown(() => rmSync(folder, { recursive: true }))
    const path = join(folder, 'a b:c.sock')
    await echo(t, undefined, path)
    const url = `ws+unix:${path.replace(':', '%3A')}:/chat`
    await leavesNothing(t, async () => {
      const dialed = await dialUrl(url)
      t.equal(await echoes(dialed.socket), 'hello')
      t.match(dialed, { remoteAddress: null, remotePort: null, remoteFamily: null })
      dialed.socket.destroy()
      const error = await failure(dialUrl(`ws+unix:${folder}/none.sock`))
      t.match(error, { code: 'WS_CONNECT_FAILED', phase: 'tcp', cause: { code: 'ENOENT' } })
      t.equal(error.message, `connect to ${folder}/none.sock failed: ENOENT`)
    })
  },
)

t.test('asks the lookup for all addresses, and understands every form of answer', async t => {
  const port = await echo(t)
  const asked: unknown[] = []
  const lookup: LookupFunction = (hostname, options, callback) => {
    asked.push([hostname, options])
    // The form of an answer to somebody who did not ask for all.
    setImmediate(() => callback(null, '127.0.0.1', 4))
  }
  const { socket } = await dialUrl(`ws://some.name:${port}/`, { lookup, tcp: { localAddress: '127.0.0.1' } })
  t.same(asked, [['some.name', { all: true, family: 4 }]], 'and only for the family that can be used')
  socket.destroy()
})

t.test('fails with WS_DNS_FAILED when the lookup fails', async t => {
  const notFound = Object.assign(new Error('getaddrinfo ENOTFOUND no.such.name'), { code: 'ENOTFOUND' })
  const lookups: readonly LookupFunction[] = [
    (_hostname, _options, callback) => setImmediate(() => callback(notFound, [])),
    () => {
      throw notFound
    },
  ]
  for (const lookup of lookups) {
    const error = await failure(dialUrl('ws://no.such.name/', { lookup }))
    t.ok(error instanceof ConnectionError)
    t.match(error, { name: 'ConnectionError', code: 'WS_DNS_FAILED', phase: 'dns', cause: notFound })
    t.equal(error.message, 'lookup of no.such.name failed: ENOTFOUND')
  }
  const nothing = await failure(dialUrl('ws://no.such.name/', { lookup: lookupOf() }))
  t.equal(nothing.message, 'lookup of no.such.name failed: it gave no address that can be used')
  const wrongFamily = failure(dialUrl('ws://no.such.name/', { lookup: lookupOf('::1'), tcp: { family: 4 } }))
  t.match(await wrongFamily, { code: 'WS_DNS_FAILED' })
})

t.test('fails with WS_DNS_TIMEOUT when the lookup never answers, and ignores a late answer', async t => {
  const clock = new VirtualClock()
  let answer: (() => void) | undefined
  const lookup: LookupFunction = (_hostname, _options, callback) => {
    answer = () => callback(null, [{ address: '127.0.0.1', family: 4 }])
  }
  const made: Socket[] = []
  const dialing = failure(dialUrl('ws://slow.name/', { lookup, clock, netConnect: deadFor('', made) }))
  clock.advance(9_999)
  t.equal(clock.pending, 1, 'not a millisecond before')
  clock.advance(1)
  const error = await dialing
  t.match(error, {
    code: 'WS_DNS_TIMEOUT',
    phase: 'dns',
    message: 'lookup of slow.name timed out (10000 ms)',
  })
  answer?.()
  await turn()
  t.equal(clock.pending, 0)
  t.same(made, [], 'nothing was connected')
})

t.test('fails with WS_CONNECT_FAILED when the port is closed', async t => {
  await leavesNothing(t, async () => {
    const error = await failure(dialUrl(REFUSED))
    t.match(error, { code: 'WS_CONNECT_FAILED', phase: 'tcp', cause: { code: 'ECONNREFUSED', port: 1 } })
    t.equal(error.message, 'connect to 127.0.0.1:1 failed: ECONNREFUSED')
  })
})

t.test('names every address that failed', async t => {
  await leavesNothing(t, async () => {
    const error = await failure(dialUrl('ws://some.name:1/', { lookup: lookupOf('127.0.0.1', '::1') }))
    t.equal(error.message, 'connect to some.name:1 failed: ECONNREFUSED')
    const { cause } = error
    t.ok(cause instanceof AggregateError && cause.errors.length === 2)
    t.match(cause, { code: 'ECONNREFUSED', errors: [{ address: '127.0.0.1' }, { address: '::1' }] })
  })
})

t.test('fails with WS_CONNECT_TIMEOUT over all addresses together', async t => {
  const clock = new VirtualClock()
  const made: Socket[] = []
  const netConnect = (): Socket => {
    const socket = deadSocket()
    made.push(socket)
    return socket
  }
  const options = { clock, netConnect, connectTimeoutMs: 1_000, lookup: lookupOf(DEAD, '192.0.2.2') }
  const dialing = failure(dialUrl('ws://some.name/', options))
  await turn()
  t.equal(made.length, 1)
  clock.advance(249)
  t.equal(made.length, 1)
  clock.advance(1)
  t.equal(made.length, 2, 'the second address is tried after 250 ms')
  clock.advance(750)
  t.match(await dialing, {
    code: 'WS_CONNECT_TIMEOUT',
    phase: 'tcp',
    message: 'connect to some.name:80 timed out (1000 ms)',
  })
  t.equal(clock.pending, 0)
  t.ok(made.every(socket => socket.destroyed))
  for (const socket of made) socket.emit('error', new Error('late'))
  t.pass('a late error crashes nothing')
})

t.test('tries the next address beside one that does not answer, and destroys the loser', async t => {
  const port = await echo(t)
  await leavesNothing(t, async () => {
    const clock = new VirtualClock()
    const made: Socket[] = []
    const options = {
      clock,
      netConnect: deadFor(DEAD, made),
      lookup: lookupOf(DEAD, '127.0.0.1', '192.0.2.2'),
    }
    const dialing = dialUrl(`ws://some.name:${port}/`, options)
    await turn()
    clock.advance(250)
    const { socket, remoteAddress, timings } = await dialing
    t.equal(remoteAddress, '127.0.0.1')
    t.same(timings, { dnsMs: 0, tcpMs: 250, proxyMs: 0, tlsMs: 0 })
    t.equal(made.length, 2, 'the third was not needed')
    t.ok(made[0].destroyed)
    t.equal(clock.pending, 0)
    t.same(
      [socket.listenerCount('connect'), socket.listenerCount('error')],
      [0, 1],
      'no listener is left but one',
    )
    socket.destroy()
  })
})

const throwing: Connect = options => {
  if ((options as { host: string }).host === '192.0.2.2') throw new Error('no route')
  return netConnect(options)
}

t.test('tries the next address at once when one fails', async t => {
  const port = await echo(t)
  const clock = new VirtualClock()
  const lookup = lookupOf('::1', '192.0.2.2', '127.0.0.1')
  const { socket, remoteAddress } = await dialUrl(`ws://some.name:${port}/`, {
    clock,
    lookup,
    netConnect: throwing,
  })
  t.equal(remoteAddress, '127.0.0.1', 'after one that was refused and one that threw, in no virtual time')
  socket.destroy()
})

const ofFamily = (from: readonly LookupAddress[], family: number): LookupAddress[] =>
  from.filter(one => one.family === family)

t.test('lets the families take turns, and keeps the order within each', t => {
  const address = fc.record({ address: fc.uuid(), family: fc.constantFrom(4, 6) })
  fc.assert(
    fc.property(fc.array(address), list => {
      const result = interleaveFamilies(list)
      t.same(ofFamily(result, 4), ofFamily(list, 4))
      t.same(ofFamily(result, 6), ofFamily(list, 6))
      const shorter = Math.min(ofFamily(list, 4).length, ofFamily(list, 6).length)
      const alternates = result.slice(1, shorter * 2).every((one, i) => one.family !== result[i].family)
      return alternates && result[0] === list[0] && result.length === list.length
    }),
  )
  t.end()
})

t.test('passes TCP options on', async t => {
  const port = await echo(t)
  const seen: unknown[] = []
  const spy = (options: Parameters<Connect>[0]): Socket => {
    seen.push(options)
    return netConnect(options)
  }
  const host = '127.0.0.1'
  const tcps: readonly DialOptions['tcp'][] = [
    undefined,
    { noDelay: false, keepAlive: true },
    { keepAlive: 5_000, localAddress: host },
  ]
  for (const tcp of tcps) (await dialUrl(`ws://${host}:${port}/`, { tcp, netConnect: spy })).socket.destroy()
  t.same(seen, [
    { host, port, noDelay: true, keepAlive: false, keepAliveInitialDelay: 0, allowHalfOpen: true },
    { host, port, noDelay: false, keepAlive: true, keepAliveInitialDelay: 0, allowHalfOpen: true },
    {
      host,
      port,
      noDelay: true,
      keepAlive: true,
      keepAliveInitialDelay: 5_000,
      localAddress: host,
      allowHalfOpen: true,
    },
  ])
})

t.test('fails with WS_TLS_TIMEOUT when the server says nothing', async t => {
  const { server, heard } = silentServer()
  const port = await serve(t, server)
  await leavesNothing(t, async () => {
    const clock = new VirtualClock()
    const dialing = failure(dialUrl(`wss://127.0.0.1:${port}/`, { clock }))
    await heard
    t.equal(clock.pending, 1)
    clock.advance(10_000)
    t.match(await dialing, {
      code: 'WS_TLS_TIMEOUT',
      phase: 'tls',
      message: `TLS with 127.0.0.1:${port} timed out (10000 ms)`,
    })
    t.equal(clock.pending, 0)
  })
})

t.test('aborts in every phase', async t => {
  const { server, heard } = silentServer()
  const port = await serve(t, server)
  const made: Duplex[] = []
  const keep = <T extends Duplex>(stream: T): T => {
    made.push(stream)
    return stream
  }
  let late: ((stream: Duplex) => void) | undefined
  let factorySignal: AbortSignal | undefined
  const phases: Record<string, { url: string; options: DialOptions; reached?: Promise<unknown> }> = {
    dns: { url: 'ws://slow.name/', options: { lookup: neverAnswers } },
    tcp: { url: `ws://${DEAD}/`, options: { netConnect: () => keep(deadSocket()) } },
    'own connection': {
      url: 'ws://some.name/',
      options: {
        createConnection: (_target, signal) =>
          new Promise(done => {
            factorySignal = signal
            late = done
          }),
      },
    },
    'own connection that is connecting': {
      url: 'ws://some.name/',
      options: { createConnection: () => keep(Object.assign(deadSocket(), { connecting: true })) },
    },
    tls: {
      url: `wss://127.0.0.1:${port}/`,
      options: { netConnect: options => keep(netConnect(options)) },
      reached: heard,
    },
  }
  await leavesNothing(t, async () => {
    for (const [phase, { url, options, reached }] of Object.entries(phases)) {
      const controller = new AbortController()
      const clock = new VirtualClock()
      const reason = new Error('changed my mind')
      const dialing = failure(dialUrl(url, { ...options, clock, signal: controller.signal }))
      await reached
      await turn()
      t.equal(clock.pending, 1, `${phase} was reached`)
      controller.abort(reason)
      const error = await dialing
      t.ok(error instanceof AbortError)
      t.match(error, { name: 'AbortError', code: 'ABORT_ERR', cause: reason }, phase)
      t.equal(clock.pending, 0)
      t.same(getEventListeners(controller.signal, 'abort'), [], 'the signal keeps no listener')
    }
  })
  t.ok(factorySignal?.aborted)
  const stream = keep(new PassThrough())
  late?.(stream)
  await turn()
  t.equal(made.length, 4)
  t.ok(
    made.every(one => one.destroyed),
    'and a stream that comes late is destroyed',
  )
  for (const one of made) one.emit('error', new Error('late'))
})

t.test('does nothing at all when the signal was aborted before', async t => {
  const lookup: LookupFunction = () => t.fail('looked up')
  for (const url of ['ws://some.name/', REFUSED, 'wss://127.0.0.1:1/']) {
    const netConnectNever = (): Socket => {
      t.fail('connected')
      return deadSocket()
    }
    const error = await failure(
      dialUrl(url, { lookup, netConnect: netConnectNever, signal: AbortSignal.abort('why') }),
    )
    t.match(error, { name: 'AbortError', cause: 'why' })
  }
})

t.test('uses a connection of the caller', async t => {
  const port = await echo(t)
  const lookup: LookupFunction = () => t.fail('looked up')
  await leavesNothing(t, async () => {
    const connecting = await dialUrl('ws://some.name/', {
      lookup,
      createConnection: () => netConnect(port, '127.0.0.1'),
    })
    t.equal(await echoes(connecting.socket), 'hello', 'a socket that was connecting')
    t.equal(connecting.remotePort, port)
    connecting.socket.destroy()
    const stream = await dialUrl('ws://some.name/', {
      lookup,
      createConnection: async () => new PassThrough(),
    })
    t.equal(await echoes(stream.socket), 'hello', 'any stream, or a promise of it')
    t.equal(stream.remoteAddress, null)
  })
})

t.test('fails with WS_CONNECT_FAILED when the connection of the caller fails', async t => {
  const own = new Error('no tunnel')
  const typed = new ConnectionError('WS_TLS_FAILED', 'proxy:443')
  const dead = new PassThrough()
  dead.on('error', () => {}).destroy(own)
  const factories: Record<string, [NonNullable<DialOptions['createConnection']>, object]> = {
    throws: [
      () => {
        throw own
      },
      { code: 'WS_CONNECT_FAILED', cause: own, message: 'connect to some.name:80 failed: no tunnel' },
    ],
    rejects: [() => Promise.reject(own), { code: 'WS_CONNECT_FAILED', cause: own }],
    'knows better': [() => Promise.reject(typed), typed],
    'is destroyed': [() => dead, { code: 'WS_CONNECT_FAILED', cause: own }],
    'is refused': [
      () => netConnect(1, '127.0.0.1'),
      { code: 'WS_CONNECT_FAILED', cause: { code: 'ECONNREFUSED' } },
    ],
    'gives nothing': [() => undefined as unknown as Duplex, { code: 'WS_CONNECT_FAILED', cause: TypeError }],
  }
  for (const [name, [createConnection, expected]] of Object.entries(factories)) {
    t.match(await failure(dialUrl('ws://some.name/', { createConnection })), expected, name)
  }
  const clock = new VirtualClock()
  const dialing = failure(
    dialUrl('ws://some.name/', { clock, createConnection: () => new Promise(() => {}) }),
  )
  await turn()
  clock.advance(10_000)
  t.match(await dialing, { code: 'WS_CONNECT_TIMEOUT' })
})

t.test('refuses options that make no sense, before anything is done', async t => {
  const lookup: LookupFunction = () => t.fail('looked up')
  const bad: readonly DialOptions[] = [
    { connectTimeoutMs: 0 },
    { connectTimeoutMs: -1 },
    { domainLookupTimeoutMs: Number.NaN },
    { tlsHandshakeTimeoutMs: '5' as unknown as number },
    { attemptDelayMs: 9 },
    { tcp: { family: 5 as 4 } },
    { tcp: { localAddress: 'localhost' } },
    { tcp: { keepAlive: -1 } },
    { tls: { rejectUnauthorized: false } },
  ]
  for (const options of bad) {
    t.match(await failure(dialUrl('wss://some.name/', { lookup, ...options })), {
      name: 'UsageError',
      code: 'WS_BAD_OPTION',
    })
  }
})

t.test('Infinity is no limit, and the system clock never fires early for a long one', async t => {
  const clock = new VirtualClock()
  const controller = new AbortController()
  const options = { clock, lookup: neverAnswers, domainLookupTimeoutMs: Infinity, signal: controller.signal }
  const dialing = failure(dialUrl('ws://slow.name/', options))
  t.equal(clock.pending, 0)
  controller.abort()
  await dialing
  const timer = systemClock.setTimeout(() => t.fail('fired'), 2 ** 40)
  await turn()
  systemClock.clearTimeout(timer)
})

t.test('a NotConnectedError tells the state', t => {
  t.match(new NotConnectedError('closing'), {
    name: 'NotConnectedError',
    code: 'WS_NOT_CONNECTED',
    state: 'closing',
  })
  t.end()
})

t.test('functions of the user are not called before dial() and connect() have returned', async t => {
  const { server } = silentServer()
  const port = await serve(t, server)
  const order: string[] = []
  const url = `ws://127.0.0.1:${port}/`
  const made = (): Socket => {
    order.push('called')
    return netConnect(port, '127.0.0.1')
  }
  for (const options of [{ createConnection: made }, { netConnect: made }]) {
    const dialing = dialUrl(url, options)
    order.push('returned')
    const { socket } = await dialing
    socket.destroy()
  }
  t.same(order, ['returned', 'called', 'returned', 'called'])
})
