import fc from 'fast-check'
import t from 'tap'
import { parseEnvelope } from '../../src/registry/redis/envelope.js'
import { InOrder } from '../../src/registry/redis/in-order.js'
import { decodeMessage, encodeMessage, type Json } from '../../src/registry/redis/message-codec.js'
import { SeenIds } from '../../src/registry/redis/seen-ids.js'
import { turn } from '../support/servers.js'

const leaf = fc.oneof(
  fc.string({ unit: 'binary' }),
  fc.integer(),
  fc.double({ noNaN: true, noDefaultInfinity: true }).filter(one => !Object.is(one, -0)),
  fc.boolean(),
  fc.constantFrom(null, undefined),
  fc.uint8Array(),
)
const { message } = fc.letrec(tie => ({
  message: fc.oneof({ maxDepth: 5 }, leaf, tie('list'), tie('object')),
  list: fc.array(tie('message'), { maxLength: 5 }),
  object: fc.dictionary(fc.oneof(fc.string(), fc.constantFrom('$', 'data', '__proto__')), tie('message'), {
    maxKeys: 5,
    noNullPrototype: true,
  }),
}))

t.test('a message arrives as it was sent', t => {
  fc.assert(
    fc.property(message, sent => {
      const wire = JSON.stringify(encodeMessage(sent))
      t.strictSame(decodeMessage(JSON.parse(wire) as Json), sent)
    }),
  )
  const deep: unknown[] = []
  for (let i = 0, list = deep; i < 150; i++) list.push((list = []))
  t.strictSame(decodeMessage(encodeMessage(deep)), deep)
  t.end()
})

t.test('a part of a larger buffer is sent without the rest', t => {
  const bytes = Buffer.from('abcdef').subarray(1, 3)
  t.strictSame(decodeMessage(encodeMessage(bytes)), new Uint8Array([98, 99]))
  t.end()
})

t.test('garbage gives null, or what a node could have written', t => {
  const good = { type: 'publish', to: 'g', message: 1, from: 'x', id: 1 }
  fc.assert(
    fc.property(fc.json(), fc.constantFrom(...Object.keys(good)), (json, key) => {
      parseEnvelope(json)
      const envelope = parseEnvelope(JSON.stringify({ ...good, [key]: JSON.parse(json) as unknown }))
      if (envelope !== null && envelope.type !== 'reply') {
        t.type(envelope.to, 'string')
        t.type(envelope.from, 'string')
        decodeMessage(envelope.message)
      }
    }),
  )
  t.end()
})

t.test('each number of a sender counts once, in any order, and memory has a limit', t => {
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.constantFrom('a', 'b'), fc.integer({ min: 1, max: 100 }))), all => {
      const seen = new SeenIds()
      const naive = new Set<string>()
      for (const [sender, number] of all) {
        t.equal(seen.add(sender, number), !naive.has(`${sender}${number}`))
        naive.add(`${sender}${number}`)
      }
    }),
  )
  const seen = new SeenIds()
  for (let i = 1; i <= 20_000; i++) seen.add('a', i)
  for (const old of [1, 10_000, 19_000, 20_000]) t.equal(seen.add('a', old), false)
  t.equal(seen.add('a', 20_001), true)
  t.end()
})

t.test('work on one thing is done in order, whether or not it fails', async t => {
  const order = new InOrder()
  const log: string[] = []
  const work = (thing: string, name: string, fails = false): Promise<void> =>
    order.run(thing, async () => {
      log.push(`${name} begins`)
      await turn()
      log.push(`${name} ends`)
      if (fails) throw new Error(name)
    })
  const results = await Promise.allSettled([work('x', '1', true), work('x', '2'), work('y', '3')])
  t.same(
    results.map(({ status }) => status),
    ['rejected', 'fulfilled', 'fulfilled'],
  )
  t.ok(log.indexOf('1 ends') < log.indexOf('2 begins'))
  t.ok(log.indexOf('3 begins') < log.indexOf('1 ends'))
  t.equal(order.busy, false)
})
