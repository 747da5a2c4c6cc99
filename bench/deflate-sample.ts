// Strategy: what the compression benches send and receive, from a fixed seed, by code that shares nothing with the library.
// Messages are JSON of exactly the wished length, each different, as like each other as messages of one application are.
// What is received was compressed beforehand in cycles: one persistent zlib stream for the messages of a cycle, so that
// they refer to those before. A cycle begins with a fresh stream, which refers to nothing and ends on a whole byte, so a
// receiver that keeps its window can be given the same cycle for ever.
import { constants, createDeflateRaw, createInflateRaw, type DeflateRaw, type InflateRaw } from 'node:zlib'
import { frame, seeded } from './sample.js'

/** How one payload size is measured. */
export interface Shape {
  readonly size: number
  /** Messages that are sent in one tick, and that the sink acknowledges together. */
  readonly batch: number
  /** Batches that may be on their way. */
  readonly window: number
  /** Messages of a cycle: so many batches, and several times zlib's window. */
  readonly count: number
  /** How many times as long as asked for a slot is: it has to hold many messages, and to outlast its beginning and end. */
  readonly slots: number
}

export const shapes: readonly Shape[] = [
  { size: 143, batch: 100, window: 4, count: 2000, slots: 4 },
  { size: 1024, batch: 100, window: 4, count: 500, slots: 4 },
  { size: 64 * 1024, batch: 4, window: 3, count: 32, slots: 8 },
  { size: 1024 * 1024, batch: 1, window: 3, count: 4, slots: 16 },
]

/** RFC 7692, 7.2.1: what is taken from the end of each message. */
export const trailer = Buffer.from([0x00, 0x00, 0xff, 0xff])

const symbols = ['BTC-USD', 'ETH-EUR', 'SOL-USD', 'XRP-GBP', 'ADA-JPY', 'DOT-USD']
const names = ['Maria Keller', 'Ibrahim Diallo', 'Chen Wei', 'Ana Souza', 'Olu Adeyemi', 'John Smith']
const words =
  'the order was filled in part and waits for the next price of this market late again today'.split(' ')

type Random = () => number

const whole = (random: Random, below: number): number => Math.floor(random() * below)
const oneOf = <T>(list: readonly T[], random: Random): T => list[whole(random, list.length)]
const time = (random: Random): string => new Date(1.7e12 + whole(random, 3e10)).toISOString()

/** An object that is not closed yet, 90 to 130 characters. */
const records: readonly ((random: Random) => string)[] = [
  random =>
    `{"type":"trade","symbol":"${oneOf(symbols, random)}","price":"${(random() * 50000).toFixed(2)}","size":"${random().toFixed(4)}",` +
    `"side":"${random() < 0.5 ? 'buy' : 'sell'}","time":"${time(random)}"`,
  random =>
    `{"type":"presence","user":${whole(random, 1e6)},"name":"${oneOf(names, random)}","online":${random() < 0.7},` +
    `"since":"${time(random)}"`,
  random =>
    `{"type":"reading","sensor":"boiler-${whole(random, 40)}","celsius":${(60 + random() * 30).toFixed(2)},` +
    `"rpm":${whole(random, 3000)},"time":"${time(random)}"`,
]

function prose(length: number, random: Random): string {
  let text = ''
  while (text.length < length) text += `${oneOf(words, random)} `
  return text.slice(0, length)
}

/** A JSON text of exactly `size` bytes, all of them ASCII. At least 143. */
export function json(size: number, random: Random): string {
  const end = ',"note":""}'.length
  let parts: string[] = []
  let length = 0
  const sequence = whole(random, 1e9)
  if (size < 512) parts = [oneOf(records, random)(random)]
  else {
    while (length < size - 300) {
      const record = `${oneOf(records, random)(random)}}`
      length += parts.push(record) > 1 ? record.length + 1 : record.length
    }
    parts = [`{"channel":"updates","sequence":${sequence},"events":[${parts.join(',')}]`]
  }
  // Through bytes, so that it is one flat string and not a tree of parts.
  const note = prose(size - parts[0].length - end, random)
  return Buffer.from(`${parts[0]},"note":"${note}"}`).toString('latin1')
}

/** The messages of one cycle; the same in every process. */
export function messages({ size, count }: Shape): string[] {
  const random = seeded(size)
  return Array.from({ length: count }, () => json(size, random))
}

/** Sizes as applications mix them: mostly small, now and then 64 KiB, rarely 256. */
export function mixedMessages(): string[] {
  const random = seeded(7692)
  const size = (): number => {
    const dice = random()
    if (dice < 0.9) return 143 + whole(random, 1000)
    if (dice < 0.99) return 2048 + whole(random, 14_000)
    return dice < 0.999 ? 64 * 1024 : 256 * 1024
  }
  return Array.from({ length: 2000 }, () => json(size(), random))
}

/** One zlib stream, flushed after each message; calls must wait for each other. */
export class Zlib {
  readonly #stream: DeflateRaw | InflateRaw
  #parts: Buffer[] = []

  constructor(kind: 'deflate' | 'inflate') {
    this.#stream = kind === 'deflate' ? createDeflateRaw() : createInflateRaw()
    this.#stream.on('data', (part: Buffer) => this.#parts.push(part))
  }

  /** What `data` becomes. */
  async convert(data: Uint8Array): Promise<Buffer> {
    this.#stream.write(data)
    await new Promise<void>(resolve => {
      this.#stream.flush(constants.Z_SYNC_FLUSH, resolve)
    })
    return Buffer.concat(this.#parts.splice(0))
  }

  close(): void {
    this.#stream.close()
  }
}

/** The payloads of a cycle that consists of these texts. RFC 7692, 7.2.1. */
export async function compressed(texts: readonly string[]): Promise<Buffer[]> {
  const zlib = new Zlib('deflate')
  const payloads: Buffer[] = []
  for (const text of texts) {
    const bytes = await zlib.convert(Buffer.from(text))
    payloads.push(bytes.subarray(0, bytes.length - trailer.length))
  }
  zlib.close()
  return payloads
}

/** A server's frame with a compressed text: RSV1 is set. RFC 7692, 6.1. */
export function compressedFrame(payload: Buffer): Buffer {
  const bytes = frame('text', payload, false, () => 0)
  bytes[0] |= 0x40
  return bytes
}
