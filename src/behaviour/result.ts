// Strategy: what callbacks answer, as types for the compiler and as a check for what the compiler did not see. Every key is
// looked at before any of it takes effect, so that a bad answer changes nothing.
import type { Frame } from './frame.js'
import type { KeepaliveOptions } from './keepalive.js'
import type { StartTarget } from './start-target.js'

/** Now, or a promise of it. */
export type Awaitable<T> = T | PromiseLike<T>

/** Nothing: no change. */
export type Nothing = undefined | void

/** How to close: `true` for 1000 without a text. */
export type CloseWish = true | { readonly code?: number | undefined; readonly reason?: string | undefined }

/** What a callback wants. Every key is optional; nothing at all is the same as an empty object. */
export interface Result<State> {
  /** The next state. */
  readonly state?: State | undefined
  /** Sent in order before the next callback. What follows the first `close` in a list is dropped. */
  readonly reply?: Frame | readonly Frame[] | undefined
  /**
   * Begins the closing handshake, after `reply`. The end of it arrives in `handleDisconnect`. Without a connection there is
   * nothing to close, and the process ends as if there had been one.
   */
  readonly close?: CloseWish | undefined
  /**
   * Ends the process: closes with 1000, then `terminate`. An `Error` ends it abnormally, with 1011; any other value is kept
   * in the reason and ends it normally.
   */
  readonly stop?: unknown
  /** Other keepalive pings from now on; `false` for none. */
  readonly keepalive?: KeepaliveOptions | number | false | undefined
  /** More credits for messages, see the option `flow`. */
  readonly flow?: number | undefined
  /** Belongs to `handleDisconnect` alone. */
  readonly reconnect?: never
  /** Belongs to `handleDisconnect` alone. */
  readonly stay?: never
}

/** What `handleCall` wants: as the others, and perhaps an answer. */
export interface CallResult<State, Answer> extends Result<State> {
  /** The answer to the call. Without it, `reply(from, …)` answers later. */
  readonly answer?: Answer | undefined
}

/** What `handleDisconnect` wants. At most one of `stop`, `stay` and `reconnect`; without any the policy decides. */
export interface DisconnectResult<State> {
  /** The next state. */
  readonly state?: State | undefined
  /** Ends the process. `true` keeps the reason of the disconnect; anything else is the reason of a stop. */
  readonly stop?: unknown
  /** Stays alive without a connection: `connect()` begins again. */
  readonly stay?: true | undefined
  /** Connects again: at once, after a while, or to another target from now on. */
  readonly reconnect?: true | ReconnectWish | undefined
  /** Nothing can be sent here; what `whenNotOpen: 'queue'` is for. */
  readonly reply?: never
}

/** How to connect again. */
export interface ReconnectWish {
  /**
   * Default: at once after a connection that was open, the growing delay of the reconnect policy after a failed attempt. A
   * timer, which `connect()`, `stop()` and an abort take back.
   */
  readonly delayMs?: number | undefined
  /** Where to connect to from now on. */
  readonly target?: StartTarget | undefined
}

/** What a connection begins with. */
export type InitMode = 'idle' | 'once' | 'reconnect'

/** The first state together with a mode; see {@link idle}, {@link once} and {@link reconnect}. */
export class Initial<State> {
  /** How to begin. */
  readonly mode: InitMode
  /** The first state. */
  readonly state: State

  /** @internal */
  constructor(mode: InitMode, state: State) {
    this.mode = mode
    this.state = state
  }
}

/** For `init`: does not connect; `connect()` will. */
export const idle = <State>(state: State): Initial<State> => new Initial('idle', state)

/** For `init`: connects, and does not connect again unless `handleDisconnect` says so, whatever the options say. */
export const once = <State>(state: State): Initial<State> => new Initial('once', state)

/**
 * For `init`: connects, and goes on trying, by the options' `reconnect` policy or the default one. A first attempt that
 * fails is a disconnect like any other.
 */
export const reconnect = <State>(state: State): Initial<State> => new Initial('reconnect', state)
