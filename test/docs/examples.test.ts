// Strategy: an example that does not compile is worse than none. Every TypeScript block of README.md and docs/*.md is
// written to a file of its own and checked by the compiler with our own strict options; those marked `ts runnable` are
// bundled with the sources and run in a child process, which must end by itself and well. A block whose first line is
// `// name.ts` is that file, and other blocks of its page can import it as `./name.js`. No process but the child's own
// server and client takes part: a runnable block starts what it needs on the loopback interface.
import { execFile } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { basename, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'
import t from 'tap'
import ts from 'typescript'

const root = fileURLToPath(new URL('../..', import.meta.url))

interface Block {
  /** `docs/api.md:12`, the line of the opening fence. */
  readonly place: string
  readonly runnable: boolean
  /** Without a suffix. */
  readonly name: string
  readonly code: string
}

/** The TypeScript blocks of a page, in order. */
function blocksOf(page: string, markdown: string): Block[] {
  const blocks: Block[] = []
  const lines = markdown.split('\n')
  for (let at = 0; at < lines.length; at++) {
    const [, fence, info] = /^(`{3,})(.*)$/.exec(lines[at]) ?? []
    if (fence === undefined) continue
    const end = lines.indexOf(fence, at + 1)
    if (end < 0) throw new Error(`${page}:${at + 1}: this block does not end`)
    const [language, ...marks] = info.trim().split(/\s+/)
    const place = `${page}:${at + 1}`
    if (language === 'ts' || language === 'typescript') {
      const unknown = marks.find(mark => mark !== 'runnable')
      if (unknown !== undefined) throw new Error(`${place}: nobody knows the mark "${unknown}"`)
      const code = lines.slice(at + 1, end).join('\n')
      const name = /^\/\/ ([\w-]+)\.ts$/.exec(lines[at + 1])?.[1] ?? `example-${blocks.length + 1}`
      blocks.push({ place, runnable: marks.length > 0, name, code })
    }
    at = end
  }
  return blocks
}

/** Writes the blocks to files below `folder`. */
function writeBlocks(folder: string, blocks: readonly Block[]): Map<string, Block> {
  const files = new Map<string, Block>()
  for (const block of blocks) {
    const page = join(folder, basename(block.place.split(':')[0], '.md'))
    mkdirSync(page, { recursive: true })
    const path = join(page, `${block.name}.ts`)
    if (files.has(path)) throw new Error(`${block.place}: a second ${block.name}.ts on this page`)
    writeFileSync(path, `${block.code}\n`)
    files.set(path, block)
  }
  return files
}

const config = ts.readConfigFile(join(root, 'tsconfig.json'), path => readFileSync(path, 'utf8'))
const { options } = ts.parseJsonConfigFileContent({ ...config.config, include: [], files: [] }, ts.sys, root)
// An example may show a name and leave it at that.
const examplesOptions: ts.CompilerOptions = {
  ...options,
  noEmit: true,
  noUnusedLocals: false,
  noUnusedParameters: false,
  moduleDetection: ts.ModuleDetectionKind.Force,
}

let program: ts.Program | undefined

/** What the compiler says about these files, with the lines of the pages they come from. */
function complaints(files: ReadonlyMap<string, Block>): string[] {
  // What was parsed once need not be parsed again.
  program = ts.createProgram([...files.keys()], examplesOptions, undefined, program)
  const found: string[] = []
  for (const [path, block] of files) {
    const source = program.getSourceFile(path)!
    for (const { start = 0, messageText } of [
      ...program.getSyntacticDiagnostics(source),
      ...program.getSemanticDiagnostics(source),
    ]) {
      const [page, fence] = block.place.split(':')
      const line = Number(fence) + 1 + source.getLineAndCharacterOfPosition(start).line
      found.push(`${page}:${line}: ${ts.flattenDiagnosticMessageText(messageText, ' ')}`)
    }
  }
  return found
}

/** Runs an example as its reader would, on the sources as they are. @throws with what it printed when it ends badly. */
async function run(path: string): Promise<string> {
  const bundle = path.replace(/\.ts$/, '.bundle.mjs')
  await build({
    absWorkingDir: root,
    entryPoints: [path],
    outfile: bundle,
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: 'node20.19',
    logLevel: 'silent',
  })
  // Plain Node, without the loaders that tap puts into its children.
  const { NODE_OPTIONS: _, ...env } = process.env
  return new Promise((resolve, reject) => {
    // The limit is for an example that hangs; it is killed then.
    execFile(process.execPath, [bundle], { env, timeout: 30_000 }, (error, stdout, stderr) => {
      if (error === null) resolve(stdout)
      else reject(new Error(`${relative(root, path)}: ${error.message}\n${stdout}${stderr}`))
    })
  })
}

const pages = [
  'README.md',
  ...readdirSync(join(root, 'docs'))
    .filter(name => name.endsWith('.md'))
    .map(name => `docs/${name}`)
    .toSorted(),
].filter(page => existsSync(join(root, page)))

const files = writeBlocks(
  t.testdir(),
  pages.flatMap(page => blocksOf(page, readFileSync(join(root, page), 'utf8'))),
)

t.test('the TypeScript blocks of the documents compile with strict options', t => {
  t.ok(files.size > 10, `${files.size} blocks`)
  t.same(complaints(files), [])
  t.end()
})

for (const [path, block] of files) {
  if (!block.runnable) continue
  t.test(`the example ${relative(t.testdirName, path)} runs`, async t => {
    const output = await run(path)
    t.not(output, '', 'and says something')
    // What it should print stands behind its calls of console.log.
    const expected = [...block.code.matchAll(/console\.log\(.*\) \/\/ (.+)$/gm)].map(([, text]) => text)
    for (const line of expected) t.ok(output.includes(line), `prints ${line}`)
  })
}

t.test('the check notices an example that does not compile, and where', t => {
  const page = [
    '# Title',
    '```sh',
    '```ts',
    '```',
    '```ts',
    '// own.ts',
    "import { connect } from 'sansocket'",
    "export const socket = await connect('ws://127.0.0.1', { handshakeTimeout: 1 })",
    '```',
    '````ts runnable',
    "import { socket } from './own.js'",
    '/*',
    '```',
    '*/',
    'console.log(socket.nothing)',
    '````',
  ].join('\n')
  // The first block is a shell's, and the "```ts" in it is not a fence.
  const blocks = blocksOf('docs/spoilt.md', page)
  t.same(
    blocks.map(({ place, runnable, name }) => [place, runnable, name]),
    [
      ['docs/spoilt.md:5', false, 'own'],
      ['docs/spoilt.md:10', true, 'example-2'],
    ],
  )
  const [first, ...others] = complaints(writeBlocks(t.testdir(), blocks))
  t.match(first, /^docs\/spoilt\.md:8: .*handshakeTimeout/)
  t.match(others.join('\n'), /^docs\/spoilt\.md:15: .*nothing/)
  t.throws(() => blocksOf('docs/spoilt.md', '```ts skip\n```'), { message: /mark "skip"/ })
  t.throws(() => blocksOf('docs/spoilt.md', '```ts\n'), { message: /does not end/ })
  t.end()
})
