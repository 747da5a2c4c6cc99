// Clients that attack a server before they are let in, while an honest one goes on.
import { type Test, test } from 'tap'
import { connect as tlsConnect } from 'node:tls'
import { connect } from '../../src/index.js'
import { VirtualClock } from '../../src/testing/index.js'
import { type Attack, ECHO, MIB, turns, underAttack } from '../support/attack.js'
import { authority, certificates } from '../support/certificates.js'
import { buildFrame, bytesOf, PEER_MASK, TEXT } from '../support/frames.js'
import { type RawPeer, until, upgradeRequest } from '../support/raw-peer.js'
import { failure } from '../support/servers.js'
import { watchWarnings } from '../support/warnings.js'

const HEAD = upgradeRequest()

const more = (count: number): string[] => Array.from({ length: count }, (_, i) => `X-${i}: y`)

/** The status of the answer to a request. */
async function statusOf(attack: Attack, request: string): Promise<number> {
  const peer = await attack.peer()
  peer.write(request)
  const status = Number((await peer.head()).split(' ')[1])
  if (status !== 101) await peer.ended
  peer.stream.destroy()
  return status
}

const many = <T>(count: number, make: () => Promise<T>): Promise<T[]> =>
  Promise.all(Array.from({ length: count }, make))

void test('slow-loris: heads that come byte by byte have their time in all, and so many slots', async t => {
  const clock = new VirtualClock()
  const options = { clock, handshakeTimeoutMs: 1000, maxHandshakesPerAddress: 50 }
  await underAttack(t, { behaviour: ECHO, options }, async ({ server, peer, bounded, goesOn }) => {
    const slow = await many(50, peer)
    await until(() => server.handshakes === 50, 'fifty')
    // Each byte comes in time, all of them do not.
    for (let at = 0; at < 99; at++) {
      for (const one of slow) one.write(HEAD[at])
      clock.advance(10)
      await goesOn(1)
    }
    t.equal(server.handshakes, 50)
    const more = await many(20, peer)
    await Promise.all(more.map(one => one.ended))
    t.match(await failure(connect(server.url)), { code: /^WS_/ })
    t.equal(server.handshakes, 50)
    bounded(4 * MIB)
    clock.advance(10)
    await Promise.all(slow.map(one => one.ended))
    await until(() => server.handshakes === 0, 'room')
    const late = await connect(server.url)
    t.equal((await late.close()).wasClean, true)
  })
})

void test('heads that are too large are refused by their status, before they are whole', async t => {
  await underAttack(t, { behaviour: ECHO }, async attack => {
    t.equal(await statusOf(attack, upgradeRequest(more(2000))), 431, '2,000 headers')
    t.equal(await statusOf(attack, upgradeRequest(more(129))), 431, 'one more than there may be')
    t.equal(await statusOf(attack, upgradeRequest(more(100))), 101, 'as many as browsers and proxies send')
    t.equal(
      await statusOf(attack, `GET / HTTP/1.1\r\nX: ${'x'.repeat(20_000)}`),
      431,
      'one that does not end',
    )
    t.equal(await statusOf(attack, `GET /${'x'.repeat(20_000)}`), 414, 'a line that does not end')
    t.equal(await statusOf(attack, upgradeRequest([`Cookie: ${'c'.repeat(17_000)}`])), 431)
    for (const one of await many(100, attack.peer)) one.write(`GET / HTTP/1.1\r\nX: ${'x'.repeat(16_000)}`)
    await until(() => attack.server.handshakes === 100, 'a hundred nearly full heads')
    await attack.goesOn()
    attack.bounded(8 * MIB)
  })
})

void test('a flood of connections that say nothing fills the slots, and is cut off in time', async t => {
  const clock = new VirtualClock()
  const options = { clock, maxHandshakes: 40, maxHandshakesPerAddress: 1000, handshakeTimeoutMs: 1000 }
  await underAttack(t, { behaviour: ECHO, options }, async ({ server, peer, bounded, goesOn }) => {
    const flood = await many(200, peer)
    await until(() => flood.filter(({ over }) => over).length === 160, 'the others to be cut off')
    t.equal(server.handshakes, 40)
    await goesOn()
    bounded(4 * MIB)
    clock.advance(1000)
    await Promise.all(flood.map(one => one.ended))
    await until(() => server.handshakes === 0, 'room')
  })
})

const TLS = { tls: { key: certificates.valid.key, cert: certificates.valid.cert } }
// A record that announces a ClientHello of 508 bytes, and its first four.
const HELLO = Uint8Array.from([0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc])

void test('TLS handshakes that do not end count as handshakes, and have their time', async t => {
  const clock = new VirtualClock()
  const options = { ...TLS, clock, maxHandshakesPerAddress: 10, handshakeTimeoutMs: 1000 }
  await underAttack(
    t,
    { behaviour: ECHO, options, client: { tls: { ca: authority.cert } } },
    async attack => {
      const { server, peer, bounded, goesOn } = attack
      const slow = await many(10, peer)
      for (const one of slow.slice(0, 5)) one.write(HELLO)
      await until(() => server.handshakes === 10, 'ten of them')
      const more = await many(20, peer)
      await Promise.all(more.map(one => one.ended))
      t.match(await failure(connect(server.url, { tls: { ca: authority.cert } })), { code: /^WS_/ })
      t.equal(server.handshakes, 10)
      await goesOn()
      bounded(8 * MIB)
      // Two are gone, one speaks no TLS at all. Of one that has only closed its half nothing is seen until its time is over.
      slow[0].reset()
      slow[5].reset()
      slow[6].stream.destroy()
      slow[7].write(HEAD)
      await until(() => server.handshakes === 7, 'three slots to be free')
      slow[1].stream.end()
      clock.advance(999)
      t.equal(server.handshakes, 7)
      const late = await connect(server.url, { tls: { ca: authority.cert } })
      t.equal(server.handshakes, 7, 'its slot is free as soon as it is open')
      await late.close()
      clock.advance(1)
      await Promise.all(slow.map(one => one.ended))
      await until(() => server.handshakes === 0, 'room')
    },
  )
})

void test('a client that has finished TLS goes on with the same slot, and another time', async t => {
  const clock = new VirtualClock()
  const options = { ...TLS, clock, maxHandshakesPerAddress: 1, handshakeTimeoutMs: 1000 }
  await underAttack(
    t,
    { behaviour: ECHO, options, client: { tls: { ca: authority.cert } } },
    async ({ server, peer }) => {
      const { stream: socket } = await peer()
      await until(() => server.handshakes === 1, 'one')
      clock.advance(999)
      socket.removeAllListeners('data')
      const stream = tlsConnect({ socket, host: '127.0.0.1', ca: authority.cert })
      stream.on('error', () => {}).resume()
      // Tickets come when the server is done too.
      await new Promise(resolve => stream.once('session', resolve))
      t.equal(server.handshakes, 1, 'still one')
      clock.advance(999)
      stream.write('GET / HTTP/1.1\r\n')
      await turns(20)
      t.equal(server.handshakes, 1)
      const ended = new Promise(resolve => stream.once('end', resolve))
      clock.advance(1)
      await ended
      await until(() => server.handshakes === 0, 'none')
    },
  )
})

/** How far a client gets before it goes. */
const PHASES: Readonly<Record<string, string | Uint8Array>> = {
  'saying nothing': '',
  'within its head': HEAD.slice(0, 30),
  'at the last byte of its head': HEAD.slice(0, -1),
  'behind its head': HEAD,
  'within a frame': Buffer.concat([bytesOf(HEAD), Uint8Array.of(0x81, 0x85, 1, 2)]),
  'within a message': Buffer.concat([
    bytesOf(HEAD),
    buildFrame({ opcode: TEXT, fin: false, payload: 'half', mask: PEER_MASK }),
  ]),
  'behind a message': Buffer.concat([
    bytesOf(HEAD),
    buildFrame({ opcode: TEXT, payload: 'whole', mask: PEER_MASK }),
  ]),
  'behind nonsense': 'nonsense\r\n\r\n',
  'in handleUpgrade': upgradeRequest([], '/think'),
}

async function inEachPhase(t: Test, go: (peer: RawPeer) => void): Promise<void> {
  const behaviour = {
    ...ECHO,
    handleUpgrade: ({ path }: { path: string }) =>
      path === '/think' ? new Promise<undefined>(() => {}) : undefined,
  }
  await underAttack(t, { behaviour }, async ({ server, peer, bounded, goesOn }) => {
    for (const [phase, text] of Object.entries(PHASES)) {
      for (const wait of [0, 1, 10]) {
        const some = await many(5, peer)
        for (const one of some) if (text.length > 0) one.write(text)
        await turns(wait)
        for (const one of some) go(one)
        await Promise.all(some.map(one => one.ended))
        for (const one of some) one.stream.destroy()
        await until(() => server.handshakes === 0, `the slots of those that go ${phase}`)
        await until(() => server.processes.size === 1, `the processes of those that go ${phase}`)
        await goesOn(1)
      }
    }
    bounded()
  })
}

void test('clients that reset in each phase leave nothing', t => inEachPhase(t, peer => peer.reset()))

void test('clients that close their half in each phase are let go of, and leave nothing', t =>
  inEachPhase(t, peer => void peer.stream.end()))

void test('frames that come before the 101 wait, and only so many of them are read', async t => {
  let letIn: (() => void)[] = []
  const behaviour = {
    ...ECHO,
    handleUpgrade: ({ path }: { path: string }) =>
      path === '/think' ? new Promise<undefined>(resolve => letIn.push(() => resolve(undefined))) : undefined,
  }
  await underAttack(t, { behaviour }, async ({ server, peer, bounded, goesOn }) => {
    const text = 'x'.repeat(60_000)
    const frame = buildFrame({ opcode: TEXT, payload: text, mask: PEER_MASK })
    const eager = await many(5, peer)
    for (const one of eager) {
      one.write(upgradeRequest([], '/think'))
      for (let i = 0; i < 200; i++) one.write(frame)
    }
    await until(() => letIn.length === 5, 'handleUpgrade')
    await goesOn(100)
    t.equal(server.handshakes, 5)
    // What the peers here, in this program, still have to send is 200 times the same bytes.
    for (const { stream } of eager)
      t.ok(stream.writableLength > 5 * MIB, `${stream.writableLength} bytes are with the client`)
    bounded(8 * MIB)
    for (const go of letIn) go()
    letIn = []
    for (const one of eager) {
      t.match(await one.head(), /^HTTP\/1\.1 101 /)
      const frames = await one.frames(200)
      t.ok(frames.every(({ payload }) => payload.length === text.length))
    }
    await until(() => server.handshakes === 0, 'no handshake')
  })
})

void test('a handleUpgrade that never answers costs a slot for its time, and then says 500', async t => {
  const clock = new VirtualClock()
  const signals: AbortSignal[] = []
  const behaviour = {
    ...ECHO,
    handleUpgrade: ({ path, signal }: { path: string; signal: AbortSignal }) => {
      if (path !== '/think') return undefined
      signals.push(signal)
      return new Promise<undefined>(() => {})
    },
  }
  const options = { clock, handleUpgradeTimeoutMs: 3000, maxHandshakesPerAddress: 20 }
  await underAttack(t, { behaviour, options }, async ({ server, peer, bounded, goesOn }) => {
    const stuck = await many(20, peer)
    for (const one of stuck) one.write(upgradeRequest([], '/think'))
    await until(() => signals.length === 20, 'all questions')
    const more = await peer()
    await more.ended
    await goesOn()
    bounded(8 * MIB)
    clock.advance(3000)
    for (const one of stuck) {
      t.match(await one.head(), /^HTTP\/1\.1 500 /)
      await one.ended
      one.stream.destroy()
    }
    t.ok(signals.every(({ aborted }) => aborted))
    await until(() => server.handshakes === 0, 'room')
  })
})

void test('a refusal that is not read has its time too', async t => {
  const clock = new VirtualClock()
  const options = { clock, handshakeTimeoutMs: 1000 }
  await underAttack(t, { behaviour: ECHO, options }, async ({ server, peer }) => {
    const one = await peer()
    one.stream.pause()
    one.write('GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n')
    await turns(50)
    t.equal(server.handshakes, 1, 'its FIN does not come')
    clock.advance(1000)
    await until(() => server.handshakes === 0, 'it to be destroyed')
  })
})

void test('origins, paths, methods and versions that are not ours have their status', async t => {
  const warnings = watchWarnings(t)
  const seen: string[] = []
  const behaviour = {
    ...ECHO,
    handleUpgrade: ({ path }: { path: string }) => {
      seen.push(path)
    },
  }
  await underAttack(t, { behaviour }, async attack => {
    const host = `127.0.0.1:${attack.server.port}`
    const at = (target: string, more: readonly string[] = []): Promise<number> =>
      statusOf(attack, upgradeRequest(more, target))
    t.equal(await at('/', ['Origin: http://evil.test']), 403)
    t.equal(await at('/', ['Origin: null']), 403)
    t.equal(await at('/', ['Origin: http://']), 403)
    t.equal(await at('/', ['Origin: http://127.0.0.1', 'Origin: http://evil.test']), 400)
    seen.length = 0
    t.equal(await at('/%'), 404, 'what is no UTF-8')
    t.equal(await at('/%ff%fe'), 404)
    t.equal(await at('/%00'), 101, 'an encoded NUL is a character of a segment')
    t.equal(await at('//'), 101, 'two segments, both empty')
    t.equal(await at('//evil.test/x'), 101, 'is a path')
    t.equal(await at(`http://${host}/abs?x=1`), 101, 'RFC 9112, 3.2.2: the absolute form MUST be accepted')
    t.equal(await at('http://evil.test'), 101)
    t.equal(await at('/../../etc/passwd'), 101, 'nobody resolves dots')
    t.same(seen, ['/%00', '//', '//evil.test/x', '/abs', '/', '/../../etc/passwd'])
    t.equal(await at('*'), 400)
    t.equal(await at('no-slash'), 400)
    t.equal(await at('/a b'), 400)
    t.equal(await at('/\x00'), 400)
    const raw = (text: string): Promise<number> => statusOf(attack, text)
    t.equal(await raw(HEAD.replace('GET', 'POST')), 405)
    t.equal(await raw(HEAD.replace('HTTP/1.1', 'HTTP/1.0')), 400)
    t.equal(await raw(HEAD.replace('HTTP/1.1', 'HTTP/2.0')), 505)
    t.equal(await raw(HEAD.replace('Version: 13', 'Version: 8')), 426)
    t.equal(await raw(HEAD.replace('Host: 127.0.0.1\r\n', '')), 400)
    t.equal(await raw(upgradeRequest(['Host: other.test'])), 400)
    t.equal(await raw(upgradeRequest(['Content-Length: 5'])), 400)
    t.equal(await raw(upgradeRequest(['Transfer-Encoding: chunked'])), 400)
    t.equal(await raw(HEAD.replaceAll('\r\n', '\n')), 400, 'lines end in CRLF')
    attack.bounded()
  })
  t.same(warnings, [], 'none of it is worth a warning')
})
