// Strategy: what is counted, as plain data that the guard, the process under count and its other end share. A scenario runs in
// turns that are all alike, so a count of a turn is the same number each time: one tick of sends; one chunk that was received;
// one chunk for each connection and all its echoes; one handshake and its end. Calls and objects are counted by the turn, where
// they are whole numbers; bytes by the message, where they can be compared.
import { frame, type Kind, payload, seeded } from '../sample.js'

/** What is counted, in the order of the table. System calls come on top, each by its name. */
export const countNames = ['heap', 'buffers', 'writes', 'promises', 'timers', 'ticks', 'microtasks'] as const
export type CountName = (typeof countNames)[number]

/** What the process under count does: one end of open connections, or of handshakes. */
export type Job = 'send' | 'receive' | 'echo' | 'connect' | 'accept'
/** How a message is sent: without a promise, with one that nobody waits for, or each when the one before has settled. */
export type How = 'write' | 'send' | 'await'

/** One scenario. */
export interface Scenario {
  readonly name: string
  readonly job: Job
  /** `socket` for `connect()` and `listen()`, `process` for `start()` and a server's behaviour. */
  readonly api: 'socket' | 'process'
  readonly how: How
  readonly kind: Kind
  readonly bytes: number
  /** In a turn, all connections together. */
  readonly messages: number
  readonly connections: number
  /** What a turn may have at most, whatever was measured. */
  readonly most: Readonly<Partial<Record<CountName, number>>>
}

/** What one chunk has in it: less than a kernel queues for a reader that is late. */
const CHUNK_BYTES = 48.5 * 1024
const NO_OBJECTS = { promises: 0, timers: 0 } as const

const standard = { how: 'write', kind: 'text', bytes: 125, messages: 1, connections: 1, most: {} } as const

type Apis = readonly (readonly [Scenario['api'], string])[]

/** The same for both layers. */
function each(apis: Apis, make: (api: Scenario['api'], via: string) => Scenario[]): Scenario[] {
  return apis.flatMap(([api, via]) => make(api, via))
}

const clients: Apis = [
  ['socket', 'connect()'],
  ['process', 'start()'],
]
const servers: Apis = [
  ['socket', 'listen()'],
  ['process', 'server behaviour'],
]

function sends(api: Scenario['api'], via: string): Scenario[] {
  const write = { ...standard, api, job: 'send', most: { ...NO_OBJECTS, writes: 2 } } as const
  const send = { ...write, how: 'send', most: { timers: 0, writes: 2 } } as const
  const inSequence = { ...write, how: 'await', most: { timers: 0 } } as const
  return [
    { ...write, name: `${via} write: 100 texts of 125 B`, messages: 100 },
    { ...write, name: `${via} write: 1 text of 125 B`, most: { ...NO_OBJECTS, writes: 1 } },
    { ...write, name: `${via} write: 100 texts of 16 B`, bytes: 16, messages: 100 },
    { ...write, name: `${via} write: 100 binary of 1 KiB`, kind: 'binary', bytes: 1024, messages: 100 },
    { ...send, name: `${via} send: 100 texts of 125 B`, messages: 100 },
    { ...inSequence, name: `${via} await send: 100 texts of 125 B`, messages: 100 },
    { ...inSequence, name: `${via} await send: 1 text of 125 B`, most: { timers: 0, writes: 1 } },
  ]
}

function receives(api: Scenario['api'], via: string): Scenario[] {
  const receive = { ...standard, api, job: 'receive', most: { ...NO_OBJECTS, writes: 0 } } as const
  return [
    { ...receive, name: `${via} receive: texts of 125 B`, messages: inChunk(125) },
    {
      ...receive,
      name: `${via} receive: binary of 1 KiB`,
      kind: 'binary',
      bytes: 1024,
      messages: inChunk(1024),
    },
    {
      ...receive,
      name: `${via} receive: binary of 16 KiB`,
      kind: 'binary',
      bytes: 16384,
      messages: inChunk(16384),
    },
  ]
}

function echoes(api: Scenario['api'], via: string): Scenario[] {
  const echo = { ...standard, api, job: 'echo', messages: 100 } as const
  return [
    { ...echo, name: `${via} echo: 100 texts on 1 connection`, most: { ...NO_OBJECTS, writes: 2 } },
    {
      ...echo,
      name: `${via} echo: a text on each of 100`,
      connections: 100,
      most: { ...NO_OBJECTS, writes: 100 },
    },
  ]
}

/** All of them. */
export const scenarios: readonly Scenario[] = [
  ...each(clients, sends),
  ...each(clients, receives),
  ...each(servers, echoes),
  ...each(clients, (api, via) => [{ ...standard, api, name: `${via} handshake and close`, job: 'connect' }]),
  ...each(servers, (api, via) => [{ ...standard, api, name: `${via} handshake and close`, job: 'accept' }]),
]

/** A file that is not there: whoever looks for it is seen in the log of strace. */
export const MARKER = '/sansocket-guard-marker'

/** How many turns make the window that strace looks at. */
export const TRACED_TURNS = 10

/** How many turns make any other window. */
export function turnsOf({ job, how, messages, connections }: Scenario): number {
  if (job === 'send' && messages === 1) return 600
  // What writes once for a message takes longer.
  return how === 'await' || connections > 1 ? 25 : 60
}

function inChunk(bytes: number): number {
  return Math.floor(CHUNK_BYTES / frame('binary', Buffer.alloc(bytes), false, Math.random).length)
}

/** What each message says. */
export function payloadOf({ kind, bytes }: Scenario): Buffer {
  return payload(kind, bytes, seeded(1))
}

/** The frames that one connection gets, or is to be sent, in a turn. */
export function framesOf(scenario: Scenario, masked: boolean): Buffer {
  const { kind, messages, connections } = scenario
  const random = seeded(2)
  const data = payloadOf(scenario)
  const frames = Array.from({ length: messages / connections }, () => frame(kind, data, masked, random))
  return Buffer.concat(frames)
}

/** The scenario of that name. */
export function scenarioOf(name: string): Scenario {
  const found = scenarios.find(one => one.name === name)
  if (found === undefined) throw new Error(`there is no scenario ${name}`)
  return found
}
