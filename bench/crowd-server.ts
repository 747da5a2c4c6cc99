// Strategy: a server that many clients are connected to, in a process of its own, one for each contestant: a bare `node:net` server
// that answers the handshake and nothing else, which is the floor; `ws`; and `sansocket` with a behaviour. The parent asks for
// a measurement at a time. A server ends with its parent, and by itself after some minutes.
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import { performance } from 'node:perf_hooks'
import { setImmediate as turn, setTimeout as wait } from 'node:timers/promises'
import { createRegistry } from 'sansocket/registry'
import { listen } from 'sansocket/server'
import { json } from './deflate-sample.js'
import { collect } from './measure.js'
import { wsServer as startWs, type WsSocket } from './peers.js'
import { frame, seeded } from './sample.js'

/** Who serves. */
export type CrowdServerKind = 'bare' | 'ws' | 'sansocket'

/** What is sent to all. */
export interface Load {
  /** Messages in one tick. */
  readonly messages: number
  readonly bytes: number
  readonly compress: boolean
}

/** How a server is set up. */
export interface CrowdSetup {
  readonly compress?: boolean
  /** Whether the connections are in a group that can be sent to. */
  readonly grouped?: boolean
  /** How often each connection is pinged; by default as the library does. */
  readonly keepaliveMs?: number
}

/** What a server is asked for. */
export type CrowdTask = { readonly type: 'memory' | 'cpu' } | ({ readonly type: 'broadcast' } & Load)

/** Bytes of the JavaScript heap, and of the machine. */
export interface CrowdMemory {
  readonly heap: number
  readonly rss: number
}

interface CrowdServer {
  readonly port: number
  /** Sends to all. Settles when everything was handed over, where that is not when it returns or at the end of the tick. */
  readonly broadcast: (load: Load) => void | Promise<void>
}

const LIFE_MS = 20 * 60_000
const SETTLE_MS = 300
const GUID = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11'
/** Both sides keep their contexts, as when a browser has connected. */
const DEFLATE = { threshold: 0 } as const

async function bareServer(): Promise<CrowdServer> {
  const sockets = new Set<Socket>()
  const server = createServer(socket => {
    let head: string | null = ''
    socket.on('data', chunk => {
      // What comes later is one short message, and is answered by an empty one.
      if (head === null) {
        socket.write(EMPTY_FRAME)
        return
      }
      head += chunk.toString('latin1')
      if (!head.endsWith('\r\n\r\n')) return
      const key = /^sec-websocket-key: (.*)\r$/im.exec(head)![1]
      head = null
      const accept = createHash('sha1')
        .update(key + GUID)
        .digest('base64')
      socket.write(
        `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`,
      )
    })
    socket.on('error', () => {})
    socket.on('close', () => sockets.delete(socket))
    sockets.add(socket)
  })
  await once(server.listen(0, '127.0.0.1'), 'listening')
  return {
    port: (server.address() as AddressInfo).port,
    broadcast({ messages, bytes }) {
      for (let i = 0; i < messages; i++) {
        const shared = frame('text', Buffer.from(text(bytes)), false, Math.random)
        for (const socket of sockets) socket.write(shared)
      }
    },
  }
}

async function wsServer({ compress = false }: CrowdSetup): Promise<CrowdServer> {
  const server = startWs({ host: '127.0.0.1', port: 0, perMessageDeflate: compress && DEFLATE })
  await once(server, 'listening')
  server.on('connection', (socket: WsSocket) => {
    socket.on('error', () => {})
    socket.on('message', () => socket.send(''))
  })
  return {
    port: (server.address() as AddressInfo).port,
    async broadcast({ messages, bytes }) {
      const sent: Promise<void>[] = []
      for (let i = 0; i < messages; i++) {
        const said = text(bytes)
        // Compression is at work for longer than a tick; only there is it worth asking.
        if (compress) {
          for (const socket of server.clients) sent.push(new Promise(done => socket.send(said, () => done())))
        } else for (const socket of server.clients) socket.send(said)
      }
      await Promise.all(sent)
    },
  }
}

async function ourServer({ compress, grouped, keepaliveMs }: CrowdSetup): Promise<CrowdServer> {
  const registry = createRegistry()
  const server = await listen({
    maxHandshakesPerAddress: 4096,
    compress: compress === true && DEFLATE,
    ...(keepaliveMs === undefined ? {} : { keepalive: { intervalMs: keepaliveMs, timeoutMs: keepaliveMs } }),
    behaviour: {
      init: async (_, self) => {
        if (grouped === true) await registry.group.join('all', self)
        return { seen: 0 }
      },
      handleFrame: (_, { seen }) => ({ state: { seen: seen + 1 }, reply: '' }),
    },
  })
  return {
    port: server.port,
    broadcast({ messages, bytes }) {
      for (let i = 0; i < messages; i++) void registry.group.broadcast('all', text(bytes))
    },
  }
}

const EMPTY_FRAME = Buffer.from([0x81, 0])

const random = seeded(1)

/** Another one each time, where it is long enough to be one of those that compression is measured with. */
function text(bytes: number): string {
  return bytes < 143 ? 'x'.repeat(bytes) : json(bytes, random)
}

async function memory(): Promise<CrowdMemory> {
  // More than once: what rests does so within some looks, and finalizers run between.
  for (let i = 0; i < 8; i++) {
    collect()
    await wait(SETTLE_MS)
  }
  const { heapUsed: heap, rss } = process.memoryUsage()
  return { heap, rss }
}

/** Milliseconds of processor time up to now. */
function cpuMs(): number {
  const { user, system } = process.cpuUsage()
  return (user + system) / 1000
}

/** Milliseconds until everything was handed to the operating system. */
async function time(server: CrowdServer, load: Load): Promise<number> {
  collect({ type: 'minor' })
  await turn()
  const start = performance.now()
  const sent = server.broadcast(load)
  await turn()
  await sent
  return performance.now() - start
}

if (process.argv[2] === '--crowd-server') {
  const [, , , kind, settings] = process.argv
  const setup = JSON.parse(settings) as CrowdSetup
  setTimeout(() => process.exit(1), LIFE_MS).unref()
  process.once('disconnect', () => process.exit())
  const server =
    kind === 'bare' ? await bareServer() : kind === 'ws' ? await wsServer(setup) : await ourServer(setup)
  process.on('message', (task: CrowdTask) => {
    if (task.type === 'cpu') process.send!(cpuMs())
    else {
      const found = task.type === 'broadcast' ? time(server, task) : memory()
      void found.then(answer => process.send!(answer))
    }
  })
  process.send!(server.port)
}
