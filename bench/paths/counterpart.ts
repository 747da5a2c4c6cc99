// Strategy: the neutral end of all contestants, a process of its own: a server for those that are clients, and clients for those
// that serve. The parent says what to measure; what contestants ask for (`Request`) comes over their own connections.
import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { setTimeout as wait } from 'node:timers/promises'
import type { Kind } from '../sample.js'
import { inParallel } from './in-parallel.js'
import { answerTo, closeFrame, readHead, requestTo } from './raw-frames.js'
import { closedLoop, type Latency, openLoop, RawPeer, sample } from './raw-peer.js'

/** What the parent asks for. */
export type CounterpartTask =
  /** Opens connections to a contestant that serves. */
  | { readonly type: 'join'; readonly port: number; readonly count: number }
  /** Closes all connections to contestants, in either direction. */
  | { readonly type: 'leave' }
  /** Is gone for so long, and there again. */
  | { readonly type: 'vanish'; readonly ms: number }
  /** Messages a second in a closed loop over all that are open. */
  | ({ readonly type: 'saturate'; readonly ms: number } & Echo)
  | ({ readonly type: 'load'; readonly rate: number; readonly ms: number } & Echo)
  /** Opens and closes so many connections, some at a time; answers with milliseconds. */
  | { readonly type: 'knock'; readonly port: number; readonly count: number; readonly width: number }

/** What is echoed. */
export interface Echo {
  readonly kind: Kind
  readonly bytes: number
}

const WARM_UP_MS = 300
const LIFE_MS = 30 * 60_000
const KEY = Buffer.alloc(16, 7).toString('base64')

const peers = new Set<RawPeer>()

function accept(socket: Socket, masks: boolean): RawPeer {
  const peer = new RawPeer(socket, masks)
  peers.add(peer)
  socket.on('close', () => peers.delete(peer))
  return peer
}

const server = createServer({ noDelay: true }, socket => {
  readHead(socket, head => {
    accept(socket, false)
    socket.write(answerTo(head)!)
  })
})

async function join(port: number): Promise<void> {
  const socket = connect({ port, host: '127.0.0.1', noDelay: true })
  await new Promise<void>(resolve => {
    readHead(socket, () => {
      accept(socket, true)
      resolve()
    })
    socket.write(requestTo(port, KEY))
  })
}

async function leave(): Promise<void> {
  const gone = [...peers].map(peer => once(peer.socket, 'close'))
  for (const peer of peers) peer.socket.destroy()
  await Promise.all(gone)
}

/** Opens a connection, closes it with a Close frame, and waits for its end. */
function knock(port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = connect({ port, host: '127.0.0.1', noDelay: true })
    readHead(socket, () => {
      socket.resume()
      socket.on('end', () => socket.end())
      socket.write(closeFrame(true))
    })
    socket.on('error', reject)
    socket.on('close', () => resolve())
    socket.write(requestTo(port, KEY))
  })
}

async function handle(task: CounterpartTask): Promise<number | Latency | null> {
  if (task.type === 'join') {
    for (let i = 0; i < task.count; i++) await join(task.port)
    return null
  }
  if (task.type === 'leave') {
    await leave()
    return null
  }
  if (task.type === 'vanish') {
    const { port } = server.address() as AddressInfo
    const closed = once(server.close(), 'close')
    await leave()
    await closed
    await wait(task.ms)
    await once(server.listen({ port, host: '127.0.0.1', backlog: 4096 }), 'listening')
    return null
  }
  if (task.type === 'knock') return inParallel(task.count, task.width, () => knock(task.port))
  const all = [...peers]
  // All are of one contestant, in one direction.
  const message = sample(task.kind, task.bytes, all[0].masks)
  if (task.type === 'saturate') return closedLoop(all, message, task.ms)
  return openLoop(all, message, { rate: task.rate, ms: task.ms, warmUpMs: WARM_UP_MS })
}

if (process.argv[2] === '--counterpart') {
  setTimeout(() => process.exit(1), LIFE_MS).unref()
  process.once('disconnect', () => process.exit())
  await once(server.listen({ port: 0, host: '127.0.0.1', backlog: 4096 }), 'listening')
  process.on('message', (task: CounterpartTask) => void handle(task).then(answer => process.send!(answer)))
  process.send!((server.address() as AddressInfo).port)
}
