// Strategy: the one way out for frames, whoever sends them. With an open connection a frame goes to its session; without one
// `whenNotOpen` decides. What was accepted and is not to be sent by anybody is kept until the next disconnect, or the end,
// hands it back.
import type { PreparedMessage } from '../protocol/index.js'
import { ConnectionError } from '../transport/connection-error.js'
import { NotConnectedError } from '../transport/not-connected-error.js'
import { quiet } from '../transport/send-queue.js'
import type { ProcessStatus } from './behaviour.js'
import { flushBroadcasts } from './broadcasts.js'
import type { EventStream } from './events.js'
import { FrameEncodeError } from './frame-encode-error.js'
import { HandedBack } from './handed-back.js'
import { InvalidFrameError } from './invalid-frame-error.js'
import { type CheckedFrame, checkFrame, type CloseRequest, type Frame, isShort } from './frame.js'
import type { Session } from './session.js'
import type { ProcessSettings } from './start-options.js'
import { WaitingFrames } from './waiting-frames.js'

const ignore = (): void => {}
const SENT = Promise.resolve()

/** Where an outbox sends to. */
export interface OutboxHost {
  readonly events: EventStream
  readonly settings: ProcessSettings
  session(): Session | null
  phase(): ProcessStatus<unknown>['phase']
  /** A callback wants to close, and there is no connection. */
  nothingToClose(frame: CloseRequest): void
  /** Frames that nobody was told of had to be given up. */
  overflow(): void
  /** The other end reads too slowly for this frame. */
  dropped(frame: CheckedFrame): void
  /** This side has closed: nobody wants what came before and was not delivered. */
  closed(): void
}

/** Frames on their way out of a process. */
export class Outbox {
  readonly #host: OutboxHost
  readonly #events: EventStream
  readonly #drop: boolean
  readonly #waiting: WaitingFrames | null
  readonly #unsent: HandedBack
  #accepted = 0
  /** What was accepted has been handed back for the last time. */
  #ended = false

  constructor(host: OutboxHost) {
    const { clock, whenNotOpen } = host.settings
    this.#host = host
    this.#events = host.events
    this.#drop = whenNotOpen === 'drop'
    this.#unsent = new HandedBack(() => host.overflow())
    this.#waiting =
      typeof whenNotOpen === 'string'
        ? null
        : new WaitingFrames(whenNotOpen, clock, frame => this.#unsent.push(frame))
  }

  /** How many frames were accepted by a connection. */
  get accepted(): number {
    return this.#accepted
  }

  /** True when no frame waits, for a connection or to be handed back. */
  get atRest(): boolean {
    return this.waiting === 0 && this.#unsent.empty && !this.#ended
  }

  /** How many frames wait for a connection. */
  get waiting(): number {
    return this.#waiting?.length ?? 0
  }

  /**
   * Sends a frame of the user's, with a promise.
   *
   * @param first - the process itself sends: what `handleConnect` has to say goes before what waited for a connection.
   */
  send(frame: Frame, first = false): Promise<void> {
    try {
      flushBroadcasts()
      const checked = checkFrame(frame)
      const sent = this.#sendOn(this.#session(checked, first), checked)
      if (sent !== null) return sent
      const phase = this.#host.phase()
      if (this.#drop && phase !== 'ended') return SENT
      if (this.#keeps(checked)) return quiet(this.#waiting!.add(checked))
      const detail = this.#waiting === null || this.#ended ? undefined : 'and its queue is full'
      return quiet(Promise.reject(new NotConnectedError(phase, detail)))
    } catch (error) {
      return Promise.reject(error)
    }
  }

  /** Sends a frame of the user's. @returns whether it was accepted and there is room for more. */
  write(frame: Frame, first = false): boolean {
    flushBroadcasts()
    const open = this.#host.session()
    // Nearly always there is no need to make a frame of it, and nobody who would want to see one.
    if (
      open?.ready === true &&
      isShort(frame) &&
      !this.#events.wants('frame-out') &&
      open.writeShort(frame)
    ) {
      this.#accepted++
      return !open.full
    }
    const checked = checkFrame(frame)
    const session = this.#session(checked, first)
    if (this.#put(session, checked)) return !session!.full
    if (!this.#keeps(checked)) return this.#drop && this.#host.phase() !== 'ended'
    this.#waiting!.add(checked).catch(ignore)
    return true
  }

  /** Sends whole messages in one go. There is a connection that takes them. @returns false when none of them was accepted. */
  writeAll(messages: readonly PreparedMessage[]): boolean {
    const session = this.#host.session()!
    let accepted = false
    session.socket.outgoing.gather(() => {
      for (const message of messages) {
        const frame = checkFrame(message)
        if (this.#drops(session, frame) || !session.write(frame)) continue
        this.#accept(frame)
        accepted = true
      }
    })
    return accepted
  }

  /** Messages were written while the process was at rest, and the stream has them still. @returns what to call when it has not. */
  takeOver(messages: readonly PreparedMessage[]): (error: Error | null | undefined) => void {
    return this.#host.session()!.takeOver(messages.map(message => checkFrame(message)))
  }

  /** Sends a frame of a result. One that cannot be sent is not lost: it counts as unsent. */
  reply(frame: CheckedFrame): void {
    flushBroadcasts()
    const session = this.#session(frame, true)
    if (this.#put(session, frame)) return
    if (frame.type === 'close') {
      if (session === null) this.#host.nothingToClose(frame)
    } else if (this.#drop) return
    else if (this.#keeps(frame)) this.#waiting!.add(frame).catch(ignore)
    else this.#unsent.push(frame)
  }

  /** There is a connection: what waited for one may go. */
  flush(session: Session): void {
    this.#waiting?.flush(frame => {
      const sent = this.#sendOn(session, frame)
      // One that does not fit into what is being sent is told late, if it had to wait for its turn.
      sent?.catch(error => {
        if (error instanceof FrameEncodeError || error instanceof InvalidFrameError) this.#unsent.push(frame)
      })
      return sent
    })
    const kept = session.early.take()
    if (kept.length > 0 && session.takesMessages) this.writeAll(kept)
  }

  /** A connection begins, or its `handleConnect` does. */
  opened(): void {
    this.#unsent.mark()
  }

  /**
   * Hands back what was accepted and is not to be sent by anybody.
   *
   * @param left - by the connection that was lost.
   * @param told - false when there is no callback to tell: the end will.
   */
  handBack(left: readonly CheckedFrame[], told: boolean): readonly CheckedFrame[] {
    const all = this.#unsent.take(left)
    if (!told) for (const frame of all) this.#unsent.push(frame)
    return all
  }

  /** No connection will come any more. @returns everything that was accepted and never sent. */
  end(): readonly CheckedFrame[] {
    this.#ended = true
    const left = this.#unsent.take(this.#host.session()?.unsent() ?? [])
    return [...left, ...(this.#waiting?.end(() => new NotConnectedError('ended')) ?? [])]
  }

  /**
   * The connection that takes this frame: `handleConnect` speaks first, but a Close frame is for any.
   *
   * @param first - it may be what `handleConnect` says.
   */
  #session(frame: CheckedFrame, first: boolean): Session | null {
    const session = this.#host.session()
    if (session === null || frame.type === 'close') return session
    return session.ready || (first && session.begun) ? session : null
  }

  /** A Close frame is for the connection that is there. */
  #keeps(frame: CheckedFrame): boolean {
    return this.#waiting?.fits(frame) === true && frame.type !== 'close' && !this.#ended
  }

  #sendOn(session: Session | null, frame: CheckedFrame): Promise<void> | null {
    if (this.#drops(session, frame)) {
      return quiet(Promise.reject(new ConnectionError('WS_BUFFER_FULL', session!.socket.peer)))
    }
    const sent = session === null ? null : session.send(frame)
    if (sent !== null) this.#accept(frame)
    return sent
  }

  #put(session: Session | null, frame: CheckedFrame): boolean {
    // What is dropped is done with: it is not unsent.
    if (this.#drops(session, frame)) return true
    if (session === null || !session.write(frame)) return false
    this.#accept(frame)
    return true
  }

  #drops(session: Session | null, frame: CheckedFrame): boolean {
    if (session?.drops(frame) !== true) return false
    this.#host.dropped(frame)
    return true
  }

  #accept(frame: CheckedFrame): void {
    this.#accepted++
    if (frame.type === 'close') this.#host.closed()
    if (this.#events.wants('frame-out')) this.#events.publish({ type: 'frame-out', frame })
  }
}
