// Strategy: the errors that are about a process and not about its connection, one class each, their codes together.
// They carry what whoever catches them needs to go on: the holder of a name, the state of a process that is gone.
import type { EndReason } from './end-reason.js'

/** Stable codes of the errors about processes; the messages may change, these do not. */
export type ProcessErrorCode =
  | 'WS_ALREADY_STARTED'
  | 'WS_NO_PROCESS'
  | 'WS_CALL_TIMEOUT'
  | 'WS_CALLING_SELF'
  | 'WS_NO_CALLBACK'
  | 'WS_NO_CLUSTER'
  | 'WS_NO_CHILD'
  | 'WS_CHILD_RUNNING'
  | 'WS_CHILD_START_FAILED'
  | 'WS_RESTART_INTENSITY'

/** Something is wrong with a process, its name or its supervisor. `code` says what. */
export class ProcessError extends Error {
  override readonly name: string = 'ProcessError'
  /** What happened; stable, unlike the message. */
  readonly code: ProcessErrorCode

  /** @param message for a developer to read, not part of the API. */
  constructor(code: ProcessErrorCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.code = code
  }
}

/** The name belongs to another process. WebSockex: `{:error, {:already_started, pid}}`. */
export class AlreadyStartedError extends ProcessError {
  override readonly name = 'AlreadyStartedError'
  /** Who holds the name; null when that could not be found out, or it is gone already. */
  readonly holder: unknown

  /** @param shown - the name, as text. */
  constructor(shown: string, holder: unknown, options?: ErrorOptions) {
    super('WS_ALREADY_STARTED', `the name ${shown} is taken`, options)
    this.holder = holder
  }
}

/** There is no such process, or it has ended. WebSockex: `ApplicationError`, or an exit with `:noproc`. */
export class NoProcessError extends ProcessError {
  override readonly name = 'NoProcessError'
  /** How it ended; null when nobody has that name. */
  readonly reason: EndReason | null

  /** @param shown - the name or process, as text. */
  constructor(shown: string, reason: EndReason | null) {
    super(
      'WS_NO_PROCESS',
      reason === null
        ? `there is no process ${shown}`
        : `the process ${shown} has ended (${showReason(reason)})`,
      {
        cause: reason?.error ?? undefined,
      },
    )
    this.reason = reason
  }
}

/** How a process ended, in a few words: `remote 1001 bye`, `stop`. */
function showReason({ type, code, text }: EndReason): string {
  return [type, code, text].filter(part => part !== null && part !== '').join(' ')
}

/** A call was not answered in time. It may still be handled; its answer goes nowhere. */
export class CallTimeoutError extends ProcessError {
  override readonly name = 'CallTimeoutError'
  /** The limit that was reached, in milliseconds. */
  readonly timeoutMs: number

  /** @param what - what was asked. */
  constructor(what: string, timeoutMs: number) {
    super('WS_CALL_TIMEOUT', `no answer to ${what} within ${timeoutMs} ms`)
    this.timeoutMs = timeoutMs
  }
}

/** A process that waits for itself would wait for ever. WebSockex: `CallingSelfError`. */
export class CallingSelfError extends ProcessError {
  override readonly name = 'CallingSelfError'

  /** @param what - the function that was called. */
  constructor(what: string) {
    super('WS_CALLING_SELF', `${what}() from inside a callback of the same process would wait for itself`)
  }
}

/** A child of a supervisor could not be started. `cause` is what its `start` rejected with. OTP: `failed_to_start_child`. */
export class ChildStartError extends ProcessError {
  override readonly name = 'ChildStartError'
  /** The id of its specification. */
  readonly id: string

  /** @param cause - what `start` threw or rejected with. */
  constructor(id: string, cause: unknown) {
    super('WS_CHILD_START_FAILED', `the child ${id} could not be started: ${messageOf(cause)}`, { cause })
    this.id = id
  }
}

/**
 * A supervisor gave up: its children had to be restarted too often. `cause` is the error of the child that was one too
 * many, when it had one. OTP: the exit reason `shutdown` of a supervisor.
 */
export class RestartIntensityError extends ProcessError {
  override readonly name = 'RestartIntensityError'
  /** The child that was one too many. */
  readonly id: string
  /** How that child ended; null when it could not be started. */
  readonly reason: EndReason | null

  /** @param limit - the restarts that were allowed, as text. @param cause - the error of the child, null for none. */
  constructor(id: string, limit: string, reason: EndReason | null, cause: Error | null) {
    const how = cause === null ? '' : `: ${messageOf(cause)}`
    super('WS_RESTART_INTENSITY', `more than ${limit}, the last one of ${id}${how}`, {
      cause: cause ?? undefined,
    })
    this.id = id
    this.reason = reason
  }
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))
