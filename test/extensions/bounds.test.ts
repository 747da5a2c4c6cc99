// What a peer cannot make this side pay: memory, time on this thread, threads, and what is left when it goes away.
import { constants, createDeflateRaw, deflateRawSync } from 'node:zlib'
import { once } from 'node:events'
import { test } from 'tap'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { pretendCannotStep } from '../../src/extensions/engine.js'
import { keepEngine, POOL_BYTES, poolUse, sweep } from '../../src/extensions/engine-pool.js'
import { WorkQueue, zlibWork } from '../../src/extensions/work-queue.js'
import { Inflater } from '../../src/extensions/inflater.js'
import { ProtocolViolation } from '../../src/protocol/violation.js'
import { connect, type Socket } from '../../src/index.js'
import { DeflateEnd } from '../support/deflate-pair.js'
import { buildFrame, CONTINUATION, TEXT } from '../support/frames.js'
import { acceptance, rawServer, until } from '../support/raw-peer.js'

setFlagsFromString('--expose-gc')
const collect = runInNewContext('gc') as () => void

const KIB = 1024
const MIB = KIB * KIB
const LIMIT = MIB
/** The most that comes out before somebody looks. */
const CHUNK = 64 * KIB

/** A stream that says a thousand times as much as it is long. */
async function bomb(bytes: number): Promise<Buffer> {
  const deflate = createDeflateRaw({ level: 9 })
  const parts: Buffer[] = []
  deflate.on('data', (part: Buffer) => parts.push(part))
  const zeros = Buffer.alloc(MIB)
  for (let i = 0; i < bytes / MIB; i++) if (!deflate.write(zeros)) await once(deflate, 'drain')
  await new Promise<void>(resolve => deflate.flush(constants.Z_SYNC_FLUSH, resolve))
  deflate.close()
  return Buffer.concat(parts)
}

const used = (): number => process.memoryUsage().arrayBuffers + process.memoryUsage().external
/** What is used once all that can go has gone. */
async function usedAtRest(): Promise<number> {
  for (let i = 0; i < 4; i++) {
    collect()
    await new Promise(resolve => setTimeout(resolve, 5))
  }
  return used()
}
const compressed = (payload: Uint8Array, first = true, fin = true): Uint8Array =>
  buildFrame({ opcode: first ? 2 : CONTINUATION, rsv: first ? 4 : 0, payload, fin })

async function afterJobs(): Promise<void> {
  while (zlibWork.size > 0) await new Promise(resolve => setImmediate(resolve))
}

for (const pretend of [false, true]) {
  const how = pretend ? ', with what Node documents alone' : ''
  void test(`a bomb stops within one chunk of the limit, whatever it is wrapped in${how}`, async t => {
    pretendCannotStep(pretend)
    t.teardown(() => pretendCannotStep(false))
    const whole = await bomb(256 * MIB)
    t.ok(whole.length < 300 * KIB, `${whole.length} bytes on the wire`)
    const cut = (size: number): Uint8Array[] => {
      const parts: Uint8Array[] = []
      for (let at = 0; at < whole.length; at += size) parts.push(whole.subarray(at, at + size))
      return parts
    }
    const cases: Readonly<Record<string, readonly Uint8Array[]>> = {
      'one frame': [compressed(whole)],
      fragments: cut(10 * KIB).map((part, i) => compressed(part, i === 0, false)),
      'small fragments': cut(100).map((part, i) => compressed(part, i === 0, false)),
    }
    for (const [name, frames] of Object.entries(cases)) {
      const end = new DeflateEnd('client', {}, {}, { limits: { maxMessageBytes: LIMIT } })
      let out = 0
      const decode = end.transform.incoming.decode.bind(end.transform.incoming)
      end.transform.incoming.decode = (input, from, to, last, sink) =>
        decode(input, from, to, last, (bytes, start, stop, owned) => {
          out += stop - start
          sink(bytes, start, stop, owned)
        })
      for (const frame of frames) {
        end.receive(frame)
        await end.idle()
        if (end.events.length > 0) break
      }
      t.match(
        end.events,
        [{ type: 'fail', violation: { code: 'WS_MESSAGE_TOO_BIG', closeCode: 1009 } }],
        name,
      )
      t.ok(out > LIMIT && out <= LIMIT + CHUNK, `${name}: ${out} bytes came out`)
      end.close()
    }
    await afterJobs()
  })
}

void test('a bomb across the context, each message below the limit, costs no more than its messages', async t => {
  const end = new DeflateEnd('client', {}, {}, { limits: { maxMessageBytes: LIMIT } })
  t.teardown(() => end.close())
  const zeros = Buffer.alloc(LIMIT - 1)
  let dictionary: Buffer | undefined
  for (let i = 0; i < 20; i++) {
    const options = dictionary === undefined ? {} : { dictionary }
    const payload = deflateRawSync(zeros, { ...options, finishFlush: constants.Z_SYNC_FLUSH }).subarray(0, -4)
    dictionary = zeros.subarray(0, 32 * KIB)
    end.receive(compressed(payload))
    await end.idle()
    t.equal(end.events.length, i + 1)
    end.events[i] = { type: 'ping', data: new Uint8Array(0) }
  }
  t.ok(end.transform.incoming.contextBytes <= 32 * KIB)
})

void test('the memory of a process stays where it is when bombs arrive over sockets', async t => {
  const payload = await bomb(128 * MIB)
  const server = await rawServer(t)
  const sockets: Socket[] = []
  const before = used()
  let most = 0
  for (let i = 0; i < 5; i++) {
    const connecting = connect(server.url, { limits: { maxMessageBytes: LIMIT } })
    const peer = await server.accepted()
    peer.write(acceptance(await peer.head(), ['Sec-WebSocket-Extensions: permessage-deflate']))
    const socket = await connecting
    socket.onMessage = () => t.fail('it was delivered')
    sockets.push(socket)
    const look = setInterval(() => (most = Math.max(most, used())), 1)
    peer.write(compressed(payload))
    await until(() => socket.state === 'closing', 'the socket to give up')
    peer.reset()
    const { error, sent } = await socket.closed
    clearInterval(look)
    t.match(error, { code: 'WS_MESSAGE_TOO_BIG' })
    t.match(sent, { code: 1009 })
  }
  t.ok(most - before < 16 * MIB, `${((most - before) / MIB).toFixed(1)} MiB more at most`)
})

void test('a limit holds for what is declared and for what comes out', async t => {
  const limits = { maxMessageBytes: 1000 }
  const fits = deflateRawSync(Buffer.alloc(1000), { finishFlush: constants.Z_SYNC_FLUSH }).subarray(0, -4)
  const over = deflateRawSync(Buffer.alloc(1001), { finishFlush: constants.Z_SYNC_FLUSH }).subarray(0, -4)
  const end = new DeflateEnd('client', {}, {}, { limits })
  t.teardown(() => end.close())
  end.receive(compressed(fits), compressed(over))
  await end.idle()
  t.match(end.events, [{ type: 'binary', data: { length: 1000 } }, { type: 'fail' }])
  const declared = new DeflateEnd('client', {}, {}, { limits })
  declared.receive(buildFrame({ opcode: TEXT, rsv: 4, declared: 1001n }))
  t.match(
    declared.events,
    [{ type: 'fail', violation: { code: 'WS_MESSAGE_TOO_BIG' } }],
    'from the header alone',
  )
})

void test('nothing more is read while a message is in the thread pool', async t => {
  const payload = deflateRawSync(Buffer.from(Array.from({ length: 4 * MIB }, (_, i) => (i * i) >> 7)), {
    finishFlush: constants.Z_SYNC_FLUSH,
  }).subarray(0, -4)
  const server = await rawServer(t)
  const connecting = connect(server.url)
  const peer = await server.accepted()
  peer.write(acceptance(await peer.head(), ['Sec-WebSocket-Extensions: permessage-deflate']))
  const socket = await connecting
  const lengths: number[] = []
  socket.onMessage = ({ data }) => void lengths.push(data.length)
  for (let i = 0; i < 3; i++) {
    peer.write(compressed(payload))
    peer.write(buildFrame({ opcode: TEXT, payload: 'behind' }))
  }
  // It goes away at once: what it has sent is delivered all the same, the last message in the thread pool included.
  peer.stream.end()
  const { error } = await socket.closed
  t.match(error, { code: 'WS_CONNECTION_LOST' })
  t.same(lengths, [4 * MIB, 6, 4 * MIB, 6, 4 * MIB, 6])
})

void test('compression takes all threads of the pool but one, in order, and what waits can be taken back', async t => {
  const queue = new WorkQueue(2)
  const running: string[] = []
  const releases = new Map<string, () => void>()
  const add = (name: string): (() => void) =>
    queue.add(release => {
      running.push(name)
      releases.set(name, release)
    })
  add('a')
  add('b')
  const takeBack = add('c')
  add('d')
  add('e')
  t.same(running, ['a', 'b'])
  takeBack()
  releases.get('b')!()
  releases.get('b')!()
  t.same(running, ['a', 'b', 'd'], 'one for one, however often it says so')
  releases.get('a')!()
  t.same(running, ['a', 'b', 'd', 'e'])
  t.equal(queue.size, 2)

  let most = 0
  const ends = Array.from({ length: 20 }, () => new DeflateEnd('server'))
  const text = JSON.stringify(Array.from({ length: 10_000 }, (_, i) => i * i))
  for (const { connection } of ends) connection.sendText(text)
  t.equal(zlibWork.size, 20)
  const look = setInterval(() => (most = Math.max(most, zlibWork.size)), 0)
  for (const end of ends.slice(10)) end.close()
  t.equal(zlibWork.size, 10, 'those that had not begun are gone')
  await Promise.all(ends.slice(0, 10).map(end => end.output()))
  clearInterval(look)
  t.equal(zlibWork.size, 0)
  for (const end of ends) end.close()
})

void test('a connection that goes away in the middle of anything leaves nothing and says nothing more', async t => {
  const before = poolUse()
  const faults: unknown[] = []
  const note = (fault: unknown): void => void faults.push(fault)
  process.on('uncaughtException', note).on('unhandledRejection', note)
  t.teardown(() => process.off('uncaughtException', note).off('unhandledRejection', note))
  const large = await bomb(64 * MIB)
  const text = JSON.stringify(Array.from({ length: 20_000 }, (_, i) => i * i))
  for (let round = 0; round < 30; round++) {
    const end = new DeflateEnd('client')
    end.connection.sendText(text)
    end.connection.sendText('behind')
    // In the middle of a fragment, of a job, or of a job that is about to find a fault.
    end.receive(compressed(round % 3 === 0 ? large.subarray(0, 500) : large, true, false))
    if (round % 3 === 2) end.receive(compressed(Buffer.from('ffffffff', 'hex'), false, false))
    for (let i = 0; i < round % 7; i++) await new Promise(resolve => setImmediate(resolve))
    end.close()
  }
  await afterJobs()
  await new Promise(resolve => setTimeout(resolve, 50))
  t.same(faults, [])
  t.same(poolUse(), before)
})

void test('whoever finds no room for an engine works without', async t => {
  const kept = []
  for (
    let engine = keepEngine('deflate', {}, false);
    engine !== null;
    engine = keepEngine('deflate', {}, false)
  )
    kept.push(engine)
  t.ok(poolUse().bytes >= POOL_BYTES && poolUse().bytes < POOL_BYTES + MIB, `${poolUse().bytes} bytes`)
  const [a, b] = [new DeflateEnd('server'), new DeflateEnd('client')]
  for (let i = 0; i < 5; i++) a.connection.sendText(JSON.stringify({ i, text: 'the same for all of them' }))
  b.receive(await a.output())
  await b.idle()
  t.equal(b.events.length, 5)
  t.equal(poolUse().engines, kept.length)
  sweep()
  sweep()
  t.equal(poolUse().engines, 0)
  a.close()
  b.close()
})

void test('a context holds what has come and no more, and nothing where it is not kept', async t => {
  const bytesAfter = async (takeover: boolean, windowBits: number, count: number): Promise<number> => {
    let ready: (() => void) | null = null
    const inflater = new Inflater(windowBits, takeover, () => ready?.())
    const payload = deflateRawSync('0123456789', { finishFlush: constants.Z_SYNC_FLUSH }).subarray(0, -4)
    for (let i = 0; i < count; i++) {
      if (inflater.decode(payload, 0, payload.length, true, () => {})) continue
      await new Promise<void>(resolve => (ready = resolve))
      t.equal(inflater.decoded(), true)
    }
    const { contextBytes } = inflater
    inflater.close()
    t.equal(inflater.contextBytes, 0)
    return contextBytes
  }
  t.equal(await bytesAfter(true, 15, 0), 0)
  t.ok((await bytesAfter(true, 15, 1)) <= 256)
  t.equal(await bytesAfter(true, 15, 10_000), 32 * KIB)
  t.equal(await bytesAfter(true, 12, 10_000), 4 * KIB)
  t.ok((await bytesAfter(false, 15, 10_000)) <= KIB)
  const bad = new Inflater(15, true, () => {})
  t.throws(() => bad.decode(Buffer.from([0xff]), 0, 1, true, () => {}), ProtocolViolation)
  bad.close()
})

void test('a turn of the event loop does so much for peers and no more, and then goes on', async t => {
  for (const pretend of [false, true]) {
    pretendCannotStep(pretend)
    for (const serverNoContextTakeover of [false, true]) {
      const end = new DeflateEnd('client', { serverNoContextTakeover })
      // Each of these ends an engine: seven bytes that cost more than a kilobyte.
      const frame = compressed(Buffer.from([0x03, 0x00, 0x00]))
      const chunk = Buffer.concat(Array.from({ length: 5000 }, () => frame))
      let turns = 0
      const look = setInterval(() => turns++, 0)
      end.receive(chunk)
      const before = end.events.length
      await end.idle()
      clearInterval(look)
      t.equal(end.events.length, 5000)
      if (!serverNoContextTakeover || pretend) t.ok(before < 1000, `${before} in the first turn`)
      end.close()
    }
  }
  pretendCannotStep(false)
})

void test('messages that are begun and never ended take half of the pool, and are gathered beyond it', async t => {
  const begun = compressed(Buffer.from('f248', 'hex'), true, false)
  const ends = Array.from({ length: 600 }, () => new DeflateEnd('client'))
  t.teardown(() => ends.forEach(end => end.close()))
  for (const end of ends) end.receive(begun)
  t.ok(poolUse().bytes < POOL_BYTES / 2 + MIB, `${poolUse().bytes} bytes`)
  t.equal(zlibWork.size, 0)
  for (const end of ends) {
    end.receive(compressed(Buffer.from('cdc9c90700', 'hex'), false, true))
    await end.idle()
    t.same(end.events, [{ type: 'binary', data: Uint8Array.from(Buffer.from('Hello')) }])
  }
})

void test('a connection keeps nothing of a large message that has gone by', async t => {
  const ends = Array.from({ length: 20 }, () => [new DeflateEnd('server'), new DeflateEnd('client')] as const)
  t.teardown(() => ends.flat().forEach(end => end.close()))
  const before = used()
  for (const [a, b] of ends) {
    a.connection.sendBinary(Buffer.from(Array.from({ length: MIB }, (_, i) => (i * i) >> 9)))
    for (const chunk of [await a.output()]) b.receive(chunk)
    await b.idle()
    b.events.length = 0
  }
  await afterJobs()
  const grown = (await usedAtRest()) - before
  t.ok(grown < 12 * MIB, `${(grown / MIB).toFixed(1)} MiB for ${ends.length} pairs`)
})

void test('a queue of messages that is never empty does not grow', async t => {
  const end = new DeflateEnd('server')
  t.teardown(() => end.close())
  const { connection } = end
  const data = Buffer.alloc(20_000, 'abc ')
  const ready = end.transform.onReady!
  let sent = 0
  let done: (() => void) | null = null
  const finished = new Promise<void>(resolve => {
    done = resolve
  })
  // Two behind the one that is being compressed, always: one that is compressed too, and one that is not.
  const send = (): void => {
    while (connection.accepted - connection.encoded < 3 && sent < 4000)
      connection.sendBinary(data, sent++ % 2 === 0)
  }
  end.transform.onReady = () => {
    ready()
    connection.takeOutput()
    if (sent === 4000 && connection.encoded === sent) done?.()
    send()
  }
  const before = await usedAtRest()
  send()
  await finished
  const grown = (await usedAtRest()) - before
  // Half of them were copied to wait: 40 MB, counted twice here.
  t.ok(grown < 20 * MIB, `${(grown / MIB).toFixed(1)} MiB`)
})
