// Messages that are in the thread pool while something else happens to their connection: a pause, the end of the peer's side, a
// flood in the same packet as the handshake.
import { constants, deflateRawSync } from 'node:zlib'
import { test } from 'tap'
import { connect } from '../../src/index.js'
import { buildFrame, CLOSE, parseFrames, TEXT } from '../support/frames.js'
import {
  acceptance,
  fromServer,
  type RawPeer,
  rawClient,
  rawServer,
  startListener,
  until,
  upgradeRequest,
} from '../support/raw-peer.js'
import type { Test } from 'tap'
import { NaiveInflate } from '../support/naive-inflate.js'

const DEFLATE = 'Sec-WebSocket-Extensions: permessage-deflate'
const LARGE = JSON.stringify(Array.from({ length: 40_000 }, (_, i) => i * i))
const large = deflateRawSync(LARGE, { finishFlush: constants.Z_SYNC_FLUSH }).subarray(0, -4)

async function opened(t: Test, options: Parameters<typeof connect>[1] = {}) {
  const server = await rawServer(t)
  const connecting = connect(server.url, options)
  const peer: RawPeer = await server.accepted()
  peer.write(acceptance(await peer.head(), [DEFLATE]))
  return { socket: await connecting, peer }
}

void test('a pause while a message is being read, and its end, lose nothing', async t => {
  const { socket, peer } = await opened(t)
  const got: number[] = []
  socket.onMessage = ({ data }) => void got.push(data.length)
  for (let round = 1; round <= 5; round++) {
    peer.write(fromServer({ opcode: TEXT, rsv: 4, payload: large }))
    peer.write(fromServer({ opcode: TEXT, payload: 'behind' }))
    await new Promise(resolve => setImmediate(resolve))
    socket.pause()
    for (let i = 0; i < 20; i++) await new Promise(resolve => setImmediate(resolve))
    socket.resume()
    await until(() => got.length === 2 * round, 'both messages')
  }
  t.same(
    got,
    Array.from({ length: 10 }, (_, i) => (i % 2 === 0 ? LARGE.length : 6)),
  )
  socket.terminate()
})

void test('what is being compressed when the peer ends its side is still sent, and the Close behind it', async t => {
  const { socket, peer } = await opened(t, { compress: true })
  socket.write(LARGE)
  const sent = socket.send('behind')
  peer.write(fromServer({ opcode: CLOSE, payload: Buffer.from([0x03, 0xe8]) }))
  peer.stream.end()
  await sent
  t.match(await socket.closed, { wasClean: true, error: null })
  const frames = parseFrames(await peer.rest())
  t.same(
    frames.map(({ opcode, rsv }) => [opcode, rsv]),
    [
      [TEXT, 4],
      [TEXT, 0],
      [CLOSE, 0],
    ],
  )
  t.equal(Buffer.from(new NaiveInflate().message(frames[0].payload)).toString(), LARGE)
})

void test('a compressed message in the same packet as the handshake slows its sender down like any other', async t => {
  let delivered = 0
  const listener = await startListener(t, {}, socket => {
    socket.onMessage = ({ data }) => void (delivered += data.length)
  })
  const peer = await rawClient(t, listener.port)
  const frame = buildFrame({ opcode: TEXT, rsv: 4, payload: large, mask: [1, 2, 3, 4] })
  peer.write(Buffer.concat([Buffer.from(upgradeRequest([DEFLATE])), frame]))
  for (let i = 0; i < 30; i++) peer.write(frame)
  await until(() => delivered === 31 * LARGE.length, 'all of them')
  t.equal(delivered, 31 * LARGE.length)
  peer.stream.destroy()
})
