// Clients that do not read what a server sends: closed, or without what does not fit, while an honest one goes on.
import { type Test, test } from 'tap'
import { createRegistry } from '../../src/registry/index.js'
import { type Listener, listen, type ServerBehaviour } from '../../src/server/index.js'
import { VirtualClock } from '../../src/testing/index.js'
import type { NamedProcess } from '../../src/behaviour/process-ref.js'
import { ECHO, MIB, turns, underAttack } from '../support/attack.js'
import { TEXT } from '../support/frames.js'
import { rawClient, type RawPeer, until, upgradeRequest } from '../support/raw-peer.js'
import { failure } from '../support/servers.js'
import { watchWarnings } from '../support/warnings.js'

const LIMIT = 2 * MIB
// In a second or so the kernel takes some megabytes of each connection; from there on all is ours.
const PART = 'x'.repeat(64 * 1024)

/** Sends until nothing more leaves. */
async function fill(process: NamedProcess): Promise<void> {
  for (let quiet = 0; quiet < 5 && process.phase === 'open';) {
    const before = process.bufferedAmount
    if (before < LIMIT / 2) process.write({ type: 'text', data: PART })
    else quiet++
    await turns(2)
    if (process.bufferedAmount < before) quiet = 0
  }
}

function second(processes: ReadonlySet<NamedProcess>): NamedProcess {
  const [, process] = processes
  return process
}

/** The first client of a server, and its process. */
async function onlyClient(t: Test, server: Listener): Promise<{ peer: RawPeer; process: NamedProcess }> {
  const peer = await rawClient(t, server.port)
  peer.write(upgradeRequest())
  await peer.head()
  await until(() => server.processes.size === 1, 'the process')
  const [process] = server.processes
  return { peer, process }
}

/** Reads messages until there is one that says this. */
async function readUntil(peer: RawPeer, text: string): Promise<number> {
  for (let before = 0; ; before++) {
    const [{ payload }] = await peer.frames(1)
    if (payload.length === text.length && Buffer.from(payload).toString() === text) return before
  }
}

void test('a slow reader is closed by default, which is told, and costs nobody else anything', async t => {
  const told: unknown[] = []
  const behaviour = {
    ...ECHO,
    handleDisconnect: ({ reason, error }) =>
      void told.push([reason.type, (error as { code?: string } | null)?.code]),
    terminate: ({ type, error }) => void told.push([type, (error as { code?: string } | null)?.code]),
  } satisfies ServerBehaviour<unknown>
  const options = { maxBufferedBytes: LIMIT }
  const warnings = watchWarnings(t)
  await underAttack(t, { behaviour, options }, async ({ server, open, bounded, goesOn }) => {
    const peer = await open()
    peer.stream.pause()
    const slow = second(server.processes)
    for (let i = 0; i < 1000 && slow.phase === 'open'; i++) {
      slow.write({ type: 'text', data: PART })
      if (i % 10 === 0) await goesOn(1)
    }
    t.not(slow.phase, 'open')
    t.match(await failure(slow.send({ type: 'text', data: 'x' })), { code: /^WS_/ })
    await until(() => told.length === 2, 'the end')
    t.same(told, [
      ['error', 'WS_BUFFER_FULL'],
      ['error', 'WS_BUFFER_FULL'],
    ])
    await until(() => server.statistics().count === 1, 'its place')
    bounded()
  })
  t.same(warnings, [])
})

void test('with whenBufferFull: drop, what does not fit is dropped and counted, and the connection goes on', async t => {
  const drained: number[] = []
  const behaviour = {
    handleFrame: frame => ({ reply: frame }),
    handleInfo: (message: unknown) => ({ reply: String(message) }),
    handleDrain: (_state, self) => {
      drained.push(self.droppedFrames)
      return { reply: 'drained' }
    },
  } satisfies ServerBehaviour<unknown>
  const options = { maxBufferedBytes: LIMIT, whenBufferFull: 'drop', keepalive: false } as const
  const registry = createRegistry()
  await underAttack(t, { behaviour, options }, async ({ server, open, bounded, goesOn }) => {
    const peer = await open()
    peer.stream.pause()
    const slow = second(server.processes)
    await registry.group.join('all', slow)
    const dropped: string[] = []
    slow.debug.subscribe(({ event }) => {
      if (event.type === 'drop') dropped.push(event.frame.type)
    })
    slow.debug.statistics(true)
    await fill(slow)
    let most = 0
    for (let i = 0; i < 1000; i++) {
      slow.write({ type: 'binary', data: new Uint8Array(50_000) })
      await registry.group.broadcast('all', PART)
      if (i % 4 === 0) slow.info(PART)
      most = Math.max(most, slow.bufferedAmount)
      if (i % 20 === 0) await goesOn(1)
    }
    t.ok(most <= LIMIT, `${most} bytes`)
    bounded()
    t.equal(slow.phase, 'open')
    t.ok(slow.droppedFrames > 2000, `${slow.droppedFrames} were dropped`)
    t.equal(dropped.length, slow.droppedFrames, 'an event for each')
    t.equal(slow.debug.getStatistics()?.framesDropped, slow.droppedFrames)
    t.match(await slow.status(), { droppedFrames: slow.droppedFrames })
    t.match(await failure(slow.send({ type: 'text', data: PART })), { code: 'WS_BUFFER_FULL' })
    t.equal(slow.write({ type: 'text', data: PART }), false, 'wait for handleDrain')

    // Control frames still go, so many of them.
    const full = slow.bufferedAmount
    for (let i = 0; i < 10_000; i++) slow.write({ type: 'ping', data: 'x'.repeat(100) })
    t.ok(slow.bufferedAmount > full, 'pings go')
    t.ok(slow.bufferedAmount < full + 128 * 1024, `${slow.bufferedAmount - full} bytes of them`)
    t.equal(slow.phase, 'open')

    // It reads again: it gets what was not dropped, whole and in order, and what is sent from then on.
    t.same(drained, [])
    peer.stream.resume()
    await readUntil(peer, 'drained')
    t.same(drained, [slow.droppedFrames], 'handleDrain is told')
    peer.send({ opcode: TEXT, payload: 'still here?' })
    t.equal(await readUntil(peer, 'still here?'), 0)
    await registry.close()
  })
})

void test('of messages in fragments all is dropped or nothing', async t => {
  const options = { maxBufferedBytes: LIMIT, whenBufferFull: 'drop', keepalive: false } as const
  await underAttack(t, { behaviour: ECHO, options }, async ({ server, open, goesOn }) => {
    const peer = await open()
    peer.stream.pause()
    const slow = second(server.processes)
    await fill(slow)
    while (slow.droppedFrames === 0) slow.write({ type: 'text', data: PART })
    const before = slow.droppedFrames
    slow.write({ type: 'fragment', kind: 'text', data: PART })
    slow.write({ type: 'continuation', data: 'small enough' })
    slow.write({ type: 'finish', data: 'and this too' })
    t.equal(slow.droppedFrames, before + 3)
    t.equal(slow.phase, 'open')
    // One that has begun and does not fit any more ends it: nothing else could ever follow.
    slow.write({ type: 'fragment', kind: 'text', data: 'begun' })
    t.equal(slow.droppedFrames, before + 3)
    const ended = (slow as NamedProcess & { readonly ended: Promise<unknown> }).ended
    slow.write({ type: 'finish', data: PART })
    t.match(await ended, { type: 'error', error: { code: 'WS_BUFFER_FULL' } })
    await goesOn()
  })
})

void test('a message of any length goes where nothing waits, and what is no choice is refused', async t => {
  const options = { maxBufferedBytes: 1000, whenBufferFull: 'drop' } as const
  await underAttack(t, { behaviour: ECHO, options }, async ({ server, open }) => {
    const peer = await open()
    const process = second(server.processes)
    t.equal(process.write({ type: 'text', data: PART }), true)
    t.match(await peer.frames(1), [{ payload: { length: PART.length } }])
    t.equal(process.droppedFrames, 0)
  })
  await t.rejects(listen({ behaviour: ECHO, whenBufferFull: 'block' as never }), { code: 'WS_BAD_OPTION' })
})

void test('a message in fragments whose beginning was dropped is dropped to its end, whatever comes between', async t => {
  for (const resting of [true, false]) {
    const clock = new VirtualClock()
    let drained = 0
    const server = await listen({
      clock,
      maxBufferedBytes: LIMIT,
      whenBufferFull: 'drop',
      keepalive: false,
      restAfterMs: resting ? 8 : Infinity,
      behaviour: { handleDrain: () => void drained++ },
    })
    t.teardown(() => server.close())
    const { peer, process } = await onlyClient(t, server)
    peer.stream.pause()
    await fill(process)
    while (process.droppedFrames === 0) process.write({ type: 'text', data: PART })
    const before = process.droppedFrames
    process.write({ type: 'fragment', kind: 'text', data: PART })
    t.equal(process.droppedFrames, before + 1)
    peer.stream.resume()
    await until(() => process.bufferedAmount === 0 && drained > 0, 'it to catch up')
    for (let i = 0; i < (resting ? 20 : 0); i++) {
      clock.advance(8)
      await turns(1)
    }
    t.equal(server.resting, 0, 'something is under way')
    t.equal(
      process.write({ type: 'continuation', data: PART }),
      true,
      'there is room, and nothing to wait for',
    )
    process.write({ type: 'finish', data: 'end' })
    t.equal(process.droppedFrames, before + 3)
    if (resting) {
      await until(() => {
        clock.advance(8)
        return server.resting === 1
      }, 'its rest')
    }
    t.equal(process.write({ type: 'text', data: 'after' }), true)
    await readUntil(peer, 'after')
    peer.reset()
  }
})

void test('who gets nothing of a message to a group is no recipient of it', async t => {
  const { group } = createRegistry()
  const server = await listen({
    maxBufferedBytes: LIMIT,
    whenBufferFull: 'drop',
    behaviour: { init: async (_, self) => void (await group.join('all', self)) },
  })
  t.teardown(() => server.close())
  const { peer, process } = await onlyClient(t, server)
  t.match(await group.broadcast('all', 'x'), { recipients: 1 })
  peer.stream.pause()
  await fill(process)
  while (process.droppedFrames === 0) process.write({ type: 'text', data: PART })
  t.match(await group.broadcast('all', PART), { recipients: 0, confirmed: 1 })
  peer.reset()
})
