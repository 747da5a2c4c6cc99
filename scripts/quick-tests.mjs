// Strategy: the tests of the quick loop, `npm run check`: those that need no other program and take no long time, each in a
// process of its own, as many at once as there are cores. `tap` runs the same files and all the others; it takes some three
// seconds a file to begin, this one less than one.
import { spawn } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'

const FOLDERS = [
  '.',
  'protocol',
  'handshake',
  'extensions',
  'transport',
  'testing',
  'behaviour',
  'server',
  'docs',
]
// Minutes together: storms of connections, zlib at work, clusters, and a compiler for every example.
const LEFT_OUT = new Set([
  'behaviour/storms',
  'docs/examples',
  'extensions/bounds',
  'extensions/laws',
  'extensions/resets',
  'registry/cluster',
  'registry/cluster-kill',
  'registry/redis',
  'registry/redis-faults',
])
const TIMEOUT_MS = 60_000

const root = join(import.meta.dirname, '..')
const waiting = FOLDERS.flatMap(folder =>
  readdirSync(join(root, 'test', folder))
    .filter(name => name.endsWith('.test.ts') && !LEFT_OUT.has(`${folder}/${name.slice(0, -8)}`))
    .map(name => join('test', folder, name)),
)
const all = waiting.length
const failed = []
let assertions = 0

function run(file) {
  return new Promise(resolve => {
    const args = ['--import', './scripts/typescript.mjs', '--enable-source-maps', file]
    const child = spawn(process.execPath, args, {
      cwd: root,
      stdio: ['ignore', 'pipe', 'pipe'],
      timeout: TIMEOUT_MS,
    })
    let output = ''
    child.stdout.on('data', chunk => (output += chunk))
    child.stderr.on('data', chunk => (output += chunk))
    child.on('close', code => resolve({ code, output }))
  })
}

async function work() {
  for (let file = waiting.shift(); file !== undefined; file = waiting.shift()) {
    const { code, output } = await run(file)
    const pass = Number(/^# \{ total: \d+(?:, pass: (\d+))?/m.exec(output)?.[1] ?? 0)
    assertions += pass
    // A file that says nothing has not run.
    if (code === 0 && (pass > 0 || output.includes('# SKIP'))) continue
    failed.push(file)
    process.stdout.write(`\n${file}\n${output.slice(-6000)}\n`)
  }
}

await Promise.all(Array.from({ length: availableParallelism() }, work))
process.stdout.write(`${all} files, ${assertions} assertions passed, ${failed.length} files failed\n`)
process.exitCode = failed.length === 0 ? 0 : 1
