// Strategy: random stories of children that end, do not start, start slowly or end only by force, while others ask for
// this and that; in virtual time. What must hold then does not depend on the story:
//
// - there are never two living children of one id, and each start is followed by one end
// - children start in order and are stopped in reverse order, as far as the strategy says so
// - there are as many restarts as a naive count of them allows, and not one more
// - once nothing happens any more, everybody runs who should
// - after stop() nobody lives and no timer waits
import fc from 'fast-check'
import t from 'tap'
import type { ChildOptions, RestartType } from '../../src/behaviour/child-spec.js'
import { startSupervisor, type Supervisor } from '../../src/behaviour/supervisor.js'
import type { SupervisorEvent } from '../../src/behaviour/supervisor-event.js'
import type { RestartStrategy } from '../../src/behaviour/supervisor-options.js'
import { end, FakeChild } from '../support/fake-child.js'
import { turn, withResolvers } from '../support/servers.js'
import { VirtualClock } from '../support/virtual-clock.js'

type Step =
  | { readonly do: 'exit'; readonly who: number; readonly normal: boolean }
  | { readonly do: 'fail'; readonly who: number; readonly times: number }
  | { readonly do: 'slow' | 'stubborn'; readonly who: number }
  | { readonly do: 'startChild' | 'stopChild' | 'restartChild' | 'deleteChild'; readonly who: number }
  | { readonly do: 'wait'; readonly ms: number }
  | { readonly do: 'release' | 'turn' }
  | { readonly do: 'stop'; readonly timeoutMs: number | undefined }

interface Story {
  readonly strategy: RestartStrategy
  readonly maxRestarts: number
  readonly withinMs: number
  readonly restarts: readonly RestartType[]
  readonly steps: readonly Step[]
}

const IDS = ['a', 'b', 'c', 'd', 'e', 'f']
const SHUTDOWN_MS = 30

const who = fc.nat(IDS.length - 1)
const step = fc.oneof(
  { weight: 8, arbitrary: fc.record({ do: fc.constant('exit' as const), who, normal: fc.boolean() }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('fail' as const), who, times: fc.nat(3) }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constantFrom('slow' as const, 'stubborn' as const), who }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('wait' as const), ms: fc.nat(60) }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constantFrom('turn' as const, 'release' as const) }) },
)
const request = fc.record({
  do: fc.constantFrom(
    'startChild' as const,
    'stopChild' as const,
    'restartChild' as const,
    'deleteChild' as const,
  ),
  who,
})
const stop = fc.record({
  do: fc.constant('stop' as const),
  timeoutMs: fc.constantFrom(undefined, 0, 20, 1000),
})

const story = (steps: fc.Arbitrary<Step>): fc.Arbitrary<Story> =>
  fc.record({
    strategy: fc.constantFrom<RestartStrategy>('one-for-one', 'one-for-all', 'rest-for-one'),
    maxRestarts: fc.constantFrom(0, 1, 2, 3, 5, Infinity),
    withinMs: fc.integer({ min: 1, max: 150 }),
    restarts: fc.array(fc.constantFrom<RestartType>('permanent', 'permanent', 'transient', 'temporary'), {
      minLength: 1,
      maxLength: IDS.length - 1,
    }),
    steps: fc.array(steps, { maxLength: 25 }),
  })

const ignore = (): void => {}

/** Acts out one story, and complains about what must not be. */
class Stage {
  readonly clock = new VirtualClock()
  readonly living: FakeChild[] = []
  readonly events: { readonly at: number; readonly event: SupervisorEvent }[] = []
  readonly complaints: string[] = []
  readonly #failing = new Map<string, number>()
  #slow = new Set<string>()
  #stubborn = new Set<string>()
  #gate = withResolvers<void>()
  /** Children whose start was given up come when they like. */
  readonly #late = new Set<FakeChild>()
  readonly #story: Story
  /** Whether somebody asks for something, which may be against the order. */
  readonly requests: boolean
  supervisor: Supervisor | null = null
  /** How many events there were when the end was asked for. */
  endingFrom = Infinity

  constructor(story: Story) {
    this.#story = story
    this.requests = story.steps.some(({ do: what }) => what.endsWith('Child'))
  }

  spec(id: string, restart: RestartType): ChildOptions {
    return { id, restart, shutdownMs: SHUTDOWN_MS, start: signal => this.#start(id, signal) }
  }

  async begin(): Promise<void> {
    const { strategy, maxRestarts, withinMs, restarts } = this.#story
    this.supervisor = await startSupervisor({
      strategy,
      maxRestarts,
      withinMs,
      clock: this.clock,
      children: restarts.map((restart, at) => this.spec(IDS[at], restart)),
      onEvent: event => {
        if (event.type === 'intensity-exceeded')
          this.endingFrom = Math.min(this.endingFrom, this.events.length + 1)
        this.events.push({ at: this.clock.now(), event })
      },
    })
  }

  async #start(id: string, signal: AbortSignal): Promise<FakeChild> {
    if (this.endingFrom !== Infinity) this.complaints.push(`${id} was started after the end`)
    if (this.#slow.delete(id)) await this.#gate.promise
    const failures = this.#failing.get(id) ?? 0
    if (failures > 0) {
      this.#failing.set(id, failures - 1)
      throw new Error(`${id} does not start`)
    }
    const child: FakeChild = new FakeChild(id, this.#stubborn.delete(id) ? 'stubborn' : 'willing', () =>
      this.living.splice(this.living.indexOf(child), 1),
    )
    if (signal.aborted) this.#late.add(child)
    if (this.living.some(other => other.id === id)) this.complaints.push(`two of ${id}`)
    const ordered = this.#story.strategy !== 'one-for-one' && !this.requests
    if (ordered && !signal.aborted) this.#requireLast(child, 'started')
    const original = child.stop.bind(child)
    child.stop = (reason, options) => {
      if (!this.requests) this.#requireLast(child, 'stopped')
      return original(reason, options)
    }
    this.living.push(child)
    return child
  }

  #requireLast(child: FakeChild, what: string): void {
    if (this.#late.has(child)) return
    const behind = this.living.filter(other => other.id > child.id && !this.#late.has(other))
    if (behind.length > 0)
      this.complaints.push(`${child.id} was ${what} before ${behind.map(({ id }) => id).join()}`)
  }

  act(step: Step): void {
    const supervisor = this.supervisor!
    if (step.do === 'exit') {
      const child = this.living.at(step.who % (this.living.length || 1))
      child?.end(end(step.normal, step.normal ? null : new Error('boom')))
    } else if (step.do === 'fail') this.#failing.set(IDS[step.who], step.times)
    else if (step.do === 'slow') this.#slow.add(IDS[step.who])
    else if (step.do === 'stubborn') this.#stubborn.add(IDS[step.who])
    else if (step.do === 'wait') this.clock.advance(step.ms)
    else if (step.do === 'release') this.release()
    else if (step.do === 'stop') this.stop(step.timeoutMs)
    else if (step.do === 'startChild')
      supervisor.startChild(this.spec(IDS[step.who], 'permanent')).then(ignore, ignore)
    else if (step.do === 'stopChild' || step.do === 'restartChild' || step.do === 'deleteChild')
      supervisor[step.do](IDS[step.who]).then(ignore, ignore)
  }

  stop(timeoutMs?: number): void {
    this.endingFrom = Math.min(this.endingFrom, this.events.length)
    void this.supervisor!.stop(undefined, { timeoutMs })
  }

  /** Lets the slow ones go on. */
  release(): void {
    this.#gate.resolve()
    this.#gate = withResolvers<void>()
  }

  /** From now on all goes well. */
  calm(): void {
    this.#slow = new Set()
    this.#stubborn = new Set()
    this.#failing.clear()
    this.release()
  }

  async settle(): Promise<void> {
    for (let turns = 0; turns < 40; turns++) {
      await turn()
      this.clock.advance(turns % 2 === 0 ? 0 : SHUTDOWN_MS)
    }
    await turn()
  }
}

/** What is wrong with the events, judged by somebody who knows nothing of how they come about. */
function judge({ strategy, maxRestarts, withinMs, restarts }: Story, stage: Stage): string[] {
  const wrong: string[] = []
  const living = new Map<string, unknown>()
  const attempts: number[] = []
  const { events, endingFrom } = stage
  for (const [at, { at: now, event }] of events.entries()) {
    const { type, id } = event
    const last = events.at(at - 1)?.event
    if (type === 'child-started') {
      if (living.has(id)) wrong.push(`${id} started twice`)
      living.set(id, event.child)
    } else if (type === 'child-ended') {
      if (living.get(id) !== event.child) wrong.push(`another ${id} ended`)
      living.delete(id)
      const restart = restarts[IDS.indexOf(id)] ?? 'permanent'
      const wanted = restart === 'permanent' || (restart === 'transient' && !event.reason.normal)
      const next = events.at(at + 1)?.event
      const again =
        next?.id === id && (next.type === 'child-restarting' || next.type === 'intensity-exceeded')
      // Otherwise it may have ended in the middle of another one's restart, or of a request.
      const alone = strategy === 'one-for-one' && !stage.requests
      if (alone && !event.expected && at < endingFrom && again !== wanted)
        wrong.push(`${id}, ${restart}, ended and was ${wanted ? 'forgotten' : 'restarted'}`)
      if (event.expected && again) wrong.push(`${id} was restarted though it was stopped`)
    } else if (type === 'child-restarting' || type === 'intensity-exceeded') {
      attempts.push(now)
      const lately = attempts.filter(one => one >= now - withinMs).length
      if ((type === 'intensity-exceeded') !== lately > maxRestarts)
        wrong.push(`${type} with ${lately} lately`)
      if (type === 'child-restarting' && event.restarts !== lately)
        wrong.push(`${event.restarts} is not ${lately}`)
      const reason = type === 'child-restarting' ? event.reason : event.error.reason
      if (reason !== null && !(last?.type === 'child-ended' && last.id === id))
        wrong.push(`${id} restarted for nothing`)
    } else if (type === 'child-abandoned') wrong.push(`${id} was abandoned`)
    if (at > endingFrom && type === 'child-restarting') wrong.push(`${id} restarted after the end`)
  }
  return wrong
}

async function play(story: Story): Promise<void> {
  const stage = new Stage(story)
  await stage.begin()
  const supervisor = stage.supervisor!
  for (const step of story.steps) {
    stage.act(step)
    if (step.do === 'turn' || step.do === 'wait') await turn()
  }
  stage.calm()
  await stage.settle()
  const complaints: string[] = []
  const infos = supervisor.children()
  if (stage.endingFrom === Infinity) {
    for (const { id, state, child, restart } of infos) {
      const lives = stage.living.some(one => one.id === id)
      if (lives !== (state === 'running') || lives !== (child !== null)) complaints.push(`${id} is ${state}`)
      if (state !== 'running' && state !== 'stopped') complaints.push(`${id} is still ${state}`)
      const stopped = story.steps.some(
        step => 'who' in step && step.do.endsWith('Child') && IDS[step.who] === id,
      )
      if (!lives && restart !== 'transient' && !stopped) complaints.push(`${restart} ${id} does not run`)
    }
    if (stage.clock.pending !== 0) complaints.push('a timer waits for nothing')
  }
  stage.stop()
  await stage.settle()
  complaints.push(...stage.complaints, ...judge(story, stage))
  const ended = await Promise.race([supervisor.ended, turn()])
  if (ended === undefined) complaints.push('stop() does not end')
  if (stage.living.length > 0) complaints.push(`${stage.living.map(({ id }) => id).join()} survived`)
  if (stage.clock.pending > 0) complaints.push('a timer is left')
  if (complaints.length > 0) throw new Error(complaints.join('\n'))
}

for (const [name, steps] of [
  ['whatever children do, they are supervised', step],
  [
    'whatever children do and others ask for, they are supervised',
    fc.oneof({ weight: 3, arbitrary: step }, request),
  ],
  ['whenever stop() comes, it leaves nothing', fc.oneof({ weight: 9, arbitrary: step }, request, stop)],
] as const) {
  t.test(name, async t => {
    await fc.assert(fc.asyncProperty(story(steps), play), { numRuns: 150 })
    t.pass()
  })
}
