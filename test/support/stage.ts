// Strategy: what the tests of the contract's rules share: a server in memory that speaks the real protocol, processes of any
// behaviour, and the frames that a client put on the wire, read by `frames.ts` and so by nothing of `src`. Time stands still
// unless the test moves it. Tests that end a process on purpose see in `over` that nothing of it is left; whatever a callback
// throws and nobody catches would fail the test that runs, as the runner listens for it.
import type { Test } from 'tap'
import {
  type AnyProcess,
  type Behaviour,
  type EndReason,
  type Process,
  type Socket,
  start,
  type StartOptions,
} from '../../src/index.js'
import {
  type VirtualLink,
  type VirtualListenOptions,
  VirtualNetwork,
  type VirtualNetworkOptions,
  type VirtualServer,
} from '../../src/testing/index.js'
import { concat, type Frame, parseFrames, show } from './frames.js'

/** Where the server of a stage is. */
export const STAGE = 'ws://stage.test/'

/** What a stage may be like. */
export interface StageOptions extends VirtualNetworkOptions {
  /** Called with the server's end of each connection. */
  readonly onConnection?: (socket: Socket, link: VirtualLink) => unknown
  /** How the server accepts. */
  readonly accept?: VirtualListenOptions
}

/** A server in memory, and what it was told. */
export class Stage {
  readonly network: VirtualNetwork
  readonly server: VirtualServer
  /** The server's ends of all connections, in order. */
  readonly sockets: Socket[] = []
  readonly links: VirtualLink[] = []
  readonly #bytes: Uint8Array[][] = []

  constructor(t: Test, { onConnection, accept, ...options }: StageOptions = {}) {
    this.network = new VirtualNetwork(options)
    this.server = this.network.listen(
      STAGE,
      (socket, _request, link) => {
        this.sockets.push(socket)
        socket.onMessage ??= () => {}
        return onConnection?.(socket, link)
      },
      accept,
    )
    this.server.onLink = link => {
      const chunks: Uint8Array[] = []
      this.links.push(link)
      this.#bytes.push(chunks)
      link.onDelivered = (bytes, direction) => {
        if (direction === 'to-server') chunks.push(bytes)
      }
    }
    t.teardown(() => this.network.close())
  }

  /** The server's end of the youngest connection. */
  get socket(): Socket {
    return this.sockets.at(-1)!
  }

  /** All frames that came over the connection `at`, by default the youngest, as `show` spells them. */
  heard(at = -1): string[] {
    return show(this.frames(at))
  }

  /** All frames that came over the connection `at`, by default the youngest. */
  frames(at = -1): Frame[] {
    const bytes = Buffer.from(concat(this.#bytes.at(at) ?? []))
    const head = bytes.indexOf('\r\n\r\n')
    return head < 0 ? [] : parseFrames(wholeFrames(bytes.subarray(head + 4)))
  }

  /** Starts a process, and moves the time until that is done. */
  start<State, Cast = never, Call = never, Answer = never, Info = unknown, Args = undefined>(
    behaviour: Behaviour<State, Cast, Call, Answer, Info, Args>,
    options: StartOptions<Args> = {},
  ): Promise<Process<State, Cast, Call, Answer, Info>> {
    const starting = this.starting(behaviour, options)
    // Somebody looks at its end, so an abnormal one is not printed.
    return this.network.run(starting.then(process => (void process.ended, process)))
  }

  /** Starts a process; the time stands still. */
  starting<State, Cast = never, Call = never, Answer = never, Info = unknown, Args = undefined>(
    behaviour: Behaviour<State, Cast, Call, Answer, Info, Args>,
    options: StartOptions<Args> = {},
  ): Promise<Process<State, Cast, Call, Answer, Info>> {
    return start(STAGE, behaviour, { ...this.network.startOptions, ...options })
  }

  /** Waits for the ends of processes that end by themselves. Nothing is left then. */
  async ended(t: Test, process: AnyProcess): Promise<EndReason> {
    const reason = await this.network.run(process.ended)
    await this.empty(t)
    return reason
  }

  /** Stops processes. Nothing is left then. */
  async over(t: Test, ...processes: readonly AnyProcess[]): Promise<void> {
    await this.network.run(Promise.all(processes.map(process => process.stop())))
    await this.empty(t)
  }

  /** Nothing is left: no connection, no attempt, no timer. */
  async empty(t: Test): Promise<void> {
    // The last FIN may be on its way.
    await this.network.advance(100)
    t.same(this.network.leaks(), [], 'nothing is left')
  }
}

/** All frames but one that is cut at the end. */
function wholeFrames(bytes: Uint8Array): Uint8Array {
  let at = 0
  for (;;) {
    const length = frameLength(bytes.subarray(at))
    if (length === null) return bytes.subarray(0, at)
    at += length
  }
}

function frameLength(bytes: Uint8Array): number | null {
  if (bytes.length < 2) return null
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const short = bytes[1] & 0x7f
  const head = 2 + (short === 126 ? 2 : short === 127 ? 8 : 0) + (bytes[1] >= 0x80 ? 4 : 0)
  if (bytes.length < head) return null
  const length = short === 126 ? view.getUint16(2) : short === 127 ? Number(view.getBigUint64(2)) : short
  return bytes.length < head + length ? null : head + length
}

/** A promise that a test settles, and whether it was waited for. */
export interface Gate {
  readonly opened: Promise<void>
  open(): void
}

/** Something to wait for. */
export function gate(): Gate {
  let open!: () => void
  const opened = new Promise<void>(resolve => {
    open = resolve
  })
  return { opened, open }
}
