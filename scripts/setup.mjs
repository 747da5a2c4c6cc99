// Strategy: the one step before every command of this project. On a bare clone it installs the development
// dependencies; when sources are newer than the build it builds. When nothing changed it costs a few
// milliseconds, so `npm start` and `npm test` can always call it. It needs nothing but Node itself.
import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync, statSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = join(dirname(fileURLToPath(import.meta.url)), '..')
const npm = process.env.npm_execpath

const [major, minor] = process.versions.node.split('.').map(Number)
if (major < 20 || (major === 20 && minor < 19)) {
  console.error(`sansocket needs Node 20.19 or newer; this is ${process.version}.`)
  process.exit(1)
}

/** The newest modification time below `path`, in milliseconds; 0 when it does not exist. */
function newest(path) {
  if (!existsSync(path)) return 0
  const stat = statSync(path)
  if (!stat.isDirectory()) return stat.mtimeMs
  let latest = 0
  for (const entry of readdirSync(path, { withFileTypes: true })) {
    if (entry.name === 'node_modules') continue
    if (entry.isDirectory() || entry.name.endsWith('.ts'))
      latest = Math.max(latest, newest(join(path, entry.name)))
  }
  return latest
}

function run(label, command, args) {
  console.error(`> ${label}`)
  const { status, error } = spawnSync(command, args, { cwd: root, stdio: ['ignore', 2, 2] })
  if (error) throw error
  if (status !== 0) process.exit(status ?? 1)
}

const installed = newest(join(root, 'node_modules/.package-lock.json'))
if (installed < newest(join(root, 'package-lock.json'))) {
  if (npm) run('installing the development dependencies (npm ci)', process.execPath, [npm, 'ci'])
  else run('installing the development dependencies (npm ci)', 'npm', ['ci'])
}

const tsc = join(root, 'node_modules/typescript/bin/tsc')

/** Compiles what `sources` changed since the last success. */
function build(label, config, target, sources) {
  const stamp = join(root, target, '.built')
  const built = newest(stamp)
  if ([...sources, 'tsconfig.json', config].every(source => newest(join(root, source)) < built)) return
  const start = new Date()
  run(label, process.execPath, [tsc, '-p', config])
  writeFileSync(stamp, `${start.toISOString()}\n`)
}

build('building the library', 'tsconfig.build.json', 'dist', ['src'])
build('building benches, fuzzers and examples', 'tsconfig.tools.json', 'build', [
  'dist/.built',
  'bench',
  'fuzz',
  'autobahn',
  'examples',
])
