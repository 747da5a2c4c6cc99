// The peers that the suite tests: the library's public API with default options, and nothing clever. They echo with
// backpressure on both sides, as a user's first program would, and compressed where the suite agreed to that.
import { connect, ConnectionError, NotConnectedError, ProtocolViolation, type Socket } from 'sansocket'
import { listen } from 'sansocket/server'
import { makeCertificate } from '../examples/certificate.js'

/** An echo server of ours. */
export interface EchoServer {
  /** Where it listens: `ws:` or `wss:` on the loopback interface. */
  readonly url: string
  close(): Promise<void>
}

/** Whether a connection may end with this: provoking it, and judging our answer, is what the suite is there for. */
function provoked(error: unknown): boolean {
  return (
    error instanceof ProtocolViolation ||
    error instanceof ConnectionError ||
    error instanceof NotConnectedError
  )
}

/** Sends every message back until the connection is gone. */
async function echo(socket: Socket): Promise<void> {
  try {
    for await (const message of socket) await socket.send(message.data, { compress: true })
  } catch (error) {
    if (!provoked(error)) throw error
  }
  await socket.closed
}

/** Connects to the fuzzing server, echoes until the connection is closed. @throws when it never opened. */
export async function echoClient(url: string, signal: AbortSignal): Promise<void> {
  const socket = await connect(url)
  const abort = (): void => socket.terminate()
  signal.addEventListener('abort', abort)
  try {
    await echo(socket)
  } finally {
    signal.removeEventListener('abort', abort)
  }
}

/** Connects to the fuzzing server, returns the texts it sends until it closes. */
export async function ask(url: string, signal: AbortSignal): Promise<readonly string[]> {
  // The fuzzing server writes its reports before it answers.
  const socket = await connect(url, { signal, handshakeTimeoutMs: 120_000 })
  const texts: string[] = []
  for await (const message of socket) if (message.type === 'text') texts.push(message.data)
  await socket.closed
  return texts
}

/** Starts an echo server for the fuzzing client, on a port the system chooses: each of its clients is a process. */
export async function echoServer({ tls }: { readonly tls: boolean }): Promise<EchoServer> {
  const server = await listen({
    ...(tls ? { tls: makeCertificate() } : {}),
    behaviour: { handleFrame: frame => ({ reply: { ...frame, compress: true } }) },
  })
  return { url: server.url, close: () => server.close() }
}
