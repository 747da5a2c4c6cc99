// Strategy: everything that may happen to one process, as data, for the property in test/behaviour/every-failure.test.ts: what
// the server does with each connection, what its user does and when, and which options and callbacks there are. Each part is
// drawn on its own, so a counterexample shrinks to the few that matter.
import * as fc from 'fast-check'

/** What the server does with one connection. */
export type Fate =
  | { readonly kind: 'refuse' | 'hang' | 'freeze' | 'serve' | 'deaf' }
  | { readonly kind: 'status'; readonly status: number }
  | { readonly kind: 'reset'; readonly bytes: number; readonly direction: 'to-client' | 'to-server' }
  | { readonly kind: 'end' | 'talk'; readonly afterMs: number }
  | { readonly kind: 'close'; readonly code: number; readonly afterMs: number }
  | { readonly kind: 'garbage'; readonly bytes: Uint8Array; readonly instead: boolean }

/** What is sent, and how: `send()` or `write()`. */
export interface Sending {
  readonly how: 'send' | 'write'
  readonly frames: number
  readonly bytes: number
}

/** A message in parts: how many, how long each takes, and which never comes or fails. */
export interface Streaming {
  readonly how: 'send' | 'write'
  readonly parts: number
  readonly everyMs: number
  readonly flaw: 'hangs' | 'fails' | null
  readonly flawAt: number
}

/** What the user of the process does. */
export type Step =
  | ({ readonly kind: 'send' } & Sending)
  | ({ readonly kind: 'stream' } & Streaming)
  | { readonly kind: 'fragments'; readonly pauseMs: number }
  | { readonly kind: 'close'; readonly code: number }
  | { readonly kind: 'flow'; readonly credits: number }
  | { readonly kind: 'cast' | 'info' | 'call' | 'connect' | 'change' }

/** A story. */
export interface Schedule {
  readonly seed: number
  readonly fates: readonly Fate[]
  readonly steps: readonly { readonly atMs: number; readonly step: Step }[]
  readonly stop: { readonly atMs: number; readonly how: 'stop' | 'abort' | 'error' | 'kill' }
  /** The number of the callback that fails, counted over all of them, and how. */
  readonly fault: {
    readonly call: number
    readonly how: 'throw' | 'reject' | 'answer' | 'close' | 'stop'
  } | null
  /** Every callback whose number divides by this takes so long. */
  readonly slow: { readonly every: number; readonly ms: number }
  /** What `init` says. */
  readonly mode: 'idle' | 'once' | 'reconnect' | null
  /** What `handleDisconnect` answers; `absent` is no such callback. */
  readonly disconnect: 'absent' | 'nothing' | 'reconnect' | 'stay'
  /** How callbacks send by themselves, besides their replies. */
  readonly self: 'send' | 'write' | null
  /** Another process it is linked to, which ends before it does. */
  readonly linked: {
    readonly atMs: number
    readonly how: 'stop' | 'error'
    readonly trapExit: boolean
  } | null
  /** The target is a function, and fails every so often. */
  readonly target: { readonly failsEvery: number } | null
  readonly options: {
    readonly async: boolean
    readonly reconnect: 'no' | 'yes' | 'clean'
    readonly handleInitialFailure: boolean | undefined
    readonly whenNotOpen: 'error' | 'drop' | 'queue'
    readonly ttlMs: number
    readonly flow: number
  }
  readonly latencyMs: number
  readonly windowBytes: number
}

const ms = (max: number): fc.Arbitrary<number> => fc.integer({ min: 0, max })
const kind = <const K extends string>(...kinds: K[]): fc.Arbitrary<{ kind: K }> =>
  fc.record({ kind: fc.constantFrom(...kinds) })
const how = fc.constantFrom('send' as const, 'write' as const)

const fate: fc.Arbitrary<Fate> = fc.oneof(
  { weight: 4, arbitrary: kind('serve') },
  kind('refuse', 'hang', 'freeze', 'deaf'),
  fc.record({ kind: fc.constant('status' as const), status: fc.constantFrom(401, 404, 503) }),
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant('reset' as const),
      bytes: fc.integer({ min: 0, max: 600 }),
      direction: fc.constantFrom('to-client' as const, 'to-server' as const),
    }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constantFrom('end' as const, 'talk'), afterMs: ms(3000) }) },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant('close' as const),
      code: fc.constantFrom(1000, 1001, 1005, 1011, 4000),
      afterMs: ms(3000),
    }),
  },
  fc.record({
    kind: fc.constant('garbage' as const),
    bytes: fc.uint8Array({ minLength: 1, maxLength: 40 }),
    instead: fc.boolean(),
  }),
)

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant('send' as const),
      how,
      frames: fc.integer({ min: 1, max: 4 }),
      bytes: fc.constantFrom(1, 200, 5000),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant('stream' as const),
      how,
      parts: fc.integer({ min: 1, max: 4 }),
      everyMs: fc.constantFrom(0, 10, 900),
      flaw: fc.constantFrom(null, null, 'hangs' as const, 'fails' as const),
      flawAt: fc.integer({ min: 0, max: 3 }),
    }),
  },
  fc.record({ kind: fc.constant('fragments' as const), pauseMs: fc.constantFrom(0, 500) }),
  fc.record({ kind: fc.constant('close' as const), code: fc.constantFrom(1000, 4002) }),
  fc.record({ kind: fc.constant('flow' as const), credits: fc.integer({ min: 0, max: 4 }) }),
  { weight: 4, arbitrary: kind('cast', 'info', 'call', 'connect', 'change') },
)

/** Any story. */
export const schedules: fc.Arbitrary<Schedule> = fc.record({
  seed: fc.integer(),
  fates: fc.array(fate, { minLength: 1, maxLength: 5 }),
  steps: fc.array(fc.record({ atMs: fc.oneof(fc.constant(0), ms(20_000)), step }), { maxLength: 8 }),
  stop: fc.record({
    atMs: ms(30_000),
    how: fc.constantFrom('stop' as const, 'abort' as const, 'error' as const, 'kill' as const),
  }),
  fault: fc.option(
    fc.record({
      call: fc.integer({ min: 1, max: 12 }),
      how: fc.constantFrom(
        'throw' as const,
        'reject' as const,
        'answer' as const,
        'close' as const,
        'stop' as const,
      ),
    }),
  ),
  slow: fc.record({ every: fc.integer({ min: 1, max: 6 }), ms: fc.constantFrom(0, 10, 700) }),
  mode: fc.constantFrom(null, null, null, 'idle' as const, 'once' as const, 'reconnect' as const),
  disconnect: fc.constantFrom('nothing' as const, 'absent', 'reconnect', 'stay'),
  self: fc.constantFrom(null, 'send' as const, 'write' as const),
  linked: fc.option(
    fc.record({
      atMs: ms(20_000),
      how: fc.constantFrom('stop' as const, 'error' as const),
      trapExit: fc.boolean(),
    }),
    { freq: 3 },
  ),
  target: fc.option(fc.record({ failsEvery: fc.integer({ min: 1, max: 5 }) }), { freq: 2 }),
  options: fc.record({
    async: fc.boolean(),
    reconnect: fc.constantFrom('yes' as const, 'no' as const, 'clean' as const),
    handleInitialFailure: fc.constantFrom(undefined, true, false),
    whenNotOpen: fc.constantFrom('error' as const, 'drop' as const, 'queue' as const),
    ttlMs: fc.constantFrom(500, Infinity),
    flow: fc.constantFrom(Infinity, Infinity, 0, 2),
  }),
  latencyMs: fc.constantFrom(0, 0, 20),
  windowBytes: fc.constantFrom(1024, 65_536),
})
