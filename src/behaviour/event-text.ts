// Strategy: one line per event, its form the same for all: who, when, what, and then what is worth knowing of it. All that
// comes from outside goes through `word` or `quote`, and the whole line through `escapeUnsafe`, so nobody but this file
// writes a line. Secrets are masked in the event already; what is free text here (messages of errors, payloads, casts) is
// looked through once more.
import { inspect } from 'node:util'
import type { HeaderList } from '../handshake/index.js'
import type { Message } from '../protocol/index.js'
import type { DisconnectStatus } from './disconnect-status.js'
import type { EndReason } from './end-reason.js'
import { type CheckedFrame, isStreamed } from './frame.js'
import { maskEvent } from './masked-event.js'
import { escapeUnsafe, quote, word } from './printable.js'
import type { ProcessEvent, PublishedEvent } from './process-event.js'
import { maskText } from './secrets.js'

/** How much of a payload is shown, in characters, and how much of it is looked at to find secrets. */
const SHOWN = 60
const LOOKED_AT = 512
const SHOWN_MESSAGE = 200
/** How much of a list of headers is shown, in characters. */
const SHOWN_HEADERS = 1000

/**
 * One event as one line, without a line end: `sansocket feed +0.004 frame-in text 125 B "…"`. Payloads are cut, secrets
 * masked, control characters escaped. The form may change in any release; the events themselves are the API.
 */
export function eventText({ id, elapsedMs, event }: PublishedEvent): string {
  let details: string
  try {
    details = detailsOf(maskEvent(event))
  } catch {
    // A message of the user's whose getters throw.
    details = '(cannot be shown)'
  }
  const line = `sansocket ${word(maskText(id), SHOWN)} +${(elapsedMs / 1000).toFixed(3)} ${event.type} ${details}`
  return escapeUnsafe(line.trimEnd())
}

function detailsOf(event: ProcessEvent): string {
  switch (event.type) {
    case 'domain-lookup':
      return `${word(event.hostname)} -> ${event.addresses.map(one => word(one)).join(' ')} ${ms(event.ms)}`
    case 'connect':
      return `${word(event.peer)}${event.remoteAddress === null ? '' : ` at ${word(event.remoteAddress)}`} ${ms(event.ms)}`
    case 'proxy':
      return `${word(event.proxy)} -> ${word(event.peer)} ${ms(event.ms)}`
    case 'tls':
      return `${word(event.peer)} ${word(event.protocol ?? '-')} ${word(event.cipher ?? '-')} ${ms(event.ms)}`
    case 'request':
      return `${word(event.url)} ${headersText(event.headers)}`
    case 'response':
      return `${event.status} ${word(event.url)} ${headersText(event.headers)} ${ms(event.ms)}`
    case 'redirect':
      return `${event.status} ${word(event.from)} -> ${word(event.to)}`
    case 'attempt':
      return `${event.attempt} ${word(event.url)}`
    case 'open':
      return `${word(event.url)} ${pairs({ subprotocol: event.subprotocol, attempt: event.attempt, reconnects: event.reconnects })}`
    case 'frame-in':
    case 'frame-out':
    case 'drop':
      return frameText(event.frame)
    case 'ping-in':
    case 'pong-in':
      return bytesText(event.data)
    case 'keepalive-miss':
      return String(event.missed)
    case 'close-in':
    case 'close-out':
      return closeText(event.frame.code, event.frame.reason)
    case 'cast':
    case 'call':
    case 'info':
      return valueText(event.message)
    case 'disconnect':
      return statusText(event.status)
    case 'reconnect':
      return `attempt ${event.attempt} in ${ms(event.delayMs)}`
    case 'behaviour-change':
      return event.version === undefined ? '' : word(String(event.version))
    case 'callback-error':
      return `${word(event.callback)} ${errorText(event.error)}`
    case 'terminate':
      return reasonText(event.reason)
    default:
      return ''
  }
}

function frameText(frame: Message | CheckedFrame): string {
  const { type } = frame
  if (type === 'close') return `close ${closeText(frame.code ?? 1005, frame.reason ?? '')}`
  const kind = type === 'fragment' ? `fragment of ${frame.kind}` : type
  if (isStreamed(frame)) return `${kind} as a stream`
  const { data } = frame
  if (typeof data === 'string') return `${kind} ${Buffer.byteLength(data)} B ${payloadText(data)}`
  return `${kind} ${data === undefined ? '0 B' : bytesText(data as ArrayBufferLike | ArrayBufferView)}`
}

const payloadText = (data: string, max: number = SHOWN): string =>
  quote(maskHead(data, max), max, data.length > LOOKED_AT)

/** The beginning of a text without its secrets. */
function maskHead(text: string, max: number): string {
  const masked = maskText(text.slice(0, LOOKED_AT))
  if (text.length <= LOOKED_AT || masked.length >= max) return masked
  // So much was masked that the end is shown, and it may be half a secret.
  return masked.replace(/[^\s"'`]*$/, '')
}

/** Bytes in hexadecimal: two digits each, without a claim to be anything else. */
function bytesText(data: ArrayBufferLike | ArrayBufferView): string {
  const { byteLength } = data
  if (byteLength === 0) return '0 B'
  const count = Math.min(byteLength, SHOWN / 2)
  const head = ArrayBuffer.isView(data)
    ? Buffer.from(data.buffer, data.byteOffset, count)
    : Buffer.from(data, 0, count)
  return `${byteLength} B ${head.toString('hex')}${count < byteLength ? '…' : ''}`
}

function closeText(code: number | null, reason: string): string {
  if (code === null || code === 1005) return 'without a code'
  return reason === '' ? String(code) : `${code} ${payloadText(reason)}`
}

function headersText(headers: HeaderList): string {
  let text = ''
  for (const [at, [name, value]] of headers.entries()) {
    const header = `${text === '' ? '' : ' '}${word(name, SHOWN)}=${word(value, SHOWN)}`
    if (text.length + header.length > SHOWN_HEADERS) return `{${text} and ${headers.length - at} more}`
    text += header
  }
  return `{${text}}`
}

function statusText({
  reason,
  phase,
  attempt,
  target,
  httpResponse,
  unsent,
  error,
}: DisconnectStatus): string {
  const details = { phase, attempt, target, status: httpResponse?.status, unsent: unsent.length || undefined }
  return `${whyText(reason.type, reason.code, reason.text)} ${pairs(details)}${errorSuffix(error)}`
}

function reasonText({ type, normal, code, text, error, value, unsent }: EndReason): string {
  const said = value === undefined || value instanceof Error ? '' : ` ${valueText(value)}`
  const details = pairs({ normal, unsent: unsent.length || undefined })
  return `${whyText(type, code, text)}${said} ${details}${errorSuffix(error)}`
}

const whyText = (type: string, code: number | null, text: string): string =>
  code === null ? type : `${type} ${closeText(code, text)}`

const errorSuffix = (error: Error | null): string => (error === null ? '' : ` ${errorText(error)}`)

function errorText(error: unknown): string {
  if (!(error instanceof Error)) return valueText(error)
  const code = 'code' in error ? ` ${word(String(error.code), SHOWN)}` : ''
  return `${word(error.name, SHOWN)}${code} ${payloadText(error.message, SHOWN_MESSAGE)}`
}

/** What a user gave, as far as it can be shown. */
function valueText(value: unknown): string {
  if (typeof value === 'string') return payloadText(value)
  const text = inspect(value, {
    depth: 2,
    breakLength: Infinity,
    maxArrayLength: 8,
    maxStringLength: LOOKED_AT,
  })
  const masked = maskHead(text, SHOWN)
  return masked.length <= SHOWN ? masked : `${masked.slice(0, SHOWN)}…`
}

/** `name=value` for all that is there. */
const pairs = (details: Readonly<Record<string, string | number | boolean | undefined>>): string =>
  Object.entries(details)
    .filter(([, value]) => value !== undefined && value !== '')
    .map(([name, value]) => `${name}=${word(String(value))}`)
    .join(' ')

const ms = (value: number): string => `${Math.round(value * 10) / 10} ms`
