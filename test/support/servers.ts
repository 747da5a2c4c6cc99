import { type AddressInfo, connect, createServer, type Server, Socket } from 'node:net'
import type { Test } from 'tap'

/** Starts a server on an ephemeral port of `host` (or on a unix socket); it ends with the test, and so do its sockets. */
export const serve = async (t: Test, server: Server, host = '127.0.0.1', path?: string): Promise<number> => {
  const sockets = new Set<Socket>()
  server.on('connection', (socket: Socket) => {
    sockets.add(socket)
    socket.on('error', () => {}).on('close', () => sockets.delete(socket))
  })
  t.teardown(async () => {
    for (const socket of sockets) socket.destroy()
    await new Promise(done => server.close(done))
  })
  await new Promise<void>((ready, failed) => {
    server.once('error', failed)
    server.listen(path === undefined ? { host, port: 0 } : { path }, ready)
  })
  return path === undefined ? (server.address() as AddressInfo).port : 0
}

/** A server that accepts, reads, and says nothing. `heard` resolves at the first bytes. */
export const silentServer = (): { server: Server; heard: Promise<Socket> } => {
  const { promise: heard, resolve } = withResolvers<Socket>()
  const server = createServer(socket => socket.on('data', () => resolve(socket)))
  return { server, heard }
}

/** A promise with its ends in hand. */
export const withResolvers = <T>(): { promise: Promise<T>; resolve: (value: T) => void } => {
  let resolve!: (value: T) => void
  const promise = new Promise<T>(done => {
    resolve = done
  })
  return { promise, resolve }
}

/** A socket on its way to nowhere: it never connects and never fails. */
export const deadSocket = (): Socket => new Socket()

/** Stands in for `net.connect`: dead for one address, real for all others. */
export const deadFor =
  (host: string, made: Socket[] = []): typeof connect =>
  (options: unknown) => {
    const socket = (options as { host: string }).host === host ? deadSocket() : connect(options as never)
    made.push(socket)
    return socket
  }

/** What a promise failed with. */
export const failure = async (
  promise: Promise<unknown>,
): Promise<Error & { code?: unknown; phase?: unknown }> => {
  try {
    await promise
  } catch (error) {
    return error as Error
  }
  throw new Error('it did not fail')
}

/** One turn of the event loop: everything that was only waiting for promises has run. */
export const turn = (): Promise<void> => new Promise(done => setImmediate(done))

const countResources = (): Map<string, number> => {
  const counts = new Map<string, number>()
  for (const name of process.getActiveResourcesInfo()) counts.set(name, (counts.get(name) ?? 0) + 1)
  counts.delete('Immediate')
  return counts
}

/** Runs `work` and then checks that no socket, timer or request is left that was not there before. */
export const leavesNothing = async (t: Test, work: () => Promise<unknown>): Promise<void> => {
  // What the test before destroyed may take a few turns to go.
  for (let turns = 0; turns < 50; turns++) await turn()
  const before = countResources()
  const added = (): string[] =>
    [...countResources()].filter(([name, count]) => count > (before.get(name) ?? 0)).map(([name]) => name)
  await work()
  // Sockets close a few turns after they are destroyed, their other ends a few more.
  for (let turns = 0; turns < 10_000 && added().length > 0; turns++) await turn()
  t.same(added(), [], 'nothing is left behind')
}
