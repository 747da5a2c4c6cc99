// A program that imports everything, makes the first process and publishes one event of each type, with a listener and a
// subscriber that throw. It prints one line of JSON; what `DEBUG` asks for is on standard error.
import { subscribe } from 'node:diagnostics_channel'
import { CHANNELS } from '../../src/behaviour/channels.js'
import { Debug } from '../../src/behaviour/debug.js'
import { fakeStream, SAMPLES } from './event-samples.js'
import { turn } from './servers.js'

/** What this program saw. */
export interface TracedReport {
  /** Types that somebody wants before the first process was made, and after. */
  readonly atImport: readonly string[]
  readonly wanted: readonly string[]
  /** Types that the listener behind the throwing one was told. */
  readonly told: readonly string[]
  readonly uncaught: readonly string[]
}

const uncaught: string[] = []
process.on('uncaughtException', error => uncaught.push(error.message))

const types = Object.keys(SAMPLES) as (keyof typeof SAMPLES)[]
const subscribed = (): string[] => types.filter(type => CHANNELS[type].hasSubscribers)

const atImport = subscribed()
const { stream, clock } = fakeStream()
const wanted = types.filter(type => stream.wants(type))
for (const [event] of Object.values(SAMPLES)) {
  clock.advance(1)
  stream.publish(event)
}

const told: string[] = []
const debug = new Debug(stream)
debug.subscribe(() => {
  throw new Error('listener')
})
debug.trace(() => {
  throw new Error('trace')
})
debug.subscribe(({ event }) => told.push(event.type))
subscribe('sansocket:drain', () => {
  throw new Error('subscriber')
})
stream.publish({ type: 'drain' })
await turn()
console.log(JSON.stringify({ atImport, wanted, told, uncaught } satisfies TracedReport))
