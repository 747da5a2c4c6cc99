// Strategy: docs/rfc6455.md claims that every requirement of RFC 6455 is implemented in a named file and proved by a
// named test. Two independent halves keep it honest. `gaps` compares the ledger with docs/rfc6455-requirements.json,
// which holds the sequence of MUST-level words of every section as measured from the RFC: the keyword column must spell
// the same sequence, so a row can be neither dropped, nor added, nor moved. `brokenClaims` follows the two last columns
// into the tree. Both return a list of complaints; the last test spoils a ledger in every way we could think of and
// expects each to be noticed.
import { existsSync, readFileSync } from 'node:fs'
import { test } from 'tap'

interface Row {
  readonly id: string
  readonly section: string
  readonly keyword: string
  readonly who: string
  readonly files: string
  readonly proof: string
}
interface SectionRequirements {
  readonly section: string
  /** The MUST-level words in the order of the RFC's text. */
  readonly words: string
  /** Those words' rows, and the rows of kind `step` and `text`. */
  readonly rows: number
}
type ReadFile = (path: string) => string | null

const ENDPOINTS = new Set(['client', 'server', 'both'])
const OTHERS = new Set(['intermediary', 'browser', 'application', 'extension author', 'IANA', 'reader'])
const NOT_TESTABLE = 'not testable here: '

function parseLedger(markdown: string): Row[] {
  const rows: Row[] = []
  let section = ''
  for (const line of markdown.split('\n')) {
    section = /^## (\S+)/.exec(line)?.[1] ?? section
    if (!line.startsWith('| ') || line.startsWith('| id |') || line.startsWith('| ---')) continue
    const cells = line.split(/(?<!\\)\|/).map(cell => cell.trim().replaceAll('\\|', '|'))
    if (cells.length !== 8 || cells.slice(1, 7).includes(''))
      throw new Error(`not a row of six cells: ${line}`)
    const [, id, keyword, , who, files, proof] = cells
    rows.push({ id, section, keyword, who, files, proof })
  }
  return rows
}

/** What the ledger lacks, or has too much of, against the measured sequence of each section. */
function gaps(rows: readonly Row[], requirements: readonly SectionRequirements[]): string[] {
  const found: string[] = []
  const ordered = [...new Set(rows.map(row => row.section))]
  if (ordered.join() !== requirements.map(expected => expected.section).join())
    found.push(`sections are ${ordered.join()}`)
  for (const { section, ...expected } of requirements) {
    const own = rows.filter(row => row.section === section)
    const words = own.flatMap(row => row.keyword.split(', ')).filter(word => !['step', 'text'].includes(word))
    if (words.join(', ') !== expected.words) found.push(`${section}: the keywords are ${words.join(', ')}`)
    if (own.length !== expected.rows) found.push(`${section}: ${own.length} rows instead of ${expected.rows}`)
    for (const [index, row] of own.entries()) {
      if (row.id !== `${section}-${index + 1}`)
        found.push(`${row.id} stands where ${section}-${index + 1} belongs`)
    }
  }
  return found
}

/** What a name follows: `test`, `t.test`, or a helper that calls it for both roles. Never `test.skip`. */
const DECLARES = /\b(?:test|both|bothRoles)\(\s*$/

/** Whether the source declares a test called `name`, and neither skips it nor puts it off. */
function hasTest(source: string, name: string): boolean {
  return ["'", '"', '`'].some(quote => {
    const literal = quote + name + quote
    for (let at = source.indexOf(literal); at >= 0; at = source.indexOf(literal, at + 1)) {
      const after = source.slice(at + literal.length)
      if (DECLARES.test(source.slice(0, at)) && !/^,\s*\{[^}]*\b(skip|todo)\b/.test(after)) return true
    }
    return false
  })
}

/** The claims of one row that the tree does not bear out. */
function brokenClaims(row: Row, read: ReadFile): string[] {
  if (row.proof.startsWith(NOT_TESTABLE)) {
    const reason = row.proof.slice(NOT_TESTABLE.length)
    return reason.length < 10 ? [`${row.id}: no reason why it is not testable`] : []
  }
  const found: string[] = []
  if (OTHERS.has(row.who)) found.push(`${row.id}: binds ${row.who}, yet it is not marked as not testable`)
  else if (!ENDPOINTS.has(row.who)) found.push(`${row.id}: binds ${row.who}, which is nobody`)
  for (const file of row.files.split(', ')) {
    if (!/^src\/\S+\.ts$/.test(file)) found.push(`${row.id}: no source file in "${file}"`)
    else if (read(file) === null) found.push(`${row.id}: ${file} does not exist`)
  }
  for (const claim of row.proof.split('<br>')) {
    const [, file, name] = /^(test\/\S+\.test\.ts): "(.+)"$/.exec(claim.trim()) ?? []
    if (file === undefined || name === undefined) {
      found.push(`${row.id}: no test in "${claim}"`)
      continue
    }
    const source = read(file)
    if (source === null) found.push(`${row.id}: ${file} does not exist`)
    else if (!hasTest(source, name)) found.push(`${row.id}: ${file} has no test "${name}"`)
  }
  return found
}

const root = new URL('../../', import.meta.url)
const readTree: ReadFile = path => {
  const url = new URL(path, root)
  return existsSync(url) ? readFileSync(url, 'utf8') : null
}
const ledger = parseLedger(readTree('docs/rfc6455.md') ?? '')
const { sections } = JSON.parse(readTree('docs/rfc6455-requirements.json') ?? '') as {
  sections: SectionRequirements[]
}

void test('the ledger has a row for every requirement of RFC 6455, in the order of its text', t => {
  t.same(gaps(ledger, sections), [])
  const measured = sections.flatMap(section => section.words.split(', '))
  t.equal(measured.filter(word => /^[A-Z ]+$/.test(word)).length, 143, 'as many as the RFC has')
  t.end()
})

void test('every testable requirement names source files and tests that exist', t => {
  t.same(
    ledger.flatMap(row => brokenClaims(row, readTree)),
    [],
  )
  t.end()
})

void test('the checks notice a ledger that is spoilt', t => {
  const good = [
    '## 5.1 Overview',
    '| id | keyword | requirement | who | implemented in | proved by |',
    '| --- | --- | --- | --- | --- | --- |',
    '| 5.1-1 | MUST | Masks. | client | src/a.ts, src/b.ts | test/a.test.ts: "masks a \\| b"<br>test/a.test.ts: "${x}" |',
    '| 5.1-2 | text | Adds up. | both | src/a.ts | test/a.test.ts: "adds up" |',
    '| 5.1-3 | MUST NOT | Splits. | intermediary | - | not testable here: binds others |',
  ].join('\n')
  const files = new Map([
    ['src/a.ts', ''],
    ['src/b.ts', ''],
    [
      'test/a.test.ts',
      "t.equal(1, 1, 'adds up')\ntest('masks a | b', f)\nt.test(`${x}`, f)\nboth(\n  'adds up', f)\n" +
        "t.test.skip('skips', f)\nt.test('later', { todo: true }, f)\nt.ok(x, 'says')\n// test of 'nothing'",
    ],
  ])
  const required = [{ section: '5.1', words: 'MUST, MUST NOT', rows: 3 }]
  const complaints = (markdown: string): number => {
    const rows = parseLedger(markdown)
    return [
      ...gaps(rows, required),
      ...rows.flatMap(row => brokenClaims(row, path => files.get(path) ?? null)),
    ].length
  }
  t.equal(complaints(good), 0, 'the good one is good')
  const spoilt: readonly (readonly [what: string, from: string | RegExp, to: string])[] = [
    ['a requirement left out', /\| 5\.1-3 .*/, ''],
    ['a rule without a keyword left out', /\| 5\.1-2 .*/, ''],
    ['a section left out', /## 5\.1/, '## 5.2'],
    ['an id used twice', '5.1-2', '5.1-1'],
    ['a keyword changed', 'MUST NOT', 'MUST'],
    ['a keyword added', '| text |', '| MUST |'],
    ['a source file that does not exist', 'src/b.ts', 'src/c.ts'],
    ['a source file outside src', 'src/b.ts', 'test/a.test.ts'],
    ['no source file', '| src/a.ts |', '| - |'],
    ['a test file that does not exist', 'test/a.test.ts: "adds', 'test/b.test.ts: "adds'],
    ['a test that does not exist', '"adds up"', '"adds down"'],
    ['a part of the name of a test', '"adds up"', '"adds"'],
    ['a skipped test', '"adds up"', '"skips"'],
    ['the message of an assertion', '"adds up"', '"says"'],
    ['words in a comment', '"adds up"', '"nothing"'],
    ['a test yet to be written', '"adds up"', '"later"'],
    ['no test', 'test/a.test.ts: "adds up"', '-'],
    ['no reason', 'binds others', ''],
    ['a side that does not exist', '| both |', '| nobody |'],
    ['a row for others that claims a test', 'not testable here: binds others', 'test/a.test.ts: "adds up"'],
  ]
  for (const [what, from, to] of spoilt) t.ok(complaints(good.replace(from, to)) > 0, what)
  t.throws(() => parseLedger('| 5.1-1 | MUST | lacks cells |'), { message: /six cells/ })
  t.end()
})
