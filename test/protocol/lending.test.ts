// Strategy: what a connection reads from memory that is written over afterwards, or from where a message is put together, is what it
// reads from memory of its own. A reader stands in for the transport: like it, it has one memory for all that is lent, spoils that as
// soon as it has it back, and reads to `place` when there is one.
import fc from 'fast-check'
import { test } from 'tap'
import type { Connection } from '../../src/protocol/connection.js'
import type { ProtocolEvent } from '../../src/protocol/event.js'
import { bytesFor, conversation, cuts, describe, expectedOf, role } from '../support/conversations.js'
import { BINARY, fromPeer, PING, ROLES, TEXT } from '../support/frames.js'
import { open } from '../support/pair.js'
import { cutAt, cutEvery, randomBytes, randoms } from '../support/split.js'

const LIMITS = { maxMessageBytes: 4_000_000, maxPendingPongs: Infinity }

const shared = Buffer.alloc(400_000)

/** Reads a chunk as the transport would. @returns how many bytes of it went to `place`. */
function read(connection: Connection, chunk: Uint8Array, pull: () => void): number {
  let [at, placed] = [0, 0]
  while (at < chunk.length) {
    const { place } = connection
    const bytes = Math.min(chunk.length - at, place?.length ?? shared.length)
    const memory = place ?? shared
    memory.set(chunk.subarray(at, at + bytes))
    if (place === null) connection.receive(shared.subarray(0, bytes), true)
    else connection.receivePlaced(place, bytes)
    pull()
    connection.giveBack()
    shared.fill(0xee)
    at += bytes
    if (place !== null) placed += bytes
  }
  return placed
}

/** Pulls what there is, or only so many events. */
function pulling(connection: Connection, into: ProtocolEvent[], most = Infinity): () => void {
  return () => {
    for (let i = 0; i < most; i++) {
      const event = connection.nextEvent()
      if (event === null) return
      into.push(event)
    }
  }
}

void test('reads back every conversation from memory that is written over', t => {
  fc.assert(
    fc.property(
      role,
      conversation,
      cuts,
      fc.constantFrom(1, 2, Infinity),
      (receiver, spoken, places, most) => {
        const stream = bytesFor(receiver, spoken)
        const connection = open(receiver, { limits: LIMITS })
        const found: ProtocolEvent[] = []
        const at = places.map(place => place % (stream.length + 1))
        for (const chunk of cutAt(stream, at)) read(connection, chunk, pulling(connection, found, most))
        pulling(connection, found)()
        // Described at the end: what had not been copied is spoilt by now.
        return JSON.stringify(found.map(describe)) === JSON.stringify(expectedOf(spoken))
      },
    ),
    { numRuns: 1000 },
  )
  t.end()
})

void test('a long message is read to where it stays, whatever comes before and behind it', t => {
  const random = randoms(5)
  for (const receiver of ROLES) {
    for (const [opcode, bytes] of [
      [BINARY, 300_000],
      [BINARY, 1_048_576],
      [BINARY, 3_000_000],
      [TEXT, 300_000],
      [TEXT, 1_048_576],
      [TEXT, 3_000_000],
    ]) {
      const noise = randomBytes(random, bytes)
      const payload = opcode === TEXT ? noise.map(byte => 32 + (byte & 63)) : noise
      const small = Buffer.from('small ones, longer than what is copied in any case, before it and behind')
      const stream = Buffer.concat(
        [
          { opcode: BINARY, payload: small },
          { opcode, payload },
          { opcode: PING, payload: small },
          { opcode: BINARY, payload: small },
        ].map(frame => fromPeer(receiver, frame)),
      )
      const connection = open(receiver, { limits: LIMITS })
      const found: ProtocolEvent[] = []
      let placed = 0
      for (const chunk of cutEvery(stream, 65_536))
        placed += read(connection, chunk, pulling(connection, found))
      const texts = found.map(event =>
        'data' in event ? Buffer.from(event.data).toString('hex') : event.type,
      )
      const wanted = [small, payload, small, small].map(data => Buffer.from(data).toString('hex'))
      t.ok(texts.join() === wanted.join(), `${bytes} bytes as ${receiver}`)
      t.ok(placed > bytes * 0.5, `${placed} of ${bytes} bytes were read to their place`)
    }
  }
  t.end()
})

void test('two connections that put long texts together at the same time do not share a byte', t => {
  const [a, b] = ['a', 'b'].map(letter => ({
    wanted: letter.repeat(500_000),
    bytes: fromPeer('client', { opcode: TEXT, payload: Buffer.alloc(500_000, letter) }),
    connection: open('client', { limits: LIMITS }),
    found: [] as ProtocolEvent[],
  }))
  const chunks = [a, b].map(one => cutEvery(one.bytes, 65_536))
  for (const [i, chunk] of chunks[0].entries()) {
    read(a.connection, chunk, pulling(a.connection, a.found))
    read(b.connection, chunks[1][i], pulling(b.connection, b.found))
  }
  for (const { found, wanted } of [a, b]) {
    t.equal(found.length, 1)
    t.ok('data' in found[0] && found[0].data === wanted)
  }
  t.end()
})

void test('says whether lending was of use', t => {
  const cases = [
    ['a text', { opcode: TEXT, payload: Buffer.alloc(1000, 'a') }, false],
    ['a small binary message', { opcode: BINARY, payload: Buffer.alloc(64, 'a') }, false],
    ['a larger binary message', { opcode: BINARY, payload: Buffer.alloc(65, 'a') }, true],
  ] as const
  for (const [what, frame, lasts] of cases) {
    for (const lent of [true, false]) {
      const connection = open('client', {})
      connection.receive(Buffer.from(fromPeer('client', frame)), lent)
      t.equal(connection.nextEvent()?.type, frame.opcode === TEXT ? 'text' : 'binary')
      t.equal(connection.nextEvent(), null)
      t.equal(connection.giveBack(), lasts, `${what}, ${lent ? 'lent' : 'its own'}`)
    }
  }
  const connection = open('client', {})
  connection.receive(Buffer.from(fromPeer('client', cases[0][1])), true)
  t.equal(connection.giveBack(), true, 'what was not pulled yet')
  t.equal(connection.nextEvent()?.type, 'text')
  t.end()
})
