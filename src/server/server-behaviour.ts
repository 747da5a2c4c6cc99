import type { Behaviour } from '../behaviour/behaviour.js'
import type { Awaitable, Nothing } from '../behaviour/result.js'
import type { HeaderInput } from '../transport/header-list.js'
import type { Accepted, Upgrade } from './upgrade-context.js'

/** Lets a client in. Every key is optional. */
export interface Admission<Data> {
  /** One of the client's; default the first of theirs that is in the option `subprotocols`. Null for none. */
  readonly subprotocol?: string | null | undefined
  /** More headers of the 101, such as `Set-Cookie`. */
  readonly headers?: HeaderInput | undefined
  /** For `init`, as `connection.data`. */
  readonly data?: Data | undefined
  /** Which of the option's `pools` it counts in. */
  readonly pool?: string | undefined
  readonly status?: never
}

/** Turns a client away, with any HTTP response. */
export interface Refusal {
  /** From 300 to 599. */
  readonly status: number
  readonly headers?: HeaderInput | undefined
  /** A text, or bytes; `type` is the `Content-Type`, default `text/plain; charset=utf-8`. */
  readonly body?: string | Uint8Array | undefined
  readonly type?: string | undefined
}

/**
 * A behaviour for clients that were accepted: one process each. `init` gets the connection, see {@link Accepted}. There is no
 * other connection after it, so `handleDisconnect` can neither `stay` nor `reconnect`.
 */
export interface ServerBehaviour<
  State,
  Data = undefined,
  Cast = never,
  Call = never,
  Answer = unknown,
  Info = unknown,
> extends Behaviour<State, Cast, Call, Answer, Info, Accepted<Data>> {
  /**
   * Before the 101: may this client connect? Nothing at all lets it in. What it throws, or a time longer than
   * `handleUpgradeTimeoutMs`, is a 500; a `HandshakeError` is the refusal that it says.
   */
  readonly handleUpgrade?: (request: Upgrade) => Awaitable<Admission<Data> | Refusal | Nothing>
}
