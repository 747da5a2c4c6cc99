// Strategy: from a stream to a process, or to a refusal. What can be told from the head is told before anybody of the user's is
// asked, and room is looked for twice: before `handleUpgrade`, which may cost something, and after it, when it is known where
// the client counts. Whatever ends it, the slot of the handshake, the timer and the listeners are gone.
//
//   stream ─▶ slot ─▶ head ─▶ route, origin, room ─▶ handleUpgrade ─▶ room in its pool ─▶ 101 ─▶ admitted
//                └──────────────┴───────────┴──── refuse(status) ──────────┘
import type { Duplex } from 'node:stream'
import { warn } from '../behaviour/ending.js'
import type { AnyBehaviour } from '../behaviour/callbacks.js'
import { chosenDeflate } from '../transport/compression.js'
import { AbortError } from '../transport/abort-error.js'
import { ConnectionError } from '../transport/connection-error.js'
import { remoteName } from '../transport/door.js'
import { headerList } from '../transport/header-list.js'
import { runPhase } from '../transport/phase.js'
import { readRequest, refuse } from '../transport/server-handshake.js'
import { Socket } from '../transport/socket.js'
import { discard, swallowErrors } from '../transport/stream-events.js'
import {
  encodeAccept,
  HandshakeError,
  parseUpgrade,
  type RejectBody,
  type RequestHead,
  type UpgradeRequest,
} from '../handshake/index.js'
import { HalfOpen } from './half-open.js'
import { isAllowedOrigin } from './origins.js'
import type { Pools } from './pools.js'
import type { Routes } from './routes.js'
import type { Admission, Refusal } from './server-behaviour.js'
import type { ServerSettings } from './server-options.js'
import { type Accepted, pathOf, type Upgrade, upgradeOf } from './upgrade-context.js'

/** A behaviour with `handleUpgrade`, of any types. */
export type AnyServerBehaviour = AnyBehaviour & {
  readonly handleUpgrade?: (request: Upgrade) => unknown
}

/** A client that was let in. */
export interface Admitted {
  readonly behaviour: AnyServerBehaviour
  readonly socket: Socket
  readonly connection: Accepted
  /** It counts no more. */
  readonly leave: () => void
  /** What came behind the request. */
  readonly rest: Uint8Array
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
  readonly #halfOpen: HalfOpen

  constructor(host: GateHost) {
    this.#host = host
    this.#halfOpen = new HalfOpen(host.settings.maxHandshakes, host.settings.maxHandshakesPerAddress)
  }

  /** Handshakes that are under way. */
  get handshakes(): number {
    return this.#halfOpen.count
  }

  /** A stream of which nothing was read. */
  read(stream: Duplex): void {
    const leave = this.#enter(stream)
    if (leave === null) return
    const { headLimits, handshakeTimeoutMs: limitMs, socket } = this.#host.settings
    readRequest(stream, { clock: socket.clock, limitMs, headLimits }, ({ head, rest }) => {
      void this.#decide(stream, head, rest, leave)
    })
  }

  /** A stream whose request `node:http` has read. */
  take(stream: Duplex, head: RequestHead, rest: Uint8Array): void {
    const leave = this.#enter(stream)
    if (leave !== null) void this.#decide(stream, head, rest, leave)
  }

  #enter(stream: Duplex): (() => void) | null {
    swallowErrors(stream)
    const leave = this.#halfOpen.enter(addressOf(stream))
    if (leave === null) discard(stream)
    else stream.once('close', leave)
    return leave
  }

  async #decide(stream: Duplex, head: RequestHead, rest: Uint8Array, leave: () => void): Promise<void> {
    let free: (() => void) | null = null
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
      const context = (signal: AbortSignal): Upgrade => upgradeOf(upgrade, params, addressOf(stream), signal)
      const asked = behaviour.handleUpgrade === undefined ? null : await this.#ask(stream, behaviour, context)
      const request = asked?.request ?? context(NEVER)
      const admission = asked?.admission ?? {}
      free = this.#host.pools.enter(admission.pool)
      if (free === null || this.#host.closed()) throw refusal(503)
      this.#admit(stream, { upgrade, behaviour, request, admission, rest, leave: free })
      free = null
    } catch (error) {
      this.#refuse(stream, error)
    } finally {
      free?.()
      stream.off('close', leave)
      leave()
    }
  }

  /** Asks the user. @throws HandshakeError for a refusal, or what `handleUpgrade` threw. */
  async #ask(
    stream: Duplex,
    behaviour: AnyServerBehaviour,
    context: (signal: AbortSignal) => Upgrade,
  ): Promise<{ readonly request: Upgrade; readonly admission: Admission<unknown> }> {
    const controller = new AbortController()
    const onClose = (): void => controller.abort(new Error('the client has gone away'))
    stream.once('close', onClose)
    try {
      const request = context(controller.signal)
      const { clock } = this.#host.settings.socket
      const limits = {
        clock,
        limitMs: this.#host.settings.handleUpgradeTimeoutMs,
        signal: controller.signal,
        timeoutError: (limitMs: number) =>
          new ConnectionError('WS_HANDSHAKE_TIMEOUT', remoteName(stream), { limitMs }),
      }
      const { value } = await runPhase<unknown>(limits, (resolve, reject) => {
        void (async () => behaviour.handleUpgrade!(request))().then(resolve, reject)
        return () => {}
      })
      const answer = (value ?? {}) as Admission<unknown> | Refusal
      if (answer.status !== undefined) throw new Refused(answer)
      return { request, admission: answer }
    } catch (error) {
      controller.abort(error)
      throw error
    } finally {
      stream.off('close', onClose)
    }
  }

  #admit(
    stream: Duplex,
    one: {
      readonly upgrade: UpgradeRequest
      readonly behaviour: AnyServerBehaviour
      readonly request: Upgrade
      readonly admission: Admission<unknown>
      readonly rest: Uint8Array
      readonly leave: () => void
    },
  ): void {
    const { upgrade, behaviour, request, admission, rest, leave } = one
    const { settings } = this.#host
    const { deflate, extensions } = chosenDeflate(upgrade, settings.socket.compress)
    // 4.2.2 (4): one the server supports, in the client's order of preference, or none.
    const first = upgrade.subprotocols.find(name => settings.subprotocols.includes(name)) ?? null
    const subprotocol = admission.subprotocol === undefined ? first : admission.subprotocol
    const agreement = { subprotocol, extensions }
    const { head } = upgrade
    stream.write(encodeAccept(upgrade, agreement, headerList(admission.headers ?? [])))
    const origin = {
      role: 'server',
      url: head.target,
      peer: remoteName(stream),
      agreement,
      deflate,
      head,
    } as const
    const socket = new Socket(stream, origin, settings.socket)
    const { signal: _, ...rest_ } = request
    const connection: Accepted = { ...rest_, subprotocol: subprotocol ?? '', data: admission.data }
    this.#host.admitted({ behaviour, socket, connection, leave, rest })
  }

  #refuse(stream: Duplex, error: unknown): void {
    const { handshakeTimeoutMs: limitMs, socket } = this.#host.settings
    const limits = { clock: socket.clock, limitMs }
    // Nobody is there any more.
    if (error instanceof AbortError || stream.destroyed) return discard(stream)
    try {
      if (error instanceof Refused) {
        const { status, headers = [], body, type = 'text/plain; charset=utf-8' } = error.answer
        const given: RejectBody = {
          type,
          bytes: typeof body === 'string' ? new TextEncoder().encode(body) : (body ?? NOTHING),
        }
        refuse(stream, refusal(status, undefined, headerList(headers)), limits, given)
      } else if (error instanceof HandshakeError) refuse(stream, error, limits)
      else {
        if (!(error instanceof ConnectionError))
          warn('WS_HANDLE_UPGRADE_FAILED', 'handleUpgrade() threw', error)
        refuse(stream, refusal(500), limits)
      }
    } catch (cause) {
      // A status or header that cannot be sent.
      warn('WS_HANDLE_UPGRADE_FAILED', 'handleUpgrade() answered what cannot be sent', cause)
      refuse(stream, refusal(500), limits)
    }
  }
}

/** What `handleUpgrade` answered instead of letting a client in. */
class Refused extends Error {
  readonly answer: Refusal

  constructor(answer: Refusal) {
    super('refused')
    this.answer = answer
  }
}

const NOTHING = new Uint8Array(0)
const NEVER = new AbortController().signal

function refusal(status: number, detail?: string, headers: [string, string][] = []): HandshakeError {
  const options = { status, headers }
  return new HandshakeError('WS_HANDSHAKE_REFUSED', detail === undefined ? options : { ...options, detail })
}

function addressOf(stream: Duplex): string {
  return (stream as { remoteAddress?: string }).remoteAddress ?? ''
}
