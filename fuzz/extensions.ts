// Invariant: for arbitrary header values, `parseExtensionList`
//   - never throws, and takes linear time: a value grown to 128 KiB is read within a time that no quadratic reader makes;
//   - gives a list that is not empty, of names and values that are tokens, or null;
//   - takes and refuses what a naive reader does, with the same names and values in the same order;
//   - reads back what `formatExtensionList` writes for it, and reads several lines as it reads them joined by commas.
// `parseUpgrade` and `verifyResponse` give the same list for the same header, and throw nothing but HandshakeError;
// what `encodeRequest` writes for the list is read back by `HeadReader` and `parseUpgrade`.
//
// Input: [how to grow][value, lines split at LF…]. The first byte: 1 to 32 repeats the last
// bytes of the value, as many; any other leaves it as it is.
import {
  acceptKey,
  encodeRequest,
  type ExtensionOffer,
  formatExtensionList,
  HandshakeError,
  HeadReader,
  parseExtensionList,
  parseUpgrade,
  type RequestHead,
  verifyResponse,
} from 'sansocket/handshake'
import { must, mustEqual, whole } from './support.js'

const KEY = 'dGhlIHNhbXBsZSBub25jZQ=='
const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/

const MAX_GROWING_BYTES = 32
/** What a value is grown to, in bytes. */
const GROWN_BYTES = 128 * 1024
/**
 * Time of this process, in milliseconds, to read a grown value. Reading it takes 1 to 15 ms here; a reader that looks
 * at the rest of the value again at each byte would need several seconds.
 */
const GROWN_CPU_MS = 1000

export function fuzz(data: Buffer): void {
  if (data.length < 2) return
  const grow = data[0]
  // Header values are latin1 (HeadReader); LF, which none can contain, separates lines.
  const values = data.toString('latin1', 1).split('\n')
  if (grow > 0 && grow <= MAX_GROWING_BYTES) {
    const last = values[values.length - 1]
    const tail = last.slice(-grow)
    if (tail !== '') parseGrown(last + tail.repeat(Math.ceil(GROWN_BYTES / tail.length)))
  }

  const list = parseExtensionList(values)
  // Any head that reaches these functions was split into lines without controls, but nothing relies on it.
  mustEqual(throughRequest(values), list, 'parseUpgrade and parseExtensionList differ')
  const offered = list ?? [{ name: 'permessage-deflate', params: [] }]
  const agreed = throughResponse(offered, values)
  if (agreed !== null) mustEqual(agreed, list, 'verifyResponse and parseExtensionList differ')
  const flat = list?.flatMap(({ name, params }) => [name, ...params.flat()]).filter(part => part !== null)
  mustEqual(flat ?? null, readNaively(values), 'parser and naive reader differ')
  if (list === null) return

  must(list.length > 0, 'an empty list is not one')
  for (const { name, params } of list) {
    must(TOKEN.test(name), 'a name is not a token', () => name)
    for (const [param, value] of params) {
      must(TOKEN.test(param), 'the name of a parameter is not a token', () => param)
      must(value === null || TOKEN.test(value), 'the value of a parameter is not a token', () => value)
    }
  }
  mustEqual(parseExtensionList([formatExtensionList(list)]), list, 'what is written is not what is read')
  mustEqual(parseExtensionList([values.join(', ')]), list, 'lines and joined lines differ')
  const bytes = encodeRequest({
    host: 'a',
    target: '/',
    key: KEY,
    subprotocols: [],
    extensions: list,
    headers: [],
  })
  const reader = HeadReader.forRequest({ maxHeadBytes: Infinity })
  const [result] = [...whole(bytes)].map(chunk => reader.receive(chunk))
  must(result !== undefined && result !== null, 'an encoded request is not complete')
  mustEqual(parseUpgrade(result.head).extensions, list, 'what encodeRequest writes is not what is read')
}

function parseGrown(value: string): void {
  // A collection of garbage may fall into one measurement: the faster of two counts.
  let fastest = Infinity
  for (let round = 0; round < 2 && fastest > GROWN_CPU_MS; round++) {
    const before = process.cpuUsage()
    parseExtensionList([value])
    const { user, system } = process.cpuUsage(before)
    fastest = Math.min(fastest, (user + system) / 1000)
  }
  must(fastest <= GROWN_CPU_MS, 'parsing is not linear', () => ({
    fastest,
    bytes: value.length,
    ends: value.slice(-64),
  }))
}

function throughRequest(values: readonly string[]): readonly ExtensionOffer[] | null {
  const head: RequestHead = {
    method: 'GET',
    target: '/',
    version: '1.1',
    headers: [
      ['Host', 'a'],
      ['Upgrade', 'websocket'],
      ['Connection', 'Upgrade'],
      ['Sec-WebSocket-Version', '13'],
      ['Sec-WebSocket-Key', KEY],
      ...values.map(value => ['Sec-WebSocket-Extensions', value] as const),
    ],
  }
  try {
    return parseUpgrade(head).extensions
  } catch (error) {
    if (!(error instanceof HandshakeError)) throw error
    mustEqual(error.code, 'WS_HANDSHAKE_BAD_EXTENSIONS', 'another header than the one at fault is blamed')
    return null
  }
}

/** What a client that offered `offered` makes of a 101 with `values`; null when it refuses. */
function throughResponse(
  offered: readonly ExtensionOffer[],
  values: readonly string[],
): readonly ExtensionOffer[] | null {
  const request = { host: 'a', target: '/', key: KEY, subprotocols: [], extensions: offered, headers: [] }
  const headers = [
    ['Upgrade', 'websocket'],
    ['Connection', 'Upgrade'],
    ['Sec-WebSocket-Accept', acceptKey(KEY)],
    ...values.map(value => ['Sec-WebSocket-Extensions', value] as const),
  ] as const
  try {
    return verifyResponse(request, { version: '1.1', status: 101, reason: '', headers }).extensions
  } catch (error) {
    if (!(error instanceof HandshakeError)) throw error
    return null
  }
}

/** Section 9.1 by regular expressions: all names and values in order, null when malformed. */
function readNaively(values: readonly string[]): readonly string[] | null {
  const parts: string[] = []
  for (const value of values) {
    // First the tokens, quoted strings and separators, each as one letter of `shape`, then their order.
    const lexeme = /[ \t]*(?:([!#$%&'*+\-.^_`|~0-9A-Za-z]+)|"((?:[^"\\]|\\[^])*)"|([;,=]))/y
    let shape = ''
    let end = 0
    for (let match = lexeme.exec(value); match !== null; match = lexeme.exec(value)) {
      const [, token, quoted, separator] = match
      shape += separator ?? (token === undefined ? 'q' : 't')
      if (separator === undefined) parts.push(token ?? quoted.replaceAll(/\\([^])/g, '$1'))
      end = lexeme.lastIndex
    }
    if (!/^[ \t]*$/.test(value.slice(end))) return null
    if (shape.split(',').some(element => !/^(?:t(?:;t(?:=[tq])?)*)?$/.test(element))) return null
  }
  return parts.length > 0 && parts.every(part => TOKEN.test(part)) ? parts : null
}
