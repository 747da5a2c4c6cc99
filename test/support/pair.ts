import { Connection } from '../../src/protocol/connection.js'
import type { ConnectionOptions } from '../../src/protocol/connection-options.js'
import type { ProtocolEvent } from '../../src/protocol/event.js'
import type { Role } from '../../src/protocol/opcode.js'
import { concat, type Frame, parseFrames } from './frames.js'

/** The key of every frame that a client made by `open` sends. */
export const OWN_KEY = 0x7a5b3c1d

/** A connection whose masking keys are known. */
export function open(role: Role, options: ConnectionOptions = {}): Connection {
  return role === 'client'
    ? new Connection('client', { maskKey: () => OWN_KEY, ...options })
    : new Connection('server', options)
}

/** All events there are now. */
export function events(connection: Connection): ProtocolEvent[] {
  const found: ProtocolEvent[] = []
  for (let event = connection.nextEvent(); event !== null; event = connection.nextEvent()) found.push(event)
  return found
}

/** Hands over copies of chunks, as a socket would, and pulls all events after each. */
export function deliver(connection: Connection, ...chunks: readonly Uint8Array[]): ProtocolEvent[] {
  return chunks.flatMap(chunk => {
    connection.receive(chunk.slice())
    return events(connection)
  })
}

/** What the connection wants to write, read by the naive parser. */
export function written(connection: Connection): Frame[] {
  return parseFrames(connection.takeOutput())
}

export interface Pair {
  readonly client: Connection
  readonly server: Connection
  readonly clientEvents: ProtocolEvent[]
  readonly serverEvents: ProtocolEvent[]
  /** Carries bytes to and fro until neither side has any left. */
  exchange(): void
}

/** Carries what one side has written to the other; false when that was nothing. */
function carry(from: Connection, to: Connection, seen: ProtocolEvent[]): boolean {
  const bytes = concat(from.takeOutput())
  if (bytes.length === 0) return false
  seen.push(...deliver(to, bytes))
  return true
}

/** A client and a server joined in memory. */
export function pair(options: { client?: ConnectionOptions; server?: ConnectionOptions } = {}): Pair {
  const client = open('client', options.client)
  const server = open('server', options.server)
  const clientEvents: ProtocolEvent[] = []
  const serverEvents: ProtocolEvent[] = []
  return {
    client,
    server,
    clientEvents,
    serverEvents,
    exchange() {
      for (;;) {
        const there = carry(client, server, serverEvents)
        const back = carry(server, client, clientEvents)
        if (!there && !back) return
      }
    },
  }
}
