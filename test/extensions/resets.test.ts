// Ten thousand peers that reset in the middle of a compressed message, in both directions; a thousand outside of CI.
import { constants, deflateRawSync } from 'node:zlib'
import { test } from 'tap'
import { poolUse } from '../../src/extensions/engine-pool.js'
import { zlibWork } from '../../src/extensions/work-queue.js'
import { connect } from '../../src/index.js'
import { buildFrame } from '../support/frames.js'
import { leavesNothing } from '../support/servers.js'
import { acceptance, rawServer } from '../support/raw-peer.js'

const COUNT = process.env['CI'] === undefined ? 1000 : 10_000
const AT_ONCE = 4

void test(`${COUNT} peers that reset in the middle of a message leave no engine, no job and no memory behind`, async t => {
  const before = poolUse()
  const half = deflateRawSync(Buffer.alloc(500, 'abc'), { finishFlush: constants.Z_SYNC_FLUSH })
  const large = deflateRawSync(Buffer.alloc(200_000, 'abc'), { finishFlush: constants.Z_SYNC_FLUSH })
  const text = 'x'.repeat(2000)
  const long = 'x'.repeat(50_000)
  const servers = await Promise.all(Array.from({ length: AT_ONCE }, () => rawServer(t)))
  const round = async (server: (typeof servers)[number], i: number): Promise<void> => {
    const connecting = connect(server.url)
    const peer = await server.accepted()
    peer.write(acceptance(await peer.head(), ['Sec-WebSocket-Extensions: permessage-deflate']))
    const socket = await connecting
    // Steps or jobs, in all four combinations.
    socket.write(i % 2 === 0 ? text : long, { compress: true })
    peer.write(buildFrame({ opcode: 2, rsv: 4, fin: false, payload: i % 4 < 2 ? half : large }))
    await new Promise(resolve => setImmediate(resolve))
    peer.reset()
    await socket.closed
  }
  const rounds = async (count: number): Promise<number> => {
    await Promise.all(
      servers.map(async server => {
        for (let i = 0; i < count / AT_ONCE; i++) await round(server, i)
      }),
    )
    while (zlibWork.size > 0) await new Promise(resolve => setImmediate(resolve))
    return process.memoryUsage().rss
  }
  await leavesNothing(t, async () => {
    const warm = await rounds(COUNT / 2)
    const after = await rounds(COUNT / 2)
    t.same(poolUse(), before)
    t.equal(zlibWork.size, 0)
    // An engine each would be 150 MB for every five hundred.
    t.ok(after - warm < 60 * 2 ** 20, `${((after - warm) / 2 ** 20).toFixed(1)} MiB more`)
  })
})
