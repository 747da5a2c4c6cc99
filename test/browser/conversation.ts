// Strategy: what is bundled and run away from Node. It uses nothing but the library and the language, and answers with
// plain data, so the same lines can be compared wherever it ran: here, in an empty `vm` context, in a browser's page.
import { Connection, type ProtocolEvent } from '../../src/protocol/index.js'
import { wasmXor } from '../../src/protocol/mask-wasm.js'

/** What a runtime offered, and what the two ends of a connection in it reported. */
export interface Report {
  readonly process: string
  readonly buffer: string
  /** Whether the WebAssembly kernel masked, or the word loop did in its place. */
  readonly wasm: boolean
  readonly lines: readonly string[]
}

const TEXT = 'zero \0, two é, three 你好, four 🌍'
const LARGE_BYTES = 100 * 1024
const bytes = Uint8Array.from({ length: LARGE_BYTES }, (_, i) => (i * 31) ^ (i >> 8))

const tell = (event: ProtocolEvent): string => {
  if (event.type === 'close') {
    const { code, reason } = event.frame
    // The words of a violation may change.
    return code === 1002 ? 'close 1002' : `close ${code} ${reason}`
  }
  if (event.type === 'fail') return `fail ${event.violation.closeCode} ${event.violation.code}`
  if (event.type === 'text')
    return event.data.length > 100 ? `text of ${event.data.length}` : `text ${event.data}`
  if (event.data.length <= 8) return `${event.type} ${[...event.data].join()}`
  const same = event.data.length === bytes.length && event.data.every((byte, i) => byte === bytes[i])
  return `${event.type} of ${event.data.length}, ${same ? 'unharmed' : 'changed'}`
}

/** A client and a server joined in memory; what each of them reports is added to `lines`. */
const join = (lines: string[]): { client: Connection; server: Connection; exchange: () => void } => {
  let key = 0x12345678
  const client = new Connection('client', { maskKey: () => (key = (key * 48_271) | 1) })
  const server = new Connection('server')
  const carry = (from: Connection, to: Connection): boolean => {
    const output = from.takeOutput().map(chunk => chunk.slice())
    for (const chunk of output) {
      // In two pieces, as a network might.
      to.receive(chunk.subarray(0, 7))
      to.receive(chunk.subarray(7))
      for (let event = to.nextEvent(); event !== null; event = to.nextEvent()) {
        lines.push(`${to.role}: ${tell(event)}`)
      }
    }
    return output.length > 0
  }
  const exchange = (): void => {
    while (carry(client, server) || carry(server, client));
  }
  return { client, server, exchange }
}

/** Two connections: one that says everything there is to say, and one that is sent garbage. */
export const converse = (): Report => {
  const lines: string[] = []
  const { client, server, exchange } = join(lines)
  for (const [one, other] of [
    [client, server],
    [server, client],
  ]) {
    one.sendText(TEXT)
    one.sendText('')
    one.sendText('é'.repeat(LARGE_BYTES / 2))
    one.sendBinary(bytes)
    one.sendFragment('text', 'pieces of \ud83c', false)
    one.sendPing(Uint8Array.of(1, 2, 3))
    one.sendFragment('continuation', '\udf0d', true)
    exchange()
    lines.push(`${other.role} has nothing to say: ${other.pendingBytes === 0}`)
  }
  client.close(4000, 'naïve ✓')
  exchange()
  lines.push(`client ${client.shutdown}, server ${server.shutdown}`)

  const broken = join(lines)
  broken.client.receive(Uint8Array.of(0xff, 0x00, 0x01))
  for (let event = broken.client.nextEvent(); event !== null; event = broken.client.nextEvent()) {
    lines.push(`client: ${tell(event)}`)
  }
  broken.exchange()

  const runtime = globalThis as { process?: unknown; Buffer?: unknown }
  return { process: typeof runtime.process, buffer: typeof runtime.Buffer, wasm: wasmXor() !== null, lines }
}
