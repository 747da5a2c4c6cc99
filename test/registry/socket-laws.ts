// What cluster-sockets.test.ts wants of what was said and heard. Each law gives what breaks it, in words.
import type { Crowd } from './socket-crowd.js'
import type { Look, Said } from './socket-node.js'

/** How long after its end a message may still have been on its way to somebody whose connection ended. */
const GRACE_MS = 3000

/** Names that have no holder or two, or that are not seen as they are. */
export function holdersWrong(crowd: Crowd, looks: readonly Look[]): string[] {
  const wrong: string[] = []
  const holders = new Map<string, number>()
  for (const { named, name } of crowd.open) if (named) holders.set(name, (holders.get(name) ?? 0) + 1)
  for (const name of crowd.names) {
    const count = holders.get(name) ?? 0
    if (count !== 1) wrong.push(`${name} has ${count} holders`)
    const seen = new Set(looks.map(look => JSON.stringify(look[name])))
    if (seen.size !== 1 || seen.has('null')) wrong.push(`${name} is seen as ${[...seen].join(' and ')}`)
  }
  return wrong
}

/** Messages that one connection heard twice, and messages to a name that two heard. */
export function heardWrong(crowd: Crowd, said: readonly Said[]): string[] {
  const wrong: string[] = []
  for (const { id, heard } of crowd.all) {
    for (const [message, count] of heard) if (count > 1) wrong.push(`${id} heard ${message} ${count} times`)
  }
  for (const { id, kind } of said) {
    const by = kind === 'send' ? hearersOf(crowd, id) : []
    if (by.length > 1) wrong.push(`${id} was heard by ${by.join(' and ')}`)
  }
  return wrong
}

/** Members on the sender's own node, who live, and did not hear it. */
export function localsWrong(crowd: Crowd, said: readonly Said[]): string[] {
  const living = new Map([...crowd.open].map(one => [one.id, one]))
  return said.flatMap(({ id, here }) =>
    here.filter(one => living.get(one)?.heard.has(id) === false).map(one => `${one} did not hear ${id}`),
  )
}

/**
 * Messages of which more or less was heard than counted.
 *
 * @param processes - when those ended whose nodes live: a client knows of its end before its process does, which can be told of a
 * message until then.
 */
export function countsWrong(
  crowd: Crowd,
  said: readonly Said[],
  processes: Readonly<Record<string, number>>,
): string[] {
  const wrong: string[] = []
  const ended = crowd.all.flatMap(({ id, endedMs, name, groups }) =>
    endedMs === null ? [] : { endedMs, lastMs: Math.max(endedMs, processes[id] ?? 0), of: [name, ...groups] },
  )
  for (const { id, to, recipients, nodes, confirmed, beganMs, endedMs } of said) {
    if (recipients === null) continue
    const heard = hearersOf(crowd, id).length
    const lost = ended.filter(
      one => one.of.includes(to) && one.lastMs >= beganMs && one.endedMs <= endedMs + GRACE_MS,
    ).length
    const counted = `${id} to ${to} was counted ${recipients} times and heard ${heard} times`
    if (heard < recipients - lost) wrong.push(`${counted}, and ${lost} ended`)
    if (nodes === confirmed && heard > recipients) wrong.push(counted)
  }
  return wrong
}

/** Messages that did not come to all whom they were for, with nobody in the way. */
export function quietWrong(crowd: Crowd, said: readonly Said[]): string[] {
  const wrong: string[] = []
  for (const { id, kind, to, recipients, nodes, confirmed } of said) {
    const wanted = [...crowd.open].filter(one =>
      kind === 'send' ? one.named && one.name === to : one.groups.includes(to),
    )
    const on = kind === 'send' ? 1 : new Set(wanted.map(({ url }) => url)).size
    const heard = wanted.filter(one => one.heard.has(id)).length
    if (heard !== wanted.length || recipients !== heard || nodes !== on || confirmed !== on) {
      wrong.push(
        `${kind} ${id} to ${to}, who are ${wanted.length} on ${on}: ` +
          `heard by ${heard}, counted ${recipients} on ${confirmed} of ${nodes}`,
      )
    }
  }
  return wrong
}

const index = new WeakMap<Crowd, Map<string, string[]>>()

/** The connections that heard a message. Looked up when everything was heard. */
function hearersOf(crowd: Crowd, id: string): readonly string[] {
  let all = index.get(crowd)
  if (all === undefined) {
    all = new Map()
    for (const { id: by, heard } of crowd.all) {
      for (const message of heard.keys()) {
        const known = all.get(message)
        if (known === undefined) all.set(message, [by])
        else known.push(by)
      }
    }
    index.set(crowd, all)
  }
  return all.get(id) ?? []
}
