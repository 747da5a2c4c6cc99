import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import t from 'tap'
import { Agent, ping, WebSocket } from 'undici'
import { TLS } from './as-client.js'
import { testAsServer } from './as-server.js'
import { type Close, type Data, type Heard, type PeerClient, Queue, type Talk } from './conversation.js'
import {
  attachedProcesses,
  compressingAttached,
  compressingProcesses,
  listeningProcesses,
} from './our-processes.js'
import { attached, listening } from './our-server.js'

/** undici tells of a pong by its diagnostics channel only. */
const pong = (socket: WebSocket, data: string): Promise<void> =>
  new Promise(resolve => {
    const onPong = (message: unknown): void => {
      const { websocket, payload } = message as { websocket: WebSocket; payload: Uint8Array }
      if (websocket !== socket || Buffer.from(payload).toString() !== data) return
      unsubscribe('undici:websocket:pong', onPong)
      resolve()
    }
    subscribe('undici:websocket:pong', onPong)
  })

const client: PeerClient = {
  can: { fragments: false, terminate: false },
  async talk({ url, ca, subprotocols = [], headers = {}, actions }: Talk): Promise<Heard> {
    const dispatcher = new Agent(ca === null ? {} : { connect: { ca } })
    const socket = new WebSocket(url, { protocols: [...subprotocols], headers: { ...headers }, dispatcher })
    socket.binaryType = 'arraybuffer'
    const messages: Data[] = []
    const arrived = new Queue<Data>()
    socket.addEventListener('message', ({ data }: { data: unknown }) => {
      arrived.put(typeof data === 'string' ? data : new Uint8Array(data as ArrayBuffer))
    })
    const closed = new Promise<Close>(resolve => {
      socket.addEventListener('close', ({ code, reason }) => resolve({ code, reason }))
    })
    const refused = await new Promise<number | null>(resolve => {
      socket.addEventListener('open', () => resolve(null))
      socket.addEventListener('error', () => resolve(0))
    })
    let close: Close | null = null
    for (const action of refused === null ? actions : []) {
      if (action.do === 'send') socket.send(action.data)
      if (action.do === 'receive') {
        for (let i = 0; i < action.count; i++) messages.push(await arrived.next())
      }
      if (action.do === 'ping') {
        const answered = pong(socket, action.data)
        ping(socket, Buffer.from(action.data))
        await answered
      }
      if (action.do === 'close') socket.close(action.code, action.reason)
      if (action.do === 'await-close') close = await closed
    }
    await closed
    await dispatcher.close()
    return { refused, subprotocol: socket.protocol, extensions: socket.extensions, messages, close }
  },
}

t.test("undici's WebSocket talks to listen() over TCP", t => testAsServer(t, listening, client, null))
t.test("undici's WebSocket talks to listen() over TLS", t => testAsServer(t, listening, client, TLS))
t.test("undici's WebSocket talks to attach() over TCP", t => testAsServer(t, attached, client, null))
t.test("undici's WebSocket talks to attach() over TLS", t => testAsServer(t, attached, client, TLS))

for (const [name, start, tls] of [
  ['listen() over TCP', listeningProcesses, null],
  ['listen() over TLS', compressingProcesses, TLS],
  ['attach() over TCP', compressingAttached, null],
  ['attach() over TLS', attachedProcesses, TLS],
] as const) {
  t.test(`undici's WebSocket talks to processes of ${name}`, t => testAsServer(t, start, client, tls))
}

t.test("undici's WebSocket sees that it was refused", async t => {
  for (const start of [attached, attachedProcesses]) {
    const { url } = await start(t, null)
    t.match(await client.talk({ url: `${url}/refuse`, ca: null, actions: [] }), { refused: 0 })
  }
})
