// Invariant: for arbitrary bytes, `HeadReader` of both kinds
//   - gives the same head and the same place where it ends, or the same HandshakeError, however the bytes are cut;
//   - throws nothing but HandshakeError, fails again after a failure, and never changes a chunk;
//   - gives no name, value, target or reason with CR, LF or NUL in it, and reads back the head it gave.
// `parseUpgrade` and `verifyResponse` throw nothing but HandshakeError. A request that passes can be answered, and the
// answer passes `verifyResponse`; one that does not is refused by `encodeReject` with a response that can be read.
// `ResponseBody` on what follows a response never throws, and keeps the same bytes however they are cut.
//
// Input: [kind and limits][chunk sizes][bytes from the peer…].
import {
  type Agreement,
  type ClientRequest,
  encodeAccept,
  encodeReject,
  encodeRequest,
  HandshakeError,
  type HeadLimits,
  HeadReader,
  type HeadResult,
  parseUpgrade,
  type RequestHead,
  ResponseBody,
  type ResponseHead,
  type UpgradeRequest,
  verifyResponse,
} from 'sansocket/handshake'
import { bytewise, cut, must, mustEqual, sizesOf, whole } from './support.js'

/** The request that responses answer; its key is the one of RFC 6455, section 1.3. */
const REQUEST: ClientRequest = {
  host: 'server.example.com',
  target: '/chat',
  key: 'dGhlIHNhbXBsZSBub25jZQ==',
  subprotocols: ['chat', 'superchat'],
  extensions: [{ name: 'permessage-deflate', params: [['client_max_window_bits', null]] }],
  headers: [],
}
const MAX_BODY_BYTES = 40
const LIMITS: readonly Partial<HeadLimits>[] = [
  {},
  { maxHeadBytes: 200 },
  { maxHeaders: 3 },
  { maxHeadBytes: 64, maxHeaders: 1 },
]

interface Outcome<Head> {
  readonly head: Head | null
  /** Bytes up to and with the blank line; 0 without a head. */
  readonly headBytes: number
  readonly failure: HandshakeError | null
}

export function fuzz(data: Buffer): void {
  if (data.length < 3) return
  const limits = LIMITS[(data[0] >> 1) & 3]
  const bytes = new Uint8Array(data.subarray(2))
  if ((data[0] & 1) === 0) {
    const { head, failure } = readEveryWay(() => HeadReader.forRequest(limits), bytes, sizesOf(data[1]))
    if (failure !== null) mustRefuse(failure)
    if (head !== null) mustAnswer(head)
  } else {
    const sizes = sizesOf(data[1])
    const { head, headBytes } = readEveryWay(() => HeadReader.forResponse(limits), bytes, sizes)
    if (head === null) return
    mustVerify(head)
    const rest = bytes.subarray(headBytes)
    const body = readBody(head, whole(rest))
    mustEqual(readBody(head, cut(rest, sizes)), body, 'cut and whole body differ')
    mustEqual(readBody(head, bytewise(rest)), body, 'bytewise and whole body differ')
  }
}

function readEveryWay<Head extends RequestHead | ResponseHead>(
  makeReader: () => HeadReader<Head>,
  bytes: Uint8Array,
  sizes: readonly number[],
): Outcome<Head> {
  const outcome = read(makeReader(), whole(bytes))
  mustEqual(plain(read(makeReader(), cut(bytes, sizes))), plain(outcome), 'cut and whole differ')
  mustEqual(plain(read(makeReader(), bytewise(bytes))), plain(outcome), 'bytewise and whole differ')
  if (outcome.head !== null) mustReadBack(outcome.head)
  return outcome
}

function read<Head extends RequestHead | ResponseHead>(
  reader: HeadReader<Head>,
  chunks: Iterable<Uint8Array>,
): Outcome<Head> {
  let head: Head | null = null
  let headBytes = 0
  let failure: HandshakeError | null = null
  for (const chunk of chunks) {
    const before = chunk.slice()
    let result: HeadResult<Head> | null = null
    let thrown: HandshakeError | null = null
    try {
      result = reader.receive(chunk)
    } catch (error) {
      if (!(error instanceof HandshakeError)) throw error
      thrown = error
    }
    mustEqual(chunk, before, 'a chunk was changed')
    if (failure !== null) must(thrown?.code === failure.code, 'a failed reader goes on')
    failure ??= thrown
    if (result === null) {
      must(head === null, 'a reader forgets its head')
      if (thrown === null) headBytes += chunk.length
    } else if (head === null) {
      must(result.rest.buffer === chunk.buffer, '`rest` is not a view of the chunk')
      mustEqual(
        result.rest,
        chunk.subarray(chunk.length - result.rest.length),
        '`rest` is not the end of the chunk',
      )
      head = result.head
      headBytes += chunk.length - result.rest.length
    } else {
      mustEqual(result.rest, chunk, 'bytes behind the head are not all `rest`')
    }
  }
  return { head, headBytes: head === null ? 0 : headBytes, failure }
}

const plain = ({ head, headBytes, failure }: Outcome<RequestHead | ResponseHead>): unknown => ({
  head,
  headBytes,
  failure: failure && {
    code: failure.code,
    status: failure.status,
    headers: failure.headers,
    message: failure.message,
  },
})

function mustReadBack(head: RequestHead | ResponseHead): void {
  const isRequest = 'method' in head
  const startLine = isRequest
    ? `${head.method} ${head.target} HTTP/${head.version}`
    : `HTTP/${head.version} ${head.status} ${head.reason}`
  const lines = [startLine, ...head.headers.map(([name, value]) => `${name}: ${value}`)]
  for (const line of lines) must(!/[\r\n\0]/.test(line), 'a line has a control in it', () => line)
  const bytes = new Uint8Array(Buffer.from([...lines, '', ''].join('\r\n'), 'latin1'))
  const limits = { maxHeadBytes: Infinity, maxHeaders: Infinity }
  const again = isRequest
    ? read(HeadReader.forRequest(limits), whole(bytes))
    : read(HeadReader.forResponse(limits), whole(bytes))
  mustEqual(again, { head, headBytes: bytes.length, failure: null }, 'a head written again reads differently')
}

/** A server's way: the request is accepted, and the client agrees; or it is refused. */
function mustAnswer(head: RequestHead): void {
  let upgrade: UpgradeRequest
  try {
    upgrade = parseUpgrade(head)
  } catch (error) {
    if (!(error instanceof HandshakeError)) throw error
    return mustRefuse(error)
  }
  const { key, subprotocols, extensions } = upgrade
  const host = head.headers.find(([name]) => name.toLowerCase() === 'host')?.[1] ?? ''
  const request: ClientRequest = { host, target: head.target, key, subprotocols, extensions, headers: [] }
  const written = read(HeadReader.forRequest({ maxHeadBytes: Infinity }), whole(encodeRequest(request)))
  must(written.head !== null, 'an encoded request cannot be read')
  const again = parseUpgrade(written.head)
  mustEqual(
    [again.key, again.subprotocols, again.extensions],
    [key, subprotocols, extensions],
    'requests differ',
  )

  const seen = new Set<string>()
  const agreement: Agreement = {
    extensions: extensions.filter(({ name }) => !seen.has(name) && seen.add(name)),
    subprotocol: subprotocols[0] ?? null,
  }
  const response = read(
    HeadReader.forResponse({ maxHeadBytes: Infinity }),
    whole(encodeAccept(upgrade, agreement)),
  )
  must(response.head !== null, 'an encoded answer cannot be read')
  mustEqual(verifyResponse(request, response.head), agreement, 'the client does not agree')
}

function mustRefuse(error: HandshakeError): void {
  const { head } = read(HeadReader.forResponse({ maxHeadBytes: Infinity }), whole(encodeReject(error)))
  must(head?.status === error.status, 'a refusal cannot be read', () => error.code)
}

/** A client's way: the response fits the request, or is named in the error. */
function mustVerify(head: ResponseHead): void {
  try {
    const { subprotocol, extensions } = verifyResponse(REQUEST, head)
    must(subprotocol === null || REQUEST.subprotocols.includes(subprotocol), 'a subprotocol was not offered')
    must(
      extensions.every(({ name }) => name === 'permessage-deflate'),
      'an extension was not offered',
    )
    must(extensions.length <= 1, 'an extension is in use twice')
  } catch (error) {
    if (!(error instanceof HandshakeError)) throw error
    mustEqual(
      [error.status, error.headers],
      [head.status, head.headers],
      'the error is not about this response',
    )
  }
}

function readBody(head: ResponseHead, chunks: Iterable<Uint8Array>): unknown {
  const body = new ResponseBody(head, MAX_BODY_BYTES)
  for (const chunk of chunks) {
    const complete = body.receive(chunk)
    must(complete === body.complete, '`complete` is not what receive() told')
  }
  const early = body.complete
  body.receiveEnd()
  must(body.complete, 'a body goes on behind the end')
  must(body.bytes.length <= MAX_BODY_BYTES, 'a body is longer than its limit')
  return { early, truncated: body.truncated, bytes: body.bytes }
}
