import t, { type Test } from 'tap'
import { poolUse, sweep } from '../../src/extensions/engine-pool.js'
import { type Compress, PreparedMessage } from '../../src/index.js'
import { failure } from '../support/servers.js'
import {
  type Agreed,
  agreedBy,
  bytesIn,
  EXCHANGE,
  framesIn,
  framesOf,
  heardOf,
  insisting,
  json,
  noise,
  PROSE,
  say,
  send,
  SIMILAR,
  type Step,
} from './compressing.js'
import { ALL, exchange, type Open, openAs, PLAIN, ROLES, type WsDeflate, wsSay } from './compressing-ws.js'

const SPOKEN: readonly Step[] = [...EXCHANGE, send(json(8), true), send(json(9)), send(json(9), true)]

for (const role of ROLES) {
  t.test(
    `our ${role} understands what ws compresses, and compresses itself only where it is told to`,
    async t => {
      const open = await openAs(role, t)
      for (const compress of [undefined, 'receive'] as const) {
        const ends = await open(compress, ALL)
        // A server wishes for a small window of its clients.
        const agreed = role === 'client' ? PLAIN : { ...PLAIN, clientMaxWindowBits: 12 }
        t.same(agreedBy(ends.ours.extensions), agreed)
        const { sizes, sent } = await exchange(t, ends, SPOKEN, framesOf(SPOKEN, false), String(compress))
        t.ok(sent < bytesIn(SPOKEN) / 5)
        t.ok(sizes.reduce((sum, size) => sum + size) > bytesIn(SPOKEN) * 0.99)
        t.ok(sizes.at(-1)! < sizes.at(-3)! / 2, 'and then refers to what it has compressed before')
      }
    },
  )

  t.test(`our ${role} compresses nothing where one side does not want to`, async t => {
    const open = await openAs(role, t)
    for (const [compress, deflate] of [
      [false, true],
      [false, ALL],
      [ALL, false],
    ] as const) {
      const ends = await open(compress, deflate)
      t.same(ends.ours.extensions, [])
      await exchange(
        t,
        ends,
        EXCHANGE,
        framesOf(insisting(EXCHANGE, false)),
        JSON.stringify([compress, deflate]),
      )
    }
  })

  t.test(`our ${role} compresses messages of 128 bytes when it is told no more`, async t => {
    const open = await openAs(role, t)
    const ends = await open(true, true)
    const said = ['x'.repeat(127), 'x'.repeat(128), new Uint8Array(127), new Uint8Array(128)]
    const frames = framesOf(said.map(data => send(data, data.length >= 128)))
    await exchange(
      t,
      ends,
      said.map(data => send(data)),
      frames,
      'the default threshold',
    )
  })
}

/** Opens a connection and tells what was agreed on, which a few messages confirm. */
const agree = async (t: Test, open: Open, ours: Compress, theirs: WsDeflate): Promise<Agreed | null> => {
  const ends = await open(ours, theirs)
  const agreed = agreedBy(ends.ours.extensions)
  const steps = agreed === null ? insisting(SIMILAR, false) : SIMILAR
  await exchange(t, ends, steps, framesOf(steps), JSON.stringify([ours, theirs]))
  return agreed
}

const windows = (
  server: number,
  client: number,
): { serverMaxWindowBits: number; clientMaxWindowBits: number } => ({
  serverMaxWindowBits: server,
  clientMaxWindowBits: client,
})

const ALONE = { serverNoContextTakeover: true, clientNoContextTakeover: true }

t.test('our client and ws agree on what each wishes, and on an alternative', async t => {
  const open = await openAs('client', t)
  const agreed = await agree(t, open, { ...ALL, ...windows(12, 13) }, { ...ALL, ...windows(10, 11) })
  t.same(agreed, { ...PLAIN, ...windows(10, 11) }, 'the smaller windows')
  const alone = await agree(
    t,
    open,
    { ...ALL, clientNoContextTakeover: true },
    { ...ALL, serverNoContextTakeover: true },
  )
  t.same(alone, { ...PLAIN, ...ALONE })
  // ws refuses whom it cannot please.
  const large: WsDeflate = { ...ALL, serverMaxWindowBits: 12 }
  const refusal = { code: 'WS_HANDSHAKE_STATUS', status: 400 }
  t.match(await failure(open({ serverMaxWindowBits: 9 }, large)), refusal)
  const alternatives = [
    { serverMaxWindowBits: 11 },
    { serverNoContextTakeover: true, clientMaxWindowBits: 14 },
  ]
  const third = await agree(t, open, { ...ALL, serverMaxWindowBits: 9, alternatives }, large)
  t.same(third, { ...PLAIN, ...windows(12, 14), serverNoContextTakeover: true }, 'the third offer')
  const told: WsDeflate = { ...ALL, clientMaxWindowBits: 12 }
  t.match(await failure(open({ clientMaxWindowBits: false }, told)), refusal)
  t.same(await agree(t, open, { ...ALL, clientMaxWindowBits: false }, ALL), PLAIN)
})

t.test('our server and ws agree on what each wishes, or on nothing', async t => {
  const open = await openAs('server', t)
  const smaller = await agree(t, open, { ...ALL, ...windows(12, 13) }, { ...ALL, ...windows(10, 11) })
  t.same(smaller, { ...PLAIN, ...windows(10, 11) }, 'the smaller windows')
  const own = await agree(t, open, { ...ALL, ...windows(9, 10) }, { ...ALL, ...windows(14, 11) })
  t.same(own, { ...PLAIN, ...windows(9, 10) }, 'the smaller windows')
  const alone = await agree(
    t,
    open,
    { ...ALL, clientNoContextTakeover: true },
    { ...ALL, serverNoContextTakeover: true },
  )
  t.same(alone, { ...windows(15, 12), ...ALONE })
  // The types of ws do not know that it takes false.
  const untold: WsDeflate = { ...ALL, clientMaxWindowBits: false as unknown as number }
  const none = await agree(t, open, { ...ALL, clientMaxWindowBits: 10 }, untold)
  t.equal(none, null, 'a limit that the client cannot be told')
  t.same(await agree(t, open, ALL, untold), PLAIN)
})

/** Nothing is said for a while: engines that are not used are closed. */
const silence = (t: Test): void => {
  sweep()
  sweep()
  t.equal(poolUse().engines, 0)
}

for (const role of ROLES) {
  t.test(`our ${role} goes on with its context after a silence`, async t => {
    const open = await openAs(role, t)
    for (const bits of [8, 9, 12, 15]) {
      const large = noise(20 * 1024, bits)
      const end = large.slice(-200)
      const steps = [json(1), json(1), large, end, json(2), end.slice(100), json(2)].map(data => send(data))
      const ends = await open({ ...ALL, ...windows(bits, bits) }, ALL)
      for (const [i, step] of steps.entries()) {
        wsSay(ends.ws, [step])
        await say(ends.ours, [step])
        await Promise.all([ends.heard.until(i + 1), ends.wsHeard.until(i + 1)])
        silence(t)
      }
      t.same(ends.heard.lines, heardOf(steps))
      t.same(ends.wsHeard.lines, heardOf(steps))
      t.match(await ends.close(), { wasClean: true })
      const sizes = framesIn(ends.received).map(({ payload }) => payload.length)
      const likely = [sizes[1], sizes[3], sizes[5], sizes[6]]
      t.ok(Math.max(...likely) < 25, `${bits} bits: ${sizes.join()}`)
    }
  })
}

const CROWD = 240

for (const role of ROLES) {
  t.test(`our ${role} has more connections than it keeps engines for`, async t => {
    const open = await openAs(role, t)
    const crowd = await Promise.all(
      Array.from({ length: CROWD }, async (_, i) => {
        const limits = i % 4 > 0 ? {} : windows(9 + (i % 7), 15 - (i % 7))
        return open({ ...ALL, ...limits }, ALL)
      }),
    )
    const expected: string[] = []
    for (let round = 0; round < 4; round++) {
      const steps: readonly Step[] = [...SIMILAR, send(PROSE)]
      const prepared = new PreparedMessage(PROSE.slice(round), { compress: true })
      expected.push(...heardOf(steps), ...heardOf([send(PROSE.slice(round))]), ...heardOf(SIMILAR))
      await Promise.all(
        crowd.map(async ({ ours, heard, ws, wsHeard }) => {
          wsSay(ws, [...steps, send(PROSE.slice(round)), ...SIMILAR])
          await say(ours, steps)
          ours.write(prepared)
          await say(ours, SIMILAR)
          await Promise.all([heard.until(expected.length), wsHeard.until(expected.length)])
        }),
      )
      const { engines } = poolUse()
      t.ok(engines > 20 && engines < 2 * CROWD, `${engines} engines are kept`)
      if (round === 1) silence(t)
    }
    for (const ends of crowd) {
      const { ours, heard, wsHeard, received } = ends
      t.same(heard.lines, expected)
      t.same(wsHeard.lines, expected)
      t.match(await ends.close(), { wasClean: true })
      t.ok(framesIn(received).every(({ rsv }) => rsv === 4))
      t.equal(ours.state, 'closed')
    }
    t.equal(poolUse().engines, 0, 'and gives all of them back')
  })
}
