import fc from 'fast-check'
import t from 'tap'
import { StalledError, VirtualClock } from '../../src/testing/index.js'
import { Random } from '../../src/testing/random.js'

/** The clock as one would write it in a minute: a list that is searched. */
class NaiveClock {
  nowMs = 0
  #order = 0
  timers: { atMs: number; order: number; callback: () => void }[] = []

  setTimeout(callback: () => void, ms: number): object {
    const timer = { atMs: this.nowMs + ms, order: this.#order++, callback }
    this.timers.push(timer)
    return timer
  }

  clearTimeout(timer: object): void {
    this.timers = this.timers.filter(one => one !== timer)
  }

  advance(ms: number): void {
    const endMs = this.nowMs + ms
    for (;;) {
      const [next] = this.timers
        .filter(({ atMs }) => atMs <= endMs)
        .toSorted((a, b) => a.atMs - b.atMs || a.order - b.order)
      if (next === undefined) break
      this.nowMs = next.atMs
      this.clearTimeout(next)
      next.callback()
    }
    this.nowMs = endMs
  }
}

type Command = readonly ['set' | 'set in a timer', number] | readonly ['clear' | 'advance', number]

/** What happens, as a list of names and times, when a clock is used like this. */
function play(clock: VirtualClock | NaiveClock, commands: readonly Command[]): string[] {
  const log: string[] = []
  const timers: object[] = []
  const now = (): number => (clock instanceof VirtualClock ? clock.now() : clock.nowMs)
  for (const [name, number] of commands) {
    const id = timers.length
    const fired = (): void => void log.push(`${id} at ${now()}`)
    if (name === 'set') timers.push(clock.setTimeout(fired, number))
    if (name === 'set in a timer') {
      timers.push(
        clock.setTimeout(() => {
          fired()
          timers.push(clock.setTimeout(() => log.push(`of ${id} at ${now()}`), number))
        }, number),
      )
    }
    if (name === 'clear' && timers.length > 0) clock.clearTimeout(timers[number % timers.length])
    if (name === 'advance') clock.advance(number)
    log.push(`${clock instanceof VirtualClock ? clock.pending : clock.timers.length} wait at ${now()}`)
  }
  return log
}

t.test('fires what a naive clock fires, in the same order and at the same times', t => {
  const command = fc.oneof(
    fc.tuple(fc.constantFrom('set' as const, 'set in a timer' as const), fc.nat(20)),
    fc.tuple(fc.constantFrom('clear' as const, 'advance' as const), fc.nat(15)),
  )
  fc.assert(
    fc.property(fc.array(command, { maxLength: 60 }), commands => {
      t.equal(play(new VirtualClock(), commands).join(), play(new NaiveClock(), commands).join())
    }),
  )
  t.end()
})

t.test('keeps the order of a hundred thousand timers, half of which are taken back', t => {
  const clock = new VirtualClock()
  const random = new Random('timers')
  const due: number[] = []
  let last = 0
  let early = 0
  for (let i = 0; i < 100_000; i++) {
    const ms = random.from([0, 10_000])
    const timer = clock.setTimeout(() => {
      if (clock.now() < last || clock.now() !== ms) early++
      last = clock.now()
    }, ms)
    if (i % 2 === 0) clock.clearTimeout(timer)
    else due.push(ms)
  }
  t.equal(clock.pending, 50_000)
  t.equal(clock.dueTimes.join(), due.toSorted((a, b) => a - b).join())
  t.equal(clock.nextMs, clock.dueTimes[0])
  clock.advance(10_000)
  t.equal(early, 0)
  t.equal(clock.pending, 0)
  t.equal(clock.nextMs, null)
  t.end()
})

t.test('steps from timer to timer', t => {
  const clock = new VirtualClock()
  const fired: number[] = []
  for (const ms of [30, 10, 20]) clock.setTimeout(() => fired.push(clock.now()), ms)
  t.equal(clock.step(), true)
  t.same([fired, clock.now()], [[10], 10])
  t.equal(clock.step(15), false, 'the next is later')
  t.equal(clock.now(), 15, 'but the time has come')
  t.equal(clock.step(20), true)
  t.equal(clock.step(), true)
  t.equal(clock.step(), false)
  t.same([fired, clock.now()], [[10, 20, 30], 30], 'no time passes when there is nothing to wait for')
  t.end()
})

t.test('never goes back, never fires a timer for Infinity, and takes a time that is over for now', t => {
  const clock = new VirtualClock()
  clock.advance(100)
  const fired: string[] = []
  clock.setTimeout(() => fired.push('never'), Infinity)
  clock.setTimeout(() => fired.push('negative'), -50)
  clock.setTimeout(() => fired.push('no number'), Number.NaN)
  clock.setAlarm(() => fired.push('over'), 20)
  clock.setTimeout(() => clock.advance(1000), 10)
  clock.advance(10)
  t.same(fired, ['negative', 'no number', 'over'])
  t.equal(clock.now(), 1110, 'as far as the timer went by itself')
  t.equal(clock.step(), false)
  t.equal(clock.pending, 1)
  for (const ms of [-1, Number.NaN, Infinity])
    t.throws(() => clock.advance(ms), { code: 'WS_BAD_OPTION' }, String(ms))
  t.end()
})

t.test('says so when timers set each other and no time passes', t => {
  const clock = new VirtualClock()
  const again = (): void => void clock.setTimeout(again, 0)
  again()
  t.throws(() => clock.advance(1), StalledError)
  t.end()
})

/** Many numbers from a seed. */
function draw(seed: number | string): number[] {
  const random = new Random(seed)
  return Array.from({ length: 20_000 }, () => random.number())
}

t.test('chances are equal for equal seeds, differ for others, and are spread evenly', t => {
  t.equal(draw(1).join(), draw(1).join())
  for (const [a, b] of [
    [1, 2],
    [1, '1'],
    ['a', 'b'],
    ['', 0],
  ] as const)
    t.not(draw(a).join(), draw(b).join())
  for (const seed of [0, 1, -1, 0.5, 'storm', '']) {
    const numbers = draw(seed)
    t.ok(
      numbers.every(one => one >= 0 && one < 1),
      `${seed}: within bounds`,
    )
    const counts = Array.from({ length: 10 }, () => 0)
    for (const one of numbers) counts[Math.floor(one * 10)]++
    // Ten standard deviations.
    t.ok(
      counts.every(count => Math.abs(count - 2000) < 430),
      `${seed}: ${counts.join()}`,
    )
  }
  const whole = new Random(1)
  const drawn = new Set(Array.from({ length: 1000 }, () => whole.from([3, 6])))
  t.same(
    [...drawn].toSorted((a, b) => a - b),
    [3, 4, 5, 6],
    'both bounds are drawn',
  )
  t.equal(whole.from(7), 7)
  t.not(Number.isInteger(whole.from([0.5, 2.5])), true)
  const parent = new Random('x')
  const before = parent.fork('a').number()
  parent.number()
  t.equal(parent.fork('a').number(), before, 'a fork does not depend on what was drawn')
  t.not(parent.fork('b').number(), before)
  t.end()
})
