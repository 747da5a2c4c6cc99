import { existsSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Writable } from 'node:stream'
import fc from 'fast-check'
import t, { type Test } from 'tap'
import { EVENT_TYPES } from '../../src/behaviour/channels.js'
import { Debug, type DebugOption, requireDebugOptions } from '../../src/behaviour/debug.js'
import type { EventStream } from '../../src/behaviour/events.js'
import { FileLog } from '../../src/behaviour/file-log.js'
import type { PublishedEvent } from '../../src/behaviour/process-event.js'
import { fakeStream, SAMPLES } from '../support/event-samples.js'
import { leavesNothing, turn, withResolvers } from '../support/servers.js'

const publishAll = (stream: EventStream): void => {
  for (const [event] of Object.values(SAMPLES)) stream.publish(event)
}

const folder = (t: Test): string => {
  const path = mkdtempSync(join(tmpdir(), 'sansocket-log-'))
  t.teardown(() => rmSync(path, { recursive: true, force: true }))
  return path
}

const linesOf = (path: string): string[] => readFileSync(path, 'utf8').split('\n').slice(0, -1)

/** An event that can be told from the others. */
const miss = (missed: number) => ({ type: 'keepalive-miss', missed }) as const

const missesIn = (events: readonly PublishedEvent[]): number[] =>
  events.map(({ event }) => (event.type === 'keepalive-miss' ? event.missed : -1))

t.test(
  'nothing is on, and no event wanted, until something is switched on; and again when all is off',
  async t => {
    const path = join(folder(t), 'log')
    const switches: Readonly<Record<string, (debug: Debug) => () => void>> = {
      trace: debug => {
        debug.trace(() => {})
        return () => debug.trace(false)
      },
      log: debug => {
        debug.log(3)
        return () => debug.log(false)
      },
      statistics: debug => {
        debug.statistics(true)
        return () => debug.statistics(false)
      },
      logToFile: debug => {
        debug.logToFile(path)
        return () => debug.logToFile(null)
      },
      subscribe: debug => debug.subscribe(() => {}),
    }
    for (const [name, on] of Object.entries(switches)) {
      const { stream } = fakeStream()
      const debug = new Debug(stream)
      t.notOk(debug.enabled)
      t.notOk(EVENT_TYPES.some(type => stream.wants(type)))
      const off = on(debug)
      on(debug)()
      if (name === 'subscribe') t.ok(debug.enabled, 'a subscriber stops only itself')
      else t.notOk(debug.enabled, `${name} is on once, however often it was switched on`)
      on(debug)
      t.ok(debug.enabled)
      t.ok(EVENT_TYPES.every(type => stream.wants(type)))
      if (name !== 'subscribe') {
        debug.off()
        t.notOk(debug.enabled)
        t.notOk(stream.wants('frame-in'))
      }
      off()
      off()
      await debug.close()
    }
  },
)

t.test('trace prints each event as a line, to standard error or to a function', t => {
  const { stream } = fakeStream()
  const debug = new Debug(stream)
  const lines: string[] = []
  debug.trace(line => lines.push(line))
  publishAll(stream)
  t.same(
    lines.map(line => line.split(' ')[3]),
    EVENT_TYPES,
  )
  const printed = t.capture(console, 'error')
  debug.trace(true)
  stream.publish({ type: 'drain' })
  debug.trace(true)
  stream.publish({ type: 'drain' })
  debug.trace(false)
  stream.publish({ type: 'drain' })
  const line = 'sansocket feed +0.000 drain'
  t.same(
    printed().map(({ args }) => args),
    [[line], [line]],
  )
  t.equal(lines.length, EVENT_TYPES.length, 'one trace takes the place of the other')
  t.end()
})

t.test('log keeps the last events, whatever its depth is changed to', t => {
  const step = fc.oneof(
    { weight: 3, arbitrary: fc.integer({ min: 1, max: 30 }).map(count => ({ count })) },
    { weight: 1, arbitrary: fc.integer({ min: 1, max: 12 }).map(depth => ({ depth })) },
    { weight: 1, arbitrary: fc.constantFrom({ depth: true }, { depth: false }) },
  )
  fc.assert(
    fc.property(fc.array(step, { maxLength: 12 }), steps => {
      const { stream } = fakeStream()
      const debug = new Debug(stream)
      let kept: number[] = []
      let depth = 0
      let number = 0
      for (const one of steps) {
        if ('depth' in one) {
          debug.log(one.depth)
          depth = one.depth === true ? 10 : Number(one.depth)
          kept = depth === 0 ? [] : kept.slice(-depth)
        } else {
          for (let at = 0; at < one.count; at++) {
            stream.publish(miss(++number))
            if (depth > 0) kept = [...kept, number].slice(-depth)
          }
        }
        if (missesIn(debug.getLog()).join() !== kept.join()) return false
      }
      return true
    }),
  )
  const { stream } = fakeStream()
  const debug = new Debug(stream)
  debug.log(2)
  stream.publish(miss(1))
  const before = debug.getLog()
  stream.publish(miss(2))
  t.same(missesIn(before), [1], 'a list that was handed out does not change')
  for (const depth of [0, -1, 1.5, NaN, Infinity, '3', null, undefined])
    t.throws(() => debug.log(depth as never), { code: 'WS_BAD_OPTION' }, String(depth))
  t.same(missesIn(debug.getLog()), [1, 2], 'what makes no sense changes nothing')
  t.end()
})

t.test('statistics count from when they are switched on', t => {
  const { stream, clock } = fakeStream()
  const debug = new Debug(stream)
  t.equal(debug.getStatistics(), null)
  publishAll(stream)
  clock.advance(100)
  debug.statistics(true)
  clock.advance(50)
  publishAll(stream)
  stream.publish({ type: 'frame-out', frame: { type: 'text', data: ['a', 'b'] } })
  stream.publish({ type: 'frame-out', frame: { type: 'ping', data: 'é' } })
  stream.publish({ type: 'frame-out', frame: { type: 'close', code: 1000 } })
  stream.publish({ type: 'cast', message: 1 })
  debug.statistics(true)
  t.same(debug.getStatistics(), {
    startedAt: 100,
    now: 150,
    framesIn: 1,
    framesOut: 4,
    framesDropped: 1,
    bytesIn: 7,
    bytesOut: 4,
    pingsIn: 1,
    pongsIn: 1,
    keepalivePings: 1,
    keepaliveMisses: 1,
    messagesIn: 4,
    casts: 2,
    calls: 1,
    infos: 1,
    opens: 1,
    disconnects: 1,
    reconnects: 1,
  })
  debug.statistics(false)
  t.equal(debug.getStatistics(), null)
  debug.statistics(true)
  t.match(debug.getStatistics(), { startedAt: 150, framesIn: 0, casts: 0 })
  t.throws(() => debug.statistics(1 as never), { code: 'WS_BAD_OPTION' })
  t.end()
})

t.test('a file gets one line per event, with the time of day, behind what it held', async t => {
  const path = join(folder(t), 'log')
  await leavesNothing(t, async () => {
    for (let round = 1; round <= 2; round++) {
      const { stream } = fakeStream()
      const debug = new Debug(stream)
      debug.logToFile(path)
      publishAll(stream)
      debug.logToFile(path)
      publishAll(stream)
      const closed = debug.close()
      publishAll(stream)
      debug.logToFile(`${path}-2`)
      await Promise.all([closed, debug.close()])
      await debug.close()
      t.equal(linesOf(path).length, round * 2 * EVENT_TYPES.length)
    }
  })
  t.notOk(existsSync(`${path}-2`), 'after the end no file is opened')
  for (const line of linesOf(path)) t.match(line, /^\d{4}-\d\d-\d\dT[\d:.]+Z sansocket feed \+0\.000 [a-z-]+/)
  t.notMatch(readFileSync(path, 'utf8'), /abc/)
  if (process.platform !== 'win32') t.equal(statSync(path).mode & 0o777, 0o600)
  const { stream } = fakeStream()
  await new Debug(stream).close()
})

t.test('a file that cannot be written is one warning, and the end of that log alone', async t => {
  const warnings: (Error & { code?: string })[] = []
  const note = (warning: Error): unknown => warnings.push(warning)
  process.on('warning', note)
  t.teardown(() => process.off('warning', note))
  const { stream } = fakeStream()
  const debug = new Debug(stream)
  debug.log(5)
  debug.logToFile(folder(t))
  publishAll(stream)
  await debug.close()
  publishAll(stream)
  await turn()
  t.match(warnings, [{ name: 'SansocketWarning', code: 'WS_LOG_FILE', message: /EISDIR/ }])
  debug.log(false)
  t.notOk(debug.enabled)
  t.notOk(stream.wants('drain'))

  const failing = fakeStream()
  const other = new Debug(failing.stream)
  other.logToFile(join(folder(t), 'no', 'such', 'folder'))
  for (let turns = 0; other.enabled && turns < 10_000; turns++) await turn()
  t.notOk(other.enabled, 'it is switched off by itself')
  t.equal(warnings.length, 2)
  for (const path of ['', 'a\0b', 5, undefined])
    t.throws(() => other.logToFile(path as never), { code: 'WS_BAD_OPTION' }, String(path))
})

t.test('lines wait for a slow disk up to a limit, and the file says how many were left out', async t => {
  const written: string[] = []
  let taken = withResolvers<() => void>()
  const slow = new Writable({
    highWaterMark: 100,
    decodeStrings: false,
    write(chunk: string, _, done) {
      written.push(chunk)
      taken.resolve(done)
    },
  })
  const file = new FileLog('slow', slow)
  const line = 'x'.repeat(1023)
  for (let at = 0; at < 2000; at++) file.append(line)
  t.equal(written.length, 1)
  t.equal(slow.writableLength, 1024, 'the stream itself holds no more than one')
  const proceed = async (): Promise<void> => {
    const done = await taken.promise
    taken = withResolvers()
    done()
  }
  await proceed()
  const again = await taken.promise
  t.equal(written[1].split('\n').length - 1, 1025)
  t.ok(written[1].endsWith(`${line}\nsansocket: 975 lines were left out\n`))
  file.append('y')
  const closed = file.close()
  t.equal(file.close(), closed)
  file.append('z')
  taken = withResolvers()
  again()
  await proceed()
  await closed
  t.equal(written.at(-1), 'y\n')
})

t.test('options switch on what they name, and anything else is refused', async t => {
  const path = join(folder(t), 'log')
  const { stream } = fakeStream()
  const printed = t.capture(console, 'error')
  const all: readonly DebugOption[] = ['trace', 'log', 'statistics', { logToFile: path }]
  t.same(requireDebugOptions(all), all)
  t.same(requireDebugOptions(undefined), [])
  const debug = new Debug(stream)
  debug.switchOn(all)
  for (let number = 0; number < 11; number++) stream.publish(miss(number))
  await debug.close()
  t.equal(printed().length, 11)
  t.same(missesIn(debug.getLog()), [1, 2, 3, 4, 5, 6, 7, 8, 9, 10], 'the log can be read after the end')
  t.match(debug.getStatistics(), { keepaliveMisses: 11 })
  t.equal(linesOf(path).length, 11)
  const second = new Debug(fakeStream().stream)
  second.switchOn(requireDebugOptions([{ log: 1 }]))
  t.ok(second.enabled)
  t.equal(second.getStatistics(), null)
  for (const wrong of [
    'trace',
    null,
    {},
    ['traces'],
    [true],
    [null],
    [{}],
    [{ log: 0 }],
    [{ log: '5' }],
    [{ log: true }],
    [{ log: NaN }],
    [{ logToFile: '' }],
    [{ logToFile: null }],
    [{ log: 5, logToFile: 'x' }],
    [{ trace: true }],
    ['log', { statistics: true }],
    [['trace']],
  ])
    t.throws(
      () => requireDebugOptions(wrong),
      { name: 'UsageError', code: 'WS_BAD_OPTION' },
      JSON.stringify(wrong),
    )
})

t.test('a subscriber gets every event, and stops alone and once', t => {
  const { stream } = fakeStream()
  const debug = new Debug(stream)
  const seen: string[] = []
  const stops = ['a', 'b'].map(name => debug.subscribe(({ event }) => seen.push(`${name} ${event.type}`)))
  stream.publish({ type: 'drain' })
  stops[0]()
  stops[0]()
  debug.off()
  stream.publish({ type: 'start' })
  t.ok(debug.enabled)
  stops[1]()
  stream.publish({ type: 'start' })
  t.same(seen, ['a drain', 'b drain', 'b start'])
  t.notOk(debug.enabled)
  for (const wrong of [null, 'x', {}]) {
    t.throws(() => debug.subscribe(wrong as never), { code: 'WS_BAD_OPTION' })
    t.throws(() => debug.trace(wrong as never), { code: 'WS_BAD_OPTION' })
  }
  t.end()
})
