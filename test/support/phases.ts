// A process in each phase that it can be in and stay in, and the way from there to an open connection.
import type { AnyProcess, StartOptions } from '../../src/index.js'
import type { Stage } from './stage.js'

/** How a process that begins idle gets into a phase. */
export interface Phase {
  readonly options: StartOptions
  /** @returns what lets it go on, so that it is open in the end. */
  readonly enter: (stage: Stage, process: AnyProcess) => Promise<() => void>
}

export const PHASES: Readonly<Record<string, Phase>> = {
  idle: {
    options: {},
    enter: (_stage, process) => Promise.resolve(() => void process.connect()),
  },
  connecting: {
    options: {},
    enter: async (stage, process) => {
      stage.server.hang()
      void process.connect()
      await stage.network.settle()
      return () => stage.server.up()
    },
  },
  open: {
    options: {},
    enter: async (stage, process) => {
      await stage.network.run(process.connect())
      return () => {}
    },
  },
  closing: {
    options: { reconnect: { onClean: true, resetAfterMs: 0 } },
    enter: async (stage, process) => {
      await stage.network.run(process.connect())
      stage.server.partition()
      await stage.network.run(process.send({ type: 'close', code: 4000 }))
      return () => stage.server.heal()
    },
  },
  waiting: {
    options: { reconnect: { minDelayMs: 3000, jitter: 'none' } },
    enter: async (stage, process) => {
      await stage.network.run(process.connect())
      stage.server.link.reset()
      await stage.network.settle()
      return () => {}
    },
  },
}
