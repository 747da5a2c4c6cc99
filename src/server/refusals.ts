// Strategy: every reason not to let a client in is something that was thrown: by the gate, by `handleUpgrade`, or made of what that
// answered. Here it becomes what the client reads.
import type { Duplex } from 'node:stream'
import { warn } from '../behaviour/ending.js'
import { requireKeys } from '../behaviour/result-check.js'
import { HandshakeError, type RejectBody } from '../handshake/index.js'
import { headerList } from '../transport/header-list.js'
import { refuse } from '../transport/server-handshake.js'
import { discard } from '../transport/stream-events.js'
import type { Admission, Refusal } from './server-behaviour.js'
import type { ServerSettings } from './server-options.js'

/** The client has gone away while it was thought about. */
export class Gone extends Error {
  constructor() {
    super('the client has gone away')
  }
}

/** It took too long to decide. */
export class SlowError extends Error {}

const ANSWER: Readonly<Record<string, true>> = {
  subprotocol: true,
  headers: true,
  data: true,
  pool: true,
  status: true,
  body: true,
  type: true,
}

/** Nothing lets in, and so does an answer whose every key is one: `false` and `{ statusCode: 403 }` must not. */
export function requireAnswer(value: unknown): Admission<unknown> | Refusal {
  if (value === undefined || value === null) return {}
  requireKeys('handleUpgrade', value, ANSWER)
  return value
}

/** What `handleUpgrade` answered instead of letting a client in. */
export class Refused extends Error {
  readonly answer: Refusal

  constructor(answer: Refusal) {
    super('refused')
    this.answer = answer
  }
}

const NOTHING = new Uint8Array(0)

/** @throws InvalidHeadError for a status or header that cannot be sent. */
export function refusal(status: number, detail?: string, headers: [string, string][] = []): HandshakeError {
  const options = { status, headers }
  return new HandshakeError('WS_HANDSHAKE_REFUSED', detail === undefined ? options : { ...options, detail })
}

/** Tells a client why it may not come in, unless it has gone. */
export function turnAway(stream: Duplex, error: unknown, settings: ServerSettings): void {
  const { handshakeTimeoutMs: limitMs, socket } = settings
  const limits = { clock: socket.clock, limitMs }
  // Nobody is there any more.
  if (error instanceof Gone || stream.destroyed) return discard(stream)
  try {
    if (error instanceof Refused) {
      const { status, headers = [], body, type = 'text/plain; charset=utf-8' } = error.answer
      const given: RejectBody = {
        type,
        bytes: typeof body === 'string' ? new TextEncoder().encode(body) : (body ?? NOTHING),
      }
      refuse(stream, refusal(status, undefined, headerList(headers)), limits, given)
    } else if (error instanceof HandshakeError && error.response === null) refuse(stream, error, limits)
    else {
      if (!(error instanceof SlowError))
        warn('WS_HANDLE_UPGRADE_FAILED', 'a client could not be let in', error)
      refuse(stream, refusal(500), limits)
    }
  } catch (cause) {
    // A status or header that cannot be sent.
    warn('WS_HANDLE_UPGRADE_FAILED', 'handleUpgrade() answered what cannot be sent', cause)
    refuse(stream, refusal(500), limits)
  }
}
