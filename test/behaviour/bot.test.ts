// Strategy: the bot of README.md, as it stands there, against a server that does to it what servers do. Only its URLs are
// replaced. It is a program of its own in a process of its own, so that signals and exit codes are real; nothing sleeps, each
// step waits for what the bot does next. Its dice always show 0: it reconnects at once.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'
import { type Test, test } from 'tap'
import { type Guest, guestServer } from '../support/seed-peers.js'
import { serve } from '../support/servers.js'

const root = fileURLToPath(new URL('../..', import.meta.url))
const NO_JITTER = 'data:text/javascript,Math.random=()=>0'

/** The block of README.md that begins with `// bot.ts`. */
function botCode(tokens: string, server: string): string {
  const [, code] =
    /^```ts\n(\/\/ bot\.ts\n[^]*?)^```$/m.exec(readFileSync(join(root, 'README.md'), 'utf8')) ?? []
  if (code === undefined) throw new Error('README.md has no bot')
  const replaced = code
    .replace("'https://example.com/token'", `'${tokens}'`)
    .replace("'wss://example.com/bot'", `'${server}'`)
  if (replaced.includes('example.com')) throw new Error('the bot has another URL')
  return replaced
}

/** A service that gives a new token each time, but for the first: then it is not there yet. */
async function tokenService(t: Test): Promise<{ readonly url: string; readonly given: string[] }> {
  const given: string[] = []
  const service = createServer((request, response) => {
    given.push(given.length === 0 ? 'none' : `token-${given.length}`)
    t.equal(`${request.method} ${request.url}`, 'POST /token', 'a token is fetched')
    response.statusCode = given.length === 1 ? 503 : 200
    response.end(given.at(-1))
  })
  const port = await serve(t, service)
  return { url: `http://127.0.0.1:${port}/token`, given }
}

/** Runs the bot. @returns what it prints, and how it ends. */
async function runBot(
  t: Test,
  code: string,
): Promise<{
  readonly kill: (signal: NodeJS.Signals) => boolean
  readonly ended: Promise<unknown[]>
  readonly printed: () => string
}> {
  const folder = t.testdir({ 'bot.ts': code })
  const bundle = join(folder, 'bot.mjs')
  await build({
    absWorkingDir: root,
    entryPoints: [join(folder, 'bot.ts')],
    outfile: bundle,
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: 'node20.19',
    logLevel: 'silent',
  })
  // Plain Node, without the loaders that tap puts into its children.
  const { NODE_OPTIONS: _, ...env } = process.env
  const child = spawn(process.execPath, ['--import', NO_JITTER, bundle], { env })
  t.teardown(() => child.kill('SIGKILL'))
  let output = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      output += text
    })
  }
  return { kill: signal => child.kill(signal), ended: once(child, 'close'), printed: () => output }
}

/** The application's ping, and its answer. */
async function pingBot(
  t: Test,
  { socket, next }: { socket: Guest['socket']; next: () => Promise<string> },
  id: number,
): Promise<void> {
  socket.send(JSON.stringify({ type: 'ping', id }))
  t.equal(await next(), `text {"type":"pong","id":${id}}`, 'the ping of the application is answered')
}

test('the bot of the README stays connected, whatever happens, and leaves in peace', async t => {
  const tokens = await tokenService(t)
  const presented: (string | undefined)[] = []
  const server = await guestServer(t, {
    verifyClient: ({ req }, answer) => {
      presented.push(req.headers.authorization)
      answer(req.headers.authorization !== 'Bearer token-2', 401, 'that token has expired')
    },
  })
  const bot = await runBot(t, botCode(tokens.url, `${server.url}bot`))
  const meet = async (): Promise<{ socket: Guest['socket']; next: () => Promise<string> }> => {
    const guest = await Promise.race([
      server.guest(),
      bot.ended.then(() => Promise.reject(new Error(`the bot has ended:\n${bot.printed()}`))),
    ])
    t.equal(await guest.next(), 'text {"type":"subscribe","room":"lobby"}', 'each connection begins anew')
    return { socket: guest.socket, next: () => guest.next() }
  }

  // There is no token at first, which is one more attempt that failed.
  const first = await meet()
  t.same(presented, ['Bearer token-1'])
  first.socket.ping('are you there?')
  t.equal(await first.next(), 'pong are you there?', 'the ping of the protocol is answered')
  await pingBot(t, first, 1)
  first.socket.send(Buffer.from([1, 2, 3]))
  first.socket.send('{"type":"news"}')
  first.socket.send('null')
  await pingBot(t, first, 2)

  // The connection is dropped, and the next token has expired when it is shown.
  first.socket.terminate()
  const second = await meet()
  t.same(presented, ['Bearer token-1', 'Bearer token-2', 'Bearer token-3'], 'a fresh token each attempt')
  await pingBot(t, second, 3)

  // What is not JSON costs the connection, and not the bot.
  second.socket.send('{')
  t.equal(await second.next(), 'close 1007 not JSON')
  const third = await meet()
  t.same(
    tokens.given,
    ['none', 'token-1', 'token-2', 'token-3', 'token-4'],
    'a token for each attempt, and no more',
  )
  await pingBot(t, third, 4)

  bot.kill('SIGTERM')
  t.equal(await third.next(), 'close 1000', 'it says good-bye')
  t.same(await bot.ended, [0, null], 'the program ends well')
  const printed = bot.printed()
  t.match(printed, /no connection: error .*no token: HTTP 503/s)
  t.match(printed, /connected to ws:\/\/127\.0\.0\.1:\d+\/bot, reconnected 2 times/)
  t.match(printed, /^ended: stop, 4 pings answered/m, 'its state was kept over all connections')
})
