// Strategy: one scenario for all callbacks that answer with a result: a process whose one callback answers once, made to do so
// by its server, by the test, or by the connection.
import type { Test } from 'tap'
import {
  type Behaviour,
  type DisconnectStatus,
  type EndReason,
  idle,
  type Process,
  type StartOptions,
} from '../../src/index.js'
import { Stage } from './stage.js'

/** A process whose state is a number. */
export type Feed = Process<number, string, string, unknown, string>

/** The callbacks that answer with a result, and what makes them run. */
export const CALLBACKS: Readonly<Record<string, (stage: Stage, feed: Feed) => unknown>> = {
  // It ran when the connection was opened.
  handleConnect: () => {},
  handleFrame: stage => stage.socket.write('go'),
  handlePing: stage => stage.socket.ping('go').catch(() => {}),
  handlePong: stage => stage.socket.pong('go'),
  handleCast: (_stage, feed) => feed.cast('go'),
  handleCall: (_stage, feed) => feed.call('go').catch(() => {}),
  handleInfo: (_stage, feed) => feed.info('go'),
  handleDrain: (_stage, feed) => {
    feed.write(FILLER)
    feed.write(FILLER)
  },
}
const FILLER = 'filler'.repeat(40)

/** A process of one callback, which answers once. */
export class Run {
  readonly stage: Stage
  readonly statuses: DisconnectStatus[] = []
  /** What `terminate` was told: how it ended, and the state. */
  readonly ends: (readonly [EndReason, number])[] = []
  feed!: Feed
  calls = 0

  constructor(t: Test) {
    this.stage = new Stage(t)
  }

  static async of(
    t: Test,
    callback: string,
    answer: () => unknown,
    options: StartOptions = {},
  ): Promise<Run> {
    const run = new Run(t)
    const { stage } = run
    const behaviour: Behaviour<number, string, string, unknown, string> = {
      handleCall: () => ({ answer: 'default' }),
      init: () => idle(1),
      handleDisconnect: status => void run.statuses.push(status),
      terminate: (reason, state) => void run.ends.push([reason, state]),
      [callback]: () => (++run.calls === 1 ? answer() : undefined),
    }
    run.feed = await stage.start(behaviour, { highWaterMark: 100, keepalive: false, ...options })
    await stage.network.run(run.feed.connect().catch(() => {}))
    CALLBACKS[callback]?.(stage, run.feed)
    await stage.network.settle()
    return run
  }

  /** What came from the process, but for what made its callback run. */
  heard(): string[] {
    return this.stage.heard().filter(frame => !frame.includes('filler') && frame !== 'pong "go"')
  }
}
