import type { Test } from 'tap'
import {
  CUT_TEXT,
  cut,
  describe,
  type PeerClient,
  SAMPLES,
  type Talk,
  type Tls,
  utf8,
} from './conversation.js'
import type { StartOurServer } from './our-server.js'

/** An extension without its parameters. */
const nameOf = (extension: string): string => extension.split(';')[0]

/** A client of somebody else, which offers compression, against our `listen()` or `attach()`. */
export const testAsServer = async (
  t: Test,
  start: StartOurServer,
  client: PeerClient,
  tls: Tls | null,
): Promise<void> => {
  const server = await start(t, tls)
  const talk = (path: string, rest: Omit<Talk, 'url' | 'ca'>): ReturnType<PeerClient['talk']> =>
    client.talk({ url: server.url + path, ca: tls === null ? null : tls.ca, ...rest })

  await t.test('sends every message back', async t => {
    const { messages, close, extensions } = await talk('/echo', {
      actions: [
        ...SAMPLES.map(data => ({ do: 'send', data }) as const),
        { do: 'receive', count: SAMPLES.length },
        { do: 'close', code: 1000 },
        { do: 'await-close' },
      ],
    })
    t.same(messages.map(describe), SAMPLES.map(describe))
    t.equal(nameOf(extensions), server.extension)
    t.equal(close?.code, 1000)
    t.match(await server.nextOutcome(), { wasClean: true, error: null })
  })

  await t.test('takes a message in fragments, and sends one', async t => {
    const bytes = utf8(CUT_TEXT)
    const { messages } = await talk('/fragments', {
      actions: [
        client.can.fragments
          ? { do: 'send-fragments', parts: cut(bytes), text: true }
          : { do: 'send', data: CUT_TEXT },
        client.can.fragments
          ? { do: 'send-fragments', parts: cut(bytes), text: false }
          : { do: 'send', data: bytes },
        { do: 'receive', count: 2 },
        { do: 'close', code: 1000 },
        { do: 'await-close' },
      ],
    })
    t.same(messages.map(describe), [describe(CUT_TEXT), describe(bytes)])
    t.match(await server.nextOutcome(), { wasClean: true, error: null })
  })

  await t.test('pings, and answers pings', async t => {
    const { messages } = await talk('/ping', {
      actions: [
        { do: 'receive', count: 1 },
        { do: 'ping', data: 'hello' },
        { do: 'ping', data: 'x'.repeat(125) },
        { do: 'close', code: 1000 },
        { do: 'await-close' },
      ],
    })
    t.same(messages, ['the pong is there'])
    t.match(await server.nextOutcome(), { wasClean: true, error: null })
  })

  await t.test('sees with which code and reason the client closes', async t => {
    for (const [action, code, reason] of [
      [{ do: 'close', code: 1000, reason: 'done' }, 1000, 'done'],
      [{ do: 'close', code: 4000, reason: 'naïve ✓' }, 4000, 'naïve ✓'],
      [{ do: 'close' }, 1005, ''],
    ] as const) {
      const { close } = await talk('/echo', { actions: [action, { do: 'await-close' }] })
      t.match(await server.nextOutcome(), {
        received: { code, reason },
        sent: { code, reason },
        wasClean: true,
        initiator: 'remote',
        error: null,
      })
      t.equal(close?.code, code, 'and sends it back')
    }
  })

  await t.test('closes with the code and the reason it is given', async t => {
    for (const [query, code, reason] of [
      ['?code=1000&reason=done', 1000, 'done'],
      ['?code=4000&reason=na%C3%AFve%20%E2%9C%93', 4000, 'naïve ✓'],
      ['', 1005, ''],
    ] as const) {
      const { close } = await talk(`/close${query}`, { actions: [{ do: 'await-close' }] })
      t.same(close, { code, reason })
      t.match(await server.nextOutcome(), { sent: { code, reason }, wasClean: true, initiator: 'local' })
    }
  })

  await t.test('agrees on a subprotocol, sees headers, and answers the offer of compression', async t => {
    const { subprotocol, extensions, messages } = await talk('/head', {
      subprotocols: ['first', 'second'],
      headers: { 'X-Custom': 'a, b' },
      actions: [{ do: 'receive', count: 1 }, { do: 'close', code: 1000 }, { do: 'await-close' }],
    })
    t.equal(subprotocol, 'second')
    t.equal(nameOf(extensions), server.extension)
    t.same(JSON.parse(messages[0] as string), {
      subprotocol: 'second',
      offered: 'permessage-deflate',
      custom: 'a, b',
    })
    await server.nextOutcome()
  })

  const skip = client.can.terminate ? false : 'this client cannot drop a connection'
  await t.test('sees WS_CONNECTION_LOST when the client drops the connection', { skip }, async t => {
    await talk('/echo', { actions: [{ do: 'terminate' }] })
    t.match(await server.nextOutcome(), {
      received: null,
      sent: null,
      wasClean: false,
      error: { code: 'WS_CONNECTION_LOST', phase: 'open' },
    })
  })

  await t.test('drops the connection when it is told to', async t => {
    const { close } = await talk('/terminate', {
      actions: [{ do: 'send', data: 'now' }, { do: 'await-close' }],
    })
    t.equal(close?.code, server.dropped.code)
    t.match(await server.nextOutcome(), server.dropped.outcome)
  })
}
