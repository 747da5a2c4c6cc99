// Changes the behaviour of a running process whenever its file changes; the connection stays. The file here is a temporary
// one that this program writes itself: version 1, then one that cannot be loaded, then version 2, whose state has another
// shape. Ends with 0 when version 2 has every message there was, all from the first connection.
//
//   node build/examples/reload.js
import { EventEmitter, once } from 'node:events'
import { unwatchFile, watchFile } from 'node:fs'
import { mkdtemp, rename, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { type Behaviour, listen, start } from 'sansocket'

/** What every version must understand; its state is its own business. */
type Ticker = Behaviour<unknown, never, 'report', string>

const version1 = `
export default {
  version: 1,
  init: () => 0,
  handleFrame: (frame, count) => ({ state: count + 1 }),
  handleCall: (_report, _from, count) => ({ answer: \`version 1: \${count} ticks\` }),
}`

// The state of version 1 was a number.
const version2 = `
export default {
  version: 2,
  codeChange: (oldVersion, count, extra) => ({ state: { count, last: extra } }),
  handleFrame: (frame, { count }) => ({ state: { count: count + 1, last: frame.data } }),
  handleCall: (_report, _from, { count, last }) => ({ answer: \`version 2: \${count} ticks, last \${last}\` }),
}`

/** What was imported by one URL is never read again, so each time it is another URL. */
async function load(path: string): Promise<Ticker> {
  const url = pathToFileURL(path)
  url.searchParams.set('loaded', String(performance.now()))
  const { default: behaviour } = (await import(url.href)) as { readonly default: Ticker }
  return behaviour
}

/** Nobody should load a file that is half written. */
async function replace(path: string, text: string): Promise<void> {
  await writeFile(`${path}.new`, text)
  await rename(`${path}.new`, path)
}

// A server that numbers its connections, and the ticks on each.
let connections = 0
await using server = await listen({}, socket => {
  const connection = ++connections
  let tick = 0
  const timer = setInterval(() => socket.write(`tick ${++tick} on connection ${connection}`), 10)
  void socket.closed.then(() => clearInterval(timer))
})

const folder = await mkdtemp(join(tmpdir(), 'reload-'))
const path = join(folder, 'ticker.mjs')
await replace(path, version1)
await using ticker = await start(server.url, await load(path), { reconnect: true })

// This is all that reloading takes. What `codeChange` throws leaves the behaviour before in its place, and so does a file
// that cannot be loaded.
const reloads = new EventEmitter()
let last = Promise.resolve()
watchFile(path, { interval: 50 }, () => {
  last = last
    .then(async () => ticker.changeBehaviour(await load(path), 'none yet'))
    .then(() => reloads.emit('done'))
    .catch((error: unknown) => reloads.emit('failed', error))
    .then(() => {})
})

/** Prints what the running version has to say, after a while. */
async function report(): Promise<string> {
  await new Promise(resolve => setTimeout(resolve, 150))
  const text = await ticker.call('report')
  console.log(text)
  return text
}

try {
  const signal = AbortSignal.timeout(10_000)
  await report()

  const failed = once(reloads, 'failed', { signal })
  await replace(path, version2.replace('export', 'exprot'))
  const [error] = (await failed) as [Error]
  console.log(`not loaded: ${error.name}: ${error.message}`)
  await report()

  const done = once(reloads, 'done', { signal })
  await replace(path, version2)
  await done
  console.log('reloaded')
  const [, count, tick, connection] =
    /(\d+) ticks, last tick (\d+) on connection (\d+)/.exec(await report()) ?? []
  const well = count !== undefined && count === tick && connection === '1' && connections === 1
  console.log(well ? 'The same connection, and every tick is there.' : 'Something was lost.')
  process.exitCode = well ? 0 : 1
} finally {
  unwatchFile(path)
  await rm(folder, { recursive: true })
}
