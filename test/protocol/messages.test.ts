import { test } from 'tap'
import type { FragmentKind } from '../../src/protocol/outgoing-fragments.js'
import {
  BINARY,
  bytesOf,
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
import { cutAt, cutEvery, randoms } from '../support/split.js'

void test('joins the fragments of a message, empty ones too', t => {
  for (const role of ROLES) {
    const fragments = (opcode: number, parts: readonly string[]): Uint8Array =>
      concat(
        parts.map((payload, i) =>
          fromPeer(role, { opcode: i === 0 ? opcode : CONTINUATION, payload, fin: i === parts.length - 1 }),
        ),
      )
    for (const parts of [
      ['a', 'b'],
      ['', ''],
      ['', 'a', ''],
      ['', '', 'long '.repeat(100), ''],
      ['a'.repeat(65_536), 'b'.repeat(125), 'c'.repeat(126)],
    ]) {
      const data = parts.join('')
      t.same(deliver(open(role), fragments(TEXT, parts)), [{ type: 'text', data }])
      t.same(deliver(open(role), fragments(BINARY, parts)), [{ type: 'binary', data: bytesOf(data) }])
    }
  }
  t.end()
})

void test('reports control frames between fragments at once and the message when it is whole', t => {
  for (const role of ROLES) {
    const connection = open(role)
    const bytes = concat([
      fromPeer(role, { opcode: TEXT, payload: 'frag', fin: false }),
      fromPeer(role, { opcode: PING, payload: 'one' }),
      fromPeer(role, { opcode: CONTINUATION, payload: 'men', fin: false }),
      fromPeer(role, { opcode: PONG, payload: 'two' }),
      fromPeer(role, { opcode: PING }),
      fromPeer(role, { opcode: CONTINUATION, payload: 'ted' }),
    ])
    const expected = [
      { type: 'ping', data: bytesOf('one') },
      { type: 'pong', data: bytesOf('two') },
      { type: 'ping', data: new Uint8Array(0) },
      { type: 'text', data: 'fragmented' },
    ]
    t.same(deliver(connection, bytes), expected)
    t.same(show(written(connection)), ['pong "one"', 'pong ""'])
    t.same(deliver(open(role), ...cutEvery(bytes, 1)), expected, 'byte by byte, control frames cut as well')
  }
  t.end()
})

void test('reads a control frame cut by a chunk in the middle of a message', t => {
  for (const role of ROLES) {
    const ping = fromPeer(role, { opcode: PING, payload: 'p'.repeat(125) })
    for (let cut = 0; cut <= ping.length; cut++) {
      const connection = open(role)
      const found = deliver(
        connection,
        concat([fromPeer(role, { opcode: TEXT, payload: 'x', fin: false }), ping.subarray(0, cut)]),
        concat([ping.subarray(cut), fromPeer(role, { opcode: CONTINUATION, payload: 'y' })]),
      )
      const right = found.length === 2 && found[0].type === 'ping' && found[0].data.length === 125
      if (!right || found[1].type !== 'text' || found[1].data !== 'xy') t.fail(`cut at ${cut}`)
    }
  }
  t.end()
})

void test('says while a message has arrived in part', t => {
  for (const role of ROLES) {
    const connection = open(role)
    t.equal(connection.midMessage, false)
    deliver(connection, fromPeer(role, { opcode: TEXT, payload: 'a', fin: false }))
    t.equal(connection.midMessage, true)
    deliver(connection, fromPeer(role, { opcode: PING }))
    t.equal(connection.midMessage, true)
    const rest = fromPeer(role, { opcode: CONTINUATION, payload: 'b' })
    deliver(connection, rest.subarray(0, -1))
    t.equal(connection.midMessage, true)
    deliver(connection, rest.subarray(-1))
    t.equal(connection.midMessage, false)
  }
  t.end()
})

void test('keeps a byte-order mark and a U+FFFD that are really in the text', t => {
  for (const role of ROLES) {
    for (const data of [
      '\ufeff',
      '\ufeffmarked',
      '\ufefflonger than what goes the short way',
      '\ufffd',
      'a \ufffd in a text of some length, which has to be looked at twice',
      '\ufffd'.repeat(3000),
      'inner \ufeff mark and \u0000 too',
    ]) {
      const frame = fromPeer(role, { opcode: TEXT, payload: data })
      t.same(deliver(open(role), frame), [{ type: 'text', data }])
      t.same(deliver(open(role), ...cutEvery(frame, 1)), [{ type: 'text', data }])
    }
  }
  t.end()
})

void test('accepts a character cut between two fragments', t => {
  const text = 'é€😀 and more'
  const bytes = bytesOf(text)
  for (const role of ROLES) {
    for (let cut = 0; cut <= bytes.length; cut++) {
      const found = deliver(
        open(role),
        fromPeer(role, { opcode: TEXT, payload: bytes.subarray(0, cut), fin: false }),
        fromPeer(role, { opcode: PING }),
        fromPeer(role, { opcode: CONTINUATION, payload: bytes.subarray(cut) }),
      )
      t.same(found[1], { type: 'text', data: text }, `cut at ${cut}`)
    }
  }
  t.end()
})

void test('accepts a message of exactly maxMessageBytes and of exactly maxFragments', t => {
  for (const role of ROLES) {
    const limits = { maxMessageBytes: 1000, maxFragments: 3 }
    const thousand = 'a'.repeat(1000)
    t.same(deliver(open(role, { limits }), fromPeer(role, { opcode: TEXT, payload: thousand })), [
      { type: 'text', data: thousand },
    ])
    const connection = open(role, { limits })
    const message = concat([
      fromPeer(role, { opcode: TEXT, payload: 'a'.repeat(500), fin: false }),
      fromPeer(role, { opcode: CONTINUATION, payload: 'a'.repeat(499), fin: false }),
      fromPeer(role, { opcode: CONTINUATION, payload: 'a' }),
    ])
    // Twice: what the first message counted is not held against the second.
    t.same(deliver(connection, message, message), [
      { type: 'text', data: thousand },
      { type: 'text', data: thousand },
    ])
  }
  t.end()
})

void test('a limit of 0 bytes lets empty messages pass', t => {
  for (const role of ROLES) {
    const connection = open(role, { limits: { maxMessageBytes: 0 } })
    t.same(deliver(connection, fromPeer(role, { opcode: TEXT })), [{ type: 'text', data: '' }])
    t.equal(deliver(connection, fromPeer(role, { opcode: TEXT, payload: 'a' }))[0].type, 'fail')
  }
  t.end()
})

void test('control frames are not measured by maxMessageBytes', t => {
  for (const role of ROLES) {
    const connection = open(role, { limits: { maxMessageBytes: 1, maxFragments: 1 } })
    const ping = fromPeer(role, { opcode: PING, payload: 'p'.repeat(125) })
    t.same(
      deliver(connection, ping, ping, ...cutEvery(ping, 50)).map(event => event.type),
      ['ping', 'ping', 'ping'],
    )
  }
  t.end()
})

void test('messages of many connections that are put together at the same time do not touch each other', t => {
  const random = randoms(3)
  const peers = Array.from({ length: 24 }, (_, i) => ({ role: ROLES[i % 2], connection: open(ROLES[i % 2]) }))
  const kept: { data: Uint8Array | string; copy: Uint8Array }[] = []
  const wrong: string[] = []
  const stories = peers.map(({ role }, who) => {
    const chunks: Uint8Array[] = []
    const expected: Uint8Array[] = []
    for (let i = 0; i < 60; i++) {
      // From a byte to some 64 KiB, most of them small.
      const length = 1 + random(2 ** (4 + random(random(6) === 0 ? 13 : 9)))
      const text = random(2) === 0
      const payload = text
        ? bytesOf('aé€'.repeat(length).slice(0, length))
        : Uint8Array.from({ length }, (_, at) => who * 10 + i + at * 3)
      const parts = cutAt(
        payload,
        Array.from({ length: random(4) }, () => random(payload.length + 1)),
      )
      for (const [at, part] of parts.entries()) {
        const opcode = at > 0 ? CONTINUATION : text ? TEXT : BINARY
        const frame = fromPeer(role, { opcode, payload: part, fin: at === parts.length - 1 })
        const ping =
          random(8) === 0 ? [fromPeer(role, { opcode: PONG, payload: payload.subarray(0, 100) })] : []
        const bytes = concat([...ping, frame])
        chunks.push(...cutAt(bytes, [random(bytes.length), random(bytes.length)]))
      }
      expected.push(payload)
    }
    return { chunks, expected }
  })
  for (let running = peers.length; running > 0;) {
    const who = random(peers.length)
    const { chunks, expected } = stories[who]
    const chunk = chunks.shift()
    if (chunk === undefined) continue
    if (chunks.length === 0) running--
    for (const event of deliver(peers[who].connection, chunk)) {
      if (event.type === 'pong') kept.push({ data: event.data, copy: event.data.slice() })
      if (event.type !== 'text' && event.type !== 'binary') continue
      const bytes = typeof event.data === 'string' ? bytesOf(event.data) : event.data
      if (Buffer.compare(bytes, expected.shift()!) !== 0)
        wrong.push(`a ${event.type} of ${bytes.length} bytes`)
      kept.push({ data: event.data, copy: bytes.slice() })
    }
  }
  t.same(wrong, [], 'as they were sent')
  t.ok(kept.length >= 24 * 60)
  const changed = kept.filter(
    ({ data, copy }) => typeof data !== 'string' && Buffer.compare(data, copy) !== 0,
  )
  t.equal(changed.length, 0, 'and as they were delivered')
  t.same(
    stories.flatMap(({ expected }) => expected),
    [],
    'and all of them',
  )
  t.end()
})

type Fragment = readonly [kind: FragmentKind, data: string | Uint8Array, fin: boolean]

/** What the receiver sees of fragments sent in either direction. */
const FRAGMENTED: readonly (readonly [
  what: string,
  fragments: readonly Fragment[],
  wire: readonly string[],
])[] = [
  [
    'strings',
    [
      ['text', 'frag', false],
      ['continuation', 'men', false],
      ['continuation', 'ted', true],
    ],
    ['text+ "frag"', 'continuation+ "men"', 'continuation "ted"'],
  ],
  ['one fragment', [['text', 'whole', true]], ['text "whole"']],
  [
    'a surrogate pair cut between two strings',
    [
      ['text', 'a\ud83d', false],
      ['continuation', '\ude00b', true],
    ],
    ['text+ "a"', 'continuation "😀b"'],
  ],
  [
    'a surrogate pair with an empty fragment in between',
    [
      ['text', '\ud83d', false],
      ['continuation', '', false],
      ['continuation', '\ude00', true],
    ],
    ['text+ ""', 'continuation+ ""', 'continuation "😀"'],
  ],
  [
    'a lone surrogate at the end',
    [
      ['text', 'a', false],
      ['continuation', 'b\ud83d', true],
    ],
    ['text+ "a"', 'continuation "b\ufffd"'],
  ],
  [
    'a first half whose second half never comes',
    [
      ['text', 'a\ud83d', false],
      ['continuation', 'b', false],
      ['continuation', '', true],
    ],
    ['text+ "a"', 'continuation+ "\ufffdb"', 'continuation ""'],
  ],
  [
    'a first half followed by bytes',
    [
      ['text', 'a\ud83d', false],
      ['continuation', bytesOf('b'), true],
    ],
    ['text+ "a"', 'continuation "\ufffdb"'],
  ],
  [
    'strings and bytes in turn',
    [
      ['text', 'é', false],
      ['continuation', bytesOf('€'), false],
      ['continuation', '😀', true],
    ],
    ['text+ "é"', 'continuation+ "€"', 'continuation "😀"'],
  ],
  [
    'bytes, the last fragment empty',
    [
      ['binary', bytesOf('ab'), false],
      ['continuation', new Uint8Array(0), true],
    ],
    ['binary+ "ab"', 'continuation ""'],
  ],
]

for (const [what, fragments, wire] of FRAGMENTED) {
  void test(`sends a fragmented message: ${what}`, t => {
    for (const role of ROLES) {
      const connection = open(role)
      for (const [kind, data, fin] of fragments) connection.sendFragment(kind, data, fin)
      t.same(show(written(connection)), wire)
      const both = pair()
      for (const [kind, data, fin] of fragments) both[role].sendFragment(kind, data, fin)
      both.exchange()
      const [event, ...more] = role === 'client' ? both.serverEvents : both.clientEvents
      const data = wire.map(frame => frame.slice(frame.indexOf('"') + 1, -1)).join('')
      t.same(
        event.type === 'binary' ? Buffer.from(event.data).toString() : 'data' in event && event.data,
        data,
      )
      t.same(more, [])
    }
    t.end()
  })
}

void test('sends a UTF-8 character cut between two fragments of bytes as it was cut', t => {
  const bytes = bytesOf('κόσμε')
  for (const role of ROLES) {
    for (let cut = 0; cut <= bytes.length; cut++) {
      const both = pair()
      both[role].sendFragment('text', bytes.subarray(0, cut), false)
      both[role].sendFragment('continuation', bytes.subarray(cut), true)
      both.exchange()
      t.same(role === 'client' ? both.serverEvents : both.clientEvents, [{ type: 'text', data: 'κόσμε' }])
    }
  }
  t.end()
})

void test('sends control frames between the fragments of a message', t => {
  const both = pair()
  both.client.sendFragment('text', 'a', false)
  both.client.sendPing(bytesOf('p'))
  both.exchange()
  both.client.sendPong()
  both.client.sendFragment('continuation', 'b', true)
  both.exchange()
  t.same(both.serverEvents, [
    { type: 'ping', data: bytesOf('p') },
    { type: 'pong', data: new Uint8Array(0) },
    { type: 'text', data: 'ab' },
  ])
  t.same(both.clientEvents, [{ type: 'pong', data: bytesOf('p') }])
  t.end()
})

void test('refuses a message inside a fragmented one, and a continuation without a beginning', t => {
  for (const role of ROLES) {
    const connection = open(role)
    const refused = { name: 'UsageError', code: 'WS_BAD_SEQUENCE' }
    t.throws(() => connection.sendFragment('continuation', 'a', true), refused)
    connection.sendFragment('text', 'a', false)
    t.throws(() => connection.sendText('b'), refused)
    t.throws(() => connection.sendBinary(bytesOf('b')), refused)
    t.throws(() => connection.sendFragment('text', 'b', true), refused)
    t.throws(() => connection.sendFragment('binary', bytesOf('b'), false), refused)
    connection.sendFragment('continuation', 'c', true)
    t.throws(() => connection.sendFragment('continuation', 'd', true), refused)
    connection.sendText('e')
    t.same(
      show(written(connection)),
      ['text+ "a"', 'continuation "c"', 'text "e"'],
      'a refusal sends nothing',
    )
  }
  t.end()
})

void test('refuses bytes in a text that are not UTF-8, and goes on as if they had not been given', t => {
  const refused = { name: 'UsageError', code: 'WS_BAD_DATA' }
  for (const role of ROLES) {
    const connection = open(role)
    t.throws(() => connection.sendFragment('text', Uint8Array.from([0xff]), false), refused)
    t.throws(
      () => connection.sendFragment('text', Uint8Array.from([0xc3]), true),
      refused,
      'unfinished at the end',
    )
    connection.sendFragment('text', Uint8Array.from([0xc3]), false)
    t.throws(() => connection.sendFragment('continuation', Uint8Array.from([0x41]), false), refused)
    t.throws(() => connection.sendFragment('continuation', 'text', false), refused, 'inside a character')
    t.throws(() => connection.sendFragment('continuation', new Uint8Array(0), true), refused)
    connection.sendFragment('continuation', Uint8Array.from([0xa4]), true)
    connection.sendText('next')
    const [first, second, third] = written(connection)
    t.equal(Buffer.concat([first.payload, second.payload]).toString(), 'ä')
    t.equal(Buffer.from(third.payload).toString(), 'next')
  }
  t.end()
})

void test('refuses data of a type that cannot be sent', t => {
  const refused = { name: 'UsageError', code: 'WS_BAD_DATA' }
  // What untyped code passes; a view's constructor would take the number for a length.
  const wrong: readonly unknown[] = [
    5,
    null,
    undefined,
    [1, 2],
    {},
    new ArrayBuffer(4),
    new DataView(new ArrayBuffer(4)),
  ]
  for (const role of ROLES) {
    const connection = open(role)
    for (const data of [...wrong, 'text']) {
      t.throws(() => connection.sendBinary(data as Uint8Array), refused)
      if (data !== undefined) t.throws(() => connection.sendPing(data as Uint8Array), refused)
      if (data !== undefined) t.throws(() => connection.sendPong(data as Uint8Array), refused)
      t.throws(() => connection.sendFragment('binary', data as Uint8Array, true), refused)
    }
    for (const data of [...wrong, bytesOf('text')])
      t.throws(() => connection.sendText(data as string), refused)
    t.same(connection.takeOutput(), [])
    t.same(events(connection), [])
  }
  t.end()
})
