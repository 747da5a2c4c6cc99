// `npm start`: an echo server of our own on a free loopback port, a client against it over TCP and over TLS, and each
// exchange with its round-trip time. `npm start -- wss://host/path` does the same against a server of yours, which should
// be one that echoes; `--insecure` behind it accepts any certificate.
import { parseArgs } from 'node:util'
import {
  connect,
  type ConnectOptions,
  listen,
  type Message,
  type Payload,
  type PayloadParts,
  type Socket,
} from 'sansocket'
import { makeCertificate } from './certificate.js'

const ANSWER_MS = 5000

const USAGE = `npm start                            an echo server of our own, over TCP and TLS
npm start -- wss://host/path         an echo server of yours
npm start -- --insecure wss://…      the same, whatever its certificate`

interface Arguments {
  readonly url: string | undefined
  readonly insecure: boolean
}

/** @returns null when only the usage was wanted. */
function readArguments(): Arguments | null {
  const options = { insecure: { type: 'boolean' }, help: { type: 'boolean' } } as const
  const { values, positionals } = parseArgs({ allowPositionals: true, options })
  return values.help === true ? null : { url: positionals[0], insecure: values.insecure === true }
}

interface Exchange {
  readonly name: string
  readonly send: Payload | PayloadParts
  /** What should come back. */
  readonly expect: string | Uint8Array
}

const mebibyte = new Uint8Array(1024 * 1024).map((_, i) => i * 31)
const exchanges: readonly Exchange[] = [
  { name: 'text', send: 'Grüße, κόσμε', expect: 'Grüße, κόσμε' },
  {
    name: 'binary',
    send: Uint8Array.of(0, 1, 2, 253, 254, 255),
    expect: Uint8Array.of(0, 1, 2, 253, 254, 255),
  },
  {
    name: 'text in 3 fragments',
    send: ['one ', 'message, ', 'three frames'],
    expect: 'one message, three frames',
  },
  { name: 'binary, 1 MiB', send: mebibyte, expect: mebibyte },
]

let failures = 0

function row(what: string, detail: string, ms: number | null): void {
  const time = ms === null ? '' : `${ms.toFixed(2)} ms`
  console.log(`  ${what.padEnd(22)}${detail.padEnd(34)}${time.padStart(12)}`)
}

/** The next message, or null when none comes in time. */
async function nextMessage(messages: AsyncIterator<Message, undefined>): Promise<Message | null> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<null>(resolve => {
    timer = setTimeout(resolve, ANSWER_MS, null)
  })
  const result = await Promise.race([messages.next(), late])
  clearTimeout(timer)
  return result?.value ?? null
}

function same(message: Message, expected: string | Uint8Array): boolean {
  if (message.type === 'text' || typeof expected === 'string') return message.data === expected
  return Buffer.compare(message.data, expected) === 0
}

function describe(data: string | Uint8Array): string {
  if (typeof data !== 'string') return `${data.length.toLocaleString('en')} bytes`
  return data.length > 28 ? `"${data.slice(0, 25)}…"` : `"${data}"`
}

/** @returns false when no answer came: then more of it would only take time. */
async function exchange(
  socket: Socket,
  messages: AsyncIterator<Message, undefined>,
  one: Exchange,
): Promise<boolean> {
  const start = performance.now()
  await socket.send(one.send)
  const answer = await nextMessage(messages)
  if (answer === null) {
    failures++
    row(
      one.name,
      socket.state === 'open' ? `no answer in ${ANSWER_MS} ms` : `the connection is ${socket.state}`,
      null,
    )
    return false
  }
  const elapsed = performance.now() - start
  const echoed = same(answer, one.expect)
  if (!echoed) failures++
  row(
    one.name,
    echoed ? `${describe(one.expect)} echoed` : `answered ${describe(answer.data)}, no echo`,
    elapsed,
  )
  return true
}

async function demonstrate(url: string, options: ConnectOptions): Promise<void> {
  console.log(`\n${url}`)
  const start = performance.now()
  const socket = await connect(url, options)
  row('open', 'HTTP 101 Switching Protocols', performance.now() - start)
  const messages = socket[Symbol.asyncIterator]()
  for (const one of exchanges) {
    if (socket.state !== 'open' || !(await exchange(socket, messages, one))) break
  }
  if (socket.state === 'open') row('ping', 'pong', await socket.ping())
  const closing = performance.now()
  const { sent, received, wasClean, error } = await socket.close(1000, 'done')
  const codes = `sent ${sent?.code ?? 'none'}, received ${received?.code ?? 'none'}`
  row('close', `${codes}, ${wasClean ? 'clean' : 'not clean'}`, performance.now() - closing)
  if (!wasClean) {
    failures++
    if (error !== null) console.log(`  ${error.name}: ${error.message}`)
  }
}

function echo(socket: Socket): void {
  socket.onMessage = message => socket.write(message.data)
}

try {
  const wanted = readArguments()
  if (wanted === null) {
    console.log(USAGE)
  } else if (wanted.url === undefined) {
    const certificate = makeCertificate()
    await using plain = await listen({}, echo)
    await using secure = await listen({ tls: certificate }, echo)
    await demonstrate(plain.url, {})
    await demonstrate(secure.url, { tls: { ca: certificate.cert } })
  } else {
    await demonstrate(wanted.url, { insecure: wanted.insecure })
  }
} catch (error) {
  failures++
  // What went wrong, in which phase, and what the layer below said: no stack, which would only show our own code.
  for (let one: unknown = error; one instanceof Error; one = one.cause) {
    console.error(`  ${one.name}: ${one.message}${'code' in one ? ` [${String(one.code)}]` : ''}`)
  }
}
console.log(failures === 0 ? '\nAll done.' : `\n${failures} of it went wrong.`)
process.exitCode = failures === 0 ? 0 : 1
