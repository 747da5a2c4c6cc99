// Servers that go, and pages that come back by code of their own. What stands in `tab.run()` runs in a page.
// oxlint-disable unicorn/prefer-add-event-listener -- as pages do it
import t, { type Test } from 'tap'
import { listen, type Listener } from '../../src/server/index.js'
import { until } from '../support/raw-peer.js'
import { findChromium, skipWithout } from './chromium.js'
import { startSite } from './page-server.js'
import { Browser } from './tabs.js'

/** What the page keeps between two calls. */
declare const window: { seen: { opened: string[]; closed: [number, string, boolean][] }; enough?(): void }

const chromium = findChromium()
const COUNT = 8

const serving = async (t: Test, name: string, port: number): Promise<Listener> => {
  const server = await listen({
    port,
    origins: '*',
    behaviour: { handleConnect: () => ({ reply: name }) },
  })
  t.teardown(() => server.close())
  return server
}

/** Runs in the page: so many connections, each of which is made anew, a moment later, whenever it is gone. */
const stayConnected = (url: string, count: number): void => {
  window.seen = { opened: [], closed: [] }
  const open = (): void => {
    const socket = new WebSocket(url)
    socket.onmessage = ({ data }) => {
      window.seen.opened.push(data as string)
      window.enough?.()
    }
    socket.onclose = ({ code, reason, wasClean }) => {
      window.seen.closed.push([code, reason, wasClean])
      setTimeout(open, 20 + Math.random() * 20)
    }
  }
  for (let i = 0; i < count; i++) open()
}

/** Runs in the page: waits until it was greeted so often. */
const greeted = async (count: number): Promise<typeof window.seen> => {
  await new Promise<void>(resolve => {
    window.enough = () => window.seen.opened.length >= count && resolve()
    window.enough()
  })
  return window.seen
}

t.test('a page sees 1001 and why, and finds the next server', { skip: skipWithout(chromium) }, async t => {
  const browser = Browser.start(t, chromium)
  const site = await startSite(t, {})
  const first = await serving(t, 'first', 0)
  const tab = await browser.open(site.origin)
  await tab.run(stayConnected, first.url, COUNT)
  await tab.run(greeted, COUNT)
  t.equal(first.statistics().count, COUNT)

  const drained = await first.drain({ spreadMs: 100, reason: 'a new version is coming' })
  t.same(drained, { closed: COUNT, cut: 0 })
  await first.close()
  const second = await serving(t, 'second', first.port)
  const { opened, closed } = await tab.run(greeted, 2 * COUNT)
  const fill = <T>(value: T): T[] => Array<T>(COUNT).fill(value)
  t.same(opened, [...fill('first'), ...fill('second')])
  // While nobody listened, attempts may have failed.
  t.same(
    closed.filter(([code]) => code !== 1006),
    fill([1001, 'a new version is coming', true]),
  )
  t.equal(second.statistics().count, COUNT)
})

t.test('a site that lets nobody in is tried again', { skip: skipWithout(chromium) }, async t => {
  const browser = Browser.start(t, chromium)
  const site = await startSite(t, { handleConnect: () => ({ reply: 'first' }) })
  const tab = await browser.open(site.origin)
  await tab.run(stayConnected, site.origin.replace('http', 'ws'), 1)
  await tab.run(greeted, 1)
  await site.server.drain({ code: 4001, reason: 'moving' })
  // Chromium waits longer and longer before it tries, so one refusal must do.
  await tab.run(async () => {
    await new Promise<void>(resolve => {
      const look = (): void => void (window.seen.closed.length < 2 ? setTimeout(look, 5) : resolve())
      look()
    })
  })
  await site.server.close()
  site.attachAgain({ handleConnect: () => ({ reply: 'second' }) })
  const { opened, closed } = await tab.run(greeted, 2)
  t.same(opened, ['first', 'second'])
  const [end, ...refused] = closed
  t.same(end, [4001, 'moving', true])
  t.ok(refused.length >= 1 && refused.every(([code]) => code === 1006), 'refused with 503 meanwhile')
  await tab.close()
  await until(() => site.server.processes.size === 0, 'nobody')
})
