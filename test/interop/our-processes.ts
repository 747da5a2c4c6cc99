// The same paths as our-server.ts, by `sansocket/server`: each client is a process, and how it went is what its behaviour is told.
import { createServer as createHttpServer } from 'node:http'
import { createServer as createHttpsServer } from 'node:https'
import type { Compress } from '../../src/index.js'
import {
  type Accepted,
  attach,
  endpoint,
  listen,
  type ServerBehaviour,
  type ServerOptions,
} from '../../src/server/index.js'
import { serve } from '../support/servers.js'
import { cut, Queue } from './conversation.js'
import type { StartOurServer } from './our-server.js'

type On = ServerBehaviour<Accepted>

/** What becomes of each path. Outcomes go to the queue. */
const routesTo = (outcomes: Queue<object>): Record<string, ReturnType<typeof endpoint>> => {
  const on = (behaviour: On): ReturnType<typeof endpoint> =>
    endpoint<Accepted>({
      init: connection => connection,
      ...behaviour,
      handleDisconnect: status => outcomes.put({ ...status, initiator: status.reason.type }),
      // A process that was stopped is not told of its connection.
      terminate: reason => void (reason.type === 'stop' && outcomes.put(reason)),
    })
  return {
    '/echo': on({ handleFrame: frame => ({ reply: frame }) }),
    '/fragments': on({
      handleFrame: ({ type, data }) => ({
        reply: type === 'text' ? { type, data: data.split('') } : { type, data: cut(data) },
      }),
    }),
    '/ping': on({
      handleConnect: () => ({ reply: { type: 'ping', data: 'are you there?' } }),
      handlePong: payload =>
        new TextDecoder().decode(payload) === 'are you there?' ? { reply: 'the pong is there' } : {},
    }),
    '/head': on({
      handleConnect: (_, { subprotocol, headers }) => {
        const [offered] = (headers['sec-websocket-extensions'] ?? '').split(';')
        return { reply: JSON.stringify({ subprotocol, offered, custom: headers['x-custom'] }) }
      },
    }),
    '/close': on({
      handleConnect: (_, { query }) => {
        const code = query.get('code')
        const given = { code: Number(code), reason: query.get('reason') ?? '' }
        return { reply: { type: 'close', ...(code === null ? {} : given) } }
      },
    }),
    '/terminate': on({ handleFrame: (_frame, _state, self) => self.stop(undefined, { timeoutMs: 0 }) }),
    '/refuse': on({
      handleUpgrade: () => ({ status: 401, headers: { 'WWW-Authenticate': 'Basic realm="interop"' } }),
    }),
  }
}

/** How it is with these options: by a port of its own, or beside an HTTP server. */
const starting =
  (how: 'listen' | 'attach', compress: Compress): StartOurServer =>
  async (t, tls) => {
    const outcomes = new Queue<object>()
    const options: ServerOptions = { subprotocols: ['second', 'third'], compress }
    const routes = routesTo(outcomes)
    const rest = {
      nextOutcome: () => outcomes.next(),
      // The Close goes out, and no answer is waited for.
      dropped: { code: 1000, outcome: { type: 'stop', normal: true } },
      extension: compress === false ? '' : 'permessage-deflate',
    }
    if (how === 'listen') {
      const listener = await listen({ ...options, routes, ...(tls === null ? {} : { tls }) })
      t.teardown(() => listener.close())
      return { url: listener.url, ...rest }
    }
    const http = tls === null ? createHttpServer() : createHttpsServer(tls)
    const server = attach(http, { ...options, routes })
    const port = await serve(t, http)
    t.teardown(() => server.close())
    return { url: `${tls === null ? 'ws' : 'wss'}://127.0.0.1:${port}`, ...rest }
  }

/** By `listen()` of `sansocket/server`. */
export const listeningProcesses = starting('listen', false)

/** By `attach()`. */
export const attachedProcesses = starting('attach', false)

/** Everything that is said is compressed. */
export const compressingProcesses = starting('listen', { threshold: 0 })

/** The same by `attach()`. */
export const compressingAttached = starting('attach', { threshold: 0 })
