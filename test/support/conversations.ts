// Strategy: a conversation is generated as messages, cut into fragments, with control frames in between, and written as
// bytes by the naive builder. What must come out follows from the messages, so nothing here asks `src` what is right.
import fc from 'fast-check'
import type { ProtocolEvent } from '../../src/protocol/event.js'
import type { Role } from '../../src/protocol/opcode.js'
import {
  BINARY,
  buildFrame,
  bytesOf,
  CLOSE,
  closePayload,
  concat,
  CONTINUATION,
  type MaskBytes,
  PING,
  PONG,
  TEXT,
} from './frames.js'
import { cutAt } from './split.js'

interface Control {
  readonly opcode: number
  readonly payload: Uint8Array
}
interface Part {
  readonly data: Uint8Array
  /** Sent before the part's frame. */
  readonly controls: readonly Control[]
  readonly mask: MaskBytes
}
export interface Conversation {
  readonly messages: readonly { readonly text: boolean; readonly parts: readonly Part[] }[]
  readonly close: { readonly code: number; readonly reason: string } | null
}

export const role = fc.constantFrom<Role>('client', 'server')
export const octet = fc.nat(255)
const mask = fc.oneof(fc.tuple(octet, octet, octet, octet), fc.constant<MaskBytes>([0, 0, 0, 0]))
export const control = fc.record<Control>({
  opcode: fc.constantFrom(PING, PONG),
  payload: fc.oneof(fc.uint8Array({ maxLength: 125 }), fc.constant(new Uint8Array(125))),
})
const controls = fc.oneof(
  { weight: 4, arbitrary: fc.constant([]) },
  { weight: 1, arbitrary: fc.array(control, { maxLength: 3 }) },
)
export const anyText = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 40 }),
  fc.string({ maxLength: 200 }),
  fc
    .tuple(fc.string({ unit: 'grapheme', minLength: 1, maxLength: 5 }), fc.nat(300))
    .map(([s, n]) => s.repeat(n)),
)
/** Bytes of which the length is near a boundary of the format or of a way through the code. */
const anyBytes = fc.oneof(
  { weight: 6, arbitrary: fc.uint8Array({ maxLength: 130 }) },
  {
    weight: 2,
    arbitrary: fc
      .tuple(fc.constantFrom(16, 64, 125, 512, 576, 4096, 16_384), fc.integer({ min: -2, max: 2 }), octet)
      .map(([length, more, byte]) => Uint8Array.from({ length: length + more }, (_, i) => byte + i * 7)),
  },
  {
    weight: 1,
    arbitrary: fc
      .tuple(fc.constantFrom(65_535, 65_536, 70_000), octet)
      .map(([length, byte]) => Uint8Array.from({ length }, (_, i) => byte + i * 7)),
  },
)
const message = fc
  .tuple(
    fc.oneof(
      anyText.map(text => ({ text: true, data: bytesOf(text) })),
      anyBytes.map(data => ({ text: false, data })),
    ),
    fc.oneof(
      { weight: 2, arbitrary: fc.constant([]) },
      { weight: 1, arbitrary: fc.array(fc.nat(), { maxLength: 4 }) },
    ),
    fc.array(fc.tuple(controls, mask), { minLength: 5, maxLength: 5 }),
  )
  .map(([{ text, data }, cuts, extras]) => ({
    text,
    parts: cutAt(
      data,
      cuts.map(cut => cut % (data.length + 1)),
    ).map((part, i) => ({ data: part, controls: extras[i][0], mask: extras[i][1] })),
  }))
export const conversation: fc.Arbitrary<Conversation> = fc.record({
  messages: fc.array(message, { maxLength: 6 }),
  close: fc.option(
    fc.record({ code: fc.constantFrom(1000, 1001, 1011, 3000, 4999), reason: fc.string({ maxLength: 30 }) }),
  ),
})
export const cuts = fc.array(fc.nat(400_000), { maxLength: 12 })

/** The conversation as the peer of `receiver` writes it. */
export function bytesFor(receiver: Role, { messages, close }: Conversation): Uint8Array {
  const frames: Uint8Array[] = []
  const add = (opcode: number, payload: Uint8Array, fin: boolean, key: MaskBytes): void => {
    frames.push(buildFrame({ opcode, payload, fin, mask: receiver === 'server' ? key : null }))
  }
  for (const { text, parts } of messages) {
    for (const [i, part] of parts.entries()) {
      for (const { opcode, payload } of part.controls) add(opcode, payload, true, part.mask)
      add(i > 0 ? CONTINUATION : text ? TEXT : BINARY, part.data, i === parts.length - 1, part.mask)
    }
  }
  if (close !== null) add(CLOSE, closePayload(close.code, close.reason), true, [1, 2, 3, 4])
  return concat(frames)
}

/** What the receiver has to see. */
export function expectedOf({ messages, close }: Conversation): string[] {
  const found: string[] = []
  for (const { text, parts } of messages) {
    for (const { opcode, payload } of parts.flatMap(part => part.controls)) {
      found.push(`${opcode === PING ? 'ping' : 'pong'} ${Buffer.from(payload).toString('hex')}`)
    }
    const data = Buffer.concat(parts.map(part => part.data))
    found.push(text ? `text ${data.toString()}` : `binary ${data.toString('hex')}`)
  }
  if (close !== null) found.push(`close ${close.code} ${close.reason}`)
  return found
}

export function describe(event: ProtocolEvent): string {
  if (event.type === 'close') return `close ${event.frame.code} ${event.frame.reason}`
  if (event.type === 'fail') return `fail ${event.violation.code} ${event.violation.closeCode}`
  return `${event.type} ${typeof event.data === 'string' ? event.data : Buffer.from(event.data).toString('hex')}`
}
