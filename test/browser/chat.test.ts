// The chat of the README, as it stands there, in tabs of a browser: in one process, and in two that share a Redis by the one
// line that the README says to change.
// oxlint-disable unicorn/consistent-function-scoping -- a function that runs in a page has all that it uses inside
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { build } from 'esbuild'
import t, { type Test } from 'tap'
import { REDIS, RedisServer, skip as noRedis } from '../registry/redis-server.js'
import { findChromium, skipWithout } from './chromium.js'
import { Browser, type Tab } from './tabs.js'

/** Of the page. */
interface Field {
  value: string
}
interface Items {
  [Symbol.iterator](): Iterator<{ readonly textContent: string }>
}
declare const document: {
  readonly forms: readonly { readonly 0: Field; requestSubmit(): void }[]
  querySelectorAll(selector: string): Items
}
declare const MutationObserver: new (look: () => void) => {
  observe(node: unknown, options: object): void
  disconnect(): void
}

const ROOT = join(import.meta.dirname, '../..')
const readme = readFileSync(join(ROOT, 'README.md'), 'utf8')
const program = /^```ts\n(\/\/ chat\.ts\n[^]*?)^```$/m.exec(readme)?.[1] ?? ''
const ONE = 'const registry = createRegistry()\n'
const many = /^```js\n(const registry = .*\n)```$/m.exec(readme)?.[1] ?? ''

/** Starts the program on a port that the system chooses. It ends with the test. @returns where it listens. */
const startChat = async (t: Test, folder: string, name: string, code: string): Promise<string> => {
  const file = join(folder, `${name}.mjs`)
  await build({
    absWorkingDir: ROOT,
    // That it tells the test where it listens is all that is added.
    stdin: {
      contents: `${code}\nhttp.once('listening', () => process.send(http.address().port))`,
      resolveDir: ROOT,
      loader: 'ts',
    },
    outfile: file,
    bundle: true,
    platform: 'node',
    format: 'esm',
    // The client of Redis is CommonJS.
    banner: {
      js: "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url)",
    },
    logLevel: 'silent',
  })
  const { NODE_OPTIONS: _, ...env } = process.env
  const child: ChildProcess = fork(file, { env: { ...env, PORT: '0' }, execArgv: [] })
  const gone = once(child, 'exit')
  t.teardown(async () => {
    child.kill('SIGKILL')
    await gone
  })
  const ended = gone.then(([status]) => Promise.reject(new Error(`the chat ended with ${status}`)))
  const [port] = (await Promise.race([once(child, 'message'), ended])) as [number]
  return `http://127.0.0.1:${port}`
}

/** Types a line into the page, and presses Enter. */
const say = (tab: Tab, line: string): Promise<void> =>
  tab.run(text => {
    document.forms[0][0].value = text
    document.forms[0].requestSubmit()
  }, line)

/** What the page shows, as soon as it has so many lines. */
const lines = (tab: Tab, count: number): Promise<string[]> =>
  tab.run(async least => {
    const shown = (): string[] => [...document.querySelectorAll('li')].map(item => item.textContent)
    await new Promise<void>(resolve => {
      const look = (): void => {
        if (shown().length < least) return
        observer.disconnect()
        resolve()
      }
      const observer = new MutationObserver(look)
      observer.observe(document, { childList: true, subtree: true })
      look()
    })
    return shown()
  }, count)

/** Opens the page, and says something in the room, so that this one has come in when it is read. */
const enter = async (browser: Browser, url: string, shown: number): Promise<Tab> => {
  const tab = await browser.open(url)
  // The script of the page has its connection under this name.
  await tab.run(`async () => {
    if (socket.readyState === 0) await new Promise(resolve => socket.addEventListener('open', resolve))
  }`)
  await say(tab, 'here I am')
  await lines(tab, shown)
  return tab
}

const converse = async (t: Test, browser: Browser, first: string, second: string): Promise<void> => {
  const ann = await enter(browser, `${first}/blue?name=Ann`, 1)
  const bob = await enter(browser, `${second}/blue?name=Bob`, 1)
  const eve = await enter(browser, `${second}/red?name=Eve`, 1)
  await lines(ann, 2)
  await say(ann, 'hello, <b>Bob</b>')
  await lines(bob, 2)
  await say(eve, 'is nobody there?')
  await lines(eve, 2)
  await say(bob, 'hello, Ann')
  await lines(ann, 4)
  await say(eve, 'so I am alone')
  const together = ['Bob: here I am', 'Ann: hello, <b>Bob</b>', 'Bob: hello, Ann']
  t.same(await lines(ann, 4), ['Ann: here I am', ...together])
  t.same(await lines(bob, 3), together)
  t.same(
    await lines(eve, 3),
    ['Eve: here I am', 'Eve: is nobody there?', 'Eve: so I am alone'],
    'another room',
  )
}

t.test('the README has the chat in less than 40 lines, and the line to change', t => {
  t.ok(program.includes(ONE))
  t.ok(program.split('\n').length < 40, `${program.split('\n').length} lines`)
  t.match(many, /createRedisRegistry\(.*createClient\(\)/)
  t.end()
})

const chromium = findChromium()
const skip = skipWithout(chromium)
const required = process.env['CI'] === 'true' || process.env['SANSOCKET_REQUIRE_PEERS'] === '1'

t.test('two tabs talk in a room of one process', { skip }, async t => {
  const origin = await startChat(t, t.testdir(), 'chat', program)
  await converse(t, Browser.start(t, chromium), origin, origin)
})

t.test('two tabs talk in a room through two processes', { skip: skip || (!required && noRedis) }, async t => {
  t.ok(REDIS, 'there is a Redis')
  const { port } = await RedisServer.start(t)
  const client = `createClient({ url: 'redis://127.0.0.1:${port}' })`
  const code = program.replace(ONE, many.replace('createClient()', client))
  const folder = t.testdir()
  const [first, second] = [
    await startChat(t, folder, 'first', code),
    await startChat(t, folder, 'second', code),
  ]
  t.not(first, second)
  await converse(t, Browser.start(t, chromium), first, second)
})
