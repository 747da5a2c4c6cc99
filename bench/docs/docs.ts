// Strategy: `npm run bench -- docs`. The page is made in memory, whole, and then either written or compared. What is in the folder
// of pictures and was not made is old, and is removed or reported.
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join, relative, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { makePage } from './page.js'
import { root } from './recorder.js'
import { readResults, resultText } from './result-file.js'

const folder = join(root, 'docs/benchmarks')
const source = join(folder, 'results.json')

const short = (path: string): string => relative(root, path)

/** All files of the page, by their path. */
function made(): Map<string, string> {
  const { markdown, charts } = makePage(readResults(source))
  const files = new Map([[join(root, 'docs/benchmarks.md'), markdown]])
  for (const [name, svg] of charts) files.set(join(folder, name), svg)
  return files
}

const pictures = (): string[] =>
  readdirSync(folder)
    .filter(name => name.endsWith('.svg'))
    .map(name => join(folder, name))

/** What is not as it would be made, a line each. */
function differences(files: ReadonlyMap<string, string>): string[] {
  const found = pictures()
    .filter(path => !files.has(path))
    .map(path => `${short(path)} is not made any more`)
  for (const [path, text] of files) {
    if (!existsSync(path)) found.push(`${short(path)} is missing`)
    else if (readFileSync(path, 'utf8') !== text) found.push(`${short(path)} differs`)
  }
  return found
}

/**
 * Writes `docs/benchmarks.md` and its pictures, or compares them.
 *
 * @param args - `--from FILE` takes these results first; `--check` writes nothing.
 * @returns the exit code: 1 when something differs.
 * @throws Error when there is no result file.
 */
export function docs(args: readonly string[]): number {
  const { values } = parseArgs({
    args: [...args],
    options: { from: { type: 'string' }, check: { type: 'boolean', default: false } },
  })
  if (values.check && values.from !== undefined) throw new Error('--check compares and takes no --from')
  if (values.from !== undefined) {
    const results = readResults(resolve(values.from))
    mkdirSync(folder, { recursive: true })
    writeFileSync(source, resultText(results))
  }
  if (!existsSync(source)) throw new Error(`there is no ${short(source)}; --from FILE takes one`)
  const files = made()
  const wrong = differences(files)
  if (values.check) {
    const advice = wrong.length === 0 ? 'the page is what the results say' : 'run npm run bench -- docs'
    process.stderr.write([...wrong, advice, ''].join('\n'))
    return wrong.length === 0 ? 0 : 1
  }
  for (const path of pictures()) if (!files.has(path)) rmSync(path)
  for (const [path, text] of files) writeFileSync(path, text)
  process.stderr.write(`${files.size} files written, ${wrong.length} of them new, changed or removed\n`)
  return 0
}
