// Strategy: where Node's Buffer or WebAssembly are missing, other code runs. This file is its own worker: a thread takes
// them away before it loads `src/protocol`, runs the same scenario as the main thread, and the transcripts are compared.
// The main thread's transcript is itself compared with what the naive builder and parser say.
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads'
import {
  buildFrame,
  bytesOf,
  concat,
  fromPeer,
  PEER_MASK,
  parseFrames,
  ROLES,
  TEXT,
} from '../support/frames.js'

type Protocol = typeof import('../../src/protocol/index.js')
type Missing = 'Buffer' | 'WebAssembly'

const TEXTS = [
  '',
  'short',
  'a text that is longer than sixteen bytes',
  'é€😀',
  '\ufeffmark',
  '\ufffd',
  'lone \ud800 surrogate',
  ...[24, 40, 41, 125, 126, 511, 512, 600, 4096, 5000, 20_000, 70_000].flatMap(chars => [
    'x'.repeat(chars),
    '€'.repeat(chars),
  ]),
]
const SPOILT = [[0xff], [0xc3], [0xed, 0xa0, 0x80], [0xf4, 0x90, 0x80, 0x80], [0x61, 0x80]]

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex')
}

/** Everything that could differ, in words. */
function transcript(protocol: Protocol): string[] {
  const { Connection } = protocol
  const lines: string[] = []
  const see = (connection: InstanceType<Protocol['Connection']>): void => {
    for (let event = connection.nextEvent(); event !== null; event = connection.nextEvent()) {
      if (event.type === 'close') lines.push(`close ${event.frame.code} ${event.frame.reason}`)
      else if (event.type === 'fail') lines.push(`fail ${event.violation.code}`)
      else lines.push(`${event.type} ${typeof event.data === 'string' ? event.data : hex(event.data)}`)
    }
  }
  for (const role of ROLES) {
    const options = { maskKey: () => 0x4d3c2b1a }
    const sender = new Connection(role, options)
    const receiver = new Connection(role === 'client' ? 'server' : 'client', options)
    for (const text of TEXTS) {
      sender.sendText(text)
      sender.sendBinary(bytesOf(text))
      sender.sendFragment('text', text.slice(0, 7), false)
      sender.sendFragment('continuation', text.slice(7), true)
    }
    sender.sendPing(bytesOf('ping'))
    sender.close(4000, 'closing time €')
    const bytes = concat(sender.takeOutput())
    lines.push(hex(bytes.subarray(0, 2000)), `${bytes.length} bytes`)
    for (let at = 0; at < bytes.length; at += 50_021) {
      receiver.receive(bytes.slice(at, at + 50_021))
      see(receiver)
    }
    lines.push(hex(concat(receiver.takeOutput())))
    for (const spoilt of SPOILT) {
      for (const before of ['', 'more than twenty-four bytes of text before it ']) {
        const payload = concat([bytesOf(before), Uint8Array.from(spoilt)])
        const whole = new Connection(role, options)
        whole.receive(fromPeer(role, { opcode: TEXT, payload }))
        see(whole)
        const cut = new Connection(role, options)
        const frame = fromPeer(role, { opcode: TEXT, payload })
        cut.receive(frame.slice(0, -1))
        cut.receive(frame.slice(-1))
        see(cut)
      }
    }
    lines.push(
      hex(new Uint8Array(Array.from({ length: 4 }, (_, i) => protocol.rotateKey(0x04030201, i) & 0xff))),
    )
  }
  return lines
}

interface Transcript {
  readonly lines: readonly string[]
  readonly native: { readonly simd: boolean; readonly unzeroedMemory: boolean }
}

async function inWorker(missing: readonly Missing[]): Promise<Transcript> {
  const worker = new Worker(new URL(import.meta.url), { workerData: { missing }, execArgv: process.execArgv })
  try {
    return await new Promise((resolve, reject) => {
      worker.once('message', resolve)
      worker.once('error', reject)
      worker.once('exit', code => reject(new Error(`the worker ended with ${code}`)))
    })
  } finally {
    await worker.terminate()
  }
}

async function beWorker(): Promise<void> {
  const { missing } = workerData as { missing: readonly Missing[] }
  if (missing.includes('Buffer')) Object.defineProperty(process, 'getBuiltinModule', { value: undefined })
  if (missing.includes('WebAssembly')) Object.defineProperty(globalThis, 'WebAssembly', { value: undefined })
  const protocol = await import('../../src/protocol/index.js')
  const { wasmXor } = await import('../../src/protocol/mask-wasm.js')
  const { allocate } = await import('../../src/protocol/runtime.js')
  // Proof that the fallbacks really stand in: no SIMD kernel, and memory that comes zeroed.
  const zeroed = Array.from({ length: 200 }, () => allocate(1000)).every(bytes =>
    bytes.every(byte => byte === 0),
  )
  const message: Transcript = {
    lines: transcript(protocol),
    native: { simd: wasmXor() !== null, unzeroedMemory: !zeroed },
  }
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a port between threads has no origin
  parentPort?.postMessage(message)
}

async function main(): Promise<void> {
  const { test } = await import('tap')
  const protocol = await import('../../src/protocol/index.js')
  const native = transcript(protocol)

  void test('the scenario that the fallbacks have to repeat is what the naive parser reads', t => {
    for (const text of TEXTS) {
      const wellFormed = new TextDecoder('utf-8', { ignoreBOM: true }).decode(bytesOf(text))
      t.ok(native.includes(`text ${wellFormed}`) && native.includes(`binary ${hex(bytesOf(text))}`))
    }
    t.equal(native.filter(line => line === 'fail WS_INVALID_UTF8').length, ROLES.length * SPOILT.length * 4)
    t.equal(native.filter(line => line === 'close 4000 closing time €').length, 2)
    t.same(parseFrames(buildFrame({ opcode: TEXT, payload: 'a', mask: PEER_MASK }))[0].payload, bytesOf('a'))
    t.end()
  })

  // As in a browser, and as in one whose content security policy forbids WebAssembly.
  const environments: readonly (readonly Missing[])[] = [['Buffer'], ['Buffer', 'WebAssembly']]
  for (const missing of environments) {
    void test(`does the same without ${missing.join(' and ')}`, async t => {
      const { lines, native: kept } = await inWorker(missing)
      t.equal(lines.length, native.length)
      t.same(
        lines.filter((line, i) => line !== native[i]).map(line => line.slice(0, 80)),
        [],
      )
      t.same(
        kept,
        { simd: !missing.includes('WebAssembly'), unzeroedMemory: false },
        'the fallbacks stood in',
      )
    })
  }
}

await (isMainThread ? main() : beWorker())
