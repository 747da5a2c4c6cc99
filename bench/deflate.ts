// Strategy: compressed messages end to end: from the user's string through the library's own client and a loopback socket, or
// the other way. On the other side is a raw TCP server in another process (deflate-peer.ts), which is the same for both and
// does next to nothing: it sends what was compressed beforehand, or counts frames. A slot ends when the last of its messages
// has arrived; a bounded number of them is on its way, handed over a batch per tick. Nothing is timed before zlib has decoded
// what each library sent, and each library what zlib compressed.
//
// `ws` works on every message in libuv's thread pool; `sansocket` on small ones at once and on large ones there. With
// `--cpu`, those threads are counted and the peer is not. What zlib itself takes, without any socket, is shown beside.
import { strictEqual } from 'node:assert'
import { constants, createDeflateRaw, createInflateRaw } from 'node:zlib'
import type { Bench, Context, Group } from './bench.js'
import { withAddOns } from './bench.js'
import { type Client, type Open, openers } from './deflate-clients.js'
import { type Peer, startPeer } from './deflate-peer.js'
import { compressed, messages, type Shape, shapes, trailer } from './deflate-sample.js'
import { type Contestant, measure } from './measure.js'
import { type Cell, cellOf } from './report.js'
import { deflateTargets, sizeName } from './targets.js'

type Direction = 'send' | 'receive'

const groups: Readonly<Record<Direction, string>> = {
  send: 'send: JSON texts, compressed',
  receive: 'receive: JSON texts, compressed',
}

/** Settles after so many messages, each of which `take` has looked at. */
function received(client: Client, count: number, take: (data: string, index: number) => void): Promise<void> {
  return new Promise((resolve, reject) => {
    let seen = 0
    client.onData = data => {
      try {
        take(data as string, seen)
      } catch (error) {
        reject(error instanceof Error ? error : new Error(String(error)))
      }
      if (++seen === count) resolve()
    }
  })
}

/** Asks for batches, and counts what has arrived. */
async function receive(client: Client, { size, batch }: Shape, batches: number): Promise<number> {
  let bytes = 0
  const all = received(client, batches * batch, data => void (bytes += data.length))
  client.ask(String(batches))
  await all
  strictEqual(bytes, batches * batch * size)
  return bytes
}

/** Sends batches, each in a tick of its own, with a window of them on their way; the sink acknowledges each. */
function send(client: Client, texts: readonly string[], shape: Shape, batches: number): Promise<number> {
  const { batch, window } = shape
  return new Promise(resolve => {
    let at = 0
    let unsent = batches
    let missing = batches
    let due = false
    const tick = (): void => {
      due = false
      for (let i = 0; i < batch; i++) client.send(texts[at + i])
      at = (at + batch) % texts.length
      unsent--
      more()
    }
    const more = (): void => {
      if (due || unsent === 0 || missing - unsent >= window) return
      due = true
      setImmediate(tick)
    }
    client.onData = () => {
      missing--
      if (missing === 0) resolve(batches)
      else more()
    }
    more()
  })
}

/** Two cycles, so that the end of one and the beginning of the next are seen too. */
async function checkReceived(client: Client, texts: readonly string[], { batch }: Shape): Promise<void> {
  const count = 2 * texts.length
  const all = received(client, count, (data, i) => strictEqual(data === texts[i % texts.length], true))
  client.ask(String(count / batch))
  await all
}

/** Sends one cycle to who can say what it was. @returns the bytes it has become. */
async function checkSent(open: Open, peer: Peer, texts: readonly string[]): Promise<number> {
  const client = await open(`${peer.url}/check`)
  const all = received(client, texts.length, (data, i) => strictEqual(data === texts[i], true))
  for (const text of texts) client.send(text)
  await all
  let bytes = 0
  const one = received(client, 1, data => void (bytes = Number(data)))
  client.ask('how many bytes')
  await one
  client.end()
  return bytes
}

interface Native {
  readonly _writeState: Uint32Array
  readonly _handle: {
    writeSync(
      flush: number,
      input: Uint8Array,
      inputStart: number,
      inputLength: number,
      output: Uint8Array,
      outputStart: number,
      outputLength: number,
    ): void
  }
}

/** What nobody can do without: zlib on this thread, through its native object, from bytes to bytes. */
function zlibAlone(direction: Direction, inputs: readonly Uint8Array[], { batch }: Shape): Contestant {
  const options = { flush: constants.Z_SYNC_FLUSH }
  const stream = direction === 'send' ? createDeflateRaw(options) : createInflateRaw(options)
  const { _handle: native, _writeState: state } = stream as unknown as Native
  const output = Buffer.allocUnsafeSlow(64 * 1024)
  let at = 0
  const convert = (input: Uint8Array): number => {
    let from = 0
    let made = 0
    for (;;) {
      native.writeSync(options.flush, input, from, input.length - from, output, 0, output.length)
      made += output.length - state[0]
      from = input.length - state[1]
      if (state[0] > 0) return made
    }
  }
  return {
    name: '(zlib alone)',
    run(iterations) {
      let sum = 0
      for (let left = iterations * batch; left > 0; left--) {
        sum += convert(inputs[at])
        at = (at + 1) % inputs.length
      }
      return sum | 0
    },
  }
}

/** One cell, and what is to be said about it. */
async function cell(
  context: Context,
  peer: Peer,
  direction: Direction,
  shape: Shape,
): Promise<{ readonly cell: Cell; readonly note: string }> {
  const texts = messages(shape)
  const clients: Client[] = []
  const contestants: Contestant[] = []
  const sizes: string[] = []
  const path = direction === 'send' ? `sink/${shape.batch}` : `source/${shape.size}`
  for (const [name, open] of openers(context.peers.native)) {
    const client = await open(`${peer.url}/${path}`)
    clients.push(client)
    if (direction === 'receive') {
      await checkReceived(client, texts, shape)
      contestants.push({ name, run: iterations => receive(client, shape, iterations) })
    } else {
      const bytes = await checkSent(open, peer, texts)
      sizes.push(`${name} ${((100 * bytes) / (shape.size * shape.count)).toFixed(1)} %`)
      contestants.push({ name, run: iterations => send(client, texts, shape, iterations) })
    }
  }
  const inputs =
    direction === 'send'
      ? texts.map(text => Buffer.from(text))
      : (await compressed(texts)).map(bytes => Buffer.concat([bytes, trailer]))
  contestants.push(zlibAlone(direction, inputs, shape))
  const pace = { ...context.pace, slotMs: context.pace.slotMs * shape.slots }
  // Large messages leave mostly memory outside the heap, which only a full collection sees.
  const collectAll = shape.size >= 64 * 1024
  const timings = await measure({ contestants, operations: shape.batch, collectAll }, pace)
  for (const client of clients) client.end()
  const place = { group: groups[direction], row: 'JSON text', column: sizeName(shape.size) }
  const target = deflateTargets[shape.size] ?? null
  return {
    cell: cellOf({ ...place, headline: withAddOns, target }, timings),
    note: sizes.length === 0 ? '' : `${sizeName(shape.size)} become ${sizes.join(', ')}`,
  }
}

async function group(context: Context, peer: Peer, direction: Direction): Promise<Group | null> {
  const cells: Cell[] = []
  const notes: string[] = []
  for (const shape of shapes) {
    const place = [groups[direction], 'JSON text', sizeName(shape.size)] as const
    if (!context.wanted(...place)) continue
    context.progress(place.join('; '))
    const found = await cell(context, peer, direction, shape)
    cells.push(found.cell)
    if (found.note !== '') notes.push(found.note)
  }
  return cells.length === 0 ? null : { cells, notes, operation: 'message' }
}

export const deflate: Bench = {
  title:
    'deflate: compressed messages (permessage-deflate) from and to a loopback socket, beside those of ws',
  notes: [
    'Windows of 32 KiB and contexts kept in both directions, level and memory as zlib has them, no threshold. The other side is',
    'a raw TCP server in another process. Slots are 4 to 16 times as long as asked for. "(zlib alone)" has no socket, no frames',
    'and no texts: nobody can be faster with one thread.',
  ],
  async *run(context) {
    const peer = await startPeer()
    try {
      for (const direction of ['send', 'receive'] as const) {
        const found = await group(context, peer, direction)
        if (found !== null) yield found
      }
    } finally {
      peer.stop()
    }
  },
}
