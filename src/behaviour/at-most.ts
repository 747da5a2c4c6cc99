import { after, type Clock } from '../transport/clock.js'

/** Waits for something of somebody else's, but not for ever. */
export function atMost(clock: Clock, ms: number, work: Promise<unknown>): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const cancel = after(clock, ms, () => resolve(undefined))
    work.then(resolve, reject).finally(cancel)
  })
}
