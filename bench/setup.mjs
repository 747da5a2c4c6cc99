// Strategy: the library has no dependency, so what the benchmarks compare with (`ws` and its native add-ons) is
// installed here, in `bench/node_modules`, by the first `npm run bench` and not by a plain `npm start`. It does
// nothing when the installed tree is newer than the lockfile. It needs nothing but Node itself.
import { spawnSync } from 'node:child_process'
import { existsSync, statSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const here = dirname(fileURLToPath(import.meta.url))
const npm = process.env.npm_execpath
const modified = name => (existsSync(join(here, name)) ? statSync(join(here, name)).mtimeMs : 0)

if (modified('node_modules/.package-lock.json') < modified('package-lock.json')) {
  console.error('> installing what the benchmarks compare with (npm ci in bench/)')
  const [command, args] = npm ? [process.execPath, [npm, 'ci']] : ['npm', ['ci']]
  // npm hands its own settings down in the environment; the ones that name the outer package would mislead it.
  const env = { ...process.env }
  for (const name of Object.keys(env))
    if (/^npm_(package|lifecycle|config_local_prefix)/.test(name)) delete env[name]
  const { status, error } = spawnSync(command, args, { cwd: here, env, stdio: ['ignore', 2, 2] })
  if (error) throw error
  if (status !== 0) process.exit(status ?? 1)
}
