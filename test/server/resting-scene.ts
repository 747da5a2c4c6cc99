// Strategy: a server whose processes rest at every opportunity, in virtual time, and clients that write down what they get.
import type { Test } from 'tap'
import { type Message, connect, type ConnectOptions, type Socket } from '../../src/index.js'
import { type Listener, listen, type ListenOptions, type ServerBehaviour } from '../../src/server/index.js'
import { VirtualClock } from '../../src/testing/index.js'

/** A server, and time. */
export interface Scene {
  readonly clock: VirtualClock
  readonly server: Listener
  /** Lets time pass until all are at rest. */
  readonly rest: () => Promise<void>
}

/** Lets what can happen now happen. */
export const turns = async (n = 5): Promise<void> => {
  for (let i = 0; i < n; i++) await new Promise(resolve => setImmediate(resolve))
}

/** Starts one, which ends with the test. */
export async function scene<State>(
  t: Test,
  behaviour: ServerBehaviour<State>,
  options: ListenOptions = {},
): Promise<Scene> {
  const clock = new VirtualClock()
  const server = await listen({ clock, keepalive: false, restAfterMs: 8, ...options, behaviour })
  t.teardown(() => server.close())
  const rest = async (): Promise<void> => {
    for (let looks = 0; looks < 1000; looks++) {
      await turns()
      if (server.resting === server.processes.size) return
      clock.advance(8)
    }
    throw new Error('never came: rest')
  }
  return { clock, server, rest }
}

/** Connects. */
export async function client(
  t: Test,
  server: Listener,
  options: ConnectOptions = {},
): Promise<{ socket: Socket; got: Message['data'][] }> {
  const got: Message['data'][] = []
  const socket = await connect(server.url, options)
  socket.onMessage = ({ data }) => void got.push(data)
  t.teardown(() => socket.terminate())
  return { socket, got }
}
