// undici offers compression to everybody and understands what is compressed, but never compresses itself.
import { createServer } from 'node:http'
import type { Socket as NetSocket } from 'node:net'
import t, { type Test } from 'tap'
import { Agent, WebSocket } from 'undici'
import { attach, type Compress, PreparedMessage, type Socket } from '../../src/index.js'
import { serve } from '../support/servers.js'
import { type Data, describe, Queue } from './conversation.js'
import {
  type Agreed,
  agreedBy,
  bytesIn,
  EXCHANGE,
  heardOf,
  insisting,
  listenTo,
  nameOf,
  say,
  SHORT,
  SIMILAR,
  type Step,
  TAKEOVERS,
  Transcript,
} from './compressing.js'

/** Both ends of a connection, and how many bytes went each way. */
interface Ends {
  readonly ours: Socket
  readonly heard: Transcript
  readonly stream: NetSocket
  readonly theirs: WebSocket
  readonly theyHeard: Transcript
}

const open = async (t: Test, dispatcher: Agent, compress: Compress | undefined): Promise<Ends> => {
  const http = createServer()
  const streams = new Queue<NetSocket>()
  const accepted = new Queue<Pick<Ends, 'ours' | 'heard'>>()
  http.on('connection', (stream: NetSocket) => streams.put(stream))
  attach(http, { compress }, ours => accepted.put({ ours, heard: listenTo(ours) }))
  const port = await serve(t, http)
  const theirs = new WebSocket(`ws://127.0.0.1:${port}/`, { dispatcher })
  theirs.binaryType = 'arraybuffer'
  const theyHeard = new Transcript()
  theirs.addEventListener('message', ({ data }: { data: unknown }) => {
    theyHeard.add(describe(typeof data === 'string' ? data : new Uint8Array(data as ArrayBuffer)))
  })
  theirs.addEventListener('close', () => theyHeard.end())
  await new Promise<void>(resolve => {
    theirs.addEventListener('open', () => resolve())
    theirs.addEventListener('error', () => resolve())
  })
  return { ...(await accepted.next()), stream: await streams.next(), theirs, theyHeard }
}

const messagesOf = (steps: readonly Step[]): string[] =>
  heardOf(steps).filter(line => !line.startsWith('ping '))

/** We say the steps, undici the whole messages among them. @returns how many bytes went each way. */
const exchange = async (
  t: Test,
  ends: Ends,
  steps: readonly Step[],
  agreed: Agreed | null,
): Promise<NetSocket> => {
  const { ours, heard, stream, theirs, theyHeard } = ends
  const name = agreed === null ? 'nothing' : nameOf(agreed)
  t.same(agreedBy(ours.extensions), agreed, name)
  t.equal(theirs.extensions.split(';')[0], agreed === null ? '' : 'permessage-deflate')
  const whole = steps.filter(step => step.do === 'send')
  for (const { data } of whole) theirs.send(data)
  // It settles when every ping was answered.
  await say(ours, steps)
  const [expected, back] = [messagesOf(steps), messagesOf(whole)]
  await Promise.all([theyHeard.until(expected.length), heard.until(back.length)])
  t.same(theyHeard.lines, expected, `undici hears everything: ${name}`)
  t.same(heard.lines, back, `we hear everything: ${name}`)
  t.match(await ours.close(), { wasClean: true, error: null }, name)
  return stream
}

t.test("undici's WebSocket understands what our server compresses", async t => {
  const dispatcher = new Agent()
  t.teardown(() => dispatcher.close())

  for (const takeover of TAKEOVERS) {
    const contexts = nameOf({ ...takeover, serverMaxWindowBits: 15, clientMaxWindowBits: 15 })
    await t.test(`with windows of every size: ${contexts}`, async t => {
      const meet = async (bits: number): Promise<void> => {
        const agreed = { ...takeover, serverMaxWindowBits: bits, clientMaxWindowBits: 23 - bits }
        const ends = await open(t, dispatcher, { threshold: 0, ...agreed })
        const { bytesWritten } = await exchange(t, ends, EXCHANGE, agreed)
        t.ok(bytesWritten < bytesIn(EXCHANGE) / 5, 'we compress')
      }
      await Promise.all([8, 9, 10, 11, 12, 13, 14, 15].map(meet))
    })
  }

  await t.test('by our defaults, where we are told to, or not at all', async t => {
    const agreed = { ...TAKEOVERS[0], serverMaxWindowBits: 15, clientMaxWindowBits: 12 }
    const total = bytesIn(EXCHANGE)
    const larger = await exchange(t, await open(t, dispatcher, true), EXCHANGE, agreed)
    t.ok(larger.bytesWritten < total / 5, 'what is not small')
    const none = await exchange(t, await open(t, dispatcher, undefined), EXCHANGE, agreed)
    t.ok(none.bytesWritten > total, 'nothing')
    const told = insisting(EXCHANGE, true)
    const all = await exchange(t, await open(t, dispatcher, undefined), told, agreed)
    t.ok(all.bytesWritten < total / 5, 'what is said to be')
    const never = await exchange(t, await open(t, dispatcher, false), told, null)
    t.ok(never.bytesWritten > total, 'nothing, whatever is said')
  })

  await t.test('when it was prepared for many', async t => {
    const agreed = { ...TAKEOVERS[0], serverMaxWindowBits: 10, clientMaxWindowBits: 12 }
    const ends = await open(t, dispatcher, { threshold: 0, serverMaxWindowBits: 10 })
    const data: Data = 'for all of you: '.repeat(200)
    await say(ends.ours, SHORT)
    ends.ours.write(new PreparedMessage(data))
    ends.ours.write(new PreparedMessage(data))
    const expected = [...messagesOf(SHORT), describe(data), describe(data)]
    await ends.theyHeard.until(expected.length)
    t.same(ends.theyHeard.lines.splice(0), expected)
    await exchange(t, ends, SIMILAR, agreed)
  })
})
