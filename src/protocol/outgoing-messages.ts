// Strategy: what was accepted for sending, on its way into frames. Nearly everything is encoded at once. A message that an
// extension transforms may take its time, and then all that is sent after it waits here in order, control frames too; only
// automatic pongs go past. So the order on the wire is the order of the calls, and `accepted` and `encoded` count both ends:
// whoever wants to know whether a frame has left remembers `accepted` behind it.
//
//   text, bytes, prepared ──▶ transform.encode ──bytes──▶ FrameEncoder
//                                    └──"not yet"──▶ held, with all that follows ──advance()──▶ FrameEncoder
import type { FrameEncoder } from './frame-encoder.js'
import type { OutgoingTransform } from './message-transform.js'
import { Opcode, type Role } from './opcode.js'
import { type FragmentKind, OutgoingFragments } from './outgoing-fragments.js'
import { PreparedMessage } from './prepared-message.js'
import { allocate, copy, EMPTY, utf8Length, view, writeUtf8 } from './runtime.js'
import { UsageError } from './usage-error.js'

/** Texts of up to so many characters are encoded in memory that all connections share. */
const SCRATCH_CHARS = 8 * 1024

/** One thing that waits. */
interface Held {
  readonly opcode: Opcode
  readonly fin: boolean
  readonly data: string | Uint8Array | PreparedMessage
  readonly transformed: boolean
  readonly bytes: number
}

/** What one costs besides its bytes. */
const HELD_BYTES = 64
/** So many that went are forgotten in one go. */
const MANY = 1024
const DONE: Held = { opcode: Opcode.Continuation, fin: false, data: EMPTY, transformed: false, bytes: 0 }

let scratch: Uint8Array = EMPTY

/** Messages, fragments and control frames on their way into the encoder. */
export class OutgoingMessages {
  readonly #role: Role
  readonly #encoder: FrameEncoder
  readonly #transform: OutgoingTransform | null
  readonly #rsv: number
  readonly #fragments = new OutgoingFragments()
  #held: Held[] = []
  #head = 0
  /** True while the transform works on the first of them. */
  #busy = false
  #heldBytes = 0
  #accepted = 0
  /** How many of these wait, or were dropped. */
  #behind = 0
  /** Whether the fragmented message that has begun is transformed. */
  #fragmented = false

  constructor(role: Role, encoder: FrameEncoder, transform: OutgoingTransform | null, rsv: number) {
    this.#role = role
    this.#encoder = encoder
    this.#transform = transform
    this.#rsv = rsv
  }

  /** Frames that were taken so far. */
  get accepted(): number {
    return this.#accepted
  }

  /** How many of them, the first ones, are in the encoder or have left it. */
  get encoded(): number {
    return this.#accepted - this.#behind
  }

  /** True while something waits. */
  get holding(): boolean {
    return this.#held.length > this.#head
  }

  /** True while a message is being taken in fragments. */
  get sendingFragments(): boolean {
    return this.#fragments.unfinished
  }

  /** True between two messages, when nothing waits. */
  get atRest(): boolean {
    return !this.holding && !this.sendingFragments
  }

  /** So many frames have left in another way. */
  count(frames: number): void {
    this.#accepted += frames
  }

  /** Payload bytes of what waits. */
  get heldBytes(): number {
    return this.#heldBytes
  }

  /**
   * Takes a whole message.
   *
   * @param transform what the caller wishes; undefined for as the threshold says.
   * @throws UsageError `WS_BAD_SEQUENCE` inside a fragmented message.
   */
  message(opcode: Opcode, data: string | Uint8Array, transform: boolean | undefined): void {
    this.#requireWhole()
    this.#data(opcode, true, data, transform)
  }

  /** Takes a fragment. @throws UsageError `WS_BAD_SEQUENCE`, `WS_BAD_DATA`. */
  fragment(
    kind: FragmentKind,
    data: string | Uint8Array,
    fin: boolean,
    transform: boolean | undefined,
  ): void {
    const part = this.#fragments.next(kind, data, fin)
    const first = kind === 'text' ? Opcode.Text : Opcode.Binary
    const opcode = kind === 'continuation' ? Opcode.Continuation : first
    // A message in one fragment is a whole one to everybody else.
    this.#data(opcode, fin, part, transform)
  }

  #data(opcode: Opcode, fin: boolean, data: string | Uint8Array, transform: boolean | undefined): void {
    this.#accepted++
    if (this.#transform === null) return this.#plain(opcode, fin, data)
    const transformed = this.#wanted(opcode, fin, data.length, transform)
    this.#put({ opcode, fin, data, transformed, bytes: data.length })
  }

  /** Takes a control frame. */
  control(opcode: Opcode, data: Uint8Array): void {
    this.#accepted++
    this.#put({ opcode, fin: true, data, transformed: false, bytes: data.length })
  }

  /** Takes a message that was prepared for many. @throws UsageError `WS_BAD_SEQUENCE` inside a fragmented message. */
  prepared(message: PreparedMessage, transform: boolean | undefined): void {
    this.#requireWhole()
    this.#accepted++
    const { opcode, payload } = message
    const transformed = message.transforms(this.#transform, transform)
    this.#put({ opcode, fin: true, data: message, transformed, bytes: payload.length })
  }

  /** The transform may be done: goes on with what waits. */
  advance(): void {
    while (this.holding) {
      const held = this.#held[this.#head]
      const bytes = this.#busy ? this.#transform!.encoded() : undefined
      if (bytes === null) return
      this.#busy = false
      if (bytes !== undefined) this.#emitHeld(held, bytes)
      else if (!this.#encode(held)) {
        if (!(held.data instanceof PreparedMessage)) this.#held[this.#head] = { ...held, data: EMPTY }
        return
      }
      this.#behind--
      this.#held[this.#head++] = DONE
      this.#heldBytes -= held.bytes + HELD_BYTES
      if (this.#head > MANY) {
        this.#held = this.#held.slice(this.#head)
        this.#head = 0
      }
    }
    this.drop()
  }

  /** Forgets all that waits: it stays accepted, and is never encoded. */
  drop(): void {
    if (this.#held.length === 0) return
    this.#held = []
    this.#head = 0
    this.#heldBytes = 0
    this.#busy = false
  }

  #requireWhole(): void {
    if (this.#fragments.unfinished)
      throw new UsageError('WS_BAD_SEQUENCE', 'a fragmented message is not finished')
  }

  /** Remembers for the length of a fragmented message what was decided at its first fragment: its length is not known. */
  #wanted(opcode: Opcode, fin: boolean, length: number, transform: boolean | undefined): boolean {
    if (opcode === Opcode.Continuation) return this.#fragmented
    const { threshold } = this.#transform!
    // An empty message has nothing to gain; what its empty parts would be transformed to is the extension's business.
    if (fin) return length > 0 && (transform ?? length >= threshold)
    this.#fragmented = transform ?? threshold !== Infinity
    return this.#fragmented
  }

  #put(held: Held): void {
    if (!this.holding && this.#encode(held)) return
    this.#behind++
    // The transform has its own copy of what it works on; what waits must not change either.
    const { data } = held
    const working = this.#busy && !this.holding && !(data instanceof PreparedMessage)
    const own = working ? EMPTY : data instanceof Uint8Array ? copy(data) : data
    this.#held.push({ ...held, data: own })
    this.#heldBytes += held.bytes + HELD_BYTES
  }

  /** False when the transform says "not yet", and has got what it needs. */
  #encode(held: Held): boolean {
    const { opcode, fin, data, transformed } = held
    if (typeof data !== 'string' && !(data instanceof Uint8Array)) {
      const payload = transformed ? this.#transform!.prepared(data) : data.payload
      this.#busy = payload === null
      if (payload !== null) this.#emitPrepared(opcode, data, payload, transformed)
      return payload !== null
    }
    if (!transformed) {
      this.#plain(opcode, fin, data)
      return true
    }
    const text = typeof data === 'string'
    // What waited was copied.
    const lasting = text ? data.length > SCRATCH_CHARS : this.holding
    const bytes = text ? utf8(data) : data
    const result = this.#transform!.encode(bytes, opcode !== Opcode.Continuation, fin, lasting)
    this.#busy = result === null
    if (result !== null) this.#emit(held, result)
    return result !== null
  }

  #plain(opcode: Opcode, fin: boolean, data: string | Uint8Array): void {
    if (typeof data === 'string') this.#encoder.text(opcode, fin, data)
    else this.#encoder.bytes(opcode, fin, data)
  }

  /** RFC 7692, 6.1: the bit is set on the first frame of a message and on no other. */
  #emit({ opcode, fin }: Held, bytes: Uint8Array): void {
    const rsv = opcode === Opcode.Continuation ? 0 : this.#rsv
    this.#encoder.bytes(opcode, fin, bytes, rsv, this.#transform!.owned)
  }

  #emitHeld(held: Held, bytes: Uint8Array): void {
    const { data } = held
    if (data instanceof PreparedMessage) this.#emitPrepared(held.opcode, data, bytes, true)
    else this.#emit(held, bytes)
  }

  #emitPrepared(opcode: Opcode, message: PreparedMessage, payload: Uint8Array, transformed: boolean): void {
    const rsv = transformed ? this.#rsv : 0
    // 5.3: a client's frames are masked, each with a key of its own.
    if (this.#role === 'client') this.#encoder.bytes(opcode, true, payload, rsv)
    else this.#encoder.prebuilt(message.frame(payload, rsv))
  }
}

/** A text as bytes; a short one in memory that the next one overwrites. */
function utf8(text: string): Uint8Array {
  if (text.length > SCRATCH_CHARS) {
    const bytes = allocate(utf8Length(text))
    writeUtf8(bytes, text, 0)
    return bytes
  }
  if (scratch.length === 0) scratch = allocate(3 * SCRATCH_CHARS)
  return view(scratch, 0, writeUtf8(scratch, text, 0))
}
