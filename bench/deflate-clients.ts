// Strategy: one small interface for both libraries' clients, so that whatever measures them treats them alike. Each makes its
// own path all the way: a text is given as a string and received as one (`ws` hands out a `Buffer`; its user calls
// `toString()`). Parameters are the same for both: windows of 32 KiB, contexts kept, zlib's own level and memory, no threshold.
import { strictEqual } from 'node:assert'
import { once } from 'node:events'
import { connect } from 'sansocket'
import { withAddOns } from './bench.js'
import type { Ws } from './peers.js'
import { ours } from './report.js'

/** An open connection of one library. */
export interface Client {
  /** Sends a text compressed. */
  readonly send: (text: string) => void
  /** Sends a text as it is. */
  readonly ask: (text: string) => void
  /** Called for each message. */
  onData: (data: string | Uint8Array) => void
  readonly end: () => void
}

/** Opens one. */
export type Open = (url: string) => Promise<Client>

const NAME = 'permessage-deflate'
const COMPRESS = { threshold: 0 } as const
const PLAIN = { compress: false } as const
const noop = (): void => {}

/** Nobody would wait for what cannot come any more: it ends the bench. */
function lost(name: string): never {
  throw new Error(`${name}: the connection was lost`)
}

export const openOurs: Open = async url => {
  let ended = false
  const client: Client = {
    send: text => void socket.write(text),
    ask: text => void socket.write(text, PLAIN),
    onData: noop,
    end() {
      ended = true
      socket.terminate()
    },
  }
  const onMessage = ({ data }: { readonly data: string | Uint8Array }): void => client.onData(data)
  const socket = await connect(url, { compress: COMPRESS, onMessage })
  strictEqual(socket.extensions[0]?.name, NAME)
  void socket.closed.then(() => ended || lost(ours))
  return client
}

export function openTheirs({ WebSocket }: Ws): Open {
  return async url => {
    let ended = false
    const socket = new WebSocket(url, { perMessageDeflate: COMPRESS })
    const client: Client = {
      send: text => socket.send(text),
      ask: text => socket.send(text, PLAIN),
      onData: noop,
      end() {
        ended = true
        socket.terminate()
      },
    }
    socket.on('message', (data, isBinary) => client.onData(isBinary ? data : data.toString()))
    socket.on('close', () => ended || lost(withAddOns))
    await once(socket, 'open')
    strictEqual(socket.extensions, NAME)
    return client
  }
}

/** Everybody's, in the order of the tables. */
export function openers(ws: Ws): ReadonlyMap<string, Open> {
  return new Map([
    [ours, openOurs],
    [withAddOns, openTheirs(ws)],
  ])
}
