// Strategy: what the way out promises of memory and of its own books, whatever the stream underneath is.
import { connect as netConnect, Socket as NetSocket } from 'node:net'
import fc from 'fast-check'
import t from 'tap'
import { AbortError, connect } from '../../src/index.js'
import { InFlight } from '../../src/transport/in-flight.js'
import { listenersOf } from '../support/leaks.js'
import { MemoryStream } from '../support/memory-stream.js'
import { acceptance, openClient, rawServer } from '../support/raw-peer.js'
import { bytesOf } from '../support/frames.js'
import { failure, turn } from '../support/servers.js'

t.test('a batch is told in its order, and its place is given to others', async t => {
  const inFlight = new InFlight()
  const batches = new Map<number, Uint8Array[]>()
  for (let i = 0; i < 10_000; i++) {
    const segments = [new Uint8Array(1)]
    batches.set(i, segments)
    inFlight.push(segments, i + 1, false)
    // One is always in flight.
    if (i > 0 && (inFlight.shift() !== batches.get(i - 1) || inFlight.written !== i)) t.fail('not the oldest')
  }
  t.equal(inFlight.places <= 130, true, 'however many there were')
  t.equal(inFlight.empty, false)
})

t.test('books in flight are those of a plain queue', async t => {
  fc.assert(
    fc.property(fc.array(fc.boolean(), { maxLength: 400 }), pushes => {
      const inFlight = new InFlight()
      const plain: { segments: Uint8Array[]; frames: number }[] = []
      let [frames, written] = [0, 0]
      for (const push of pushes) {
        if (push) {
          const segments: Uint8Array[] = []
          frames++
          plain.push({ segments, frames })
          inFlight.push(segments, frames, false)
        } else {
          const first = plain.shift()
          const shifted = inFlight.shift()
          if (first !== undefined && shifted !== first.segments) return false
          written = first?.frames ?? written
        }
        if (inFlight.written !== written || inFlight.handed !== frames) return false
        if (inFlight.empty !== (plain.length === 0)) return false
      }
      return true
    }),
  )
  t.pass('for any order')
})

t.test('memory is not written to again while a write that somebody put in place holds it', async t => {
  const server = await rawServer(t)
  const late: (() => void)[] = []
  const connecting = connect(server.url, {
    netConnect: options => {
      const socket = netConnect(options)
      socket.once('connect', () => {
        const write = NetSocket.prototype.write.bind(socket) as (...args: unknown[]) => boolean
        socket.write = (...args: unknown[]) => {
          late.push(() => write(...args))
          return true
        }
      })
      return socket
    },
  })
  const peer = await server.accepted()
  await turn()
  for (const go of late.splice(0)) go()
  peer.write(bytesOf(acceptance(await peer.head())))
  const socket = await connecting
  t.teardown(() => socket.terminate())
  for (let i = 0; i < 6; i++) {
    socket.write(`message ${i}`)
    await turn()
  }
  for (const go of late) go()
  const came = (await peer.frames(6)).map(({ payload }) => Buffer.from(payload).toString())
  t.same(
    came,
    [0, 1, 2, 3, 4, 5].map(i => `message ${i}`),
  )
})

t.test('small messages come whole, however fast one follows another', async t => {
  const { socket, peer } = await openClient(t)
  for (let i = 0; i < 500; i++) {
    socket.write(`${i}`.padStart(i % 200, '-'))
    if (i % 3 === 0) await turn()
  }
  const came = (await peer.frames(500)).map(({ payload }) => Buffer.from(payload).toString())
  t.same(
    came,
    Array.from({ length: 500 }, (_, i) => `${i}`.padStart(i % 200, '-')),
  )
})

for (const event of ['end', 'error', 'close', 'data']) {
  t.test(`a listener of the user's to '${event}' may give up while the answer is waited for`, async t => {
    const controller = new AbortController()
    const stream = new (class extends MemoryStream {
      override _write(_chunk: Uint8Array, _encoding: string, done: () => void): void {
        done()
      }
    })()
    stream.on(event, () => controller.abort())
    const failed = failure(
      connect('ws://in.memory/', { createConnection: () => stream, signal: controller.signal }),
    )
    await turn()
    if (event === 'end') stream.push(null)
    else if (event === 'data') stream.push(Buffer.from('HTTP'))
    else stream.destroy(event === 'error' ? new Error('gone') : undefined)
    t.ok((await failed) instanceof AbortError)
    await turn()
    const { data = 0 } = listenersOf(stream)
    t.equal(data, event === 'data' ? 1 : 0, 'but for the listener of the user')
  })
}

t.test('who gives up when told of the answer leaves no listener', async t => {
  const controller = new AbortController()
  const stream = new MemoryStream()
  const failed = failure(
    connect('ws://in.memory/', {
      createConnection: () => stream,
      signal: controller.signal,
      onEvent: ({ type }) => void (type === 'response' && controller.abort()),
    }),
  )
  t.ok((await failed) instanceof AbortError)
  await turn()
  const { data = 0, drain = 0 } = listenersOf(stream)
  t.equal(data + drain, 0)
  t.equal(stream.destroyed, true)
})
