// Strategy: the neutral end of one open connection, client or server: it counts what comes, sends what was built beforehand as fast
// as the socket takes it, answers a Close, and measures how long an echo takes. It reads only where frames end.
import type { Socket } from 'node:net'
import { performance } from 'node:perf_hooks'
import type { Kind } from '../sample.js'
import { closeFrame, fragmented, frames, FrameScanner, type Request, textFrame } from './raw-frames.js'

/** What is written at once: enough that the source is not what is measured. */
const BLOCK_BYTES = 512 * 1024
/** What is not back then will not come. */
const GIVE_UP_MS = 20_000
/** So many different payloads take turns. */
const VARIETY = 32

/** Frames in a row, and where each one ends. */
interface Block {
  readonly bytes: Buffer
  readonly ends: readonly number[]
}

const blocks = new Map<string, Block>()

/** The same for everybody. */
function blockOf(kind: Kind, bytes: number, masked: boolean, fragments: number): Block {
  const name = `${kind} ${bytes} ${masked} ${fragments}`
  let block = blocks.get(name)
  if (block === undefined) {
    const variety = Math.min(VARIETY, Math.max(1, Math.floor(BLOCK_BYTES / bytes)))
    const some =
      fragments > 1 ? [fragmented(kind, bytes, masked, fragments)] : frames(kind, bytes, masked, variety)
    const times = Math.max(1, Math.floor(BLOCK_BYTES / (some[0].length * some.length)))
    const all = Array.from({ length: times }, () => some).flat()
    let at = 0
    block = { bytes: Buffer.concat(all), ends: all.map(({ length }) => (at += length)) }
    blocks.set(name, block)
  }
  return block
}

export class RawPeer {
  readonly socket: Socket
  /** Called with how many messages have come, when nothing else counts them. */
  onMessages: ((count: number) => void) | null = null
  /** Whether this is a client. */
  readonly masks: boolean
  readonly #scanner = new FrameScanner()
  #expected = 0

  /** @param socket - its handshake done. */
  constructor(socket: Socket, masks: boolean) {
    this.socket = socket
    this.masks = masks
    socket.on('data', chunk => this.#take(chunk))
  }

  #take(chunk: Buffer): void {
    const scanner = this.#scanner
    const ended = scanner.scan(chunk, this.#expected === 0 && this.onMessages === null)
    if (scanner.closed) {
      // The server ends the connection, 7.1.1.
      if (!this.masks) this.socket.end(closeFrame(false))
      return
    }
    if (this.#expected > 0) {
      this.#expected -= ended
      if (this.#expected < 0) throw new Error('more messages than were announced')
      if (this.#expected === 0) this.#say('done')
    } else if (this.onMessages !== null) this.onMessages(ended)
    else if (scanner.text?.startsWith('{') === true) this.#do(JSON.parse(scanner.text) as Request)
  }

  #do(request: Request): void {
    if (request.do === 'count') {
      this.#expected = request.messages
      this.#say('ready')
    } else {
      const { kind, bytes, fragments, messages } = request
      this.#give(blockOf(kind, bytes, this.masks, fragments), messages)
    }
  }

  #say(text: string): void {
    this.socket.write(textFrame(text, this.masks))
  }

  #give({ bytes, ends }: Block, messages: number): void {
    let left = messages
    const go = (): void => {
      while (left > 0) {
        const count = Math.min(left, ends.length)
        left -= count
        const part = count === ends.length ? bytes : bytes.subarray(0, ends[count - 1])
        if (!this.socket.write(part) && left > 0) {
          this.socket.once('drain', go)
          return
        }
      }
    }
    go()
  }
}

/** How long echoes took, in microseconds. */
export interface Latency {
  readonly p50: number
  readonly p99: number
  readonly p999: number
}

/** One frame to send again and again. */
export const sample = (kind: Kind, bytes: number, masked: boolean): Buffer =>
  frames(kind, bytes, masked, 1)[0]

/**
 * Messages at a fixed rate, whether or not what went before has been answered: an echo's time counts from when its message was due,
 * so that a contestant that holds up the sender does not hide what it did (coordinated omission).
 */
export async function openLoop(
  peers: readonly RawPeer[],
  message: Buffer,
  { rate, ms, warmUpMs }: { readonly rate: number; readonly ms: number; readonly warmUpMs: number },
): Promise<Latency> {
  const total = Math.ceil((rate * (ms + warmUpMs)) / 1000)
  const skipped = Math.floor((rate * warmUpMs) / 1000)
  const taken = new Float64Array(total)
  const interval = 1000 / rate
  let begun = 0
  let back = 0
  const start = performance.now() + 1
  await new Promise<void>((resolve, reject) => {
    const give = setTimeout(() => reject(new Error('echoes are missing')), ms + warmUpMs + GIVE_UP_MS)
    for (const [index, peer] of peers.entries()) {
      let next = index
      peer.onMessages = count => {
        const now = performance.now()
        for (let i = 0; i < count; i++) {
          taken[next] = now - (start + next * interval)
          next += peers.length
        }
        back += count
        if (back < total) return
        clearTimeout(give)
        resolve()
      }
    }
    const turn = (): void => {
      const now = performance.now()
      for (; begun < total && start + begun * interval <= now; begun++)
        peers[begun % peers.length].socket.write(message)
      if (begun < total) setImmediate(turn)
    }
    turn()
  })
  for (const peer of peers) peer.onMessages = null
  const sorted = taken.subarray(skipped).toSorted()
  const at = (share: number): number => sorted[Math.floor((sorted.length - 1) * share)] * 1000
  return { p50: at(0.5), p99: at(0.99), p999: at(0.999) }
}

/** Messages a second where each connection waits for its echo before it says the next. */
export async function closedLoop(peers: readonly RawPeer[], message: Buffer, ms: number): Promise<number> {
  let back = 0
  let going = true
  let waiting = peers.length
  const start = performance.now()
  await new Promise<void>((resolve, reject) => {
    for (const peer of peers) {
      peer.onMessages = count => {
        // A chunk may end inside of a message.
        if (count === 0) return
        if (count > 1) reject(new Error('more echoes than messages'))
        back++
        if (going) peer.socket.write(message)
        else if (--waiting === 0) resolve()
      }
      peer.socket.write(message)
    }
    setTimeout(() => (going = false), ms)
    setTimeout(() => reject(new Error('echoes are missing')), ms + GIVE_UP_MS).unref()
  })
  const seconds = (performance.now() - start) / 1000
  for (const peer of peers) peer.onMessages = null
  return back / seconds
}
