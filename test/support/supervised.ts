import t, { type Test } from 'tap'
import type { ChildOptions, RestartType } from '../../src/behaviour/child-spec.js'
import { startSupervisor, type Supervisor } from '../../src/behaviour/supervisor.js'
import type { SupervisorEvent } from '../../src/behaviour/supervisor-event.js'
import type { RestartStrategy, SupervisorOptions } from '../../src/behaviour/supervisor-options.js'
import { Nursery } from './fake-child.js'
import { turn } from './servers.js'
import { VirtualClock } from './virtual-clock.js'

/** A supervisor with children that do what a test says, in virtual time. */
export interface Scene {
  readonly supervisor: Supervisor
  readonly nursery: Nursery
  readonly clock: VirtualClock
  readonly events: SupervisorEvent[]
  /** Lets everything happen that is due, and tells what did. */
  readonly after: (ms?: number) => Promise<string>
}

/** Ids with a `?` are transient, with a `!` temporary, all others permanent. */
export function specs(nursery: Nursery, ids: string, more: Partial<ChildOptions> = {}): ChildOptions[] {
  return ids.split(' ').map(text => {
    const id = text.replace(/\W/, '')
    const restart: RestartType = text.endsWith('?')
      ? 'transient'
      : text.endsWith('!')
        ? 'temporary'
        : 'permanent'
    return Object.assign({ id, restart, start: nursery.starter(id) }, more)
  })
}

/** Starts a supervisor. */
export type Open = (ids: string, options?: SupervisorOptions, more?: Partial<ChildOptions>) => Promise<Scene>

/** A test with supervisors that are ended afterwards, and looked at whether they left something. */
export function supervised(name: string, body: (t: Test, open: Open) => Promise<unknown>): void {
  t.test(name, async t => {
    const scenes: Scene[] = []
    await body(t, async (ids, options = {}, more = {}) => {
      const nursery = new Nursery()
      const clock = new VirtualClock()
      const events: SupervisorEvent[] = []
      const children = specs(nursery, ids, more)
      const onEvent = (event: SupervisorEvent): void => void events.push(event)
      const supervisor = await startSupervisor({ clock, children, onEvent, ...options })
      const after = async (ms = 0): Promise<string> => {
        await turn()
        clock.advance(ms)
        await turn()
        return nursery.take()
      }
      t.equal(nursery.take(), children.map(({ id }) => `+${id}`).join(' '), 'children start in order')
      scenes.push({ supervisor, nursery, clock, events, after })
      return scenes.at(-1)!
    })
    for (const { supervisor, nursery, clock } of scenes) {
      for (const child of nursery.living) child.manner = 'willing'
      await supervisor.stop()
      t.same(nursery.living, [], 'nobody is left')
      t.equal(clock.pending, 0, 'no timer is left')
    }
  })
}

/** `a running, b stopped` */
export const states = (supervisor: Supervisor): string =>
  supervisor
    .children()
    .map(({ id, state }) => `${id} ${state}`)
    .join(', ')

/** All there are. */
export const STRATEGIES: readonly RestartStrategy[] = ['one-for-one', 'one-for-all', 'rest-for-one']
