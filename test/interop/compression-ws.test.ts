import { deflateRawSync, inflateRawSync } from 'node:zlib'
import t from 'tap'
import { sweep } from '../../src/extensions/engine-pool.js'
import {
  again,
  agreedBy,
  bytesIn,
  EXCHANGE,
  framesOf,
  json,
  nameOf,
  noise,
  PROSE,
  send,
  SHORT,
  SIMILAR,
  TAKEOVERS,
} from './compressing.js'
import { TLS } from './as-client.js'
import { ALL, exchange, openAs, PLAIN, ROLES } from './compressing-ws.js'

const BITS = [9, 10, 11, 12, 13, 14, 15]

/** All pairs of windows, of which some are worth a long exchange: each window of each side is in two of them. */
const PAIRS = BITS.flatMap(server =>
  BITS.map(client => ({
    server,
    client,
    steps: [0, 3].includes((server - client + 7) % 7) ? EXCHANGE : SHORT,
  })),
)

for (const role of ROLES) {
  for (const takeover of TAKEOVERS) {
    const contexts = nameOf({ ...PLAIN, ...takeover })
    t.test(`our ${role} and ws understand each other with windows of every size: ${contexts}`, async t => {
      const open = await openAs(role, t)
      const alone = takeover[`${role}NoContextTakeover`]
      const meet = async ({ server, client, steps }: (typeof PAIRS)[number]): Promise<void> => {
        const agreed = { ...takeover, serverMaxWindowBits: server, clientMaxWindowBits: client }
        const name = nameOf(agreed)
        const weAsk = (server + client) % 2 === 0
        const ends = weAsk
          ? await open({ ...ALL, ...agreed }, ALL)
          : await open({ ...ALL, clientMaxWindowBits: 15 }, { ...ALL, ...agreed })
        t.same(agreedBy(ends.ours.extensions), agreed, `asked by ${weAsk ? 'us' : 'ws'}: ${name}`)
        const { sizes, sent } = await exchange(t, ends, steps, framesOf(steps), name)
        const [first, ...later] = sizes.slice(0, SIMILAR.length)
        const less = later.filter(size => size < first / 2)
        t.equal(less.length, alone ? 0 : later.length, `we refer to earlier messages where we may: ${name}`)
        if (steps === SHORT) return
        const ours = sizes.reduce((sum, size) => sum + size)
        t.ok(Math.max(ours, sent) < bytesIn(EXCHANGE) / 5, `both sides compress: ${name}`)
      }
      for (const server of BITS) await Promise.all(PAIRS.filter(pair => pair.server === server).map(meet))
    })
  }
}

/** With so small an output, zlib finds nearly all of the past in its window or not at all. */
const STRICT = { chunkSize: 64 }
const inflates = (bytes: Uint8Array, windowBits: number): boolean => {
  try {
    inflateRawSync(bytes, { ...STRICT, windowBits })
    return true
  } catch {
    return false
  }
}

/** How far zlib looks back in a window of so many bits, in round numbers. */
const reachOf = (bits: number): number => (bits < 10 ? 240 : 1 << (bits - 1))

for (const role of ROLES) {
  t.test(`our ${role} looks back as far as the agreed window, and no further`, async t => {
    const open = await openAs(role, t)
    // Engines that earlier tests have left for others would take the place of those that keep a whole window.
    sweep()
    sweep()
    const look = async (bits: number, alone: boolean): Promise<void> => {
      const name = `${bits} bits${alone ? ' without context' : ''}`
      const near = reachOf(bits)
      const far = 1 << bits
      const twice = [again(noise(near), 2), again(noise(far, 2), 2)]
      const apart = [noise(near, 3), noise(near, 3), noise(far, 4), noise(far, 4)]
      const steps = [json(1), PROSE, ...twice, ...apart, json(1)].map(data => send(data))
      const limits = { serverMaxWindowBits: bits, clientMaxWindowBits: bits }
      const contexts = { serverNoContextTakeover: alone, clientNoContextTakeover: alone }
      const ends = await open({ ...ALL, ...limits, ...contexts }, { ...ALL, zlibInflateOptions: STRICT })
      t.same(agreedBy(ends.ours.extensions), { ...limits, ...contexts }, name)
      const { sizes } = await exchange(t, ends, steps, framesOf(steps), name)
      const [, , twiceNear, twiceFar, , nearAgain, , farAgain] = sizes
      t.ok(twiceNear < near * 1.5, `${near} bytes back: ${name}`)
      t.ok(twiceFar > far * 1.9, `not ${far} bytes back: ${name}`)
      t.equal(nearAgain < near / 2, !alone, `${near} bytes back into the message before: ${name}`)
      t.ok(farAgain > far * 0.95, `not ${far} bytes back into the message before: ${name}`)
    }
    for (const bits of [8, ...BITS]) {
      const larger = deflateRawSync(again(noise(1.25 * (1 << bits)), 2), {
        windowBits: Math.min(bits + 2, 15),
      })
      t.equal(inflates(larger, bits), bits === 15, 'a peer so strict would notice')
      await Promise.all([look(bits, false), look(bits, true)])
    }
  })
}

for (const role of ROLES) {
  t.test(`our ${role} and ws understand each other over TLS`, async t => {
    const open = await openAs(role, t, TLS)
    await exchange(t, await open(ALL, ALL), EXCHANGE, framesOf(EXCHANGE), 'over TLS')
  })
}
