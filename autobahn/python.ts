// Strategy: the suite runs on Python 2.7 only, which nobody installs any more. So: look for an interpreter where one might
// be, put `virtualenv` beside our cache instead of into that Python, and make an environment that is
// reused as long as its marker file says that it was finished.
import { existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { SUITE_VERSION } from './cases.js'
import { run } from './children.js'

const INSTALL_LIMIT_MS = 600_000

const NO_PYTHON = `The Autobahn test suite needs Docker (with compose) or Python 2.7, and neither answers here.
  - Docker: start its engine, so that \`docker info\` and \`docker compose version\` succeed; or
  - Python 2.7: put \`python2.7\` on the PATH, for instance with pyenv: \`pyenv install 2.7.18\`.
    (looked for python2.7 and python2 on the PATH, and below ~/.pyenv/versions)`

async function isPython27(command: string): Promise<boolean> {
  try {
    await run(command, ['-c', 'import sys; sys.exit(sys.version_info[:2] != (2, 7))'], { limitMs: 10_000 })
    return true
  } catch {
    return false // not there, another version, or a pyenv shim without a version behind it
  }
}

async function findPython(): Promise<string> {
  const versions = join(homedir(), '.pyenv/versions')
  const pyenv = existsSync(versions) ? readdirSync(versions).filter(name => name.startsWith('2.7')) : []
  const places = ['python2.7', 'python2', ...pyenv.map(name => join(versions, name, 'bin/python2.7'))]
  for (const command of places) if (await isPython27(command)) return command
  throw new Error(NO_PYTHON)
}

/** Runs pip of the Python 2.7 at `python`, or of the environment it belongs to. */
async function pip(python: string, args: readonly string[]): Promise<void> {
  await run(python, ['-m', 'pip', '--disable-pip-version-check', 'install', '-q', ...args], {
    limitMs: INSTALL_LIMIT_MS,
  })
}

/**
 * The Python of an environment that has the suite installed, made below `cache` (or below the folder that
 * AUTOBAHN_CACHE names) if it isn't there yet.
 *
 * @throws when there is no Python 2.7 or the installation fails; the message says what is missing.
 */
export async function makeEnvironment(cache: string): Promise<string> {
  const folder = process.env['AUTOBAHN_CACHE'] ?? cache
  const environment = join(folder, `wstest-${SUITE_VERSION}`)
  const python = join(environment, 'bin/python')
  const finished = join(environment, 'finished')
  if (existsSync(finished)) return python

  const base = await findPython()
  console.log(`installing autobahntestsuite ${SUITE_VERSION} into ${environment} (once, about a minute)`)
  const bootstrap = join(folder, 'bootstrap')
  const seeds = join(folder, 'seeds')
  for (const path of [environment, bootstrap, seeds]) rmSync(path, { recursive: true, force: true })
  mkdirSync(folder, { recursive: true })
  // 20.22 and later can't make environments for Python 2.7 any more.
  await pip(base, ['--target', bootstrap, 'virtualenv<20.22'])
  await run(base, ['-m', 'virtualenv', '--no-download', environment], {
    env: { PYTHONPATH: bootstrap, VIRTUALENV_OVERRIDE_APP_DATA: seeds },
    limitMs: INSTALL_LIMIT_MS,
  })
  await pip(python, [`autobahntestsuite==${SUITE_VERSION}`])
  for (const path of [bootstrap, seeds]) rmSync(path, { recursive: true })
  writeFileSync(finished, '')
  return python
}
