import { connect, type Frame, listen, type Message, type Socket, start } from 'sansocket'
import { listen as serve } from 'sansocket/server'
import { type Data, type Library, type Load, Messages } from '../library.js'
import { inTurns } from '../payloads.js'

/** What `connect()` and `listen()` give. */
class SocketConnection extends Messages {
  readonly #socket: Socket

  constructor(socket: Socket) {
    super()
    this.#socket = socket
    socket.onMessage = ({ data }: Message) => this.onMessage(data)
  }

  sender(load: Load, count: number): () => void {
    return inTurns(load, count, data => this.#socket.write(data))
  }

  buffered(): number {
    return this.#socket.bufferedAmount
  }

  say(text: string): void {
    this.#socket.write(text)
  }

  close(): Promise<unknown> {
    return this.#socket.close()
  }

  protected send(data: Data): void {
    this.#socket.write(data as string)
  }
}

/** The bare sockets. As in the others, compression is not used. */
export const sansocket = (): Library => ({
  connect: async port => new SocketConnection(await connect(`ws://127.0.0.1:${port}/`, { compress: false })),

  async listen(accept) {
    const { port } = await listen({}, socket => accept(new SocketConnection(socket)))
    return port
  },
})

/** The part of a process that is used. */
interface Process {
  readonly bufferedAmount: number
  write(frame: Frame): boolean
  stop(): unknown
}

/** A process with a behaviour. */
class ProcessConnection extends Messages {
  process!: Process
  #echoes = false

  /** Its `handleFrame`. */
  readonly handle = (frame: Message): { readonly reply: Message } | undefined => {
    if (this.#echoes) return { reply: frame }
    this.onMessage(frame.data)
    return undefined
  }

  sender(load: Load, count: number): () => void {
    return inTurns(load, count, data => this.process.write(data))
  }

  buffered(): number {
    return this.process.bufferedAmount
  }

  say(text: string): void {
    this.process.write(text)
  }

  override echo(): void {
    this.#echoes = true
  }

  close(): Promise<unknown> {
    return Promise.resolve(this.process.stop())
  }

  protected send(data: Data): void {
    this.process.write(data as string)
  }
}

/** The other end does not answer any. */
const NO_PINGS = { compress: false, keepalive: false } as const

/** The behaviours. */
export const behaviours = (): Library => ({
  async connect(port) {
    const connection = new ProcessConnection()
    const behaviour = { init: () => null, handleFrame: (frame: Message) => connection.handle(frame) }
    const process = await start(`ws://127.0.0.1:${port}/`, behaviour, NO_PINGS)
    connection.process = process
    // Its end is expected: nobody need be warned.
    void process.ended
    return connection
  },

  async listen(accept) {
    const server = await serve({
      maxHandshakesPerAddress: 4096,
      keepalive: false,
      behaviour: {
        init: (_, self) => {
          const connection = new ProcessConnection()
          connection.process = self
          accept(connection)
          return { connection }
        },
        handleFrame: (frame, { connection }) => connection.handle(frame),
      },
    })
    return server.port
  },
})
