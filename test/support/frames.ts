// Strategy: a second reading of RFC 6455, section 5.2, that shares no line with `src`. It is slow, keeps keys as four
// bytes in wire order and lengths as bigint, and can build every frame that the RFC forbids. Tests say in its terms what
// is on the wire, so an encoder and a decoder that share a mistake do not agree with it.
import type { Role } from '../../src/protocol/opcode.js'

export type MaskBytes = readonly [number, number, number, number]

export interface Frame {
  readonly fin: boolean
  /** RSV1 is 4, RSV2 is 2, RSV3 is 1. */
  readonly rsv: number
  readonly opcode: number
  /** The masking key as it stands on the wire; null when the mask bit is 0. */
  readonly mask: MaskBytes | null
  /** Unmasked. */
  readonly payload: Uint8Array
}

export interface FrameSpec {
  readonly opcode: number
  readonly payload?: Uint8Array | string
  readonly fin?: boolean
  readonly rsv?: number
  readonly mask?: MaskBytes | null
  /** How many bytes the extended length takes, instead of as few as possible. */
  readonly lengthBytes?: 0 | 2 | 8
  /** The length that the header claims, instead of the payload's. */
  readonly declared?: bigint
}

export const CONTINUATION = 0x0
export const TEXT = 0x1
export const BINARY = 0x2
export const CLOSE = 0x8
export const PING = 0x9
export const PONG = 0xa

/** The key with which `fromPeer` masks. */
export const PEER_MASK: MaskBytes = [0x37, 0xfa, 0x21, 0x3d]

export const ROLES: readonly Role[] = ['client', 'server']

export function bytesOf(text: string): Uint8Array {
  return new TextEncoder().encode(text)
}

export function concat(parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0))
  let at = 0
  for (const part of parts) {
    whole.set(part, at)
    at += part.length
  }
  return whole
}

/** One frame as bytes. */
export function buildFrame(spec: FrameSpec): Uint8Array {
  const { opcode, fin = true, rsv = 0, mask = null } = spec
  const payload =
    typeof spec.payload === 'string' ? bytesOf(spec.payload) : (spec.payload ?? new Uint8Array(0))
  const length = spec.declared ?? BigInt(payload.length)
  const lengthBytes = spec.lengthBytes ?? (length <= 125n ? 0 : length <= 0xffffn ? 2 : 8)
  const bytes = [(fin ? 0x80 : 0) | (rsv << 4) | opcode]
  const maskBit = mask === null ? 0 : 0x80
  if (lengthBytes === 0) {
    bytes.push(maskBit | Number(length))
  } else {
    bytes.push(maskBit | (lengthBytes === 2 ? 126 : 127))
    for (let i = lengthBytes - 1; i >= 0; i--) bytes.push(Number((length >> BigInt(8 * i)) & 0xffn))
  }
  const head = Uint8Array.from(mask === null ? bytes : [...bytes, ...mask])
  return concat([head, mask === null ? payload : payload.map((byte, i) => byte ^ mask[i % 4])])
}

/** A frame as the peer of `role` has to send it: masked when the peer is a client. */
export function fromPeer(role: Role, spec: FrameSpec): Uint8Array {
  return buildFrame({ mask: role === 'server' ? PEER_MASK : null, ...spec })
}

/** The payload of a Close frame. */
export function closePayload(code: number, reason: Uint8Array | string = ''): Uint8Array {
  return concat([
    Uint8Array.from([code >> 8, code & 0xff]),
    typeof reason === 'string' ? bytesOf(reason) : reason,
  ])
}

/** Reads frames until the bytes are used up. Throws when they end inside one. */
export function parseFrames(bytes: Uint8Array | readonly Uint8Array[]): Frame[] {
  const all = bytes instanceof Uint8Array ? bytes : concat(bytes)
  let at = 0
  const take = (count: number): Uint8Array => {
    if (at + count > all.length) throw new Error(`${count} bytes wanted at ${at} of ${all.length}`)
    at += count
    return all.slice(at - count, at)
  }
  const frames: Frame[] = []
  while (at < all.length) {
    const [first, second] = take(2)
    const short = second & 0x7f
    let length = BigInt(short)
    if (short >= 126) {
      length = 0n
      for (const byte of take(short === 126 ? 2 : 8)) length = length * 256n + BigInt(byte)
      const least = short === 126 ? 126n : 65536n
      if (length < least) throw new Error(`length ${length} is not minimally encoded`)
    }
    const key = second >= 0x80 ? take(4) : null
    const mask: MaskBytes | null = key === null ? null : [key[0], key[1], key[2], key[3]]
    const payload = take(Number(length)).map((byte, i) => (mask === null ? byte : byte ^ mask[i % 4]))
    frames.push({
      fin: (first & 0x80) !== 0,
      rsv: (first & 0x70) >> 4,
      opcode: first & 0x0f,
      mask,
      payload,
    })
  }
  return frames
}

/** Frames in a form that reads well in a failed assertion: `text+ "ab"`, where `+` says that more fragments follow. */
export function show(frames: readonly Frame[]): string[] {
  return frames.map(({ fin, opcode, payload }) => {
    const name = { 0: 'continuation', 1: 'text', 2: 'binary', 8: 'close', 9: 'ping', 10: 'pong' }[opcode]
    const code = opcode === CLOSE && payload.length >= 2 ? `${(payload[0] << 8) | payload[1]} ` : ''
    const rest = code === '' ? payload : payload.subarray(2)
    return `${name ?? opcode}${fin ? '' : '+'} ${code}${JSON.stringify(new TextDecoder('utf-8', { ignoreBOM: true }).decode(rest))}`
  })
}
