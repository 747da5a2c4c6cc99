// Strategy: from a stream to a process, or to a refusal. What can be told from the head is told before anybody of the user's is
// asked, and room is looked for twice: before `handleUpgrade`, which may cost something, and after it, when it is known where
// the client counts. Whatever ends it, the slot of the handshake, the timer and the listeners are gone.
//
//   stream ─▶ slot ─▶ head ─▶ route, origin, room ─▶ handleUpgrade ─▶ room in its pool ─▶ 101 ─▶ admitted
//                └──────────────┴───────────┴──── refuse(status) ──────────┘
import type { Duplex } from 'node:stream'
import type { AnyBehaviour } from '../behaviour/callbacks.js'
import { after } from '../transport/clock.js'
import { chosenDeflate } from '../transport/compression.js'
import { remoteName } from '../transport/remote-name.js'
import { headerList } from '../transport/header-list.js'
import { runPhase } from '../transport/phase.js'
import { type ReadHead, readRequest } from '../transport/server-handshake.js'
import { Socket } from '../transport/socket.js'
import { discard, swallowErrors } from '../transport/stream-events.js'
import { closing, disown } from '../transport/stream-owner.js'
import { encodeAccept, parseUpgrade, type RequestHead, type UpgradeRequest } from '../handshake/index.js'
import { HalfOpen } from './half-open.js'
import { isAllowedOrigin } from './origins.js'
import { writtenTo } from './guests.js'
import type { Pools } from './pools.js'
import type { Routes } from './routes.js'
import { Gone, refusal, Refused, requireAnswer, SlowError, turnAway } from './refusals.js'
import type { Admission } from './server-behaviour.js'
import type { ServerSettings } from './server-options.js'
import { type Accepted, AcceptedContext, pathOf, type Upgrade, UpgradeContext } from './upgrade-context.js'

/** A behaviour with `handleUpgrade`, of any types. */
export type AnyServerBehaviour = AnyBehaviour & {
  readonly handleUpgrade?: (request: Upgrade) => unknown
}

/** A client that was let in. */
export interface Admitted {
  readonly behaviour: AnyServerBehaviour
  readonly socket: Socket
  readonly connection: Accepted
  /** Which one it counts in besides that of all. */
  readonly pool: string | undefined
  /** What came behind the request. */
  readonly rest: Uint8Array
}

/** Who wants to be let in. */
interface Candidate {
  readonly upgrade: UpgradeRequest
  readonly behaviour: AnyServerBehaviour
  /** What came behind the request. */
  readonly rest: Uint8Array
  /** The handshake is over. */
  readonly leave: () => void
}

/** What the user was asked, and answered. */
interface Asked {
  readonly request: Upgrade
  readonly admission: Admission<unknown>
}

/** What a gate belongs to. */
export interface GateHost {
  readonly settings: ServerSettings
  readonly routes: Routes<AnyServerBehaviour>
  readonly pools: Pools
  /** True once nobody is let in any more. */
  closed(): boolean
  admitted(one: Admitted): void
}

/** Where clients come in. */
export class Gate {
  readonly #host: GateHost
  /** Handshakes that are under way. */
  readonly halfOpen: HalfOpen

  constructor(host: GateHost) {
    this.#host = host
    this.halfOpen = new HalfOpen(host.settings.maxHandshakes, host.settings.maxHandshakesPerAddress)
  }

  /** A stream of which nothing was read. */
  read(stream: Duplex): void {
    disown(stream)
    const leave = this.#enter(stream)
    if (leave === null) return
    const { headLimits, handshakeTimeoutMs: limitMs, socket } = this.#host.settings
    const limits = { clock: socket.clock, limitMs, headLimits }
    const done = ({ head, rest }: ReadHead): void => this.#decide(stream, head, rest, leave)
    readRequest(stream, limits, done, closing(leave))
  }

  /** A stream whose request `node:http` has read. */
  take(stream: Duplex, head: RequestHead, rest: Uint8Array): void {
    const leave = this.#enter(stream)
    if (leave === null) return
    stream.once('close', leave)
    this.#decide(stream, head, rest, leave)
  }

  /**
   * A stream that somebody else should take, and may have taken already. One to which nobody writes within the handshake's time
   * is wanted by nobody; until then it is no handshake of ours.
   *
   * @param before - what had been written to it when the request came.
   */
  leaveToOthers(stream: Duplex, before: number): void {
    const { handshakeTimeoutMs, socket } = this.#host.settings
    const stop = after(socket.clock, handshakeTimeoutMs, () => {
      if (writtenTo(stream) === before) discard(stream)
    })
    stream.once('close', stop)
  }

  #enter(stream: Duplex): (() => void) | null {
    swallowErrors(stream)
    const leave = this.halfOpen.enter(addressOf(stream))
    if (leave === null) discard(stream)
    return leave
  }

  #decide(stream: Duplex, head: RequestHead, rest: Uint8Array, leave: () => void): void {
    try {
      if (this.#host.closed()) throw refusal(503)
      const upgrade = parseUpgrade(head)
      const found = this.#host.routes.find(pathOf(head.target))
      if (found === null) throw refusal(404)
      if (!isAllowedOrigin(upgrade, this.#host.settings.origins))
        throw refusal(403, 'this origin may not connect')
      if (!this.#host.pools.room) {
        this.#host.pools.reject()
        throw refusal(503)
      }
      const { value: behaviour, params } = found
      const context = (signal: AbortSignal): Upgrade =>
        new UpgradeContext(upgrade, params, addressOf(stream), signal)
      const candidate = { upgrade, behaviour, rest, leave }
      if (behaviour.handleUpgrade === undefined)
        this.#letIn(stream, candidate, { request: context(NEVER), admission: {} })
      else
        this.#ask(stream, behaviour, context)
          .then(asked => this.#letIn(stream, candidate, asked))
          .catch((error: unknown) => turnAway(stream, error, this.#host.settings))
    } catch (error) {
      // It counts until it has taken its refusal.
      turnAway(stream, error, this.#host.settings)
    }
  }

  /** Lets a client in where there is room for it. @throws HandshakeError, or InvalidHeadError for headers that cannot be sent. */
  #letIn(stream: Duplex, candidate: Candidate, asked: Asked): void {
    const { pool } = asked.admission
    if (this.#host.closed() || !this.#host.pools.enter(pool)) throw refusal(503)
    try {
      this.#admit(stream, candidate, asked)
    } catch (error) {
      this.#host.pools.leave(pool)
      throw error
    }
    stream.off('close', candidate.leave)
    candidate.leave()
  }

  /** Asks the user. @throws HandshakeError for a refusal, or what `handleUpgrade` threw. */
  async #ask(
    stream: Duplex,
    behaviour: AnyServerBehaviour,
    context: (signal: AbortSignal) => Upgrade,
  ): Promise<Asked> {
    const controller = new AbortController()
    const gone = new Gone()
    const onClose = (): void => controller.abort(gone)
    // Who closes a page sends the end of its stream, and no reset. It must be read to be seen; what comes is kept for later.
    const kept: Uint8Array[] = []
    const onData = (chunk: Uint8Array): void => {
      kept.push(chunk)
      // Nobody has been let in yet: a client that does not wait for its 101 has sent enough.
      if (kept.length >= EARLY_CHUNKS) stream.pause()
    }
    stream.once('close', onClose).once('end', onClose).on('data', onData).resume()
    try {
      const request = context(controller.signal)
      const { clock } = this.#host.settings.socket
      const limits = {
        clock,
        limitMs: this.#host.settings.handleUpgradeTimeoutMs,
        signal: controller.signal,
        timeoutError: (limitMs: number) => new SlowError(`handleUpgrade() took longer than ${limitMs} ms`),
      }
      const { value } = await runPhase<unknown>(limits, (resolve, reject) => {
        void (async () => behaviour.handleUpgrade!(request))().then(resolve, reject)
        return () => {}
      })
      const answer = requireAnswer(value)
      if (answer.status !== undefined) throw new Refused(answer)
      return { request, admission: answer }
    } catch (error) {
      controller.abort(error)
      throw controller.signal.reason === gone ? gone : error
    } finally {
      stream.off('close', onClose).off('end', onClose).off('data', onData).pause()
      if (kept.length > 0) stream.unshift(Buffer.concat(kept))
    }
  }

  #admit(stream: Duplex, { upgrade, behaviour, rest }: Candidate, { request, admission }: Asked): void {
    const { settings } = this.#host
    const { deflate, extensions } = chosenDeflate(upgrade, settings.socket.compress)
    // 4.2.2 (4): one the server supports, in the client's order of preference, or none.
    const subprotocol =
      admission.subprotocol === undefined
        ? (upgrade.subprotocols.find(name => settings.subprotocols.includes(name)) ?? null)
        : admission.subprotocol
    const agreement = { subprotocol, extensions }
    const { head } = upgrade
    stream.write(encodeAccept(upgrade, agreement, headerList(admission.headers)))
    const origin = {
      role: 'server',
      url: head.target,
      peer: remoteName(stream),
      agreement,
      deflate,
      head,
    } as const
    const socket = new Socket(stream, origin, settings.socket)
    const connection = new AcceptedContext(request, subprotocol ?? '', admission.data)
    this.#host.admitted({ behaviour, socket, connection, pool: admission.pool, rest })
  }
}

/** What a client may send before it has its answer, in reads of up to 64 KiB. */
const EARLY_CHUNKS = 4
const NEVER = new AbortController().signal

function addressOf(stream: Duplex): string {
  return (stream as { remoteAddress?: string }).remoteAddress ?? ''
}
