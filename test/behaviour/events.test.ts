import { execFile } from 'node:child_process'
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { build } from 'esbuild'
import fc from 'fast-check'
import t, { type Test } from 'tap'
import { channelName, CHANNELS, EVENT_TYPES, type ProcessEventType } from '../../src/behaviour/channels.js'
import type { ProcessEvent, PublishedEvent } from '../../src/behaviour/process-event.js'
import { typesInDebug } from '../../src/behaviour/tracing.js'
import { fakeProcess, fakeStream, line, raw, reasonOf, SAMPLES, statusOf } from '../support/event-samples.js'
import type { TracedReport } from '../support/traced-process.js'

t.test('an event is wanted, and made, only where somebody asked for its type', t => {
  const { stream, clock } = fakeStream()
  t.same(
    EVENT_TYPES.filter(type => stream.wants(type)),
    [],
  )
  for (const type of EVENT_TYPES) {
    const seen: unknown[] = []
    const listener = (message: unknown): unknown => seen.push(message)
    subscribe(`sansocket:${type}`, listener)
    t.same(
      EVENT_TYPES.filter(one => stream.wants(one)),
      [type],
    )
    for (const one of EVENT_TYPES) stream.publish(SAMPLES[one][0])
    unsubscribe(channelName(type), listener)
    t.equal(seen.length, 1, type)
    t.match(seen[0], { id: 'feed', at: clock.now(), elapsedMs: clock.now(), event: { type } })
    t.equal((seen[0] as PublishedEvent).process, fakeProcess)
  }
  clock.advance(7)
  const seen: PublishedEvent[] = []
  const stop = stream.subscribe(event => seen.push(event))
  t.same(
    EVENT_TYPES.filter(type => !stream.wants(type)),
    [],
  )
  for (const type of EVENT_TYPES) stream.publish(SAMPLES[type][0])
  t.same(
    seen.map(({ event }) => event.type),
    EVENT_TYPES,
  )
  t.equal(seen[0].at, 7)
  stop()
  stop()
  t.same(
    EVENT_TYPES.filter(type => stream.wants(type)),
    [],
  )
  t.end()
})

t.test('elapsed time counts from the beginning of the process', t => {
  const { stream, clock } = fakeStream()
  const later = { now: () => clock.now() + 1000, setTimeout: () => ({}), clearTimeout: () => {} }
  const own = new (stream.constructor as new (...args: unknown[]) => typeof stream)(fakeProcess, 'x', later)
  clock.advance(4)
  let seen: PublishedEvent | null = null
  own.subscribe(event => (seen = event))
  own.publish({ type: 'start' })
  t.match(seen, { at: 1004, elapsedMs: 4 })
  t.end()
})

t.test('one function may listen twice, and stops once at a time', t => {
  const { stream } = fakeStream()
  let calls = 0
  const listener = (): unknown => calls++
  const stops = [stream.subscribe(listener), stream.subscribe(listener)]
  stream.publish({ type: 'drain' })
  t.equal(calls, 2)
  stops[0]()
  stops[0]()
  stream.publish({ type: 'drain' })
  t.equal(calls, 3)
  stops[1]()
  t.notOk(stream.wants('drain'))
  t.end()
})

t.test('a listener that stops another while an event is told disturbs nobody', t => {
  const { stream } = fakeStream()
  const told: string[] = []
  const stops = ['a', 'b', 'c'].map(name =>
    stream.subscribe(() => {
      told.push(name)
      stops[1]()
    }),
  )
  stream.publish({ type: 'drain' })
  stream.publish({ type: 'drain' })
  t.same(told, ['a', 'b', 'c', 'a', 'c'])
  t.end()
})

t.test('docs/events.md lists exactly the channels there are, and each is known under its name', t => {
  const page = readFileSync(new URL('../../docs/events.md', import.meta.url), 'utf8')
  const listed = [...page.matchAll(/^\| `sansocket:([a-z-]+)` \|/gm)].map(([, type]) => type)
  t.same(listed.toSorted(), [...EVENT_TYPES].toSorted())
  for (const type of EVENT_TYPES) t.equal(CHANNELS[type].name, `sansocket:${type}`)
  t.end()
})

t.test('each event is one line that says what is worth knowing', t => {
  for (const [type, [event, details]] of Object.entries(SAMPLES))
    t.equal(line(event), `sansocket feed +0.004 ${type}${details}`)
  const more: readonly (readonly [ProcessEvent, string])[] = [
    [{ type: 'frame-in', frame: { type: 'text', data: 'x'.repeat(61) } }, `text 61 B "${'x'.repeat(60)}"…`],
    [{ type: 'frame-in', frame: { type: 'text', data: 'x'.repeat(60) } }, `text 60 B "${'x'.repeat(60)}"`],
    [
      { type: 'frame-in', frame: { type: 'binary', data: new Uint8Array(31) } },
      `binary 31 B ${'00'.repeat(30)}…`,
    ],
    [{ type: 'frame-out', frame: { type: 'text', data: ['a'] } }, 'text as a stream'],
    [{ type: 'frame-out', frame: { type: 'binary', data: new ArrayBuffer(2) } }, 'binary 2 B 0000'],
    [
      { type: 'frame-out', frame: { type: 'binary', data: new DataView(new ArrayBuffer(4), 1, 2) } },
      'binary 2 B 0000',
    ],
    [{ type: 'frame-out', frame: { type: 'ping' } }, 'ping 0 B'],
    [{ type: 'frame-out', frame: { type: 'close' } }, 'close without a code'],
    [{ type: 'frame-out', frame: { type: 'close', code: 3000, reason: 'x' } }, 'close 3000 "x"'],
    [{ type: 'frame-out', frame: { type: 'fragment', kind: 'text', data: 'a' } }, 'fragment of text 1 B "a"'],
    [{ type: 'frame-out', frame: { type: 'finish', data: 'a' } }, 'finish 1 B "a"'],
  ]
  for (const [event, details] of more) t.equal(line(event), `sansocket feed +0.004 ${event.type} ${details}`)
  const headers = Array.from({ length: 100 }, (_, at) => [`X-${at}`, 'x'.repeat(50)] as const)
  t.match(line({ type: 'request', url: 'ws://x/', headers }), /X-17=x+ and 82 more\}$/)
  t.end()
})

t.test('a message that cannot be shown costs its line nothing but that', t => {
  const message = {
    get x(): never {
      throw new Error('boom')
    },
    [Symbol.for('nodejs.util.inspect.custom')]: () => {
      throw new Error('boom')
    },
  }
  t.equal(line({ type: 'cast', message }), 'sansocket feed +0.004 cast (cannot be shown)')
  t.end()
})

t.test('nobody outside can write a line, move a cursor, or leave a quote', t => {
  const nasty = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.string({
      unit: fc.constantFrom(
        '\r\n',
        '\x1b[2J',
        '"',
        '\\',
        '\u202e',
        '\u2028',
        '\ud800',
        '\x9b',
        '\0',
        'a',
        ' ',
      ),
    }),
  )
  fc.assert(
    fc.property(nasty, nasty, fc.uint8Array(), (a, b, data) => {
      const error = Object.assign(new Error(a), { code: b, name: a })
      const events: readonly ProcessEvent[] = [
        { type: 'attempt', attempt: 1, url: a },
        { type: 'domain-lookup', hostname: a, addresses: [b], ms: 1 },
        { type: 'connect', peer: a, remoteAddress: b, ms: 1 },
        { type: 'proxy', proxy: a, peer: b, ms: 1 },
        { type: 'tls', peer: a, protocol: b, cipher: a, ms: 1 },
        { type: 'request', url: a, headers: [[a, b]] },
        {
          type: 'response',
          url: a,
          status: 101,
          headers: [
            ['Set-Cookie', a],
            [a, b],
          ],
          ms: 1,
        },
        { type: 'redirect', from: a, to: b, status: 302 },
        { type: 'open', url: a, subprotocol: b, attempt: 1, reconnects: 1 },
        { type: 'frame-in', frame: { type: 'text', data: a } },
        { type: 'frame-in', frame: { type: 'binary', data } },
        { type: 'close-in', frame: { code: 1000, reason: a } },
        { type: 'cast', message: { [a]: b } },
        { type: 'info', message: a },
        { type: 'disconnect', status: statusOf({ target: a, error }) },
        { type: 'behaviour-change', version: a },
        { type: 'callback-error', callback: 'init', error },
        { type: 'terminate', reason: reasonOf({ text: a, value: b, error }) },
      ]
      for (const event of events) {
        const text = line(event, b)
        if (/[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/u.test(text)) return false
        // Outside of quotes there is one word for the name and one for the time.
        if (!/^sansocket (?:[!#-[\]-~]+|"(?:[^"\\]|\\.)*"…?) \+0\.004 /.test(text)) return false
      }
      const [, quoted] = /text \d+ B (.*)$/.exec(line(events[9]))!
      return /^"(?:[^"\\]|\\.)*"…?$/u.test(quoted)
    }),
  )
  t.equal(
    line({ type: 'info', message: 'a\r\n\x1b\u202e"\\' }),
    'sansocket feed +0.004 info "a\\r\\n\\x1b\\u202e\\"\\\\"',
  )
  t.end()
})

t.test('DEBUG is read as the package debug reads it', t => {
  const all = EVENT_TYPES
  const cases: readonly (readonly [string, readonly ProcessEventType[]])[] = [
    ['', []],
    ['express:*,http', []],
    ['sansocket', all],
    ['sansocket:*', all],
    ['*', all],
    ['sans*', all],
    ['http sansocket', all],
    ['sansocket:frame-in', ['frame-in']],
    ['sansocket:frame-*, sansocket:open', ['open', 'frame-in', 'frame-out']],
    ['sansocket:*-in', ['frame-in', 'ping-in', 'pong-in', 'close-in']],
    ['sansocket:c*s*-in', ['close-in']],
    ['*:drain', ['drain']],
    ['sansocket:drain*drain', []],
    ['sansocket,-sansocket:frame-*', all.filter(type => !type.startsWith('frame-'))],
    ['-sansocket:*,sansocket', []],
    ['sansocket:terminate,-*', []],
    ['sansocket:', []],
    ['SANSOCKET', []],
    ['sansocket.frame-in', []],
    ['sansocket:frame-in,,  ,', ['frame-in']],
  ]
  for (const [value, types] of cases) t.same(typesInDebug(value), types, value)
  t.end()
})

/** A program out of `test/support/traced-process.ts` and the sources. */
async function bundled(t: Test): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), 'sansocket-traced-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  const outfile = join(folder, 'traced.mjs')
  const entry = fileURLToPath(new URL('../support/traced-process.ts', import.meta.url))
  await build({
    entryPoints: [entry],
    outfile,
    bundle: true,
    platform: 'node',
    format: 'esm',
    logLevel: 'silent',
  })
  return outfile
}

/** Runs it in a process of its own. */
async function traced(program: string, more: NodeJS.ProcessEnv): Promise<TracedReport & { lines: string[] }> {
  // Plain Node, without the loaders that tap puts into its children.
  const { DEBUG: _, NODE_DEBUG: __, NODE_OPTIONS: ___, ...env } = process.env
  const { stdout, stderr } = await promisify(execFile)(process.execPath, [program], {
    env: { ...env, ...more },
  })
  const lines = stderr.split('\n').filter(text => text.startsWith('sansocket '))
  return { ...(JSON.parse(stdout) as TracedReport), lines }
}

t.test('DEBUG and NODE_DEBUG print the events of all processes, from the first one on', async t => {
  const program = await bundled(t)
  const [silent, some, all] = await Promise.all([
    traced(program, {}),
    traced(program, { DEBUG: 'x,sansocket:*-in,-sansocket:p*' }),
    traced(program, { NODE_DEBUG: 'net,sansocket' }),
  ])
  t.same([silent.lines, silent.wanted, silent.atImport, some.atImport, all.atImport], [[], [], [], [], []])
  t.same(some.wanted, ['frame-in', 'close-in'])
  t.same(some.lines, [
    'sansocket feed +0.011 frame-in text 7 B "grüße"',
    'sansocket feed +0.017 close-in 1001 "away"',
  ])
  t.same(all.wanted, EVENT_TYPES)
  t.same(
    all.lines.map(text => text.split(' ')[3]),
    [...EVENT_TYPES, 'drain'],
  )
  t.notMatch(all.lines.join('\n'), /abc/)
  for (const { told, uncaught } of [silent, some, all]) {
    t.same(told, ['drain'], 'a listener that throws stops no other')
    t.same(
      [...uncaught].toSorted(),
      ['listener', 'subscriber', 'trace'],
      'and what they throw is an uncaught error',
    )
  }
})

t.test('channels get what listeners get', t => {
  const { stream } = fakeStream()
  const got: unknown[] = []
  const listener = (message: unknown): unknown => got.push(message)
  subscribe('sansocket:request', listener)
  const stop = stream.subscribe(listener)
  stream.publish(raw(SAMPLES.request[0]).event)
  unsubscribe('sansocket:request', listener)
  stop()
  t.equal(got.length, 2)
  t.equal(got[0], got[1])
  t.match(got[0], {
    event: {
      headers: [
        ['Host', 'example.com'],
        ['Authorization', 'Bearer ***'],
      ],
    },
  })
  t.end()
})
