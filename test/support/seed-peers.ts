// Strategy: what the tests of `test/seeds` talk to. A real server of `ws` on loopback spells out whatever a connection brings,
// one text after the other, so that a test reads like the conversation it is about; stories about time run on a network in
// memory whose clock stands still. Whatever is started here ends with its test.
import { createServer as createHttpServer, type IncomingMessage } from 'node:http'
import { createServer as createHttpsServer } from 'node:https'
import type { TlsOptions } from 'node:tls'
import type { Test } from 'tap'
import { type ServerOptions, type WebSocket, WebSocketServer } from 'ws'
import type { AnyProcess, Message } from '../../src/index.js'
import { VirtualNetwork } from '../../src/testing/index.js'
import { Queue } from '../interop/conversation.js'
import { acceptance, type RawPeer, rawServer } from './raw-peer.js'
import { serve } from './servers.js'

export { Queue } from '../interop/conversation.js'

/** One connection, as a `ws` server has it. */
export class Guest {
  readonly socket: WebSocket
  readonly request: IncomingMessage
  readonly #heard = new Queue<string>()

  constructor(socket: WebSocket, request: IncomingMessage) {
    this.socket = socket
    this.request = request
    const heard = (type: string, data: unknown): void => this.#heard.put(`${type} ${String(data)}`.trimEnd())
    socket.on('error', () => {})
    socket.on('message', (data: Buffer, isBinary) =>
      isBinary ? heard('binary', data.toString('hex')) : heard('text', data),
    )
    socket.on('ping', data => heard('ping', data))
    socket.on('pong', data => heard('pong', data))
    socket.on('close', (code, reason) => heard('close', `${code} ${reason.toString()}`))
  }

  /**
   * The next thing that came: `text hello`, `binary c328`, `ping foo`, `pong`, `close 4000 bye`. An empty Close frame is
   * `close 1005`, an end without one `close 1006`.
   */
  next(): Promise<string> {
    return this.#heard.next()
  }
}

/** A server of `ws`. */
export interface GuestServer {
  readonly url: string
  readonly port: number
  /** The next connection. */
  readonly guest: () => Promise<Guest>
}

/** Starts a server of `ws`; with `tls` it speaks `wss:` as localhost. `greet` is called with each connection at once. */
export async function guestServer(
  t: Test,
  options: ServerOptions & { readonly tls?: TlsOptions; readonly greet?: (guest: Guest) => void } = {},
): Promise<GuestServer> {
  const { tls, greet, ...more } = options
  const http = tls === undefined ? createHttpServer() : createHttpsServer(tls)
  const guests = new Queue<Guest>()
  new WebSocketServer({ server: http, ...more }).on('connection', (socket, request) => {
    const guest = new Guest(socket, request)
    greet?.(guest)
    guests.put(guest)
  })
  const port = await serve(t, http)
  const url = tls === undefined ? `ws://127.0.0.1:${port}/` : `wss://localhost:${port}/`
  return { url, port, guest: () => guests.next() }
}

/** For `greet`: sends everything back. */
export const echo = ({ socket }: Guest): void => {
  socket.on('message', (data, binary) => socket.send(data, { binary }))
}

/** A client, and the server's end of its connection. */
export const meet = async <P extends AnyProcess>(
  t: Test,
  begin: (url: string) => Promise<P>,
): Promise<{ client: P; guest: Guest }> => {
  const server = await guestServer(t)
  const client = running(t, await begin(server.url))
  return { client, guest: await server.guest() }
}

/** A client of a server that leaves every byte to the test. */
export const meetRaw = async <P extends AnyProcess>(
  t: Test,
  begin: (url: string) => Promise<P>,
): Promise<{ client: P; peer: RawPeer }> => {
  const server = await rawServer(t)
  const starting = begin(server.url)
  const peer = await server.accepted()
  peer.write(acceptance(await peer.head()))
  return { client: running(t, await starting), peer }
}

/** A message as `Guest.next` spells it. */
export const spell = ({ type, data }: Message): string =>
  `${type} ${typeof data === 'string' ? data : Buffer.from(data).toString('hex')}`.trimEnd()

/** Ends a process with its test, which so is one that watches it: no warning is printed when it ends abnormally. */
export const running = <P extends AnyProcess>(t: Test, process: P): P => {
  const { ended } = process
  t.teardown(async () => {
    void process.stop(undefined, { timeoutMs: 0 })
    await ended
  })
  return process
}

/** Where servers in memory listen. */
export const MEMORY_URL = 'ws://feed.test/'

/** A network in memory, whose time the test moves. */
export const virtualNetwork = (t: Test): VirtualNetwork => {
  const network = new VirtualNetwork()
  t.teardown(() => network.close())
  return network
}

/** Ends a story in virtual time: the processes stop, and nothing of them is left. */
export const theEnd = async (
  t: Test,
  network: VirtualNetwork,
  ...processes: readonly AnyProcess[]
): Promise<void> => {
  await network.run(Promise.all(processes.map(process => process.stop())))
  // What was sent last may still be on its way.
  await network.advance(1000)
  t.same(network.leaks(), [], 'nothing is left')
}

/** Starts a server in memory. @returns the virtual times at which it is pinged. */
export const pingTimes = (network: VirtualNetwork): number[] => {
  const times: number[] = []
  network.listen(MEMORY_URL, socket => {
    socket.onPing = () => times.push(network.clock.now())
  })
  return times
}
