// Compression as a process sees it: frames that say whether they are compressed, messages prepared for many, and what happens
// to a frame that is being compressed when the connection is lost.
import t from 'tap'
import {
  type Frame,
  InvalidFrameError,
  type Message,
  PreparedMessage,
  type Socket,
  start,
} from '../../src/index.js'
import { VirtualNetwork } from '../../src/testing/index.js'

const FEED = 'ws://feed.test/'
const WORDS = 'the same words again and again, '.repeat(50)

/** What came out of the network at the server's end, in bytes, between two calls. */
function meter(network: VirtualNetwork, server: ReturnType<VirtualNetwork['listen']>): () => Promise<number> {
  let before = 0
  return async () => {
    await network.settle()
    const now = server.link.delivered('to-server')
    const bytes = now - before
    before = now
    return bytes
  }
}

t.test('a frame says whether it is compressed, else the option does', async t => {
  for (const [compress, undecided] of [
    ['receive', false],
    [true, true],
    [{ threshold: 10_000 }, false],
  ] as const) {
    const network = new VirtualNetwork()
    const got: unknown[] = []
    const server = network.listen(FEED, socket => {
      socket.onMessage = ({ data }) => void got.push(data)
    })
    const feed = await network.run(start(FEED, {}, { ...network.startOptions, compress }))
    const bytes = meter(network, server)
    await bytes()
    const small = async (frame: Frame): Promise<boolean> => {
      feed.write(frame)
      return (await bytes()) < WORDS.length / 2
    }
    t.equal(await small({ type: 'text', data: WORDS }), undecided)
    t.equal(await small({ type: 'text', data: WORDS, compress: true }), true)
    t.equal(await small({ type: 'binary', data: Buffer.from(WORDS), compress: true }), true)
    t.equal(await small({ type: 'text', data: WORDS, compress: false }), false)
    t.equal(await small({ type: 'text', data: [WORDS, WORDS], compress: true }), true)
    t.equal(await small(new PreparedMessage(WORDS, { compress: true })), true)
    t.equal(await small({ type: 'fragment', kind: 'text', data: WORDS, compress: true }), true)
    t.equal(await small({ type: 'finish', data: WORDS }), true)
    t.same(got, [
      WORDS,
      WORDS,
      Uint8Array.from(Buffer.from(WORDS)),
      WORDS,
      WORDS + WORDS,
      WORDS,
      WORDS + WORDS,
    ])
    await network.run(feed.stop())
    await network.run(server.close())
  }
})

t.test('what is no wish is refused', async t => {
  const network = new VirtualNetwork()
  network.listen(FEED, () => {})
  const feed = await network.run(start(FEED, {}, network.startOptions))
  t.throws(() => feed.write({ type: 'text', data: 'x', compress: 'yes' as never }), InvalidFrameError)
  await network.run(feed.stop())
})

t.test('frames that wait for one that is being compressed keep their order, Close and Ping too', async t => {
  const network = new VirtualNetwork()
  const got: string[] = []
  let peer: Socket | undefined
  const server = network.listen(FEED, socket => {
    peer = socket
    socket.onMessage = ({ data }: Message) => void got.push(`message ${data.length}`)
    socket.onPing = () => void got.push('ping')
    socket.onClosing = ({ code }) => void got.push(`close ${code}`)
  })
  const feed = await network.run(start(FEED, {}, { ...network.startOptions, compress: true }))
  const large = JSON.stringify(Array.from({ length: 30_000 }, (_, i) => i * i))
  feed.write(large)
  feed.write('behind')
  feed.write({ type: 'ping' })
  feed.write(large.slice(1))
  t.ok(feed.bufferedAmount >= 2 * large.length, 'what waits counts')
  feed.write({ type: 'close', code: 4000 })
  t.equal(peer?.state, 'open')
  const reason = await network.run(feed.ended)
  t.match(reason, { type: 'local', code: 4000, unsent: [] })
  t.same(got, [`message ${large.length}`, 'message 6', 'ping', `message ${large.length - 1}`, 'close 4000'])
  await network.run(server.close())
})

t.test(
  'what was being compressed when the connection was lost is handed back, with what waited behind it',
  async t => {
    const network = new VirtualNetwork()
    const server = network.listen(FEED, () => {})
    const feed = await network.run(start(FEED, {}, { ...network.startOptions, compress: true }))
    const large = JSON.stringify(Array.from({ length: 30_000 }, (_, i) => i * i))
    feed.write('before')
    await network.settle()
    const sending = feed.send(large)
    feed.write('behind')
    server.link.reset()
    const { unsent } = await network.run(feed.ended)
    t.same(
      unsent.map(frame => (frame as { data: unknown }).data),
      [large, 'behind'],
    )
    await t.rejects(sending)
  },
)
