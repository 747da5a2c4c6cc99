// Strategy: what every peer that compresses is asked to do, written once. An exchange is a list of steps that both sides work
// through at the same time. What the other side hears is compared as a whole, so an exchange tells of contents and of order;
// what we put on the wire is read by the naive parser of test/support, frame by frame, so it tells of RSV1 and of sizes.
import type { DeflateParameters } from '../../src/extensions/index.js'
import type { ExtensionOffer, Socket } from '../../src/index.js'
import { BINARY, CLOSE, CONTINUATION, type Frame, parseFrames, PING, PONG, TEXT } from '../support/frames.js'
import { turn } from '../support/servers.js'
import { cut, CUT_TEXT, type Data, describe, utf8 } from './conversation.js'

/** What two sides agreed on. */
export type Agreed = {
  readonly [K in keyof DeflateParameters]-?: K extends `${string}Bits` ? number : boolean
}

/** Each way to agree on who keeps a context. */
export const TAKEOVERS: readonly Pick<Agreed, 'serverNoContextTakeover' | 'clientNoContextTakeover'>[] = [
  { serverNoContextTakeover: false, clientNoContextTakeover: false },
  { serverNoContextTakeover: true, clientNoContextTakeover: false },
  { serverNoContextTakeover: false, clientNoContextTakeover: true },
  { serverNoContextTakeover: true, clientNoContextTakeover: true },
]

const sideName = (bits: number, alone: boolean): string => `${bits} bits${alone ? ' without context' : ''}`

/** In words. */
export const nameOf = (agreed: Agreed): string => {
  const server = sideName(agreed.serverMaxWindowBits, agreed.serverNoContextTakeover)
  return `server ${server}, client ${sideName(agreed.clientMaxWindowBits, agreed.clientNoContextTakeover)}`
}

/** What an answer means, null when it accepts nothing. 7.1: what it does not say is 15 bits and a context that is kept. */
export const agreedBy = (extensions: readonly ExtensionOffer[]): Agreed | null => {
  if (extensions.length !== 1 || extensions[0].name !== 'permessage-deflate') return null
  const params = new Map(extensions[0].params)
  return {
    serverNoContextTakeover: params.has('server_no_context_takeover'),
    clientNoContextTakeover: params.has('client_no_context_takeover'),
    serverMaxWindowBits: Number(params.get('server_max_window_bits') ?? 15),
    clientMaxWindowBits: Number(params.get('client_max_window_bits') ?? 15),
  }
}

export type Step =
  | { readonly do: 'send'; readonly data: Data; readonly compress?: boolean }
  /** As fragments, with a ping behind the first; `iterable` is how we send those. */
  | {
      readonly do: 'fragments'
      readonly parts: readonly Uint8Array[]
      readonly text: boolean
      readonly compress?: boolean
      readonly iterable?: boolean
    }
  | { readonly do: 'ping'; readonly data: string }

/** Bytes that no compressor makes shorter, the same for the same seed. */
export const noise = (length: number, seed = 1): Uint8Array => {
  const bytes = new Uint8Array(length)
  let state = seed
  for (let i = 0; i < length; i++) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    bytes[i] = state >>> 24
  }
  return bytes
}

/** Bytes that come again. */
export const again = (bytes: Uint8Array, times: number): Uint8Array => {
  const all = new Uint8Array(bytes.length * times)
  for (let i = 0; i < times; i++) all.set(bytes, i * bytes.length)
  return all
}

const WORDS = Array.from({ length: 256 }, (_, i) => Buffer.from(noise(6, i)).toString('hex'))

/** Words that come again at every distance. */
export const PROSE = Array.from(noise(1200, 9), byte => WORDS[byte]).join(' ')

/** A small message that is like the others. */
export const json = (i: number): string =>
  JSON.stringify({ type: 'quote', id: 7_000 + i, symbol: `ACME-${i % 3}`, bid: 101.25 + i, ask: 101.5 + i })

/** One message. */
export const send = (data: Data, compress?: boolean): Step =>
  compress === undefined ? { do: 'send', data } : { do: 'send', data, compress }

/** Similar messages: each is worth a few bytes to whom remembers the one before. */
export const SIMILAR: readonly Step[] = Array.from({ length: 6 }, (_, i) => send(json(i)))

const KIB = 1024
const LONG_TEXT = 'from the sans-IO core to the socket, and back. '.repeat((300 * KIB) / 47)
const cutText = cut(utf8(CUT_TEXT))
const large = noise(6 * KIB, 3)

/** One of everything. */
export const EXCHANGE: readonly Step[] = [
  ...SIMILAR,
  send(''),
  send('x'),
  { do: 'ping', data: 'one' },
  send(new Uint8Array(0)),
  send(Uint8Array.of(7)),
  send('zero \0, two é, three 你好, four 🌍, and a mark \ufeff'.repeat(5)),
  send(json(2), false),
  send(noise(40 * KIB)),
  { do: 'ping', data: 'two' },
  send(json(3)),
  send(LONG_TEXT),
  { do: 'ping', data: 'three' },
  send('said as it is', false),
  { do: 'fragments', parts: cutText, text: true },
  { do: 'fragments', parts: cutText, text: false, iterable: true },
  { do: 'fragments', parts: [utf8(json(4)), again(large, 3), new Uint8Array(0), large], text: false },
  {
    do: 'fragments',
    parts: [new Uint8Array(0), utf8(json(5)), new Uint8Array(0)],
    text: true,
    iterable: true,
  },
  { do: 'fragments', parts: cutText, text: true, compress: false },
  send(LONG_TEXT.slice(0, 20 * KIB)),
  send(json(6)),
]

/** The same without what is large. */
export const SHORT: readonly Step[] = EXCHANGE.filter(
  step => step.do !== 'send' || step.data.length <= KIB,
).filter(step => step.do !== 'fragments' || Buffer.concat(step.parts).length <= KIB)

/** The same steps, each of which says whether it is compressed. */
export const insisting = (steps: readonly Step[], compress: boolean): Step[] =>
  steps.map(step => (step.do === 'ping' ? step : { ...step, compress }))

/** How many bytes an exchange has. */
export const bytesIn = (steps: readonly Step[]): number =>
  steps.reduce((sum, step) => {
    if (step.do === 'ping') return sum
    return sum + (step.do === 'send' ? utf8(step.data) : Buffer.concat(step.parts)).length
  }, 0)

/** What is heard of an exchange, in order. */
export const heardOf = (steps: readonly Step[]): string[] =>
  steps.flatMap(step => {
    if (step.do === 'ping') return [`ping ${step.data}`]
    if (step.do === 'send') return [describe(step.data)]
    const whole = Buffer.concat(step.parts)
    return ['ping in parts', describe(step.text ? whole.toString() : whole)]
  })

/**
 * What an exchange should be on the wire, when we send it: opcode, RSV and whether more follows.
 *
 * @param byDefault - whether what does not say it is compressed.
 */
export const framesOf = (steps: readonly Step[], byDefault = true): string[] =>
  steps.flatMap(step => {
    if (step.do === 'ping') return [show(PING, 0, true)]
    const rsv = (step.compress ?? byDefault) ? 4 : 0
    if (step.do === 'send') {
      const opcode = typeof step.data === 'string' ? TEXT : BINARY
      // An empty message has nothing to gain.
      return [show(opcode, step.data.length === 0 ? 0 : rsv, true)]
    }
    const { parts, text, iterable = false } = step
    const frames = parts.map((_, i) =>
      show(i > 0 ? CONTINUATION : text ? TEXT : BINARY, i > 0 ? 0 : rsv, !iterable && i === parts.length - 1),
    )
    frames.splice(1, 0, show(PING, 0, true))
    return iterable ? [...frames, show(CONTINUATION, 0, true)] : frames
  })

const show = (opcode: number, rsv: number, fin: boolean): string => `${opcode} rsv ${rsv}${fin ? '' : ' +'}`

/** Frames that a peer has got, in the words of `framesOf`. */
export const shown = (frames: readonly Frame[]): string[] =>
  frames.map(({ opcode, rsv, fin }) => show(opcode, rsv, fin))

/** The frames among the bytes that a peer has got, but for Pongs and the Close. */
export const framesIn = (bytes: readonly Uint8Array[]): Frame[] =>
  parseFrames(bytes).filter(({ opcode }) => opcode !== PONG && opcode !== CLOSE)

/** We work through an exchange. Settles when every ping was answered. */
export const say = async (socket: Socket, steps: readonly Step[]): Promise<void> => {
  const pongs: Promise<number>[] = []
  for (const step of steps) {
    if (step.do === 'ping') pongs.push(socket.ping(step.data))
    else if (step.do === 'send') {
      socket.write(step.data, step.compress === undefined ? {} : { compress: step.compress })
    } else await sayInParts(socket, step, pongs)
  }
  await Promise.all(pongs)
}

const sayInParts = async (
  socket: Socket,
  { parts, text, compress, iterable = false }: Extract<Step, { do: 'fragments' }>,
  pongs: Promise<number>[],
): Promise<void> => {
  const options = compress === undefined ? {} : { compress }
  const between = (): void => void pongs.push(socket.ping('in parts'))
  if (!iterable) {
    for (const [i, part] of parts.entries()) {
      socket.fragment(
        i > 0 ? 'continuation' : text ? 'text' : 'binary',
        part,
        i === parts.length - 1,
        options,
      )
      if (i === 0) between()
    }
    return
  }
  // An iterable of bytes is binary, so a text is made of strings.
  const pieces: readonly Data[] = text ? parts.map(part => Buffer.from(part).toString()) : parts
  const source = async function* (): AsyncGenerator<Data> {
    for (const [i, piece] of pieces.entries()) {
      yield piece
      await turn()
      if (i === 0) between()
    }
  }
  await socket.send(source(), options)
}

/** What one side has heard, in order. */
export class Transcript {
  readonly lines: string[] = []
  #ended = false
  #look: () => void = () => {}

  add(line: string): void {
    this.lines.push(line)
    this.#look()
  }

  /** Nothing will follow. */
  end(): void {
    this.#ended = true
    this.#look()
  }

  /** Settles when there are so many lines, or will not be. */
  until(count: number): Promise<void> {
    return new Promise(resolve => {
      this.#look = () => {
        if (this.#ended || this.lines.length >= count) resolve()
      }
      this.#look()
    })
  }
}

/** Writes down what we hear. */
export const listenTo = (socket: Socket): Transcript => {
  const transcript = new Transcript()
  socket.onMessage = ({ data }) => transcript.add(describe(data))
  socket.onPing = data => transcript.add(`ping ${Buffer.from(data).toString()}`)
  void socket.closed.then(() => transcript.end())
  return transcript
}
