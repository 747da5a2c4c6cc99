// Strategy: one table, a row for each way in which a peer can break RFC 6455 or a limit. Every row runs in each role it
// applies to, delivered whole, in halves and byte by byte, and `fails` says what failing means (7.1.7).
import { readFileSync } from 'node:fs'
import { test, type Test } from 'tap'
import type { Limits } from '../../src/protocol/limits.js'
import type { Role } from '../../src/protocol/opcode.js'
import { UsageError } from '../../src/protocol/usage-error.js'
import type { ProtocolViolation, ViolationCode } from '../../src/protocol/violation.js'
import {
  BINARY,
  bytesOf,
  buildFrame,
  CLOSE,
  closePayload,
  concat,
  CONTINUATION,
  type Frame,
  type FrameSpec,
  fromPeer,
  parseFrames,
  PEER_MASK,
  PING,
  PONG,
  ROLES,
  TEXT,
} from '../support/frames.js'
import { deliver, events, open, written } from '../support/pair.js'
import { cutAt, cutEvery } from '../support/split.js'

const tested = new Set<string>()

type Assert = Pick<Test, 'same'>

/** Delivers `bytes` in three ways; each time the connection must fail in the one right manner. */
function fails(
  t: Assert,
  role: Role,
  code: ViolationCode,
  closeCode: number,
  bytes: Uint8Array,
  limits: Partial<Limits> = {},
): void {
  tested.add(code)
  for (const chunks of [[bytes.slice()], cutAt(bytes, [bytes.length >> 1]), cutEvery(bytes, 1)]) {
    t.same(
      failure(role, chunks, limits),
      {
        codes: ['ProtocolViolation', code, closeCode],
        closeFrame: { code: closeCode, asTheViolationSays: true, masked: role === 'client' },
        afterwards: { events: [], output: [], state: 'closing', shutdown: 'end', sendText: 'WS_NOT_OPEN' },
        outcome: { sentCode: closeCode, received: null, initiator: 'local' },
      },
      `${code} as ${role}, ${chunks.length} chunks, ${Buffer.from(bytes.subarray(0, 40)).toString('hex')}`,
    )
  }
}

/** All there is to see of a failing connection. */
function failure(role: Role, chunks: readonly Uint8Array[], limits: Partial<Limits>): object {
  const connection = open(role, { limits })
  let violation: ProtocolViolation | null = null
  let close: Frame | undefined
  for (const chunk of chunks) {
    connection.receive(chunk)
    for (let event = connection.nextEvent(); event !== null; event = connection.nextEvent()) {
      if (violation !== null) return { eventAfterTheFailure: event }
      if (event.type !== 'fail') continue
      violation = event.violation
      // The Close frame is already there while the event is being looked at.
      close = written(connection).at(-1)
    }
  }
  if (violation === null || close?.opcode !== CLOSE) return { violation, close }
  connection.receive(fromPeer(role, { opcode: PING, payload: 'late' }))
  let refusal: unknown
  try {
    connection.sendText('late')
  } catch (error) {
    refusal = error instanceof UsageError ? error.code : error
  }
  const { sent, ...outcome } = connection.outcome
  return {
    codes: [violation.name, violation.code, violation.closeCode],
    closeFrame: {
      code: (close.payload[0] << 8) | close.payload[1],
      asTheViolationSays: Buffer.from(close.payload.subarray(2)).toString() === violation.message,
      masked: close.mask !== null,
    },
    afterwards: {
      events: events(connection),
      output: connection.takeOutput(),
      state: connection.state,
      shutdown: connection.shutdown,
      sendText: refusal,
    },
    outcome: { sentCode: sent?.code, ...outcome },
  }
}

/** One row of the table, in both roles; `spec` is one frame or several. */
function bothRoles(
  name: string,
  code: ViolationCode,
  closeCode: number,
  cases: readonly (FrameSpec | readonly FrameSpec[])[],
  limits: Partial<Limits> = {},
): void {
  void test(name, t => {
    for (const role of ROLES) {
      for (const specs of cases) {
        const list: readonly FrameSpec[] = 'opcode' in specs ? [specs] : specs
        fails(t, role, code, closeCode, concat(list.map(spec => fromPeer(role, spec))), limits)
      }
    }
    t.end()
  })
}

const FIRST_OF_TWO: FrameSpec = { opcode: TEXT, payload: 'a', fin: false }

bothRoles(
  'fails with 1002 when a reserved bit is set and no extension owns it',
  'WS_RESERVED_BITS',
  1002,
  [1, 2, 3, 4, 5, 6, 7].flatMap(rsv => [
    { opcode: TEXT, payload: 'a', rsv },
    { opcode: PING, rsv },
    { opcode: CLOSE, rsv },
    [FIRST_OF_TWO, { opcode: CONTINUATION, rsv }],
  ]),
)

bothRoles(
  'fails with 1002 when the opcode is reserved',
  'WS_UNKNOWN_OPCODE',
  1002,
  [0x3, 0x4, 0x5, 0x6, 0x7, 0xb, 0xc, 0xd, 0xe, 0xf].flatMap(opcode => [
    { opcode },
    { opcode, payload: 'a' },
    { opcode, fin: false },
  ]),
)

void test('a server fails with 1002 when a frame is not masked', t => {
  for (const opcode of [TEXT, BINARY, CLOSE, PING, PONG]) {
    for (const payload of ['', 'abc']) {
      fails(t, 'server', 'WS_MASK_EXPECTED', 1002, buildFrame({ opcode, payload }))
    }
  }
  fails(t, 'server', 'WS_MASK_EXPECTED', 1002, buildFrame({ opcode: BINARY, payload: 'a'.repeat(300) }))
  t.end()
})

void test('a client fails with 1002 when a frame is masked', t => {
  for (const opcode of [TEXT, BINARY, CLOSE, PING, PONG]) {
    for (const payload of ['', 'abc']) {
      fails(t, 'client', 'WS_MASK_FORBIDDEN', 1002, buildFrame({ opcode, payload, mask: PEER_MASK }))
    }
  }
  fails(t, 'client', 'WS_MASK_FORBIDDEN', 1002, buildFrame({ opcode: TEXT, mask: [0, 0, 0, 0] }))
  t.end()
})

bothRoles('fails with 1002 when a length is not minimally encoded', 'WS_LENGTH_NOT_MINIMAL', 1002, [
  { opcode: BINARY, lengthBytes: 2, declared: 0n },
  { opcode: BINARY, lengthBytes: 2, declared: 125n },
  { opcode: BINARY, lengthBytes: 8, declared: 0n },
  { opcode: BINARY, lengthBytes: 8, declared: 126n },
  { opcode: TEXT, lengthBytes: 8, declared: 65_535n },
])

bothRoles('fails with 1002 when the highest bit of a 64-bit length is set', 'WS_LENGTH_INVALID', 1002, [
  { opcode: BINARY, declared: 2n ** 63n },
  { opcode: TEXT, declared: 2n ** 64n - 1n },
  { opcode: BINARY, declared: 2n ** 63n + 5n, payload: 'abcde' },
])

bothRoles(
  'fails with 1002 when a control frame is longer than 125 bytes',
  'WS_CONTROL_TOO_LONG',
  1002,
  [CLOSE, PING, PONG].flatMap(opcode => [
    { opcode, payload: 'a'.repeat(126) },
    { opcode, payload: 'a'.repeat(70_000) },
    { opcode, payload: 'a', lengthBytes: 2 as const },
  ]),
)

bothRoles(
  'fails with 1002 when a control frame is fragmented',
  'WS_CONTROL_FRAGMENTED',
  1002,
  [CLOSE, PING, PONG].flatMap(opcode => [
    { opcode, fin: false },
    { opcode, fin: false, payload: 'abc' },
    [FIRST_OF_TWO, { opcode, fin: false }],
  ]),
)

bothRoles(
  'fails with 1002 when a continuation has no message to continue',
  'WS_CONTINUATION_UNEXPECTED',
  1002,
  [
    { opcode: CONTINUATION },
    { opcode: CONTINUATION, payload: 'abc', fin: false },
    [{ opcode: TEXT, payload: 'whole' }, { opcode: CONTINUATION }],
    [FIRST_OF_TWO, { opcode: CONTINUATION }, { opcode: CONTINUATION }],
    [{ opcode: PING }, { opcode: CONTINUATION }],
  ],
)

bothRoles(
  'fails with 1002 when a message begins inside another',
  'WS_CONTINUATION_EXPECTED',
  1002,
  [TEXT, BINARY].flatMap(opcode => [
    [FIRST_OF_TWO, { opcode }],
    [FIRST_OF_TWO, { opcode, payload: 'abc', fin: false }],
    [{ opcode: BINARY, fin: false }, { opcode: PING }, { opcode, payload: 'abc' }],
    [FIRST_OF_TWO, { opcode: CONTINUATION, fin: false }, { opcode }],
  ]),
)

bothRoles('fails with 1002 when a Close frame has one byte', 'WS_CLOSE_PAYLOAD', 1002, [
  { opcode: CLOSE, payload: Uint8Array.from([3]) },
  { opcode: CLOSE, payload: Uint8Array.from([0]) },
])

bothRoles('fails with 1007 when the reason of a Close frame is not UTF-8', 'WS_INVALID_UTF8', 1007, [
  { opcode: CLOSE, payload: closePayload(1000, Uint8Array.from([0xff])) },
  { opcode: CLOSE, payload: closePayload(1000, Uint8Array.from([0xc3])) },
  {
    opcode: CLOSE,
    payload: closePayload(1000, concat([bytesOf('reason'), Uint8Array.from([0xed, 0xa0, 0x80])])),
  },
  {
    opcode: CLOSE,
    payload: closePayload(1000, concat([bytesOf('a'.repeat(120)), Uint8Array.from([0xe2, 0x82])])),
  },
])

const BAD_TEXTS: readonly (readonly [what: string, bytes: readonly number[]])[] = [
  ['a lone continuation octet', [0x80]],
  ['an overlong slash', [0xc0, 0xaf]],
  ['an overlong NUL', [0xe0, 0x80, 0x80]],
  ['a surrogate', [0xed, 0xa0, 0x80]],
  ['a number over U+10FFFF', [0xf4, 0x90, 0x80, 0x80]],
  ['a five-octet form', [0xf8, 0x88, 0x80, 0x80, 0x80]],
  ['0xFE and 0xFF', [0xfe, 0xff]],
  ['a character cut short by another', [0xe2, 0x82, 0x41]],
  ['a text that ends inside a character', [0xce, 0xba, 0xe1, 0xbd]],
]

for (const [what, bad] of BAD_TEXTS) {
  const bytes = Uint8Array.from(bad)
  bothRoles(`fails with 1007 when a text holds ${what}`, 'WS_INVALID_UTF8', 1007, [
    { opcode: TEXT, payload: bytes },
    { opcode: TEXT, payload: concat([bytesOf('a short text '), bytes]) },
    {
      opcode: TEXT,
      payload: concat([bytesOf('a text of more bytes than go the short way '.repeat(4)), bytes]),
    },
    { opcode: TEXT, payload: concat([bytesOf('with a genuine \ufffd beside it, and more'), bytes]) },
    [
      { opcode: TEXT, payload: 'in the last fragment ', fin: false },
      { opcode: CONTINUATION, payload: bytes },
    ],
    [
      { opcode: TEXT, payload: concat([bytesOf('cut by the fragment '), bytes.subarray(0, 1)]), fin: false },
      { opcode: PING },
      { opcode: CONTINUATION, payload: concat([bytes.subarray(1)]) },
    ],
  ])
}

bothRoles(
  'fails with 1009 when one frame is longer than maxMessageBytes',
  'WS_MESSAGE_TOO_BIG',
  1009,
  [TEXT, BINARY].flatMap(opcode => [
    { opcode, payload: 'a'.repeat(1001) },
    { opcode, payload: 'a'.repeat(1001), fin: false },
    { opcode, declared: 1001n },
  ]),
  { maxMessageBytes: 1000 },
)

bothRoles(
  'fails with 1009 when all fragments together are longer than maxMessageBytes',
  'WS_MESSAGE_TOO_BIG',
  1009,
  [
    [
      { opcode: TEXT, payload: 'a'.repeat(1000), fin: false },
      { opcode: CONTINUATION, payload: 'b' },
    ],
    [
      { opcode: BINARY, payload: 'a'.repeat(600), fin: false },
      { opcode: PING, payload: 'not counted' },
      { opcode: CONTINUATION, payload: 'b'.repeat(400), fin: false },
      { opcode: CONTINUATION, declared: 1n },
    ],
  ],
  { maxMessageBytes: 1000 },
)

bothRoles(
  'fails with 1008 when a message has more fragments than maxFragments',
  'WS_TOO_MANY_FRAGMENTS',
  1008,
  [
    [
      { opcode: TEXT, payload: 'a', fin: false },
      { opcode: CONTINUATION, payload: 'b', fin: false },
      { opcode: CONTINUATION, fin: false },
      { opcode: CONTINUATION, payload: 'd' },
    ],
  ],
  { maxFragments: 3 },
)

// 7.4: codes by range. The tables below are the RFC's, written out.
const ON_THE_WIRE = [
  1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999,
]
const NEVER_ON_THE_WIRE = [0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 32_768, 65_535]

bothRoles(
  'fails with 1002 when a Close frame has a code that must not be on the wire',
  'WS_CLOSE_CODE',
  1002,
  NEVER_ON_THE_WIRE.flatMap(code => [
    { opcode: CLOSE, payload: closePayload(code) },
    { opcode: CLOSE, payload: closePayload(code, 'reason') },
  ]),
)

void test('accepts every Close code that may be on the wire, and echoes code and reason', t => {
  for (const role of ROLES) {
    for (const code of ON_THE_WIRE) {
      const connection = open(role)
      const bytes = fromPeer(role, { opcode: CLOSE, payload: closePayload(code, 'why ✓') })
      t.same(deliver(connection, bytes), [{ type: 'close', frame: { code, reason: 'why ✓' } }])
      const frames = written(connection)
      t.equal(frames.length, 1)
      t.same(frames[0].payload, closePayload(code, 'why ✓'))
    }
  }
  t.end()
})

void test('sends every Close code that may be on the wire and refuses all others', t => {
  for (const role of ROLES) {
    for (const code of ON_THE_WIRE) {
      const connection = open(role)
      connection.close(code, 'because')
      t.same(written(connection)[0].payload, closePayload(code, 'because'))
    }
    const connection = open(role)
    for (const code of [
      ...NEVER_ON_THE_WIRE.filter(bad => bad !== 1005),
      -1,
      1000.5,
      65_536 + 1000,
      NaN,
      Infinity,
    ]) {
      t.throws(() => connection.close(code), { name: 'UsageError', code: 'WS_BAD_CLOSE' }, `${code}`)
      t.throws(() => connection.close(code, 'reason'), { code: 'WS_BAD_CLOSE' })
    }
    t.equal(connection.state, 'open', 'a refused close changes nothing')
    t.same(connection.takeOutput(), [])
  }
  t.end()
})

void test('classes codes by their range, alike in both directions', t => {
  const wrong: string[] = []
  for (let code = 0; code <= 65_535; code += code < 5100 ? 1 : 97) {
    const valid =
      (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) || (code >= 3000 && code <= 4999)
    const receiver = open('client')
    receiver.receive(buildFrame({ opcode: CLOSE, payload: closePayload(code) }))
    if ((receiver.nextEvent()?.type === 'close') !== valid) wrong.push(`received ${code}`)
    const sender = open('server')
    try {
      sender.close(code)
      // 1005 asks for an empty Close frame.
      if (!valid && code !== 1005) wrong.push(`sent ${code}`)
    } catch {
      if (valid) wrong.push(`refused ${code}`)
    }
  }
  t.same(wrong, [])
  t.end()
})

void test('refuses an impossible length from its header alone, whatever the limit', t => {
  for (const role of ROLES) {
    for (const [length, unlimited] of [
      [2n ** 31n, null],
      [2n ** 32n - 1n, null],
      [2n ** 32n, null],
      // More than any memory can hold.
      [2n ** 53n, 1009],
      [2n ** 53n + 1n, 1009],
      [2n ** 63n - 1n, 1009],
      [2n ** 63n, 1002],
      [2n ** 64n - 1n, 1002],
    ] as const) {
      const header = fromPeer(role, { opcode: BINARY, declared: length })
      const [event] = deliver(open(role), header)
      t.equal(
        event.type === 'fail' && event.violation.closeCode,
        unlimited ?? 1009,
        `${length}, default limits`,
      )
      const found = deliver(open(role, { limits: { maxMessageBytes: Infinity } }), header)
      const code = found[0]?.type === 'fail' ? found[0].violation.closeCode : null
      t.equal(code, unlimited, `${length}, no limit`)
    }
  }
  t.end()
})

/** What each of these bytes leads to when it comes alone. */
function byteByByte(role: Role, bytes: readonly number[]): (string | null)[] {
  const connection = open(role)
  return bytes.map(byte => {
    const [event] = deliver(connection, Uint8Array.from([byte]))
    return event?.type === 'fail' ? event.violation.code : null
  })
}

void test('fails at the byte of a header that is wrong, without waiting for the rest of it', t => {
  for (const role of ROLES) {
    const masked = role === 'server' ? 0x80 : 0
    t.same(byteByByte(role, [0xc1]), ['WS_RESERVED_BITS'])
    t.same(byteByByte(role, [0x83]), ['WS_UNKNOWN_OPCODE'])
    t.same(byteByByte(role, [0x09]), ['WS_CONTROL_FRAGMENTED'])
    t.same(byteByByte(role, [0x89, masked | 126]), [null, 'WS_CONTROL_TOO_LONG'])
    const wrong = role === 'server' ? 'WS_MASK_EXPECTED' : 'WS_MASK_FORBIDDEN'
    t.same(byteByByte(role, [0x82, (masked ^ 0x80) | 126]), [null, wrong])
  }
  t.end()
})

void test('fails an unfinished text frame at its first octet that is not UTF-8', t => {
  // As Autobahn 6.4.1 to 6.4.4: κόσμε, then a number over U+10FFFF, then more that never has to be looked at.
  const good = bytesOf('κόσμε')
  const text = concat([good, Uint8Array.from([0xf4, 0x90, 0x80, 0x80]), bytesOf('edited')])
  for (const role of ROLES) {
    const frame = fromPeer(role, { opcode: TEXT, payload: text })
    const header = frame.length - text.length
    const cutFrame = open(role)
    t.same(deliver(cutFrame, frame.subarray(0, header + good.length)), [])
    t.same(
      deliver(cutFrame, frame.subarray(header + good.length, header + good.length + 1)),
      [],
      'F4 may begin',
    )
    const [event] = deliver(cutFrame, frame.subarray(header + good.length + 1, header + good.length + 2))
    t.equal(event?.type === 'fail' && event.violation.code, 'WS_INVALID_UTF8', '90 cannot follow')

    const cutMessage = open(role)
    const fragment = (opcode: number, payload: Uint8Array): Uint8Array =>
      fromPeer(role, { opcode, payload, fin: false })
    t.same(deliver(cutMessage, fragment(TEXT, text.subarray(0, good.length + 1))), [])
    const [second] = deliver(cutMessage, fragment(CONTINUATION, Uint8Array.from([0x90])))
    t.equal(second?.type === 'fail' && second.violation.code, 'WS_INVALID_UTF8')
  }
  t.end()
})

void test('sends no second Close frame when the peer breaks the rules after our own', t => {
  for (const role of ROLES) {
    const connection = open(role)
    connection.close(1000, 'bye')
    t.equal(written(connection).length, 1)
    const [event] = deliver(connection, fromPeer(role, { opcode: 0x3 }))
    t.equal(event?.type, 'fail')
    t.same(connection.takeOutput(), [])
    t.equal(connection.shutdown, 'end')
    t.same(connection.outcome, { sent: { code: 1000, reason: 'bye' }, received: null, initiator: 'local' })
  }
  t.end()
})

void test('delivers what came before the violation', t => {
  for (const role of ROLES) {
    const connection = open(role)
    const bytes = concat([
      fromPeer(role, { opcode: TEXT, payload: 'good' }),
      fromPeer(role, { opcode: PING, payload: 'p' }),
      fromPeer(role, { opcode: 0xf }),
      fromPeer(role, { opcode: TEXT, payload: 'never seen' }),
    ])
    t.same(
      deliver(connection, bytes).map(event => event.type),
      ['text', 'ping', 'fail'],
    )
    const frames = parseFrames(connection.takeOutput())
    t.same(
      frames.map(frame => frame.opcode),
      [PONG, CLOSE],
      'the pong first, the Close frame last',
    )
    t.same(events(connection), [])
  }
  t.end()
})

void test('ignores chunks that wait behind the violation', t => {
  for (const role of ROLES) {
    const connection = open(role)
    connection.receive(fromPeer(role, { opcode: 0x3 }))
    connection.receive(fromPeer(role, { opcode: TEXT, payload: 'never seen' }))
    t.same(
      events(connection).map(event => event.type),
      ['fail'],
    )
  }
  t.end()
})

void test('every violation of the table is tested above', t => {
  const source = readFileSync(new URL('../../src/protocol/violation.ts', import.meta.url), 'utf8')
  const codes = new Set(source.match(/WS_[A-Z0-9_]+/g))
  // Those of extensions are tested with the extension.
  const others = ['WS_BAD_COMPRESSION', 'WS_COMPRESSION_COST']
  t.same([...codes].toSorted(), [...tested, ...others].toSorted())
  t.end()
})
