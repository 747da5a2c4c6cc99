// `npm start`: an echo server of our own on a free loopback port, and a client against it, over TCP and over TLS: each
// exchange with its round-trip time, a keepalive ping, a connection that the server drops and the client makes anew, and a
// clean end. `npm start -- wss://host/path` does the same against a server of yours, which should be one that echoes (it is
// not asked to drop anything); `--insecure` behind it accepts any certificate.
import { EventEmitter, once } from 'node:events'
import { parseArgs } from 'node:util'
import {
  CallTimeoutError,
  defineBehaviour,
  type Frame,
  type From,
  listen,
  type Message,
  reply,
  type Socket,
  start,
  type StartOptions,
} from 'sansocket'
import { makeCertificate } from './certificate.js'

const ANSWER_MS = 5000
const KEEPALIVE_MS = 200

const USAGE = `npm start                            an echo server of our own, over TCP and TLS
npm start -- wss://host/path         an echo server of yours
npm start -- --insecure wss://…      the same, whatever its certificate`

/** What is sent, and what should come back. */
interface Exchange {
  readonly name: string
  readonly send: Frame
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
    send: { type: 'text', data: ['one ', 'message, ', 'three frames'] },
    expect: 'one message, three frames',
  },
  { name: 'binary, 1 MiB', send: mebibyte, expect: mebibyte },
]

/** Exchanges that were sent and have not come back, and who waits for them. */
interface State {
  readonly waiting: readonly { readonly expect: Exchange['expect']; readonly from: From<void> }[]
}

/** The client. What happens to its connection is printed, and told to `events`. */
const echoes = (events: EventEmitter) =>
  defineBehaviour({
    init: (): State => ({ waiting: [] }),

    handleConnect({ head, reconnects }) {
      row(reconnects === 0 ? 'connect' : 'connect again', `${head.status} ${head.reason}`)
      events.emit('connect')
    },

    // A call is answered when its echo is there: see handleFrame.
    handleCall: ({ send, expect }: Exchange, from: From<void>, { waiting }) => ({
      reply: send,
      state: { waiting: [...waiting, { expect, from }] },
    }),

    handleFrame(message, { waiting: [first, ...others] }) {
      if (first === undefined || !same(message, first.expect)) {
        // Nobody waits for it: a greeting, or the answer of a server that does not echo.
        row('message', describe(message.data))
        return {}
      }
      reply(first.from, undefined)
      return { state: { waiting: others } }
    },

    handlePong(_payload, _state, { rttMs }) {
      if (rttMs !== null) events.emit('pong', rttMs)
    },

    handleDisconnect({ reason, error }) {
      row('connection lost', [reason.type, error === null ? '' : codeOf(error)].join(' '))
    },

    terminate({ type, normal }) {
      row('end', `${type}, ${normal ? 'normal' : 'not normal'}`)
    },
  })

let failures = 0
let last = performance.now()

/** One line of what happened, and how long it took. */
function row(what: string, detail: string, ms: number = performance.now() - last): void {
  console.log(`  ${what.padEnd(22)}${detail.padEnd(40)}${`${ms.toFixed(2)} ms`.padStart(12)}`)
  last = performance.now()
}

function same(message: Message, expected: string | Uint8Array): boolean {
  if (message.type === 'text' || typeof expected === 'string') return message.data === expected
  return Buffer.compare(message.data, expected) === 0
}

function describe(data: string | Uint8Array): string {
  if (typeof data !== 'string') return `${data.length} bytes`
  return data.length > 36 ? `"${data.slice(0, 33)}…"` : `"${data}"`
}

function codeOf(error: Error): string {
  return 'code' in error ? String(error.code) : error.message
}

/** @param drop - makes the server drop its connections, where it is one of ours. */
async function demonstrate(url: string, options: StartOptions, drop: (() => void) | null): Promise<void> {
  console.log(`\n${url}`)
  last = performance.now()
  const events = new EventEmitter()
  const signal = AbortSignal.timeout(60_000)
  await using client = await start(url, echoes(events), {
    ...options,
    keepalive: KEEPALIVE_MS,
    reconnect: { first: 'immediate', retries: 3 },
  })
  for (const one of exchanges) {
    try {
      await client.call(one, { timeoutMs: ANSWER_MS })
    } catch (error) {
      if (!(error instanceof CallTimeoutError)) throw error
      failures++
      row(one.name, 'was not echoed')
      // More of it would only take time.
      break
    }
    row(one.name, `${describe(one.expect)} echoed`)
  }
  const [rttMs] = (await once(events, 'pong', { signal })) as [number]
  row('keepalive', 'ping, pong', rttMs)
  if (drop !== null) {
    const again = once(events, 'connect', { signal })
    drop()
    await again
    await client.call(exchanges[0], { timeoutMs: ANSWER_MS })
    row('text', `${describe(exchanges[0].expect)} echoed`)
  }
  const { normal } = await client.stop()
  if (!normal) failures++
}

function echo(socket: Socket): void {
  socket.onMessage = message => socket.write(message.data)
}

try {
  const options = { insecure: { type: 'boolean' }, help: { type: 'boolean' } } as const
  const { values, positionals } = parseArgs({ allowPositionals: true, options })
  const [url] = positionals
  if (values.help === true) {
    console.log(USAGE)
  } else if (url === undefined) {
    const certificate = makeCertificate()
    for (const tls of [undefined, certificate]) {
      await using server = await listen({ tls }, echo)
      const drop = (): void => {
        for (const socket of server.sockets) socket.terminate()
      }
      await demonstrate(server.url, tls === undefined ? {} : { tls: { ca: tls.cert } }, drop)
    }
  } else {
    await demonstrate(url, { insecure: values.insecure }, null)
  }
} catch (error) {
  failures++
  // What went wrong, in which phase, and what the layer below said: no stack, which would only show our own code.
  for (let one: unknown = error; one instanceof Error; one = one.cause) {
    console.error(`  ${one.name}: ${one.message}${'code' in one ? ` [${codeOf(one)}]` : ''}`)
  }
}
console.log(failures === 0 ? '\nAll done.' : `\n${failures} of it went wrong.`)
process.exitCode = failures === 0 ? 0 : 1
