// Strategy: a proxy before Redis that a test can make stop forwarding, in both directions and without closing anything, as a
// network does that has lost its way; or close. What was on the way goes on its way later.
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'
import type { Ends } from './redis-server.js'

/** Stands before a port. */
export class SlowProxy {
  readonly port: number
  /** Where it leads to. Those who are connected must be reset to notice. */
  target: number
  readonly #server: Server
  readonly #sockets = new Set<Socket>()
  /** What comes from Redis. */
  readonly #answering = new Set<Socket>()
  /** What comes from Redis for those who have subscribed. */
  readonly #listening = new Set<Socket>()
  #cut = false

  private constructor(server: Server, target: number) {
    this.target = target
    this.#server = server
    this.port = (server.address() as AddressInfo).port
  }

  /** Starts one, which ends with the test. */
  static async before(t: Ends, port: number): Promise<SlowProxy> {
    const server = createServer().listen(0, '127.0.0.1')
    await new Promise(done => server.once('listening', done))
    const proxy = new SlowProxy(server, port)
    server.on('connection', (socket: Socket) =>
      proxy.#join(socket, connect({ port: proxy.target, host: '127.0.0.1' })),
    )
    t.teardown(() => proxy.close())
    return proxy
  }

  /** Forwards nothing from now on. */
  cut(): void {
    this.#cut = true
    for (const socket of this.#sockets) socket.pause()
  }

  /** Forwards what is said to Redis, and no answers: until `reset`, after which clients say again what may not have been heard. */
  hush(): void {
    for (const socket of this.#answering) socket.pause()
  }

  /** Forwards nothing more on the connections there are that listen; without a word to either end. */
  deafen(): void {
    for (const socket of this.#listening) socket.pause()
  }

  /** Forwards again, what was held back first. */
  heal(): void {
    this.#cut = false
    for (const socket of this.#sockets) socket.resume()
  }

  /** Ends all connections; new ones are welcome. */
  reset(): void {
    for (const socket of this.#sockets) socket.destroy()
  }

  async close(): Promise<void> {
    this.reset()
    await new Promise(done => this.#server.close(done))
  }

  #join(a: Socket, b: Socket): void {
    for (const [from, to] of [
      [a, b],
      [b, a],
    ]) {
      this.#sockets.add(from)
      if (from === b) this.#answering.add(from)
      from.on('data', (chunk: Buffer) => {
        if (from === a && /\bsubscribe\b/i.test(chunk.toString('latin1'))) this.#listening.add(b)
        to.write(chunk)
      })
      from.on('error', () => {}).on('end', () => to.end())
      from.on('close', () => {
        this.#sockets.delete(from)
        this.#answering.delete(from)
        to.destroy()
      })
      if (this.#cut) from.pause()
    }
  }
}
