// Strategy: the rules of the house that no type checker sees. The linter enforces the directions of imports, so the
// first tests let the real configuration judge a tree of one-line files in a temporary folder: each must be refused or
// admitted as the table says. The others read our own tree.
import { spawnSync } from 'node:child_process'
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { test } from 'tap'
import * as protocol from '../src/protocol/index.js'

const root = fileURLToPath(new URL('..', import.meta.url))
const read = (path: string): string => readFileSync(join(root, path), 'utf8')

/** Paths of the sources below `src`. */
const sources = readdirSync(join(root, 'src'), { recursive: true, encoding: 'utf8' })
  .filter(path => path.endsWith('.ts'))
  .map(path => `src/${path.replaceAll('\\', '/')}`)
  .toSorted()

type Import = readonly [file: string, specifier: string]

const FORBIDDEN: readonly Import[] = [
  ['src/protocol/a.ts', 'node:net'],
  ['src/protocol/b.ts', 'node:buffer'],
  ['src/protocol/c.ts', 'ws'],
  ['src/protocol/d.ts', '../transport/dial.js'],
  ['src/protocol/e.ts', '../handshake/index.js'],
  ['src/protocol/f.ts', '../index.js'],
  ['src/protocol/g.ts', 'sansocket'],
  ['src/protocol/deeper/h.ts', 'node:zlib'],
  ['src/handshake/a.ts', '../protocol/index.js'],
  ['src/handshake/b.ts', 'node:crypto'],
  ['src/handshake/c.ts', 'node:http'],
  ['src/handshake/d.ts', '../transport/dial.js'],
  ['src/handshake/key.ts', 'node:net'],
  ['src/handshake/key.ts', '../protocol/index.js'],
  ['src/extensions/a.ts', '../transport/socket.js'],
  ['src/extensions/b.ts', '../handshake/client.js'],
  ['src/extensions/c.ts', 'node:net'],
  ['src/extensions/d.ts', '../behaviour/process.js'],
  ['src/protocol/i.ts', '../extensions/index.js'],
  ['src/handshake/e.ts', '../extensions/index.js'],
  ['src/transport/a.ts', '../behaviour/process.js'],
  ['src/transport/b.ts', '../server/index.js'],
  ['src/transport/c.ts', '../registry/index.js'],
  ['src/index.ts', 'node:net'],
  ['src/other.ts', 'node:tls'],
  ['src/behaviour/a.ts', 'node:net'],
  ['src/behaviour/b.ts', 'node:http2'],
  ['src/behaviour/c.ts', '../server/index.js'],
  ['src/behaviour/d.ts', '../registry/index.js'],
  ['src/behaviour/e.ts', '../testing/index.js'],
  ['src/transport/d.ts', '../testing/index.js'],
  ['src/testing/a.ts', 'node:net'],
  ['src/testing/b.ts', '../behaviour/start.js'],
  ['src/testing/c.ts', '../server/index.js'],
  ['src/server/a.ts', 'node:tls'],
  ['src/server/b.ts', '../registry/index.js'],
  ['src/registry/a.ts', '../transport/socket.js'],
  ['src/registry/b.ts', '../server/index.js'],
]

const ALLOWED: readonly Import[] = [
  ['src/protocol/a.ts', './opcode.js'],
  ['src/handshake/a.ts', './head.js'],
  ['src/handshake/key.ts', 'node:crypto'],
  ['src/handshake/key.ts', './head.js'],
  ['src/extensions/a.ts', 'node:zlib'],
  ['src/extensions/b.ts', '../protocol/index.js'],
  ['src/extensions/c.ts', '../handshake/index.js'],
  ['src/extensions/d.ts', './history.js'],
  ['src/transport/e.ts', '../extensions/index.js'],
  ['src/transport/a.ts', 'node:net'],
  ['src/transport/b.ts', 'node:tls'],
  ['src/transport/c.ts', '../protocol/index.js'],
  ['src/transport/d.ts', '../handshake/index.js'],
  ['src/behaviour/a.ts', '../transport/dial.js'],
  ['src/behaviour/b.ts', 'node:diagnostics_channel'],
  ['src/testing/a.ts', '../transport/socket.js'],
  ['src/testing/b.ts', 'node:stream'],
  ['src/server/a.ts', '../transport/dial.js'],
  ['src/server/b.ts', '../behaviour/process.js'],
  ['src/registry/a.ts', '../behaviour/process.js'],
  ['src/index.ts', './transport/dial.js'],
  ['test/a.test.ts', 'node:net'],
]

interface Report {
  readonly diagnostics: readonly { readonly code: string; readonly filename: string }[]
  readonly number_of_files: number
}

/** The files among these of which the linter says `no-restricted-imports`. */
function refused(imports: readonly Import[]): string[] {
  const folder = mkdtempSync(join(tmpdir(), 'import-directions-'))
  try {
    copyFileSync(join(root, '.oxlintrc.json'), join(folder, '.oxlintrc.json'))
    for (const [file, specifier] of imports) {
      mkdirSync(join(folder, dirname(file)), { recursive: true })
      writeFileSync(
        join(folder, file),
        `import * as imported from '${specifier}'\n\nexport const used = imported\n`,
      )
    }
    // Not `bin/oxlint`: tap's loader, which gets into every child, fails at a module without a suffix.
    const oxlint = join(root, 'node_modules', 'oxlint', 'dist', 'cli.js')
    const { stdout } = spawnSync(process.execPath, [oxlint, '--format=json', '.'], {
      cwd: folder,
      encoding: 'utf8',
      maxBuffer: 2 ** 26,
    })
    const { diagnostics, number_of_files: files } = JSON.parse(stdout) as Report
    if (files !== imports.length) throw new Error(`${files} files were linted instead of ${imports.length}`)
    return diagnostics
      .filter(({ code }) => code.includes('no-restricted-imports'))
      .map(({ filename }) => filename.replaceAll('\\', '/'))
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

/** Runs of the linter in which every file has one import only. */
function runs(imports: readonly Import[]): Import[][] {
  const rounds: Import[][] = []
  for (const entry of imports) {
    const free = rounds.find(round => round.every(([file]) => file !== entry[0]))
    if (free === undefined) rounds.push([entry])
    else free.push(entry)
  }
  return rounds
}

void test('the linter refuses every import that goes against the direction', t => {
  for (const round of runs(FORBIDDEN)) {
    const found = refused(round)
    for (const [file, specifier] of round) t.ok(found.includes(file), `${file} must not import ${specifier}`)
  }
  t.end()
})

void test('the linter admits every import that goes with the direction', t => {
  for (const round of runs(ALLOWED)) t.same(refused(round), [])
  t.end()
})

/** What a source imports, statically, dynamically, or only as a type. */
function importsOf(path: string): string[] {
  const code = read(path).replaceAll(/\/\*[\s\S]*?\*\/|^\s*\/\/.*$/gm, '')
  return [...code.matchAll(/(?:\bfrom|\bimport|\bimport\(|\brequire\()\s*['"]([^'"]+)['"]/g)].map(
    ([, name]) => name,
  )
}

void test('src/protocol and src/handshake import nothing outside themselves', t => {
  const problems: string[] = []
  for (const path of sources.filter(file => /^src\/(protocol|handshake)\//.test(file))) {
    for (const name of importsOf(path)) {
      const inside = /^\.\/[a-z0-9-]+\.js$/.test(name)
      const cryptoInKey = path === 'src/handshake/key.ts' && name === 'node:crypto'
      // A type of Node's, which leaves no trace in the code that runs.
      const typeOnly = path === 'src/protocol/runtime.ts' && name === 'node:buffer'
      if (!inside && !cryptoInKey && !typeOnly) problems.push(`${path}: ${name}`)
    }
  }
  t.same(problems, [])
  t.match(read('src/protocol/runtime.ts'), /typeof import\('node:buffer'\)/)
  t.end()
})

void test('only src/transport opens sockets', t => {
  const openers = sources.filter(path => importsOf(path).some(name => /^(node:)?(net|tls|http2)$/.test(name)))
  t.same(
    openers.filter(path => !path.startsWith('src/transport/')),
    [],
  )
  t.end()
})

void test('no source file has more than 300 lines, and half of them have fewer than 120', t => {
  const lengths = sources.map(path => [read(path).split('\n').length - 1, path] as const)
  t.same(
    lengths.filter(([lines]) => lines > 300),
    [],
  )
  const [median] = lengths.toSorted(([a], [b]) => a - b)[lengths.length >> 1]
  t.ok(median < 120, `median ${median}`)
  t.end()
})

interface Manifest {
  readonly dependencies?: Readonly<Record<string, string>>
  readonly optionalDependencies?: Readonly<Record<string, string>>
  readonly peerDependencies?: Readonly<Record<string, string>>
  readonly scripts?: Readonly<Record<string, string>>
}

void test('the package has no runtime dependency and runs nothing when it is installed', t => {
  const manifest = JSON.parse(read('package.json')) as Manifest
  t.same(Object.keys(manifest.dependencies ?? {}), [])
  t.same(Object.keys(manifest.optionalDependencies ?? {}), [])
  t.same(Object.keys(manifest.peerDependencies ?? {}), [])
  t.same(
    Object.keys(manifest.scripts ?? {}).filter(name => /^(pre|post)?install$/.test(name)),
    [],
  )
  t.end()
})

void test('the lock file names no place to download from', t => {
  for (const path of ['package-lock.json', 'fuzz/package-lock.json', 'bench/package-lock.json']) {
    if (!existsSync(join(root, path))) continue
    t.notMatch(read(path), /"resolved":|https?:\/\/[^"]*\.tgz/, path)
  }
  t.ok(existsSync(join(root, 'package-lock.json')))
  t.end()
})

void test('src/protocol exports these names and no others', t => {
  t.same(Object.keys(protocol).toSorted(), [
    'CloseCode',
    'Connection',
    'FrameDecoder',
    'FrameEncoder',
    'GATHER_BYTES',
    'MessageAssembler',
    'Opcode',
    'PreparedMessage',
    'ProtocolViolation',
    'UTF8_INVALID',
    'UTF8_START',
    'UsageError',
    'checkUtf8',
    'dataView',
    'isAscii',
    'isWireCloseCode',
    'resolveLimits',
    'rotateKey',
    'unmask',
    'xorMask',
  ])
  const source = read('src/protocol/index.ts')
  const types = [...source.matchAll(/\btype ([A-Z]\w+)|export type \{([^}]*)\}/g)]
    .flatMap(([, one, list]) => (one === undefined ? list.split(',') : [one]))
    .map(name => name.trim())
    .filter(name => name !== '')
  t.same(types.toSorted(), [
    'ClientConnectionOptions',
    'CloseFrame',
    'CloseOutcome',
    'ConnectionOptions',
    'FragmentKind',
    'FramePiece',
    'IncomingTransform',
    'Limits',
    'MaskSource',
    'Message',
    'MessageTransform',
    'OutgoingTransform',
    'PrepareOptions',
    'ProtocolEvent',
    'Role',
    'Shutdown',
    'TransformSink',
    'UsageCode',
    'ViolationCode',
  ])
  t.end()
})
