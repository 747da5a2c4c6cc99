import { test } from 'tap'
import { Connection } from '../../src/protocol/connection.js'
import { type Limits, resolveLimits } from '../../src/protocol/limits.js'
import {
  BINARY,
  bytesOf,
  CLOSE,
  closePayload,
  concat,
  CONTINUATION,
  fromPeer,
  PING,
  PONG,
  ROLES,
  show,
  TEXT,
} from '../support/frames.js'
import { deliver, events, open, pair, written } from '../support/pair.js'

void test('a pair exchanges texts and bytes in both directions', t => {
  const both = pair()
  both.client.sendText('to the server')
  both.client.sendBinary(Uint8Array.from([1, 2, 3]))
  both.server.sendText('to the client ✓')
  both.server.sendBinary(Uint8Array.from([4, 5]))
  both.exchange()
  t.same(both.serverEvents, [
    { type: 'text', data: 'to the server' },
    { type: 'binary', data: Uint8Array.from([1, 2, 3]) },
  ])
  t.same(both.clientEvents, [
    { type: 'text', data: 'to the client ✓' },
    { type: 'binary', data: Uint8Array.from([4, 5]) },
  ])
  t.end()
})

void test('begins open, owing the transport nothing', t => {
  for (const role of ROLES) {
    const connection = open(role)
    t.equal(connection.role, role)
    t.equal(connection.state, 'open')
    t.equal(connection.shutdown, 'none')
    t.same(connection.outcome, { sent: null, received: null, initiator: null })
    t.same(connection.takeOutput(), [])
    t.equal(connection.nextEvent(), null)
  }
  t.end()
})

void test('closes by the handshake, whoever begins, and keeps both codes', t => {
  for (const role of ROLES) {
    const peer = role === 'client' ? 'server' : 'client'
    const both = pair()
    both[role].close(4001, 'done')
    t.equal(both[role].state, 'closing')
    t.equal(both[role].shutdown, 'await-peer')
    both.exchange()
    const frame = { code: 4001, reason: 'done' }
    t.same(both[role].outcome, { sent: frame, received: frame, initiator: 'local' })
    t.same(both[peer].outcome, { sent: frame, received: frame, initiator: 'remote' })
    t.same([both.clientEvents, both.serverEvents], [[{ type: 'close', frame }], [{ type: 'close', frame }]])
    // 7.1.1: the server closes the TCP connection first.
    t.equal(both.server.shutdown, 'end')
    t.equal(both.client.shutdown, 'await-peer')
    both.client.receiveEnd()
    t.equal(both.client.shutdown, 'end')
    t.equal(both.client.state, 'closed')
  }
  t.end()
})

void test('keeps both codes when the Close frames cross and differ', t => {
  const both = pair()
  both.client.close(4001, 'from the client')
  both.server.close(4002, 'from the server')
  both.exchange()
  const [client, server] = [
    { code: 4001, reason: 'from the client' },
    { code: 4002, reason: 'from the server' },
  ]
  t.same(both.client.outcome, { sent: client, received: server, initiator: 'local' })
  t.same(both.server.outcome, { sent: server, received: client, initiator: 'local' })
  t.same(both.clientEvents, [{ type: 'close', frame: server }])
  t.same(both.serverEvents, [{ type: 'close', frame: client }])
  t.equal(both.server.shutdown, 'end')
  t.end()
})

void test('answers a Close frame when it is pulled: the answer is queued before the event is seen', t => {
  for (const role of ROLES) {
    const connection = open(role)
    connection.receive(fromPeer(role, { opcode: CLOSE, payload: closePayload(1001, 'away') }))
    t.equal(connection.state, 'open', 'not yet pulled')
    t.same(connection.nextEvent(), { type: 'close', frame: { code: 1001, reason: 'away' } })
    t.same(show(written(connection)), ['close 1001 "away"'])
    t.equal(connection.nextEvent(), null)
    t.equal(connection.state, 'closing')
    t.equal(connection.shutdown, role === 'server' ? 'end' : 'await-peer')
  }
  t.end()
})

void test('answers an empty Close frame with an empty one and reports 1005', t => {
  for (const role of ROLES) {
    const connection = open(role)
    const frame = { code: 1005, reason: '' }
    t.same(deliver(connection, fromPeer(role, { opcode: CLOSE })), [{ type: 'close', frame }])
    t.same(show(written(connection)), ['close ""'])
    t.same(connection.outcome, { sent: frame, received: frame, initiator: 'remote' })
  }
  t.end()
})

void test('close() sends 1000 without a reason, close(1005) an empty frame', t => {
  for (const role of ROLES) {
    const normal = open(role)
    normal.close()
    t.same(written(normal)[0].payload, closePayload(1000))
    const empty = open(role)
    empty.close(1005)
    t.same(written(empty)[0].payload, new Uint8Array(0))
    t.same(empty.outcome.sent, { code: 1005, reason: '' })
    t.throws(() => open(role).close(1005, 'reason'), { code: 'WS_BAD_CLOSE' })
  }
  t.end()
})

void test('a reason takes 123 bytes of UTF-8 and not one more', t => {
  for (const role of ROLES) {
    for (const reason of ['a'.repeat(123), '€'.repeat(41)]) {
      const connection = open(role)
      connection.close(1000, reason)
      t.same(written(connection)[0].payload, closePayload(1000, reason))
      const refused = { name: 'UsageError', code: 'WS_BAD_CLOSE' }
      t.throws(() => open(role).close(1000, `${reason}a`), refused)
      const echo = open(role)
      t.equal(
        deliver(echo, fromPeer(role, { opcode: CLOSE, payload: closePayload(1000, reason) }))[0].type,
        'close',
      )
      t.same(written(echo)[0].payload, closePayload(1000, reason))
    }
  }
  t.end()
})

void test('sends one Close frame, however often close() is called', t => {
  for (const role of ROLES) {
    const connection = open(role)
    connection.close(1000, 'first')
    connection.close(1001, 'second')
    t.same(show(written(connection)), ['close 1000 "first"'])
    t.same(connection.outcome.sent, { code: 1000, reason: 'first' })
    deliver(connection, fromPeer(role, { opcode: CLOSE, payload: closePayload(1000) }))
    connection.close(1001)
    t.same(connection.takeOutput(), [])
    t.throws(() => connection.close(999), { code: 'WS_BAD_CLOSE' }, 'a wrong code is wrong at any time')
  }
  t.end()
})

void test('sends no message and no ping after its Close frame', t => {
  for (const role of ROLES) {
    const connection = open(role)
    connection.sendText('before')
    connection.close()
    const refused = { name: 'UsageError', code: 'WS_NOT_OPEN' }
    t.throws(() => connection.sendText('after'), refused)
    t.throws(() => connection.sendBinary(bytesOf('after')), refused)
    t.throws(() => connection.sendFragment('text', 'after', true), refused)
    t.throws(() => connection.sendPing(), refused)
    t.throws(() => connection.sendPong(), refused)
    t.same(show(written(connection)), ['text "before"', 'close 1000 ""'])
  }
  t.end()
})

void test('sends nothing after it answered a Close frame', t => {
  for (const role of ROLES) {
    const connection = open(role)
    deliver(connection, fromPeer(role, { opcode: CLOSE, payload: closePayload(1000) }))
    t.throws(() => connection.sendText('after'), { code: 'WS_NOT_OPEN' })
    t.throws(() => connection.sendPong(), { code: 'WS_NOT_OPEN' })
    t.same(show(written(connection)), ['close 1000 ""'])
  }
  t.end()
})

void test('may close inside a fragmented message', t => {
  for (const role of ROLES) {
    const both = pair()
    both[role].sendFragment('text', 'begun', false)
    both[role].close(1001)
    both.exchange()
    const seen = role === 'client' ? both.serverEvents : both.clientEvents
    t.same(
      seen.map(event => event.type),
      ['close'],
    )
  }
  t.end()
})

void test('ignores what comes after the Close frame of the peer', t => {
  for (const role of ROLES) {
    const connection = open(role)
    const after = [
      fromPeer(role, { opcode: TEXT, payload: 'late' }),
      fromPeer(role, { opcode: PING, payload: 'late' }),
      fromPeer(role, { opcode: 0x3, rsv: 7 }),
      fromPeer(role, { opcode: CLOSE, payload: closePayload(4000) }),
    ]
    const close = fromPeer(role, { opcode: CLOSE, payload: closePayload(1000) })
    connection.receive(concat([close, ...after]))
    for (const chunk of after) connection.receive(chunk)
    t.same(events(connection), [{ type: 'close', frame: { code: 1000, reason: '' } }])
    t.same(deliver(connection, ...after), [])
    t.same(show(written(connection)), ['close 1000 ""'])
    t.equal(connection.outcome.received?.code, 1000)
  }
  t.end()
})

void test('still delivers messages between its own Close frame and that of the peer', t => {
  for (const role of ROLES) {
    const connection = open(role)
    connection.close()
    const found = deliver(
      connection,
      fromPeer(role, { opcode: TEXT, payload: 'on its way' }),
      fromPeer(role, { opcode: BINARY, payload: 'this too' }),
      fromPeer(role, { opcode: CLOSE, payload: closePayload(1000) }),
    )
    t.same(
      found.map(event => event.type),
      ['text', 'binary', 'close'],
    )
  }
  t.end()
})

void test('answers a ping with a pong that has the same payload', t => {
  for (const role of ROLES) {
    for (const length of [0, 1, 64, 65, 124, 125]) {
      const connection = open(role)
      const payload = 'p'.repeat(length)
      t.same(deliver(connection, fromPeer(role, { opcode: PING, payload })), [
        { type: 'ping', data: bytesOf(payload) },
      ])
      t.same(show(written(connection)), [`pong "${payload}"`])
    }
  }
  t.end()
})

void test('answers a ping after its own Close frame, and none after that of the peer', t => {
  for (const role of ROLES) {
    const connection = open(role)
    connection.close()
    deliver(connection, fromPeer(role, { opcode: PING, payload: 'still there?' }))
    t.same(show(written(connection)), ['close 1000 ""', 'pong "still there?"'])
    deliver(connection, fromPeer(role, { opcode: CLOSE, payload: closePayload(1000) }))
    deliver(connection, fromPeer(role, { opcode: PING, payload: 'and now?' }))
    t.same(connection.takeOutput(), [])
  }
  t.end()
})

void test('answers pings before it answers the Close frame behind them', t => {
  for (const role of ROLES) {
    const connection = open(role, { limits: { maxPendingPongs: 1 } })
    const bytes = ['a', 'b', 'c'].map(payload => fromPeer(role, { opcode: PING, payload }))
    deliver(connection, concat([...bytes, fromPeer(role, { opcode: CLOSE, payload: closePayload(1000) })]))
    const wire = show(written(connection))
    t.equal(wire.at(-1), 'close 1000 ""', 'the Close frame is the last')
    t.ok(wire.includes('pong "c"'))
  }
  t.end()
})

void test('leaves pings to the user when autoPong is off', t => {
  for (const role of ROLES) {
    const connection = open(role, { autoPong: false })
    t.same(deliver(connection, fromPeer(role, { opcode: PING, payload: 'p' })), [
      { type: 'ping', data: bytesOf('p') },
    ])
    t.same(connection.takeOutput(), [])
    connection.sendPong(bytesOf('p'))
    t.same(show(written(connection)), ['pong "p"'])
  }
  t.end()
})

void test('accepts a pong that nobody asked for and sends one', t => {
  for (const role of ROLES) {
    const connection = open(role)
    t.same(deliver(connection, fromPeer(role, { opcode: PONG, payload: 'hello' })), [
      { type: 'pong', data: bytesOf('hello') },
    ])
    t.same(connection.takeOutput(), [], 'and does not answer it')
    connection.sendPong(bytesOf('beat'))
    t.same(show(written(connection)), ['pong "beat"'])
  }
  t.end()
})

void test('keeps a bounded number of pongs waiting, the newest among them', t => {
  for (const role of ROLES) {
    for (const max of [0, 1, 2, 32]) {
      const connection = open(role, { limits: { maxPendingPongs: max } })
      for (let round = 0; round < 3; round++) {
        // A thousand pings, and the transport takes nothing meanwhile.
        for (let i = 0; i < 1000; i++) deliver(connection, fromPeer(role, { opcode: PING, payload: `${i}` }))
        const wire = show(written(connection))
        t.equal(wire.at(-1), 'pong "999"', 'the newest is answered')
        t.ok(wire.length <= max + 1, `at most ${max} and the newest`)
        t.same(
          wire.slice(0, -1),
          Array.from({ length: wire.length - 1 }, (_, i) => `pong "${i}"`),
        )
        t.same(connection.takeOutput(), [])
      }
    }
  }
  t.end()
})

void test('counts the pong that waits behind the others among the bytes to be written', t => {
  for (const role of ROLES) {
    const connection = open(role, { limits: { maxPendingPongs: 1 } })
    for (let i = 0; i < 5; i++) deliver(connection, fromPeer(role, { opcode: PING, payload: `ping ${i}` }))
    const { pendingBytes } = connection
    t.equal(pendingBytes, concat(connection.takeOutput()).length)
  }
  t.end()
})

void test('answers each of ten pings by default', t => {
  // Autobahn 2.10.
  for (const role of ROLES) {
    const connection = open(role)
    deliver(
      connection,
      concat(Array.from({ length: 10 }, (_, i) => fromPeer(role, { opcode: PING, payload: `${i}` }))),
    )
    t.same(
      show(written(connection)),
      Array.from({ length: 10 }, (_, i) => `pong "${i}"`),
    )
  }
  t.end()
})

void test('a control frame takes 125 bytes and not one more', t => {
  for (const role of ROLES) {
    const connection = open(role)
    connection.sendPing(new Uint8Array(125))
    connection.sendPong(new Uint8Array(125))
    t.same(
      written(connection).map(frame => [frame.opcode, frame.payload.length]),
      [
        [PING, 125],
        [PONG, 125],
      ],
    )
    const refused = { name: 'UsageError', code: 'WS_CONTROL_PAYLOAD' }
    t.throws(() => connection.sendPing(new Uint8Array(126)), refused)
    t.throws(() => connection.sendPong(new Uint8Array(126)), refused)
    t.same(connection.takeOutput(), [])
  }
  t.end()
})

void test('what came before the end of the transport can still be pulled and is answered', t => {
  for (const role of ROLES) {
    const connection = open(role)
    connection.receive(fromPeer(role, { opcode: TEXT, payload: 'first' }))
    connection.receive(fromPeer(role, { opcode: CLOSE, payload: closePayload(1000) }))
    connection.receiveEnd()
    t.equal(connection.state, 'closed')
    t.same(events(connection), [
      { type: 'text', data: 'first' },
      { type: 'close', frame: { code: 1000, reason: '' } },
    ])
    t.same(show(written(connection)), ['close 1000 ""'], 'half-closed: the peer can still read')
    t.equal(connection.shutdown, 'end')
  }
  t.end()
})

void test('an end without a Close frame leaves the outcome empty', t => {
  for (const role of ROLES) {
    const connection = open(role)
    deliver(connection, fromPeer(role, { opcode: TEXT, payload: 'begun', fin: false }))
    connection.receiveEnd()
    connection.receiveEnd()
    t.equal(connection.state, 'closed')
    t.equal(connection.shutdown, 'end')
    t.equal(connection.nextEvent(), null)
    t.same(connection.outcome, { sent: null, received: null, initiator: null })
    t.throws(() => connection.sendText('too late'), { code: 'WS_NOT_OPEN' })
    connection.close()
    t.same(connection.takeOutput(), [], 'close() has nobody to tell')
    const refused = { name: 'UsageError', code: 'WS_AFTER_END' }
    t.throws(() => connection.receive(Uint8Array.from([0x81])), refused)
  }
  t.end()
})

void test('an end while the peer owes its Close frame keeps what was sent', t => {
  for (const role of ROLES) {
    const connection = open(role)
    connection.close(1001, 'away')
    connection.receiveEnd()
    t.same(connection.outcome, { sent: { code: 1001, reason: 'away' }, received: null, initiator: 'local' })
    t.equal(connection.shutdown, 'end')
  }
  t.end()
})

void test('not pulling is backpressure: chunks wait, in order', t => {
  for (const role of ROLES) {
    const connection = open(role)
    for (let i = 0; i < 1000; i++) {
      const frame = fromPeer(role, { opcode: TEXT, payload: `${i}` })
      connection.receive(frame.subarray(0, 1))
      connection.receive(frame.subarray(1))
      if (i % 3 === 0) t.same(connection.nextEvent(), { type: 'text', data: `${i / 3}` })
    }
    t.same(
      events(connection).map(event => event.type === 'text' && event.data),
      Array.from({ length: 666 }, (_, i) => `${i + 334}`),
    )
  }
  t.end()
})

void test('may send and close between any two events', t => {
  for (const role of ROLES) {
    const connection = open(role)
    connection.receive(
      concat([
        fromPeer(role, { opcode: TEXT, payload: 'one', fin: false }),
        fromPeer(role, { opcode: PING, payload: 'p' }),
        fromPeer(role, { opcode: CONTINUATION, payload: ' two' }),
        fromPeer(role, { opcode: TEXT, payload: 'three' }),
      ]),
    )
    t.equal(connection.nextEvent()?.type, 'ping')
    connection.sendText('answer')
    t.same(connection.nextEvent(), { type: 'text', data: 'one two' })
    connection.close(3000)
    t.same(connection.nextEvent(), { type: 'text', data: 'three' })
    t.same(show(written(connection)), ['pong "p"', 'text "answer"', 'close 3000 ""'])
  }
  t.end()
})

void test('limits are whole numbers or Infinity, by their right names', t => {
  const refused = { name: 'UsageError', code: 'WS_BAD_OPTION' }
  for (const key of ['maxMessageBytes', 'maxFragments', 'maxPendingPongs'] as const) {
    for (const value of [NaN, -1, 1.5, -Infinity, '5', null, undefined, true, 5n]) {
      const limits = { [key]: value } as unknown as Partial<Limits>
      t.throws(() => resolveLimits(limits), refused, `${key}: ${String(value)}`)
      for (const role of ROLES) t.throws(() => open(role, { limits }), refused)
    }
    for (const value of [1, 2 ** 40, Infinity]) t.equal(resolveLimits({ [key]: value })[key], value)
  }
  t.equal(resolveLimits({ maxMessageBytes: 0 }).maxMessageBytes, 0)
  t.equal(resolveLimits({ maxPendingPongs: 0 }).maxPendingPongs, 0)
  t.throws(() => resolveLimits({ maxFragments: 0 }), refused, 'every message has a fragment')
  for (const unknown of ['maxMessageSize', 'toString', 'maxmessagebytes']) {
    t.throws(() => resolveLimits({ [unknown]: 5 }), refused, unknown)
  }
  t.end()
})

void test('every limit is on by default', t => {
  t.same(resolveLimits(), { maxMessageBytes: 67_108_864, maxFragments: 131_072, maxPendingPongs: 32 })
  t.same(resolveLimits({ maxFragments: Infinity }), {
    maxMessageBytes: 67_108_864,
    maxFragments: Infinity,
    maxPendingPongs: 32,
  })
  t.end()
})

void test('a client cannot be made without a source of masking keys', t => {
  const refused = { name: 'UsageError', code: 'WS_BAD_OPTION' }
  const Untyped = Connection as unknown as new (role: string, options?: object) => Connection
  t.throws(() => new Untyped('client'), refused)
  t.throws(() => new Untyped('client', {}), refused)
  t.throws(() => new Untyped('client', { maskKey: undefined }), refused)
  t.throws(() => new Untyped('client', { maskKey: 5 }), refused)
  t.end()
})
