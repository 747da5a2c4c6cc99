// Strategy: three programs with some hundreds of processes each, traffic at random among them, and faults: a node killed, Redis
// killed and started again empty, or followed by one that had not heard the last, a node cut off for longer than the lease, or for
// a moment, or its connections reset, with answers on their way or without; in an order that a seed decides (SEED=… tries one
// again). Afterwards everything heals and rests, and then what was promised is compared with what was heard:
//   no name has two holders, and all nodes see the same one       no process heard a message twice, or after its end
//   no name has a fence that is less than one it had before
//   every member is reached again                                  a message to a name came if it was said so
//   who was a member on the sender's own node heard it            what was counted was heard, and no more
import type { Test } from 'tap'
import { Random } from '../../src/testing/random.js'
import { ClusterNode } from './cluster-nodes.js'
import type { Greetings, Report, View } from './cluster-worker.js'
import { below } from './members.js'
import { type Kind, RedisServer } from './redis-server.js'

const PROCESSES = 300
const KINDS: readonly Kind[] = ['redis', 'ioredis', 'redis']
const WANTED = process.env['SCHEDULES']
const SCHEDULES = WANTED === undefined ? (process.env['CI'] === undefined ? 2 : 10) : Number(WANTED)
/** No further one is begun after that, unless it was wanted: `SCHEDULES=50 npx tap --timeout=0`. */
const BUDGET_MS = WANTED === undefined ? 90_000 : Infinity
/** `fail over`: a replica that lags takes over. */
const FAULTS = ['cut', 'blink', 'reset', 'hush', 'restart', 'fail over'] as const
const seed = process.env['SEED'] ?? String(Math.floor(Math.random() * 1e9))

const pause = (ms: number): Promise<void> => new Promise(done => setTimeout(done, ms))

/**
 * Tries schedules with or without a node that is killed: without one, nothing that was heard is lost, and every count must be right.
 */
export async function trySchedules(t: Test, kill: boolean): Promise<void> {
  t.comment(`SEED=${seed}`)
  let server = await RedisServer.start(t)
  const nodes = await Promise.all(KINDS.map(kind => ClusterNode.start(t, kind, server.port)))
  const endMs = performance.now() + BUDGET_MS
  for (let i = 0; i < SCHEDULES; i++) {
    if (performance.now() > endMs) {
      t.comment(`only ${i} of ${SCHEDULES} schedules: this machine is busy`)
      break
    }
    const random = new Random(`${seed}/${i}/${kill}`)
    const faults: string[] = [...FAULTS]
    if (kill) faults.push('kill')
    const order: string[] = []
    while (faults.length > 0) order.push(...faults.splice(below(random, faults.length), 1))
    const ends = t
    await t.test(`${seed}/${i}: ${order.join(', ')}`, async t => {
      const prefix = `cluster-${i}`
      await Promise.all(nodes.map((node, n) => node.begin(prefix, `${seed}/${i}/${n}`, PROCESSES)))
      // It takes a while to begin.
      const spare = kill ? ClusterNode.start(ends, KINDS[0], server.port) : null
      const fences = new Map<string, number>()
      for (const fault of order) {
        await pause(50 + below(random, 200))
        for (const [name, seen] of Object.entries(await nodes[0].check().catch(() => ({})))) {
          fences.set(name, Math.max(seen?.[1] ?? 0, fences.get(name) ?? 0))
        }
        const n = below(random, nodes.length)
        const { proxy } = nodes[n]
        if (fault === 'reset') proxy.reset()
        else if (fault === 'hush') {
          proxy.hush()
          await pause(20 + below(random, 100))
          proxy.reset()
        } else if (fault === 'fail over') {
          const replica = await server.lagging(ends, 50 + below(random, 100))
          await server.kill()
          server = replica
          for (const node of nodes) {
            node.proxy.target = server.port
            node.proxy.reset()
          }
        } else if (fault === 'restart') {
          await server.kill()
          await pause(below(random, 500))
          await server.start()
        } else if (fault === 'kill') {
          await nodes[n].kill()
          nodes[n] = await spare!
          nodes[n].proxy.target = server.port
          nodes[n].proxy.reset()
          await nodes[n].begin(prefix, `${seed}/${i}/${n}/again`, PROCESSES)
        } else {
          proxy.cut()
          await pause(fault === 'cut' ? 600 + below(random, 600) : below(random, 200))
          proxy.heal()
        }
      }
      // Long enough for somebody to come and go in the sessions that stay.
      await pause(500)
      await Promise.all(nodes.map(node => node.tell('rest')))
      const { greetings, reports, views } = await healed(nodes)
      const sum = (what: (report: Report) => number): number =>
        reports.reduce((all, one) => all + what(one), 0)
      t.comment(
        `${sum(({ published }) => published.length)} published, ${sum(({ sent }) => sent.length)} sent, ` +
          `${sum(({ heard }) => Object.values(heard).reduce((a, b) => a + b, 0))} heard, ` +
          `${sum(({ conflicts }) => conflicts)} conflicts, ${sum(({ ended }) => ended)} ended`,
      )
      t.same(namesWrong(reports, views), [], 'each name has one holder, and all nodes agree')
      t.same(
        Object.entries(views[0]).filter(([name, seen]) => seen !== null && seen[1] < (fences.get(name) ?? 0)),
        [],
        'no fence is less than one before',
      )
      t.same(greetingsWrong(reports, greetings), [], 'every name and every member is reached from everywhere')
      t.same(
        reports.flatMap(({ wrong }) => wrong),
        [],
        'nothing was heard twice or too late, and everything by those on the same node',
      )
      t.same(countsWrong(reports, kill), [], 'what was counted was heard')
      await Promise.all(nodes.map(node => node.tell('end')))
    })
  }
  await Promise.all(nodes.map(node => node.kill()))
}

interface Outcome {
  readonly greetings: readonly Greetings[]
  readonly reports: readonly Report[]
  readonly views: readonly View[]
}

/** Waits until all nodes see the same. @returns the last look at it, well or not. */
async function healed(nodes: readonly ClusterNode[]): Promise<Outcome> {
  // On a busy machine a node may miss its short lease again at any time.
  for (let attempt = 0; ; attempt++) {
    await pause(200)
    let last: Outcome | null = null
    try {
      const greetings = await Promise.all(nodes.map(node => node.greet()))
      // Who was greeted may still have to hear it.
      await pause(50)
      const views = await Promise.all(nodes.map(node => node.check()))
      last = { greetings, views, reports: await Promise.all(nodes.map(node => node.report())) }
    } catch (error) {
      if (attempt > 40) throw error
    }
    if (last === null) continue
    const { greetings, reports, views } = last
    const fine = namesWrong(reports, views).length + greetingsWrong(reports, greetings).length === 0
    if (fine || attempt > 40) return last
  }
}

/** Names that have two holders, or another one than somebody sees. */
function namesWrong(reports: readonly Report[], views: readonly View[]): string[] {
  const wrong: string[] = []
  for (const name of Object.keys(views[0])) {
    const holders = reports.filter(({ names }) => name in names).map(({ node }) => node)
    if (holders.length > 1) wrong.push(`${name} has the holders ${holders.join(', ')}`)
    const seen = views.map(view => view[name])
    for (const [i, one] of seen.entries()) {
      const [node = null, fence = 0, here = false] = one ?? []
      if (node !== (holders.at(0) ?? null)) wrong.push(`${name} is of ${holders.join()} and seen at ${node}`)
      if (fence !== (seen[0]?.[1] ?? 0)) wrong.push(`${name} has two fences`)
      if (here !== (node === reports[i].node)) wrong.push(`${name} is not where it is seen`)
    }
  }
  return wrong
}

/** Names and groups that a message did not reach as it should, when all was well again. */
function greetingsWrong(reports: readonly Report[], greetings: readonly Greetings[]): string[] {
  const wrong: string[] = []
  for (const { groups, names } of greetings) {
    for (const [group, { recipients, nodes, confirmed }] of Object.entries(groups)) {
      const counts = reports.map(({ members }) => members[group] ?? 0)
      const wanted = [counts.reduce((a, b) => a + b), counts.filter(count => count > 0).length]
      if (recipients !== wanted[0] || nodes !== wanted[1] || confirmed !== wanted[1]) {
        wrong.push(`${group} has ${wanted.join(' on ')}, reached ${recipients} on ${confirmed} of ${nodes}`)
      }
    }
    for (const [name, ok] of Object.entries(names)) {
      if (ok !== reports.some(report => name in report.names)) wrong.push(`${name}: ${ok}`)
    }
  }
  return wrong
}

/** Messages of which more or less was heard than was said. @param killed - what some processes heard is not known. */
function countsWrong(reports: readonly Report[], killed: boolean): string[] {
  const heard = (id: string): number => reports.reduce((all, one) => all + (one.heard[id] ?? 0), 0)
  // Who ends may have a message, and not have come to hear it.
  const ended = reports.reduce((all, one) => all + one.ended, 0)
  let missing = 0
  const wrong: string[] = []
  const compare = (id: string, count: number, sure: boolean): void => {
    const real = heard(id)
    if (sure ? real > count : false) wrong.push(`${id} was counted ${count} times and heard ${real} times`)
    if (real < count) missing += count - real
  }
  for (const { published, sent } of reports) {
    for (const { id, recipients, nodes, confirmed } of published) compare(id, recipients, nodes === confirmed)
    for (const [id, ok] of sent) {
      compare(id, ok ? 1 : 0, ok)
      if (heard(id) > 1) wrong.push(`${id} was heard by two`)
    }
  }
  if (!killed && missing > ended) wrong.push(`${missing} messages were counted and not heard`)
  return wrong
}
