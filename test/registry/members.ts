import { idle, type Process, type RegistryName, start } from '../../src/index.js'
import type { Random } from '../../src/testing/random.js'
import type { Ends } from './redis-server.js'

/** A process without a connection, which writes down what it is told. */
export interface Idler {
  readonly process: Process<undefined, unknown, unknown, unknown, unknown>
  readonly heard: unknown[]
}

/** Starts one, which ends with the test. It answers each call with what it was asked. */
export async function idler(t: Ends, name?: RegistryName): Promise<Idler> {
  const heard: unknown[] = []
  const process = await start<undefined, unknown, unknown>(
    'ws://nowhere.test/',
    {
      init: () => idle(undefined),
      handleInfo: message => void heard.push(message),
      handleCast: message => void heard.push(message),
      handleCall: message => ({ answer: ['answer', message] }),
    },
    name === undefined ? {} : { name },
  )
  void process.ended
  t.teardown(() => process.stop(undefined, { timeoutMs: 0 }))
  return { process, heard }
}

/** Waits until something is so. */
export async function until(what: () => unknown, ms = 10_000): Promise<void> {
  const end = performance.now() + ms
  while (!(await what())) {
    if (performance.now() > end) throw new Error(`it did not become so: ${String(what)}`)
    await new Promise(done => setTimeout(done, 5))
  }
}

/** A whole number from 0 on, below `end`. */
export const below = (random: Random, end: number): number => Math.floor(random.number() * end)

/** Does something that may fail, once more so many times. */
export async function again<T>(times: number, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    if (times === 0) throw error
    return again(times - 1, work)
  }
}
