// Rule 9 of the behaviour contract as a property: whatever fails, and whenever, each failure is told once, each process ends
// once, nothing that was accepted is lost silently, and nothing is left behind. Everything runs in virtual time.
import * as fc from 'fast-check'
import { test } from 'tap'
import {
  type Behaviour,
  type EndReason,
  type Frame,
  NotConnectedError,
  type Process,
  start,
  type StartOptions,
} from '../../src/index.js'
import { VirtualNetwork, type VirtualLink } from '../../src/testing/index.js'
import { parseFrames } from '../support/frames.js'

const URL = 'ws://peer.test/'

/** What the server does with one connection. */
type Fate =
  | { readonly kind: 'refuse' | 'hang' | 'freeze' | 'serve' | 'deaf' }
  | { readonly kind: 'status'; readonly status: number }
  | { readonly kind: 'reset'; readonly bytes: number; readonly direction: 'to-client' | 'to-server' }
  | { readonly kind: 'end'; readonly afterMs: number }
  | { readonly kind: 'close'; readonly code: number; readonly afterMs: number }
  | { readonly kind: 'garbage'; readonly bytes: Uint8Array; readonly instead: boolean }

type Step =
  | { readonly kind: 'send'; readonly frames: number; readonly bytes: number }
  | { readonly kind: 'cast' | 'info' | 'call' | 'connect' }

interface Schedule {
  readonly seed: number
  readonly fates: readonly Fate[]
  readonly steps: readonly { readonly atMs: number; readonly step: Step }[]
  readonly stop: { readonly atMs: number; readonly how: 'stop' | 'abort' | 'error' }
  /** The number of the callback that fails, counted over all of them, and how. */
  readonly fault: {
    readonly call: number
    readonly how: 'throw' | 'reject' | 'answer' | 'close' | 'stop'
  } | null
  /** Every callback whose number divides by this takes so long. */
  readonly slow: { readonly every: number; readonly ms: number }
  readonly options: {
    readonly reconnect: boolean
    readonly handleInitialFailure: boolean
    readonly whenNotOpen: 'error' | 'queue'
    readonly ttlMs: number
    readonly decides: boolean
  }
  readonly latencyMs: number
  readonly windowBytes: number
}

const ms = (max: number): fc.Arbitrary<number> => fc.integer({ min: 0, max })

const fate: fc.Arbitrary<Fate> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('serve' as const) }) },
  fc.record({
    kind: fc.constantFrom('refuse' as const, 'hang' as const, 'freeze' as const, 'deaf' as const),
  }),
  fc.record({ kind: fc.constant('status' as const), status: fc.constantFrom(401, 404, 503) }),
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant('reset' as const),
      bytes: fc.integer({ min: 0, max: 600 }),
      direction: fc.constantFrom('to-client' as const, 'to-server' as const),
    }),
  },
  fc.record({ kind: fc.constant('end' as const), afterMs: ms(3000) }),
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant('close' as const),
      code: fc.constantFrom(1000, 1001, 1005, 1011, 4000),
      afterMs: ms(3000),
    }),
  },
  fc.record({
    kind: fc.constant('garbage' as const),
    bytes: fc.uint8Array({ minLength: 1, maxLength: 40 }),
    instead: fc.boolean(),
  }),
)

const schedule: fc.Arbitrary<Schedule> = fc.record({
  seed: fc.integer(),
  fates: fc.array(fate, { minLength: 1, maxLength: 5 }),
  steps: fc.array(
    fc.record({
      atMs: ms(20_000),
      step: fc.oneof(
        fc.record({
          kind: fc.constant('send' as const),
          frames: fc.integer({ min: 1, max: 4 }),
          bytes: fc.constantFrom(1, 200, 5000),
        }),
        fc.record({
          kind: fc.constantFrom('cast' as const, 'info' as const, 'call' as const, 'connect' as const),
        }),
      ),
    }),
    { maxLength: 8 },
  ),
  stop: fc.record({
    atMs: ms(30_000),
    how: fc.constantFrom('stop' as const, 'abort' as const, 'error' as const),
  }),
  fault: fc.option(
    fc.record({
      call: fc.integer({ min: 1, max: 12 }),
      how: fc.constantFrom(
        'throw' as const,
        'reject' as const,
        'answer' as const,
        'close' as const,
        'stop' as const,
      ),
    }),
  ),
  slow: fc.record({ every: fc.integer({ min: 1, max: 6 }), ms: fc.constantFrom(0, 10, 700) }),
  options: fc.record({
    reconnect: fc.boolean(),
    handleInitialFailure: fc.boolean(),
    whenNotOpen: fc.constantFrom('error' as const, 'queue' as const),
    ttlMs: fc.constantFrom(500, Infinity),
    decides: fc.boolean(),
  }),
  latencyMs: fc.constantFrom(0, 0, 20),
  windowBytes: fc.constantFrom(1024, 65_536),
})

/** What one run did, in order, and what became of each frame. */
class Record {
  readonly log: string[] = []
  readonly accepted = new Set<string>()
  readonly unsent: string[] = []
  readonly handed: string[][] = []
  readonly links: VirtualLink[] = []
  readonly taken = new Map<VirtualLink, Uint8Array[]>()
  running = false
  overlaps = 0
  calls = 0
  terminated = 0
  afterTerminate = 0

  handBack(frames: readonly Frame[]): void {
    const ids = frames.map(idOf)
    this.handed.push(ids)
    this.unsent.push(...ids)
  }

  /** The frames that the network took whole, on all links. */
  delivered(): string[] {
    const ids: string[] = []
    for (const chunks of this.taken.values()) {
      const bytes = Buffer.concat(chunks)
      const end = bytes.indexOf('\r\n\r\n')
      if (end < 0) continue
      for (const { opcode, payload } of parseWhole(bytes.subarray(end + 4))) {
        if (opcode === 1) ids.push(idOf(Buffer.from(payload).toString()))
      }
    }
    return ids
  }
}

function idOf(frame: Frame): string {
  const text = typeof frame === 'string' ? frame : String((frame as { readonly data: unknown }).data)
  return text.split(' ')[0]
}

/** All frames but one that is cut at the end. */
function parseWhole(bytes: Uint8Array): readonly { readonly opcode: number; readonly payload: Uint8Array }[] {
  return parseFrames([bytes.subarray(0, wholeLength(bytes))])
}

function wholeLength(bytes: Uint8Array): number {
  let at = 0
  for (;;) {
    if (at + 2 > bytes.length) return at
    const short = bytes[at + 1] & 0x7f
    const head = 2 + (short === 126 ? 2 : short === 127 ? 8 : 0) + 4
    if (at + head > bytes.length) return at
    const length = short === 126 ? bytes[at + 2] * 256 + bytes[at + 3] : short
    if (at + head + length > bytes.length) return at
    at += head + length
  }
}

function serve(network: VirtualNetwork, { fates }: Schedule, record: Record): void {
  let turn = 0
  const server = network.listen(URL, (socket, _request, link) => {
    const now = fates[(turn - 1) % fates.length]
    if (now.kind === 'close') {
      network.clock.setTimeout(() => void socket.close(now.code), now.afterMs)
    } else if (now.kind === 'end') network.clock.setTimeout(() => link.end('to-client'), now.afterMs)
    else if (now.kind === 'freeze') network.clock.setTimeout(() => link.freeze(), 1000)
    else if (now.kind === 'garbage') link.inject(now.bytes, 'to-client')
    if (now.kind !== 'deaf') socket.onMessage = message => void socket.write(message.data)
  })
  server.onLink = link => {
    record.links.push(link)
    const chunks: Uint8Array[] = []
    record.taken.set(link, chunks)
    link.onTaken = (bytes, direction) => {
      if (direction === 'to-server') chunks.push(bytes)
    }
    const now = fates[(turn - 1) % fates.length]
    if (now.kind === 'reset') link.resetAfter(now.bytes, now.direction)
    if (now.kind === 'garbage' && now.instead) link.inject(now.bytes, 'to-client')
  }
  Object.assign(network, {
    nextFate: () => {
      const now = fates[turn++ % fates.length]
      server.up()
      if (now.kind === 'refuse') server.down('keep')
      else if (now.kind === 'hang') server.hang()
      else if (now.kind === 'status') server.refuse(now.status)
    },
  })
}

function makeBehaviour(
  { fault, slow, options }: Schedule,
  record: Record,
  network: VirtualNetwork,
): Behaviour<number, string, string, number, string> {
  const callback = async (name: string): Promise<void> => {
    await new Promise<void>(resolve => void network.clock.setTimeout(resolve, slow.ms))
    void name
  }
  /** Runs one callback: looks for overlaps, takes its time, fails when its turn has come. */
  const run = (name: string, answer: () => object): object | Promise<object> => {
    if (record.terminated > 0) record.afterTerminate++
    if (record.running) record.overlaps++
    record.log.push(name)
    const number = ++record.calls
    const faulty = fault !== null && fault.call === number
    const fail = (): object => {
      if (fault!.how === 'answer') return { nonsense: true }
      if (fault!.how === 'close') return name === 'disconnect' ? { stay: true } : { close: { code: 4001 } }
      if (fault!.how === 'stop') return { stop: 'enough' }
      throw new Error('the callback failed')
    }
    if (faulty && fault.how === 'throw') return fail()
    if (!faulty && number % slow.every !== 0) return answer()
    record.running = true
    return (async () => {
      try {
        await callback(name)
        return faulty ? fail() : answer()
      } finally {
        record.running = false
      }
    })()
  }
  let replies = 0
  const nextReply = (): string => {
    const id = `r${++replies}`
    record.accepted.add(id)
    return `${id} reply`
  }
  return {
    init: () => 0,
    handleConnect: (_connection, state) => run('connect', () => ({ state: state + 1, reply: nextReply() })),
    handleFrame: (_frame, state) => run('frame', () => ({ state: state + 1 })),
    handleCast: () => run('cast', () => ({ reply: nextReply() })),
    handleCall: (_message, _from, state) => run('call', () => ({ answer: state })),
    handleInfo: () => run('info', () => ({ reply: nextReply() })),
    handleDisconnect: status => {
      record.handBack(status.unsent)
      return run('disconnect', () => (options.decides ? { reconnect: { delayMs: 100 } } : {}))
    },
    terminate: reason => {
      record.terminated++
      if (record.running) record.overlaps++
      record.handBack(reason.unsent)
    },
  }
}

async function play(one: Schedule): Promise<string[]> {
  const problems: string[] = []
  const network = new VirtualNetwork({
    seed: one.seed,
    conditions: { latencyMs: one.latencyMs, windowBytes: one.windowBytes },
  })
  const record = new Record()
  serve(network, one, record)
  const controller = new AbortController()
  const { reconnect, handleInitialFailure, whenNotOpen, ttlMs } = one.options
  const options: StartOptions = {
    ...network.startOptions,
    reconnect,
    handleInitialFailure,
    whenNotOpen: whenNotOpen === 'queue' ? { type: 'queue', ttlMs, maxFrames: 8 } : 'error',
    signal: controller.signal,
    keepalive: { intervalMs: 5000, timeoutMs: 2000 },
    connectTimeoutMs: 4000,
    handshakeTimeoutMs: 4000,
    closeTimeoutMs: 1000,
    debug: [],
  }
  let attempts = 0
  const dial = network.startOptions.createConnection
  const nextFate = (network as unknown as { nextFate: () => void }).nextFate
  let startError: unknown = null
  let process: Process<number, string, string, number, string> | null = null
  let reason: EndReason | null = null
  const started = start(URL, makeBehaviour(one, record, network), {
    ...options,
    name: 'the one',
    createConnection: (target, signal) => {
      attempts++
      nextFate()
      return dial(target, signal)
    },
  }).then(
    made => {
      process = made
      void made.ended.then(end => {
        reason = end
      })
    },
    (error: unknown) => {
      startError = error
    },
  )
  const refused: string[] = []
  const sendAll = ({ frames, bytes }: Step & { kind: 'send' }): void => {
    for (let i = 0; i < frames; i++) {
      const id = `s${++sends}`
      record.accepted.add(id)
      process!.send(`${id} ${'x'.repeat(bytes)}`).catch((error: unknown) => {
        // Not accepted: never to be seen again. A frame that waited too long was accepted, and is handed back.
        if (error instanceof NotConnectedError && !/waited/.test(error.message)) refused.push(id)
      })
    }
  }
  let sends = 0
  const at = (time: number, run: () => void): void => void network.clock.setTimeout(run, time)
  for (const { atMs, step } of one.steps) {
    at(atMs, () => {
      if (process === null) return
      if (step.kind === 'send') sendAll(step)
      else if (step.kind === 'connect') void process.connect()
      else if (step.kind === 'info') process.info('x')
      else if (step.kind === 'call') void process.call('x').catch(() => {})
      else if (step.kind === 'cast') {
        try {
          process.cast('x')
        } catch {
          // The process has ended.
        }
      }
    })
  }
  at(one.stop.atMs, () => {
    if (process === null || one.stop.how === 'abort') controller.abort()
    else void process.stop(one.stop.how === 'error' ? new Error('told to') : undefined)
  })
  // Long enough for every time limit there is.
  await network.advance(one.stop.atMs + 60_000)
  await network.run(started)

  const check = (good: boolean, text: string): void => void (good || problems.push(text))
  check(startError !== null || reason !== null, 'it neither started and ended nor failed to start')
  check(record.terminated === 1, `terminate ran ${record.terminated} times`)
  check(record.overlaps === 0, `${record.overlaps} callbacks overlapped`)
  check(record.afterTerminate === 0, `${record.afterTerminate} callbacks after terminate`)
  // attempt (open)? disconnect, again and again: no loss is told twice, or not at all.
  const connects = record.log.filter(name => name === 'connect').length
  const disconnects = record.log.filter(name => name === 'disconnect').length
  // All but the last attempt ended in a disconnect; the last one too, or it failed the start, or it was ended on purpose.
  check(disconnects <= attempts, `${disconnects} disconnects of ${attempts} attempts`)
  check(disconnects >= attempts - 1, `only ${disconnects} disconnects of ${attempts} attempts`)
  check(connects <= attempts, `${connects} connects of ${attempts} attempts`)
  const end = reason as EndReason | null
  if (end !== null && !['stop', 'crash', 'link'].includes(end.type))
    check(disconnects === attempts, `ended by ${end.type}, but ${disconnects} of ${attempts} told`)
  const delivered = record.delivered()
  const all = [...delivered, ...record.unsent]
  const count = (ids: readonly string[], id: string): number => ids.filter(one => one === id).length
  for (const id of record.accepted) {
    if (refused.includes(id)) continue
    check(all.includes(id), `${id} was lost`)
    check(count(delivered, id) <= 1, `${id} was delivered twice`)
    check(count(record.unsent, id) <= 1, `${id} was handed back twice`)
  }
  // Several frames may leave in one write. When it is cut, nobody can know how far it got: they are all handed back, and the
  // first of them may have got there.
  for (const ids of record.handed) {
    const cut = ids.findIndex(id => !delivered.includes(id))
    if (cut >= 0) check(!ids.slice(cut).some(id => delivered.includes(id)), `${ids.join(' ')}: out of order`)
  }
  check(
    all.every(id => record.accepted.has(id)),
    'something was delivered that nobody sent',
  )
  await network.close()
  check(network.leaks().length === 0, `left behind: ${network.leaks().join(', ')}`)
  return problems.map(
    text =>
      `${text} [${record.log.join(' ')}] ${startError === null ? '' : String(startError)} ${end?.type ?? ''}`,
  )
}

test('each failure is told once, each process ends once, and nothing is lost or left', async t => {
  const numRuns = Number(process.env['SCHEDULES'] ?? (process.env['CI'] === undefined ? 1000 : 5000))
  const seed = Number(process.env['SEED'] ?? Date.now() % 2 ** 31)
  t.comment(`${numRuns} schedules, seed ${seed}`)
  const result = await fc.check(
    fc.asyncProperty(schedule, async one => {
      const problems = await play(one)
      if (problems.length > 0) throw new Error(problems.join('\n'))
    }),
    { numRuns, seed, endOnFailure: false },
  )
  t.notOk(result.failed, `${String(result.errorInstance)} ${fc.defaultReportMessage(result) ?? ''}`)
})
