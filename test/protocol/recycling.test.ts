// Strategy: output memory and the slabs of unfinished messages are shared by all connections, so what matters is what one
// connection does to another's bytes. The direct cases set up one such meeting each. The stress meets at random: pairs
// whose messages interleave, arrive cut anywhere, and are dropped half-way, while segments are recycled late and out of
// order. Whatever was handed out, a payload or a segment, is kept beside a copy and must still equal it when it is let go.
// It is driven by a seed alone; the seed and the step stand in the message of the error.
import { test, type Test } from 'tap'
import { Connection } from '../../src/protocol/connection.js'
import type { ProtocolEvent } from '../../src/protocol/event.js'
import { renewSlab, slab } from '../../src/protocol/output-memory.js'
import { bytesOf, concat, parseFrames, ROLES } from '../support/frames.js'
import { open } from '../support/pair.js'

const LIMITS = { maxPendingPongs: Infinity }

/** Segments, and what they held when they were taken. */
interface Taken {
  readonly segments: Uint8Array[]
  /** The same ones; recycling empties `segments`. */
  readonly views: readonly Uint8Array[]
  readonly copies: readonly Uint8Array[]
}

/** Not `slice`: that of a `Buffer` copies nothing. */
function copyOf(bytes: Uint8Array): Uint8Array {
  return new Uint8Array(bytes)
}

function take(connection: Connection): Taken {
  const segments = connection.takeOutput()
  return { segments, views: [...segments], copies: segments.map(copyOf) }
}

function same(one: Uint8Array, other: Uint8Array): boolean {
  return Buffer.compare(one, other) === 0
}

function intact({ views, copies }: Taken): boolean {
  return views.every((view, i) => same(view, copies[i]))
}

/** Whether the frames have exactly these payloads. */
function carries({ views }: Taken, ...payloads: readonly (string | Uint8Array)[]): boolean {
  const frames = parseFrames(views)
  return (
    frames.length === payloads.length &&
    payloads.every((one, i) => same(frames[i].payload, typeof one === 'string' ? bytesOf(one) : one))
  )
}

function filled(length: number, first = 0): Uint8Array {
  return Uint8Array.from({ length }, (_, i) => first + i * 7)
}

/** Writes over all memory that is free to be written to, small and large, by other connections. */
function churn(): void {
  const client = open('client')
  const server = open('server')
  for (let i = 0; i < 60; i++) {
    client.sendText('#'.repeat(3000))
    server.sendText('%'.repeat(3000))
    if (i % 20 === 0) client.sendBinary(new Uint8Array(70_000).fill(i))
    client.recycleOutput(client.takeOutput())
    server.recycleOutput(server.takeOutput())
  }
}

/** The next frame starts at the beginning of a slab that nobody else has a stretch of. */
function atSlabStart(t: Test): void {
  renewSlab()
  t.match(slab, { used: 0, live: 0 })
}

test('does nothing when output is recycled a second time', t => {
  atSlabStart(t)
  const [first, kept, one, other] = [open('client'), open('server'), open('client'), open('server')]
  first.sendText('first')
  kept.sendText('kept')
  const [again, held] = [take(first), take(kept)]
  first.recycleOutput(again.segments)
  t.same(again.segments, [], 'the list is emptied')
  first.recycleOutput(again.segments)
  for (let i = 0; i < 3; i++) {
    one.sendText(`one ${i}`)
    other.sendText(`other ${i}`)
  }
  const [a, b] = [take(one), take(other)]
  t.ok(carries(held, 'kept'), 'what a neighbour still holds is intact')
  t.ok(carries(a, 'one 0', 'one 1', 'one 2'))
  t.ok(carries(b, 'other 0', 'other 1', 'other 2'))
  churn()
  t.ok(intact(held) && intact(a) && intact(b))
  t.end()
})

test('hands no memory out twice when all output was recycled twice', t => {
  atSlabStart(t)
  const [first, one, other] = [open('client'), open('client'), open('client')]
  const before = slab
  first.sendText('first')
  first.sendBinary(filled(70_000))
  const { segments } = take(first)
  renewSlab()
  first.recycleOutput(segments)
  first.recycleOutput(segments)
  renewSlab()
  t.equal(slab, before, 'it was free')
  one.sendText('one')
  one.sendBinary(filled(70_000, 1))
  renewSlab()
  t.not(slab, before, 'it was free once')
  other.sendText('other')
  other.sendBinary(filled(70_000, 2))
  t.ok(carries(take(one), 'one', filled(70_000, 1)))
  t.ok(carries(take(other), 'other', filled(70_000, 2)))
  t.end()
})

test('leaves segments that were never recycled as they are', t => {
  for (const role of ROLES) {
    atSlabStart(t)
    const [kept, recycled, untaken] = [open(role), open(role), open(role)]
    kept.sendText('kept')
    recycled.sendText('recycled')
    kept.sendBinary(filled(3000))
    untaken.sendText('untaken')
    const held = take(kept)
    const output = take(recycled)
    t.ok(carries(held, 'kept', filled(3000)))
    recycled.recycleOutput(output.segments)
    churn()
    t.ok(intact(held), `${role}: taken, not recycled`)
    t.ok(carries(take(untaken), 'untaken'), `${role}: not even taken`)
  }
  t.end()
})

test('leaves a stretch as it is while all of its neighbours are recycled', t => {
  for (const role of ROLES) {
    atSlabStart(t)
    const connections = Array.from({ length: 5 }, () => open(role))
    for (const [i, connection] of connections.entries()) connection.sendText(`message ${i}`)
    const outputs = connections.map(take)
    for (const i of [1, 0, 4, 3]) {
      connections[i].recycleOutput(outputs[i].segments)
      connections[i].sendText(`again ${i}`)
      t.ok(carries(take(connections[i]), `again ${i}`))
      t.ok(carries(outputs[2], 'message 2'), `${role}: after ${i} was recycled`)
    }
  }
  t.end()
})

test('cuts the stretch of a connection where another wrote', t => {
  for (const role of ROLES) {
    const [one, other] = [open(role), open(role)]
    for (let i = 0; i < 300; i++) {
      one.sendText(`one ${i}`)
      if (i % 3 === 0) other.sendBinary(filled(i))
    }
    const [a, b] = [take(one), take(other)]
    t.ok(carries(a, ...Array.from({ length: 300 }, (_, i) => `one ${i}`)))
    t.ok(carries(b, ...Array.from({ length: 100 }, (_, i) => filled(3 * i))))
  }
  t.end()
})

test('takes as one segment what one connection wrote without another in between', t => {
  for (const role of ROLES) {
    atSlabStart(t)
    const [one, other] = [open(role), open(role)]
    for (let i = 0; i < 50; i++) {
      one.sendText(`${i}`)
      one.sendPing(filled(i))
    }
    other.sendText('between')
    one.sendText('after')
    t.equal(take(one).views.length, 2)
    t.equal(take(other).views.length, 1)
    t.same(take(one).views, [], 'and only once')
  }
  t.end()
})

test('tells two slabs apart that are filled to the same place', t => {
  atSlabStart(t)
  const [one, other] = [open('server'), open('server')]
  one.sendText('first')
  renewSlab()
  other.sendText('other')
  one.sendText('later')
  t.ok(carries(take(one), 'first', 'later'))
  t.ok(carries(take(other), 'other'))
  t.end()
})

test('uses the memory of a large frame again only once it was recycled', t => {
  const client = open('client')
  const large = (first: number): Taken => {
    client.sendBinary(filled(1_000_000, first))
    return take(client)
  }
  const held = large(1)
  const next = large(2)
  t.not(next.views[0].buffer, held.views[0].buffer)
  t.ok(intact(held), 'intact beside another large frame')
  client.recycleOutput(held.segments)
  const third = large(3)
  t.equal(third.views[0].buffer, held.views[0].buffer, 'the recycled memory')
  t.ok(carries(third, filled(1_000_000, 3)))
  t.ok(intact(next))
  client.recycleOutput(third.segments)
  const shorter = '/'.repeat(900_000)
  client.sendText(shorter)
  const last = take(client)
  t.equal(last.views[0].buffer, held.views[0].buffer, 'for a shorter frame too')
  t.ok(carries(last, shorter), 'nothing of what was there before is left')
  t.end()
})

test('never writes to the payload of a caller', t => {
  for (const length of [4097, 70_000, 300_000]) {
    const server = open('server')
    const whole = filled(length + 20)
    const copy = whole.slice()
    const payload = whole.subarray(10, length + 10)
    server.sendText('before')
    server.sendBinary(payload)
    server.sendText('after')
    const output = take(server)
    t.ok(
      output.views.some(({ buffer }) => buffer === whole.buffer),
      `${length} bytes go by reference`,
    )
    t.ok(carries(output, 'before', payload, 'after'))
    server.recycleOutput(output.segments)
    churn()
    const client = open('client')
    client.sendBinary(filled(length, 5))
    client.sendBinary(payload)
    t.ok(carries(take(client), filled(length, 5), payload))
    t.ok(same(whole, copy), `${length} bytes are unchanged`)
  }
  t.end()
})

test("a payload that lies in another connection's slab outlives the segment it was sent on in", t => {
  // Two connections in one process, with nothing copied between them.
  const client = open('client')
  const server = open('server')
  const payload = filled(9000)
  client.sendBinary(payload)
  const [segment] = client.takeOutput()
  server.receive(segment)
  const event = server.nextEvent()
  const data = event?.type === 'binary' ? event.data : new Uint8Array(0)
  server.sendBinary(data)
  server.recycleOutput(server.takeOutput())
  churn()
  open('client').sendBinary(filled(9000, 7))
  open('server').sendText('x'.repeat(4000))
  t.ok(same(data, payload), 'only the client may give that memory back')
  t.end()
})

test('sends a long text that is ASCII only at its beginning', t => {
  // Up to 65,521 characters fit into a slab, should they be ASCII; 4096 are written without trying.
  const lengths = [4097, 5000, 21_900, 65_500, 65_522, 65_536, 70_000, 200_000]
  for (const role of ROLES) {
    for (const length of lengths) {
      for (const place of [0, length >> 1, length - 1]) {
        const [one, neighbour] = [open(role), open(role)]
        const text = `${'a'.repeat(place)}€${'b'.repeat(length - 1 - place)}`
        neighbour.sendText('neighbour')
        one.sendBinary(filled(66_000))
        const held = take(one)
        one.sendText('before')
        one.sendText(text)
        neighbour.sendText('between')
        one.sendText('after')
        const [a, b] = [take(one), take(neighbour)]
        const ok =
          carries(a, 'before', text, 'after') &&
          carries(b, 'neighbour', 'between') &&
          intact(held) &&
          a.views.every(segment => segment.length > 0)
        if (!ok) t.fail(`${role}: ${length} characters, the non-ASCII one at ${place}`)
        for (const output of [a, b, held]) one.recycleOutput(output.segments)
      }
    }
  }
  t.pass('all lengths and places')
  t.end()
})

type Kind = 'text' | 'binary'
type Content = string | Uint8Array

/** One end of a pair in the stress. */
interface End {
  readonly connection: Connection
  /** Bytes on their way to the other end. */
  readonly wire: Uint8Array[]
  /** What this end has yet to get, in order. */
  readonly due: { messages: Content[]; pings: Uint8Array[]; pongs: Uint8Array[] }
  /** Parts of the message that this end is sending in fragments. */
  fragments: { readonly kind: Kind; readonly parts: Content[] } | null
}

function makeEnd(connection: Connection): End {
  return { connection, wire: [], due: { messages: [], pings: [], pongs: [] }, fragments: null }
}

interface Flight {
  readonly from: End
  readonly taken: Taken
}

const PAIRS = 10
const SIZES = [0, 1, 5, 20, 45, 65, 126, 300, 2000, 4097, 9000, 20_000, 66_000, 150_000]
const UNITS = ['abcdefghij klm', 'a', 'x', 'äöüß€漢字', '😀x', 'plain, then é']
/** So many delivered payloads and unrecycled segments are remembered. */
const KEPT = 300

function equal(one: Content, other: Content): boolean {
  return typeof one === 'string' || typeof other === 'string' ? one === other : same(one, other)
}

/** Runs `steps` random steps; throws when anything is not what it should be. @returns how many messages arrived. */
function stress(seed: number, steps: number, recycling: boolean): number {
  // Where a slab happens to end must not decide what comes next, so nothing below draws a number per segment.
  renewSlab()
  let state = seed
  const random = (below: number): number => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return Math.floor((state / 2 ** 32) * below)
  }
  const chance = (one: number): boolean => random(one) === 0

  let step = 0
  const check = (ok: boolean, problem: string): void => {
    if (!ok) throw new Error(`seed ${seed}, step ${step} of ${steps}: ${problem}`)
  }

  const maskKey = (): number => random(2 ** 32)
  const makePair = (): readonly [End, End] => [
    makeEnd(new Connection('client', { maskKey, limits: LIMITS })),
    makeEnd(new Connection('server', { limits: LIMITS })),
  ]
  const pairs = Array.from({ length: PAIRS }, makePair)
  let flights: Flight[] = []
  const unrecycled: Taken[] = []
  const delivered: { readonly data: Uint8Array; readonly copy: Uint8Array }[] = []
  let messages = 0

  const text = (): string => {
    const unit = UNITS[random(UNITS.length)]
    const plain = unit.repeat(Math.ceil(SIZES[random(SIZES.length)] / unit.length))
    return chance(9) ? `${plain}é` : plain
  }
  const binary = (longest = Infinity): Uint8Array => {
    const bytes = new Uint8Array(Math.min(longest, random(SIZES[random(SIZES.length)] + 1))).fill(random(256))
    for (let i = 0; i < bytes.length; i += 1 + random(97)) bytes[i] = random(256)
    return bytes
  }

  const sendMessage = ({ connection, fragments }: End, peer: End): void => {
    if (fragments !== null) return
    const data = chance(3) ? binary() : text()
    if (typeof data === 'string') connection.sendText(data)
    else connection.sendBinary(data)
    peer.due.messages.push(data)
  }
  const sendFragment = (end: End, peer: End, fin: boolean): void => {
    const begun = end.fragments
    const { kind, parts } = begun ?? { kind: chance(2) ? 'text' : 'binary', parts: [] }
    const part = kind === 'text' ? text() : binary()
    end.connection.sendFragment(begun === null ? kind : 'continuation', part, fin)
    parts.push(part)
    end.fragments = fin ? null : { kind, parts }
    if (fin) {
      peer.due.messages.push(kind === 'text' ? parts.join('') : concat(parts as readonly Uint8Array[]))
    }
  }
  const sendPing = ({ connection }: End, peer: End): void => {
    const data = binary(125)
    connection.sendPing(data)
    peer.due.pings.push(data)
  }

  const seen = (event: ProtocolEvent, end: End, peer: End): void => {
    if (event.type === 'fail' || event.type === 'close') {
      return check(false, event.type === 'fail' ? event.violation.message : 'nobody sent a Close frame')
    }
    const { data } = event
    const { due } = end
    const list: Content[] =
      event.type === 'ping' ? due.pings : event.type === 'pong' ? due.pongs : due.messages
    const expected = list.shift()
    check(expected !== undefined && equal(data, expected), `a wrong ${event.type} of ${data.length}`)
    if (event.type === 'ping') peer.due.pongs.push(copyOf(event.data))
    else if (event.type !== 'pong') messages++
    if (typeof data === 'string') return
    delivered.push({ data, copy: copyOf(data) })
    if (delivered.length > KEPT) checkDelivered(random(KEPT))
  }
  const checkDelivered = (at: number): void => {
    for (const { data, copy } of delivered.splice(at, 1)) {
      check(same(data, copy), `a payload of ${data.length} changed after delivery`)
    }
  }
  const pull = (end: End, peer: End): void => {
    for (let event = end.connection.nextEvent(); event !== null; event = end.connection.nextEvent()) {
      seen(event, end, peer)
    }
  }
  const receive = (end: End, peer: End): void => {
    if (peer.wire.length === 0) return
    const bytes = concat(peer.wire.splice(0, 1 + random(2)))
    const cut = chance(4) ? random(bytes.length + 1) : bytes.length
    if (cut < bytes.length) peer.wire.unshift(bytes.slice(cut))
    end.connection.receive(chance(2) ? Buffer.from(bytes.subarray(0, cut)) : bytes.slice(0, cut))
    if (!chance(8)) pull(end, peer)
  }

  const takeOff = (from: End): void => {
    const taken = take(from.connection)
    if (taken.views.length > 0) flights.push({ from, taken })
  }
  const letGo = ({ from, taken }: Flight): void => {
    check(intact(taken), 'a segment changed before it was recycled')
    if (recycling && !chance(10)) {
      from.connection.recycleOutput(taken.segments)
      return
    }
    unrecycled.push(taken)
    if (unrecycled.length > KEPT) checkUnrecycled(random(KEPT))
  }
  const checkUnrecycled = (at: number): void => {
    for (const taken of unrecycled.splice(at, 1)) {
      check(intact(taken), 'a segment changed that was never recycled')
    }
  }
  /** Any connection's turn, but each in its own order. */
  const land = (): void => {
    if (flights.length === 0) return
    const { from } = flights[random(flights.length)]
    const [flight] = flights.splice(
      flights.findIndex(one => one.from === from),
      1,
    )
    from.wire.push(concat(flight.taken.copies))
    letGo(flight)
  }
  /** A pair is gone, with all that was written, on its way or half received. */
  const drop = (): void => {
    const [gone] = pairs.splice(random(PAIRS), 1, makePair())
    const lost = flights.filter(({ from }) => gone.includes(from))
    flights = flights.filter(({ from }) => !gone.includes(from))
    for (const flight of lost) letGo(flight)
  }

  for (; step < steps; step++) {
    const pair = pairs[random(PAIRS)]
    const turn = random(2)
    const [end, peer] = [pair[turn], pair[1 - turn]]
    const action = random(9)
    if (action < 3) sendMessage(end, peer)
    else if (action === 3) sendFragment(end, peer, chance(4))
    else if (action === 4) sendPing(end, peer)
    else if (action === 5) takeOff(end)
    else if (action === 6) land()
    else receive(end, peer)
    if (chance(500)) drop()
  }

  for (const [client, server] of pairs) {
    if (client.fragments !== null) sendFragment(client, server, true)
    if (server.fragments !== null) sendFragment(server, client, true)
  }
  // Pings and their pongs are the longest way: there and back.
  for (let busy = true; busy;) {
    for (const pair of pairs) for (const end of pair) takeOff(end)
    while (flights.length > 0) land()
    busy = pairs.some(pair => pair.some(({ wire }) => wire.length > 0))
    for (const [client, server] of pairs) {
      while (client.wire.length > 0) receive(server, client)
      while (server.wire.length > 0) receive(client, server)
      pull(client, server)
      pull(server, client)
    }
  }
  for (const { due } of pairs.flat()) {
    check(due.messages.length + due.pings.length + due.pongs.length === 0, 'something never arrived')
  }
  while (delivered.length > 0) checkDelivered(0)
  while (unrecycled.length > 0) checkUnrecycled(0)
  return messages
}

for (const recycling of [true, false]) {
  for (const seed of [1, 2, 3, 4]) {
    const mode = recycling ? 'with recycling' : 'without recycling'
    test(`changes nothing that it handed out, ${mode} (seed ${seed})`, t => {
      const steps = recycling ? 4000 : 1500
      t.ok(stress(seed, steps, recycling) > steps / 20, 'messages went through')
      t.end()
    })
  }
}
