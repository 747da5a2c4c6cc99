// Strategy: what a peer can make us hold. Memory is measured after a forced collection, in bytes behind ArrayBuffers
// and on the JavaScript heap; each bound is far above the noise of one run and far below what a mistake would cost.
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { test } from 'tap'
import type { ProtocolEvent } from '../../src/protocol/event.js'
import type { Limits } from '../../src/protocol/limits.js'
import type { Role } from '../../src/protocol/opcode.js'
import {
  BINARY,
  bytesOf,
  CLOSE,
  concat,
  CONTINUATION,
  fromPeer,
  PING,
  ROLES,
  TEXT,
} from '../support/frames.js'
import { events, open } from '../support/pair.js'

setFlagsFromString('--expose-gc')
const gc = runInNewContext('gc') as () => void

const MIB = 1024 * 1024

function held(): { arrayBuffers: number; total: number } {
  gc()
  gc()
  const { arrayBuffers, heapUsed } = process.memoryUsage()
  return { arrayBuffers, total: arrayBuffers + heapUsed }
}

/** Sends one message of `count` fragments, all the same, in busy chunks; measures while it is unfinished. */
function sendFragments(role: Role, count: number, payload: string, limits: Partial<Limits>) {
  const connection = open(role, { limits })
  const perChunk = 10_000
  const middle = fromPeer(role, { opcode: CONTINUATION, payload, fin: false })
  const chunk = concat(Array.from({ length: perChunk }, () => middle))
  const found: ProtocolEvent[] = []
  const before = held()
  let grown = 0
  connection.receive(fromPeer(role, { opcode: BINARY, payload, fin: false }))
  let sent = 1
  while (sent < count - 1 && found.length === 0) {
    const now = Math.min(perChunk, count - 1 - sent)
    connection.receive(chunk.slice(0, now * middle.length))
    found.push(...events(connection))
    sent += now
    if (sent % 250_000 < perChunk) grown = Math.max(grown, held().total - before.total)
  }
  if (found.length === 0) {
    connection.receive(fromPeer(role, { opcode: CONTINUATION, payload }))
    found.push(...events(connection))
  }
  return { found, grown }
}

void test('a message of a million one-byte fragments fails with 1008 at the default limit', t => {
  for (const role of ROLES) {
    const { found } = sendFragments(role, 1_000_000, 'a', {})
    t.equal(found.length, 1)
    t.equal(found[0].type === 'fail' && found[0].violation.code, 'WS_TOO_MANY_FRAGMENTS')
    t.equal(found[0].type === 'fail' && found[0].violation.closeCode, 1008)
  }
  t.end()
})

void test('the default limit lets 131072 fragments pass and not one more', t => {
  for (const role of ROLES) {
    const [whole] = sendFragments(role, 131_072, 'a', {}).found
    t.equal(whole.type === 'binary' && whole.data.length, 131_072)
    t.equal(sendFragments(role, 131_073, 'a', {}).found[0].type, 'fail')
  }
  t.end()
})

void test('a message of a million one-byte fragments costs its bytes, when the limit allows it', t => {
  for (const role of ROLES) {
    const { found, grown } = sendFragments(role, 1_000_000, 'a', { maxFragments: Infinity })
    t.equal(found.length, 1)
    t.equal(
      found[0].type === 'binary' && found[0].data.every(byte => byte === 0x61) && found[0].data.length,
      1e6,
    )
    t.ok(grown < 6 * MIB, `${grown} bytes held on the way`)
  }
  t.end()
})

void test('a million empty fragments cost nothing, and fail with 1008 at the default limit', t => {
  for (const role of ROLES) {
    const { found, grown } = sendFragments(role, 1_000_000, '', { maxFragments: Infinity })
    t.same(found, [{ type: 'binary', data: new Uint8Array(0) }])
    t.ok(grown < 2 * MIB, `${grown} bytes held on the way`)
    const [event] = sendFragments(role, 1_000_000, '', {}).found
    t.equal(event.type === 'fail' && event.violation.closeCode, 1008)
  }
  t.end()
})

void test('a declared length of 4 GiB with ten bytes behind it holds ten bytes', t => {
  for (const role of ROLES) {
    for (const maxMessageBytes of [Infinity, 2 ** 40]) {
      const connection = open(role, { limits: { maxMessageBytes } })
      const before = held()
      const header = fromPeer(role, { opcode: BINARY, declared: 2n ** 32n })
      connection.receive(concat([header, bytesOf('ten bytes!')]))
      t.equal(connection.nextEvent(), null)
      t.equal(connection.midMessage, true)
      t.ok(held().arrayBuffers - before.arrayBuffers < MIB)
    }
  }
  t.end()
})

/** 64 KiB that are zeroes under the key of `fromPeer`. */
const zeroes = fromPeer('server', { opcode: BINARY, payload: new Uint8Array(65_536) }).subarray(14)

void test('what an unfinished message holds grows with what has arrived, not with what is declared', t => {
  for (const role of ROLES) {
    const connection = open(role)
    const header = fromPeer(role, { opcode: TEXT, declared: 64n * BigInt(MIB) })
    const before = held()
    connection.receive(header)
    for (let arrived = 0; arrived < 4 * MIB; arrived += 65_536) {
      connection.receive(role === 'server' ? zeroes.slice() : new Uint8Array(65_536))
      if (connection.nextEvent() !== null) t.fail('an event before the end')
      if (arrived % MIB === 0) {
        t.ok(held().arrayBuffers - before.arrayBuffers < 4 * (arrived + 65_536) + MIB, `${arrived} arrived`)
      }
    }
  }
  t.end()
})

void test('10,000 kept 16-byte messages out of busy 64 KiB chunks hold less than 5 MB', t => {
  for (const role of ROLES) {
    for (const [opcode, count] of [
      [BINARY, 10_000],
      [TEXT, 2000],
      [PING, 2000],
    ] as const) {
      const kept: ProtocolEvent[] = []
      const connection = open(role, { autoPong: false })
      const small = fromPeer(role, { opcode, payload: '16 bytes of data' })
      const large = fromPeer(role, { opcode: BINARY, payload: new Uint8Array(65_536 - 14 - small.length) })
      const chunk = concat([small, large])
      const before = held()
      for (let i = 0; i < count; i++) {
        connection.receive(chunk.slice())
        const [first, second] = events(connection)
        kept.push(first)
        if (second.type !== 'binary') t.fail('the rest of the chunk')
      }
      const grown = held().total - before.total
      t.equal(kept.length, count)
      t.ok(grown < 500 * count, `${grown} bytes`)
    }
  }
  t.end()
})

/** A binary message in two fragments. */
function fragmented(role: Role, payload: Uint8Array): Uint8Array {
  const half = payload.length >> 1
  return concat([
    fromPeer(role, { opcode: BINARY, payload: payload.subarray(0, half), fin: false }),
    fromPeer(role, { opcode: CONTINUATION, payload: payload.subarray(half) }),
  ])
}

void test('10,000 kept 16-byte messages that came in two fragments hold less than 5 MB', t => {
  for (const role of ROLES) {
    const kept: ProtocolEvent[] = []
    const connection = open(role)
    // Between two that are kept come others, of some KiB, that are not.
    const chunk = concat([
      fragmented(role, bytesOf('16 bytes of data')),
      fragmented(role, new Uint8Array(8000)),
    ])
    const before = held()
    for (let i = 0; i < 10_000; i++) {
      connection.receive(chunk.slice())
      const [first] = events(connection)
      kept.push(first)
    }
    const grown = held().total - before.total
    t.equal(kept.length, 10_000)
    t.ok(grown < 5_000_000, `${grown} bytes as ${role}`)
  }
  t.end()
})

function heldByBegunMessages(role: Role, count: number): number {
  const busy = open(role)
  const other = fragmented(role, new Uint8Array(8000))
  const begun = fromPeer(role, { opcode: BINARY, payload: 'a', fin: false })
  const before = held()
  const connections = Array.from({ length: count }, () => {
    const connection = open(role)
    connection.receive(begun.slice())
    events(connection)
    busy.receive(other.slice())
    events(busy)
    return connection
  })
  const grown = held().total - before.total
  return connections.every(connection => connection.midMessage) ? grown : NaN
}

void test('two thousand connections with one byte of a message hold less than 16 KiB each', t => {
  for (const role of ROLES) {
    const each = heldByBegunMessages(role, 2000) / 2000
    t.ok(each < 16_384, `${each} bytes for each as ${role}`)
  }
  t.end()
})

void test('chunks that come after a failure or a Close frame are not held', t => {
  for (const role of ROLES) {
    for (const last of [{ opcode: 0x3 }, { opcode: CLOSE }]) {
      const connection = open(role)
      connection.receive(fromPeer(role, last))
      const before = held()
      for (let i = 0; i < 50; i++) connection.receive(new Uint8Array(65_536))
      t.equal(events(connection).length, 1)
      for (let i = 0; i < 100; i++) connection.receive(new Uint8Array(65_536))
      t.ok(held().total - before.total < MIB)
      t.equal(connection.nextEvent(), null)
    }
  }
  t.end()
})

void test('an idle connection holds no chunk', t => {
  for (const role of ROLES) {
    const before = held()
    const connections = Array.from({ length: 100 }, () => {
      const connection = open(role)
      const filler = fromPeer(role, { opcode: BINARY, payload: new Uint8Array(65_000) })
      connection.receive(concat([filler, fromPeer(role, { opcode: TEXT, payload: 'a' })]))
      events(connection)
      // A header cut by the end of the chunk does not keep it either.
      connection.receive(concat([filler, Uint8Array.from([0x81])]))
      events(connection)
      return connection
    })
    t.ok(held().total - before.total < 2 * MIB)
    t.equal(connections.length, 100)
  }
  t.end()
})

void test('an endless stream of pings that nobody answers costs a bounded amount', t => {
  for (const role of ROLES) {
    const connection = open(role)
    const ping = fromPeer(role, { opcode: PING, payload: 'p'.repeat(125) })
    const chunk = concat(Array.from({ length: 500 }, () => ping))
    const before = held()
    for (let i = 0; i < 200; i++) {
      connection.receive(chunk.slice())
      let seen = 0
      while (connection.nextEvent() !== null) seen++
      if (seen !== 500) t.fail(`${seen} pings`)
    }
    t.ok(held().total - before.total < MIB)
    t.ok(connection.pendingBytes < 33 * 131 + 200)
  }
  t.end()
})

void test('a large message that came in many chunks holds no more memory than its header declared', t => {
  for (const role of ROLES) {
    for (const length of [20_000, 257 * 1024, 300_000, MIB]) {
      const connection = open(role)
      const frame = fromPeer(role, { opcode: BINARY, payload: new Uint8Array(length) })
      const found: ProtocolEvent[] = []
      for (let at = 0; at < frame.length; at += 4096) {
        connection.receive(frame.slice(at, at + 4096))
        found.push(...events(connection))
      }
      const [event] = found
      t.equal(event.type === 'binary' && event.data.buffer.byteLength, length, `${length} bytes as ${role}`)
    }
  }
  t.end()
})
