// Strategy: no driver and no download. For a page that needs nobody, the browser is started, loads a file, and prints the page
// as it stands when it has run. Where a page talks to a server, and one tab to another, see `tabs.ts`.
import { spawn, spawnSync } from 'node:child_process'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'

const LIMIT_MS = 60_000

const works = (name: string): boolean =>
  spawnSync(name, ['--version'], { stdio: 'ignore', timeout: 20_000 }).status === 0

/** The command of a Chromium, or null; the environment's CHROMIUM goes before all others. */
export const findChromium = (): string | null => {
  const own = process.env['CHROMIUM']
  const names = ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable']
  return [...(own === undefined ? [] : [own]), ...names].find(works) ?? null
}

/** Why a test with a browser is skipped, or false; where a browser must be, it is not, and fails. */
export const skipWithout = (chromium: string | null): string | false => {
  const required = process.env['CI'] === 'true' || process.env['SANSOCKET_REQUIRE_PEERS'] === '1'
  return chromium === null && !required && 'no Chromium here: set CHROMIUM or put chromium on the PATH'
}

/** What every start of the browser is given. */
export const FLAGS: readonly string[] = [
  '--headless',
  // The page is ours, and the browser's own sandbox does not work for root or in most containers.
  '--no-sandbox',
  '--disable-gpu',
  '--disable-dev-shm-usage',
  '--no-first-run',
  '--no-default-browser-check',
  // It has nothing to look for on the network; `.test` is here, for pages of other origins.
  '--host-resolver-rules=MAP *.test 127.0.0.1, MAP * ~NOTFOUND, EXCLUDE 127.0.0.1',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-default-apps',
  '--disable-domain-reliability',
  '--disable-extensions',
  '--disable-quic',
  '--disable-sync',
  '--metrics-recording-only',
]

/** Opens `html` in a new profile inside `folder`, and returns the page as it stands when its scripts have run. */
export const dumpPage = async (command: string, folder: string, html: string): Promise<string> => {
  await mkdir(folder, { recursive: true })
  const page = join(folder, 'page.html')
  await writeFile(page, html)
  const profile = `--user-data-dir=${join(folder, 'profile')}`
  const args = [...FLAGS, profile, '--dump-dom', pathToFileURL(page).href]
  return new Promise((resolve, reject) => {
    // A group of its own, so that the browser's helpers can be ended with it.
    const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'], detached: true })
    const endAll = (): void => {
      try {
        process.kill(-child.pid!, 'SIGKILL')
      } catch {
        // All of them are gone already.
      }
    }
    const output = { stdout: '', stderr: '' }
    child.stdout.setEncoding('utf8').on('data', (text: string) => (output.stdout += text))
    child.stderr.setEncoding('utf8').on('data', (text: string) => (output.stderr += text))
    const limit = setTimeout(endAll, LIMIT_MS)
    process.once('exit', endAll)
    child.once('error', reject)
    child.once('close', status => {
      clearTimeout(limit)
      process.off('exit', endAll)
      endAll()
      if (status === 0) resolve(output.stdout)
      else reject(new Error(`${command} ended with ${status}: ${output.stderr.slice(-2000)}`))
    })
  })
}
