import type { FrameEncoder } from './frame-encoder.js'
import { Opcode } from './opcode.js'

/**
 * Automatic pongs. Each ping is answered, until more answers wait for the transport than are allowed; then one slot is
 * left, which newer pings replace (5.5.3: an endpoint may answer only the most recent one). So a peer that pings and never
 * reads costs a bounded amount.
 */
export class PongQueue {
  readonly #encoder: FrameEncoder
  readonly #max: number
  /** Pongs written since the transport last took output. */
  #waiting = 0
  #late: Uint8Array | null = null

  constructor(encoder: FrameEncoder, max: number) {
    this.#encoder = encoder
    this.#max = max
  }

  /** Bytes of the pong that is not written yet. */
  get lateBytes(): number {
    return this.#late === null ? 0 : this.#encoder.frameBytes(this.#late.length)
  }

  /** 5.5.2: a Pong has the payload of the Ping that it answers. */
  answer(payload: Uint8Array): void {
    if (this.#waiting < this.#max) {
      this.#waiting++
      this.#encoder.bytes(Opcode.Pong, true, payload)
    } else {
      this.#late = Uint8Array.from(payload)
    }
  }

  /** Writes the pong that waits, if there is one. */
  flush(): void {
    if (this.#late === null) return
    this.#encoder.bytes(Opcode.Pong, true, this.#late)
    this.#late = null
  }

  /** The transport takes everything. */
  taken(): void {
    this.flush()
    this.#waiting = 0
  }
}
