// Strategy: `npm run fuzz -- decoder --seconds 20`. Installs Jazzer.js (fuzz/jazzer) on first use, finds a way
// to load its native library, runs one target after another in a child process and ends with one honest line each.
//
//   probe: plain node ──loads──▶ run
//     └─ needs a newer C library ──▶ Debian: unpack libc6, libstdc++6, libgcc-s1 of a newer release into .cache/fuzz,
//        taken from the package mirror this machine already uses, and start Node through that folder's dynamic linker
//
// Nothing is installed and apt's own configuration, lists and caches stay as they are. New inputs that reach new code
// go to .cache/fuzz/corpus/<target>; a crashing input goes to fuzz/regressions/<target>, which test/fuzz replays, so
// it is a failing test from that moment on. Plain JavaScript, because it needs nothing but Node.
import { spawn, spawnSync } from 'node:child_process'
import {
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'

const here = dirname(fileURLToPath(import.meta.url))
const root = join(here, '..')
const cache = join(root, '.cache/fuzz')
const jazzer = join(here, 'jazzer')
const cli = join(jazzer, 'node_modules/@jazzer.js/core/dist/cli.js')
const targets = ['decoder', 'connection', 'head', 'extensions']
const usage = `usage: npm run fuzz -- ${targets.join('|')} [--seconds n] [--runs n] [--verbose]
  several targets, or "all", run one after another
  --seconds n   time for each target (60, when --runs is not given either)
  --runs n      number of inputs for each target
  --verbose     every line of the fuzzer, not only progress and findings`

/** Below this many reached edges the library cannot have been instrumented: one frame alone reaches more. */
const leastEdges = 20
/** One input may take this long, in seconds, before it counts as a hang. */
const hangSeconds = 10
/** The newer Debian release whose C library the prebuilt fuzzer can use (it asks for glibc 2.38). */
const newerRelease = 'trixie'

/** Lines of the fuzzer that say nothing about this run, hidden without --verbose. */
const chatter =
  /^(INFO: |Skip loading bug detector|\(node:|\(Use `node|Dictionary: |###### |".*" # Uses: |Done \d)|^\s*$/

class Failure extends Error {}

function call(command, args, options = {}) {
  const result = spawnSync(command, args, { encoding: 'utf8', maxBuffer: 1 << 26, ...options })
  const output = `${result.stdout ?? ''}${result.stderr ?? ''}${result.error ? String(result.error) : ''}`
  return { ok: result.status === 0, output, stdout: result.stdout ?? '' }
}

function must(command, args, options) {
  const result = call(command, args, options)
  if (!result.ok) throw new Failure(`${command} ${args.at(-1)} failed:\n${result.output.trim()}`)
  return result.stdout
}

function installJazzer() {
  const installed = join(jazzer, 'node_modules/.package-lock.json')
  if (
    existsSync(installed) &&
    statSync(installed).mtimeMs >= statSync(join(jazzer, 'package-lock.json')).mtimeMs
  )
    return
  console.error('> installing the fuzzer (npm ci in fuzz/jazzer)')
  const npm = process.env.npm_execpath
  // The package brings its native library ready-made: no install script has to run.
  const args = ['ci', '--ignore-scripts']
  const [command, rest] = npm ? [process.execPath, [npm, ...args]] : ['npm', args]
  if (spawnSync(command, rest, { cwd: jazzer, stdio: ['ignore', 2, 2] }).status !== 0) {
    throw new Failure('installing @jazzer.js/core failed; the output above says why')
  }
}

const probe = launcher =>
  call(launcher[0], [...launcher.slice(1), '-e', 'require("@jazzer.js/fuzzer")'], { cwd: jazzer })

/** The command that starts a Node which can load the fuzzer's native library. */
function findLauncher() {
  const plain = [process.execPath]
  const first = probe(plain)
  if (first.ok) return plain
  if (!/GLIBC(XX)?_[\d.]+' not found/.test(first.output)) {
    throw new Failure(
      `@jazzer.js/core does not load on ${process.platform}-${process.arch}:\n${first.output.trim()}`,
    )
  }
  const missing = /GLIBC(XX)?_[\d.]+/.exec(first.output)[0]
  const [triplet, linker] =
    process.arch === 'arm64'
      ? ['aarch64-linux-gnu', 'ld-linux-aarch64.so.1']
      : ['x86_64-linux-gnu', 'ld-linux-x86-64.so.2']
  const libraries = join(cache, newerRelease, 'usr/lib', triplet)
  if (!existsSync(join(libraries, linker))) unpackLibraries(missing)
  const launcher = [join(libraries, linker), '--library-path', libraries, process.execPath]
  const second = probe(launcher)
  if (second.ok) return launcher
  throw new Failure(`the fuzzer loads neither with this system's C library (${missing} is missing) nor with the one
unpacked into ${relative(root, libraries)}:\n${second.output.trim()}`)
}

/** Unpacks the C and C++ libraries of `newerRelease` below `cache`, without root and without touching apt's state. */
function unpackLibraries(missing) {
  const release = Object.fromEntries(
    readFileSync('/etc/os-release', 'utf8')
      .split('\n')
      .map(line => line.split('='))
      .map(([key, value = '']) => [key, value.replaceAll('"', '')]),
  )
  const why = `The fuzzer's native library needs ${missing}, newer than this system's C library.`
  if (release.ID !== 'debian' || !call('apt-get', ['--version']).ok || !call('dpkg', ['--version']).ok) {
    throw new Failure(`${why}
Run it on a system with glibc 2.38 or newer (Debian 13, Ubuntu 24.04, Fedora 39), or on Debian with apt-get and dpkg,
where a newer library is unpacked beside it. This is ${release.PRETTY_NAME ?? 'an unknown system'}.`)
  }
  const sources = must('apt-get', [
    'indextargets',
    '--format',
    '$(RELEASE) $(REPO_URI)',
    'Created-By: Packages',
  ])
    .split('\n')
    .map(line => line.split(' '))
  const mirror = sources.find(([suite]) => suite === release.VERSION_CODENAME || suite === 'stable')?.[1]
  if (!mirror)
    throw new Failure(
      `${why}\nNo apt source for ${release.VERSION_CODENAME} is configured to fetch one from.`,
    )

  console.error(
    `> unpacking libc6, libstdc++6 and libgcc-s1 of ${newerRelease} into ${relative(root, cache)} (${missing})`,
  )
  const work = join(cache, 'apt')
  rmSync(work, { recursive: true, force: true })
  for (const folder of ['lists/partial', 'cache/archives/partial', 'root']) {
    mkdirSync(join(work, folder), { recursive: true })
  }
  const keyring = '/usr/share/keyrings/debian-archive-keyring.gpg'
  const source = join(work, 'newer.sources')
  writeFileSync(
    source,
    `Types: deb\nURIs: ${mirror}\nSuites: ${newerRelease}\nComponents: main\nTargets: Packages\n` +
      (existsSync(keyring) ? `Signed-By: ${keyring}\n` : ''),
  )
  const options = {
    'Dir::Etc::sourcelist': source,
    'Dir::Etc::sourceparts': '/dev/null',
    'Dir::Etc::preferences': '/dev/null',
    'Dir::Etc::preferencesparts': '/dev/null',
    'Dir::State::lists': join(work, 'lists'),
    'Dir::State::status': '/dev/null',
    'Dir::Cache': join(work, 'cache'),
    // The folders belong to whoever runs this; apt's own user may not read them.
    'APT::Sandbox::User': '',
    'APT::Update::Error-Mode': 'any',
  }
  const flags = Object.entries(options).flatMap(([key, value]) => ['-o', `${key}=${value}`])
  must('apt-get', [...flags, '-qq', 'update'])
  must('apt-get', [...flags, '-qq', 'download', 'libc6', 'libstdc++6', 'libgcc-s1'], { cwd: work })
  const packages = readdirSync(work).filter(name => name.endsWith('.deb'))
  for (const name of packages) must('dpkg', ['-x', join(work, name), join(work, 'root')])
  rmSync(join(cache, newerRelease), { recursive: true, force: true })
  renameSync(join(work, 'root'), join(cache, newerRelease))
  rmSync(work, { recursive: true, force: true })
}

/** Runs one target to its end and prints its last line; the number of crashes, or NaN when the run itself failed. */
async function fuzz(target, launcher, { seconds, runs, verbose }) {
  const grown = join(cache, 'corpus', target)
  const seeds = join(here, 'corpus', target)
  const regressions = join(here, 'regressions', target)
  for (const folder of [grown, seeds, regressions]) mkdirSync(folder, { recursive: true })
  const known = new Set(readdirSync(regressions))

  const args = [cli, join(root, 'build/fuzz', `${target}.js`), grown, seeds, regressions]
  // Only the library is instrumented: the targets' own branches are not what the fuzzer should explore.
  args.push(
    '-i',
    join(root, 'dist/'),
    '-e',
    join(root, 'build/'),
    '--sync',
    `--timeout=${hangSeconds * 1000}`,
  )
  // The library neither opens files nor starts commands; the check for prototype pollution stays on.
  args.push('--disableBugDetectors', 'command-injection', '--disableBugDetectors', 'path-traversal')
  args.push('--', `-artifact_prefix=${regressions}/`, '-rss_limit_mb=2048')
  if (seconds > 0) args.push(`-max_total_time=${seconds}`)
  if (runs > 0) args.push(`-runs=${runs}`)

  const child = spawn(launcher[0], [...launcher.slice(1), ...args], {
    cwd: root,
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const ended = new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (code, signal) => resolve(signal ?? code))
  })
  const stop = () => child.kill('SIGINT')
  process.on('SIGINT', stop)

  const seen = { runs: 0, first: 0, edges: 0, done: false }
  const onLine = line => {
    const progress = /^#(\d+)\s+(\w+)\s+(?:cov: (\d+))?/.exec(line)
    if (progress) {
      seen.runs = Number(progress[1])
      seen.edges = Number(progress[3] ?? 0)
      if (progress[2] === 'INITED') seen.first = seen.edges
      // The loop has ended by itself; a crash or a hang never gets here. The "Done" line that repeats it comes behind a long
      // dictionary, and Node has made the pipe non-blocking, so what libFuzzer prints last may be cut off.
      if (progress[2] === 'DONE') seen.done = true
    }
    const shown = progress ? /^(INITED|pulse|DONE)$/.test(progress[2]) : !chatter.test(line)
    if (verbose || shown) console.error(line)
  }
  for (const stream of [child.stdout, child.stderr]) createInterface({ input: stream }).on('line', onLine)
  const status = await ended
  process.off('SIGINT', stop)

  const inputs = readdirSync(regressions).filter(name => !known.has(name))
  for (const name of inputs) console.error(`fuzz ${target}: kept ${relative(root, join(regressions, name))}`)
  console.error(`fuzz ${target}: ${seen.first} edges reached by the corpus, ${seen.edges} at the end`)
  // Jazzer.js ends with 77 for a finding, libFuzzer with 70 for a hang and 71 for too much memory.
  if ([70, 71, 77].includes(status) || inputs.length > 0) {
    console.log(`fuzz ${target}: ${seen.runs} runs, 1 crash`)
    return 1
  }
  if (status !== 0 || !seen.done) {
    console.log(`fuzz ${target}: the fuzzer itself ended with ${status} after ${seen.runs} runs`)
    return NaN
  }
  if (seen.edges < leastEdges) {
    console.log(`fuzz ${target}: ${seen.runs} runs without coverage, dist/ was not instrumented`)
    return NaN
  }
  console.log(`fuzz ${target}: ${seen.runs} runs, 0 crashes`)
  return 0
}

const count = text => (text === undefined ? 0 : /^[1-9]\d*$/.test(text) ? Number(text) : NaN)

function parseCommand() {
  try {
    const { values, positionals } = parseArgs({
      allowPositionals: true,
      options: {
        seconds: { type: 'string' },
        runs: { type: 'string' },
        verbose: { type: 'boolean', default: false },
      },
    })
    const limits = { seconds: count(values.seconds), runs: count(values.runs), verbose: values.verbose }
    const names = positionals.includes('all') ? targets : positionals
    const wrong = names.find(name => !targets.includes(name))
    if (wrong !== undefined) throw new Failure(`there is no target "${wrong}"`)
    if (names.length === 0) throw new Failure('which target?')
    if (Number.isNaN(limits.seconds + limits.runs))
      throw new Failure('--seconds and --runs take a whole number above 0')
    if (limits.seconds === 0 && limits.runs === 0) limits.seconds = 60
    return { names, limits }
  } catch (error) {
    console.error(`fuzz: ${error.message}\n${usage}`)
    return process.exit(2)
  }
}

const { names, limits } = parseCommand()
try {
  installJazzer()
  const launcher = findLauncher()
  let bad = 0
  for (const name of names) if ((await fuzz(name, launcher, limits)) !== 0) bad++
  process.exitCode = bad === 0 ? 0 : 1
} catch (error) {
  if (!(error instanceof Failure)) throw error
  console.error(`fuzz: ${error.message}`)
  process.exitCode = 1
}
