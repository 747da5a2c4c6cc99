// Strategy: what the tests about reconnecting share: one server in memory, one process that tells what it saw, and a clock
// that the test moves. Links have no latency here, so what takes time is what the process waits for, to the millisecond.
import type { Duplex } from 'node:stream'
import type { Test } from 'tap'
import {
  type Awaitable,
  type Behaviour,
  type ConnectionInfo,
  type DisconnectResult,
  type DisconnectStatus,
  type EndReason,
  type Nothing,
  type Process,
  type Self,
  type Socket,
  start,
  type StartOptions,
  type StartTarget,
} from '../../src/index.js'
import { type VirtualLink, VirtualNetwork, type VirtualServer } from '../../src/testing/index.js'
import { concat, type Frame, parseFrames } from './frames.js'

/** Where the server of a scene is. */
export const PEER = 'ws://peer.test/'

/** For a server that answers nothing, or what a test wants. */
export const MUTE = 'ws://mute.test/'
export const SAFE = 'wss://safe.test/'

/** What `handleDisconnect` of a scene answers. */
export type Answer = (
  status: DisconnectStatus,
  self: Self,
) => Awaitable<DisconnectResult<undefined> | Nothing>

/** A server, a process, and what happened. */
export class Scene {
  readonly network = new VirtualNetwork()
  readonly server: VirtualServer
  /** The server's ends, in order. */
  readonly sockets: Socket[] = []
  readonly connections: ConnectionInfo[] = []
  readonly statuses: DisconnectStatus[] = []
  readonly ends: EndReason[] = []
  readonly #t: Test
  /** What the process wrote, link by link. */
  readonly #sent: Uint8Array[][] = []

  /** @param raw - is given the server's end of each link, instead of a server that speaks the protocol. */
  constructor(t: Test, raw?: (stream: Duplex, link: VirtualLink) => void) {
    this.#t = t
    this.server =
      raw === undefined
        ? this.network.listen(PEER, socket => this.sockets.push(socket))
        : this.network.listenRaw(PEER, raw)
    this.server.onLink = link => {
      const chunks: Uint8Array[] = []
      this.#sent.push(chunks)
      link.onTaken = (bytes, direction) => {
        if (direction === 'to-server') chunks.push(bytes)
      }
    }
    t.teardown(() => this.network.close())
  }

  /** Starts the process. @param more - callbacks besides those that take notes. */
  async start(
    options: StartOptions = {},
    answer: Answer = () => {},
    target: StartTarget = PEER,
    more: Behaviour<undefined, string, string, string> = {},
  ): Promise<Process<undefined, string, string, string>> {
    const behaviour: Behaviour<undefined, string, string, string> = {
      ...more,
      handleConnect: (connection, state, self) => {
        this.connections.push(connection)
        return more.handleConnect?.(connection, state, self)
      },
      handleDisconnect: (status, _state, self) => {
        this.statuses.push(status)
        return answer(status, self)
      },
      terminate: reason => {
        this.ends.push(reason)
      },
    }
    const process = await this.network.run(
      start(target, behaviour, { ...this.network.startOptions, ...options }),
    )
    // Its end is looked at, if not by everybody.
    void process.ended
    this.#t.teardown(() => process.stop(undefined, { timeoutMs: 0 }))
    return process
  }

  /** Another server, which answers the first bytes with this, or ends for null; and ends when the client does. */
  listenRaw(url: string, said: string | null): void {
    this.network.listenRaw(url, stream => {
      stream.on('error', () => {}).on('end', () => stream.destroy())
      stream.once('data', () => (said === null ? stream.end() : stream.write(said)))
    })
  }

  /** When the server was called, in milliseconds of the clock. */
  get times(): number[] {
    return this.server.attempts.map(({ atMs }) => atMs)
  }

  /** The times between them. */
  get gaps(): number[] {
    const { times } = this
    return times.slice(1).map((time, i) => time - times[i])
  }

  /** The head of each request, as text. */
  get requests(): string[] {
    return this.#sent.map(chunks => Buffer.concat(chunks).toString('latin1').split('\r\n\r\n')[0])
  }

  /** What the process sent on a link behind its request, 0 for the first link. @throws Error when it ends inside a frame. */
  framesOf(link: number): Frame[] {
    const bytes = concat(this.#sent[link])
    return parseFrames(bytes.subarray(Buffer.from(bytes).indexOf('\r\n\r\n') + 4))
  }

  /** Moves on until the server was called so often in all. */
  async calls(count: number): Promise<void> {
    await this.network.runUntil(() => this.server.attempts.length >= count)
    await this.network.settle()
  }

  /** Moves on until the process has opened so many connections in all. */
  opens(count: number): Promise<void> {
    return this.network.runUntil(() => this.connections.length >= count && this.sockets.length >= count)
  }

  /** Ends all links, those that nothing gets through too. */
  async cut(): Promise<void> {
    for (const link of this.server.links) link.reset()
    await this.network.settle()
  }

  /** Ends the process, if it has not ended, and looks whether anything is left. */
  async over(process: Pick<Process, 'stop'>): Promise<EndReason> {
    const reason = await this.network.run(process.stop())
    this.empty()
    return reason
  }

  /** Everything has ended once, and nothing is left. */
  empty(): void {
    this.#t.equal(this.ends.length, 1, 'terminate was called once')
    this.#t.same(this.network.leaks(), [], 'nothing is left')
  }
}

/** When pings went out, and misses were counted, from now on. */
export function pingsSeen(process: Pick<Process, 'debug'>): {
  readonly pings: number[]
  readonly misses: number[][]
} {
  const seen = { pings: [] as number[], misses: [] as number[][] }
  process.debug.subscribe(({ event, at }) => {
    if (event.type === 'keepalive-ping') seen.pings.push(at)
    if (event.type === 'keepalive-miss') seen.misses.push([at, event.missed])
  })
  return seen
}
