// Clients that attack a server once they are let in, while an honest one goes on.
import { test } from 'tap'
import { deflateRawSync } from 'node:zlib'
import type { ServerBehaviour } from '../../src/server/index.js'
import { VirtualClock } from '../../src/testing/index.js'
import { type Attack, ECHO, MIB, pour, turns, underAttack } from '../support/attack.js'
import { BINARY, buildFrame, CLOSE, CONTINUATION, PEER_MASK, PING, TEXT } from '../support/frames.js'
import { type RawPeer, until, upgradeRequest } from '../support/raw-peer.js'
import { watchWarnings } from '../support/warnings.js'

/** Many times the same frame of a client in one piece. */
function repeated(count: number, opcode: number, payload = '', fin = false): Uint8Array {
  const frame = buildFrame({ opcode, payload, fin, mask: PEER_MASK })
  return Buffer.alloc(count * frame.length, frame)
}

/** The code and reason with which it is let go of, and that nothing is read any more. */
async function farewell(peer: RawPeer): Promise<string> {
  for (;;) {
    const [frame] = await peer.shown(1)
    if (!frame.startsWith('close')) continue
    // It need not answer: the server ends the connection all the same.
    await peer.ended
    return frame
  }
}

async function openWith(attack: Attack, header: string): Promise<RawPeer> {
  const peer = await attack.peer()
  peer.write(upgradeRequest([header]))
  await peer.head()
  return peer
}

void test('a million empty fragments end with 1008, and cost no memory', async t => {
  await underAttack(t, { behaviour: ECHO }, async ({ open, bounded, goesOn }) => {
    const peer = await open()
    peer.send({ opcode: TEXT, fin: false })
    const flood = repeated(10_000, CONTINUATION)
    const flooding = pour(peer, flood, 100)
    t.match(await farewell(peer), /^close 1008 /)
    bounded()
    await goesOn()
    peer.stream.destroy()
    await flooding
  })
})

void test('a million empty fragments where there is no limit are read, and cost no memory', async t => {
  const options = { limits: { maxFragments: Infinity } }
  await underAttack(t, { behaviour: ECHO, options }, async ({ open, bounded, goesOn }) => {
    const peer = await open()
    peer.send({ opcode: TEXT, fin: false, payload: 'all' })
    t.ok(await pour(peer, repeated(10_000, CONTINUATION), 100))
    await goesOn()
    bounded()
    peer.send({ opcode: CONTINUATION, payload: ' of it' })
    t.same(await peer.shown(1), ['text "all of it"'])
  })
})

void test('a million fragments of one byte end with 1008 or 1009, and cost what they are', async t => {
  for (const [limits, code] of [
    [{}, '1008'],
    [{ maxFragments: Infinity, maxMessageBytes: 900_000 }, '1009'],
  ] as const) {
    await underAttack(t, { behaviour: ECHO, options: { limits } }, async ({ open, bounded, goesOn }) => {
      const peer = await open()
      peer.send({ opcode: TEXT, fin: false, payload: 'x' })
      const flooding = pour(peer, repeated(10_000, CONTINUATION, 'x'), 100)
      t.match(await farewell(peer), new RegExp(`^close ${code} `))
      bounded()
      await goesOn()
      peer.stream.destroy()
      await flooding
    })
  }
})

void test('pings by a client that reads nothing are answered as far as it takes answers', async t => {
  const behaviour = {
    handleFrame: frame => ({ reply: frame.data === 'much' ? new Uint8Array(20 * MIB) : frame }),
  } satisfies ServerBehaviour<unknown>
  await underAttack(t, { behaviour }, async ({ server, open, bounded, goesOn }) => {
    const peer = await open()
    peer.stream.pause()
    const [, deaf] = server.processes
    // More than the kernel keeps of one connection: from here on no pong leaves.
    peer.send({ opcode: TEXT, payload: 'much' })
    await until(() => deaf.bufferedAmount > MIB, 'it to be full')
    await goesOn()
    const before = deaf.bufferedAmount
    const flood = repeated(1000, PING, 'x'.repeat(125), true)
    const served = await pour(peer, flood, 100)
    await goesOn()
    t.ok(served, 'all of them are read')
    t.ok(deaf.bufferedAmount - before < 256 * 1024, `${deaf.bufferedAmount - before} bytes were added`)
    t.equal(deaf.phase, 'open')
    bounded(24 * MIB)
  })
})

void test('a client that never answers Close has its time, and keeps its place until then', async t => {
  const clock = new VirtualClock()
  const behaviour = {
    handleFrame: frame =>
      frame.data === 'go' ? { close: { code: 4001, reason: 'gone' } } : { reply: frame },
  } satisfies ServerBehaviour<unknown>
  const options = { clock, closeTimeoutMs: 5000, keepalive: false }
  await underAttack(t, { behaviour, options }, async ({ server, open, goesOn }) => {
    const stubborn = [await open(), await open()]
    for (const peer of stubborn) {
      peer.send({ opcode: TEXT, payload: 'go' })
      t.same(await peer.shown(1), ['close 4001 "gone"'])
    }
    // One goes on as if nothing had happened.
    t.ok(await pour(stubborn[1], repeated(1000, TEXT, 'what?', true), 100))
    await goesOn()
    clock.advance(4999)
    await turns(20)
    t.equal(server.statistics().count, 3)
    clock.advance(1)
    await Promise.all(stubborn.map(peer => peer.ended))
    await until(() => server.statistics().count === 1, 'their places')
  })
})

void test('what a header only announces costs nothing', async t => {
  const clock = new VirtualClock()
  const options = { clock, limits: { maxMessageBytes: 2 ** 30 }, idleTimeoutMs: 1600, keepalive: false }
  await underAttack(t, { behaviour: ECHO, options }, async attack => {
    const { open, bounded, goesOn } = attack
    const liars = []
    for (let i = 0; i < 20; i++) {
      const peer = await open()
      peer.send({ opcode: BINARY, payload: 'ten bytes.', declared: 2n ** 30n })
      liars.push(peer)
    }
    await goesOn()
    bounded(4 * MIB)
    const over = await open()
    over.send({ opcode: BINARY, payload: 'x', declared: 2n ** 41n })
    t.match(await farewell(over), /^close 1009 /)
    const negative = await open()
    negative.send({ opcode: BINARY, payload: 'x', declared: 2n ** 63n })
    t.match(await farewell(negative), /^close 1002 /, 'the highest bit must be 0')
    // Messages that are never finished: whoever says nothing more is idle.
    for (let ms = 0; ms < 1700; ms += 100) {
      clock.advance(100)
      await goesOn(1)
    }
    for (const peer of liars) t.same(await peer.shown(1), ['close 1000 "timeout"'])
    // Their answer would be a part of the message.
    for (let ms = 0; ms < 5000; ms += 500) {
      clock.advance(500)
      await goesOn(1)
    }
    await Promise.all(liars.map(peer => peer.ended))
  })
})

void test('messages that are never finished cost what has come of them, and no more', async t => {
  const clock = new VirtualClock()
  const options = { clock, limits: { maxMessageBytes: MIB } }
  await underAttack(t, { behaviour: ECHO, options }, async ({ server, open, bounded, goesOn }) => {
    const unfinished = []
    for (let i = 0; i < 50; i++) {
      const peer = await open()
      // 100 KiB of a message of 1 MiB; half of them as fragments.
      const payload = new Uint8Array(i % 2 === 0 ? MIB : 1000)
      const frame = buildFrame({ opcode: BINARY, fin: i % 2 === 0, payload, mask: PEER_MASK })
      peer.write(frame.subarray(0, 100 * 1024))
      if (i % 2 === 1) await pour(peer, repeated(99, CONTINUATION, 'y'.repeat(1000)), 1)
      unfinished.push(peer)
    }
    await goesOn()
    // 5 MB have come; memory for a message may be eight times what there is of it, see `MessageBuffer`.
    bounded(48 * MIB)
    // None of them answers a ping.
    for (let ms = 0; ms < 40_000; ms += 10_000) {
      await goesOn(2)
      clock.advance(10_000)
    }
    await until(() => server.processes.size === 1, 'the keepalive to find them')
    await Promise.all(unfinished.map(peer => peer.ended))
  })
})

void test('a compressed bomb ends with 1009, before it has gone off', async t => {
  const zeros = deflateRawSync(new Uint8Array(200 * MIB), { level: 9 })
  const options = { limits: { maxMessageBytes: MIB } }
  await underAttack(t, { behaviour: ECHO, options }, async attack => {
    for (let i = 0; i < 2; i++) {
      const peer = await openWith(attack, 'Sec-WebSocket-Extensions: permessage-deflate')
      const half = zeros.subarray(0, zeros.length / 2)
      if (i % 2 === 0) peer.send({ opcode: BINARY, rsv: 4, payload: zeros })
      else peer.send({ opcode: BINARY, rsv: 4, fin: false, payload: half })
      t.match(await farewell(peer), /^close 1009 /)
      attack.bounded(24 * MIB)
      await attack.goesOn()
    }
  })
})

void test('frames that no client may send end with 1002, or 1007', async t => {
  const mask = PEER_MASK
  const broken: Readonly<Record<string, readonly [Uint8Array, string]>> = {
    unmasked: [buildFrame({ opcode: TEXT, payload: 'x' }), '1002'],
    'a reserved bit': [buildFrame({ opcode: TEXT, rsv: 2, payload: 'x', mask }), '1002'],
    'compressed where nothing was agreed on': [
      buildFrame({ opcode: TEXT, rsv: 4, payload: 'x', mask }),
      '1002',
    ],
    'an opcode that is none': [buildFrame({ opcode: 0xb, payload: 'x', mask }), '1002'],
    'a ping of 126 bytes': [buildFrame({ opcode: PING, payload: 'x'.repeat(126), mask }), '1002'],
    'a fragmented ping': [buildFrame({ opcode: PING, fin: false, mask }), '1002'],
    'a continuation of nothing': [buildFrame({ opcode: CONTINUATION, payload: 'x', mask }), '1002'],
    'a length that is not minimal': [
      buildFrame({ opcode: TEXT, payload: 'x', lengthBytes: 8, mask }),
      '1002',
    ],
    'a Close of one byte': [buildFrame({ opcode: CLOSE, payload: 'x', mask }), '1002'],
    'a Close with 1006': [buildFrame({ opcode: CLOSE, payload: Uint8Array.of(3, 0xee), mask }), '1002'],
    'a text that is no UTF-8': [buildFrame({ opcode: TEXT, payload: Uint8Array.of(0xff), mask }), '1007'],
  }
  await underAttack(t, { behaviour: ECHO }, async ({ open, goesOn, bounded }) => {
    for (const [name, [bytes, code]] of Object.entries(broken)) {
      const peer = await open()
      peer.write(bytes)
      t.match(await farewell(peer), new RegExp(`^close ${code} `), name)
    }
    await goesOn()
    bounded()
  })
})

void test('a client that sends and never reads is not read either, and its end is nothing to warn of', async t => {
  const warnings = watchWarnings(t)
  await underAttack(
    t,
    {
      behaviour: {
        // Waits until there is room.
        handleFrame: async (frame, _state, self) => {
          await self.send(frame)
        },
      },
    },
    async ({ server, open, bounded, goesOn }) => {
      const peer = await open()
      peer.stream.pause()
      const [, greedy] = server.processes
      t.equal(await pour(peer, repeated(100, TEXT, 'x'.repeat(10_000), true), 100), false, 'it is stuck')
      await goesOn()
      t.ok(greedy.bufferedAmount < MIB, `${greedy.bufferedAmount} bytes`)
      bounded(8 * MIB)
    },
  )
  t.same(warnings, [])
})
