// Events and the debugging of a real process, over loopback.
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { inspect } from 'node:util'
import t from 'tap'
import { channelName, EVENT_TYPES } from '../../src/behaviour/channels.js'
import type { From } from '../../src/behaviour/from.js'
import type { PublishedEvent } from '../../src/behaviour/process-event.js'
import { idle } from '../../src/behaviour/result.js'
import { start } from '../../src/behaviour/start.js'
import { listen } from '../../src/index.js'
import { leavesNothing, serve, turn, withResolvers } from '../support/servers.js'
import { VirtualClock } from '../support/virtual-clock.js'

t.test('a running process tells its whole life, and no secret of it', async t => {
  const folder = mkdtempSync(join(tmpdir(), 'sansocket-log-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  const path = join(folder, 'log')
  const secret = 'zQ7hidden'
  await leavesNothing(t, async () => {
    await using server = await listen({ subprotocols: ['chat'] }, socket => {
      socket.onMessage = message => socket.write(message.data)
      socket.ping('hi')
    })
    const channels: PublishedEvent[] = []
    const note = (message: unknown): unknown => channels.push(message as PublishedEvent)
    for (const type of EVENT_TYPES) subscribe(channelName(type), note)
    const echoed = withResolvers<void>()
    const url = new URL(server.url)
    url.username = secret
    url.password = secret
    url.searchParams.set('access_token', secret)
    const feed = await start(
      url,
      {
        init: () => ({ seen: 0 }),
        handleFrame: (_, { seen }) => {
          echoed.resolve()
          return { state: { seen: seen + 1 } }
        },
        handlePing: () => ({}),
        handleCast: (__: string) => ({ reply: 'from a cast' }),
        handleCall: (_: string, __: From<boolean>, { seen }) => ({ answer: seen > 0 }),
        handleInfo: () => {},
      },
      {
        name: 'debugged',
        subprotocols: ['chat'],
        headers: { Cookie: `sid=${secret}`, 'X-Api-Key': secret },
        debug: ['statistics', { log: 200 }, { logToFile: path }],
      },
    )
    const lines: string[] = []
    feed.debug.trace(text => lines.push(text))
    await feed.send('hello')
    feed.cast('x')
    feed.info('y')
    await echoed.promise
    t.equal(await feed.call('seen'), true)
    t.match(feed.debug.getStatistics(), { casts: 1, calls: 1, infos: 1, opens: 1, messagesIn: 3 })
    await feed.stop('enough')
    for (const type of EVENT_TYPES) unsubscribe(channelName(type), note)

    const log = feed.debug.getLog()
    t.same(
      channels.map(({ event }) => event.type),
      log.map(({ event }) => event.type),
      'the log and the channels are told the same',
    )
    const types = log.map(({ event }) => event.type)
    t.same(
      types.filter(type => ['start', 'attempt', 'connect', 'request', 'response', 'open'].includes(type)),
      ['start', 'attempt', 'connect', 'request', 'response', 'open'],
    )
    for (const type of [
      'frame-in',
      'frame-out',
      'ping-in',
      'cast',
      'call',
      'info',
      'close-in',
      'close-out',
    ] as const)
      t.ok(types.includes(type), type)
    t.equal(types.at(-1), 'terminate')
    for (const { id, process } of log) {
      t.equal(id, 'debugged')
      t.equal(process, feed)
    }
    const inFile = readFileSync(path, 'utf8').split('\n').slice(0, -1)
    t.equal(inFile.length, log.length, 'the file is complete when the process has ended')
    t.match(inFile.at(-1), /sansocket debugged \+\d+\.\d{3} terminate stop "enough" normal=true$/)
    t.match(lines.at(-1), /terminate/)
    t.notMatch([...inFile, ...lines].join('\n'), secret)
    t.notMatch(
      inspect(
        channels.map(({ event }) => event),
        { depth: 9 },
      ),
      secret,
    )
    t.match(inFile.join('\n'), /Cookie="?sid=\*\*\*/)
  })
})

t.test('what a listener of a running process throws does not reach it', async t => {
  await using server = await listen({}, socket => {
    socket.onMessage = message => socket.write(message.data)
  })
  const failed = withResolvers<unknown>()
  // The runner would take it for a failed test.
  const listeners = process.rawListeners('uncaughtException')
  process.removeAllListeners('uncaughtException')
  process.on('uncaughtException', failed.resolve)
  const heard = withResolvers<string>()
  try {
    await using feed = await start(server.url, {
      handleFrame: ({ data }) => heard.resolve(String(data)),
    })
    const stop = feed.debug.subscribe(() => {
      stop()
      throw new Error('boom')
    })
    await feed.send('still here')
    t.equal(await heard.promise, 'still here')
    t.match(await failed.promise, { message: 'boom' })
    t.equal(feed.phase, 'open')
  } finally {
    process.removeAllListeners('uncaughtException')
    for (const listener of listeners) process.on('uncaughtException', listener as never)
  }
})

t.test('everything can be switched in every phase of a process', async t => {
  const clock = new VirtualClock()
  const seen: string[] = []
  const waiting = withResolvers<void>()
  let refusing = true
  const refusal = createServer((_, response) =>
    response.writeHead(403, { 'set-cookie': 'sid=zQ7hidden' }).end(),
  )
  const port = await serve(t, refusal)
  await using server = await listen({}, () => {})
  const feed = await start(
    () => (refusing ? `ws://127.0.0.1:${port}/` : server.url),
    {
      init: () => idle(null),
      handleDisconnect: () => {
        waiting.resolve()
        return { reconnect: { delayMs: 500 } }
      },
    },
    { clock },
  )
  const switchAll = (): void => {
    seen.push(feed.phase)
    feed.debug.off()
    feed.debug.trace(() => {})
    feed.debug.statistics(true)
    feed.debug.log(false)
    feed.debug.log(100)
  }
  const types = (): string =>
    feed.debug
      .getLog()
      .map(({ event }) => event.type)
      .join(' ')
  switchAll()
  const connected = feed.connect().catch(() => {})
  switchAll()
  await waiting.promise
  for (let turns = 0; feed.phase !== 'waiting' && turns < 1000; turns++) await turn()
  t.match(types(), /^attempt connect request response disconnect reconnect$/)
  t.match(inspect(feed.debug.getLog(), { depth: 9 }), /'set-cookie', 'sid=\*\*\*'/)
  t.notMatch(inspect(feed.debug.getLog(), { depth: 9 }), /zQ7hidden/)
  t.match(feed.debug.getStatistics(), { disconnects: 1, reconnects: 1, opens: 0 })
  switchAll()
  refusing = false
  clock.advance(500)
  for (let turns = 0; feed.phase !== 'open' && turns < 10_000; turns++) await turn()
  t.match(types(), /^attempt connect request response open$/)
  await connected
  switchAll()
  const ended = feed.stop()
  await turn()
  switchAll()
  await ended
  t.match(types(), /terminate$/)
  switchAll()
  t.same(feed.debug.getLog(), [])
  t.same(seen, ['idle', 'connecting', 'waiting', 'open', 'closing', 'ended'])
})
