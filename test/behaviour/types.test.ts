// The behaviour contract, as the compiler knows it: `npm run typecheck` is what runs this file. Each line that must not compile
// says so, with its reason beside it, and is an error itself once it does compile. Nothing in here is executed but one line.
import t from 'tap'
import {
  type AnyProcess,
  type Behaviour,
  call,
  type CallResult,
  cast,
  childSpec,
  type ConnectionInfo,
  defineBehaviour,
  type DisconnectResult,
  type DisconnectStatus,
  type EndReason,
  type Frame,
  type From,
  idle,
  info,
  type Message,
  type NamedProcess,
  once,
  type PongInfo,
  type Process,
  reconnect,
  reply,
  type Result,
  type Self,
  send,
  start,
  stop,
  whereis,
} from '../../src/index.js'

type IsAny<T> = 0 extends 1 & T ? true : false

/** True for the same type, and for `any` with nothing but `any`. */
type Same<A, B> =
  IsAny<A> extends true ? IsAny<B> : [A] extends [B] ? ([B] extends [A] ? true : false) : false

/** Compiles when both types are the same. */
// oxlint-disable-next-line typescript/no-unnecessary-type-parameters -- the parameter is what is checked
const same = <_T extends true>(): void => {}

const sentBack = (message: Message): Frame => message

const URL = 'ws://types.test/'

interface State {
  readonly seen: number
}

const stories: Readonly<Record<string, () => unknown>> = {
  'the state is what init gives': async () => {
    const plain = await start(URL, {
      init: () => ({ seen: 0 }),
      handleFrame: (frame, state, self) => {
        same<Same<typeof frame, Message>>()
        same<Same<typeof state, { seen: number }>>()
        same<Same<typeof self, Self>>()
        return { state: { seen: state.seen + 1 } }
      },
      terminate: (reason, state) => {
        same<Same<typeof reason, EndReason>>()
        same<Same<typeof state, { seen: number }>>()
      },
      formatStatus: ({ state }) => state.seen,
    })
    same<Same<Awaited<ReturnType<typeof plain.getState>>, { seen: number }>>()
    await plain.replaceState(state => ({ seen: state.seen * 2 }))
    // @ts-expect-error -- another state
    await plain.replaceState(() => 'nothing')

    const promised = await start(URL, {
      init: async () => new Map<string, number>(),
      handleConnect: (connection, state) => {
        same<Same<typeof connection, ConnectionInfo>>()
        same<Same<typeof state, Map<string, number>>>()
      },
    })
    same<Same<Awaited<ReturnType<typeof promised.getState>>, Map<string, number>>>()

    const later = await start(URL, { init: () => idle('begin') })
    same<Same<Awaited<ReturnType<typeof later.getState>>, string>>()
    const single = await start(URL, { init: async () => once(5) })
    same<Same<Awaited<ReturnType<typeof single.getState>>, number>>()
    const lasting = await start(URL, { init: () => reconnect([1, 2]) })
    same<Same<Awaited<ReturnType<typeof lasting.getState>>, number[]>>()
  },

  'the state may be of a type that is named': async () => {
    const feed = await start(URL, {
      init: (): State => ({ seen: 0 }),
      handleFrame: (_frame, { seen }) => ({ state: { seen: seen + 1 } }),
    })
    same<Same<Awaited<ReturnType<typeof feed.getState>>, State>>()
    // One that is wider than what it begins with.
    const wide = await start(URL, {
      init: (): string | null => null,
      handleFrame: ({ data }) => ({ state: String(data) }),
    })
    same<Same<Awaited<ReturnType<typeof wide.getState>>, string | null>>()
  },

  'a result with another state does not compile': async () => {
    await start(URL, {
      init: () => ({ seen: 0 }),
      // @ts-expect-error -- the state is no number
      handleFrame: () => ({ state: 5 }),
      // @ts-expect-error -- it lacks a key
      handleConnect: () => ({ state: {} }),
      // @ts-expect-error -- nor is a promise of another state a state
      handlePing: async () => ({ state: { seen: 'many' } }),
      // @ts-expect-error -- and after a disconnect it is the same
      handleDisconnect: () => ({ state: null }),
    })
  },

  'what each callback is given': async () => {
    await start(
      URL,
      {
        init: (args: { readonly name: string }, self) => {
          same<Same<typeof self, Self>>()
          return args.name
        },
        handlePing: (payload, state, self) => {
          same<Same<typeof payload, Uint8Array>>()
          same<Same<typeof state, string>>()
          same<Same<typeof self, Self>>()
        },
        handlePong: (payload, _state, pong, self) => {
          same<Same<typeof payload, Uint8Array>>()
          same<Same<typeof pong, PongInfo>>()
          same<Same<typeof self, Self>>()
        },
        handleDrain: (state, self) => {
          same<Same<typeof state, string>>()
          same<Same<typeof self, Self>>()
        },
        handleInfo: message => {
          same<Same<typeof message, unknown>>()
        },
        handleDisconnect: (status, state) => {
          same<Same<typeof status, DisconnectStatus>>()
          same<Same<typeof state, string>>()
        },
      },
      { args: { name: 'x' } },
    )
  },

  'what each callback may answer': async () => {
    await start(URL, {
      init: () => 1,
      handleConnect: () => ({ reply: [{ type: 'ping' }, 'text', Uint8Array.of(1)], keepalive: 1000 }),
      handleFrame: () => ({
        reply: { type: 'text', data: 'x' },
        close: { code: 4000 },
        flow: 1,
        keepalive: false,
      }),
      handlePing: () => ({ close: true, stop: new Error('x') }),
      handlePong: async () => {},
      handleCast: (_message: string) => undefined,
      handleCall: () => ({ answer: 5, state: 2, reply: [] }),
      handleDisconnect: ({ phase }) =>
        phase === 'dns' ? { stay: true } : { reconnect: { delayMs: 5, target: URL } },
      terminate: () => 'whatever',
    })
  },

  'keys that there are not, or not there': async () => {
    await start(URL, {
      init: () => 1,
      // @ts-expect-error -- reconnect belongs to handleDisconnect
      handleFrame: () => ({ reconnect: true }),
      // @ts-expect-error -- and so does stay
      handleConnect: () => ({ stay: true }),
      // @ts-expect-error -- an answer is for a call
      handleInfo: (): Result<number> => ({ answer: 5 }),
      // @ts-expect-error -- nothing can be sent to a connection that is gone
      handleDisconnect: () => ({ reply: 'too late' }),
      // @ts-expect-error -- a string is no result
      handlePing: () => 'ok',
      // @ts-expect-error -- nor is a boolean
      handlePong: () => true,
      // @ts-expect-error -- nor is null
      handleDrain: () => null,
    })
    await start(URL, {
      // @ts-expect-error -- credits are a number
      handleFrame: () => ({ flow: '1' }),
      // @ts-expect-error -- closing is true, or a code and a reason
      handleConnect: () => ({ close: 'bye' }),
      // @ts-expect-error -- a code is a number
      handlePing: () => ({ close: { code: '1000' } }),
      // @ts-expect-error -- an interval is a number
      handlePong: () => ({ keepalive: '20s' }),
      // @ts-expect-error -- a delay is a number
      handleDisconnect: () => ({ reconnect: { delayMs: '5s' } }),
    })
    const results: Result<number>[] = [
      // @ts-expect-error -- a misspelt key
      { sate: 1 },
      // @ts-expect-error -- false is no way to close
      { close: false },
    ]
    const afterwards: DisconnectResult<number>[] = [
      // @ts-expect-error -- false is no way to reconnect
      { reconnect: false },
      // @ts-expect-error -- nor to stay
      { stay: false },
      // @ts-expect-error -- there is nothing to close any more
      { close: true },
    ]
    const calls: CallResult<number, string>[] = [
      { answer: 'x' },
      // @ts-expect-error -- another answer
      { answer: 5 },
    ]
    return [results, afterwards, calls]
  },

  frames: () => {
    const frames: Frame[] = [
      'text',
      new Uint8Array(1),
      new ArrayBuffer(1),
      new DataView(new ArrayBuffer(1)),
      { type: 'text', data: 'x' },
      { type: 'text', data: ['x'] },
      { type: 'binary', data: new Uint8Array(1) },
      { type: 'binary', data: [new Uint8Array(1)] },
      { type: 'binary', data: new Blob([]) },
      { type: 'ping' },
      { type: 'pong', data: 'x' },
      { type: 'close' },
      { type: 'close', code: 4000, reason: 'x' },
      { type: 'fragment', kind: 'text', data: 'x' },
      { type: 'fragment', kind: 'binary', data: new Uint8Array(1) },
      { type: 'continuation', data: 'x' },
      { type: 'finish', data: new Uint8Array(1) },
      // @ts-expect-error -- a number
      5,
      // @ts-expect-error -- an unknown type
      { type: 'txt', data: 'x' },
      // @ts-expect-error -- without data
      { type: 'text' },
      // @ts-expect-error -- bytes are no text
      { type: 'text', data: new Uint8Array(1) },
      // @ts-expect-error -- a text is no bytes
      { type: 'binary', data: 'x' },
      // @ts-expect-error -- parts of another type
      { type: 'text', data: [new Uint8Array(1)] },
      // @ts-expect-error -- parts of another type
      { type: 'binary', data: ['x'] },
      // @ts-expect-error -- a fragment says what it is one of
      { type: 'fragment', data: 'x' },
      // @ts-expect-error -- a fragment of a text is a text
      { type: 'fragment', kind: 'text', data: new Uint8Array(1) },
      // @ts-expect-error -- a code is a number
      { type: 'close', code: '1000' },
    ]
    return [frames, sentBack]
  },

  'casts, calls and infos have the types of their handlers': async () => {
    const feed = await start(URL, {
      init: () => 1,
      handleCast: (message: { readonly text: string }) => ({ reply: message.text }),
      handleCall: (message: 'size' | 'name', from: From<string | number>, _state, self) => {
        self.info(from)
        return { answer: message === 'size' ? 5 : 'x' }
      },
      handleInfo: (message: { readonly tick: number }) => void message.tick,
    })
    feed.cast({ text: 'x' })
    // @ts-expect-error -- another cast
    feed.cast('x')
    const answer = await feed.call('size', { timeoutMs: 5 })
    same<Same<typeof answer, string | number>>()
    // @ts-expect-error -- another call
    await feed.call('length')
    feed.info({ tick: 5 })
    feed.sendAfter({ tick: 5 }, 100)
    // @ts-expect-error -- another info
    feed.info('tick')
    // @ts-expect-error -- a delay in ms
    feed.sendAfter({ tick: 5 })

    cast(feed, { text: 'x' })
    // @ts-expect-error -- another cast
    cast(feed, 'x')
    same<Same<typeof answer, Awaited<ReturnType<typeof feed.call>>>>()
    const again = await call(feed, 'name')
    same<Same<typeof again, string | number>>()
    // @ts-expect-error -- another call
    await call(feed, 'length')
    info(feed, { tick: 1 })
    // @ts-expect-error -- another info
    info(feed, 'x')
    await send(feed, 'x')
    await stop(feed, 'x', { timeoutMs: 5 })
  },

  'a process without a handler takes none of its messages': async () => {
    const feed = await start(URL, {})
    // @ts-expect-error -- there is no handleCast
    feed.cast('x')
    // @ts-expect-error -- there is no handleCall
    await feed.call('x')
  },

  'an answer has the type of the calls': async () => {
    await start(URL, {
      handleCall: (_message: string, from: From<number>) => {
        reply(from, 5)
        // @ts-expect-error -- another answer
        reply(from, 'five')
        return { answer: 6 }
      },
    })
    await start(URL, {
      // @ts-expect-error -- another answer than it says in `from`
      handleCall: (_message: string, _from: From<number>) => ({ answer: 'six' }),
    })
  },

  'args are those of init': async () => {
    const behaviour = defineBehaviour({ init: (args: { readonly token: string }) => ({ token: args.token }) })
    await start(URL, behaviour, { args: { token: 'x' } })
    // @ts-expect-error -- other args
    await start(URL, behaviour, { args: { tken: 'x' } })
    childSpec({ id: 'child', target: URL, behaviour, options: { args: { token: 'x' } } })
    // @ts-expect-error -- other args of a child
    childSpec({ id: 'child', target: URL, behaviour, options: { args: 5 } })
  },

  'defineBehaviour gives a behaviour its types': async () => {
    const counter = defineBehaviour({
      init: () => ({ count: 0 }),
      handleCast: (by: number, state) => ({ state: { count: state.count + by } }),
      handleCall: (_message: 'count', _from: From<number>, state) => ({ answer: state.count }),
    })
    defineBehaviour({
      init: () => 1,
      // @ts-expect-error -- checked there already
      handlePing: () => ({ state: 'none' }),
    })
    const feed = await start(URL, counter)
    feed.cast(5)
    // @ts-expect-error -- another cast
    feed.cast('five')
    const count = await feed.call('count')
    same<Same<typeof count, number>>()

    const explicit: Behaviour<State, string> = {
      init: () => ({ seen: 0 }),
      handleCast: (message, state) => ({ reply: message, state }),
    }
    const other = await start(URL, explicit)
    other.cast('x')
    // @ts-expect-error -- another cast
    other.cast(5)
    const changed = await feed.changeBehaviour(explicit)
    changed.cast('x')
    // @ts-expect-error -- it is another behaviour now
    changed.cast(5)
  },

  options: async () => {
    await start(
      URL,
      {},
      { keepalive: false, whenNotOpen: { type: 'queue', maxBytes: 5 }, reconnect: { retries: 3 } },
    )
    // @ts-expect-error -- a misspelt option
    await start(URL, {}, { keepAlive: 5 })
    // @ts-expect-error -- a process has handleFrame
    await start(URL, {}, { onMessage: () => {} })
    // @ts-expect-error -- there is no such way
    await start(URL, {}, { whenNotOpen: 'later' })
    // @ts-expect-error -- a misspelt option of the policy
    await start(URL, {}, { reconnect: { retry: 3 } })
    // @ts-expect-error -- a decision has both
    await start(URL, {}, { reconnect: { decide: () => ({ retries: 5 }) } })
    // @ts-expect-error -- a decision is made at once
    await start(URL, {}, { reconnect: { decide: async () => 'fatal' } })
    // @ts-expect-error -- a name is no number
    await start(URL, {}, { name: 5 })
    // @ts-expect-error -- a link is to a process, not to a name
    await start(URL, {}, { link: 'feed' })
    // @ts-expect-error -- a callback that there is not
    await start(URL, { handleMessage: () => {} })
  },

  names: async () => {
    const named = whereis('feed')
    same<Same<typeof named, NamedProcess | null>>()
    named?.cast('anything')
    const far = await whereis({ global: 'feed' })
    same<Same<typeof far, NamedProcess | null>>()
    const answer = await call<number>('feed', 'anything')
    same<Same<typeof answer, number>>()
    await start(URL, {}, { link: named! })
  },

  'a process fits where only its end matters': async () => {
    const feed = await start(URL, { init: () => 1, handleCast: (_message: string) => {} })
    const processes: Pick<Process, 'ended' | 'stop'>[] = [feed]
    const typed: Process<number, string> = feed
    const anybody: AnyProcess = feed
    // @ts-expect-error -- nobody knows what it takes
    anybody.cast('x')
    return [processes, typed]
  },
}

t.test('the types of behaviours', t => {
  // That this file compiles is the test; a behaviour is the same object before and after it got its types.
  const behaviour = {}
  t.equal(defineBehaviour(behaviour), behaviour)
  for (const [name, story] of Object.entries(stories)) t.type(story, 'function', name)
  t.end()
})
