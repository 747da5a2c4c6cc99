// Strategy: of a connection to a `tls` server nothing is known until its TLS handshake is done, which costs the server more than
// any other step and the client nothing. So it has its slot from the first moment, and gives it up for that of the opening
// handshake. Node shows the raw connection first and the TLS stream later, and not which belong together: their other end does. That
// of a unix socket has no name, and was let in by the file system: there only the time is limited, by the door.
import { after, type Clock } from '../transport/clock.js'
import type { DoorStream, DoorWatch } from '../transport/door.js'
import { discard } from '../transport/stream-events.js'
import type { HalfOpen } from './half-open.js'

/** The TLS handshakes that are under way at one door, of all that are half open. */
export class TlsHandshakes implements DoorWatch {
  readonly #halfOpen: HalfOpen
  readonly #clock: Clock
  readonly #limitMs: number
  readonly #underWay = new Map<string, () => void>()

  constructor(halfOpen: HalfOpen, clock: Clock, limitMs: number) {
    this.#halfOpen = halfOpen
    this.#clock = clock
    this.#limitMs = limitMs
  }

  begun(stream: DoorStream): void {
    const name = nameOf(stream)
    // It is gone already.
    if (name === null) return
    const leave = this.#halfOpen.enter(stream.remoteAddress!)
    if (leave === null) {
      discard(stream)
      return
    }
    const stopTimer = after(this.#clock, this.#limitMs, () => discard(stream))
    const over = (): void => {
      stopTimer()
      leave()
      stream.off('close', over)
      if (this.#underWay.get(name) === over) this.#underWay.delete(name)
    }
    this.#underWay.set(name, over)
    stream.on('close', over)
  }

  done(stream: DoorStream): void {
    const name = nameOf(stream)
    // One that is gone already has no name any more; its raw connection closes.
    if (name !== null) this.#underWay.get(name)?.()
  }
}

/** The other end, on this port; null for what is not connected any more. */
function nameOf({ remoteAddress, remotePort, localAddress }: DoorStream): string | null {
  return remoteAddress === undefined ? null : `${remoteAddress} ${remotePort} ${localAddress}`
}
