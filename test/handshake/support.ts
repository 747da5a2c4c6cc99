import {
  HandshakeError,
  type HandshakeErrorCode,
  HeadReader,
  type HeadResult,
} from '../../src/handshake/index.js'
import type { ClientRequest, RequestHead, ResponseHead } from '../../src/handshake/index.js'

/** The key and its answer in RFC 6455 section 1.3. */
export const KEY = 'dGhlIHNhbXBsZSBub25jZQ=='
export const ACCEPT = 's3pPLMBiTxaQ9kYGzzhZRbK+xOo='

export const bytes = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, 'latin1'))
export const text = (data: Uint8Array): string => Buffer.from(data).toString('latin1')

export type Line = readonly [name: string, value: string]

export const requestLines: readonly Line[] = [
  ['Host', 'example.com:8080'],
  ['Upgrade', 'websocket'],
  ['Connection', 'Upgrade'],
  ['Sec-WebSocket-Key', KEY],
  ['Sec-WebSocket-Version', '13'],
]

export const responseLines: readonly Line[] = [
  ['Upgrade', 'websocket'],
  ['Connection', 'Upgrade'],
  ['Sec-WebSocket-Accept', ACCEPT],
]

/** The lines without those named, and with others behind them. */
export function edit(lines: readonly Line[], without: readonly string[], more: readonly Line[] = []): Line[] {
  return [...lines.filter(([name]) => !without.includes(name)), ...more]
}

export function head(startLine: string, lines: readonly Line[]): Uint8Array {
  return bytes([startLine, ...lines.map(([name, value]) => `${name}: ${value}`), '', ''].join('\r\n'))
}

export const request = (
  lines: readonly Line[] = requestLines,
  startLine = 'GET /chat?room=1 HTTP/1.1',
): Uint8Array => head(startLine, lines)
export const response = (
  lines: readonly Line[] = responseLines,
  startLine = 'HTTP/1.1 101 Switching Protocols',
): Uint8Array => head(startLine, lines)

export function readRequest(data: Uint8Array): RequestHead {
  return complete(HeadReader.forRequest().receive(data))
}

export function readResponse(data: Uint8Array): ResponseHead {
  return complete(HeadReader.forResponse().receive(data))
}

function complete<Head>(result: HeadResult<Head> | null): Head {
  if (result === null) throw new Error('the head is not complete')
  return result.head
}

export function clientRequest(changes: Partial<ClientRequest> = {}): ClientRequest {
  return {
    host: 'example.com',
    target: '/',
    key: KEY,
    subprotocols: [],
    extensions: [],
    headers: [],
    ...changes,
  }
}

/** The HandshakeError that a function throws; any other outcome throws. */
export function failure(run: () => unknown): HandshakeError {
  try {
    run()
  } catch (error) {
    if (error instanceof HandshakeError) return error
    throw error
  }
  throw new Error('it did not fail')
}

/** The code a function fails with. */
export const code = (run: () => unknown): HandshakeErrorCode => failure(run).code

/**
 * What a reader makes of chunks: a head and the text behind it, a failure, or null. All other errors get
 * through.
 */
export function outcome<Head extends RequestHead | ResponseHead>(
  reader: HeadReader<Head>,
  chunks: readonly Uint8Array[],
): { head: Head; rest: string } | { failed: string; status: number } | null {
  let done: Head | null = null
  let rest = ''
  for (const chunk of chunks) {
    try {
      const result = reader.receive(chunk)
      if (result === null) continue
      done = result.head
      rest += text(result.rest)
    } catch (error) {
      if (!(error instanceof HandshakeError)) throw error
      return { failed: `${error.code} ${error.message}`, status: error.status }
    }
  }
  return done === null ? null : { head: done, rest }
}
