// Strategy: a server under attack, over real sockets, with an honest client of the same server that never stops talking: each
// message of it is answered in order, however the others behave. What all of it together holds is measured after a garbage
// collection, at moments that the test chooses. At the end nothing may be left.
import { connect as netConnect } from 'node:net'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import type { Test } from 'tap'
import { connect, type ConnectOptions } from '../../src/index.js'
import { listen, type Listener, type ListenOptions, type ServerBehaviour } from '../../src/server/index.js'
import { RawPeer, upgradeRequest, until } from './raw-peer.js'
import { leavesNothing, turn } from './servers.js'

setFlagsFromString('--expose-gc')
const collect = runInNewContext('gc') as () => void

export const MIB = 1024 * 1024

/** What the other clients do, and what is there for it. */
export interface Attack {
  readonly server: Listener
  /** A raw client that is connected, and gone when the attack is over. */
  readonly peer: () => Promise<RawPeer>
  /** One that has shaken hands. */
  readonly open: (target?: string) => Promise<RawPeer>
  /** Collects garbage, and sees that no more than `bytes` were added since the beginning. Default 16 MiB. */
  readonly bounded: (bytes?: number) => void
  /** The honest client had so many more answers. Default 20. */
  readonly goesOn: (count?: number) => Promise<void>
}

export interface Scene<State, Data> {
  readonly behaviour: ServerBehaviour<State, Data>
  readonly options?: ListenOptions
  /** How the honest client connects. */
  readonly client?: ConnectOptions
}

/** What all behaviours here do with the messages of the honest client. */
export const ECHO: ServerBehaviour<unknown> = { handleFrame: frame => ({ reply: frame }) }

/** Attacks a server that listens for it, and checks that the honest client is unhurt and nothing is left. */
export async function underAttack<State, Data = undefined>(
  t: Test,
  { behaviour, options, client = {} }: Scene<State, Data>,
  attack: (attack: Attack) => Promise<void>,
): Promise<void> {
  await leavesNothing(t, async () => {
    const server = await listen({ ...options, behaviour })
    const peers: RawPeer[] = []
    const peer = async (): Promise<RawPeer> => {
      const stream = netConnect({ host: '127.0.0.1', port: server.port, allowHalfOpen: true })
      const one = new RawPeer(stream, 'server')
      peers.push(one)
      await new Promise<void>((resolve, reject) => {
        stream.once('connect', resolve).once('error', reject)
      })
      return one
    }
    const talk = await talking(server.url, client)
    // What the test before has left is freed over some turns.
    for (let i = 0; i < 3; i++) {
      held()
      await turns(20)
    }
    const before = held()
    try {
      await attack({
        server,
        peer,
        open: async (target = '/') => {
          const one = await peer()
          one.write(upgradeRequest([], target))
          t.match(await one.head(), /^HTTP\/1\.1 101 /)
          return one
        },
        bounded: (bytes = 16 * MIB) => {
          const added = held() - before
          t.ok(added < bytes, `${Math.round(added / 1024)} KiB were added, of ${bytes / 1024}`)
        },
        goesOn: (count = 20) => talk.goesOn(count),
      })
      await talk.goesOn(20)
      t.same(talk.faults, [], 'each message of the honest client was answered, in order')
      for (const one of peers) one.stream.destroy()
      await until(() => server.handshakes === 0, 'no handshake under way')
      await until(() => server.processes.size === 1, 'no process but that of the honest client')
      t.equal(server.statistics().count, 1)
      t.equal(await talk.end(), 1000)
    } finally {
      for (const one of peers) one.stream.destroy()
      await server.close()
      t.equal(server.processes.size, 0)
    }
  })
}

function held(): number {
  // Array buffers are given back after the collection that finds them, at the latest by the next.
  collect()
  collect()
  const { heapUsed, external } = process.memoryUsage()
  // `external` has the array buffers in it.
  return heapUsed + external
}

interface Talk {
  readonly faults: readonly string[]
  goesOn(count: number): Promise<void>
  /** @returns the code with which it was answered. */
  end(): Promise<number | null>
}

/** Says a number, and when it comes back the next. */
async function talking(url: string, options: ConnectOptions): Promise<Talk> {
  const faults: string[] = []
  let sent = 0
  let answered = 0
  let over = false
  const socket = await connect(url, options)
  socket.onMessage = ({ data }) => {
    if (data !== `honest ${answered}`) faults.push(`${String(data)} instead of ${answered}`)
    answered++
    if (!over) socket.write(`honest ${sent++}`)
  }
  socket.write(`honest ${sent++}`)
  return {
    faults,
    goesOn: async count => {
      const goal = answered + count
      await until(() => answered >= goal || socket.state !== 'open', 'the answers of the honest client')
      if (socket.state !== 'open') faults.push('it is closed')
    },
    end: async () => {
      over = true
      await until(() => answered === sent || socket.state !== 'open', 'the last answer')
      const { received } = await socket.close()
      return received?.code ?? null
    },
  }
}

/** Writes as fast as the other end takes it, and not faster; false when it hangs up meanwhile. */
export async function pour(peer: RawPeer, chunk: Uint8Array, times: number): Promise<boolean> {
  const { stream } = peer
  for (let i = 0; i < times; i++) {
    if (stream.destroyed) return false
    if (!stream.write(chunk)) {
      for (let turns = 0; stream.writableNeedDrain && !stream.destroyed; turns++) {
        if (turns > 3000) return false
        await turn()
      }
    }
  }
  return !stream.destroyed
}

/** Some turns of the event loop. */
export async function turns(count: number): Promise<void> {
  for (let i = 0; i < count; i++) await turn()
}
