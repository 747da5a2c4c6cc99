// Strategy: the contract between the engine and its user, as types. `State` is inferred from `init` alone (`NoInfer`
// elsewhere), so that a result with another state is an error where it is written. Cast, call and info types come from the
// annotations of their handlers. Every callback gets the process itself as its last argument.
import type { ExtensionOffer, ResponseHead } from '../handshake/index.js'
import type { Message } from '../protocol/index.js'
import type { DisconnectStatus } from './disconnect-status.js'
import type { EndReason } from './end-reason.js'
import type { Self } from './process.js'
import type { Awaitable, CallResult, DisconnectResult, Initial, Nothing, Result } from './result.js'
import type { From } from './from.js'

/** What `handleConnect` sees of a connection that was just opened. */
export interface ConnectionInfo {
  /** Where it leads, without user info, after redirects. */
  readonly url: string
  /** The server's answer. */
  readonly head: ResponseHead
  /** The server's headers, names in lower case; several of one name are joined with `, `. */
  readonly headers: Readonly<Record<string, string>>
  /** `''` for none. */
  readonly subprotocol: string
  readonly extensions: readonly ExtensionOffer[]
  /** Which attempt this was: 1 for the first one after the start or after a lost connection. */
  readonly attempt: number
  /** How many connections this process had before. */
  readonly reconnects: number
}

/** What is known about a pong. */
export interface PongInfo {
  /** The round-trip time of the ping it answers, in milliseconds; null when it answers none. */
  readonly rttMs: number | null
  /** True when it answers a ping of ours. */
  readonly solicited: boolean
}

/**
 * A behaviour: callbacks over a state of your own. All are optional. They never overlap; each may be asynchronous, and is
 * awaited before the next. What they throw ends the process: Close 1011, then `terminate`.
 */
export interface Behaviour<
  State,
  Cast = never,
  Call = never,
  Answer = unknown,
  Info = unknown,
  Args = undefined,
> {
  /** Told to `codeChange` of the behaviour that takes the place of this one. */
  readonly version?: string | number | undefined
  /** Gives the first state, before any I/O. Without it the state is `args`. */
  readonly init?: (args: Args, self: Self) => Awaitable<State | Initial<State>>
  /** After each successful open, reconnects included, before any frame. */
  readonly handleConnect?: (
    connection: ConnectionInfo,
    state: State,
    self: Self,
  ) => Awaitable<Result<NoInfer<State>> | Nothing>
  /** Each whole data message. Its bytes are yours. */
  readonly handleFrame?: (
    frame: Message,
    state: State,
    self: Self,
  ) => Awaitable<Result<NoInfer<State>> | Nothing>
  /** Each Ping, after it was answered; with `autoPong: false` the answer is yours. */
  readonly handlePing?: (
    payload: Uint8Array,
    state: State,
    self: Self,
  ) => Awaitable<Result<NoInfer<State>> | Nothing>
  /** Each Pong, solicited or not, those of the keepalive too. */
  readonly handlePong?: (
    payload: Uint8Array,
    state: State,
    pong: PongInfo,
    self: Self,
  ) => Awaitable<Result<NoInfer<State>> | Nothing>
  /** Each `cast()`. Casts wait while there is no open connection, unless the process is idle. */
  readonly handleCast?: (
    message: Cast,
    state: State,
    self: Self,
  ) => Awaitable<Result<NoInfer<State>> | Nothing>
  /** Each `call()`: answer it in the result, or later with `reply(from, answer)`. Handled whether connected or not. */
  readonly handleCall?: (
    message: Call,
    from: From<Answer>,
    state: State,
    self: Self,
  ) => Awaitable<CallResult<NoInfer<State>, Answer> | Nothing>
  /** Each `info()`: timers, links, messages of registries. Handled whether connected or not. */
  readonly handleInfo?: (
    message: Info,
    state: State,
    self: Self,
  ) => Awaitable<Result<NoInfer<State>> | Nothing>
  /** The buffered output fell below `lowWaterMark` after it had reached `highWaterMark`. */
  readonly handleDrain?: (state: State, self: Self) => Awaitable<Result<NoInfer<State>> | Nothing>
  /** Once for each lost connection and each failed attempt; the very first attempt only with `handleInitialFailure`. */
  readonly handleDisconnect?: (
    status: DisconnectStatus,
    state: State,
    self: Self,
  ) => Awaitable<DisconnectResult<NoInfer<State>> | Nothing>
  /** Exactly once, last; the socket is closed. What it throws is reported as a warning. */
  readonly terminate?: (reason: EndReason, state: State) => Awaitable<unknown>
  /** What `status()` shows instead: hide secrets, add fields. */
  readonly formatStatus?: (status: ProcessStatus<State>) => unknown
  /** Makes the state of the behaviour before into one of this. What it throws refuses the change. */
  readonly codeChange?: (
    oldVersion: string | number | undefined,
    state: unknown,
    extra: unknown,
  ) => Awaitable<{ readonly state: NoInfer<State> }>
}

/** What `status()` shows of a process. */
export interface ProcessStatus<State> {
  readonly name: string | null
  readonly phase: 'idle' | 'connecting' | 'open' | 'closing' | 'waiting' | 'ended'
  /** Where it is or was connected to, without user info; `''` when it never was. */
  readonly url: string
  /** How many attempts have failed, or connections were lost, since it was open; 0 while it is. */
  readonly failures: number
  /** How many connections it had before the last one. */
  readonly reconnects: number
  /** Messages for callbacks that wait: casts, calls, infos. */
  readonly mailboxLength: number
  /** Frames that wait for a connection. */
  readonly queuedFrames: number
  readonly bufferedAmount: number
  /** Frames that were dropped since its peer did not read, see the server's option `whenBufferFull`. */
  readonly droppedFrames: number
  /** The last round-trip time in milliseconds; null when no ping was answered yet. */
  readonly rttMs: number | null
  readonly version: string | number | undefined
  readonly state: State
}

/** Gives a behaviour its types where it is not written as an argument of `start()`. Returns it as it is. */
export const defineBehaviour = <
  State,
  Cast = never,
  Call = never,
  Answer = unknown,
  Info = unknown,
  Args = undefined,
>(
  behaviour: Behaviour<State, Cast, Call, Answer, Info, Args>,
): Behaviour<State, Cast, Call, Answer, Info, Args> => behaviour
