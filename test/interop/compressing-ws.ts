// A connection between `ws` and us, with both of its ends in hand, and what `ws` does with the steps of compressing.ts.
import { createServer as createHttpServer } from 'node:http'
import { createServer as createHttpsServer } from 'node:https'
import type { Duplex } from 'node:stream'
import type { Test } from 'tap'
import { type PerMessageDeflateOptions, WebSocket, WebSocketServer } from 'ws'
import {
  type Compress,
  connect,
  listen,
  type Role,
  type Socket,
  type SocketOutcome,
} from '../../src/index.js'
import { serve, withResolvers } from '../support/servers.js'
import { describe, Queue, type Tls } from './conversation.js'
import {
  type Agreed,
  framesIn,
  heardOf,
  listenTo,
  say,
  shown,
  type Step,
  TAKEOVERS,
  Transcript,
} from './compressing.js'

/** What is agreed on where nobody asks for anything. */
export const PLAIN: Agreed = { ...TAKEOVERS[0], serverMaxWindowBits: 15, clientMaxWindowBits: 15 }

/** Compresses whatever is sent. */
export const ALL = { threshold: 0 }

export const ROLES = ['client', 'server'] as const

/** One connection, both ends. */
export interface Ends {
  readonly ours: Socket
  readonly heard: Transcript
  readonly ws: WebSocket
  readonly wsHeard: Transcript
  readonly wsPongs: string[]
  /** What `ws` has got from us since the handshake. */
  readonly received: Uint8Array[]
  /** How much `ws` has sent since the handshake. */
  sent(): number
  /** We close with 1000, and everything of this connection ends. */
  close(): Promise<SocketOutcome>
}

/** Opens a connection in which we have the role. */
export type Open = (compress: Compress | undefined, perMessageDeflate: WsDeflate) => Promise<Ends>
export type WsDeflate = boolean | PerMessageDeflateOptions

/** The end that `ws` has, at the moment its handshake is done. */
interface WsEnd extends Pick<Ends, 'ws' | 'wsHeard' | 'wsPongs' | 'received' | 'sent'> {}

const observe = (ws: WebSocket, stream: Duplex & { readonly bytesWritten?: number }): WsEnd => {
  const received: Uint8Array[] = []
  // Before `ws` does: it unmasks in place.
  stream.prependListener('data', (chunk: Buffer) => received.push(Uint8Array.from(chunk)))
  const before = stream.bytesWritten ?? 0
  const wsHeard = new Transcript()
  const wsPongs: string[] = []
  ws.on('message', (data: Buffer, isBinary) => wsHeard.add(describe(isBinary ? data : data.toString())))
  ws.on('ping', data => wsHeard.add(`ping ${data.toString()}`))
  ws.on('pong', data => wsPongs.push(data.toString()))
  ws.on('error', error => wsHeard.add(String(error)))
  ws.on('close', () => wsHeard.end())
  return { ws, wsHeard, wsPongs, received, sent: () => (stream.bytesWritten ?? 0) - before }
}

/** Our `connect()` and a ws server. */
const asClient = async (t: Test, tls: Tls | null): Promise<Open> => {
  const expected = new Map<string, { perMessageDeflate: WsDeflate; take: (end: WsEnd) => void }>()
  const http = tls === null ? createHttpServer() : createHttpsServer(tls)
  http.on('upgrade', (request, stream, head) => {
    const { perMessageDeflate, take } = expected.get(request.url!)!
    const server = new WebSocketServer({ noServer: true, perMessageDeflate })
    server.handleUpgrade(request, stream, head, ws => take(observe(ws, stream)))
  })
  const port = await serve(t, http)
  let opened = 0
  return async (compress, perMessageDeflate) => {
    const path = `/${opened++}`
    const { promise, resolve: take } = withResolvers<WsEnd>()
    expected.set(path, { perMessageDeflate, take })
    const options = tls === null ? {} : { tls: { ca: tls.ca } }
    const url = `${tls === null ? 'ws' : 'wss'}://127.0.0.1:${port}${path}`
    const ours = await connect(url, { compress, ...options })
    return { ours, heard: listenTo(ours), ...(await promise), close: () => ours.close() }
  }
}

/** Our `listen()` and a ws client. */
const asServer =
  (t: Test, tls: Tls | null): Open =>
  async (compress, perMessageDeflate) => {
    const accepted = new Queue<Pick<Ends, 'ours' | 'heard'>>()
    const listener = await listen({ compress, ...(tls === null ? {} : { tls }) }, ours =>
      accepted.put({ ours, heard: listenTo(ours) }),
    )
    t.teardown(() => listener.close())
    const ws = new WebSocket(listener.url, { perMessageDeflate, ...(tls === null ? {} : { ca: tls.ca }) })
    const end = await new Promise<WsEnd>((resolve, reject) => {
      ws.once('upgrade', ({ socket }) => resolve(observe(ws, socket)))
      ws.once('error', reject)
    })
    const { ours, heard } = await accepted.next()
    const close = async (): Promise<SocketOutcome> => {
      const outcome = await ours.close()
      await listener.close()
      return outcome
    }
    return { ours, heard, ...end, close }
  }

export const openAs = async (role: Role, t: Test, tls: Tls | null = null): Promise<Open> =>
  role === 'client' ? asClient(t, tls) : asServer(t, tls)

/** `ws` works through an exchange. */
export const wsSay = (ws: WebSocket, steps: readonly Step[]): void => {
  for (const step of steps) {
    if (step.do === 'ping') ws.ping(step.data)
    else if (step.do === 'send') ws.send(step.data, { compress: step.compress ?? true })
    else {
      const { parts, text, compress = true } = step
      for (const [i, part] of parts.entries()) {
        ws.send(part, { binary: !text, compress, fin: i === parts.length - 1 })
        if (i === 0) ws.ping('in parts')
      }
    }
  }
}

/** Both sides say the steps, and hear them in order. @returns the sizes of our frames, and how much ws has sent. */
export const exchange = async (
  t: Test,
  ends: Ends,
  steps: readonly Step[],
  frames: readonly string[],
  name: string,
): Promise<{ readonly sizes: readonly number[]; readonly sent: number }> => {
  const { heard, wsHeard } = ends
  const expected = heardOf(steps)
  t.equal(ends.ws.extensions, ends.ours.extensions.map(({ name }) => name).join(), name)
  wsSay(ends.ws, steps)
  const said = say(ends.ours, steps)
  await Promise.all([heard.until(expected.length), wsHeard.until(expected.length)])
  t.same(heard.lines, expected, `we hear everything: ${name}`)
  t.same(wsHeard.lines, expected, `ws hears everything: ${name}`)
  await said
  const sent = ends.sent()
  t.match(await ends.close(), { wasClean: true, error: null })
  t.equal(ends.wsPongs.at(-1), steps.some(step => step.do !== 'send') ? 'in parts' : undefined)
  const got = framesIn(ends.received)
  t.same(shown(got), frames, `on the wire: ${name}`)
  return { sizes: got.map(({ payload }) => payload.length), sent }
}
