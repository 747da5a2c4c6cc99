// Rule 9 of the behaviour contract as a property: whatever fails, and whenever, each failure is told once, each process ends
// once, nothing that was accepted is lost silently, nothing that was refused is sent, and nothing is left behind. Everything
// runs in virtual time. test/support/schedules.ts draws what happens, test/support/story.ts keeps the books.
import { subscribe } from 'node:diagnostics_channel'
import * as fc from 'fast-check'
import { test } from 'tap'
import {
  type AnyProcess,
  type Behaviour,
  type EndReason,
  type Frame,
  idle,
  NotConnectedError,
  once,
  type Process,
  reconnect,
  type Self,
  start,
  type StartOptions,
  whereis,
} from '../../src/index.js'
import { channelName, EVENT_TYPES } from '../../src/behaviour/channels.js'
import type { PublishedEvent } from '../../src/behaviour/process-event.js'
import { VirtualNetwork, type VirtualServer } from '../../src/testing/index.js'
import { type Schedule, schedules, type Sending, type Step, type Streaming } from '../support/schedules.js'
import { isStream, named, Story } from '../support/story.js'

const URL = 'ws://peer.test/'
const OTHER = 'ws://other.test/'
const NAME = 'the one'

type Behaving = Behaviour<number, string, string, number>
type Running = Process<number, string, string, number, unknown>

let current: Story | null = null
for (const type of EVENT_TYPES) {
  subscribe(channelName(type), message => {
    const published = message as PublishedEvent
    if (published.id === NAME) current?.events.push(published)
  })
}

/** One run of a schedule. */
class Run {
  readonly one: Schedule
  readonly story = new Story()
  readonly network: VirtualNetwork
  readonly server: VirtualServer
  #turn = 0
  #ids = 0
  #selfSends = 0
  #targets = 0
  /** Since then results may come too late to be looked at. */
  killedAtMs = Infinity

  /** How many messages may be handled. */
  credits: number

  constructor(one: Schedule) {
    this.one = one
    this.credits = one.options.flow
    this.network = new VirtualNetwork({
      seed: one.seed,
      conditions: { latencyMs: one.latencyMs, windowBytes: one.windowBytes },
    })
    this.server = this.#serve()
    current = this.story
  }

  get clock(): VirtualNetwork['clock'] {
    return this.network.clock
  }

  #fate(): Schedule['fates'][number] {
    const { fates } = this.one
    return fates[(this.#turn - 1) % fates.length]
  }

  #serve(): VirtualServer {
    const { clock } = this.network
    const server = this.network.listen(URL, (socket, _request, link) => {
      const now = this.#fate()
      if (now.kind === 'close') clock.setTimeout(() => void socket.close(now.code), now.afterMs)
      else if (now.kind === 'end') clock.setTimeout(() => link.end('to-client'), now.afterMs)
      else if (now.kind === 'freeze') clock.setTimeout(() => link.freeze(), 1000)
      else if (now.kind === 'garbage') link.inject(now.bytes, 'to-client')
      else if (now.kind === 'talk') {
        for (let i = 0; i < 6; i++) void socket.write(`news ${i}`)
        clock.setTimeout(() => socket.terminate(), now.afterMs)
      }
      if (now.kind !== 'deaf') socket.onMessage = message => void socket.write(message.data)
    })
    server.onLink = link => {
      this.story.watch(link, clock)
      const now = this.#fate()
      if (now.kind === 'reset') link.resetAfter(now.bytes, now.direction)
      if (now.kind === 'garbage' && now.instead) link.inject(now.bytes, 'to-client')
    }
    return server
  }

  /** What becomes of the connection that is asked for next. */
  dial(): void {
    this.story.dials++
    this.#turn++
    const now = this.#fate()
    this.server.up()
    if (now.kind === 'refuse') this.server.down('keep')
    else if (now.kind === 'hang') this.server.hang()
    else if (now.kind === 'status') this.server.refuse(now.status)
  }

  readonly target = (): string => {
    this.#targets++
    if (this.#targets % this.one.target!.failsEvery === 0) throw new Error('no token')
    return URL
  }

  /** Gives a frame to the process, and notes what its user is told. */
  give(to: AnyProcess | Self, id: string, frame: Frame, how: 'send' | 'write', first = false): void {
    const { given } = this.story
    const { whenNotOpen } = this.one.options
    // `handleConnect` goes first: until it is done there is no connection for anybody else.
    const open = to.phase === 'open' || (first && to.phase === 'connecting')
    given.set(id, open ? 'accepted' : whenNotOpen === 'queue' ? 'unsure' : 'refused')
    if (how === 'write') {
      try {
        const went = to.write(frame)
        // False says "full", too; and when that is thrown away which needs a connection, it is no reason to wait.
        if (open && !went && whenNotOpen === 'queue') given.set(id, 'unsure')
        if (!open && whenNotOpen === 'queue') given.set(id, went ? 'accepted' : 'refused')
      } catch {
        // A fragment out of order.
        given.set(id, 'refused')
      }
      return
    }
    this.story.pending++
    let atOnce = true
    to.send(frame).then(
      () => {
        this.story.pending--
        if (!open && whenNotOpen === 'queue') given.set(id, 'accepted')
      },
      (error: Error) => {
        this.story.pending--
        // What was kept for later, and waited in vain, is told the same way; but not at once.
        if (atOnce && error instanceof NotConnectedError) given.set(id, 'refused')
        // One that waited, and did not fit any more, is handed back.
        else if (error.name === 'FrameEncodeError') given.set(id, atOnce ? 'refused' : 'unsure')
        else if (open || whenNotOpen === 'queue') given.set(id, 'accepted')
      },
    )
    queueMicrotask(() => {
      atOnce = false
    })
  }

  sendAll(to: AnyProcess | Self, { how, frames, bytes }: Sending, first = false): void {
    for (let i = 0; i < frames; i++) {
      const id = `s${++this.#ids}`
      this.give(to, id, `${id} ${'x'.repeat(bytes)}`, how, first)
    }
  }

  stream(to: AnyProcess, { how, parts, everyMs, flaw, flawAt }: Streaming): void {
    const id = `t${++this.#ids}`
    const { clock } = this
    async function* source(): AsyncGenerator<string> {
      for (let i = 0; i < parts; i++) {
        if (everyMs > 0) await new Promise<void>(resolve => void clock.setTimeout(resolve, everyMs))
        if (i === flawAt && flaw === 'fails') throw new Error('the source failed')
        if (i === flawAt && flaw === 'hangs') await new Promise(() => {})
        yield i === 0 ? `${id} ` : '.'.repeat(300)
      }
    }
    // Where it hangs or fails before it began, it was never anybody's but the source's.
    this.give(to, id, named({ type: 'text' as const, data: source() }, id), how)
    if (flaw === 'fails' && flawAt === 0) this.broken.add(id)
  }

  /** Streams that fail before their first part. */
  readonly broken = new Set<string>()

  fragments(to: AnyProcess, pauseMs: number): void {
    const give = (type: 'fragment' | 'continuation' | 'finish'): void => {
      const id = `f${++this.#ids}`
      const data = `${id} part`
      this.give(to, id, type === 'fragment' ? { type, kind: 'text', data } : { type, data }, 'send')
    }
    give('fragment')
    give('continuation')
    if (pauseMs === 0) give('finish')
    else this.clock.setTimeout(() => give('finish'), pauseMs)
  }

  reply(): string {
    const id = `r${++this.#ids}`
    // With `drop` it depends on whether there is a connection when the callback is done.
    const late = this.clock.now() >= this.killedAtMs || this.one.options.whenNotOpen === 'drop'
    this.story.given.set(id, late ? 'unsure' : 'accepted')
    return `${id} reply`
  }

  behaviour(): Behaving {
    const { one, story, clock } = this
    const { fault, slow, disconnect } = one
    /** Runs one callback: looks for overlaps, takes its time, fails when its turn has come. */
    const run = (name: string, self: Self, answer: () => object): object | Promise<object> => {
      if (story.terminated.length > 0) story.afterTerminate++
      if (story.running) story.overlaps++
      story.log.push(name)
      const number = ++story.calls
      const faulty = fault !== null && fault.call === number
      const fail = (): object => {
        if (fault!.how === 'answer') return { nonsense: true }
        if (fault!.how === 'close') return name === 'disconnect' ? { stay: true } : { close: { code: 4001 } }
        if (fault!.how === 'stop') return { stop: 'enough' }
        throw new Error('the callback failed')
      }
      if (one.self !== null && ++this.#selfSends < 7) {
        this.sendAll(self, { how: one.self, frames: 1, bytes: 20 }, name === 'connect')
      }
      if (faulty && fault.how === 'throw') return fail()
      if (!faulty && number % slow.every !== 0) return answer()
      story.running = true
      return (async () => {
        try {
          await new Promise<void>(resolve => void clock.setTimeout(resolve, slow.ms))
          return faulty ? fail() : answer()
        } finally {
          story.running = false
        }
      })()
    }
    const begin = { idle, once, reconnect }
    const all: Behaving = {
      init: () => (one.mode === null ? 0 : begin[one.mode](0)),
      handleConnect: (_connection, state, self) =>
        run('connect', self, () => ({ state: state + 1, reply: this.reply() })),
      handleFrame: (_frame, state, self) => {
        // What a connection brought that has ended is for free.
        if (self.phase === 'open' && this.credits-- <= 0) story.unpaid++
        return run('frame', self, () => {
          const flow = state % 2 === 0 ? 1 : 0
          this.credits += flow
          return { state: state + 1, flow }
        })
      },
      handleCast: (_message, _state, self) => run('cast', self, () => ({ reply: this.reply() })),
      handleCall: (_message, _from, state, self) => run('call', self, () => ({ answer: state })),
      handleInfo: (_message, _state, self) => run('info', self, () => ({ reply: this.reply() })),
      handleDisconnect: (status, _state, self) => {
        story.handBack(status.unsent)
        return run('disconnect', self, () =>
          disconnect === 'reconnect'
            ? { reconnect: { delayMs: 100 } }
            : disconnect === 'stay'
              ? { stay: true }
              : {},
        )
      },
      terminate: reason => {
        story.terminated.push(reason)
        if (story.running && this.killedAtMs === Infinity) story.overlaps++
        story.handBack(reason.unsent)
      },
      codeChange: (_version, state) => ({ state: state as number }),
    }
    if (disconnect !== 'absent') return all
    const { handleDisconnect: _, ...rest } = all
    return rest
  }

  step(process: Running, step: Step): void {
    if (step.kind === 'send') this.sendAll(process, step)
    else if (step.kind === 'stream') this.stream(process, step)
    else if (step.kind === 'fragments') this.fragments(process, step.pauseMs)
    else if (step.kind === 'close') quiet(process.send({ type: 'close', code: step.code }))
    else if (step.kind === 'flow') {
      this.credits += step.credits
      process.updateFlow(step.credits)
    } else if (step.kind === 'connect') quiet(process.connect())
    else if (step.kind === 'info') process.info('x')
    else if (step.kind === 'call') quiet(process.call('x'))
    else if (step.kind === 'change') quiet(process.changeBehaviour(this.behaviour()))
    else {
      try {
        process.cast('x')
      } catch {
        // The process has ended.
      }
    }
  }
}

async function play(one: Schedule): Promise<string[]> {
  const run = new Run(one)
  const { network, story, server } = run
  const controller = new AbortController()
  const { whenNotOpen, ttlMs, flow, async, handleInitialFailure } = one.options
  const policies = { no: false, yes: true, clean: { onClean: true, retries: 5, minDelayMs: 100 } }
  const other = network.listen(OTHER, socket => {
    socket.onMessage = () => {}
  })
  const link =
    one.linked === null ? [] : [await network.run(start(OTHER, { init: () => 0 }, network.startOptions))]
  const options: StartOptions = {
    ...network.startOptions,
    async,
    handleInitialFailure,
    flow,
    link,
    trapExit: one.linked?.trapExit ?? false,
    reconnect: policies[one.options.reconnect],
    whenNotOpen: whenNotOpen === 'queue' ? { type: 'queue', ttlMs, maxFrames: 8 } : whenNotOpen,
    signal: controller.signal,
    keepalive: { intervalMs: 5000, timeoutMs: 2000 },
    connectTimeoutMs: 4000,
    handshakeTimeoutMs: 4000,
    closeTimeoutMs: 1000,
    debug: [],
  }
  const { createConnection } = network.startOptions
  let startError: Error | null = null
  let handle: Running | null = null
  let end: EndReason | null = null
  const watch = (made: Running | null): void => {
    handle = made
    void made?.ended.then(reason => {
      end = reason
    })
  }
  const started = start(one.target === null ? URL : run.target, run.behaviour(), {
    ...options,
    name: NAME,
    createConnection: (target, signal) => {
      run.dial()
      return createConnection(target, signal)
    },
  }).then(
    made => watch(made),
    (error: Error) => {
      startError = error
    },
  )
  const at = (time: number, work: (process: Running) => void): void => {
    const now = (): void => {
      // Before `start()` has resolved it is known by its name.
      if (handle === null) watch(whereis(NAME) as Running | null)
      if (handle !== null) work(handle)
    }
    network.clock.setTimeout(now, time)
  }
  for (const { atMs, step } of one.steps) at(atMs, process => run.step(process, step))
  if (one.linked !== null) {
    const { how } = one.linked
    at(one.linked.atMs, () => void link[0].stop(how === 'error' ? new Error('the other failed') : undefined))
  }
  at(one.stop.atMs, process => {
    const { how } = one.stop
    if (how === 'kill') run.killedAtMs = network.clock.now()
    if (how === 'abort') controller.abort()
    else
      void process.stop(
        how === 'error' ? new Error('told to') : undefined,
        how === 'kill' ? { timeoutMs: 0 } : {},
      )
  })
  // Long enough for every time limit there is.
  await network.advance(one.stop.atMs + 60_000)
  await network.run(started)
  for (const process of link) await network.run(process.stop())

  const problems: string[] = []
  const check = (good: boolean, text: string): void => void (good || problems.push(text))
  const reason = end as EndReason | null
  check(startError !== null || reason !== null, 'it neither started and ended nor failed to start')
  check(story.terminated.length === 1, `terminate ran ${story.terminated.length} times`)
  check(story.overlaps === 0, `${story.overlaps} callbacks overlapped`)
  check(story.afterTerminate === 0, `${story.afterTerminate} callbacks after terminate`)
  check(story.unpaid === 0, `${story.unpaid} messages without a credit`)
  check(story.pending === 0, `${story.pending} sends never settled`)
  checkAttempts(one, story, startError, check)
  checkFrames(run, check)
  check(whereis(NAME) === null, 'its name is still taken')
  const failed = startError as Error | null
  const alive = story.links.filter(link => !link.clientEnd.destroyed)
  check(alive.length === 0, `${alive.length} sockets of the process are left`)
  // The server may still have ends of its own, on links that got nothing through.
  for (const link of network.links) link.thaw()
  server.up()
  await network.run(Promise.all([server.close(), other.close()]))
  await network.advance(1000)
  check(network.leaks().length === 0, `left behind: ${network.leaks().join(', ')}`)
  await network.close()
  return problems.map(
    text => `${text} [${story.log.join(' ')}] ${failed?.message ?? ''} ${story.terminated[0]?.type ?? ''}`,
  )
}

const quiet = (promise: Promise<unknown>): void => void promise.catch(() => {})

type Check = (good: boolean, text: string) => void

/** The events as a history: what begins ends, each in one way. */
function checkAttempts(one: Schedule, story: Story, startError: Error | null, check: Check): void {
  const handles =
    one.options.handleInitialFailure ?? (one.options.async || one.mode === 'reconnect' || one.mode === 'idle')
  // An attempt may fail while a callback runs, and `connect()` begin the next before that is told.
  const overtaking = one.steps.some(({ step }) => step.kind === 'connect') ? 2 : 1
  let pending = 0
  let open = false
  let told = 0
  let opened = 0
  let attempts = 0
  let last = ''
  let ended = false
  for (const { event } of story.events) {
    // Who kills it waits for nothing, not even for the last bytes.
    check(!ended || one.stop.how === 'kill', `${event.type} after the end`)
    if (event.type === 'attempt') {
      attempts++
      pending++
      check(!open && pending <= overtaking, `an attempt while there are ${pending}, open ${open}`)
    } else if (event.type === 'open') {
      check(!open && pending === 1, `open, of ${pending} attempts, open ${open}`)
      open = true
      pending = 0
      opened++
    } else if (event.type === 'disconnect') {
      const { phase } = event.status
      told++
      if (phase === 'open' || phase === 'closing') {
        check(open, 'a lost connection is told, and none was open')
        open = false
      } else {
        check(!open, `a failed attempt is told (${phase}), and a connection is open`)
        // Where it could not be found out where to connect to, there was no attempt yet.
        if (phase !== 'target') pending--
        check(pending >= 0, `a failed attempt is told (${phase}), and there was none`)
      }
    } else if (event.type === 'terminate') {
      ended = true
      const { type } = event.reason
      // What ends a process in the middle of something needs no other telling.
      const cut = type === 'stop' || type === 'crash' || type === 'link' || (type === 'local' && !open)
      // The first attempt of all: `start()` tells, or `connect()`, or `ended` alone.
      const elsewhere = startError !== null || one.options.async || one.mode === 'idle'
      const failed = !handles && told + opened === 0 && elsewhere
      const state = `${pending} attempts, open ${open}`
      check(cut || failed || (pending === 0 && !open && last === 'disconnect'), `ended by ${type}, ${state}`)
    }
    if (event.type === 'disconnect' || event.type === 'open' || event.type === 'attempt') last = event.type
  }
  check(ended || story.events.length === 0, 'its end is no event')
  check(story.dials <= attempts, `${story.dials} connections asked for in ${attempts} attempts`)
  const called = (name: string): number => story.log.filter(one => one === name).length
  check(called('connect') === opened, `${opened} opened, ${called('connect')} handleConnect`)
  if (one.disconnect !== 'absent')
    check(called('disconnect') === told, `${told} disconnects, ${called('disconnect')} handleDisconnect`)
}

const times = (ids: readonly string[], id: string): number => ids.filter(one => one === id).length

/** Each frame is where it belongs. */
function checkFrames({ one, story, broken }: Run, check: Check): void {
  const kinds = new Set(one.steps.map(({ step }) => step.kind))
  const { whole, begun, sure } = story.taken(kinds.has('stream'))
  // A reply between two fragments ends the process, as a callback that fails does: nothing of its answer happens.
  const misfit = story.terminated.some(({ error }) => error?.name === 'FrameEncodeError')
  const lastReply = [...story.given.keys()].findLast(id => id.startsWith('r'))
  if (misfit && lastReply !== undefined) story.given.set(lastReply, 'unsure')
  const { unsent, given } = story
  for (const [id, acceptance] of given) {
    const delivered = times(whole, id)
    const back = times(unsent, id)
    check(delivered <= 1, `${id} was delivered twice`)
    check(back <= 1, `${id} was handed back twice`)
    if (acceptance === 'refused') check(!begun.has(id) && back === 0, `${id} was refused, and seen again`)
    if (acceptance === 'accepted' && !broken.has(id)) check(delivered + back > 0, `${id} was lost`)
    if (sure.has(id)) check(back === 0, `${id} was delivered and handed back`)
    if (begun.has(id) && delivered === 0) check(back === 1, `${id} was cut, and not handed back`)
    if (broken.has(id)) check(delivered === 0, `${id} had no source, and was delivered`)
  }
  for (const id of [...whole, ...unsent]) check(given.has(id), `${id} came from nobody`)
  checkOrder(one, story, whole, check)
}

/** What is handed back is in order, oldest first. */
function checkOrder(one: Schedule, { handed }: Story, whole: readonly string[], check: Check): void {
  // Without `handleDisconnect` one list is of several connections.
  if (one.disconnect === 'absent') return
  // A message in parts, or in fragments, is overtaken by what need not wait for it; what is queued, by `handleConnect`.
  const plain = !one.steps.some(({ step }) => step.kind === 'stream' || step.kind === 'fragments')
  if (plain && one.options.whenNotOpen !== 'queue') {
    for (const ids of handed) {
      const numbers = ids.filter(id => id.startsWith('s')).map(id => Number(id.slice(1)))
      const sorted = numbers.every((number, at) => at === 0 || numbers[at - 1] < number)
      check(sorted, `handed back as ${ids.join(' ')}`)
    }
  }
  // Several frames may leave in one write. When it is cut, nobody can know how far it got: they are all handed back, and the
  // first of them may have got there.
  for (const all of handed) {
    // Replies that found no connection are among them, older ones before, newer ones behind.
    const ids = all.filter(id => !isStream(id) && !id.startsWith('r'))
    const cut = ids.findIndex(id => !whole.includes(id))
    if (cut >= 0) check(!ids.slice(cut).some(id => whole.includes(id)), `${ids.join(' ')}: out of order`)
  }
}

test('each failure is told once, each process ends once, and nothing is lost or left', async t => {
  const numRuns = Number(process.env['SCHEDULES'] ?? (process.env['CI'] === undefined ? 1000 : 5000))
  const seed = Number(process.env['SEED'] ?? Date.now() % 2 ** 31)
  t.comment(`${numRuns} schedules, seed ${seed}`)
  const result = await fc.check(
    fc.asyncProperty(schedules, async one => {
      const problems = await play(one)
      if (problems.length > 0) throw new Error(problems.join('\n'))
    }),
    { numRuns, seed, endOnFailure: false },
  )
  t.notOk(result.failed, `${String(result.errorInstance)} ${fc.defaultReportMessage(result) ?? ''}`)
})
