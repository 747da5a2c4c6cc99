// `sansocket/server` and the WebSocket of a browser. What stands in `tab.run()` runs in a page.
// oxlint-disable unicorn/prefer-add-event-listener -- as pages do it
// oxlint-disable unicorn/consistent-function-scoping -- a function that runs in a page has all that it uses inside
import { connect as connectTcp, createServer } from 'node:net'
import t, { type Test } from 'tap'
import type { DisconnectStatus } from '../../src/index.js'
import type { ServerBehaviour } from '../../src/server/index.js'
import { Queue } from '../interop/conversation.js'
import { serve } from '../support/servers.js'
import { findChromium, skipWithout } from './chromium.js'
import { startSite, TRUSTED } from './page-server.js'
import { Browser } from './tabs.js'

/** Of a page. */
declare const location: { readonly origin: string }
declare const document: { readonly cookie: string }

const chromium = findChromium()
const skip = skipWithout(chromium)
const ECHO: ServerBehaviour<unknown> = { handleFrame: frame => ({ reply: frame }) }

const browse = (t: Test): Browser => Browser.start(t, chromium, [TRUSTED])

t.test('a page opens a connection with a subprotocol and its cookies, over ws and wss', { skip }, async t => {
  const browser = browse(t)
  for (const tls of [false, true]) {
    const site = await startSite(
      t,
      {
        init: connection => connection,
        handleUpgrade: () => ({ headers: { 'Set-Cookie': 'seen=yes; Path=/' } }),
        handleConnect: (_, { path, query, cookies, origin, subprotocol, subprotocols }) => {
          const room = query.get('room')
          return { reply: JSON.stringify({ path, room, cookies, origin, subprotocol, subprotocols }) }
        },
      },
      { subprotocols: ['v1.chat', 'v2.chat'] },
      { tls, headers: { 'Set-Cookie': ['session=abc; HttpOnly; Path=/', 'theme="dark"; Path=/'] } },
    )
    const tab = await browser.open(`${site.origin}/page`)
    const seen = await tab.run(async () => {
      const url = `${location.origin.replace('http', 'ws')}/chat?room=blue%20room`
      const socket = new WebSocket(url, ['v2.chat', 'v1.chat'])
      const data = await new Promise<string>((resolve, reject) => {
        socket.onmessage = event => resolve(event.data as string)
        socket.onerror = () => reject(new Error('no connection'))
      })
      socket.close()
      return { data, protocol: socket.protocol, cookie: document.cookie }
    })
    t.match(JSON.parse(seen.data), {
      path: '/chat',
      room: 'blue room',
      cookies: { session: 'abc', theme: 'dark' },
      origin: site.origin,
      subprotocol: 'v2.chat',
      subprotocols: ['v2.chat', 'v1.chat'],
    })
    t.equal(seen.protocol, 'v2.chat')
    t.match(seen.cookie, 'seen=yes', 'a cookie of the 101 is kept')
    t.notMatch(seen.cookie, 'session', 'what is HttpOnly is seen by the server only')
  }
})

/** Runs in the page: sends one message of each kind, and says what came back. */
const sendEverything = async (binaryType: string): Promise<string[]> => {
  const socket = new WebSocket(location.origin.replace('http', 'ws'))
  socket.binaryType = binaryType as 'blob'
  await new Promise(resolve => (socket.onopen = resolve))
  const bytes = (length: number): Uint8Array<ArrayBuffer> =>
    Uint8Array.from({ length }, (_, i) => (i * 31) ^ (i >> 8))
  const texts = [
    '',
    'zero \0, é, 你好, 🌍, \ufeff',
    'x'.repeat(126),
    'é'.repeat(32_768),
    '🌍'.repeat(250_000),
  ]
  const binaries = [bytes(0), bytes(125), bytes(65_536), bytes(1_000_000)]
  const sent = [...texts, ...binaries, ...binaries, ...binaries]
  for (const text of texts) socket.send(text)
  for (const one of binaries) socket.send(one)
  for (const one of binaries) socket.send(one.buffer)
  for (const one of binaries) socket.send(new Blob([one]))
  const got: unknown[] = []
  await new Promise<void>((resolve, reject) => {
    socket.onmessage = ({ data }) => got.push(data) === sent.length && resolve()
    socket.onclose = ({ code, reason }) => reject(new Error(`closed: ${code} ${reason}`))
  })
  socket.close(1000)
  const described: string[] = []
  for (const [i, data] of got.entries()) {
    if (typeof data === 'string') {
      described.push(`text ${data === sent[i]}`)
      continue
    }
    const kind = data instanceof Blob ? 'blob' : 'buffer'
    const content = new Uint8Array(data instanceof Blob ? await data.arrayBuffer() : (data as ArrayBuffer))
    const other = sent[i] as Uint8Array
    described.push(
      `${kind} ${content.length === other.length && content.every((byte, at) => byte === other[at])}`,
    )
  }
  return described
}

t.test('text, bytes, buffers and blobs go there and back, compressed and not', { skip }, async t => {
  const browser = browse(t)
  for (const [tls, compress] of [
    [false, false],
    [true, { threshold: 0 }],
  ] as const) {
    const site = await startSite(t, ECHO, { compress }, { tls })
    const tab = await browser.open(site.origin)
    for (const [binaryType, kind] of [
      ['blob', 'blob true'],
      ['arraybuffer', 'buffer true'],
    ]) {
      const heard = await tab.run(sendEverything, binaryType)
      t.same(heard, [...Array<string>(5).fill('text true'), ...Array<string>(12).fill(kind)])
    }
  }
})

t.test('both sides compress with what they agreed on, and not where it is off', { skip }, async t => {
  const browser = browse(t)
  const talk = async (compress: boolean): Promise<{ extensions: string; sizes: number[][] }> => {
    const sizes: number[][] = []
    const site = await startSite(
      t,
      {
        handleFrame: ({ data }) => {
          const { bytesRead, bytesWritten } = site.lastStream()
          sizes.push([bytesRead, bytesWritten])
          return { reply: String(data) }
        },
      },
      { compress },
    )
    const tab = await browser.open(site.origin)
    const extensions = await tab.run(async () => {
      const socket = new WebSocket(location.origin.replace('http', 'ws'))
      await new Promise(resolve => (socket.onopen = resolve))
      const say = async (text: string): Promise<void> => {
        socket.send(text)
        const { data } = await new Promise<{ data: unknown }>(resolve => (socket.onmessage = resolve))
        if (data !== text) throw new Error(`${String(data).slice(0, 200)} came back`)
      }
      const quote = 'a quote of 300 bytes, which is what the other says too '.repeat(6)
      for (const text of ['a', quote, `${quote}!`, 'big '.repeat(250_000), 'the end']) await say(text)
      return socket.extensions
    })
    // What went over the wire from one message to the next, of each side.
    const steps = sizes.slice(1).map(([read, written], i) => [read - sizes[i][0], written - sizes[i][1]])
    return { extensions, sizes: steps }
  }
  const compressed = await talk(true)
  t.match(compressed.extensions, /^permessage-deflate/)
  const [first, again, big, end] = compressed.sizes
  // The browser's, in which the mask is 4 bytes; ours are one step later.
  t.ok(first[0] < 110, `a long message is short: ${first[0]}`)
  t.ok(again[0] < 30, `one like it shorter still: ${again[0]}`)
  t.ok(big[0] < 12_000, `1 MB: ${big[0]}`)
  t.ok(again[1] < 110 && big[1] < 30 && end[1] < 12_000, `and so are ours: ${compressed.sizes.join(' | ')}`)
  const plain = await talk(false)
  t.equal(plain.extensions, '')
  t.ok(plain.sizes[2][0] > 1_000_000 && plain.sizes[3][1] > 1_000_000, plain.sizes.join(' | '))
})

/** Runs in the page: how a connection closes that is closed from here with these, or from there. */
const closing = async (path: string, args: [number?, string?] | null): Promise<unknown> => {
  const socket = new WebSocket(location.origin.replace('http', 'ws') + path)
  await new Promise(resolve => (socket.onopen = resolve))
  const closed = new Promise<unknown>(resolve => {
    socket.onclose = ({ code, reason, wasClean }) => resolve({ code, reason, wasClean })
  })
  if (args !== null) socket.close(...args)
  return closed
}

t.test('each side is told the code, the reason and the cleanness of a close', { skip }, async t => {
  const browser = browse(t)
  const seen = new Queue<DisconnectStatus>()
  const site = await startSite(t, {
    init: ({ path, query }) => ({ path, query }),
    handleConnect: (_, { path, query }) => {
      if (path === '/silent') return {}
      const code = query.get('code')
      const given = code === null ? {} : { code: Number(code), reason: query.get('reason') ?? '' }
      return path === '/lost' ? void site.lastStream().destroy() : { reply: { type: 'close', ...given } }
    },
    handleDisconnect: status => seen.put(status),
  })
  const tab = await browser.open(site.origin)
  for (const [code, reason] of [
    [1000, 'done'],
    [1001, 'going away'],
    [4000, 'naïve ✓'],
    [1011, ''],
  ] as const) {
    const path = `/close?code=${code}&reason=${encodeURIComponent(reason)}`
    t.same(await tab.run(closing, path, null), { code, reason, wasClean: true }, `the page is told ${code}`)
    t.match(await seen.next(), {
      reason: { type: 'local', normal: code === 1000 },
      sent: { code, reason },
      received: { code },
      wasClean: true,
    })
  }
  t.same(await tab.run(closing, '/close', null), { code: 1005, reason: '', wasClean: true })
  t.match(await seen.next(), { sent: { code: 1005 }, received: { code: 1005 }, wasClean: true })

  for (const args of [[1000, 'done'], [3000], [4999, 'naïve ✓'], []] as const) {
    const [code = 1005, reason = ''] = args as readonly [number?, string?]
    t.same(
      await tab.run(closing, '/silent', [...args]),
      { code, reason, wasClean: true },
      `a page says ${code}`,
    )
    t.match(await seen.next(), {
      reason: { type: 'remote', normal: code < 3000, text: reason },
      received: { code, reason },
      wasClean: true,
      error: null,
    })
  }

  t.same(await tab.run(closing, '/lost', null), { code: 1006, reason: '', wasClean: false }, 'a lost one')
  t.match(await seen.next(), { sent: null, received: null, wasClean: false })

  await tab.run(async () => {
    await new Promise(resolve => {
      new WebSocket(`${location.origin.replace('http', 'ws')}/silent`).onopen = resolve
    })
  })
  await tab.close()
  t.match(
    await seen.next(),
    { reason: { type: 'remote', code: 1001 }, wasClean: true },
    'a tab that is closed',
  )
})

t.test('pages of other origins are refused with 403, unless they are let in', { skip }, async t => {
  const browser = browse(t)
  const elsewhere = await startSite(t, ECHO)
  const nobody = await startSite(
    t,
    ECHO,
    {},
    { headers: { 'Content-Security-Policy': 'sandbox allow-scripts' } },
  )
  const other = `http://elsewhere.test:${elsewhere.port}`
  const connecting = async (url: string): Promise<string> => {
    const socket = new WebSocket(url)
    return new Promise(resolve => {
      socket.onopen = () => resolve('open')
      socket.onclose = ({ code }) => resolve(`closed ${code}`)
    })
  }
  for (const [origins, fromOther, fromNobody] of [
    [undefined, 403, 403],
    [[other], 101, 403],
    [[/\.test:\d+$/, /^null$/], 101, 101],
    ['*', 101, 101],
  ] as const) {
    const site = await startSite(t, ECHO, { origins })
    // A page is not told with which status it was refused.
    const statuses: number[] = []
    const relay = createServer(near => {
      const far = connectTcp(site.port, '127.0.0.1')
      far.once('data', chunk => statuses.push(Number(chunk.toString('latin1').split(' ')[1])))
      near.on('error', () => far.destroy()).pipe(far)
      far.on('error', () => near.destroy()).pipe(near)
    })
    const url = `ws://127.0.0.1:${await serve(t, relay)}`
    for (const [page, status] of [
      [url.replace('ws', 'http'), 101],
      [other, fromOther],
      [nobody.origin, fromNobody],
    ] as const) {
      const tab = await browser.open(page)
      statuses.length = 0
      const heard = await tab.run(connecting, url)
      t.equal(heard, status === 101 ? 'open' : 'closed 1006', `${page}, ${String(origins)}`)
      t.same(statuses, [status])
      await tab.close()
    }
  }
})
