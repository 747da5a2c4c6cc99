import type { HandshakeError } from './handshake-error.js'
import { formatHeaders } from './head-writer.js'
import { headerValues } from './head.js'
import { InvalidHeadError } from './invalid-head-error.js'
import { encodeLatin1 } from './latin1.js'

// RFC 9110 section 15 and RFC 6585, the ones that make sense in answer to an upgrade request. RFC 9112
// section 4 allows an empty phrase for all others.
const reasonPhrases: ReadonlyMap<number, string> = new Map([
  [301, 'Moved Permanently'],
  [302, 'Found'],
  [303, 'See Other'],
  [307, 'Temporary Redirect'],
  [308, 'Permanent Redirect'],
  [400, 'Bad Request'],
  [401, 'Unauthorized'],
  [402, 'Payment Required'],
  [403, 'Forbidden'],
  [404, 'Not Found'],
  [405, 'Method Not Allowed'],
  [406, 'Not Acceptable'],
  [407, 'Proxy Authentication Required'],
  [408, 'Request Timeout'],
  [409, 'Conflict'],
  [410, 'Gone'],
  [413, 'Content Too Large'],
  [414, 'URI Too Long'],
  [421, 'Misdirected Request'],
  [426, 'Upgrade Required'],
  [429, 'Too Many Requests'],
  [431, 'Request Header Fields Too Large'],
  [451, 'Unavailable For Legal Reasons'],
  [500, 'Internal Server Error'],
  [501, 'Not Implemented'],
  [502, 'Bad Gateway'],
  [503, 'Service Unavailable'],
  [504, 'Gateway Timeout'],
  [505, 'HTTP Version Not Supported'],
])

const reserved: ReadonlySet<string> = new Set([
  'connection',
  'content-length',
  'content-type',
  'transfer-encoding',
])

/** What a refusal says instead of the error's message. */
export interface RejectBody {
  /** As in `Content-Type`. */
  readonly type: string
  readonly bytes: Uint8Array
}

/**
 * Writes the whole HTTP response that refuses a handshake: status and headers of the error, and its message
 * as the body. The connection must be closed behind it.
 * @param given another body
 * @throws InvalidHeadError when the error has no status from 300 to 599, or headers that cannot be sent
 */
export function encodeReject(error: HandshakeError, given?: RejectBody): Uint8Array {
  const { status, headers } = error
  if (!Number.isInteger(status) || status < 300 || status > 599) {
    throw new InvalidHeadError('status', 'must be from 300 to 599 to refuse')
  }
  const body = given?.bytes ?? new TextEncoder().encode(`${error.message}\n`)
  const type: [string, string] = ['Content-Type', given?.type ?? 'text/plain; charset=utf-8']
  // RFC 9110 7.8: who sends Upgrade also names it in Connection, which is ours to write.
  const upgrades = headerValues(headers, 'upgrade')
  const others = headers.filter(([name]) => typeof name !== 'string' || name.toLowerCase() !== 'upgrade')
  const head = encodeLatin1(
    `HTTP/1.1 ${status} ${reasonPhrases.get(status) ?? ''}\r\n` +
      (upgrades.length === 0
        ? 'Connection: close\r\n'
        : 'Upgrade: websocket\r\nConnection: Upgrade, close\r\n') +
      formatHeaders([type]) +
      `Content-Length: ${body.length}\r\n` +
      formatHeaders(others, reserved) +
      '\r\n',
  )
  const response = new Uint8Array(head.length + body.length)
  response.set(head)
  response.set(body, head.length)
  return response
}
