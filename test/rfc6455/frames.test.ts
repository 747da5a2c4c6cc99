// What docs/rfc6455.md needs proved about frames and no other test says.
import { test } from 'tap'
import type { Connection } from '../../src/protocol/connection.js'
import { Opcode } from '../../src/protocol/opcode.js'
import {
  bytesOf,
  CLOSE,
  closePayload,
  concat,
  CONTINUATION,
  fromPeer,
  PING,
  ROLES,
  TEXT,
} from '../support/frames.js'
import { deliver, open, written } from '../support/pair.js'

/** Everything that makes a connection send a frame. */
const SENDERS: readonly (readonly [what: string, send: (connection: Connection) => void])[] = [
  ['a text', connection => connection.sendText('text')],
  ['a long text', connection => connection.sendText('long '.repeat(20_000))],
  ['bytes', connection => connection.sendBinary(bytesOf('bytes'))],
  ['many bytes', connection => connection.sendBinary(new Uint8Array(100_000))],
  [
    'fragments',
    connection => {
      connection.sendFragment('text', 'a', false)
      connection.sendFragment('continuation', 'b', false)
      connection.sendPing(bytesOf('between'))
      connection.sendFragment('continuation', '', true)
    },
  ],
  ['a ping', connection => connection.sendPing(new Uint8Array(125))],
  ['a pong', connection => connection.sendPong()],
  [
    'the answer to a ping',
    connection => void deliver(connection, fromPeer(connection.role, { opcode: PING })),
  ],
  ['a Close frame', connection => connection.close(4000, 'reason')],
  ['an empty Close frame', connection => connection.close(1005)],
  [
    'the answer to a Close frame',
    connection =>
      void deliver(
        connection,
        fromPeer(connection.role, { opcode: CLOSE, payload: closePayload(1000, 'reason') }),
      ),
  ],
  ['a failure', connection => void deliver(connection, fromPeer(connection.role, { opcode: 0x3 }))],
]

void test('every frame sent has clear reserved bits, and FIN when it is a control frame', t => {
  for (const role of ROLES) {
    for (const [what, send] of SENDERS) {
      const connection = open(role)
      send(connection)
      const frames = written(connection)
      t.ok(frames.length > 0, `${what} as ${role}`)
      for (const { rsv, opcode, fin, payload } of frames) {
        t.equal(rsv, 0, `${what} as ${role}`)
        if (opcode >= CLOSE) t.ok(fin && payload.length <= 125, `${what} as ${role}`)
      }
    }
  }
  t.end()
})

void test('a client masks every frame it sends, control frames included, and a server none', t => {
  const seen = new Set<number>()
  for (const role of ROLES) {
    for (const [what, send] of SENDERS) {
      const connection = open(role)
      send(connection)
      for (const { mask, opcode } of written(connection)) {
        t.equal(mask !== null, role === 'client', `${what} as ${role}`)
        seen.add(opcode)
      }
    }
  }
  t.same(
    [...seen].toSorted((a, b) => a - b),
    Object.values(Opcode).toSorted((a, b) => a - b),
  )
  t.end()
})

void test('a message sent whole is one frame with FIN and the opcode of its type', t => {
  for (const role of ROLES) {
    for (const length of [0, 1, 125, 126, 65_536, 1_000_000]) {
      const connection = open(role)
      connection.sendText('a'.repeat(length))
      connection.sendBinary(new Uint8Array(length))
      t.same(
        written(connection).map(({ fin, opcode, payload }) => [fin, opcode, payload.length]),
        [
          [true, Opcode.Text, length],
          [true, Opcode.Binary, length],
        ],
        `${length} bytes as ${role}`,
      )
    }
  }
  t.end()
})

void test('a failure processes nothing more of the peer, its Close frame neither', t => {
  for (const role of ROLES) {
    const connection = open(role)
    const close = fromPeer(role, { opcode: CLOSE, payload: closePayload(4000, 'mine') })
    const behind = concat([fromPeer(role, { opcode: PING }), fromPeer(role, { opcode: TEXT }), close])
    // In the same chunk, and in one of its own.
    const found = deliver(connection, concat([fromPeer(role, { opcode: CONTINUATION }), behind]), behind)
    t.same(
      found.map(({ type }) => type),
      ['fail'],
    )
    t.match(connection.outcome, { sent: { code: 1002 }, received: null, initiator: 'local' })
    t.same(
      written(connection).map(({ opcode }) => opcode),
      [CLOSE],
      'nothing but the Close frame of the failure is sent',
    )
    t.equal(connection.shutdown, 'end')
  }
  t.end()
})
