import { createServer } from 'node:http'
import { connect as connectTcp, type Socket as NetSocket } from 'node:net'
import t, { type Test } from 'tap'
import { attach, type Compress, connect, type Role, type Socket } from '../../src/index.js'
import { serve } from '../support/servers.js'
import { Queue } from './conversation.js'
import {
  type Agreed,
  agreedBy,
  bytesIn,
  EXCHANGE,
  heardOf,
  listenTo,
  nameOf,
  say,
  SHORT,
  type Step,
  TAKEOVERS,
  type Transcript,
} from './compressing.js'
import { findPython, type PythonDeflate, type PythonPeer, startPython } from './python.js'

/** One connection: our end, and how many bytes went each way. */
interface Echo {
  readonly ours: Socket
  readonly heard: Transcript
  readonly stream: NetSocket
  /** What Python read in the answer; null when it wrote it. */
  readonly extensions: Promise<string | null>
}

/** Opens a connection to somebody who sends every message back, a ping behind each. */
type Open = (
  compress: Compress | undefined,
  deflate: PythonDeflate | null,
  count: number,
  fragments: boolean,
) => Promise<Echo>

const asClient =
  (python: PythonPeer): Open =>
  async (compress, deflate, _count, fragments) => {
    const url = await python.serve(deflate)
    const stream = connectTcp({ host: '127.0.0.1', port: Number(new URL(url).port) })
    const path = `/pinging${fragments ? '?fragments=yes' : ''}`
    const ours = await connect(url + path, { compress, createConnection: () => stream })
    return { ours, heard: listenTo(ours), stream, extensions: Promise.resolve(null) }
  }

const asServer =
  (python: PythonPeer, t: Test): Open =>
  async (compress, deflate, count, fragments) => {
    const http = createServer()
    const streams = new Queue<NetSocket>()
    const accepted = new Queue<Pick<Echo, 'ours' | 'heard'>>()
    http.on('connection', (stream: NetSocket) => streams.put(stream))
    attach(http, { compress }, ours => accepted.put({ ours, heard: listenTo(ours) }))
    const port = await serve(t, http)
    const extensions = python.echo(`ws://127.0.0.1:${port}/`, deflate, count, fragments)
    return { ...(await accepted.next()), stream: await streams.next(), extensions }
  }

/** We say the steps, and hear them again. */
const exchange = async (
  t: Test,
  open: Open,
  [compress, deflate]: readonly [Compress | undefined, PythonDeflate | null],
  steps: readonly Step[],
  agreed: Agreed | null,
  fragments: boolean,
): Promise<NetSocket> => {
  const name = agreed === null ? 'nothing' : nameOf(agreed)
  const messages = heardOf(steps).filter(line => !line.startsWith('ping '))
  const expected = messages.flatMap((line, i) => [line, `ping ${i}`])
  const { ours, heard, stream, extensions } = await open(compress, deflate, messages.length, fragments)
  t.same(agreedBy(ours.extensions), agreed, name)
  await say(ours, steps)
  await heard.until(expected.length)
  t.same(heard.lines, expected, `we hear everything again: ${name}`)
  t.match(await ours.close(), { wasClean: true, error: null }, name)
  const answer = await extensions
  if (answer !== null) t.equal(answer.split(';')[0], agreed === null ? '' : 'permessage-deflate')
  return stream
}

const range = (from: number): number[] => Array.from({ length: 16 - from }, (_, i) => from + i)

const testCompression = (t: Test, python: PythonPeer, role: Role): void => {
  const opening = (t: Test): Open => (role === 'client' ? asClient(python) : asServer(python, t))
  // zlib cannot compress with a window of 8 bits, so Python does not say that it does; it reads what has one.
  const [server, client] = role === 'client' ? [9, 8] : [8, 9]
  for (const takeover of TAKEOVERS) {
    const contexts = nameOf({ ...takeover, serverMaxWindowBits: 15, clientMaxWindowBits: 15 })
    t.test(
      `our ${role} and Python websockets understand each other with windows of every size: ${contexts}`,
      async t => {
        const open = opening(t)
        const meet = async (serverMaxWindowBits: number, clientMaxWindowBits: number): Promise<void> => {
          const agreed = { ...takeover, serverMaxWindowBits, clientMaxWindowBits }
          const sum = serverMaxWindowBits + clientMaxWindowBits
          const theirs: PythonDeflate = {
            server_no_context_takeover: takeover.serverNoContextTakeover,
            client_no_context_takeover: takeover.clientNoContextTakeover,
            server_max_window_bits: serverMaxWindowBits,
            client_max_window_bits: clientMaxWindowBits,
          }
          const weAsk = sum % 2 === 0
          const wishes = weAsk
            ? ([{ threshold: 0, ...agreed }, {}] as const)
            : ([{ threshold: 0, clientMaxWindowBits: 15 }, theirs] as const)
          const long = [0, 3].includes((serverMaxWindowBits - clientMaxWindowBits + 7) % 7)
          const steps = long ? EXCHANGE : SHORT
          const { bytesRead, bytesWritten } = await exchange(t, open, wishes, steps, agreed, sum % 3 === 0)
          if (long) t.ok(Math.max(bytesRead, bytesWritten) < bytesIn(steps) / 5, 'both sides compress')
        }
        for (const bits of range(server)) await Promise.all(range(client).map(other => meet(bits, other)))
      },
    )
  }
}

const BOTH: Agreed = { ...TAKEOVERS[0], serverMaxWindowBits: 12, clientMaxWindowBits: 12 }

/** What comes of defaults; nothing where one side wants nothing, or cannot do what the other asks for. */
const testDefaults = (t: Test, python: PythonPeer, role: Role): void => {
  t.test(`our ${role} and Python websockets agree by their defaults, or on nothing`, async t => {
    const open = role === 'client' ? asClient(python) : asServer(python, t)
    // Python's server limits both windows. Its client asks for nothing, and our server limits what it may.
    const agreed = role === 'client' ? BOTH : { ...BOTH, serverMaxWindowBits: 15 }
    const total = bytesIn(EXCHANGE)
    for (const fragments of [false, true]) {
      const both = await exchange(t, open, [true, null], EXCHANGE, agreed, fragments)
      t.ok(Math.max(both.bytesRead, both.bytesWritten) < total / 5)
      const theirs = await exchange(t, open, [undefined, null], EXCHANGE, agreed, fragments)
      t.ok(
        theirs.bytesRead < total / 5 && theirs.bytesWritten > total,
        'only what Python sends is compressed',
      )
    }
    const none = await exchange(t, open, [false, null], EXCHANGE, null, true)
    t.ok(Math.min(none.bytesRead, none.bytesWritten) > total)
  })
}

const python = findPython()
const required = process.env['CI'] === 'true' || process.env['SANSOCKET_REQUIRE_PEERS'] === '1'

if (python === null && !required) {
  t.plan(0, 'no Python with the websockets package here: scripts/ci/python-peers.sh makes one')
} else if (python === null) {
  t.fail('no Python with the websockets package here, and CI needs it: scripts/ci/python-peers.sh makes one')
} else {
  t.comment(`websockets ${python.version}, ${python.command}`)
  const peer = startPython(t, python.command)
  for (const role of ['client', 'server'] as const) {
    testCompression(t, peer, role)
    testDefaults(t, peer, role)
  }

  // zlib does not compress with so small a window, and Python does not look for a way around it.
  t.test('our client makes do when Python websockets cannot compress with a window of 8 bits', async t => {
    const open = asClient(peer)
    const wish = { threshold: 0, serverMaxWindowBits: 8 }
    await exchange(t, open, [wish, null], SHORT, null, false)
    const alternatives = [{ serverMaxWindowBits: 9, clientMaxWindowBits: 8 }]
    const agreed = { ...BOTH, serverMaxWindowBits: 9, clientMaxWindowBits: 8 }
    await exchange(t, open, [{ ...wish, alternatives }, null], EXCHANGE, agreed, true)
  })
}
