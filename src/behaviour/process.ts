// Strategy: what users hold of a process, as interfaces: `Process` outside, `Self` inside its callbacks. The class behind
// both is private, so that its own state says nothing about which process fits where.
import type { Behaviour, ProcessStatus } from './behaviour.js'
import type { Debug } from './debug.js'
import type { EndReason } from './end-reason.js'
import type { Frame } from './frame.js'
import type { KeepaliveOptions } from './keepalive.js'
import type { ProcessName } from './names.js'

/** How long to wait for an answer. */
export interface CallOptions {
  /** Default 5,000. */
  readonly timeoutMs?: number | undefined
  readonly signal?: AbortSignal | undefined
}

/** How to end a process. */
export interface StopOptions {
  /** The code of the Close frame. Default 1000; 1011 when the process is stopped with an error. */
  readonly code?: number | undefined
  /** The text of the Close frame. */
  readonly reason?: string | undefined
  /**
   * How long the running callback, the closing handshake and `terminate` may take together; then the socket is destroyed and
   * what still runs is not waited for. Default 10,000.
   */
  readonly timeoutMs?: number | undefined
}

/** What a process can do for itself: the last argument of each callback. Nothing here waits for the process. */
export interface Self {
  /** The name it was started with, as text; null for none. */
  readonly name: string | null
  /** Whether, and how, it is connected. */
  readonly phase: ProcessStatus<unknown>['phase']
  /** Bytes that were accepted for sending and that the operating system has not taken yet. */
  readonly bufferedAmount: number
  /** Frames that were dropped since the peer did not read, see the server's option `whenBufferFull`. */
  readonly droppedFrames: number
  /** The last round-trip time in milliseconds; null when no ping was answered yet. */
  readonly rttMs: number | null
  /** Where time comes from, `options.clock`. */
  now(): number
  /** See {@link Process.send}. Not to be awaited for a reply that only comes after this callback. */
  send(frame: Frame): Promise<void>
  /** See {@link Process.write}. */
  write(frame: Frame): boolean
  /** A message for `handleCast`, from the process to itself. */
  cast(message: unknown): void
  /** A message for `handleInfo`. */
  info(message: unknown): void
  /** A message for `handleInfo`, `delayMs` from now. @returns a function that takes it back. */
  sendAfter(message: unknown, delayMs: number): () => void
  /** Connects now, when idle or waiting to reconnect. */
  connect(): void
  /** Ends the process once this callback is done. */
  stop(reason?: unknown, options?: StopOptions): void
  /** More credits for messages, see the option `flow`. */
  updateFlow(credits: number): void
  /** Other keepalive pings from now on. */
  setKeepalive(keepalive: KeepaliveOptions | number | false): void
  /** Ties this process to another: the abnormal end of one ends the other. */
  link(other: AnyProcess): void
}

/** One running behaviour. It never throws on its own, and `ended` tells how it ended. */
export interface Process<
  State = unknown,
  Cast = never,
  Call = never,
  Answer = unknown,
  Info = never,
> extends AsyncDisposable {
  /** The name it was started with, as text; null for none. */
  readonly name: string | null
  /** Whether, and how, it is connected. */
  readonly phase: ProcessStatus<unknown>['phase']
  /** Resolves with the reason after `terminate`, and never rejects. */
  readonly ended: Promise<EndReason>
  /** Bytes that were accepted for sending and that the operating system has not taken yet. */
  readonly bufferedAmount: number
  /** Frames that were dropped since the peer did not read, see the server's option `whenBufferFull`. */
  readonly droppedFrames: number
  /** The last round-trip time in milliseconds; null when no ping was answered yet. */
  readonly rttMs: number | null
  /** Tracing, a log, statistics: switched on and off while it runs. */
  readonly debug: Debug
  /**
   * Sends one frame, from anywhere, callbacks included.
   *
   * @returns a promise that settles when the bytes were handed to the socket and there is room for more. Bytes must stay
   * unchanged until then.
   * @throws (rejects) InvalidFrameError, FrameEncodeError; NotConnectedError, when it was not accepted; ConnectionError when
   * the connection was lost first: the frame is then in `status.unsent`. It never ends its caller: a rejection that only
   * says that there is no connection may be ignored.
   */
  send(frame: Frame): Promise<void>
  /**
   * Sends one frame without a promise.
   *
   * @returns false when it is time to wait for `handleDrain`, though the frame was accepted; and when it was not accepted,
   * because there is no open connection: see `phase`.
   * @throws InvalidFrameError, FrameEncodeError.
   */
  write(frame: Frame): boolean
  /**
   * A message for `handleCast`. It waits while there is no open connection, unless the process is idle.
   *
   * @throws NoProcessError when the process has ended, ProcessError `WS_NO_CALLBACK` when nobody would handle it.
   */
  cast(message: Cast): void
  /**
   * A message for `handleCall`.
   *
   * @returns the answer.
   * @throws (rejects) CallTimeoutError; NoProcessError when the process ends first; CallingSelfError from inside a callback
   * of the same process; ProcessError `WS_NO_CALLBACK`; AbortError.
   */
  call(message: Call, options?: CallOptions): Promise<Answer>
  /** A message for `handleInfo`. Dropped when the process has ended or has no such callback. */
  info(message: Info): void
  /** A message for `handleInfo`, `delayMs` from now. @returns a function that takes it back. */
  sendAfter(message: Info, delayMs: number): () => void
  /**
   * Connects now, when idle or waiting to reconnect.
   *
   * @returns a promise that settles after `handleConnect`.
   * @throws (rejects) what the attempt failed with; the rejection may be ignored. NoProcessError.
   */
  connect(): Promise<void>
  /**
   * Ends the process: waits for the callback that runs, closes, calls `terminate`.
   *
   * @param reason - an `Error` ends it abnormally; anything else is kept in the reason's `value`.
   * @returns how it ended; the same as `ended`.
   */
  stop(reason?: unknown, options?: StopOptions): Promise<EndReason>
  /** More credits for messages, see the option `flow`. @throws UsageError `WS_BAD_OPTION`. */
  updateFlow(credits: number): void
  /** Other keepalive pings from now on. @throws UsageError `WS_BAD_OPTION`. */
  setKeepalive(keepalive: KeepaliveOptions | number | false): void
  /** Ties two processes: the abnormal end of one ends the other. */
  link(other: AnyProcess): void
  /** Undoes `link`. */
  unlink(other: AnyProcess): void
  /** The state, between two callbacks. Rejects with CallTimeoutError or NoProcessError, as the next three do. */
  getState(options?: CallOptions): Promise<State>
  /** Puts another state in its place. @returns the new one. What `replace` throws changes nothing. */
  replaceState(replace: (state: State) => State, options?: CallOptions): Promise<State>
  /** What is known about it, as `formatStatus` shows it. */
  status(options?: CallOptions): Promise<unknown>
  /**
   * Goes on with another behaviour; `codeChange` of the new one makes the state fit. The connection stays.
   *
   * @returns this process, with the types of the new behaviour.
   * @throws (rejects) what `codeChange` threw; the behaviour before goes on then.
   */
  changeBehaviour<NewState, NewCast, NewCall, NewAnswer, NewInfo, NewArgs>(
    behaviour: Behaviour<NewState, NewCast, NewCall, NewAnswer, NewInfo, NewArgs>,
    extra?: unknown,
    options?: CallOptions,
  ): Promise<Process<NewState, NewCast, NewCall, NewAnswer, NewInfo>>
}

/** A process, whatever its messages are. */
export type AnyProcess = Pick<Process, 'name' | 'phase' | 'ended' | 'send' | 'write' | 'stop' | 'connect'>

/** A process or the name of one. */
export type ProcessRef = AnyProcess | ProcessName
