import { fork } from 'node:child_process'
import { once } from 'node:events'
import t from 'tap'
import { PING, ROLES, TEXT } from '../support/frames.js'
import { openInMemory } from '../support/memory-stream.js'
import { openAs, openServer, rawClient, startListener, until, upgradeRequest } from '../support/raw-peer.js'
import { leavesNothing, turn } from '../support/servers.js'
import type { UncaughtReport } from '../support/uncaught.js'

const KIB = 1024

/** Runs `test/support/uncaught.ts` in a process of its own. */
async function uncaughtReports(): Promise<Record<string, UncaughtReport>> {
  const child = fork(new URL('../support/uncaught.ts', import.meta.url), { silent: true })
  let output = ''
  child.stdout!.on('data', (chunk: Buffer) => (output += chunk.toString()))
  child.stderr!.on('data', (chunk: Buffer) => (output += chunk.toString()))
  const [code] = await once(child, 'close')
  const line = output.trim().split('\n').at(-1) ?? ''
  if (code !== 0 || !line.startsWith('{')) throw new Error(output)
  return JSON.parse(line) as Record<string, UncaughtReport>
}

t.test('an error that a callback throws closes with 1011, and is an uncaught error', async t => {
  const reports = await uncaughtReports()
  t.equal(Object.keys(reports).length, 9)
  for (const [name, { uncaught, got, frames, closed }] of Object.entries(reports)) {
    await t.test(name, t => {
      t.match(uncaught, [/boom$/])
      t.strictSame(frames.slice(-1), ['close 1011 ""'])
      t.strictSame(frames.slice(0, -1), name === 'onPing' ? ['pong ""'] : [])
      t.ok(got.length <= 1, 'the callback is not called again')
      t.ok(closed)
      t.end()
    })
  }
})

t.test('a flood of pings by a peer that never reads costs a bounded amount of memory', async t => {
  for (const role of ROLES) {
    const { socket, peer } = await openAs(role, t)
    let pings = 0
    socket.onPing = () => pings++
    peer.stream.pause()
    const flood = Array.from({ length: 1000 }, () => ({ opcode: PING, payload: 'x'.repeat(125) }))
    let most = 0
    // 127 bytes for each pong: far more than the kernel keeps for one connection.
    for (let round = 0; round < 100; round++) {
      const before = pings
      peer.send(...flood)
      await until(() => pings >= before + 1000, 'the pings are read')
      most = Math.max(most, socket.bufferedAmount)
    }
    t.equal(pings, 100_000)
    t.ok(most < 256 * KIB, `${most} bytes`)
  }
})

t.test(
  'a flood of pings on a stream that takes nothing is answered by at most 32 pongs, the last of them',
  async t => {
    const { socket, stream } = await openInMemory(t)
    stream.held = true
    socket.write(new Uint8Array(100 * KIB))
    await turn()
    for (let i = 0; i < 5000; i++) stream.deliver({ opcode: PING, payload: String(i) })
    await turn()
    t.ok(socket.bufferedAmount < 110 * KIB)
    stream.release()
    await turn()
    const pongs = stream.shown().slice(1)
    t.ok(pongs.length <= 33, `${pongs.length} pongs`)
    t.equal(pongs[0], 'pong "0"')
    t.equal(pongs.at(-1), 'pong "4999"')
  },
)

t.test('garbage of any kind ends the connection, and the process lives', async t => {
  for (const role of ROLES) {
    for (const seed of [1, 2, 3, 4, 5]) {
      await t.test(`${role}, ${seed}`, async t => {
        const { socket, peer } = await openAs(role, t)
        void peer.ended.then(() => peer.stream.end())
        let state = seed
        const bytes = Uint8Array.from(
          { length: 5000 },
          () => (state = (state * 1103515245 + 12345) & 0x7fffffff) >> 16,
        )
        // An opcode that does not exist, should the rest happen to be frames.
        peer.write(bytes)
        peer.stream.write(new Uint8Array(4).fill(0xff), () => peer.stream.end())
        const { wasClean, error } = await socket.closed
        t.equal(wasClean, false)
        t.match(error, { code: /^WS_/ })
      })
    }
  }
})

t.test('a declared length of four gigabytes with ten bytes behind it costs nothing', async t => {
  const { socket, peer } = await openServer(t, { limits: { maxMessageBytes: Infinity } })
  const before = process.memoryUsage().arrayBuffers
  peer.send({ opcode: 0x2, payload: 'ten bytes.', declared: 2n ** 32n })
  for (let turns = 0; turns < 20; turns++) await turn()
  t.equal(socket.state, 'open')
  t.ok(process.memoryUsage().arrayBuffers - before < 1024 * KIB)
})

t.test('a message over the limit is refused by its header', async t => {
  for (const role of ROLES) {
    const { socket, peer } = await openAs(role, t, { limits: { maxMessageBytes: 1000 } })
    peer.send({ opcode: TEXT, payload: 'x', declared: 1001n })
    t.match(await peer.shown(1), [/^close 1009 /])
    peer.stream.end()
    t.match(await socket.closed, { error: { code: 'WS_MESSAGE_TOO_BIG', closeCode: 1009 } })
  }
})

t.test('peers that come and reset in every state leave nothing behind', async t => {
  const listener = await startListener(t, {}, socket => {
    socket.onMessage = ({ data }) => void socket.write(data)
  })
  await leavesNothing(t, async () => {
    const said = ['', 'GET', upgradeRequest(), `${upgradeRequest()}\x81`, 'nonsense\r\n\r\n']
    for (const text of [...said, ...said]) {
      const peer = await rawClient(t, listener.port)
      if (text !== '') peer.write(text)
      for (let turns = 0; turns < 5; turns++) await turn()
      peer.reset()
      await peer.closed
    }
    await until(() => listener.sockets.size === 0, 'all sockets are gone')
  })
})
