// Strategy: the process under count, one for each scenario. It warms up, so that what V8 compiles is compiled, then runs windows of
// equal turns: some for bytes, some for objects, and one that strace looks at, between two calls that mean nothing and are found in
// its log. Of all windows the least counts: noise only ever adds.
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { type Allocated, allocatedBy, type Objects, objectsOf } from './counts.js'
import { Barrier } from './barrier.js'
import { countNames, type CountName, MARKER, scenarioOf, TRACED_TURNS, turnsOf } from './scenarios.js'
import { turnOf } from './subjects.js'

/** What was found, by the turn; bytes by the message. */
export type Counts = Readonly<Record<CountName, number>>

const WARM_UP_WINDOWS = 20
const HEAP_WINDOWS = 7
const OBJECT_WINDOWS = 2

type Window = () => Promise<void>

async function times<T>(count: number, one: () => Promise<T>): Promise<T[]> {
  const found: T[] = []
  for (let i = 0; i < count; i++) found.push(await one())
  return found
}

const least = <T>(all: readonly T[], of: (one: T) => number): number => Math.min(...all.map(of))

async function countAll(active: Window, idle: Window, turns: number, messages: number): Promise<Counts> {
  await times(WARM_UP_WINDOWS, active)
  await times(2, idle)
  const bytes = await times(HEAP_WINDOWS, () => allocatedBy(active))
  const idleBytes = await times(HEAP_WINDOWS, () => allocatedBy(idle))
  const objects = await times(OBJECT_WINDOWS, () => objectsOf(active))
  const idleObjects = await times(OBJECT_WINDOWS, () => objectsOf(idle))
  const perMessage = (of: (one: Allocated) => number): number =>
    (least(bytes, of) - least(idleBytes, of)) / turns / messages
  const perTurn = (of: (one: Objects) => number): number =>
    (least(objects, of) - least(idleObjects, of)) / turns
  const found = countNames.map(name => [name, perTurn(one => one[name])] as const)
  return {
    ...(Object.fromEntries(found) as Counts),
    heap: perMessage(({ heap }) => heap),
    buffers: perMessage(({ buffers }) => buffers),
  }
}

async function main(name: string, folder: string): Promise<void> {
  const scenario = scenarioOf(name)
  const barrier = new Barrier(folder)
  const counterpart = fork(
    fileURLToPath(new URL('counterpart.js', import.meta.url)),
    ['--guard-counterpart', name, folder],
    { execArgv: [] },
  )
  counterpart.once('exit', () => process.exit(1))
  const ask = async (port: number): Promise<number> => {
    counterpart.send(port)
    const [answer] = (await once(counterpart, 'message')) as [number]
    return answer
  }
  const visit = async (port: number): Promise<void> => void (await ask(port))
  const turn = await turnOf({ scenario, barrier, visit, serve: () => ask(0) })
  const turns = turnsOf(scenario)
  const windowOf =
    (active: boolean, count: number): Window =>
    () =>
      new Promise(resolve => {
        let left = count
        const next = (): void => {
          if (left-- === 0) resolve()
          else turn(active, next)
        }
        setImmediate(next)
      })
  const counts = await countAll(windowOf(true, turns), windowOf(false, turns), turns, scenario.messages)
  process.send!(counts)
  const [traced] = (await once(process, 'message')) as [boolean]
  if (traced) {
    existsSync(MARKER)
    await windowOf(true, TRACED_TURNS)()
    existsSync(MARKER)
  }
  process.send!('over')
}

if (process.argv[2] === '--guard-program') {
  process.once('disconnect', () => process.exit())
  await main(process.argv[3], process.argv[4])
}
