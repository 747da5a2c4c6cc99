// Strategy: a connection in memory on which a test sees each write as the operating system would, one entry for each
// `_write` or `_writev`, and decides itself when a write is done. It answers the opening handshake of a client.
import { Duplex } from 'node:stream'
import type { Test } from 'tap'
import { connect, type ConnectOptions, type Socket } from '../../src/index.js'
import { concat, type Frame, type FrameSpec, fromPeer, parseFrames, show } from './frames.js'
import { acceptance } from './raw-peer.js'

/** The end of a connection that a `Socket` gets; the test plays network and peer. */
export class MemoryStream extends Duplex {
  /** What each write since the handshake took, in order. */
  writes: Uint8Array[] = []
  /** The client's request, as text. */
  request = ''
  /** While true, writes do not end: the network takes nothing more. */
  held = false
  #open = false
  #finish: (() => void) | null = null

  /** The frames of all writes since the handshake. */
  frames(): Frame[] {
    return parseFrames(this.writes)
  }

  shown(): string[] {
    return show(this.frames())
  }

  /** Frames from the server, in one chunk. */
  deliver(...specs: readonly FrameSpec[]): void {
    this.push(concat(specs.map(spec => fromPeer('client', spec))))
  }

  /** The network goes on. */
  release(): void {
    this.held = false
    const finish = this.#finish
    this.#finish = null
    finish?.()
  }

  override _read(): void {}

  override _write(chunk: Uint8Array, _encoding: string, done: () => void): void {
    this.#take([chunk], done)
  }

  override _writev(chunks: { chunk: Uint8Array }[], done: () => void): void {
    this.#take(
      chunks.map(({ chunk }) => chunk),
      done,
    )
  }

  #take(chunks: readonly Uint8Array[], done: () => void): void {
    const bytes = concat(chunks)
    if (this.#open) {
      this.writes.push(bytes)
    } else {
      this.#open = true
      this.request = Buffer.from(bytes).toString('latin1')
      this.push(acceptance(this.request))
    }
    if (this.held) this.#finish = done
    else done()
  }
}

/** A client, open, on a stream in memory. */
export async function openInMemory(
  t: Test,
  options: ConnectOptions = {},
  stream = new MemoryStream(),
): Promise<{ socket: Socket; stream: MemoryStream }> {
  const socket = await connect('ws://in.memory/', { ...options, createConnection: () => stream })
  t.teardown(() => socket.terminate())
  return { socket, stream }
}
