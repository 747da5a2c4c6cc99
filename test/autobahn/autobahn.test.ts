import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { ALL_CASES, compareIds, groupOf, matches, split, typicalMs } from '../../autobahn/cases.js'
import { run, start } from '../../autobahn/children.js'
import {
  compareGolden,
  EMPTY_GOLDEN,
  formatGolden,
  type Golden,
  type Outcome,
  parseGolden,
  updateGolden,
  verdict,
} from '../../autobahn/golden.js'
import { casesOf, OptionsError, parseOptions, type RunName } from '../../autobahn/options.js'
import { formatSeconds, Progress, ProgressLine } from '../../autobahn/progress.js'
import {
  type CaseResult,
  collectReports,
  countsLine,
  explainCase,
  groupTable,
  mergeIndexes,
  mergePages,
} from '../../autobahn/report.js'

const OK: Outcome = { behavior: 'OK', behaviorClose: 'OK' }
const NON_STRICT: Outcome = { behavior: 'NON-STRICT', behaviorClose: 'OK' }
const INFORMATIONAL: Outcome = { behavior: 'INFORMATIONAL', behaviorClose: 'INFORMATIONAL' }

function result(outcome: Outcome, reportfile = 'x.json'): CaseResult {
  return { ...outcome, remoteCloseCode: 1000, duration: 1500, reportfile }
}

function options(line: string) {
  const parsed = parseOptions(line.split(' '))
  if (parsed === null) throw new Error('help')
  return parsed
}

function selected(line: string, role: RunName = 'client'): string[] {
  return casesOf(options(line), role)
}

function named(pattern: string): number {
  return ALL_CASES.filter(id => matches(pattern, id)).length
}

t.test('the table of cases has every case of the suite once, in its order', async t => {
  t.equal(ALL_CASES.length, 517)
  t.equal(new Set(ALL_CASES).size, 517)
  t.same(ALL_CASES.toSorted(compareIds), ALL_CASES)
  t.ok(ALL_CASES.every(id => typicalMs(id) > 0))
  t.ok(typicalMs('9.3.1') > typicalMs('9.3.9'))
})

t.test('a pattern names a case by its id, its first numbers or a star', async t => {
  t.equal(named('6.4.1'), 1)
  t.equal(named('6.4'), 4)
  t.equal(named('6'), 145)
  t.equal(named('6.*'), 145)
  t.equal(named('1.*'), 16, 'not the cases of 10, 12 and 13')
  t.equal(named('1'), 16)
  t.equal(named('*.1.1'), 8, 'groups 1, 4, 6, 7, 9, 10, 12 and 13')
  t.equal(named('8'), 0)
})

t.test('cases are dealt to jobs disjointly, completely and evenly', async t => {
  const lists = split(ALL_CASES, 2)
  t.equal(lists.length, 2)
  t.same(lists.flat().toSorted(compareIds), ALL_CASES)
  for (const list of lists) t.same(list.toSorted(compareIds), list)
  const [first, second] = lists.map(list => list.reduce((sum, id) => sum + typicalMs(id), 0))
  t.ok(Math.abs(first - second) / first < 0.01, `${first} ms and ${second} ms`)
  t.same(split(['1.1.1'], 4), [['1.1.1']], 'no job without a case')
})

t.test('the command line chooses runs and cases', async t => {
  t.same(options('both').runs, ['client', 'server'])
  t.same(options('both --tls').runs, ['client', 'server', 'server-tls'])
  t.same(options('server --tls').runs, ['server', 'server-tls'])
  t.same(options('--quick').runs, ['client', 'server'])
  t.equal(options('client').jobs, 2)
  t.equal(options('client --jobs 1').jobs, 1)
  t.equal(options('client').engine, null)
  t.equal(options('client --update --engine python').engine, 'python')
  t.equal(options('client --update').update, true)
  t.equal(parseOptions(['--help']), null)

  t.equal(selected('client --quick').length, 247)
  t.notOk(selected('client --quick').some(id => [9, 12, 13].includes(groupOf(id))))
  t.equal(selected('client --full').length, selected('client').length)
  t.ok(selected('client').includes('9.3.1'))
  t.same(selected('client --cases 6.4.*'), ['6.4.1', '6.4.2', '6.4.3', '6.4.4'])
  t.same(selected('client --cases 6.4.4,1.1.8 --cases 10'), ['1.1.8', '6.4.4', '10.1.1'])
  t.ok(selected('both --tls', 'server-tls').every(id => groupOf(id) <= 7))
  t.equal(selected('both --tls', 'server-tls').length, 246)
})

t.test('a command line without sense is refused', async t => {
  for (const [line, message] of [
    ['clients', /not a role/],
    ['client server', /one role/],
    ['client --tls', /server role/],
    ['client --quick --full', /either/],
    ['client --jobs 0', /1 to 8/],
    ['client --jobs two', /1 to 8/],
    ['client --engine podman', /docker or python/],
    ['client --cases 8.*', /no case of the suite matches '8\.\*'/],
    ['client --cases x', /no case of the suite matches/],
    ['client --quick --cases 9', /no case is left/],
    ['both --tls --cases 10', /'server-tls'/],
    ['client --fast', /--fast/],
  ] as const)
    t.throws(() => options(line), { name: 'OptionsError', message }, line)
  t.ok(new OptionsError('x') instanceof Error)
})

t.test('an outcome is judged by its messages and by its close', async t => {
  t.equal(verdict(OK), 'OK')
  t.equal(verdict(INFORMATIONAL), 'INFORMATIONAL')
  t.equal(verdict(NON_STRICT), 'NON-STRICT')
  t.equal(verdict({ behavior: 'OK', behaviorClose: 'INFORMATIONAL' }), 'OK')
  t.equal(verdict({ behavior: 'UNIMPLEMENTED', behaviorClose: 'OK' }), 'UNIMPLEMENTED')
  for (const behaviorClose of ['FAILED', 'WRONG CODE', 'UNCLEAN', 'FAILED BY CLIENT', 'something new'])
    t.equal(verdict({ behavior: 'OK', behaviorClose }), 'FAILED', behaviorClose)
  t.equal(verdict({ behavior: 'FAILED', behaviorClose: 'OK' }), 'FAILED')
  t.equal(verdict({ behavior: 'something new', behaviorClose: 'OK' }), 'FAILED')
})

const golden: Golden = {
  ...EMPTY_GOLDEN,
  runs: { client: { '1.1.1': OK, '6.4.1': OK, '7.1.6': INFORMATIONAL }, server: { '1.1.1': OK } },
}
const all = (_id: string): boolean => true
const six = (id: string): boolean => groupOf(id) === 6
const ids = ['1.1.1', '6.4.1', '7.1.6']

function compare(actual: Record<string, Outcome>, scope = all, cases = ids) {
  return compareGolden(golden, 'client', scope, cases, new Map(Object.entries(actual)))
}

t.test('a run passes only when it equals the golden file', async t => {
  const good = { '1.1.1': OK, '6.4.1': OK, '7.1.6': INFORMATIONAL }
  t.same(compare(good), [])
  t.same(compare({ ...good, '6.4.1': NON_STRICT }), [{ id: '6.4.1', expected: OK, actual: NON_STRICT }])
  t.same(compare({ ...good, '1.1.1': INFORMATIONAL }), [{ id: '1.1.1', expected: OK, actual: INFORMATIONAL }])
  t.same(
    compare({ ...good, '7.1.6': OK }),
    [{ id: '7.1.6', expected: INFORMATIONAL, actual: OK }],
    'better too',
  )
  t.same(
    compare({ '6.4.1': OK, '7.1.6': INFORMATIONAL }),
    [{ id: '1.1.1', expected: OK, actual: null }],
    'a missing case',
  )
  t.same(
    compare({ ...good, '10.1.1': OK }, all, [...ids, '10.1.1']),
    [{ id: '10.1.1', expected: null, actual: OK }],
    'a case the file does not have',
  )
  t.same(
    compare({ '1.1.1': OK }, all, ['1.1.1']).map(({ id }) => id),
    ['6.4.1', '7.1.6'],
    'a case of the file that the run left out',
  )
  t.same(compare({ '6.4.1': OK }, six, ['6.4.1']), [], 'a run of some cases is compared for those alone')
})

t.test('a NON-STRICT result fails even when the golden file holds one', async t => {
  const loose: Golden = { ...EMPTY_GOLDEN, runs: { client: { '6.4.1': NON_STRICT } } }
  const results = new Map([['6.4.1', NON_STRICT]])
  t.equal(compareGolden(loose, 'client', all, ['6.4.1'], results).length, 1)
})

t.test('an update replaces what was run and keeps the rest', async t => {
  const updated = updateGolden(golden, 'client', six, ['6.4.2'], new Map([['6.4.2', result(OK)]]))
  t.same(updated, {
    golden: {
      ...EMPTY_GOLDEN,
      runs: { client: { '1.1.1': OK, '6.4.2': OK, '7.1.6': INFORMATIONAL }, server: { '1.1.1': OK } },
    },
  })
  const fresh = updateGolden(golden, 'server-tls', all, ['1.1.1'], new Map([['1.1.1', OK]]))
  t.match(fresh, { golden: { runs: { ...golden.runs, 'server-tls': { '1.1.1': OK } } } })
})

t.test('an update refuses results that are not strict, and holes', async t => {
  const results = new Map([
    ['1.1.1', { behavior: 'OK', behaviorClose: 'UNCLEAN' }],
    ['6.4.1', NON_STRICT],
    ['7.1.6', INFORMATIONAL],
  ])
  t.same(updateGolden(golden, 'client', all, [...ids, '10.1.1'], results), {
    refused: ['1.1.1', '6.4.1', '10.1.1'],
  })
})

t.test('the golden file has a line for each case and reads back as it was written', async t => {
  const text = formatGolden(golden)
  t.same(parseGolden(text), golden)
  t.match(text, /^ {6}"6\.4\.1": \{"behavior":"OK","behaviorClose":"OK"\},$/m)
  t.same(parseGolden(formatGolden(EMPTY_GOLDEN)), EMPTY_GOLDEN)
  t.throws(() => parseGolden('{"suite":"0.8.2","runs":{}}'), /version 0\.8\.2/)
})

function page(first: string, second: string): string {
  return `<table>\n<td>1.1.1</td>\n${first}\n<td>6.4.1</td>\n${second}\n</table>`
}

t.test('the reports of two jobs become one', async t => {
  const folder = t.testdir()
  const absent = '<td class="case_missing close_flex" colspan="2">Missing</td>'
  const jobs = [
    { id: '1.1.1', outcome: OK, html: page('<td>Pass</td>', absent) },
    { id: '6.4.1', outcome: NON_STRICT, html: page(absent, '<td>Non-Strict</td>') },
  ].map(({ id, outcome, html }, i) => {
    const job = join(folder, `job-${i}`)
    mkdirSync(job)
    writeFileSync(
      join(job, 'index.json'),
      JSON.stringify({ sansocket: { [id]: result(outcome, `${id}.json`) } }),
    )
    writeFileSync(join(job, 'index.html'), html)
    writeFileSync(join(job, `${id}.json`), '{}')
    return job
  })
  const results = collectReports(folder, [...jobs, join(folder, 'wrote-nothing')])
  t.same([...results.keys()], ['1.1.1', '6.4.1'])
  t.equal(results.get('6.4.1')?.behavior, 'NON-STRICT')
  t.equal(readFileSync(join(folder, '6.4.1.json'), 'utf8'), '{}')
  t.same(Object.keys(JSON.parse(readFileSync(join(folder, 'index.json'), 'utf8')).sansocket), [
    '1.1.1',
    '6.4.1',
  ])
  t.equal(readFileSync(join(folder, 'index.html'), 'utf8'), page('<td>Pass</td>', '<td>Non-Strict</td>'))
})

t.test('reports that contradict each other are not merged', async t => {
  const index = { sansocket: { '1.1.1': result(OK) } }
  t.throws(() => mergeIndexes([index, index]), /two jobs ran case 1\.1\.1/)
  t.same(mergeIndexes([index, {}]), index)
  t.equal(mergePages(['a\nb', 'a']), null)
  t.equal(mergePages([]), null)
})

t.test('results are counted by group and in one line', async t => {
  const results = new Map([
    ['1.1.1', result(OK)],
    ['6.4.1', result(NON_STRICT)],
    ['6.4.2', result({ behavior: 'OK', behaviorClose: 'WRONG CODE' })],
    ['7.1.6', result(INFORMATIONAL)],
  ])
  const rows = groupTable(results).map(row => row.trim().split(/\s{2,}/))
  t.same(rows, [
    ['group', 'cases', 'OK', 'NON-STRICT', 'INFORMATIONAL', 'FAILED', 'UNIMPLEMENTED', 'time'],
    ['1 Framing', '1', '1', '·', '·', '·', '·', '1.5 s'],
    ['6 UTF-8', '2', '·', '1', '·', '1', '·', '3.0 s'],
    ['7 Close', '1', '·', '·', '1', '·', '·', '1.5 s'],
    ['all', '4', '1', '1', '1', '1', '·', '6.0 s'],
  ])
  t.equal(
    countsLine('client', [...results.values()], 2),
    'autobahn client: 4 cases, 1 OK, 1 NON-STRICT, 1 INFORMATIONAL, 1 FAILED, 2 failed',
  )
  t.equal(
    countsLine('server', [OK, INFORMATIONAL], 0),
    'autobahn server: 2 cases, 1 OK, 1 INFORMATIONAL, 0 failed',
  )
})

t.test('a case is explained in words, without the HTML of the suite', async t => {
  const lines = explainCase({
    description: 'Send <b>text</b>.<br><br>MESSAGE:<br/>abc',
    expectation: 'Echo',
    expected: { OK: [['message', 'x'.repeat(400), false]] },
    received: [],
    expectedClose: { closeCode: [1000] },
    result: 'Actual events differ from any expected.',
    resultClose: 'Connection was properly closed',
    remoteCloseCode: null,
    remoteCloseReason: null,
    wasNotCleanReason: 'peer dropped',
  }).join('\n')
  t.match(lines, 'Send text . MESSAGE: abc')
  t.match(lines, 'properly closed (peer dropped)')
  t.match(lines, 'our code: none')
  t.notMatch(lines, 'x'.repeat(301))
})

t.test('the time left starts from the table and follows the speed that is seen', async t => {
  const cases = ALL_CASES.filter(id => groupOf(id) === 9)
  const weight = cases.reduce((sum, id) => sum + typicalMs(id), 0)
  const progress = new Progress(cases, 2, 1000)
  t.equal(progress.secondsLeft(1000), weight / 2 / 1000)
  let seen = 0
  let last = Infinity
  for (const id of cases) {
    progress.finish(id)
    progress.finish(id)
    seen += typicalMs(id)
    // A machine that needs twice as long as the table says.
    const left = progress.secondsLeft(1000 + seen)
    const truth = (weight - seen) / 1000
    t.ok(left <= truth + 1e-9 && left >= truth / 2 - 1e-9 && left < last, `after ${id}: ${left} s`)
    last = left
  }
  t.equal(progress.done, cases.length)
  t.equal(last, 0)
  t.equal(formatSeconds(7.2), '8 s')
  t.equal(formatSeconds(125), '2 min 05 s')
})

t.test('progress is one line on a terminal and few lines elsewhere', async t => {
  const cases = ALL_CASES.slice(0, 40)
  const write = (isTTY: boolean): string[] => {
    const written: string[] = []
    const output = { isTTY, columns: 60, write: (text: string) => written.push(text) }
    const line = new ProgressLine('client', new Progress(cases, 1, 0), output)
    for (const [i, id] of cases.entries()) {
      line.begin(id, i)
      line.finish(id, i)
    }
    line.clear()
    return written
  }
  const terminal = write(true)
  t.equal(terminal.length, 81)
  t.ok(terminal.every(text => text.startsWith('\r\u001B[2K') && text.length < 65 && !text.includes('\n')))
  t.match(terminal[0], 'client: 0 of 40 cases, case 1.1.1, 1 s left')
  const plain = write(false)
  t.equal(plain.length, 10)
  t.equal(plain[0], 'client: 4 of 40 cases, 1 s left\n')
  t.equal(plain[9], 'client: 40 of 40 cases, 0 s left\n')
})

t.test('a child process is read line by line and ended', async t => {
  const lines: string[] = []
  const script = `console.log('one'); process.stdin.resume(); process.on('SIGTERM', () => { console.log('two'); process.exit(3) })`
  let ready: () => void
  const started = new Promise<void>(resolve => (ready = resolve))
  const child = start(process.execPath, ['-e', script], {
    onLine: line => {
      lines.push(line)
      ready()
    },
  })
  await started
  await child.end()
  t.match(await child.ended, { status: 3, signal: null, lastLines: ['one', 'two'] })
  t.same(lines, ['one', 'two'])
  await t.rejects(
    run(process.execPath, ['-e', 'console.error("why"); process.exit(1)'], { limitMs: 60_000 }),
    /why/,
  )
  await t.rejects(run(join(t.testdir(), 'absent'), [], { limitMs: 60_000 }), { code: 'ENOENT' })
})
